//! `tune` and `train --tune`: results are saved, read at the next start, and ignored if damaged. And `--precision`.

use crate::fixture::{Place, files};

#[test]
fn tuning_results_are_read_at_the_next_start() {
    let place = Place::new();
    let cache = place.path("cache");
    let run = |args: &[&str]| {
        let output = place.wgrad(args).env("WGRAD_CACHE_DIR", &cache).output().expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    };
    let tune = ["tune", "--model", "linear", "--batch-size", "8", "--device", "software"];
    let found: serde_json::Value =
        serde_json::from_str(&run(&[&tune[..], &["--json"]].concat())).expect("JSON");
    let kernels = found["kernels"].as_array().expect("a list");
    assert!(!kernels.is_empty() && kernels.iter().all(|k| k["taken"].is_string()), "{found}");
    assert!(found["step_seconds_before"].is_number() && found["step_seconds_after"].is_number(), "{found}");
    let path = std::path::PathBuf::from(found["kept_in"].as_str().expect("a file"));
    let kept = std::fs::read(&path).expect("it is there");
    let temporary = |name: &std::path::Path| name.extension().is_some_and(|e| e == "tmp");
    assert!(!files(&cache).keys().any(|name| temporary(name)), "nothing temporary stays");
    let text = run(&tune);
    assert!(text.contains("step time: ") && text.contains("kept in"), "{text}");

    // A training run of the same step reads all results, even if it times further kernels.
    let data = place.photos();
    let train = |out: &str| {
        let call =
            ["train", "--model", "linear", "--steps", "2", "--batch-size", "8", "--device", "software"];
        run(&[&call[..], &["--tune", "--data", &data, "--out", out]].concat())
    };
    let first = train("first");
    assert!(first.contains("kernels as tuned") && first.contains("kernels timed"), "{first}");
    let second = train("second");
    assert!(second.contains("every kernel of the step is tuned already"), "{second}");

    std::fs::write(&path, &kept[..kept.len() - 1]).expect("our own file");
    let damaged = train("damaged");
    assert!(damaged.contains("ignored: it is damaged") && damaged.contains("kernels timed"), "{damaged}");
    assert!(train("mended").contains("tuned already"));
}

#[test]
fn cpu_has_nothing_to_tune() {
    let place = Place::new();
    place.refused(&["tune", "--device", "cpu"], 2, &["--device", "nothing to tune"]);
    let data = place.photos();
    let call =
        ["train", "--model", "linear", "--steps", "2", "--batch-size", "8", "--device", "cpu", "--tune"];
    place.ok(&[&call[..], &["--data", &data]].concat());
}

#[test]
fn half_precision_trains_on_devices_with_f16() {
    let place = Place::new();
    let data = place.photos();
    let call = ["train", "--model", "mlp", "--steps", "3", "--batch-size", "8", "--precision", "f16"];
    for (device, more) in [("software", &[][..]), ("cpu", &["--accumulate", "2"])] {
        let args = [&call[..], &["--device", device, "--data", &data, "--out", device], more].concat();
        let output = place.wgrad(&args).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let config = std::fs::read_to_string(place.path(device).join("config.toml")).expect("settings");
        assert!(config.contains("precision = \"f16\""), "{config}");
    }
    let refused = [&call[..], &["--device", "software", "--data", &data, "--out", "none"]].concat();
    let output = place.wgrad(&refused).env("WGRAD_LIMITS", "webgpu-baseline").output().expect("it runs");
    crate::fixture::said_no(&output, 2, &["--precision", "does not support it in shaders"]);
    place.refused(&[&call[..7], &["--precision", "f64"]].concat(), 2, &["--precision", "f32 or f16"]);

    let moved = |precision: &str| {
        let call = ["plan", "--model", "cifar-cnn", "--batch-size", "64", "--precision", precision, "--json"];
        place.json(&call)["bytes_moved"].as_u64().expect("a number")
    };
    assert!(moved("f16") < moved("f32"), "{} and {} bytes", moved("f16"), moved("f32"));
    let none = ["plan", "--model", "lenet", "--precision", "f16", "--limits", "webgpu-baseline"];
    place.refused(&none, 2, &["--precision"]);
}

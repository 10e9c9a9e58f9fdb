//! `train`, `eval`, `predict` on small runs.

use crate::fixture::{Place, SHORT, files, picture};
use serde_json::Value;
use std::fs;

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn names(bytes: &[u8]) -> Vec<String> {
    let len = u64::from_le_bytes(bytes[..8].try_into().expect("a length")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + len]).expect("a header");
    header.as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn run_writes_its_files() {
    let place = Place::new();
    let text = place.ok(&[&SHORT[..], &["fashion-mini", "--out", "run"]].concat());
    for word in ["cpu: ", "10 classes, 5,000 training", "7,850 parameters", "test accuracy", "Ankle boot"] {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    let run = place.path("run");
    let read = |name: &str| fs::read(run.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let config = String::from_utf8(read("config.toml")).expect("text");
    assert!(config.contains("model = \"linear\"") && config.contains("steps = 3"), "{config}");
    assert_eq!(read("labels.txt").iter().filter(|&&b| b == b'\n').count(), 10);
    assert!(read("curves.png").starts_with(b"\x89PNG\r\n\x1a\n"));
    let metrics = events(&String::from_utf8(read("metrics.jsonl")).expect("text"));
    assert_eq!(metrics.len(), 1);
    for field in ["epoch", "step", "train_loss", "val_loss", "val_accuracy", "images_per_second"] {
        assert!(metrics[0][field].is_number(), "{field} in {}", metrics[0]);
    }
    assert!(metrics[0]["device"].is_string() && metrics[0]["step"] == 3);
    let model = names(&read("checkpoint/model.safetensors"));
    assert_eq!(model, ["fc.bias", "fc.weight"]);
    assert!(!names(&read("checkpoint/optimizer.safetensors")).is_empty());
}

#[test]
fn json_lines_report_the_run() {
    let place = Place::new();
    let data = place.photos();
    let args = [&SHORT[..], &[&data, "--out", "run", "--json"]].concat();
    let events = events(&place.ok(&args));
    let kinds: Vec<&str> = events.iter().map(|e| e["event"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["start", "evaluation", "end"]);
    let (start, end) = (&events[0], &events[2]);
    assert_eq!(start["classes"], serde_json::json!(["dark", "light"]));
    assert_eq!(
        (&start["train_images"], &start["test_images"], &start["steps"]),
        (&24.into(), &10.into(), &3.into())
    );
    assert!(start["peak_bytes"].as_u64().is_some_and(|n| n > 0), "{start}");
    assert_eq!((&end["interrupted"], &end["step"]), (&false.into(), &3.into()));
    assert_eq!(end["evaluation"]["images"], 10);
    assert!(end["images_per_second"].as_f64().is_some_and(|v| v > 0.0), "{end}");
}

#[test]
fn result_is_bit_identical_for_any_number_of_threads() {
    let place = Place::new();
    for model in ["lenet", "cifar-cnn", "gpt"] {
        let bits = ["1", "2", "3"].map(|threads| {
            let out = format!("{model}-{threads}");
            let args = ["train", "--model", model, "--steps", "3", "--device", "cpu", "--out", &out];
            let output = place.wgrad(&args).env("RAYON_NUM_THREADS", threads).output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::read(place.path(&out).join("checkpoint/model.safetensors")).expect("a model")
        });
        assert!(bits[0] == bits[1] && bits[0] == bits[2], "{model} on 1, 2 and 3 threads");
    }
}

#[test]
fn result_is_bit_identical_for_the_same_seed() {
    let place = Place::new();
    let data = place.photos();
    for (out, seed) in [("a", "7"), ("b", "7"), ("c", "8")] {
        place.ok(&[&SHORT[..], &[&data, "--out", out, "--seed", seed, "--augment", "flip,crop:1"]].concat());
    }
    let model = |out: &str| fs::read(place.path(out).join("checkpoint/model.safetensors")).expect("a model");
    assert!(model("a") == model("b"), "one seed, two models");
    assert!(model("a") != model("c"), "two seeds, one model");
}

#[test]
fn gradient_accumulation_equals_the_whole_batch() {
    let place = Place::new();
    let data = place.photos();
    // 24 images: two steps of ten and one of four; its last micro-batch has two or four.
    let args = ["train", "--model", "mlp", "--width", "0.1", "--epochs", "2", "--batch-size", "10"];
    let more = ["--device", "cpu", "--clip-norm", "1", "--weight-decay", "0.1", "--json"];
    let losses = |out: &str, parts: &str| {
        let args = [&args[..], &more, &["--data", &data, "--out", out, "--accumulate", parts]].concat();
        let events = events(&place.ok(&args));
        let loss = |e: &Value, name: &str| e[name].as_f64().unwrap_or_else(|| panic!("{name} in {e}"));
        let evaluations = events.iter().filter(|e| e["event"] == "evaluation");
        evaluations.flat_map(|e| [loss(e, "train_loss"), loss(e, "val_loss")]).collect::<Vec<f64>>()
    };
    let whole = losses("whole", "1");
    for (out, parts) in [("halves", "2"), ("fifths", "5"), ("tenths", "10")] {
        let found = losses(out, parts);
        assert_eq!(found.len(), 4);
        assert!(
            whole.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5),
            "{parts}: {found:?} for {whole:?}"
        );
    }
}

#[test]
fn every_optimizer_trains() {
    let place = Place::new();
    let data = place.photos();
    let help = place.ok(&["train", "--help"]);
    for (name, _) in wgrad_nn::OPTIMIZERS {
        assert!(help.contains(name), "{name} is not in the help");
        let args = [&SHORT[..], &[&data, "--out", name, "--optimizer", name, "--clip-norm", "1"]].concat();
        let end = events(&place.ok(&[&args[..], &["--json"]].concat())).pop().expect("an end");
        assert!(end["evaluation"]["loss"].as_f64().is_some_and(f64::is_finite), "{name}: {end}");
    }
}

#[test]
fn moving_averages_are_evaluated() {
    let place = Place::new();
    let data = place.photos();
    let args =
        [&SHORT[..], &[&data, "--optimizer", "sgd", "--lr", "0.01", "--schedule", "constant", "--json"]]
            .concat();
    let loss = |out: &str, more: &[&str]| {
        let end = events(&place.ok(&[&args[..], &["--out", out], more].concat())).pop().expect("an end");
        end["evaluation"]["loss"].as_f64().expect("a loss")
    };
    let (plain, averaged) = (loss("plain", &[]), loss("averaged", &["--ema", "0.999"]));
    assert_ne!(plain, averaged, "three large steps and their average differ");
    let evaluated = |run: &str| {
        let found = place.json(&["eval", "--checkpoint", run, "--device", "cpu", "--json"]);
        found["loss"].as_f64().expect("a loss")
    };
    assert!((evaluated("averaged") - averaged).abs() < 1e-9, "eval reads the average, too");
    assert!((evaluated("plain") - plain).abs() < 1e-9);
    let states = fs::read(place.path("averaged/checkpoint/optimizer.safetensors")).expect("states");
    assert!(names(&states).contains(&"fc.weight.ema".to_owned()));
    let last =
        events(&place.ok(&["train", "--resume", "--out", "averaged", "--json"])).pop().expect("an end");
    assert_eq!(last["evaluation"]["loss"].as_f64(), Some(averaged), "a finished run repeats its result");
}

#[test]
fn flags_override_the_file_and_the_file_overrides_defaults() {
    let place = Place::new();
    let data = place.photos();
    fs::write(place.path("s.toml"), "lr = 0.5\noptimizer = \"sgd\"\nsteps = 2\nmodel = \"mlp\"\n")
        .expect("written");
    let args =
        ["train", "--config", "s.toml", "--lr", "0.25", "--data", &data, "--device", "cpu", "--out", "run"];
    place.ok(&args);
    let config = fs::read_to_string(place.path("run/config.toml")).expect("settings");
    for line in
        ["lr = 0.25", "optimizer = \"sgd\"", "steps = 2", "model = \"mlp\"", "schedule = \"one-cycle\""]
    {
        assert!(config.contains(line), "{line:?} is not in {config}");
    }
    // A run's own settings reproduce the run.
    place.ok(&["train", "--config", "run/config.toml", "--out", "again"]);
    assert_eq!(fs::read_to_string(place.path("again/config.toml")).expect("settings"), config);
    place.ok(&["train", "--config", "run/config.toml", "--epochs", "1", "--out", "epoch"]);
    let config = fs::read_to_string(place.path("epoch/config.toml")).expect("settings");
    assert!(!config.contains("steps"), "{config}");
}

/// Bytes of a tensor in a run's model.
fn tensor(place: &Place, run: &str, name: &str) -> Vec<u8> {
    let bytes = fs::read(place.path(run).join("checkpoint/model.safetensors")).expect("a model");
    let len = u64::from_le_bytes(bytes[..8].try_into().expect("a length")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + len]).expect("a header");
    let at = |i: usize| header[name]["data_offsets"][i].as_u64().expect("a number") as usize + 8 + len;
    bytes[at(0)..at(1)].to_vec()
}

#[test]
fn init_from_and_freeze_transfer_weights() {
    let place = Place::new();
    let data = place.photos();
    let mlp = ["train", "--model", "mlp", "--width", "0.1", "--steps", "3", "--device", "cpu", "--data"];
    let train = |data: &str, out: &str, more: &[&str]| {
        place.ok(&[&mlp[..], &[data, "--out", out], more].concat());
    };
    train(&data, "first", &[]);
    train(&data, "second", &["--init-from", "first", "--freeze", "fc1.*", "--seed", "5"]);
    assert!(tensor(&place, "first", "fc1.weight") == tensor(&place, "second", "fc1.weight"), "frozen");
    assert!(tensor(&place, "first", "fc2.weight") != tensor(&place, "second", "fc2.weight"), "trained on");
    // A third class: the last layer does not fit.
    let dir = place.path("photos/train/grey");
    fs::create_dir_all(&dir).expect("a folder");
    fs::create_dir_all(place.path("photos/test/grey")).expect("a folder");
    for i in 0..4 {
        picture(&dir.join(format!("{i}.png")), 110 + i);
        picture(&place.path(&format!("photos/test/grey/{i}.png")), 112 + i);
    }
    let more = ["--out", "x", "--init-from", "first"];
    let refused = |more: &[&str], words: &[&str]| {
        place.refused(&[&mlp[..], &["folder:photos"], more].concat(), 2, words);
    };
    refused(&more, &["--init-from", "\"grey\"", "--head new"]);
    train("folder:photos", "third", &["--init-from", "first", "--head", "new", "--freeze", "fc1.*, fc2.*"]);
    assert!(tensor(&place, "first", "fc2.weight") == tensor(&place, "third", "fc2.weight"), "kept");
    assert_eq!(tensor(&place, "third", "fc3.bias").len(), 3 * 4);
    refused(&["--freeze", "conv*"], &["--freeze", "conv*", "fc1.weight"]);
    refused(&["--freeze", "*"], &["--freeze", "nothing to train"]);
    refused(&["--head", "new"], &["--head", "--init-from"]);
    refused(&["--head", "old"], &["--head", "keep or new"]);
    refused(&["--freeze", "fc1.*", "--ema", "0.9"], &["--ema", "--freeze"]);
    place.refused(&[&mlp[..], &["folder:photos", "--init-from", "none"]].concat(), 1, &["none"]);
}

#[test]
fn run_without_out_gets_a_new_folder() {
    let place = Place::new();
    let data = place.photos();
    let args = [&SHORT[..], &[&data]].concat();
    place.ok(&args);
    let first = files(&place.path("runs/linear-photos"));
    place.ok(&args);
    assert_eq!(files(&place.path("runs/linear-photos")), first);
    assert!(place.path("runs/linear-photos-2/checkpoint/model.safetensors").is_file());
    // Without --out the newest run is resumed, and named.
    let resumed = place.wgrad(&["train", "--resume", "--device", "cpu"]).output().expect("runs");
    let stderr = String::from_utf8_lossy(&resumed.stderr);
    assert!(resumed.status.success() && stderr.contains("runs/linear-photos-2"), "{stderr}");
}

#[test]
fn checkpoint_evaluates_and_predicts() {
    let place = Place::new();
    let data = place.photos();
    let args =
        ["train", "--model", "linear", "--epochs", "12", "--lr", "0.05", "--device", "cpu", "--data", &data];
    place.ok(&[&args[..], &["--batch-size", "8", "--out", "run"]].concat());
    let eval = place.json(&["eval", "--checkpoint", "run", "--device", "cpu", "--json"]);
    assert_eq!(eval["accuracy"], 1.0, "dark and light are told apart: {eval}");
    assert_eq!(eval["confusion"], serde_json::json!([[5, 0], [0, 5]]));
    assert_eq!(eval["classes"][1]["support"], 5);
    let train = ["eval", "--checkpoint", "run/checkpoint", "--split", "train", "--device", "cpu", "--json"];
    assert_eq!(place.json(&train)["images"], 24);
    let text = place.ok(&["eval", "--checkpoint", "run", "--device", "cpu"]);
    assert!(text.contains("100.0 %") && text.contains("true \\ predicted"), "{text}");

    picture(&place.path("night.png"), 20);
    picture(&place.path("day.jpg"), 220);
    let predict = ["predict", "--checkpoint", "run", "night.png", "day.jpg", "--device", "cpu"];
    let predictions = events(&place.ok(&[&predict[..], &["--json"]].concat()));
    let best: Vec<&str> =
        predictions.iter().map(|p| p["guesses"][0]["class"].as_str().expect("a class")).collect();
    assert_eq!(best, ["dark", "light"]);
    let sum: f64 =
        (0..2).map(|i| predictions[0]["guesses"][i]["probability"].as_f64().expect("a number")).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    let text = place.ok(&[&predict[..], &["--top", "1"]].concat());
    assert!(text.starts_with("night.png: dark ") && !text.contains(','), "{text}");
}

#[test]
fn early_stopping_holds_out_images_for_evaluation() {
    let place = Place::new();
    let data = place.photos();
    let args =
        ["train", "--model", "linear", "--epochs", "40", "--patience", "1", "--device", "cpu", "--lr", "3"];
    let output =
        place.wgrad(&[&args[..], &["--data", &data, "--out", "run"]].concat()).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("held out"), "{stderr}");
    let held_out = ["eval", "--checkpoint", "run", "--split", "validation", "--device", "cpu", "--json"];
    assert_eq!(place.json(&held_out)["images"], 2);
}

//! Generative models: training, evaluation, planning and refused settings.

use crate::fixture::Place;
use serde_json::Value;
use std::fs;

/// Images of 16x16 with a dark or bright square in one of four places, one folder per brightness.
fn pictures(place: &Place) -> String {
    for i in 0..48u32 {
        let (left, top, level) = (i % 2 * 8, i / 2 % 2 * 8, if i % 3 == 0 { 120 } else { 250 });
        let inside = |x: u32, y: u32| (left..left + 8).contains(&x) && (top..top + 8).contains(&y);
        let picture = image::GrayImage::from_fn(16, 16, |x, y| {
            image::Luma([if inside(x, y) { level + (i % 5) as u8 } else { (x + y) as u8 }])
        });
        let (split, class) =
            (if i % 7 == 0 { "test" } else { "train" }, if level > 200 { "bright" } else { "dark" });
        let folder = place.path("squares").join(split).join(class);
        fs::create_dir_all(&folder).expect("a folder");
        picture.save(folder.join(format!("{i}.png"))).expect("written");
    }
    "folder:squares".into()
}

fn train<'a>(model: &'a str, data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = ["train", "--model", model, "--data", data, "--device", "cpu", "--out", out, "--json"];
    [&own[..], more].concat()
}

fn end(printed: &str) -> Value {
    serde_json::from_str(printed.lines().last().expect("an end")).expect("JSON")
}

#[test]
fn autoencoder_explains_most_variance() {
    let place = Place::new();
    let data = pictures(&place);
    let more = ["--width", "0.1", "--epochs", "60", "--lr", "3e-3", "--batch-size", "8"];
    let found = end(&place.ok(&train("autoencoder", &data, "run", &more)))["evaluation"].clone();
    assert_eq!((&found["split"], &found["images"]), (&"test".into(), &7.into()));
    assert!(found["accuracy"].as_f64().is_some_and(|kept| kept > 0.9), "{found}");
    let sheet = image::open(place.path("run/reconstructions.png")).expect("a sheet");
    assert_eq!(
        (sheet.width(), sheet.height()),
        (8 * 18 + 2, 2 * 18 + 2),
        "seven images above their reconstructions"
    );
    let eval = ["eval", "--checkpoint", "run", "--device", "cpu"];
    assert_eq!(place.json(&[&eval[..], &["--json"]].concat())["accuracy"], found["accuracy"]);
    assert!(place.ok(&eval).contains("explained variance"));
    let picture = "squares/test/dark/0.png";
    place.refused(&["predict", "--checkpoint", "run", "--device", "cpu", picture], 2, &["generates images"]);
    let plan = place.json(&["plan", "--model", "autoencoder", "--json"]);
    assert!(plan["flops"].as_u64().is_some_and(|n| n > 100_000_000), "{plan}");
    place.refused(
        &train("autoencoder", &data, "more", &["--label-smoothing", "0.1"]),
        2,
        &["--label-smoothing"],
    );
}

#[test]
fn dcgan_trains_and_writes_samples() {
    let place = Place::new();
    let data = pictures(&place);
    let more = ["--width", "0.05", "--image-size", "16", "--batch-size", "12"];
    let printed = place.ok(&train("dcgan", &data, "run", &[&more[..], &["--epochs", "3"]].concat()));
    let (start, found) = (printed.lines().next().expect("a start"), end(&printed)["evaluation"].clone());
    let start: Value = serde_json::from_str(start).expect("JSON");
    assert_eq!((&start["steps"], &found["images"]), (&9.into(), &7.into()));
    assert!(found["loss"].as_f64().is_some_and(|loss| loss > 0.1 && loss < 5.0), "{found}");
    let sheet = image::open(place.path("run/samples.png")).expect("a sheet");
    assert_eq!((sheet.width(), sheet.height()), (8 * 18 + 2, 4 * 18 + 2));
    let eval = place.json(&["eval", "--checkpoint", "run", "--device", "cpu", "--json"]);
    assert_eq!(eval["loss"], found["loss"]);
    let plan = place.ok(&["plan", "--model", "dcgan", "--batch-size", "8"]);
    assert!(plan.contains("discriminator's half"), "{plan}");
    for (flags, words) in [
        (&["--image-size", "20"][..], &["dcgan", "20"][..]),
        (&["--accumulate", "2"], &["--accumulate"]),
        (&["--ema", "0.9"], &["--ema"]),
        (&["--freeze", "*.bias"], &["--freeze"]),
    ] {
        place.refused(
            &train("dcgan", &data, "more", &[&more[..2], &["--batch-size", "12"], flags].concat()),
            2,
            words,
        );
    }
    assert!(!place.path("more").exists(), "no run was started");
}

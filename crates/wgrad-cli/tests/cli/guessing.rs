//! First calls by users of other tools: they work, or the error names the right command.

use crate::fixture::{Place, picture};
use serde_json::Value;
use std::fs;

fn start(printed: &str) -> Value {
    serde_json::from_str(printed.lines().next().expect("a start")).expect("JSON")
}

#[test]
fn names_and_flags_of_other_tools_work() {
    let place = Place::new();
    place.photos();
    let common = ["train", "--device", "cpu", "--data", "photos", "--json"];
    for (i, flags) in [
        &["--model", "Linear", "--optimizer", "AdamW", "--max-steps", "2"][..],
        &["--model", "MLP", "--lr", "auto", "--batch", "8", "--epoch", "1"],
        &["--arch", "LeNet-5", "--imgsz", "16", "--max-steps", "1"],
        &["--model", "linear", "--imgsz", "16", "--epochs", "1", "--learning-rate", "0.1", "--wd", "0.1"],
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("run-{i}");
        let args = [&common[..], flags, &["--out", &out]].concat();
        if flags.contains(&"LeNet-5") {
            place.refused(&args, 2, &["LeNet-5", "did you mean lenet"]);
            continue;
        }
        let started = start(&place.ok(&args));
        assert_eq!(started["class_counts"], serde_json::json!([12, 12]), "{started}");
    }
    let config = fs::read_to_string(place.path("run-0/config.toml")).expect("settings");
    let decay = config.contains("optimizer = \"adamw\"") && config.contains("weight_decay = 0.01");
    assert!(decay, "{config}");
    let (config, usual) =
        (fs::read_to_string(place.path("run-1/config.toml")).expect("settings"), "lr = 0.002");
    assert!(config.contains(usual) && config.contains("batch_size = 8"), "{config}");
    assert!(place.ok(&["val", "--checkpoint", "run-0", "--device", "cpu"]).contains("macro F1"));
    let text =
        place.ok(&["train", "--device", "cpu", "--data", "photos", "--model", "linear", "--steps", "1"]);
    assert!(text.contains("classes dark 12, light 12"), "{text}");
    assert!(text.lines().filter(|l| l.starts_with("epoch")).all(|l| l.chars().count() <= 80), "{text}");
}

#[test]
fn unknown_name_or_flag_suggests_alternatives() {
    let place = Place::new();
    place.photos();
    fs::write(place.path("labels.csv"), "a.png,cat\n").expect("written");
    for (args, words) in [
        (&["train", "--model", "resnet"][..], &["resnet18", "resnet34", "resnet50"][..]),
        (&["train", "--data", "folder:labels.csv"], &["labels.csv is a file", "folder of images per class"]),
        (&["train", "--data", "mnist"], &["mnist:DIR"]),
        (&["train", "--gpus", "1"], &["--device gpu"]),
        (&["train", "--weights", "a.pt"], &["--init-from"]),
        (&["train", "--amp"], &["--precision f16"]),
        (&["train", "epochs=3"], &["--epochs 3"]),
        (&["train", "--lr", "fast"], &["--lr", "auto"]),
        (&["plan", "--model", "ResNet_101"], &["ResNet_101", "resnet18"]),
        (&["train", "--device", "tpu"], &["tpu", "gpu"]),
    ] {
        let said = place.refused(args, 2, words);
        assert!(!said.contains("does not exist"), "{said}");
    }
    place.ok(&["plan", "--model", "ResNet-18", "--optimizer", "AdamW"]);
}

#[test]
fn accuracy_at_chance_level_warns() {
    let place = Place::new();
    let data = place.photos();
    // Both classes look the same.
    for split in ["train", "test"] {
        for class in ["dark", "light"] {
            let dir = place.path("photos").join(split).join(class);
            (0..5).for_each(|i| picture(&dir.join(format!("{i}.png")), 100));
            (5..12).for_each(|i| drop(fs::remove_file(dir.join(format!("{i}.png")))));
        }
    }
    let args =
        ["train", "--model", "linear", "--steps", "1", "--lr", "1e-9", "--device", "cpu", "--data", &data];
    let output = place.wgrad(&[&args[..], &["--out", "run"]].concat()).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("hardly better than always predicting"), "{stderr}");
}

#[test]
fn misspelt_flag_suggests_the_nearest() {
    let place = Place::new();
    let words = ["unexpected argument '--weight_decay': did you mean '--weight-decay'?"];
    place.refused(&["train", "--weight_decay", "0.1"], 2, &words);
}

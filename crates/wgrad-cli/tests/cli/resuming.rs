//! Resumed runs: extended, with moved data, from other working folders.

use crate::fixture::{Place, picture};
use serde_json::Value;
use std::fs;

const RUN: [&str; 12] = [
    "train",
    "--model",
    "linear",
    "--batch-size",
    "8",
    "--schedule",
    "constant",
    "--device",
    "cpu",
    "--json",
    "--data",
    "folder:photos",
];

fn end(text: &str) -> Value {
    serde_json::from_str(text.lines().last().expect("an end")).expect("JSON")
}

/// Weights of the run's checkpoint, as stored.
fn model(place: &Place, run: &str) -> Vec<u8> {
    fs::read(place.path(run).join("checkpoint/model.safetensors")).expect("a model")
}

#[test]
fn extended_run_equals_a_longer_one_bit_for_bit() {
    let place = Place::new();
    place.photos();
    place.ok(&[&RUN[..], &["--epochs", "2", "--out", "short"]].concat());
    let more = place.ok(&["train", "--resume", "--out", "short", "--epochs", "5", "--json"]);
    assert_eq!((&end(&more)["step"], &end(&more)["epochs"]), (&15.into(), &5.into()));
    place.ok(&[&RUN[..], &["--epochs", "5", "--out", "long"]].concat());
    assert!(model(&place, "short") == model(&place, "long"), "different weights");
    let config = fs::read_to_string(place.path("short/config.toml")).expect("settings");
    assert!(config.contains("epochs = 5"), "{config}");
    place.refused(&["train", "--resume", "--out", "short", "--epochs", "3"], 2, &["--epochs", "5 epochs"]);
    // Without --epochs a finished run stays finished.
    assert_eq!(end(&place.ok(&["train", "--resume", "--out", "short", "--json"]))["step"], 15);
    let steps = place.ok(&["train", "--resume", "--out", "short", "--steps", "17", "--json"]);
    assert_eq!(end(&steps)["step"], 17);
}

#[test]
fn early_stopped_run_continues_if_extended() {
    let place = Place::new();
    place.photos();
    let tired = ["--epochs", "40", "--patience", "1", "--val-split", "0.2", "--lr", "8", "--out", "run"];
    let first = end(&place.ok(&[&RUN[..], &tired].concat()));
    let epochs = first["epochs"].as_u64().expect("a number");
    assert!(epochs < 40, "{first}");
    assert_eq!(end(&place.ok(&["train", "--resume", "--out", "run", "--json"]))["epochs"], epochs);
    let more = end(&place.ok(&["train", "--resume", "--out", "run", "--patience", "3", "--json"]));
    assert!(more["epochs"].as_u64() > Some(epochs), "{more}");
}

#[test]
fn paths_work_from_any_working_folder_and_data_may_move() {
    let place = Place::new();
    place.photos();
    place.ok(&[&RUN[..], &["--epochs", "1", "--out", "run"]].concat());
    fs::create_dir_all(place.path("elsewhere")).expect("a folder");
    let there = |args: &[&str]| {
        let output = place.wgrad(args).current_dir(place.path("elsewhere")).output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, stderr) = there(&["eval", "--checkpoint", "../run", "--device", "cpu"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, _, stderr) = there(&["train", "--resume", "--out", "../run", "--epochs", "2"]);
    assert_eq!(code, Some(0), "{stderr}");

    fs::rename(place.path("photos"), place.path("moved")).expect("moved");
    place.refused(&["train", "--resume", "--out", "run", "--epochs", "3"], 1, &["photos does not exist"]);
    place.ok(&["train", "--resume", "--out", "run", "--epochs", "3", "--data", "moved"]);
    // The new location is remembered.
    place.ok(&["train", "--resume", "--out", "run", "--epochs", "4"]);
    // Other data than the run's own is refused.
    picture(&place.path("moved/train/dark/0.png"), 222);
    place.refused(&["train", "--resume", "--out", "run", "--epochs", "5"], 1, &["training data has changed"]);
}

#[test]
fn extended_run_killed_before_its_next_checkpoint_resumes() {
    let place = Place::new();
    place.photos();
    place.ok(&[&RUN[..], &["--epochs", "5", "--out", "long"]].concat());
    place.ok(&[&RUN[..], &["--epochs", "2", "--out", "cut"]].concat());
    // An extended run writes its new number of epochs before its first step.
    let path = place.path("cut/config.toml");
    let config = fs::read_to_string(&path).expect("settings");
    fs::write(&path, config.replace("epochs = 2", "epochs = 5")).expect("written");
    let more = place.ok(&["train", "--resume", "--out", "cut", "--json"]);
    assert_eq!(end(&more)["step"], 15);
    assert!(model(&place, "cut") == model(&place, "long"), "different weights");
}

#[test]
fn validation_loss_of_nan_keeps_the_checkpoint_before_it() {
    let place = Place::new();
    place.photos();
    // One step per epoch, so its own loss is still finite.
    let whole = ["--batch-size", "24", "--optimizer", "sgd", "--schedule", "constant", "--model", "mlp"];
    let run = [&["train", "--device", "cpu", "--data", "folder:photos"][..], &whole].concat();
    place.ok(&[&run[..], &["--epochs", "1", "--out", "run"]].concat());
    let before = model(&place, "run");
    let worse = ["train", "--resume", "--out", "run", "--epochs", "2", "--lr", "1e30"];
    let output = place.wgrad(&worse).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("unusable; lower --lr"), "{stderr}");
    assert!(model(&place, "run") == before, "unusable weights replaced good ones");
    place.ok(&["train", "--resume", "--out", "run", "--epochs", "3", "--lr", "0.01"]);
    assert!(model(&place, "run") != before);
}

#[test]
fn run_without_a_checkpoint_is_refused_with_its_remaining_weights() {
    let place = Place::new();
    place.photos();
    place.ok(&[&RUN[..], &["--epochs", "2", "--out", "run"]].concat());
    let progress = place.path("run/checkpoint/progress.json");
    let kept = fs::read(&progress).expect("where the run stands");
    fs::write(&progress, &kept[..kept.len() / 2]).expect("written");
    let resume = ["train", "--resume", "--out", "run", "--epochs", "3"];
    place.refused(&resume, 1, &["progress.json is missing or damaged", "--init-from"]);
    fs::remove_dir_all(place.path("run/checkpoint")).expect("removed");
    place.refused(&resume, 1, &["checkpoint/ is missing", "the weights in best/ with --init-from"]);
    let next = ["--epochs", "1", "--out", "next", "--init-from", "run/best"];
    place.ok(&[&RUN[..], &next].concat());
    fs::remove_dir_all(place.path("run/best")).expect("removed");
    place.refused(&resume, 1, &["checkpoint/ is missing; start a new run"]);
}

//! Best and last weights: saving, reading, and runs with non-finite values.

use crate::fixture::{Place, SHORT, files};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Settings with a validation loss falling first and rising later.
const OVERSHOOT: [&str; 16] = [
    "train",
    "--model",
    "linear",
    "--optimizer",
    "sgd",
    "--schedule",
    "constant",
    "--batch-size",
    "8",
    "--device",
    "cpu",
    "--epochs",
    "6",
    "--data",
    "folder:photos",
    "--json",
];

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Losses on the monitored split, by epoch.
fn losses(events: &[Value]) -> Vec<f64> {
    let evaluations = events.iter().filter(|e| e["event"] == "evaluation");
    evaluations.map(|e| e["val_loss"].as_f64().unwrap_or(f64::NAN)).collect()
}

/// Epoch of the lowest loss, from 1.
fn lowest(losses: &[f64]) -> u64 {
    let finite = losses.iter().enumerate().filter(|l| l.1.is_finite());
    1 + finite.min_by(|a, b| a.1.total_cmp(b.1)).expect("a finite loss").0 as u64
}

#[test]
fn weights_of_the_lowest_loss_are_saved_and_read() {
    let place = Place::new();
    place.photos();
    // A learning rate high enough for a later epoch to be worse than an earlier one.
    let (mut out, mut found) = (String::new(), Vec::new());
    for lr in ["0.5", "1", "2", "4", "8"] {
        out = format!("run-{lr}");
        found = events(&place.ok(&[&OVERSHOOT[..], &["--lr", lr, "--out", &out]].concat()[..]));
        let losses = losses(&found);
        if losses.last() > Some(&losses[lowest(&losses) as usize - 1]) {
            break;
        }
    }
    let (losses, end) = (losses(&found), found.last().expect("an end"));
    let (best, last) = (lowest(&losses), losses[5]);
    assert!(best < 6, "the losses fall to the end: {losses:?}");
    let least = losses[best as usize - 1];
    assert_eq!((&end["best_epoch"], end["best_loss"].as_f64()), (&best.into(), Some(least)));
    assert_eq!(end["evaluation"]["loss"].as_f64(), Some(least), "the final test uses the best weights");

    let eval = ["eval", "--checkpoint", &out, "--device", "cpu", "--json"];
    let of = |more: &[&str]| place.json(&[&eval[..], more].concat());
    let told = of(&[]);
    assert_eq!((&told["weights"], &told["epoch"]), (&"best".into(), &best.into()));
    assert!((told["loss"].as_f64().expect("a loss") - least).abs() < 1e-6, "{told}");
    let told = of(&["--weights", "last"]);
    assert_eq!((&told["weights"], &told["epoch"]), (&"last".into(), &6.into()));
    assert!((told["loss"].as_f64().expect("a loss") - last).abs() < 1e-6, "{told}");
    let inner = format!("{out}/best");
    assert_eq!(place.json(&["eval", "--checkpoint", &inner, "--device", "cpu", "--json"])["epoch"], best);
    let text = place.ok(&["eval", "--checkpoint", &out, "--device", "cpu"]);
    assert!(text.contains(&format!("best, epoch {best} ")), "{text}");
    let words = ["--weights", "best or last", "--checkpoint"];
    place.refused(&["eval", "--checkpoint", &out, "--weights", "model.pt"], 2, &words);

    // Neither needs the optimizer state; resuming does.
    fs::remove_file(place.path(&out).join("checkpoint/optimizer.safetensors")).ok();
    of(&["--weights", "last"]);
    of(&[]);
    place.ok(&["predict", "--checkpoint", &out, "--device", "cpu", "photos/test/dark/0.png"]);
}

#[test]
fn resume_without_optimizer_state_is_refused_with_the_remedy() {
    let place = Place::new();
    place.trained("run");
    fs::remove_file(place.path("run/checkpoint/optimizer.safetensors")).expect("removed");
    let words = ["optimizer.safetensors is missing", "--init-from"];
    place.refused(&["train", "--resume", "--out", "run"], 1, &words);
    place.ok(&[&SHORT[..], &["folder:photos", "--out", "next", "--init-from", "run"]].concat());
}

#[test]
fn early_stopped_run_is_tested_on_its_best_weights_after_resume_too() {
    let place = Place::new();
    let data = place.photos();
    let run = ["train", "--model", "mlp", "--width", "0.1", "--device", "cpu", "--lr", "0.3", "--schedule"];
    let more = ["constant", "--epochs", "30", "--patience", "2", "--val-split", "0.3", "--data", &data];
    let found = events(&place.ok(&[&run[..], &more, &["--out", "run", "--json"]].concat()));
    let (losses, end) = (losses(&found), found.last().expect("an end"));
    assert_eq!(end["best_epoch"].as_u64(), Some(lowest(&losses)), "{losses:?}");
    let eval = ["eval", "--checkpoint", "run", "--split", "validation", "--device", "cpu", "--json"];
    let told = place.json(&eval);
    assert!((told["loss"].as_f64().expect("a loss") - losses[lowest(&losses) as usize - 1]).abs() < 1e-6);
    // A finished run repeats its final test with the best weights.
    let again = events(&place.ok(&["train", "--resume", "--out", "run", "--json"]));
    assert_eq!(again.last().expect("an end")["evaluation"], end["evaluation"]);
}

#[test]
fn non_finite_loss_is_stored_and_never_the_best() {
    let place = Place::new();
    let data = place.photos();
    let run = ["train", "--model", "mlp", "--lr", "1e30", "--optimizer", "sgd", "--schedule", "constant"];
    let args = [&run[..], &["--steps", "1", "--device", "cpu", "--data", &data, "--out", "run"]].concat();
    let output = place.wgrad(&args).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("unusable; lower --lr"), "{stderr}");
    assert!(!place.path("run/best").exists(), "NaN is not the best");
    let metrics = fs::read_to_string(place.path("run/metrics.jsonl")).expect("metrics");
    serde_json::from_str::<Value>(metrics.trim()).expect("standard JSON");
    place.ok(&["train", "--resume", "--out", "run"]);
    place.ok(&["eval", "--checkpoint", "run", "--device", "cpu"]);
}

#[test]
fn epochs_are_evaluated_with_the_saved_moving_averages() {
    let place = Place::new();
    let scenes = crate::segmenting::scenes(&place);
    fs::write(place.path("text.txt"), "the cat sat on the mat; a dog ran off. ".repeat(60)).expect("a text");
    let unet =
        ["--model", "unet", "--width", "0.05", "--image-size", "32", "--batch-size", "4", "--data", &scenes];
    let rnn = ["--model", "char-rnn", "--hidden", "16", "--context", "16", "--data", "text:text.txt"];
    let photos = place.photos();
    let mlp = ["--model", "mlp", "--width", "0.1", "--val-split", "0.3", "--data", &photos];
    for (out, model) in [("unet", &unet[..]), ("rnn", &rnn), ("mlp", &mlp)] {
        let run = [
            "train", "--device", "cpu", "--ema", "0.8", "--lr", "0.05", "--epochs", "2", "--json", "--out",
            out,
        ];
        let found = events(&place.ok(&[&run[..], model].concat()));
        let last = *losses(&found).last().expect("an evaluation");
        let eval = [
            "eval",
            "--checkpoint",
            out,
            "--weights",
            "last",
            "--split",
            "validation",
            "--device",
            "cpu",
            "--json",
        ];
        let told = place.json(&eval)["loss"].as_f64().expect("a loss");
        assert!((told - last).abs() < 1e-6, "{out}: {last} after the epoch, {told} of what is saved");
    }
}

#[test]
fn init_from_reads_moving_averages() {
    let place = Place::new();
    let data = place.photos();
    let run =
        ["train", "--model", "mlp", "--width", "0.1", "--device", "cpu", "--lr", "0.3", "--data", &data];
    place.ok(&[&run[..], &["--ema", "0.9", "--epochs", "2", "--out", "run"]].concat());
    // A step too small to change any weight.
    let still = ["--init-from", "run/checkpoint", "--steps", "1", "--lr", "1e-30", "--out", "next"];
    place.ok(&[&run[..7], &["--data", &data], &still].concat());
    let loss = |checkpoint: &str| {
        let args = ["eval", "--checkpoint", checkpoint, "--weights", "last", "--device", "cpu", "--json"];
        place.json(&args)["loss"].as_f64().expect("a loss")
    };
    assert_eq!(loss("next"), loss("run/checkpoint"));
}

/// Replaces the first element of a tensor in a safetensors file by NaN.
fn spoil(path: &Path, tensor: &str) {
    let mut bytes = fs::read(path).expect("a file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let at = 8 + length + header[tensor]["data_offsets"][0].as_u64().expect("an offset") as usize;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(path, bytes).expect("written");
}

#[test]
fn nan_weight_stops_the_first_step_on_every_device_with_one_message() {
    let place = Place::new();
    let data = place.photos();
    let run = ["train", "--model", "lenet", "--data", &data, "--epochs", "1", "--image-size", "28"];
    place.ok(&[&run[..], &["--device", "cpu", "--out", "whole"]].concat());
    for (file, tensor) in [("conv1", "conv1.weight"), ("last", "fc3.bias")] {
        place.bash(&format!("cp -r whole {file}"));
        for kept in ["best", "checkpoint"].map(|dir| place.path(file).join(dir)) {
            let models = files(&kept).into_keys().filter(|p| p.ends_with("model.safetensors"));
            models.for_each(|path| spoil(&path, tensor));
        }
        let told: Vec<String> = ["cpu", "software"]
            .iter()
            .map(|device| {
                let out = format!("{file}-{device}");
                let more = ["--device", device, "--init-from", file, "--out", &out];
                let stderr =
                    place.refused(&[&run[..], &more].concat(), 1, &["the loss became NaN at step 1:"]);
                stderr.lines().last().unwrap_or_default().replace(&out, "OUT")
            })
            .collect();
        assert_eq!(told[0], told[1]);
    }
}

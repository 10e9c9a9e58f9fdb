//! Language models: training, evaluation, generation and refused settings.

use crate::fixture::Place;
use serde_json::Value;
use std::fs;

/// Settings of a run of a few seconds on [`text`].
const SHORT: [&str; 20] = [
    "train",
    "--steps",
    "250",
    "--context",
    "16",
    "--layers",
    "1",
    "--hidden",
    "32",
    "--heads",
    "2",
    "--batch-size",
    "8",
    "--lr",
    "0.01",
    "--device",
    "cpu",
    "--val-split",
    "0.1",
    "--data",
];

/// Creates a text easy to learn.
fn text(place: &Place) -> String {
    fs::write(place.path("song.txt"), "row, row, row your boat\ngently down the stream\n".repeat(60))
        .expect("written");
    "text:song.txt".into()
}

fn train(place: &Place, model: &str, out: &str, more: &[&str]) -> Vec<Value> {
    let data = text(place);
    let mut short: Vec<&str> = match model {
        "gpt" => SHORT.to_vec(),
        _ => SHORT.iter().copied().filter(|w| *w != "--heads" && *w != "2").collect(),
    };
    if more.contains(&"--steps") {
        short.drain(1..3);
    }
    let printed = place.ok(&[&short[..], &[&data, "--model", model, "--out", out, "--json"], more].concat());
    printed.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn every_language_model_learns_and_generates() {
    let place = Place::new();
    for model in ["gpt", "char-rnn", "char-lstm", "char-gru"] {
        let events = train(&place, model, model, &[]);
        let (start, end) = (&events[0], events.last().expect("an end"));
        assert!(start["train_tokens"].as_u64().is_some_and(|n| n > 2000), "{start}");
        assert_eq!(start["vocabulary"], 19);
        let evaluation = &end["evaluation"];
        let (loss, perplexity) = (evaluation["loss"].as_f64(), evaluation["perplexity"].as_f64());
        assert!(loss.is_some_and(|l| l < 0.7), "{model} has not learnt: {end}");
        assert!((loss.expect("a loss").exp() - perplexity.expect("a number")).abs() < 1e-9);
        let eval = place.json(&["eval", "--checkpoint", model, "--device", "cpu", "--json"]);
        assert_eq!(eval["loss"], evaluation["loss"], "{model}");
        let generate = ["generate", "--checkpoint", model, "--device", "cpu", "--prompt", "gently"];
        // More tokens than the context.
        let text = place.ok(&[&generate[..], &["--tokens", "40", "--temperature", "0"]].concat());
        assert!(text.starts_with("gently down the stream\nrow, row"), "{model} writes {text:?}");
    }
}

#[test]
fn bert_predicts_masked_tokens() {
    let place = Place::new();
    let data = text(&place);
    let size = ["--context", "16", "--layers", "1", "--hidden", "64", "--heads", "2", "--batch-size", "32"];
    let run = ["--lr", "0.002", "--steps", "300", "--accumulate", "2", "--device", "cpu", "--out", "run"];
    let call = [&["train", "--model", "bert", "--data", &data, "--json"][..], &size, &run].concat();
    let printed = place.ok(&call);
    let events: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let loss = |e: &Value, name: &str| e[name].as_f64().unwrap_or_else(|| panic!("{name} in {e}"));
    let evaluations: Vec<&Value> = events.iter().filter(|e| e["event"] == "evaluation").collect();
    let (first, last) = (evaluations[0], evaluations[evaluations.len() - 1]);
    assert!(loss(last, "val_loss") < 0.85 * loss(first, "val_loss"), "{first} to {last}");
    // Predicting only the commonest token is correct in one of five.
    assert!(loss(last, "train_accuracy") > 0.3, "{last}");
    let eval = ["eval", "--checkpoint", "run", "--device", "cpu", "--json"];
    let told = place.json(&eval);
    assert_eq!(told["loss"], events.last().expect("an end")["evaluation"]["loss"]);
    // About 15 % of the tokens are masked.
    let hidden = told["tokens"].as_f64().expect("a number") / loss(&events[0], "validation_tokens");
    assert!((0.08..0.22).contains(&hidden), "{hidden}");
    place.refused(&["generate", "--checkpoint", "run", "--device", "cpu"], 2, &["bert", "gpt"]);
    place.refused(&["train", "--model", "bert", "--rotary"], 2, &["--rotary", "gpt"]);
}

#[test]
fn gpt_flags_reach_the_model() {
    let place = Place::new();
    let more = ["--rotary", "--key-heads", "1", "--tokenizer", "byte", "--dropout", "0.1", "--ema", "0.9"];
    let events = train(&place, "gpt", "run", &more);
    assert_eq!(events[0]["vocabulary"], 256);
    let text = place.ok(&["eval", "--checkpoint", "run", "--device", "cpu"]);
    assert!(text.contains("validation perplexity") && text.contains("tokens"), "{text}");
    let generate = ["generate", "--checkpoint", "run", "--device", "cpu", "--tokens", "30", "--json"];
    let draw = |more: &[&str]| place.json(&[&generate[..], more].concat())["text"].clone();
    assert_eq!(draw(&["--seed", "4"]), draw(&["--seed", "4"]));
    assert_ne!(draw(&["--seed", "4", "--temperature", "2"]), draw(&["--seed", "5", "--temperature", "2"]));
    assert_eq!(draw(&["--top-k", "1"]), draw(&["--temperature", "0"]));
    let metrics = fs::read_to_string(place.path("run/metrics.jsonl")).expect("metrics");
    assert!(metrics.contains("\"perplexity\"") && metrics.contains("\"tokens_per_second\""), "{metrics}");
}

#[test]
fn text_run_resumes() {
    let place = Place::new();
    train(&place, "gpt", "whole", &[]);
    let config = fs::read_to_string(place.path("whole/config.toml")).expect("settings");
    assert!(config.contains("tokenizer = \"char\"") && config.contains("optimizer = \"adamw\""), "{config}");
    place.ok(&["train", "--config", "whole/config.toml", "--out", "again"]);
    let model = |run: &str| fs::read(place.path(run).join("checkpoint/model.safetensors")).expect("a model");
    assert!(model("whole") == model("again"), "one seed, two models");
    let resumed = place.ok(&["train", "--resume", "--out", "whole", "--json"]);
    assert!(resumed.contains("\"interrupted\":false"), "{resumed}");
}

#[test]
fn byte_pairs_are_learned_and_used() {
    let place = Place::new();
    let data = text(&place);
    let tokenize = ["tokenize", "--data", &data, "--vocabulary", "270", "--out", "song.bpe", "--json"];
    let found = place.json(&tokenize);
    assert_eq!((&found["vocabulary"], &found["bytes"]), (&270.into(), &2820.into()));
    let tokens = found["tokens"].as_u64().expect("a number");
    assert!((100..2000).contains(&tokens), "{found}");
    let events = train(&place, "gpt", "run", &["--tokenizer", "bpe:song.bpe"]);
    assert_eq!(events[0]["vocabulary"], 270);
    let sizes = ["train_tokens", "validation_tokens"].map(|name| events[0][name].as_u64().expect("a number"));
    assert_eq!(sizes[0] + sizes[1], tokens);
    // The checkpoint contains the pairs: their file may be deleted.
    fs::remove_file(place.path("song.bpe")).expect("removed");
    let told = place.json(&["eval", "--checkpoint", "run", "--device", "cpu", "--json"]);
    assert!(told["perplexity"].as_f64().is_some_and(|p| p < 1.5), "{told}");
    let generate = ["generate", "--checkpoint", "run", "--device", "cpu", "--tokens", "40"];
    let written = place.ok(&[&generate[..], &["--temperature", "0", "--prompt", "row, row"]].concat());
    assert!(written.contains("row, row, row your boat\ngently down the stream\n"), "{written}");

    let all =
        place.wgrad(&["tokenize", "--data", &data, "--vocabulary", "5000", "--out", "all.bpe"]).output();
    let note = String::from_utf8(all.expect("runs").stderr).expect("text");
    assert!(note.contains("no further pair occurs twice"), "{note}");
    let out = ["--out", "x.bpe"];
    place.refused(&[&["tokenize", "--vocabulary", "256"], &out[..]].concat(), 2, &["vocabulary", "257"]);
    place.refused(&[&["tokenize", "--data", "fashion-mini"], &out[..]].concat(), 2, &["fashion-mini"]);
    place.refused(&[&["tokenize", "--data", "text:none.txt"], &out[..]].concat(), 1, &["none.txt"]);
    let gone = ["train", "--model", "gpt", "--device", "cpu", "--tokenizer", "bpe:song.bpe"];
    place.refused(&gone, 1, &["song.bpe does not exist", "wgrad tokenize"]);
    assert!(!place.path("x.bpe").exists());
}

#[test]
fn invalid_language_model_setting_is_refused() {
    let place = Place::new();
    let data = text(&place);
    for (args, words) in [
        (&["--model", "gpt", "--data", "fashion-mini"][..], &["--data", "text:FILE"][..]),
        (&["--model", "lenet", "--data", &data], &["--model", "gpt", "char-lstm"]),
        (&["--model", "gpt", "--heads", "3"], &["--hidden 128", "--heads 3"]),
        (&["--model", "gpt", "--tokenizer", "bpe"], &["--tokenizer: ", "char, byte, or bpe:FILE"]),
        (&["--model", "gpt", "--dropout", "1"], &["--dropout"]),
        (&["--model", "gpt", "--context", "0"], &["--context"]),
        (&["--model", "gpt", "--augment", "flip"], &["--augment", "gpt"]),
        (&["--model", "lenet", "--layers", "2"], &["--layers", "lenet"]),
    ] {
        place.refused(&[&["train"], args].concat(), 2, words);
    }
    let gpt = ["train", "--model", "gpt", "--device", "cpu", "--data"];
    place.refused(&[&gpt[..], &["text:none.txt"]].concat(), 1, &["none.txt does not exist"]);
    place.refused(&[&gpt[..], &[&data, "--context", "4000"]].concat(), 1, &["--batch-size", "--context"]);
    place.trained("photos-run");
    place.refused(&["generate", "--checkpoint", "photos-run", "--device", "cpu"], 2, &["wgrad predict"]);
    place.refused(&["generate", "--checkpoint", "nothing", "--device", "cpu"], 1, &["nothing"]);
    crate::fixture::picture(&place.path("a.png"), 9);
    train(&place, "char-rnn", "run", &["--steps", "1"]);
    place.refused(&["predict", "--checkpoint", "run", "a.png", "--device", "cpu"], 2, &["wgrad generate"]);
    let generate = ["generate", "--checkpoint", "run", "--device", "cpu"];
    for (more, words) in [
        (["--temperature", "-1"], &["--temperature"][..]),
        (["--top-k", "0"], &["--top-k"]),
        (["--top-p", "1.5"], &["--top-p"]),
    ] {
        place.refused(&[&generate[..], &more].concat(), 2, words);
    }
    place.refused(&[&generate[..], &["--prompt", "zebra"]].concat(), 1, &["'z'"]);
}

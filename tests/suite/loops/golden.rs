//! Whole runs of `wgrad_train::train` against PyTorch's of the same data, order and first weights (`xtask/loops_torch.py`): each
//! epoch's losses and accuracies, the last weights and running statistics.

use super::orders::{
    CONTEXT, COUNTS, LETTERS, SCENE_SIDE, SCENE_SPLIT, SCENES, SEED, SIDE, TESTS, TEXT_SPLIT,
};
use super::{Place, run, weights};
use crate::golden::{Reference, read};
use serde_json::{Value, json};
use wgrad_graph::Role;
use wgrad_session::{NamedTensor, Tensors, checkpoint};
use wgrad_train::{Config, ModelCard, Reading, TextCard};
use wgrad_types::DType;

/// Tolerances of losses, and of weights relative to the largest change of a tensor's elements during the run:
/// Adam and its kin divide small by small.
const LOSS: f64 = 2e-5;
const MOVED: f64 = 2e-3;

/// A folder for `--init-from`: the reference's first weights with a card of the same classes or characters.
fn start(place: &Place, reference: &Reference, name: &str, config: &Config, ignored: bool) -> String {
    let tensors: Tensors = reference
        .under(&format!("{name}/init/"))
        .into_iter()
        .map(|own| {
            let array = reference.get(&format!("{name}/init/{own}"));
            let role = if own.contains(".running_") { Role::Buffer } else { Role::Weight };
            NamedTensor::new(role, own, array.to_host(DType::F32))
        })
        .collect();
    let classes: &[&str] = match config.model.as_str() {
        "unet" if ignored => &["0", "2"],
        "unet" => &["0", "1", "2"],
        _ => &["a", "b", "c"],
    };
    let side = if config.model == "unet" { SCENE_SIDE } else { SIDE };
    let card = if wgrad_models::TextKind::named(&config.model).is_some() {
        let card = TextCard {
            model: config.model.clone(),
            context: CONTEXT,
            layers: config.layers.expect("layers"),
            hidden: config.hidden.expect("a width"),
            heads: config.heads.unwrap_or(4),
            key_heads: config.heads.unwrap_or(4),
            rotary: false,
            characters: Some("abcde".into()),
            pairs: None,
        };
        serde_json::to_vec(&card)
    } else {
        let card = ModelCard {
            model: config.model.clone(),
            width: config.width,
            channels: 1,
            size: (side, side),
            classes: classes.iter().map(|c| (*c).to_owned()).collect(),
            mean: vec![0.5],
            std: vec![0.25],
            reading: Reading::default(),
        };
        serde_json::to_vec(&card)
    };
    let dir = place.path(&format!("{name}-start"));
    checkpoint::save(&dir, &tensors, &[("model.json", card.expect("JSON"))]).expect("first weights");
    dir.display().to_string()
}

fn check(place: &Place, reference: &Reference, case: &Value, more: &Value) -> Vec<String> {
    let name = case["name"].as_str().expect("a name");
    let mut settings = case["config"].clone();
    for (key, value) in more.as_object().expect("settings") {
        settings[key] = value.clone();
    }
    let config: Config = serde_json::from_value(settings).expect("settings");
    let first = start(place, reference, name, &config, config.ignore.is_some());
    let config = Config { init_from: Some(first), device: "cpu".into(), seed: SEED, workers: 1, ..config };
    let out = place.path(&format!("{name}-run"));
    let (summary, seen) = run(&config, &out);
    let mut failures = Vec::new();
    let rows = reference.get(&format!("{name}/epochs"));
    assert_eq!(seen.evaluations.len(), rows.shape[0], "{name}: epochs");
    for (epoch, (want, got)) in rows.data.chunks(4).zip(&seen.evaluations).enumerate() {
        let got = [got.0, got.1, got.2, got.3];
        for (what, (want, got)) in
            ["training loss", "training accuracy", "loss", "accuracy"].iter().zip(want.iter().zip(got))
        {
            if (want - got).abs() > LOSS * want.abs().max(1.0) {
                failures.push(format!("{name}, epoch {}: {what} is {got}, PyTorch's {want}", epoch + 1));
            }
        }
    }
    let lowest = rows.data.chunks(4).map(|row| row[2]).fold(f64::INFINITY, f64::min);
    let last_word = summary.evaluation.expect("a last word").loss;
    if (last_word - lowest).abs() > LOSS * lowest.max(1.0) {
        failures.push(format!("{name}: the best weights have loss {last_word}, PyTorch's {lowest}"));
    }
    let found = weights(&out);
    let names = reference.under(&format!("{name}/final/"));
    for own in &names {
        let Some(got) = found.get(own) else {
            failures.push(format!("{name}: no {own} is saved"));
            continue;
        };
        let (begun, want) =
            (reference.get(&format!("{name}/init/{own}")), reference.get(&format!("{name}/final/{own}")));
        // Keys' biases add one number to all scores of a row; softmax removes it, and Adam scales up the
        // remaining rounding error.
        let keys = own.ends_with("qkv.bias").then(|| want.data.len() / 3..2 * want.data.len() / 3);
        let pairs = want.data.iter().zip(&got.data).enumerate();
        let held = pairs.filter(|(i, _)| keys.as_ref().is_none_or(|keys| !keys.contains(i)));
        let far = begun.data.iter().zip(&want.data).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        let off = held.fold(0.0f64, |m, (_, (a, b))| m.max((a - b).abs()));
        let bound = if far == 0.0 { 0.0 } else { MOVED * far + 1e-6 };
        if off > bound {
            failures.push(format!("{name}: {own} ends {off:e} from PyTorch's; it moved by {far:e}"));
        }
    }
    assert!(found.keys().all(|own| names.contains(own)), "{name}: more is saved than PyTorch has");
    failures
}

fn all(prefix: &str, place: &Place, more: &Value) {
    let reference = read("loops.safetensors");
    let cases = reference.cases();
    let own = cases.iter().filter(|c| c["name"].as_str().is_some_and(|n| n.starts_with(prefix)));
    let failures: Vec<Vec<String>> = own.map(|case| check(place, &reference, case, more)).collect();
    assert!(failures.len() > 1, "{} runs", failures.len());
    let failures = failures.concat();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn loop_of_classifiers_matches_pytorch() {
    let place = Place::new();
    let data = place.pictures(SIDE, &COUNTS, &TESTS);
    all("pictures", &place, &json!({ "data": data }));
}

#[test]
fn loop_of_segmenters_matches_pytorch() {
    let place = Place::new();
    let data = place.scenes(SCENE_SIDE, SCENES);
    all("scenes", &place, &json!({ "data": data, "image_size": SCENE_SIDE, "val_split": SCENE_SPLIT }));
}

#[test]
fn loop_of_language_models_matches_pytorch() {
    let place = Place::new();
    let data = place.text(LETTERS);
    all("text", &place, &json!({ "data": data, "val_split": TEXT_SPLIT }));
}

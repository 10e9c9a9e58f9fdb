//! Every setting of a run takes effect: changed alone, it changes the run's results, or none of their bits if
//! it must not.

use super::{Place, Seen, run, weights};
use std::collections::BTreeMap;
use wgrad_train::{Config, settings};
use wgrad_types::Array;

/// A run's results: last weights, and the reports of each epoch and of the final evaluation.
#[derive(PartialEq)]
struct Left {
    weights: BTreeMap<String, Array>,
    told: Vec<(f64, f64, f64, f64)>,
    last: (f64, u64),
}

fn left(place: &Place, config: &Config) -> Left {
    let out = place.path("run");
    std::fs::remove_dir_all(&out).ok();
    let (summary, seen): (_, Seen) = run(config, &out);
    let last = summary.evaluation.expect("a last word");
    Left { weights: weights(&out), told: seen.evaluations, last: (last.loss, last.count()) }
}

type Change = fn(&mut Config);

/// A setting's name, settings common to both runs, and the setting itself.
type Row = (&'static str, Change, Change);

fn nothing(_: &mut Config) {}

const MOVES: &[Row] = &[
    ("model", nothing, |c| c.model = "linear".into()),
    ("width", nothing, |c| c.width = 0.08),
    ("epochs", nothing, |c| c.epochs = 2),
    ("steps", nothing, |c| c.steps = Some(5)),
    ("batch_size", nothing, |c| c.batch_size = 5),
    ("optimizer", nothing, |c| c.optimizer = "radam".into()),
    ("lr", nothing, |c| c.lr = 0.011),
    ("momentum", |c| c.optimizer = "momentum".into(), |c| c.momentum = 0.5),
    ("momentum", |c| c.optimizer = "nesterov".into(), |c| c.momentum = 0.5),
    ("schedule", nothing, |c| c.schedule = "cosine".into()),
    ("schedule", nothing, |c| c.schedule = "step".into()),
    ("schedule", nothing, |c| c.schedule = "one-cycle".into()),
    ("schedule", nothing, |c| c.schedule = "linear-warmup".into()),
    ("warmup", nothing, |c| c.warmup = 3),
    ("weight_decay", nothing, |c| c.weight_decay = Some(0.3)),
    ("decay_matrices_only", |c| c.weight_decay = Some(0.3), |c| c.decay_matrices_only = true),
    ("clip_norm", nothing, |c| c.clip_norm = Some(0.05)),
    ("clip_value", nothing, |c| c.clip_value = Some(0.01)),
    ("ema", nothing, |c| c.ema = Some(0.6)),
    ("precision", nothing, |c| c.precision = "f16".into()),
    ("label_smoothing", nothing, |c| c.label_smoothing = 0.2),
    ("augment", nothing, |c| c.augment = "flip".into()),
    ("augment", nothing, |c| c.augment = "crop:2".into()),
    ("augment", nothing, |c| c.augment = "resized-crop".into()),
    ("augment", nothing, |c| c.augment = "rotate:30".into()),
    ("augment", nothing, |c| c.augment = "jitter:0.4".into()),
    ("image_size", nothing, |c| c.image_size = Some(7)),
    ("val_split", nothing, |c| c.val_split = Some(0.3)),
    ("patience", |c| (c.lr, c.val_split, c.epochs) = (3.0, Some(0.3), 9), |c| c.patience = Some(1)),
    ("freeze", nothing, |c| c.freeze = Some("fc2.*".into())),
    ("seed", nothing, |c| c.seed = 4),
];

const TEXT: &[Row] = &[
    ("tokenizer", nothing, |c| c.tokenizer = "byte".into()),
    ("context", nothing, |c| c.context = Some(5)),
    ("layers", nothing, |c| c.layers = Some(2)),
    ("hidden", nothing, |c| c.hidden = Some(12)),
    ("heads", |c| c.key_heads = Some(1), |c| c.heads = Some(4)),
    ("key_heads", nothing, |c| c.key_heads = Some(1)),
    ("rotary", nothing, |c| c.rotary = true),
    ("dropout", nothing, |c| c.dropout = 0.3),
    ("dropout", |c| (c.model, c.layers, c.heads) = ("char-gru".into(), Some(2), None), |c| c.dropout = 0.3),
    ("val_split", nothing, |c| c.val_split = Some(0.4)),
    ("seed", nothing, |c| c.seed = 4),
    ("label_smoothing", nothing, |c| c.label_smoothing = 0.2),
    ("freeze", nothing, |c| c.freeze = Some("tok.*".into())),
];

const SCENES: &[Row] = &[
    ("ignore", nothing, |c| c.ignore = Some("1".into())),
    ("augment", nothing, |c| c.augment = "flip".into()),
    ("label_smoothing", nothing, |c| c.label_smoothing = 0.2),
    ("image_size", nothing, |c| c.image_size = Some(48)),
    ("val_split", nothing, |c| c.val_split = Some(0.5)),
    ("seed", nothing, |c| c.seed = 4),
    ("freeze", nothing, |c| c.freeze = Some("inc.*".into())),
];

/// Settings without an effect on results.
const STILL: &[Row] = &[
    ("workers", nothing, |c| c.workers = 0),
    ("detect_anomaly", nothing, |c| c.detect_anomaly = true),
    ("strict", nothing, |c| c.strict = true),
];

/// Settings covered by other tests.
const ELSEWHERE: &[(&str, &str)] = &[
    ("data", "every test here gives its own"),
    ("accumulate", "loops::golden: PyTorch's sums of parts; loops::resumed"),
    ("tune", "tuning"),
    ("init_from", "loops::golden starts by it; settings_head_new_reinitialises_head"),
    ("head", "settings_head_new_reinitialises_head"),
    ("device", "same, device's own tests"),
];

fn base(place: &Place) -> Config {
    Config {
        model: "mlp".into(),
        width: 0.05,
        data: place.pictures(8, &[7, 5, 4], &[4, 3, 2]),
        epochs: 3,
        batch_size: 8,
        lr: 0.01,
        schedule: "constant".into(),
        device: "cpu".into(),
        workers: 1,
        ..Config::default()
    }
}

fn all(place: &Place, base: &Config, rows: &[Row], moves: bool) {
    let still = left(place, base);
    for (name, with, change) in rows {
        let mut before = base.clone();
        with(&mut before);
        let mut after = before.clone();
        change(&mut after);
        assert!(before != after, "{name}: nothing is changed");
        let same = if before == *base {
            still == left(place, &after)
        } else {
            left(place, &before) == left(place, &after)
        };
        assert_eq!(same, !moves, "{} heeds {name}, or should not", base.model);
    }
}

#[test]
fn settings_of_classifier_take_effect() {
    let place = Place::new();
    all(&place, &base(&place), MOVES, true);
}

#[test]
fn settings_of_speed_change_no_bit() {
    let place = Place::new();
    all(&place, &Config { augment: "flip,crop:2".into(), ..base(&place) }, STILL, false);
}

#[test]
fn settings_of_language_model_take_effect() {
    let place = Place::new();
    let gpt = Config {
        model: "gpt".into(),
        data: place.text(160),
        context: Some(6),
        layers: Some(1),
        hidden: Some(8),
        heads: Some(2),
        batch_size: 3,
        ..base(&place)
    };
    all(&place, &gpt, TEXT, true);
}

#[test]
fn settings_of_segmenter_take_effect() {
    let place = Place::new();
    let unet = Config {
        model: "unet".into(),
        width: 0.015,
        data: place.scenes(32, 8),
        image_size: Some(32),
        epochs: 2,
        batch_size: 2,
        ..base(&place)
    };
    all(&place, &unet, SCENES, true);
}

/// Weights after so many steps of SGD with a warm-up.
fn warmed(place: &Place, warmup: u64, steps: u64, lr: f64) -> BTreeMap<String, Array> {
    let optimizer = "sgd".into();
    left(place, &Config { warmup, steps: Some(steps), lr, optimizer, ..base(place) }).weights
}

#[test]
fn settings_warmup_begins_at_its_share_of_the_rate() {
    let place = Place::new();
    // Powers of two: shares of the rate are exact.
    assert!(warmed(&place, 4, 1, 0.5) == warmed(&place, 0, 1, 0.125), "step 1 of 4 has a quarter");
    assert!(warmed(&place, 4, 2, 0.5) != warmed(&place, 0, 2, 0.125), "step 2 of 4 has a half");
    assert!(warmed(&place, 1, 3, 0.5) == warmed(&place, 0, 3, 0.5), "a warm-up of one step ends at once");
}

#[test]
fn settings_head_new_reinitialises_head() {
    let place = Place::new();
    let first = Config { seed: 8, ..base(&place) };
    let out = place.path("first");
    run(&first, &out);
    // A rate of nearly 0.
    let still =
        Config { lr: 1e-30, steps: Some(1), init_from: Some(out.display().to_string()), ..base(&place) };
    let (kept, anew) = (place.path("kept"), place.path("anew"));
    run(&still, &kept);
    run(&Config { head: "new".into(), ..still }, &anew);
    let best =
        wgrad_session::checkpoint::load(&out.join("best"), |_| wgrad_graph::Role::Weight).expect("weights");
    let (kept, anew) = (weights(&kept), weights(&anew));
    for wgrad_session::NamedTensor { name, value: tensor, .. } in
        best.iter().filter(|t| t.role == wgrad_graph::Role::Weight)
    {
        assert_eq!(kept[name], tensor.to_array(), "{name} is taken");
        let head = name.starts_with("fc3.");
        assert_eq!(anew[name] != tensor.to_array(), head, "{name}: the last layer alone begins anew");
    }
}

/// A new setting needs a row, or a reason for having none.
#[test]
fn settings_are_all_covered() {
    let rows = [MOVES, TEXT, SCENES, STILL].concat();
    let covered = || rows.iter().map(|row| row.0).chain(ELSEWHERE.iter().map(|row| row.0));
    for setting in settings() {
        assert!(covered().any(|name| name == setting.name), "no test covers the setting {}", setting.name);
    }
    for name in covered() {
        assert!(settings().iter().any(|setting| setting.name == name), "{name} is no setting");
    }
}

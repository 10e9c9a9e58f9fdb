//! An interrupted run ends in the bits of an uninterrupted one: in the middle of an epoch, with dropout,
//! augmentation, micro-batches, averages and statistics, for every kind of task.

use super::{Place, run, run_until};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wgrad_train::Config;

/// Every file of a run's last and best weights, and its history without speeds.
fn left(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for dir in ["checkpoint", "best"] {
        let Ok(entries) = fs::read_dir(out.join(dir)) else { continue };
        for path in entries.map(|e| e.expect("an entry").path()) {
            let name = path.strip_prefix(out).expect("within").to_path_buf();
            let bytes = fs::read(&path).expect("a file");
            let timed = path.extension().is_some_and(|e| e == "json");
            found.insert(name, if timed { untimed(&bytes).into_bytes() } else { bytes });
        }
    }
    let metrics = fs::read(out.join("metrics.jsonl")).expect("a history");
    let lines = metrics.split(|b| *b == b'\n').map(untimed).collect::<Vec<_>>().join("\n");
    found.insert("metrics.jsonl".into(), lines.into_bytes());
    found
}

fn untimed(bytes: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        return String::from_utf8_lossy(bytes).into_owned();
    };
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                map.retain(|key, _| !key.ends_with("_per_second"));
                map.values_mut().for_each(strip);
            }
            serde_json::Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value.to_string()
}

/// Runs once without a break and once broken at each of `breaks` (the last run goes to the end), and compares.
fn same(place: &Place, config: &Config, breaks: &[u64]) {
    let whole = place.path(&format!("{}-whole", config.model));
    let (done, _) = run(config, &whole);
    let per_epoch = done.steps / done.epochs;
    assert!(
        per_epoch > 1 && breaks.iter().any(|b| b % per_epoch != 0),
        "{}: no break within an epoch",
        config.model
    );
    let broken = place.path(&format!("{}-broken", config.model));
    for (i, at) in breaks.iter().map(|b| Some(*b)).chain([None]).enumerate() {
        let (summary, _) =
            run_until(config, &broken, i > 0, at).unwrap_or_else(|e| panic!("{}: {e}", config.model));
        assert_eq!(summary.interrupted, at.is_some(), "{}: stopped at {at:?}", config.model);
        assert_eq!(summary.steps, at.unwrap_or(done.steps), "{}", config.model);
    }
    let (want, got) = (left(&whole), left(&broken));
    assert_eq!(want.keys().collect::<Vec<_>>(), got.keys().collect::<Vec<_>>(), "{}: files", config.model);
    for (name, bytes) in &want {
        assert!(
            bytes == &got[name],
            "{}: {} differs from the run without a break",
            config.model,
            name.display()
        );
    }
    // Random draws must matter, or equal bits prove nothing.
    let other = place.path(&format!("{}-other", config.model));
    run(&Config { seed: config.seed + 1, ..config.clone() }, &other);
    let model = Path::new("checkpoint/model.safetensors");
    assert!(left(&other)[model] != want[model], "{}: the seed decides nothing", config.model);
}

fn usual(model: &str, data: String) -> Config {
    Config {
        data,
        device: "cpu".into(),
        workers: 1,
        epochs: 3,
        steps: None,
        batch_size: 8,
        accumulate: 2,
        seed: 3,
        ..Config::for_model(model)
    }
}

#[test]
fn resumed_classifiers_end_in_same_bits() {
    let place = Place::new();
    let data = place.pictures(16, &[9, 6, 5], &[3, 2, 2]);
    let augment = "flip,crop:2,rotate:15,jitter:0.2";
    for model in ["squeezenet", "mobilenet-v2"] {
        let config = Config {
            width: 0.1,
            augment: augment.into(),
            ema: Some(0.8),
            clip_norm: Some(1.0),
            optimizer: "adamw".into(),
            ..usual(model, data.clone())
        };
        // Three batches per epoch, the last of four.
        same(&place, &config, &[2, 4, 8]);
    }
}

#[test]
fn resumed_segmenters_end_in_same_bits() {
    let place = Place::new();
    let data = place.scenes(32, 10);
    let config = Config {
        width: 0.03,
        image_size: Some(32),
        batch_size: 4,
        augment: "flip".into(),
        optimizer: "nadam".into(),
        ..usual("unet", data)
    };
    same(&place, &config, &[1, 3]);
}

#[test]
fn resumed_language_models_end_in_same_bits() {
    let place = Place::new();
    let data = place.text(160);
    for model in ["gpt", "bert", "char-lstm"] {
        let config = Config {
            dropout: 0.3,
            context: Some(6),
            layers: Some(2),
            hidden: Some(8),
            heads: (!model.starts_with("char")).then_some(2),
            batch_size: 4,
            val_split: Some(0.15),
            ..usual(model, data.clone())
        };
        same(&place, &config, &[2, 7]);
    }
}

#[test]
fn resumed_generative_models_end_in_same_bits() {
    let place = Place::new();
    let data = place.pictures(16, &[9, 6, 5], &[3, 2, 2]);
    let own = usual("autoencoder", data.clone());
    same(&place, &Config { width: 0.1, augment: "flip,crop:2".into(), ..own }, &[2, 4]);
    let own = Config { accumulate: 1, image_size: Some(16), batch_size: 6, ..usual("dcgan", data) };
    same(&place, &Config { width: 0.05, augment: "flip".into(), ..own }, &[2, 4]);
}

/// Settings given at resume count from there on; all others are the run's own.
#[test]
fn resumed_run_changes_rate_and_length_only() {
    let place = Place::new();
    let data = place.pictures(8, &[9, 6, 5], &[3, 2, 2]);
    let config = Config { accumulate: 1, width: 0.05, schedule: "cosine".into(), ..usual("mlp", data) };
    let ends = |name: &str, change: fn(&mut Config)| {
        let out = place.path(name);
        run_until(&config, &out, false, Some(4)).expect("a run");
        let mut given = config.clone();
        change(&mut given);
        let (summary, _) = run_until(&given, &out, true, None).expect("a run that goes on");
        (summary.steps, fs::read(out.join("checkpoint/model.safetensors")).expect("weights"))
    };
    let whole = ends("same", |_| ());
    let kept = ends("kept", |c| {
        (c.label_smoothing, c.seed, c.batch_size, c.weight_decay) = (0.5, 77, 3, Some(1.0));
        (c.optimizer, c.schedule, c.clip_norm) = ("lion".into(), "constant".into(), Some(0.01));
        (c.augment, c.ema) = ("flip".into(), Some(0.5));
    });
    assert!(whole == kept, "the run's own settings hold");
    let faster = ends("faster", |c| c.lr *= 2.0);
    assert!(faster.0 == whole.0 && faster.1 != whole.1, "the rate counts");
    let longer = ends("longer", |c| c.epochs = 4);
    assert!(longer.0 == 12 && longer.1 != whole.1, "{} steps: the length counts", longer.0);
    assert_eq!(ends("shorter", |c| c.steps = Some(7)).0, 7);
}

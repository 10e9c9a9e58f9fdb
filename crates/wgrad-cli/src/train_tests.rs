//! Every flag changes the setting of the same name and no other.

use super::*;
use clap::{Args as _, FromArgMatches as _};
use serde_json::Value;

/// Flag, a non-default value, and the setting's resulting value.
const FLAGS: &[(&str, &str, &str)] = &[
    ("model", "vit", "\"vit\""),
    ("width", "0.25", "0.25"),
    ("data", "folder:x", "\"folder:x\""),
    ("epochs", "7", "7"),
    ("steps", "9", "9"),
    ("batch-size", "6", "6"),
    ("accumulate", "3", "3"),
    ("optimizer", "lion", "\"lion\""),
    ("lr", "0.125", "0.125"),
    ("momentum", "0.5", "0.5"),
    ("schedule", "cosine", "\"cosine\""),
    ("weight-decay", "0.0625", "0.0625"),
    ("decay-matrices-only", "", "true"),
    ("clip-norm", "2.5", "2.5"),
    ("clip-value", "1.5", "1.5"),
    ("ema", "0.75", "0.75"),
    ("precision", "f16", "\"f16\""),
    ("label-smoothing", "0.375", "0.375"),
    ("augment", "flip", "\"flip\""),
    ("ignore", "255", "\"255\""),
    ("image-size", "40", "40"),
    ("val-split", "0.3125", "0.3125"),
    ("patience", "4", "4"),
    ("init-from", "runs/a", "\"runs/a\""),
    ("head", "new", "\"new\""),
    ("freeze", "*.bias", "\"*.bias\""),
    ("tokenizer", "byte", "\"byte\""),
    ("context", "11", "11"),
    ("layers", "5", "5"),
    ("hidden", "24", "24"),
    ("heads", "8", "8"),
    ("key-heads", "2", "2"),
    ("rotary", "", "true"),
    ("dropout", "0.1875", "0.1875"),
    ("seed", "13", "13"),
    ("workers", "17", "17"),
    ("strict", "", "true"),
    ("detect-anomaly", "", "true"),
    ("tune", "", "true"),
];

fn settings(config: &Config) -> Value {
    serde_json::to_value(config).expect("settings")
}

#[test]
fn flag_changes_only_the_setting_of_its_name() {
    let command = Settings::augment_args(clap::Command::new("train"));
    let named: Vec<String> = command
        .get_arguments()
        .filter_map(|a| a.get_long().map(str::to_owned))
        .filter(|l| l != "help")
        .collect();
    for flag in &named {
        assert!(FLAGS.iter().any(|f| f.0 == flag), "--{flag} is not tested here");
    }
    let usual = settings(&Config::default());
    for &(flag, value, want) in FLAGS {
        assert!(named.iter().any(|n| n == flag), "there is no --{flag}");
        let flagged = format!("--{flag}");
        let words = [Some("train"), Some(&flagged), (!value.is_empty()).then_some(value)];
        let found = command.clone().try_get_matches_from(words.into_iter().flatten()).expect("flags");
        let mut config = Config::default();
        let given = Settings::from_arg_matches(&found).expect("settings").apply(&mut config);
        assert_eq!(given, [&flagged[..]], "names of the given flags");
        let (field, moved) = (flag.replace('-', "_"), settings(&config));
        assert_eq!(moved[&field], serde_json::from_str::<Value>(want).expect("JSON"), "--{flag} {value}");
        for (key, value) in usual.as_object().expect("a map") {
            assert!(*key == field || moved[key] == *value, "--{flag} changes {key}");
        }
    }
    for key in usual.as_object().expect("a map").keys().filter(|k| *k != "device") {
        assert!(FLAGS.iter().any(|f| f.0.replace('-', "_") == *key), "no flag sets {key}");
    }
}

//! Every flag changes the setting of its name and no other, and its help tells the defaults.

use super::*;
use clap::{Args as _, FromArgMatches as _};
use serde_json::Value;

fn values(config: &Config) -> Value {
    serde_json::to_value(config).expect("settings")
}

fn given(words: &[&str]) -> Given {
    let command = Given::augment_args(Command::new("train"));
    let found = command.try_get_matches_from([&["train"], words].concat()).expect("flags");
    Given::from_arg_matches(&found).expect("settings")
}

/// Text other than the default, and the setting's resulting value.
fn sample(setting: &Setting) -> (String, Value) {
    match (setting.sort, setting.rule().names()) {
        (Sort::Switch, _) => (String::new(), true.into()),
        (Sort::Count, _) => ("7".into(), 7.into()),
        (Sort::Number, _) => ("0.125".into(), 0.125.into()),
        (Sort::Text, Some(names)) => (names[1].into(), names[1].into()),
        (Sort::Text, None) => ("x:y".into(), "x:y".into()),
    }
}

#[test]
fn flag_changes_only_the_setting_of_its_name() {
    let usual = values(&Config::default());
    for setting in settings() {
        let (flagged, (text, want)) = (words::flag(setting.name), sample(setting));
        let all = [&flagged[..], &text];
        let given = given(&all[..if text.is_empty() { 1 } else { 2 }]);
        let mut config = Config::default();
        given.apply(&mut config).expect("a value of the type");
        assert_eq!(given.settings().map(|s| s.name).collect::<Vec<_>>(), [setting.name]);
        let moved = values(&config);
        assert_eq!(moved[setting.name], want, "{flagged} {text}");
        assert_ne!(moved[setting.name], usual[setting.name], "{flagged} {text} is the default");
        for (key, value) in usual.as_object().expect("a map") {
            assert!(key == setting.name || moved[key] == *value, "{flagged} changes {key}");
        }
    }
    for key in usual.as_object().expect("a map").keys() {
        assert!(settings().iter().any(|setting| setting.name == key), "no flag sets {key}");
    }
}

#[test]
fn flag_of_epochs_replaces_steps_of_a_file() {
    let mut config = Config { steps: Some(9), ..Config::default() };
    given(&["--epochs", "4"]).apply(&mut config).expect("settings");
    assert_eq!((config.epochs, config.steps), (4, None));
}

#[test]
fn automatic_rate_keeps_the_default_of_the_model() {
    let given = given(&["--lr", "Auto", "--seed", "1"]);
    let mut config = Config::for_model("gpt");
    given.apply(&mut config).expect("settings");
    assert_eq!((config.lr, given.settings().count()), (4e-3, 1));
}

#[test]
fn help_has_defaults_names_and_flags() {
    for (name, want) in [
        ("lr", "Learning rate [default: 0.002; gpt 0.004, bert and autoencoder 0.001, dcgan 0.0002]"),
        ("precision", "convolutions and attention: f32, f16 [default: f32]"),
        ("key_heads", "fewer than --heads for grouped-query attention [default: --heads]"),
        ("ema", "in evaluation and prediction, e.g. 0.999"),
        ("tokenizer", "bpe:FILE written by `wgrad tokenize` [default: char]"),
    ] {
        assert!(help(name).ends_with(want), "{}", help(name));
    }
}

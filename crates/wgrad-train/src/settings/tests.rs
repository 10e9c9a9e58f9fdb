//! The table against itself, and defaults, texts and checks that come of it.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_default_passes_its_checks() {
    for model in model_names() {
        let config = Config::for_model(model);
        // A segmenter has no data of its own, but a kind of it.
        config.check().unwrap_or_else(|e| panic!("{model}: {e}"));
        assert_eq!(config.model, model);
    }
}

#[test]
fn defaults_by_model_name_models_and_differ() {
    let names = model_names();
    for setting in settings() {
        for (i, (models, own)) in setting.by_model().iter().enumerate() {
            let model = names.iter().find(|name| kinds::is(name, models));
            let model = model.unwrap_or_else(|| panic!("{}: {models} is none", setting.name));
            let without = Setting { by_model: &setting.by_model[..i], ..*setting }.default_of(model);
            assert!(*own != without, "{}: {models} has this default anyway", setting.name);
        }
        let named = setting.only().iter().chain(setting.about.never);
        for models in named {
            assert!(names.iter().any(|name| kinds::is(name, models)), "{}: {models} is none", setting.name);
        }
    }
}

#[test]
fn names_aliases_and_help_are_fit_for_flags() {
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for setting in settings() {
        for name in [&[setting.name], setting.aliases()].concat() {
            assert!(seen.insert(name.replace('_', "-")), "{name} is taken");
        }
        assert!(setting.help().ends_with('.'), "{}: help is a sentence", setting.name);
        let is_switch = setting.value_name().is_empty();
        assert_eq!(is_switch, setting.sort == Sort::Switch, "{}: value name", setting.name);
        for word in setting.help().split('`').skip(1).step_by(2).filter(|word| !word.contains(':')) {
            assert!(settings().iter().any(|other| other.name == word), "{}: no {word}", setting.name);
        }
        if groups.last() != Some(&setting.group) {
            assert!(!groups.contains(&setting.group), "{} stands apart from its group", setting.name);
            groups.push(setting.group);
        }
    }
}

#[test]
fn defaults_in_words_list_models_with_their_own() {
    let words = |name: &str| settings().iter().find(|s| s.name == name).and_then(Setting::defaults);
    assert_eq!(words("lr").unwrap(), "0.002; gpt 0.004, bert and autoencoder 0.001, dcgan 0.0002");
    assert_eq!(words("steps").unwrap(), "none; language models 2000");
    assert_eq!(words("layers").unwrap(), "4 for gpt and bert, 2 for others");
    assert_eq!(words("data").unwrap(), "fashion-mini; language models shakespeare-mini");
    assert_eq!(words("weight_decay").unwrap(), "0, adamw 0.01, muon 0.1; language models 0.1");
    assert_eq!((words("clip_value"), words("tune")), (None, None));
}

#[test]
fn text_sets_the_field_of_its_name() {
    let mut config = Config::default();
    for (name, text) in
        [("lr", "0.5"), ("steps", "7"), ("strict", "true"), ("ignore", "255"), ("workers", "3")]
    {
        config.set(name, text).unwrap();
    }
    let found = (config.lr, config.steps, config.strict, config.ignore.as_deref(), config.workers);
    assert_eq!(found, (0.5, Some(7), true, Some("255"), 3));
    config.set("epochs", "2").unwrap();
    assert_eq!((config.epochs, config.steps), (2, None));
    for (name, text) in [("steps", "many"), ("steps", "-1"), ("lr", "fast"), ("strict", "yes"), ("rate", "1")]
    {
        let told = config.set(name, text).unwrap_err().to_string();
        assert!(told.starts_with(&format!("`{name}`: ")), "{told}");
    }
}

/// Settings, texts of invalid values, and errors: every setting with a rule, and rules across several.
const INVALID: &[(&str, &str, &str)] = &[
    ("lr", "-1", "`lr`: -1 must be a positive number"),
    ("lr", "inf", "`lr`: inf must be a positive number"),
    ("weight_decay", "nan", "`weight_decay`: NaN must be 0 or more"),
    ("clip_norm", "0", "`clip_norm`: 0 must be a positive number"),
    ("momentum", "1", "`momentum`: 1 must be in [0, 1)"),
    ("dropout", "-0.1", "`dropout`: -0.1 must be in [0, 1)"),
    ("val_split", "1", "`val_split`: 1 must be above 0 and below 1"),
    ("ema", "0", "`ema`: 0 must be above 0 and below 1, e.g. 0.999"),
    ("width", "64.5", "`width`: 64.5 must be above 0 and at most 64"),
    ("epochs", "0", "`epochs`: 0 must be at least 1"),
    ("steps", "0", "`steps`: 0 must be at least 1"),
    ("batch_size", "1048577", "`batch_size`: 1048577 must be from 1 to 1048576"),
    ("workers", "1025", "`workers`: 1025 must be from 0 to 1024"),
    ("seed", "9223372036854775808", "`seed`: 9223372036854775808 must be at most 9223372036854775807"),
    ("precision", "f64", "`precision`: unknown \"f64\": use f32 or f16"),
    ("head", "old", "`head`: unknown \"old\": use keep or new"),
    ("accumulate", "5", "`accumulate`: 5 must divide `batch_size` 32"),
    ("ignore", "255", "`ignore`: does not apply to lenet: leave it out"),
    ("clip_value", "inf", "`clip_value`: inf must be a positive number"),
    ("label_smoothing", "1", "`label_smoothing`: 1 must be in [0, 1), e.g. 0.1"),
    ("image_size", "0", "`image_size`: 0 must be from 1 to 4096"),
    ("accumulate", "0", "`accumulate`: 0 must be at least 1"),
    ("patience", "0", "`patience`: 0 must be at least 1"),
    ("context", "65537", "`context`: 65537 must be from 1 to 65536"),
    ("layers", "0", "`layers`: 0 must be from 1 to 256"),
    ("hidden", "0", "`hidden`: 0 must be from 1 to 65536"),
    ("heads", "1025", "`heads`: 1025 must be from 1 to 1024"),
    ("key_heads", "0", "`key_heads`: 0 must be from 1 to 1024"),
    ("augment", "flip:2", "`augment`: flip probability is 2; it must be from 0 to 1, e.g. flip,crop:4"),
    (
        "device",
        "fpga",
        "`device`: unknown device \"fpga\": use auto, gpu, gpu:N, software or cpu (see `adapters`)",
    ),
    (
        "ignore",
        "#12",
        "`ignore`: ignored label is \"#12\"; it must be one label: an index or grey level from 0 to 65535, or a \
         colour as #rrggbb, e.g. 255 or '#e0e0c0'",
    ),
    (
        "tokenizer",
        "bpe",
        "`tokenizer`: tokenizer is \"bpe\"; it must be char, byte, or bpe:FILE written by `BytePairs::to_text`",
    ),
    ("schedule", "", "`schedule`: unknown \"\": use one of constant, step, cosine, one-cycle, linear-warmup"),
];

#[test]
fn invalid_value_is_refused_with_its_name_and_rule() {
    for (name, text, why) in INVALID {
        let mut config = Config::default();
        config.set(name, text).unwrap();
        assert_eq!(config.check().unwrap_err().to_string(), *why);
    }
    for (name, text) in [("momentum", "0"), ("width", "64"), ("batch_size", "1048576"), ("workers", "0")] {
        let mut config = Config::default();
        config.set(name, text).unwrap();
        config.check().unwrap();
    }
}

#[test]
fn invalid_values_cover_every_rule() {
    for setting in settings().iter().filter(|setting| !setting.rule().to_string().is_empty()) {
        let name = setting.name;
        if ["model", "optimizer"].contains(&name) {
            // Long lists, from their own tables.
            let mut config = Config::default();
            config.set(name, "none").unwrap();
            let why = format!("`{name}`: unknown \"none\": use {}", setting.rule());
            assert_eq!(config.check().unwrap_err().to_string(), why);
        } else {
            assert!(INVALID.iter().any(|row| row.0 == name), "no invalid value of {name}");
        }
    }
}

#[test]
fn setting_without_effect_on_its_model_is_refused() {
    let refused = |model: &str, name: &str| {
        Config::for_model(model).check_given(&[name]).is_err_and(|e| e.to_string().contains(name))
    };
    for (model, name) in [("gpt", "width"), ("gpt", "augment"), ("lenet", "layers"), ("unet", "dropout")] {
        assert!(refused(model, name), "{name} of {model}");
        assert!(!refused(model, "seed"), "the seed of {model}");
    }
    assert!(refused("lenet", "momentum"), "adam has no momentum");
    let changed = Config { accumulate: 2, ..Config::for_model("dcgan") };
    assert!(changed.check().is_err() && Config { model: "lenet".into(), ..changed }.check().is_ok());
}

#[test]
fn resumed_run_keeps_all_but_resumable_settings() {
    let mut given = Config::for_model("gpt");
    (given.seed, given.lr, given.device) = (9, 0.5, "cpu".into());
    let resumed = Config::for_model("bert").resumed_with(&given);
    assert_eq!((resumed.model.as_str(), resumed.seed), ("bert", 0));
    assert_eq!((resumed.lr, resumed.device.as_str(), resumed.steps), (0.5, "cpu", Some(2000)));
    let free: Vec<&str> = settings().iter().filter(|s| s.is_resumable()).map(|s| s.name).collect();
    assert_eq!(free, ["data", "workers", "epochs", "steps", "lr", "patience", "device"]);
}

#[test]
fn settings_survive_toml_and_older_files_lack_some() {
    let config = Config { freeze: Some("a.*".into()), seed: 3, ..Config::for_model("gpt") };
    assert_eq!(Config::from_toml(&config.to_toml(), "x").unwrap(), config);
    let older = Config::from_toml("model = \"mlp\"\nlr = 0.5\nvalue_of_none = 1", "a.toml");
    assert!(older.unwrap_err().to_string().starts_with("a.toml: "));
    let older = Config::from_toml("\u{feff}model = \"mlp\"\nlr = 0.5", "a.toml").unwrap();
    assert_eq!(older, Config { model: "mlp".into(), lr: 0.5, ..Config::default() });
}

//! Names as other tools spell them: models, optimizers, schedules and the like in any case and hyphenation, near misses, and other
//! tools' flags with their equivalents here.

use wgrad_train::{Config, Setting, TrainError, Value, settings};

/// Other tools' names with the names used here.
const OTHER_NAMES: [(&str, &str); 15] = [
    ("googlenet", "inception"),
    ("inceptionv1", "inception"),
    ("transformer", "gpt"),
    ("nanogpt", "gpt"),
    ("lstm", "char-lstm"),
    ("gru", "char-gru"),
    ("rnn", "char-rnn"),
    ("fp16", "f16"),
    ("float16", "f16"),
    ("half", "f16"),
    ("fp32", "f32"),
    ("float32", "f32"),
    ("cosineannealinglr", "cosine"),
    ("onecyclelr", "one-cycle"),
    ("steplr", "step"),
];

/// Other tools' flags with their equivalents here.
const OTHER_FLAGS: [(&str, &str); 24] = [
    ("--model", "--checkpoint RUN"),
    ("--gpu", "--device gpu"),
    ("--gpus", "--device gpu"),
    ("--cuda", "--device gpu"),
    ("--cpu", "--device cpu"),
    ("--no-cuda", "--device cpu"),
    ("--weights", "--init-from RUN"),
    ("--pretrained", "--init-from RUN"),
    ("--checkpoint", "--init-from RUN, or --resume --out RUN"),
    ("--ckpt", "--init-from RUN, or --resume --out RUN"),
    ("--amp", "--precision f16"),
    ("--fp16", "--precision f16"),
    ("--half", "--precision f16"),
    ("--grad-clip", "--clip-norm F"),
    ("--gradient-clip-val", "--clip-norm F"),
    ("--cos-lr", "--schedule cosine"),
    ("--scheduler", "--schedule NAME"),
    ("--project", "--out DIR"),
    ("--name", "--out DIR"),
    ("--source", "the images without a flag"),
    ("--input", "the images without a flag"),
    ("--images", "the images without a flag"),
    ("--num-classes", "one folder of --data per class"),
    ("--max-tokens", "--tokens N"),
];

/// Name in lower case, letters and digits only.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Known name equal to `name` up to spelling; `name` itself if there is none.
fn meant(name: &str, known: &[&str]) -> String {
    let other = OTHER_NAMES.iter().find(|o| o.0 == folded(name)).map(|o| o.1);
    let wanted = other.map_or_else(|| folded(name), folded);
    known.iter().find(|k| folded(k) == wanted).map_or_else(|| name.to_owned(), |k| (*k).to_owned())
}

/// Suggestions for an unknown name: known names with it as a prefix or being a prefix of it, else the nearest within two
/// edits.
fn near<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let name = folded(name);
    let longer = |k: &&&str| {
        let k = folded(k);
        name.len().min(k.len()) >= 3 && (k.starts_with(&name) || name.starts_with(&k))
    };
    let found: Vec<&str> = known.iter().filter(longer).copied().collect();
    if !found.is_empty() {
        return found;
    }
    let distance = |k: &&str| strsim::damerau_levenshtein(&folded(k), &name);
    let least = known.iter().map(&distance).min().filter(|&d| d <= 2.min(name.len() / 2));
    known.iter().filter(|k| least == Some(distance(k))).copied().collect()
}

/// Canonical name of a model.
///
/// # Errors
/// If the name is unknown, with suggestions.
pub(crate) fn model(name: &str) -> Result<String, TrainError> {
    let setting = settings().iter().find(|setting| setting.name == "model").expect("a setting");
    known(setting, name)
}

/// Settings with canonical names.
///
/// # Errors
/// The first unknown name, with suggestions.
pub(crate) fn settled(mut config: Config) -> Result<Config, TrainError> {
    for setting in settings() {
        if let (Some(_), Some(Value::Text(name))) = (setting.rule().names(), config.get(setting.name)) {
            config.set(setting.name, &known(setting, &name)?)?;
        }
    }
    Ok(config)
}

/// Canonical name among those of a setting.
fn known(setting: &Setting, name: &str) -> Result<String, TrainError> {
    let known = setting.rule().names().unwrap_or_default();
    let found = meant(name, &known);
    if known.contains(&found.as_str()) {
        return Ok(found);
    }
    let near = near(name, &known);
    let hint =
        if near.is_empty() { "use".into() } else { format!("did you mean {}? Use", near.join(" or ")) };
    let why = format!("unknown {name:?}: {hint} {}", setting.rule());
    Err(TrainError::Config { setting: setting.name.into(), why })
}

/// Hint with the equivalent of another tool's flag; `None` if none is known.
pub(crate) fn elsewhere(argument: &str) -> Option<String> {
    if let Some((key, value)) = argument.split_once('=').filter(|(key, _)| !key.starts_with('-')) {
        return Some(format!("write --{} {value}", key.replace('_', "-")));
    }
    let flag = argument.split('=').next()?.replace('_', "-");
    OTHER_FLAGS.iter().find(|o| o.0 == flag).map(|o| format!("it is {} here", o.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_in_other_case_or_hyphenation_is_found() {
        for (name, want) in [
            ("ResNet-18", "resnet18"),
            ("mobilenet_v2", "mobilenet-v2"),
            ("MobileNetV2", "mobilenet-v2"),
            ("GoogLeNet", "inception"),
            ("U-Net", "unet"),
            ("char_lstm", "char-lstm"),
            ("LeNet", "lenet"),
        ] {
            assert_eq!(model(name).expect(name), want);
        }
        let config = Config {
            optimizer: "AdamW".into(),
            schedule: "OneCycle".into(),
            precision: "FP16".into(),
            ..Config::default()
        };
        let found = settled(config).expect("settings");
        let names = [&found.optimizer, &found.schedule, &found.precision];
        assert_eq!(names, ["adamw", "one-cycle", "f16"]);
    }

    #[test]
    fn unknown_name_lists_near_misses() {
        for (name, hint) in [
            ("resnet", "did you mean resnet18 or resnet34 or resnet50?"),
            ("resnet101", "resnet18"),
            ("lent", "did you mean lenet?"),
            ("vgg", "vgg11"),
            ("squeezenet1_1", "squeezenet"),
        ] {
            let told = model(name).expect_err(name).to_string();
            assert!(told.contains(hint), "{name}: {told}");
        }
        assert!(!model("toaster").expect_err("unknown").to_string().contains("did you mean"));
        assert_eq!(elsewhere("epochs=3").as_deref(), Some("write --epochs 3"));
        assert_eq!(elsewhere("--gpus").as_deref(), Some("it is --device gpu here"));
        assert_eq!(elsewhere("--no-such-flag"), None);
    }
}

//! What is known of a setting, as data: name, help, default, rule, flag.

use super::kinds;
use super::rule::Rule;
use super::value::{Sort, Value};
use crate::TrainError;

/// Default value, made on demand since texts are not constants.
pub(super) type Default = fn() -> Value;

/// A setting of a run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of its field in [`crate::Config`] and in `config.toml`.
    pub name: &'static str,
    /// Group in help and documentation.
    pub group: &'static str,
    /// Kind of its value.
    pub sort: Sort,
    /// Its doc comment, a space in front of each line.
    pub(super) doc: &'static str,
    pub(super) default: Default,
    pub(super) by_model: &'static [(&'static str, Default)],
    /// Rest of the facts.
    pub(super) about: About,
}

/// Facts about a setting beyond type, default and help.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    value_name: &'static str,
    rule: Rule,
    example: Option<&'static str>,
    aliases: &'static [&'static str],
    unset: Option<fn() -> String>,
    resumable: bool,
    replaces: Option<&'static str>,
    only: &'static [&'static str],
    pub(super) never: &'static [&'static str],
}

/// Facts about a setting with a value of this name in help texts.
pub(super) const fn about(value_name: &'static str) -> About {
    About {
        value_name,
        rule: Rule::Any,
        example: None,
        aliases: &[],
        unset: None,
        resumable: false,
        replaces: None,
        only: &[],
        never: &[],
    }
}

/// Facts about a setting that is on or off.
pub(super) const fn switch() -> About {
    about("")
}

impl About {
    /// Values allowed.
    pub(super) const fn rule(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// Usual value, for help and errors.
    pub(super) const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// Flags of the same meaning in other tools.
    pub(super) const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Words for the value used if none is set.
    pub(super) const fn unset(self, words: fn() -> String) -> Self {
        Self { unset: Some(words), ..self }
    }

    /// A resumed run may change it.
    pub(super) const fn resumable(self) -> Self {
        Self { resumable: true, ..self }
    }

    /// Setting that this one takes the place of if given.
    pub(super) const fn replaces(self, name: &'static str) -> Self {
        Self { replaces: Some(name), ..self }
    }

    /// Models, or groups of them, affected by it: given for others, it is refused.
    pub(super) const fn only(self, models: &'static [&'static str]) -> Self {
        Self { only: models, ..self }
    }

    /// Models, or groups of them, refusing every value but the default.
    pub(super) const fn never(self, models: &'static [&'static str]) -> Self {
        Self { never: models, ..self }
    }
}

impl Setting {
    /// Default value, of models without their own.
    pub fn default(&self) -> Value {
        (self.default)()
    }

    /// Default values of models, or groups of models, with their own; later ones take precedence.
    pub fn by_model(&self) -> Vec<(&'static str, Value)> {
        self.by_model.iter().map(|(models, default)| (*models, default())).collect()
    }

    /// Default value of a model.
    pub(super) fn default_of(&self, model: &str) -> Value {
        let own = self.by_model.iter().rev().find(|(models, _)| kinds::is(model, models));
        own.map_or(self.default, |own| own.1)()
    }

    /// Default values in words: `0.002; gpt 0.004, bert and autoencoder 0.001`. `None` if there are none.
    pub fn defaults(&self) -> Option<String> {
        let base = match (self.default(), self.about.unset) {
            (Value::Unset, Some(words)) => words(),
            (Value::Unset, None) if self.by_model.is_empty() => return None,
            (Value::Switch(false), _) if self.by_model.is_empty() => return None,
            (Value::Unset, None) => "none".into(),
            (value, _) => value.to_string(),
        };
        let mut own: Vec<(String, Vec<&str>)> = Vec::new();
        for (models, value) in self.by_model() {
            let value = value.to_string();
            // A kind of source without its place is no default.
            if value.ends_with(':') {
                continue;
            }
            match own.iter_mut().find(|(other, _)| *other == value) {
                Some((_, all)) => all.push(models),
                None => own.push((value, vec![models])),
            }
        }
        let own: Vec<String> =
            own.into_iter().map(|(value, models)| format!("{} {value}", models.join(" and "))).collect();
        Some(if own.is_empty() { base } else { format!("{base}; {}", own.join(", ")) })
    }

    /// Help text: a sentence or more. Other settings' names are in backticks.
    pub fn help(&self) -> &'static str {
        self.doc.trim()
    }

    /// Values allowed.
    pub fn rule(&self) -> Rule {
        self.about.rule
    }

    /// Usual value, for help and errors.
    pub fn example(&self) -> Option<&'static str> {
        self.about.example
    }

    /// Name of its value in help texts; empty for settings that are on or off.
    pub fn value_name(&self) -> &'static str {
        self.about.value_name
    }

    /// Flags of the same meaning in other tools, without dashes.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.about.aliases
    }

    /// True if a resumed run may change it.
    pub fn is_resumable(&self) -> bool {
        self.about.resumable
    }

    /// Setting that this one takes the place of if given.
    pub fn replaces(&self) -> Option<&'static str> {
        self.about.replaces
    }

    /// Models, or groups of them, affected by it; all if empty.
    pub fn only(&self) -> &'static [&'static str] {
        self.about.only
    }

    /// True if it affects a model.
    pub fn affects(&self, model: &str) -> bool {
        self.about.only.is_empty() || self.about.only.iter().any(|models| kinds::is(model, models))
    }

    /// Error if a model does not allow the value.
    pub(super) fn check(&self, value: &Value, model: &str) -> Result<(), TrainError> {
        if let Some(why) = self.about.rule.refusal(value) {
            let example = self.about.example.map(|usual| format!(", e.g. {usual}")).unwrap_or_default();
            return Err(TrainError::config(self.name, why + &example));
        }
        let refusing = self.about.never.iter().any(|models| kinds::is(model, models));
        if refusing && *value != self.default_of(model) {
            return Err(self.stray(model));
        }
        Ok(())
    }

    /// Error of a setting without effect on a model.
    pub(super) fn stray(&self, model: &str) -> TrainError {
        TrainError::config(self.name, format!("does not apply to {model}: leave it out"))
    }
}

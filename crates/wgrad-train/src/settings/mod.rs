//! Settings of a run: the table of all, and the configuration made of it, from `config.toml` and the command line.

mod config;
mod defaults;
mod facts;
mod forms;
mod kinds;
#[cfg(test)]
mod page_tests;
mod rule;
mod rules;
mod setting;
mod table;
#[cfg(test)]
mod tests;
mod value;

use crate::{TrainError, tasks};
pub use config::Config;
use facts::SETTINGS;
pub use rule::Rule;
pub use setting::Setting;
pub use value::{Sort, Value};
use wgrad_nn::{Clip, DecayOn, Optimizer, OptimizerKind, Schedule};

/// All settings of a run, grouped, in the order of help and documentation.
pub fn settings() -> &'static [Setting] {
    SETTINGS
}

/// Names of all models.
pub fn model_names() -> Vec<&'static str> {
    kinds::names()
}

impl Config {
    /// Default settings of a model.
    pub fn for_model(model: &str) -> Self {
        let mut config = Self::default();
        for setting in SETTINGS {
            config.put(setting.name, setting.default_of(model)).expect("a default has its setting's type");
        }
        Self { model: model.into(), ..config }
    }

    /// Gives a setting the value of a text, as a flag does. A setting replaced by it is unset.
    ///
    /// # Errors
    /// If there is no such setting, or the text has another type. Rules are left to [`Config::check`].
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), TrainError> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            return Err(TrainError::config(name, "there is no such setting"));
        };
        let wrong = |why: &str| TrainError::config(name, format!("invalid value {text:?}: {why}"));
        let value = setting.sort.read(text).map_err(|why| wrong(&why))?;
        self.put(name, value).ok_or_else(|| wrong("number too large"))?;
        if let Some(replaced) = setting.replaces() {
            self.put(replaced, Value::Unset).expect("a replaced setting is optional");
        }
        Ok(())
    }

    /// These settings with the ones changeable on resume taken from `given`.
    pub(crate) fn resumed_with(mut self, given: &Self) -> Self {
        for setting in SETTINGS.iter().filter(|setting| setting.is_resumable()) {
            let value = given.get(setting.name).expect("a setting's value");
            self.put(setting.name, value).expect("a value of the same setting");
        }
        self
    }

    /// Total training steps, given the number per epoch.
    pub(crate) fn total(&self, batches: usize) -> u64 {
        self.steps.unwrap_or(self.epochs.saturating_mul(batches as u64))
    }

    /// Settings from TOML text; `name` is the file's name for messages.
    ///
    /// # Errors
    /// If the text is not valid TOML or has an unknown field.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, TrainError> {
        // Some editors write a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        toml::from_str(text).map_err(|e| TrainError::file(name, e.message().replace('\n', " ")))
    }

    /// Settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain values")
    }

    /// Checks every value, alone and with others, before any file is opened or written.
    ///
    /// # Errors
    /// The first invalid setting, with the valid values.
    pub fn check(&self) -> Result<(), TrainError> {
        for setting in SETTINGS {
            setting.check(&self.get(setting.name).expect("a setting's value"), &self.model)?;
        }
        rules::check(self)
    }

    /// Error if one of these settings, given explicitly, has no effect on the model or with the others.
    ///
    /// # Errors
    /// The first setting without effect.
    pub fn check_given(&self, names: &[&str]) -> Result<(), TrainError> {
        let given = || SETTINGS.iter().filter(|setting| names.contains(&setting.name));
        if let Some(stray) = given().find(|setting| !setting.affects(&self.model)) {
            return Err(stray.stray(&self.model));
        }
        rules::check_given(self, names)
    }

    /// Error of a name not on its setting's list.
    fn unknown(&self, name: &str) -> TrainError {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let refused = setting.and_then(|setting| setting.rule().refusal(&self.get(name)?));
        TrainError::config(name, refused.expect("the name is unknown"))
    }

    /// Optimizer as configured.
    ///
    /// # Errors
    /// If no optimizer has this name.
    pub fn optimizer(&self) -> Result<Optimizer, TrainError> {
        let kind = OptimizerKind::named(&self.optimizer).ok_or_else(|| self.unknown("optimizer"))?;
        let kind = match kind {
            OptimizerKind::Sgd { momentum, nesterov } if momentum > 0.0 => {
                OptimizerKind::Sgd { momentum: self.momentum, nesterov }
            }
            other => other,
        };
        let kind = tasks::kind_of(&self.model).map_or(kind, |task| task.optimizer(kind));
        let clip = match (self.clip_norm, self.clip_value) {
            (Some(most), _) => Clip::Norm(most),
            (None, Some(most)) => Clip::Value(most),
            (None, None) => Clip::Off,
        };
        let optimizer = Optimizer::new(kind);
        Ok(optimizer
            .weight_decay(self.weight_decay.unwrap_or(optimizer.weight_decay))
            .decay_on(if self.decay_matrices_only { DecayOn::Matrices } else { DecayOn::All })
            .clip(clip)
            .ema(self.ema)
            .loss_scaling(self.precision == "f16"))
    }

    /// Learning rate schedule as configured.
    ///
    /// # Errors
    /// If no schedule has this name.
    pub fn schedule(&self) -> Result<Schedule, TrainError> {
        let found = defaults::SCHEDULES.iter().find(|s| s.0 == self.schedule);
        found.map(|s| s.1).ok_or_else(|| self.unknown("schedule"))
    }
}

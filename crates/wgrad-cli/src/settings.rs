//! Flags of the settings of a run, from the library's table.

use crate::words;
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::sync::LazyLock;
use wgrad_train::{Config, Rule, Setting, Sort, TrainError, settings};

/// Flags' names without dashes in front, in the order of the table.
static FLAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| settings().iter().map(|setting| setting.name.replace('_', "-")).collect());

/// Settings given as flags, with their texts, in the order of the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(Vec<(&'static Setting, String)>);

/// Help of a setting without its default, for commands with their own.
///
/// # Panics
/// If there is no such setting.
pub(crate) fn meaning(name: &str) -> String {
    meaning_of(settings().iter().find(|setting| setting.name == name).expect("a setting"))
}

/// Help of a setting.
///
/// # Panics
/// If there is no such setting.
pub(crate) fn help(name: &str) -> String {
    help_of(settings().iter().find(|setting| setting.name == name).expect("a setting"))
}

fn meaning_of(setting: &Setting) -> String {
    let help = words::help(setting.help().trim_end_matches('.'));
    let help = match setting.rule() {
        Rule::OneOf(names) => format!("{help}: {}", names().join(", ")),
        Rule::Form { words, .. } => format!("{help}: {}", words::help(words)),
        _ => help,
    };
    help + &setting.example().map(|usual| format!(", e.g. {usual}")).unwrap_or_default()
}

fn help_of(setting: &Setting) -> String {
    let defaults = setting.defaults().map(|all| format!(" [default: {}]", words::help(&all)));
    meaning_of(setting) + &defaults.unwrap_or_default()
}

/// Texts of a setting's type.
fn parser(setting: &'static Setting) -> ValueParser {
    match setting.name {
        "lr" => rate.into(),
        _ => (|text: &str| setting.sort.read(text).map(|_| text.to_owned())).into(),
    }
}

/// Word for the model's default learning rate.
const AUTO: &str = "auto";

fn rate(text: &str) -> Result<String, String> {
    let valid = text.eq_ignore_ascii_case(AUTO) || text.parse::<f64>().is_ok();
    let why = || format!("give a number, e.g. 0.001, or {AUTO} for the model's default");
    if valid { Ok(text.to_owned()) } else { Err(why()) }
}

fn flag(setting: &'static Setting, name: &'static str) -> Arg {
    let arg = Arg::new(setting.name)
        .long(name)
        .aliases(setting.aliases())
        .help(help_of(setting))
        .help_heading(setting.group)
        .allow_negative_numbers(setting.sort == Sort::Number);
    let arg = match setting.replaces() {
        Some(other) => arg.conflicts_with(other),
        None => arg,
    };
    match setting.sort {
        Sort::Switch => arg.action(ArgAction::SetTrue),
        _ => arg.action(ArgAction::Set).value_name(setting.value_name()).value_parser(parser(setting)),
    }
}

impl clap::Args for Given {
    fn augment_args(command: Command) -> Command {
        command.args(settings().iter().zip(FLAGS.iter()).map(|(setting, name)| flag(setting, name)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Given {
    fn from_arg_matches(found: &ArgMatches) -> Result<Self, clap::Error> {
        let text = |setting: &Setting| match setting.sort {
            Sort::Switch => found.get_flag(setting.name).then(|| true.to_string()),
            _ => found.get_one::<String>(setting.name).cloned(),
        };
        Ok(Self(settings().iter().filter_map(|setting| Some((setting, text(setting)?))).collect()))
    }

    fn update_from_arg_matches(&mut self, found: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(found)?;
        Ok(())
    }
}

impl Given {
    /// Given settings, but a learning rate left to the model.
    fn values(&self) -> impl Iterator<Item = &(&'static Setting, String)> {
        self.0.iter().filter(|(setting, text)| setting.name != "lr" || !text.eq_ignore_ascii_case(AUTO))
    }

    /// Text of a setting, if given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|given| given.0.name == name).map(|given| given.1.as_str())
    }

    /// Given settings.
    pub(crate) fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        self.values().map(|given| given.0)
    }

    /// Writes the given values into `config`.
    ///
    /// # Errors
    /// If a value is out of its type's range.
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), TrainError> {
        self.values().try_for_each(|(setting, text)| config.set(setting.name, text))
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;

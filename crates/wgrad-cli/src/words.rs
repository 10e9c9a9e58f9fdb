//! Library messages in the words of the command line. The library names its settings, arguments and functions in
//! backticks; here they become flags and commands.

use crate::Cli;
use clap::CommandFactory;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Library functions and types with the commands that do the same.
const COMMANDS: [(&str, &str); 8] = [
    ("BytePairs::train", "`wgrad tokenize --data text:FILE --out FILE`"),
    ("BytePairs::to_text", "`wgrad tokenize`"),
    ("Generator", "`wgrad generate`"),
    ("Predictor", "`wgrad predict`"),
    ("adapters", "`wgrad devices`"),
    ("evaluate_checkpoint", "`wgrad eval`"),
    ("examine", "`wgrad doctor`"),
    ("train", "`wgrad train --out`"),
];

/// Arguments of all commands by their names in the library, as the command line spells them.
static ARGUMENTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let command = Cli::command();
    let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let spelled = arguments.filter_map(|argument| match argument.get_long() {
        Some(long) => Some((long.replace('-', "_"), format!("--{long}"))),
        None => argument.get_value_names()?.first().map(|name| (name.to_string(), name.to_string())),
    });
    spelled.collect()
});

/// Flag of a setting, with its dashes.
pub(crate) fn flag(setting: &str) -> String {
    format!("--{}", setting.replace('_', "-"))
}

/// Text with known words in backticks replaced.
fn replaced(text: &str, known: impl Fn(&str) -> Option<String>) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        done += before;
        let word = after.split_once('`').and_then(|(word, behind)| Some((known(word)?, behind)));
        rest = match word {
            Some((spelled, behind)) => {
                done += &spelled;
                behind
            }
            None => {
                done.push('`');
                after
            }
        };
    }
    done + rest
}

fn command(word: &str) -> Option<String> {
    COMMANDS.iter().find(|c| c.0 == word).map(|c| c.1.to_owned())
}

/// Message of the library as a user of the command line reads it.
pub(crate) fn told(message: &str) -> String {
    replaced(message, |word| command(word).or_else(|| ARGUMENTS.get(word).cloned()))
}

/// Help text of a setting as a user of the command line reads it.
pub(crate) fn help(text: &str) -> String {
    let setting = |word: &str| wgrad_train::settings().iter().any(|s| s.name == word).then(|| flag(word));
    replaced(text, |word| command(word).or_else(|| setting(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_backticks_become_flags_and_commands() {
        for (message, want) in [
            ("`batch_size`: 0 must be from 1", "--batch-size: 0 must be from 1"),
            ("`IMAGE`: no file; or `head` new", "IMAGE: no file; or --head new"),
            ("use `Generator`, or another `out`", "use `wgrad generate`, or another --out"),
            ("a `b` `lr`", "a `b` --lr"),
            ("it`s `lr` and `seed", "it`s --lr and `seed"),
            ("`iconv -f X`: lr", "`iconv -f X`: lr"),
        ] {
            assert_eq!(told(message), want);
        }
    }

    #[test]
    fn every_name_of_a_library_error_is_an_argument() {
        let names = wgrad_train::settings().iter().map(|setting| setting.name);
        let arguments = ["out", "resume", "checkpoint", "split", "temperature", "top_k", "top_p"];
        for name in names.chain(arguments) {
            assert_eq!(told(&format!("`{name}`")), flag(name));
        }
    }
}

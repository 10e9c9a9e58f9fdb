//! Rules across several settings, and those that other crates know.

use super::Config;
use crate::tasks::kind::{Input, TaskKind};
use crate::{TrainError, tasks};
use wgrad_data::EMBEDDED_TEXT;

fn fail(setting: &str, why: impl Into<String>) -> Result<(), TrainError> {
    Err(TrainError::config(setting, why))
}

/// Error of the first rule broken by settings together. Each alone is valid.
pub(super) fn check(config: &Config) -> Result<(), TrainError> {
    if config.detect_anomaly && config.precision == "f16" {
        let why = "cannot be combined with `precision` f16, whose loss scaling skips steps with overflow";
        return fail("detect_anomaly", why);
    }
    if config.clip_norm.is_some() && config.clip_value.is_some() {
        return fail("clip_value", "cannot be combined with `clip_norm`: choose one");
    }
    if !config.batch_size.is_multiple_of(config.accumulate) {
        let why = format!("{} must divide `batch_size` {}", config.accumulate, config.batch_size);
        return fail("accumulate", why);
    }
    let kind = tasks::known(&config.model)?;
    if config.head == "new" && (config.init_from.is_none() || !kind.output().has_classes()) {
        return fail("head", "new applies to image classifiers with `init_from`");
    }
    if config.freeze.is_some() && config.ema.is_some() {
        return fail("ema", "cannot be combined with `freeze`: leave one out");
    }
    check_data(config, kind)?;
    kind.check(config)?;
    config.optimizer()?;
    config.schedule()?;
    Ok(())
}

/// Error if the model does not accept this kind of data.
fn check_data(config: &Config, kind: &dyn TaskKind) -> Result<(), TrainError> {
    let (model, given) = (&config.model, Input::of(&config.data));
    if kind.input() == given {
        return Ok(());
    }
    let takers = |input: Input| {
        let kinds = tasks::kinds().iter().filter(|kind| kind.input() == input);
        kinds.flat_map(|kind| kind.models()).collect::<Vec<_>>().join(", ")
    };
    match (kind.input(), given) {
        (Input::Masks, _) => fail("data", format!("{model} takes images with masks: give masks:DIR")),
        (_, Input::Masks) => {
            let takers = takers(Input::Masks);
            fail("data", format!("{model} is not a segmenter: use `model` {takers} for masks:DIR"))
        }
        (Input::Text, _) => {
            fail("data", format!("{model} takes text: give {EMBEDDED_TEXT}, text:FILE or text:DIR"))
        }
        (Input::Images, _) => {
            fail("model", format!("{model} does not take text: use one of {}", takers(Input::Text)))
        }
    }
}

/// Error of the first setting without effect beside the others.
pub(super) fn check_given(config: &Config, names: &[&str]) -> Result<(), TrainError> {
    let optimizer = &config.optimizer;
    if names.contains(&"momentum") && !["momentum", "nesterov"].contains(&optimizer.as_str()) {
        return fail(
            "momentum",
            format!("{optimizer} has no momentum: use `optimizer` momentum or nesterov"),
        );
    }
    Ok(())
}

//! Rules across several settings, and those that other crates know.

use super::Config;
use crate::TrainError;
use crate::segmentation::SEGMENTER;
use wgrad_data::EMBEDDED_TEXT;
use wgrad_models::TEXT_ZOO;

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
    if config.head == "new" && (config.init_from.is_none() || config.text_kind().is_some()) {
        return fail("head", "new applies to image classifiers with `init_from`");
    }
    if config.freeze.is_some() && config.ema.is_some() {
        return fail("ema", "cannot be combined with `freeze`: leave one out");
    }
    check_data(config)?;
    config.optimizer()?;
    config.schedule()?;
    wgrad_data::parse_augment(&config.augment)?;
    config.device.parse::<wgrad_device::Request>()?;
    Ok(())
}

/// Error if the model does not accept this kind of data, or its shape is invalid.
fn check_data(config: &Config) -> Result<(), TrainError> {
    let (text, masks) = (wgrad_data::is_text(&config.data), wgrad_data::is_masks(&config.data));
    let model = &config.model;
    if config.is_segmenter() && !masks {
        return fail("data", format!("{model} takes images with masks: give masks:DIR"));
    }
    if !config.is_segmenter() && masks {
        let why = format!("{model} is not a segmenter: use `model` {SEGMENTER} for masks:DIR");
        return fail("data", why);
    }
    match config.text_kind() {
        Some(_) if !text => {
            fail("data", format!("{model} takes text: give {EMBEDDED_TEXT}, text:FILE or text:DIR"))
        }
        Some(kind) => {
            config.tokenizer.parse::<wgrad_data::TokenizerChoice>()?;
            // The vocabulary is not known yet: any size will do.
            Ok(config.text_model(kind, 256).check()?)
        }
        None if text => {
            let names: Vec<&str> = TEXT_ZOO.iter().map(|m| m.0).collect();
            fail("model", format!("{model} does not take text: use one of {}", names.join(", ")))
        }
        None => Ok(()),
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

//! Evaluation of a checkpoint on a part of a source.

use crate::evaluation::Evaluation;
use crate::saved::files::{checkpoint_dir, load_card, load_config, run_dir};
use crate::settings::Config;
use crate::tasks::kind::{Evaluating, Part};
use crate::{Observer, TrainError, spec, tasks};
use std::path::Path;
use wgrad_device::Device;

/// Training settings of a checkpoint, the source to evaluate on, and true if that is the run's own (the default without
/// `data`).
fn source(path: &Path, data: Option<&str>) -> Result<(Config, String, bool), TrainError> {
    let config = match load_config(&run_dir(path)) {
        Ok(config) => config,
        // A checkpoint may have lost its run; damaged settings of a run are an error.
        Err(TrainError::NoCheckpoint { .. }) => Config { data: String::new(), ..Config::default() },
        Err(damaged) => return Err(damaged),
    };
    let model = config.model.as_str();
    let spec = data.map_or(config.data.clone(), |data| spec::guess_source(data, model));
    if spec.is_empty() {
        return Err(TrainError::config(
            "data",
            "this checkpoint does not name its training data: give a source",
        ));
    }
    if spec == spec::MEMORY {
        return Err(spec::lost());
    }
    spec::check(&spec)?;
    let own = data.is_none_or(|data| spec::same(data, &config.data));
    Ok((config, spec, own))
}

/// Evaluates a checkpoint on a part of a source, by default the run's own. Data may lack classes of the model.
///
/// # Errors
/// If the checkpoint, the data or the device fail, or the data has classes or characters unknown to the model.
pub fn evaluate_checkpoint(
    path: &Path,
    data: Option<&str>,
    part: Part,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Evaluation, TrainError> {
    let dir = checkpoint_dir(path);
    let card = load_card(&dir)?;
    let (config, spec, own) = source(path, data)?;
    let kind = tasks::known(card.model())?;
    let evaluating = Evaluating { dir, card, config, spec: spec.clone(), own, part, device };
    let found = kind.evaluate(evaluating, observer);
    let found = found.map_err(|e| if data.is_none() { spec::moved(e, &spec) } else { e })?;
    if !found.loss.is_finite() {
        observer.note(&format!("the loss is {}: the weights are unusable", found.loss));
    }
    Ok(found)
}

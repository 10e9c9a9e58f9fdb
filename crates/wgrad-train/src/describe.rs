//! Work without data: the graph of a model's training step or evaluation batch, with its description in words.

use crate::settings::Config;
use crate::tasks::kind::{Assumed, Workload};
use crate::{TrainError, tasks};
use wgrad_graph::{autocast, fold, hoist};

/// Training step, or evaluation batch, of a model on assumed data, as `train` and `evaluate_checkpoint` would run it.
///
/// ```
/// use wgrad_train::{Assumed, Config, workload};
///
/// let config = Config { batch_size: 8, ..Config::for_model("lenet") };
/// let step = workload(&config, &Assumed::default())?;
/// assert_eq!(step.caption, "(width 1), 1x32x32 images, 10 classes");
/// assert_eq!((step.samples, step.unit), (8, "images"));
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
///
/// # Errors
/// If the settings do not fit one another, or the model cannot be built.
pub fn workload(config: &Config, assumed: &Assumed) -> Result<Workload, TrainError> {
    config.check()?;
    if assumed.evaluation && config.precision != "f32" {
        return Err(TrainError::config("precision", "evaluation runs in f32: leave it out with `eval`"));
    }
    let mut workload = tasks::known(&config.model)?.workload(config, assumed)?;
    if assumed.evaluation {
        workload.graph = hoist(&fold(&workload.graph)).each;
    }
    if config.precision == "f16" {
        workload.graph = autocast(&workload.graph);
        workload.caption += ", f16";
    }
    Ok(workload)
}

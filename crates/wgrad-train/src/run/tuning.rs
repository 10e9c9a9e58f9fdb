//! `--tune`: times the variants of the training step's kernels before the run and picks the fastest.

use super::observer::Observer;
use super::plans::nets;
use crate::TrainError;
use crate::precision::recorded;
use crate::settings::Config;
use crate::tasks::task::Task;
use wgrad_device::Device;

/// Tunes all kernels not tuned before. Returns the device, reopened if it was lost while tuning.
pub(crate) fn tuned(
    config: &Config,
    task: &dyn Task,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Device, TrainError> {
    let mut device = device.clone();
    if device.adapter().is_none() {
        observer.note("nothing to tune: the CPU has one variant of every kernel");
        return Ok(device);
    }
    let parts = (config.accumulate, config.freeze.as_deref());
    let optimizer = config.optimizer()?;
    let (part, update) = nets(task, &optimizer, parts)?;
    let graphs: Vec<_> = std::iter::once(&part).chain(&update).map(|net| recorded(net, &optimizer)).collect();
    observer.note("timing the step's kernels");
    let mut refused = Vec::new();
    let found = wgrad_session::tune(&mut device, &graphs.iter().collect::<Vec<_>>(), false, &mut |t| {
        let wrong = t.trials.iter().filter_map(|trial| Some((&trial.variant, trial.seconds.as_ref().err()?)));
        refused.extend(wrong.map(|(variant, why)| format!("{} of {} is excluded: {why}", variant, t.what)));
    })?;
    let found = found.kernels;
    refused.iter().for_each(|line| observer.note(line));
    let better = found.iter().filter(|t| t.winner.is_some_and(|w| w > 0)).count();
    let (before, after) = found.iter().fold((0.0, 0.0), |(before, after), t| {
        let (first, best) = t.seconds().unwrap_or_default();
        (before + first * t.count as f64, after + best * t.count as f64)
    });
    observer.note(&match found.len() {
        0 => "every kernel of the step is tuned already".to_owned(),
        n => format!(
            "{n} kernels timed, {better} faster in another variant than the default: {:.2} ms per step in total instead of {:.2}",
            after * 1e3,
            before * 1e3
        ),
    });
    Ok(device)
}

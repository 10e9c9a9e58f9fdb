//! A resumed run that is given more to do, or whose data moved: its settings, and where it stands.

use super::Run;
use crate::config::Config;
use crate::kept::BEST;
use crate::state::{self, CONFIG, METRICS, PROGRESS, Progress};
use crate::{Observer, TrainError};
use std::path::Path;
use wgrad_session::checkpoint;

/// That a run's last weights are there: it may have lost them, with the best left.
pub(super) fn check_there(out: &Path, dir: &Path) -> Result<(), TrainError> {
    if checkpoint::newest(dir).exists() || !out.join(METRICS).exists() {
        return Ok(());
    }
    let what = match out.join(BEST).exists() {
        true => "checkpoint/ is missing; start a new run from the weights in best/ with --init-from",
        false => "checkpoint/ is missing; start a new run",
    };
    Err(TrainError::CannotResume { path: out.into(), why: what.into() })
}

/// Where the run stands; its weights outlive a file that does not say.
pub(super) fn progress(dir: &Path) -> Result<Progress, TrainError> {
    state::load_progress(dir).map_err(|e| match e {
        TrainError::NoCheckpoint { path, why } => {
            let why = format!(
                "{PROGRESS} is missing or damaged ({why}); start a new run from the weights with --init-from"
            );
            TrainError::CannotResume { path, why }
        }
        other => other,
    })
}

impl Run<'_> {
    /// Whether the run has ended, by its settings: the file may be from before it was given more to do.
    pub(super) fn settle(&mut self, observer: &mut dyn Observer) {
        let p = &mut self.progress;
        let tired = p.finished && self.config.patience.is_some_and(|limit| p.stale >= limit);
        // Within an epoch its evaluation is still to come.
        p.finished = p.batch == 0 && p.step > 0 && (p.step >= self.total || tired);
        let lost = p.history.last().filter(|m| !m.val_loss.is_finite());
        if let Some(last) = lost.filter(|_| !p.finished) {
            observer.note(&format!(
                "the weights to go on from gave a {} loss of {}: if this goes on, start a new run with a lower --lr",
                self.task.watched(),
                last.val_loss
            ));
        }
    }

    /// Writes the settings into the run's folder.
    pub(super) fn write_config(&self) -> Result<(), TrainError> {
        // What evaluation finds later is what was held out here.
        let config = Config {
            val_split: self.task.val_split(),
            weight_decay: Some(self.optimizer.weight_decay),
            ..self.config.clone()
        };
        Ok(checkpoint::write_file(&self.out.join(CONFIG), config.to_toml().as_bytes())?)
    }

    /// Takes a run on with other settings than it had: a finished one goes on if it is given more to do.
    pub(super) fn reopen(&mut self, before: &Config, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let length = |c: &Config| (c.epochs, c.steps, c.patience);
        if length(before) != length(self.config) {
            let (p, flag) =
                (&mut self.progress, if self.config.steps.is_some() { "--steps" } else { "--epochs" });
            if p.step >= self.total {
                let why =
                    format!("the run has done {} epochs in {} steps already: give more", p.epoch, p.step);
                return Err(TrainError::config(flag, why));
            }
            if p.finished {
                (p.finished, p.stale) = (false, 0);
                // Before the settings: a run cut off before its next checkpoint is not taken for a tired one.
                let path = checkpoint::newest(&self.out.join(state::CHECKPOINT)).join(PROGRESS);
                checkpoint::write_file(&path, &state::json(p))?;
            }
            let old = before.total(self.task.batches_per_epoch());
            let rate = |total| self.schedule.rate(self.config.lr, p.step, total);
            if old != self.total && rate(old) != rate(self.total) {
                observer.note(&format!(
                    "the {} schedule is over {} steps now: the rate is {:.3e} at this step, not {:.3e}",
                    self.config.schedule,
                    self.total,
                    rate(self.total),
                    rate(old)
                ));
            }
        }
        if before.lr != self.config.lr {
            observer
                .note(&format!("the learning rate is {} from here on, not {}", self.config.lr, before.lr));
        }
        let given = |c: &Config| (length(c), c.data.clone(), c.workers, c.lr);
        if given(before) != given(self.config) {
            self.write_config()?;
        }
        Ok(())
    }
}

//! A resumed run that is given more to do, or whose data moved: its settings, and where it stands.

use super::Run;
use crate::config::Config;
use crate::state::CONFIG;
use crate::{Observer, TrainError};
use wgrad_session::checkpoint;

impl Run<'_> {
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
        if (length(before), &before.data, before.workers)
            != (length(self.config), &self.config.data, self.config.workers)
        {
            self.write_config()?;
        }
        Ok(())
    }
}

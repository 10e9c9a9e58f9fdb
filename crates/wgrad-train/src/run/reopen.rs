//! Resuming a run: extended or with moved data, its settings and progress.

use super::observer::Observer;
use super::training_loop::Run;
use crate::TrainError;
use crate::saved::card::Card;
use crate::saved::files::{self, BEST, CHECKPOINT, CONFIG, METRICS, PROGRESS, json};
use crate::saved::kept;
use crate::saved::progress::{self as stored, Progress};
use crate::saved::tensors;
use crate::settings::Config;
use std::path::Path;
use wgrad_session::checkpoint;

/// Error if a run has lost its last weights; the best ones may be left.
fn check_there(out: &Path, dir: &Path) -> Result<(), TrainError> {
    if checkpoint::newest(dir).exists() || !out.join(METRICS).exists() {
        return Ok(());
    }
    let what = match out.join(BEST).exists() {
        true => "checkpoint/ is missing; start a new run from the weights in best/ with `init_from`",
        false => "checkpoint/ is missing; start a new run",
    };
    Err(TrainError::CannotResume { path: out.into(), why: what.into() })
}

/// Progress of the run; with a damaged file the weights are still usable.
fn progress(dir: &Path) -> Result<Progress, TrainError> {
    stored::load_progress(dir).map_err(|e| match e {
        TrainError::NoCheckpoint { path, why } => {
            let why = format!(
                "{PROGRESS} is missing or damaged ({why}); start a new run from the weights with `init_from`"
            );
            TrainError::CannotResume { path, why }
        }
        other => other,
    })
}

impl Run<'_> {
    /// Continues from the last checkpoint.
    pub(super) fn load(&mut self, dir: &Path) -> Result<(), TrainError> {
        check_there(self.out, dir)?;
        let (card, own) = (files::load_card(dir)?, self.task.card());
        if let (Card::Image(card), Card::Image(own)) = (&card, &own)
            && card.classes != own.classes
        {
            return Err(TrainError::config("data", "the classes have changed since the run began"));
        }
        if card != own {
            let why = "its description differs; or the training data has changed since".into();
            return Err(TrainError::OtherModel { path: dir.into(), why });
        }
        self.progress = progress(dir)?;
        self.best = kept::best(self.out);
        tensors::restore(dir, &mut self.session)
    }

    /// Updates `finished` by the settings: the stored value may predate an extension of the run.
    pub(super) fn settle(&mut self, observer: &mut dyn Observer) {
        let p = &mut self.progress;
        let tired = p.finished && self.config.patience.is_some_and(|limit| p.stale >= limit);
        // Within an epoch, its evaluation is still due.
        p.finished = p.batch == 0 && p.step > 0 && (p.step >= self.total || tired);
        let lost = p.history.last().filter(|m| !m.val_loss.is_finite());
        if let Some(last) = lost.filter(|_| !p.finished) {
            observer.note(&format!(
                "the resumed weights have a {} loss of {}: if this persists, start a new run with a lower `lr`",
                self.task.watched(),
                last.val_loss
            ));
        }
    }

    /// Writes the settings into the run folder.
    pub(super) fn write_config(&self) -> Result<(), TrainError> {
        // Later evaluations use the validation fraction of this run.
        let config = Config {
            val_split: self.task.val_split(),
            weight_decay: Some(self.optimizer.weight_decay),
            ..self.config.clone()
        };
        Ok(checkpoint::write_file(&self.out.join(CONFIG), config.to_toml().as_bytes())?)
    }

    /// Applies changed settings to a resumed run: a finished one continues if extended.
    pub(super) fn reopen(&mut self, before: &Config, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let length = |c: &Config| (c.epochs, c.steps, c.patience);
        if length(before) != length(self.config) {
            let (p, name) =
                (&mut self.progress, if self.config.steps.is_some() { "steps" } else { "epochs" });
            if p.step >= self.total {
                let why =
                    format!("the run has already done {} epochs in {} steps: give more", p.epoch, p.step);
                return Err(TrainError::config(name, why));
            }
            if p.finished {
                (p.finished, p.stale) = (false, 0);
                // Written before the settings: a run killed before its next checkpoint must not appear stopped early.
                let path = checkpoint::newest(&self.out.join(CHECKPOINT)).join(PROGRESS);
                checkpoint::write_file(&path, &json(p))?;
            }
            let old = before.total(self.task.batches_per_epoch());
            let step = p.step;
            let rate = |total| self.rate(step, total);
            if old != self.total && rate(old) != rate(self.total) {
                observer.note(&format!(
                    "the {} schedule now spans {} steps: the learning rate at this step is {:.3e}, not {:.3e}",
                    self.config.schedule,
                    self.total,
                    rate(self.total),
                    rate(old)
                ));
            }
        }
        if before.lr != self.config.lr {
            observer.note(&format!("the learning rate is {} from now on, not {}", self.config.lr, before.lr));
        }
        let given = |c: &Config| (length(c), c.data.clone(), c.workers, c.lr);
        if given(before) != given(self.config) {
            self.write_config()?;
        }
        Ok(())
    }
}

//! Anomaly mode: every step is waited for and looked at; the first that leaves the numbers is run again to find out where.

use crate::TrainError;
use wgrad_session::{Outputs, Runner, Session, Tensors, all_finite};
use wgrad_types::HostTensor;

/// Watches a run's steps.
#[derive(Default)]
pub(crate) struct Watch {
    /// The session's tensors before the step under way.
    before: Tensors,
}

impl Watch {
    /// Runs a step and waits for it. Where the loss or a tensor that persists is no longer finite, runs it again from
    /// what stood before.
    ///
    /// # Errors
    /// [`TrainError::Anomaly`], or what goes wrong with the device.
    pub(crate) fn step(
        &mut self,
        session: &mut Session,
        runner: &mut Runner,
        step: u64,
        inputs: &[(&str, &HostTensor)],
        scalars: &[(&str, f32)],
    ) -> Result<Outputs, TrainError> {
        if self.before.is_empty() {
            self.before = session.snapshot()?;
        }
        runner.step(session, step, inputs, scalars)?;
        let outputs = runner.wait()?.expect("a step is under way");
        let after = session.snapshot()?;
        // An update's plan has no loss.
        let measured = runner.plan().outputs.iter().any(|o| o.name == "loss");
        let finite = !measured || outputs.scalar("loss").is_finite();
        if finite && all_finite(after.iter().map(|t| &t.value)) {
            self.before = after;
            return Ok(outputs);
        }
        session.restore(&self.before)?;
        let what = match runner.find_anomaly(session, step, inputs, scalars)? {
            Some(anomaly) => anomaly.to_string(),
            None => "run again, every value is finite: the device does not repeat itself, see `wgrad doctor`"
                .into(),
        };
        Err(TrainError::Anomaly { step: step + 1, what })
    }
}

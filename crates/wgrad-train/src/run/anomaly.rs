//! Anomaly detection: checks every step and repeats the first one with a non-finite value to locate its origin.

use crate::TrainError;
use wgrad_session::{Outputs, Runner, Session, Tensors, all_finite};
use wgrad_types::HostTensor;

/// Checker of a run's steps.
#[derive(Default)]
pub(crate) struct Watch {
    /// Tensors of the session before the current step.
    before: Tensors,
}

impl Watch {
    /// Runs a step and waits for it. If the loss or a persistent tensor is no longer finite, repeats the step from the
    /// tensors before it.
    ///
    /// # Errors
    /// [`TrainError::Anomaly`], or a failure of the device.
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
        // An update plan has no loss.
        let measured = runner.plan().outputs.iter().any(|o| o.name == "loss");
        let finite = !measured || outputs.scalar("loss").is_finite();
        if finite && all_finite(after.iter().map(|t| &t.value)) {
            self.before = after;
            return Ok(outputs);
        }
        session.restore(&self.before)?;
        let what = match runner.find_anomaly(session, step, inputs, scalars)? {
            Some(anomaly) => anomaly.to_string(),
            None => "every value is finite in a repeated run: the device is not deterministic, see `examine`"
                .into(),
        };
        Err(TrainError::Anomaly { step: step + 1, what })
    }
}

//! Callbacks of a program: called after steps and epochs, to read metrics or to stop the run.

use super::observer::{EvalReport, Observer, StartReport, StepReport};
use super::summary::Summary;
use std::ops::ControlFlow;

/// Code of a program that runs at points of a training run. All callbacks of a run are called in order, even if one
/// before has stopped it.
///
/// ```
/// use std::ops::ControlFlow;
/// use wgrad_train::{Callback, EvalReport};
///
/// /// Ends a run that is good enough.
/// struct Target(f64);
///
/// impl Callback for Target {
///     fn on_epoch(&mut self, report: &EvalReport) -> ControlFlow<()> {
///         if report.val_accuracy >= self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
///     }
/// }
/// ```
pub trait Callback {
    /// Called after each step. `Break` interrupts the run: it is saved and can be resumed, without a final test.
    fn on_step(&mut self, _report: &StepReport) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// Called after each evaluation. `Break` ends the run as early stopping does, with the final test.
    fn on_epoch(&mut self, _report: &EvalReport) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// Called once, after the run.
    fn on_end(&mut self, _summary: &Summary) {}
}

/// Observer and callbacks of a run.
pub(super) struct Watchers<'o, 'c> {
    pub(super) observer: &'o mut dyn Observer,
    pub(super) callbacks: Vec<&'c mut dyn Callback>,
}

impl Watchers<'_, '_> {
    pub(super) fn note(&mut self, line: &str) {
        self.observer.note(line);
    }

    pub(super) fn started(&mut self, report: &StartReport) {
        self.observer.started(report);
    }

    /// `Break` if any callback stops the run.
    pub(super) fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        self.observer.step(report);
        self.all(|callback| callback.on_step(report))
    }

    /// `Break` if any callback stops the run.
    pub(super) fn evaluated(&mut self, report: &EvalReport) -> ControlFlow<()> {
        self.observer.evaluated(report);
        self.all(|callback| callback.on_epoch(report))
    }

    pub(super) fn ended(&mut self, summary: &Summary) {
        self.callbacks.iter_mut().for_each(|callback| callback.on_end(summary));
    }

    fn all(&mut self, mut call: impl FnMut(&mut dyn Callback) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        for callback in &mut self.callbacks {
            if call(&mut **callback).is_break() {
                flow = ControlFlow::Break(());
            }
        }
        flow
    }
}

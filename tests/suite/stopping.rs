//! A run stopped in the middle of an evaluation: nothing is lost, and it goes on to the same end.

use std::sync::atomic::{AtomicBool, Ordering};
use wgrad_tests::cpu;
use wgrad_train::{Config, EvalReport, Observer, StepReport, train};

/// Stops the run after a step; counts evaluations.
struct Stopper<'a> {
    stop: &'a AtomicBool,
    at: u64,
    steps: u64,
    evaluations: usize,
}

impl Observer for Stopper<'_> {
    fn note(&mut self, _: &str) {}
    fn step(&mut self, report: &StepReport) {
        self.steps += 1;
        if report.step.0 == self.at {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
    fn evaluated(&mut self, _: &EvalReport) {
        self.evaluations += 1;
    }
}

#[test]
fn stop_during_last_evaluation_keeps_last_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let config = Config { model: "linear".into(), steps: Some(3), device: "cpu".into(), ..Config::default() };
    let run = |resume: bool, at: u64| {
        let stop = AtomicBool::new(false);
        let mut watching = Stopper { stop: &stop, at, steps: 0, evaluations: 0 };
        let summary = train(&config, &out, resume, &cpu(), &mut watching, &stop).expect("a run");
        (summary, watching.steps, watching.evaluations)
    };
    let (cut, steps, evaluations) = run(false, 3);
    assert!(cut.interrupted && cut.evaluation.is_none());
    assert_eq!((cut.steps, steps, evaluations), (3, 3, 0));
    // The end was reached: nothing is left but to evaluate.
    let (whole, steps, evaluations) = run(true, u64::MAX);
    assert!(!whole.interrupted && whole.evaluation.is_some());
    assert_eq!((whole.steps, steps, evaluations), (3, 0, 1));
}

/// Models with other tasks than telling classes, small: an autoencoder, and two players.
#[test]
fn resumed_generative_run_is_bit_identical() {
    for (model, image_size) in [("autoencoder", None), ("dcgan", Some(8))] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            width: 0.05,
            steps: Some(4),
            image_size,
            device: "cpu".into(),
            ..Config::for_model(model)
        };
        let run = |out: &str, resume: bool, at: u64| {
            let stop = AtomicBool::new(false);
            let mut watching = Stopper { stop: &stop, at, steps: 0, evaluations: 0 };
            train(&config, &folder.path().join(out), resume, &cpu(), &mut watching, &stop).expect("a run")
        };
        assert!(!run("whole", false, u64::MAX).interrupted);
        assert!(run("cut", false, 2).interrupted);
        assert_eq!(run("cut", true, u64::MAX).steps, 4);
        for name in ["checkpoint/model.safetensors", "checkpoint/optimizer.safetensors"] {
            let read = |out: &str| std::fs::read(folder.path().join(out).join(name)).expect("a checkpoint");
            assert!(read("whole") == read("cut"), "{model}: {name} differs");
        }
    }
}

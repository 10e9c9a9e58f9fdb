//! Runs with parts of a program's own: a data set from memory, an augmentation, callbacks, a task.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use wgrad_data::{DataError, Dataset, Draws, Image, OwnImages};
use wgrad_graph::{CrossEntropy, Graph, Tensor};
use wgrad_nn::{ConfusionMatrix, Mode, Net};
use wgrad_session::{Runner, Session};
use wgrad_tests::cpu;
use wgrad_train::{
    Callback, Card, Config, EvalReport, Evaluation, Feed, Feeds, Gradients, ModelCard, Observer, Part,
    Reading, Scores, Sizes, StepReport, Summary, Task, TrainError, Training, evaluate_checkpoint,
};
use wgrad_types::{HostTensor, Type};

const SIDE: usize = 6;

/// Grey pictures with a bright upper (class 0) or lower half (class 1).
struct Halves {
    len: usize,
    classes: usize,
}

impl Dataset for Halves {
    fn len(&self) -> usize {
        self.len
    }
    fn label(&self, i: usize) -> usize {
        i % self.classes
    }
    fn load(&self, i: usize) -> Result<Image, DataError> {
        let bright = |at: usize| (at / SIDE * 2 / SIDE == i % 2) as usize;
        let data =
            (0..SIDE * SIDE).map(|at| (40 + 120 * bright(at) + (i * 13 + at * 7) % 50) as u8).collect();
        Ok(Image { width: SIDE, height: SIDE, channels: 1, data })
    }
}

fn halves(len: usize) -> OwnImages {
    OwnImages::new(["upper", "lower"], Halves { len, classes: 2 }).test(Halves { len: 10, classes: 2 })
}

/// Four steps per epoch of 32 images, three epochs.
fn config() -> Config {
    Config {
        model: "mlp".into(),
        width: 0.1,
        batch_size: 8,
        epochs: 3,
        device: "cpu".into(),
        ..Config::default()
    }
}

/// Receiver of nothing.
struct Quiet;

impl Observer for Quiet {
    fn note(&mut self, _: &str) {}
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, _: &EvalReport) {}
}

/// Writes its calls to a list; breaks at a step or an epoch.
#[derive(Clone)]
struct Log<'l> {
    name: &'static str,
    lines: &'l Mutex<Vec<String>>,
    step: Option<u64>,
    epoch: Option<u64>,
}

impl<'l> Log<'l> {
    fn new(name: &'static str, lines: &'l Mutex<Vec<String>>) -> Self {
        Self { name, lines, step: None, epoch: None }
    }

    fn line(&self, what: String) {
        self.lines.lock().expect("a list").push(format!("{} {what}", self.name));
    }
}

fn broken(at: bool) -> ControlFlow<()> {
    if at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

impl Callback for Log<'_> {
    fn on_step(&mut self, report: &StepReport) -> ControlFlow<()> {
        assert!(report.loss.is_finite());
        self.line(format!("step {}", report.step.0));
        broken(self.step == Some(report.step.0))
    }
    fn on_epoch(&mut self, report: &EvalReport) -> ControlFlow<()> {
        assert!(report.val_loss > 0.0 && (0.0..=1.0).contains(&report.val_accuracy));
        self.line(format!("epoch {} of {}", report.epoch.0, report.epoch.1));
        broken(self.epoch == Some(report.epoch.0))
    }
    fn on_end(&mut self, summary: &Summary) {
        self.line(format!("end {}", summary.steps));
    }
}

/// Bytes of the last weights.
fn weights(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("checkpoint/model.safetensors")).expect("weights")
}

#[test]
fn data_set_from_memory_trains_and_is_tested() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let config = Config { lr: 0.01, epochs: 10, ..config() };
    let summary = Training::new(&config, &out, &cpu()).images(halves(32)).run().expect("a run");
    let tested = summary.evaluation.expect("a test");
    assert_eq!((summary.steps, tested.count()), (40, 10));
    assert!(tested.accuracy() > 0.9, "{}", tested.accuracy());
    assert_eq!(std::fs::read_to_string(out.join("labels.txt")).expect("labels"), "upper\nlower\n");
    // Without the program its data is lost, and says so.
    let told = evaluate_checkpoint(&out, None, Part::Usual, &cpu(), &mut Quiet).unwrap_err().to_string();
    assert!(told.starts_with("`data`: ") && told.contains("memory"), "{told}");
    let told = Training::new(&config, &out, &cpu()).resume(true).run().unwrap_err().to_string();
    assert!(told.starts_with("`data`: "), "{told}");
}

#[test]
fn callbacks_are_called_in_order_and_all_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = Mutex::new(Vec::new());
    let (mut first, mut second) = (Log::new("a", &lines), Log::new("b", &lines));
    first.epoch = Some(2);
    let out = folder.path().join("run");
    let run = Training::new(&config(), &out, &cpu()).images(halves(32));
    let summary = run.callback(&mut first).callback(&mut second).run().expect("a run");
    assert_eq!((summary.epochs, summary.interrupted), (2, false));
    assert!(summary.evaluation.is_some(), "a run ended after an epoch is tested");
    let want: Vec<String> = (1..=2)
        .flat_map(|epoch| {
            let steps = (4 * epoch - 3..=4 * epoch).map(|step| format!("step {step}"));
            steps.chain([format!("epoch {epoch} of 3")]).collect::<Vec<_>>()
        })
        .chain(["end 8".to_owned()])
        .flat_map(|line| ["a", "b"].map(|name| format!("{name} {line}")))
        .collect();
    assert_eq!(*lines.lock().expect("a list"), want);
}

#[test]
fn run_broken_by_callback_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = Mutex::new(Vec::new());
    // Workers and augmentation take part in the order of draws.
    let config = Config { workers: 2, augment: "flip".into(), ..config() };
    let run = |out: &str, resume: bool, step: Option<u64>, epoch: Option<u64>, workers: usize| {
        let out = folder.path().join(out);
        let config = Config { workers, ..config.clone() };
        let mut log = Log { step, epoch, ..Log::new("a", &lines) };
        let shift = |image: Image, draws: &mut Draws| {
            let shift = draws.below(60) as u8;
            Image { data: image.data.iter().map(|v| v.saturating_add(shift)).collect(), ..image }
        };
        let device = cpu();
        let run = Training::new(&config, &out, &device).images(halves(32)).augmentation(shift);
        (run.callback(&mut log).resume(resume).run().expect("a run"), out)
    };
    let (_, whole) = run("whole", false, None, None, 2);
    let (cut, out) = run("cut", false, Some(6), None, 0);
    assert!(cut.interrupted && cut.steps == 6 && cut.evaluation.is_none());
    let (cut, _) = run("cut", true, None, Some(2), 3);
    assert!(!cut.interrupted && cut.steps == 8);
    let (done, _) = run("cut", true, None, None, 1);
    assert_eq!(done.steps, 12);
    assert!(weights(&out) == weights(&whole), "the same bits");
    // The augmentation has a part in them.
    let plain = folder.path().join("plain");
    Training::new(&config, &plain, &cpu()).images(halves(32)).run().expect("a run");
    assert!(weights(&plain) != weights(&whole));
}

#[test]
fn label_without_class_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let told = |images: OwnImages| {
        Training::new(&config(), &out, &cpu()).images(images).run().unwrap_err().to_string()
    };
    let wrong = OwnImages::new(["upper", "lower"], Halves { len: 9, classes: 3 });
    assert_eq!(
        told(wrong),
        "label is 2 of image 2 in memory, train; it must be below 2, the number of classes"
    );
    let wrong = halves(9).validation(Halves { len: 9, classes: 4 });
    assert_eq!(
        told(wrong),
        "label is 2 of image 2 in memory, validation; it must be below 2, the number of classes"
    );
    assert!(told(halves(0)).contains("training set is empty"));
    assert!(!out.exists(), "nothing is written");
}

#[test]
fn image_with_missing_bytes_is_refused_in_one_line() {
    struct Torn;
    impl Dataset for Torn {
        fn len(&self) -> usize {
            4
        }
        fn label(&self, i: usize) -> usize {
            i % 2
        }
        fn load(&self, _: usize) -> Result<Image, DataError> {
            Ok(Image { width: SIDE, height: SIDE, channels: 3, data: vec![0; 5] })
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let run = Training::new(&config(), folder.path().join("run"), &cpu())
        .images(OwnImages::new(["upper", "lower"], Torn))
        .run();
    let told = run.unwrap_err().to_string();
    assert_eq!(told, "image is 6x6x3 in 5 bytes; it must be height x width x channels bytes, and not empty");
}

#[test]
fn models_of_text_and_masks_refuse_what_is_brought() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    for model in ["gpt", "unet"] {
        let config = Config { device: "cpu".into(), ..Config::for_model(model) };
        let told = |run: Training<'_>| run.run().unwrap_err().to_string();
        let device = cpu();
        let images = told(Training::new(&config, &out, &device).images(halves(8)));
        assert!(images.contains(&format!("{model} takes")), "{images}");
    }
    let config = Config { device: "cpu".into(), ..Config::for_model("gpt") };
    let device = cpu();
    let run = Training::new(&config, &out, &device).augmentation(|image, _: &mut Draws| image).run();
    let told = run.unwrap_err().to_string();
    assert_eq!(told, "`augmentation`: gpt takes no augmentation of a program: leave it out");
}

/// Classification of points by their side of a line, without images.
struct Points;

const POINTS: usize = 24;

impl Points {
    fn batch(rows: std::ops::Range<usize>) -> (HostTensor, HostTensor) {
        let points: Vec<[f32; 2]> =
            rows.map(|i| [(i * 7 % 24) as f32 / 12.0 - 1.0, (i * 5 % 24) as f32 / 12.0 - 1.0]).collect();
        let labels: Vec<i32> = points.iter().map(|p| i32::from(p[0] > p[1])).collect();
        let x = HostTensor::f32(&[points.len(), 2], points.as_flattened());
        (x, HostTensor::i32(&[points.len()], &labels))
    }

    fn logits(net: &Net, rows: usize) -> (Tensor, Tensor) {
        let (x, y) = (net.input("x", Type::f32(&[rows, 2])), net.input("y", Type::i32(&[rows])));
        (net.linear("fc", &x, 2), y)
    }
}

impl Task for Points {
    fn sizes(&self) -> Sizes {
        Sizes { train: POINTS, validation: POINTS, test: 0 }
    }
    fn val_split(&self) -> Option<f64> {
        None
    }
    fn card(&self) -> Card {
        Card::Image(ModelCard {
            model: "points".into(),
            width: 1.0,
            channels: 1,
            size: (1, 2),
            classes: vec!["above".into(), "below".into()],
            mean: vec![0.0],
            std: vec![1.0],
            reading: Reading::default(),
        })
    }
    fn unit(&self) -> &'static str {
        "images"
    }
    fn batch_sizes(&self) -> (usize, Option<usize>) {
        (8, None)
    }
    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError> {
        let net = Net::new(Mode::Train);
        let (logits, labels) = Self::logits(&net, rows);
        let loss = logits.cross_entropy(&labels, CrossEntropy::default());
        net.builder().output("loss", &loss);
        net.builder().output("correct", &logits.correct(&labels));
        gradients.of(&loss, &net.named_weights())?;
        Ok(net)
    }
    fn evaluation(&self, _: bool) -> Result<Graph, TrainError> {
        let net = Net::new(Mode::Eval);
        let (logits, labels) = Self::logits(&net, POINTS);
        net.builder().output("loss", &logits.cross_entropy(&labels, CrossEntropy::default()));
        net.builder().output("predicted", &logits.argmax(-1));
        Ok(net.builder().graph())
    }
    fn batches_per_epoch(&self) -> usize {
        POINTS / 8
    }
    fn epoch(&self, _: u64, from: usize) -> Feeds<'_> {
        Box::new((from..self.batches_per_epoch()).map(|i| {
            let (x, y) = Self::batch(8 * i..8 * (i + 1));
            Ok(Feed { x, y, rows: 8 })
        }))
    }
    fn watched(&self) -> &'static str {
        "validation"
    }
    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        _: bool,
        _: &AtomicBool,
    ) -> Result<Evaluation, TrainError> {
        let (x, y) = Self::batch(0..POINTS);
        runner.step(session, 0, &[("x", &x), ("y", &y)], &[])?;
        let outputs = runner.wait()?.expect("a step is under way");
        let mut confusion = ConfusionMatrix::new(2);
        for (&label, &predicted) in y.as_i32().iter().zip(outputs.get("predicted").as_i32()) {
            confusion.add(label as usize, predicted as usize);
        }
        let scores =
            Scores::Classes { names: vec!["above".into(), "below".into()], confusion, pixels: false };
        Ok(Evaluation { loss: f64::from(outputs.scalar("loss")), split: "validation".into(), scores })
    }
    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn task_of_a_program_trains_and_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config { lr: 0.1, steps: Some(60), device: "cpu".into(), ..Config::default() };
    let lines = Mutex::new(Vec::new());
    let run = |out: &str, resume: bool, step: Option<u64>| {
        let out = folder.path().join(out);
        let mut log = Log { step, ..Log::new("a", &lines) };
        let device = cpu();
        let run = Training::new(&config, &out, &device).task(&Points).callback(&mut log).resume(resume);
        (run.run().expect("a run"), out)
    };
    let (summary, whole) = run("whole", false, None);
    assert!(summary.evaluation.expect("a test").accuracy() > 0.8);
    let (cut, out) = run("cut", false, Some(31));
    assert!(cut.interrupted);
    run("cut", true, None);
    assert!(weights(&out) == weights(&whole), "the same bits");
}

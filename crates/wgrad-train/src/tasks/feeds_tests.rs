//! Batches of a task opened from settings: order, pixels and labels, augmentation, randomness of micro-batches.

use super::classify;
use super::image_data::ImageData;
use super::kind::{Brought, Input};
use super::task::{Feed, Task};
use crate::run::observer::{EvalReport, Observer, StepReport};
use crate::run::plans::{Now, Plans};
use crate::settings::Config;
use crate::{TrainError, tasks};
use std::collections::BTreeSet;
use std::path::Path;
use wgrad_device::{Device, Request};
use wgrad_nn::Optimizer;
use wgrad_types::HostTensor;

struct Quiet;

fn open_task<'a>(config: &'a Config, observer: &mut Quiet) -> Result<Box<dyn Task + 'a>, TrainError> {
    tasks::known(&config.model)?.open(config, &Brought::default(), observer)
}

fn is_text(config: &Config) -> bool {
    tasks::known(&config.model).is_ok_and(|kind| kind.input() == Input::Text)
}

impl Observer for Quiet {
    fn note(&mut self, _: &str) {}
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, _: &EvalReport) {}
}

const SIDE: u32 = 16;

/// Brightness of image `n`, different in all rows and halves; its class is `n % 2`.
fn level(n: u32, x: u32, y: u32) -> u8 {
    ((n * 53 + x * x * 3 + y * 29 + x * y) % 256) as u8
}

fn picture(path: &Path, n: u32) {
    image::GrayImage::from_fn(SIDE, SIDE, |x, y| image::Luma([level(n, x, y)]))
        .save(path)
        .expect("a picture");
}

const TRAIN: u32 = 14;
const TEST: u32 = 9;

/// Data for every kind of task in a folder; the test split continues the numbering of the images.
fn data(dir: &Path) {
    for n in 0..TRAIN + TEST {
        let split = if n < TRAIN { "train" } else { "test" };
        let class = dir.join("pictures").join(split).join(["even", "odd"][n as usize % 2]);
        std::fs::create_dir_all(&class).expect("a folder");
        picture(&class.join(format!("{n:02}.png")), n);
    }
    for side in ["images", "masks"] {
        std::fs::create_dir_all(dir.join("scenes").join(side)).expect("a folder");
    }
    for n in 0..TRAIN {
        let name = format!("{n:02}.png");
        picture(&dir.join("scenes/images").join(&name), n);
        // A pixel's class follows from its brightness: masks can be checked against images.
        let mask = image::GrayImage::from_fn(SIDE, SIDE, |x, y| image::Luma([level(n, x, y) / 128]));
        mask.save(dir.join("scenes/masks").join(&name)).expect("a mask");
    }
    let text: String = (0..400).map(|i| ["a", "b", "c", "d", "e"][(i * i / 7 + i % 3) % 5]).collect();
    std::fs::write(dir.join("text.txt"), text).expect("a text");
}

fn config(dir: &Path, model: &str) -> Config {
    let at = |kind: &str, name: &str| format!("{kind}:{}", dir.join(name).display());
    let usual = Config::for_model(model);
    let data = match model {
        "unet" => at("masks", "scenes"),
        _ if is_text(&usual) => at("text", "text.txt"),
        _ => at("folder", "pictures"),
    };
    let text = is_text(&usual);
    let side = (model == "unet" || model == "dcgan").then_some(SIDE as usize);
    Config {
        data,
        batch_size: 4,
        context: text.then_some(6),
        hidden: text.then_some(8),
        heads: (text && !model.starts_with("char")).then_some(2),
        layers: text.then_some(1),
        image_size: side,
        width: 0.05,
        workers: 2,
        seed: 6,
        ..usual
    }
}

const MODELS: [&str; 7] = ["mlp", "unet", "gpt", "bert", "char-gru", "autoencoder", "dcgan"];

fn feeds(config: &Config, epoch: u64, from: usize) -> Vec<(Vec<u32>, Vec<u32>)> {
    let task = open_task(config, &mut Quiet).expect("a task");
    assert!(task.batches_per_epoch() > 2, "{}", config.model);
    task.epoch(epoch, from).map(|f| f.map(|f| (f.x.words, f.y.words)).expect("a batch")).collect()
}

#[test]
fn epoch_order_depends_on_seed_and_epoch_and_can_start_at_any_batch() {
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    for model in MODELS {
        for augment in ["none", "flip"] {
            let own = Config { augment: augment.into(), ..config(dir.path(), model) };
            if is_text(&own) && augment != "none" {
                continue;
            }
            let first = feeds(&own, 0, 0);
            assert!(
                first == feeds(&Config { workers: 0, ..own.clone() }, 0, 0),
                "{model}: independent of the number of workers"
            );
            for epoch in 1..4 {
                assert!(first != feeds(&own, epoch, 0), "{model}: epoch {epoch} equals the first");
            }
            assert!(first != feeds(&Config { seed: 7, ..own.clone() }, 0, 0), "{model}: depends on the seed");
            for epoch in [0, 2] {
                let whole = feeds(&own, epoch, 0);
                for from in 1..whole.len() {
                    assert!(
                        feeds(&own, epoch, from) == whole[from..],
                        "{model}: from batch {from} of epoch {epoch}"
                    );
                }
            }
        }
    }
}

/// A text of whole batches starts at the same position in every epoch: only its masked tokens differ.
#[test]
fn masked_tokens_differ_between_epochs() {
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    let fits = |model: &str| {
        let split = |n: u32| Config { val_split: Some(f64::from(n) / 400.0), ..config(dir.path(), model) };
        let full = |own: &Config| open_task(own, &mut Quiet).expect("a task").sizes().train % 24 == 1;
        (20..80).map(split).find(full).expect("a split that leaves whole batches")
    };
    let (plain, hidden) = (fits("gpt"), fits("bert"));
    assert!(feeds(&plain, 0, 0) == feeds(&plain, 1, 0), "the same text");
    for epoch in 1..4 {
        let (first, now) = (feeds(&hidden, 0, 0), feeds(&hidden, epoch, 0));
        assert!(
            first.iter().zip(&now).all(|(a, b)| a.0 != b.0 && a.1 != b.1),
            "epoch {epoch} masks the same tokens"
        );
    }
}

/// Mean and deviation of the training images, and the normalised pixels of one.
struct Plain {
    mean: f64,
    std: f64,
}

impl Plain {
    fn of(numbers: impl Iterator<Item = u32>) -> Self {
        let all: Vec<f64> =
            numbers.flat_map(|n| pixels(n).into_iter().map(|v| f64::from(v) / 255.0)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let std = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        Self { mean, std }
    }

    fn is(&self, n: u32, x: &[f32], mirrored: bool) -> bool {
        let side = SIDE as usize;
        let at = |i: usize| if mirrored { i / side * side + side - 1 - i % side } else { i };
        let wanted = pixels(n);
        let near = |(i, v): (usize, &f32)| {
            (f64::from(*v) - (f64::from(wanted[at(i)]) / 255.0 - self.mean) / self.std).abs() < 1e-4
        };
        x.iter().enumerate().all(near)
    }
}

fn pixels(n: u32) -> Vec<u8> {
    (0..SIDE * SIDE).map(|i| level(n, i % SIDE, i / SIDE)).collect()
}

/// Number of each sample, its mirroring, and its label or labels.
fn told(plain: &Plain, feed: &Feed) -> Vec<(u32, bool, Vec<i32>)> {
    let size = (SIDE * SIDE) as usize;
    let labels = feed.y.as_i32().len() / feed.rows;
    let rows = feed.x.as_f32().chunks(size).zip(feed.y.as_i32().chunks(labels));
    let one = |(x, y): (&[f32], &[i32])| {
        let found = (0..TRAIN + TEST).flat_map(|n| [(n, false), (n, true)]).find(|&(n, m)| plain.is(n, x, m));
        let (n, mirrored) = found.expect("an image as in its file, or mirrored");
        (n, mirrored, y.to_vec())
    };
    rows.map(one).collect()
}

fn epoch(task: &dyn Task, plain: &Plain, number: u64) -> Vec<(u32, bool, Vec<i32>)> {
    task.epoch(number, 0).flat_map(|feed| told(plain, &feed.expect("a batch"))).collect()
}

#[test]
fn epoch_has_every_image_once_with_its_label_and_fresh_flips() {
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    for augment in ["none", "flip"] {
        let own = Config { augment: augment.into(), ..config(dir.path(), "mlp") };
        let task = open_task(&own, &mut Quiet).expect("a task");
        let plain = Plain::of(0..TRAIN);
        let mut flips = Vec::new();
        for number in 0..6 {
            let mut all = epoch(&*task, &plain, number);
            all.sort_unstable();
            assert!(all.iter().map(|a| a.0).eq(0..TRAIN), "each image once: {all:?}");
            assert!(all.iter().all(|(n, _, y)| y[..] == [(*n % 2) as i32]), "labels match their images");
            flips.push(all.iter().map(|a| a.1).collect::<Vec<_>>());
        }
        let mirrored = flips.iter().flatten().filter(|m| **m).count();
        if augment == "none" {
            assert_eq!(mirrored, 0);
            continue;
        }
        // 84 coin tosses.
        assert!((21..=63).contains(&mirrored), "{mirrored} of {} are mirrored", 6 * TRAIN);
        assert_eq!(flips.iter().collect::<BTreeSet<_>>().len(), 6, "epochs differ");
        let by_sample = |n: usize| flips.iter().map(|f| f[n]).collect::<Vec<_>>();
        let columns: BTreeSet<_> = (0..TRAIN as usize).map(by_sample).collect();
        assert!(columns.len() > 6, "samples differ");
        let other = open_task(&Config { seed: 7, ..own.clone() }, &mut Quiet).map(|task| {
            let mut all = epoch(&*task, &plain, 0);
            all.sort_unstable();
            all.iter().map(|a| a.1).collect::<Vec<_>>()
        });
        assert!(flips[0] != other.expect("a task"), "flips depend on the seed");
    }
}

#[test]
fn epoch_has_every_masked_image_once_and_flips_masks_along() {
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    let own = Config { augment: "flip".into(), ..config(dir.path(), "unet") };
    let task = open_task(&own, &mut Quiet).expect("a task");
    let crate::Card::Image(card) = task.card() else { panic!("pictures") };
    let plain = Plain { mean: f64::from(card.mean[0]), std: f64::from(card.std[0]) };
    let mut flips = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for number in 0..6 {
        let all = epoch(&*task, &plain, number);
        for (n, mirrored, labels) in &all {
            let side = SIDE as usize;
            let at = |i: usize| if *mirrored { i / side * side + side - 1 - i % side } else { i };
            let wanted = pixels(*n);
            let fits = labels.iter().enumerate().all(|(i, y)| *y == i32::from(wanted[at(i)] / 128));
            assert!(fits, "image {n}: the mask is flipped along");
        }
        let seen: BTreeSet<u32> = all.iter().map(|a| a.0).collect();
        assert_eq!(seen.len(), all.len(), "each image once");
        numbers.extend(seen);
        flips.insert(all.iter().map(|a| (a.0, a.1)).collect::<BTreeSet<_>>());
    }
    assert_eq!((numbers.len(), flips.len()), (task.sizes().train, 6));
    let own = Plain::of(numbers.into_iter());
    assert!(
        (own.mean - plain.mean).abs() < 1e-6 && (own.std - plain.std).abs() < 1e-6,
        "moments of the training images"
    );
}

#[test]
fn monitored_and_test_splits_come_in_order_without_augmentation() {
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    let augment = "flip:1,crop:4,rotate:45,jitter:0.5".to_owned();
    let own = Config { augment, ..config(dir.path(), "mlp") };
    let image_data = ImageData::new(
        &own,
        &classify::preparation("mlp").expect("a model"),
        &Brought::default(),
        &mut Quiet,
    )
    .expect("image data");
    let plain = Plain::of(0..TRAIN);
    // Images of the second class follow those of the first.
    let order: Vec<u32> =
        [0, 1].into_iter().flat_map(|c| (TRAIN..TRAIN + TEST).filter(move |n| n % 2 == c)).collect();
    for final_test in [false, true] {
        let judged = image_data.judged(final_test, |loader| {
            let mut all = Vec::new();
            for batch in loader.epoch(0, 0) {
                let batch = batch?;
                for (x, label) in batch.images.chunks((SIDE * SIDE) as usize).zip(&batch.labels) {
                    let n = order[all.len()];
                    assert!(plain.is(n, x, false), "image {n} as in its file");
                    assert_eq!(*label as u32, n % 2);
                    all.push(n);
                }
            }
            Ok(all)
        });
        let (all, split) = judged.expect("a split");
        assert_eq!((all, split), (order.clone(), "test"));
    }
    // Training images with the same settings are augmented.
    let plainly = |feed: &Feed| {
        feed.x
            .as_f32()
            .chunks((SIDE * SIDE) as usize)
            .filter(|x| (0..TRAIN).any(|n| plain.is(n, x, false)))
            .count()
    };
    let left: usize = image_data.epoch(0, 0).map(|f| plainly(&f.expect("a batch"))).sum();
    assert_eq!(left, 0, "training is augmented");
}

/// Losses of steps on equal rows, with a learning rate near 0, in micro-batches.
fn losses(dropout: f64) -> Vec<f32> {
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    let own = Config { dropout, accumulate: 2, ..config(dir.path(), "gpt") };
    let task = open_task(&own, &mut Quiet).expect("a task");
    let (device, _) = Device::open(&"cpu".parse::<Request>().expect("a device")).expect("the CPU");
    let optimizer = Optimizer::adam();
    let (mut plans, mut session, _) = Plans::new(&*task, &optimizer, (2, None), &device, 1).expect("plans");
    let row: Vec<i32> = vec![0, 1, 2, 3, 4, 0];
    let same = HostTensor::i32(&[4, 6], &row.repeat(4));
    let mut found = Vec::new();
    for step in 0..3 {
        let scalars = optimizer.scalars(step + 1, 1e-30);
        let feed = Feed { x: same.clone(), y: same.clone(), rows: 4 };
        let now = Now { step, scalars: &scalars, watch: None };
        found.extend(plans.step(&mut session, feed, now).expect("a step"));
    }
    found.extend(plans.collect(true).expect("results"));
    assert!(found.iter().map(|f| f.step).eq([1, 1, 2, 2, 3, 3]) && found.iter().all(|f| f.samples == 12));
    found.iter().map(|f| f.outputs.scalar("loss")).collect()
}

#[test]
fn every_micro_batch_of_every_step_has_fresh_dropout() {
    let alike = losses(0.0);
    assert!(alike.iter().all(|l| *l == alike[0]), "without dropout all losses are equal: {alike:?}");
    let drawn = losses(0.4);
    let different: BTreeSet<u32> = drawn.iter().map(|l| l.to_bits()).collect();
    assert_eq!(different.len(), 6, "{drawn:?}");
}

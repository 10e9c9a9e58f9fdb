//! Reports of a run and of `wgrad eval` compared with sums made here by hand: pixels as in the files, one
//! sample at a time, whatever the augmentation and the last batch's size.

use super::{Place, band, level, run, text, weights};
use std::collections::BTreeMap;
use wgrad_data::Split;
use wgrad_graph::{Env, Role, Tensor, interpret};
use wgrad_models::{ImageModel, ModelKind, TextKind, TextModel, UNet};
use wgrad_nn::{ConfusionMatrix, Mode, Net};
use wgrad_tests::cpu;
use wgrad_train::{
    Card, Config, Evaluation, Observer, Part, Predictor, Scores, StepReport, evaluate_checkpoint,
    load_checkpoint_card,
};
use wgrad_types::{Array, Type};

struct Quiet;

impl Observer for Quiet {
    fn note(&mut self, _: &str) {}
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, _: &wgrad_train::EvalReport) {}
}

pub(super) type Weights = BTreeMap<String, Array>;

/// Counts of right and wrong, and the sum of `-log p` of the labels.
#[derive(Default)]
struct Sums {
    lost: f64,
    counted: u64,
    pairs: BTreeMap<(usize, usize), u64>,
}

impl Sums {
    /// Takes in one sample's logits.
    fn add(&mut self, logits: &[f64], label: usize) {
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|v| (v - top).exp()).sum();
        self.lost += total.ln() + top - logits[label];
        self.counted += 1;
        let best = (1..logits.len()).fold(0, |b, c| if logits[c] > logits[b] { c } else { b });
        *self.pairs.entry((label, best)).or_default() += 1;
    }

    fn right(&self) -> u64 {
        self.pairs.iter().filter(|((l, p), _)| l == p).map(|p| p.1).sum()
    }

    fn check(&self, what: &str, found: &Evaluation) {
        let loss = self.lost / self.counted as f64;
        assert!(
            (found.loss - loss).abs() < 2e-5 * loss.max(1.0),
            "{what}: loss {}, by hand {loss}",
            found.loss
        );
        assert_eq!(found.count(), self.counted, "{what}: samples");
        let share = self.right() as f64 / self.counted as f64;
        assert!(
            (found.accuracy() - share).abs() < 1e-9,
            "{what}: accuracy {}, by hand {share}",
            found.accuracy()
        );
        match &found.scores {
            Scores::Classes { confusion, names, .. } => {
                for label in 0..names.len() {
                    for told in 0..names.len() {
                        let want = self.pairs.get(&(label, told)).copied().unwrap_or(0);
                        assert_eq!(confusion.count(label, told), want, "{what}: {label} told as {told}");
                    }
                }
            }
            Scores::Tokens { correct, .. } => {
                assert_eq!(*correct, self.right(), "{what}: told right");
                let perplexity = found.perplexity().expect("a perplexity");
                assert!((perplexity - loss.exp()).abs() < 1e-4 * perplexity, "{what}: perplexity");
            }
            Scores::Pictures { .. } => panic!("{what} tells classes"),
        }
    }
}

/// Mean and deviation of the pixels trained on, in [0, 1].
fn moments(pixels: &[u8]) -> (f64, f64) {
    let n = pixels.len() as f64;
    let mean = pixels.iter().map(|&v| f64::from(v) / 255.0).sum::<f64>() / n;
    let var = pixels.iter().map(|&v| (f64::from(v) / 255.0 - mean).powi(2)).sum::<f64>() / n;
    (mean, var.sqrt())
}

fn card(out: &std::path::Path) -> wgrad_train::ModelCard {
    let Card::Image(card) = load_checkpoint_card(out).expect("a card") else { panic!("pictures") };
    card
}

fn dense(x: &[f64], weights: &Weights, name: &str) -> Vec<f64> {
    let (w, b) = (&weights[&format!("{name}.weight")], &weights[&format!("{name}.bias")]);
    let row = |(row, b): (&[f64], &f64)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
    w.data.chunks(x.len()).zip(&b.data).map(row).collect()
}

/// Twelve classes' worth of pictures are more than one evaluation batch, and no multiple of it.
#[test]
fn evaluation_of_classifiers_matches_hand_sums() {
    let place = Place::new();
    // Most are of the last class: the likeliest is not the first.
    let (side, counts, tests) = (6, [2, 4, 9], [31, 40, 6]);
    let data = place.pictures(side, &counts, &tests);
    let config = Config {
        model: "mlp".into(),
        width: 0.05,
        data,
        epochs: 8,
        batch_size: 4,
        augment: "flip:1,crop:2,rotate:90,jitter:0.5".into(),
        device: "cpu".into(),
        label_smoothing: 0.2,
        lr: 0.05,
        schedule: "constant".into(),
        ..Config::default()
    };
    let out = place.path("run");
    let (summary, _) = run(&config, &out);
    let pixels = |class: usize, number: usize| {
        (0..side * side).map(move |i| level(class, number, i / side, i % side)).collect::<Vec<_>>()
    };
    let train: Vec<u8> = (0..3).flat_map(|c| (0..counts[c]).flat_map(move |n| pixels(c, n))).collect();
    let (mean, std) = moments(&train);
    let own = card(&out);
    assert!((f64::from(own.mean[0]) - mean).abs() < 1e-6 && (f64::from(own.std[0]) - std).abs() < 1e-6);
    let best =
        wgrad_session::checkpoint::load(&out.join("best"), |_| Role::Weight).expect("the best weights");
    let best: Weights = best.into_iter().map(|t| (t.name, t.value.to_array())).collect();
    let by_hand = |part: Part| {
        let mut sums = Sums::default();
        for class in 0..3 {
            let numbers = match part {
                Part::Split(Split::Train) => 0..counts[class],
                _ => counts[class]..counts[class] + tests[class],
            };
            for number in numbers {
                let x: Vec<f64> =
                    pixels(class, number).iter().map(|&v| (f64::from(v) / 255.0 - mean) / std).collect();
                let relu = |x: Vec<f64>| x.into_iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
                let x = relu(dense(&relu(dense(&x, &best, "fc1")), &best, "fc2"));
                sums.add(&dense(&x, &best, "fc3"), class);
            }
        }
        sums
    };
    let last = weights(&out);
    let probable = |class: usize, number: usize| {
        let x: Vec<f64> =
            pixels(class, number).iter().map(|&v| (f64::from(v) / 255.0 - mean) / std).collect();
        let relu = |x: Vec<f64>| x.into_iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
        let x = relu(dense(&relu(dense(&x, &last, "fc1")), &last, "fc2"));
        let e: Vec<f64> = dense(&x, &last, "fc3").into_iter().map(f64::exp).collect();
        e.iter().map(|v| v / e.iter().sum::<f64>()).collect::<Vec<f64>>()
    };
    let names: Vec<(usize, usize)> =
        (0..3).flat_map(|c| (counts[c]..counts[c] + tests[c]).map(move |n| (c, n))).collect();
    let file = |&(class, number): &(usize, usize)| {
        place.path(&format!("pictures/test/{}/{number:03}.png", ["a", "b", "c"][class]))
    };
    let files: Vec<_> = names.iter().map(file).collect();
    let mut orders = std::collections::BTreeSet::new();
    let mut predictor = Predictor::open(&out.join("checkpoint"), 20, &cpu()).expect("a model");
    for (name, guesses) in names.iter().zip(predictor.predict(&files, 2).expect("guesses")) {
        let all = probable(name.0, name.1);
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| all[b].total_cmp(&all[a]));
        orders.insert(order);
        let guesses = guesses.expect("a picture");
        assert_eq!(guesses.len(), 2);
        for (guess, class) in guesses.iter().zip(order) {
            assert_eq!(guess.class, ["a", "b", "c"][class], "picture {name:?}: {all:?}");
            assert!(
                (guess.probability - all[class]).abs() < 1e-5,
                "picture {name:?}: {guesses:?}, by hand {all:?}"
            );
        }
    }
    assert!(orders.len() > 1, "pictures that differ: {orders:?}");
    by_hand(Part::Usual).check("the run's last word", &summary.evaluation.expect("a last word"));
    for part in [Part::Split(Split::Test), Part::Split(Split::Train)] {
        let found = evaluate_checkpoint(&out, None, part, &cpu(), &mut Quiet).expect("an evaluation");
        by_hand(part).check(&format!("eval on {part:?}"), &found);
    }
}

/// Dropout and running statistics: evaluation after an epoch, at the end and by `eval` is in evaluation mode.
#[test]
fn evaluation_of_classifiers_uses_evaluation_mode() {
    let place = Place::new();
    let (side, counts, tests) = (16, [7, 5], [3, 4]);
    let data = place.pictures(side, &counts, &tests);
    for (model, kind) in [("squeezenet", ModelKind::SqueezeNet), ("mobilenet-v2", ModelKind::MobileNetV2)] {
        let config = Config {
            model: model.into(),
            width: 0.1,
            data: data.clone(),
            epochs: 1,
            batch_size: 4,
            lr: 0.02,
            device: "cpu".into(),
            ..Config::default()
        };
        let out = place.path(model);
        let (summary, seen) = run(&config, &out);
        let card = card(&out);
        let (mean, std) = (f64::from(card.mean[0]), f64::from(card.std[0]));
        let own = ImageModel { kind, channels: 1, size: (side, side), classes: 2, width: 0.1 };
        let last = weights_and_buffers(&out);
        let mut sums = Sums::default();
        for class in 0..2 {
            for number in counts[class]..counts[class] + tests[class] {
                let pixel =
                    |i: usize| (f64::from(level(class, number, i / side, i % side)) / 255.0 - mean) / std;
                let x = Array::from_fn(&[1, 1, side, side], pixel);
                let y = logits(&last, &x, false, |net, x| own.build(net, x).expect("a model"));
                sums.add(&y.data, class);
            }
        }
        let found = summary.evaluation.expect("a last word");
        sums.check("the run's last word", &found);
        assert!((seen.evaluations[0].2 - found.loss).abs() < 1e-6, "what is watched is the test split");
        let eval = evaluate_checkpoint(&out, None, Part::Usual, &cpu(), &mut Quiet).expect("an evaluation");
        sums.check("eval", &eval);
    }
}

/// A run's last tensors but for the optimizer's.
fn weights_and_buffers(out: &std::path::Path) -> Weights {
    let all = wgrad_session::checkpoint::load(&out.join("checkpoint"), |_| Role::Weight).expect("weights");
    all.into_iter().map(|t| (t.name, t.value.to_array())).collect()
}

/// The logits of a model in evaluation, by the f64 interpreter: `x` as fed, classes last.
pub(super) fn logits(
    weights: &Weights,
    x: &Array,
    whole: bool,
    build: impl Fn(&Net, &Tensor) -> Tensor,
) -> Array {
    let net = Net::new(Mode::Eval);
    let ty = if whole { Type::i32(&x.shape) } else { Type::f32(&x.shape) };
    let y = build(&net, &net.input("x", ty));
    net.builder().output("y", &y);
    let params =
        net.parameters().into_iter().map(|p| ((p.role, p.name.clone()), weights[&p.name].clone())).collect();
    let env = Env { inputs: [("x".into(), x.clone())].into(), params, ..Env::default() };
    let graph = net.builder().graph();
    interpret(&graph, &env)[graph.outputs[0].1.index()].clone().expect("logits")
}

#[test]
fn evaluation_of_segmenters_matches_hand_sums() {
    let place = Place::new();
    let (side, count) = (16, 15);
    let data = place.scenes(side, count);
    let config = Config {
        model: "unet".into(),
        width: 0.03,
        data,
        epochs: 2,
        batch_size: 2,
        augment: "flip:1".into(),
        image_size: Some(side),
        val_split: Some(0.7),
        ignore: Some("1".into()),
        device: "cpu".into(),
        ..Config::default()
    };
    let out = place.path("run");
    let (summary, _) = run(&config, &out);
    // Held-out samples: those absent from training batches.
    let options = wgrad_data::SegmentationOptions {
        size: (side, side),
        val_split: Some(0.7),
        ignore: Some("1".into()),
        ..wgrad_data::SegmentationOptions::default()
    };
    let scenes = wgrad_data::open_masks(&config.data, &options).expect("scenes");
    assert!(scenes.validation.len() > 8 && !scenes.validation.len().is_multiple_of(8), "a ragged split");
    let train: Vec<u8> = scenes.train.iter().flat_map(|s| s.picture.data.clone()).collect();
    let (mean, std) = moments(&train);
    let best =
        wgrad_session::checkpoint::load(&out.join("best"), |_| Role::Weight).expect("the best weights");
    let best: Weights = best.into_iter().map(|t| (t.name, t.value.to_array())).collect();
    let mut sums = Sums::default();
    for number in 0..count {
        let pixels: Vec<u8> = (0..side * side)
            .map(|i| level(usize::from(band(number, i / side, i % side)), number, i / side, i % side))
            .collect();
        if scenes.train.iter().any(|s| s.picture.data == pixels) {
            continue;
        }
        let data = pixels.iter().map(|&v| (f64::from(v) / 255.0 - mean) / std).collect();
        let x = Array::new(&[1, 1, side, side], data);
        let y = logits(&best, &x, false, |net, x| {
            UNet { classes: 2, width: 0.03 }.build(net, x).expect("a model")
        });
        for i in 0..side * side {
            // Labels 0 and 2 are the classes; 1 counts for nothing.
            let label = match band(number, i / side, i % side) {
                1 => continue,
                label => usize::from(label / 2),
            };
            sums.add(&[y.data[i], y.data[side * side + i]], label);
        }
    }
    sums.check("the run's last word", &summary.evaluation.expect("a last word"));
    let found = evaluate_checkpoint(&out, None, Part::Split(Split::Validation), &cpu(), &mut Quiet)
        .expect("an evaluation");
    sums.check("eval", &found);
}

#[test]
fn evaluation_of_language_models_matches_hand_sums() {
    let place = Place::new();
    let (letters, context) = (700, 5);
    let config = Config {
        model: "gpt".into(),
        data: place.text(letters),
        context: Some(context),
        layers: Some(1),
        hidden: Some(8),
        heads: Some(2),
        dropout: 0.4,
        steps: Some(5),
        batch_size: 4,
        val_split: Some(0.5),
        device: "cpu".into(),
        ..Config::default()
    };
    let out = place.path("run");
    let (summary, _) = run(&config, &out);
    let all: Vec<usize> = text(letters).bytes().map(|b| usize::from(b - b'a')).collect();
    let held_out = &all[letters / 2..];
    // More windows than an evaluation batch has rows, the last one short.
    assert!(held_out.len() / context > 32 && !(held_out.len() - 1).is_multiple_of(context));
    let best =
        wgrad_session::checkpoint::load(&out.join("best"), |_| Role::Weight).expect("the best weights");
    let best: Weights = best.into_iter().map(|t| (t.name, t.value.to_array())).collect();
    let usual = TextModel::new(TextKind::Gpt, 5);
    let model = TextModel { context, layers: 1, hidden: 8, heads: 2, key_heads: 2, dropout: 0.4, ..usual };
    let mut sums = Sums::default();
    for from in (0..held_out.len() - 1).step_by(context) {
        let to = (from + context).min(held_out.len() - 1);
        let x = Array::new(&[1, to - from], held_out[from..to].iter().map(|&t| t as f64).collect());
        let y = logits(&best, &x, true, |net, x| model.build(net, x).expect("a model"));
        y.data.chunks(5).zip(&held_out[from + 1..=to]).for_each(|(y, &label)| sums.add(y, label));
    }
    sums.check("the run's last word", &summary.evaluation.expect("a last word"));
    let found = evaluate_checkpoint(&out, None, Part::Split(Split::Validation), &cpu(), &mut Quiet)
        .expect("an evaluation");
    sums.check("eval", &found);
}

#[test]
fn evaluation_of_autoencoders_matches_hand_sums() {
    let place = Place::new();
    let (side, counts, tests) = (5, [6, 4], [50, 21]);
    let config = Config {
        model: "autoencoder".into(),
        width: 0.03,
        data: place.pictures(side, &counts, &tests),
        epochs: 2,
        batch_size: 4,
        augment: "flip:1,crop:2".into(),
        device: "cpu".into(),
        ..Config::default()
    };
    let out = place.path("run");
    let (summary, _) = run(&config, &out);
    let pixels =
        |class: usize, number: usize| (0..side * side).map(move |i| level(class, number, i / side, i % side));
    let train: Vec<u8> = (0..2).flat_map(|c| (0..counts[c]).flat_map(move |n| pixels(c, n))).collect();
    let (mean, std) = moments(&train);
    let best =
        wgrad_session::checkpoint::load(&out.join("best"), |_| Role::Weight).expect("the best weights");
    let best: Weights = best.into_iter().map(|t| (t.name, t.value.to_array())).collect();
    let (mut missed, mut all, mut count) = (0.0, 0.0, 0);
    for class in 0..2 {
        for number in counts[class]..counts[class] + tests[class] {
            let data = pixels(class, number).map(|v| (f64::from(v) / 255.0 - mean) / std).collect();
            let x = Array::new(&[1, 1, side, side], data);
            let model = wgrad_models::Autoencoder { width: 0.03, ..wgrad_models::Autoencoder::default() };
            let made = logits(&best, &x, false, |net, x| model.build(net, x));
            missed += made.data.iter().zip(&x.data).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            all += x.data.iter().map(|v| v * v).sum::<f64>();
            count += 1;
        }
    }
    let (loss, kept) = (missed / f64::from(count) / (side * side) as f64, 1.0 - missed / all);
    let eval = evaluate_checkpoint(&out, None, Part::Usual, &cpu(), &mut Quiet).expect("an evaluation");
    for found in [summary.evaluation.expect("a last word"), eval] {
        assert_eq!(found.count(), u64::try_from(count).expect("a count"));
        assert!((found.loss - loss).abs() < 2e-5 * loss.max(1.0), "loss {}, by hand {loss}", found.loss);
        assert!((found.accuracy() - kept).abs() < 1e-5, "kept {}, by hand {kept}", found.accuracy());
    }
}

/// Figures of a lopsided matrix by hand: 7 of class 0, 2 of 1, 1 of 2, none of 3, once predicted.
#[test]
fn evaluation_metrics_of_lopsided_matrix() {
    let mut m = ConfusionMatrix::new(4);
    for (label, told, times) in [(0, 0, 4), (0, 1, 2), (0, 3, 1), (1, 1, 1), (1, 2, 1), (2, 0, 1)] {
        (0..times).for_each(|_| m.add(label, told));
    }
    let near = |what: &str, got: f64, want: f64| {
        assert!((got - want).abs() < 1e-12, "{what}: {got}, by hand {want}");
    };
    assert_eq!(m.total(), 10);
    near("accuracy", m.accuracy(), 0.5);
    let by_hand = [
        // precision, recall, F1, intersection over union, support
        (4.0 / 5.0, 4.0 / 7.0, 8.0 / 12.0, 4.0 / 8.0, 7),
        (1.0 / 3.0, 1.0 / 2.0, 2.0 / 5.0, 1.0 / 4.0, 2),
        (0.0, 0.0, 0.0, 0.0, 1),
        (0.0, 0.0, 0.0, 0.0, 0),
    ];
    for (class, (precision, recall, f1, iou, support)) in by_hand.into_iter().enumerate() {
        near("precision", m.precision(class), precision);
        near("recall", m.recall(class), recall);
        near("F1", m.f1(class), f1);
        near("IoU", m.iou(class), iou);
        assert_eq!(m.support(class), support);
    }
    near("macro precision", m.macro_precision(), (4.0 / 5.0 + 1.0 / 3.0) / 4.0);
    near("macro recall", m.macro_recall(), (4.0 / 7.0 + 1.0 / 2.0) / 4.0);
    near("macro F1", m.macro_f1(), (2.0 / 3.0 + 2.0 / 5.0) / 4.0);
    near("mean IoU", m.mean_iou(), (1.0 / 2.0 + 1.0 / 4.0) / 4.0);
}

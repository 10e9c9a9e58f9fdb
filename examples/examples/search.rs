//! Hyper-parameter search over learning rate and width, by random choice and by successive halving (Jamieson and
//! Talwalkar, 2016), with the same number of training epochs to spend.
//!
//! Random search trains few networks to the end. Successive halving starts with many, and keeps the better half after
//! every rung.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::data::Split;
use wgrad::models::LeNet;
use wgrad::prelude::*;
use wgrad_examples::{Classifier, Images, Random, quick};

const SIDE: usize = 32;
/// Epochs from one rung to the next: 16 networks, then 8, 4, 2.
const RUNGS: [usize; 4] = [1, 1, 2, 4];
const RATES: (f64, f64) = (1e-4, 1e-1);
const WIDTHS: [f64; 3] = [0.5, 1.0, 2.0];

/// Hyper-parameters and their network, with its epochs and accuracy so far.
struct Trial {
    lr: f64,
    width: f64,
    model: Classifier,
    epochs: usize,
    accuracy: f64,
}

impl Trial {
    /// Learning rates are drawn evenly over their logarithm.
    fn new(device: &Device, random: &mut Random) -> wgrad::Result<Self> {
        let lr = random.between(RATES.0.ln(), RATES.1.ln()).exp();
        let width = WIDTHS[random.between(0.0, 3.0) as usize];
        let build = |net: &Net, x: &Tensor| LeNet { classes: 10, width }.build(net, x);
        let model = Classifier::new(device, SIDE, build, |_| true, 0)?;
        Ok(Self { lr, width, model, epochs: 0, accuracy: 0.0 })
    }

    fn go_on(&mut self, epochs: usize, data: &[Images; 2]) -> wgrad::Result<()> {
        for _ in 0..epochs {
            self.epochs += 1;
            self.model.epoch(&data[0], &mut Random::new(self.epochs as u64), self.lr)?;
        }
        self.accuracy = self.model.accuracy(&data[1])?;
        Ok(())
    }

    fn row(&self) -> String {
        let accuracy = self.accuracy * 100.0;
        format!("{:>10.5}  {:>5}  {:>6}  {accuracy:>8.1} %", self.lr, self.width, self.epochs)
    }
}

/// Accuracy over the learning rate's logarithm; a network is the first letter of small, medium or large.
fn plot(trials: &[Trial]) {
    const COLUMNS: usize = 60;
    let mut rows = vec![[b' '; COLUMNS]; 10];
    for t in trials {
        let at = (t.lr / RATES.0).ln() / (RATES.1 / RATES.0).ln();
        let row = ((1.0 - t.accuracy) * 10.0) as usize;
        let letter = b"sml"[WIDTHS.iter().position(|&w| w == t.width).unwrap_or(0)];
        rows[row.min(9)][((at * COLUMNS as f64) as usize).min(COLUMNS - 1)] = letter;
    }
    for (i, row) in rows.iter().enumerate() {
        println!("{:>4} %|{}", 90 - 10 * i, String::from_utf8_lossy(row));
    }
    println!("      +{}\n       {:<54}{}", "-".repeat(COLUMNS), RATES.0, RATES.1);
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let sample = Images::fashion(Split::Train, SIDE)?;
    // Held-out training pictures select; the test pictures stay untouched.
    let mut random = Random::new(4);
    let order = random.order(sample.len());
    let (held_out, rest) = order.split_at(500);
    let data = [sample.pick(&rest[..if quick() { 50 } else { 500 }]), sample.pick(held_out)];

    let mut trials = Vec::new();
    let first = 1 << RUNGS.len();
    for _ in 0..first {
        trials.push(Trial::new(&device, &mut random)?);
    }
    let (mut spent, mut alive) = (0, first);
    println!("successive halving\n        lr  width  epochs    accuracy");
    for epochs in RUNGS {
        for trial in &mut trials[..alive] {
            trial.go_on(epochs, &data)?;
            spent += epochs;
        }
        trials[..alive].sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
        trials[..alive].iter().for_each(|t| println!("{}", t.row()));
        println!();
        alive /= 2;
    }
    plot(&trials);
    let halving = trials[0].accuracy;

    let each: usize = RUNGS.iter().sum();
    println!("\nrandom search\n        lr  width  epochs    accuracy");
    let mut chosen = 0.0f64;
    for _ in 0..spent / each {
        let mut trial = Trial::new(&device, &mut random)?;
        trial.go_on(each, &data)?;
        println!("{}", trial.row());
        chosen = chosen.max(trial.accuracy);
    }
    let (a, b) = (halving * 100.0, chosen * 100.0);
    println!("\n{spent} epochs each: successive halving finds {a:.1} %, random search {b:.1} %");
    assert!(quick() || halving > 0.6, "no good choice was found");
    Ok(())
}

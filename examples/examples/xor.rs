//! XOR by a 2-3-1 network, and the seeds it fails from.
//!
//! Three hidden units with ReLU are just enough. A seed fails if units die: a ReLU at 0 has no gradient, and inputs alike
//! to the units left share a probability, as the table shows.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::prelude::*;

const INPUTS: [f32; 8] = [0., 0., 0., 1., 1., 0., 1., 1.];
const TARGETS: [f32; 4] = [0., 1., 1., 0.];
const SEEDS: u64 = 20;
const STEPS: u64 = 1000;

/// Probabilities after training from a seed, and the last loss.
fn learn(device: &Device, seed: u64) -> wgrad::Result<(Vec<f32>, f32)> {
    let net = Net::new(Mode::Train);
    let x = net.input("x", Type::f32(&[4, 2]));
    let y = net.input("y", Type::f32(&[4, 1]));
    let hidden = net.linear("fc1", &x, 3).relu();
    let probabilities = net.linear("fc2", &hidden, 1).sigmoid();
    let loss = probabilities.bce_loss(&y);
    net.output("probabilities", &probabilities);
    let options = TrainerOptions::default().seed(seed);
    let mut trainer = net.trainer_with(&loss, Optimizer::adam(), device, options)?;
    let (x, y) = (HostTensor::f32(&[4, 2], &INPUTS), HostTensor::f32(&[4, 1], &TARGETS));
    let mut last = (Vec::new(), f32::MAX);
    for _ in 0..STEPS {
        let results = trainer.step([("x", &x), ("y", &y)], 0.05)?;
        last = (results.get("probabilities").as_f32().to_vec(), results.scalar("loss"));
    }
    Ok(last)
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n\nseed    loss   p(0,0)  p(0,1)  p(1,0)  p(1,1)", device.reason());
    let (mut solved, mut failed) = (0, Vec::new());
    for seed in 0..SEEDS {
        let (p, loss) = learn(&device, seed)?;
        let right = p.iter().zip(TARGETS).filter(|(p, t)| (**p > 0.5) == (*t > 0.5)).count();
        let row: Vec<String> = p.iter().map(|p| format!("{p:.3}")).collect();
        println!("{seed:>4}  {loss:.4}    {}   {right} of 4 right", row.join("   "));
        if right == 4 {
            solved += 1;
        } else {
            failed.push(seed);
        }
    }
    println!("\n{solved} of {SEEDS} seeds learn XOR; these do not: {failed:?}");
    assert!(solved * 2 > SEEDS, "most seeds should learn it");
    Ok(())
}

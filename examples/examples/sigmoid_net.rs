//! A 2-10-1 network of sigmoids learns a ring: 1,000 epochs, and its output as a map.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::prelude::*;
use wgrad_examples::Random;

const POINTS: usize = 400;
const EPOCHS: u64 = 1000;
/// Rows and columns of the map.
const MAP: (usize, usize) = (20, 40);

/// True of points in the ring.
fn inside(x: f32, y: f32) -> bool {
    (0.4..0.8).contains(&x.hypot(y))
}

/// Probabilities `[n, 1]` of points `[n, 2]`.
fn network(net: &Net, x: &Tensor) -> Tensor {
    let hidden = net.linear("fc1", x, 10).sigmoid();
    net.linear("fc2", &hidden, 1).sigmoid()
}

fn main() -> wgrad::Result<()> {
    let mut random = Random::new(5);
    let points: Vec<f32> = (0..2 * POINTS).map(|_| random.between(-1.0, 1.0) as f32).collect();
    let labels: Vec<f32> = points.chunks(2).map(|p| f32::from(u8::from(inside(p[0], p[1])))).collect();

    let net = Net::new(Mode::Train);
    let x = net.input("x", Type::f32(&[POINTS, 2]));
    let y = net.input("y", Type::f32(&[POINTS, 1]));
    let probabilities = network(&net, &x);
    let loss = probabilities.bce_loss(&y);
    let right = probabilities.gt(&probabilities.full_like(0.5)).to_f32().eq(&y).to_f32();
    net.output("accuracy", &right.mean_all());

    let device = Device::auto()?;
    println!("{}\n\nepoch    loss  accuracy", device.reason());
    let options = TrainerOptions::default().seed(1);
    let mut trainer = net.trainer_with(&loss, Optimizer::adam(), &device, options)?;
    let (x, y) = (HostTensor::f32(&[POINTS, 2], &points), HostTensor::f32(&[POINTS, 1], &labels));
    let mut accuracy = 0.0;
    for epoch in 1..=EPOCHS {
        // A full batch: an epoch is one step.
        let results = trainer.step([("x", &x), ("y", &y)], 0.05)?;
        accuracy = results.scalar("accuracy");
        if epoch.is_multiple_of(100) || epoch == 1 {
            println!("{epoch:>5}  {:.4}  {:>6.1} %", results.scalar("loss"), accuracy * 100.0);
        }
    }

    // Another graph over the same weights: every point of a grid.
    let cells = MAP.0 * MAP.1;
    let grid: Vec<f32> = (0..cells)
        .flat_map(|i| {
            let along = |k: usize, n: usize| 2.0 * (k as f32 + 0.5) / n as f32 - 1.0;
            [along(i % MAP.1, MAP.1), along(i / MAP.1, MAP.0)]
        })
        .collect();
    let net = Net::new(Mode::Eval);
    let x = net.input("x", Type::f32(&[cells, 2]));
    net.output("p", &network(&net, &x));
    let mut map = trainer.evaluator(&net.graph())?;
    let results = map.run([("x", &HostTensor::f32(&[cells, 2], &grid))])?;
    println!("\nprobability of the ring, from . (none) to # (certain)");
    for row in results.get("p").as_f32().chunks(MAP.1) {
        let shade = |p: &f32| b".:-=+*%#"[((p * 8.0) as usize).min(7)] as char;
        println!("{}", row.iter().map(shade).collect::<String>());
    }
    assert!(accuracy > 0.9, "the ring is not learned: accuracy {accuracy}");
    Ok(())
}

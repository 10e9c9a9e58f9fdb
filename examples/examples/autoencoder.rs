//! An autoencoder on Fashion-MNIST with a code of thirty numbers, and a sheet of pictures beside their reconstructions.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::data::Split;
use wgrad::models::Autoencoder;
use wgrad::prelude::*;
use wgrad_examples::{BATCH, Images, Random, picture_dir, quick, sheet};

const SIDE: usize = 28;
/// Pictures on the sheet, each above its reconstruction.
const SHOWN: usize = 16;

/// Reconstruction loss (mean squared error) of a batch `x`; the output `made` has the reconstructions.
fn through(net: &Net) -> Tensor {
    let x = net.input("x", Type::f32(&[BATCH, 1, SIDE, SIDE]));
    let made = Autoencoder::default().build(net, &x);
    let loss = made.mse_loss(&x);
    net.output("made", &made);
    net.output("loss", &loss);
    loss
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let (train, test) = (Images::fashion(Split::Train, SIDE)?, Images::fashion(Split::Test, SIDE)?);
    let net = Net::new(Mode::Train);
    let loss = through(&net);
    let mut trainer = net.trainer(&loss, Optimizer::adam(), &device)?;
    let net = Net::new(Mode::Eval);
    through(&net);
    let mut evaluator = trainer.evaluator(&net.graph())?;

    // Baseline: the mean picture misses the pictures' variance. A good code misses far less.
    let size = SIDE * SIDE;
    let mean = |at: usize| test.pixels.iter().skip(at).step_by(size).sum::<f32>() / test.len() as f32;
    let means: Vec<f32> = (0..size).map(mean).collect();
    let missed = |(i, v): (usize, &f32)| (v - means[i % size]).powi(2);
    let variance = test.pixels.iter().enumerate().map(missed).sum::<f32>() / test.pixels.len() as f32;
    println!("grey levels from -1 to 1; the mean picture is off by {variance:.4} in the mean square\n");

    let (epochs, steps) = if quick() { (1, 5) } else { (8, train.len() / BATCH) };
    let (mut random, mut made, mut off) = (Random::new(1), Vec::new(), 0.0);
    println!("epoch  test pictures are off by");
    for epoch in 1..=epochs {
        let order = random.order(train.len());
        for i in 0..steps {
            let (x, _) = train.pick(&order[i * BATCH..(i + 1) * BATCH]).tensors();
            trainer.step([("x", &x)], 1e-3)?;
        }
        (off, made) = (0.0, Vec::new());
        let batches = test.len() / BATCH;
        for i in 0..batches {
            let (x, _) = test.pick(&(i * BATCH..(i + 1) * BATCH).collect::<Vec<_>>()).tensors();
            let results = evaluator.run([("x", &x)])?;
            off += results.scalar("loss") / batches as f32;
            made.extend_from_slice(results.get("made").as_f32());
        }
        println!("{epoch:>5}  {off:.4}");
    }

    let pictures = (0..SHOWN).map(|i| test.picture(i));
    let tiles: Vec<&[f32]> = pictures.chain(made.chunks(size).take(SHOWN)).collect();
    let path = picture_dir()?.join("autoencoder.png");
    sheet(&path, &tiles, SHOWN, 2)?;
    println!("\n{}: pictures above, what thirty numbers keep of them below", path.display());
    assert!(quick() || off < 0.3 * variance, "the code keeps too little");
    Ok(())
}

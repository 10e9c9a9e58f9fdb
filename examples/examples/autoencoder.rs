//! Pictures through thirty numbers and back: an autoencoder on Fashion-MNIST, and a sheet that shows what survives.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use anyhow::Context as _;
use wgrad::data::Split;
use wgrad::models::Autoencoder;
use wgrad::prelude::*;
use wgrad_examples::{BATCH, Images, Random, picture_dir, quick, sheet};

const SIDE: usize = 28;
/// Pictures on the sheet, above what the network makes of them.
const SHOWN: usize = 16;

/// What the network makes of pictures, and how far off it is: the mean squared difference.
fn through(net: &Net) -> Tensor {
    let x = net.input("x", Type::f32(&[BATCH, 1, SIDE, SIDE]));
    let made = Autoencoder::default().build(net, &x);
    let loss = made.mse_loss(&x);
    net.builder().output("made", &made);
    net.builder().output("loss", &loss);
    loss
}

fn main() -> anyhow::Result<()> {
    let (device, choice) = Device::open(&"auto".parse()?)?;
    println!("{}\n", choice.reason);
    let (train, test) = (Images::fashion(Split::Train, SIDE)?, Images::fashion(Split::Test, SIDE)?);
    let net = Net::new(Mode::Train);
    let loss = through(&net);
    let adam = Optimizer::adam();
    let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
    adam.minimise(&loss, &weights)?;
    let (mut session, mut training) = Session::new(&device, &net.builder().graph(), &net.initial(0), 0)?;
    let net = Net::new(Mode::Eval);
    through(&net);
    let mut evaluation = session.runner(&net.builder().graph())?;

    // What the mean picture would miss: the pictures' variance. A good code misses far less.
    let size = SIDE * SIDE;
    let mean = |at: usize| test.pixels.iter().skip(at).step_by(size).sum::<f32>() / test.len() as f32;
    let means: Vec<f32> = (0..size).map(mean).collect();
    let missed = |(i, v): (usize, &f32)| (v - means[i % size]).powi(2);
    let variance = test.pixels.iter().enumerate().map(missed).sum::<f32>() / test.pixels.len() as f32;
    println!("grey levels from -1 to 1; the mean picture is off by {variance:.4} in the mean square\n");

    let (epochs, steps) = if quick() { (1, 5) } else { (8, train.len() / BATCH) };
    let (mut random, mut t, mut made, mut off) = (Random::new(1), 0, Vec::new(), 0.0);
    println!("epoch  test pictures are off by");
    for epoch in 1..=epochs {
        let order = random.order(train.len());
        for i in 0..steps {
            let (x, _) = train.pick(&order[i * BATCH..(i + 1) * BATCH]).tensors();
            t += 1;
            training.step(&mut session, t, &[("x", &x)], &adam.scalars(t, 1e-3))?;
            training.wait()?.context("a step was submitted")?;
        }
        (off, made) = (0.0, Vec::new());
        let batches = test.len() / BATCH;
        for i in 0..batches {
            let (x, _) = test.pick(&(i * BATCH..(i + 1) * BATCH).collect::<Vec<_>>()).tensors();
            evaluation.step(&mut session, 0, &[("x", &x)], &[])?;
            let results = evaluation.wait()?.context("a step was submitted")?;
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
    anyhow::ensure!(quick() || off < 0.3 * variance, "the code keeps too little");
    Ok(())
}

//! Two networks against each other (Goodfellow et al., 2014): one makes clothing from noise, the other tells it from the
//! pictures of Fashion-MNIST. The networks are DCGAN's; the result is a sheet of samples as PNG.
//!
//! A player is a graph, a plan and an optimizer of its own; both plans run over the same tensors. The discriminator's plan
//! makes pictures with the generator's weights but moves only its own, and the other way round.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use anyhow::Context as _;
use wgrad::data::Split;
use wgrad::models::DcGan;
use wgrad::prelude::*;
use wgrad_examples::{BATCH, Images, Random, picture_dir, quick, sheet};

const PLAYERS: DcGan = DcGan { noise: 32, channels: 1, side: 32, width: 16 };
const LR: f64 = 1e-3;
/// Pictures on the sheet.
const SHOWN: usize = 48;

/// Adam as the paper sets it: less momentum, since the other player changes what is best.
fn adam() -> Optimizer {
    Optimizer::new(OptimizerKind::Adam { betas: (0.5, 0.999), eps: 1e-8, amsgrad: false })
}

/// Adds a player's updates to its graph.
fn minimised(net: &Net, loss: &Tensor, player: &str) -> anyhow::Result<Graph> {
    net.builder().output("loss", loss);
    let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
    let own: Vec<_> = weights.into_iter().filter(|w| w.0.starts_with(player)).collect();
    adam().minimise(loss, &own)?;
    Ok(net.builder().graph())
}

/// Pictures that the generator makes of the noise of one step.
fn samples(session: &mut Session, maker: &mut Runner) -> anyhow::Result<Vec<f32>> {
    maker.step(session, 0, &[], &[])?;
    Ok(maker.wait()?.context("a step was submitted")?.get("pictures").as_f32().to_vec())
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

fn main() -> anyhow::Result<()> {
    let (device, choice) = Device::open(&"auto".parse()?)?;
    println!("{}\n", choice.reason);
    let images = Images::fashion(Split::Train, PLAYERS.side)?;

    let net = Net::new(Mode::Train);
    let real = net.input("real", Type::f32(&[BATCH, 1, PLAYERS.side, PLAYERS.side]));
    let loss = PLAYERS.discriminator_loss(&net, &real)?;
    let (discriminating, initial) = (minimised(&net, &loss, "discriminator.")?, net.initial(0));
    let net = Net::new(Mode::Train);
    let loss = PLAYERS.generator_loss(&net, BATCH)?;
    let generating = minimised(&net, &loss, "generator.")?;
    let (mut session, mut players) = Session::over(&device, &[&discriminating, &generating], &initial, 0)?;

    let net = Net::new(Mode::Eval);
    net.builder().output("pictures", &PLAYERS.generator(&net, &PLAYERS.draw(&net, SHOWN))?);
    let mut maker = session.runner(&net.builder().graph())?;

    let (epochs, steps) = if quick() { (1, 3) } else { (4, images.len() / BATCH) };
    let (mut random, mut t) = (Random::new(1), 0);
    println!("epoch  discriminator loss  generator loss");
    for epoch in 1..=epochs {
        let (order, mut losses) = (random.order(images.len()), [0.0; 2]);
        for i in 0..steps {
            let (real, _) = images.pick(&order[i * BATCH..(i + 1) * BATCH]).tensors();
            t += 1;
            let inputs: [&[(&str, &HostTensor)]; 2] = [&[("real", &real)], &[]];
            for ((player, inputs), sum) in players.iter_mut().zip(inputs).zip(&mut losses) {
                player.step(&mut session, t, inputs, &adam().scalars(t, LR))?;
                *sum += player.wait()?.context("a step was submitted")?.scalar("loss") / steps as f32;
            }
        }
        println!("{epoch:>5}  {:>18.3}  {:>14.3}", losses[0], losses[1]);
        anyhow::ensure!(losses.iter().all(|l| l.is_finite()), "a player left the numbers");
    }

    let pictures = samples(&mut session, &mut maker)?;
    let tiles: Vec<&[f32]> = pictures.chunks(PLAYERS.side * PLAYERS.side).collect();
    let path = picture_dir()?.join("gan.png");
    sheet(&path, &tiles, 12, 2)?;
    let (made, real) = (mean(&pictures), mean(&images.pixels));
    println!("\nmean grey level (-1 to 1): {made:.2} of the samples, {real:.2} of the pictures");
    println!("{}: {SHOWN} samples", path.display());
    anyhow::ensure!(quick() || (made - real).abs() < 0.3, "the samples look like nothing");
    Ok(())
}

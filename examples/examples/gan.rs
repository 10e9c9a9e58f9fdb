//! A generative adversarial network (Goodfellow et al., 2014): the generator makes clothing from noise, the discriminator
//! separates it from the pictures of Fashion-MNIST. The networks are DCGAN's; the result is a sheet of samples as PNG.
//!
//! Each player is a graph, a plan and an optimizer of its own over the same tensors, so the example uses the level below
//! `Trainer`: `Session::over` and a `Runner` per player. The discriminator's plan makes pictures with the generator's
//! weights but updates only its own, and the other way round.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::data::Split;
use wgrad::models::DcGan;
use wgrad::prelude::*;
use wgrad_examples::{BATCH, Images, Random, picture_dir, quick, sheet};

const PLAYERS: DcGan = DcGan { noise: 32, channels: 1, side: 32, width: 16 };
const LR: f64 = 1e-3;
/// Pictures on the sheet.
const SHOWN: usize = 48;

/// Adam as the paper sets it: less momentum, for a target that the other player moves.
fn adam() -> Optimizer {
    Optimizer::new(OptimizerKind::Adam { betas: (0.5, 0.999), eps: 1e-8, amsgrad: false })
}

/// Adds a player's updates to its graph.
fn minimised(net: &Net, loss: &Tensor, player: &str) -> wgrad::Result<Graph> {
    net.output("loss", loss);
    let own: Vec<_> = net.named_weights().into_iter().filter(|w| w.0.starts_with(player)).collect();
    adam().minimise(loss, &own)?;
    Ok(net.graph())
}

/// Outputs of one step of a plan.
fn run(
    session: &mut Session,
    runner: &mut Runner,
    step: u64,
    inputs: &[(&str, &HostTensor)],
    scalars: &[(&str, f32)],
) -> wgrad::Result<Outputs> {
    runner.step(session, step, inputs, scalars)?;
    Ok(runner.wait()?.expect("a step was submitted"))
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
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
    net.output("pictures", &PLAYERS.generator(&net, &PLAYERS.draw(&net, SHOWN))?);
    let mut maker = session.runner(&net.graph())?;

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
                let outputs = run(&mut session, player, t, inputs, &adam().scalars(t, LR))?;
                *sum += outputs.scalar("loss") / steps as f32;
            }
        }
        println!("{epoch:>5}  {:>18.3}  {:>14.3}", losses[0], losses[1]);
        assert!(losses.iter().all(|l| l.is_finite()), "a player left the numbers");
    }

    let outputs = run(&mut session, &mut maker, 0, &[], &[])?;
    let pictures = outputs.get("pictures").as_f32();
    let tiles: Vec<&[f32]> = pictures.chunks(PLAYERS.side * PLAYERS.side).collect();
    let path = picture_dir()?.join("gan.png");
    sheet(&path, &tiles, 12, 2)?;
    let (made, real) = (mean(pictures), mean(&images.pixels));
    println!("\nmean grey level (-1 to 1): {made:.2} of the samples, {real:.2} of the pictures");
    println!("{}: {SHOWN} samples", path.display());
    assert!(quick() || (made - real).abs() < 0.3, "the samples look like nothing");
    Ok(())
}

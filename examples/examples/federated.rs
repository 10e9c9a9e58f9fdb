//! Federated averaging (McMahan et al., 2017): clients keep their pictures to themselves and share only weights.
//!
//! Five clients have unequal numbers of pictures, mostly of two classes each. In every round each trains on its own, from
//! the common weights; the next common weights are the mean of theirs, by number of pictures. Together the clients learn
//! more than any of them alone.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::data::Split;
use wgrad::models::LeNet;
use wgrad::prelude::*;
use wgrad::session::Tensors;
use wgrad_examples::{Classifier, Images, Random, quick};

const SIDE: usize = 32;
const LR: f64 = 2e-3;
/// Pictures of each client.
const SIZES: [usize; 5] = [150, 300, 450, 600, 900];
/// Share of its own two classes among a client's pictures.
const OWN: f64 = 0.7;

fn client(device: &Device) -> wgrad::Result<Classifier> {
    let build = |net: &Net, x: &Tensor| LeNet { classes: 10, width: 1.0 }.build(net, x);
    Classifier::new(device, SIDE, build, |_| true, 0)
}

/// Pictures for each client: most of its own two classes, the rest of any; no picture twice.
fn shares(all: &Images, random: &mut Random) -> Vec<Images> {
    let mut left = random.order(all.len());
    let mut share = |(k, &size): (usize, &usize)| {
        let own = |i: usize| all.labels[i] as usize / 2 == k;
        let mut mine: Vec<usize> =
            left.iter().copied().filter(|&i| own(i)).take((size as f64 * OWN) as usize).collect();
        let rest = size - mine.len();
        mine.extend(left.iter().copied().filter(|i| !mine.contains(i)).take(rest).collect::<Vec<_>>());
        left.retain(|i| !mine.contains(i));
        all.pick(&mine)
    };
    SIZES.iter().enumerate().map(&mut share).collect()
}

/// The mean of the clients' weights, each counting as often as it has pictures.
fn averaged(weights: &[Tensors]) -> Tensors {
    let total: usize = SIZES.iter().sum();
    let mean = |(i, weight): (usize, &NamedTensor)| {
        let mut sum = vec![0.0f32; weight.value.ty.numel()];
        for (client, size) in weights.iter().zip(SIZES) {
            let share = size as f32 / total as f32;
            sum.iter_mut().zip(client[i].value.as_f32()).for_each(|(s, w)| *s += share * w);
        }
        NamedTensor { value: HostTensor::f32(&weight.value.ty.shape, &sum), ..weight.clone() }
    };
    weights[0].iter().enumerate().map(mean).collect()
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let (train, test) = (Images::fashion(Split::Train, SIDE)?, Images::fashion(Split::Test, SIDE)?);
    let mut random = Random::new(6);
    let data = shares(&train, &mut random);
    println!("client  pictures  of each class");
    for (k, images) in data.iter().enumerate() {
        let count = |class: i32| images.labels.iter().filter(|&&l| l == class).count();
        let row: String = (0..10).map(|class| format!("{:>5}", count(class))).collect();
        println!("{k:>6}  {:>8}  {row}", images.len());
    }

    let rounds = if quick() { 2 } else { 12 };
    let mut clients: Vec<Classifier> = SIZES.iter().map(|_| client(&device)).collect::<wgrad::Result<_>>()?;
    let (mut common, mut judge, mut together) = (clients[0].weights()?, client(&device)?, 0.0);
    println!("\nround  test accuracy of the common weights");
    for round in 1..=rounds {
        let mut weights = Vec::new();
        for (client, images) in clients.iter_mut().zip(&data) {
            client.set_weights(&common)?;
            client.epoch(images, &mut random, LR)?;
            weights.push(client.weights()?);
        }
        common = averaged(&weights);
        judge.set_weights(&common)?;
        together = judge.accuracy(&test)?;
        println!("{round:>5}  {:>5.1} %", together * 100.0);
    }

    println!("\neach client alone, as many epochs");
    let mut best = 0.0f64;
    for (k, images) in data.iter().enumerate() {
        let mut alone = client(&device)?;
        for _ in 0..rounds {
            alone.epoch(images, &mut random, LR)?;
        }
        let accuracy = alone.accuracy(&test)?;
        println!("{k:>5}  {:>5.1} %", accuracy * 100.0);
        best = best.max(accuracy);
    }
    assert!(quick() || together > best, "together they should learn more than the best alone");
    Ok(())
}

//! Saliency maps: the gradient of a class's logit with respect to the picture (Simonyan et al., 2014), and the filters of
//! the first layer, as PNG files.
//!
//! A test of the maps: accuracy with the most salient pixels painted black, against as many random ones.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::data::Split;
use wgrad::models::LeNet;
use wgrad::prelude::*;
use wgrad_examples::{BATCH, Classifier, Images, Random, blended, picture_dir, quick, sheet};

const SIDE: usize = 32;
/// Share of a picture's pixels painted black.
const PAINTED: f64 = 0.1;

fn network(net: &Net, x: &Tensor) -> Tensor {
    LeNet { classes: 10, width: 1.0 }.build(net, x)
}

/// Saliency of each pixel: magnitude of the gradient of its picture's logit.
fn saliency(maps_of: &mut Evaluator, images: &Images) -> wgrad::Result<Vec<f32>> {
    let mut maps = Vec::new();
    for i in 0..images.len() / BATCH {
        let (x, y) = images.pick(&(i * BATCH..(i + 1) * BATCH).collect::<Vec<_>>()).tensors();
        maps.extend(maps_of.run([("x", &x), ("y", &y)])?.get("map").as_f32());
    }
    Ok(maps)
}

/// The pictures with the first pixels of each one's order painted black.
fn painted(images: &Images, mut order: impl FnMut(usize) -> Vec<usize>) -> Images {
    let (mut images, size) = (images.clone(), SIDE * SIDE);
    for i in 0..images.len() {
        for &pixel in order(i).iter().take((size as f64 * PAINTED) as usize) {
            images.pixels[i * size + pixel] = -1.0;
        }
    }
    images
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let (mut train, test) = (Images::fashion(Split::Train, SIDE)?, Images::fashion(Split::Test, SIDE)?);
    let (mut epochs, size) = (6, SIDE * SIDE);
    if quick() {
        (train, epochs) = (train.first_of_each_class(100), 2);
    }
    let mut model = Classifier::new(&device, SIDE, network, |_| true, 0)?;
    let mut random = Random::new(1);
    for _ in 0..epochs {
        model.epoch(&train, &mut random, 2e-3)?;
    }

    // A graph of its own: one row of logits is one picture's, so the gradient of their sum keeps pictures apart.
    let net = Net::new(Mode::Eval);
    let x = net.input("x", Type::f32(&[BATCH, 1, SIDE, SIDE]));
    let y = net.input("y", Type::i32(&[BATCH]));
    let told = network(&net, &x).gather(1, &y.reshape(&[BATCH, 1])).sum_all();
    net.output("told", &told);
    let gradient = differentiate(&told, std::slice::from_ref(&x))?.remove(0);
    net.output("map", &gradient.abs());
    let maps = saliency(&mut model.evaluator(&net.graph())?, &test)?;

    let by_map = |i: usize| {
        let map = &maps[i * size..(i + 1) * size];
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| map[b].total_cmp(&map[a]));
        order
    };
    let at_random = |_| random.order(size);
    println!("test accuracy");
    let (plain, elsewhere, there) = (
        model.accuracy(&test)?,
        model.accuracy(&painted(&test, at_random))?,
        model.accuracy(&painted(&test, by_map))?,
    );
    println!("  untouched                                {:>5.1} %", plain * 100.0);
    println!("  a tenth of the pixels black, at random   {:>5.1} %", elsewhere * 100.0);
    println!("  a tenth black, where the map is largest  {:>5.1} %\n", there * 100.0);

    let dir = picture_dir()?;
    let mut tiles = Vec::new();
    for class in 0..10 {
        let i = test.labels.iter().position(|&l| l == class).expect("a picture of every class");
        let (picture, map) = (test.picture(i), &maps[i * size..(i + 1) * size]);
        tiles.extend([picture.to_vec(), map.to_vec(), blended(picture, map)]);
    }
    let (path, tiles) = (dir.join("saliency.png"), tiles.iter().map(Vec::as_slice).collect::<Vec<_>>());
    sheet(&path, &tiles, 6, 3)?;
    println!("{}: pictures, their maps, and both", path.display());
    let weights = model.weights()?;
    let filters = weights.iter().find(|w| w.name == "conv1.weight").expect("a first layer").value.as_f32();
    let (path, tiles) = (dir.join("filters.png"), filters.chunks(25).collect::<Vec<_>>());
    sheet(&path, &tiles, 6, 16)?;
    println!("{}: the {} filters of the first layer", path.display(), tiles.len());
    assert!(there < elsewhere, "the map should point at the pixels that count");
    Ok(())
}

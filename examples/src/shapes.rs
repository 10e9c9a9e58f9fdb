//! A folder of small coloured pictures in four classes, for programs started without one.

use crate::Random;
use crate::png::refused;
use image::{Rgb, RgbImage};
use std::path::Path;
use wgrad::Result;

/// Class and membership of a point, measured from the middle in units of the radius.
type Shape = (&'static str, fn(f64, f64) -> bool);

const SHAPES: [Shape; 4] = [
    ("cross", |x, y| x.abs().max(y.abs()) < 1.0 && x.abs().min(y.abs()) < 0.3),
    ("disc", |x, y| x.hypot(y) < 1.0),
    ("ring", |x, y| (0.6..1.0).contains(&x.hypot(y))),
    ("square", |x, y| x.abs().max(y.abs()) < 0.9),
];

/// Writes `dir/train` and `dir/test` with one folder per class: `per_class` pictures of each for training and a third as
/// many for testing, `side` pixels square, bright shapes of any size and place on dark noise.
///
/// # Errors
/// If the disk refuses.
pub fn write_shapes(dir: &Path, side: u32, per_class: usize) -> Result<()> {
    let mut random = Random::new(11);
    for (class, inside) in SHAPES {
        for (split, count) in [("train", per_class), ("test", per_class.div_ceil(3))] {
            let folder = dir.join(split).join(class);
            std::fs::create_dir_all(&folder).map_err(|e| refused(&folder, &e))?;
            for i in 0..count {
                let path = folder.join(format!("{i}.png"));
                let picture = drawn(side, inside, &mut random);
                picture.save(&path).map_err(|e| refused(&path, &e))?;
            }
        }
    }
    Ok(())
}

fn drawn(side: u32, inside: fn(f64, f64) -> bool, random: &mut Random) -> RgbImage {
    let n = f64::from(side);
    let radius = random.between(0.25, 0.4) * n;
    let mut middle = || random.between(radius, n - radius);
    let (x0, y0) = (middle(), middle());
    let mut colour = |low, high| [(); 3].map(|()| random.between(low, high));
    let (front, back) = (colour(130.0, 255.0), colour(0.0, 90.0));
    RgbImage::from_fn(side, side, |x, y| {
        let at = inside((f64::from(x) - x0) / radius, (f64::from(y) - y0) / radius);
        let noise = random.between(-30.0, 30.0);
        Rgb((if at { front } else { back }).map(|level| (level + noise).clamp(0.0, 255.0) as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_pictures_of_both_splits() {
        let dir = std::env::temp_dir().join(format!("wgrad-shapes-{}", std::process::id()));
        write_shapes(&dir, 20, 4).expect("written");
        let spec = format!("folder:{}", dir.display());
        let dataset = wgrad::data::open(&spec, &wgrad::data::SourceOptions::default());
        std::fs::remove_dir_all(&dir).expect("removed");
        let dataset = dataset.expect("a folder of images");
        assert_eq!(dataset.classes, ["cross", "disc", "ring", "square"]);
        assert_eq!((dataset.train.len(), dataset.test.len()), (16, 8));
        assert_eq!((dataset.channels, dataset.image_size), (3, Some((20, 20))));
    }
}

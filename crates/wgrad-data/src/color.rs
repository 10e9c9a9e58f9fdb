//! Colour jitter: brightness, contrast, saturation and hue as torchvision's `ColorJitter`, in random order.
//!
//! Works on bytes and rounds after each step. A grey image has no saturation and no hue to change.

use crate::decode::{Image, luma};
use crate::random::Stream;

/// Range of each property: factors in `[1 - x, 1 + x]`, hue in `[-x, x]` turns.
#[derive(Clone, Copy)]
pub(crate) struct Jitter {
    pub(crate) brightness: f32,
    pub(crate) contrast: f32,
    pub(crate) saturation: f32,
    pub(crate) hue: f32,
}

pub(crate) fn jitter(image: &mut Image, by: Jitter, stream: &mut Stream) {
    let mut order = [0, 1, 2, 3];
    stream.shuffle(&mut order);
    let mut factor = |x: f32| stream.between((1.0 - x).max(0.0), 1.0 + x);
    let factors = [factor(by.brightness), factor(by.contrast), factor(by.saturation)];
    let turn = stream.between(-by.hue, by.hue);
    for step in order {
        match step {
            0 if by.brightness > 0.0 => brightness(image, factors[0]),
            1 if by.contrast > 0.0 => contrast(image, factors[1]),
            2 if by.saturation > 0.0 => saturation(image, factors[2]),
            3 if by.hue > 0.0 => hue(image, turn),
            _ => {}
        }
    }
}

/// `base + factor * (value - base)`: factor 0 gives the base, 1 the value, more exaggerates.
fn blend(base: f32, value: u8, factor: f32) -> u8 {
    // The cast saturates.
    (base + factor * (f32::from(value) - base) + 0.5) as u8
}

fn brightness(image: &mut Image, factor: f32) {
    image.data.iter_mut().for_each(|v| *v = blend(0.0, *v, factor));
}

fn contrast(image: &mut Image, factor: f32) {
    let sum: u64 = match image.channels {
        1 => image.data.iter().map(|&v| u64::from(v)).sum(),
        _ => image.data.as_chunks().0.iter().map(|&rgb| u64::from(luma(rgb))).sum(),
    };
    let n_pixels = (image.width * image.height).max(1);
    let mean = (sum as f64 / n_pixels as f64).round() as f32;
    image.data.iter_mut().for_each(|v| *v = blend(mean, *v, factor));
}

fn saturation(image: &mut Image, factor: f32) {
    if image.channels == 3 {
        for rgb in image.data.as_chunks_mut::<3>().0 {
            let grey = f32::from(luma(*rgb));
            *rgb = rgb.map(|v| blend(grey, v, factor));
        }
    }
}

/// Turns the hue of every pixel by `turn` (1 = the full circle), leaving the HSV saturation and value alone.
fn hue(image: &mut Image, turn: f32) {
    if image.channels == 3 {
        for rgb in image.data.as_chunks_mut::<3>().0 {
            *rgb = turn_hue(*rgb, turn);
        }
    }
}

fn turn_hue(rgb: [u8; 3], turn: f32) -> [u8; 3] {
    let [r, g, b] = rgb.map(f32::from);
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let chroma = max - min;
    if chroma == 0.0 {
        return rgb;
    }
    let sextant = if max == r {
        (g - b) / chroma
    } else if max == g {
        (b - r) / chroma + 2.0
    } else {
        (r - g) / chroma + 4.0
    };
    let h = sextant + 6.0 * turn;
    // The distance from each primary's peak on the circle of six decides how much of the chroma it gets.
    [5.0_f32, 3.0, 1.0].map(|phase| {
        let k = (phase + h).rem_euclid(6.0);
        (max - chroma * k.min(4.0 - k).clamp(0.0, 1.0)).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(rgb: [u8; 3]) -> Image {
        Image { width: 1, height: 1, channels: 3, data: rgb.to_vec() }
    }

    #[test]
    fn hue_shift_follows_colour_circle() {
        assert_eq!(turn_hue([255, 0, 0], 1.0 / 3.0), [0, 255, 0]);
        assert_eq!(turn_hue([255, 0, 0], -1.0 / 3.0), [0, 0, 255]);
        assert_eq!(turn_hue([200, 100, 50], 0.5), [50, 150, 200]);
        assert_eq!(turn_hue([12, 200, 77], 0.0), [12, 200, 77]);
        assert_eq!(turn_hue([90, 90, 90], 0.4), [90, 90, 90]);
    }

    #[test]
    fn color_factors_move_away_from_base() {
        let mut image = pixel([100, 200, 0]);
        brightness(&mut image, 1.5);
        assert_eq!(image.data, [150, 255, 0]);

        let mut image = pixel([100, 200, 0]);
        saturation(&mut image, 0.0);
        assert_eq!(image.data, [147; 3]);

        let mut image = Image { width: 2, height: 1, channels: 1, data: vec![100, 200] };
        contrast(&mut image, 0.5);
        assert_eq!(image.data, [125, 175]);
    }

    #[test]
    fn color_jitter_zero_changes_nothing() {
        let mut image = pixel([13, 14, 250]);
        let none = Jitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0 };
        jitter(&mut image, none, &mut Stream::new(crate::random::Purpose::Augment, 1, 2, 3));
        assert_eq!(image, pixel([13, 14, 250]));
    }
}

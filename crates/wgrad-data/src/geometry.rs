//! Moving pixels: padded crops, mirror, rotation, and torchvision's choice of a random region.
//!
//! Values change by interpolation only; pixels outside the image are black, before normalisation.

use crate::decode::Image;
use crate::random::Stream;
use crate::resample::Region;

/// The `width` x `height` window with its top left corner at (`left`, `top`); both may be negative.
pub(crate) fn crop(image: &Image, left: isize, top: isize, width: usize, height: usize) -> Image {
    let mut out = Image::black(width, height, image.channels);
    let first = left.clamp(0, image.width as isize);
    let last = (left + width as isize).clamp(first, image.width as isize);
    let bytes = (last - first) as usize * image.channels;
    for y in 0..height {
        let source_y = top + y as isize;
        if bytes == 0 || source_y < 0 || source_y >= image.height as isize {
            continue;
        }
        let from = (source_y as usize * image.width + first as usize) * image.channels;
        let to = (y * width + (first - left) as usize) * image.channels;
        out.data[to..to + bytes].copy_from_slice(&image.data[from..from + bytes]);
    }
    out
}

/// The middle `width` x `height`; smaller images are padded symmetrically (the odd pixel goes last).
pub(crate) fn center(image: &Image, width: usize, height: usize) -> Image {
    let offset = |have: usize, want: usize| {
        if want > have {
            -(((want - have) / 2) as isize)
        } else {
            // torchvision rounds halves to even.
            ((have - want) as f64 / 2.0).round_ties_even() as isize
        }
    };
    crop(image, offset(image.width, width), offset(image.height, height), width, height)
}

/// Left becomes right.
pub(crate) fn mirror(image: &mut Image) {
    for row in image.data.chunks_exact_mut((image.width * image.channels).max(1)) {
        row.reverse();
        for pixel in row.chunks_exact_mut(image.channels) {
            pixel.reverse();
        }
    }
}

/// Turns the picture counter-clockwise about its centre, bilinearly, keeping its size.
pub(crate) fn rotate(image: &Image, degrees: f32) -> Image {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (cx, cy) = ((image.width as f32 - 1.0) / 2.0, (image.height as f32 - 1.0) / 2.0);
    let mut out = Image::black(image.width, image.height, image.channels);
    let at = |x: isize, y: isize, c: usize| -> f32 {
        let inside = x >= 0 && y >= 0 && x < image.width as isize && y < image.height as isize;
        if !inside {
            return 0.0;
        }
        f32::from(image.data[(y as usize * image.width + x as usize) * image.channels + c])
    };
    for (i, pixel) in out.data.chunks_exact_mut(image.channels).enumerate() {
        let (dx, dy) = ((i % image.width) as f32 - cx, (i / image.width) as f32 - cy);
        let (x, y) = (cos * dx - sin * dy + cx, sin * dx + cos * dy + cy);
        let (x0, y0) = (x.floor(), y.floor());
        let (fx, fy) = (x - x0, y - y0);
        let (x0, y0) = (x0 as isize, y0 as isize);
        for (c, byte) in pixel.iter_mut().enumerate() {
            let upper = at(x0, y0, c) * (1.0 - fx) + at(x0 + 1, y0, c) * fx;
            let lower = at(x0, y0 + 1, c) * (1.0 - fx) + at(x0 + 1, y0 + 1, c) * fx;
            *byte = (upper * (1.0 - fy) + lower * fy).round() as u8;
        }
    }
    out
}

/// torchvision's `RandomResizedCrop.get_params`: ten tries, then the largest centred region of an allowed ratio.
pub(crate) fn random_region(
    image: &Image,
    scale: (f32, f32),
    ratio: (f32, f32),
    stream: &mut Stream,
) -> Region {
    let (width, height) = (image.width, image.height);
    let area = (width * height) as f32;
    for _ in 0..10 {
        let target = area * stream.between(scale.0, scale.1);
        let aspect = stream.between(ratio.0.ln(), ratio.1.ln()).exp();
        let w = (target * aspect).sqrt().round() as usize;
        let h = (target / aspect).sqrt().round() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let y = stream.below(height - h + 1);
            let x = stream.below(width - w + 1);
            return Region { x, y, width: w, height: h };
        }
    }
    let own = width as f32 / height as f32;
    let (w, h) = if own < ratio.0 {
        (width, (width as f32 / ratio.0).round() as usize)
    } else if own > ratio.1 {
        ((height as f32 * ratio.1).round() as usize, height)
    } else {
        (width, height)
    };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    Region { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn grey(width: usize, data: &[u8]) -> Image {
        Image { width, height: data.len() / width, channels: 1, data: data.to_vec() }
    }

    #[test]
    fn crop_outside_image_is_black() {
        let image = grey(3, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(crop(&image, 1, 0, 2, 2).data, [2, 3, 5, 6]);
        assert_eq!(crop(&image, -1, -1, 3, 2).data, [0, 0, 0, 0, 1, 2]);
        assert_eq!(crop(&image, 2, 1, 3, 2).data, [6, 0, 0, 0, 0, 0]);
        assert_eq!(crop(&image, 5, 5, 1, 1).data, [0]);
        assert_eq!(crop(&image, -9, 0, 2, 1).data, [0, 0]);
    }

    #[test]
    fn center_crops_or_pads() {
        let image = grey(5, &[1, 2, 3, 4, 5]);
        assert_eq!(center(&image, 3, 1).data, [2, 3, 4]);
        assert_eq!(center(&image, 2, 1).data, [3, 4]);
        assert_eq!(center(&image, 8, 1).data, [0, 1, 2, 3, 4, 5, 0, 0]);
    }

    #[test]
    fn mirror_keeps_channel_order() {
        let mut image = Image { width: 2, height: 2, channels: 3, data: (1..=12).collect() };
        mirror(&mut image);
        assert_eq!(image.data, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
    }

    #[test]
    fn rotation_by_90_is_counter_clockwise() {
        let image = grey(3, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(rotate(&image, 0.0), image);
        assert_eq!(rotate(&image, 90.0).data, [3, 6, 9, 2, 5, 8, 1, 4, 7]);
        // Half a right angle takes the corners out of the picture and brings black in.
        assert!(rotate(&grey(3, &[90; 9]), 45.0).data[0] < 90);
    }

    #[test]
    fn random_region_keeps_scale_and_ratio() {
        let image = Image::black(60, 40, 1);
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..500 {
            let mut stream = Stream::new(Purpose::Augment, 3, 0, index);
            let region = random_region(&image, (0.25, 0.5), (0.75, 4.0 / 3.0), &mut stream);
            let (w, h) = (region.width as f32, region.height as f32);
            assert!(region.x + region.width <= 60 && region.y + region.height <= 40);
            assert!((0.23..0.53).contains(&(w * h / 2400.0)), "{region:?}");
            assert!((0.7..1.43).contains(&(w / h)), "{region:?}");
            seen.insert((region.x, region.y, region.width));
        }
        assert!(seen.len() > 300);
        // No region of the whole area has an allowed ratio, so the widest centred one is taken.
        let ribbon = Image::black(100, 10, 1);
        let mut stream = Stream::new(Purpose::Augment, 3, 0, 0);
        let region = random_region(&ribbon, (1.0, 1.0), (0.5, 2.0), &mut stream);
        assert_eq!(region, Region { x: 40, y: 0, width: 20, height: 10 });
    }
}

//! Antialiased bilinear resizing, bit for bit as PIL does it: two passes of a triangle filter widened by the shrink
//! factor, with 22-bit fixed-point weights.
//!
//! Never samples outside the region it is given, so "crop, then resize" is one call.

use crate::decode::Image;

/// A rectangle of pixels inside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Region {
    pub(crate) fn whole(image: &Image) -> Self {
        Self { x: 0, y: 0, width: image.width, height: image.height }
    }
}

/// `region` of `image`, scaled to `width` x `height`.
pub(crate) fn resize(image: &Image, region: Region, width: usize, height: usize) -> Image {
    match image.channels {
        1 => resize_channels::<1>(image, region, width, height),
        _ => resize_channels::<3>(image, region, width, height),
    }
}

/// Fractional bits of a weight: a sum of weights times 255 still fits an `i32`.
const BITS: u32 = 22;

fn to_byte(sum: i32) -> u8 {
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// The inputs of one output pixel: `weights` apply from `start` on.
struct Taps {
    start: usize,
    weights: Vec<i32>,
}

fn taps(n_in: usize, n_out: usize) -> Vec<Taps> {
    let scale = n_in as f64 / n_out as f64;
    let support = scale.max(1.0);
    (0..n_out)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(n_in);
            let triangle = |x: usize| (1.0 - ((x as f64 - center + 0.5) / support).abs()).max(0.0);
            let total: f64 = (start..end).map(triangle).sum();
            let fixed = |x| (triangle(x) / total * f64::from(1 << BITS) + 0.5) as i32;
            Taps { start, weights: (start..end).map(fixed).collect() }
        })
        .collect()
}

fn resize_channels<const C: usize>(image: &Image, region: Region, width: usize, height: usize) -> Image {
    // Columns first, then rows, each rounded to a byte: the order PIL has.
    let mut narrow = Image::black(width, region.height, C);
    let columns = taps(region.width, width);
    for (y, out_row) in narrow.data.chunks_exact_mut((width * C).max(1)).enumerate() {
        let begin = ((region.y + y) * image.width + region.x) * C;
        let row = &image.data[begin..begin + region.width * C];
        if region.width == width {
            out_row.copy_from_slice(row);
            continue;
        }
        for (out, tap) in out_row.as_chunks_mut::<C>().0.iter_mut().zip(&columns) {
            let mut sum = [0_i32; C];
            for (pixel, &weight) in row.as_chunks::<C>().0[tap.start..].iter().zip(&tap.weights) {
                for c in 0..C {
                    sum[c] += i32::from(pixel[c]) * weight;
                }
            }
            *out = sum.map(to_byte);
        }
    }
    if region.height == height {
        return narrow;
    }
    let mut out = Image::black(width, height, C);
    let stride = width * C;
    let mut sums = vec![0_i32; stride];
    for (out_row, tap) in out.data.chunks_exact_mut(stride.max(1)).zip(taps(region.height, height)) {
        sums.fill(0);
        for (row, &weight) in narrow.data[tap.start * stride..].chunks_exact(stride.max(1)).zip(&tap.weights)
        {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * weight;
            }
        }
        for (byte, &sum) in out_row.iter_mut().zip(&sums) {
            *byte = to_byte(sum);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(channels: usize, value: impl Fn(usize, usize) -> Vec<usize>) -> Image {
        let data = (0..9)
            .flat_map(|y| (0..13).map(move |x| (x, y)))
            .flat_map(|(x, y)| value(x, y).into_iter().map(|v| (v % 256) as u8).collect::<Vec<_>>())
            .collect();
        Image { width: 13, height: 9, channels, data }
    }

    /// The expected numbers are Pillow 13's `resize(…, Image.BILINEAR)` of the same images.
    #[test]
    fn resize_matches_pillow() {
        let grey = image(1, |x, y| vec![x * 37 + y * 91 + x * y * 5]);
        let smaller = [
            104, 114, 127, 128, 141, 117, 122, 137, 141, 130, 108, 135, 149, 144, 116, 119, 118, 139, 121,
            118,
        ];
        assert_eq!(resize(&grey, Region::whole(&grey), 5, 4).data, smaller);

        let region = Region { x: 3, y: 2, width: 7, height: 5 };
        let larger = [
            67, 98, 135, 171, 208, 245, 139, 62, 93, 113, 146, 135, 111, 149, 187, 146, 120, 153, 164, 199,
            132, 40, 81, 121, 153, 186, 222, 70, 107, 114, 113, 156, 199, 144, 109, 147, 56, 95, 141, 169,
            152, 197, 145, 113, 152, 122, 163, 212, 206, 67, 115, 154, 196, 237, 189, 136, 139, 164, 127,
            177, 148, 134, 178, 235, 109, 76, 128, 180, 232, 142, 80, 125,
        ];
        assert_eq!(resize(&grey, region, 9, 8).data, larger);

        let color = image(3, |x, y| vec![x * 37 + y * 91, x * y * 11, x * x + 200 * y]);
        let tiny = [113, 48, 121, 122, 96, 129, 120, 110, 121, 127, 93, 135, 117, 116, 129, 122, 115, 126];
        assert_eq!(resize(&color, Region::whole(&color), 3, 2).data, tiny);
        assert_eq!(color.with_channels(1).data[..8], [0, 11, 23, 34, 46, 58, 70, 6]);
    }

    #[test]
    fn resize_to_same_size_is_identity() {
        let grey = image(1, |x, y| vec![x * 37 + y * 91]);
        assert_eq!(resize(&grey, Region::whole(&grey), 13, 9), grey);
    }
}

//! An image in channels-last layout, so that a tap's products over all channels are a sum over contiguous
//! memory.

use super::Geometry;
use crate::cpu::pack::transpose;

/// Layout of the copy: `[row][column][channel]`, the image from row `top` and column `left` on, zeros around it.
#[derive(Debug)]
pub(super) struct Interleaved {
    pub channels: usize,
    pub rows: usize,
    pub cols: usize,
    pub top: usize,
    pub left: usize,
    /// Height and width of the image; pixels outside are left out.
    pub image: [usize; 2],
}

impl Interleaved {
    /// Copy of the input for a convolution's taps.
    pub(super) fn of_input(g: &Geometry) -> Self {
        let ([sh, sw], [dh, dw]) = (g.spec.stride, g.spec.dilation);
        Self {
            channels: g.c,
            rows: (g.oh.max(1) - 1) * sh + (g.kh - 1) * dh + 1,
            cols: (g.ow.max(1) - 1) * sw + (g.kw - 1) * dw + 1,
            top: g.spec.padding[0],
            left: g.spec.padding[1],
            image: [g.h, g.w],
        }
    }

    /// Offsets of the taps `(r, s)` in such a copy, in that order.
    pub(super) fn taps(&self, g: &Geometry) -> impl Iterator<Item = usize> {
        let [dh, dw] = g.spec.dilation;
        let (row, channels, kw) = (self.row(), self.channels, g.kw);
        (0..g.kh * kw).map(move |t| t / kw * dh * row + t % kw * dw * channels)
    }

    /// Elements per row.
    pub(super) fn row(&self) -> usize {
        self.cols * self.channels
    }

    pub(super) fn len(&self) -> usize {
        self.rows * self.row()
    }

    /// Copies an image's planes in.
    pub(super) fn fill(&self, planes: &[f32], to: &mut [f32]) {
        for (i, line) in to[..self.len()].chunks_exact_mut(self.row().max(1)).enumerate() {
            self.fill_row(i, planes, line);
        }
    }

    /// Row `i` of the copy.
    pub(super) fn fill_row(&self, i: usize, planes: &[f32], to: &mut [f32]) {
        let ([h, w], c) = (self.image, self.channels);
        if i < self.top || i - self.top >= h || self.left >= self.cols {
            to.fill(0.0);
            return;
        }
        let n = w.min(self.cols - self.left);
        let (before, rest) = to.split_at_mut(self.left * c);
        let (line, after) = rest.split_at_mut(n * c);
        before.fill(0.0);
        after.fill(0.0);
        let from = |channel: usize| &planes[(channel * h + i - self.top) * w..][..n];
        if c == 3 {
            // Colours, a pixel at a time.
            let colours = from(0).iter().zip(from(1)).zip(from(2));
            for (pixel, ((r, g), b)) in line.as_chunks_mut().0.iter_mut().zip(colours) {
                *pixel = [*r, *g, *b];
            }
            return;
        }
        for first in (0..c / 8 * 8).step_by(8) {
            transpose(&planes[(first * h + i - self.top) * w..], h * w, n, &mut line[first..], c);
        }
        for channel in c / 8 * 8..c {
            for (x, pixel) in from(channel).iter().zip(line[channel..].iter_mut().step_by(c)) {
                *pixel = *x;
            }
        }
    }
}

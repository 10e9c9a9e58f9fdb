//! An image as planes, so that every tap is a constant offset.

use super::Geometry;
use crate::cpu::tile::SLACK;

/// Layout of the copy of one image's channels of one group: `[channel][row phase][column phase][rows][pitch]`.
#[derive(Debug)]
pub(super) struct Planes {
    /// Row phases and column phases with taps.
    phases: [Vec<usize>; 2],
    rows: usize,
    /// Elements between rows.
    pub(super) pitch: usize,
    channels: usize,
}

/// Residues of `0, d, 2d, ..` modulo `stride`, ascending.
fn residues(taps: usize, dilation: usize, stride: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..taps).map(|t| t * dilation % stride).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Planes {
    /// For reading the input.
    pub(super) fn of_input(g: &Geometry) -> Self {
        let ([sh, sw], [dh, dw]) = (g.spec.stride, g.spec.dilation);
        Self {
            phases: [residues(g.kh, dh, sh), residues(g.kw, dw, sw)],
            rows: g.oh + (g.kh - 1) * dh / sh,
            pitch: g.ow + (g.kw - 1) * dw / sw,
            channels: g.c,
        }
    }

    /// Elements per channel.
    pub(super) fn channel(&self) -> usize {
        self.phases[0].len() * self.phases[1].len() * self.rows * self.pitch
    }

    pub(super) fn len(&self) -> usize {
        self.channels * self.channel()
    }

    /// Offsets of the taps `(c, r, s)`, in that order.
    pub(super) fn taps(&self, g: &Geometry) -> Vec<usize> {
        let ([sh, sw], [dh, dw]) = (g.spec.stride, g.spec.dilation);
        let place = |axis: usize, at: usize, stride: usize| {
            let phase = self.phases[axis].iter().position(|&p| p == at % stride);
            (phase.expect("every tap's phase is kept"), at / stride)
        };
        let mut taps = Vec::with_capacity(g.taps());
        for c in 0..g.c {
            for r in 0..g.kh {
                let (a, i) = place(0, r * dh, sh);
                for s in 0..g.kw {
                    let (b, j) = place(1, s * dw, sw);
                    let plane = (c * self.phases[0].len() + a) * self.phases[1].len() + b;
                    taps.push((plane * self.rows + i) * self.pitch + j);
                }
            }
        }
        taps
    }

    /// Copies an image in; `to` has [`Planes::len`] elements and [`SLACK`] zeros after them.
    pub(super) fn fill(&self, g: &Geometry, image: &[f32], to: &mut [f32]) {
        let ([sh, sw], [ph, pw]) = (g.spec.stride, g.spec.padding);
        let (all, slack) = to.split_at_mut(self.len());
        slack[..SLACK].fill(0.0);
        if g.h * g.w == 0 {
            all.fill(0.0);
            return;
        }
        let mut planes = all.chunks_exact_mut(self.rows * self.pitch);
        for channel in image.chunks_exact(g.h * g.w) {
            for &a in &self.phases[0] {
                for &b in &self.phases[1] {
                    let plane = planes.next().expect("a plane a channel and phase");
                    // Columns j with 0 <= j * sw + b - pw < w.
                    let lo = pw.saturating_sub(b).div_ceil(sw).min(self.pitch);
                    let hi = (g.w + pw).saturating_sub(b).div_ceil(sw).clamp(lo, self.pitch);
                    for (i, line) in plane.chunks_exact_mut(self.pitch).enumerate() {
                        let row = i * sh + a;
                        if row < ph || row - ph >= g.h || lo == hi {
                            line.fill(0.0);
                            continue;
                        }
                        line[..lo].fill(0.0);
                        line[hi..].fill(0.0);
                        let from = &channel[(row - ph) * g.w + lo * sw + b - pw..];
                        if sw == 1 {
                            line[lo..hi].copy_from_slice(&from[..hi - lo]);
                        } else {
                            for (v, x) in line[lo..hi].iter_mut().zip(from.iter().step_by(sw)) {
                                *v = *x;
                            }
                        }
                    }
                }
            }
        }
    }
}

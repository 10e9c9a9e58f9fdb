//! Kernels as matrix products: extents, index maps of the operands, and addresses of the results.

use super::index_map::{Digit, Divide, IndexMap, Matrix};
use crate::kernel::{Core, Kernel, Sums};
use wgrad_graph::ops::ConvSpec;
use wgrad_types::{DType, View};

/// Maximum number of phases with products of their own.
const MAX_PHASES: usize = 4;

/// One of a product's operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }
}

/// `out[z, m, n] = sum over k of a[z, m, k] * b[z, n, k]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) batch: usize,
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) a: Matrix,
    pub(super) b: Matrix,
    /// Addresses of row m, column n and batch z of the result, in elements of the output.
    pub(super) out_rows: IndexMap,
    pub(super) out_columns: IndexMap,
    pub(super) out_batch: IndexMap,
    /// Operand with sums over the depth as the kernel's second output, `[z, m]` or `[z, n]`.
    pub(super) sums: Option<Side>,
}

impl Problem {
    /// Product of a kernel's core, if it is one.
    pub(super) fn of(kernel: &Kernel) -> Option<Self> {
        let mut problem = Self::core(kernel)?.widening(kernel);
        let side = |sums: &Sums| if problem.a.operand == sums.operand { Side::A } else { Side::B };
        problem.sums = kernel.sums.as_ref().map(side);
        Some(problem)
    }

    /// Operands of f16 are widened as they are read.
    fn widening(mut self, kernel: &Kernel) -> Self {
        for matrix in [&mut self.a, &mut self.b] {
            matrix.half = kernel.operands[matrix.operand].dtype == DType::F16;
        }
        self
    }

    fn core(kernel: &Kernel) -> Option<Self> {
        match &kernel.core {
            Core::MatMul { a, b } => Some(matmul(a, b)),
            Core::Conv2d(spec) => {
                Some(Conv::of(spec, shape(kernel, 0), shape(kernel, 1), kernel.shape[2..].into()).forward())
            }
            Core::Conv2dInputGrad(spec) => {
                let dy = shape(kernel, 0);
                Some(Conv::of(spec, kernel.shape.clone(), shape(kernel, 1), dy[2..].into()).input_grad())
            }
            Core::Conv2dWeightGrad(spec) => {
                let (x, dy) = (shape(kernel, 0), shape(kernel, 1));
                Some(Conv::of(spec, x, kernel.shape.clone(), dy[2..].into()).weight_grad())
            }
            _ => None,
        }
    }

    /// The gradient of a strided convolution's input as one dense product for every phase of the stride: input
    /// positions of a phase meet only the taps that fall on it, so no tap is tried in vain.
    pub(super) fn phases(kernel: &Kernel) -> Option<Vec<Self>> {
        let Core::Conv2dInputGrad(spec) = &kernel.core else { return None };
        let [sy, sx] = spec.stride;
        if sy * sx == 1 || sy * sx > MAX_PHASES || kernel.shape[2] < sy || kernel.shape[3] < sx {
            return None;
        }
        let dy = shape(kernel, 0);
        let conv = Conv::of(spec, kernel.shape.clone(), shape(kernel, 1), dy[2..].into());
        Some((0..sy * sx).map(|i| conv.input_grad_phase([i / sx, i % sx]).widening(kernel)).collect())
    }

    /// The same product with rows and columns exchanged.
    pub(super) fn exchanged(&self) -> Self {
        Self {
            m: self.n,
            n: self.m,
            a: self.b.clone(),
            b: self.a.clone(),
            out_rows: self.out_columns.clone(),
            out_columns: self.out_rows.clone(),
            sums: self.sums.map(Side::other),
            ..self.clone()
        }
    }

    /// Number of side sums per batch.
    pub(super) fn summed(&self) -> Option<(Side, usize)> {
        self.sums.map(|side| (side, if side == Side::A { self.m } else { self.n }))
    }

    /// True if four neighbouring columns of the result are an aligned quad of the output.
    pub(super) fn quad_columns(&self) -> bool {
        self.out_columns.quads() && self.out_rows.aligned() && self.out_batch.aligned()
    }
}

fn shape(kernel: &Kernel, operand: usize) -> Vec<usize> {
    kernel.operands[operand].shape.clone()
}

fn matmul(a: &View, b: &View) -> Problem {
    let rank = a.shape.len();
    let (m, k, n) = (a.shape[rank - 2], a.shape[rank - 1], b.shape[rank - 1]);
    let digit = |v: &View, d: usize| Digit { extent: v.shape[d], addr: v.strides[d] as i64, y: 0, x: 0 };
    let matrix = |operand: usize, v: &View, row: usize, depth: usize| {
        let batch: Vec<Digit> = (0..rank - 2).map(|d| digit(v, d)).collect();
        let map = |d: usize, addr: isize| IndexMap::new(&[digit(v, d)], [addr as i64, 0, 0]);
        Matrix::plain(operand, IndexMap::new(&batch, [0; 3]), map(row, v.offset), map(depth, 0))
    };
    let batch = a.shape[..rank - 2].iter().product();
    Problem {
        batch,
        m,
        n,
        k,
        a: matrix(0, a, rank - 2, rank - 1),
        b: matrix(1, b, rank - 1, rank - 2),
        out_rows: IndexMap::plain(&[(m, n)]),
        out_columns: IndexMap::plain(&[(n, 1)]),
        out_batch: IndexMap::plain(&[(batch, m * n)]),
        sums: None,
    }
}

/// A convolution's extents: images, channels a group in and out, input, output and kernel sizes.
struct Conv<'a> {
    spec: &'a ConvSpec,
    images: usize,
    c_in: usize,
    c_out: usize,
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
}

impl<'a> Conv<'a> {
    fn of(spec: &'a ConvSpec, x: Vec<usize>, w: Vec<usize>, output: Vec<usize>) -> Self {
        Self {
            spec,
            images: x[0],
            c_in: w[1],
            c_out: w[0] / spec.groups,
            input: [x[2], x[3]],
            output: [output[0], output[1]],
            kernel: [w[2], w[3]],
        }
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn in_plane(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn out_plane(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Channels of a whole image, in and out.
    fn all_channels(&self) -> [usize; 2] {
        [self.c_in * self.spec.groups, self.c_out * self.spec.groups]
    }

    /// The input as it is read by output positions and by taps: walks over `(image, oh, ow)` and `(channel, kh, kw)`.
    fn windows(&self) -> [IndexMap; 2] {
        let ConvSpec { stride: [sy, sx], padding: [py, px], dilation: [dy, dx], .. } = *self.spec;
        let row = self.input[1];
        let image = Digit::plain(self.images, self.all_channels()[0] * self.in_plane());
        let step = |extent: usize, y: usize, x: usize| Digit {
            extent,
            addr: (y * row + x) as i64,
            y: y as i64,
            x: x as i64,
        };
        let at = [-((py * row + px) as i64), -(py as i64), -(px as i64)];
        let positions = [image, step(self.output[0], sy, 0), step(self.output[1], 0, sx)];
        let channel = Digit::plain(self.c_in, self.in_plane());
        let taps = [channel, step(self.kernel[0], dy, 0), step(self.kernel[1], 0, dx)];
        [IndexMap::new(&positions, at), IndexMap::new(&taps, [0; 3])]
    }

    fn forward(&self) -> Problem {
        let groups = self.spec.groups;
        let k = self.c_in * self.taps();
        let [positions, taps] = self.windows();
        let group = IndexMap::plain(&[(groups, self.c_in * self.in_plane())]);
        let plane = self.out_plane();
        Problem {
            batch: groups,
            m: self.c_out,
            n: self.images * plane,
            k,
            a: Matrix::plain(
                1,
                IndexMap::plain(&[(groups, self.c_out * k)]),
                IndexMap::plain(&[(self.c_out, k)]),
                IndexMap::plain(&[(k, 1)]),
            ),
            b: Matrix::image(0, [group, positions, taps], self.input),
            out_rows: IndexMap::plain(&[(self.c_out, plane)]),
            out_columns: IndexMap::plain(&[(self.images, self.all_channels()[1] * plane), (plane, 1)]),
            out_batch: IndexMap::plain(&[(groups, self.c_out * plane)]),
            sums: None,
        }
    }

    fn input_grad(&self) -> Problem {
        let (groups, taps, plane) = (self.spec.groups, self.taps(), self.in_plane());
        let weights = Matrix::plain(
            1,
            IndexMap::plain(&[(groups, self.c_out * self.c_in * taps)]),
            IndexMap::plain(&[(self.c_in, taps)]),
            IndexMap::plain(&[(self.c_out, self.c_in * taps), (taps, 1)]),
        );
        Problem {
            batch: groups,
            m: self.c_in,
            n: self.images * plane,
            k: self.c_out * taps,
            a: weights,
            b: self.scattered(),
            out_rows: IndexMap::plain(&[(self.c_in, plane)]),
            out_columns: IndexMap::plain(&[(self.images, self.all_channels()[0] * plane), (plane, 1)]),
            out_batch: IndexMap::plain(&[(groups, self.c_in * plane)]),
            sums: None,
        }
    }

    /// `dy` as it is read by input positions and by taps: position (h, w) and tap (r, s) meet at `(h + padding -
    /// r * dilation) / stride`, where that is whole and inside.
    fn scattered(&self) -> Matrix {
        let ConvSpec { stride: [sy, sx], padding: [py, px], dilation: [dy, dx], groups } = *self.spec;
        let divided = sy != 1 || sx != 1;
        let row = if divided { 0 } else { self.output[1] as i64 };
        let column = i64::from(!divided);
        let step = |extent: usize, y: i64, x: i64| Digit { extent, addr: y * row + x * column, y, x };
        let plane = self.out_plane();
        let image = Digit::plain(self.images, self.all_channels()[1] * plane);
        let positions = [image, step(self.input[0], 1, 0), step(self.input[1], 0, 1)];
        let channel = Digit::plain(self.c_out, plane);
        let taps = [channel, step(self.kernel[0], -(dy as i64), 0), step(self.kernel[1], 0, -(dx as i64))];
        let (py, px) = (py as i64, px as i64);
        let batch = IndexMap::plain(&[(groups, self.c_out * plane)]);
        let rows = IndexMap::new(&positions, [py * row + px * column, py, px]);
        let depth = IndexMap::new(&taps, [0; 3]);
        if !divided {
            return Matrix::image(0, [batch, rows, depth], self.output);
        }
        Matrix {
            height: Some(self.output[0]),
            width: Some(self.output[1]),
            divide: Some(Divide { stride: [sy, sx], row: self.output[1] }),
            ..Matrix::plain(0, batch, rows, depth)
        }
    }

    /// Input positions at `phase` of the stride.
    fn input_grad_phase(&self, phase: [usize; 2]) -> Problem {
        let axes = [0, 1].map(|d| Phase::of(self, d, phase[d]));
        let [y, x] = axes;
        let (row, width) = (self.output[1] as i64, self.input[1]);
        let (taps, plane) = (self.taps(), self.out_plane());
        let [all_in, all_out] = self.all_channels();
        let step = |extent: usize, y: i64, x: i64| Digit { extent, addr: y * row + x, y, x };
        let image = Digit::plain(self.images, all_out * plane);
        let positions = [image, step(y.positions, 1, 0), step(x.positions, 0, 1)];
        let channel = Digit::plain(self.c_out, plane);
        // A phase without taps has no depth; its digits must divide all the same.
        let [y_taps, x_taps] = axes.map(|axis| axis.taps.max(1));
        let depth = [channel, step(y_taps, -y.step, 0), step(x_taps, 0, -x.step)];
        let groups = self.spec.groups;
        let maps = [
            IndexMap::plain(&[(groups, self.c_out * plane)]),
            IndexMap::new(&positions, [y.first * row + x.first, y.first, x.first]),
            IndexMap::new(&depth, [0; 3]),
        ];
        let weights = [
            Digit::plain(self.c_out, self.c_in * taps),
            Digit::plain(y_taps, y.tap_step * self.kernel[1]),
            Digit::plain(x_taps, x.tap_step),
        ];
        let first_tap = (y.first_tap * self.kernel[1] + x.first_tap) as i64;
        let a = Matrix::plain(
            1,
            IndexMap::plain(&[(groups, self.c_out * self.c_in * taps)]),
            IndexMap::plain(&[(self.c_in, taps)]),
            IndexMap::new(&weights, [first_tap, 0, 0]),
        );
        let out = [
            Digit::plain(self.images, all_in * self.in_plane()),
            Digit::plain(y.positions, self.spec.stride[0] * width),
            Digit::plain(x.positions, self.spec.stride[1]),
        ];
        let first_out = (phase[0] * width + phase[1]) as i64;
        Problem {
            batch: groups,
            m: self.c_in,
            n: self.images * y.positions * x.positions,
            k: self.c_out * y.taps * x.taps,
            a,
            b: Matrix::image(0, maps, self.output),
            out_rows: IndexMap::plain(&[(self.c_in, self.in_plane())]),
            out_columns: IndexMap::new(&out, [first_out, 0, 0]),
            out_batch: IndexMap::plain(&[(groups, self.c_in * self.in_plane())]),
            sums: None,
        }
    }

    fn weight_grad(&self) -> Problem {
        let groups = self.spec.groups;
        let plane = self.out_plane();
        let n = self.c_in * self.taps();
        let [positions, taps] = self.windows();
        let dy = Matrix::plain(
            1,
            IndexMap::plain(&[(groups, self.c_out * plane)]),
            IndexMap::plain(&[(self.c_out, plane)]),
            IndexMap::plain(&[(self.images, self.all_channels()[1] * plane), (plane, 1)]),
        );
        let group = IndexMap::plain(&[(groups, self.c_in * self.in_plane())]);
        Problem {
            batch: groups,
            m: self.c_out,
            n,
            k: self.images * plane,
            a: dy,
            b: Matrix::image(0, [group, taps, positions], self.input),
            out_rows: IndexMap::plain(&[(self.c_out, n)]),
            out_columns: IndexMap::plain(&[(n, 1)]),
            out_batch: IndexMap::plain(&[(groups, self.c_out * n)]),
            sums: None,
        }
    }
}

/// One axis of a phase: input position `phase + stride * i` and tap `first_tap + tap_step * j` meet output position
/// `first + i - step * j`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    positions: usize,
    taps: usize,
    first_tap: usize,
    tap_step: usize,
    first: i64,
    step: i64,
}

impl Phase {
    fn of(conv: &Conv<'_>, d: usize, phase: usize) -> Self {
        let (stride, padding) = (conv.spec.stride[d], conv.spec.padding[d]);
        let (dilation, kernel) = (conv.spec.dilation[d], conv.kernel[d]);
        let meets = |tap: &usize| (phase + padding) as i64 - (tap * dilation) as i64;
        let falls = |tap: &usize| meets(tap).rem_euclid(stride as i64) == 0;
        let taps: Vec<usize> = (0..kernel).filter(falls).collect();
        let tap_step = if taps.len() > 1 { taps[1] - taps[0] } else { 1 };
        Self {
            positions: (conv.input[d] - phase).div_ceil(stride),
            taps: taps.len(),
            first_tap: taps.first().copied().unwrap_or(0),
            tap_step,
            first: taps.first().map_or(0, |tap| meets(tap).div_euclid(stride as i64)),
            step: (tap_step * dilation / stride) as i64,
        }
    }
}

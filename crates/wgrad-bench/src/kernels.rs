//! Single kernels as graphs: operands are parameters and the result stays on the device, so a run moves
//! nothing else.

use crate::SyntheticStep;
use wgrad_device::Device;
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_graph::{Builder, Graph, Role, Tensor, differentiate};
use wgrad_session::SessionError;
use wgrad_types::DType;

/// Unit of a kernel's amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Floating point operations, a multiply-add as two.
    Flop,
    /// Bytes moved at least.
    Byte,
}

/// A kernel to measure.
pub struct Kernel {
    /// Its name, as in `peers/`.
    pub name: &'static str,
    /// Operations or bytes per run.
    pub amount: f64,
    /// Unit of the amount.
    pub unit: Unit,
    operands: Vec<Vec<usize>>,
    build: Build,
}

/// Results of operands.
enum Build {
    One(fn(&[Tensor]) -> Tensor),
    /// Any number of results; none if operands are updated.
    Several(fn(&[Tensor]) -> Vec<Tensor>),
}

pub(crate) fn flop(
    name: &'static str,
    amount: usize,
    operands: &[&[usize]],
    build: fn(&[Tensor]) -> Tensor,
) -> Kernel {
    let operands = operands.iter().map(|s| s.to_vec()).collect();
    Kernel { name, amount: amount as f64, unit: Unit::Flop, operands, build: Build::One(build) }
}

/// `elements` of four bytes are read and written.
pub(crate) fn bytes(
    name: &'static str,
    elements: usize,
    operands: &[&[usize]],
    build: fn(&[Tensor]) -> Tensor,
) -> Kernel {
    Kernel { amount: 4.0 * elements as f64, unit: Unit::Byte, ..flop(name, 0, operands, build) }
}

/// As [`bytes`], with several results.
pub(crate) fn several(
    name: &'static str,
    elements: usize,
    operands: &[&[usize]],
    build: fn(&[Tensor]) -> Vec<Tensor>,
) -> Kernel {
    let operands = operands.iter().map(|s| s.to_vec()).collect();
    Kernel { name, amount: 4.0 * elements as f64, unit: Unit::Byte, operands, build: Build::Several(build) }
}

/// Eight images of 64 channels, a convolution of 64 by 3x3 over them, heads of attention, and pairs of query and key
/// times their width.
pub(crate) const IMAGE: &[usize] = &[8, 64, 56, 56];
pub(crate) const CONV: usize = 2 * 8 * 64 * 56 * 56 * 64 * 9;
pub(crate) const HEADS: &[usize] = &[4, 8, 256, 64];
pub(crate) const SCORES: usize = 4 * 8 * 256 * 256 * 64;

/// The kernels measured by `peers/` too, and one for every other family of kernels in training steps: the
/// default list of `wgrad bench`. [`all_kernels`](crate::all_kernels) has more.
pub fn kernels() -> Vec<Kernel> {
    let mut kernels = products();
    kernels.extend(rows());
    kernels.extend(others());
    kernels
}

/// Bound by arithmetic, but for a single row.
fn products() -> Vec<Kernel> {
    let square = |name, n: usize| flop(name, 2 * n * n * n, &[&[n, n], &[n, n]], |t| t[0].matmul(&t[1]));
    const FILTER: &[usize] = &[64, 64, 3, 3];
    vec![
        square("matmul_512", 512),
        square("matmul_1024", 1024),
        square("matmul_2048", 2048),
        bytes("gemv_4096", 4096 * 4096, &[&[1, 4096], &[4096, 4096]], |t| t[0].matmul(&t[1])),
        flop("conv3x3_n8_c64_56", CONV, &[IMAGE, FILTER], |t| t[0].conv2d(&t[1], None, SAME)),
        flop("conv3x3_igrad", CONV, &[IMAGE, FILTER], |t| t[0].conv2d_input_grad(&t[1], SAME, [56, 56])),
        flop("conv3x3_wgrad", CONV, &[IMAGE, IMAGE], |t| t[0].conv2d_weight_grad(&t[1], SAME, [3, 3])),
        flop("conv3x3_wgrad_bias", CONV, &[IMAGE, IMAGE], |t| {
            let weights = t[0].conv2d_weight_grad(&t[1], SAME, [3, 3]).reshape(&[64 * 64 * 9]);
            Tensor::concat(&[&weights, &t[1].sum(&[0, 2, 3]).reshape(&[64])], 0)
        }),
        flop("depthwise3x3_wgrad", CONV / 64, &[IMAGE, IMAGE], |t| {
            t[0].conv2d_weight_grad(&t[1], ConvSpec { groups: 64, ..SAME }, [3, 3])
        }),
        flop(
            "conv11x11s4_n8_c3_224",
            2 * 8 * 64 * 55 * 55 * 3 * 121,
            &[&[8, 3, 224, 224], &[64, 3, 11, 11]],
            |t| t[0].conv2d(&t[1], None, ConvSpec { stride: [4, 4], padding: [2, 2], ..SAME }),
        ),
        flop(
            "conv1x1_n8_c256_14",
            2 * 8 * 256 * 256 * 14 * 14,
            &[&[8, 256, 14, 14], &[256, 256, 1, 1]],
            |t| t[0].conv2d(&t[1], None, ConvSpec { padding: [0, 0], ..SAME }),
        ),
        flop("attention_b4h8s256d64", 4 * SCORES, &[HEADS; 3], |t| {
            t[0].scaled_dot_product_attention(&t[1], &t[2], true)
        }),
        flop("attention_b4h8s256d64_train", 14 * SCORES, &[HEADS; 4], |t| {
            let y = t[0].scaled_dot_product_attention(&t[1], &t[2], true);
            let gradients = differentiate(&(&y * &t[3]).sum(&[0, 1, 2, 3]), &t[..3]);
            let gradients = gradients.expect("attention has a gradient");
            Tensor::concat(&gradients.iter().collect::<Vec<_>>(), 0)
        }),
    ]
}

/// Kernels over 4096 rows of 1024.
fn rows() -> Vec<Kernel> {
    const ALL: usize = 4096 * 1024;
    const X: &[usize] = &[4096, 1024];
    vec![
        bytes("softmax_4096x1024", 2 * ALL, &[X], |t| t[0].softmax(1)),
        bytes("layer_norm_4096x1024", 2 * ALL, &[X, &[1024], &[1024]], |t| {
            t[0].layer_norm(&t[1], Some(&t[2]), 1e-5)
        }),
        bytes("gelu_4096x1024", 2 * ALL, &[X], |t| t[0].gelu()),
        bytes("dropout_4096x1024", 2 * ALL, &[X], |t| t[0].dropout(0.5)),
        bytes("transpose_4096x1024", 2 * ALL, &[X], |t| t[0].t() + 1.0),
        bytes("column_sum_4096x1024", ALL, &[X], |t| t[0].sum(&[0])),
        bytes("argmax_4096x1024", ALL, &[X], |t| t[0].argmax(1)),
        bytes("cumsum_4096x1024", 2 * ALL, &[X], |t| t[0].cumsum(1)),
    ]
}

/// Bound by memory, over images and tables.
fn others() -> Vec<Kernel> {
    const WIDE: &[usize] = &[8, 64, 112, 112];
    const POOLED: &[usize] = &[8, 64, 56, 56];
    const SMALL: usize = 8 * 64 * 56 * 56;
    const TABLE: usize = 8192;
    const WIDTH: usize = 512;
    // Some rows of the table, many of them more than once.
    fn index(table: &Tensor) -> Tensor {
        (table.builder().iota(4096).to_f32() * 0.5).cast(DType::I32)
    }
    vec![
        bytes("conv_depthwise_n8_c64_56", 2 * SMALL, &[POOLED, &[64, 1, 3, 3]], |t| {
            t[0].conv2d(&t[1], None, ConvSpec { groups: 64, ..SAME })
        }),
        bytes("max_pool2d_n8_c64_112", 5 * SMALL, &[WIDE], |t| t[0].max_pool2d(Window::new(3, 2, 1))),
        bytes("max_pool2d_grad_n8_c64_112", 9 * SMALL, &[WIDE, POOLED], |t| {
            t[0].max_pool2d_grad(&t[1], Window::new(3, 2, 1))
        }),
        bytes("avg_pool2d_n8_c64_112", 5 * SMALL, &[WIDE], |t| t[0].avg_pool2d(Window::new(3, 2, 1))),
        bytes("avg_pool2d_grad_n8_c64_112", 5 * SMALL, &[POOLED], |t| {
            t[0].avg_pool2d_grad(Window::new(3, 2, 1), [112, 112])
        }),
        bytes("batch_norm_n8_c64_56", 2 * SMALL, &[POOLED, &[64], &[64]], |t| {
            t[0].batch_norm_train(&t[1], &t[2], 1e-5).y
        }),
        bytes("embedding_8192x512", 2 * 4096 * WIDTH, &[&[TABLE, WIDTH]], |t| t[0].embedding(&index(&t[0]))),
        bytes("embedding_grad_8192x512", (4096 + TABLE) * WIDTH, &[&[4096, WIDTH]], |t| {
            let rows = index(&t[0]).reshape(&[4096, 1]).broadcast_to(&[4096, WIDTH]);
            t[0].gather_grad(&rows, 0, TABLE)
        }),
    ]
}

pub(crate) const SAME: ConvSpec = ConvSpec { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };

impl Kernel {
    /// Its graph: operands are parameters `operand 0`, `operand 1`, and so on.
    pub fn graph(&self) -> Graph {
        let b = Builder::new();
        let operands: Vec<Tensor> = self
            .operands
            .iter()
            .enumerate()
            .map(|(i, s)| b.param(&format!("operand {i}"), s, Role::Weight))
            .collect();
        let results = match self.build {
            Build::One(build) => vec![build(&operands)],
            Build::Several(build) => build(&operands),
        };
        results.iter().for_each(|result| b.keep(result));
        // An output of each: values without readers are not computed.
        let waited = if results.is_empty() { &operands[..1] } else { &results[..] };
        for (i, result) in waited.iter().enumerate() {
            let corner: Vec<(usize, usize)> = result.shape().iter().map(|_| (0, 1)).collect();
            b.output(&format!("corner {i}"), &result.slice(&corner));
        }
        b.graph()
    }

    /// Plans it with operands filled.
    ///
    /// # Errors
    /// If it has no plan on the device, or the device fails.
    pub fn on(&self, device: &Device) -> Result<SyntheticStep, SessionError> {
        SyntheticStep::new(device, &self.graph(), None, &[])
    }
}

//! Cost of a kernel by count: the mathematics alone, without recomputation or padding.

use wgrad_kernels::{Core, Cost, Kernel};
use wgrad_types::{Type, numel};

/// FLOPs (a multiply-add is two) and bytes (each operand and output once).
pub fn cost(kernel: &Kernel) -> Cost {
    let n = kernel.numel() as u64;
    let shape = |i: usize| kernel.operands[i].shape.as_slice();
    // Multiply-adds of a convolution: output elements times taps times channels per group.
    let conv = |out: usize, w: &[usize]| (out * numel(&w[1..])) as u64 * 2;
    let core = match &kernel.core {
        Core::Map => 0,
        Core::Reduce { input_shape, prologue, .. } => (numel(input_shape) * (1 + prologue.flops())) as u64,
        Core::ArgMax { .. } => kernel.operands[0].numel() as u64,
        Core::MatMul { a, .. } => n * 2 * *a.shape.last().unwrap_or(&1) as u64,
        Core::Conv2d(_) => conv(kernel.numel(), shape(1)),
        Core::Conv2dInputGrad(_) => conv(kernel.operands[0].numel(), shape(1)),
        Core::Conv2dWeightGrad(_) => conv(kernel.operands[1].numel(), &kernel.shape),
        Core::MaxPool2d(w) | Core::AvgPool2d(w) => n * (w.kernel[0] * w.kernel[1]) as u64,
        Core::MaxPool2dGrad(w) => kernel.operands[1].numel() as u64 * (w.kernel[0] * w.kernel[1]) as u64,
        Core::AvgPool2dGrad(w) => kernel.operands[0].numel() as u64 * (w.kernel[0] * w.kernel[1]) as u64,
        Core::RowChain(chain) => chain.links.iter().map(|l| cost(&l.kernel).flops).sum(),
        // The cost of a user's operation is unknown: count one operation per element.
        Core::Gather { .. } | Core::GatherGrad { .. } | Core::Custom(_) => n,
        Core::Attention(attention) => attention.flops() as u64,
    };
    let read: usize = kernel.operands.iter().map(Type::bytes).sum();
    let written: usize = match &kernel.core {
        Core::RowChain(chain) => {
            chain.values.iter().filter(|v| v.output.is_some()).map(|v| v.ty.bytes()).sum()
        }
        Core::Attention(a) => a.parts.iter().map(|p| numel(&a.shape(*p)) * 4).sum(),
        _ => kernel.outputs.iter().enumerate().map(|(o, d)| numel(&kernel.output_shape(o)) * d.bytes()).sum(),
    };
    let sums = kernel.sums.as_ref().map_or(0, |s| numel(&s.spans)) as u64;
    Cost { flops: core + sums + n * kernel.epilogue.flops() as u64, bytes: (read + written) as u64 }
}

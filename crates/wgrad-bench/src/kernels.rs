//! Single kernels as graphs: operands are parameters and the result stays on the device, so that a run moves nothing
//! else.

use crate::MadeUp;
use wgrad_device::Device;
use wgrad_graph::ops::ConvSpec;
use wgrad_graph::{Builder, Graph, Role, Tensor, differentiate};
use wgrad_session::SessionError;

/// What a kernel's amount counts.
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
    /// Operations or bytes a run.
    pub amount: f64,
    /// Which of the two.
    pub unit: Unit,
    operands: Vec<Vec<usize>>,
    build: fn(&[Tensor]) -> Tensor,
}

/// Kernels that `peers/` measures too, and those of the training steps.
pub fn kernels() -> Vec<Kernel> {
    let square = |name, n: usize| Kernel {
        name,
        amount: 2.0 * (n * n * n) as f64,
        unit: Unit::Flop,
        operands: vec![vec![n, n], vec![n, n]],
        build: |t| t[0].matmul(&t[1]),
    };
    let conv = 2.0 * (8 * 64 * 56 * 56 * 64 * 9) as f64;
    let image = vec![8, 64, 56, 56];
    let filter = vec![64, 64, 3, 3];
    let rows = 4096 * 1024;
    let heads = vec![4, 8, 256, 64];
    vec![
        square("matmul_512", 512),
        square("matmul_1024", 1024),
        square("matmul_2048", 2048),
        Kernel {
            name: "gemv_4096",
            amount: 4.0 * (4096 * 4096) as f64,
            unit: Unit::Byte,
            operands: vec![vec![1, 4096], vec![4096, 4096]],
            build: |t| t[0].matmul(&t[1]),
        },
        Kernel {
            name: "conv3x3_n8_c64_56",
            amount: conv,
            unit: Unit::Flop,
            operands: vec![image.clone(), filter.clone()],
            build: |t| t[0].conv2d(&t[1], None, SAME),
        },
        Kernel {
            name: "conv3x3_igrad",
            amount: conv,
            unit: Unit::Flop,
            operands: vec![image.clone(), filter],
            build: |t| t[0].conv2d_input_grad(&t[1], SAME, [56, 56]),
        },
        Kernel {
            name: "conv3x3_wgrad",
            amount: conv,
            unit: Unit::Flop,
            operands: vec![image.clone(), image.clone()],
            build: |t| t[0].conv2d_weight_grad(&t[1], SAME, [3, 3]),
        },
        Kernel {
            name: "conv11x11s4_n8_c3_224",
            amount: 2.0 * (8 * 64 * 55 * 55 * 3 * 121) as f64,
            unit: Unit::Flop,
            operands: vec![vec![8, 3, 224, 224], vec![64, 3, 11, 11]],
            build: |t| t[0].conv2d(&t[1], None, ConvSpec { stride: [4, 4], padding: [2, 2], ..SAME }),
        },
        Kernel {
            name: "conv3x3_wgrad_bias",
            amount: conv,
            unit: Unit::Flop,
            operands: vec![image.clone(), image.clone()],
            build: |t| {
                let weights = t[0].conv2d_weight_grad(&t[1], SAME, [3, 3]).reshape(&[64 * 64 * 9]);
                Tensor::concat(&[&weights, &t[1].sum(&[0, 2, 3]).reshape(&[64])], 0)
            },
        },
        Kernel {
            name: "depthwise3x3_n8_c64_56",
            amount: conv / 64.0,
            unit: Unit::Flop,
            operands: vec![image.clone(), vec![64, 1, 3, 3]],
            build: |t| t[0].conv2d(&t[1], None, ConvSpec { groups: 64, ..SAME }),
        },
        Kernel {
            name: "depthwise3x3_wgrad",
            amount: conv / 64.0,
            unit: Unit::Flop,
            operands: vec![image.clone(), image],
            build: |t| t[0].conv2d_weight_grad(&t[1], ConvSpec { groups: 64, ..SAME }, [3, 3]),
        },
        Kernel {
            name: "softmax_4096x1024",
            amount: 8.0 * rows as f64,
            unit: Unit::Byte,
            operands: vec![vec![4096, 1024]],
            build: |t| t[0].softmax(1),
        },
        Kernel {
            name: "layer_norm_4096x1024",
            amount: 8.0 * rows as f64,
            unit: Unit::Byte,
            operands: vec![vec![4096, 1024], vec![1024], vec![1024]],
            build: |t| t[0].layer_norm(&t[1], Some(&t[2]), 1e-5),
        },
        Kernel {
            name: "gelu_4096x1024",
            amount: 8.0 * rows as f64,
            unit: Unit::Byte,
            operands: vec![vec![4096, 1024]],
            build: |t| t[0].gelu(),
        },
        Kernel {
            name: "attention_b4h8s256d64",
            amount: 4.0 * (4 * 8 * 256 * 256 * 64) as f64,
            unit: Unit::Flop,
            operands: vec![heads.clone(), heads.clone(), heads.clone()],
            build: |t| t[0].scaled_dot_product_attention(&t[1], &t[2], true),
        },
        Kernel {
            name: "attention_b4h8s256d64_train",
            amount: 14.0 * (4 * 8 * 256 * 256 * 64) as f64,
            unit: Unit::Flop,
            operands: vec![heads.clone(), heads.clone(), heads.clone(), heads],
            build: |t| {
                let y = t[0].scaled_dot_product_attention(&t[1], &t[2], true);
                let gradients = differentiate(&(&y * &t[3]).sum(&[0, 1, 2, 3]), &t[..3]);
                let gradients = gradients.expect("attention has a gradient");
                Tensor::concat(&gradients.iter().collect::<Vec<_>>(), 0)
            },
        },
    ]
}

const SAME: ConvSpec = ConvSpec { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };

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
        let result = (self.build)(&operands);
        b.keep(&result);
        let corner: Vec<(usize, usize)> = result.shape().iter().map(|_| (0, 1)).collect();
        b.output("corner", &result.slice(&corner));
        b.graph()
    }

    /// Plans it with operands filled.
    ///
    /// # Errors
    /// Where it has no plan on the device, or the device fails.
    pub fn on(&self, device: &Device) -> Result<MadeUp, SessionError> {
        MadeUp::new(device, &self.graph(), None, &[])
    }
}

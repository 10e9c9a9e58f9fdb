//! One workload in burn: `burn-peer BACKEND WORKLOAD`. Workloads and lines as in `common/report.rs`.

#[path = "../../common/report.rs"]
mod report;

use burn::module::Param;
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
    PaddingConfig2d,
    conv::{Conv2d, Conv2dConfig},
    loss::CrossEntropyLossConfig,
};
use burn::optim::{
    AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig, momentum::MomentumConfig,
};
use burn::prelude::*;
use burn::tensor::activation::{gelu, gelu_approximate, relu, softmax};
use burn::tensor::module::{
    attention, conv_transpose2d, conv2d, conv2d_weight_backward, layer_norm, max_pool2d,
};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use report::{ATTENTION, ATTENTION_TRAIN, Amount, CONV3, CONV11, GEMV, ROWS, Report, Rng, matmul, parts};

fn pool(x: Tensor<4>, k: usize, s: usize) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([k, k]).with_stride([s, s]))
}
fn conv(ci: usize, co: usize, k: usize, s: usize, p: usize, d: &Device) -> Conv2d {
    let padding = if p == 0 { PaddingConfig2d::Valid } else { PaddingConfig2d::Explicit(p, p, p, p) };
    Conv2dConfig::new([ci, co], [k, k]).with_stride([s, s]).with_padding(padding).init(d)
}

trait Net: Module {
    type In: Clone;
    fn forward(&self, x: Self::In) -> Tensor<2>;
}

#[derive(Module, Debug)]
struct CifarCnn {
    convs: Vec<Conv2d>,
    fc: Vec<Linear>,
}
impl CifarCnn {
    fn new(d: &Device) -> Self {
        Self {
            convs: vec![conv(3, 32, 3, 1, 0, d), conv(32, 64, 3, 1, 0, d), conv(64, 64, 3, 1, 0, d)],
            fc: vec![LinearConfig::new(1024, 64).init(d), LinearConfig::new(64, 10).init(d)],
        }
    }
}
impl Net for CifarCnn {
    type In = Tensor<4>;
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = pool(relu(self.convs[0].forward(x)), 2, 2);
        let x = pool(relu(self.convs[1].forward(x)), 2, 2);
        let x = relu(self.convs[2].forward(x)).flatten::<2>(1, 3);
        self.fc[1].forward(relu(self.fc[0].forward(x)))
    }
}

#[derive(Module, Debug)]
struct AlexNet {
    convs: Vec<Conv2d>,
    fc: Vec<Linear>,
    drop: Dropout,
}
impl AlexNet {
    fn new(d: &Device) -> Self {
        Self {
            convs: vec![
                conv(3, 64, 11, 4, 2, d),
                conv(64, 192, 5, 1, 2, d),
                conv(192, 384, 3, 1, 1, d),
                conv(384, 256, 3, 1, 1, d),
                conv(256, 256, 3, 1, 1, d),
            ],
            fc: vec![
                LinearConfig::new(9216, 4096).init(d),
                LinearConfig::new(4096, 4096).init(d),
                LinearConfig::new(4096, 10).init(d),
            ],
            drop: DropoutConfig::new(0.5).init(),
        }
    }
}
impl Net for AlexNet {
    type In = Tensor<4>;
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let c = |i: usize, x| relu(self.convs[i].forward(x));
        let x = pool(c(0, x), 3, 2);
        let x = pool(c(1, x), 3, 2);
        let x = pool(c(4, c(3, c(2, x))), 3, 2).flatten::<2>(1, 3);
        let x = relu(self.fc[0].forward(self.drop.forward(x)));
        let x = relu(self.fc[1].forward(self.drop.forward(x)));
        self.fc[2].forward(x)
    }
}

#[derive(Module, Debug)]
struct Block {
    ln1: LayerNorm,
    ln2: LayerNorm,
    qkv: Linear,
    proj: Linear,
    fc: Linear,
    out: Linear,
}
#[derive(Module, Debug)]
struct Gpt {
    tok: Embedding,
    pos: Param<Tensor<2>>,
    blocks: Vec<Block>,
    ln: LayerNorm,
    head: Linear,
}
const D: usize = 128;
const H: usize = 4;
const LAYERS: usize = 4;
const VOCAB: usize = 65;
const BATCH: usize = 12;
impl Gpt {
    fn new(ctx: usize, d: &Device) -> Self {
        let lin = |a, b| LinearConfig::new(a, b).init(d);
        let ln = || LayerNormConfig::new(D).init(d);
        let block = |_| Block {
            ln1: ln(),
            ln2: ln(),
            qkv: lin(D, 3 * D),
            proj: lin(D, D),
            fc: lin(D, 4 * D),
            out: lin(4 * D, D),
        };
        Self {
            tok: EmbeddingConfig::new(VOCAB, D).init(d),
            pos: EmbeddingConfig::new(ctx, D).init(d).weight,
            blocks: (0..LAYERS).map(block).collect(),
            ln: ln(),
            head: LinearConfig::new(D, VOCAB).with_bias(false).init(d),
        }
    }
}
fn causal(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
    attention(q, k, v, None, None, options)
}
impl Net for Gpt {
    type In = Tensor<2, Int>;
    fn forward(&self, idx: Tensor<2, Int>) -> Tensor<2> {
        let [b, t] = idx.dims();
        let mut x = self.tok.forward(idx) + self.pos.val().unsqueeze::<3>();
        for l in &self.blocks {
            let qkv = l.qkv.forward(l.ln1.forward(x.clone())).reshape([b, t, 3 * H, D / H]).swap_dims(1, 2);
            let part = |i: usize| qkv.clone().narrow(1, i * H, H);
            let y = causal(part(0), part(1), part(2)).swap_dims(1, 2).reshape([b, t, D]);
            x = x + l.proj.forward(y);
            x = x.clone() + l.out.forward(gelu_approximate(l.fc.forward(l.ln2.forward(x))));
        }
        self.head.forward(self.ln.forward(x)).reshape([b * t, VOCAB])
    }
}

/// A training run.
struct Run<'a> {
    name: &'a str,
    items: usize,
    unit: &'a str,
}

fn train<M: Net>(
    r: &Report,
    run: &Run,
    d: &Device,
    model: M,
    mut opt: ModuleOptimizer,
    x: M::In,
    y: Tensor<1, Int>,
) {
    let loss_fn = CrossEntropyLossConfig::new().init(d);
    let mut model = Some(model);
    r.train(run.name, run.items, run.unit, || {
        let m = model.take().unwrap();
        let loss = loss_fn.forward(m.forward(x.clone()), y.clone());
        let grads = GradientsParams::from_grads(loss.backward(), &m);
        model = Some(opt.step(1e-3, m, grads));
        let loss = loss.into_scalar::<f32>();
        d.sync().unwrap();
        loss
    });
}

fn floats<const N: usize>(rng: &mut Rng, shape: [usize; N], d: &Device) -> Tensor<N> {
    Tensor::from_data(TensorData::new(rng.floats(shape.iter().product()), shape), d)
}
fn ints(rng: &mut Rng, n: usize, below: u64, d: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rng.ints(n, below), [n]), d)
}

fn kernels(r: &Report, d: &Device, name: &str) {
    let g = &mut Rng(42);
    // The result lives until the device is idle, so nothing is left out.
    let time = |amount: Amount, f: &dyn Fn() -> Tensor<4>| {
        r.kernel(name, amount, || {
            let result = f();
            d.sync().unwrap();
            drop(result);
        })
    };
    let opt = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let image = [8, 64, 56, 56];
    let heads = [4, 8, 256, 64];
    match name {
        "matmul_512" | "matmul_1024" | "matmul_2048" => {
            let n: usize = name[7..].parse().unwrap();
            let (a, b) = (floats(g, [1, 1, n, n], d), floats(g, [1, 1, n, n], d));
            time(matmul(n, n, n), &|| a.clone().matmul(b.clone()))
        }
        "gemv_4096" => {
            let (a, b) = (floats(g, [1, 1, 1, 4096], d), floats(g, [1, 1, 4096, 4096], d));
            time(GEMV, &|| a.clone().matmul(b.clone()))
        }
        "conv3x3_n8_c64_56" => {
            let (x, w) = (floats(g, image, d), floats(g, [64, 64, 3, 3], d));
            time(CONV3, &|| conv2d(x.clone(), w.clone(), None, opt()))
        }
        "conv3x3_igrad" => {
            let (dy, w) = (floats(g, image, d), floats(g, [64, 64, 3, 3], d));
            let opt = || ConvTransposeOptions::new([1, 1], [1, 1], [0, 0], [1, 1], 1);
            time(CONV3, &|| conv_transpose2d(dy.clone(), w.clone(), None, opt()))
        }
        "conv3x3_wgrad" => {
            let (x, w, dy) = (floats(g, image, d), floats(g, [64, 64, 3, 3], d), floats(g, image, d));
            time(CONV3, &|| conv2d_weight_backward(x.clone(), w.clone(), dy.clone(), opt()))
        }
        "conv11x11s4_n8_c3_224" => {
            let (x, w) = (floats(g, [8, 3, 224, 224], d), floats(g, [64, 3, 11, 11], d));
            let opt = || ConvOptions::new([4, 4], [2, 2], [1, 1], 1);
            time(CONV11, &|| conv2d(x.clone(), w.clone(), None, opt()))
        }
        "softmax_4096x1024" => {
            let x = floats(g, [1, 1, 4096, 1024], d);
            time(ROWS, &|| softmax(x.clone(), 3))
        }
        "layer_norm_4096x1024" => {
            let x = floats(g, [1, 1, 4096, 1024], d);
            let (w, b) = (floats(g, [1024], d), floats(g, [1024], d));
            time(ROWS, &|| layer_norm(x.clone(), w.clone(), Some(b.clone()), 1e-5))
        }
        "gelu_4096x1024" => {
            let x = floats(g, [1, 1, 4096, 1024], d);
            time(ROWS, &|| gelu(x.clone()))
        }
        "attention_b4h8s256d64" => {
            let (q, k, v) = (floats(g, heads, d), floats(g, heads, d), floats(g, heads, d));
            time(ATTENTION, &|| causal(q.clone(), k.clone(), v.clone()))
        }
        "attention_b4h8s256d64_train" => {
            let d = &d.clone().autodiff();
            let [q, k, v] = [0; 3].map(|_| floats(g, heads, d).require_grad());
            let dy = floats(g, heads, d);
            r.kernel(name, ATTENTION_TRAIN, || {
                let y = causal(q.clone(), k.clone(), v.clone());
                let grads = (y * dy.clone()).sum().backward();
                let gradients = [&q, &k, &v].map(|t| t.grad(&grads).unwrap());
                d.sync().unwrap();
                drop(gradients);
            })
        }
        other => panic!("no workload {other}"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (backend, workload) = (args[1].as_str(), args[2].as_str());
    let device: Device = match backend {
        #[cfg(any(feature = "wgsl", feature = "vulkan"))]
        "wgsl" | "vulkan" => {
            assert_eq!(backend, if cfg!(feature = "vulkan") { "vulkan" } else { "wgsl" });
            Device::wgpu(burn::tensor::DeviceKind::Cpu)
        }
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        other => panic!("backend {other} is not built in"),
    };
    let label = if backend == "flex" { "cpu" } else { "software" };
    let r = Report { peer: format!("burn-0.22.1-{backend}"), device: label.into() };
    let (kind, n) = parts(workload);
    device.seed(42);
    let (d, g) = (device.clone().autodiff(), &mut Rng(7));
    let run = |unit, items| Run { name: workload, items, unit };
    match kind {
        "cifar_cnn" => {
            let (x, y) = (floats(g, [n, 3, 32, 32], &d), ints(g, n, 10, &d));
            train(&r, &run("examples", n), &d, CifarCnn::new(&d), AdamConfig::new().init(), x, y)
        }
        "alexnet" => {
            let (x, y) = (floats(g, [n, 3, 224, 224], &d), ints(g, n, 10, &d));
            let opt = SgdConfig::new().with_momentum(Some(MomentumConfig::new().with_dampening(0.0))).init();
            train(&r, &run("examples", n), &d, AlexNet::new(&d), opt, x, y)
        }
        "gpt" => {
            let (x, y) = (ints(g, BATCH * n, 65, &d).reshape([BATCH, n]), ints(g, BATCH * n, 65, &d));
            train(&r, &run("tokens", BATCH * n), &d, Gpt::new(n, &d), AdamWConfig::new().init(), x, y)
        }
        _ => kernels(&r, &device, workload),
    }
}

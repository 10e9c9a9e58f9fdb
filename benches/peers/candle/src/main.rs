//! One workload in candle on the CPU: `candle-peer WORKLOAD`. Workloads and lines as in `common/report.rs`.

#[path = "../../common/report.rs"]
mod report;

use candle_core::{D, DType, Device, Module, Result, Tensor, Var};
use candle_nn::attention::{AttnMask, flash_attn};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, Embedding, Linear, Optimizer, ParamsAdamW, VarBuilder, VarMap, conv2d,
    embedding, linear, linear_no_bias, loss, ops,
};
use report::{ATTENTION, ATTENTION_TRAIN, Amount, CONV3, CONV11, GEMV, ROWS, Report, Rng, matmul, parts};

const CPU: Device = Device::Cpu;
type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

fn conv(ci: usize, co: usize, k: usize, stride: usize, padding: usize, vb: VarBuilder) -> Result<Conv2d> {
    conv2d(ci, co, k, Conv2dConfig { stride, padding, ..Default::default() }, vb)
}

fn cifar_cnn(vb: VarBuilder) -> Result<Forward> {
    let c = [
        conv(3, 32, 3, 1, 0, vb.pp("c0"))?,
        conv(32, 64, 3, 1, 0, vb.pp("c1"))?,
        conv(64, 64, 3, 1, 0, vb.pp("c2"))?,
    ];
    let f = [linear(1024, 64, vb.pp("f0"))?, linear(64, 10, vb.pp("f1"))?];
    Ok(Box::new(move |x| {
        let x = c[0].forward(x)?.relu()?.max_pool2d(2)?;
        let x = c[1].forward(&x)?.relu()?.max_pool2d(2)?;
        let x = c[2].forward(&x)?.relu()?.flatten_from(1)?;
        f[1].forward(&f[0].forward(&x)?.relu()?)
    }))
}

/// With 2x2 pools in place of 3x3 at stride 2, since candle cannot differentiate those: nearly the same work,
/// and the same products.
fn alexnet(vb: VarBuilder) -> Result<Forward> {
    let s = [
        (3, 64, 11, 4, 2),
        (64, 192, 5, 1, 2),
        (192, 384, 3, 1, 1),
        (384, 256, 3, 1, 1),
        (256, 256, 3, 1, 1),
    ];
    let c: Vec<_> = s
        .iter()
        .enumerate()
        .map(|(i, &(a, b, k, s, p))| conv(a, b, k, s, p, vb.pp(format!("c{i}"))))
        .collect::<Result<_>>()?;
    let f =
        [linear(9216, 4096, vb.pp("f0"))?, linear(4096, 4096, vb.pp("f1"))?, linear(4096, 10, vb.pp("f2"))?];
    Ok(Box::new(move |x| {
        let p = |x: Tensor| x.max_pool2d(2);
        let x = p(c[0].forward(x)?.relu()?)?;
        let x = p(c[1].forward(&x)?.relu()?)?;
        let x = c[3].forward(&c[2].forward(&x)?.relu()?)?.relu()?;
        let x = p(c[4].forward(&x)?.relu()?)?.flatten_from(1)?;
        let x = f[0].forward(&ops::dropout(&x, 0.5)?)?.relu()?;
        let x = f[1].forward(&ops::dropout(&x, 0.5)?)?.relu()?;
        f[2].forward(&x)
    }))
}

struct Block {
    ln: [(Tensor, Tensor); 2],
    qkv: Linear,
    proj: Linear,
    fc: Linear,
    out: Linear,
}
fn gpt(vb: VarBuilder, ctx: usize) -> Result<Forward> {
    const W: usize = 128;
    const H: usize = 4;
    // candle's fused LayerNorm and softmax_last_dim have no backward; the composed forms are used.
    let norm = |vb: VarBuilder| -> Result<(Tensor, Tensor)> {
        Ok((
            vb.get_with_hints(W, "w", candle_nn::init::ONE)?,
            vb.get_with_hints(W, "b", candle_nn::init::ZERO)?,
        ))
    };
    let block = |vb: VarBuilder| -> Result<Block> {
        Ok(Block {
            ln: [norm(vb.pp("ln1"))?, norm(vb.pp("ln2"))?],
            qkv: linear(W, 3 * W, vb.pp("qkv"))?,
            proj: linear(W, W, vb.pp("proj"))?,
            fc: linear(W, 4 * W, vb.pp("fc"))?,
            out: linear(4 * W, W, vb.pp("out"))?,
        })
    };
    let (tok, pos): (Embedding, Embedding) =
        (embedding(65, W, vb.pp("tok"))?, embedding(ctx, W, vb.pp("pos"))?);
    let blocks: Vec<_> = (0..4).map(|i| block(vb.pp(format!("b{i}")))).collect::<Result<_>>()?;
    let (ln_f, head) = (norm(vb.pp("ln"))?, linear_no_bias(W, 65, vb.pp("head"))?);
    let mask = causal_mask(ctx)?;
    let ln = |x: &Tensor, p: &(Tensor, Tensor)| ops::layer_norm_slow(x, &p.0, &p.1, 1e-5);
    Ok(Box::new(move |idx| {
        let (b, t) = idx.dims2()?;
        let mut x = tok.forward(idx)?.broadcast_add(pos.embeddings())?;
        for l in &blocks {
            let qkv = l.qkv.forward(&ln(&x, &l.ln[0])?)?.reshape((b, t, 3 * H, W / H))?.transpose(1, 2)?;
            let part = |i: usize| qkv.narrow(1, i * H, H)?.contiguous();
            let (q, k, v) = (part(0)?, part(1)?, part(2)?);
            let s = (q.matmul(&k.t()?)? / ((W / H) as f64).sqrt())?.broadcast_add(&mask)?;
            let y = ops::softmax(&s, D::Minus1)?.matmul(&v)?.transpose(1, 2)?.reshape((b, t, W))?;
            x = (&x + l.proj.forward(&y)?)?;
            x = (&x + l.out.forward(&l.fc.forward(&ln(&x, &l.ln[1])?)?.gelu()?)?)?;
        }
        head.forward(&ln(&x, &ln_f)?)?.reshape((b * t, 65))
    }))
}

/// SGD with momentum (candle's own SGD has none).
struct Momentum {
    vars: Vec<(Var, Option<Tensor>)>,
    lr: f64,
}
enum Opt {
    Adam(AdamW),
    Sgd(Momentum),
}
impl Opt {
    fn step(&mut self, loss: &Tensor) -> Result<()> {
        match self {
            Opt::Adam(o) => o.backward_step(loss),
            Opt::Sgd(m) => {
                let grads = loss.backward()?;
                for (var, v) in &mut m.vars {
                    let g = grads.get(var).unwrap().clone();
                    let next = if let Some(v) = v.take() { ((v * 0.9)? + g)? } else { g };
                    var.set(&(var.as_tensor() - (&next * m.lr)?)?)?;
                    *v = Some(next);
                }
                Ok(())
            }
        }
    }
}

fn floats(rng: &mut Rng, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(rng.floats(shape.iter().product()), shape, &CPU)
}
fn ints(rng: &mut Rng, n: usize, below: u64) -> Result<Tensor> {
    Tensor::from_vec(rng.ints(n, below), n, &CPU)?.to_dtype(DType::U32)
}

fn causal_mask(n: usize) -> Result<Tensor> {
    let mask: Vec<f32> = (0..n * n).map(|i| if i % n > i / n { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_vec(mask, (n, n), &CPU)
}

fn kernels(r: &Report, name: &str) -> Result<()> {
    let g = &mut Rng(42);
    let time = |amount: Amount, f: &dyn Fn() -> Result<Tensor>| r.kernel(name, amount, || drop(f().unwrap()));
    let image = [8, 64, 56, 56];
    let heads = [4, 8, 256, 64];
    match name {
        "matmul_512" | "matmul_1024" | "matmul_2048" => {
            let n: usize = name[7..].parse().unwrap();
            let (a, b) = (floats(g, &[n, n])?, floats(g, &[n, n])?);
            time(matmul(n, n, n), &|| a.matmul(&b));
        }
        "gemv_4096" => {
            let (a, b) = (floats(g, &[1, 4096])?, floats(g, &[4096, 4096])?);
            time(GEMV, &|| a.matmul(&b));
        }
        "conv3x3_n8_c64_56" => {
            let (x, w) = (floats(g, &image)?, floats(g, &[64, 64, 3, 3])?);
            time(CONV3, &|| x.conv2d(&w, 1, 1, 1, 1));
        }
        // Both gradients as candle's own backward pass computes them.
        "conv3x3_igrad" => {
            let (dy, w) = (floats(g, &image)?, floats(g, &[64, 64, 3, 3])?);
            time(CONV3, &|| dy.conv_transpose2d(&w, 1, 0, 1, 1));
        }
        "conv3x3_wgrad" => {
            let (x, dy) = (floats(g, &image)?, floats(g, &image)?);
            time(CONV3, &|| x.transpose(0, 1)?.conv2d(&dy.transpose(0, 1)?, 1, 1, 1, 1)?.transpose(0, 1));
        }
        "conv11x11s4_n8_c3_224" => {
            let (x, w) = (floats(g, &[8, 3, 224, 224])?, floats(g, &[64, 3, 11, 11])?);
            time(CONV11, &|| x.conv2d(&w, 2, 4, 1, 1));
        }
        "softmax_4096x1024" => {
            let x = floats(g, &[4096, 1024])?;
            time(ROWS, &|| ops::softmax_last_dim(&x));
        }
        "layer_norm_4096x1024" => {
            let (x, w, b) = (floats(g, &[4096, 1024])?, floats(g, &[1024])?, floats(g, &[1024])?);
            time(ROWS, &|| ops::layer_norm(&x, &w, &b, 1e-5));
        }
        "gelu_4096x1024" => {
            let x = floats(g, &[4096, 1024])?;
            time(ROWS, &|| x.gelu_erf());
        }
        "attention_b4h8s256d64" => {
            let (q, k, v) = (floats(g, &heads)?, floats(g, &heads)?, floats(g, &heads)?);
            let bshd = |t: &Tensor| t.transpose(1, 2)?.contiguous();
            let (q, k, v) = (bshd(&q)?, bshd(&k)?, bshd(&v)?);
            time(ATTENTION, &|| flash_attn::<f32>(&q, &k, &v, 0.125, AttnMask::causal(), None, None));
        }
        // Its fused attention has no gradient.
        "attention_b4h8s256d64_train" => {
            let var = |g: &mut Rng| Var::from_tensor(&floats(g, &heads)?);
            let (q, k, v, dy, mask) = (var(g)?, var(g)?, var(g)?, floats(g, &heads)?, causal_mask(256)?);
            time(ATTENTION_TRAIN, &|| {
                let y = ops::softmax(&(q.matmul(&k.t()?)? / 8.0)?.broadcast_add(&mask)?, D::Minus1)?
                    .matmul(&v)?;
                Ok((y * &dy)?.sum_all()?.backward()?.get(&q).unwrap().clone())
            });
        }
        other => panic!("no workload {other}"),
    }
    Ok(())
}

fn main() -> Result<()> {
    let workload = std::env::args().nth(1).unwrap();
    let r = Report { peer: "candle-0.11.1".into(), device: "cpu".into() };
    let (kind, n) = parts(&workload);
    let (map, g) = (VarMap::new(), &mut Rng(7));
    let vb = VarBuilder::from_varmap(&map, DType::F32, &CPU);
    let (f, x, y, items, unit) = match kind {
        "cifar_cnn" => (cifar_cnn(vb)?, floats(g, &[n, 3, 32, 32])?, ints(g, n, 10)?, n, "examples"),
        "alexnet" => (alexnet(vb)?, floats(g, &[n, 3, 224, 224])?, ints(g, n, 10)?, n, "examples"),
        "gpt" => {
            let (x, y) = (ints(g, 12 * n, 65)?.reshape((12, n))?, ints(g, 12 * n, 65)?);
            (gpt(vb, n)?, x, y, 12 * n, "tokens")
        }
        _ => return kernels(&r, &workload),
    };
    let params = |weight_decay| ParamsAdamW { lr: 1e-3, weight_decay, ..Default::default() };
    let mut opt = match kind {
        "cifar_cnn" => Opt::Adam(AdamW::new(map.all_vars(), params(0.0))?),
        "gpt" => Opt::Adam(AdamW::new(map.all_vars(), params(0.01))?),
        _ => Opt::Sgd(Momentum { vars: map.all_vars().into_iter().map(|v| (v, None)).collect(), lr: 1e-3 }),
    };
    r.train(&workload, items, unit, || {
        let run = |opt: &mut Opt| -> Result<f32> {
            let l = loss::cross_entropy(&f(&x)?, &y)?;
            opt.step(&l)?;
            l.to_scalar::<f32>()
        };
        run(&mut opt).unwrap_or_else(|e| panic!("{e}"))
    });
    Ok(())
}

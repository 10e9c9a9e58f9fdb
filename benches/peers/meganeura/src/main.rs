//! One workload in meganeura, by Vulkan: `meganeura-peer WORKLOAD`. Workloads and lines as in `common/report.rs`.

#[path = "../../common/report.rs"]
mod report;

use meganeura::compile::BufferRef;
use meganeura::nn::{Embedding, LayerNorm, Linear};
use meganeura::train::{Mode, SessionConfig, build};
use meganeura::{Graph, NodeId, Session};
use report::{ATTENTION, ATTENTION_TRAIN, Amount, CONV3, CONV11, GEMV, ROWS, Report, Rng, matmul, parts};

const SPATIAL: [u32; 6] = [32, 30, 15, 13, 6, 4];

fn cifar_cnn(g: &mut Graph, n: u32) {
    let mut x = g.input("x", &[(n * 3 * 32 * 32) as usize]);
    let conv = |g: &mut Graph, x, i: usize, ci: u32, co: u32, hw: u32| {
        let w = g.parameter(&format!("c{i}.weight"), &[(co * ci * 9) as usize]);
        let b = g.parameter(&format!("c{i}.bias"), &[co as usize]);
        let y = g.conv2d(x, w, n, ci, hw, hw, co, 3, 3, 1, 0);
        let y = g.add_per_channel(y, b, co, (hw - 2) * (hw - 2));
        g.relu(y)
    };
    x = conv(g, x, 0, 3, 32, SPATIAL[0]);
    x = g.max_pool_2d(x, n, 32, SPATIAL[1], SPATIAL[1], 2, 2, 2, 0);
    x = conv(g, x, 1, 32, 64, SPATIAL[2]);
    x = g.max_pool_2d(x, n, 64, SPATIAL[3], SPATIAL[3], 2, 2, 2, 0);
    x = conv(g, x, 2, 64, 64, SPATIAL[4]);
    x = g.reshape(x, &[n as usize, 1024]);
    let f0 = Linear::new(g, "f0", 1024, 64).forward(g, x);
    let h = g.relu(f0);
    let logits = Linear::new(g, "f1", 64, 10).forward(g, h);
    let y = g.input("y", &[n as usize, 10]);
    let loss = g.cross_entropy_loss(logits, y);
    g.set_outputs(vec![loss]);
}

const D: usize = 128;
const VOCAB: usize = 65;

/// Rows [b*t, D] -> b sequences, attention on each (the attention ops take one sequence), rows again.
fn attend(g: &mut Graph, qkv: [NodeId; 3], b: usize, t: usize) -> NodeId {
    if b == 1 {
        let [q, k, v] = qkv.map(|x| g.reshape(x, &[t, D]));
        let y = g.causal_attention(q, k, v, 4, 4, (D / 4) as u32);
        return g.reshape(y, &[t * D]);
    }
    let (lo, hi) = (b / 2, b - b / 2);
    let (rl, rh, d) = ((lo * t) as u32, (hi * t) as u32, D as u32);
    let first = qkv.map(|x| g.split_a(x, 1, rl, rh, d));
    let second = qkv.map(|x| g.split_b(x, 1, rl, rh, d));
    let (a, c) = (attend(g, first, lo, t), attend(g, second, hi, t));
    g.concat(a, c, 1, rl, rh, d)
}

fn gpt(g: &mut Graph, b: usize, t: usize) {
    let rows = b * t;
    let (idx, at) = (g.input_u32("idx", &[rows]), g.input_u32("at", &[rows]));
    let tok = Embedding::new(g, "tok.weight", VOCAB, D).forward(g, idx);
    let pos = Embedding::new(g, "pos.weight", t, D).forward(g, at);
    let mut x = g.add(tok, pos);
    for l in 0..4 {
        let h = LayerNorm::new(g, &format!("b{l}.ln1"), D, 1e-5).forward(g, x);
        let qkv = ["q", "k", "v"].map(|n| {
            let y = Linear::new(g, &format!("b{l}.{n}"), D, D).forward(g, h);
            g.reshape(y, &[rows * D])
        });
        let y = attend(g, qkv, b, t);
        let y = g.reshape(y, &[rows, D]);
        let y = Linear::new(g, &format!("b{l}.proj"), D, D).forward(g, y);
        x = g.add(x, y);
        let h = LayerNorm::new(g, &format!("b{l}.ln2"), D, 1e-5).forward(g, x);
        let h = Linear::new(g, &format!("b{l}.fc"), D, 4 * D).forward(g, h);
        let h = g.gelu(h);
        let h = Linear::new(g, &format!("b{l}.out"), 4 * D, D).forward(g, h);
        x = g.add(x, h);
    }
    let x = LayerNorm::new(g, "ln", D, 1e-5).forward(g, x);
    let logits = Linear::no_bias(g, "head", D, VOCAB).forward(g, x);
    let y = g.input("y", &[rows, VOCAB]);
    let loss = g.cross_entropy_loss(logits, y);
    g.set_outputs(vec![loss]);
}

fn init_params(s: &mut Session, rng: &mut Rng) {
    let names: Vec<String> = s.param_names().iter().map(|n| n.to_string()).collect();
    for name in names {
        let n = s.param_size(&name).unwrap();
        let data = if name.ends_with("bias") {
            vec![0.0; n]
        } else if name.contains("ln") {
            vec![1.0; n]
        } else {
            rng.floats(n).iter().map(|v| v * 0.05).collect()
        };
        s.set_parameter(&name, &data);
    }
}

/// Bytes read and written by a training step if every buffer is touched once: those named by its dispatches,
/// and for Adam four read and three written per parameter.
fn moved(s: &Session) -> f64 {
    let plan = s.plan();
    let size = |b: &BufferRef| plan.buffers[b.0 as usize];
    let named = plan.dispatches.iter().flat_map(|d| {
        let results = [&d.output_buffer].into_iter().chain(&d.extra_outputs);
        d.input_buffers.iter().chain(&d.epilogue_buffers).chain(results)
    });
    let updates = plan.param_grad_pairs.iter().map(|(weight, _)| 7 * size(weight));
    named.map(size).chain(updates).sum::<usize>() as f64
}

fn one_hot(classes: &[i64], n: usize) -> Vec<f32> {
    let mut v = vec![0.0; classes.len() * n];
    classes.iter().enumerate().for_each(|(i, &c)| v[i * n + c as usize] = 1.0);
    v
}

fn kernels(r: &Report, name: &str) {
    let rng = &mut Rng(42);
    // A graph of the kernel alone, over inputs "0", "1", .. of these sizes.
    let mut time = |amount: Amount, sizes: &[usize], make: &dyn Fn(&mut Graph) -> NodeId| {
        let mut g = Graph::new();
        let result = make(&mut g);
        g.set_outputs(vec![result]);
        let mut s = build(&g, SessionConfig { mode: Mode::Inference, ..SessionConfig::from_env() }).0;
        for (i, n) in sizes.iter().enumerate() {
            s.set_input(&i.to_string(), &rng.floats(*n));
        }
        r.kernel(name, amount, || {
            s.step();
            s.wait();
        });
    };
    let product = |m, n| {
        move |g: &mut Graph| {
            let (a, b) = (g.input("0", &[m, n]), g.input("1", &[n, n]));
            g.matmul(a, b)
        }
    };
    const IMAGE: usize = 8 * 64 * 56 * 56;
    const FILTER: usize = 64 * 64 * 9;
    match name {
        "matmul_512" | "matmul_1024" | "matmul_2048" => {
            let n: usize = name[7..].parse().unwrap();
            time(matmul(n, n, n), &[n * n; 2], &product(n, n));
        }
        "gemv_4096" => time(GEMV, &[4096, 4096 * 4096], &product(1, 4096)),
        "conv3x3_n8_c64_56" => time(CONV3, &[IMAGE, FILTER], &|g| {
            let (x, w) = (g.input("0", &[IMAGE]), g.input("1", &[FILTER]));
            g.conv2d(x, w, 8, 64, 56, 56, 64, 3, 3, 1, 1)
        }),
        "conv3x3_igrad" => time(CONV3, &[IMAGE, FILTER], &|g| {
            let (dy, w) = (g.input("0", &[IMAGE]), g.input("1", &[FILTER]));
            g.conv2d_grad_input(dy, w, 8, 64, 56, 56, 64, 3, 3, 1, 1, 1)
        }),
        "conv3x3_wgrad" => time(CONV3, &[IMAGE; 2], &|g| {
            let (dy, x) = (g.input("0", &[IMAGE]), g.input("1", &[IMAGE]));
            g.conv2d_grad_weight(dy, x, 64, 56, 56, 64, 3, 3, 1, 1, 1)
        }),
        "conv11x11s4_n8_c3_224" => {
            const SIZES: [usize; 2] = [8 * 3 * 224 * 224, 64 * 3 * 121];
            time(CONV11, &SIZES, &|g| {
                let (x, w) = (g.input("0", &[SIZES[0]]), g.input("1", &[SIZES[1]]));
                g.conv2d(x, w, 8, 3, 224, 224, 64, 11, 11, 4, 2)
            })
        }
        "softmax_4096x1024" => time(ROWS, &[4096 * 1024], &|g| {
            let x = g.input("0", &[4096, 1024]);
            g.softmax(x)
        }),
        "layer_norm_4096x1024" => time(ROWS, &[4096 * 1024, 1024, 1024], &|g| {
            let (x, w, b) = (g.input("0", &[4096, 1024]), g.input("1", &[1024]), g.input("2", &[1024]));
            g.layer_norm(x, w, b, 1e-5)
        }),
        "gelu_4096x1024" => time(ROWS, &[4096 * 1024], &|g| {
            let x = g.input("0", &[4096, 1024]);
            g.gelu(x)
        }),
        // Its attention takes one sequence: one of 256 with 32 heads is the same work as four with eight.
        "attention_b4h8s256d64" => time(ATTENTION, &[256 * 2048; 3], &|g| {
            let [q, k, v] = ["0", "1", "2"].map(|n| g.input(n, &[256, 2048]));
            g.causal_attention(q, k, v, 32, 32, 64)
        }),
        "attention_b4h8s256d64_train" => {
            let mut g = Graph::new();
            let [q, k, v] = ["q", "k", "v"].map(|n| g.parameter(n, &[256, 2048]));
            let y = g.causal_attention(q, k, v, 32, 32, 64);
            let dy = g.input("dy", &[256, 2048]);
            let product = g.mul(y, dy);
            let loss = g.mean_all(product);
            g.set_outputs(vec![loss]);
            let mut s = build(&g, SessionConfig::from_env()).0;
            init_params(&mut s, rng);
            s.set_input("dy", &rng.floats(256 * 2048));
            r.kernel(name, ATTENTION_TRAIN, || {
                s.step();
                s.wait();
            });
        }
        other => panic!("no workload {other}"),
    }
}

fn main() {
    let workload = std::env::args().nth(1).unwrap();
    let r = Report { peer: "meganeura-0.3.0".into(), device: "software".into() };
    let (kind, n) = parts(&workload);
    let rng = &mut Rng(7);
    let mut g = Graph::new();
    match kind {
        "cifar_cnn" => {
            cifar_cnn(&mut g, n as u32);
            let mut s = build(&g, SessionConfig::from_env()).0;
            init_params(&mut s, rng);
            s.set_adam(1e-3, 0.9, 0.999, 1e-8);
            r.row(&workload, "bytes_moved", moved(&s));
            let (x, y) = (rng.floats(n * 3072), one_hot(&rng.ints(n, 10), 10));
            r.train(&workload, n, "examples", || {
                step(&mut s, |s| {
                    s.set_input("x", &x);
                    s.set_input("y", &y);
                })
            });
        }
        "gpt" => {
            let b = 12;
            gpt(&mut g, b, n);
            let mut s = build(&g, SessionConfig::from_env()).0;
            init_params(&mut s, rng);
            s.set_adam(1e-3, 0.9, 0.999, 1e-8);
            s.set_weight_decay(0.01);
            r.row(&workload, "bytes_moved", moved(&s));
            let idx: Vec<u32> = rng.ints(b * n, 65).iter().map(|&v| v as u32).collect();
            let at: Vec<u32> = (0..b * n).map(|i| (i % n) as u32).collect();
            let y = one_hot(&rng.ints(b * n, 65), VOCAB);
            r.train(&workload, b * n, "tokens", || {
                step(&mut s, |s| {
                    s.set_input_u32("idx", &idx);
                    s.set_input_u32("at", &at);
                    s.set_input("y", &y);
                })
            });
        }
        _ => kernels(&r, &workload),
    }
}

fn step(s: &mut Session, inputs: impl Fn(&mut Session)) -> f32 {
    inputs(s);
    s.step();
    s.wait();
    s.read_loss()
}

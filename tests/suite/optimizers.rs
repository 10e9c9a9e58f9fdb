//! Optimizer features outside PyTorch's runs: LAMB, Lion, Muon, clipping, averages, groups; each compared
//! with plain loops in f64.

use wgrad_device::Device;
use wgrad_graph::Role;
use wgrad_nn::{Clip, DecayOn, Group, Init, Mode, Net, Optimizer, OptimizerKind};
use wgrad_session::{NamedTensor, Session, Tensors};
use wgrad_tests::{cpu, gpu};
use wgrad_types::{HostTensor, Type};

const ROWS: usize = 5;
const INPUTS: usize = 4;
const OUTPUTS: usize = 3;
const STEPS: u64 = 6;
const LR: f64 = 0.03;

/// A linear layer's weight `[OUTPUTS, INPUTS]` and bias, then whatever an optimizer keeps of each.
struct Layer {
    weight: Vec<f64>,
    bias: Vec<f64>,
}

fn data(n: usize, phase: f64) -> Vec<f64> {
    (0..n).map(|i| f64::from(((i as f64 * 1.7 + phase).sin() * 1.5) as f32)).collect()
}

impl Layer {
    fn start() -> Self {
        Self { weight: data(OUTPUTS * INPUTS, 0.3), bias: data(OUTPUTS, 2.0) }
    }

    /// Gradients of the mean squared error.
    fn gradients(&self) -> [Vec<f64>; 2] {
        let (x, y) = (data(ROWS * INPUTS, 1.0), data(ROWS * OUTPUTS, 5.0));
        let (mut dw, mut db) = (vec![0.0; OUTPUTS * INPUTS], vec![0.0; OUTPUTS]);
        for n in 0..ROWS {
            for o in 0..OUTPUTS {
                let dot: f64 = (0..INPUTS).map(|i| x[n * INPUTS + i] * self.weight[o * INPUTS + i]).sum();
                let d = 2.0 * (dot + self.bias[o] - y[n * OUTPUTS + o]) / (ROWS * OUTPUTS) as f64;
                db[o] += d;
                (0..INPUTS).for_each(|i| dw[o * INPUTS + i] += d * x[n * INPUTS + i]);
            }
        }
        [dw, db]
    }
}

fn host(shape: &[usize], data: &[f64]) -> HostTensor {
    HostTensor::f32(shape, &data.iter().map(|&v| v as f32).collect::<Vec<_>>())
}

/// Trains the layer on a device and gives back every tensor at the end.
fn trained(device: &Device, optimizer: &Optimizer, groups: Option<[(f64, f64); 2]>) -> Tensors {
    let net = Net::new(Mode::Train);
    let x = net.input("x", Type::f32(&[ROWS, INPUTS]));
    let y = net.input("y", Type::f32(&[ROWS, OUTPUTS]));
    let weight = net.weight("weight", &[OUTPUTS, INPUTS], Init::Zeros);
    let bias = net.weight("bias", &[OUTPUTS], Init::Zeros);
    let loss = x.linear(&weight, Some(&bias)).mse_loss(&y);
    let named = [("weight".to_owned(), weight), ("bias".to_owned(), bias)];
    match groups {
        None => optimizer.minimise(&loss, &named),
        Some(settings) => {
            let group = |(weight, (weight_decay, lr_factor))| Group {
                weights: vec![weight],
                weight_decay,
                lr_factor,
            };
            optimizer.minimise_groups(&loss, &named.into_iter().zip(settings).map(group).collect::<Vec<_>>())
        }
    }
    .expect("a gradient");
    net.builder().output("loss", &loss);
    let start = Layer::start();
    let initial = vec![
        NamedTensor::new(Role::Weight, "weight", host(&[OUTPUTS, INPUTS], &start.weight)),
        NamedTensor::new(Role::Weight, "bias", host(&[OUTPUTS], &start.bias)),
    ];
    let (mut session, mut runner) =
        Session::new(device, &net.builder().graph(), &initial, 0).expect("a session");
    let x = host(&[ROWS, INPUTS], &data(ROWS * INPUTS, 1.0));
    let y = host(&[ROWS, OUTPUTS], &data(ROWS * OUTPUTS, 5.0));
    for t in 0..STEPS {
        let scalars = optimizer.scalars(t + 1, LR);
        runner.step(&mut session, t, &[("x", &x), ("y", &y)], &scalars).expect("a step");
        runner.wait().expect("results").expect("a step is under way");
    }
    session.snapshot().expect("a snapshot")
}

/// One tensor's step in plain loops: parameter, gradient, states, step number from 1, whether it is a matrix.
type Reference = dyn Fn(&mut [f64], &[f64], &mut [Vec<f64>; 3], i32, bool);

fn check(name: &str, optimizer: &Optimizer, reference: &Reference) {
    check_groups(name, optimizer, None, reference);
}

fn check_groups(name: &str, optimizer: &Optimizer, groups: Option<[(f64, f64); 2]>, reference: &Reference) {
    let mut layer = Layer::start();
    let mut states = [OUTPUTS * INPUTS, OUTPUTS].map(|n| [vec![0.0; n], vec![0.0; n], vec![0.0; n]]);
    for t in 1..=STEPS as i32 {
        let [dw, db] = layer.gradients();
        let (dw, db) = clipped(optimizer.clip, dw, db);
        reference(&mut layer.weight, &dw, &mut states[0], t, true);
        reference(&mut layer.bias, &db, &mut states[1], t, false);
    }
    for (label, device) in [("cpu", cpu()), ("gpu", gpu())] {
        let tensors = trained(&device, optimizer, groups);
        for (tensor, want, state) in
            [("weight", &layer.weight, &states[0]), ("bias", &layer.bias, &states[1])]
        {
            let found = |name: &str| tensors.iter().find(|t| t.name == name).map(|t| t.value.to_array().data);
            close(&format!("{name} on {label}: {tensor}"), want, &found(tensor).expect("a weight"));
            if let Some(average) = found(&format!("{tensor}.ema")) {
                close(&format!("{name} on {label}: average of {tensor}"), &state[2], &average);
            }
        }
    }
}

fn close(what: &str, want: &[f64], got: &[f64]) {
    for (i, (w, g)) in want.iter().zip(got).enumerate() {
        assert!((w - g).abs() < 1e-5, "{what}[{i}] is {g}, the reference {w}");
    }
}

fn clipped(clip: Clip, dw: Vec<f64>, db: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let all = || dw.iter().chain(&db);
    let factor = match clip {
        Clip::Off => 1.0,
        Clip::Norm(most) => (most / (all().map(|g| g * g).sum::<f64>().sqrt() + 1e-6)).min(1.0),
        Clip::Value(most) => {
            assert!(all().any(|g| g.abs() > most), "some gradient is held back");
            let held = |v: &[f64]| v.iter().map(|g| g.clamp(-most, most)).collect();
            return (held(&dw), held(&db));
        }
    };
    (dw.iter().map(|g| g * factor).collect(), db.iter().map(|g| g * factor).collect())
}

fn named(name: &str) -> Optimizer {
    Optimizer::new(OptimizerKind::named(name).expect("an optimizer"))
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|a| a * a).sum::<f64>().sqrt()
}

fn sgd(p: &mut [f64], g: &[f64], decay: f64, lr: f64) {
    p.iter_mut().zip(g).for_each(|(p, g)| *p -= lr * (g + decay * *p));
}

#[test]
fn lion_steps_by_the_sign() {
    check("lion", &named("lion").weight_decay(0.1), &|p, g, states, _, _| {
        for (i, p) in p.iter_mut().enumerate() {
            let m = &mut states[0][i];
            let sign = (0.9 * *m + 0.1 * g[i]).signum();
            *p = *p * (1.0 - LR * 0.1) - LR * sign;
            *m = 0.99 * *m + 0.01 * g[i];
        }
    });
}

#[test]
fn lamb_scales_by_norms() {
    check("lamb", &named("lamb").weight_decay(0.1), &|p, g, states, t, _| {
        let mut step = vec![0.0; p.len()];
        for i in 0..p.len() {
            states[0][i] = 0.9 * states[0][i] + 0.1 * g[i];
            states[1][i] = 0.999 * states[1][i] + 0.001 * g[i] * g[i];
            let (m, v) = (states[0][i] / (1.0 - 0.9f64.powi(t)), states[1][i] / (1.0 - 0.999f64.powi(t)));
            step[i] = m / (v.sqrt() + 1e-6) + 0.1 * p[i];
        }
        let trust = norm(p) / norm(&step);
        p.iter_mut().zip(&step).for_each(|(p, s)| *p -= LR * trust * s);
    });
}

/// `a` `[n, k]` by the transpose of `b` `[m, k]`.
fn product(a: &[f64], b: &[f64], n: usize, m: usize, k: usize) -> Vec<f64> {
    let at = |i: usize| (0..k).map(|p| a[i / m * k + p] * b[i % m * k + p]).sum();
    (0..n * m).map(at).collect()
}

fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|i| a[i % rows * columns + i / rows]).collect()
}

#[test]
fn muon_steps_by_an_orthogonal_matrix() {
    check("muon", &named("muon").weight_decay(0.1), &|p, g, states, t, matrix| {
        if !matrix {
            for (i, p) in p.iter_mut().enumerate() {
                states[0][i] = 0.9 * states[0][i] + 0.1 * g[i];
                states[1][i] = 0.999 * states[1][i] + 0.001 * g[i] * g[i];
                let (m, v) = (states[0][i] / (1.0 - 0.9f64.powi(t)), states[1][i] / (1.0 - 0.999f64.powi(t)));
                *p = *p * (1.0 - LR * 0.1) - LR * m / (v.sqrt() + 1e-8);
            }
            return;
        }
        let mut x: Vec<f64> = (0..p.len())
            .map(|i| {
                states[0][i] = 0.95 * states[0][i] + 0.05 * g[i];
                0.05 * g[i] + 0.95 * states[0][i]
            })
            .collect();
        let length = norm(&x);
        x.iter_mut().for_each(|v| *v /= length);
        for _ in 0..5 {
            let gram = product(&x, &x, OUTPUTS, OUTPUTS, INPUTS);
            // The Gram matrix is its own transpose.
            let square = product(&gram, &gram, OUTPUTS, OUTPUTS, OUTPUTS);
            let mixed: Vec<f64> = gram.iter().zip(&square).map(|(a, b)| -4.775 * a + 2.0315 * b).collect();
            let moved = product(&mixed, &transposed(&x, OUTPUTS, INPUTS), OUTPUTS, INPUTS, OUTPUTS);
            x.iter_mut().zip(&moved).for_each(|(x, m)| *x = 3.4445 * *x + m);
        }
        let scale = 0.2 * (INPUTS.max(OUTPUTS) as f64).sqrt();
        p.iter_mut().zip(&x).for_each(|(p, x)| *p = *p * (1.0 - LR * 0.1) - LR * scale * x);
    });
}

#[test]
fn optimizer_clips_gradients() {
    for clip in [Clip::Norm(0.1), Clip::Norm(1e3), Clip::Value(0.05)] {
        check("clip", &named("sgd").clip(clip), &|p, g, _, _, _| sgd(p, g, 0.0, LR));
    }
}

#[test]
fn decay_can_leave_out_biases() {
    let optimizer = named("sgd").weight_decay(0.2).decay_on(DecayOn::Matrices);
    check("decay", &optimizer, &|p, g, _, _, matrix| sgd(p, g, if matrix { 0.2 } else { 0.0 }, LR));
}

#[test]
fn optimizer_groups_have_own_settings() {
    let groups = Some([(0.3, 1.0), (0.0, 0.1)]);
    check_groups("groups", &named("sgd"), groups, &|p, g, _, _, matrix| {
        let (decay, lr) = if matrix { (0.3, LR) } else { (0.0, 0.1 * LR) };
        sgd(p, g, decay, lr);
    });
}

#[test]
fn averages_follow_the_weights() {
    let optimizer = named("sgd").ema(Some(0.6));
    check("ema", &optimizer, &|p, g, states, t, _| {
        sgd(p, g, 0.0, LR);
        let rate = (1.0f64 - 0.6).max(10.0 / (9.0 + f64::from(t)));
        states[2].iter_mut().zip(p).for_each(|(a, p)| *a += (*p - *a) * rate);
    });
    let kept = trained(&cpu(), &optimizer, None).iter().filter(|t| t.name.ends_with(".ema")).count();
    assert_eq!(kept, 2, "an average a weight");
}

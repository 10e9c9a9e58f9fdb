//! DCGAN's two players through `wgrad_train::train`, compared with a loop written out here over the f64
//! interpreter: order of the updates, noise, and evaluation of both.

use super::{Place, level, run, weights};
use std::collections::BTreeMap;
use wgrad_graph::ops::Leaf;
use wgrad_graph::{Env, Graph, Op, Role, Tensor, interpret};
use wgrad_models::DcGan;
use wgrad_nn::{Mode, Net, Optimizer, OptimizerKind};
use wgrad_train::Config;
use wgrad_types::{Array, Type};

const SIDE: usize = 16;
const COUNTS: [usize; 2] = [4, 2];
const TESTS: [usize; 2] = [2, 3];
const STEPS: u64 = 4;
const SEED: u64 = 9;
const LR: f64 = 2e-3;
/// Rows of an evaluation batch.
const ROWS: usize = 64;

fn pictures(from: [usize; 2], to: [usize; 2]) -> Vec<f64> {
    let of = |class: usize| (from[class]..to[class]).map(move |n| (class, n));
    let pixels = |(class, n): (usize, usize)| {
        (0..SIDE * SIDE).map(move |i| f64::from(level(class, n, i / SIDE, i % SIDE)) / 127.5 - 1.0)
    };
    of(0).chain(of(1)).flat_map(pixels).collect()
}

/// Runs a graph, applies its updates, and returns its outputs.
fn step(graph: &Graph, env: &mut Env) -> BTreeMap<String, Vec<f64>> {
    let values = interpret(graph, env);
    let of = |v: wgrad_graph::Value| values[v.index()].clone().expect("a value");
    for update in &graph.updates {
        let Op::Leaf(Leaf::Param { name, role, .. }) = &graph.node(update.target).op else {
            panic!("no leaf")
        };
        env.params.insert((*role, name.clone()), of(update.value));
    }
    graph.outputs.iter().map(|(name, v)| (name.clone(), of(*v).data)).collect()
}

/// The logits of pictures and of as many made up, both shared with the generator's noise of this graph.
fn judged(model: &DcGan, net: &Net, x: &Tensor) -> (Tensor, Tensor) {
    let noise = net.builder().rand(&[x.shape()[0], model.noise]) * 2.0 - 1.0;
    let made = model.generator(net, &noise).expect("a generator");
    let real = model.discriminator(net, x).expect("a discriminator");
    let told = net.shared(|| model.discriminator(net, &made)).expect("a discriminator");
    (real, told)
}

fn outputs(net: &Net, all: &[(&str, &Tensor)]) {
    all.iter().for_each(|(name, t)| net.builder().output(name, t));
}

/// Adds a player's updates.
fn moves(net: &Net, loss: &Tensor, player: &str) {
    let own = net.weights().into_iter().filter(|w| w.name.starts_with(player));
    let rule = Optimizer::new(OptimizerKind::Adam { betas: (0.5, 0.999), eps: 1e-8, amsgrad: false });
    rule.minimise(loss, &own.map(|w| (w.name, w.tensor)).collect::<Vec<_>>()).expect("gradients");
}

#[test]
fn dcgan_players_alternate_and_match_hand_loop() {
    let place = Place::new();
    let config = Config {
        data: place.pictures(SIDE, &COUNTS, &TESTS),
        width: 0.05,
        image_size: Some(SIDE),
        batch_size: 6,
        epochs: STEPS,
        lr: LR,
        seed: SEED,
        device: "cpu".into(),
        ..Config::for_model("dcgan")
    };
    let (_, seen) = run(&config, &place.path("run"));
    let model = DcGan { side: SIDE, width: 3, ..DcGan::new(1) };

    // Each step sees all pictures: their order moves nothing.
    let critic = Net::new(Mode::Train);
    let x = critic.input("x", Type::f32(&[6, 1, SIDE, SIDE]));
    let (real, made) = judged(&model, &critic, &x);
    let loss = (-&real).softplus().mean_all() + made.softplus().mean_all();
    outputs(&critic, &[("loss", &loss), ("real", &real), ("made", &made)]);
    moves(&critic, &loss, "discriminator.");
    let maker = Net::new(Mode::Train);
    let noise = maker.builder().rand(&[6, model.noise]) * 2.0 - 1.0;
    let told = model.discriminator(&maker, &model.generator(&maker, &noise).expect("a generator"));
    moves(&maker, &(-told.expect("a discriminator")).softplus().mean_all(), "generator.");
    let judge = Net::new(Mode::Eval);
    let x = judge.input("x", Type::f32(&[ROWS, 1, SIDE, SIDE]));
    let (real, made) = judged(&model, &judge, &x);
    outputs(&judge, &[("real", &real), ("made", &made)]);

    let (critic_graph, maker_graph) = (critic.builder().graph(), maker.builder().graph());
    let mut env = Env { seed: SEED as u32, ..Env::default() };
    for graph in [&critic_graph, &maker_graph] {
        for (role, name, ty) in graph.params().filter(|p| p.0 == Role::State) {
            env.params.insert((role, name.into()), Array::zeros(&ty.shape));
        }
    }
    env.params.extend(critic.initial(SEED).into_iter().map(|t| ((t.role, t.name), t.value.to_array())));
    let begun = env.params.clone();
    let train = Array::new(&[6, 1, SIDE, SIDE], pictures([0, 0], COUNTS));
    let held: Vec<f64> = pictures(COUNTS, [COUNTS[0] + TESTS[0], COUNTS[1] + TESTS[1]]);
    let count = held.len() / (SIDE * SIDE);
    let mut padded = held;
    padded.resize(ROWS * SIDE * SIDE, 0.0);
    let held = Array::new(&[ROWS, 1, SIDE, SIDE], padded);
    let softplus = |v: f64| v.exp().ln_1p();
    for t in 0..STEPS {
        env.step = t as u32;
        let (first, second) = (1.0 - 0.5f64.powf(t as f64 + 1.0), 1.0 - 0.999f64.powf(t as f64 + 1.0));
        let scalars = [("lr", LR), ("step_size", LR / first), ("inv_sqrt_bias2", 1.0 / second.sqrt())];
        env.inputs = scalars.into_iter().map(|(n, v)| (n.to_owned(), Array::new(&[], vec![v]))).collect();
        env.inputs.insert("x".into(), train.clone());
        let found = step(&critic_graph, &mut env);
        step(&maker_graph, &mut env);
        env.step = 0;
        env.inputs.insert("x".into(), held.clone());
        let told = step(&judge.builder().graph(), &mut env);
        let right = |found: &BTreeMap<String, Vec<f64>>, n: usize| {
            let real = found["real"][..n].iter().filter(|v| **v > 0.0).count();
            let made = found["made"][..n].iter().filter(|v| **v <= 0.0).count();
            (real + made) as f64 / (2 * n) as f64
        };
        let pairs = told["real"].iter().zip(&told["made"]).take(count);
        let off = pairs.map(|(real, made)| softplus(-real) + softplus(*made)).sum::<f64>() / count as f64;
        let want = [found["loss"][0], right(&found, 6), off, right(&told, count)];
        let got = seen.evaluations[t as usize];
        for (what, (want, got)) in ["loss", "score", "loss in evaluation", "score in evaluation"]
            .iter()
            .zip(want.into_iter().zip([got.0, got.1, got.2, got.3]))
        {
            assert!((want - got).abs() < 1e-4, "step {t}: {what} is {got}, by hand {want}");
        }
    }
    for (name, got) in weights(&place.path("run")) {
        let of = |all: &BTreeMap<(Role, String), Array>| {
            [Role::Weight, Role::Buffer].into_iter().find_map(|role| all.get(&(role, name.clone())).cloned())
        };
        let (start, want) = (of(&begun).expect("a start"), of(&env.params).expect("an end"));
        let largest =
            |a: &Array, b: &Array| a.data.iter().zip(&b.data).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        let (moved, off) = (largest(&start, &want), largest(&want, &got));
        assert!(moved > 0.0, "{name} moves");
        assert!(
            off <= 5e-3 * moved + 1e-6,
            "{name} ends {off:e} from the loop written out; it moved by {moved:e}"
        );
    }
}

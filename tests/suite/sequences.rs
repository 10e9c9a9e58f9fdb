//! Sequence models and layers: token by token gives the same as the whole sequence; both directions; shared
//! weights.

use wgrad_device::Device;
use wgrad_graph::{Role, Tensor};
use wgrad_models::{Gpt, TextKind, TextModel};
use wgrad_nn::{Heads, Mode, Net, Recurrent, RecurrentKind};
use wgrad_session::Session;
use wgrad_tests::{cpu, gpu};
use wgrad_types::{HostTensor, Type};

const TOKENS: [i32; 7] = [3, 1, 4, 1, 5, 2, 6];

fn models() -> Vec<TextModel> {
    let small = |name: &str| TextModel {
        context: TOKENS.len(),
        layers: 2,
        hidden: 12,
        heads: 2,
        key_heads: 2,
        ..TextModel::new(TextKind::named(name).expect("a model"), 9)
    };
    let shared = TextModel { key_heads: 1, rotary: true, ..small("gpt") };
    vec![small("gpt"), shared, small("char-rnn"), small("char-lstm"), small("char-gru")]
}

/// One evaluation of a graph with inputs, all weights drawn from seed 5.
fn run(device: &Device, net: &Net, inputs: &[(&str, &HostTensor)]) -> Vec<f32> {
    let (mut session, mut runner) =
        Session::new(device, &net.builder().graph(), &net.initial(5), 0).expect("a session");
    runner.step(&mut session, 0, inputs, &[]).expect("a step");
    runner.wait().expect("results").expect("a step is under way").get("y").as_f32().to_vec()
}

#[test]
fn generation_by_token_matches_sequence() {
    for model in models() {
        for (label, device) in [("cpu", cpu()), ("gpu", gpu())] {
            let net = Net::new(Mode::Eval);
            let tokens = net.input("x", Type::i32(&[1, TOKENS.len()]));
            net.builder().output("y", &model.build(&net, &tokens).expect("a model"));
            let whole = run(&device, &net, &[("x", &HostTensor::i32(&[1, TOKENS.len()], &TOKENS))]);

            let net = Net::new(Mode::Eval);
            let (token, position) = (net.input("x", Type::i32(&[1])), net.input("p", Type::i32(&[1])));
            net.builder().output("y", &model.step(&net, &token, &position).expect("a model"));
            let (mut session, mut runner) =
                Session::new(&device, &net.builder().graph(), &net.initial(5), 0).expect("a session");
            for (i, &token) in TOKENS.iter().enumerate() {
                let (x, p) = (HostTensor::i32(&[1], &[token]), HostTensor::i32(&[1], &[i as i32]));
                runner.step(&mut session, 0, &[("x", &x), ("p", &p)], &[]).expect("a step");
                let outputs = runner.wait().expect("results").expect("a step is under way");
                for (c, got) in outputs.get("y").as_f32().iter().enumerate() {
                    let want = whole[i * model.vocab + c];
                    let name = model.kind.name();
                    assert!(
                        (got - want).abs() < 1e-5,
                        "{name} on {label}: logit {c} of {i} is {got}, not {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn causal_model_ignores_later_tokens() {
    for model in models() {
        let net = Net::new(Mode::Eval);
        let tokens = net.input("x", Type::i32(&[1, TOKENS.len()]));
        net.builder().output("y", &model.build(&net, &tokens).expect("a model"));
        let logits =
            |tokens: &[i32]| run(&cpu(), &net, &[("x", &HostTensor::i32(&[1, TOKENS.len()], tokens))]);
        let mut other = TOKENS;
        other[4] = 8;
        let (a, b) = (logits(&TOKENS), logits(&other));
        let seen = 4 * model.vocab;
        assert_eq!(a[..seen], b[..seen], "{}: the past changed", model.kind.name());
        assert_ne!(a[seen..], b[seen..], "{}: the token has no effect", model.kind.name());
    }
}

fn input(net: &Net) -> (Tensor, HostTensor) {
    let values: Vec<f32> = (0..2 * 5 * 4).map(|i| (i as f32 * 0.9).sin()).collect();
    (net.input("x", Type::f32(&[2, 5, 4])), HostTensor::f32(&[2, 5, 4], &values))
}

#[test]
fn bidirectional_layer_is_two_cells() {
    for kind in [RecurrentKind::RnnRelu, RecurrentKind::Lstm, RecurrentKind::Gru] {
        let net = Net::new(Mode::Eval);
        let (x, values) = input(&net);
        let layer = Recurrent { bidirectional: true, ..Recurrent::new(kind, 3, 2) };
        net.builder().output("y", &net.recurrent("rnn", &x, layer).y);
        let names: Vec<String> = net.weights().into_iter().map(|p| p.name).collect();
        assert_eq!(names.len(), 16);
        assert!(names.contains(&"rnn.weight_ih_l1_reverse".to_owned()), "{names:?}");
        let got = run(&cpu(), &net, &[("x", &values)]);

        // The same by hand: each side alone, the backward one over reversed steps.
        let net = Net::new(Mode::Eval);
        let (x, _) = input(&net);
        let side = |x: &Tensor, suffix: &str| {
            let weight = |what: &str, shape: &[usize]| {
                let init = wgrad_nn::Init::Uniform { bound: 1.0 / 3f64.sqrt() };
                net.weight(&format!("rnn.{what}_{suffix}"), shape, init)
            };
            let (rows, width) = (kind.gates() * 3, x.shape()[2]);
            let (w, b) = (weight("weight_ih", &[rows, width]), weight("bias_ih", &[rows]));
            let (wh, bh) = (weight("weight_hh", &[rows, 3]), weight("bias_hh", &[rows]));
            let mut gates = x.linear(&w, Some(&b)).unbind(1);
            let backward = suffix.ends_with("reverse");
            if backward {
                gates.reverse();
            }
            let zeros = x.narrow(2, 0, 1).narrow(1, 0, 1).reshape(&[2, 1]).broadcast_to(&[2, 3]) * 0.0;
            let (mut h, mut c, mut all) = (zeros.clone(), zeros, Vec::new());
            for g in &gates {
                (h, c) = match kind {
                    RecurrentKind::Lstm => g.lstm_cell(Some((&h, &c)), &wh, &bh),
                    RecurrentKind::Gru => (g.gru_cell(Some(&h), &wh, &bh), c),
                    _ => (g.rnn_cell(Some(&h), &wh, &bh, true), c),
                };
                all.push(h.clone());
            }
            if backward {
                all.reverse();
            }
            Tensor::stack(&all.iter().collect::<Vec<_>>(), 1)
        };
        let y = Tensor::concat(&[&side(&x, "l0"), &side(&x, "l0_reverse")], 2);
        let y = Tensor::concat(&[&side(&y, "l1"), &side(&y, "l1_reverse")], 2);
        net.builder().output("y", &y);
        let want = run(&cpu(), &net, &[("x", &values)]);
        assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-6), "{kind:?}: {got:?} for {want:?}");
    }
}

#[test]
fn attention_shared_heads_have_fewer_rows() {
    let net = Net::new(Mode::Eval);
    let x = net.input("x", Type::f32(&[2, 5, 12]));
    let heads = Heads { keys: 2, ..Heads::new(6, false) };
    assert_eq!(net.multihead_attention("attention", &x, heads).shape(), [2, 5, 12]);
    let shape = |name: &str| {
        net.weights().into_iter().find(|p| p.name == name).map(|p| p.tensor.shape()).expect("a weight")
    };
    // Six heads of two for queries; two each for keys and values.
    assert_eq!(shape("attention.in_proj_weight"), [12 + 4 + 4, 12]);
    assert_eq!(shape("attention.out_proj.weight"), [12, 12]);
}

#[test]
fn gpt_tied_output_is_the_embedding() {
    let tied = Gpt { tied: true, ..Gpt::new(9, 7, 12, 1, 2) };
    let net = Net::new(Mode::Train);
    let tokens = net.input("x", Type::i32(&[1, 7]));
    tied.build(&net, &tokens);
    let names: Vec<String> = net.weights().into_iter().map(|p| p.name).collect();
    assert!(
        names.contains(&"tok.weight".to_owned()) && !names.contains(&"head.weight".to_owned()),
        "{names:?}"
    );
    assert!(net.parameters().iter().all(|p| p.role == Role::Weight));
}

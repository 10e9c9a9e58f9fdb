//! Text written by a language model, one token at a time.

use super::judged::{Weights, logits};
use super::{Place, run};
use wgrad_graph::NamedTensor;
use wgrad_graph::Role;
use wgrad_models::{TextKind, TextModel};
use wgrad_tests::cpu;
use wgrad_train::{Config, Generator, Sampling};
use wgrad_types::Array;

/// Greedy text over kept state is greedy text over the whole sequence.
#[test]
fn generate_matches_whole_sequence() {
    let place = Place::new();
    let data = place.text(200);
    for (model, rotary, key_heads) in [
        ("gpt", false, 2),
        ("gpt", true, 1),
        ("char-rnn", false, 4),
        ("char-lstm", false, 4),
        ("char-gru", false, 4),
    ] {
        let gpt = model == "gpt";
        let config = Config {
            model: model.into(),
            data: data.clone(),
            context: Some(9),
            layers: Some(2),
            hidden: Some(8),
            heads: gpt.then_some(2),
            key_heads: gpt.then_some(key_heads),
            rotary,
            dropout: 0.3,
            steps: Some(12),
            lr: 0.05,
            batch_size: 4,
            val_split: Some(0.2),
            device: "cpu".into(),
            ..Config::default()
        };
        let out = place.path(&format!("{model}-{rotary}"));
        run(&config, &out);
        // Large weights, so that every earlier letter and its position matter.
        let mut tensors =
            wgrad_session::checkpoint::load(&out.join("best"), |_| Role::Weight).expect("weights");
        for (at, NamedTensor { name, value: tensor, .. }) in tensors.iter_mut().enumerate() {
            let most = match name.as_str() {
                n if n.contains("ln") => continue,
                n if n.starts_with("tok") => 1.0,
                n if n.starts_with("rnn") && model != "char-rnn" => 5.0,
                n if n.ends_with("bias") || n.contains("out") => 0.1,
                _ => 2.0,
            };
            let draw = |i: usize| ((i as f64 * 12.9898 + at as f64 * 78.233).sin() * 43_758.545_3).fract();
            let value = |i: usize| most * draw(i);
            *tensor = Array::from_fn(&tensor.ty.shape, value).to_host(wgrad_types::DType::F32);
        }
        let card = std::fs::read(out.join("best/model.json")).expect("a card");
        let out = place.path(&format!("{model}-{rotary}-far"));
        wgrad_session::checkpoint::save(&out, &tensors, &[("model.json", card)]).expect("saved");
        let best: Weights = tensors.into_iter().map(|t| (t.name, t.value.to_array())).collect();
        let kind = TextKind::named(model).expect("a model");
        let usual = TextModel::new(kind, 5);
        let own = TextModel { context: 9, layers: 2, hidden: 8, rotary, ..usual };
        let own = if gpt { TextModel { heads: 2, key_heads, ..own } } else { own };
        let likeliest = Sampling { temperature: 0.0, top_k: None, top_p: None, seed: 0 };
        // The likeliest next letter, over the whole sequence.
        let after = |tokens: &[usize]| {
            let x = Array::new(&[1, tokens.len()], tokens.iter().map(|&t| t as f64).collect());
            let y = logits(&best, &x, true, |net, x| own.build(net, x).expect("a model"));
            let last = &y.data[y.data.len() - 5..];
            (1..5).fold(0, |b, c| if last[c] > last[b] { c } else { b })
        };
        // All end alike: predictions differ by earlier letters only.
        let mut told = std::collections::BTreeSet::new();
        for prompt in ["bda", "ecca", "aba", "ddea", "cea", "a", "bbbba", "edcba", "aaa", "cadea"] {
            let mut writer = Generator::open(&out, &cpu()).expect("a model");
            writer.prompt(prompt).expect("letters of the text");
            let mut tokens: Vec<usize> = prompt.bytes().map(|b| usize::from(b - b'a')).collect();
            told.insert(after(&tokens));
            for _ in 0..3 {
                let next = after(&tokens);
                let letter = writer.next(&likeliest).expect("a letter");
                assert_eq!(letter, ["a", "b", "c", "d", "e"][next], "{model} after {tokens:?}");
                tokens.push(next);
            }
        }
        assert!(told.len() > 1, "{model}, rotary {rotary}: what came before matters to no letter");
    }
}

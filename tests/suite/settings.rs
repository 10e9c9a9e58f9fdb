//! Every optimizer with every setting it has, against PyTorch's steps on given gradients (`xtask/optimizers_torch.py`): in f64,
//! on the CPU, with the loss scaled, and with gradients summed over parts; and schedules.

use crate::compositions::{Values, differ};
use crate::golden::{Reference, read};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use wgrad_graph::ops::Leaf;
use wgrad_graph::{Env, Graph, Op, Role, Tensor, interpret};
use wgrad_nn::{
    Clip, DecayOn, Group, Init, Mode, Net, OPTIMIZERS, Optimizer, OptimizerKind, SHARE, Schedule, accumulate,
    average_name,
};
use wgrad_session::{NamedTensor, Session, Tensors};
use wgrad_tests::cpu;
use wgrad_types::{Array, DType, Type};

const NAMES: [&str; 2] = ["weight", "bias"];

/// Rounding of the reference, of constants, and of NAdam's product of momenta in f32.
const EXACT: (f64, f64) = (2e-6, 2e-6);

/// Rounding of nine steps in f32; Muon's polynomial blows it up.
const ROUNDED: (f64, f64) = (2e-5, 2e-5);

fn kind(case: &Value) -> OptimizerKind {
    let s = &case["settings"];
    let n = |key: &str| s[key].as_f64().unwrap_or_else(|| panic!("no {key} in {case}"));
    let yes = |key: &str| s[key].as_bool().unwrap_or_else(|| panic!("no {key} in {case}"));
    let betas = || {
        let both = s["betas"].as_array().unwrap_or_else(|| panic!("no betas in {case}"));
        (both[0].as_f64().expect("a number"), both[1].as_f64().expect("a number"))
    };
    match case["kind"].as_str().expect("a kind") {
        "sgd" => OptimizerKind::Sgd { momentum: n("momentum"), nesterov: yes("nesterov") },
        "rmsprop" => OptimizerKind::RmsProp {
            alpha: n("alpha"),
            eps: n("eps"),
            momentum: n("momentum"),
            centered: yes("centered"),
        },
        "adagrad" => OptimizerKind::Adagrad { lr_decay: n("lr_decay"), eps: n("eps") },
        "adadelta" => OptimizerKind::Adadelta { rho: n("rho"), eps: n("eps") },
        "adam" => OptimizerKind::Adam { betas: betas(), eps: n("eps"), amsgrad: yes("amsgrad") },
        "adamw" => OptimizerKind::AdamW { betas: betas(), eps: n("eps") },
        "adamax" => OptimizerKind::Adamax { betas: betas(), eps: n("eps") },
        "nadam" => {
            OptimizerKind::NAdam { betas: betas(), eps: n("eps"), momentum_decay: n("momentum_decay") }
        }
        "radam" => OptimizerKind::RAdam { betas: betas(), eps: n("eps") },
        "lamb" => OptimizerKind::Lamb { betas: betas(), eps: n("eps") },
        "lion" => OptimizerKind::Lion { betas: betas() },
        "muon" => OptimizerKind::Muon { momentum: n("momentum"), betas: betas(), eps: n("eps") },
        other => panic!("no optimizer {other:?}"),
    }
}

fn optimizer(case: &Value) -> Optimizer {
    let clip = match (case["clip_norm"].as_f64(), case["clip_value"].as_f64()) {
        (Some(most), _) => Clip::Norm(most),
        (None, Some(most)) => Clip::Value(most),
        (None, None) => Clip::Off,
    };
    Optimizer::new(kind(case))
        .weight_decay(case["decay"].as_f64().expect("a number"))
        .decay_on(if case["decay_on"] == "matrices" { DecayOn::Matrices } else { DecayOn::All })
        .clip(clip)
        .ema(case["ema"].as_f64())
}

type Weights = Vec<(String, Tensor)>;

/// Weights, a loss with the inputs `x` and `y` as its gradient, and the weights to train.
fn problem(reference: &Reference, case: &Value) -> (Net, Tensor, Weights) {
    let net = Net::new(Mode::Train);
    let part = |name: &str, fed: &str| {
        let shape = &reference.get(&format!("start/{name}")).shape;
        let weight = net.weight(name, shape, Init::Zeros);
        ((&weight * &net.input(fed, Type::f32(shape))).sum_all(), weight)
    };
    let ((a, weight), (b, bias)) = (part("weight", "x"), part("bias", "y"));
    let frozen = |name: &str| case["frozen"].as_array().is_some_and(|f| f.iter().any(|n| n == name));
    let all = [("weight".to_owned(), weight), ("bias".to_owned(), bias)];
    let moving = all.into_iter().filter(|w| !frozen(&w.0)).collect();
    (net, a + b, moving)
}

/// Adds the case's updates.
fn minimised(optimizer: &Optimizer, case: &Value, loss: &Tensor, moving: &Weights) {
    if case["decays"].is_null() {
        optimizer.minimise(loss, moving).expect("gradients");
        return;
    }
    let group = |(i, weight): (usize, &(String, Tensor))| Group {
        weights: vec![weight.clone()],
        weight_decay: case["decays"][&weight.0].as_f64().expect("a number"),
        lr_factor: case["factors"][i].as_f64().expect("a number"),
    };
    let groups: Vec<Group> = moving.iter().enumerate().map(group).collect();
    optimizer.minimise_groups(loss, &groups).expect("gradients");
}

/// Rows of a stack of steps.
fn at(stack: &Array, t: usize) -> Array {
    let size = stack.data.len() / stack.shape[0];
    Array::new(&stack.shape[1..], stack.data[t * size..(t + 1) * size].to_vec())
}

fn rate(case: &Value, t: usize) -> f64 {
    case["rates"][t].as_f64().unwrap_or_else(|| case["lr"].as_f64().expect("a number"))
}

fn step_count(reference: &Reference) -> usize {
    reference.get("grad/weight").shape[0]
}

/// Parameters and averages after each step, in f64.
fn in_f64(reference: &Reference, case: &Value) -> Vec<Values> {
    let (net, loss, moving) = problem(reference, case);
    let own = optimizer(case);
    minimised(&own, case, &loss, &moving);
    net.builder().output("loss", &loss);
    let graph = net.builder().graph();
    let mut env = Env::default();
    for (role, name, ty) in graph.params() {
        env.params.insert((role, name.into()), Array::zeros(&ty.shape));
    }
    for name in NAMES {
        env.params.insert((Role::Weight, name.into()), reference.get(&format!("start/{name}")).clone());
    }
    let mut all = Vec::new();
    for t in 0..step_count(reference) {
        for (fed, name) in ["x", "y"].into_iter().zip(NAMES) {
            env.inputs.insert(fed.into(), at(reference.get(&format!("grad/{name}")), t));
        }
        for (name, value) in own.exact_scalars(t as u64 + 1, rate(case, t)) {
            env.inputs.insert(name.into(), Array::new(&[], vec![value]));
        }
        step(&graph, &mut env);
        let keep = |((_, name), a): (&(Role, String), &Array)| (name.clone(), (a.clone(), false));
        all.push(env.params.iter().map(keep).collect());
    }
    all
}

fn step(graph: &Graph, env: &mut Env) {
    let values = interpret(graph, env);
    for update in &graph.updates {
        let Op::Leaf(Leaf::Param { name, role, .. }) = &graph.node(update.target).op else {
            panic!("an update of what is no parameter")
        };
        let value = values[update.value.index()].clone().expect("a live value");
        env.params.insert((*role, name.clone()), value);
    }
}

/// Ways to run a step on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Plain,
    Scaled,
    /// Two parts, of a quarter and three quarters of the samples.
    Parts,
}

fn on_device(reference: &Reference, case: &Value, way: Way) -> Vec<Values> {
    let own = optimizer(case).loss_scaling(way == Way::Scaled);
    let (net, loss, moving) = problem(reference, case);
    net.builder().output("loss", &loss);
    let initial: Tensors = NAMES
        .iter()
        .map(|name| {
            let start = reference.get(&format!("start/{name}")).to_host(DType::F32);
            NamedTensor::new(Role::Weight, *name, start)
        })
        .collect();
    let device = cpu();
    let (mut session, mut runners) = if way == Way::Parts {
        accumulate(&loss, &moving, false).expect("gradients");
        let end = Net::new(Mode::Train);
        let weights: Weights = moving
            .iter()
            .map(|(name, t)| (name.clone(), end.weight(name, &t.shape(), Init::Zeros)))
            .collect();
        own.apply(end.builder(), &weights);
        let graphs = [&end.builder().graph(), &net.builder().graph()];
        Session::over(&device, &graphs, &initial, 0).expect("a session")
    } else {
        minimised(&own, case, &loss, &moving);
        let (session, runner) =
            Session::new(&device, &net.builder().graph(), &initial, 0).expect("a session");
        (session, vec![runner])
    };
    let mut all = Vec::new();
    for t in 0..step_count(reference) {
        let scalars = own.scalars(t as u64 + 1, rate(case, t));
        let whole = |name: &str| at(reference.get(&format!("grad/{name}")), t);
        let fed = |name: &str, times: f64| {
            let mut array = whole(name);
            array.data.iter_mut().for_each(|v| *v *= times);
            array.to_host(DType::F32)
        };
        if way == Way::Parts {
            // Means over unequal parts: a quarter of 3 g and three quarters of g / 3 are g.
            for (share, times) in [(0.25f32, 3.0), (0.75, 1.0 / 3.0)] {
                let (x, y) = (fed("weight", times), fed("bias", times));
                let part = &mut runners[1];
                part.step(&mut session, t as u64, &[("x", &x), ("y", &y)], &[(SHARE, share)])
                    .expect("a part");
                part.wait().expect("results");
            }
            runners[0].step(&mut session, t as u64, &[], &scalars).expect("an update");
            runners[0].wait().expect("results");
        } else {
            let (x, y) = (fed("weight", 1.0), fed("bias", 1.0));
            runners[0].step(&mut session, t as u64, &[("x", &x), ("y", &y)], &scalars).expect("a step");
            runners[0].wait().expect("results").expect("a step is under way");
        }
        let tensors = session.snapshot().expect("a snapshot");
        all.push(tensors.iter().map(|t| (t.name.clone(), (t.value.to_array(), false))).collect());
    }
    all
}

fn check(
    reference: &Reference,
    case: &Value,
    label: &str,
    found: &[Values],
    bound: (f64, f64),
) -> Vec<String> {
    let name = case["name"].as_str().expect("a name");
    let mut failures = Vec::new();
    for (t, values) in found.iter().enumerate() {
        for tensor in NAMES {
            let want = at(reference.get(&format!("{name}/{tensor}")), t);
            let place = format!("{name} {label}: {tensor} after step {}", t + 1);
            failures.extend(differ(&place, &want, &values[tensor].0, bound));
        }
    }
    for tensor in NAMES.iter().filter(|_| !case["ema"].is_null()) {
        let last = &found.last().expect("a step")[&average_name(tensor)].0;
        let want = reference.get(&format!("{name}/ema/{tensor}"));
        failures.extend(differ(&format!("{name} {label}: average of {tensor}"), want, last, bound));
    }
    failures.truncate(2);
    failures
}

fn all_cases(test: impl Fn(&Reference, &Value) -> Vec<String>) {
    let reference = read("optimizers.safetensors");
    let failures: Vec<String> = reference.cases().iter().flat_map(|case| test(&reference, case)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn optimizer_settings_match_pytorch_in_f64() {
    all_cases(|reference, case| check(reference, case, "in f64", &in_f64(reference, case), EXACT));
}

#[test]
fn optimizer_settings_match_pytorch_on_device() {
    all_cases(|reference, case| {
        let run = |way: Way| on_device(reference, case, way);
        check(reference, case, "on the CPU", &run(Way::Plain), ROUNDED)
    });
}

#[test]
fn optimizer_scaling_and_accumulation_match_pytorch() {
    all_cases(|reference, case| {
        let mut failures =
            check(reference, case, "scaled", &on_device(reference, case, Way::Scaled), ROUNDED);
        // Groups are `minimise_groups` alone.
        if case["decays"].is_null() {
            let found = on_device(reference, case, Way::Parts);
            failures.extend(check(reference, case, "in parts", &found, ROUNDED));
        }
        failures
    });
}

/// The fields a rule shows for debugging: its settings.
fn settings(kind: OptimizerKind) -> (String, BTreeSet<String>) {
    let text = format!("{kind:?}");
    let (name, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let words = rest.split([' ', '{', '}', ',']).filter_map(|w| w.strip_suffix(':'));
    (name.to_owned(), words.map(str::to_owned).collect())
}

#[test]
fn optimizer_settings_all_have_cases() {
    let reference = read("optimizers.safetensors");
    let cases = reference.cases();
    let mut moved: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let last = |case: &Value, tensor: &str| {
        let stack = reference.get(&format!("{}/{tensor}", case["name"].as_str().expect("a name")));
        at(stack, step_count(&reference) - 1)
    };
    let differs = |a: &Value, b: &Value| {
        NAMES.iter().any(|tensor| {
            let both = (last(a, tensor), last(b, tensor));
            both.0.data.iter().zip(&both.1.data).any(|(a, b)| (a - b).abs() > 1e-4)
        })
    };
    let named =
        |name: String| cases.iter().find(|c| c["name"] == *name).unwrap_or_else(|| panic!("no {name}"));
    for case in &cases {
        let word = case["kind"].as_str().expect("a kind");
        let usual = named(format!("{word}.usual"));
        let own = moved.entry(settings(kind(case)).0).or_default();
        // Settings common to all rules, changed alone.
        let common = ["decay", "decay_on", "clip_norm", "clip_value", "rates", "decays", "frozen"];
        let same_rule = case["settings"] == usual["settings"];
        if same_rule && differs(case, usual) {
            own.extend(common.iter().filter(|k| case[**k] != usual[**k]).map(|k| (*k).to_owned()));
        }
        if !case["ema"].is_null() {
            own.insert("ema".into());
        }
        // A setting of the rule's own, beside the same decay.
        let (mine, theirs) = (&case["settings"], &usual["settings"]);
        let keys =
            mine.as_object().expect("settings").keys().filter(|k| mine[k.as_str()] != theirs[k.as_str()]);
        let decayed = cases
            .iter()
            .find(|c| c["kind"] == word && c["decay"] == case["decay"] && c["settings"] == *theirs);
        let base = decayed.unwrap_or(usual);
        own.extend(keys.filter(|_| differs(case, base)).cloned());
    }
    for &(name, rule) in OPTIMIZERS {
        let (variant, fields) = settings(rule);
        let own = moved.get(&variant).unwrap_or_else(|| panic!("{name} has no cases"));
        // Settings of `Optimizer` itself, as it prints them; a new one is to have cases here.
        let printed = format!("{:#?}", Optimizer::new(rule));
        let field = |line: &'_ str| Some(line.strip_prefix("    ")?.split_once(':')?.0.to_owned());
        let known: Vec<String> = printed.lines().filter_map(field).filter(|f| !f.starts_with(' ')).collect();
        assert_eq!(known, ["kind", "weight_decay", "decay_on", "clip", "ema", "loss_scaling"]);
        let common = ["decay", "decay_on", "clip_norm", "clip_value", "ema", "rates", "decays", "frozen"];
        for wanted in fields.iter().map(String::as_str).chain(common) {
            // A clipped sign is the same sign, and a norm's ratio takes a factor out again; the momentum's mixture stays.
            assert!(own.contains(wanted), "{name}: no case is moved by {wanted}; these do: {own:?}");
        }
    }
}

#[test]
fn schedules_match_pytorch() {
    let reference = read("optimizers.safetensors");
    let mut kinds = BTreeSet::new();
    for key in reference.under("schedule/") {
        let (word, total) = key.split_once('/').expect("a name and a total");
        let numbers: Vec<f64> = word.split(':').skip(1).map(|n| n.parse().expect("a number")).collect();
        let name = word.split(':').next().expect("a name");
        let schedule = match name {
            "constant" => Schedule::Constant,
            "cosine" => Schedule::Cosine,
            "one-cycle" => Schedule::OneCycle,
            "step" => Schedule::Step { every: numbers[0], gamma: numbers[1] },
            "linear-warmup" => Schedule::LinearWarmup { share: numbers[0] },
            other => panic!("no schedule {other:?}"),
        };
        let total: u64 = total.parse().expect("a number");
        for (t, want) in reference.get(&format!("schedule/{key}")).data.iter().enumerate() {
            let got = schedule.rate(0.3, t as u64, total);
            let off = (got - 0.3 * want).abs();
            assert!(off < 1e-9, "{word} of {total}: step {t} has {got}, expected {}", 0.3 * want);
        }
        kinds.insert(name.to_owned());
    }
    // A new kind does not compile here.
    let known = |s: Schedule| match s {
        Schedule::Constant => "constant",
        Schedule::Step { .. } => "step",
        Schedule::Cosine => "cosine",
        Schedule::OneCycle => "one-cycle",
        Schedule::LinearWarmup { .. } => "linear-warmup",
    };
    let _ = known;
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

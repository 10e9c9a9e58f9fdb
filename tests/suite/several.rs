//! Several plans over one session's tensors: micro-batches and their common update, two players of a game.

use wgrad_device::Device;
use wgrad_graph::{Graph, Role, Tensor};
use wgrad_nn::{
    Clip, DecayOn, Group, Loss, Mode, Net, Optimizer, OptimizerKind, SHARE, accumulate, average_name,
};
use wgrad_plan::{PlanError, PlanOptions, common_layout, plan, verify};
use wgrad_session::{NamedTensor, Runner, Session, Tensors};
use wgrad_tests::{cpu, gpu};
use wgrad_types::{Caps, HostTensor, Type};

const ROWS: usize = 8;

fn optimizer() -> Optimizer {
    let adamw = Optimizer::adamw().weight_decay(0.1).decay_on(DecayOn::Matrices);
    adamw.clip(Clip::Norm(0.5)).ema(Some(0.9))
}

type Weights = Vec<(String, Tensor)>;

/// A small convolutional classifier's loss over so many rows, and its weights.
fn classifier(rows: usize) -> (Net, Tensor, Weights) {
    let net = Net::new(Mode::Train);
    let (x, y) = (net.input("x", Type::f32(&[rows, 2, 6, 6])), net.input("y", Type::i32(&[rows])));
    let x = net.conv2d("conv", &x, wgrad_nn::Conv::new(4, 3, 2, 1)).relu();
    let logits = net.linear("fc2", &net.linear("fc1", &x.flatten(1), 12).tanh(), 5);
    let loss = Loss::CrossEntropy { label_smoothing: 0.1 }.of(&logits, &y);
    net.builder().output("loss", &loss);
    let weights = net.named_weights();
    (net, loss, weights)
}

/// A part's plan: gradients onto their sums.
fn part(rows: usize) -> Net {
    let (net, loss, weights) = classifier(rows);
    accumulate(&loss, &weights, false).expect("gradients");
    net
}

/// The update's plan.
fn update(optimizer: &Optimizer) -> Graph {
    let (_, _, weights) = classifier(1);
    let net = Net::new(Mode::Train);
    let own: Weights = weights
        .into_iter()
        .map(|(name, t)| (name.clone(), net.weight(&name, &t.shape(), wgrad_nn::Init::Zeros)))
        .collect();
    optimizer.apply(net.builder(), &own);
    net.builder().graph()
}

fn rows(step: u64, from: usize, to: usize) -> (HostTensor, HostTensor) {
    let value = |i: usize| ((i * 29 + step as usize * 53) % 83) as f32 / 41.0 - 1.0;
    let x: Vec<f32> = (from * 72..to * 72).map(value).collect();
    let y: Vec<i32> = (from..to).map(|i| ((i * 3 + step as usize) % 5) as i32).collect();
    (HostTensor::f32(&[to - from, 2, 6, 6], &x), HostTensor::i32(&[to - from], &y))
}

fn step(session: &mut Session, runner: &mut Runner, t: u64, at: (usize, usize), scalars: &[(&str, f32)]) {
    let (x, y) = rows(t, at.0, at.1);
    let inputs = [("x", &x), ("y", &y)];
    // A plan takes the inputs it knows.
    let known: Vec<_> =
        inputs.into_iter().filter(|i| runner.plan().inputs.iter().any(|n| n.name == i.0)).collect();
    runner.step(session, t, &known, scalars).expect("a step");
    runner.wait().expect("results");
}

fn whole(device: &Device) -> Tensors {
    let (net, loss, weights) = classifier(ROWS);
    optimizer().minimise(&loss, &weights).expect("gradients");
    let (mut session, mut runner) =
        Session::new(device, &net.builder().graph(), &net.initial(4), 4).expect("a session");
    for t in 0..4 {
        step(&mut session, &mut runner, t, (0, ROWS), &optimizer().scalars(t + 1, 0.01));
    }
    session.snapshot().expect("a snapshot")
}

fn in_parts(device: &Device, cuts: &[usize]) -> Tensors {
    let graphs: Vec<Graph> = std::iter::once(update(&optimizer()))
        .chain(cuts.windows(2).map(|c| part(c[1] - c[0]).builder().graph()))
        .collect();
    let initial = part(1).initial(4);
    let (mut session, mut runners) =
        Session::over(device, &graphs.iter().collect::<Vec<_>>(), &initial, 4).expect("a session");
    for t in 0..4 {
        for (cut, runner) in cuts.windows(2).zip(&mut runners[1..]) {
            let share = (cut[1] - cut[0]) as f32 / ROWS as f32;
            step(&mut session, runner, t, (cut[0], cut[1]), &[(SHARE, share)]);
        }
        step(&mut session, &mut runners[0], t, (0, 0), &optimizer().scalars(t + 1, 0.01));
    }
    session.snapshot().expect("a snapshot")
}

/// The largest difference between tensors of the same role and name; every one of `a` must be in `b`.
fn difference(a: &Tensors, b: &Tensors) -> f32 {
    let mut most = 0.0f32;
    for tensor in a {
        let twin = b.iter().find(|t| t.role == tensor.role && t.name == tensor.name).expect("in both");
        let pairs = tensor.value.as_f32().iter().zip(twin.value.as_f32());
        most = pairs.fold(most, |m, (x, y)| m.max((x - y).abs()));
    }
    most
}

#[test]
fn micro_batches_give_update_of_whole_batch() {
    for device in [cpu(), gpu()] {
        let want = whole(&device);
        for cuts in [&[0, 4, 8][..], &[0, 2, 4, 6, 8], &[0, 3, 6, 8]] {
            let got = in_parts(&device, cuts);
            let d = difference(&want, &got);
            assert!(d < 2e-6, "{}: parts {cuts:?} differ by {d}", device.name());
            let sums = got.iter().filter(|t| t.name.ends_with(".grad"));
            assert!(
                sums.clone().count() == 6 && sums.into_iter().all(|t| t.value.words.iter().all(|&w| w == 0))
            );
        }
    }
}

/// Update kernels of a graph's plan, with a layout or with one of its own.
fn updates(graph: &Graph, layout: Option<&wgrad_plan::ParamLayout>) -> usize {
    let options = PlanOptions::default().layout(layout);
    let plan = plan(graph, &Caps::webgpu_baseline(), &options).expect("a plan");
    verify(&plan).expect("no overlap");
    plan.kernels.iter().filter(|s| s.scope == "optimizer").count()
}

#[test]
fn a_common_layout_keeps_updates_merged() {
    // A common norm is a number from outside, which merged kernels do not read.
    let unclipped = optimizer().clip(Clip::Off);
    let (update, part) = (update(&unclipped), part(ROWS).builder().graph());
    let layout = common_layout(&[&update, &part], &Caps::webgpu_baseline()).expect("a layout");
    // Matrices decay and biases do not: two kernels, and two sums' pages follow them.
    assert_eq!((updates(&update, Some(&layout)), updates(&part, Some(&layout))), (2, 2));
    assert_eq!(updates(&part, None), 1);
    let averages = layout.params.iter().filter(|p| p.name == average_name("fc1.weight")).count();
    assert_eq!(averages, 1);
    // The other way round the micro-batch's page comes first, and an update not fitting it runs tensor by
    // tensor.
    let layout = common_layout(&[&part, &update], &Caps::webgpu_baseline()).expect("a layout");
    assert_eq!((updates(&update, Some(&layout)), updates(&part, Some(&layout))), (6, 1));
}

/// One player's step: it pulls its own number towards the other's.
fn player(own: &str, other: &str, rate: f64) -> Graph {
    let net = Net::new(Mode::Train);
    let weight = |name: &str, what: &str| net.weight(&format!("{name}.{what}"), &[3], wgrad_nn::Init::Ones);
    let (a, b) = (weight(own, "a"), weight(own, "b"));
    let there = weight(other, "a") + weight(other, "b") * 2.0;
    let loss = (&a - there.detach()).square().mean_all() + (&b * 3.0 - 1.0).square().mean_all();
    net.builder().output("loss", &loss);
    let sgd = Optimizer::new(OptimizerKind::Sgd { momentum: rate, nesterov: false });
    let weights = vec![(format!("{own}.a"), a), (format!("{own}.b"), b)];
    sgd.minimise_groups(&loss, &[Group { weights, weight_decay: 0.0, lr_factor: 1.0 }]).expect("gradients");
    net.builder().graph()
}

#[test]
fn players_update_own_weights_only() {
    for device in [cpu(), gpu()] {
        let (first, second) = (player("p", "q", 0.9), player("q", "p", 0.5));
        let ones = |name: &str| NamedTensor::new(Role::Weight, name, HostTensor::f32(&[3], &[1.0; 3]));
        let initial: Tensors = ["p.a", "p.b", "q.a", "q.b"].map(ones).into();
        let (mut session, mut runners) =
            Session::over(&device, &[&first, &second], &initial, 0).expect("a session");
        for (k, own) in [(0, "p."), (1, "q.")] {
            assert_eq!(runners[k].plan().kernels.iter().filter(|s| s.scope == "optimizer").count(), 1);
            let before = session.snapshot().expect("a snapshot");
            runners[k].step(&mut session, 0, &[], &[("lr", 0.1)]).expect("a step");
            let after = session.snapshot().expect("a snapshot");
            for (b, a) in before.iter().zip(&after) {
                assert_eq!(b.value != a.value, b.name.starts_with(own), "{} after player {own}", b.name);
            }
        }
    }
}

#[test]
fn layout_of_disagreeing_shapes_is_refused() {
    let graph = |n: usize| {
        let net = Net::new(Mode::Eval);
        net.builder().output("y", &net.weight("w", &[n], wgrad_nn::Init::Ones).sum_all());
        net.builder().graph()
    };
    let refused = common_layout(&[&graph(2), &graph(3)], &Caps::cpu()).expect_err("two shapes");
    assert!(matches!(refused, PlanError::Layout { ref name } if name == "w"), "{refused}");
}

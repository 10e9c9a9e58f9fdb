//! Memory of long plans: every model's training and inference, several batch sizes, as planned for every class of adapter;
//! and the verifier itself, on plans with a place given away too early.

use wgrad_graph::{Builder, Graph, autocast, fold, hoist};
use wgrad_kernels::{Core, Instr};
use wgrad_models::{Autoencoder, DcGan, ImageModel, ModelKind, TEXT_ZOO, TextKind, TextModel, UNet, ZOO};
use wgrad_nn::{Loss, Mode, Net, Optimizer};
use wgrad_plan::{Place, Plan, PlanOptions, PlannedKernel, SlotKind, common_layout, plan, verify};
use wgrad_train::{eval_graph, step_graph};
use wgrad_types::{AdapterClass, Caps, Limits, Type, Vendor};

/// The CPU, and every class of adapter with limits large enough for the models.
fn classes() -> Vec<Caps> {
    let limits = Limits { binding_bytes: 2 << 30, workgroup_bytes: 32 << 10, ..Limits::WEBGPU_BASELINE };
    let adapter = |class, subgroup, vendor| Caps { class, limits, subgroup, vendor, f16: true };
    vec![
        Caps::cpu(),
        adapter(AdapterClass::Software, Some(8), Vendor::Other),
        adapter(AdapterClass::Integrated, Some(32), Vendor::Intel),
        adapter(AdapterClass::Discrete, Some(32), Vendor::Nvidia),
        Caps {
            limits: Limits { binding_bytes: 2 << 30, ..Limits::WEBGPU_BASELINE },
            ..Caps::webgpu_baseline()
        },
    ]
}

/// Plans soundly in all these ways; gives the longest plan's number of kernels.
fn sound(name: &str, graph: &Graph, all: &[Caps]) -> usize {
    let one = |caps: &Caps| {
        let options = PlanOptions::default().packed(caps.class == AdapterClass::Cpu);
        let plan = plan(graph, caps, &options).unwrap_or_else(|e| panic!("{name} on {}: {e}", caps.class));
        verify(&plan).unwrap_or_else(|e| panic!("{name} on {}: {e}", caps.class));
        plan.kernels.len()
    };
    all.iter().map(one).max().unwrap_or(0)
}

/// Training and inference; the CPU and one class of adapter in turn at other batch sizes than `batches[0]`.
fn model(name: &str, batches: &[usize], graphs: impl Fn(usize) -> [Graph; 2]) -> usize {
    let classes = classes();
    let mut longest = 0;
    for (i, &batch) in batches.iter().enumerate() {
        let few = [classes[0].clone(), classes[1 + i % (classes.len() - 1)].clone()];
        let caps = if i == 0 { &classes[..] } else { &few[..] };
        let [training, inference] = graphs(batch);
        longest = longest.max(sound(&format!("{name}, training {batch}"), &training, caps));
        let hoisted = hoist(&fold(&inference));
        for graph in [&inference, &hoisted.each] {
            sound(&format!("{name}, inference {batch}"), graph, caps);
        }
    }
    longest
}

fn classifiers(share: usize, of: usize) -> usize {
    let (mut longest, mut count) = (0, 0);
    for (name, kind, _) in ZOO.iter().skip(share).step_by(of) {
        let side = match kind {
            ModelKind::AlexNet => 63,
            _ => 32,
        };
        let model = |width| ImageModel { kind: *kind, channels: 3, size: (side, side), classes: 10, width };
        let image = model(if matches!(kind, ModelKind::Vgg11 | ModelKind::AlexNet) { 0.25 } else { 0.5 });
        let graphs = |batch: usize| {
            let training = step_graph(&image, batch, &Optimizer::adam(), 0.1).expect("a graph");
            [training, eval_graph(&image, batch).expect("a graph")]
        };
        longest = longest.max(self::model(name, &[2, 1, 9], graphs));
        let half = autocast(&graphs(3)[0]);
        sound(&format!("{name} in f16"), &half, &[classes()[3].clone()]);
        count += 1;
    }
    assert!(count >= ZOO.len() / of, "{count} models");
    longest
}

fn minimised(net: &Net, loss: &wgrad_graph::Tensor) -> Graph {
    net.builder().output("loss", loss);
    let weights: Vec<_> = net.named_weights();
    Optimizer::adam().minimise(loss, &weights).expect("gradients");
    net.builder().graph()
}

#[test]
fn plan_memory_of_image_models_is_sound() {
    assert!(classifiers(0, 2) > 100, "no long plan");
}

#[test]
fn plan_memory_of_other_image_models_is_sound() {
    assert!(classifiers(1, 2) > 100, "no long plan");
}

#[test]
fn plan_memory_of_language_models_is_sound() {
    let mut longest = 0;
    for (name, kind, _) in TEXT_ZOO {
        let (rotary, usual) = (*kind == TextKind::Gpt, TextModel::new(*kind, 50));
        let text = TextModel { context: 12, layers: 3, hidden: 32, dropout: 0.1, rotary, ..usual };
        let build = |mode: Mode, batch: usize| {
            let net = Net::new(mode);
            let ty = Type::i32(&[batch, 12]);
            let (x, y) = (net.input("x", ty.clone()), net.input("y", ty));
            let logits = text.build(&net, &x).expect("a model");
            let loss = Loss::CrossEntropy { label_smoothing: 0.1 }.of(&logits, &y);
            (net, logits, loss)
        };
        longest = longest.max(model(name, &[3, 1, 8], |batch| {
            let (net, _, loss) = build(Mode::Train, batch);
            let (eval, logits, _) = build(Mode::Eval, batch);
            eval.builder().output("logits", &logits);
            [minimised(&net, &loss), eval.builder().graph()]
        }));
    }
    assert!(longest > 100, "no long plan: {longest}");
}

#[test]
fn plan_memory_of_generative_models_is_sound() {
    model("unet", &[2, 1, 5], |batch| {
        let build = |mode: Mode| {
            let net = Net::new(mode);
            let x = net.input("x", Type::f32(&[batch, 3, 32, 16]));
            let logits = UNet { classes: 3, width: 0.1 }.build(&net, &x).expect("a model");
            (net, logits)
        };
        let ((net, logits), (eval, out)) = (build(Mode::Train), build(Mode::Eval));
        let y = net.input("y", Type::i32(&[batch * 32 * 16]));
        let flat = logits.permute(&[0, 2, 3, 1]).reshape(&[batch * 32 * 16, 3]);
        let loss = Loss::CrossEntropy { label_smoothing: 0.0 }.of(&flat, &y);
        eval.builder().output("logits", &out);
        [minimised(&net, &loss), eval.builder().graph()]
    });
    model("autoencoder", &[2, 1, 9], |batch| {
        let build = |mode: Mode| {
            let net = Net::new(mode);
            let x = net.input("x", Type::f32(&[batch, 1, 12, 10]));
            let y = Autoencoder { code: 3, width: 0.3 }.build(&net, &x);
            (net, x, y)
        };
        let ((net, x, y), (eval, _, out)) = (build(Mode::Train), build(Mode::Eval));
        eval.builder().output("y", &out);
        [minimised(&net, &y.mse_loss(&x)), eval.builder().graph()]
    });
    let gan = DcGan { noise: 10, channels: 3, side: 16, width: 8 };
    let players = |batch: usize| {
        let (judge, maker) = (Net::new(Mode::Train), Net::new(Mode::Train));
        let real = judge.input("x", Type::f32(&[batch, 3, 16, 16]));
        let loss = gan.discriminator_loss(&judge, &real).expect("a model");
        [minimised(&judge, &loss), minimised(&maker, &gan.generator_loss(&maker, batch).expect("a model"))]
    };
    model("dcgan", &[4, 1, 9], players);
    // Two plans over one layout, as training runs them.
    let both = players(4);
    for caps in classes() {
        let layout = common_layout(&[&both[0], &both[1]], &caps).expect("a layout");
        for graph in &both {
            let options = PlanOptions::default().layout(Some(&layout));
            verify(&plan(graph, &caps, &options).expect("a plan")).expect("sound memory");
        }
    }
}

/// A LeNet's training: its plan reuses memory often.
fn lenet(caps: &Caps) -> Plan {
    let image = ImageModel { kind: ModelKind::LeNet, channels: 1, size: (32, 32), classes: 10, width: 1.0 };
    let graph = step_graph(&image, 4, &Optimizer::adam(), 0.0).expect("a graph");
    plan(&graph, caps, &PlanOptions::default()).expect("a plan")
}

/// Moves the result of every step into every place still to be read.
#[test]
fn verify_finds_every_place_reused_too_early() {
    for caps in [Caps::cpu(), classes()[3].clone()] {
        let good = lenet(&caps);
        verify(&good).expect("sound memory");
        let (n, flow, mut tried) = (good.kernels.len(), &good.flow, 0);
        for i in 0..n {
            let (value, place) = (flow.writes[i][0], good.kernels[i].outputs[0]);
            let Some(last) = (i + 1..n).rev().find(|&j| flow.reads[j].contains(&value)) else { continue };
            for j in i + 1..last {
                if good.slots[place.slot].kind != SlotKind::Activation {
                    continue;
                }
                let mut bad = good.clone();
                let taken = Place { bytes: bad.kernels[j].outputs[0].bytes, ..place };
                let slot = &mut bad.slots[place.slot];
                slot.bytes = slot.bytes.max(taken.bytes);
                let moved = flow.writes[j][0];
                bad.kernels[j].outputs[0] = taken;
                for (kernel, reads) in bad.kernels.iter_mut().zip(&flow.reads).skip(j) {
                    let at = reads.iter().enumerate().filter(|r| *r.1 == moved).map(|r| r.0);
                    at.for_each(|o| kernel.operands[o] = taken);
                }
                assert!(verify(&bad).is_err(), "step {j} writes over what step {last} reads of step {i}");
                tried += 1;
            }
        }
        assert!(tried > 50, "{tried} places");
    }
}

#[test]
fn verify_finds_wrong_reads_writes_and_ranges() {
    let good = lenet(&Caps::cpu());
    let wrong = |change: &dyn Fn(&mut Plan), why: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let said = verify(&bad).expect_err(why);
        assert!(said.contains(why), "{said}");
    };
    wrong(&|p| p.kernels[0].outputs[0].bytes = usize::MAX / 2, "leaves its slot");
    wrong(&|p| p.kernels.swap(3, 4), "reads value");
    wrong(&|p| p.kernels[5].operands[0] = p.kernels[5].operands[1], "reads value");
    // A result, an input and a weight are nobody's scratch memory.
    let into = |p: &mut Plan, place: Place| {
        let last = p.kernels.iter().rposition(|s| s.scope != "optimizer").expect("a step");
        p.kernels[last].scratch.push(Place { bytes: 4, ..place });
    };
    wrong(&|p| into(p, p.outputs[0].place), "result");
    wrong(&|p| into(p, p.layout.params[0].place), "value");
    wrong(&|p| p.flow.reads.clear(), "does not say");
}

/// A read before the write is seen in the first run, a kept
/// form written over in the second.
#[test]
fn verify_finds_overwritten_packed_weights() {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[2, 16, 9, 9]));
    let w = b.param("w", &[16, 16, 3, 3], wgrad_graph::Role::Weight);
    let y = x.exp().conv2d(&w, None, wgrad_graph::ops::ConvSpec::new(1, 1));
    b.output("y", &(y.exp().sum_keep(&[1]) + y.sum_keep(&[2])));
    let options = PlanOptions::default().packed(true);
    let good = plan(&b.graph(), &Caps::cpu(), &options).expect("a plan");
    verify(&good).expect("sound memory");
    let packed = good.kernels.iter().position(|s| s.packed.is_some()).expect("a packed kernel");
    let mut bad = good.clone();
    let place = bad.kernels[packed].scratch[0];
    let last = bad.kernels.len() - 1;
    assert!(last > packed);
    bad.kernels[last].scratch.push(Place { bytes: 4, ..place });
    let said = verify(&bad).expect_err("the packed weights are gone");
    assert!(said.contains("second run") && said.contains("packed"), "{said}");
}

#[test]
fn verify_in_place_results_are_element_wise_only() {
    let good = lenet(&classes()[3]);
    let in_place =
        |s: &PlannedKernel| s.kernel.in_place.iter().any(Option::is_some) && s.kernel.core == Core::Map;
    let at = good.kernels.iter().position(in_place).expect("a map in place of its operand");
    let refused = |change: &dyn Fn(&mut PlannedKernel)| {
        let mut bad = good.clone();
        change(&mut bad.kernels[at]);
        let said = verify(&bad).expect_err("one slot read and written");
        assert!(said.contains("reads and writes slot"), "{said}");
    };
    refused(&|s| s.kernel.in_place.fill(None));
    refused(&|s| s.kernel.core = Core::ArgMax { axis: 0 });
    refused(&|s| {
        for instr in &mut s.kernel.epilogue.instrs {
            if let Instr::Load { view, .. } = instr {
                view.offset += 1;
            }
        }
    });
}

#[test]
fn verify_refuses_packed_weights_with_updates() {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[2, 16, 9, 9]));
    let w = b.param("w", &[16, 16, 3, 3], wgrad_graph::Role::Weight);
    b.output("y", &x.conv2d(&w, None, wgrad_graph::ops::ConvSpec::new(1, 1)).exp().sum_keep(&[1]));
    let options = PlanOptions::default().packed(true);
    let mut plan = plan(&b.graph(), &Caps::cpu(), &options).expect("a plan");
    verify(&plan).expect("sound memory");
    let (at, kernel) =
        plan.kernels.iter().enumerate().find(|s| s.1.packed.is_some()).expect("a packed kernel");
    let weight = plan.flow.reads[at][kernel.packed.expect("an operand")];
    let last = plan.kernels.len() - 1;
    plan.flow.writes[last].push(weight);
    plan.kernels[last].outputs.push(plan.layout.params[0].place);
    let said = verify(&plan).expect_err("an update of what is kept packed");
    assert!(said.contains("keeps packed what the plan changes"), "{said}");
}

/// A tensor unread by this plan may belong to another.
#[test]
fn verify_tensors_of_other_plans_stay() {
    let graph = |weight: &str| {
        let b = Builder::new();
        let w = b.param(weight, &[64], wgrad_graph::Role::Weight);
        b.output("y", &(b.input("x", Type::f32(&[8, 64])) * &w).exp().sum_keep(&[1]));
        b.output("apart", &b.input("z", Type::f32(&[300])).exp());
        b.graph()
    };
    let (first, second) = (graph("a"), graph("b"));
    for caps in classes() {
        let layout = common_layout(&[&first, &second], &caps).expect("a layout");
        let options = PlanOptions::default().layout(Some(&layout));
        let mut plan = plan(&second, &caps, &options).expect("a plan");
        verify(&plan).expect("sound memory");
        let other = layout.params.iter().find(|p| p.name == "a").expect("the other plan's weight").place;
        let apart = plan.kernels.iter_mut().find(|s| s.operands.iter().all(|o| o.slot != other.slot));
        apart.expect("a step that reads no weight").scratch.push(other);
        let said = verify(&plan).expect_err("another plan's weight is written over");
        assert!(said.contains("a, which is to stay for other plans"), "{said}");
    }
}

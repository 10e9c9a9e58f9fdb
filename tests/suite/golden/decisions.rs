//! A device's gradient far from f64 comes with a changed decision: its layer, node and element.
//!
//! `WGRAD_GOLDEN_DIR=DIR cargo test --workspace --test suite stray_of_a_step` prints each step of another seed's run, as
//! `python3 xtask/golden_torch.py DIR --seed N` makes it.

use super::noise::{changed_decisions, decides, shaken};
use super::read;
use super::runs::{cifar_cnn_adam, distances, graph, host, initial, largest, step};
use std::collections::BTreeSet;
use std::io::Write as _;
use wgrad_graph::{Env, Role, Value};
use wgrad_session::Session;
use wgrad_tests::devices;
use wgrad_types::Array;

/// Bound of sums' rounding in the gradient of conv1.weight per step: root mean square, of its largest element; 1e-7 is usual.
const SUMS: f64 = 1e-6;

#[test]
fn golden_stray_gradient_has_changed_decision() {
    let run = cifar_cnn_adam();
    let reference = read(&format!("runs/{}.safetensors", run.file));
    for (label, device) in devices() {
        let (mut graph, _) = graph(&run, &reference, true);
        let read: BTreeSet<Value> = graph.nodes.iter().flat_map(|n| n.inputs.iter().copied()).collect();
        let shown: Vec<Value> = read.into_iter().filter(|&v| decides(&graph.node(v).op)).collect();
        for v in &shown {
            graph.outputs.push((format!("value {}", v.index()), *v));
        }
        let gradient = graph.outputs.iter().find(|o| o.0 == "grad conv1.weight").expect("a gradient").1;
        let (mut session, mut runner) = Session::new(&device, &graph, &Vec::new(), 0).expect("a session");
        let names: Vec<(Role, String)> = session.params().iter().map(|p| (p.role, p.name.clone())).collect();
        session.restore(&initial(&run, &reference, &names)).expect("initial values");
        for i in 0..reference.get("loss64").data.len() as u64 {
            let mut env = Env::default();
            let tensors = session.snapshot().expect("a snapshot");
            env.params.extend(tensors.into_iter().map(|t| ((t.role, t.name), t.value.to_array())));
            for name in ["x", "y"] {
                env.inputs.insert(name.into(), host(&reference, &format!("{name}/{i}")).to_array());
            }
            for (name, v) in run.optimizer.scalars(i + 1, run.lr) {
                env.inputs.insert(name.into(), Array::new(&[], vec![f64::from(v)]));
            }
            let truth = shaken(&graph, &env, 0.0, 0);
            let outputs = step(&run, &reference, &mut session, &mut runner, i);
            let mut seen = vec![None; graph.nodes.len()];
            for v in &shown {
                seen[v.index()] = Some(outputs.get(&format!("value {}", v.index())).to_array());
            }
            let turned = changed_decisions(&graph, &truth, &seen);
            let want = truth[gradient.index()].as_ref().expect("a gradient");
            let stray =
                distances(want, &outputs.get("grad conv1.weight").to_array(), &(0..0)).0 / largest(want);
            if std::env::var_os("WGRAD_GOLDEN_DIR").is_some() {
                let told =
                    format!("{label}, step {i}: the gradient of conv1.weight is {stray:.1e} off; {turned:?}");
                let _ = writeln!(std::io::stdout(), "{told}");
            }
            assert!(
                stray <= SUMS || !turned.is_empty(),
                "{label}, step {i}: {stray:e} off, and no decision fell otherwise"
            );
        }
    }
}

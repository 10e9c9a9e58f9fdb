//! Inputs and scalars of a step by name, with bounds on labels and tokens used as indices.

use crate::SessionError;
use std::sync::Arc;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Graph, index_bounds};
use wgrad_kernels::{FIRST_SCALAR_WORD, SEED_WORD, STEP_WORD, SmallList};
use wgrad_plan::Plan;
use wgrad_types::{HostTensor, Type};

/// A step's inputs by name.
pub(crate) type Inputs<'a, 'b> = &'b [(&'b str, &'a HostTensor)];

/// Inputs and bounds of a graph beyond those in its plan.
#[derive(Clone, Debug)]
pub(crate) struct Feeding(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    /// Unused inputs and scalars: a step accepts and ignores them.
    idle: Vec<String>,
    /// Extent and allowed exceptions (such as `ignore_index`) of each input used as an index.
    bounds: Vec<Option<(usize, Vec<i32>)>>,
}

impl Feeding {
    pub(crate) fn new(graph: &Graph, plan: &Plan) -> Self {
        let name = |op: &Op| match op {
            Op::Leaf(Leaf::Input { name, .. } | Leaf::Scalar { name }) => Some(name.clone()),
            _ => None,
        };
        let known = |name: &String| {
            plan.inputs.iter().any(|i| i.name == *name) || plan.scalars.iter().any(|s| s == name)
        };
        let idle = graph.nodes.iter().filter_map(|node| name(&node.op)).filter(|n| !known(n)).collect();
        let found = index_bounds(graph);
        let bound = |input: &str| {
            let bound = found.iter().find(|b| b.input == input)?;
            Some((bound.extent, bound.allowed.clone()))
        };
        Self(Arc::new(Taken { idle, bounds: plan.inputs.iter().map(|i| bound(&i.name)).collect() }))
    }

    /// Inputs' words in the plan's order, and its scalars.
    pub(crate) fn arguments<'a>(
        &self,
        plan: &Plan,
        (seed, step): (u32, u64),
        inputs: Inputs<'a, '_>,
        scalars: &[(&str, f32)],
    ) -> Result<(SmallList<&'a [u32]>, SmallList<u32>), SessionError> {
        self.known(plan, inputs, scalars)?;
        let input = |(i, (name, ty)): (usize, (&str, &Type))| {
            let found = inputs.iter().find(|i| i.0 == name).map(|i| i.1);
            let tensor = found.ok_or_else(|| wrong(name, "missing"))?;
            if tensor.ty != *ty {
                return Err(wrong(name, format!("the graph takes {ty}, got {}", tensor.ty)));
            }
            if let Some((extent, allowed)) = &self.0.bounds[i] {
                within(name, tensor, *extent, allowed)?;
            }
            Ok(tensor.words.as_slice())
        };
        let named = plan.inputs.iter().map(|i| (i.name.as_str(), &i.ty));
        let words: SmallList<&[u32]> = named.enumerate().map(input).collect::<Result<_, _>>()?;
        let mut values: SmallList<u32> = SmallList::from_elem(0, FIRST_SCALAR_WORD + plan.scalars.len());
        values[SEED_WORD] = seed;
        values[STEP_WORD] = step as u32;
        for (i, name) in plan.scalars.iter().enumerate() {
            let found = scalars.iter().find(|s| s.0 == name);
            values[FIRST_SCALAR_WORD + i] = found.ok_or_else(|| wrong(name, "missing scalar"))?.1.to_bits();
        }
        Ok((words, values))
    }

    /// A name the graph does not have is a mistake in the caller's loop: its values would go nowhere.
    pub(crate) fn known(
        &self,
        plan: &Plan,
        inputs: Inputs<'_, '_>,
        scalars: &[(&str, f32)],
    ) -> Result<(), SessionError> {
        let idle = |name: &str| self.0.idle.iter().any(|known| known == name);
        for (i, (name, _)) in inputs.iter().enumerate() {
            if !plan.inputs.iter().any(|known| known.name == *name) && !idle(name) {
                let known = list(plan.inputs.iter().map(|known| known.name.as_str()));
                return Err(wrong(name, format!("the graph has no such input; it takes {known}")));
            }
            if inputs[..i].iter().any(|other| other.0 == *name) {
                return Err(wrong(name, "given twice"));
            }
        }
        for (name, _) in scalars {
            if !plan.scalars.iter().any(|known| known == name) && !idle(name) {
                let known = list(plan.scalars.iter().map(String::as_str));
                return Err(wrong(name, format!("the graph has no such scalar; it takes {known}")));
            }
        }
        Ok(())
    }
}

fn wrong(name: &str, why: impl Into<String>) -> SessionError {
    SessionError::Input { name: name.into(), why: why.into() }
}

/// Refuses a label or token outside the axis it indexes: it would read 0 and count all the same.
fn within(name: &str, tensor: &HostTensor, extent: usize, allowed: &[i32]) -> Result<(), SessionError> {
    let fits = |v: i32| (v >= 0 && (v as usize) < extent) || allowed.contains(&v);
    let Some(at) = tensor.as_i32().iter().position(|&v| !fits(v)) else { return Ok(()) };
    let value = tensor.as_i32()[at];
    let besides: String = allowed
        .iter()
        .filter(|v| !(0..extent as i64).contains(&i64::from(**v)))
        .map(|v| format!(" or {v}"))
        .collect();
    let last = extent.saturating_sub(1);
    Err(wrong(
        name,
        format!("element {at} is {value}; as a label or index it must be from 0 to {last}{besides}"),
    ))
}

/// Names for a message.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use crate::{Runner, Session, SessionError};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use wgrad_device::Device;
    use wgrad_graph::{Builder, CrossEntropy, Role};
    use wgrad_types::{HostTensor, Type};

    /// Tokens through an embedding of 7 to logits of 5 classes, with a scale, an idle input and an idle scalar.
    fn model() -> (Session, Runner) {
        let b = Builder::new();
        let (tokens, labels) = (b.input("tokens", Type::i32(&[3])), b.input("labels", Type::i32(&[3])));
        b.input("idle", Type::f32(&[1]));
        b.scalar("unused");
        let x = b.param("table", &[7, 5], Role::Weight).embedding(&tokens)
            + &b.param("shift", &[5], Role::Buffer);
        b.output("loss", &(x.cross_entropy(&labels, CrossEntropy::default()) * &b.scalar("scale")));
        b.output("x", &x);
        Session::new(&Device::cpu(), &b.graph(), &Vec::new(), 0).expect("a plan")
    }

    fn step(inputs: &[(&str, &[i32])], scalars: &[(&str, f32)]) -> Result<(), SessionError> {
        let (mut session, mut runner) = model();
        let tensors: Vec<(&str, HostTensor)> =
            inputs.iter().map(|(name, data)| (*name, HostTensor::i32(&[data.len()], data))).collect();
        let inputs: Vec<(&str, &HostTensor)> = tensors.iter().map(|(name, t)| (*name, t)).collect();
        runner.step(&mut session, 0, &inputs, scalars)
    }

    #[test]
    fn labels_and_tokens_outside_what_they_index_are_refused() {
        let scale = [("scale", 1.0)];
        let fed = |tokens: &[i32], labels: &[i32]| step(&[("tokens", tokens), ("labels", labels)], &scale);
        fed(&[0, 6, 1], &[4, -100, 0]).expect("within, or ignored");
        for (tokens, labels, want) in [
            (
                [0, 7, 1],
                [0, 0, 0],
                "input tokens: element 1 is 7; as a label or index it must be from 0 to 6",
            ),
            (
                [0, 0, -1],
                [0, 0, 0],
                "input tokens: element 2 is -1; as a label or index it must be from 0 to 6",
            ),
            (
                [0, 0, 0],
                [5, 0, 0],
                "input labels: element 0 is 5; as a label or index it must be from 0 to 4 or -100",
            ),
            (
                [0, 0, 0],
                [0, -1, 0],
                "input labels: element 1 is -1; as a label or index it must be from 0 to 4 or -100",
            ),
        ] {
            assert_eq!(fed(&tokens, &labels).expect_err("outside").to_string(), want);
        }
    }

    #[test]
    fn unknown_inputs_and_scalars_are_refused_by_name() {
        let zeros: &[i32] = &[0; 3];
        let (tokens, labels) = (("tokens", zeros), ("labels", zeros));
        let scale = ("scale", 1.0);
        step(&[tokens, labels, ("idle", &[0])], &[scale, ("unused", 0.0)]).expect("idle ones do no harm");
        for (inputs, scalars, want) in [
            (
                vec![tokens, labels, ("label", &[0; 3])],
                vec![scale],
                "input label: the graph has no such input; it takes tokens, labels",
            ),
            (
                vec![tokens, labels],
                vec![scale, ("lr", 0.1)],
                "input lr: the graph has no such scalar; it takes scale",
            ),
            (vec![tokens, labels, tokens], vec![scale], "input tokens: given twice"),
            (vec![tokens], vec![scale], "input labels: missing"),
            (vec![tokens, labels], vec![], "input scale: missing scalar"),
        ] {
            assert_eq!(step(&inputs, &scalars).expect_err("refused").to_string(), want);
        }
    }

    #[test]
    fn a_runner_stepped_with_another_session_is_refused() {
        let ((mut own, mut runner), (mut other, _)) = (model(), model());
        let zeros = HostTensor::i32(&[3], &[0; 3]);
        let (inputs, scalars) = ([("tokens", &zeros), ("labels", &zeros)], [("scale", 1.0)]);
        let said = |result: Result<(), SessionError>| result.expect_err("another session").to_string();
        let want = "this runner belongs to another session";
        assert!(said(runner.step(&mut other, 0, &inputs, &scalars)).starts_with(want));
        assert!(said(runner.profile(&mut other, 0, &inputs, &scalars).map(drop)).starts_with(want));
        assert!(said(runner.find_anomaly(&mut other, 0, &inputs, &scalars).map(drop)).starts_with(want));
        runner.step(&mut own, 0, &inputs, &scalars).expect("its own");
    }

    #[test]
    fn an_unknown_output_panics_with_the_known_ones() {
        let (mut session, mut runner) = model();
        let zeros = HostTensor::i32(&[3], &[0; 3]);
        runner
            .step(&mut session, 0, &[("tokens", &zeros), ("labels", &zeros)], &[("scale", 1.0)])
            .expect("a step");
        let outputs = runner.wait().expect("a device").expect("a step");
        assert!(outputs.find("los").is_none() && outputs.find("loss").is_some());
        let said = |panic: Box<dyn std::any::Any + Send>| {
            panic.downcast_ref::<String>().cloned().unwrap_or_default()
        };
        let unknown =
            catch_unwind(AssertUnwindSafe(|| drop(outputs.get("los").clone()))).expect_err("unknown");
        assert_eq!(said(unknown), "the graph has no output \"los\"; it has loss, x");
        let many = catch_unwind(AssertUnwindSafe(|| outputs.scalar("x"))).expect_err("no scalar");
        assert_eq!(said(many), "output \"x\" has 15 values; Outputs::get gives them all");
    }

    #[test]
    fn weights_load_by_name_alone() {
        let (mut session, _) = model();
        let named = |name: &str, shape: &[usize]| {
            (name.to_owned(), HostTensor::f32(shape, &vec![2.0; shape.iter().product()]))
        };
        let (table, shift) = (named("table", &[7, 5]), named("shift", &[5]));
        let counted = ("norm.num_batches_tracked".to_owned(), HostTensor::i32(&[], &[9]));
        session.load(&[table.clone(), shift.clone(), counted]).expect("a state dict");
        let all = session.snapshot().expect("tensors");
        assert!(all.iter().all(|t| t.value.as_f32().iter().all(|&v| v == 2.0)) && all.len() == 2);
        for (tensors, want) in [
            (vec![table.clone()], "shift: the model has it, what is loaded has not"),
            (vec![table.clone(), shift, named("head", &[5])], "head: the model has no such tensor"),
            (vec![table, named("shift", &[4])], "shift: the model has f32[5], the file f32[4]"),
        ] {
            let why = session.load(&tensors).expect_err("refused").to_string();
            assert!(why.starts_with(want), "{why}");
        }
    }
}

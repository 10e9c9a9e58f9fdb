//! The WGSL of a plan's launches, each with the call that runs it.

use crate::plan::{Plan, PlannedKernel};
use std::fmt::Write;
use wgrad_kernels::{Access, Buffer, Launch};
use wgrad_types::numel;

/// Names of the plan's launches, each once, in order.
pub fn launch_names(plan: &Plan) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for launch in plan.kernels.iter().flat_map(|k| &k.variant.launches) {
        if !names.contains(&&*launch.name) {
            names.push(&launch.name);
        }
    }
    names
}

/// WGSL of all launches of this name, or of the names that begin with it: complete modules with entry point `main`, each
/// below a comment with its bindings and its number of workgroups. Equal texts come once.
pub fn wgsl(plan: &Plan, name: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let exact = launch_names(plan).contains(&name);
    for kernel in &plan.kernels {
        for launch in &kernel.variant.launches {
            let named = if exact { launch.name == name } else { launch.name.starts_with(name) };
            if named && !texts.iter().any(|text| text.ends_with(&*launch.source)) {
                texts.push(with_call(kernel, launch));
            }
        }
    }
    texts
}

fn with_call(kernel: &PlannedKernel, launch: &Launch) -> String {
    let [x, y, z] = launch.groups;
    let layer = if kernel.scope.is_empty() { String::new() } else { format!(" of {}", kernel.scope) };
    let mut text = format!("// {}{layer}: entry point main, {x} x {y} x {z} workgroups\n", launch.name);
    for (i, binding) in launch.bindings.iter().enumerate() {
        let (what, bytes) = match binding.buffer {
            Buffer::Operand(n) => (format!("operand {n} {:?}", kernel.kernel.operands[n].shape), {
                kernel.kernel.operands[n].bytes()
            }),
            Buffer::Output(n) => {
                let shape = kernel.kernel.output_shape(n);
                let bytes = numel(&shape) * kernel.kernel.outputs[n].bytes();
                (format!("output {n} {shape:?}"), bytes)
            }
            Buffer::Scratch(n) => (format!("scratch {n}"), kernel.variant.scratch[n]),
            Buffer::Scalars => ("scalars: seed, training step, the optimizer's numbers".to_owned(), 0),
        };
        let size = if bytes == 0 { String::new() } else { format!(", {bytes} bytes") };
        let how = if binding.access == Access::Read { "read" } else { "read and written" };
        let _ = writeln!(text, "// binding {i}: {what}{size}, {how}");
    }
    text + "\n" + &launch.source
}

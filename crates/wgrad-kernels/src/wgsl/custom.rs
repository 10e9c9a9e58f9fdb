//! User-defined operation: its text, with the bindings, constants and entry point expected by it.

use super::module::{Grid, Module, Width};
use super::text::indented;
use crate::kernel::Kernel;
use crate::launch::{Unsupported, Variant};
use std::fmt::Write;
use wgrad_graph::ops::{CustomOp, Wgsl};
use wgrad_types::{Caps, numel};

/// Only variant.
pub(super) fn variants(kernel: &Kernel, op: &dyn CustomOp, caps: &Caps) -> Result<Vec<Variant>, Unsupported> {
    let (name, operands) =
        (op.name(), kernel.operands.iter().map(|t| t.shape.as_slice()).collect::<Vec<_>>());
    let Wgsl { source, workgroup, groups } = op.wgsl(&operands, &kernel.shape);
    if !source.contains("fn run(") {
        return Err(Unsupported(format!("{name}: its WGSL defines no `fn run(group: u32, local: u32)`")));
    }
    if workgroup == 0 || groups == 0 {
        let what = if groups == 0 { "workgroups" } else { "invocations a workgroup" };
        return Err(Unsupported(format!("{name}: its kernel asks for 0 {what}")));
    }
    let grid = Grid::new(name, groups, caps)?;
    let mut module = Module::new(kernel, caps);
    let mut constants = String::new();
    for (i, shape) in operands.iter().enumerate() {
        module.operand(i, Width::One);
        declare(&mut constants, &format!("X{i}"), shape);
    }
    declare(&mut constants, "Y", &kernel.shape);
    module.only_output("y");
    module.declare(&constants);
    let main = indented(&grid.id(), 1) + "    run(id, li);\n";
    let launch = module.launch_around(name, workgroup, &source, &main, &grid)?;
    Ok(vec![Variant { name: "wgsl".to_owned(), launches: vec![launch], scratch: Vec::new() }])
}

/// A tensor's figures as constants.
fn declare(text: &mut String, name: &str, shape: &[usize]) {
    let _ = writeln!(text, "const {name}_LEN: u32 = {}u;", numel(shape));
    for (d, n) in shape.iter().enumerate() {
        let _ = writeln!(text, "const {name}_DIM{d}: u32 = {n}u;");
    }
}

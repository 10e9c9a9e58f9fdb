//! The end of a kernel as WGSL functions: `epilogue(o, acc)` for output element `o`, `epilogue4(q, acc)` for the four
//! elements of quad `q`. They apply the kernel's expression and store every output.

use super::expr::{Place, Printed, fits_quads, print};
use super::module::{Module, Width};
use super::space::Space;
use super::statement::{Kind, Statement, lines};
use super::text::indented;
use crate::kernel::Kernel;
use crate::launch::Access;
use wgrad_shaders::Hook;
use wgrad_types::DType;

/// Epilogue of a kernel, ready to be printed in one width.
pub(super) struct Epilogue {
    space: Space,
}

impl Epilogue {
    pub(super) fn new(kernel: &Kernel) -> Self {
        Self { space: Space::new(&kernel.epilogue, &kernel.shape, &[]) }
    }

    /// True if four neighbouring elements can be finished at once, given the operands bound as scalars.
    pub(super) fn fits_quads(&self, scalar_operands: &[usize]) -> bool {
        fits_quads(&self.space, scalar_operands)
    }

    /// Expression printed at a linear index, and the stores of its results.
    pub(super) fn print(&self, module: &mut Module<'_>, width: Width, index: &str, prefix: &str) -> Printed {
        let mut printed = print(module, &self.space, width, Place::Linear(index), prefix);
        for (i, result) in printed.results.iter().enumerate() {
            printed.body.push(store(module, i, width, index, result));
        }
        printed
    }

    /// Adds the function: `epilogue` or `epilogue4`.
    pub(super) fn declare(&self, module: &mut Module<'_>, width: Width) {
        let code = self.function(module, width);
        module.declare(&code);
    }

    /// Hooks `epilogue` and `epilogue4`, the one not of this width empty.
    pub(super) fn hooks(&self, module: &mut Module<'_>, width: Width) -> [Hook; 2] {
        of_width(width, ["epilogue", "epilogue4"], self.function(module, width))
    }

    /// The function's text.
    pub(super) fn function(&self, module: &mut Module<'_>, width: Width) -> String {
        let (name, index) = match width {
            Width::One => ("epilogue", "o"),
            Width::Four => ("epilogue4", "q"),
        };
        let printed = self.print(module, width, index, "r");
        let (uniform, body) = (indented(&lines(&printed.uniform), 1), indented(&lines(&printed.body), 1));
        format!("fn {name}({index}: u32, acc: {}) {{\n{uniform}{body}}}\n", width.of("f32"))
    }
}

/// Store of a result in output `i`, at an index counting elements or quads.
pub(super) fn store(module: &mut Module<'_>, i: usize, width: Width, index: &str, result: &str) -> Statement {
    let buffer = module.output(i, width);
    let value = match module.kernel.outputs[i] {
        DType::Bool => format!("select({0}(0u), {0}(1u), {result})", width.of("u32")),
        DType::F16 => format!("{}({result})", width.of("f16")),
        _ => result.to_owned(),
    };
    Statement::new(Kind::Store, "", format!("{buffer}[{index}] = {value}"), &[index, result])
}

/// Hooks `store` and `store4`, functions of (part, o, value), the one not of this width empty: result `o` goes through the
/// epilogue, or a part of it, of a split result of so many elements, to scratch.
pub(super) fn store_hooks(module: &mut Module<'_>, width: Width, split: Option<usize>) -> [Hook; 2] {
    let [name, epilogue] = match width {
        Width::One => ["store", "epilogue"],
        Width::Four => ["store4", "epilogue4"],
    };
    let (before, line) = match split {
        Some(elements) => {
            let partials = module.scratch(Access::ReadWrite, width);
            let part = elements / width.lanes();
            (String::new(), format!("{partials}[part * {part}u + o] = value;"))
        }
        None => {
            let function = Epilogue::new(module.kernel).function(module, width);
            (function, format!("{epilogue}(o, value);"))
        }
    };
    let ty = width.of("f32");
    let code = format!("{before}fn {name}(part: u32, o: u32, value: {ty}) {{\n    {line}\n}}\n");
    of_width(width, ["store", "store4"], code)
}

fn of_width(width: Width, [one, four]: [&'static str; 2], code: String) -> [Hook; 2] {
    match width {
        Width::One => [Hook { name: one, code }, Hook::none(four)],
        Width::Four => [Hook::none(one), Hook { name: four, code }],
    }
}

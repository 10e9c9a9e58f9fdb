//! A WGSL module under construction: bindings as they are asked for, functions, and at last the entry point.
//!
//! Every buffer is bound once. If an output takes over an operand's memory, the operand is read through the output's
//! binding.

use crate::kernel::Kernel;
use crate::launch::{Access, Binding, Buffer, Launch, Unsupported};
use std::sync::Arc;
use wgrad_shaders::{Figure, Hook, expand, expand_with};
use wgrad_types::{AdapterClass, Caps, DType, numel};

/// Width of an evaluation: a scalar, or four neighbours as a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// A scalar.
    One,
    /// `vec4`.
    Four,
}

impl Width {
    /// Elements.
    pub(super) fn lanes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Four => 4,
        }
    }

    /// The WGSL type of this many scalars.
    pub(super) fn of(self, scalar: &str) -> String {
        match self {
            Self::One => scalar.to_owned(),
            Self::Four => format!("vec4<{scalar}>"),
        }
    }
}

/// The parameters every entry point has.
pub(super) const MAIN_PARAMETERS: &str =
    "@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32";

/// Opaque start of a loop, unknown to a software adapter's compiler. It would unroll short loops with all their loads, each
/// one branch per lane and element: seconds of compiling. No launch has depth: `wg.z` is 0.
pub(super) fn opaque_start(start: &str, caps: &Caps) -> String {
    match (caps.class, start) {
        (AdapterClass::Software, "0u") => "wg.z".to_owned(),
        (AdapterClass::Software, _) => format!("{start} + wg.z"),
        _ => start.to_owned(),
    }
}

const OPAQUE_LOOPS: &str = "OPAQUE_LOOPS";

/// Figures of a shader, by name.
pub(super) type Figures = Vec<(&'static str, Figure)>;

/// Figure of a shader with loops: whether they need an opaque start.
pub(super) fn opaque_loops(caps: &Caps) -> (&'static str, Figure) {
    (OPAQUE_LOOPS, (caps.class == AdapterClass::Software).into())
}

/// Place of a [`Local`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LocalAt {
    /// A name, for all of the row.
    Row(String),
    /// A name, for the element being computed.
    Here(String),
    /// Workgroup memory at the lane's own place, for the element being computed.
    Own {
        /// The element there.
        word: String,
        /// Name of the index that the place depends on.
        index: &'static str,
    },
    /// Workgroup memory: the row's elements (or quads) from `begin` on.
    Memory {
        /// The array.
        array: String,
        /// Index of the row's first element.
        begin: String,
    },
}

/// A value of a row chain, known to its kernel only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) dtype: DType,
    pub(super) at: LocalAt,
}

/// A module under construction; see the file's text.
pub(super) struct Module<'a> {
    /// Kernel of the module.
    pub(super) kernel: &'a Kernel,
    caps: &'a Caps,
    bindings: Vec<Binding>,
    declarations: Vec<String>,
    imports: Vec<&'static str>,
    functions: String,
    /// True if the text names f16.
    f16: bool,
    traits: Vec<&'static str>,
    /// Name of the core's result in an epilogue.
    pub(super) core_result: String,
    /// Values numbered after the kernel's operands.
    pub(super) locals: Vec<Option<Local>>,
}

impl<'a> Module<'a> {
    pub(super) fn new(kernel: &'a Kernel, caps: &'a Caps) -> Self {
        Self {
            kernel,
            caps,
            bindings: Vec::new(),
            declarations: Vec::new(),
            imports: Vec::new(),
            functions: String::new(),
            f16: false,
            traits: Vec::new(),
            core_result: "acc".to_owned(),
            locals: Vec::new(),
        }
    }

    /// The value with a number after the operands'.
    pub(super) fn local(&self, operand: usize) -> Option<&Local> {
        let at = operand.checked_sub(self.kernel.operands.len())?;
        Some(self.locals[at].as_ref().expect("a value is computed before it is read"))
    }

    fn bind(&mut self, buffer: Buffer, access: Access, name: String, element: &str, width: Width) -> String {
        if !self.bindings.iter().any(|b| b.buffer == buffer) {
            let n = self.bindings.len();
            let how = match access {
                Access::Read => "read",
                Access::ReadWrite => "read_write",
            };
            let ty = width.of(element);
            self.f16 |= element == "f16";
            let line = format!("@group(0) @binding({n}) var<storage, {how}> {name}: array<{ty}>;");
            self.declarations.push(line);
            self.bindings.push(Binding { buffer, access });
        }
        name
    }

    /// The name of an operand's buffer, bound to read.
    pub(super) fn operand(&mut self, i: usize, width: Width) -> String {
        match self.kernel.in_place.iter().position(|p| *p == Some(i)) {
            Some(output) => self.output(output, width),
            None => {
                let element = self.kernel.operands[i].dtype.wgsl();
                self.bind(Buffer::Operand(i), Access::Read, format!("x{i}"), element, width)
            }
        }
    }

    /// A hook that reads an operand's element as f32.
    pub(super) fn element_hook(&mut self, operand: usize, name: &'static str) -> Hook {
        let half = self.kernel.operands[operand].dtype == DType::F16;
        let buffer = self.operand(operand, Width::One);
        let element = if half { format!("f32({buffer}[at])") } else { format!("{buffer}[at]") };
        Hook { name, code: format!("fn {name}(at: u32) -> f32 {{\n    return {element};\n}}\n") }
    }

    /// The WGSL type an operand's buffer is bound with: the output's where one takes it over.
    pub(super) fn element(&self, i: usize) -> &'static str {
        let taken_over = self.kernel.in_place.iter().position(|p| *p == Some(i));
        taken_over.map_or(self.kernel.operands[i].dtype, |output| self.kernel.outputs[output]).wgsl()
    }

    /// The name of an output's buffer, bound to write.
    pub(super) fn output(&mut self, i: usize, width: Width) -> String {
        let element = self.kernel.outputs[i].wgsl();
        self.bind(Buffer::Output(i), Access::ReadWrite, format!("y{i}"), element, width)
    }

    /// Binds a kernel's only output under the caller's name.
    pub(super) fn only_output(&mut self, name: &str) {
        let element = self.kernel.outputs[0].wgsl();
        self.bind(Buffer::Output(0), Access::ReadWrite, name.to_owned(), element, Width::One);
    }

    /// The name of the f32 scratch buffer, bound to read or to write.
    pub(super) fn scratch(&mut self, access: Access, width: Width) -> String {
        self.scratch_at(0, "partials", access, width)
    }

    /// Binds one of several f32 scratch buffers under a name of the caller's.
    pub(super) fn scratch_at(&mut self, i: usize, name: &str, access: Access, width: Width) -> String {
        self.bind(Buffer::Scratch(i), access, name.to_owned(), DType::F32.wgsl(), width)
    }

    /// The name of the scratch buffer of parts of sums on the side, bound to read or to write.
    pub(super) fn partial_sums(&mut self, access: Access) -> String {
        self.scratch_at(1, "partial_sums", access, Width::One)
    }

    /// The name of the scalars, bound as words.
    pub(super) fn scalars(&mut self) -> String {
        self.bind(Buffer::Scalars, Access::Read, "scalars".to_owned(), "u32", Width::One)
    }

    /// Makes the functions of `shaders/<name>.wgsl` known.
    pub(super) fn import(&mut self, name: &'static str) {
        if !self.imports.contains(&name) {
            self.imports.push(name);
        }
    }

    /// Infinity or NaN: WGSL has no literals for them.
    pub(super) fn endless(&mut self, value: f64) -> String {
        self.import("common/nan");
        let text = if value.is_nan() { "quiet_nan_()" } else { "infinity_()" };
        if value < 0.0 { format!("-{text}") } else { text.to_owned() }
    }

    /// An f32 (or four) as the nearest that f16 can hold. By bits where there is no f16, and on software adapters: Mesa 25's
    /// takes `f32(f16(x))` for x.
    pub(super) fn rounded_to_f16(&mut self, value: &str, width: Width) -> String {
        if self.caps.f16 && self.caps.class != AdapterClass::Software {
            self.f16 = true;
            return format!("{}({}({value}))", width.of("f32"), width.of("f16"));
        }
        self.import("common/round_f16");
        let of = if width == Width::Four { "4_" } else { "" };
        format!("round_f16_{of}({value})")
    }

    /// Notes a distinguishing feature of the text.
    pub(super) fn note(&mut self, name: &'static str, holds: bool) {
        self.traits.extend(holds.then_some(name));
    }

    /// Adds declarations outside of the entry point.
    pub(super) fn declare(&mut self, code: &str) {
        self.functions += code;
    }

    /// The complete launch with an entry point of these lines.
    pub(super) fn launch(
        self,
        name: &str,
        workgroup: usize,
        main: &str,
        grid: &Grid,
    ) -> Result<Launch, Unsupported> {
        let entry =
            format!("@compute @workgroup_size({workgroup})\nfn main({MAIN_PARAMETERS}) {{\n{main}}}\n");
        let limits = &self.caps.limits;
        if workgroup > limits.workgroup_size {
            let most = limits.workgroup_size;
            return Err(Unsupported(format!("{name}: {workgroup} invocations a workgroup, at most {most}")));
        }
        self.launch_text(name, &entry, grid)
    }

    /// The complete launch; `entry` holds the entry point.
    pub(super) fn launch_text(self, name: &str, entry: &str, grid: &Grid) -> Result<Launch, Unsupported> {
        let most = self.caps.limits.storage_buffers;
        if self.bindings.len() > most {
            let n = self.bindings.len();
            return Err(Unsupported(format!("{name}: binds {n} storage buffers, the adapter offers {most}")));
        }
        self.check_sizes(name)?;
        let mut text = if self.f16 { "enable f16;\n\n".to_owned() } else { String::new() };
        text.extend(self.imports.iter().map(|i| format!("// #import {i}\n")));
        for line in &self.declarations {
            text.extend([line, "\n"]);
        }
        text.extend(["\n", &self.functions, "\n", entry]);
        let source: Arc<str> = wgrad_shaders::imports(&text).into();
        let (bindings, groups) = (self.bindings, grid.groups);
        Ok(Launch { name: name.to_owned(), source, bindings, groups, checked: false, traits: self.traits })
    }

    /// Launch of a shader file with these figures (the grid's added) and hooks.
    pub(super) fn launch_shader(
        self,
        name: &str,
        shader: &str,
        figures: Figures,
        hooks: &[Hook],
        grid: &Grid,
    ) -> Result<Launch, Unsupported> {
        self.launch_shader_with(name, (shader, None), figures, hooks, grid)
    }

    /// Like [`Module::launch_shader`], with another file in place of one of the shader's imports.
    pub(super) fn launch_shader_with(
        mut self,
        name: &str,
        (shader, instead): (&str, Option<(&str, &str)>),
        mut figures: Figures,
        hooks: &[Hook],
        grid: &Grid,
    ) -> Result<Launch, Unsupported> {
        let flags = figures.iter().filter(|f| f.1 == Figure::Flag(true) && f.0 != OPAQUE_LOOPS);
        self.traits.extend(flags.map(|f| f.0));
        figures.extend(grid.figures());
        let text = match instead {
            Some(instead) => expand_with(shader, instead, &figures, hooks),
            None => expand(shader, &figures, hooks),
        };
        self.launch_text(name, &text, grid)
    }

    /// Like [`Module::launch`], around a user's text; it comes first, so compiler errors have the user's line numbers.
    pub(super) fn launch_around(
        mut self,
        name: &str,
        workgroup: usize,
        user: &str,
        main: &str,
        grid: &Grid,
    ) -> Result<Launch, Unsupported> {
        let mut source = format!("{}\n\n", user.trim_end());
        let declarations = std::mem::take(&mut self.declarations);
        source.extend(declarations.into_iter().map(|line| line + "\n"));
        let ours = self.launch(name, workgroup, main, grid)?;
        source += &ours.source;
        Ok(Launch { source: source.into(), checked: true, ..ours })
    }

    fn check_sizes(&self, name: &str) -> Result<(), Unsupported> {
        let bytes = |b: &Binding| match b.buffer {
            Buffer::Operand(i) => self.kernel.operands[i].bytes(),
            Buffer::Output(i) => numel(&self.kernel.output_shape(i)) * self.kernel.outputs[i].bytes(),
            Buffer::Scratch(_) | Buffer::Scalars => 0,
        };
        let largest = self.bindings.iter().map(bytes).max().unwrap_or(0);
        let most = self.caps.limits.binding_bytes;
        if largest > most {
            return Err(Unsupported(format!(
                "{name}: binds {largest} bytes at once, the adapter allows {most}"
            )));
        }
        Ok(())
    }
}

/// A count of workgroups folded into the dimensions of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Workgroups along x, y, z.
    pub(super) groups: [u32; 3],
    count: usize,
}

impl Grid {
    /// `count` workgroups, at most the adapter's figure along x and the rest along y.
    pub(super) fn new(name: &str, count: usize, caps: &Caps) -> Result<Self, Unsupported> {
        let most = caps.limits.groups as usize;
        let (x, y) = (count.min(most), count.div_ceil(most.max(1)));
        if y > most || count > u32::MAX as usize {
            return Err(Unsupported(format!(
                "{name}: needs {count} workgroups, the adapter runs {most} x {most}"
            )));
        }
        Ok(Self { groups: [x as u32, y as u32, 1], count })
    }

    /// Figures for a shader computing its workgroup's number itself.
    fn figures(&self) -> [(&'static str, Figure); 3] {
        let folded = self.count < self.groups[0] as usize * self.groups[1] as usize;
        [
            ("GROUPS_X", (self.groups[0] as usize).into()),
            ("GROUPS", self.count.into()),
            ("FOLDED", folded.into()),
        ]
    }

    /// Lines defining `id`, the workgroup's number, and returning from the entry point if there is nothing to do.
    pub(super) fn id(&self) -> Vec<String> {
        if self.groups[1] == 1 {
            return vec!["let id = wg.x;".to_owned()];
        }
        let mut lines = vec![format!("let id = wg.y * {}u + wg.x;", self.groups[0])];
        if self.count < self.groups[0] as usize * self.groups[1] as usize {
            lines.push(format!("if (id >= {}u) {{", self.count));
            lines.push("    return;".to_owned());
            lines.push("}".to_owned());
        }
        lines
    }
}

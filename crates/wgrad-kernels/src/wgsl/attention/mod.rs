//! Attention as WGSL: one pass over the keys with a running maximum (Dao et al., "FlashAttention-2", 2023), no atomics, and
//! no queries x keys matrix in memory, except in a variant of the gradients if that matrix is small.
//!
//! Two variants: `rows` has one invocation per query (per key, for gradients of keys and values), `subgroup` one subgroup
//! per few of them. A launch computes its own part of the results: the forward ones, dq, or dk and dv.

mod rows;
mod subgroup;

use super::module::{Figures, Grid, Module, Width};
use super::text::indented;
use crate::attention::{Attention, DELTA, DY, Extents, K, LSE, Part, Q, V};
use crate::kernel::Kernel;
use crate::launch::{Launch, Unsupported, Variant};
use wgrad_shaders::{Figure, Hook};
use wgrad_types::{AdapterClass, Caps, DType};

/// Hooks loading the operands, and their strides in the shaders, by operand.
const HOOKS: [&str; 6] = ["q_quad", "k_quad", "v_quad", "dy_quad", "lse_at", "delta_at"];
const STRIDES: [[&str; 4]; 6] = [
    ["Q_BATCH", "Q_HEAD", "Q_ROW", "Q_OFFSET"],
    ["K_BATCH", "K_HEAD", "K_ROW", "K_OFFSET"],
    ["V_BATCH", "V_HEAD", "V_ROW", "V_OFFSET"],
    ["DY_BATCH", "DY_HEAD", "DY_ROW", "DY_OFFSET"],
    ["LSE_BATCH", "LSE_HEAD", "LSE_ROW", "LSE_OFFSET"],
    ["DELTA_BATCH", "DELTA_HEAD", "DELTA_ROW", "DELTA_OFFSET"],
];

/// Part of the results computed by a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// The result, its log-sum-exp, or both.
    Forward,
    /// The gradient of queries.
    Queries,
    /// The gradients of keys, values, or both.
    Keys,
}

/// State shared by the variants.
struct Job<'a> {
    kernel: &'a Kernel,
    attention: &'a Attention,
    caps: &'a Caps,
    e: Extents,
    pass: Pass,
    /// True if the scores' slopes are kept for the gradients of queries and keys.
    keeps: bool,
}

/// Maximum size of kept slopes (one per query and key), in bytes; larger ones are recomputed.
const MOST_SLOPES: usize = 32 << 20;

/// Variants of an attention kernel, best guess first.
pub(super) fn variants(
    kernel: &Kernel,
    attention: &Attention,
    caps: &Caps,
) -> Result<Vec<Variant>, Unsupported> {
    let e = attention.extents();
    let wanted = |part: Part| attention.output(part).is_some();
    let passes: Vec<Pass> = if attention.is_gradient() {
        // Keys first: the launch of queries reads the slopes kept by them.
        let keys = (wanted(Part::Dk) || wanted(Part::Dv)).then_some(Pass::Keys);
        keys.into_iter().chain(wanted(Part::Dq).then_some(Pass::Queries)).collect()
    } else {
        vec![Pass::Forward]
    };
    let variant =
        |name: String, scratch: Vec<usize>, launch: &dyn Fn(&Job<'_>) -> Result<Vec<Launch>, Unsupported>| {
            let job = |&pass: &Pass| Job { kernel, attention, caps, e, pass, keeps: !scratch.is_empty() };
            let launches = passes.iter().map(|p| launch(&job(p))).collect::<Result<Vec<_>, _>>()?;
            Ok(Variant { name, launches: launches.concat(), scratch })
        };
    let mut variants = Vec::new();
    if let (AdapterClass::Software, Some(size @ 4..), true) =
        (caps.class, caps.subgroup, e.depth.is_multiple_of(4) && e.width.is_multiple_of(4))
    {
        let size = size as usize;
        let name = |keeps| subgroup::name(attention, size, keeps);
        let launch = |job: &Job<'_>| subgroup::launches(job, size);
        let slopes = subgroup::slope_bytes(&e, size);
        if wanted(Part::Dk) && wanted(Part::Dq) && slopes <= MOST_SLOPES.min(caps.limits.binding_bytes) {
            variants.push(variant(name(true), vec![slopes], &launch)?);
        }
        variants.push(variant(name(false), Vec::new(), &launch)?);
    }
    variants.push(variant("rows".into(), Vec::new(), &|job| rows::launches(job))?);
    Ok(variants)
}

impl Job<'_> {
    fn wants(&self, part: Part) -> bool {
        self.attention.output(part).is_some()
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.e.depth as f64).sqrt()) as f32
    }

    /// Heads of queries per head of keys.
    fn share(&self) -> usize {
        self.e.heads / self.e.groups
    }

    /// Figures of every shader of attention.
    fn figures(&self) -> Figures {
        let e = self.e;
        vec![
            ("BATCH", e.batch.into()),
            ("HEADS", e.heads.into()),
            ("SHARE", self.share().into()),
            ("QUERIES", e.queries.into()),
            ("KEYS", e.keys.into()),
            ("DEPTH", e.depth.into()),
            ("WIDTH", e.width.into()),
            ("SCALE", Figure::Real(self.scale())),
            ("CAUSAL", self.attention.causal.into()),
        ]
    }

    /// Strides of an operand over batch, heads and rows, and its offset. Heads and positions of `dy` lie `[B, L, H, ..]`.
    fn strides(&self, operand: usize) -> [(&'static str, Figure); 4] {
        let view = &self.attention.views[operand];
        let s = &view.strides;
        let (head, row) = if operand == DY { (s[2], s[1]) } else { (s[1], s[2]) };
        let values = [s[0], head, row, view.offset];
        std::array::from_fn(|i| (STRIDES[operand][i], (values[i] as usize).into()))
    }

    /// Hook loading four elements of a row from a column on, as a vector if the layout allows.
    fn quad(&self, module: &mut Module<'_>, operand: usize) -> Hook {
        let name = HOOKS[operand];
        let view = &self.attention.views[operand];
        let quads = view.strides[3] == 1
            && view.shape[3].is_multiple_of(4)
            && view.offset % 4 == 0
            && view.strides[..3].iter().zip(&view.shape).all(|(s, &n)| n == 1 || s % 4 == 0)
            && self.kernel.operands[operand].numel().is_multiple_of(4);
        let buffer = module.operand(operand, if quads { Width::Four } else { Width::One });
        let half = self.kernel.operands[operand].dtype == DType::F16;
        let value = if quads {
            let vector = format!("{buffer}[(at + column) / 4u]");
            if half { format!("vec4<f32>({vector})") } else { vector }
        } else {
            let (cols, stride) = (view.shape[3], view.strides[3]);
            let element = |j: usize| {
                let column = if j == 0 { "column".to_owned() } else { format!("column + {j}u") };
                let ragged = !cols.is_multiple_of(4);
                let inside = if ragged { format!("min({column}, {}u)", cols - 1) } else { column.clone() };
                let element = format!("{buffer}[at + ({inside}) * {stride}u]");
                let element = if half { format!("f32({element})") } else { element };
                if ragged { format!("select(0.0, {element}, {column} < {cols}u)") } else { element }
            };
            format!("vec4<f32>({})", (0..4).map(element).collect::<Vec<_>>().join(", "))
        };
        Hook {
            name,
            code: format!("fn {name}(at: u32, column: u32) -> vec4<f32> {{\n    return {value};\n}}\n"),
        }
    }

    /// Hook loading an element of `lse` or `delta`.
    fn scalar(&self, module: &mut Module<'_>, operand: usize) -> Hook {
        let name = HOOKS[operand];
        let buffer = module.operand(operand, Width::One);
        Hook { name, code: format!("fn {name}(at: u32) -> f32 {{\n    return {buffer}[at];\n}}\n") }
    }

    /// Hook storing the existing ones of four elements of a row.
    fn store(&self, module: &mut Module<'_>, part: Part, name: &'static str) -> Hook {
        let Some(output) = self.attention.output(part) else { return Hook::none(name) };
        let cols = self.attention.shape(part)[3];
        let quads = cols.is_multiple_of(4);
        let y = module.output(output, if quads { Width::Four } else { Width::One });
        let lines: Vec<String> = match quads {
            true => vec![format!("{y}[(at + column) / 4u] = value;")],
            false => (0..4)
                .map(|k| format!("if (column + {k}u < {cols}u) {{ {y}[at + column + {k}u] = value[{k}]; }}"))
                .collect(),
        };
        let body = indented(&lines, 1);
        Hook { name, code: format!("fn {name}(at: u32, column: u32, value: vec4<f32>) {{\n{body}}}\n") }
    }

    /// Hook storing a log-sum-exp.
    fn store_lse(&self, module: &mut Module<'_>) -> Hook {
        let name = "store_lse";
        let Some(output) = self.attention.output(Part::Lse) else { return Hook::none(name) };
        let y = module.output(output, Width::One);
        Hook { name, code: format!("fn {name}(at: u32, value: f32) {{\n    {y}[at] = value;\n}}\n") }
    }
}

/// A launch of a shader under construction.
struct Text<'a, 'k> {
    job: &'a Job<'a>,
    module: Module<'k>,
    figures: Figures,
    hooks: Vec<Hook>,
}

impl<'a, 'k> Text<'a, 'k> {
    fn new(job: &'a Job<'k>) -> Self
    where
        'k: 'a,
    {
        let module = Module::new(job.kernel, job.caps);
        Self { job, module, figures: job.figures(), hooks: Vec::new() }
    }

    /// Loads an operand, if the launch reads it.
    fn operand(&mut self, wanted: bool, operand: usize) {
        self.hooks.push(match operand {
            _ if !wanted => Hook::none(HOOKS[operand]),
            LSE | DELTA => self.job.scalar(&mut self.module, operand),
            _ => self.job.quad(&mut self.module, operand),
        });
        if wanted {
            self.figures.extend(self.job.strides(operand));
        }
    }

    /// Stores a part of the results, if the launch computes it.
    fn store(&mut self, wanted: bool, part: Part, hook: &'static str) {
        self.hooks.push(match wanted {
            true => self.job.store(&mut self.module, part, hook),
            false => Hook::none(hook),
        });
    }

    /// Operands and results of the forward pass, and their flags.
    fn forward(&mut self) {
        let values = self.job.wants(Part::Y);
        self.operand(true, Q);
        self.operand(true, K);
        self.operand(values, V);
        self.store(values, Part::Y, "store_y");
        self.hooks.push(self.job.store_lse(&mut self.module));
        let lse = self.job.wants(Part::Lse);
        self.figures.extend([("WANT_Y", values.into()), ("WANT_LSE", lse.into())]);
    }

    fn launch(self, label: &str, shader: &str, grid: &Grid) -> Result<Launch, Unsupported> {
        self.module.launch_shader(label, shader, self.figures, &self.hooks, grid)
    }
}

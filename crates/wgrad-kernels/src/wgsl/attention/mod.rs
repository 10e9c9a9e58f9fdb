//! Attention as WGSL: one pass over the keys with a running maximum (Dao et al., "FlashAttention-2", 2023), no atomics, and
//! nothing as large as queries times keys in memory, but for a form of the gradients where that is little.
//!
//! Two forms: `rows` gives every query (key, for gradients of keys and values) an invocation, `subgroup` gives some
//! of them a subgroup. A launch has its own part of the results: the forward ones, dq, or dk and dv.

mod rows;
mod subgroup;

use super::module::{Module, Width};
use super::text::f32_literal;
use crate::attention::{Attention, DELTA, DY, Extents, K, LSE, Part, Q, V};
use crate::kernel::Kernel;
use crate::launch::{Launch, Unsupported, Variant};
use wgrad_types::{AdapterClass, Caps, DType, View};

/// Where the running maximum begins: below any score, and finite, since WGSL may assume no infinities.
const LOWEST: &str = "-1e30f";

/// What a launch computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// The result, its log-sum-exp, or both.
    Forward,
    /// The gradient of queries.
    Queries,
    /// The gradients of keys, values, or both.
    Keys,
}

/// What the forms share.
struct Job<'a> {
    kernel: &'a Kernel,
    attention: &'a Attention,
    caps: &'a Caps,
    e: Extents,
    pass: Pass,
    /// Whether the scores' slopes are kept, from which the gradients of queries and keys are made.
    keeps: bool,
}

/// Bytes of kept slopes at most, one a query and key: where there are more, they are made again.
const MOST_SLOPES: usize = 32 << 20;

/// The forms of an attention step, best guess first.
pub(super) fn variants(
    kernel: &Kernel,
    attention: &Attention,
    caps: &Caps,
) -> Result<Vec<Variant>, Unsupported> {
    let e = attention.extents();
    let wanted = |part: Part| attention.output(part).is_some();
    let passes: Vec<Pass> = if attention.is_gradient() {
        // Keys first: the slopes they keep are what queries read.
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

    fn scale(&self) -> String {
        f32_literal(1.0 / (self.e.depth as f64).sqrt())
    }

    /// Heads that share a head of keys.
    fn share(&self) -> usize {
        self.e.heads / self.e.groups
    }

    /// An operand bound as vectors where its layout allows.
    fn matrix(&self, module: &mut Module<'_>, operand: usize) -> Matrix {
        let view = &self.attention.views[operand];
        let quads = view.strides[3] == 1
            && view.shape[3].is_multiple_of(4)
            && view.offset % 4 == 0
            && view.strides[..3].iter().zip(&view.shape).all(|(s, &n)| n == 1 || s % 4 == 0)
            && self.kernel.operands[operand].numel().is_multiple_of(4);
        let name = module.operand(operand, if quads { Width::Four } else { Width::One });
        let half = self.kernel.operands[operand].dtype == DType::F16;
        Matrix { name, view: view.clone(), quads, exchanged: operand == DY, half }
    }

    /// The element of `lse` or `delta` of a batch, head and query.
    fn scalar(&self, module: &mut Module<'_>, operand: usize) -> impl Fn(&str, &str, &str) -> String + use<> {
        let name = module.operand(operand, Width::One);
        let view = self.attention.views[operand].clone();
        move |b, h, i| {
            let s = &view.strides;
            format!("{name}[{b} * {}u + {h} * {}u + {i} * {}u + {}u]", s[0], s[1], s[2], view.offset)
        }
    }
}

/// Operand matrices, a row of them a query or a key.
struct Matrix {
    name: String,
    view: View,
    quads: bool,
    /// Heads and positions lie `[B, L, H, ..]`.
    exchanged: bool,
    /// Elements are f16, widened as they are read.
    half: bool,
}

impl Matrix {
    fn element(&self, at: &str) -> String {
        let element = format!("{}[{at}]", self.name);
        match (self.half, self.quads) {
            (false, _) => element,
            (true, true) => format!("vec4<f32>({element})"),
            (true, false) => format!("f32({element})"),
        }
    }

    /// The address of row 0 of a batch and head.
    fn base(&self, b: &str, h: &str) -> String {
        let s = &self.view.strides;
        let head = if self.exchanged { s[2] } else { s[1] };
        format!("{b} * {}u + {h} * {head}u + {}u", s[0], self.view.offset)
    }

    /// Elements between rows.
    fn row(&self) -> isize {
        if self.exchanged { self.view.strides[1] } else { self.view.strides[2] }
    }

    /// Four elements from column `c` on of the row at an address; zeros beyond the last column.
    fn quad(&self, row: &str, c: usize) -> String {
        if self.quads {
            return self.element(&format!("({row} + {c}u) / 4u"));
        }
        let (cols, step) = (self.view.shape[3], self.view.strides[3]);
        let one = |c: usize| match c < cols {
            true => self.element(&format!("{row} + {}u", c as isize * step)),
            false => "0.0".to_owned(),
        };
        format!("vec4<f32>({})", (c..c + 4).map(one).collect::<Vec<_>>().join(", "))
    }

    /// Four elements from the column an expression gives (a multiple of 4).
    fn quad_at(&self, row: &str, column: &str) -> String {
        if self.quads {
            return self.element(&format!("({row} + {column}) / 4u"));
        }
        let step = self.view.strides[3];
        let one = |j: usize| self.element(&format!("{row} + ({column} + {j}u) * {step}u"));
        format!("vec4<f32>({})", (0..4).map(one).collect::<Vec<_>>().join(", "))
    }
}

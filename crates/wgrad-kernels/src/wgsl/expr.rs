//! Prints an expression as WGSL: a `let` an instruction, for one element or for four neighbours at once.
//!
//! Values independent of coordinates (constants, scalars, broadcast scalars and everything derived from them) are printed
//! separately, to be hoisted before a loop. Loads outside of a mask read element 0 and are replaced by 0.

use super::guards;
use super::module::{Local, LocalAt, Module, Width};
use super::space::{Inner, Space, inner};
use super::statement::{Kind, Statement};
use super::text::{affine, decode, literal};
use crate::expr::{Instr, Reg};
use crate::{SEED_WORD, STEP_WORD};
use wgrad_graph::ops::CompareKind;
use wgrad_types::{DType, View};

/// Place of evaluation of the expression.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// At this row-major index of the space (of its quads, where four wide).
    Linear(&'a str),
    /// At these coordinates (the innermost in quads, where four wide).
    Axes(&'a [String]),
}

/// An expression as lines of WGSL.
#[derive(Clone, Debug, Default)]
pub(super) struct Printed {
    /// Lines with equal results for all elements.
    pub(super) uniform: Vec<Statement>,
    /// The rest, to be evaluated at each place.
    pub(super) body: Vec<Statement>,
    /// The values of the results.
    pub(super) results: Vec<String>,
}

/// True if a space can be evaluated four elements at a time, given the operands bound as scalars.
pub(super) fn fits_quads(space: &Space, scalar_operands: &[usize]) -> bool {
    quad_operands(space).is_some_and(|[vectors, mut scalars]| {
        scalars.extend(scalar_operands);
        !vectors.iter().any(|v| scalars.contains(v))
    })
}

/// Operands bound as vectors, and as scalars, to evaluate four elements at a time; `None` if a load has neither form.
pub(super) fn quad_operands(space: &Space) -> Option<[Vec<usize>; 2]> {
    let [mut vectors, mut scalars] = [const { Vec::new() }; 2];
    let fits = space.expr.instrs.iter().all(|instr| match instr {
        Instr::Load { operand, view } => match inner(view) {
            Inner::Vector => {
                vectors.push(*operand);
                true
            }
            Inner::Splat => {
                scalars.push(*operand);
                true
            }
            Inner::Scattered => false,
        },
        Instr::Random { view, .. } => view.is_contiguous(),
        Instr::Index(_) | Instr::Masked { .. } => false,
        _ => true,
    });
    (fits && space.quads()).then_some([vectors, scalars])
}

/// Prints the space's expression; registers are called `prefix` and their number.
pub(super) fn print(
    module: &mut Module<'_>,
    space: &Space,
    width: Width,
    place: Place<'_>,
    prefix: &str,
) -> Printed {
    let mut printer = Printer {
        module,
        space,
        width,
        prefix,
        linear: match place {
            Place::Linear(index) => Some(index.to_owned()),
            Place::Axes(_) => None,
        },
        axes: Vec::new(),
        uniform: vec![false; space.expr.instrs.len()],
        guarded: guards::needed(&space.expr),
        out: Printed::default(),
    };
    printer.axes = match place {
        Place::Axes(axes) => axes.to_vec(),
        Place::Linear(index) => printer.decoded(index),
    };
    for r in 0..space.expr.instrs.len() {
        printer.instruction(r);
    }
    let results = space.expr.results.clone();
    printer.out.results = results.into_iter().map(|r| printer.value(r)).collect();
    printer.out
}

struct Printer<'m, 'a> {
    module: &'m mut Module<'a>,
    space: &'m Space,
    width: Width,
    prefix: &'m str,
    linear: Option<String>,
    axes: Vec<String>,
    uniform: Vec<bool>,
    /// True if the register's function must keep NaN itself.
    guarded: Vec<bool>,
    out: Printed,
}

impl Printer<'_, '_> {
    /// Names of the coordinates needed by views, defined in the body.
    fn decoded(&mut self, index: &str) -> Vec<String> {
        let mut shape = self.space.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last /= self.width.lanes();
        }
        let needed: Vec<bool> = (0..shape.len()).map(|d| self.needs_axis(d)).collect();
        let mut names = vec!["0u".to_owned(); shape.len()];
        for (d, text) in decode(index, &shape, &needed).into_iter().enumerate() {
            if text == index {
                names[d] = text;
            } else if text != "0u" {
                names[d] = format!("{}c{d}", self.prefix);
                self.out.body.push(Statement::new(Kind::Coordinate, &names[d], text, &[index]));
            }
        }
        names
    }

    fn needs_axis(&self, d: usize) -> bool {
        let open = |m: &Vec<(usize, usize)>| m[d] == (0, self.space.shape[d]);
        let by_view =
            |v: &View| !v.is_contiguous() && (v.strides[d] != 0 || !v.mask.as_ref().is_none_or(open));
        self.space.expr.instrs.iter().any(|instr| match instr {
            Instr::Load { view, .. } | Instr::Index(view) | Instr::Random { view, .. } => by_view(view),
            Instr::Masked { mask, .. } => !open(mask),
            _ => false,
        })
    }

    /// Name of the register as a uniform value.
    fn name(&self, r: Reg) -> String {
        format!("{}{r}", self.prefix)
    }

    /// The register's value at the width of the print.
    fn value(&self, r: Reg) -> String {
        let name = self.name(r);
        match self.width {
            Width::Four if self.uniform[r] => format!("vec4({name})"),
            _ => name,
        }
    }

    fn instruction(&mut self, r: Reg) {
        let instr = &self.space.expr.instrs[r];
        let uniform = self.is_uniform(instr);
        let width = if uniform { Width::One } else { self.width };
        let value = |r: &Reg| if uniform { self.name(*r) } else { self.value(*r) };
        let dtype = self.space.expr.dtypes[r];
        let text = match instr {
            Instr::Acc => self.module.core_result.clone(),
            Instr::Const(v) if dtype == DType::F32 && !(*v as f32).is_finite() => self.module.endless(*v),
            Instr::Const(v) => literal(*v, dtype),
            Instr::Scalar { word } => format!("bitcast<f32>({}[{word}u])", self.module.scalars()),
            Instr::Load { operand, view } => self.load(*operand, view, width),
            Instr::Index(view) => {
                let index = format!("i32({})", self.index(view, 1));
                self.masked(view, &index, "0i")
            }
            Instr::Random { view, stream } => self.random(view, *stream),
            Instr::Masked { value: of, mask } => match self.inside(mask) {
                Some(inside) => format!("select({}, {}, {inside})", zero(dtype), value(of)),
                None => value(of),
            },
            Instr::Unary(kind, x) => {
                call(self.guarded[r], kind.wgsl(), &[("x", &value(x))], width, self.module)
            }
            // Whole numbers have no NaN to keep.
            Instr::Binary(kind, a, b) => {
                let guarded = self.guarded[r] && dtype != DType::I32;
                call(guarded, kind.wgsl(), &[("a", &value(a)), ("b", &value(b))], width, self.module)
            }
            Instr::Compare(kind, a, b) => {
                let truth = self.space.expr.dtypes[*a] == DType::Bool;
                compare(*kind, &value(a), &value(b), truth, width)
            }
            Instr::Select(c, a, b) => format!("select({}, {}, {})", value(b), value(a), value(c)),
            Instr::Cast(x) if dtype == DType::F16 => self.module.rounded_to_f16(&value(x), width),
            Instr::Cast(x) if (self.space.expr.dtypes[*x], dtype) == (DType::F32, DType::I32) => {
                call(true, "to_i32_(x)", &[("x", &value(x))], width, self.module)
            }
            Instr::Cast(x) => cast(&value(x), self.space.expr.dtypes[*x], dtype, width),
        };
        self.uniform[r] = uniform;
        let kind = if matches!(instr, Instr::Load { .. }) { Kind::Load } else { Kind::Compute };
        let mut reads: Vec<String> = instr.operands().map(|x| self.name(x)).collect();
        if !uniform {
            reads.extend(self.coordinates(instr));
        }
        let statement = Statement { name: self.name(r), text, reads, kind };
        if uniform { self.out.uniform.push(statement) } else { self.out.body.push(statement) }
    }

    /// Names of the indices and coordinates in an instruction's address and masks.
    fn coordinates(&self, instr: &Instr) -> Vec<String> {
        let axes = |needed: &dyn Fn(usize) -> bool| -> Vec<String> {
            (0..self.axes.len()).filter(|&d| needed(d)).map(|d| self.axes[d].clone()).collect()
        };
        let masked = |mask: &[(usize, usize)], d: usize| mask[d] != (0, self.space.shape[d]);
        let local = instr.load().and_then(|l| self.module.local(l.0));
        match instr {
            Instr::Load { .. }
                if let Some(Local { at: LocalAt::Row(name) | LocalAt::Here(name), .. }) = local =>
            {
                vec![name.clone()]
            }
            Instr::Load { .. } if let Some(Local { at: LocalAt::Own { index, .. }, .. }) = local => {
                vec![(*index).to_owned()]
            }
            Instr::Load { view, .. } | Instr::Index(view) | Instr::Random { view, .. } => {
                match &self.linear {
                    Some(linear) if view.is_contiguous() => vec![linear.clone()],
                    _ => axes(&|d| {
                        view.strides[d] != 0 && view.shape[d] != 1
                            || view.mask.as_ref().is_some_and(|m| masked(m, d))
                    }),
                }
            }
            Instr::Masked { mask, .. } => axes(&|d| masked(mask, d)),
            // The result of a core, at this place.
            Instr::Acc => self.linear.iter().cloned().collect(),
            _ => Vec::new(),
        }
    }

    fn is_uniform(&self, instr: &Instr) -> bool {
        let all = |regs: &[Reg]| regs.iter().all(|&r| self.uniform[r]);
        match instr {
            Instr::Const(_) | Instr::Scalar { .. } => true,
            Instr::Load { operand, view } => {
                let taken_over = self.module.kernel.in_place.contains(&Some(*operand));
                view.is_uniform() && !taken_over && self.module.local(*operand).is_none()
            }
            Instr::Unary(_, x) | Instr::Cast(x) => all(&[*x]),
            Instr::Binary(_, a, b) | Instr::Compare(_, a, b) => all(&[*a, *b]),
            Instr::Select(c, a, b) => all(&[*c, *a, *b]),
            Instr::Acc | Instr::Index(_) | Instr::Random { .. } | Instr::Masked { .. } => false,
        }
    }

    /// A value of the row, known to this kernel only.
    fn local(&self, local: &Local, view: &View, width: Width) -> String {
        let word = match &local.at {
            LocalAt::Row(name) if width == Width::Four => return format!("vec4({name})"),
            LocalAt::Row(name) | LocalAt::Here(name) => return name.clone(),
            LocalAt::Own { word, .. } => word.clone(),
            LocalAt::Memory { array, begin } => {
                let in_row = self.terms(view, width.lanes() as i64, |d| self.space.reduced[d]);
                format!("{array}[{begin} + {}]", affine(&in_row, 0))
            }
        };
        match local.dtype {
            DType::Bool => format!("({word} != {}(0u))", width.of("u32")),
            _ => word,
        }
    }

    /// The number the view maps the place to, in units of `unit` elements along the innermost axis.
    fn index(&self, view: &View, unit: i64) -> String {
        if let Some(linear) = &self.linear
            && view.is_contiguous()
        {
            return linear.clone();
        }
        affine(&self.terms(view, unit, |_| true), view.offset as i64 / unit)
    }

    /// The coordinates of some axes with their strides in the view.
    fn terms(&self, view: &View, unit: i64, axis: impl Fn(usize) -> bool) -> Vec<(String, i64)> {
        let last = view.strides.len().saturating_sub(1);
        let term = |(d, s): (usize, &isize)| {
            // Outer strides count elements; the innermost coordinate already counts quads.
            let factor = if d == last { *s as i64 } else { *s as i64 / unit };
            (self.axes[d].clone(), if view.shape[d] == 1 { 0 } else { factor })
        };
        view.strides.iter().enumerate().filter(|s| axis(s.0)).map(term).collect()
    }

    fn inside(&self, mask: &[(usize, usize)]) -> Option<String> {
        let mut tests = Vec::new();
        for (d, &(lo, hi)) in mask.iter().enumerate() {
            let at = &self.axes[d];
            if lo >= hi {
                return Some("false".to_owned());
            }
            if lo > 0 {
                tests.push(format!("{at} >= {lo}u"));
            }
            if hi < self.space.shape[d] {
                tests.push(format!("{at} < {hi}u"));
            }
        }
        (!tests.is_empty()).then(|| tests.join(" && "))
    }

    /// `value` if the view is inside its buffer, else `zero`.
    fn masked(&self, view: &View, value: &str, zero: &str) -> String {
        match view.mask.as_ref().and_then(|m| self.inside(m)) {
            Some(inside) => format!("select({zero}, {value}, {inside})"),
            None => value.to_owned(),
        }
    }

    fn load(&mut self, operand: usize, view: &View, width: Width) -> String {
        if let Some(local) = self.module.local(operand) {
            return self.local(local, view, width);
        }
        let dtype = self.module.kernel.operands[operand].dtype;
        let whole = self.linear.is_some() && view.is_contiguous();
        let vector = width == Width::Four && (whole || inner(view) == Inner::Vector);
        let bound = if vector { Width::Four } else { Width::One };
        let buffer = self.module.operand(operand, bound);
        let index = match self.is_uniform(&Instr::Load { operand, view: view.clone() }) {
            true => format!("{}u", view.offset),
            false => self.masked(view, &self.index(view, bound.lanes() as i64), "0u"),
        };
        let mut word = format!("{buffer}[{index}]");
        let bound_as = self.module.element(operand);
        if dtype == DType::F16 {
            word = format!("{}({word})", bound.of("f32"));
        } else if bound_as != dtype.wgsl() {
            word = format!("bitcast<{}>({word})", bound.of(dtype.wgsl()));
        }
        let mut text = match dtype {
            DType::Bool => format!("({word} != {}(0u))", bound.of("u32")),
            _ => word,
        };
        if width == Width::Four && !vector {
            text = format!("vec4({text})");
        }
        self.masked(view, &text, zero(dtype))
    }

    fn random(&mut self, view: &View, stream: u32) -> String {
        self.module.import("common/philox");
        let scalars = self.module.scalars();
        let of = if self.width == Width::Four { "4" } else { "" };
        let index = self.masked(view, &self.index(view, self.width.lanes() as i64), "0u");
        let (seed, step) = (SEED_WORD, STEP_WORD);
        let drawn = format!("philox_uniform{of}({scalars}[{seed}u], {scalars}[{step}u], {stream}u, {index})");
        self.masked(view, &drawn, "0.0f")
    }
}

fn zero(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F16 => "0.0f",
        DType::I32 => "0i",
        DType::Bool => "false",
    }
}

/// A function of `shaders/common`.
struct Function {
    /// As the tables call it.
    call: &'static str,
    /// For four elements at once.
    four: &'static str,
    /// Both without the guard for NaN.
    plain: Option<[&'static str; 2]>,
    /// The files it needs.
    imports: &'static [&'static str],
}

const EXP: &[&str] = &["common/nan", "common/exp"];
const LOG: &[&str] = &["common/nan", "common/exp", "common/log"];

const FUNCTIONS: [Function; 17] = [
    Function { call: "max_(", four: "max4_(", plain: Some(["max(", "max("]), imports: &["common/nan"] },
    Function { call: "min_(", four: "min4_(", plain: Some(["min(", "min("]), imports: &["common/nan"] },
    Function { call: "relu_(", four: "relu4_(", plain: None, imports: &["common/nan"] },
    Function { call: "sign_(", four: "sign4_(", plain: None, imports: &["common/nan"] },
    Function { call: "to_i32_(", four: "to_i32_4_(", plain: None, imports: &["common/nan"] },
    Function { call: "exp_(", four: "exp4_(", plain: Some(["exp(", "exp("]), imports: EXP },
    Function { call: "expm1_(", four: "expm1_4_(", plain: None, imports: EXP },
    Function {
        call: "sigmoid_(",
        four: "sigmoid4_(",
        plain: Some(["sigmoid_plain_(", "sigmoid4_plain_("]),
        imports: EXP,
    },
    Function { call: "tanh_(", four: "tanh4_(", plain: None, imports: EXP },
    Function { call: "log_(", four: "log4_(", plain: None, imports: LOG },
    Function { call: "log1p_(", four: "log1p4_(", plain: None, imports: LOG },
    Function { call: "softplus_(", four: "softplus4_(", plain: None, imports: LOG },
    Function {
        call: "pow_(",
        four: "pow4_(",
        plain: None,
        imports: &["common/nan", "common/exp", "common/log", "common/pow"],
    },
    Function { call: "sin_(", four: "sin4_(", plain: None, imports: &["common/trig"] },
    Function { call: "cos_(", four: "cos4_(", plain: None, imports: &["common/trig"] },
    Function {
        call: "erf_(",
        four: "erf4_(",
        plain: Some(["erf_plain_(", "erf4_plain_("]),
        imports: &["common/nan", "common/erf"],
    },
    Function { call: "finite_(", four: "finite4_(", plain: None, imports: &["common/finite"] },
];

/// A template of the tables, its words replaced and its functions those of this width; `guarded` keeps NaN.
fn call(
    guarded: bool,
    template: &str,
    words: &[(&str, &str)],
    width: Width,
    module: &mut Module<'_>,
) -> String {
    let Some(known) = FUNCTIONS.iter().find(|f| template.starts_with(f.call)) else {
        return substitute(template, words);
    };
    let named = match (known.plain, width) {
        (Some(plain), width) if !guarded => plain[usize::from(width == Width::Four)],
        (_, Width::One) => known.call,
        (_, Width::Four) => known.four,
    };
    // The built-in functions need no file.
    if named.ends_with("_(") {
        known.imports.iter().for_each(|import| module.import(import));
    }
    substitute(&template.replacen(known.call, named, 1), words)
}

/// The template with whole words replaced.
fn substitute(template: &str, words: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in template.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let replaced = words.iter().find(|w| w.0 == word).map(|w| w.1);
        out.push_str(replaced.unwrap_or(&word));
        out.push(c);
        word.clear();
    }
    out.pop();
    out
}

fn compare(kind: CompareKind, a: &str, b: &str, truth: bool, width: Width) -> String {
    let ordered = !matches!(kind, CompareKind::Eq | CompareKind::Ne);
    if truth && ordered {
        let (ty, op) = (width.of("u32"), kind.wgsl());
        let word = |x: &str| format!("select({ty}(0u), {ty}(1u), {x})");
        return format!("({} {op} {})", word(a), word(b));
    }
    if kind == CompareKind::Ne {
        // Both translators turn `!=` into an ordered comparison, false for NaN.
        return format!("!({a} == {b})");
    }
    format!("({a} {} {b})", kind.wgsl())
}

fn cast(x: &str, from: DType, to: DType, width: Width) -> String {
    let ty = |scalar: &str| width.of(scalar);
    match (from, to) {
        (DType::F32, DType::Bool) => format!("!({x} == {}(0.0))", ty("f32")),
        (DType::I32, DType::Bool) => format!("({x} != {}(0))", ty("i32")),
        (DType::Bool, DType::F32) => format!("select({0}(0.0), {0}(1.0), {x})", ty("f32")),
        (DType::Bool, DType::I32) => format!("select({0}(0), {0}(1), {x})", ty("i32")),
        (DType::I32, DType::F32) => format!("{}({x})", ty("f32")),
        _ => x.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_replaced() {
        assert_eq!(substitute("(a + abs(b))", &[("a", "r1"), ("b", "r2")]), "(r1 + abs(r2))");
        assert_eq!(substitute("-x", &[("x", "vec4(r0)")]), "-vec4(r0)");
        assert_eq!(substitute("max_(a, b)", &[("a", "r0"), ("b", "r1")]), "max_(r0, r1)");
    }

    #[test]
    fn casts_by_dtype() {
        assert_eq!(cast("r", DType::Bool, DType::F32, Width::One), "select(f32(0.0), f32(1.0), r)");
        assert_eq!(cast("r", DType::I32, DType::F32, Width::Four), "vec4<f32>(r)");
    }
}

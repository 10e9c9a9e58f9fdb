//! Translates expressions and row chains into operations on rows.

use super::lane::Function;
use super::run::BLOCK;
use super::{Action, Load, Node, Operand, Program, Target};
use crate::cpu::view::Runs;
use crate::expr::{Expr, Instr};
use crate::kernel::Core;
use crate::row_chain::{Chain, Link, Source};
use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
use wgrad_types::{DType, View, numel};

/// Rows shorter than this are not worth a loop of their own.
const SHORT_ROW: usize = 32;
/// Rows at least this long are processed one by one if an operand's rows are unevenly spaced.
const SINGLE: usize = 256;
const NONE: Operand = Operand::Nowhere;

impl Program {
    /// A row chain.
    pub(crate) fn chain(chain: &Chain) -> Self {
        let widths: Vec<usize> = chain.values.iter().map(|v| v.ty.numel() / chain.rows).collect();
        let mut build = Build {
            program: Self::default(),
            rows: chain.rows,
            values: vec![None; widths.len()],
            widths: &widths,
            taken: &[],
        };
        chain.links.iter().for_each(|link| build.link(link));
        let Build { mut program, values, .. } = build;
        program.outputs = vec![0; chain.values.iter().filter(|v| v.output.is_some()).count()];
        for ((value, from), &width) in chain.values.iter().zip(values).zip(&widths) {
            if let Some(o) = value.output {
                program.outputs[o] = width;
                program.result(o, from.expect("every value is some link's"), false);
            }
        }
        program.finished(chain.rows, usize::MAX)
    }

    /// An expression over `shape`; `in_place` as in `Kernel`. `Instr::Acc` is the first output's content on
    /// entry.
    pub(crate) fn expr(expr: &Expr, in_place: &[Option<usize>], shape: &[usize]) -> Self {
        let total = numel(shape).max(1);
        // Rows as long as the shortest contiguous run of an operand.
        let taken = |operand: usize| in_place.contains(&Some(operand));
        let run = |i: &Instr| i.load().filter(|l| !taken(l.0)).and_then(|l| Runs::new(l.1).run());
        let wide = expr.instrs.iter().filter_map(run).filter(|&n| n >= SHORT_ROW).min();
        let wide = wide.filter(|n| total.is_multiple_of(*n)).unwrap_or(total);
        let mut program = Self { outputs: vec![wide; expr.results.len()], ..Self::default() };
        let mut build =
            Build { program, rows: total / wide, values: Vec::new(), widths: &[], taken: in_place };
        let results = build.add(expr, shape, None, None);
        program = build.program;
        if let ([Operand::Load(l)], true) = (&results[..], program.nodes.is_empty()) {
            program.bare = Some(*l);
        }
        // Outputs' initial contents are copied away before any of them is written.
        let by = |from: &Operand| match from {
            Operand::Before(_) => {
                program.add(Action::Apply(Function::Copy), [*from, NONE, NONE], wide, DType::F32)
            }
            _ => *from,
        };
        let results: Vec<Operand> = results.iter().map(by).collect();
        for (o, &from) in results.iter().enumerate() {
            let held = in_place.get(o).copied().flatten().is_some() || expr.instrs.contains(&Instr::Acc);
            program.result(o, from, held);
        }
        program.finished(total / wide, BLOCK)
    }

    /// Makes a value output `o`; at the end if the output's memory holds an operand until then.
    fn result(&mut self, o: usize, from: Operand, held: bool) {
        let width = self.outputs[o];
        if let Operand::Node(n) = from
            && let Node { to: Target::Slot(_), width: own, .. } = self.nodes[n]
            && own == width
            && !held
        {
            self.nodes[n].to = Target::Output(o);
            return;
        }
        self.add(Action::Apply(Function::Copy), [from, NONE, NONE], width, DType::F32);
        self.nodes.last_mut().expect("just added").to = Target::Output(o);
    }

    /// Finishes the program for blocks of `rows`, or of `most` elements of one row.
    fn finished(mut self, rows: usize, most: usize) -> Self {
        self.combine();
        self.wide = self.nodes.iter().map(|n| n.width.max(n.reads)).max().unwrap_or(1);
        self.regular = self.loads.iter().all(|l| l.rows.pitch().is_some());
        self.block = if self.regular { (BLOCK / self.wide).max(1) } else { 1 };
        self.place(most);
        self.deal(rows);
        self
    }
}

/// Operations being added.
struct Build<'a> {
    program: Program,
    rows: usize,
    /// Operand of each value of the chain, and its elements per row.
    values: Vec<Option<Operand>>,
    widths: &'a [usize],
    /// Operands with memory taken over by outputs.
    taken: &'a [Option<usize>],
}

impl Build<'_> {
    fn link(&mut self, link: &Link) {
        let (kernel, rows) = (&link.kernel, self.rows);
        let results = match &kernel.core {
            Core::Reduce { kind, input_shape, prologue, .. } => {
                let width = input_shape.iter().product::<usize>() / rows;
                let [from] = self.add(prologue, input_shape, Some(link), None)[..] else {
                    unreachable!("a prologue has one result")
                };
                let action = Action::Fold(*kind, Function::Copy);
                let fold = self.program.add(action, [from, NONE, NONE], 1, DType::F32);
                self.program.nodes.last_mut().expect("just added").reads = width;
                self.add(&kernel.epilogue, &kernel.shape, Some(link), Some(fold))
            }
            _ => self.add(&kernel.epilogue, &kernel.shape, Some(link), None),
        };
        for (&v, from) in link.writes.iter().zip(results) {
            self.values[v] = Some(from);
        }
    }

    /// Adds an expression over `shape`; its results.
    fn add(
        &mut self,
        expr: &Expr,
        shape: &[usize],
        link: Option<&Link>,
        acc: Option<Operand>,
    ) -> Vec<Operand> {
        let width = numel(shape) / self.rows;
        let mut regs: Vec<Operand> = Vec::with_capacity(expr.instrs.len());
        for (instr, &dtype) in expr.instrs.iter().zip(&expr.dtypes) {
            let mut args = [NONE; 3];
            args.iter_mut().zip(instr.operands()).for_each(|(to, x)| *to = regs[x]);
            // A function of per-row values is per-row too.
            let same = args.iter().all(|&a| self.program.same(a));
            let own = if same { 1 } else { width };
            let from = match instr {
                Instr::Acc => acc.unwrap_or(Operand::Before(0)),
                Instr::Const(value) => Operand::Word(constant(*value, dtype)),
                Instr::Scalar { word } => Operand::Scalar(*word),
                Instr::Load { operand, view } => match link {
                    Some(link) => self.load(link.reads[*operand], view, width, dtype),
                    None => self.load(Source::Operand(*operand), view, width, dtype),
                },
                Instr::Index(view) => self.program.add(Action::Index(Runs::new(view)), args, width, dtype),
                Instr::Random { view, stream } => {
                    self.program.add(Action::Random(Runs::new(view), *stream), args, width, dtype)
                }
                Instr::Masked { mask, .. } => {
                    let view = View { mask: Some(mask.clone()), ..View::contiguous(shape) };
                    self.program.add(Action::Masked(Runs::new(&view)), args, width, dtype)
                }
                Instr::Unary(kind, _) => match function_of(*kind) {
                    Some(f) => self.program.add(Action::Apply(f), args, own, dtype),
                    None => self.program.add(Action::Slow(*kind), args, own, dtype),
                },
                Instr::Binary(kind, ..) if dtype == DType::F32 => self.binary(*kind, args, own),
                Instr::Binary(kind, ..) => self.program.add(Action::Whole(*kind), args, own, dtype),
                Instr::Compare(kind, x, _) => {
                    let action = match expr.dtypes[*x] {
                        DType::F32 | DType::F16 => Action::Apply(comparison(*kind)),
                        DType::I32 | DType::Bool => Action::Compare(*kind),
                    };
                    self.program.add(action, args, own, dtype)
                }
                Instr::Select(..) => self.program.add(Action::Apply(Function::Choose), args, own, dtype),
                Instr::Cast(x) => self.program.add(Action::Cast(expr.dtypes[*x]), args, own, dtype),
            };
            regs.push(from);
        }
        expr.results.iter().map(|&r| regs[r]).collect()
    }

    fn binary(&mut self, kind: BinaryKind, args: [Operand; 3], width: usize) -> Operand {
        let f = match kind {
            BinaryKind::Add => Function::Add,
            BinaryKind::Sub => Function::Sub,
            BinaryKind::Mul => Function::Mul,
            // Division by one number per row: multiplied by its inverse, as a division takes as long as a
            // dozen products.
            BinaryKind::Div if width > 1 && self.program.same(args[1]) => {
                let [a, b, _] = args;
                let inverse =
                    self.program.add(Action::Apply(Function::Inverse), [b, NONE, NONE], 1, DType::F32);
                let tame = self.program.add(Action::Apply(Function::Tame), [b, NONE, NONE], 1, DType::F32);
                let args = [a, inverse, tame];
                return self.program.add(Action::Apply(Function::MulMul), args, width, DType::F32);
            }
            BinaryKind::Div => Function::Div,
            BinaryKind::Maximum | BinaryKind::ClampMin => Function::Maximum,
            BinaryKind::Minimum | BinaryKind::ClampMax => Function::Minimum,
            BinaryKind::Pow => return self.program.add(Action::Power, args, width, DType::F32),
        };
        self.program.add(Action::Apply(f), args, width, DType::F32)
    }

    /// Loads an operand or a value of the chain through a view of rows of `width`.
    fn load(&mut self, source: Source, view: &View, width: usize, dtype: DType) -> Operand {
        let runs = Runs::new(view);
        let rows = runs.by_rows(self.rows, width);
        match (source, rows) {
            (Source::Operand(operand), _) if self.taken.contains(&Some(operand)) => {
                let output = self.taken.iter().position(|t| *t == Some(operand));
                Operand::Before(output.expect("an output takes it"))
            }
            (Source::Operand(operand), Some(rows)) if width >= SINGLE || rows.pitch().is_some() => {
                let load = Load { operand, rows };
                let loads = &mut self.program.loads;
                Operand::Load(loads.iter().position(|x| *x == load).unwrap_or_else(|| {
                    loads.push(load);
                    loads.len() - 1
                }))
            }
            (Source::Operand(operand), _) => {
                self.program.add(Action::Gather(operand, runs), [NONE; 3], width, dtype)
            }
            (Source::Value(v), rows) => {
                let from = self.values[v].expect("a link reads values of earlier ones");
                let own = self.widths[v];
                let in_order =
                    rows.is_some_and(|r| r.offset == 0 && r.pitch() == Some(own) && (own == 1 || !r.same));
                if in_order && (own == width || own == 1) {
                    return from;
                }
                // The value's rows must be stored.
                let action = Action::Apply(Function::Copy);
                let stands = match from {
                    Operand::Node(n) if self.program.nodes[n].width == own => from,
                    _ => self.program.add(action, [from, NONE, NONE], own, dtype),
                };
                self.program.add(Action::Within(runs), [stands, NONE, NONE], width, dtype)
            }
        }
    }
}

/// A constant's word.
fn constant(value: f64, dtype: DType) -> u32 {
    match dtype {
        DType::F32 | DType::F16 => (value as f32).to_bits(),
        DType::I32 => (value as i32).cast_unsigned(),
        DType::Bool => u32::from(value != 0.0),
    }
}

fn function_of(kind: UnaryKind) -> Option<Function> {
    Some(match kind {
        UnaryKind::Neg => Function::Neg,
        UnaryKind::Abs => Function::Abs,
        UnaryKind::Exp => Function::Exp,
        UnaryKind::Expm1 => Function::Expm1,
        UnaryKind::Log => Function::Log,
        UnaryKind::Log1p => Function::Log1p,
        UnaryKind::Sqrt => Function::Sqrt,
        UnaryKind::Rsqrt => Function::Rsqrt,
        UnaryKind::Reciprocal => Function::Reciprocal,
        UnaryKind::Square => Function::Square,
        UnaryKind::Tanh => Function::Tanh,
        UnaryKind::Erf => Function::Erf,
        UnaryKind::Sigmoid => Function::Sigmoid,
        UnaryKind::Softplus => Function::Softplus,
        UnaryKind::Relu => Function::Relu,
        UnaryKind::Sign | UnaryKind::Floor | UnaryKind::Sin | UnaryKind::Cos | UnaryKind::Finite => {
            return None;
        }
    })
}

fn comparison(kind: CompareKind) -> Function {
    match kind {
        CompareKind::Eq => Function::Equal,
        CompareKind::Ne => Function::NotEqual,
        CompareKind::Lt => Function::Less,
        CompareKind::Le => Function::LessEqual,
        CompareKind::Gt => Function::Greater,
        CompareKind::Ge => Function::GreaterEqual,
    }
}

//! From graph nodes to one kernel: fused expressions with views, around a heavy operation if there is one.

use crate::fuse::{Class, Fusion, class};
use std::collections::BTreeMap;
use wgrad_graph::ops::{AttentionOperand, Leaf, Op};
use wgrad_graph::{Graph, Value};
use wgrad_kernels::attention::{Attention, Part};
use wgrad_kernels::{Core, Expr, FIRST_SCALAR_WORD, Instr, Kernel, Reg};
use wgrad_types::{DType, Type, View, strides_of};

/// A kernel and the stored values it reads, in operand order.
#[derive(Clone, Debug)]
pub(crate) struct Emitted {
    pub kernel: Kernel,
    pub operands: Vec<Value>,
    /// The heavy node that absorbed this kernel's own node as its epilogue.
    pub absorbed: Option<Value>,
}

/// Why a value cannot be read through views: this node must be stored first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MustStore(pub Value);

/// A movement still to be applied, from the iteration's side inwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    Node(Value),
    Reshape(Vec<usize>),
}

/// Inputs of emission.
pub(crate) struct Context<'a> {
    pub graph: &'a Graph,
    pub fusion: &'a Fusion,
    /// Names of scalars; a scalar's word is its position after the fixed words.
    pub scalars: &'a [String],
    /// Maximum number of storage buffers per kernel.
    pub max_buffers: usize,
}

struct Writer<'a> {
    cx: &'a Context<'a>,
    operands: Vec<Value>,
    absorbed: Option<Value>,
    /// The node being written: inlined even though it is stored, since the kernel computes it.
    root: Option<Value>,
    known: BTreeMap<(Value, Vec<Move>), Reg>,
}

impl Context<'_> {
    fn ty(&self, v: Value) -> &Type {
        self.graph.ty(v)
    }

    /// Kernel of a stored node.
    pub(crate) fn node(&self, v: Value) -> Result<Emitted, MustStore> {
        if class(&self.graph.node(v).op) == Class::Heavy {
            return self.heavy(v);
        }
        if let Some(h) = self.absorbable(v)
            && let Some(done) = self.with_epilogue(v, h)?
        {
            return Ok(done);
        }
        self.map(&[(v, Some(v))])
    }

    /// Element-wise kernel with one result per pair: the value, and the root to inline if the kernel computes
    /// it.
    pub(crate) fn map(&self, values: &[(Value, Option<Value>)]) -> Result<Emitted, MustStore> {
        self.map_onto(values, &[])
    }

    /// Like [`Context::map`] with results overwriting `targets`; a target read as well is bound once.
    pub(crate) fn map_onto(
        &self,
        values: &[(Value, Option<Value>)],
        targets: &[Value],
    ) -> Result<Emitted, MustStore> {
        let shape = self.iteration_shape(values[0].0);
        let mut writer =
            Writer { cx: self, operands: Vec::new(), absorbed: None, root: None, known: BTreeMap::new() };
        let mut expr = Expr::default();
        for (v, root) in values {
            writer.root = *root;
            let start = if self.ty(*v).shape == shape { vec![] } else { vec![Move::Reshape(shape.clone())] };
            let reg = writer.value(&mut expr, *v, &start)?;
            expr.results.push(reg);
        }
        // Every output and the scalars may be bound beside the operands.
        let roots: Vec<Value> = values.iter().map(|v| v.0).collect();
        let shared = targets.iter().filter(|t| writer.operands.contains(t)).count();
        self.check_buffers(&writer.operands, values.len() + 1 - shared, &roots)?;
        let outputs: Vec<DType> = values.iter().map(|(v, _)| self.ty(*v).dtype).collect();
        Ok(self.finish(Core::Map, writer.operands, &shape, expr, outputs))
    }

    /// A stored reshape runs over its operand's shape: the order of elements is the same and views stay affine.
    fn iteration_shape(&self, v: Value) -> Vec<usize> {
        let node = self.graph.node(v);
        match node.op {
            Op::Reshape(_) => self.iteration_shape(node.inputs[0]),
            _ => node.ty.shape.clone(),
        }
    }

    fn finish(
        &self,
        core: Core,
        operands: Vec<Value>,
        shape: &[usize],
        epilogue: Expr,
        outputs: Vec<DType>,
    ) -> Emitted {
        let types: Vec<Type> = operands.iter().map(|&v| self.ty(v).clone()).collect();
        let in_place = vec![None; outputs.len()];
        let kernel =
            Kernel { core, operands: types, shape: shape.to_vec(), epilogue, outputs, sums: None, in_place };
        Emitted { kernel, operands, absorbed: None }
    }

    /// The heavy result read by `root` alone, element for element: `root` can be its epilogue.
    fn absorbable(&self, root: Value) -> Option<Value> {
        let mut best: Option<Value> = None;
        let mut todo = vec![root];
        while let Some(v) = todo.pop() {
            for &x in &self.graph.node(v).inputs {
                let single = self.fusion.uses[x.index()] == 1 && !self.fusion.pinned.contains(&x);
                match class(&self.graph.node(x).op) {
                    Class::Heavy => {
                        let fits = has_epilogue(&self.graph.node(x).op);
                        if single && fits && self.ty(x).numel() == self.ty(root).numel() {
                            best = best.max(Some(x));
                        }
                    }
                    Class::Elementwise if !self.fusion.stored[x.index()] => todo.push(x),
                    Class::Movement if !self.fusion.stored[x.index()] && single => todo.push(x),
                    _ => {}
                }
            }
        }
        best
    }

    /// `root` as the epilogue of `h`; `None` if views or the number of buffers forbid it.
    fn with_epilogue(&self, root: Value, h: Value) -> Result<Option<Emitted>, MustStore> {
        let core = self.heavy(h)?;
        let mut writer = Writer {
            cx: self,
            operands: core.operands,
            absorbed: Some(h),
            root: Some(root),
            known: BTreeMap::new(),
        };
        let shape = core.kernel.shape.clone();
        let start = if self.ty(root).shape == shape { vec![] } else { vec![Move::Reshape(shape.clone())] };
        let mut expr = Expr::default();
        let Ok(reg) = writer.value(&mut expr, root, &start) else { return Ok(None) };
        expr.results.push(reg);
        let acc = expr.instrs.contains(&Instr::Acc);
        let reads_h = writer.operands.contains(&h);
        // The output, the scalars, and one scratch buffer (split kernels) are bound too.
        if !acc || reads_h || writer.operands.len() + 3 > self.max_buffers {
            return Ok(None);
        }
        let mut emitted =
            self.finish(core.kernel.core, writer.operands, &shape, expr, vec![self.ty(root).dtype]);
        let seen = core.kernel.operands.len();
        emitted.kernel.operands[..seen].clone_from_slice(&core.kernel.operands);
        emitted.absorbed = Some(h);
        Ok(Some(emitted))
    }

    /// Checks the adapter's buffer limit. Beyond it, the value below `roots` with the most stored inputs must
    /// be stored first.
    fn check_buffers(&self, operands: &[Value], others: usize, roots: &[Value]) -> Result<(), MustStore> {
        if operands.len().saturating_add(others) <= self.max_buffers {
            return Ok(());
        }
        let inner = |v: &Value| -> Vec<Value> { self.graph.node(*v).inputs.clone() };
        let mut todo: Vec<Value> = roots.iter().flat_map(inner).collect();
        let mut heaviest: Option<(usize, Value)> = None;
        while let Some(v) = todo.pop() {
            match class(&self.graph.node(v).op) {
                _ if self.fusion.stored[v.index()] => {}
                Class::Elementwise => heaviest = heaviest.max(Some((self.reads(v).len(), v))),
                _ => todo.extend(inner(&v)),
            }
        }
        match heaviest {
            Some((reads, v)) if reads > 1 => Err(MustStore(v)),
            _ => Ok(()),
        }
    }

    /// Stored values read by a kernel that computes `v` inline.
    fn reads(&self, v: Value) -> std::collections::BTreeSet<Value> {
        let (mut found, mut todo) = (std::collections::BTreeSet::new(), self.graph.node(v).inputs.clone());
        while let Some(x) = todo.pop() {
            if self.fusion.stored[x.index()] {
                found.insert(x);
            } else {
                todo.extend(&self.graph.node(x).inputs);
            }
        }
        found
    }

    /// A heavy node alone.
    fn heavy(&self, v: Value) -> Result<Emitted, MustStore> {
        let node = self.graph.node(v);
        let x = &node.inputs;
        let mut operands = Vec::new();
        let mut plain = |v: &Value| -> Result<(), MustStore> {
            operands.push(self.contiguous(*v)?);
            Ok(())
        };
        let core = match &node.op {
            Op::Reduce(reduce) => return self.reduction(v, reduce.kind, &reduce.axes),
            Op::MatMul(_) => {
                let batch = &node.ty.shape[..node.ty.shape.len() - 2];
                let ((a, av), (b, bv)) = (self.strided(x[0])?, self.strided(x[1])?);
                let stretch = |view: View| {
                    let tail = view.shape[view.shape.len() - 2..].to_vec();
                    view.broadcast(&[batch, &tail].concat())
                };
                operands = vec![a, b];
                Core::MatMul { a: stretch(av), b: stretch(bv) }
            }
            Op::Gather(gather) => {
                let table = self.contiguous(x[0])?;
                let (index, view) = self.strided(x[1])?;
                operands = vec![table, index];
                Core::Gather { axis: gather.axis, index: view }
            }
            Op::GatherGrad(gather) => {
                let ((dy, dv), (index, iv)) = (self.strided(x[0])?, self.strided(x[1])?);
                operands = vec![dy, index];
                Core::GatherGrad { axis: gather.axis, dy: dv, index: iv }
            }
            op if let Some((causal, part)) = attention(op) => {
                let (values, views) = self.all_strided(x)?;
                operands = values;
                Core::Attention(Attention { causal, views, parts: vec![part] })
            }
            op => {
                x.iter().try_for_each(&mut plain)?;
                match op {
                    Op::ArgMax(argmax) => Core::ArgMax { axis: argmax.axis },
                    Op::Conv2d(conv) => Core::Conv2d(conv.0),
                    Op::Conv2dInputGrad(conv) => Core::Conv2dInputGrad(conv.spec),
                    Op::Conv2dWeightGrad(conv) => Core::Conv2dWeightGrad(conv.spec),
                    Op::MaxPool2d(pool) => Core::MaxPool2d(pool.0),
                    Op::MaxPool2dGrad(pool) => Core::MaxPool2dGrad(pool.0),
                    Op::AvgPool2d(pool) => Core::AvgPool2d(pool.0),
                    Op::AvgPool2dGrad(pool) => Core::AvgPool2dGrad(pool.window),
                    Op::Custom(custom) => Core::Custom(custom.clone()),
                    op => unreachable!("{} is not a heavy operation", op.variant()),
                }
            }
        };
        let mut epilogue = Expr::default();
        let reg = epilogue.push(Instr::Acc, node.ty.dtype);
        epilogue.results.push(reg);
        let mut emitted = self.finish(core, operands, &node.ty.shape, epilogue, vec![node.ty.dtype]);
        let viewed = matches!(node.op, Op::MatMul(_) | Op::Gather(_) | Op::GatherGrad(_));
        if !viewed && attention(&node.op).is_none() {
            // Memory may belong to a reshaped value; the kernel sees the shape it works on.
            emitted.kernel.operands = x.iter().map(|&v| self.ty(v).clone()).collect();
        }
        Ok(emitted)
    }

    fn reduction(
        &self,
        v: Value,
        kind: wgrad_graph::ops::ReduceKind,
        axes: &[usize],
    ) -> Result<Emitted, MustStore> {
        let node = self.graph.node(v);
        let x = node.inputs[0];
        let input_shape = self.ty(x).shape.clone();
        let mut writer =
            Writer { cx: self, operands: Vec::new(), absorbed: None, root: None, known: BTreeMap::new() };
        let mut prologue = Expr::default();
        let reg = writer.value(&mut prologue, x, &[])?;
        prologue.results.push(reg);
        // The output, the scalars, and partial results.
        self.check_buffers(&writer.operands, 3, &[v])?;
        let core = Core::Reduce { kind, axes: axes.to_vec(), input_shape, prologue };
        Ok(self.finish(core, writer.operands, &node.ty.shape, Expr::identity(), vec![node.ty.dtype]))
    }

    /// Stored value behind movements, and the view that reads it; fails for views with padding.
    fn strided(&self, v: Value) -> Result<(Value, View), MustStore> {
        let (mut at, mut moves) = (v, Vec::new());
        while !self.fusion.stored[at.index()] && class(&self.graph.node(at).op) == Class::Movement {
            moves.push(Move::Node(at));
            at = self.graph.node(at).inputs[0];
        }
        if !self.fusion.stored[at.index()] {
            return Err(MustStore(at));
        }
        let view = self.view(View::contiguous(&self.ty(at).shape), &moves)?;
        if view.mask.is_some() {
            return Err(MustStore(v));
        }
        Ok((at, view))
    }

    fn all_strided(&self, x: &[Value]) -> Result<(Vec<Value>, Vec<View>), MustStore> {
        x.iter().map(|&v| self.strided(v)).collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().unzip())
    }

    /// Stored value holding `v`'s elements in order.
    fn contiguous(&self, v: Value) -> Result<Value, MustStore> {
        let (at, view) = self.strided(v)?;
        let whole = view.is_contiguous() && self.ty(at).numel() == self.ty(v).numel();
        if whole { Ok(at) } else { Err(MustStore(v)) }
    }

    /// Applies movements, innermost (last) first.
    fn view(&self, mut view: View, moves: &[Move]) -> Result<View, MustStore> {
        for m in moves.iter().rev() {
            view = match m {
                Move::Reshape(shape) => view.reshape(shape).ok_or(MustStore(Value(u32::MAX)))?,
                Move::Node(v) => {
                    let node = self.graph.node(*v);
                    match &node.op {
                        Op::Reshape(r) => view.reshape(&r.0).ok_or(MustStore(node.inputs[0]))?,
                        Op::Permute(p) => view.permute(&p.0),
                        Op::Broadcast(b) => view.broadcast(&b.0),
                        Op::Slice(s) => view.slice(&s.0.iter().map(|r| (r.0, 1, r.1)).collect::<Vec<_>>()),
                        Op::Pad(p) => view.pad(&p.0),
                        _ => view,
                    }
                }
            };
        }
        Ok(view)
    }
}

/// True for heavy operations with an epilogue.
fn has_epilogue(op: &Op) -> bool {
    !matches!(op, Op::ArgMax(_) | Op::Custom(_)) && attention(op).is_none()
}

/// An attention's mask and the part it is.
fn attention(op: &Op) -> Option<(bool, Part)> {
    Some(match op {
        Op::Attention(a) => (a.causal, Part::Y),
        Op::AttentionLse(a) => (a.causal, Part::Lse),
        Op::AttentionGrad(a) => (
            a.causal,
            match a.of {
                AttentionOperand::Q => Part::Dq,
                AttentionOperand::K => Part::Dk,
                AttentionOperand::V => Part::Dv,
            },
        ),
        _ => return None,
    })
}

impl Writer<'_> {
    /// Register holding `v` as seen through `moves`.
    fn value(&mut self, expr: &mut Expr, v: Value, moves: &[Move]) -> Result<Reg, MustStore> {
        let key = (v, moves.to_vec());
        if let Some(&reg) = self.known.get(&key) {
            return Ok(reg);
        }
        let reg = self.fresh(expr, v, moves)?;
        self.known.insert(key, reg);
        Ok(reg)
    }

    fn fresh(&mut self, expr: &mut Expr, v: Value, moves: &[Move]) -> Result<Reg, MustStore> {
        let graph = self.cx.graph;
        let node = graph.node(v);
        let dtype = node.ty.dtype;
        if self.absorbed == Some(v) {
            let view = self.cx.view(View::contiguous(&node.ty.shape), moves)?;
            if !view.is_contiguous() {
                return Err(MustStore(v));
            }
            return Ok(expr.push(Instr::Acc, dtype));
        }
        if self.cx.fusion.stored[v.index()] && self.root != Some(v) {
            let view = self.cx.view(View::contiguous(&node.ty.shape), moves)?;
            let operand = self.operands.iter().position(|&o| o == v).unwrap_or_else(|| {
                self.operands.push(v);
                self.operands.len() - 1
            });
            return Ok(expr.push(Instr::Load { operand, view }, dtype));
        }
        match &node.op {
            Op::Leaf(leaf) => {
                let instr = self.leaf(leaf, &node.ty, moves)?;
                Ok(expr.push(instr, dtype))
            }
            op if class(op) == Class::Movement => self.moved(expr, v, moves),
            op => {
                let x: Vec<Reg> =
                    node.inputs.iter().map(|&x| self.value(expr, x, moves)).collect::<Result<_, _>>()?;
                let instr = match op {
                    Op::Unary(u) => Instr::Unary(u.0, x[0]),
                    Op::Binary(b) => Instr::Binary(b.0, x[0], x[1]),
                    Op::Compare(c) => Instr::Compare(c.0, x[0], x[1]),
                    Op::Select(_) => Instr::Select(x[0], x[1], x[2]),
                    Op::Cast(_) => Instr::Cast(x[0]),
                    op => unreachable!("{} is not element-wise", op.variant()),
                };
                Ok(expr.push(instr, dtype))
            }
        }
    }

    fn leaf(&self, leaf: &Leaf, ty: &Type, moves: &[Move]) -> Result<Instr, MustStore> {
        Ok(match leaf {
            Leaf::Const { value, .. } => Instr::Const(*value),
            Leaf::Scalar { name } => {
                let at = self
                    .cx
                    .scalars
                    .iter()
                    .position(|s| s == name)
                    .expect("every scalar of the graph is listed");
                Instr::Scalar { word: FIRST_SCALAR_WORD + at }
            }
            Leaf::Iota { shape, axis } => {
                let mut view = View::contiguous(shape);
                for (d, stride) in view.strides.iter_mut().enumerate() {
                    *stride = isize::from(d == *axis);
                }
                Instr::Index(self.cx.view(view, moves)?)
            }
            Leaf::Random { stream, .. } => {
                Instr::Random { view: self.cx.view(View::contiguous(&ty.shape), moves)?, stream: *stream }
            }
            _ => unreachable!("inputs, parameters and literals are stored"),
        })
    }

    fn moved(&mut self, expr: &mut Expr, v: Value, moves: &[Move]) -> Result<Reg, MustStore> {
        let node = self.cx.graph.node(v);
        let x = node.inputs[0];
        let mut inner = moves.to_vec();
        // A reshape undone at once has no effect.
        let undone = matches!(node.op, Op::Reshape(_))
            && matches!(inner.last(), Some(Move::Reshape(shape)) if *shape == self.cx.ty(x).shape);
        if undone {
            inner.pop();
        } else {
            inner.push(Move::Node(v));
        }
        let reg = self.value(expr, x, &inner)?;
        let padded_value = matches!(node.op, Op::Pad(_)) && !matches!(expr.instrs[reg], Instr::Load { .. });
        if padded_value {
            let probe = View {
                strides: strides_of(&self.cx.ty(x).shape).iter().map(|&s| s as isize).collect(),
                ..View::contiguous(&self.cx.ty(x).shape)
            };
            if let Some(mask) = self.cx.view(probe, &inner)?.mask {
                return Ok(expr.push(Instr::Masked { value: reg, mask }, node.ty.dtype));
            }
        }
        Ok(reg)
    }
}

//! Operations of a library's user: mathematics, gradient and kernels in one value.
//!
//! The set of operations is closed but for this one variant. A trait provides everything the planner and the
//! devices need; a custom operation takes part in differentiation, planning, checkpoints and proofs like any
//! other.

use super::{OpDef, Vjp};
use crate::Tensor;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use wgrad_types::{Array, DType, ShapeError, Type};

/// An operation of one's own: f32 tensors to one f32 tensor.
///
/// `Debug` is its identity: two operations of one type with equal debug text are the same, and graphs print
/// it. Derive it, and keep everything that influences the result in fields.
pub trait CustomOp: fmt::Debug + Send + Sync + 'static {
    /// The name in printed graphs, plans, profiles and messages.
    fn name(&self) -> &'static str;

    /// The result's shape for operands of these shapes, or why they do not fit.
    ///
    /// # Errors
    /// If the operands do not fit; the text follows the operation's name in the message.
    fn shape(&self, x: &[&[usize]]) -> Result<Vec<usize>, String>;

    /// The result in f64, written for clarity: the reference for the kernels.
    fn reference(&self, x: &[Array]) -> Array;

    /// One gradient per operand, built of graph operations (or other custom operations) from the operands,
    /// the result and its cotangent; `Vjp::None("why")` if there is none.
    fn gradient(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp;

    /// The kernel for operands and a result of these shapes.
    fn wgsl(&self, x: &[&[usize]], y: &[usize]) -> Wgsl;

    /// The kernel on the CPU, run on one of the device's workers: `rayon` inside it shares the work among them. Without
    /// one, the reference is used, in f64.
    fn cpu(&self, x: &[Operand<'_>], y: &mut [f32]) {
        let arrays: Vec<Array> =
            x.iter().map(|o| Array::new(o.shape, o.data.iter().map(|&v| f64::from(v)).collect())).collect();
        let result = self.reference(&arrays);
        assert_eq!(
            result.data.len(),
            y.len(),
            "the reference gives another number of elements than the shape"
        );
        y.iter_mut().zip(result.data).for_each(|(y, v)| *y = v as f32);
    }
}

/// An operand as a CPU kernel reads it.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Extents.
    pub shape: &'a [usize],
    /// Elements, row-major.
    pub data: &'a [f32],
}

/// A compute kernel in WGSL, all but its bindings and entry point.
///
/// The text defines `fn run(group: u32, local: u32)`, called once for every invocation: `group` counts workgroups,
/// `local` invocations in one. It reads `x0`, `x1`, .. and writes every element of `y` (`array<f32>`, row-major), and may
/// use the constants `X0_LEN`, `Y_LEN` (elements) and `X0_DIM0`, `Y_DIM1`, .. (extents), all u32. It may declare
/// functions and workgroup memory. Accesses out of range are the adapter's to catch: the text runs with the shader
/// compiler's checks, unlike wgrad's own kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wgsl {
    /// The text.
    pub source: String,
    /// Invocations per workgroup.
    pub workgroup: usize,
    /// Workgroups.
    pub groups: usize,
}

impl Wgsl {
    /// A kernel computing element `i` of the result by `expression`: `max(x0[i], 0.0)`.
    pub fn elements(expression: &str, y: &[usize]) -> Self {
        let source = format!(
            "fn run(group: u32, local: u32) {{\n    let i = group * 64u + local;\n    \
             if (i < Y_LEN) {{\n        y[i] = {expression};\n    }}\n}}\n"
        );
        Self { source, workgroup: 64, groups: wgrad_types::numel(y).div_ceil(64) }
    }
}

/// A [`CustomOp`] as a graph holds it.
#[derive(Clone)]
pub struct Custom {
    op: Arc<dyn CustomOp>,
    /// The type's path and the value's debug text.
    identity: (&'static str, String),
}

impl Custom {
    /// The operation, ready for a graph.
    pub fn new<T: CustomOp>(op: T) -> Self {
        let identity = (std::any::type_name::<T>(), format!("{op:?}"));
        Self { op: Arc::new(op), identity }
    }

    /// The user's operation.
    pub fn op(&self) -> &dyn CustomOp {
        &*self.op
    }

    /// The operation with its attributes, as its `Debug` prints them.
    pub fn text(&self) -> &str {
        &self.identity.1
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custom({} {})", self.identity.0, self.identity.1)
    }
}

/// The extents of tensors.
pub(crate) fn shapes(x: &[Type]) -> Vec<&[usize]> {
    x.iter().map(|t| t.shape.as_slice()).collect()
}

impl OpDef for Custom {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        if let Some((i, ty)) = x.iter().enumerate().find(|(_, t)| t.dtype != DType::F32) {
            let why = format!("operand {i} is {ty}: operations of one's own read f32");
            return Err(ShapeError::new(self.name(), why));
        }
        let shape = self.op.shape(&shapes(x)).map_err(|why| ShapeError::new(self.name(), why))?;
        Ok(Type::f32(&shape))
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        let gradients = match self.op.gradient(x, y, dy) {
            Vjp::Of(gradients) => gradients,
            none @ Vjp::None(_) => return none,
        };
        if gradients.len() != x.len() {
            return Vjp::None("its gradient function gives not one gradient an operand");
        }
        let fits = |(x, g): (&Tensor, &Option<Tensor>)| g.as_ref().is_none_or(|g| g.ty() == x.ty());
        match x.iter().zip(&gradients).all(fits) {
            true => Vjp::Of(gradients),
            false => Vjp::None("its gradient function gives a tensor of another shape than the operand"),
        }
    }

    fn reference(&self, x: &[Array]) -> Array {
        self.op.reference(x)
    }

    fn name(&self) -> &'static str {
        self.op.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Graph, differentiate, print};

    #[derive(Debug)]
    struct Scale {
        by: f64,
        wrong: bool,
    }

    impl CustomOp for Scale {
        fn name(&self) -> &'static str {
            "scale"
        }
        fn shape(&self, x: &[&[usize]]) -> Result<Vec<usize>, String> {
            match x {
                [x] => Ok(x.to_vec()),
                x => Err(format!("takes one operand, got {}", x.len())),
            }
        }
        fn reference(&self, x: &[Array]) -> Array {
            Array::from_fn(&x[0].shape, |i| x[0].data[i] * self.by)
        }
        fn gradient(&self, _: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
            let dx = if self.wrong { dy.sum_all() } else { dy * self.by };
            Vjp::Of(vec![Some(dx)])
        }
        fn wgsl(&self, _: &[&[usize]], y: &[usize]) -> Wgsl {
            Wgsl::elements("x0[i]", y)
        }
    }

    fn scale(by: f64) -> Scale {
        Scale { by, wrong: false }
    }

    #[test]
    fn custom_equal_operations_share_a_node() {
        let b = Builder::new();
        let x = b.input("x", Type::f32(&[3]));
        let (two, again, three) =
            (x.custom(scale(2.0), &[]), x.custom(scale(2.0), &[]), x.custom(scale(3.0), &[]));
        assert_eq!(two.value(), again.value());
        assert_ne!(two.value(), three.value());
        b.output("y", &three);
        assert!(
            print(&b.graph()).contains("scale(%0; Scale { by: 3.0, wrong: false }): f32[3]"),
            "{}",
            print(&b.graph())
        );
    }

    #[test]
    fn what_does_not_fit_is_one_clear_error() {
        let b = Builder::new();
        let (x, n) = (b.input("x", Type::f32(&[3])), b.input("n", Type::i32(&[3])));
        let mut graph: Graph = b.graph();
        let error = |graph: &mut Graph, inputs: &[crate::Value]| {
            graph.try_push(Custom::new(scale(2.0)).into(), inputs).expect_err("it does not fit").to_string()
        };
        assert_eq!(error(&mut graph, &[x.value(), x.value()]), "scale: takes one operand, got 2");
        assert!(error(&mut graph, &[n.value()]).contains("read f32"));
        let loss = x.custom(Scale { by: 2.0, wrong: true }, &[]).sum_all();
        let error = differentiate(&loss, &[x]).expect_err("the gradient is wrong").to_string();
        assert!(
            error.contains("scale: no gradient: its gradient function gives a tensor of another"),
            "{error}"
        );
    }
}

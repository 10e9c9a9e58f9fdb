//! Element-wise operations as tables: a row holds the name, the WGSL expression, the f64 function, the test domain,
//! and, beside it, the derivative.
//!
//! A new function is one row. Compose first: GELU, SiLU, ELU and the like are `Tensor` methods over these.

use super::{OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, DType, ShapeError, Type, f16_bits, f16_value};

macro_rules! unary_table {
    ($($(#[$doc:meta])* $kind:ident $name:literal, $wgsl:literal, $f:expr, $domain:expr, |$x:ident, $y:ident, $dy:ident| $vjp:expr;)*) => {
        /// A function of one element.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum UnaryKind { $($(#[$doc])* $kind),* }

        impl UnaryKind {
            /// Every row.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// PyTorch's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// The WGSL expression in `x`, for `f32` and vectors of it alike.
            pub fn wgsl(self) -> &'static str {
                match self { $(Self::$kind => $wgsl),* }
            }

            /// The function in f64.
            pub fn eval(self, x: f64) -> f64 {
                match self { $(Self::$kind => { let f: fn(f64) -> f64 = $f; f(x) }),* }
            }

            /// Where tests draw their arguments.
            pub fn domain(self) -> (f64, f64) {
                match self { $(Self::$kind => $domain),* }
            }

            #[expect(unused_variables, reason = "not every row needs all three")]
            fn vjp(self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Option<Tensor> {
                match self {
                    $(Self::$kind => { let f: fn(&Tensor, &Tensor, &Tensor) -> Option<Tensor> = |$x, $y, $dy| $vjp; f(x, y, dy) }),*
                }
            }
        }
    };
}

unary_table! {
    /// -x
    Neg "neg", "-x", |x| -x, (-4.0, 4.0), |x, y, dy| Some(-dy);
    /// |x|; gradient 0 at 0
    Abs "abs", "abs(x)", f64::abs, (-4.0, 4.0), |x, y, dy| Some(dy * &x.sign());
    /// -1, 0 or 1; gradient 0
    Sign "sign", "sign(x)", |x| if x == 0.0 { 0.0 } else { x.signum() }, (-4.0, 4.0), |x, y, dy| Some(dy.zeros_like());
    /// Largest whole number not above x; gradient 0
    Floor "floor", "floor(x)", f64::floor, (-4.0, 4.0), |x, y, dy| Some(dy.zeros_like());
    /// e^x
    Exp "exp", "exp(x)", f64::exp, (-4.0, 4.0), |x, y, dy| Some(dy * y);
    /// Natural logarithm
    Log "log", "log(x)", f64::ln, (0.05, 6.0), |x, y, dy| Some(dy / x);
    /// Square root
    Sqrt "sqrt", "sqrt(x)", f64::sqrt, (0.05, 6.0), |x, y, dy| Some(dy * 0.5 / y);
    /// 1 / sqrt(x)
    Rsqrt "rsqrt", "inverseSqrt(x)", |x| 1.0 / x.sqrt(), (0.05, 6.0), |x, y, dy| Some(dy * y * &(y * y) * -0.5);
    /// 1 / x
    Reciprocal "reciprocal", "(1.0 / x)", |x| 1.0 / x, (0.2, 5.0), |x, y, dy| Some(-(dy * &(y * y)));
    /// x * x
    Square "square", "(x * x)", |x| x * x, (-4.0, 4.0), |x, y, dy| Some(dy * x * 2.0);
    /// Sine
    Sin "sin", "sin(x)", f64::sin, (-3.0, 3.0), |x, y, dy| Some(dy * &x.cos());
    /// Cosine
    Cos "cos", "cos(x)", f64::cos, (-3.0, 3.0), |x, y, dy| Some(-(dy * &x.sin()));
    /// Hyperbolic tangent; the argument is clamped where f32 has long reached 1, since drivers overflow in it
    Tanh "tanh", "tanh(clamp(x, T(-15.0), T(15.0)))", f64::tanh, (-4.0, 4.0), |x, y, dy| Some(dy * &(1.0 - y * y));
    /// Error function
    Erf "erf", "erf_(x)", libm::erf, (-3.0, 3.0), |x, y, dy| Some(dy * &(-x.square()).exp() * (2.0 / std::f64::consts::PI.sqrt()));
    /// 1 / (1 + e^-x)
    Sigmoid "sigmoid", "(1.0 / (1.0 + exp(-x)))", |x| 1.0 / (1.0 + (-x).exp()), (-6.0, 6.0), |x, y, dy| Some(dy * &(y * &(1.0 - y)));
    /// log(1 + e^x), as max(x, 0) + log(1 + e^-|x|)
    Softplus "softplus", "(max(x, T(0.0)) + log(1.0 + exp(-abs(x))))", |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), (-6.0, 6.0), |x, y, dy| Some(dy * &x.sigmoid());
    /// 1 where x is a finite number, else 0; gradient 0
    Finite "finite", "finite_(x)", |x| f64::from(u8::from(x.is_finite())), (-4.0, 4.0), |x, y, dy| Some(dy.zeros_like());
    /// max(x, 0); gradient 0 at 0
    Relu "relu", "max(x, T(0.0))", |x| x.max(0.0), (-4.0, 4.0), |x, y, dy| Some(y.gt(&y.zeros_like()).select(dy, &dy.zeros_like()));
}

/// A function of one f32 element: `y[i] = f(x[i])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unary(pub UnaryKind);

impl OpDef for Unary {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        if x[0].dtype != DType::F32 {
            return Err(ShapeError::new(self.0.name(), format!("needs f32, got {}", x[0])));
        }
        Ok(x[0].clone())
    }
    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        Vjp::Of(vec![self.0.vjp(&x[0], y, dy)])
    }
    fn reference(&self, x: &[Array]) -> Array {
        Array { shape: x[0].shape.clone(), data: x[0].data.iter().map(|&v| self.0.eval(v)).collect() }
    }
    fn name(&self) -> &'static str {
        self.0.name()
    }
}

macro_rules! binary_table {
    ($($(#[$doc:meta])* $kind:ident $name:literal, $wgsl:literal, $f:expr, |$a:ident, $b:ident, $y:ident, $dy:ident| $vjp:expr;)*) => {
        /// A function of two elements of the same dtype.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum BinaryKind { $($(#[$doc])* $kind),* }

        impl BinaryKind {
            /// Every row.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// PyTorch's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// The WGSL expression in `a` and `b`.
            pub fn wgsl(self) -> &'static str {
                match self { $(Self::$kind => $wgsl),* }
            }

            /// The function in f64.
            pub fn eval(self, a: f64, b: f64) -> f64 {
                match self { $(Self::$kind => { let f: fn(f64, f64) -> f64 = $f; f(a, b) }),* }
            }

            #[expect(unused_variables, reason = "not every row needs all four")]
            fn vjp(self, a: &Tensor, b: &Tensor, y: &Tensor, dy: &Tensor) -> [Tensor; 2] {
                match self {
                    $(Self::$kind => { let f: fn(&Tensor, &Tensor, &Tensor, &Tensor) -> [Tensor; 2] = |$a, $b, $y, $dy| $vjp; f(a, b, y, dy) }),*
                }
            }
        }
    };
}

/// Gradient of max and min: the winner's, half each on a tie, as PyTorch gives it.
fn winner(a_wins: &Tensor, a: &Tensor, b: &Tensor, dy: &Tensor) -> [Tensor; 2] {
    let zero = dy.zeros_like();
    let tie = a.eq(b);
    let half = dy * 0.5;
    [tie.select(&half, &a_wins.select(dy, &zero)), tie.select(&half, &a_wins.select(&zero, dy))]
}

binary_table! {
    /// a + b
    Add "add", "(a + b)", |a, b| a + b, |a, b, y, dy| [dy.clone(), dy.clone()];
    /// a - b
    Sub "sub", "(a - b)", |a, b| a - b, |a, b, y, dy| [dy.clone(), -dy];
    /// a * b
    Mul "mul", "(a * b)", |a, b| a * b, |a, b, y, dy| [dy * b, dy * a];
    /// a / b (f32 only)
    Div "div", "(a / b)", |a, b| a / b, |a, b, y, dy| [dy / b, -(dy * &(y / b))];
    /// a to the power of b, for a > 0 (f32 only; WGSL leaves negative bases undefined)
    Pow "pow", "pow(a, b)", f64::powf, |a, b, y, dy| [dy * b * &a.pow(&(b - 1.0)), dy * y * &a.log()];
    /// The larger; a tie halves the gradient
    Maximum "maximum", "max(a, b)", f64::max, |a, b, y, dy| winner(&a.gt(b), a, b, dy);
    /// The smaller; a tie halves the gradient
    Minimum "minimum", "min(a, b)", f64::min, |a, b, y, dy| winner(&a.lt(b), a, b, dy);
}

/// A function of two elements: `y[i] = f(a[i], b[i])`. Shapes are equal; `Tensor` methods broadcast first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binary(pub BinaryKind);

fn same(op: &'static str, x: &[Type]) -> Result<(), ShapeError> {
    if x[0] != x[1] {
        return Err(ShapeError::new(op, format!("operands differ: {} and {}", x[0], x[1])));
    }
    Ok(())
}

impl OpDef for Binary {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        same(self.0.name(), x)?;
        let real_only = matches!(self.0, BinaryKind::Div | BinaryKind::Pow);
        if x[0].dtype == DType::Bool || (real_only && x[0].dtype != DType::F32) {
            return Err(ShapeError::new(self.0.name(), format!("not defined for {}", x[0])));
        }
        Ok(x[0].clone())
    }
    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        Vjp::Of(self.0.vjp(&x[0], &x[1], y, dy).map(Some).to_vec())
    }
    fn reference(&self, x: &[Array]) -> Array {
        let data = x[0].data.iter().zip(&x[1].data).map(|(&a, &b)| self.0.eval(a, b)).collect();
        Array { shape: x[0].shape.clone(), data }
    }
    fn name(&self) -> &'static str {
        self.0.name()
    }
}

/// A comparison of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareKind {
    /// a == b
    Eq,
    /// a != b
    Ne,
    /// a < b
    Lt,
    /// a <= b
    Le,
    /// a > b
    Gt,
    /// a >= b
    Ge,
}

impl CompareKind {
    /// Every comparison.
    pub const ALL: &'static [Self] = &[Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        ["eq", "ne", "lt", "le", "gt", "ge"][self as usize]
    }

    /// The operator in WGSL.
    pub fn wgsl(self) -> &'static str {
        ["==", "!=", "<", "<=", ">", ">="][self as usize]
    }

    /// The comparison in f64.
    pub fn eval(self, a: f64, b: f64) -> bool {
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
        }
    }
}

/// `y[i] = a[i] <op> b[i]`, a truth value. No gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compare(pub CompareKind);

impl OpDef for Compare {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        same(self.0.name(), x)?;
        Ok(Type::new(DType::Bool, &x[0].shape))
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor) -> Vjp {
        Vjp::None("a comparison is piecewise constant")
    }
    fn reference(&self, x: &[Array]) -> Array {
        let pairs = x[0].data.iter().zip(&x[1].data);
        let data = pairs.map(|(&a, &b)| f64::from(u8::from(self.0.eval(a, b)))).collect();
        Array { shape: x[0].shape.clone(), data }
    }
    fn name(&self) -> &'static str {
        self.0.name()
    }
}

/// `y[i] = c[i] ? a[i] : b[i]`, PyTorch's `where`. The operand not chosen gets gradient 0 (never NaN).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Select;

impl OpDef for Select {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        same("select", &x[1..])?;
        if x[0] != Type::new(DType::Bool, &x[1].shape) {
            return Err(ShapeError::new("select", format!("condition {} for values {}", x[0], x[1])));
        }
        Ok(x[1].clone())
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let zero = dy.zeros_like();
        Vjp::Of(vec![None, Some(x[0].select(dy, &zero)), Some(x[0].select(&zero, dy))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        Array::from_fn(&x[1].shape, |i| if x[0].data[i] != 0.0 { x[1].data[i] } else { x[2].data[i] })
    }
    fn name(&self) -> &'static str {
        "select"
    }
}

/// `y[i] = x[i] as dtype`: truncation towards zero to i32, `x != 0` to bool, 0 or 1 from bool; the nearest f16, which only
/// goes back to f32. No gradient: f16 is put in by `autocast`, after differentiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cast(pub DType);

impl OpDef for Cast {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let whole = |d: DType| !matches!(d, DType::F32 | DType::F16);
        let f16 = self.0 == DType::F16 || x[0].dtype == DType::F16;
        if f16 && (whole(self.0) || whole(x[0].dtype)) {
            return Err(ShapeError::new(
                "cast",
                format!("f16 goes to and from f32 only: {} to {}", x[0], self.0),
            ));
        }
        Ok(Type::new(self.0, &x[0].shape))
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor) -> Vjp {
        Vjp::None("a cast from or to whole numbers, truth values or f16 carries no gradient")
    }
    fn reference(&self, x: &[Array]) -> Array {
        let cast = |v: f64| match self.0 {
            DType::F32 => f64::from(v as f32),
            DType::F16 => f64::from(f16_value(f16_bits(v as f32))),
            DType::I32 => v.trunc(),
            DType::Bool => f64::from(u8::from(v != 0.0)),
        };
        Array { shape: x[0].shape.clone(), data: x[0].data.iter().map(|&v| cast(v)).collect() }
    }
    fn name(&self) -> &'static str {
        "cast"
    }
}

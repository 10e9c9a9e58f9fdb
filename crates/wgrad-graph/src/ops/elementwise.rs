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

            /// Domain of test arguments.
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
    /// -1, 0 or 1, and 0 of NaN; gradient 0
    Sign "sign", "sign_(x)", |x| f64::from(u8::from(x > 0.0)) - f64::from(u8::from(x < 0.0)), (-4.0, 4.0), |x, y, dy| Some(dy.zeros_like());
    /// Largest whole number not above x; gradient 0
    Floor "floor", "floor(x)", f64::floor, (-4.0, 4.0), |x, y, dy| Some(dy.zeros_like());
    /// e^x
    Exp "exp", "exp_(x)", f64::exp, (-4.0, 4.0), |x, y, dy| Some(dy * y);
    /// e^x - 1, exact near 0
    Expm1 "expm1", "expm1_(x)", f64::exp_m1, (-4.0, 4.0), |x, y, dy| Some(dy * &x.exp());
    /// Natural logarithm
    Log "log", "log_(x)", f64::ln, (0.05, 6.0), |x, y, dy| Some(dy / x);
    /// log(1 + x), exact near 0
    Log1p "log1p", "log1p_(x)", f64::ln_1p, (-0.9, 6.0), |x, y, dy| Some(dy / &(x + 1.0));
    /// Square root
    Sqrt "sqrt", "sqrt(x)", f64::sqrt, (0.05, 6.0), |x, y, dy| Some(dy * 0.5 / y);
    /// 1 / sqrt(x)
    Rsqrt "rsqrt", "inverseSqrt(x)", |x| 1.0 / x.sqrt(), (0.05, 6.0), |x, y, dy| Some(dy * y * &(y * y) * -0.5);
    /// 1 / x
    Reciprocal "reciprocal", "(1.0 / x)", |x| 1.0 / x, (0.2, 5.0), |x, y, dy| Some(-(dy * &(y * y)));
    /// x * x
    Square "square", "(x * x)", |x| x * x, (-4.0, 4.0), |x, y, dy| Some(dy * x * 2.0);
    /// Sine
    Sin "sin", "sin_(x)", f64::sin, (-3.0, 3.0), |x, y, dy| Some(dy * &x.cos());
    /// Cosine
    Cos "cos", "cos_(x)", f64::cos, (-3.0, 3.0), |x, y, dy| Some(-(dy * &x.sin()));
    /// Hyperbolic tangent
    Tanh "tanh", "tanh_(x)", f64::tanh, (-4.0, 4.0), |x, y, dy| Some(dy * &(1.0 - y * y));
    /// Error function
    Erf "erf", "erf_(x)", libm::erf, (-3.0, 3.0), |x, y, dy| Some(dy * &(-x.square()).exp() * (2.0 / std::f64::consts::PI.sqrt()));
    /// 1 / (1 + e^-x)
    Sigmoid "sigmoid", "sigmoid_(x)", |x| 1.0 / (1.0 + (-x).exp()), (-6.0, 6.0), |x, y, dy| Some(dy * &(y * &(1.0 - y)));
    /// log(1 + e^x), as max(x, 0) + log(1 + e^-|x|)
    Softplus "softplus", "softplus_(x)", |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), (-6.0, 6.0), |x, y, dy| Some(dy * &x.sigmoid());
    /// 1 if x is finite, else 0; gradient 0
    Finite "finite", "finite_(x)", |x| f64::from(u8::from(x.is_finite())), (-4.0, 4.0), |x, y, dy| Some(dy.zeros_like());
    /// max(x, 0), NaN of NaN; gradient 0 at 0
    Relu "relu", "relu_(x)", |x| if x < 0.0 { 0.0 } else { x }, (-4.0, 4.0), |x, y, dy| Some(y.le(&y.zeros_like()).select(&dy.zeros_like(), dy));
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

/// Gradient of max and min: nothing for the loser, half each on a tie, whole for both beside a NaN, as PyTorch gives it.
fn winner(a_loses: &Tensor, b_loses: &Tensor, tie: &Tensor, dy: &Tensor) -> [Tensor; 2] {
    let zero = dy.zeros_like();
    let kept = tie.select(&(dy * 0.5), dy);
    [a_loses.select(&zero, &kept), b_loses.select(&zero, &kept)]
}

/// One of two: `b` if it wins; NaN if either is.
fn chosen(a: f64, b: f64, b_wins: bool) -> f64 {
    if a.is_nan() || !(b_wins || b.is_nan()) { a } else { b }
}

/// Gradient of a power with respect to its base: 0 if the exponent is 0, whatever the base.
fn power_base(a: &Tensor, b: &Tensor, dy: &Tensor) -> Tensor {
    let zero = dy.zeros_like();
    b.eq(&zero).select(&zero, &(dy * &(b * &a.pow(&(b - 1.0)))))
}

/// Gradient of a power with respect to its exponent: 0 if the base is 0 and the exponent is not negative.
fn power_exponent(a: &Tensor, b: &Tensor, y: &Tensor, dy: &Tensor) -> Tensor {
    let zero = dy.zeros_like();
    let steep = dy * &(y * &a.log());
    a.eq(&zero).select(&b.ge(&zero).select(&zero, &steep), &steep)
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
    /// a to the power of b, as C's pow (f32 only)
    Pow "pow", "pow_(a, b)", f64::powf, |a, b, y, dy| [power_base(a, b, dy), power_exponent(a, b, y, dy)];
    /// The larger, NaN if either is; a tie halves the gradient
    Maximum "maximum", "max_(a, b)", |a, b| chosen(a, b, b > a), |a, b, y, dy| winner(&a.lt(b), &a.gt(b), &a.eq(b), dy);
    /// The larger of a number and its bound, NaN if either is; a tie has no gradient, nor has the bound
    ClampMin "clamp_min", "max_(a, b)", |a, b| chosen(a, b, b > a), |a, b, y, dy| [a.gt(b).select(dy, &dy.zeros_like()), dy.zeros_like()];
    /// The smaller of a number and its bound, NaN if either is; a tie has no gradient, nor has the bound
    ClampMax "clamp_max", "min_(a, b)", |a, b| chosen(a, b, b < a), |a, b, y, dy| [a.lt(b).select(dy, &dy.zeros_like()), dy.zeros_like()];
    /// The smaller, NaN if either is; a tie halves the gradient
    Minimum "minimum", "min_(a, b)", |a, b| chosen(a, b, b < a), |a, b, y, dy| winner(&a.gt(b), &a.lt(b), &a.eq(b), dy);
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

/// `y[i] = c[i] ? a[i] : b[i]`, PyTorch's `where`. The operand not selected gets gradient 0 (never NaN).
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

/// `y[i] = x[i] as dtype`: truncation towards zero to i32 (to the nearest end of its range beyond it, NaN to
/// 0), `x != 0` to bool, 0 or 1 from bool; the nearest f16, convertible back to f32 only. No gradient: f16 is
/// introduced by `autocast`, after differentiation.
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
            DType::I32 => f64::from(v as i32),
            DType::Bool => f64::from(u8::from(v != 0.0)),
        };
        Array { shape: x[0].shape.clone(), data: x[0].data.iter().map(|&v| cast(v)).collect() }
    }
    fn name(&self) -> &'static str {
        "cast"
    }
}

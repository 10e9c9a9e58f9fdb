//! Element-wise methods and operators. Operands broadcast by NumPy's rule.

use super::Tensor;
use crate::ops::{Binary, BinaryKind, Cast, Compare, CompareKind, Select, Unary, UnaryKind};
use std::ops::{Add, Div, Mul, Neg, Sub};
use wgrad_types::{DType, broadcast_shapes};

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident $kind:ident;)*) => {
        impl Tensor {
            $($(#[$doc])* #[track_caller] #[must_use]
            pub fn $name(&self) -> Self {
                self.apply(Unary(UnaryKind::$kind), &[])
            })*
        }
    };
}

unary_methods! {
    /// |x|
    abs Abs;
    /// -1, 0 or 1, and 0 of NaN
    sign Sign;
    /// Largest whole number not above x
    floor Floor;
    /// e^x
    exp Exp;
    /// e^x - 1, exact near 0
    expm1 Expm1;
    /// Natural logarithm
    log Log;
    /// log(1 + x), exact near 0
    log1p Log1p;
    /// Square root
    sqrt Sqrt;
    /// 1 / sqrt(x)
    rsqrt Rsqrt;
    /// 1 / x
    reciprocal Reciprocal;
    /// x * x
    square Square;
    /// Sine
    sin Sin;
    /// Cosine
    cos Cos;
    /// Hyperbolic tangent
    tanh Tanh;
    /// Error function
    erf Erf;
    /// 1 / (1 + e^-x)
    sigmoid Sigmoid;
    /// log(1 + e^x)
    softplus Softplus;
    /// 1 if x is finite, else 0
    finite Finite;
    /// max(x, 0), NaN of NaN
    relu Relu;
}

impl Tensor {
    /// Both operands stretched to their common shape.
    #[track_caller]
    pub(crate) fn stretched(&self, op: &str, other: &Self) -> (Self, Self) {
        self.builder().owns(op, [other]);
        let (a, b) = (self.ty(), other.ty());
        let Some(shape) = broadcast_shapes(&a.shape, &b.shape) else {
            panic!("{op}: shapes {:?} and {:?} do not broadcast", a.shape, b.shape);
        };
        (self.broadcast_to(&shape), other.broadcast_to(&shape))
    }

    #[track_caller]
    fn binary(&self, kind: BinaryKind, other: &Self) -> Self {
        let (a, b) = self.stretched(kind.name(), other);
        a.apply(Binary(kind), &[&b])
    }

    #[track_caller]
    fn compare(&self, kind: CompareKind, other: &Self) -> Self {
        let (a, b) = self.stretched(kind.name(), other);
        a.apply(Compare(kind), &[&b])
    }

    /// a to the power of b, as C's pow and `torch.pow`: NaN if a < 0 and b is not whole, 1 if b is 0.
    #[track_caller]
    #[must_use]
    pub fn pow(&self, other: &Self) -> Self {
        self.binary(BinaryKind::Pow, other)
    }

    /// x to a constant power, as [`Tensor::pow`]; gradient 0 if the power is 0.
    #[track_caller]
    #[must_use]
    pub fn powf(&self, exponent: f64) -> Self {
        match exponent {
            0.0 => self.full_like(1.0),
            0.5 => self.sqrt(),
            1.0 => self.clone(),
            2.0 => self.square(),
            3.0 => self.square() * self,
            -0.5 => self.rsqrt(),
            -1.0 => self.reciprocal(),
            -2.0 => self.reciprocal().square(),
            _ => self.pow(&self.full_like(exponent)),
        }
    }

    /// The larger of two, NaN if either is (`torch.maximum`).
    #[track_caller]
    #[must_use]
    pub fn maximum(&self, other: &Self) -> Self {
        self.binary(BinaryKind::Maximum, other)
    }

    /// The smaller of two, NaN if either is (`torch.minimum`).
    #[track_caller]
    #[must_use]
    pub fn minimum(&self, other: &Self) -> Self {
        self.binary(BinaryKind::Minimum, other)
    }

    /// a == b
    #[track_caller]
    #[must_use]
    pub fn eq(&self, other: &Self) -> Self {
        self.compare(CompareKind::Eq, other)
    }

    /// a != b
    #[track_caller]
    #[must_use]
    pub fn ne(&self, other: &Self) -> Self {
        self.compare(CompareKind::Ne, other)
    }

    /// a < b
    #[track_caller]
    #[must_use]
    pub fn lt(&self, other: &Self) -> Self {
        self.compare(CompareKind::Lt, other)
    }

    /// a <= b
    #[track_caller]
    #[must_use]
    pub fn le(&self, other: &Self) -> Self {
        self.compare(CompareKind::Le, other)
    }

    /// a > b
    #[track_caller]
    #[must_use]
    pub fn gt(&self, other: &Self) -> Self {
        self.compare(CompareKind::Gt, other)
    }

    /// a >= b
    #[track_caller]
    #[must_use]
    pub fn ge(&self, other: &Self) -> Self {
        self.compare(CompareKind::Ge, other)
    }

    /// `self ? a : b` for a truth value `self`, broadcast (`torch.where`).
    #[track_caller]
    #[must_use]
    pub fn select(&self, a: &Self, b: &Self) -> Self {
        let (a, b) = a.stretched("select", b);
        let (c, a) = self.stretched("select", &a);
        let b = b.broadcast_to(&a.shape());
        c.apply(Select, &[&a, &b])
    }

    /// Another dtype.
    #[must_use]
    pub fn cast(&self, dtype: DType) -> Self {
        if self.dtype() == dtype { self.clone() } else { self.apply(Cast(dtype), &[]) }
    }

    /// As f32; truth values become 0 or 1.
    #[must_use]
    pub fn to_f32(&self) -> Self {
        self.cast(DType::F32)
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $kind:ident;)*) => {$(
        impl $trait<&Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                self.binary(BinaryKind::$kind, other)
            }
        }
        impl $trait<&Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                (&self).$method(other)
            }
        }
        impl $trait<Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.$method(&other)
            }
        }
        impl $trait<Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                (&self).$method(&other)
            }
        }
        impl $trait<f64> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: f64) -> Tensor {
                self.$method(&self.full_like(other))
            }
        }
        impl $trait<f64> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: f64) -> Tensor {
                (&self).$method(other)
            }
        }
        impl $trait<&Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                (&other.full_like(self)).$method(other)
            }
        }
        impl $trait<Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.$method(&other)
            }
        }
    )*};
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.apply(Unary(UnaryKind::Neg), &[])
    }
}

impl Neg for Tensor {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        -&self
    }
}

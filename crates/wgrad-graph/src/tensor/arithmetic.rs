//! Element-wise methods and operators. Operands broadcast by NumPy's rule.

use super::Tensor;
use crate::ops::{Binary, BinaryKind, Cast, Compare, CompareKind, Select, Unary, UnaryKind};
use std::ops::{Add, Div, Mul, Neg, Sub};
use wgrad_types::{DType, broadcast_shapes};

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident $kind:ident;)*) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// Any shape, f32.
            ///
            /// # Panics
            /// If the dtype is not f32.
            #[track_caller] #[must_use]
            pub fn $name(&self) -> Self {
                self.apply(Unary(UnaryKind::$kind), &[])
            })*
        }
    };
}

unary_methods! {
    /// `torch.abs`: |x|; gradient 0 at 0.
    abs Abs;
    /// `torch.sign`: -1, 0 or 1, and 0 of NaN.
    sign Sign;
    /// `torch.floor`: the largest whole number not above x.
    floor Floor;
    /// `torch.exp`: e^x.
    exp Exp;
    /// `torch.expm1`: e^x - 1, exact near 0.
    expm1 Expm1;
    /// `torch.log`: natural logarithm.
    log Log;
    /// `torch.log1p`: log(1 + x), exact near 0.
    log1p Log1p;
    /// `torch.sqrt`: square root.
    sqrt Sqrt;
    /// `torch.rsqrt`: 1 / sqrt(x).
    rsqrt Rsqrt;
    /// `torch.reciprocal`: 1 / x.
    reciprocal Reciprocal;
    /// `torch.square`: x * x.
    square Square;
    /// `torch.sin`: sine.
    sin Sin;
    /// `torch.cos`: cosine.
    cos Cos;
    /// `torch.tanh`: hyperbolic tangent.
    tanh Tanh;
    /// `torch.erf`: error function.
    erf Erf;
    /// `torch.sigmoid`: 1 / (1 + e^-x).
    sigmoid Sigmoid;
    /// `torch.nn.functional.softplus`: log(1 + e^x), without overflow.
    softplus Softplus;
    /// `torch.isfinite` as a number: 1 if x is finite, else 0.
    finite Finite;
    /// `torch.relu`: max(x, 0), NaN of NaN.
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

    /// `torch.pow`: a to the power of b, broadcast, f32. As in C: NaN if a < 0 and b is not whole, 1 if b is 0.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn pow(&self, other: &Self) -> Self {
        self.binary(BinaryKind::Pow, other)
    }

    /// `torch.pow` with a number as exponent; gradient 0 if it is 0. Any shape, f32. Small whole powers and roots are
    /// products and roots.
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

    /// `torch.maximum`: the larger element, broadcast; NaN if either is; half the gradient each on ties.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn maximum(&self, other: &Self) -> Self {
        self.binary(BinaryKind::Maximum, other)
    }

    /// `torch.minimum`: the smaller element, broadcast; NaN if either is; half the gradient each on ties.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn minimum(&self, other: &Self) -> Self {
        self.binary(BinaryKind::Minimum, other)
    }

    /// `torch.eq`: truth values `a == b`, broadcast.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn eq(&self, other: &Self) -> Self {
        self.compare(CompareKind::Eq, other)
    }

    /// `torch.ne`: truth values `a != b`, broadcast.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn ne(&self, other: &Self) -> Self {
        self.compare(CompareKind::Ne, other)
    }

    /// `torch.lt`: truth values `a < b`, broadcast.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn lt(&self, other: &Self) -> Self {
        self.compare(CompareKind::Lt, other)
    }

    /// `torch.le`: truth values `a <= b`, broadcast.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn le(&self, other: &Self) -> Self {
        self.compare(CompareKind::Le, other)
    }

    /// `torch.gt`: truth values `a > b`, broadcast.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2], vec![-1.0, 4.0]));
    /// let positive = x.gt(&x.zeros_like());
    /// assert_eq!(positive.to_f32().to_array().data, [0.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn gt(&self, other: &Self) -> Self {
        self.compare(CompareKind::Gt, other)
    }

    /// `torch.ge`: truth values `a >= b`, broadcast.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn ge(&self, other: &Self) -> Self {
        self.compare(CompareKind::Ge, other)
    }

    /// `torch.where(self, a, b)`: `a` if the truth value `self` holds, else `b`; all three broadcast.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2, 1], vec![-1.0, 4.0]));
    /// let y = x.gt(&x.zeros_like()).select(&b.full(&[3], 1.0), &b.full(&[1], 7.0));
    /// assert_eq!(y.shape(), [2, 3]);
    /// assert_eq!(y.to_array().data, [7.0, 7.0, 7.0, 1.0, 1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If `self` is not of truth values, `a` and `b` differ in dtype, or the shapes do not broadcast.
    #[track_caller]
    #[must_use]
    pub fn select(&self, a: &Self, b: &Self) -> Self {
        let (a, b) = a.stretched("select", b);
        let (c, a) = self.stretched("select", &a);
        let b = b.broadcast_to(&a.shape());
        c.apply(Select, &[&a, &b])
    }

    /// `torch.Tensor.to(dtype)`: the same shape in another dtype. f32 to i32 drops the fraction; truth values are 0
    /// and 1.
    #[must_use]
    pub fn cast(&self, dtype: DType) -> Self {
        if self.dtype() == dtype { self.clone() } else { self.apply(Cast(dtype), &[]) }
    }

    /// `torch.Tensor.float`: [`Tensor::cast`] to f32; truth values become 0 or 1.
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

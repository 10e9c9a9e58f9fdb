//! Element-wise functions of up to three operands over rows, and sums and extremes of them: one loop per
//! function. An operand with one value per row has a stride of 0.

use crate::cpu::prefetch::Prefetch;
use crate::cpu::real::{self, Real};
use pulp::Simd;
use wgrad_graph::ops::ReduceKind;

/// An operand over a block's rows: the address of each row, and the distance to the next block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub first: *const u32,
    /// Words between the starts of rows.
    pub pitch: usize,
    /// True if one word stands for all of a row's elements.
    pub same: bool,
    /// Words between the beginnings of blocks.
    pub step: usize,
}

impl Lane {
    pub(super) const NONE: Self = Self { first: &raw const NOTHING, pitch: 0, same: true, step: 0 };

    /// True if the rows are one: contiguous, or all the same word.
    #[inline(always)]
    pub(super) fn flat(&self, width: usize) -> bool {
        self.pitch == if self.same { 0 } else { width }
    }

    /// Goes on to the next block.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        self.first = self.first.wrapping_add(self.step);
    }

    /// Words from the first row's first to the last row's last.
    ///
    /// # Safety
    /// There are as many, they live as long as `'a`, and nothing writes them meanwhile.
    #[expect(unsafe_code, reason = "blocks of one piece of memory are no slices")]
    pub(super) unsafe fn words<'a>(&self, rows: usize, width: usize) -> &'a [u32] {
        let n = (rows - 1) * self.pitch + if self.same { 1 } else { width };
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.first, n) }
    }

    /// The elements side by side; otherwise they are copied into `to`.
    ///
    /// # Safety
    /// As [`Lane::words`].
    #[expect(unsafe_code, reason = "see `words`")]
    pub(super) unsafe fn spread<'a>(&self, rows: usize, width: usize, to: &'a mut [u32]) -> &'a [u32] {
        // SAFETY: the caller's promise.
        let words = unsafe { self.words(rows, width) };
        if !self.same && (rows == 1 || self.flat(width)) {
            return words;
        }
        for (r, to) in to[..rows * width].chunks_exact_mut(width).enumerate() {
            let row = &words[r * self.pitch..];
            if self.same { to.fill(row[0]) } else { to.copy_from_slice(&row[..width]) }
        }
        &to[..rows * width]
    }
}

/// Operand of missing arguments.
static NOTHING: u32 = 0;

/// A function of up to three variables.
pub(super) trait Three {
    fn of<S: Simd>(s: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s;
}

macro_rules! three {
    ($($name:ident |$s:ident, $a:ident, $b:ident, $c:ident| $body:expr;)*) => {
        $(struct $name;

        impl Three for $name {
            #[inline(always)]
            fn of<S: Simd>($s: S, $a: S::f32s, $b: S::f32s, $c: S::f32s) -> S::f32s {
                $body
            }
        })*

        /// A function by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($name),* }

        /// `out = f(a, b, c)` over rows that are contiguous in `out`.
        ///
        /// # Safety
        /// Operands and result must have this many rows, and be alive; the result must not overlap the
        /// operands.
        #[inline(always)]
        #[expect(unsafe_code, reason = "operands without bounds checks")]
        pub(super) unsafe fn apply<S: Simd>(
            s: S,
            f: Function,
            lanes: &[Lane; 3],
            rows: Extent,
            out: *mut u32,
            prefetch: Prefetch,
        ) {
            match f {
                // SAFETY: the caller's promise.
                $(Function::$name => unsafe { each::<S, $name>(s, lanes, rows, out, prefetch) },)*
            }
        }
    };
}

three! {
    Copy |_s, a, _b, _c| a;
    Neg |s, a, _b, _c| s.neg_f32s(a);
    Abs |s, a, _b, _c| s.abs_f32s(a);
    Sqrt |s, a, _b, _c| s.sqrt_f32s(a);
    Rsqrt |s, a, _b, _c| s.div_f32s(s.splat_f32s(1.0), s.sqrt_f32s(a));
    Reciprocal |s, a, _b, _c| s.div_f32s(s.splat_f32s(1.0), a);
    Square |s, a, _b, _c| s.mul_f32s(a, a);
    Relu |s, a, _b, _c| s.select_f32s(s.less_than_f32s(a, s.splat_f32s(0.0)), s.splat_f32s(0.0), a);
    Exp |s, a, _b, _c| real::Exp::of(s, a);
    Expm1 |s, a, _b, _c| real::Expm1::of(s, a);
    Log |s, a, _b, _c| real::Log::of(s, a);
    Log1p |s, a, _b, _c| real::Log1p::of(s, a);
    Tanh |s, a, _b, _c| real::Tanh::of(s, a);
    Sigmoid |s, a, _b, _c| real::Sigmoid::of(s, a);
    Softplus |s, a, _b, _c| real::Softplus::of(s, a);
    Erf |s, a, _b, _c| real::Erf::of(s, a);
    Add |s, a, b, _c| s.add_f32s(a, b);
    Sub |s, a, b, _c| s.sub_f32s(a, b);
    Mul |s, a, b, _c| s.mul_f32s(a, b);
    Div |s, a, b, _c| s.div_f32s(a, b);
    Maximum |s, a, b, _c| nan_or(s, a, s.select_f32s(s.greater_than_f32s(a, b), a, b));
    Minimum |s, a, b, _c| nan_or(s, a, s.select_f32s(s.less_than_f32s(a, b), a, b));
    Equal |s, a, b, _c| truth(s, s.equal_f32s(a, b), true);
    NotEqual |s, a, b, _c| truth(s, s.equal_f32s(a, b), false);
    Less |s, a, b, _c| truth(s, s.less_than_f32s(a, b), true);
    LessEqual |s, a, b, _c| truth(s, s.less_than_or_equal_f32s(a, b), true);
    Greater |s, a, b, _c| truth(s, s.greater_than_f32s(a, b), true);
    GreaterEqual |s, a, b, _c| truth(s, s.greater_than_or_equal_f32s(a, b), true);
    Choose |s, a, b, c| {
        s.select_f32s(s.equal_u32s(s.transmute_u32s_f32s(a), s.splat_u32s(0)), c, b)
    };
    Gate |s, a, b, _c| s.select_f32s(s.less_than_or_equal_f32s(a, s.splat_f32s(0.0)), s.splat_f32s(0.0), b);
    AddAdd |s, a, b, c| s.add_f32s(s.add_f32s(a, b), c);
    AddMul |s, a, b, c| s.mul_f32s(s.add_f32s(a, b), c);
    SubMul |s, a, b, c| s.mul_f32s(s.sub_f32s(a, b), c);
    SubSub |s, a, b, c| s.sub_f32s(s.sub_f32s(a, b), c);
    MulMul |s, a, b, c| s.mul_f32s(s.mul_f32s(a, b), c);
    MulAdd |s, a, b, c| s.mul_add_e_f32s(a, b, c);
    MulSub |s, a, b, c| s.mul_add_e_f32s(a, b, s.neg_f32s(c));
    NegMulAdd |s, a, b, c| s.mul_add_e_f32s(s.neg_f32s(a), b, c);
    Tame |s, a, _b, _c| tame(s, a);
    Inverse |s, a, _b, _c| s.div_f32s(s.splat_f32s(1.0), s.mul_f32s(a, tame(s, a)));
    ExpSub |s, a, b, _c| real::Exp::of(s, s.sub_f32s(a, b));
    ErfMul |s, a, b, _c| real::Erf::of(s, s.mul_f32s(a, b));
    SquareSub |s, a, b, _c| { let d = s.sub_f32s(a, b); s.mul_f32s(d, d) };
}

/// 1 and 0 as whole numbers, for truth values equal to `is` and for others.
#[inline(always)]
fn truth<S: Simd>(s: S, mask: S::m32s, is: bool) -> S::f32s {
    let [no, yes] = [!is, is].map(|v| s.splat_f32s(f32::from_bits(u32::from(v))));
    s.select_f32s(mask, yes, no)
}

/// `a` if it is NaN, else `b`.
#[inline(always)]
fn nan_or<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
    s.select_f32s(s.equal_f32s(a, a), b, a)
}

/// Scale factor that makes the inverse of any number but zero finite and normal.
#[inline(always)]
fn tame<S: Simd>(s: S, a: S::f32s) -> S::f32s {
    let magnitude = s.abs_f32s(a);
    let large = s.greater_than_f32s(magnitude, s.splat_f32s(2.0f32.powi(100)));
    let small = s.less_than_f32s(magnitude, s.splat_f32s(2.0f32.powi(-100)));
    let up = s.select_f32s(small, s.splat_f32s(2.0f32.powi(32)), s.splat_f32s(1.0));
    s.select_f32s(large, s.splat_f32s(2.0f32.powi(-32)), up)
}

/// Rows per block, and elements per row.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub rows: usize,
    pub width: usize,
}

/// An operand row by row, as vectors.
struct Side<S: Simd> {
    /// The row's first element.
    from: *const f32,
    pitch: usize,
    same: bool,
    /// The value, if one element stands for all.
    splat: S::f32s,
}

impl<S: Simd> Side<S> {
    #[inline(always)]
    fn new(s: S, lane: &Lane) -> Self {
        Self { from: lane.first.cast(), pitch: lane.pitch, same: lane.same, splat: s.splat_f32s(0.0) }
    }

    /// The first of the row's vectors and the distance to the next: 0 if all are the same.
    ///
    /// # Safety
    /// There must be another row.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a pointer that may stand still has no slice")]
    unsafe fn row(&mut self, s: S) -> (*const S::f32s, usize) {
        let from = self.from;
        self.from = from.wrapping_add(self.pitch);
        if self.same {
            // SAFETY: the caller's promise.
            self.splat = s.splat_f32s(unsafe { *from });
            return (&raw const self.splat, 0);
        }
        (from.cast(), 1)
    }

    /// The rest of the row returned last by [`Side::row`], after `done` elements.
    ///
    /// # Safety
    /// A row must have `done + left` elements.
    #[inline(always)]
    #[expect(unsafe_code, reason = "see `row`")]
    unsafe fn tail(&self, s: S, done: usize, left: usize) -> S::f32s {
        if self.same {
            return self.splat;
        }
        let from = self.from.wrapping_sub(self.pitch).wrapping_add(done);
        // SAFETY: the caller's promise.
        s.partial_load_f32s(unsafe { std::slice::from_raw_parts(from, left) })
    }
}

/// A loop over rows, or one loop over all if they are contiguous.
///
/// # Safety
/// As [`apply`].
#[inline(always)]
#[expect(unsafe_code, reason = "operands without bounds checks")]
unsafe fn each<S: Simd, F: Three>(
    s: S,
    lanes: &[Lane; 3],
    Extent { rows, width }: Extent,
    out: *mut u32,
    prefetch: Prefetch,
) {
    let [a, b, c] = lanes;
    let flat = rows == 1 || a.flat(width) && b.flat(width) && c.flat(width);
    let (rows, width) = if flat { (1, rows * width) } else { (rows, width) };
    let (mut a, mut b, mut c) = (Side::new(s, a), Side::new(s, b), Side::new(s, c));
    let (whole, left) = (width / S::F32_LANES, width % S::F32_LANES);
    let mut to: *mut f32 = out.cast();
    for r in 0..rows {
        let prefetch = prefetch.after(r * width);
        // SAFETY: operands and result have so many rows of so many elements.
        unsafe {
            let ((a, da), (b, db), (c, dc)) = (a.row(s), b.row(s), c.row(s));
            let to = to.cast::<S::f32s>();
            for i in 0..whole {
                prefetch.fetch(i * S::F32_LANES);
                *to.add(i) = F::of(s, *a.add(i * da), *b.add(i * db), *c.add(i * dc));
            }
        }
        if left > 0 {
            let done = width - left;
            // SAFETY: as above.
            unsafe {
                let [a, b, c] = [a.tail(s, done, left), b.tail(s, done, left), c.tail(s, done, left)];
                let to = std::slice::from_raw_parts_mut(to.add(done), left);
                s.partial_store_f32s(to, F::of(s, a, b, c));
            }
        }
        to = to.wrapping_add(width);
    }
}

/// Sums or compares the values of each row: one result per row.
///
/// # Safety
/// Operands must have as many rows as there are results, and be alive; the results must not overlap the
/// operands.
#[inline(always)]
#[expect(unsafe_code, reason = "operands without bounds checks")]
pub(super) unsafe fn fold<S: Simd>(
    s: S,
    kind: ReduceKind,
    of: Function,
    lanes: &[Lane; 3],
    width: usize,
    out: &mut [u32],
    prefetch: Prefetch,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match (kind, of) {
            (ReduceKind::Sum, Function::Copy) => sums::<S, Copy>(s, lanes, width, out, prefetch),
            (ReduceKind::Sum, Function::Square) => sums::<S, Square>(s, lanes, width, out, prefetch),
            (ReduceKind::Sum, Function::SquareSub) => sums::<S, SquareSub>(s, lanes, width, out, prefetch),
            (ReduceKind::Sum, Function::Mul) => sums::<S, Mul>(s, lanes, width, out, prefetch),
            (ReduceKind::Sum, _) => unreachable!("not a function that sums take in"),
            (ReduceKind::Max | ReduceKind::Min, _) => extremes(s, kind, &lanes[0], width, out),
        }
    }
}

/// True if sums compute the function on the fly.
pub(super) fn summed(f: Function) -> bool {
    matches!(f, Function::Copy | Function::Square | Function::SquareSub | Function::Mul)
}

/// Vectors combined side by side, to hide an operation's latency.
const SIDE: usize = 4;
/// Vectors summed in f32; longer rows continue in f64.
const PIECE: usize = 128;

/// One sum per row: a few f32 sums in every lane of several vectors, then over the lanes.
///
/// # Safety
/// As [`fold`].
#[inline(always)]
#[expect(unsafe_code, reason = "operands without bounds checks")]
unsafe fn sums<S: Simd, F: Three>(
    s: S,
    lanes: &[Lane; 3],
    width: usize,
    out: &mut [u32],
    prefetch: Prefetch,
) {
    let [a, b, c] = lanes;
    let (mut a, mut b, mut c) = (Side::new(s, a), Side::new(s, b), Side::new(s, c));
    let (whole, left) = (width / S::F32_LANES, width % S::F32_LANES);
    for (r, out) in out.iter_mut().enumerate() {
        let prefetch = prefetch.after(r * width);
        let (mut i, mut total) = (0, 0.0);
        // SAFETY: operands have as many rows as there are results.
        let ((x, dx), (y, dy), (z, dz)) = unsafe { (a.row(s), b.row(s), c.row(s)) };
        while i < whole {
            let end = whole.min(i + PIECE);
            let mut sums = [s.splat_f32s(0.0); SIDE];
            while i + SIDE <= end {
                for (k, sum) in sums.iter_mut().enumerate() {
                    let i = i + k;
                    prefetch.fetch(i * S::F32_LANES);
                    // SAFETY: a row has `whole` vectors.
                    *sum =
                        s.add_f32s(*sum, unsafe { F::of(s, *x.add(i * dx), *y.add(i * dy), *z.add(i * dz)) });
                }
                i += SIDE;
            }
            while i < end {
                // SAFETY: as above.
                sums[0] =
                    s.add_f32s(sums[0], unsafe { F::of(s, *x.add(i * dx), *y.add(i * dy), *z.add(i * dz)) });
                i += 1;
            }
            let [p, q, u, v] = sums;
            total += f64::from(s.reduce_sum_f32s(s.add_f32s(s.add_f32s(p, q), s.add_f32s(u, v))));
        }
        if left > 0 {
            let done = width - left;
            let mut last = [0.0; 16];
            // SAFETY: as above.
            let tail =
                unsafe { F::of(s, a.tail(s, done, left), b.tail(s, done, left), c.tail(s, done, left)) };
            s.partial_store_f32s(&mut last[..left], tail);
            for &v in &last[..left] {
                total += f64::from(v);
            }
        }
        *out = (total as f32).to_bits();
    }
}

/// Largest or smallest of each row, starting from infinity of the other sign (`ReduceKind::start`); NaN if
/// any is.
///
/// # Safety
/// As [`fold`].
#[inline(always)]
#[expect(unsafe_code, reason = "operands without bounds checks")]
unsafe fn extremes<S: Simd>(s: S, kind: ReduceKind, lane: &Lane, width: usize, out: &mut [u32]) {
    let mut lane = *lane;
    // The smallest is the negated largest of negated values.
    let largest = kind == ReduceKind::Max;
    let sign = s.splat_f32s(if largest { 0.0 } else { -0.0 });
    for out in out {
        // SAFETY: the operand has as many rows as there are results.
        let row = unsafe { lane.words(1, width) };
        lane.first = lane.first.wrapping_add(lane.pitch);
        let (vectors, tail) = S::as_simd_f32s(bytemuck::cast_slice(row));
        let (blocks, rest) = vectors.as_chunks::<SIDE>();
        let mut most = [s.splat_f32s(f32::NEG_INFINITY); SIDE];
        let mut numbers = [s.equal_f32s(most[0], most[0]); SIDE];
        for block in blocks {
            for ((most, numbers), &v) in most.iter_mut().zip(&mut numbers).zip(block) {
                *numbers = s.and_m32s(*numbers, s.equal_f32s(v, v));
                let v = s.xor_f32s(v, sign);
                *most = s.select_f32s(s.greater_than_f32s(v, *most), v, *most);
            }
        }
        for &v in rest {
            numbers[0] = s.and_m32s(numbers[0], s.equal_f32s(v, v));
            let v = s.xor_f32s(v, sign);
            most[0] = s.select_f32s(s.greater_than_f32s(v, most[0]), v, most[0]);
        }
        let [mut all, others @ ..] = most;
        for v in others {
            all = s.select_f32s(s.greater_than_f32s(v, all), v, all);
        }
        let [p, q, u, v] = numbers;
        let numbers = s.and_m32s(s.and_m32s(p, q), s.and_m32s(u, v));
        let odd = s.select_f32s(numbers, s.splat_f32s(0.0), s.splat_f32s(1.0));
        let mut nan = s.reduce_max_f32s(odd) > 0.0;
        let mut best = s.reduce_max_f32s(all);
        for &v in tail {
            nan |= v.is_nan();
            let v = if largest { v } else { -v };
            best = if v > best { v } else { best };
        }
        let best = if nan { f32::NAN } else { best };
        *out = if largest { best } else { -best }.to_bits();
    }
}

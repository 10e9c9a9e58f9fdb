//! Cases: an operation, its arguments, and the graph made of them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wgrad_graph::{Builder, Env, Graph, Tensor, Value, differentiate};
use wgrad_types::{Array, DType, Type};

/// An argument: its type and the source of its elements.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    shape: &'static [usize],
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Real(f64, f64),
    Ties(u32),
    Ints(i32, i32),
    Special(usize),
    Holed(usize),
    Spread(i32, i32),
    Peaks,
    Far(f64, f64),
}

/// Magnitudes at both edges of exp's range in f32, for normal and subnormal results, and beyond.
const PEAKS: [f64; 8] = [1000.0, 104.0, 103.0, 88.8, 88.6, 87.2, 20.0, 1.0];

/// Numbers that break functions: NaN of both signs, the ends of the range, subnormal ones, zeros, bounds and
/// small ones.
pub const SPECIAL: [f32; 25] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    0.0,
    -0.0,
    1e-40,
    -1e-40,
    1e-5,
    -1e-5,
    0.5,
    1.0,
    -1.0,
    2.0,
    -2.0,
    2.5,
    3.0,
    -3.0,
    f32::from_bits(0xffc0_0000),
    -20.0,
    100.0,
    -100.0,
    3e9,
];

/// f32 in [-2, 2).
pub const fn real(shape: &'static [usize]) -> Arg {
    within(shape, -2.0, 2.0)
}

/// f32 in [low, high).
pub const fn within(shape: &'static [usize], low: f64, high: f64) -> Arg {
    Arg { shape, kind: Kind::Real(low, high) }
}

/// f32 of large magnitude.
pub const fn large(shape: &'static [usize]) -> Arg {
    within(shape, -3e4, 3e4)
}

/// f32 among a few whole numbers, with many ties. Gradients are not compared with differences.
pub const fn ties(shape: &'static [usize], distinct: u32) -> Arg {
    Arg { shape, kind: Kind::Ties(distinct) }
}

/// i32 in [low, high).
pub const fn ints(shape: &'static [usize], low: i32, high: i32) -> Arg {
    Arg { shape, kind: Kind::Ints(low, high) }
}

/// [`SPECIAL`] numbers in turn, each `times` in a row: two arguments with different `times` meet in every
/// pair.
pub const fn special(shape: &'static [usize], times: usize) -> Arg {
    Arg { shape, kind: Kind::Special(times) }
}

/// f32 in [-2, 2) except every `every`th: in turn NaN, infinite and negative infinite.
pub const fn holed(shape: &'static [usize], every: usize) -> Arg {
    Arg { shape, kind: Kind::Holed(every) }
}

/// f32 of either sign with magnitudes spread evenly over the powers of ten from `low` to `high`.
pub const fn spread(shape: &'static [usize], low: i32, high: i32) -> Arg {
    Arg { shape, kind: Kind::Spread(low, high) }
}

/// f32 in [-2, 2) about numbers of either sign at the edges of exp's range, beyond them and within, in no order.
pub const fn peaks(shape: &'static [usize]) -> Arg {
    Arg { shape, kind: Kind::Peaks }
}

/// f32 in [low, high), far from 0: results are judged each by itself.
pub const fn far(shape: &'static [usize], low: f64, high: f64) -> Arg {
    Arg { shape, kind: Kind::Far(low, high) }
}

impl Arg {
    /// The argument's type.
    pub fn ty(&self) -> Type {
        match self.kind {
            Kind::Ints(..) => Type::i32(self.shape),
            _ => Type::f32(self.shape),
        }
    }

    /// True if functions are smooth around these values.
    pub(crate) fn smooth(&self) -> bool {
        matches!(self.kind, Kind::Real(..))
    }

    /// True if results are compared element by element.
    fn singular(&self) -> bool {
        matches!(self.kind, Kind::Special(_) | Kind::Holed(_) | Kind::Spread(..)) || self.peaked()
    }

    /// True for large numbers with finite results.
    fn peaked(&self) -> bool {
        matches!(self.kind, Kind::Peaks | Kind::Far(..))
    }

    /// True if magnitudes reach `magnitude`.
    fn reaches(&self, magnitude: f64) -> bool {
        match self.kind {
            Kind::Real(low, high) => low.abs().max(high.abs()) >= magnitude,
            _ => self.peaked(),
        }
    }

    /// True if all of these numbers have this sign.
    fn all(&self, negative: bool) -> bool {
        match self.kind {
            Kind::Real(low, high) | Kind::Far(low, high) => {
                if negative {
                    high <= 0.0
                } else {
                    low >= 0.0
                }
            }
            _ => false,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Array {
        let mut unit = || f64::from(rng.next_u32()) / 4_294_967_296.0;
        Array::from_fn(self.shape, |i| match self.kind {
            Kind::Special(times) => f64::from(SPECIAL[i / times % SPECIAL.len()]),
            // Every other NaN with its sign set.
            Kind::Holed(every) if i % every == every / 2 => match SPECIAL[i / every % 3] {
                v if v.is_nan() && i / every % 2 == 1 => -f64::from(v),
                v => f64::from(v),
            },
            Kind::Holed(_) => f64::from((4.0 * unit() - 2.0) as f32),
            Kind::Spread(low, high) => {
                let power = f64::from(low) + f64::from(high - low) * unit();
                f64::from((10f64.powf(power) * if unit() < 0.5 { -1.0 } else { 1.0 }) as f32)
            }
            Kind::Peaks => {
                let peak = PEAKS[(8.0 * unit()) as usize] * if unit() < 0.5 { -1.0 } else { 1.0 };
                f64::from((peak + 4.0 * unit() - 2.0) as f32)
            }
            Kind::Real(low, high) | Kind::Far(low, high) => f64::from((low + (high - low) * unit()) as f32),
            Kind::Ties(n) => (unit() * f64::from(n)).floor(),
            Kind::Ints(low, high) => (f64::from(low) + f64::from(high - low) * unit()).floor(),
        })
    }
}

/// One operation under test.
#[derive(Clone, Copy)]
pub struct Case {
    /// The case's name.
    pub name: &'static str,
    /// Arguments.
    pub args: &'static [Arg],
    /// The result, from the arguments as tensors.
    pub build: fn(&[Tensor]) -> Tensor,
    /// Largest error allowed, relative to the largest element of the reference, or to each element ([`Case::each`]).
    pub tolerance: f64,
    /// The gradient exists and is compared with differences.
    pub gradient: bool,
}

impl Case {
    /// True if every element is compared by itself, including NaN and infinities: some argument has such
    /// numbers, or numbers of all magnitudes.
    pub fn each(&self) -> bool {
        self.args.iter().any(Arg::singular)
    }

    /// True if arguments are large but finite, and results must be finite too.
    pub(crate) fn peaked(&self) -> bool {
        self.args.iter().any(Arg::peaked)
    }

    /// True if the first argument is negative throughout, or the first two have opposite signs: a maximum
    /// starting at 0 instead of -infinity is wrong for it and for its products.
    pub(crate) fn below(&self) -> bool {
        let (first, second) = (self.args.first(), self.args.get(1));
        first.is_some_and(|x| x.all(true) || x.all(false) && second.is_some_and(|y| y.all(true)))
    }

    /// True if magnitudes of some argument reach `magnitude`.
    pub(crate) fn reaches(&self, magnitude: f64) -> bool {
        self.args.iter().any(|arg| arg.reaches(magnitude))
    }
}

/// A case's graph: outputs `y`, and `d0`, `d1`, .. for arguments with gradients.
pub struct Built {
    /// The graph.
    pub graph: Graph,
    /// Its inputs' values and the seed.
    pub env: Env,
    /// The scalar to differentiate.
    pub loss: Value,
    /// Inputs with gradients, and those gradients.
    pub gradients: Vec<(String, Value)>,
}

/// Builds `loss = sum(dy * f(x ..))` with random `dy` as a general cotangent. Each `draw` gives other
/// arguments.
///
/// # Panics
/// If shapes do not fit.
pub fn build(case: &Case, draw: u64) -> Built {
    let hash = case.name.bytes().fold(17u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    let mut rng = ChaCha8Rng::seed_from_u64(hash ^ draw << 32);
    let b = Builder::new();
    // High words too: a kernel must not draw by the low ones only.
    let mut env = Env { seed: 0xb504_0007, step: 0x0061_0003, ..Env::default() };
    let mut tensors = Vec::new();
    for (i, arg) in case.args.iter().enumerate() {
        let name = format!("x{i}");
        tensors.push(b.input(&name, arg.ty()));
        env.inputs.insert(name, arg.draw(&mut rng));
    }
    let y = (case.build)(&tensors);
    b.output("y", &y);
    let mut gradients = Vec::new();
    let mut loss = y.value();
    if case.gradient && y.dtype() == DType::F32 {
        let dy = Array::from_fn(&y.shape(), |_| {
            f64::from((f64::from(rng.next_u32()) / 2_147_483_648.0 - 1.0) as f32)
        });
        let cotangent = b.input("dy", y.ty());
        env.inputs.insert("dy".into(), dy);
        let scalar = (&y * &cotangent).sum_all();
        loss = scalar.value();
        let wrt: Vec<(usize, Tensor)> =
            tensors.iter().cloned().enumerate().filter(|(_, t)| t.dtype() == DType::F32).collect();
        let found = differentiate(&scalar, &wrt.iter().map(|w| w.1.clone()).collect::<Vec<_>>());
        for ((i, _), d) in wrt.iter().zip(found.expect("the case says it has a gradient")) {
            b.output(&format!("d{i}"), &d);
            gradients.push((format!("x{i}"), d.value()));
        }
    }
    Built { graph: b.graph(), env, loss, gradients }
}

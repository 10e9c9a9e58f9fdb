//! Kernels of an adapter compared with each other in one run: the requirements on the software adapter, one
//! line each.
//!
//! Runs go through all kernels in turn, so that varying speed of the machine favours none, and the best of
//! each counts: other work on the machine only adds to a time.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;
use wgrad::device::{Device, Program};
use wgrad::graph::Graph;
use wgrad::plan::{Plan, PlanOptions, plan};
use wgrad::types::{AdapterClass, Caps};
use wgrad_bench::kernels;

type Done<T> = Result<T, Box<dyn Error>>;

/// Rounds through all kernels.
const ROUNDS: usize = 7;
/// Rows of the square products.
const SIDES: [usize; 2] = [512, 1024];
/// Share of visible pairs of query and key in the measured causal attention.
const SEEN: f64 = 257.0 / 512.0;

/// A requirement and its measured value.
pub struct Ratio {
    /// The two things compared.
    pub name: String,
    /// The ratio, or seconds.
    pub value: f64,
    /// The required bound, if there is one.
    pub wanted: Wanted,
    /// The two rates in GFLOP/s or GB/s.
    pub rates: [f64; 2],
}

/// A bound.
pub enum Wanted {
    /// At least so much.
    Least(f64),
    /// At most so much.
    Most(f64),
    /// None: the figure is told.
    Nothing,
}

impl std::fmt::Display for Ratio {
    /// The name, the value, the bound, the verdict, and the comparison.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b] = self.rates;
        write!(f, "{:<45}\t{:.3}\t", self.name, self.value)?;
        let holds = match self.wanted {
            Wanted::Least(least) => write!(f, "at least {least}\t").map(|()| self.value >= least)?,
            Wanted::Most(most) => write!(f, "at most {most}\t").map(|()| self.value <= most)?,
            Wanted::Nothing => return write!(f, "-\t-"),
        };
        write!(f, "{}", if holds { "holds" } else { "does not hold" })?;
        if matches!(self.wanted, Wanted::Least(_)) { write!(f, "\t({a:.2} and {b:.2})") } else { Ok(()) }
    }
}

/// A kernel ready to run, its work per run, and the seconds of its runs.
struct Measured {
    name: String,
    amount: f64,
    run: Box<dyn FnMut() -> Done<()>>,
    first: f64,
    times: Vec<f64>,
}

impl Measured {
    fn new(name: &str, amount: f64, mut run: Box<dyn FnMut() -> Done<()>>) -> Done<Self> {
        let start = Instant::now();
        run()?;
        let first = start.elapsed().as_secs_f64();
        Ok(Self { name: name.to_owned(), amount, run, first, times: Vec::new() })
    }

    fn rate(&self) -> f64 {
        let best = self.times.iter().copied().fold(f64::INFINITY, f64::min);
        self.amount / best / 1e9
    }
}

/// A plan on a device; its weights are zeros, as fast as any numbers.
fn on(device: &Device, name: &str, amount: f64, plan: Plan) -> Done<Measured> {
    let start = Instant::now();
    let plan = Arc::new(plan);
    let mut memory = device.memory(&plan.layout)?;
    let mut program: Program = device.program(plan, &memory)?;
    let compiled = start.elapsed().as_secs_f64();
    let run = move || -> Done<()> {
        program.step(&mut memory, &[], &[0, 0])?;
        program.wait()?;
        Ok(())
    };
    let mut measured = Measured::new(name, amount, Box::new(run))?;
    measured.first += compiled;
    Ok(measured)
}

/// The plan for a GPU: tiles in workgroup memory, trees for reductions. The best of its variants that `fits`.
fn as_gpu(graph: &Graph, caps: &Caps, fits: impl Fn(&str) -> bool) -> Done<Plan> {
    let caps = Caps { class: AdapterClass::OtherGpu, subgroup: None, ..caps.clone() };
    for variant in 0..8 {
        let options = PlanOptions::default().variant(variant);
        let plan = plan(graph, &caps, &options)?;
        if plan.kernels.iter().any(|s| fits(&s.variant.name)) {
            return Ok(plan);
        }
    }
    Err("no such variant".into())
}

/// A product on one host thread with AVX2 (used by `matrixmultiply`), with `n` rows and columns.
#[expect(unsafe_code, reason = "matrixmultiply's interface is raw pointers")]
fn on_one_thread(n: usize) -> Done<Measured> {
    let (a, b, mut c) = (vec![0.5_f32; n * n], vec![0.25_f32; n * n], vec![0.0_f32; n * n]);
    let s = n as isize;
    let run = move || -> Done<()> {
        // SAFETY: all three are n x n, row-major and alive; c is borrowed mutably.
        unsafe {
            let (a, b) = (a.as_ptr(), b.as_ptr());
            matrixmultiply::sgemm(n, n, n, 1.0, a, s, 1, b, s, 1, 0.0, c.as_mut_ptr(), s, 1);
        }
        Ok(())
    };
    Measured::new(&format!("host {n}"), 2.0 * (n * n * n) as f64, Box::new(run))
}

/// All sentences on a device.
///
/// # Errors
/// If a kernel has no plan there, or the device fails.
pub fn ratios(device: &Device) -> Done<Vec<Ratio>> {
    let caps = device.caps();
    if caps.class == AdapterClass::Cpu {
        return Err("ratios are of an adapter's kernels: set WGRAD_BENCH_DEVICE=software".into());
    }
    let mut measurements = Vec::new();
    let all = kernels();
    let kernel = |name: &str| all.iter().find(|k| k.name == name).ok_or_else(|| format!("no kernel {name}"));
    let ours = |name: &str, amount: f64| -> Done<Measured> {
        on(device, name, amount, plan(&kernel(name)?.graph(), caps, &PlanOptions::default())?)
    };
    for n in SIDES {
        let square = kernel(&format!("matmul_{n}"))?;
        measurements.push(ours(square.name, square.amount)?);
        let tiled = as_gpu(&square.graph(), caps, |variant| variant.starts_with("tile64x64x16"))?;
        measurements.push(on(device, &format!("tile {n}"), square.amount, tiled)?);
        measurements.push(on_one_thread(n)?);
    }
    let softmax = kernel("softmax_4096x1024")?;
    measurements.push(ours(softmax.name, softmax.amount)?);
    let tree = as_gpu(&softmax.graph(), caps, |variant| variant.starts_with("tree"))?;
    measurements.push(on(device, "tree", softmax.amount, tree)?);
    let convolutions = ["conv3x3_n8_c64_56", "conv3x3_igrad", "conv3x3_wgrad"];
    for name in convolutions {
        measurements.push(ours(name, kernel(name)?.amount)?);
    }
    let attention = ["attention_b4h8s256d64", "attention_b4h8s256d64_train"];
    for name in attention {
        // By visible pairs, not by the whole square.
        measurements.push(ours(name, kernel(name)?.amount * SEEN)?);
    }
    for _ in 0..ROUNDS {
        for measured in &mut measurements {
            let start = Instant::now();
            (measured.run)()?;
            measured.times.push(start.elapsed().as_secs_f64());
        }
    }
    let rate = |name: &str| measurements.iter().find(|s| s.name == name).map_or(0.0, Measured::rate);
    let first = |name: &str| measurements.iter().find(|s| s.name == name).map_or(0.0, |s| s.first);
    let mut ratios = Vec::new();
    let mut add = |name: String, (a, b): (f64, f64), wanted: Wanted| {
        ratios.push(Ratio { name, value: a / b, wanted, rates: [a, b] });
    };
    for n in SIDES {
        let product = rate(&format!("matmul_{n}"));
        add(
            format!("matmul {n} / 64x64x16 in workgroup memory"),
            (product, rate(&format!("tile {n}"))),
            Wanted::Least(3.0),
        );
        add(
            format!("matmul {n} / one AVX2 thread"),
            (product, rate(&format!("host {n}"))),
            Wanted::Least(0.25),
        );
        add(format!("matmul {n} first call, s"), (first(&format!("matmul_{n}")), 1.0), Wanted::Most(1.0));
    }
    add("softmax / trees".into(), (rate(softmax.name), rate("tree")), Wanted::Least(5.0));
    for name in convolutions.into_iter().chain(attention) {
        add(format!("{name} / matmul 512"), (rate(name), rate("matmul_512")), Wanted::Least(0.6));
    }
    for name in attention {
        add(format!("{name} first call, s"), (first(name), 1.0), Wanted::Nothing);
    }
    Ok(ratios)
}

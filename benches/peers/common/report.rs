//! Shared parts of the peers' programs: clocks and printed lines, `peer workload device metric value`,
//! separated by tabs. Timed like wgrad by `measure` (benches/src/bin/measure.rs).

use std::ffi::{CStr, c_char, c_void};
use std::fs;
use std::time::Instant;

/// Seconds a row is measured for; a slow one is left at the first of these with at least five runs, or at the second with one.
const SECONDS: [f64; 2] = [2.0, 20.0];

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// Dispatches so far, if `dispatches.c` counts them.
fn dispatches() -> Option<u64> {
    const NAME: &CStr = c"dispatches_so_far";
    // SAFETY: the symbol, if it exists, is a function of that type.
    unsafe {
        let found = dlsym(std::ptr::null_mut(), NAME.as_ptr());
        (!found.is_null()).then(|| std::mem::transmute::<_, extern "C" fn() -> u64>(found)())
    }
}

/// Seconds since this process was started, to 10 ms.
fn process_age() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let start: f64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let up = fs::read_to_string("/proc/uptime").unwrap();
    up.split_whitespace().next().unwrap().parse::<f64>().unwrap() - start / 100.0
}

fn peak_rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

pub struct Report {
    pub peer: String,
    pub device: String,
}

impl Report {
    pub fn row(&self, workload: &str, metric: &str, value: f64) {
        println!("{}\t{workload}\t{}\t{metric}\t{value:.5}", self.peer, self.device);
    }

    /// First run, second, then the median and the best of timed ones; `amount` of `metric` per run, ending
    /// when the device is done.
    fn times(&self, workload: &str, metric: &str, amount: f64, mut run: impl FnMut()) {
        let timed = |run: &mut dyn FnMut()| {
            let begun = Instant::now();
            run();
            begun.elapsed().as_secs_f64()
        };
        self.row(workload, "first_step_ms", timed(&mut run) * 1e3);
        self.row(workload, "start_to_first_step_s", process_age());
        let before = dispatches();
        run();
        if let (Some(before), Some(after)) = (before, dispatches()) {
            self.row(workload, "dispatches", (after - before) as f64);
        }
        let (begun, mut times) = (Instant::now(), Vec::new());
        let on = |n: usize, s: f64| n == 0 || (s < SECONDS[1] && (n < 5 || s < SECONDS[0]));
        while on(times.len(), begun.elapsed().as_secs_f64()) {
            times.push(timed(&mut run));
        }
        times.sort_by(f64::total_cmp);
        self.row(workload, metric, amount / times[times.len() / 2]);
        self.row(workload, &format!("{metric}_best"), amount / times[0]);
        self.row(workload, "ms", times[times.len() / 2] * 1e3);
    }

    /// Training steps of `items` examples or tokens; `step` gives the loss.
    pub fn train(&self, workload: &str, items: usize, unit: &str, mut step: impl FnMut() -> f32) {
        let (mut first, mut last) = (None, 0.0);
        self.times(workload, &format!("{unit}_per_s"), items as f64, || {
            last = step();
            first.get_or_insert(last);
        });
        self.row(workload, "loss_first", f64::from(first.unwrap()));
        self.row(workload, "loss_last", f64::from(last));
        self.row(workload, "peak_rss_mb", peak_rss_mb());
    }

    /// One kernel, of `amount` operations or bytes.
    pub fn kernel(&self, workload: &str, amount: Amount, run: impl FnMut()) {
        let (amount, metric) = match amount {
            Amount::Flop(n) => (n, "GFLOP_per_s"),
            Amount::Byte(n) => (n, "GB_per_s"),
        };
        self.times(workload, metric, amount / 1e9, run);
    }
}

/// Amount of a kernel's run, counted as in `wgrad bench`: a multiply-add is two, causal attention is not
/// halved.
#[derive(Clone, Copy)]
pub enum Amount {
    Flop(f64),
    Byte(f64),
}

pub const fn matmul(m: usize, n: usize, k: usize) -> Amount {
    Amount::Flop(2.0 * (m * n * k) as f64)
}
/// N8 C64 56x56 k3.
pub const CONV3: Amount = Amount::Flop(2.0 * (8 * 64 * 56 * 56 * 64 * 9) as f64);
/// N8 C3 224x224 k11 stride 4.
pub const CONV11: Amount = Amount::Flop(2.0 * (8 * 64 * 55 * 55 * 3 * 121) as f64);
/// 4096x1024, read and written.
pub const ROWS: Amount = Amount::Byte(8.0 * (4096 * 1024) as f64);
/// 1x4096x4096.
pub const GEMV: Amount = Amount::Byte(4.0 * (4096 * 4096) as f64);
/// B4 H8 S256 D64.
pub const ATTENTION: Amount = Amount::Flop(4.0 * (4 * 8 * 256 * 256 * 64) as f64);
/// The same with its three gradients.
pub const ATTENTION_TRAIN: Amount = Amount::Flop(14.0 * (4 * 8 * 256 * 256 * 64) as f64);

/// Reproducible values, uniform in -1..1.
pub struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
    }
    pub fn ints(&mut self, n: usize, below: u64) -> Vec<i64> {
        (0..n).map(|_| ((self.next() >> 33) % below) as i64).collect()
    }
}

/// A workload's name and its number: `gpt_c64` is ("gpt", 64), `alexnet_b4` ("alexnet", 4).
pub fn parts(workload: &str) -> (&str, usize) {
    let split = workload.rsplit_once("_b").or(workload.rsplit_once("_c"));
    split.and_then(|(name, n)| Some((name, n.parse().ok()?))).unwrap_or((workload, 0))
}

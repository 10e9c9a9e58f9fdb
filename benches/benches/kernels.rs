//! Kernels of every family compared with the processor's limits: `cargo bench --workspace --bench kernels`,
//! or `... -- softmax` for some of them. `WGRAD_BENCH_DEVICE` names another device than `cpu`. After
//! criterion's lines on a kernel comes one with its rate by the median of its samples and the per cent of the
//! ceiling.

#![expect(clippy::print_stdout, reason = "a benchmark reports to its reader")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::{Duration, Instant};
use wgrad::prelude::*;
use wgrad_bench::{Ceilings, Unit, all_kernels};

fn all(c: &mut Criterion) {
    let name = wgrad_benches::device_name();
    let (device, _) = Device::open(&name.parse().expect("a device's name")).expect("a device to measure");
    let most = Ceilings::of(&device).expect("a device to measure");
    println!("ceilings: {:.1} GFLOP/s, {:.1} GB/s", most.flops / 1e9, most.bytes / 1e9);
    let mut group = c.benchmark_group(format!("kernels on {name}"));
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for kernel in all_kernels() {
        let (throughput, ceiling, unit) = match kernel.unit {
            Unit::Flop => (Throughput::Elements(kernel.amount as u64), most.flops, "GFLOP/s"),
            Unit::Byte => (Throughput::Bytes(kernel.amount as u64), most.bytes, "GB/s"),
        };
        group.throughput(throughput);
        // Seconds per run, for every sample; prepared only if criterion runs it.
        let (mut samples, mut ready) = (Vec::new(), None);
        group.bench_function(kernel.name, |b| {
            let ready = ready.get_or_insert_with(|| kernel.on(&device).expect("a plan"));
            b.iter_custom(|runs| {
                let start = Instant::now();
                (0..runs).for_each(|_| ready.step().expect("a run"));
                samples.push(start.elapsed().as_secs_f64() / runs as f64);
                start.elapsed()
            });
        });
        samples.sort_by(f64::total_cmp);
        if let Some(median) = samples.get(samples.len() / 2) {
            let rate = kernel.amount / median;
            println!("{:<32} {:>8.2} {unit:<8} {:>6.1} %", kernel.name, rate / 1e9, 100.0 * rate / ceiling);
        }
    }
    group.finish();
}

criterion_group!(benches, all);
criterion_main!(benches);

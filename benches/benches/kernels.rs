//! Kernels against what the processor can do at most: `cargo bench --workspace --bench kernels`. `WGRAD_BENCH_DEVICE`
//! names another device than `cpu`.

#![expect(clippy::print_stdout, reason = "a benchmark reports to its reader")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgrad::prelude::*;
use wgrad_benches::{Unit, bandwidth, kernels, multiply_adds};

fn all(c: &mut Criterion) {
    let name = std::env::var("WGRAD_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let (device, _) = Device::open(&name.parse().expect("a device's name")).expect("a device to measure");
    println!("ceilings: {:.1} GFLOP/s, {:.1} GB/s", multiply_adds() / 1e9, bandwidth() / 1e9);
    let mut group = c.benchmark_group(format!("kernels on {name}"));
    group.sample_size(10);
    for kernel in kernels() {
        let mut ready = kernel.on(&device).expect("a plan");
        group.throughput(match kernel.unit {
            Unit::Flop => Throughput::Elements(kernel.amount as u64),
            Unit::Byte => Throughput::Bytes(kernel.amount as u64),
        });
        group.bench_function(kernel.name, |b| b.iter(|| ready.run().expect("a run")));
    }
    group.finish();
}

criterion_group!(benches, all);
criterion_main!(benches);

//! Kernels against what the processor can do at most: `cargo bench --workspace --bench kernels`. `WGRAD_BENCH_DEVICE`
//! names another device than `cpu`.

#![expect(clippy::print_stdout, reason = "a benchmark reports to its reader")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgrad::prelude::*;
use wgrad_bench::{Ceilings, Unit, kernels};

fn all(c: &mut Criterion) {
    let name = std::env::var("WGRAD_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let (device, _) = Device::open(&name.parse().expect("a device's name")).expect("a device to measure");
    let most = Ceilings::of(&device).expect("a device to measure");
    println!("ceilings: {:.1} GFLOP/s, {:.1} GB/s", most.flops / 1e9, most.bytes / 1e9);
    let mut group = c.benchmark_group(format!("kernels on {name}"));
    group.sample_size(10);
    for kernel in kernels() {
        let mut ready = kernel.on(&device).expect("a plan");
        group.throughput(match kernel.unit {
            Unit::Flop => Throughput::Elements(kernel.amount as u64),
            Unit::Byte => Throughput::Bytes(kernel.amount as u64),
        });
        group.bench_function(kernel.name, |b| b.iter(|| ready.step().expect("a run")));
    }
    group.finish();
}

criterion_group!(benches, all);
criterion_main!(benches);

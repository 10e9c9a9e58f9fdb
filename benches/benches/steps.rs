//! Training steps: `cargo bench -p wgrad-benches`. `WGRAD_BENCH_DEVICE` names another device than `cpu`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgrad::models::ModelKind;
use wgrad_benches::training;

fn steps(c: &mut Criterion) {
    let device = wgrad_benches::device_name();
    let mut group = c.benchmark_group(format!("step on {device}"));
    group.sample_size(10);
    for (kind, side, batch) in
        [(ModelKind::LeNet, 32, 32), (ModelKind::CifarCnn, 32, 32), (ModelKind::CifarCnn, 32, 128)]
    {
        let mut model = training(&device, kind, side, batch).expect("a device to measure");
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("{} b{batch}", kind.name()), |b| {
            b.iter(|| model.step().expect("a step"));
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);

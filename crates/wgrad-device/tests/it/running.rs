//! Steps, results, memory and counters.

use crate::fixture::{Map, N, Rig, W1, cpu, expected, floats, launch, plan, software, w1_after};
use std::sync::Arc;
use wgrad_device::{Clock, Device, Memory, Program, Request};
use wgrad_kernels::{Access, Buffer, Expr};
use wgrad_plan::{ParamLayout, Place, Slot, SlotKind, UPLOADS};
use wgrad_types::Limits;

#[test]
fn step_results_agree_on_cpu_and_adapter() {
    for device in [cpu(), software()] {
        let name = device.name();
        let mut rig = Rig::new(device);
        for k in 1..=5 {
            rig.step(k);
            assert_eq!(rig.wait(), Some(expected(k)), "{name}, step {k}");
        }
        assert_eq!(rig.wait(), None, "{name}");
        assert_eq!(floats(&rig.memory.read(W1).unwrap()), w1_after(5), "{name}");
    }
}

#[test]
fn results_queue_in_order_beyond_ring() {
    for device in [cpu(), software()] {
        let mut rig = Rig::new(device);
        (1..=20).for_each(|k| rig.step(k));
        for k in 1..=20 {
            assert_eq!(rig.wait(), Some(expected(k)), "step {k}");
        }
        assert_eq!(rig.wait(), None);
        assert_eq!(rig.program.ready().unwrap(), None);
    }
}

#[test]
fn ready_does_not_block_and_finally_returns() {
    let mut rig = Rig::new(software());
    assert_eq!(rig.program.ready().unwrap(), None);
    rig.step(1);
    let results = loop {
        match rig.program.ready().unwrap() {
            Some(results) => break results,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(floats(&results[1]), [3.0]);
    assert_eq!(rig.program.ready().unwrap(), None);
}

/// By the adapter's clock, by the host's if the limits leave no other, and on the CPU: the same work as a
/// step.
#[test]
fn profile_times_every_kernel_of_a_step() {
    let baseline = "software".parse::<Request>().unwrap().with_baseline_limits();
    let baseline = Device::open(&baseline).unwrap().0;
    for (device, clock) in [(software(), Clock::Adapter), (baseline, Clock::Host), (cpu(), Clock::Host)] {
        let name = device.name();
        let mut rig = Rig::new(device);
        let profile = rig.profile(1);
        assert_eq!((profile.clock, profile.seconds.len()), (clock, plan().kernels.len()), "{name}");
        assert!(profile.seconds.iter().all(|s| s.is_finite() && *s >= 0.0), "{name}: {profile:?}");
        assert!(profile.seconds.iter().sum::<f64>() > 0.0, "{name}: {profile:?}");
        assert_eq!(floats(&rig.memory.read(W1).unwrap()), w1_after(1), "{name}");
        assert_eq!(rig.wait(), None, "{name} leaves results");
    }
}

#[test]
fn step_is_one_submission_without_allocation() {
    let mut rig = Rig::new(software());
    let scalars = 16;
    let made = rig.program.counters();
    assert_eq!(made.submissions, 0);
    // The scalars have a buffer and go up with the inputs.
    let staged = plan().staging_bytes() as u64 + UPLOADS as u64 * scalars;
    assert_eq!(made.bytes, plan().peak_bytes() as u64 + scalars + staged);
    rig.memory.read(W1).unwrap();
    let before = rig.program.counters();
    for k in 1..=30 {
        rig.step(k);
        if k % 3 == 0 {
            rig.wait();
            rig.memory.read(W1).unwrap();
        }
        assert_eq!(rig.program.counters().submissions, k as u64);
    }
    assert_eq!(rig.program.counters().allocations, before.allocations);
    assert_eq!(rig.program.counters().bytes, made.bytes);
}

#[test]
fn memory_starts_zeroed_and_keeps_writes() {
    // More than a staging buffer, so it is sent in pieces.
    let words = (20 << 20) / 4 + 5;
    let whole = Place { slot: 1, offset: 0, bytes: words * 4 };
    let slot = |bytes: usize| Slot { bytes: bytes.next_multiple_of(16), kind: SlotKind::Gradient };
    let layout = ParamLayout { slots: vec![slot(64), slot(whole.bytes)], params: Vec::new() };
    for device in [cpu(), software()] {
        let mut memory = device.memory(&layout).unwrap();
        assert!(memory.read(whole).unwrap().iter().all(|&w| w == 0));
        let data: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        memory.write(whole, &data).unwrap();
        let part = Place { slot: 1, offset: 4096, bytes: 12 };
        assert_eq!(memory.read(part).unwrap(), data[1024..1027]);
        memory.write(part, &[1, 2, 3]).unwrap();
        memory.write(Place { slot: 0, offset: 16, bytes: 4 }, &[9]).unwrap();
        let read = memory.read(whole).unwrap();
        assert_eq!(read[1024..1027], [1, 2, 3]);
        assert!(read[..1024] == data[..1024] && read[1027..] == data[1027..]);
        assert_eq!(memory.read(Place { slot: 0, offset: 12, bytes: 12 }).unwrap(), [0, 9, 0]);
        assert_eq!(memory.read(Place { slot: 0, offset: 0, bytes: 0 }).unwrap(), [] as [u32; 0]);
    }
}

#[test]
fn writes_are_ordered_with_steps() {
    let mut rig = Rig::new(software());
    (1..=3).for_each(|k| rig.step(k));
    rig.memory.write(W1, &[0; N]).unwrap();
    rig.step(1);
    (1..=3).for_each(|k| assert_eq!(rig.wait(), Some(expected(k))));
    let fresh: Vec<f32> = w1_after(1).iter().map(|w| w * 2.0).collect();
    assert_eq!(rig.wait().unwrap()[0], fresh);
}

#[test]
fn programs_share_memory() {
    let mut rig = Rig::new(software());
    let mut other = rig.device.program(Arc::new(plan()), &rig.memory).unwrap();
    rig.step(1);
    let scalars = [0, 2, 0.5f32.to_bits(), 2f32.to_bits()];
    other.step(&mut rig.memory, &[&[2f32.to_bits(); N]], &scalars).unwrap();
    let results = other.wait().unwrap().unwrap();
    assert_eq!(floats(&results[0]), expected(2)[0]);
    assert_eq!(rig.wait(), Some(expected(1)));
    assert_eq!((other.counters().submissions, rig.program.counters().submissions), (1, 1));
}

#[test]
fn plan_without_results_still_finishes() {
    let mut plan = plan();
    plan.outputs.clear();
    let mut rig = Rig::with(software(), plan);
    (1..=10).for_each(|k| rig.step(k));
    for _ in 1..=10 {
        assert_eq!(rig.wait(), Some(Vec::new()));
    }
    assert_eq!(rig.wait(), None);
    assert_eq!(floats(&rig.memory.read(W1).unwrap()), w1_after(10));
}

#[test]
fn page_bound_once_is_read_and_written() {
    let mut plan = plan();
    let w0 = plan.layout.params[0].place;
    let bound = [(Buffer::Operand(0), Access::ReadWrite), (Buffer::Output(0), Access::ReadWrite)];
    let copy = launch("map.copy", &bound, N, "out0[i] = in0[i];");
    plan.kernels = vec![
        Map {
            scope: "copy",
            operands: vec![w0],
            output: W1,
            scratch: Vec::new(),
            in_place: None,
            epilogue: Expr::default(),
            launches: vec![copy],
        }
        .kernel(),
    ];
    let mut rig = Rig::with(software(), plan);
    rig.step(1);
    assert_eq!(floats(&rig.memory.read(W1).unwrap()), [3.0; N]);
}

#[test]
fn kernels_compile_in_parallel_and_equal_ones_once() {
    let mut plan = plan();
    let first = plan.kernels[0].clone();
    plan.kernels = (0..40)
        .map(|i| {
            let mut kernel = first.clone();
            let line = format!("out0[i] = in0[i] * bitcast<f32>(scalars[2]) + in1[i] * {}.0;", i / 2);
            let launch = &kernel.variant.launches[0];
            let bound: Vec<_> = launch.bindings.iter().map(|b| (b.buffer, b.access)).collect();
            kernel.variant.launches = vec![crate::fixture::launch(&format!("map.k{i}"), &bound, N, &line)];
            kernel
        })
        .collect();
    plan.outputs[0].place = first.outputs[0];
    let mut rig = Rig::with(software(), plan);
    rig.step(2);
    let last: Vec<f32> = crate::fixture::table().iter().map(|t| 1.0 + t * 19.0).collect();
    assert_eq!(rig.wait().unwrap()[0], last);
}

#[test]
fn baseline_limits_are_in_force() {
    let request: Request = "software".parse().unwrap();
    let (device, selected) = Device::open(&request.with_baseline_limits()).unwrap();
    assert_eq!(device.caps().limits, Limits::WEBGPU_BASELINE);
    assert_eq!(device.caps().subgroup, None);
    assert!(selected.reason.contains("WebGPU's default limits"), "{}", selected.reason);
    let mut rig = Rig::new(device);
    rig.step(1);
    assert_eq!(rig.wait(), Some(expected(1)));
    // A workgroup larger than 256 is lavapipe's, not WebGPU's.
    let mut big = plan();
    let launch = &mut big.kernels[0].variant.launches[0];
    launch.source = launch.source.replace("@workgroup_size(64)", "@workgroup_size(512)").into();
    let refused = rig.device.program(Arc::new(big.clone()), &rig.memory).err().unwrap().to_string();
    assert!(refused.starts_with("kernel map.hand in features.0 was rejected: "), "{refused}");
    Rig::with(software(), big).step(1);
}

#[test]
fn device_types_are_send() {
    fn moves<T: Send>() {}
    moves::<Device>();
    moves::<Memory>();
    moves::<Program>();
    let mut rig = Rig::new(software());
    let done = std::thread::spawn(move || {
        rig.step(1);
        rig.wait()
    });
    assert_eq!(done.join().unwrap(), Some(expected(1)));
}

#[test]
fn drop_in_flight_neither_hangs_nor_panics() {
    let mut slow = plan();
    let launch = &mut slow.kernels[1].variant.launches[0];
    let line = "out0[i] = out0[i] + in1[i];";
    let long = "for (var k = 0u; k < 50000u; k++) { out0[i] = out0[i] + in1[i]; }";
    launch.source = launch.source.replace(line, long).into();
    for order in 0..3 {
        let mut rig = Rig::with(software(), slow.clone());
        (1..=4).for_each(|k| rig.step(k));
        let Rig { device, memory, program } = rig;
        match order {
            0 => drop((device, memory, program)),
            1 => drop((program, memory, device)),
            _ => drop((memory, program, device)),
        }
    }
}

//! Every failure is a typed value naming the cause.

use crate::fixture::{N, Rig, W1, expected, plan, software};
use std::sync::Arc;
use wgrad_device::{Device, DeviceError};
use wgrad_plan::{ParamLayout, Plan, Slot, SlotKind};

fn refusal(change: impl FnOnce(&mut Plan)) -> DeviceError {
    let device = software();
    let mut plan = plan();
    let memory = device.memory(&plan.layout).unwrap();
    change(&mut plan);
    let refused = device.program(Arc::new(plan), &memory).err().expect("a broken plan");
    // The device is none the worse for it.
    let mut rig = Rig::new(device);
    rig.step(1);
    assert_eq!(rig.wait(), Some(expected(1)));
    refused
}

fn edit(plan: &mut Plan, kernel: usize, launch: usize, from: &str, to: &str) {
    let source = &mut plan.kernels[kernel].variant.launches[launch].source;
    assert!(source.contains(from));
    *source = source.replace(from, to).into();
}

#[test]
fn kernel_parse_error_names_kernel_and_line() {
    let refused = refusal(|plan| edit(plan, 0, 0, "in1[i];", "nothing[i];"));
    let said = "kernel map.hand in features.0 was rejected: no definition in scope for identifier: `nothing` (line 9: \
                `out0[i] = in0[i] * bitcast<f32>(scalars[2]) + nothing[i];`)";
    assert_eq!(refused.to_string(), said);
}

#[test]
fn kernel_validation_error_names_kernel() {
    let refused = refusal(|plan| edit(plan, 1, 0, "out0[i] = out0[i]", "in1[i] = out0[i]"));
    let DeviceError::Kernel { kernel, why } = refused else { panic!("{refused}") };
    assert_eq!(kernel, "map.hand in optimizer");
    assert!(!why.is_empty() && !why.contains('\n'), "{why}");
}

#[test]
fn kernel_binding_mismatch_names_kernel_and_dispatch() {
    let refused = refusal(|plan| edit(plan, 2, 1, "@binding(1)", "@binding(5)"));
    let DeviceError::Kernel { kernel, why } = refused else { panic!("{refused}") };
    assert_eq!(kernel, "map.hand in head (map.second)");
    assert!(why.contains('5') && !why.contains('\n'), "{why}");
}

#[test]
fn kernel_errors_name_the_first() {
    let refused = refusal(|plan| (0..4).for_each(|kernel| edit(plan, kernel, 0, "let i", "lett i")));
    assert!(
        matches!(&refused, DeviceError::Kernel { kernel, .. } if kernel == "map.hand in features.0"),
        "{refused}"
    );
}

#[test]
fn plan_of_cpu_is_refused_on_adapter() {
    let refused = refusal(|plan| plan.kernels[3].variant.launches.clear());
    let said = "kernel map.hand was rejected: it has no launches: the plan was made for the CPU";
    assert_eq!(refused.to_string(), said);
}

#[test]
fn buffer_beyond_limit_is_out_of_memory() {
    let request: wgrad_device::Request = "software".parse().unwrap();
    let device = Device::open(&request.with_baseline_limits()).unwrap().0;
    let slots = vec![Slot { bytes: 300 << 20, kind: SlotKind::Activation }];
    let refused = device.memory(&ParamLayout { slots, params: Vec::new() }).err().unwrap();
    let said = "out of memory: parameters of 300.0 MiB, where a buffer holds at most 256.0 MiB; use a smaller \
                batch or a narrower model";
    assert_eq!(refused.to_string(), said);
}

#[test]
fn step_rejected_is_an_error_without_result() {
    let mut plan = plan();
    plan.kernels[1].variant.launches[0].groups = [100_000, 1, 1];
    let mut rig = Rig::with(software(), plan);
    for k in 1..=10 {
        let refused = rig.try_step(k).expect_err("more groups than the limit");
        let DeviceError::Validation { why } = &refused else { panic!("{refused}") };
        assert!(why.contains("100000") && !why.contains('\n'), "{why}");
    }
    assert_eq!(rig.wait(), None);
    assert_eq!(rig.program.counters().submissions, 0);
    assert_eq!(rig.memory.read(W1).unwrap(), [0; N]);
}

#[test]
#[should_panic(expected = "step: size of input x")]
fn step_with_wrong_input_size_panics() {
    let Rig { mut memory, mut program, .. } = Rig::new(software());
    drop(program.step(&mut memory, &[&[0; N - 1]], &[0; 4]));
}

#[test]
#[should_panic(expected = "step: the program was made with another memory")]
fn step_with_other_memory_panics() {
    let Rig { device, mut program, .. } = Rig::new(software());
    let mut other = device.memory(&plan().layout).unwrap();
    drop(program.step(&mut other, &[&[0; N]], &[0; 4]));
}

fn is_lost<T>(result: Result<T, DeviceError>) {
    match result {
        Err(DeviceError::Lost { why }) => assert!(!why.is_empty()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a lost device went on"),
    }
}

#[test]
fn lost_device_is_an_error_everywhere() {
    let mut rig = Rig::new(software());
    let device = rig.device.clone();
    (1..=3).for_each(|k| rig.step(k));
    rig.wait();
    device.destroy();
    is_lost(rig.try_step(4));
    is_lost(rig.try_step(5));
    is_lost(rig.memory.read(W1));
    is_lost(rig.memory.write(W1, &[0; N]));
    is_lost(rig.program.wait());
    is_lost(rig.program.wait());
    is_lost(rig.program.ready());
    is_lost(rig.device.memory(&plan().layout).map(drop));
    is_lost(rig.device.program(Arc::new(plan()), &rig.memory).map(drop));
    // A fresh one is as good as new.
    let mut rig = Rig::new(software());
    rig.step(1);
    assert_eq!(rig.wait(), Some(expected(1)));
}

#[test]
fn lost_device_releases_waiting_threads() {
    let mut rig = Rig::new(software());
    let device = rig.device.clone();
    let waiting = std::thread::spawn(move || {
        for k in 1.. {
            if let Err(error) = rig.try_step(k) {
                return error;
            }
        }
        unreachable!("steps go on until one fails")
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    device.destroy();
    is_lost(Err::<(), _>(waiting.join().unwrap()));
}

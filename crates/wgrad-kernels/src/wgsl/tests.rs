//! Invariants of every variant: within the adapter's limits, each buffer bound once, operands taken over never bound, the
//! same text every time. Validity of the WGSL and correctness of the results are tested elsewhere, with naga and a device.

use super::variants;
use crate::expr::{Expr, Instr};
use crate::kernel::{Core, Kernel};
use crate::launch::{Access, Buffer};
use wgrad_graph::ops::{BinaryKind, ConvSpec, ReduceKind, UnaryKind, Window};
use wgrad_types::{AdapterClass, Caps, DType, Type, View};

fn software() -> Caps {
    Caps { class: AdapterClass::Software, subgroup: Some(8), ..Caps::webgpu_baseline() }
}

fn kernel(core: Core, operands: Vec<Type>, shape: &[usize], epilogue: Expr) -> Kernel {
    let outputs = vec![DType::F32; epilogue.results.len()];
    let in_place = vec![None; outputs.len()];
    Kernel { core, operands, shape: shape.to_vec(), epilogue, outputs, sums: None, in_place }
}

/// `acc + operand`, read element for element.
fn plus(operand: usize, shape: &[usize]) -> Expr {
    let mut e = Expr::identity();
    let load = e.push(Instr::Load { operand, view: View::contiguous(shape) }, DType::F32);
    e.results = vec![e.push(Instr::Binary(BinaryKind::Add, 0, load), DType::F32)];
    e
}

/// The sum of `n` operands of one shape.
fn sum_of(n: usize, shape: &[usize]) -> Kernel {
    let mut e = Expr::default();
    let load =
        |e: &mut Expr, operand| e.push(Instr::Load { operand, view: View::contiguous(shape) }, DType::F32);
    let mut sum = load(&mut e, 0);
    for operand in 1..n {
        let next = load(&mut e, operand);
        sum = e.push(Instr::Binary(BinaryKind::Add, sum, next), DType::F32);
    }
    e.results = vec![sum];
    kernel(Core::Map, vec![Type::f32(shape); n], shape, e)
}

fn matmul(m: usize, n: usize, k: usize) -> Kernel {
    let (a, b) = ([m, k], [k, n]);
    let core = Core::MatMul { a: View::contiguous(&a), b: View::contiguous(&b) };
    kernel(core, vec![Type::f32(&a), Type::f32(&b), Type::f32(&[m, n])], &[m, n], plus(2, &[m, n]))
}

fn reduce(shape: &[usize], axes: &[usize]) -> Kernel {
    let mut prologue = Expr::default();
    let load = Instr::Load { operand: 0, view: View::contiguous(shape) };
    prologue.results = vec![prologue.push(load, DType::F32)];
    let kept: Vec<usize> = (0..shape.len()).map(|d| if axes.contains(&d) { 1 } else { shape[d] }).collect();
    let core =
        Core::Reduce { kind: ReduceKind::Sum, axes: axes.to_vec(), input_shape: shape.to_vec(), prologue };
    kernel(core, vec![Type::f32(shape), Type::f32(&kept)], &kept, plus(1, &kept))
}

fn kernels() -> Vec<Kernel> {
    let spec = ConvSpec::new(2, 1);
    let (x, w, y) = ([2, 4, 9, 9], [6, 4, 3, 3], [2, 6, 5, 5]);
    let mut in_place = matmul(30, 64, 40);
    in_place.in_place = vec![Some(2)];
    let of = |core, a: &[usize], b: &[usize], out: &[usize]| {
        kernel(core, vec![Type::f32(a), Type::f32(b)], out, Expr::identity())
    };
    vec![
        sum_of(3, &[5, 7]),
        sum_of(2, &[1 << 20]),
        matmul(3, 5, 7),
        matmul(512, 512, 512),
        matmul(8, 8, 0),
        in_place,
        reduce(&[1 << 20], &[0]),
        reduce(&[4, 6, 8, 8], &[0, 2, 3]),
        reduce(&[0, 3], &[0]),
        of(Core::Conv2d(spec), &x, &w, &y),
        of(Core::Conv2dInputGrad(spec), &y, &w, &x),
        of(Core::Conv2dWeightGrad(spec), &x, &y, &w),
        of(Core::MaxPool2dGrad(Window::new(3, 2, 1)), &x, &[2, 4, 5, 5], &x),
    ]
}

#[test]
fn variants_keep_to_the_limits() {
    for caps in [Caps::webgpu_baseline(), software()] {
        for kernel in kernels() {
            let found = variants(&kernel, &caps).expect("these kernels fit every adapter");
            assert!((1..=6).contains(&found.len()), "{}: {} variants", kernel.name(), found.len());
            for launch in found.iter().flat_map(|c| &c.launches) {
                assert!(launch.bindings.len() <= caps.limits.storage_buffers, "{}", launch.name);
                assert!(launch.groups.iter().all(|&g| g > 0 && g <= caps.limits.groups), "{}", launch.name);
                let mut bound: Vec<Buffer> = launch.bindings.iter().map(|b| b.buffer).collect();
                bound.sort_unstable();
                bound.dedup();
                assert_eq!(bound.len(), launch.bindings.len(), "{}: bound twice", launch.name);
            }
            assert_eq!(variants(&kernel, &caps), Ok(found), "the same text every time");
        }
    }
}

#[test]
fn an_operand_taken_over_is_read_through_the_output() {
    let mut kernel = matmul(30, 21, 40);
    kernel.in_place = vec![Some(2)];
    for variant in variants(&kernel, &Caps::webgpu_baseline()).expect("a plain product") {
        let bindings: Vec<_> = variant.launches.iter().flat_map(|l| &l.bindings).collect();
        assert!(bindings.iter().all(|b| b.buffer != Buffer::Operand(2)));
        assert!(bindings.iter().any(|b| b.buffer == Buffer::Output(0) && b.access == Access::ReadWrite));
    }
}

#[test]
fn four_wide_only_where_it_fits() {
    let name = |n: usize| variants(&sum_of(2, &[n]), &software()).expect("a plain map")[0].name.clone();
    assert_eq!((name(64).as_str(), name(63).as_str()), ("vec4", "scalar"));
}

#[test]
fn a_long_function_of_one_load_takes_two_quads_a_trip_on_software_adapters() {
    let pairs = |loads: usize, n: usize, caps: &Caps| {
        let mut map = sum_of(loads, &[n]);
        let sum = map.epilogue.results[0];
        map.epilogue.results = vec![map.epilogue.push(Instr::Unary(UnaryKind::Erf, sum), DType::F32)];
        let found = variants(&map, caps).expect("a plain map");
        found[0].launches[0].source.contains("let j = i + ")
    };
    let many = 1 << 16;
    for subgroup in [4, 8, 16] {
        let caps = Caps { subgroup: Some(subgroup), ..software() };
        assert!(pairs(1, many, &caps));
        assert!(!pairs(1, many + 4 * subgroup as usize, &caps), "a quad a lane would be left over");
        assert!(!pairs(1, many / 2, &caps) && !pairs(2, many, &caps));
    }
    assert!(!pairs(1, many, &Caps::webgpu_baseline()), "workgroups of GPUs take one quad per invocation");
}

#[test]
fn too_many_buffers_are_refused_with_the_figures() {
    let refused = variants(&sum_of(8, &[4]), &Caps::webgpu_baseline()).expect_err("9 buffers");
    assert_eq!(refused.0, "map.vec4: binds 9 storage buffers, the adapter offers 8");
}

#[test]
fn a_large_strided_gradient_has_a_product_for_each_phase() {
    let (dy, w, x) = ([8, 128, 16, 16], [128, 64, 3, 3], [8, 64, 32, 32]);
    let core = Core::Conv2dInputGrad(ConvSpec::new(2, 1));
    let kernel = kernel(core, vec![Type::f32(&dy), Type::f32(&w)], &x, Expr::identity());
    for caps in [Caps::webgpu_baseline(), software()] {
        let found = variants(&kernel, &caps).expect("a plain convolution");
        assert_eq!((found[0].name.as_str(), found[0].launches.len()), ("phases4", 4));
        assert_eq!(found[1].launches.len(), 1);
    }
}

//! Failing operations of a library's user: one clear error each, and the session lives on.

use wgrad_device::Device;
use wgrad_graph::ops::{Operand, Wgsl};
use wgrad_graph::{Builder, CustomOp, Graph, Role, Tensor, Vjp};
use wgrad_plan::{PlanOptions, plan};
use wgrad_session::Session;
use wgrad_tests::{cpu, gpu};
use wgrad_types::{Array, HostTensor, Type};

/// `2 x`, with the given kernel and CPU function.
#[derive(Debug)]
struct Twice {
    wgsl: Wgsl,
    limit: f32,
}

impl CustomOp for Twice {
    fn name(&self) -> &'static str {
        "twice"
    }
    fn shape(&self, x: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(x[0].to_vec())
    }
    fn reference(&self, x: &[Array]) -> Array {
        Array::from_fn(&x[0].shape, |i| 2.0 * x[0].data[i])
    }
    fn gradient(&self, _: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        Vjp::Of(vec![Some(dy * 2.0)])
    }
    fn wgsl(&self, _: &[&[usize]], _: &[usize]) -> Wgsl {
        self.wgsl.clone()
    }
    fn cpu(&self, x: &[Operand<'_>], y: &mut [f32]) {
        for (y, &v) in y.iter_mut().zip(x[0].data) {
            assert!(v < self.limit, "{v} is beyond\nthe limit");
            *y = 2.0 * v;
        }
    }
}

fn graph(wgsl: Wgsl) -> Graph {
    let b = Builder::new();
    let (x, w) = (b.input("x", Type::f32(&[6])), b.param("w", &[6], Role::Weight));
    let y = b.scoped("layer1", || (x + w).custom(Twice { wgsl, limit: 10.0 }, &[]));
    b.output("y", &y);
    b.graph()
}

fn kernel(body: &str) -> Wgsl {
    let source = format!("fn run(group: u32, local: u32) {{\n    let i = local;\n    {body}\n}}\n");
    Wgsl { source, workgroup: 8, groups: 1 }
}

const RIGHT: &str = "if (i < Y_DIM0) { y[i] = 2.0 * x0[i]; }";

fn y(device: &Device, graph: &Graph, x: f32) -> Result<Vec<f32>, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let (mut session, mut runner) = Session::new(device, graph, &Vec::new(), 0).map_err(|e| text(&e))?;
    let x = HostTensor::f32(&[6], &[x; 6]);
    runner.step(&mut session, 0, &[("x", &x)], &[]).map_err(|e| text(&e))?;
    let outputs = runner.wait().map_err(|e| text(&e))?.expect("a step is under way");
    Ok(outputs.get("y").as_f32().to_vec())
}

#[test]
fn custom_both_kernels_give_the_result() {
    for device in [cpu(), gpu()] {
        assert_eq!(y(&device, &graph(kernel(RIGHT)), 1.5), Ok(vec![3.0; 6]), "{}", device.name());
    }
}

#[test]
fn custom_compile_error_names_users_line() {
    let error = y(&gpu(), &graph(kernel("y[i] = twofold(x0[i]);")), 1.0).expect_err("no such function");
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in ["twice", "layer1", "line 3", "y[i] = twofold(x0[i]);"] {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
    let nameless = Wgsl { source: "fn go() {}".into(), ..kernel("") };
    let error = y(&gpu(), &graph(nameless), 1.0).expect_err("no fn run");
    assert!(error.contains("twice: its WGSL defines no `fn run(group: u32, local: u32)`"), "{error}");
}

#[test]
fn custom_kernel_beyond_limits_is_refused() {
    let device = gpu();
    let most = device.caps().limits.workgroup_size;
    let of = |workgroup, groups| graph(Wgsl { workgroup, groups, ..kernel(RIGHT) });
    for (graph, said) in [
        (of(most + 1, 1), format!("twice: {} invocations a workgroup, at most {most}", most + 1)),
        (of(8, 1 << 33), "twice: needs 8589934592 workgroups".to_owned()),
        (of(0, 1), "twice: its kernel asks for 0 invocations a workgroup".to_owned()),
    ] {
        let error = plan(&graph, device.caps(), &PlanOptions::default()).expect_err("no adapter has that");
        assert!(error.to_string().contains(&said), "{error}");
    }
}

#[test]
fn custom_out_of_range_reads_stay_inside() {
    // The shader compiler's checks keep the index in the buffer; other kernels run without.
    let found =
        y(&gpu(), &graph(kernel("if (i < 6u) { y[i] = 2.0 * x0[i] + 0.0 * x0[i + 100000000u]; }")), 1.0);
    assert_eq!(found, Ok(vec![2.0; 6]));
}

#[test]
fn custom_cpu_panic_is_an_error_and_session_survives() {
    let graph = graph(kernel(RIGHT));
    let (mut session, mut runner) = Session::new(&cpu(), &graph, &Vec::new(), 0).expect("a session");
    let mut run = |x: f32| {
        let x = HostTensor::f32(&[6], &[x; 6]);
        runner.step(&mut session, 0, &[("x", &x)], &[]).map_err(|e| e.to_string())?;
        let outputs = runner.wait().map_err(|e| e.to_string())?.expect("a step is under way");
        Ok::<f32, String>(outputs.get("y").as_f32()[0])
    };
    assert_eq!(run(2.0), Ok(4.0));
    let error = run(11.0).expect_err("it panics");
    assert_eq!(error, "twice in layer1 failed: its CPU function panicked: 11 is beyond the limit");
    assert_eq!(run(3.0), Ok(6.0));
}

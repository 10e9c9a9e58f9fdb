//! Ceilings of a device, measured: multiply-adds in registers, and bytes moved through memory.

mod processor;

use std::sync::Arc;
use wgrad_device::{Device, DeviceError};
use wgrad_graph::{Builder, Role};
use wgrad_kernels::{Access, Binding, Buffer, Launch, Variant};
use wgrad_plan::{PlanOptions, plan};
use wgrad_session::SessionError;
use wgrad_types::AdapterClass;

/// The most a device has done of either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Floating-point operations per second, a multiply-add counting two.
    pub flops: f64,
    /// Bytes a second.
    pub bytes: f64,
}

impl Ceilings {
    /// Measures a device: a second or so.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of(device: &Device) -> Result<Self, SessionError> {
        if device.adapter().is_none() {
            return Ok(Self { flops: processor::multiply_adds(), bytes: processor::bandwidth() });
        }
        let size = Size::of(device);
        let flops = fastest(device, 4 * size.invocations(), Some(&size))?;
        let bytes = fastest(device, size.elements, None)?;
        Ok(Self {
            flops: (size.invocations() * ROUNDS_ON_ADAPTER * 8 * 4 * 2) as f64 / flops,
            bytes: (size.elements * 8) as f64 / bytes,
        })
    }
}

/// Amount of work for an adapter.
struct Size {
    groups: usize,
    workgroup: usize,
    elements: usize,
}

impl Size {
    fn of(device: &Device) -> Self {
        match device.caps().class {
            AdapterClass::Software => Self { groups: 512, workgroup: 8, elements: 4 << 20 },
            AdapterClass::Discrete => Self { groups: 8192, workgroup: 64, elements: 16 << 20 },
            _ => Self { groups: 1024, workgroup: 64, elements: 16 << 20 },
        }
    }

    fn invocations(&self) -> usize {
        self.groups * self.workgroup
    }
}

const ROUNDS_ON_ADAPTER: usize = 256;

/// Seconds of the fastest of a few runs of an addition over `elements`, or of multiply-adds in its place.
fn fastest(device: &Device, elements: usize, multiply_adds: Option<&Size>) -> Result<f64, SessionError> {
    let b = Builder::new();
    let y = b.param("x", &[elements], Role::Weight) + 1.0;
    b.keep(&y);
    b.output("corner", &y.slice(&[(0, 1)]));
    let mut plan = plan(&b.graph(), device.caps(), &PlanOptions::default())?;
    if let Some(size) = multiply_adds {
        plan.kernels[0].variant = variant(size);
    }
    let mut memory = device.memory(&plan.layout)?;
    let mut program = device.program(Arc::new(plan), &memory)?;
    let mut best = f64::INFINITY;
    for _ in 0..6 {
        let profile: Result<_, DeviceError> = program.profile(&mut memory, &[], &[0, 0]);
        best = best.min(profile?.seconds[0]);
    }
    Ok(best)
}

/// Eight chains of multiply-adds per invocation, four wide.
fn variant(size: &Size) -> Variant {
    let chains = |f: &dyn Fn(usize) -> String| (0..8).map(f).collect::<Vec<_>>().join("");
    let begin = chains(&|c| format!("    var s{c} = x[i] + vec4<f32>({c}.0);\n"));
    let body = chains(&|c| format!("        s{c} = s{c} * a + b;\n"));
    let sum = (0..8).map(|c| format!("s{c}")).collect::<Vec<_>>().join(" + ");
    let source = format!(
        "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
         @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;\n\
         @compute @workgroup_size({})\n\
         fn main(@builtin(global_invocation_id) id: vec3<u32>) {{\n    let i = id.x;\n\
         {begin}    let a = vec4<f32>(0.999);\n    let b = vec4<f32>(1e-4);\n\
         \x20   for (var r = 0u; r < {ROUNDS_ON_ADAPTER}u; r += 1u) {{\n{body}    }}\n    y[i] = {sum};\n}}\n",
        size.workgroup
    );
    let bind = |buffer, access| Binding { buffer, access };
    let launch = Launch {
        name: "multiply_adds".into(),
        source: source.into(),
        bindings: vec![bind(Buffer::Operand(0), Access::Read), bind(Buffer::Output(0), Access::ReadWrite)],
        groups: [size.groups as u32, 1, 1],
        checked: false,
        traits: Vec::new(),
    };
    Variant { name: "multiply_adds".into(), launches: vec![launch], scratch: Vec::new() }
}

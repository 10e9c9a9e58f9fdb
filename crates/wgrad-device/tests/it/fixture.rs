//! A small hand-made plan: literals, scalars, scratch, two launches in one kernel, an update in place within
//! a page.
//!
//! Per step: `act = x * rate + table`, `w1 += act` (in place, at an offset of its page), `y = w1 + w1`
//! through scratch memory, `z = w0[0] * scale`.

use std::sync::Arc;
use wgrad_device::{Device, Memory, Program, Request};
use wgrad_graph::Role;
use wgrad_graph::ops::BinaryKind;
use wgrad_kernels::{Access, Binding, Buffer, Core, Cost, Expr, Instr, Kernel, Launch, Variant};
use wgrad_plan::{Flow, Named, ParamLayout, ParamPlace, Place, Plan, PlannedKernel, Slot, SlotKind};
use wgrad_types::{DType, HostTensor, Type, View};

/// Elements of the long tensors: no multiple of the workgroup size.
pub(crate) const N: usize = 1000;
const W0: Place = Place { slot: 0, offset: 0, bytes: N * 4 };
/// In the same page, at the next multiple of 256.
pub(crate) const W1: Place = Place { slot: 0, offset: 4096, bytes: N * 4 };
const X: Place = Place { slot: 1, offset: 0, bytes: N * 4 };
const TABLE: Place = Place { slot: 2, offset: 0, bytes: N * 4 };
const ACT: Place = Place { slot: 3, offset: 0, bytes: N * 4 };
const SCRATCH: Place = Place { slot: 4, offset: 0, bytes: N * 4 };
const Y: Place = Place { slot: 5, offset: 0, bytes: N * 4 };
const Z: Place = Place { slot: 6, offset: 0, bytes: 4 };

pub(crate) fn software() -> Device {
    let request: Request = "software".parse().unwrap();
    Device::open(&request).expect("these tests need lavapipe: install mesa-vulkan-drivers").0
}

pub(crate) fn cpu() -> Device {
    Device::open(&"cpu".parse().unwrap()).unwrap().0
}

/// A module with one guarded line per thread; each binding is `array<f32>`, the scalars `array<u32>`.
pub(crate) fn launch(name: &str, bindings: &[(Buffer, Access)], n: usize, line: &str) -> Launch {
    let mut source = String::new();
    for (i, (buffer, access)) in bindings.iter().enumerate() {
        let (name, ty) = match buffer {
            Buffer::Operand(i) => (format!("in{i}"), "f32"),
            Buffer::Output(i) => (format!("out{i}"), "f32"),
            Buffer::Scratch(i) => (format!("scratch{i}"), "f32"),
            Buffer::Scalars => ("scalars".to_owned(), "u32"),
        };
        let mode = if *access == Access::Read { "read" } else { "read_write" };
        source += &format!("@group(0) @binding({i}) var<storage, {mode}> {name}: array<{ty}>;\n");
    }
    source += "@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3<u32>) {\n";
    source += &format!("    let i = id.x;\n    if i >= {n}u {{ return; }}\n    {line}\n}}\n");
    let bindings = bindings.iter().map(|&(buffer, access)| Binding { buffer, access }).collect();
    Launch {
        name: name.into(),
        source: source.into(),
        bindings,
        groups: [n.div_ceil(64) as u32, 1, 1],
        checked: false,
        traits: Vec::new(),
    }
}

pub(crate) struct Map {
    pub(crate) scope: &'static str,
    pub(crate) operands: Vec<Place>,
    pub(crate) output: Place,
    pub(crate) scratch: Vec<Place>,
    pub(crate) in_place: Option<usize>,
    pub(crate) epilogue: Expr,
    pub(crate) launches: Vec<Launch>,
}

impl Map {
    pub(crate) fn kernel(self) -> PlannedKernel {
        let n = self.output.bytes / 4;
        let kernel = Kernel {
            core: Core::Map,
            operands: self.operands.iter().map(|p| Type::f32(&[p.bytes / 4])).collect(),
            shape: vec![n],
            epilogue: self.epilogue,
            outputs: vec![DType::F32],
            sums: None,
            in_place: vec![self.in_place],
        };
        let scratch = self.scratch.iter().map(|p| p.bytes).collect();
        PlannedKernel {
            kernel,
            scope: self.scope.into(),
            operands: self.operands,
            outputs: vec![self.output],
            packed: None,
            scratch: self.scratch,
            variant: Variant { name: "hand".into(), launches: self.launches, scratch },
            cost: Cost::default(),
        }
    }
}

fn load(expr: &mut Expr, operand: usize, view: View) -> usize {
    expr.push(Instr::Load { operand, view }, DType::F32)
}

fn kernels() -> Vec<PlannedKernel> {
    use Access::{Read, ReadWrite};
    use Buffer::{Operand, Output, Scalars, Scratch};
    let flat = || View::contiguous(&[N]);
    let binary = |expr: &mut Expr, kind, a, b| expr.push(Instr::Binary(kind, a, b), DType::F32);

    let mut act = Expr::default();
    let (x, table) = (load(&mut act, 0, flat()), load(&mut act, 1, flat()));
    let rate = act.push(Instr::Scalar { word: 2 }, DType::F32);
    let scaled = binary(&mut act, BinaryKind::Mul, x, rate);
    act.results = vec![binary(&mut act, BinaryKind::Add, scaled, table)];

    let mut update = Expr::default();
    let (w, a) = (load(&mut update, 0, flat()), load(&mut update, 1, flat()));
    update.results = vec![binary(&mut update, BinaryKind::Add, w, a)];

    let mut twice = Expr::default();
    let w = load(&mut twice, 0, flat());
    twice.results = vec![binary(&mut twice, BinaryKind::Add, w, w)];

    let mut scaled = Expr::default();
    let w = load(&mut scaled, 0, flat().slice(&[(0, 1, 1)]));
    let scale = scaled.push(Instr::Scalar { word: 3 }, DType::F32);
    scaled.results = vec![binary(&mut scaled, BinaryKind::Mul, w, scale)];

    let bound = [(Operand(0), Read), (Operand(1), Read), (Scalars, Read), (Output(0), ReadWrite)];
    let act_line = "out0[i] = in0[i] * bitcast<f32>(scalars[2]) + in1[i];";
    let act_launch = launch("map.act", &bound, N, act_line);
    let bound = [(Output(0), ReadWrite), (Operand(1), Read)];
    let update_launch = launch("map.update", &bound, N, "out0[i] = out0[i] + in1[i];");
    let first =
        launch("map.first", &[(Operand(0), Read), (Scratch(0), ReadWrite)], N, "scratch0[i] = in0[i];");
    let bound = [(Scratch(0), ReadWrite), (Output(0), ReadWrite)];
    let second = launch("map.second", &bound, N, "out0[i] = scratch0[i] + scratch0[i];");
    let bound = [(Operand(0), Read), (Scalars, Read), (Output(0), ReadWrite)];
    let z = launch("map.scale", &bound, 1, "out0[i] = in0[i] * bitcast<f32>(scalars[3]);");

    let map = |scope, operands: &[Place], output, epilogue, launches| Map {
        scope,
        operands: operands.to_vec(),
        output,
        scratch: Vec::new(),
        in_place: None,
        epilogue,
        launches,
    };
    vec![
        map("features.0", &[X, TABLE], ACT, act, vec![act_launch]).kernel(),
        Map { in_place: Some(0), ..map("optimizer", &[W1, ACT], W1, update, vec![update_launch]) }.kernel(),
        Map { scratch: vec![SCRATCH], ..map("head", &[W1], Y, twice, vec![first, second]) }.kernel(),
        map("", &[W0], Z, scaled, vec![z]).kernel(),
    ]
}

pub(crate) fn table() -> Vec<f32> {
    (0..N).map(|i| i as f32 * 0.25).collect()
}

pub(crate) fn plan() -> Plan {
    let slot = |bytes: usize, kind| Slot { bytes: bytes.next_multiple_of(16), kind };
    let long = Type::f32(&[N]);
    let param =
        |name: &str, place| ParamPlace { name: name.into(), role: Role::Weight, ty: long.clone(), place };
    let layout = ParamLayout {
        slots: vec![slot(4096 + N * 4, SlotKind::Param(Role::Weight))],
        params: vec![param("w0", W0), param("w1", W1)],
    };
    let named = |name: &str, n, place| Named { name: name.into(), ty: Type::f32(&[n]), place };
    Plan {
        slots: [
            layout.slots.clone(),
            vec![
                slot(N * 4, SlotKind::Input),
                slot(N * 4, SlotKind::Literal),
                slot(N * 4, SlotKind::Activation),
                slot(N * 4, SlotKind::Activation),
                slot(N * 4, SlotKind::Output),
                slot(4, SlotKind::Output),
            ],
        ]
        .concat(),
        kernels: kernels(),
        inputs: vec![named("x", N, X)],
        outputs: vec![named("y", N, Y), named("z", 1, Z)],
        layout,
        literals: vec![(TABLE, HostTensor::f32(&[N], &table()))],
        scalars: vec!["rate".into(), "scale".into()],
        flow: Flow::default(),
    }
}

/// A device with the plan made ready; `w0` is 3 everywhere, `w1` is 0.
pub(crate) struct Rig {
    pub(crate) device: Device,
    pub(crate) memory: Memory,
    pub(crate) program: Program,
}

impl Rig {
    pub(crate) fn new(device: Device) -> Self {
        Self::with(device, plan())
    }

    pub(crate) fn with(device: Device, plan: Plan) -> Self {
        let mut memory = device.memory(&plan.layout).unwrap();
        let program = device.program(Arc::new(plan), &memory).unwrap();
        memory.write(W0, &[3f32.to_bits(); N]).unwrap();
        Self { device, memory, program }
    }

    /// `x` is `k` everywhere, `rate` 0.5, `scale` `k`.
    pub(crate) fn step(&mut self, k: usize) {
        self.try_step(k).unwrap();
    }

    pub(crate) fn try_step(&mut self, k: usize) -> Result<(), wgrad_device::DeviceError> {
        self.program.step(&mut self.memory, &[&[(k as f32).to_bits(); N]], &scalars(k))
    }

    /// Like [`Rig::step`], with a clock at every kernel.
    pub(crate) fn profile(&mut self, k: usize) -> wgrad_device::Profile {
        self.program.profile(&mut self.memory, &[&[(k as f32).to_bits(); N]], &scalars(k)).unwrap()
    }

    pub(crate) fn wait(&mut self) -> Option<Vec<Vec<f32>>> {
        self.program.wait().unwrap().map(|r| r.iter().map(|words| floats(words)).collect())
    }
}

fn scalars(k: usize) -> [u32; 4] {
    [7, k as u32, 0.5f32.to_bits(), (k as f32).to_bits()]
}

pub(crate) fn floats(words: &[u32]) -> Vec<f32> {
    words.iter().map(|&w| f32::from_bits(w)).collect()
}

/// `w1` after steps `1..=k`: every product and sum here is exact.
pub(crate) fn w1_after(k: usize) -> Vec<f32> {
    let inputs: f32 = (1..=k).map(|j| j as f32 * 0.5).sum();
    table().iter().map(|t| t * k as f32 + inputs).collect()
}

pub(crate) fn expected(k: usize) -> Vec<Vec<f32>> {
    vec![w1_after(k).iter().map(|w| w * 2.0).collect(), vec![3.0 * k as f32]]
}

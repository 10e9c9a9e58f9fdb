//! One kernel alone on a device: the same operands for every variant, checked against the CPU, then timed in turn.

use crate::SessionError;
use std::sync::Arc;
use std::time::Instant;
use wgrad_device::{Clock, Device, DeviceError, Memory, Program, on_the_cpu};
use wgrad_graph::Role;
use wgrad_kernels::{FIRST_SCALAR_WORD, Variant};
use wgrad_plan::{Flow, ParamLayout, Place, Plan, PlannedKernel, Slot, SlotKind};
use wgrad_types::{DType, Type, f16_bits, f16_value, pack_f16, unpack_f16};

/// Tolerance against the CPU, as a share of the result's largest element; that of a doctor case.
const TOLERANCE: f64 = 2e-5;

/// The step between neighbouring f16, as a share of the larger.
const F16_STEP: f64 = 1.0 / 1024.0;

/// Least number of rounds, and seconds for all variants of a kernel together.
const ROUNDS: usize = 3;
const SECONDS: f64 = 0.3;

/// Variants slower than the fastest by this factor after a round are not run again.
const HOPELESS: f64 = 2.0;

/// Operands of a kernel, the CPU's results, and the variants admitted so far.
pub(super) struct Bench<'a> {
    device: &'a mut Device,
    kernel: &'a PlannedKernel,
    scalars: Vec<u32>,
    operands: Vec<Vec<u32>>,
    want: Vec<Vec<u32>>,
    variants: Vec<Result<Admitted, String>>,
}

struct Admitted {
    memory: Memory,
    program: Program,
    clock: Clock,
    seconds: f64,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        device: &'a mut Device,
        plan: &Plan,
        kernel: &'a PlannedKernel,
    ) -> Result<Self, SessionError> {
        let operands: Vec<Vec<u32>> = kernel.kernel.operands.iter().enumerate().map(synthetic).collect();
        let mut scalars = vec![0; FIRST_SCALAR_WORD];
        scalars.extend(plan.scalars.iter().map(|_| 1.0f32.to_bits()));
        let want = on_the_cpu(&kernel.kernel, &operands, &scalars)?;
        Ok(Self { device, kernel, scalars, operands, want, variants: Vec::new() })
    }

    /// Compiles a variant, runs it once and compares. A device lost to it is reopened; earlier variants are admitted again.
    pub(super) fn admit(&mut self, variant: &Variant) -> Result<(), SessionError> {
        let admitted = self.run_once(variant);
        if let Err(DeviceError::Lost { .. }) = &admitted {
            self.reopen()?;
        }
        self.variants.push(admitted.unwrap_or_else(|e| Err(e.to_string())));
        Ok(())
    }

    fn run_once(&self, variant: &Variant) -> Result<Result<Admitted, String>, DeviceError> {
        let plan = Arc::new(alone(self.kernel, variant, self.scalars.len() - FIRST_SCALAR_WORD));
        let mut memory = self.device.memory(&plan.layout)?;
        for (place, words) in plan.kernels[0].operands.iter().zip(&self.operands) {
            let packed = if place.bytes < 4 * words.len() { &pack_f16(words) } else { words };
            memory.write(*place, packed)?;
        }
        let mut program = self.device.program(plan.clone(), &memory)?;
        let profile = program.profile(&mut memory, &[], &self.scalars)?;
        for (o, (place, want)) in plan.kernels[0].outputs.iter().zip(&self.want).enumerate() {
            let dtype = self.kernel.kernel.outputs[o];
            let mut got = memory.read(*place)?;
            if dtype == DType::F16 {
                got = unpack_f16(&got, want.len());
            }
            if let Some(why) = unlike(want, &got, dtype) {
                return Ok(Err(why));
            }
        }
        Ok(Ok(Admitted { memory, program, clock: profile.clock, seconds: f64::INFINITY }))
    }

    /// Reopens the device; memories and programs of the old one are gone.
    fn reopen(&mut self) -> Result<(), SessionError> {
        *self.device = self.device.reopened()?;
        let lost: Vec<(usize, Variant)> = self
            .variants
            .iter()
            .enumerate()
            .filter_map(|(i, f)| Some((i, f.as_ref().ok()?.program.plan().kernels[0].variant.clone())))
            .collect();
        for (i, variant) in lost {
            self.variants[i] = self.run_once(&variant)?;
        }
        Ok(())
    }

    /// The least time of each form, in turns, and the clock.
    pub(super) fn times(mut self) -> Result<(Vec<Result<f64, String>>, Clock), SessionError> {
        let begun = Instant::now();
        let mut round = 0;
        while round < ROUNDS || begun.elapsed().as_secs_f64() < SECONDS {
            let best = self.variants.iter().flatten().map(|f| f.seconds).fold(f64::INFINITY, f64::min);
            for at in 0..self.variants.len() {
                let Ok(variant) = &mut self.variants[at] else { continue };
                if variant.seconds.is_finite() && variant.seconds > best * HOPELESS {
                    continue;
                }
                match variant.program.profile(&mut variant.memory, &[], &self.scalars) {
                    Ok(profile) => variant.seconds = variant.seconds.min(profile.seconds[0]),
                    Err(error) => {
                        let lost = matches!(error, DeviceError::Lost { .. });
                        self.variants[at] = Err(error.to_string());
                        if lost {
                            self.reopen()?;
                        }
                    }
                }
            }
            round += 1;
        }
        let clock = self.variants.iter().flatten().next().map_or(Clock::Host, |f| f.clock);
        Ok((self.variants.into_iter().map(|f| f.map(|f| f.seconds)).collect(), clock))
    }
}

/// A plan of one kernel in one variant, with operands and results in persistent memory.
fn alone(kernel: &PlannedKernel, variant: &Variant, scalars: usize) -> Plan {
    let mut slots = Vec::new();
    let mut place = |bytes: usize, kind| {
        slots.push(Slot { bytes: bytes.max(4).next_multiple_of(16), kind });
        Place { slot: slots.len() - 1, offset: 0, bytes }
    };
    let weight = SlotKind::Param(Role::Weight);
    let operands: Vec<Place> = kernel.kernel.operands.iter().map(|t| place(t.bytes(), weight)).collect();
    let output = |(o, dtype): (usize, &DType)| match kernel.kernel.in_place[o] {
        Some(j) => operands[j],
        None => place(Type::new(*dtype, &kernel.kernel.output_shape(o)).bytes(), weight),
    };
    let outputs: Vec<Place> = kernel.kernel.outputs.iter().enumerate().map(output).collect();
    let layout = ParamLayout { slots: slots.clone(), params: Vec::new() };
    let mut place = |bytes: &usize| {
        slots.push(Slot { bytes: (*bytes).max(4).next_multiple_of(16), kind: SlotKind::Activation });
        Place { slot: slots.len() - 1, offset: 0, bytes: *bytes }
    };
    let scratch = variant.scratch.iter().map(&mut place).collect();
    let kernel = PlannedKernel { operands, outputs, scratch, variant: variant.clone(), ..kernel.clone() };
    Plan {
        slots,
        kernels: vec![kernel],
        inputs: Vec::new(),
        outputs: Vec::new(),
        layout,
        literals: Vec::new(),
        scalars: (0..scalars).map(|i| i.to_string()).collect(),
        flow: Flow::default(),
    }
}

/// Values without a pattern for sums to cancel; whole numbers are 0 and 1, valid as labels and tokens.
fn synthetic((operand, ty): (usize, &Type)) -> Vec<u32> {
    let mix = |i: usize| {
        let x = (i as u32).wrapping_add((operand as u32) << 24).wrapping_mul(0x9e37_79b9);
        let x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
        (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35) >> 16
    };
    let real = |i: usize| mix(i) as f32 / 32768.0 - 1.0;
    let word = |i: usize| match ty.dtype {
        DType::F32 => real(i).to_bits(),
        DType::F16 => f16_value(f16_bits(real(i))).to_bits(),
        DType::I32 | DType::Bool => mix(i) & 1,
    };
    (0..ty.numel()).map(word).collect()
}

/// The worst element of a wrong result, in words.
fn unlike(want: &[u32], got: &[u32], dtype: DType) -> Option<String> {
    let value = |word: u32| match dtype {
        DType::F32 | DType::F16 => f64::from(f32::from_bits(word)),
        DType::I32 => f64::from(word.cast_signed()),
        DType::Bool => f64::from(word),
    };
    let finite = |v: &f64| v.is_finite();
    let scale = want.iter().map(|&w| value(w).abs()).filter(finite).fold(1e-30, f64::max);
    let allowed = match dtype {
        DType::F32 => TOLERANCE * scale,
        // The same sum, rounded another way: neighbours.
        DType::F16 => F16_STEP * scale,
        DType::I32 | DType::Bool => 0.0,
    };
    let off = |(at, (&w, &g)): (usize, (&u32, &u32))| {
        let (w, g) = (value(w), value(g));
        let off = if w == g || (w.is_nan() && g.is_nan()) { 0.0 } else { (w - g).abs() };
        (at, if off.is_nan() { f64::INFINITY } else { off })
    };
    let (at, worst) = want.iter().zip(got).enumerate().map(off).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (w, g) = (value(want[at]), value(got[at]));
    (worst > allowed).then(|| format!("wrong: element {at} is {g:e}, on the CPU {w:e}"))
}

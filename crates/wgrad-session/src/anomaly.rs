//! The first NaN or infinity of a step: its kernel, the operands, and the party at fault.
//!
//! The step runs once more, kernel by kernel. The first kernel with finite operands and a result that is not runs on the CPU
//! from the same operands: if the CPU's result is finite, the adapter's kernel is wrong, else the mathematics.

use crate::{Runner, Session, SessionError};
use std::fmt;
use wgrad_device::{Traced, on_the_cpu};
use wgrad_plan::{Place, Plan};
use wgrad_types::{DType, HostTensor};

/// A NaN or infinity, and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// Kernel and layer; the name of the tensor if it came in from outside.
    pub place: String,
    /// The element's number and its value.
    pub element: (usize, f32),
    /// The shape it stands in.
    pub shape: Vec<usize>,
    /// Operands of the kernel: names and ranges.
    pub operands: Vec<(String, Range)>,
    /// Party at fault.
    pub fault: Fault,
}

/// Party at fault for an anomaly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The CPU gets no finite number either, but this.
    Mathematics(f32),
    /// The CPU gets this from the same operands.
    Kernel(f32),
    /// It came in from outside.
    Outside,
}

/// Smallest and largest finite element of a tensor, and how many are not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Smallest and largest; `None` if no element is finite.
    pub finite: Option<(f32, f32)>,
    /// Number of NaN and infinite elements.
    pub others: usize,
}

impl Range {
    /// Range of words of a dtype.
    pub fn of(words: &[u32], dtype: DType) -> Self {
        let mut range = Self { finite: None, others: 0 };
        for &word in words {
            let value = match dtype {
                DType::F32 | DType::F16 => f32::from_bits(word),
                DType::I32 => word.cast_signed() as f32,
                DType::Bool => word as f32,
            };
            if !value.is_finite() {
                range.others += 1;
                continue;
            }
            let (lo, hi) = range.finite.unwrap_or((value, value));
            range.finite = Some((lo.min(value), hi.max(value)));
        }
        range
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.finite {
            Some((lo, hi)) => write!(f, "from {lo:e} to {hi:e}")?,
            None => write!(f, "without a finite element")?,
        }
        if self.others > 0 { write!(f, " and {} not finite", self.others) } else { Ok(()) }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, value) = self.element;
        write!(
            f,
            "{} has the first value that is no number (element {at} of {:?} is {value})",
            self.place, self.shape
        )?;
        for (i, (name, range)) in self.operands.iter().enumerate() {
            write!(f, "{} {name} {range}", if i == 0 { "; it reads" } else { "," })?;
        }
        match self.fault {
            Fault::Mathematics(cpu) => {
                write!(f, "; the CPU gets {cpu} from the same: the mathematics is at fault")
            }
            Fault::Kernel(cpu) => {
                write!(f, "; the CPU gets {cpu} from the same: the adapter's kernel is at fault")
            }
            Fault::Outside => write!(f, "; it came in from outside"),
        }
    }
}

impl Anomaly {
    /// Anomaly of one kernel, if any: of an operand first, then of a result.
    ///
    /// # Errors
    /// If a custom operation fails on the CPU.
    pub fn of(traced: &Traced<'_>, plan: &Plan, scalars: &[u32]) -> Result<Option<Self>, SessionError> {
        let kernel = &traced.kernel.kernel;
        let named = || -> Vec<(String, Range)> {
            let operands = traced.operands.iter().zip(&kernel.operands).zip(&traced.kernel.operands);
            operands.map(|((w, ty), place)| (name(plan, *place), Range::of(w, ty.dtype))).collect()
        };
        for ((words, ty), place) in traced.operands.iter().zip(&kernel.operands).zip(&traced.kernel.operands)
        {
            if let Some(element) = first(words, ty.dtype) {
                let (place, shape) = (name(plan, *place), ty.shape.clone());
                let (operands, fault) = (Vec::new(), Fault::Outside);
                return Ok(Some(Self { place, element, shape, operands, fault }));
            }
        }
        let bad = |(o, words): (usize, &Vec<u32>)| Some((o, first(words, kernel.outputs[o])?));
        let Some((output, element)) = traced.outputs.iter().enumerate().find_map(bad) else {
            return Ok(None);
        };
        let cpu = on_the_cpu(kernel, &traced.operands, scalars)?;
        let there = f32::from_bits(cpu[output][element.0]);
        let fault = match first(&cpu[output], kernel.outputs[output]) {
            Some(_) => Fault::Mathematics(there),
            None => Fault::Kernel(there),
        };
        let (place, shape) = (traced.kernel.label(), kernel.output_shape(output));
        Ok(Some(Self { place, element, shape, operands: named(), fault }))
    }
}

/// First NaN or infinite element.
fn first(words: &[u32], dtype: DType) -> Option<(usize, f32)> {
    let is_bad = |&(_, v): &(usize, f32)| !v.is_finite();
    let values = words.iter().map(|w| f32::from_bits(*w)).enumerate();
    matches!(dtype, DType::F32 | DType::F16).then(|| values.into_iter().find(is_bad)).flatten()
}

/// Name of a place for people: of its input or parameter, or of the kernel writing it.
fn name(plan: &Plan, place: Place) -> String {
    let input = plan.inputs.iter().find(|i| i.place == place).map(|i| i.name.clone());
    let param = || plan.layout.params.iter().find(|p| p.place == place).map(|p| p.name.clone());
    let made = || {
        plan.kernels
            .iter()
            .find(|s| s.outputs.contains(&place))
            .map(|s| format!("a result of {}", s.kernel.name()))
    };
    input.or_else(param).or_else(made).unwrap_or_else(|| "a tensor".to_owned())
}

/// Whether every element of the tensors is a finite number.
pub fn all_finite<'a>(tensors: impl IntoIterator<Item = &'a HostTensor>) -> bool {
    let finite = |t: &HostTensor| first(&t.words, t.ty.dtype).is_none();
    tensors.into_iter().all(finite)
}

impl Runner {
    /// Runs a step kernel by kernel up to the first NaN or infinity; `None` if there is none. Leaves the
    /// session in the middle of the step.
    ///
    /// # Errors
    /// As [`Runner::step`].
    pub fn find_anomaly(
        &mut self,
        session: &mut Session,
        step: u64,
        inputs: &[(&str, &HostTensor)],
        scalars: &[(&str, f32)],
    ) -> Result<Option<Anomaly>, SessionError> {
        let plan = self.plan().clone();
        let mut found = Ok(None);
        self.trace(session, step, inputs, scalars, &mut |traced, scalars| {
            found = Anomaly::of(traced, &plan, scalars);
            matches!(found, Ok(None))
        })?;
        found
    }
}

//! A plan on the device: buffers, pipelines and bind groups are created once, then one submission per step.

use super::Inner;
use super::buffer::SLOT;
use super::health::{reason, scoped};
use super::memory::Memory;
use super::pipelines::{Pipeline, Wanted};
use super::rings::{Parts, Readback, Upload};
use crate::{Counters, DeviceError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wgrad_kernels::{Buffer, FIRST_SCALAR_WORD, Launch};
use wgrad_plan::{Place, Plan, PlannedKernel, Slot, SlotKind};

/// A plan ready to run, with the memory of everything that does not persist.
pub(crate) struct Program {
    pub(super) gpu: Arc<Inner>,
    pub(super) plan: Arc<Plan>,
    memory: Arc<[wgpu::Buffer]>,
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) slots: Vec<wgpu::Buffer>,
    staging: Box<Staging>,
    done: VecDeque<Vec<Vec<u32>>>,
    submissions: u64,
    allocated_before: u64,
    bytes: u64,
}

struct Staging {
    upload: Upload,
    readback: Readback,
}

/// A dispatch ready to be recorded, and the number of its kernel in the plan.
pub(super) struct Dispatch {
    pub(super) kernel: usize,
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: [u32; 3],
}

impl Dispatch {
    /// Records it.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.groups;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// A plan's buffers: the persistent ones, then its own; and the scalars.
struct Buffers {
    slots: Vec<wgpu::Buffer>,
    scalars: wgpu::Buffer,
}

impl Program {
    pub(super) fn new(gpu: Arc<Inner>, plan: Arc<Plan>, memory: &Memory) -> Result<Self, DeviceError> {
        let shared = memory.slots();
        assert_eq!(shared.len(), plan.layout.slots.len(), "program: the memory is of another layout");
        gpu.health.check()?;
        let allocated_before = gpu.allocations.load(Ordering::Relaxed);
        // Kernels first: a compile error should not cost memory.
        let launches = launches(&plan)?;
        let wanted: Vec<Wanted<'_>> = launches
            .iter()
            .map(|(_, kernel, launch)| Wanted { label: label(kernel, launch), launch })
            .collect();
        let pipelines = gpu.pipelines.get(&gpu.device, &gpu.health, &wanted)?;
        let buffers = Buffers::new(&gpu, &plan, shared)?;
        let mut dispatches = Vec::with_capacity(launches.len());
        for (((number, kernel, launch), pipeline), wanted) in launches.iter().zip(pipelines).zip(&wanted) {
            let bindings = buffers.bind(&gpu, kernel, launch, &pipeline, &wanted.label)?;
            let (kernel, groups) = (*number, launch.groups);
            dispatches.push(Dispatch { kernel, pipeline: pipeline.pipeline, bindings, groups });
        }
        dispatches.retain(|d| !d.groups.contains(&0));
        let part = |p: &Place| (buffers.slots[p.slot].clone(), p.offset, p.bytes);
        let scalars = (buffers.scalars.clone(), 0, (FIRST_SCALAR_WORD + plan.scalars.len()) * 4);
        let inputs = plan.inputs.iter().map(|named| part(&named.place));
        let upload = Upload::new(&gpu, Parts::new(std::iter::once(scalars).chain(inputs)))?;
        let outputs = plan.outputs.iter().map(|named| part(&named.place)).collect();
        let readback = Readback::new(&gpu, outputs, &buffers.scalars)?;
        let held: u64 = buffers.slots.iter().chain([&buffers.scalars]).map(wgpu::Buffer::size).sum();
        let bytes = held + upload.bytes() + readback.bytes();
        gpu.health.check()?;
        Ok(Self {
            memory: shared.clone(),
            dispatches,
            slots: buffers.slots,
            staging: Box::new(Staging { upload, readback }),
            done: VecDeque::new(),
            submissions: 0,
            allocated_before,
            bytes,
            plan,
            gpu,
        })
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn step(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<(), DeviceError> {
        let gpu = self.gpu.clone();
        gpu.health.check()?;
        if self.staging.readback.is_full() {
            self.done.extend(self.staging.readback.take(&gpu, true)?);
        }
        let before = gpu.submissions.load(Ordering::Relaxed);
        let mut encoder = self.upload(memory, inputs, scalars)?;
        if !self.dispatches.is_empty() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for dispatch in &self.dispatches {
                dispatch.record(&mut pass);
            }
        }
        self.staging.readback.record(&mut encoder);
        let submitted = gpu.submit(encoder);
        self.uploaded();
        submitted?;
        self.staging.readback.submitted(&gpu)?;
        self.submissions += gpu.submissions.load(Ordering::Relaxed) - before;
        Ok(())
    }

    /// Begins a step's commands with the upload of its inputs; [`Program::uploaded`] follows the submission.
    fn upload(
        &mut self,
        memory: &Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<wgpu::CommandEncoder, DeviceError> {
        assert!(Arc::ptr_eq(&self.memory, memory.slots()), "step: the program was made with another memory");
        assert_eq!(inputs.len(), self.plan.inputs.len(), "step: number of inputs");
        assert_eq!(scalars.len(), FIRST_SCALAR_WORD + self.plan.scalars.len(), "step: number of scalars");
        for (named, words) in self.plan.inputs.iter().zip(inputs) {
            assert_eq!(words.len() * 4, named.place.bytes, "step: size of input {}", named.name);
        }
        let gpu = self.gpu.clone();
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let words = std::iter::once(scalars).chain(inputs.iter().copied());
        self.staging.upload.record(&gpu, &mut encoder, words)?;
        Ok(encoder)
    }

    /// Uploads a step's inputs in a submission of their own.
    pub(super) fn feed(
        &mut self,
        memory: &Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<(), DeviceError> {
        let gpu = self.gpu.clone();
        gpu.health.check()?;
        let encoder = self.upload(memory, inputs, scalars)?;
        let submitted = gpu.submit(encoder);
        self.uploaded();
        submitted
    }

    /// Completes [`Program::upload`] after the submission.
    fn uploaded(&mut self) {
        self.staging.upload.submitted();
    }

    pub(crate) fn ready(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        self.gpu.health.check()?;
        if let Some(results) = self.done.pop_front() {
            return Ok(Some(results));
        }
        if self.staging.readback.is_empty() {
            return Ok(None);
        }
        self.gpu.poll()?;
        self.staging.readback.take(&self.gpu, false)
    }

    pub(crate) fn wait(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        self.gpu.health.check()?;
        match self.done.pop_front() {
            Some(results) => Ok(Some(results)),
            None => self.staging.readback.take(&self.gpu, true),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let allocations = self.gpu.allocations.load(Ordering::Relaxed) - self.allocated_before;
        Counters { submissions: self.submissions, allocations, bytes: self.bytes }
    }
}

/// Kernel and layer, with the dispatch's name if the kernel has several.
fn label(kernel: &PlannedKernel, launch: &Launch) -> String {
    match kernel.variant.launches.len() {
        1 => kernel.label(),
        _ => format!("{} ({})", kernel.label(), launch.name),
    }
}

/// Every dispatch with its kernel and the kernel's number, in order. A kernel without elements has none.
fn launches(plan: &Plan) -> Result<Vec<(usize, &PlannedKernel, &Launch)>, DeviceError> {
    let mut all = Vec::new();
    for (number, kernel) in plan.kernels.iter().enumerate() {
        if kernel.variant.launches.is_empty() && kernel.kernel.numel() > 0 {
            let why = "it has no launches: the plan was made for the CPU".into();
            return Err(DeviceError::Kernel { kernel: kernel.label(), why });
        }
        all.extend(kernel.variant.launches.iter().map(|launch| (number, kernel, launch)));
    }
    Ok(all)
}

impl Buffers {
    fn new(gpu: &Inner, plan: &Plan, shared: &[wgpu::Buffer]) -> Result<Self, DeviceError> {
        let mut slots = shared.to_vec();
        for (at, slot) in plan.slots.iter().enumerate().skip(shared.len()) {
            let mut literals = plan.literals.iter().filter(|(place, _)| place.slot == at).peekable();
            let buffer = gpu.buffer(what(slot), slot.bytes, SLOT, literals.peek().is_some())?;
            if literals.peek().is_some() {
                let mut view =
                    buffer.slice(..).get_mapped_range_mut().map_err(|_| gpu.health.unmappable())?;
                for (place, tensor) in literals {
                    let range = place.offset..place.offset + tensor.words.len() * 4;
                    view.slice(range).copy_from_slice(bytemuck::cast_slice(&tensor.words));
                }
                drop(view);
                buffer.unmap();
            }
            slots.push(buffer);
        }
        let scalars = gpu.buffer("scalars", (FIRST_SCALAR_WORD + plan.scalars.len()) * 4, SLOT, false)?;
        Ok(Self { slots, scalars })
    }

    fn bind(
        &self,
        gpu: &Inner,
        kernel: &PlannedKernel,
        launch: &Launch,
        pipeline: &Pipeline,
        label: &str,
    ) -> Result<wgpu::BindGroup, DeviceError> {
        let entry = |(number, binding): (usize, &wgrad_kernels::Binding)| {
            let place = match binding.buffer {
                Buffer::Operand(i) => Some(kernel.operands[i]),
                Buffer::Output(i) => Some(kernel.outputs[i]),
                Buffer::Scratch(i) => Some(kernel.scratch[i]),
                Buffer::Scalars => None,
            };
            let resource = match place {
                Some(place) => wgpu::BufferBinding {
                    buffer: &self.slots[place.slot],
                    offset: place.offset as u64,
                    size: wgpu::BufferSize::new(place.bytes.max(4).next_multiple_of(4) as u64),
                },
                None => self.scalars.as_entire_buffer_binding(),
            };
            wgpu::BindGroupEntry { binding: number as u32, resource: wgpu::BindingResource::Buffer(resource) }
        };
        let entries: Vec<_> = launch.bindings.iter().enumerate().map(entry).collect();
        let descriptor = wgpu::BindGroupDescriptor {
            label: Some(&launch.name),
            layout: &pipeline.layout,
            entries: &entries,
        };
        let made = scoped(&gpu.device, || gpu.device.create_bind_group(&descriptor));
        made.map_err(|e| DeviceError::Validation { why: format!("{label}: {}", reason(&e)) })
    }
}

fn what(slot: &Slot) -> &'static str {
    match slot.kind {
        SlotKind::Param(_) | SlotKind::Packed => "parameters",
        SlotKind::Gradient => "gradients",
        SlotKind::Input => "an input",
        SlotKind::Output => "an output",
        SlotKind::Literal => "a table",
        SlotKind::Activation => "activations",
    }
}

//! A step run kernel by kernel, with every operand and result copied to the host: slow, with the same bits.

use super::buffer::{Mapping, READBACK};
use super::memory::Memory;
use super::program::Program;
use crate::{DeviceError, Traced};
use wgrad_plan::Place;
use wgrad_types::{DType, Type, unpack_f16};

impl Program {
    pub(crate) fn trace(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
        visit: &mut dyn FnMut(&Traced<'_>) -> bool,
    ) -> Result<(), DeviceError> {
        let gpu = self.gpu.clone();
        self.feed(memory, inputs, scalars)?;
        let plan = self.plan.clone();
        for (number, kernel) in plan.kernels.iter().enumerate() {
            let operands = self.look(&kernel.operands, &kernel.kernel.operands)?;
            let result = |(o, dtype): (usize, &DType)| Type::new(*dtype, &kernel.kernel.output_shape(o));
            let results: Vec<Type> = kernel.kernel.outputs.iter().enumerate().map(result).collect();
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                let own = self.dispatches.iter().filter(|d| d.kernel == number);
                own.for_each(|dispatch| dispatch.record(&mut pass));
            }
            gpu.submit(encoder)?;
            let outputs = self.look(&kernel.outputs, &results)?;
            if !visit(&Traced { kernel, operands, outputs }) {
                break;
            }
        }
        Ok(())
    }

    /// The words at each place, one per element; waits for the work in flight.
    fn look(&self, places: &[Place], types: &[Type]) -> Result<Vec<Vec<u32>>, DeviceError> {
        let gpu = &self.gpu;
        let read = |(place, ty): (&Place, &Type)| {
            if place.bytes == 0 {
                return Ok(Vec::new());
            }
            let staging = gpu.buffer("a look at a kernel", place.bytes, READBACK, false)?;
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let (from, bytes) = (place.offset as u64, place.bytes as u64);
            encoder.copy_buffer_to_buffer(&self.slots[place.slot], from, &staging, 0, Some(bytes));
            gpu.submit(encoder)?;
            let mapping = Mapping::mapped();
            mapping.request(&staging, wgpu::MapMode::Read);
            gpu.wait(&mapping)?;
            let view = staging.slice(..).get_mapped_range().map_err(|_| gpu.health.unmappable())?;
            let words = bytemuck::pod_collect_to_vec::<u8, u32>(&view[..place.bytes]);
            Ok(if ty.dtype == DType::F16 { unpack_f16(&words, ty.numel()) } else { words })
        };
        places.iter().zip(types).map(read).collect()
    }
}

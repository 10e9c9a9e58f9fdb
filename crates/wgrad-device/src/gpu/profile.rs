//! A step with a clock at every kernel: the adapter's own if it has timestamps, else the host's.

use super::buffer::{Mapping, READBACK};
use super::memory::Memory;
use super::program::Program;
use crate::{Clock, DeviceError, Profile};
use std::time::Instant;

/// Timestamps a query set holds (`wgpu::QUERY_SET_MAX_QUERIES`).
const MAX_QUERIES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

impl Program {
    pub(crate) fn profile(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<Profile, DeviceError> {
        let gpu = self.gpu.clone();
        self.feed(memory, inputs, scalars)?;
        // Made before any clock runs.
        let marker = gpu.buffer("a wait", 16, READBACK, false)?;
        self.finish(&marker)?;
        let kernels = self.plan.kernels.len();
        let stamped = gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        if stamped && kernels > 0 && 2 * kernels <= MAX_QUERIES {
            return Ok(Profile { clock: Clock::Adapter, seconds: self.stamped(kernels)? });
        }
        let mut seconds = Vec::with_capacity(kernels);
        for number in 0..kernels {
            let start = Instant::now();
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.record_kernel(&mut encoder, number, None);
            gpu.submit(encoder)?;
            self.finish(&marker)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(Profile { clock: Clock::Host, seconds })
    }

    /// Records one kernel of the plan as a pass of its own.
    fn record_kernel(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        number: usize,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        self.dispatches.iter().filter(|d| d.kernel == number).for_each(|d| d.record(&mut pass));
    }

    /// Seconds per kernel by the adapter's timestamps.
    fn stamped(&self, kernels: usize) -> Result<Vec<f64>, DeviceError> {
        let gpu = &self.gpu;
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * kernels as u32,
        });
        let bytes = 2 * kernels * size_of::<u64>();
        let resolve = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = gpu.buffer("timestamps", bytes, resolve, false)?;
        let staging = gpu.buffer("timestamps", bytes, READBACK, false)?;
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for number in 0..kernels {
            let at = |end: usize| Some((2 * number + end) as u32);
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: at(0),
                end_of_pass_write_index: at(1),
            };
            self.record_kernel(&mut encoder, number, Some(writes));
        }
        encoder.resolve_query_set(&queries, 0..2 * kernels as u32, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, Some(bytes as u64));
        gpu.submit(encoder)?;
        let mapping = Mapping::mapped();
        mapping.request(&staging, wgpu::MapMode::Read);
        gpu.wait(&mapping)?;
        let view = staging.slice(..).get_mapped_range().map_err(|_| gpu.health.unmappable())?;
        let stamps = bytemuck::pod_collect_to_vec::<u8, u64>(&view[..bytes]);
        let tick = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        Ok(stamps.chunks_exact(2).map(|s| s[1].saturating_sub(s[0]) as f64 * tick).collect())
    }

    /// Waits for all work in the queue: clearing `marker`, an unmapped buffer, comes last.
    fn finish(&self, marker: &wgpu::Buffer) -> Result<(), DeviceError> {
        let gpu = &self.gpu;
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.clear_buffer(marker, 0, None);
        gpu.submit(encoder)?;
        let mapping = Mapping::mapped();
        mapping.request(marker, wgpu::MapMode::Read);
        gpu.wait(&mapping)?;
        marker.unmap();
        Ok(())
    }
}

//! Staging: rings of mappable buffers for a step's inputs and results, without new allocations.

use super::Inner;
use super::buffer::{Mapping, READBACK, UPLOAD};
use crate::DeviceError;
use std::collections::VecDeque;
use wgrad_plan::{READBACKS, UPLOADS};

/// A range of a device buffer and its offset in the staging buffer.
pub(super) struct Part {
    buffer: wgpu::Buffer,
    offset: usize,
    staged: usize,
    bytes: usize,
}

/// Lays ranges of device buffers out in a staging buffer.
pub(super) struct Parts {
    parts: Vec<Part>,
    bytes: usize,
}

impl Parts {
    /// From (buffer, offset, bytes), in order.
    pub(super) fn new(ranges: impl IntoIterator<Item = (wgpu::Buffer, usize, usize)>) -> Self {
        let mut laid = Self { parts: Vec::new(), bytes: 0 };
        for (buffer, offset, bytes) in ranges {
            laid.parts.push(Part { buffer, offset, staged: laid.bytes, bytes });
            laid.bytes = (laid.bytes + bytes).next_multiple_of(16);
        }
        laid
    }
}

struct Staging {
    buffer: wgpu::Buffer,
    mapping: Mapping,
}

/// Carries words from the host into parts of device buffers.
pub(super) struct Upload {
    parts: Parts,
    ring: Vec<Staging>,
    next: usize,
}

impl Upload {
    pub(super) fn new(gpu: &Inner, parts: Parts) -> Result<Self, DeviceError> {
        let staging = |_| {
            let buffer = gpu.buffer("upload staging", parts.bytes, UPLOAD, true)?;
            Ok(Staging { buffer, mapping: Mapping::mapped() })
        };
        let ring = (0..UPLOADS).map(staging).collect::<Result<_, DeviceError>>()?;
        Ok(Self { parts, ring, next: 0 })
    }

    /// Bytes of the ring.
    pub(super) fn bytes(&self) -> u64 {
        self.ring.iter().map(|s| s.buffer.size()).sum()
    }

    /// Writes the words of each part to staging, waiting for a free one, and records the copies.
    pub(super) fn record<'a>(
        &mut self,
        gpu: &Inner,
        encoder: &mut wgpu::CommandEncoder,
        words: impl Iterator<Item = &'a [u32]>,
    ) -> Result<(), DeviceError> {
        let Staging { buffer, mapping } = &self.ring[self.next];
        gpu.wait(mapping)?;
        let mut view = buffer.slice(..).get_mapped_range_mut().map_err(|_| gpu.health.unmappable())?;
        for (part, words) in self.parts.parts.iter().zip(words) {
            view.slice(part.staged..part.staged + part.bytes).copy_from_slice(bytemuck::cast_slice(words));
        }
        drop(view);
        buffer.unmap();
        for part in self.parts.parts.iter().filter(|p| p.bytes > 0) {
            let (from, to) = (part.staged as u64, part.offset as u64);
            encoder.copy_buffer_to_buffer(buffer, from, &part.buffer, to, Some(part.bytes as u64));
        }
        Ok(())
    }

    /// After the submission: asks for the staging buffer back.
    pub(super) fn submitted(&mut self) {
        let Staging { buffer, mapping } = &self.ring[self.next];
        mapping.request(buffer, wgpu::MapMode::Write);
        self.next = (self.next + 1) % self.ring.len();
    }
}

/// Carries parts of device buffers to the host.
pub(super) struct Readback {
    parts: Parts,
    /// Number of parts that are results; a last part may exist only as a marker of the end.
    results: usize,
    free: Vec<Staging>,
    pending: VecDeque<Staging>,
}

impl Readback {
    /// `marker` is copied if there is nothing else, to make the step's end visible.
    pub(super) fn new(
        gpu: &Inner,
        results: Vec<(wgpu::Buffer, usize, usize)>,
        marker: &wgpu::Buffer,
    ) -> Result<Self, DeviceError> {
        let count = results.len();
        let empty = results.iter().all(|r| r.2 == 0);
        let parts = Parts::new(results.into_iter().chain(empty.then(|| (marker.clone(), 0, 4))));
        let staging = |_| {
            let buffer = gpu.buffer("readback staging", parts.bytes, READBACK, false)?;
            Ok(Staging { buffer, mapping: Mapping::mapped() })
        };
        let free = (0..READBACKS).map(staging).collect::<Result<_, DeviceError>>()?;
        Ok(Self { parts, results: count, free, pending: VecDeque::with_capacity(READBACKS) })
    }

    /// Bytes of the ring, before the first step.
    pub(super) fn bytes(&self) -> u64 {
        self.free.iter().map(|s| s.buffer.size()).sum()
    }

    /// True if a further step must wait for the oldest results.
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// True if no results are in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Records the copies into a free staging buffer.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let staging = self.free.last().expect("a step collects the oldest results when the ring is full");
        for part in self.parts.parts.iter().filter(|p| p.bytes > 0) {
            let (from, to) = (part.offset as u64, part.staged as u64);
            encoder.copy_buffer_to_buffer(&part.buffer, from, &staging.buffer, to, Some(part.bytes as u64));
        }
    }

    /// After the submission: asks for the results. Fails at once if the device silently dropped the work.
    pub(super) fn submitted(&mut self, gpu: &Inner) -> Result<(), DeviceError> {
        let staging = self.free.pop().expect("`record` found it");
        staging.mapping.request(&staging.buffer, wgpu::MapMode::Read);
        let mapped = gpu.mapped(&staging.mapping);
        match mapped.is_ok() {
            true => self.pending.push_back(staging),
            false => self.free.push(staging),
        }
        mapped.map(drop)
    }

    /// The oldest results; `None` if none are in flight, or if they are unfinished and `block` is false.
    pub(super) fn take(&mut self, gpu: &Inner, block: bool) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        let Some(oldest) = self.pending.front() else { return Ok(None) };
        if block {
            gpu.wait(&oldest.mapping)?;
        } else if !gpu.mapped(&oldest.mapping)? {
            return Ok(None);
        }
        let view = oldest.buffer.slice(..).get_mapped_range().map_err(|_| gpu.health.unmappable())?;
        let read = |part: &Part| bytemuck::pod_collect_to_vec(&view[part.staged..part.staged + part.bytes]);
        let words = self.parts.parts[..self.results].iter().map(read).collect();
        drop(view);
        oldest.buffer.unmap();
        self.free.extend(self.pending.pop_front());
        Ok(Some(words))
    }
}

//! Persistent tensors on the device, and their way to and from the host.

use super::Inner;
use super::buffer::{Mapping, READBACK, SLOT, UPLOAD};
use crate::DeviceError;
use std::sync::{Arc, Mutex, PoisonError};
use wgrad_plan::{ParamLayout, Place};

/// Larger ranges travel in pieces.
const STAGING: usize = 16 << 20;

/// The memory of persistent tensors, shared by a session's programs.
pub(crate) struct Memory {
    gpu: Arc<Inner>,
    slots: Arc<[wgpu::Buffer]>,
    staging_bytes: usize,
    up: Option<(wgpu::Buffer, Mapping)>,
    down: Mutex<Option<wgpu::Buffer>>,
}

impl Memory {
    pub(super) fn new(gpu: Arc<Inner>, layout: &ParamLayout) -> Result<Self, DeviceError> {
        let make = |slot: &wgrad_plan::Slot| gpu.buffer("parameters", slot.bytes, SLOT, false);
        let slots = layout.slots.iter().map(make).collect::<Result<_, DeviceError>>()?;
        let largest = layout.slots.iter().map(|s| s.bytes).max().unwrap_or(0);
        let staging_bytes = largest.clamp(16, STAGING).next_multiple_of(16);
        Ok(Self { gpu, slots, staging_bytes, up: None, down: Mutex::new(None) })
    }

    /// The slots' buffers: a program keeps them to know its memory again.
    pub(super) fn slots(&self) -> &Arc<[wgpu::Buffer]> {
        &self.slots
    }

    pub(crate) fn write(&mut self, place: Place, words: &[u32]) -> Result<(), DeviceError> {
        assert_eq!(words.len() * 4, place.bytes, "write: the words fill the place");
        let gpu = &self.gpu;
        gpu.health.check()?;
        if self.up.is_none() {
            let buffer = gpu.buffer("upload staging", self.staging_bytes, UPLOAD, true)?;
            self.up = Some((buffer, Mapping::mapped()));
        }
        let (staging, mapping) = self.up.as_ref().expect("made above");
        let mut offset = place.offset as u64;
        for piece in words.chunks(self.staging_bytes / 4) {
            let bytes = piece.len() * 4;
            gpu.wait(mapping)?;
            let mut view = staging.slice(..).get_mapped_range_mut().map_err(|_| gpu.health.unmappable())?;
            view.slice(..bytes).copy_from_slice(bytemuck::cast_slice(piece));
            drop(view);
            staging.unmap();
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(staging, 0, &self.slots[place.slot], offset, Some(bytes as u64));
            let submitted = gpu.submit(encoder);
            mapping.request(staging, wgpu::MapMode::Write);
            submitted?;
            offset += bytes as u64;
        }
        Ok(())
    }

    pub(crate) fn read(&self, place: Place) -> Result<Vec<u32>, DeviceError> {
        let gpu = &self.gpu;
        gpu.health.check()?;
        // Taken out, so that a failure half way leaves no mapped buffer for the next read.
        let mut kept = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        let staging = match kept.take() {
            Some(staging) => staging,
            None => gpu.buffer("readback staging", self.staging_bytes, READBACK, false)?,
        };
        let mut words = Vec::with_capacity(place.bytes / 4);
        while words.len() * 4 < place.bytes {
            let done = words.len() * 4;
            let bytes = (place.bytes - done).min(self.staging_bytes);
            let from = (place.offset + done) as u64;
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&self.slots[place.slot], from, &staging, 0, Some(bytes as u64));
            gpu.submit(encoder)?;
            let mapping = Mapping::mapped();
            mapping.request(&staging, wgpu::MapMode::Read);
            gpu.wait(&mapping)?;
            let view = staging.slice(..).get_mapped_range().map_err(|_| gpu.health.unmappable())?;
            words.extend(bytemuck::pod_collect_to_vec::<u8, u32>(&view[..bytes]));
            drop(view);
            staging.unmap();
        }
        *kept = Some(staging);
        Ok(words)
    }
}

//! Buffers, mappings and waiting: the only place that makes buffers and the only one that blocks.

use super::Inner;
use super::health::scoped;
use crate::DeviceError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use wgrad_types::AdapterClass;

/// A wait that takes longer means that the device hangs. Drivers' own watchdogs act within seconds; a software adapter
/// may need minutes for an honest step.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Usage of a plan's buffers.
pub(super) const SLOT: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Usage of buffers the host writes.
pub(super) const UPLOAD: wgpu::BufferUsages =
    wgpu::BufferUsages::MAP_WRITE.union(wgpu::BufferUsages::COPY_SRC);

/// Usage of buffers the host reads.
pub(super) const READBACK: wgpu::BufferUsages =
    wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);

impl Inner {
    /// A buffer of at least `bytes`, in whole vec4s. `mapped` hands it out written by the host first.
    pub(super) fn buffer(
        &self,
        what: &str,
        bytes: usize,
        usage: wgpu::BufferUsages,
        mapped: bool,
    ) -> Result<wgpu::Buffer, DeviceError> {
        let size = bytes.max(16).next_multiple_of(16);
        let limit = self.caps.limits.buffer_bytes;
        if size > limit {
            let what = format!("{what} of {}, where a buffer holds at most {}", mib(size), mib(limit));
            return Err(DeviceError::OutOfMemory { what });
        }
        let descriptor = wgpu::BufferDescriptor {
            label: Some(what),
            size: size as u64,
            usage,
            mapped_at_creation: mapped,
        };
        let made = scoped(&self.device, || self.device.create_buffer(&descriptor));
        self.allocations.fetch_add(1, Ordering::Relaxed);
        let buffer = made.map_err(|e| match e {
            wgpu::Error::OutOfMemory { .. } => {
                DeviceError::OutOfMemory { what: format!("{what} of {}", mib(size)) }
            }
            other => DeviceError::Validation { why: super::health::reason(&other) },
        })?;
        self.health.check()?;
        Ok(buffer)
    }

    /// Hands recorded work to the queue.
    pub(super) fn submit(&self, encoder: wgpu::CommandEncoder) -> Result<(), DeviceError> {
        self.queue.submit([encoder.finish()]);
        self.submissions.fetch_add(1, Ordering::Relaxed);
        self.poll()
    }

    /// Runs the callbacks that are due; does not block.
    ///
    /// Through the instance, whose poll drops errors, not through `Device::poll`, which panics when the device is lost.
    pub(super) fn poll(&self) -> Result<(), DeviceError> {
        self.instance.poll_all(false);
        self.health.check()
    }

    /// Blocks until a mapping is there: yields at first, so that short waits stay exact, then sleeps a small share of
    /// what has passed. A software adapter's threads take what is yielded, and every end of a sleep would interrupt them.
    pub(super) fn wait(&self, mapping: &Mapping) -> Result<(), DeviceError> {
        let start = Instant::now();
        let yielding = match self.caps.class {
            AdapterClass::Software => Duration::from_millis(10),
            _ => Duration::from_micros(200),
        };
        while !self.mapped(mapping)? {
            self.poll()?;
            if mapping.get() != PENDING {
                continue;
            }
            let passed = start.elapsed();
            if passed > PATIENCE {
                return Err(self
                    .health
                    .give_up(format!("it did not finish within {} s", PATIENCE.as_secs())));
            }
            match passed < yielding {
                true => std::thread::yield_now(),
                false => std::thread::sleep((passed / 32).min(Duration::from_millis(1))),
            }
        }
        Ok(())
    }

    /// Whether a mapping is there; does not block, does not poll.
    pub(super) fn mapped(&self, mapping: &Mapping) -> Result<bool, DeviceError> {
        match mapping.get() {
            MAPPED => Ok(true),
            FAILED => {
                self.instance.poll_all(false);
                Err(self.health.unmappable())
            }
            _ => Ok(false),
        }
    }
}

const PENDING: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

/// How far a buffer's mapping has come.
pub(super) struct Mapping(Arc<AtomicU8>);

impl Mapping {
    /// Of a buffer mapped at creation.
    pub(super) fn mapped() -> Self {
        Self(Arc::new(AtomicU8::new(MAPPED)))
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }

    /// Asks for the whole buffer; it comes once the work submitted so far no longer uses it.
    pub(super) fn request(&self, buffer: &wgpu::Buffer, mode: wgpu::MapMode) {
        self.0.store(PENDING, Ordering::Release);
        let state = self.0.clone();
        buffer.slice(..).map_async(mode, move |result| {
            state.store(if result.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
        });
    }
}

/// Bytes as people read them.
pub(super) fn mib(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

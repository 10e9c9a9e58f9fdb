//! Buffers, mappings and waiting: the only place to create buffers and the only one to block.

use super::Inner;
use super::health::scoped;
use crate::DeviceError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use wgrad_types::AdapterClass;

/// After this time the device counts as hung. Drivers' own watchdogs act within seconds; a software adapter
/// may need minutes for a legitimate step.
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

    /// Runs due callbacks; does not block.
    ///
    /// Through the instance: its poll drops errors, while `Device::poll` panics on a lost device.
    pub(super) fn poll(&self) -> Result<(), DeviceError> {
        self.instance.poll_all(false);
        self.health.check()
    }

    /// Blocks until a mapping is ready: yields at first, so that short waits stay exact, then sleeps for a
    /// small share of the elapsed time. A software adapter's threads use the yielded time, and frequent
    /// wake-ups would interrupt them.
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

    /// True if a mapping is ready; does not block, does not poll.
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

/// Progress of a buffer's mapping.
pub(super) struct Mapping(Arc<AtomicU8>);

impl Mapping {
    /// The mapping of a buffer mapped at creation.
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

//! Failures of a device, kept as state until a call can return them, and the error scopes around creation.
//!
//! wgpu reports a lost device through a callback only: later calls on it fail silently. So every fallible
//! call here ends with [`Health::check`].

use crate::DeviceError;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A device's error state. A lost device stays lost; other errors are returned once.
#[derive(Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lost: Option<String>,
    error: Option<DeviceError>,
}

impl Health {
    /// Listens to a device.
    pub(super) fn watch(device: &wgpu::Device) -> Arc<Self> {
        let health = Arc::new(Self::default());
        let errors = health.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            errors.lock().error.get_or_insert_with(|| typed(&error));
        }));
        let lost = health.clone();
        device.set_device_lost_callback(move |reason, message| {
            let why = match reason {
                wgpu::DeviceLostReason::Destroyed => "it was destroyed".to_owned(),
                _ if message.is_empty() => "the driver gives no reason".to_owned(),
                _ => message,
            };
            lost.lock().lost.get_or_insert(why);
        });
        health
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error there is, if any.
    pub(super) fn check(&self) -> Result<(), DeviceError> {
        let mut state = self.lock();
        if let Some(why) = &state.lost {
            return Err(DeviceError::Lost { why: why.clone() });
        }
        state.error.take().map_or(Ok(()), Err)
    }

    /// The error behind a failed mapping: the known failure, else a lost device.
    pub(super) fn unmappable(&self) -> DeviceError {
        let gone = DeviceError::Lost { why: "its memory can no longer be mapped".into() };
        self.check().err().unwrap_or(gone)
    }

    /// Declares the device lost.
    pub(super) fn give_up(&self, why: String) -> DeviceError {
        let why = self.lock().lost.get_or_insert(why).clone();
        DeviceError::Lost { why }
    }
}

/// Runs creation calls and catches their errors. Scopes belong to a thread, so parallel creation does not mix
/// them.
pub(super) fn scoped<T>(device: &wgpu::Device, create: impl FnOnce() -> T) -> Result<T, wgpu::Error> {
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let made = create();
    // Inner scopes first; natively the futures are ready at once.
    let internal = pollster::block_on(internal.pop());
    let memory = pollster::block_on(memory.pop());
    let validation = pollster::block_on(validation.pop());
    memory.or(validation).or(internal).map_or(Ok(made), Err)
}

fn typed(error: &wgpu::Error) -> DeviceError {
    match error {
        wgpu::Error::OutOfMemory { .. } => DeviceError::OutOfMemory { what: "running a step".into() },
        wgpu::Error::Validation { .. } | wgpu::Error::Internal { .. } => {
            DeviceError::Validation { why: reason(error) }
        }
    }
}

/// wgpu's reason in one line: the first line of every cause, without the outermost (the name of the call) if
/// there are others.
pub(super) fn reason(error: &wgpu::Error) -> String {
    let mut lines = Vec::new();
    let mut cause = error.source();
    while let Some(e) = cause {
        let text = e.to_string();
        lines.extend(text.lines().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned));
        cause = e.source();
    }
    if lines.len() > 1 {
        lines.remove(0);
    }
    lines.dedup();
    if lines.is_empty() { error.to_string() } else { lines.join(": ") }
}

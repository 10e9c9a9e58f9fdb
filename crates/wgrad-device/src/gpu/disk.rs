//! The driver's compiled kernels, kept between runs if wgpu can (Vulkan). A missing, unreadable or damaged
//! file means compiling again, nothing else.

use super::health::scoped;
use crate::AdapterReport;
use crate::cache::{file_name, folder, seal, unseal, write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use wgrad_types::Checksum;

const MAGIC: &[u8; 8] = b"wgradpc1";

/// A pipeline cache with its file.
pub(super) struct DiskCache {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    /// Checksum of the file's content, to skip writing it unchanged.
    saved: Mutex<u64>,
}

impl DiskCache {
    /// The adapter's cache, if the device has the feature and there is a folder for it. `WGRAD_CACHE_DIR`
    /// names another folder; if empty, it turns the cache off.
    pub(super) fn open(device: &wgpu::Device, adapter: &AdapterReport) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder()?.join(file_name("pipelines", adapter));
        let data = std::fs::read(&path).ok().and_then(|file| unseal(MAGIC, &file).map(<[u8]>::to_vec));
        match &data {
            Some(data) => tracing::info!(bytes = data.len(), path = %path.display(), "kernel cache hit"),
            None => tracing::info!(path = %path.display(), "no kernel cache yet"),
        }
        let cache = create(device, data.as_deref())?;
        Some(Self { cache, path, saved: Mutex::new(data.as_deref().map_or(0, Checksum::of)) })
    }

    /// For pipeline descriptors.
    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file anew if there is something new.
    pub(super) fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let sum = Checksum::of(&data);
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved != sum && write(&self.path, &seal(MAGIC, &data)).is_ok() {
            *saved = sum;
        }
    }
}

#[expect(
    unsafe_code,
    reason = "wgpu cannot prove that the data is what it once returned; our checksum and its header do"
)]
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> Option<wgpu::PipelineCache> {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("wgrad"), data, fallback: true };
    // SAFETY: the data was returned by `get_data` and has not changed since: `unseal` compares a checksum written with
    // it. Data of another adapter, driver or wgpu is told by wgpu's own header, and `fallback` then drops it.
    scoped(device, || unsafe { device.create_pipeline_cache(&descriptor) }).ok()
}

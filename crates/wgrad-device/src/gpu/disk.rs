//! The driver's compiled kernels, kept between runs where wgpu can (Vulkan). A missing, unreadable or damaged file means
//! compiling again, nothing else.

use super::adapters::AdapterReport;
use super::health::scoped;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A pipeline cache with its file.
pub(super) struct DiskCache {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    /// Checksum of what the file holds, to leave it alone while nothing changes.
    saved: Mutex<u64>,
}

impl DiskCache {
    /// The adapter's cache, if the device has the feature and there is a folder for it. `WGRAD_CACHE_DIR` names another
    /// folder; empty, it turns the cache off.
    pub(super) fn open(device: &wgpu::Device, adapter: &AdapterReport) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder()?.join(file_name(adapter));
        let data = std::fs::read(&path).ok().and_then(|file| unseal(&file).map(<[u8]>::to_vec));
        let cache = create(device, data.as_deref())?;
        Some(Self { cache, path, saved: Mutex::new(data.as_deref().map_or(0, checksum)) })
    }

    /// For pipeline descriptors.
    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file anew if there is something new.
    pub(super) fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let sum = checksum(&data);
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved != sum && write(&self.path, &seal(&data)).is_ok() {
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

/// Written to a file of its own first, then renamed: readers see the old file or the new one.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let fresh = path.with_extension(format!("{}-{count}.tmp", std::process::id()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let written = std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        // Nothing is lost if even that fails.
        drop(std::fs::remove_file(&fresh));
    }
    written
}

fn folder() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(own) = var("WGRAD_CACHE_DIR") {
        return (!own.as_os_str().is_empty()).then_some(own);
    }
    let home = || var("HOME").filter(|p| p.is_absolute());
    let base = match std::env::consts::OS {
        "windows" => var("LOCALAPPDATA"),
        "macos" => home().map(|h| h.join("Library/Caches")),
        _ => var("XDG_CACHE_HOME").filter(|p| p.is_absolute()).or_else(|| home().map(|h| h.join(".cache"))),
    };
    base.map(|b| b.join("wgrad"))
}

/// By adapter and driver: an updated driver starts afresh.
fn file_name(adapter: &AdapterReport) -> String {
    let driver = checksum(format!("{} {}", adapter.name, adapter.driver).as_bytes());
    format!("pipelines-{:08x}-{:08x}-{driver:016x}.bin", adapter.vendor, adapter.device)
}

const MAGIC: &[u8; 8] = b"wgradpc1";

fn seal(data: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), &checksum(data).to_le_bytes(), data].concat()
}

fn unseal(file: &[u8]) -> Option<&[u8]> {
    let (sum, data) = file.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    (checksum(data) == u64::from_le_bytes(*sum)).then_some(data)
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &b| (sum ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_no_file() {
        let sealed = seal(b"compiled");
        assert_eq!(unseal(&sealed), Some(b"compiled".as_slice()));
        for i in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[i] ^= 1;
            assert_eq!(unseal(&damaged), None, "byte {i}");
            assert_eq!(unseal(&sealed[..i]), None, "cut at {i}");
        }
    }

    #[test]
    fn writing_replaces_and_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("wgrad-disk-{}", std::process::id()));
        let path = folder.join("sub").join("cache.bin");
        write(&path, b"one").expect("a temporary folder can be written");
        write(&path, b"two").expect("a temporary folder can be written");
        assert_eq!(std::fs::read(&path).ok().as_deref(), Some(b"two".as_slice()));
        let files = std::fs::read_dir(path.parent().expect("a folder")).expect("the folder is there").count();
        assert_eq!(files, 1);
        assert!(write(&folder.join("sub").join("cache.bin").join("under a file"), b"x").is_err());
        std::fs::remove_dir_all(&folder).expect("our own folder");
    }
}

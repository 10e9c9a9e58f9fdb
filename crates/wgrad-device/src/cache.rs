//! Files kept between runs: their folder, names and format. A damaged file counts as missing.

use crate::AdapterReport;
use std::path::{Path, PathBuf};
use wgrad_types::Checksum;

/// Written to a file of its own first, then renamed: readers see either the old file or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let fresh = path.with_extension(format!("{}-{count}.tmp", std::process::id()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let written = std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        // A leftover file does no harm.
        drop(std::fs::remove_file(&fresh));
    }
    written
}

/// Folder of files kept between runs, if any: `WGRAD_CACHE_DIR`, else the system's cache folder. If the
/// variable is empty, nothing is kept.
pub(crate) fn folder() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(own) = crate::variables::read().cache_dir {
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

/// A file's name by adapter and driver: an updated driver starts afresh.
pub(crate) fn file_name(kind: &str, adapter: &AdapterReport) -> String {
    let driver = Checksum::of(format!("{} {}", adapter.name, adapter.driver).as_bytes());
    format!("{kind}-{:08x}-{:08x}-{driver:016x}.bin", adapter.vendor, adapter.device)
}

/// Data behind a magic word of eight letters and a checksum.
pub(crate) fn seal(magic: &[u8; 8], data: &[u8]) -> Vec<u8> {
    [magic.as_slice(), &Checksum::of(data).to_le_bytes(), data].concat()
}

/// The sealed data; `None` if the file is damaged or another kind of file.
pub(crate) fn unseal<'f>(magic: &[u8; 8], file: &'f [u8]) -> Option<&'f [u8]> {
    let (sum, data) = file.strip_prefix(magic)?.split_first_chunk::<8>()?;
    (Checksum::of(data) == u64::from_le_bytes(*sum)).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: &[u8; 8] = b"wgradxx1";

    #[test]
    fn cache_damaged_file_counts_as_missing() {
        let sealed = seal(MAGIC, b"compiled");
        assert_eq!(unseal(MAGIC, &sealed), Some(b"compiled".as_slice()));
        for i in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[i] ^= 1;
            assert_eq!(unseal(MAGIC, &damaged), None, "byte {i}");
            assert_eq!(unseal(MAGIC, &sealed[..i]), None, "cut at {i}");
        }
    }

    #[test]
    fn cache_write_replaces_and_leaves_no_temporary() {
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

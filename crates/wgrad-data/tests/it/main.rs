//! The crate's promises, checked from outside: every source, every message, and reproducible loading.

mod folders;
mod idx_and_cifar;
mod loading;
mod pipeline;
mod texts;

use std::path::{Path, PathBuf};

use wgrad_data::{SourceOptions, Splits};

pub(crate) const PROGRESSIVE: &[u8] = include_bytes!("../fixtures/progressive.jpg");
pub(crate) const BASELINE: &[u8] = include_bytes!("../fixtures/baseline.jpg");
pub(crate) const TURNED: &[u8] = include_bytes!("../fixtures/turned.jpg");

/// Writes a file and the folders above it.
pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Writes an image of one colour in the format its name asks for.
pub(crate) fn paint(path: impl AsRef<Path>, width: u32, height: u32, color: [u8; 3]) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(width, height, image::Rgb(color)).save(path).unwrap();
}

pub(crate) fn open(kind: &str, dir: &Path, options: &SourceOptions) -> Result<Splits, String> {
    wgrad_data::open(&format!("{kind}:{}", dir.display()), options).map_err(|error| {
        let message = error.to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        message.replace(&format!("{}/", dir.display()), "").replace(&dir.display().to_string(), "DIR")
    })
}

pub(crate) fn refusal(kind: &str, dir: &Path) -> String {
    open(kind, dir, &SourceOptions::default()).unwrap_err()
}

/// A folder of `n` tiny images for each of two classes, told apart by their red value.
pub(crate) fn two_classes(n: u8) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..n {
        paint(dir.path().join(format!("cat/{i:03}.png")), 8, 8, [i, 0, 0]);
        paint(dir.path().join(format!("dog/{i:03}.png")), 8, 8, [100 + i, 0, 0]);
    }
    let path = dir.path().to_owned();
    (dir, path)
}

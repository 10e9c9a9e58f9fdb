//! Pictures as PNG files.

use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};
use wgrad::Result;

/// Pixels between the tiles of a sheet.
const GAP: usize = 2;

/// Folder for the pictures of examples: the first argument, or `wgrad-examples` among the system's temporary files. It is
/// created if missing.
///
/// # Errors
/// If it cannot be created.
pub fn picture_dir() -> Result<PathBuf> {
    let default = || std::env::temp_dir().join("wgrad-examples");
    let dir = std::env::args_os().nth(1).map_or_else(default, PathBuf::from);
    std::fs::create_dir_all(&dir).map_err(|e| refused(&dir, &e))?;
    Ok(dir)
}

/// The disk's refusal, with the path.
pub(crate) fn refused(path: &Path, why: &dyn std::error::Error) -> std::io::Error {
    std::io::Error::other(format!("{} cannot be written: {why}", path.display()))
}

/// Writes square tiles of grey levels (each tile's smallest is black, its largest white) side by side, `columns` per row,
/// every pixel `zoom` times as large.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If a tile is no square, or there are none: a caller's bug.
pub fn sheet(path: &Path, tiles: &[&[f32]], columns: usize, zoom: usize) -> Result<()> {
    let side = tiles[0].len().isqrt();
    assert!(tiles.iter().all(|t| t.len() == side * side), "tiles are squares of one size");
    let cell = side * zoom + GAP;
    let rows = tiles.len().div_ceil(columns);
    let size = |n: usize| (n * cell + GAP) as u32;
    let mut image = RgbImage::from_pixel(size(columns.min(tiles.len())), size(rows), Rgb([255; 3]));
    for (i, tile) in tiles.iter().enumerate() {
        let (left, top) = (GAP + i % columns * cell, GAP + i / columns * cell);
        let levels = stretched(tile);
        for y in 0..side * zoom {
            for x in 0..side * zoom {
                let level = (levels[y / zoom * side + x / zoom] * 255.0).round() as u8;
                image.put_pixel((left + x) as u32, (top + y) as u32, Rgb([level; 3]));
            }
        }
    }
    Ok(image.save(path).map_err(|e| refused(path, &e))?)
}

/// Values moved and scaled to span 0 to 1; all 0 if they are all alike.
fn stretched(values: &[f32]) -> Vec<f32> {
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let range = if high > low { high - low } else { 1.0 };
    values.iter().map(|v| (v - low) / range).collect()
}

/// Overlay of a map on a dimmed picture: bright where `weight` is large.
pub fn blended(picture: &[f32], weight: &[f32]) -> Vec<f32> {
    stretched(picture).iter().zip(stretched(weight)).map(|(p, w)| 0.3 * p + 0.7 * w).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_its_tiles_where_they_belong() {
        let path = std::env::temp_dir().join(format!("wgrad-sheet-{}.png", std::process::id()));
        let (dark, light) = ([0.0, 1.0, 0.0, 0.0], [5.0, 5.0, 5.0, 9.0]);
        sheet(&path, &[&dark, &light, &dark], 2, 3).expect("written");
        let image = image::open(&path).expect("readable").into_luma8();
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(image.dimensions(), (2 * 8 + 2, 2 * 8 + 2));
        let at = |x: u32, y: u32| image.get_pixel(x, y).0[0];
        // Tile 0: its second pixel is white; tile 1: its last; the fourth place is empty.
        assert_eq!((at(2, 2), at(5, 2), at(2, 5)), (0, 255, 0));
        assert_eq!((at(10, 2), at(13, 5), at(10, 10)), (0, 255, 255));
    }
}

//! One image file to bytes: JPEG (baseline and progressive), PNG, GIF (first frame), WebP and BMP, told apart by
//! content, turned upright by their EXIF orientation.
//!
//! Alpha is dropped, 16-bit samples become 8-bit, and colour becomes grey by the ITU-R 601 weights of PIL's `L`.
//! Never resizes, and never trusts a file: a decoder that panics is a file that does not decode.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};

use crate::error::{DataError, panic_text};

/// An 8-bit image, rows first, channels innermost (HWC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `height * width * channels` bytes.
    pub data: Vec<u8>,
}

impl Image {
    /// A black image.
    pub(crate) fn black(width: usize, height: usize, channels: usize) -> Self {
        Self { width, height, channels, data: vec![0; width * height * channels] }
    }

    /// The same picture with 1 or 3 channels.
    pub(crate) fn with_channels(self, channels: usize) -> Self {
        let data = match (self.channels, channels) {
            (1, 3) => self.data.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => self.data.as_chunks().0.iter().map(|&rgb| luma(rgb)).collect(),
            _ => return self,
        };
        Self { channels, data, ..self }
    }
}

/// Grey of a colour, rounded as PIL's `convert("L")` does.
pub(crate) fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

/// What a header tells.
pub(crate) struct Header {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) grey: bool,
}

/// Decodes `path` into `channels` (1 or 3) channels at its own size.
///
/// # Errors
/// [`DataError::Io`] if the file cannot be read, [`DataError::Decode`] if it is no whole image, and
/// [`DataError::Invalid`] for other channel counts.
pub fn decode_image(path: impl AsRef<Path>, channels: usize) -> Result<Image, DataError> {
    let path = path.as_ref();
    check_channels(channels)?;
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    if is_cut_jpeg(&bytes) {
        return Err(DataError::decode(path, "the jpeg ends early"));
    }
    let image = shielded(path, || {
        let mut decoder = reader(&bytes)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        // Refuses a header that promises more than half a gigabyte.
        image::Limits::default().reserve(decoder.total_bytes())?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let image = if picture.color().has_color() {
            Image { width, height, channels: 3, data: picture.into_rgb8().into_raw() }
        } else {
            Image { width, height, channels: 1, data: picture.into_luma8().into_raw() }
        };
        Ok(image)
    })?;
    if image.data.is_empty() {
        return Err(DataError::decode(path, "it has no pixels"));
    }
    Ok(image.with_channels(channels))
}

/// Reads only as much of `path` as its header needs.
pub(crate) fn probe(path: &Path) -> Result<Header, DataError> {
    /// Holds the header of nearly every file, an EXIF thumbnail included.
    const HEAD: u64 = 256 << 10;
    let io = |e| DataError::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut bytes).map_err(io)?;
    let header = |bytes: &[u8]| {
        shielded(path, || {
            let mut decoder = reader(bytes)?;
            let (width, height) = decoder.dimensions();
            let grey = !decoder.color_type().has_color();
            let turned = matches!(
                decoder.orientation().unwrap_or(Orientation::NoTransforms),
                Orientation::Rotate90
                    | Orientation::Rotate270
                    | Orientation::Rotate90FlipH
                    | Orientation::Rotate270FlipH
            );
            let (width, height) = if turned { (height, width) } else { (width, height) };
            Ok(Header { width: width as usize, height: height as usize, grey })
        })
    };
    let from_head = header(&bytes);
    if from_head.is_ok() || (bytes.len() as u64) < HEAD {
        return from_head;
    }
    file.read_to_end(&mut bytes).map_err(io)?;
    header(&bytes)
}

pub(crate) fn check_channels(channels: usize) -> Result<(), DataError> {
    match channels {
        1 | 3 => Ok(()),
        other => Err(DataError::invalid("channels", other, "1 (grey) or 3 (colour)")),
    }
}

/// A decoder chosen by the file's content: an extension may lie.
fn reader(bytes: &[u8]) -> image::ImageResult<impl ImageDecoder + '_> {
    ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()
}

/// Runs a decoder; its panic, like its error, is the file's fault.
fn shielded<T>(path: &Path, decode: impl FnOnce() -> image::ImageResult<T>) -> Result<T, DataError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(image::ImageError::Unsupported(_))) => Err(DataError::decode(path, "not an image this reads")),
        Ok(Err(error)) => Err(DataError::decode(path, error)),
        Err(panic) => Err(DataError::decode(path, format!("its decoder panicked: {}", panic_text(&*panic)))),
    }
}

/// Does the entropy-coded part of a JPEG lack its end marker?
///
/// The decoder fills what is missing with grey and reports success, which would train on half pictures unnoticed.
/// Headers are walked by length, as an EXIF thumbnail has an end marker of its own; after the first scan starts,
/// the two bytes can only be the end marker. Anything odd is left to the decoder to judge.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    let Some(mut rest) = bytes.strip_prefix(&[0xFF, 0xD8]) else { return false };
    loop {
        match rest {
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            [0xFF, 0xDA, scan @ ..] => return !scan.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]),
            [0xFF, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(after) = rest.get(2 + length..) else { return true };
                rest = after;
            }
            _ => return rest.len() < 4,
        }
    }
}

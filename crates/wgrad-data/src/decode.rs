//! One image file to bytes: JPEG (baseline and progressive), PNG, GIF (first frame), WebP and BMP, told apart by
//! content, turned upright by their EXIF orientation.
//!
//! Alpha is dropped, 16-bit samples become 8-bit by a range ([`Levels`]), and colour becomes grey by the
//! ITU-R 601 weights of PIL's `L`. Never resizes, and never trusts a file: a panic of the decoder is a
//! decoding error.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};

use crate::error::{DataError, panic_text};
use crate::{format, parallel};

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

    /// Refuses an image without pixels, or with other bytes than its size and channels tell.
    ///
    /// # Errors
    /// [`DataError::Invalid`].
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let Self { width, height, channels, ref data } = *self;
        check_channels(channels)?;
        if data.is_empty()
            || Some(data.len()) != width.checked_mul(height).and_then(|n| n.checked_mul(channels))
        {
            let what = format!("{height}x{width}x{channels} in {} bytes", data.len());
            return Err(DataError::invalid("image", what, "height x width x channels bytes, and not empty"));
        }
        Ok(())
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

/// Contents of a header.
pub(crate) struct Header {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) grey: bool,
    /// 16 bits per sample.
    pub(crate) deep: bool,
}

/// Range of 16-bit samples mapped to 0 to 255: cameras and scanners often use only a part of 16 bits, and
/// taking the upper byte alone would drop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Samples up to this one become 0.
    pub low: u16,
    /// Samples from this one on become 255.
    pub high: u16,
}

impl Levels {
    /// All of 16 bits.
    pub const WHOLE: Self = Self { low: 0, high: u16::MAX };

    fn byte(self, sample: u16) -> u8 {
        let span = u32::from(self.high.saturating_sub(self.low)).max(1);
        let above = u32::from(sample.clamp(self.low, self.high.max(self.low)) - self.low);
        ((above * 255 + span / 2) / span).min(255) as u8
    }

    /// One line for the user about the conversion of `pictures` out of `of` pictures.
    pub(crate) fn summary(self, pictures: usize, of: usize) -> String {
        let (Self { low, high }, plural) = (self, if pictures == 1 { " has" } else { "s have" });
        let range = if self == Self::WHOLE { "all there is" } else { "the range in use" };
        let mixed = match of.saturating_sub(pictures) {
            0 => String::new(),
            n => format!("; {n} with 8 bits are read as they are, so the two may differ in brightness"),
        };
        format!(
            "{pictures} picture{plural} 16 bits per sample: {low} to {high}, {range}, become 0 to 255, in steps of {:.3}{mixed}",
            f64::from(high.abs_diff(low)) / 255.0
        )
    }

    /// Range in use over the 16-bit files among these, without the 10,000th part of pixels at both ends,
    /// possibly hot or dead; `None` if there are none. Damaged files are skipped: they are reported when they
    /// are read.
    pub(crate) fn in_use(paths: &[&Path]) -> Option<Self> {
        let found = parallel::map(paths.len(), |i| {
            let bytes = std::fs::read(paths[i]).ok()?;
            let (channels, mut samples) = match picture(paths[i], &bytes).ok()? {
                picture if picture.color().has_color() => (3, picture.into_rgb16().into_raw()),
                picture => (1, picture.into_luma16().into_raw()),
            };
            let n = samples.len();
            let odd = (channels * (1 + n / channels / 10_000)).min(n / 8);
            let (_, &mut low, _) = samples.select_nth_unstable(odd);
            let (_, &mut high, _) = samples.select_nth_unstable(n - 1 - odd);
            Some(Self { low, high })
        });
        let join = |a: Self, b: Self| Self { low: a.low.min(b.low), high: a.high.max(b.high) };
        // Pictures of one level have no range.
        found
            .into_iter()
            .flatten()
            .reduce(join)
            .map(|all| if all.low == all.high { Self::WHOLE } else { all })
    }
}

/// Decodes `path` into `channels` (1 or 3) channels at its own size; all of 16 bits is scaled to 8.
///
/// # Errors
/// [`DataError::Io`] if the file cannot be read, [`DataError::Decode`] if it is no whole image, and
/// [`DataError::Invalid`] for other channel counts.
pub fn decode_image(path: impl AsRef<Path>, channels: usize) -> Result<Image, DataError> {
    decode_levels(path, channels, Levels::WHOLE)
}

/// [`decode_image`] with this range of 16-bit samples scaled to 8 bits.
///
/// # Errors
/// As [`decode_image`].
pub fn decode_levels(path: impl AsRef<Path>, channels: usize, levels: Levels) -> Result<Image, DataError> {
    let path = path.as_ref();
    check_channels(channels)?;
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    let picture = picture(path, &bytes)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let colour = picture.color().has_color();
    let bytes = |samples: Vec<u16>| samples.into_iter().map(|sample| levels.byte(sample)).collect();
    let data: Vec<u8> = match (is_deep(picture.color()), colour) {
        (true, true) => bytes(picture.into_rgb16().into_raw()),
        (true, false) => bytes(picture.into_luma16().into_raw()),
        (false, true) => picture.into_rgb8().into_raw(),
        (false, false) => picture.into_luma8().into_raw(),
    };
    Ok(Image { width, height, channels: if colour { 3 } else { 1 }, data }.with_channels(channels))
}

fn is_deep(color: ColorType) -> bool {
    matches!(color, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16)
}

/// The picture in a file, upright, in its own sample format.
pub(crate) fn picture(path: &Path, bytes: &[u8]) -> Result<DynamicImage, DataError> {
    if let Some(fault) = format::jpeg_fault(bytes) {
        return Err(DataError::decode(path, fault));
    }
    let picture = shielded(path, bytes, || {
        let mut decoder = reader(bytes)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        // Refuses headers promising more than half a gigabyte.
        image::Limits::default().reserve(decoder.total_bytes())?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        Ok(picture)
    })?;
    match picture.width() == 0 || picture.height() == 0 {
        true => Err(DataError::decode(path, "it has no pixels")),
        false => Ok(picture),
    }
}

/// First bytes of a file, enough to tell its format.
pub(crate) fn head(path: &Path) -> Result<Vec<u8>, DataError> {
    let io = |e| DataError::io(path, e);
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(64).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
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
        shielded(path, bytes, || {
            let mut decoder = reader(bytes)?;
            let (width, height) = decoder.dimensions();
            let (grey, deep) = (!decoder.color_type().has_color(), is_deep(decoder.color_type()));
            let turned = matches!(
                decoder.orientation().unwrap_or(Orientation::NoTransforms),
                Orientation::Rotate90
                    | Orientation::Rotate270
                    | Orientation::Rotate90FlipH
                    | Orientation::Rotate270FlipH
            );
            let (width, height) = if turned { (height, width) } else { (width, height) };
            Ok(Header { width: width as usize, height: height as usize, grey, deep })
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

/// Runs a decoder on a file's bytes; a panic becomes an error of the file.
pub(crate) fn shielded<T>(
    path: &Path,
    bytes: &[u8],
    decode: impl FnOnce() -> image::ImageResult<T>,
) -> Result<T, DataError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(image::ImageError::Unsupported(_))) => {
            let why = match format::foreign(bytes) {
                Some(name) => format!("it is a {name} image, and only {} are read", format::READ),
                None => "not an image this reads".into(),
            };
            Err(DataError::decode(path, why))
        }
        Ok(Err(error)) => Err(DataError::decode(path, error)),
        Err(panic) => Err(DataError::decode(path, format!("its decoder panicked: {}", panic_text(&*panic)))),
    }
}

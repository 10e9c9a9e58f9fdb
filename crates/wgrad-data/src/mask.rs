//! From mask files to labels: a palette's index, a grey level of 8 or 16 bits, or a colour; and from
//! predicted masks to PNG files with the same labels.
//!
//! Labels are never compared by brightness: two colours with the same grey stay two labels. A mask's labels
//! are gathered at its own size, so they do not depend on the model's input size.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use image::codecs::bmp::BmpDecoder;
use image::error::{DecodingError, ImageFormatHint};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageResult};

use crate::decode::{picture, shielded};
use crate::error::DataError;

/// Maximum number of labels in one mask; with more of them they are no classes.
const MOST_LABELS: usize = 255;

/// Label of a mask's pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Label {
    /// A grey level, or a palette's index with its colour.
    Number(u16, Option<[u8; 3]>),
    /// A colour of a three-channel file.
    Colour([u8; 3]),
}

/// A mask at its own size.
pub(crate) struct Mask {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// An index into `labels` per pixel.
    pub(crate) pixels: Vec<u8>,
    /// Labels in use.
    pub(crate) labels: Vec<Label>,
    /// There are more labels than `labels` holds.
    pub(crate) overflow: bool,
    /// The file is a JPEG, with inexact levels.
    pub(crate) lossy: bool,
}

impl Mask {
    fn of<T: Copy + Eq + std::hash::Hash>(
        (width, height): (usize, usize),
        samples: &[T],
        label: impl Fn(T) -> Label,
    ) -> Self {
        let mut known: HashMap<T, u8> = HashMap::new();
        let (mut labels, mut overflow) = (Vec::new(), false);
        let mut last: Option<(T, u8)> = None;
        let mut index = |sample: T| {
            if let Some((_, at)) = last.filter(|l| l.0 == sample) {
                return at;
            }
            let at = match known.get(&sample) {
                Some(&at) => at,
                None if labels.len() == MOST_LABELS => {
                    overflow = true;
                    0
                }
                None => {
                    labels.push(label(sample));
                    known.insert(sample, labels.len() as u8 - 1);
                    labels.len() as u8 - 1
                }
            };
            last = Some((sample, at));
            at
        };
        let pixels = samples.iter().map(|&sample| index(sample)).collect();
        Self { width, height, pixels, labels, overflow, lossy: false }
    }
}

/// Reads a mask.
///
/// # Errors
/// As [`crate::decode_image`], and for 16-bit colours beyond 8 bits.
pub(crate) fn read(path: &Path) -> Result<Mask, DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    let format = image::guess_format(&bytes).ok();
    let indexed = shielded(path, &bytes, || match format {
        Some(ImageFormat::Png) => png_indices(&bytes),
        Some(ImageFormat::Gif) => gif_indices(&bytes),
        Some(ImageFormat::Bmp) => bmp_indices(&bytes),
        _ => Ok(None),
    })?;
    if let Some(Indexed { size, indices, palette }) = indexed {
        if indices.is_empty() {
            return Err(DataError::decode(path, "it has no pixels"));
        }
        let colour = |index: u8| palette.get(usize::from(index)).copied().unwrap_or_default();
        return Ok(Mask::of(size, &indices, |i| Label::Number(u16::from(i), Some(colour(i)))));
    }
    let picture = picture(path, &bytes)?;
    let size = (picture.width() as usize, picture.height() as usize);
    let colours = |samples: Vec<u8>| Mask::of(size, samples.as_chunks::<3>().0, Label::Colour);
    let lossy = format == Some(ImageFormat::Jpeg);
    let mask = match picture {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) => {
            let samples = picture.into_luma8().into_raw();
            Mask::of(size, &samples, |level| Label::Number(u16::from(level), None))
        }
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
            Mask::of(size, &picture.into_luma16().into_raw(), |level| Label::Number(level, None))
        }
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            let samples = picture.into_rgb16().into_raw();
            if samples.iter().any(|sample| !sample.is_multiple_of(257)) {
                let why = "a mask's colours must have 8 bits per channel, its levels 8 or 16";
                return Err(DataError::decode(path, why));
            }
            colours(samples.iter().map(|sample| (sample / 257) as u8).collect())
        }
        picture => colours(picture.into_rgb8().into_raw()),
    };
    Ok(Mask { lossy, ..mask })
}

/// A picture of palette indices.
struct Indexed {
    size: (usize, usize),
    indices: Vec<u8>,
    palette: Vec<[u8; 3]>,
}

fn wrong(format: ImageFormat, e: impl std::error::Error + Send + Sync + 'static) -> ImageError {
    ImageError::Decoding(DecodingError::new(ImageFormatHint::Exact(format), e))
}

fn png_indices(bytes: &[u8]) -> ImageResult<Option<Indexed>> {
    let fail = |e| wrong(ImageFormat::Png, e);
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(fail)?;
    let info = reader.info();
    if info.color_type != png::ColorType::Indexed {
        return Ok(None);
    }
    let (width, height) = (info.width as usize, info.height as usize);
    image::Limits::default().reserve(u64::from(info.width) * u64::from(info.height))?;
    let (bits, palette) = (info.bit_depth as usize, info.palette.clone().unwrap_or_default());
    let line = reader.output_line_size(width as u32).unwrap_or(width);
    let mut packed = vec![0; line * height];
    reader.next_frame(&mut packed).map_err(fail)?;
    let sample = |row: &[u8], x: usize| {
        let shift = 8 - bits - x * bits % 8;
        (row[x * bits / 8] >> shift) & (0xFF_u8 >> (8 - bits))
    };
    let indices =
        packed.chunks(line.max(1)).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect();
    Ok(Some(Indexed { size: (width, height), indices, palette: palette.as_chunks().0.to_vec() }))
}

/// Outside a frame smaller than the picture there are no indices: use its colours.
fn gif_indices(bytes: &[u8]) -> ImageResult<Option<Indexed>> {
    let fail = |e| wrong(ImageFormat::Gif, e);
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    let mut decoder = options.read_info(bytes).map_err(fail)?;
    let (width, height) = (decoder.width(), decoder.height());
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let Some(frame) = decoder.read_next_frame().map_err(fail)? else { return Ok(None) };
    if (frame.left, frame.top, frame.width, frame.height) != (0, 0, width, height) {
        return Ok(None);
    }
    let palette = frame.palette.clone().or(global).unwrap_or_default();
    let size = (usize::from(width), usize::from(height));
    Ok(Some(Indexed { size, indices: frame.buffer.to_vec(), palette: palette.as_chunks().0.to_vec() }))
}

fn bmp_indices(bytes: &[u8]) -> ImageResult<Option<Indexed>> {
    let mut decoder = BmpDecoder::new(Cursor::new(bytes))?;
    let Some(palette) = decoder.get_palette().map(<[_]>::to_vec) else { return Ok(None) };
    decoder.set_indexed_color(true);
    let (width, height) = decoder.dimensions();
    image::Limits::default().reserve(decoder.total_bytes())?;
    let mut indices = vec![0; decoder.total_bytes() as usize];
    if indices.len() != width as usize * height as usize {
        return Ok(None);
    }
    decoder.read_image(&mut indices)?;
    Ok(Some(Indexed { size: (width as usize, height as usize), indices, palette }))
}

/// A class's name as a colour: `#rrggbb`.
pub(crate) fn colour_name([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn colour_of(name: &str) -> Option<[u8; 3]> {
    let digits = name.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([r, g, b])
}

/// A predicted mask as a PNG file, read by [`crate::open_masks`] as the same classes: a grey level or a
/// colour per class, indices if the training masks had a palette.
///
/// # Errors
/// [`DataError::Invalid`] if the class names are no mask labels, or the picture is too large for a file.
pub fn mask_png(
    classes: &[u8],
    (height, width): (usize, usize),
    names: &[String],
    palette: Option<&[[u8; 3]]>,
) -> Result<Vec<u8>, DataError> {
    let fail = || DataError::invalid("class names", format!("{names:?}"), "grey levels or #rrggbb of masks");
    let numbers: Option<Vec<u16>> = names.iter().map(|name| name.parse().ok()).collect();
    let colours: Option<Vec<[u8; 3]>> = names.iter().map(|name| colour_of(name)).collect();
    let each =
        |bytes: &dyn Fn(u8) -> Vec<u8>| classes.iter().flat_map(|&class| bytes(class)).collect::<Vec<u8>>();
    let byte = numbers.as_ref().is_some_and(|all| all.iter().all(|&n| n < 256));
    let (color, depth, data) = match (&numbers, &colours) {
        (Some(n), _) if byte => {
            let color = if palette.is_some() { png::ColorType::Indexed } else { png::ColorType::Grayscale };
            (color, png::BitDepth::Eight, each(&|class| vec![n[usize::from(class)] as u8]))
        }
        (Some(n), _) => {
            let level = |class: u8| n[usize::from(class)].to_be_bytes().to_vec();
            (png::ColorType::Grayscale, png::BitDepth::Sixteen, each(&level))
        }
        (None, Some(colours)) => {
            let colour = |class: u8| colours[usize::from(class)].to_vec();
            (png::ColorType::Rgb, png::BitDepth::Eight, each(&colour))
        }
        (None, None) => return Err(fail()),
    };
    let mut file = Vec::new();
    let mut write = || -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if let Some(palette) = palette.filter(|_| color == png::ColorType::Indexed) {
            encoder.set_palette(palette.as_flattened().to_vec());
        }
        encoder.write_header()?.write_image_data(&data)
    };
    match write() {
        Ok(()) => Ok(file),
        Err(e) => {
            Err(DataError::invalid("mask", format!("{width}x{height} pixels: {e}"), "a picture a PNG holds"))
        }
    }
}

//! Image formats by their first bytes, and JPEGs that the decoder would misread without an error.

use image::ImageFormat;

/// Readable formats, for messages.
pub(crate) const READ: &str = "JPEG, PNG, GIF, WebP and BMP";

/// Extensions of readable formats.
const ENDINGS: [&str; 9] = ["jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "bmp", "dib"];

/// Extensions of unreadable image formats.
const OTHERS: [&str; 22] = [
    "tif", "tiff", "heic", "heif", "avif", "jp2", "j2k", "jxl", "psd", "svg", "ico", "tga", "ppm", "pgm",
    "pnm", "exr", "hdr", "dcm", "dng", "cr2", "nef", "arw",
];

/// Kind of a file by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An image this reads, by content or, if it is damaged, by its ending.
    Image,
    /// An image of another format.
    Foreign,
    /// No image.
    Other,
}

/// Kind of a file by its first bytes, then by its extension.
pub(crate) fn kind(head: &[u8], ending: Option<&str>) -> Kind {
    let among = |all: &[&str]| ending.is_some_and(|e| all.iter().any(|known| e.eq_ignore_ascii_case(known)));
    match image::guess_format(head) {
        Ok(format) if format.reading_enabled() => Kind::Image,
        Ok(_) if !among(&ENDINGS) => Kind::Foreign,
        _ if foreign(head).is_some() => Kind::Foreign,
        _ if among(&ENDINGS) => Kind::Image,
        _ if among(&OTHERS) => Kind::Foreign,
        _ => Kind::Other,
    }
}

/// True for the extensions of readable formats.
pub(crate) fn promises(ending: Option<&str>) -> bool {
    ending.is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Name of a known but unreadable format.
pub(crate) fn foreign(head: &[u8]) -> Option<&'static str> {
    let brand = head.get(4..12).unwrap_or_default();
    match image::guess_format(head) {
        Ok(ImageFormat::Tiff) => Some("TIFF"),
        Ok(ImageFormat::Avif) => Some("AVIF"),
        Ok(ImageFormat::Pnm) => Some("PNM"),
        Ok(ImageFormat::OpenExr) => Some("OpenEXR"),
        Ok(ImageFormat::Hdr) => Some("Radiance HDR"),
        Ok(ImageFormat::Ico) => Some("ICO"),
        _ if [b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"].iter().any(|b| brand == *b) => Some("HEIC"),
        _ if head.starts_with(b"\0\0\0\x0cjP  ") => Some("JPEG 2000"),
        _ if head.starts_with(b"\xff\x0a") || head.starts_with(b"\0\0\0\x0cJXL ") => Some("JPEG XL"),
        _ if head.starts_with(b"8BPS") => Some("PSD"),
        _ => None,
    }
}

/// Why the decoder would give a wrong picture of a JPEG without an error.
///
/// Headers are walked by length, as an EXIF thumbnail is a JPEG of its own. Anything odd is left to the decoder to judge.
pub(crate) fn jpeg_fault(bytes: &[u8]) -> Option<&'static str> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
    let mut frame: Option<Frame> = None;
    loop {
        match rest {
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            [0xFF, 0xDA, scan @ ..] => {
                // After the first scan begins, the two bytes can only be the end marker.
                if !scan.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]) {
                    return Some("the jpeg ends early");
                }
                return frame.and_then(|frame| frame.fault(usize::from(*scan.get(2)?)));
            }
            [0xFF, marker, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(after) = rest.get(2 + length..) else { return Some("the jpeg ends early") };
                if let 0xC0..=0xC2 = marker {
                    frame = Frame::read(*marker, &rest[2..2 + length]);
                }
                rest = after;
            }
            _ => return (rest.len() < 4).then_some("the jpeg ends early"),
        }
    }
}

/// Sampling of a JPEG's components.
struct Frame {
    progressive: bool,
    /// Samples across and down of each component.
    sampling: Vec<(u8, u8)>,
}

impl Frame {
    fn read(marker: u8, segment: &[u8]) -> Option<Self> {
        let count = usize::from(*segment.get(7)?);
        let components = segment.get(8..8 + 3 * count)?;
        let sampling = components.chunks(3).map(|c| (c[1] >> 4, c[1] & 15)).collect();
        Some(Self { progressive: marker == 0xC2, sampling })
    }

    /// The decoder's fault on this JPEG, if the first scan holds `in_scan` components.
    fn fault(&self, in_scan: usize) -> Option<&'static str> {
        let first = *self.sampling.first()?;
        let apart = in_scan < self.sampling.len() && !self.progressive;
        if apart && self.sampling.iter().any(|&s| s != first) {
            return Some("its brightness and smaller colour planes are in scans of their own");
        }
        let finer = self.sampling.iter().any(|s| s.0 > first.0 || s.1 > first.1);
        finer.then_some("its brightness is stored coarser than its colour")
    }
}

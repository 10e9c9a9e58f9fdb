//! Pictures with masks, one class per pixel: `masks:DIR` with `DIR/images` and `DIR/masks`.
//!
//! A picture and its mask have the same name but for the extension, and the same size. The labels in use
//! (palette indices, grey levels, colours; see `labels`) are the classes, lowest first. All pictures are held
//! in memory at one size: the picture is scaled with antialiasing, its mask without, since there is no class
//! between two.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::contents::{DEFAULT_VAL_SPLIT, IGNORED_CLASS, SegmentationOptions};
use crate::decode::{Image, Levels, decode_levels, probe};
use crate::error::DataError;
use crate::folder::kind;
use crate::format::{self, Kind};
use crate::labels::{Classes, classes, ignored_name};
use crate::left_out::{LeftOut, is_hidden};
use crate::listing::{entries, folders};
use crate::mask::{self, Mask};
use crate::parallel;
use crate::random::{Purpose, Stream};
use crate::resample::{Region, resize};

/// Label of ignored pixels: `CrossEntropy`'s `ignore_index`, as in PyTorch.
pub const IGNORED: i32 = -100;

/// True for specs of pictures with masks.
pub fn is_masks(spec: &str) -> bool {
    spec.starts_with("masks:")
}

/// A picture and the classes of its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedImage {
    /// The picture, at the size asked for.
    pub picture: Image,
    /// A class per pixel, row by row; 255 for ignored pixels.
    pub classes: Vec<u8>,
}

/// Opened pictures with masks.
#[derive(Debug, Clone)]
pub struct SegmentationData {
    /// The classes' labels, as names: indices, grey levels, or colours as `#rrggbb`.
    pub classes: Vec<String>,
    /// Colour of every palette index, if all masks have palettes.
    pub palette: Option<Vec<[u8; 3]>>,
    /// Channels of every picture.
    pub channels: usize,
    /// Range of 16-bit samples mapped to 0 to 255; `None` if there are no 16-bit pictures.
    pub levels: Option<Levels>,
    /// Training images.
    pub train: Vec<MaskedImage>,
    /// Validation images.
    pub validation: Vec<MaskedImage>,
    /// One line for each thing skipped.
    pub warnings: Vec<String>,
}

/// Form of an ignored label, in words.
pub const IGNORED_LABEL: &str = "one label: an index or grey level from 0 to 65535, or a colour as #rrggbb";

/// Checks an ignored label.
///
/// # Errors
/// If it is neither a number nor a colour.
pub fn check_ignored(label: &str) -> Result<(), DataError> {
    let refused = || DataError::invalid("ignored label", format!("{label:?}"), IGNORED_LABEL);
    ignored_name(label).map(drop).ok_or_else(refused)
}

/// Opens `masks:DIR`.
///
/// # Errors
/// One line of [`DataError`] with the remedy.
pub fn open_masks(spec: &str, options: &SegmentationOptions) -> Result<SegmentationData, DataError> {
    let unknown = || DataError::UnknownSource { spec: spec.to_owned() };
    let dir = Path::new(spec.strip_prefix("masks:").filter(|dir| !dir.is_empty()).ok_or_else(unknown)?);
    let share = options.val_split.unwrap_or(DEFAULT_VAL_SPLIT);
    if !(share > 0.0 && share < 1.0) {
        return Err(DataError::invalid("`val_split`", share, "between 0 and 1, as in 0.2"));
    }
    if let Some(label) = options.ignore.as_ref() {
        check_ignored(label)?;
    }
    let mut opening = Opening { strict: options.strict, warnings: Vec::new() };
    let pairs = opening.pairs(dir)?;
    let headers = parallel::map(pairs.len(), |i| probe(&pairs[i].0));
    let pairs = opening.whole(pairs.into_iter().zip(headers))?;
    let grey = pairs.iter().all(|(_, header)| header.grey);
    let channels = options.channels.unwrap_or(if grey { 1 } else { 3 });
    let deep: Vec<&Path> = pairs.iter().filter(|p| p.1.deep).map(|p| p.0.0.as_path()).collect();
    let levels = options.levels.or_else(|| {
        let found = Levels::in_use(&deep)?;
        opening.warnings.push(found.summary(deep.len(), pairs.len()));
        Some(found)
    });
    let range = levels.unwrap_or(Levels::WHOLE);
    let loaded = parallel::map(pairs.len(), |i| load(&pairs[i].0, channels, range, options.size));
    let loaded = opening.whole(pairs.into_iter().map(|pair| pair.0).zip(loaded))?;
    if loaded.len() < 2 {
        let skipped = opening.warnings.iter().find(|w| w.starts_with("skipped")).map(|w| format!(" ({w})"));
        let found = format!("{} in {}{}", loaded.len(), dir.display(), skipped.unwrap_or_default());
        return Err(DataError::invalid("number of pictures with masks", found, "at least 2"));
    }
    let masks: Vec<(&Path, &Mask)> =
        loaded.iter().map(|((_, path), (_, mask))| (path.as_path(), mask)).collect();
    let Classes { names, of, palette, warnings } = classes(&masks, &dir.join("masks"), options)?;
    opening.warnings.extend(warnings);
    let mut all: Vec<MaskedImage> = loaded
        .into_iter()
        .zip(of)
        .map(|((_, (picture, mask)), of)| {
            let classes = mask.pixels.iter().map(|&label| of[usize::from(label)]).collect();
            MaskedImage { picture, classes }
        })
        .collect();
    Stream::new(Purpose::HoldOut, options.seed, 0, 0).shuffle(&mut all);
    let held_out = ((all.len() as f64 * share).round() as usize).clamp(1, all.len() - 1);
    let train = all.split_off(held_out);
    let warnings = opening.warnings;
    Ok(SegmentationData { classes: names, palette, channels, levels, train, validation: all, warnings })
}

/// A picture's file and its mask's.
type Pair = (PathBuf, PathBuf);

/// State gathered while files are read.
struct Opening {
    strict: bool,
    warnings: Vec<String>,
}

impl Opening {
    /// The readable pairs; damaged ones are named, or refused if strict.
    fn whole<T>(
        &mut self,
        found: impl Iterator<Item = (Pair, Result<T, DataError>)>,
    ) -> Result<Vec<(Pair, T)>, DataError> {
        let mut whole = Vec::new();
        for (pair, result) in found {
            match result {
                Ok(read) => whole.push((pair, read)),
                Err(error) if self.strict || !error.blames_one_file() => return Err(error),
                Err(error) => {
                    self.warnings.push(format!("skipped a picture with its mask: {error}"));
                }
            }
        }
        Ok(whole)
    }

    /// Images of a folder by name without extension.
    fn files(&mut self, dir: &Path, left_out: &mut LeftOut) -> Result<BTreeMap<String, PathBuf>, DataError> {
        if !dir.is_dir() {
            let hint = "put pictures into DIR/images and their masks, of the same names, into DIR/masks";
            return Err(DataError::Missing { path: dir.to_owned(), hint });
        }
        let mut paths: Vec<PathBuf> = entries(dir)?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        let mut files = BTreeMap::new();
        for path in paths {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let Some(stem) = stem.filter(|_| path.is_file() && !is_hidden(&path)) else {
                left_out.add(&path);
                continue;
            };
            match kind(&path) {
                Kind::Image => {
                    if let Some(first) = files.get(&stem) {
                        let (first, path): (&PathBuf, _) = (first, path.display());
                        let why = format!("{path} has the name of {}: it is left out", first.display());
                        self.warnings.push(why);
                    } else {
                        files.insert(stem, path);
                    }
                }
                Kind::Foreign if self.strict => {
                    return Err(DataError::decode(&path, format!("only {} are read", format::READ)));
                }
                Kind::Foreign | Kind::Other => left_out.add(&path),
            }
        }
        Ok(files)
    }

    /// Pictures with their masks, by name.
    fn pairs(&mut self, dir: &Path) -> Result<Vec<Pair>, DataError> {
        let mut left_out = LeftOut::default();
        let pictures = self.files(&dir.join("images"), &mut left_out)?;
        let mut masks = self.files(&dir.join("masks"), &mut left_out)?;
        let mut seen = format!("{} pictures, {} masks", pictures.len(), masks.len());
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
        if let (Some((_, picture)), Some((_, mask))) = (pictures.first_key_value(), masks.first_key_value())
            && !pictures.keys().any(|stem| masks.contains_key(stem))
        {
            seen += &format!(", no names in common, as {} and {}", name(picture), name(mask));
        }
        for side in ["images", "masks"] {
            if let Some(first) = folders(&dir.join(side))?.first() {
                seen += &format!(", and {side}/{first}, a folder, which is not read");
            }
        }
        let mut pairs = Vec::new();
        for (stem, picture) in pictures {
            match masks.remove(&stem) {
                Some(mask) => pairs.push((picture, mask)),
                None => self.warnings.push(format!("{} has no mask: it is left out", picture.display())),
            }
        }
        let lone = masks.values().map(|mask| format!("{} has no picture: it is left out", mask.display()));
        self.warnings.extend(lone);
        self.warnings.extend(left_out.line(dir, &format!("only {} are read", format::READ)));
        if pairs.len() < 2 {
            let found = format!("{} in {} ({seen})", pairs.len(), dir.display());
            return Err(DataError::invalid("number of pictures with masks", found, "at least 2"));
        }
        Ok(pairs)
    }
}

/// A picture and its mask at the requested size; the mask's labels are all known.
fn load(
    (picture, mask): &Pair,
    channels: usize,
    levels: Levels,
    (height, width): (usize, usize),
) -> Result<(Image, Mask), DataError> {
    let image = decode_levels(picture, channels, levels)?;
    let found = mask::read(mask)?;
    if (image.width, image.height) != (found.width, found.height) {
        let size = |width: usize, height: usize| format!("{width}x{height}");
        let (path, picture) = (mask.clone(), size(image.width, image.height));
        return Err(DataError::MaskSize { path, mask: size(found.width, found.height), picture });
    }
    let pixels = resized_mask(&found.pixels, (found.height, found.width), (height, width));
    Ok((resize(&image, Region::whole(&image), width, height), Mask { pixels, ..found }))
}

/// A mask of one height and width at another: each pixel is the one under its middle.
pub fn resized_mask(levels: &[u8], (h, w): (usize, usize), (height, width): (usize, usize)) -> Vec<u8> {
    let along = |at: usize, n: usize, of: usize| (2 * at + 1) * of / (2 * n);
    let under = |i: usize| levels[along(i / width, height, h) * w + along(i % width, width, w)];
    (0..height * width).map(under).collect()
}

/// A picture without a mask, all of its pixels of class 0; and its own height and width.
///
/// # Errors
/// If the file does not decode.
pub fn open_picture(
    path: &Path,
    channels: usize,
    levels: Levels,
    (height, width): (usize, usize),
) -> Result<(MaskedImage, (usize, usize)), DataError> {
    let image = decode_levels(path, channels, levels)?;
    let picture = resize(&image, Region::whole(&image), width, height);
    Ok((MaskedImage { picture, classes: vec![0; height * width] }, (image.height, image.width)))
}

/// Images and masks as model input.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskedBatch {
    /// `rows` x channels x height x width normalised floats.
    pub pictures: Vec<f32>,
    /// `rows` x height x width classes, [`IGNORED`] for ignored pixels.
    pub classes: Vec<i32>,
    /// Images in the batch.
    pub rows: usize,
}

/// Mean and standard deviation per channel over images, of values in [0, 1].
pub fn masked_image_moments(images: &[MaskedImage], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let moments = |c: usize| {
        let values = || {
            let all = images.iter().flat_map(|s| s.picture.data.iter().skip(c).step_by(channels));
            all.map(|&v| f64::from(v) / 255.0)
        };
        let n = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / n;
        let std = (values().map(|v| v * v).sum::<f64>() / n - mean * mean).max(0.0).sqrt();
        (mean as f32, if std < 1e-4 { 1.0 } else { std as f32 })
    };
    (0..channels).map(moments).unzip()
}

/// Turns masked images into batches.
#[derive(Debug, Clone)]
pub struct SegmentationReader {
    /// Mean a channel.
    pub mean: Vec<f32>,
    /// Standard deviation per channel.
    pub std: Vec<f32>,
    /// Mirror half of the images, in training.
    pub flip: bool,
    /// Decides order and mirroring.
    pub seed: u64,
}

impl SegmentationReader {
    /// Order of an epoch.
    pub fn order(&self, images: usize, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..images).collect();
        Stream::new(Purpose::Order, self.seed, epoch, 0).shuffle(&mut order);
        order
    }

    /// A batch of these images; randomly mirrored in the given epoch, unchanged without one.
    pub fn batch(&self, images: &[MaskedImage], picks: &[usize], epoch: Option<u64>) -> MaskedBatch {
        let mut batch = MaskedBatch { pictures: Vec::new(), classes: Vec::new(), rows: picks.len() };
        for &i in picks {
            let masked = &images[i];
            let mirrored = epoch.is_some_and(|epoch| {
                self.flip && Stream::new(Purpose::Augment, self.seed, epoch, i as u64).unit() < 0.5
            });
            let Image { width, height, channels, ref data } = masked.picture;
            let from = |x: usize| if mirrored { width - 1 - x } else { x };
            for c in 0..channels {
                let value = |at: usize| {
                    let (y, x) = (at / width, from(at % width));
                    (f32::from(data[(y * width + x) * channels + c]) / 255.0 - self.mean[c]) / self.std[c]
                };
                batch.pictures.extend((0..width * height).map(value));
            }
            let class = |at: usize| match masked.classes[at / width * width + from(at % width)] {
                IGNORED_CLASS => IGNORED,
                class => i32::from(class),
            };
            batch.classes.extend((0..width * height).map(class));
        }
        batch
    }
}

#[cfg(test)]
#[path = "segmentation_tests.rs"]
mod tests;

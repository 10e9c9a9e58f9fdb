//! Pictures with a mask each, which gives every pixel its class: `masks:DIR` with `DIR/images` and `DIR/masks`.
//!
//! A picture and its mask have the same name but for the extension, and the same size. The grey levels that occur in masks
//! are the classes, darkest first. All pictures are held in memory, squeezed to one size: the picture with antialiasing,
//! its mask without, since there is no class between two.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::decode::{Image, decode_image, probe};
use crate::error::DataError;
use crate::parallel;
use crate::random::{Purpose, Stream};
use crate::resample::{Region, resize};
use crate::source::DEFAULT_VAL_SPLIT;

/// Classes there may be: a mask with more grey levels was blurred, by JPEG say.
const MOST_CLASSES: usize = 64;

/// Whether a spec names pictures with masks.
pub fn is_masks(spec: &str) -> bool {
    spec.starts_with("masks:")
}

/// How to open pictures with masks.
#[derive(Debug, Clone)]
pub struct SceneOptions {
    /// Height and width of what a model sees.
    pub size: (usize, usize),
    /// The share held out for validation; [`DEFAULT_VAL_SPLIT`] where not set.
    pub val_split: Option<f64>,
    /// Decides which are held out.
    pub seed: u64,
    /// 1 (grey) or 3 (colour); colour where any picture has it, if not set.
    pub channels: Option<usize>,
}

/// A picture and the classes of its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The picture, at the size asked for.
    pub picture: Image,
    /// A class a pixel, row by row.
    pub classes: Vec<u8>,
}

/// Opened pictures with masks.
#[derive(Debug, Clone)]
pub struct Scenes {
    /// The classes' grey levels, as names.
    pub classes: Vec<String>,
    /// Channels of every picture.
    pub channels: usize,
    /// What a model learns from.
    pub train: Vec<Scene>,
    /// What it is judged on.
    pub validation: Vec<Scene>,
    /// What was passed over, one line each.
    pub warnings: Vec<String>,
}

/// Opens `masks:DIR`.
///
/// # Errors
/// One line of [`DataError`] saying what to mend.
pub fn open_masks(spec: &str, options: &SceneOptions) -> Result<Scenes, DataError> {
    let unknown = || DataError::UnknownSource { spec: spec.to_owned() };
    let dir = Path::new(spec.strip_prefix("masks:").filter(|dir| !dir.is_empty()).ok_or_else(unknown)?);
    let share = options.val_split.unwrap_or(DEFAULT_VAL_SPLIT);
    if !(share > 0.0 && share < 1.0) {
        return Err(DataError::invalid("val_split", share, "between 0 and 1, as in 0.2"));
    }
    let mut warnings = Vec::new();
    let pairs = pairs(dir, &mut warnings)?;
    let channels = match options.channels {
        Some(channels) => channels,
        None => colours(&pairs)?,
    };
    let loaded = parallel::map(pairs.len(), |i| load(&pairs[i], channels, options.size));
    let loaded: Vec<(Image, Vec<u8>)> = loaded.into_iter().collect::<Result<_, _>>()?;
    let levels: BTreeSet<u8> = loaded.iter().flat_map(|scene| &scene.1).copied().collect();
    if !(2..=MOST_CLASSES).contains(&levels.len()) {
        let found = format!("{} in {}", levels.len(), dir.join("masks").display());
        let expected = format!("2 to {MOST_CLASSES}, one a class; save masks as PNG without smoothing");
        return Err(DataError::invalid("number of grey levels", found, expected));
    }
    let number: BTreeMap<u8, u8> = levels.iter().copied().zip(0..).collect();
    let mut all: Vec<Scene> = loaded
        .into_iter()
        .map(|(picture, mask)| Scene { picture, classes: mask.iter().map(|level| number[level]).collect() })
        .collect();
    Stream::new(Purpose::HoldOut, options.seed, 0, 0).shuffle(&mut all);
    let held_out = ((all.len() as f64 * share).round() as usize).clamp(1, all.len() - 1);
    let train = all.split_off(held_out);
    let classes = levels.iter().map(u8::to_string).collect();
    Ok(Scenes { classes, channels, train, validation: all, warnings })
}

/// The files of a folder by their name without extension; hidden ones and folders left out.
fn files(dir: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    if !dir.is_dir() {
        let hint = "put pictures into DIR/images and their masks, of the same names, into DIR/masks";
        return Err(DataError::Missing { path: dir.to_owned(), hint });
    }
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(|e| DataError::io(dir, e))? {
        let path = entry.map_err(|e| DataError::io(dir, e))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        if let Some(stem) = stem.filter(|stem| path.is_file() && !stem.starts_with('.')) {
            files.insert(stem, path);
        }
    }
    Ok(files)
}

/// Pictures with their masks, by name.
fn pairs(dir: &Path, warnings: &mut Vec<String>) -> Result<Vec<(PathBuf, PathBuf)>, DataError> {
    let (pictures, mut masks) = (files(&dir.join("images"))?, files(&dir.join("masks"))?);
    let mut pairs = Vec::new();
    for (stem, picture) in pictures {
        match masks.remove(&stem) {
            Some(mask) => pairs.push((picture, mask)),
            None => warnings.push(format!("{} has no mask: it is left out", picture.display())),
        }
    }
    warnings.extend(masks.values().map(|mask| format!("{} has no picture: it is left out", mask.display())));
    if pairs.len() < 2 {
        let found = format!("{} in {}", pairs.len(), dir.display());
        return Err(DataError::invalid("number of pictures with masks", found, "at least 2"));
    }
    Ok(pairs)
}

/// 3 where any picture has colour, else 1.
fn colours(pairs: &[(PathBuf, PathBuf)]) -> Result<usize, DataError> {
    let headers = parallel::map(pairs.len(), |i| probe(&pairs[i].0));
    let grey = headers.into_iter().try_fold(true, |all, header| Ok(all && header?.grey))?;
    Ok(if grey { 1 } else { 3 })
}

fn load(
    (picture, mask): &(PathBuf, PathBuf),
    channels: usize,
    (height, width): (usize, usize),
) -> Result<(Image, Vec<u8>), DataError> {
    let image = decode_image(picture, channels)?;
    let levels = decode_image(mask, 1)?;
    if (image.width, image.height) != (levels.width, levels.height) {
        let sizes =
            format!("{}x{}, its picture {}x{}", levels.width, levels.height, image.width, image.height);
        return Err(DataError::decode(mask, format!("the mask is {sizes}")));
    }
    let classes = resized_mask(&levels.data, (levels.height, levels.width), (height, width));
    Ok((resize(&image, Region::whole(&image), width, height), classes))
}

/// A mask of one height and width at another: each pixel is the one under its middle.
pub fn resized_mask(levels: &[u8], (h, w): (usize, usize), (height, width): (usize, usize)) -> Vec<u8> {
    let along = |at: usize, n: usize, of: usize| (2 * at + 1) * of / (2 * n);
    let under = |i: usize| levels[along(i / width, height, h) * w + along(i % width, width, w)];
    (0..height * width).map(under).collect()
}

/// A picture without a mask as a scene, all of its pixels of class 0; and its own height and width.
///
/// # Errors
/// Where the file does not decode.
pub fn open_picture(
    path: &Path,
    channels: usize,
    (height, width): (usize, usize),
) -> Result<(Scene, (usize, usize)), DataError> {
    let image = decode_image(path, channels)?;
    let picture = resize(&image, Region::whole(&image), width, height);
    Ok((Scene { picture, classes: vec![0; height * width] }, (image.height, image.width)))
}

/// Scenes as a model reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneBatch {
    /// `rows` x channels x height x width normalised floats.
    pub pictures: Vec<f32>,
    /// `rows` x height x width classes.
    pub classes: Vec<i32>,
    /// Scenes.
    pub rows: usize,
}

/// Mean and standard deviation a channel over scenes, of values in [0, 1].
pub fn scene_moments(scenes: &[Scene], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let moments = |c: usize| {
        let values = || {
            let all = scenes.iter().flat_map(|s| s.picture.data.iter().skip(c).step_by(channels));
            all.map(|&v| f64::from(v) / 255.0)
        };
        let n = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / n;
        let std = (values().map(|v| v * v).sum::<f64>() / n - mean * mean).max(0.0).sqrt();
        (mean as f32, if std < 1e-4 { 1.0 } else { std as f32 })
    };
    (0..channels).map(moments).unzip()
}

/// Turns scenes into batches.
#[derive(Debug, Clone)]
pub struct SceneReader {
    /// Mean a channel.
    pub mean: Vec<f32>,
    /// Standard deviation a channel.
    pub std: Vec<f32>,
    /// Mirror half of the scenes, in training.
    pub flip: bool,
    /// Decides order and mirroring.
    pub seed: u64,
}

impl SceneReader {
    /// The order of an epoch.
    pub fn order(&self, scenes: usize, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..scenes).collect();
        Stream::new(Purpose::Order, self.seed, epoch, 0).shuffle(&mut order);
        order
    }

    /// A batch of the scenes of these numbers; mirrored at random in the epoch given, as they are without one.
    pub fn batch(&self, scenes: &[Scene], picks: &[usize], epoch: Option<u64>) -> SceneBatch {
        let mut batch = SceneBatch { pictures: Vec::new(), classes: Vec::new(), rows: picks.len() };
        for &i in picks {
            let scene = &scenes[i];
            let mirrored = epoch.is_some_and(|epoch| {
                self.flip && Stream::new(Purpose::Augment, self.seed, epoch, i as u64).unit() < 0.5
            });
            let Image { width, height, channels, ref data } = scene.picture;
            let from = |x: usize| if mirrored { width - 1 - x } else { x };
            for c in 0..channels {
                let value = |at: usize| {
                    let (y, x) = (at / width, from(at % width));
                    (f32::from(data[(y * width + x) * channels + c]) / 255.0 - self.mean[c]) / self.std[c]
                };
                batch.pictures.extend((0..width * height).map(value));
            }
            let class = |at: usize| i32::from(scene.classes[at / width * width + from(at % width)]);
            batch.classes.extend((0..width * height).map(class));
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of 8x4 whose right half is white, with masks that say so by grey level 200.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["images", "masks"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        for i in 0..5_u8 {
            let half = |level: u8| {
                image::GrayImage::from_fn(8, 4, |x, _| image::Luma([if x < 4 { 10 * i } else { level }]))
            };
            half(255).save(dir.path().join(format!("images/{i}.png"))).unwrap();
            let mask = image::GrayImage::from_fn(8, 4, |x, _| image::Luma([if x < 4 { 0 } else { 200 }]));
            mask.save(dir.path().join(format!("masks/{i}.png"))).unwrap();
        }
        dir
    }

    fn open(dir: &Path) -> Result<Scenes, DataError> {
        let options = SceneOptions { size: (4, 4), val_split: Some(0.4), seed: 1, channels: None };
        open_masks(&format!("masks:{}", dir.display()), &options)
    }

    #[test]
    fn grey_levels_are_classes_and_pictures_are_split() {
        let dir = folder();
        std::fs::remove_file(dir.path().join("images/4.png")).unwrap();
        let scenes = open(dir.path()).unwrap();
        assert_eq!((scenes.classes, scenes.channels), (vec!["0".to_owned(), "200".into()], 1));
        assert_eq!((scenes.train.len(), scenes.validation.len()), (2, 2));
        assert!(scenes.warnings.len() == 1 && scenes.warnings[0].contains("4.png has no picture"));
        for scene in scenes.train.iter().chain(&scenes.validation) {
            assert_eq!(scene.classes, [0, 0, 1, 1].repeat(4));
            assert!(scene.picture.data[0] < 50 && scene.picture.data[3] == 255);
        }
    }

    #[test]
    fn pictures_and_masks_are_mirrored_together() {
        let dir = folder();
        let scenes = open(dir.path()).unwrap().train;
        let (mean, std) = scene_moments(&scenes, 1);
        let reader = SceneReader { mean, std, flip: true, seed: 3 };
        let mut seen = [0, 0];
        for epoch in 0..20 {
            let batch = reader.batch(&scenes, &reader.order(scenes.len(), epoch), Some(epoch));
            assert_eq!(batch, reader.batch(&scenes, &reader.order(scenes.len(), epoch), Some(epoch)));
            for (picture, classes) in batch.pictures.chunks(16).zip(batch.classes.chunks(16)) {
                let bright: Vec<i32> = picture.iter().map(|&v| i32::from(v > 0.0)).collect();
                assert_eq!(bright, classes);
                seen[classes[0] as usize] += 1;
            }
        }
        assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
        let plain = reader.batch(&scenes, &[0, 1, 2], None);
        assert!(plain.classes.chunks(16).all(|c| c[0] == 0));
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        let dir = folder();
        let why = |dir: &Path| open(dir).unwrap_err().to_string();
        assert!(why(&dir.path().join("masks")).contains("DIR/images"));
        image::GrayImage::new(3, 3).save(dir.path().join("masks/2.png")).unwrap();
        assert!(why(dir.path()).contains("the mask is 3x3, its picture 8x4"));
        let levels = image::GrayImage::from_fn(8, 4, |x, y| image::Luma([(x * 4 + y * 50) as u8]));
        let everywhere = |mask: &image::GrayImage| {
            for i in 0..5 {
                mask.save(dir.path().join(format!("masks/{i}.png"))).unwrap();
            }
        };
        everywhere(&levels);
        assert!(open(dir.path()).is_ok());
        everywhere(&image::GrayImage::new(8, 4));
        assert!(why(dir.path()).contains("number of grey levels is 1 in"));
    }
}

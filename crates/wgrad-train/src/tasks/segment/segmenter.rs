//! Prediction per pixel: masks of a segmenter for image files.

use super::graph::{ROWS, evaluation, tensors};
use crate::TrainError;
use crate::saved::card::ModelCard;
use crate::saved::tensors::restored;
use std::path::Path;
use std::sync::Arc;
use wgrad_data::{DataError, MaskedImage, SegmentationReader, mask_png, open_picture, resized_mask};
use wgrad_device::Device;
use wgrad_nn::{Mode, Net};
use wgrad_session::{Runner, Session};

/// Mask of an image: one class per pixel, named by its label in the training masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Height and width of the image.
    pub size: (usize, usize),
    /// Classes, row by row.
    pub classes: Vec<u8>,
    /// Every class with its fraction of the pixels.
    pub shares: Vec<(String, f64)>,
    /// Palette, if the labels are palette indices.
    pub palette: Option<Arc<[[u8; 3]]>>,
}

impl Mask {
    /// Mask as a PNG file with the labels of the training masks.
    ///
    /// # Errors
    /// If the image is too large for PNG.
    pub fn png(&self) -> Result<Vec<u8>, TrainError> {
        let names: Vec<String> = self.shares.iter().map(|(name, _)| name.clone()).collect();
        Ok(mask_png(&self.classes, self.size, &names, self.palette.as_deref())?)
    }
}

/// Loaded segmenter.
pub struct Segmenter {
    card: ModelCard,
    palette: Option<Arc<[[u8; 3]]>>,
    session: Session,
    runner: Runner,
    reader: SegmentationReader,
}

impl Segmenter {
    /// Segmenter of a description and its checkpoint `dir`; `path` names it in errors.
    pub(crate) fn new(path: &Path, dir: &Path, card: ModelCard, device: &Device) -> Result<Self, TrainError> {
        // Checked before any work: the labels can be written.
        mask_png(&[0], (1, 1), &card.classes, None).map_err(|_| {
            let why = format!("{} has class names other than mask labels", path.display());
            TrainError::config("checkpoint", why)
        })?;
        let palette = card.reading.palette.as_deref().map(Arc::from);
        let (session, runner) = restored(dir, &evaluation(&Net::new(Mode::Eval), &card, ROWS)?, device)?;
        let reader =
            SegmentationReader { mean: card.mean.clone(), std: card.std.clone(), flip: false, seed: 0 };
        Ok(Self { card, palette, session, runner, reader })
    }

    /// Images per batch.
    pub fn batch(&self) -> usize {
        ROWS
    }

    /// Mask per image, of the image's own size; or the reason for not decoding.
    ///
    /// # Errors
    /// If the device fails.
    pub fn masks(&mut self, images: &[impl AsRef<Path>]) -> Result<Vec<Result<Mask, DataError>>, TrainError> {
        let mut masks = Vec::new();
        for paths in images.chunks(ROWS) {
            let open = |path: &_| {
                let path: &Path = AsRef::as_ref(path);
                open_picture(path, self.card.channels, self.card.reading.levels(), self.card.size)
            };
            let (mut images, mut sizes) = (Vec::<MaskedImage>::new(), Vec::new());
            for opened in paths.iter().map(open) {
                sizes.push(opened.map(|(masked, size)| {
                    images.push(masked);
                    size
                }));
            }
            if images.is_empty() {
                masks.extend(sizes.into_iter().filter_map(Result::err).map(Err));
                continue;
            }
            let all: Vec<usize> = (0..images.len()).collect();
            let (x, y) = tensors(&self.card, self.reader.batch(&images, &all, None), ROWS);
            self.runner.step(&mut self.session, 0, &[("x", &x), ("y", &y)], &[])?;
            let outputs = self.runner.wait()?.expect("a step is under way");
            let pixels = self.card.size.0 * self.card.size.1;
            let mut predicted = outputs.get("predicted").as_i32().chunks(pixels);
            let mut mask = |size| self.mask(predicted.next().expect("one mask per image"), size);
            masks.extend(sizes.into_iter().map(|size| size.map(&mut mask)));
        }
        Ok(masks)
    }

    fn mask(&self, told: &[i32], size: (usize, usize)) -> Mask {
        let share = |class: usize| told.iter().filter(|&&t| t as usize == class).count() as f64;
        let names = self.card.classes.iter().enumerate();
        let shares = names.map(|(c, name)| (name.clone(), share(c) / told.len() as f64)).collect();
        let classes: Vec<u8> = told.iter().map(|&class| class as u8).collect();
        Mask {
            size,
            classes: resized_mask(&classes, self.card.size, size),
            shares,
            palette: self.palette.clone(),
        }
    }
}

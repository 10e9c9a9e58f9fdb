//! Prediction by pixels: a segmenter's masks for image files.

use crate::TrainError;
use crate::evaluate::restored;
use crate::kept::checkpoint_dir;
use crate::segmentation::{ROWS, SEGMENTER, pixel_graph, tensors};
use crate::state::{Card, ModelCard, load_card};
use std::path::Path;
use wgrad_data::{DataError, Scene, SceneReader, open_picture, resized_mask};
use wgrad_device::Device;
use wgrad_session::{Runner, Session};

/// A picture's mask: a grey level a pixel, as in the masks trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// The picture's height and width.
    pub size: (usize, usize),
    /// Levels, row by row.
    pub levels: Vec<u8>,
    /// Every class with its share of the pixels.
    pub shares: Vec<(String, f64)>,
}

impl Mask {
    /// The mask as a PNG file.
    ///
    /// # Errors
    /// Where the picture is too large for one.
    pub fn png(&self) -> Result<Vec<u8>, TrainError> {
        let fail = |why: String| TrainError::config("mask", why);
        let (height, width) = (self.size.0 as u32, self.size.1 as u32);
        let image = image::GrayImage::from_raw(width, height, self.levels.clone());
        let image = image.ok_or_else(|| fail(format!("{width}x{height} pixels make no picture")))?;
        let mut png = std::io::Cursor::new(Vec::new());
        image.write_to(&mut png, image::ImageFormat::Png).map_err(|e| fail(e.to_string()))?;
        Ok(png.into_inner())
    }
}

/// A loaded segmenter.
pub struct Segmenter {
    card: ModelCard,
    /// Each class's grey level.
    levels: Vec<u8>,
    session: Session,
    runner: Runner,
    reader: SceneReader,
}

impl Segmenter {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// Where there is none, it is of another kind of model, or the device fails.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TrainError> {
        let dir = checkpoint_dir(path);
        let wrong = |why: &str| TrainError::config("--checkpoint", format!("{} {why}", path.display()));
        let card = match load_card(&dir)? {
            Card::Image(card) if card.model == SEGMENTER => card,
            _ => return Err(wrong("gives no class to pixels")),
        };
        let levels: Result<Vec<u8>, _> = card.classes.iter().map(|level| level.parse()).collect();
        let levels = levels.map_err(|_| wrong("has classes that are no grey levels"))?;
        let (session, runner) = restored(&dir, &pixel_graph(&card, ROWS, None)?, device)?;
        let reader = SceneReader { mean: card.mean.clone(), std: card.std.clone(), flip: false, seed: 0 };
        Ok(Self { card, levels, session, runner, reader })
    }

    /// Images that a step takes.
    pub fn batch(&self) -> usize {
        ROWS
    }

    /// The masks of images, each of its picture's own size; or why an image does not decode.
    ///
    /// # Errors
    /// If the device fails.
    pub fn masks(&mut self, images: &[impl AsRef<Path>]) -> Result<Vec<Result<Mask, DataError>>, TrainError> {
        let mut masks = Vec::new();
        for paths in images.chunks(ROWS) {
            let open = |path: &_| open_picture(AsRef::as_ref(path), self.card.channels, self.card.size);
            let (mut scenes, mut sizes) = (Vec::<Scene>::new(), Vec::new());
            for opened in paths.iter().map(open) {
                sizes.push(opened.map(|(scene, size)| {
                    scenes.push(scene);
                    size
                }));
            }
            if scenes.is_empty() {
                masks.extend(sizes.into_iter().filter_map(Result::err).map(Err));
                continue;
            }
            let all: Vec<usize> = (0..scenes.len()).collect();
            let (x, y) = tensors(&self.card, self.reader.batch(&scenes, &all, None), ROWS);
            self.runner.step(&mut self.session, 0, &[("x", &x), ("y", &y)], &[])?;
            let outputs = self.runner.wait()?.expect("a step is under way");
            let pixels = self.card.size.0 * self.card.size.1;
            let mut told = outputs.get("told").as_i32().chunks(pixels);
            let mut mask = |size| self.mask(told.next().expect("a mask per picture"), size);
            masks.extend(sizes.into_iter().map(|size| size.map(&mut mask)));
        }
        Ok(masks)
    }

    fn mask(&self, told: &[i32], size: (usize, usize)) -> Mask {
        let share = |class: usize| told.iter().filter(|&&t| t as usize == class).count() as f64;
        let names = self.card.classes.iter().enumerate();
        let shares = names.map(|(c, name)| (name.clone(), share(c) / told.len() as f64)).collect();
        let levels: Vec<u8> = told.iter().map(|&class| self.levels[class as usize]).collect();
        Mask { size, levels: resized_mask(&levels, self.card.size, size), shares }
    }
}

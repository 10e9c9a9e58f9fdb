//! Contents of a source as its format's reader finds them, and the options of reading.

use crate::decode::Levels;
use crate::subset::Store;

/// Share held out for validation if a folder has training images only.
pub const DEFAULT_VAL_SPLIT: f64 = 0.2;

/// Options of [`crate::open`]. The default takes a source as it is.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// The share of the training images to hold out for validation, in (0, 1), drawn evenly from every class.
    ///
    /// `None` holds nothing out, except for a folder with neither validation nor test images: there
    /// [`DEFAULT_VAL_SPLIT`] applies. A source keeps validation images of its own, with a warning.
    pub val_split: Option<f64>,
    /// Seed of the hold-out.
    pub seed: u64,
    /// Refuse undecodable image files instead of skipping them with a warning.
    pub strict: bool,
    /// 1 (grey) or 3 (colour); `None` takes the source's own.
    pub channels: Option<usize>,
    /// Side of the model's input, if known: photos are then shrunk while they are decoded, to a shorter side
    /// of 1.15 times this, which makes every epoch after the first cheap.
    pub image_size: Option<usize>,
    /// Range of 16-bit samples mapped to 0 to 255, from a trained model; `None` takes the range in use over
    /// the training images.
    pub levels: Option<Levels>,
}

/// The parts of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The split to train on.
    Train,
    /// The split for early stopping and the choice of the best weights.
    Validation,
    /// The split for the final evaluation.
    Test,
}

/// Contents of a source before the hold-out.
pub(crate) struct Source {
    pub(crate) classes: Vec<String>,
    pub(crate) channels: usize,
    pub(crate) image_size: Option<(usize, usize)>,
    pub(crate) levels: Option<Levels>,
    pub(crate) train: Store,
    pub(crate) validation: Option<Store>,
    pub(crate) test: Option<Store>,
    pub(crate) warnings: Vec<String>,
}

/// Options of [`crate::open_masks`].
#[derive(Debug, Clone, Default)]
pub struct SegmentationOptions {
    /// Height and width of the model's input.
    pub size: (usize, usize),
    /// Share held out for validation; [`DEFAULT_VAL_SPLIT`] if `None`.
    pub val_split: Option<f64>,
    /// Seed of the hold-out.
    pub seed: u64,
    /// 1 (grey) or 3 (colour); if `None`, colour if any picture has it.
    pub channels: Option<usize>,
    /// Refuse undecodable pictures and masks instead of skipping them with a warning.
    pub strict: bool,
    /// Label to ignore: an index, a grey level or a colour as `#rrggbb`.
    pub ignore: Option<String>,
    /// Classes of a trained model: other labels are refused. `None` takes the labels in use.
    pub classes: Option<Vec<String>>,
    /// As [`crate::SourceOptions::levels`].
    pub levels: Option<Levels>,
}

/// [`crate::IGNORED`] among the classes of an image.
pub(crate) const IGNORED_CLASS: u8 = u8::MAX;

//! The augmentations of a run, and their short text form.
//!
//! Never applied in evaluation. Parameters are checked here, so applying them cannot fail.

use crate::color::{Jitter, jitter};
use crate::decode::Image;
use crate::error::DataError;
use crate::geometry;
use crate::random::{Draws, Stream};

/// One random change of a training image, with torchvision's meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Augment {
    /// Pads every side with black and cuts the target size out at a random place.
    RandomCrop {
        /// Pixels added to each side.
        padding: usize,
    },
    /// Cuts a region of random area and aspect ratio and scales it to the target size.
    RandomResizedCrop {
        /// The least and greatest share of the image's area.
        scale: (f32, f32),
        /// The least and greatest width / height.
        ratio: (f32, f32),
    },
    /// Mirrors left and right with probability `p`.
    HorizontalFlip {
        /// The probability.
        p: f32,
    },
    /// Turns by a uniform angle in `[-degrees, degrees]` (bilinear, black corners).
    Rotation {
        /// The greatest angle.
        degrees: f32,
    },
    /// Changes brightness, contrast, saturation (factors in `[1 - x, 1 + x]`) and hue (`[-x, x]` turns, x <= 0.5), in
    /// random order.
    ColorJitter {
        /// Spread of the brightness factor.
        brightness: f32,
        /// Spread of the contrast factor.
        contrast: f32,
        /// Spread of the saturation factor.
        saturation: f32,
        /// Spread of the hue shift.
        hue: f32,
    },
}

/// Augmentation of a program's own: a random change of a training image, never applied in evaluation.
///
/// Functions and closures of the same arguments are augmentations.
pub trait Augmentation: Send + Sync {
    /// Changed image. Its channels must stay; size may differ, since images are framed to the model's afterwards.
    fn apply(&self, image: Image, draws: &mut Draws) -> Image;
}

impl<F: Fn(Image, &mut Draws) -> Image + Send + Sync> Augmentation for F {
    fn apply(&self, image: Image, draws: &mut Draws) -> Image {
        self(image, draws)
    }
}

/// Form of a list of augmentations, in words.
pub const AUGMENTATIONS: &str = "none or a comma-separated list of flip[:P], crop[:PADDING], resized-crop[:MIN_SCALE], \
                                 rotate[:DEGREES], jitter[:X] or jitter:BRIGHTNESS:CONTRAST:SATURATION:HUE";

/// Reads a list such as `flip,crop:4`, `resized-crop,flip,jitter:0.2`, or `none`.
///
/// Left out, P is 0.5, PADDING 4, MIN_SCALE 0.08, DEGREES 10 and X 0.2; `jitter:X` moves brightness, contrast and
/// saturation by X and leaves the hue.
///
/// # Errors
/// [`DataError::Invalid`] with the known names for an unknown one, or with the range for a number outside it.
pub fn parse_augment(spec: &str) -> Result<Vec<Augment>, DataError> {
    match spec.trim() {
        "" | "none" => Ok(Vec::new()),
        list => list.split(',').map(|item| parse_one(item.trim())).collect(),
    }
}

fn parse_one(item: &str) -> Result<Augment, DataError> {
    let unknown = || DataError::invalid("augmentation", format!("{item:?}"), AUGMENTATIONS);
    let mut parts = item.split(':');
    let name = parts.next().unwrap_or_default();
    let numbers = parts.map(str::parse).collect::<Result<Vec<f32>, _>>().map_err(|_| unknown())?;
    let one = |default: f32| match numbers[..] {
        [] => Ok(default),
        [only] => Ok(only),
        _ => Err(unknown()),
    };
    let augment = match name {
        "flip" => Augment::HorizontalFlip { p: one(0.5)? },
        "crop" => {
            let padding = one(4.0)?;
            if padding.fract() != 0.0 || padding < 0.0 {
                return Err(DataError::invalid("crop padding", padding, "a whole number from 0 to 512"));
            }
            Augment::RandomCrop { padding: padding as usize }
        }
        "resized-crop" => {
            Augment::RandomResizedCrop { scale: (one(0.08)?, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0) }
        }
        "rotate" => Augment::Rotation { degrees: one(10.0)? },
        "jitter" => {
            let (brightness, contrast, saturation, hue) = match numbers[..] {
                [b, c, s, h] => (b, c, s, h),
                _ => {
                    let x = one(0.2)?;
                    (x, x, x, 0.0)
                }
            };
            Augment::ColorJitter { brightness, contrast, saturation, hue }
        }
        _ => return Err(unknown()),
    };
    augment.check()?;
    Ok(augment)
}

impl Augment {
    /// Refuses parameters outside their range, NaN included.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let within = |what, value: f32, low: f32, high: f32| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(DataError::invalid(what, value, format!("from {low} to {high}")))
            }
        };
        match *self {
            Self::RandomCrop { padding } => within("crop padding", padding as f32, 0.0, 512.0),
            Self::RandomResizedCrop { scale, ratio } => {
                within("resized-crop largest scale", scale.1, 0.0001, 1.0)?;
                within("resized-crop smallest scale", scale.0, 0.0001, scale.1)?;
                within("resized-crop largest ratio", ratio.1, 0.01, 100.0)?;
                within("resized-crop smallest ratio", ratio.0, 0.01, ratio.1)
            }
            Self::HorizontalFlip { p } => within("flip probability", p, 0.0, 1.0),
            Self::Rotation { degrees } => within("rotation", degrees, 0.0, 180.0),
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                within("jitter brightness", brightness, 0.0, 1.0)?;
                within("jitter contrast", contrast, 0.0, 1.0)?;
                within("jitter saturation", saturation, 0.0, 1.0)?;
                within("jitter hue", hue, 0.0, 0.5)
            }
        }
    }

    /// True for augmentations selecting a part of the picture. Those run first, in [`crate::Pipeline`].
    pub(crate) fn is_crop(&self) -> bool {
        matches!(self, Self::RandomCrop { .. } | Self::RandomResizedCrop { .. })
    }

    /// Applies a size-preserving augmentation; crops are the pipeline's.
    pub(crate) fn apply(&self, image: &mut Image, stream: &mut Stream) {
        match *self {
            Self::RandomCrop { .. } | Self::RandomResizedCrop { .. } => {}
            Self::HorizontalFlip { p } => {
                if stream.unit() < p {
                    geometry::mirror(image);
                }
            }
            Self::Rotation { degrees } => {
                *image = geometry::rotate(image, stream.between(-degrees, degrees));
            }
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                jitter(image, Jitter { brightness, contrast, saturation, hue }, stream);
            }
        }
    }
}

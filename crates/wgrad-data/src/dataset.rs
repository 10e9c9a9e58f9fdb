//! Labelled images as a program brings them, and what all images have in common.

use crate::decode::Image;
use crate::error::DataError;

/// Longest side of small images: these show one framed object, as in MNIST or CIFAR-10, unlike a photo to
/// crop.
pub const SMALL_SIDE: usize = 64;

/// Labelled images in memory, or made on demand. Loader threads share it.
///
/// ```
/// use wgrad_data::{DataError, Dataset, Image};
///
/// /// Grey squares of 8 x 8 pixels: dark ones of class 0, bright ones of class 1.
/// struct Squares;
///
/// impl Dataset for Squares {
///     fn len(&self) -> usize {
///         100
///     }
///     fn label(&self, i: usize) -> usize {
///         i % 2
///     }
///     fn load(&self, i: usize) -> Result<Image, DataError> {
///         let level = if i % 2 == 0 { 60 } else { 190 };
///         Ok(Image { width: 8, height: 8, channels: 1, data: vec![level; 64] })
///     }
/// }
/// ```
pub trait Dataset: Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;
    /// True without images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Class of image `i`.
    fn label(&self, i: usize) -> usize;
    /// Image `i`; the same one at every call.
    ///
    /// # Errors
    /// If the image cannot be made. [`DataError::Decode`] and [`DataError::Io`] leave it out of the run, others end the run.
    fn load(&self, i: usize) -> Result<Image, DataError>;
}

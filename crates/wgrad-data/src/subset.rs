//! A list of labelled images: in memory, as files decoded when asked for, or a program's own.
//!
//! Files are decoded once if memory allows: decoded images are kept while those of the dataset stay under
//! [`CACHE_BYTES`]. Results of [`Subset::load`] do not depend on it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::dataset::{Dataset, SMALL_SIDE};
use crate::decode::{Image, Levels, decode_levels};
use crate::error::DataError;
use crate::resample::{Region, resize};

/// Maximum memory for decoded images of one dataset.
pub const CACHE_BYTES: usize = 1 << 30;

/// Storage of images.
pub(crate) enum Store {
    Memory(Memory),
    Files(Files),
    Own(Arc<dyn Dataset>),
}

/// Images of one size, one after the other.
pub(crate) struct Memory {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u8>,
}

/// Image files, each with a place for its decoded form.
pub(crate) struct Files {
    files: Vec<(PathBuf, usize)>,
    cache: Vec<OnceLock<Image>>,
    budget: Arc<Budget>,
}

/// Bytes of decoded images held by all subsets of a dataset.
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    fn reserve(&self, bytes: usize) -> bool {
        let within = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    fn refund(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Files {
    pub(crate) fn new(files: Vec<(PathBuf, usize)>, budget: Arc<Budget>) -> Self {
        let cache = files.iter().map(|_| OnceLock::new()).collect();
        Self { files, cache, budget }
    }

    fn load(&self, i: usize, view: View) -> Result<Image, DataError> {
        if let Some(kept) = self.cache[i].get() {
            return Ok(kept.clone());
        }
        let mut image = decode_levels(&self.files[i].0, view.channels, view.levels)?;
        if let Some(side) = view.short_side {
            image = shrink(image, side);
        }
        let bytes = image.data.len();
        if self.budget.reserve(bytes) && self.cache[i].set(image.clone()).is_err() {
            // Another worker was faster.
            self.budget.refund(bytes);
        }
        Ok(image)
    }
}

/// Scales a photo with a shorter side above `side` down to it, but never so far that it would count as small.
fn shrink(image: Image, side: usize) -> Image {
    let side = side.max(SMALL_SIDE + 1);
    let short = image.width.min(image.height);
    if short <= side {
        return image;
    }
    let scaled = |length: usize| ((length * side) as f64 / short as f64).round() as usize;
    let (width, height) = (scaled(image.width), scaled(image.height));
    resize(&image, Region::whole(&image), width, height)
}

impl Store {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory(memory) => memory.labels.len(),
            Self::Files(files) => files.files.len(),
            Self::Own(images) => images.len(),
        }
    }

    pub(crate) fn label(&self, i: usize) -> usize {
        match self {
            Self::Memory(memory) => usize::from(memory.labels[i]),
            Self::Files(files) => files.files[i].1,
            Self::Own(images) => images.label(i),
        }
    }
}

/// Image format of a dataset, independent of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) channels: usize,
    /// Range of 16-bit samples mapped to 0 to 255.
    pub(crate) levels: Levels,
    /// Photos are shrunk to this shorter side when they are decoded; `None` keeps them as they are.
    pub(crate) short_side: Option<usize>,
    /// Refuse undecodable images instead of skipping them.
    pub(crate) strict: bool,
}

/// The training, validation or test part of a dataset. Cheap to clone: clones share the images.
#[derive(Clone)]
pub struct Subset {
    store: Arc<Store>,
    picks: Arc<[usize]>,
    view: View,
    description: Arc<str>,
}

impl Subset {
    pub(crate) fn new(store: Arc<Store>, picks: Vec<usize>, view: View, title: &str) -> Self {
        let plural = if picks.len() == 1 { "" } else { "s" };
        let description = format!("{title}: {} image{plural}", picks.len()).into();
        Self { store, picks: picks.into(), view, description }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.picks.len()
    }

    /// Are there no samples?
    pub fn is_empty(&self) -> bool {
        self.picks.is_empty()
    }

    /// The channels of every loaded image: 1 or 3.
    pub fn channels(&self) -> usize {
        self.view.channels
    }

    /// The class index of sample `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Self::len`].
    pub fn label(&self, i: usize) -> usize {
        self.store.label(self.picks[i])
    }

    /// Sample `i` as an image, decoded and shrunk to the working size if it is a file.
    ///
    /// # Errors
    /// [`DataError::Decode`] or [`DataError::Io`] naming the file.
    ///
    /// # Panics
    /// If `i` is not below [`Self::len`].
    pub fn load(&self, i: usize) -> Result<Image, DataError> {
        let i = self.picks[i];
        match &*self.store {
            Store::Files(files) => files.load(i, self.view),
            Store::Own(images) => {
                let image = images.load(i)?;
                image.check()?;
                Ok(image.with_channels(self.view.channels))
            }
            Store::Memory(Memory { height, width, channels, pixels, .. }) => {
                let size = height * width * channels;
                let data = pixels[i * size..(i + 1) * size].to_vec();
                let image = Image { width: *width, height: *height, channels: *channels, data };
                Ok(image.with_channels(self.view.channels))
            }
        }
    }

    /// Description for people: `fashion-mini, train: 5000 images`.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Description of sample `i` for people: its file, or its number in the source.
    ///
    /// # Panics
    /// If `i` is not below [`Self::len`].
    pub fn sample_name(&self, i: usize) -> String {
        let i = self.picks[i];
        match &*self.store {
            Store::Files(files) => files.files[i].0.display().to_string(),
            Store::Memory(_) | Store::Own(_) => format!("image {i}"),
        }
    }

    /// True if an undecodable image stops a [`crate::Loader`] ([`crate::SourceOptions::strict`]).
    pub fn is_strict(&self) -> bool {
        self.view.strict
    }
}

impl std::fmt::Debug for Subset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subset").field("description", &self.description).field("view", &self.view).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_files(limit: usize) -> (tempfile::TempDir, Arc<Budget>, Subset) {
        let dir = tempfile::tempdir().unwrap();
        let files = [40_u8, 90].map(|shade| {
            let path = dir.path().join(format!("{shade}.png"));
            image::RgbImage::from_pixel(400, 200, image::Rgb([shade; 3])).save(&path).unwrap();
            (path, 0)
        });
        let budget = Budget::new(limit);
        let store = Arc::new(Store::Files(Files::new(files.to_vec(), budget.clone())));
        let view = View { channels: 3, levels: Levels::WHOLE, short_side: Some(100), strict: false };
        (dir, budget, Subset::new(store, vec![0, 1], view, "two"))
    }

    #[test]
    fn subset_cache_is_shrunk_and_within_budget() {
        let one = 200 * 100 * 3;
        let (dir, budget, subset) = two_files(one + 1);
        let first = subset.load(0).unwrap();
        assert_eq!((first.width, first.height, first.data[0]), (200, 100, 40));
        let second = subset.load(1).unwrap();
        assert_eq!(budget.used.load(Ordering::Relaxed), one);

        // With the files gone only the kept one can be loaded, and it is the same.
        dir.close().unwrap();
        assert_eq!(subset.load(0).unwrap(), first);
        assert_eq!(second.data[0], 90);
        assert!(matches!(subset.load(1), Err(DataError::Io { .. })));
    }

    #[test]
    fn shrink_applies_to_photos_only() {
        let size = |width, height, side| {
            let shrunk = shrink(Image::black(width, height, 1), side);
            (shrunk.width, shrunk.height)
        };
        assert_eq!(size(99, 300, 100), (99, 300));
        assert_eq!(size(155, 301, 100), (100, 194));
        assert_eq!(size(64, 64, 10), (64, 64));
        assert_eq!(size(130, 260, 10), (65, 130));
    }
}

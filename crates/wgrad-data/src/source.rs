//! From a spec such as `folder:./photos` to a dataset: images, classes, and the hold-out.
//!
//! A source's own splits are used as they are; a hold-out is drawn from its training images only, class by
//! class, and depends on the seed alone. Nothing is ever downloaded or written.

use std::path::Path;
use std::sync::Arc;

use crate::contents::{DEFAULT_VAL_SPLIT, Source, SourceOptions, Split};
use crate::dataset::{Dataset, SMALL_SIDE};
use crate::decode::{Levels, check_channels};
use crate::error::DataError;
use crate::random::{Purpose, Stream};
use crate::subset::{Store, Subset, View};
use crate::{cifar, folder, idx};

/// An opened source. Any subset but the training one may be empty.
#[derive(Debug, Clone)]
pub struct Splits {
    /// The spec it was opened by.
    pub name: String,
    /// Class names by label: the official order for idx and CIFAR-10, sorted for folders.
    pub classes: Vec<String>,
    /// Channels of every image: 1 or 3.
    pub channels: usize,
    /// Height and width if all images share one: always for idx and CIFAR-10; for a folder only if every file
    /// has the same size and no side exceeds [`crate::SMALL_SIDE`]. `None` for photos.
    pub image_size: Option<(usize, usize)>,
    /// Range of 16-bit samples mapped to 0 to 255; `None` if there are no 16-bit images.
    pub levels: Option<Levels>,
    /// The training images.
    pub train: Subset,
    /// The validation images.
    pub validation: Subset,
    /// The test images.
    pub test: Subset,
    /// One line for each thing skipped or ignored.
    pub warnings: Vec<String>,
}

impl Splits {
    /// One of the three subsets.
    pub fn subset(&self, split: Split) -> &Subset {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }
}

/// Opens a source by its spec: `fashion-mini`, `mnist:DIR`, `fashion-mnist:DIR`, `cifar10:DIR` or `folder:DIR`.
///
/// A folder may be laid out as `DIR/{train,test}/CLASS`, `DIR/{train,validation,test}/CLASS` (in any usual spelling, as
/// `Training`, `val_set` or `dev`; any split but `train` may be missing), or `DIR/CLASS`. In the last case
/// `val_split` is held out as validation and the test subset is empty. The header of every file is read here, on all
/// cores; whole files are decoded when first used.
///
/// # Errors
/// One line of [`DataError`] with the remedy.
pub fn open(spec: &str, options: &SourceOptions) -> Result<Splits, DataError> {
    check(options)?;
    let unknown = || DataError::UnknownSource { spec: spec.to_owned() };
    let source = match spec.split_once(':') {
        None if spec == "fashion-mini" => idx::embedded()?,
        None | Some((_, "")) => return Err(unknown()),
        Some((kind, dir)) => {
            let dir = Path::new(dir);
            let open = match kind {
                "mnist" => idx::mnist,
                "fashion-mnist" => idx::fashion,
                "cifar10" => cifar::open,
                "folder" => folder::open,
                _ => return Err(unknown()),
            };
            if !dir.is_dir() {
                let hint = "give the path of an existing folder after the colon";
                return Err(DataError::Missing { path: dir.to_owned(), hint });
            }
            open(dir, options)?
        }
    };
    Ok(split(spec, source, options))
}

/// Images of a program, in place of a source: a data set per split, with the names of the classes.
#[derive(Clone)]
pub struct OwnImages {
    /// Class names by label.
    pub classes: Vec<String>,
    /// Training images.
    pub train: Arc<dyn Dataset>,
    /// Validation images; held out of the training images by [`SourceOptions::val_split`] if `None`.
    pub validation: Option<Arc<dyn Dataset>>,
    /// Test images.
    pub test: Option<Arc<dyn Dataset>>,
}

impl OwnImages {
    /// Training images with the names of their classes.
    pub fn new<S: Into<String>>(classes: impl IntoIterator<Item = S>, train: impl Dataset + 'static) -> Self {
        let classes = classes.into_iter().map(Into::into).collect();
        Self { classes, train: Arc::new(train), validation: None, test: None }
    }

    /// Sets the validation images.
    #[must_use]
    pub fn validation(self, images: impl Dataset + 'static) -> Self {
        Self { validation: Some(Arc::new(images)), ..self }
    }

    /// Sets the test images.
    #[must_use]
    pub fn test(self, images: impl Dataset + 'static) -> Self {
        Self { test: Some(Arc::new(images)), ..self }
    }
}

/// Opens a program's own images under a name. Channels and size are those of the first training image.
///
/// # Errors
/// If an option is out of range, the first image does not load, or a label has no class.
pub fn open_own(name: &str, images: &OwnImages, options: &SourceOptions) -> Result<Splits, DataError> {
    check(options)?;
    let OwnImages { classes, train, validation, test } = images;
    if train.is_empty() {
        return Err(DataError::invalid("training set", "empty", "at least one image"));
    }
    let parts = [("train", Some(train)), ("validation", validation.as_ref()), ("test", test.as_ref())];
    for (part, set) in parts {
        let Some(set) = set else { continue };
        let wrong = (0..set.len()).find(|&i| set.label(i) >= classes.len());
        if let Some(i) = wrong {
            let what = format!("{} of image {i} in {name}, {part}", set.label(i));
            return Err(DataError::invalid(
                "label",
                what,
                format!("below {}, the number of classes", classes.len()),
            ));
        }
    }
    let first = train.load(0)?;
    first.check()?;
    let small = first.width.max(first.height) <= SMALL_SIDE;
    let store = |set: &Arc<dyn Dataset>| Store::Own(set.clone());
    let source = Source {
        classes: classes.clone(),
        channels: first.channels,
        image_size: small.then_some((first.height, first.width)),
        levels: None,
        train: store(train),
        validation: validation.as_ref().map(store),
        test: test.as_ref().map(store),
        warnings: Vec::new(),
    };
    Ok(split(name, source, options))
}

fn check(options: &SourceOptions) -> Result<(), DataError> {
    if let Some(share) = options.val_split.filter(|share| !(*share > 0.0 && *share < 1.0)) {
        return Err(DataError::invalid("`val_split`", share, "between 0 and 1, as in 0.2"));
    }
    if options.image_size == Some(0) {
        return Err(DataError::invalid("`image_size`", 0, "at least 1"));
    }
    options.channels.map_or(Ok(()), check_channels)
}

fn split(spec: &str, source: Source, options: &SourceOptions) -> Splits {
    let mut warnings = source.warnings;
    let channels = options.channels.unwrap_or(source.channels);
    // A centre crop is cut from 256/224 = 1.143 times the size, so 1.15 loses nothing it needs.
    let short_side = options.image_size.map(|size| (size * 23).div_ceil(20));
    let levels = source.levels.unwrap_or(Levels::WHOLE);
    let view = View { channels, levels, short_side, strict: options.strict };
    let whole = |store: Option<Store>, part: &str| match store {
        Some(store) => {
            let all = (0..store.len()).collect();
            Subset::new(Arc::new(store), all, view, &format!("{spec}, {part}"))
        }
        None => {
            let nothing =
                Arc::new(Store::Files(crate::subset::Files::new(Vec::new(), crate::subset::Budget::new(0))));
            Subset::new(nothing, Vec::new(), view, &format!("{spec}, {part}"))
        }
    };
    let share = match (&source.validation, &source.test) {
        (Some(_), _) => None,
        (None, None) => Some(options.val_split.unwrap_or(DEFAULT_VAL_SPLIT)),
        (None, Some(_)) => options.val_split,
    };
    if options.val_split.is_some() && share.is_none() {
        warnings.push(format!("`val_split` is ignored: {spec} has validation images of its own"));
    }
    let (train, validation) = match share {
        None => (whole(Some(source.train), "train"), whole(source.validation, "validation")),
        Some(share) => {
            let store = Arc::new(source.train);
            let (kept, held_out) = hold_out(&store, source.classes.len(), share, options.seed);
            let held_title = format!("{spec}, validation (held out of train)");
            (
                Subset::new(store.clone(), kept, view, &format!("{spec}, train")),
                Subset::new(store, held_out, view, &held_title),
            )
        }
    };
    Splits {
        name: spec.to_owned(),
        classes: source.classes,
        channels,
        image_size: source.image_size,
        levels: source.levels,
        train,
        validation,
        test: whole(source.test, "test"),
        warnings,
    }
}

/// Splits a store into kept and held-out indices, both ascending.
///
/// Holds out `share` of each class, rounded, but at least one image and never the last one.
fn hold_out(store: &Store, n_classes: usize, share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut by_class = vec![Vec::new(); n_classes];
    for i in 0..store.len() {
        by_class[store.label(i)].push(i);
    }
    let (mut kept, mut held_out) = (Vec::new(), Vec::new());
    for (class, mut members) in by_class.into_iter().enumerate() {
        Stream::new(Purpose::HoldOut, seed, class as u64, 0).shuffle(&mut members);
        let wanted = (members.len() as f64 * share).round() as usize;
        let n = wanted.max(1).min(members.len().saturating_sub(1));
        held_out.extend(members.drain(..n));
        kept.extend(members);
    }
    kept.sort_unstable();
    held_out.sort_unstable();
    (kept, held_out)
}

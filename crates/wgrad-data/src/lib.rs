//! Image and text sources, augmentation, tokenizers and the prefetching loader.
//!
//! [`open`] turns a spec such as `fashion-mini` or `folder:./photos` into [`Splits`]: three [`Subset`]s,
//! a [`Pipeline`] turns one image into normalised floats, and a [`Loader`] delivers batches. Order and
//! augmentation depend on the seed alone, never on the number of workers.
//!
//! This crate never touches a device, never downloads, never prints, and never panics on bad outside input:
//! problems of a file come back as a [`DataError`] or as a warning to show.

mod augment;
mod batches;
mod bpe;
mod cifar;
mod color;
mod contents;
mod dataset;
mod decode;
mod error;
mod folder;
mod format;
mod geometry;
mod idx;
mod labels;
mod left_out;
mod listing;
mod loader;
mod mask;
mod masks;
mod parallel;
mod pipeline;
mod prefetch;
mod random;
mod resample;
mod segmentation;
mod source;
mod splits;
mod streams;
mod subset;
mod text;
mod tokenizer;

pub use augment::{AUGMENTATIONS, Augment, Augmentation, parse_augment};
pub use batches::{Batch, LoaderOptions};
pub use bpe::{BytePairs, MOST_TOKENS};
pub use contents::{DEFAULT_VAL_SPLIT, SegmentationOptions, SourceOptions, Split};
pub use dataset::{Dataset, SMALL_SIDE};
pub use decode::{Image, Levels, decode_image, decode_levels};
pub use error::DataError;
pub use loader::Loader;
pub use mask::mask_png;
pub use masks::Masking;
pub use pipeline::{Pipeline, SampleKey, estimate_normalisation};
pub use prefetch::EpochIter;
pub use random::Draws;
pub use segmentation::{
    IGNORED, IGNORED_LABEL, MaskedBatch, MaskedImage, SegmentationData, SegmentationReader, check_ignored,
    is_masks, masked_image_moments, open_masks, open_picture, resized_mask,
};
pub use source::{OwnImages, Splits, open, open_own};
pub use streams::{Streams, TokenBatch, windows};
pub use subset::{CACHE_BYTES, Subset};
pub use text::{
    EMBEDDED_TEXT, TEXT_VAL_SPLIT, TOKENIZERS, Text, TokenizerChoice, is_text, open_text, read_text,
};
pub use tokenizer::{Decoder, Tokenizer};

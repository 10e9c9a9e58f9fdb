//! One image to the floats a model sees: framed to the target size, augmented if training, normalised, planes first.
//!
//! Framing in evaluation, and in training without a crop augmentation: an image of the target size stays as
//! it is; a small one (no side above [`SMALL_SIDE`]) at most 8 pixels short of the target is padded with
//! black on all sides, any other small one is scaled to the target; everything else is a photo, scaled to
//! cover 256/224 of the target, with the centre cut out.
//!
//! Nothing here remembers anything: the result depends on the image, the pipeline and the sample key alone.

use crate::augment::Augment;
use crate::dataset::SMALL_SIDE;
use crate::decode::{Image, check_channels};
use crate::error::DataError;
use crate::geometry::{center, crop, random_region};
use crate::parallel;
use crate::random::{Purpose, Stream};
use crate::resample::{Region, resize};
use crate::subset::Subset;

/// Largest difference to the target size bridged by padding instead of scaling.
const MAX_PADDING: usize = 8;

/// Maximum aspect ratio of a photo; of longer ones only the middle is used.
const MAX_ASPECT: usize = 16;

/// From images to model input.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Height and width of the result.
    pub size: (usize, usize),
    /// Channels of the images and of the result: 1 or 3.
    pub channels: usize,
    /// Changes made in training only. Crops run first, the others follow in this order.
    pub augment: Vec<Augment>,
    /// Mean of each channel over values in [0, 1].
    pub mean: Vec<f32>,
    /// Standard deviation of each channel over values in [0, 1].
    pub std: Vec<f32>,
}

/// Address of a sample's random draws; the same key gives the same result on any machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleKey {
    /// The run's seed.
    pub seed: u64,
    /// The epoch.
    pub epoch: u64,
    /// The sample's index in its subset.
    pub index: usize,
}

impl Pipeline {
    /// Floats in one result: channels x height x width.
    pub fn sample_len(&self) -> usize {
        self.channels * self.size.0 * self.size.1
    }

    /// Refuses impossible sizes, channels, normalisation or augmentation.
    ///
    /// # Errors
    /// [`DataError::Invalid`] naming the field.
    pub fn check(&self) -> Result<(), DataError> {
        let (height, width) = self.size;
        if !(1..=16_384).contains(&height) || !(1..=16_384).contains(&width) {
            return Err(DataError::invalid(
                "image size",
                format!("{height}x{width}"),
                "from 1 to 16384 a side",
            ));
        }
        check_channels(self.channels)?;
        let numbers = [("mean", &self.mean), ("std", &self.std)];
        for (what, values) in numbers {
            let fine = |v: &f32| v.is_finite() && (what == "mean" || *v > 0.0);
            if values.len() != self.channels || !values.iter().all(fine) {
                let sign = if what == "std" { "positive" } else { "finite" };
                let expected = format!("{} {sign} numbers, one per channel", self.channels);
                return Err(DataError::invalid(what, format!("{values:?}"), expected));
            }
        }
        self.augment.iter().try_for_each(Augment::check)
    }

    /// The model input for `image`, channels first: augmented by the draws of `key`, or as in evaluation if `None`.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if the image has other channels, no pixels, or bytes contradicting its size, or
    /// if [`Self::check`] refuses the pipeline.
    pub fn apply(&self, image: &Image, key: Option<SampleKey>) -> Result<Vec<f32>, DataError> {
        self.check()?;
        let mut out = vec![0.0; self.sample_len()];
        self.write(image, key, &mut out)?;
        Ok(out)
    }

    /// [`Self::apply`] into a slice of [`Self::sample_len`] floats, with the pipeline checked before.
    pub(crate) fn write(
        &self,
        image: &Image,
        key: Option<SampleKey>,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        let channels = image.channels;
        if channels != self.channels {
            let expected = format!("{}, as in the pipeline", self.channels);
            return Err(DataError::invalid("image channels", channels, expected));
        }
        image.check()?;
        match key {
            None => self.normalise(&self.frame(image), out),
            Some(SampleKey { seed, epoch, index }) => {
                let mut stream = Stream::new(Purpose::Augment, seed, epoch, index as u64);
                self.normalise(&self.augmented(image, &mut stream), out);
            }
        }
        Ok(())
    }

    fn augmented(&self, image: &Image, stream: &mut Stream) -> Image {
        let (height, width) = self.size;
        // Padding to the target is part of the picture, so crops choose from the padded one.
        let mut picture = if self.is_padded(image) { center(image, width, height) } else { image.clone() };
        for augment in self.augment.iter().filter(|augment| augment.is_crop()) {
            picture = match *augment {
                Augment::RandomResizedCrop { scale, ratio } => {
                    resize(&picture, random_region(&picture, scale, ratio, stream), width, height)
                }
                Augment::RandomCrop { padding } => {
                    let covering = self.cover(picture);
                    let mut offset = |have: usize, want: usize| {
                        stream.below(have + 2 * padding - want + 1) as isize - padding as isize
                    };
                    let top = offset(covering.height, height);
                    let left = offset(covering.width, width);
                    crop(&covering, left, top, width, height)
                }
                _ => picture,
            };
        }
        let mut picture = self.frame(&picture);
        for augment in &self.augment {
            augment.apply(&mut picture, stream);
        }
        picture
    }

    /// Cut or padded to the target size, as the head of this file says.
    fn frame(&self, image: &Image) -> Image {
        let (height, width) = self.size;
        if self.is_padded(image) {
            return center(image, width, height);
        }
        center(&self.cover(image.clone()), width, height)
    }

    fn is_padded(&self, image: &Image) -> bool {
        let near = |have: usize, want: usize| (have..=have + MAX_PADDING).contains(&want);
        is_small(image) && near(image.height, self.size.0) && near(image.width, self.size.1)
    }

    /// Scales an image to cover the target: small images to the target itself, photos to 256/224 of it.
    fn cover(&self, image: Image) -> Image {
        let (height, width) = self.size;
        if (image.height, image.width) == (height, width) {
            return image;
        }
        let mut seen = Region::whole(&image);
        if is_small(&image) {
            return resize(&image, seen, width, height);
        }
        // The ends of a ribbon-like picture are not visible; scaling them up could take all memory.
        for (offset, side, other) in
            [(&mut seen.x, &mut seen.width, image.height), (&mut seen.y, &mut seen.height, image.width)]
        {
            let longest = other.saturating_mul(MAX_ASPECT);
            *offset = side.saturating_sub(longest) / 2;
            *side = longest.min(*side);
        }
        let (h, w) = (height * 256 / 224, width * 256 / 224);
        // The side with the greater factor decides; the other keeps the aspect ratio, rounded down.
        let (h, w) = if h * seen.width >= w * seen.height {
            (h, seen.width * h / seen.height)
        } else {
            (seen.height * w / seen.width, w)
        };
        resize(&image, seen, w, h)
    }

    /// (x / 255 - mean) / std, planes first.
    fn normalise(&self, image: &Image, out: &mut [f32]) {
        let plane = self.size.0 * self.size.1;
        for (c, out) in out.chunks_exact_mut(plane).enumerate() {
            let (mean, std) = (self.mean[c], self.std[c]);
            // 256 divisions instead of one per pixel, and the same bits.
            let values: [f32; 256] = std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
            for (value, pixel) in out.iter_mut().zip(image.data.chunks_exact(self.channels)) {
                *value = values[usize::from(pixel[c])];
            }
        }
    }
}

fn is_small(image: &Image) -> bool {
    image.width.max(image.height) <= SMALL_SIDE
}

/// Mean and standard deviation of each channel over values in [0, 1], for [`Pipeline::mean`] and [`Pipeline::std`].
///
/// Reads at most 2,000 evenly spaced samples, before any padding or augmentation, all with the same weight
/// whatever their size. Undecodable samples are left out unless the subset is strict. A constant channel gets
/// the standard deviation 1.
///
/// # Errors
/// The first sample's error if none decodes or the subset is strict; [`DataError::Invalid`] if it is empty.
pub fn estimate_normalisation(subset: &Subset) -> Result<(Vec<f32>, Vec<f32>), DataError> {
    const SAMPLES: usize = 2_000;
    let n = subset.len().min(SAMPLES);
    if n == 0 {
        return Err(DataError::invalid("training set", "empty", "at least one image"));
    }
    let moments = parallel::map(n, |i| subset.load(i * subset.len() / n).map(|image| moments(&image)));
    let channels = subset.channels();
    let (mut sums, mut squares, mut seen) = (vec![0.0_f64; channels], vec![0.0_f64; channels], 0_usize);
    let mut refusal = None;
    for sample in moments {
        match sample {
            Ok(of_channel) => {
                seen += 1;
                for (c, (mean, square)) in of_channel.into_iter().enumerate() {
                    sums[c] += mean;
                    squares[c] += square;
                }
            }
            Err(error) if subset.is_strict() => return Err(error),
            Err(error) => {
                refusal.get_or_insert(error);
            }
        }
    }
    if let (0, Some(error)) = (seen, refusal) {
        return Err(error);
    }
    let mean: Vec<f64> = sums.iter().map(|sum| sum / seen as f64).collect();
    let std = squares.iter().zip(&mean).map(|(square, mean)| {
        let std = (square / seen as f64 - mean * mean).max(0.0).sqrt();
        if std < 1e-4 { 1.0 } else { std as f32 }
    });
    Ok((mean.iter().map(|&mean| mean as f32).collect(), std.collect()))
}

/// Mean and mean square of each channel of one image. Integer sums, so exact.
fn moments(image: &Image) -> Vec<(f64, f64)> {
    let n_pixels = (image.width * image.height) as f64;
    (0..image.channels)
        .map(|c| {
            let values = || image.data.iter().skip(c).step_by(image.channels).map(|&v| u64::from(v));
            let (sum, square) = (values().sum::<u64>(), values().map(|v| v * v).sum::<u64>());
            (sum as f64 / 255.0 / n_pixels, square as f64 / (255.0 * 255.0) / n_pixels)
        })
        .collect()
}

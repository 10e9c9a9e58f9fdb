//! The idx files of MNIST and Fashion-MNIST, plain or gzipped, and the built-in sample `fashion-mini`.
//!
//! The header is checked against the file before anything is believed: magic number, counts, length, label range.
//! Never allocates more than a header's promise up to a fixed limit.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::contents::{Source, SourceOptions};
use crate::error::DataError;
use crate::subset::{Memory, Store};

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const FASHION: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// More than any idx dataset in use; a greater promise is a damaged header.
const MAX_BYTES: usize = 4 << 30;

pub(crate) fn mnist(dir: &Path, _: &SourceOptions) -> Result<Source, DataError> {
    source(from_dir(dir, "train")?, from_dir(dir, "t10k")?, DIGITS)
}

pub(crate) fn fashion(dir: &Path, _: &SourceOptions) -> Result<Source, DataError> {
    source(from_dir(dir, "train")?, from_dir(dir, "t10k")?, FASHION)
}

/// The 5,000 + 1,000 images of Fashion-MNIST built into the program.
pub(crate) fn embedded() -> Result<Source, DataError> {
    macro_rules! built_in {
        ($name:literal) => {
            Idx {
                path: PathBuf::from(concat!("fashion-mini/", $name)),
                reader: Box::new(MultiGzDecoder::new(&include_bytes!(concat!("../data/", $name))[..])),
            }
        };
    }
    let train = part(built_in!("train-images-idx3-ubyte.gz"), built_in!("train-labels-idx1-ubyte.gz"))?;
    let test = part(built_in!("t10k-images-idx3-ubyte.gz"), built_in!("t10k-labels-idx1-ubyte.gz"))?;
    source(train, test, FASHION)
}

fn source(train: Memory, test: Memory, classes: [&str; 10]) -> Result<Source, DataError> {
    let size = (train.height, train.width);
    if size != (test.height, test.width) {
        let (height, width) = (test.height, test.width);
        let expected = format!("{}x{}, as in the training images", size.0, size.1);
        return Err(DataError::invalid("test image size", format!("{height}x{width}"), expected));
    }
    Ok(Source {
        classes: classes.map(str::to_owned).to_vec(),
        channels: 1,
        image_size: Some(size),
        levels: None,
        train: Store::Memory(train),
        validation: None,
        test: Some(Store::Memory(test)),
        warnings: Vec::new(),
    })
}

fn from_dir(dir: &Path, split: &str) -> Result<Memory, DataError> {
    part(Idx::find(dir, split, "images", 3)?, Idx::find(dir, split, "labels", 1)?)
}

/// An idx file being read.
struct Idx {
    path: PathBuf,
    reader: Box<dyn Read>,
}

impl Idx {
    /// Opens the first existing spelling of a file; the uncompressed one is preferred.
    fn find(dir: &Path, split: &str, what: &str, rank: usize) -> Result<Self, DataError> {
        let official = format!("{split}-{what}-idx{rank}-ubyte");
        let dotted = format!("{split}-{what}.idx{rank}-ubyte");
        let spellings = [official.clone(), dotted.clone(), format!("{official}.gz"), format!("{dotted}.gz")];
        let Some(path) = spellings.iter().map(|name| dir.join(name)).find(|path| path.is_file()) else {
            let hint = "put the four idx files there, plain or as .gz";
            return Err(DataError::Missing { path: dir.join(official), hint });
        };
        let file = BufReader::new(File::open(&path).map_err(|e| DataError::io(&path, e))?);
        let gzipped = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn Read> =
            if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { path, reader })
    }

    fn malformed(&self, problem: impl Into<String>) -> DataError {
        DataError::malformed(&self.path, problem)
    }

    /// Reads exactly `n` bytes, or says after how many the file ends.
    fn take(&mut self, n: usize) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(n as u64).read_to_end(&mut bytes);
        match read {
            Ok(_) if bytes.len() == n => Ok(bytes),
            Ok(_) => Err(self.malformed(format!("it ends after {} of {n} bytes", bytes.len()))),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.malformed("the gzip stream is cut short"))
            }
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData) =>
            {
                Err(self.malformed(format!("the gzip stream is broken ({e})")))
            }
            Err(e) => Err(DataError::io(&self.path, e)),
        }
    }

    /// Reads the dimensions and then the payload; the payload must fill the rest of the file exactly.
    fn read(mut self, rank: usize) -> Result<(Vec<usize>, Vec<u8>, Self), DataError> {
        let header = self.take(4 + 4 * rank)?;
        let words: Vec<u32> = header.as_chunks().0.iter().map(|&word| u32::from_be_bytes(word)).collect();
        let magic = 0x0800 + rank as u32;
        if words[0] != magic {
            return Err(self.malformed(format!("its magic number is {}, not {magic}", words[0])));
        }
        let dims: Vec<usize> = words[1..].iter().map(|&dim| dim as usize).collect();
        let size = dims.iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim));
        let Some(size) = size.filter(|&size| size > 0 && size <= MAX_BYTES) else {
            return Err(self.malformed(format!("its header promises an array of {dims:?}")));
        };
        let payload = self.take(size)?;
        if !matches!(self.reader.read(&mut [0]), Ok(0)) {
            return Err(self.malformed(format!("it goes on after the {size} bytes its header promises")));
        }
        Ok((dims, payload, self))
    }
}

fn part(images: Idx, labels: Idx) -> Result<Memory, DataError> {
    let (dims, pixels, images) = images.read(3)?;
    let (_, label_bytes, labels) = labels.read(1)?;
    if label_bytes.len() != dims[0] {
        return Err(labels.malformed(format!(
            "it has {} labels for the {} images of {}",
            label_bytes.len(),
            dims[0],
            images.path.display()
        )));
    }
    if let Some(i) = label_bytes.iter().position(|&label| label > 9) {
        return Err(labels.malformed(format!("label {} of image {i} is not below 10", label_bytes[i])));
    }
    Ok(Memory { height: dims[1], width: dims[2], channels: 1, pixels, labels: label_bytes })
}

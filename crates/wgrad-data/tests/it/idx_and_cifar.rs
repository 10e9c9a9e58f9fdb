//! The in-memory sources: fashion-mini, MNIST, Fashion-MNIST and CIFAR-10, whole and damaged.

use std::io::Write as _;
use std::path::Path;

use wgrad_data::{SourceOptions, Split};

use crate::{open, refusal, write};

fn idx_images(n: u32, pixels: &[u8]) -> Vec<u8> {
    let header = [0x803_u32, n, 2, 3].map(u32::to_be_bytes).concat();
    [header, pixels.to_vec()].concat()
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let header = [0x801_u32, labels.len() as u32].map(u32::to_be_bytes).concat();
    [header, labels.to_vec()].concat()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Four training and two test images of 2 x 3, in all four spellings.
fn mnist() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..24).collect();
    write(dir.path().join("train-images-idx3-ubyte"), idx_images(4, &pixels));
    write(dir.path().join("train-labels.idx1-ubyte"), idx_labels(&[3, 1, 9, 0]));
    write(dir.path().join("t10k-images-idx3-ubyte.gz"), gz(&idx_images(2, &pixels[12..])));
    write(dir.path().join("t10k-labels.idx1-ubyte.gz"), gz(&idx_labels(&[7, 7])));
    dir
}

fn damaged(name: &str, bytes: &[u8]) -> String {
    let dir = mnist();
    write(dir.path().join(name), bytes);
    refusal("mnist", dir.path())
}

#[test]
fn fashion_mini_is_built_in() {
    let data = wgrad_data::open("fashion-mini", &SourceOptions::default()).unwrap();
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (5_000, 0, 1_000));
    assert_eq!((data.channels, data.image_size), (1, Some((28, 28))));
    assert_eq!(data.classes.len(), 10);
    assert_eq!((data.classes[0].as_str(), data.classes[9].as_str()), ("T-shirt/top", "Ankle boot"));
    assert_eq!(data.classes[data.train.label(0)], "Ankle boot");
    assert_eq!(data.train.description(), "fashion-mini, train: 5000 images");
    let boot = data.train.load(0).unwrap();
    assert_eq!((boot.width, boot.height, boot.channels, boot.data.len()), (28, 28, 1, 784));
    assert_eq!(boot.data.iter().map(|&v| u64::from(v)).sum::<u64>(), 76_247);

    let (mean, std) = wgrad_data::estimate_normalisation(&data.train).unwrap();
    // Over all 60,000 images they are 0.2860 and 0.3530.
    assert!((mean[0] - 0.286).abs() < 0.01 && (std[0] - 0.353).abs() < 0.01, "{mean:?} {std:?}");
}

#[test]
fn channels_can_be_asked_for() {
    let options = SourceOptions { channels: Some(3), ..SourceOptions::default() };
    let data = wgrad_data::open("fashion-mini", &options).unwrap();
    let (boot, grey) = (
        data.train.load(0).unwrap(),
        wgrad_data::open("fashion-mini", &SourceOptions::default()).unwrap().train.load(0).unwrap(),
    );
    assert_eq!((data.channels, boot.channels, boot.data.len()), (3, 3, 3 * 784));
    assert!(boot.data.chunks(3).zip(grey.data).all(|(rgb, v)| rgb == [v; 3]));
}

#[test]
fn idx_files_are_read_in_every_spelling() {
    let dir = mnist();
    for (kind, class) in [("mnist", "3"), ("fashion-mnist", "Dress")] {
        let data = open(kind, dir.path(), &SourceOptions::default()).unwrap();
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (4, 0, 2));
        assert_eq!(data.image_size, Some((2, 3)));
        assert_eq!(data.classes[data.train.label(0)], class);
        assert_eq!(data.train.load(1).unwrap().data, [6, 7, 8, 9, 10, 11]);
        assert_eq!(data.subset(Split::Test).load(0).unwrap().data, [12, 13, 14, 15, 16, 17]);
        assert_eq!(data.test.label(1), 7);
        assert_eq!(data.test.sample_name(1), "image 1");
    }
}

#[test]
fn damaged_idx_files_are_refused() {
    let pixels: Vec<u8> = (0..24).collect();
    let images = idx_images(4, &pixels);
    let name = "train-images-idx3-ubyte";
    let cases = [
        (&images[..images.len() - 5], "it ends after 19 of 24 bytes"),
        (&images[..7], "it ends after 7 of 16 bytes"),
        (&idx_labels(&[1, 2, 3, 4, 5, 6, 7, 8]), "its magic number is 2049, not 2051"),
        (&[images.clone(), vec![0]].concat(), "it goes on after the 24 bytes its header promises"),
        (&idx_images(u32::MAX, &[]), "its header promises an array of [4294967295, 2, 3]"),
        (&idx_images(0, &[]), "its header promises an array of [0, 2, 3]"),
    ];
    for (bytes, problem) in cases {
        assert_eq!(damaged(name, bytes), format!("{name} is damaged: {problem}; download it again"));
    }
    assert_eq!(
        damaged(name, &idx_images(3, &pixels[..18])),
        "train-labels.idx1-ubyte is damaged: it has 4 labels for the 3 images of train-images-idx3-ubyte; \
         download it again"
    );
    assert_eq!(
        damaged("train-labels.idx1-ubyte", &idx_labels(&[1, 2, 10, 0])),
        "train-labels.idx1-ubyte is damaged: label 10 of image 2 is not below 10; download it again"
    );
    let zipped = gz(&idx_images(2, &pixels[12..]));
    let name = "t10k-images-idx3-ubyte.gz";
    assert_eq!(
        damaged(name, &zipped[..zipped.len() - 12]),
        format!("{name} is damaged: the gzip stream is cut short; download it again")
    );
    assert_eq!(
        damaged(name, b"<html>not found</html>"),
        format!("{name} is damaged: the gzip stream is broken (invalid gzip header); download it again")
    );
    let other_size = [[0x803_u32, 2, 1, 1].map(u32::to_be_bytes).concat(), vec![0, 0]].concat();
    assert_eq!(
        damaged(name, &gz(&other_size)),
        "test image size is 1x1; it must be 2x3, as in the training images"
    );
}

#[test]
fn a_missing_idx_file_is_named() {
    let dir = mnist();
    std::fs::remove_file(dir.path().join("t10k-images-idx3-ubyte.gz")).unwrap();
    assert_eq!(
        refusal("fashion-mnist", dir.path()),
        "t10k-images-idx3-ubyte does not exist; put the four idx files there, plain or as .gz"
    );
}

/// Two records per batch; the label of record `i` of batch `b` is `b`, its red plane `i`, green 10, blue 20.
fn cifar(dir: &Path) {
    let batch = |b: u8| {
        (0..2_u8).flat_map(|i| [vec![b], vec![i; 1024], vec![10; 1024], vec![20; 1024]].concat()).collect()
    };
    for b in 1..=5 {
        let bytes: Vec<u8> = batch(b);
        write(dir.join(format!("data_batch_{b}.bin")), bytes);
    }
    let bytes: Vec<u8> = batch(0);
    write(dir.join("test_batch.bin"), bytes);
}

#[test]
fn cifar_is_read_from_the_folder_or_the_one_inside() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("cifar-10-batches-bin");
    cifar(&inner);
    for path in [dir.path(), &inner] {
        let data = open("cifar10", path, &SourceOptions::default()).unwrap();
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (10, 0, 2));
        assert_eq!((data.channels, data.image_size), (3, Some((32, 32))));
        assert_eq!(data.classes[data.train.label(9)], "dog");
        let image = data.train.load(9).unwrap();
        assert!(image.data.chunks(3).all(|rgb| rgb == [1, 10, 20]));
    }
    write(inner.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    assert_eq!(open("cifar10", dir.path(), &SourceOptions::default()).unwrap().classes[9], "j");
    let grey = SourceOptions { channels: Some(1), ..SourceOptions::default() };
    // (1 * 299 + 10 * 587 + 20 * 114) / 1000
    assert_eq!(open("cifar10", dir.path(), &grey).unwrap().train.load(9).unwrap().data, [8; 1024]);
}

#[test]
fn damaged_cifar_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    cifar(dir.path());
    write(dir.path().join("data_batch_2.bin"), vec![0; 3072]);
    assert_eq!(
        refusal("cifar10", dir.path()),
        "data_batch_2.bin is damaged: its 3072 bytes are no whole number of 3073-byte records; download it again"
    );
    write(dir.path().join("data_batch_2.bin"), vec![11; 3073]);
    assert_eq!(
        refusal("cifar10", dir.path()),
        "data_batch_2.bin is damaged: label 11 of record 0 is not below 10; download it again"
    );
    std::fs::remove_file(dir.path().join("data_batch_2.bin")).unwrap();
    assert_eq!(
        refusal("cifar10", dir.path()),
        "data_batch_2.bin does not exist; unpack the binary version, cifar-10-binary.tar.gz, there"
    );
}

#[test]
fn a_wrong_spec_or_option_is_one_line() {
    for spec in ["imagenet:/tmp", "mnist", "mnist:", "", "fashion-mini:/tmp"] {
        let message = wgrad_data::open(spec, &SourceOptions::default()).unwrap_err().to_string();
        let known = "use fashion-mini, mnist:DIR, fashion-mnist:DIR, cifar10:DIR or folder:DIR for images, masks:DIR for images with masks, shakespeare-mini, text:FILE or text:DIR for text";
        let absent = if spec == "mnist" { ", and no folder of that name is there" } else { "" };
        assert_eq!(message, format!("unknown data source {spec:?}{absent}; {known}"));
    }
    for kind in ["mnist", "fashion-mnist", "cifar10", "folder"] {
        let message = wgrad_data::open(&format!("{kind}:/no/such"), &SourceOptions::default()).unwrap_err();
        let expected = "/no/such does not exist; give the path of an existing folder after the colon";
        assert_eq!(message.to_string(), expected);
    }
    let refused =
        |options: SourceOptions| wgrad_data::open("fashion-mini", &options).unwrap_err().to_string();
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        assert_eq!(
            refused(SourceOptions { val_split: Some(share), ..SourceOptions::default() }),
            format!("`val_split` is {share}; it must be between 0 and 1, as in 0.2")
        );
    }
    assert_eq!(
        refused(SourceOptions { channels: Some(4), ..SourceOptions::default() }),
        "channels is 4; it must be 1 (grey) or 3 (colour)"
    );
    assert_eq!(
        refused(SourceOptions { image_size: Some(0), ..SourceOptions::default() }),
        "`image_size` is 0; it must be at least 1"
    );
}

#[test]
fn a_hold_out_is_stratified_seeded_and_disjoint() {
    let of_seed = |seed| {
        let options = SourceOptions { val_split: Some(0.1), seed, ..SourceOptions::default() };
        wgrad_data::open("fashion-mini", &options).unwrap()
    };
    let data = of_seed(1);
    assert_eq!((data.train.len() + data.validation.len(), data.test.len()), (5_000, 1_000));
    assert_eq!(data.validation.description(), "fashion-mini, validation (held out of train): 500 images");
    let names = |subset: &wgrad_data::Subset| -> std::collections::BTreeSet<String> {
        (0..subset.len()).map(|i| subset.sample_name(i)).collect()
    };
    assert!(names(&data.train).is_disjoint(&names(&data.validation)));
    for class in 0..10 {
        let count = |subset: &wgrad_data::Subset| {
            (0..subset.len()).filter(|&i| subset.label(i) == class).count() as f64
        };
        let (kept, held) = (count(&data.train), count(&data.validation));
        assert_eq!(held, ((kept + held) * 0.1).round());
    }
    assert_eq!(names(&data.validation), names(&of_seed(1).validation));
    assert_ne!(names(&data.validation), names(&of_seed(2).validation));
}

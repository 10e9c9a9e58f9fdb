//! From image to floats: framing, normalisation, augmentation and its text form.

use wgrad_data::{Augment, Image, Pipeline, SampleKey, SourceOptions, estimate_normalisation, parse_augment};

use crate::{open, paint};

fn pipeline(size: usize, augment: &str) -> Pipeline {
    let augment = parse_augment(augment).unwrap();
    Pipeline { size: (size, size), channels: 1, augment, mean: vec![0.0], std: vec![1.0 / 255.0] }
}

fn grey(width: usize, data: Vec<u8>) -> Image {
    Image { width, height: data.len() / width, channels: 1, data }
}

/// Values are those of the bytes, as the standard deviation undoes the division.
fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().map(|v| v.round() as u8).collect()
}

fn key(index: usize) -> Option<SampleKey> {
    Some(SampleKey { seed: 7, epoch: 2, index })
}

#[test]
fn pipeline_output_is_normalised_planes() {
    let pipeline = Pipeline {
        size: (1, 2),
        channels: 3,
        augment: vec![],
        mean: vec![0.5, 0.0, 0.2],
        std: vec![0.25, 1.0, 2.0],
    };
    let image = Image { width: 2, height: 1, channels: 3, data: vec![255, 0, 51, 0, 255, 102] };
    let expected = [2.0, -2.0, 0.0, 1.0, 0.0, 0.1];
    let out = pipeline.apply(&image, None).unwrap();
    assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{out:?}");
}

#[test]
fn pipeline_small_images_are_padded_or_scaled() {
    let image = grey(3, (1..=9).collect());
    assert_eq!(bytes(&pipeline(3, "none").apply(&image, None).unwrap()), image.data);
    let padded = [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 2, 3, 0, 0],
        [0, 4, 5, 6, 0, 0],
        [0, 7, 8, 9, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(bytes(&pipeline(6, "none").apply(&image, None).unwrap()), padded.concat());
    // Padding comes before normalisation: black, not zero.
    let mut shifted = pipeline(6, "none");
    shifted.mean = vec![0.5];
    assert!((shifted.apply(&image, None).unwrap()[0] + 127.5).abs() < 1e-3);

    let white = grey(28, vec![255; 784]);
    let sum = |size: usize| {
        bytes(&pipeline(size, "none").apply(&white, None).unwrap()).iter().filter(|&&v| v == 255).count()
    };
    assert_eq!([sum(32), sum(36), sum(37), sum(20)], [784, 784, 37 * 37, 400]);
}

#[test]
fn pipeline_photos_are_center_cropped() {
    // A white square of half the height in the middle of a wide black photo.
    let (width, height) = (300, 200);
    let data = (0..width * height)
        .map(|i| (i % width, i / width))
        .map(|(x, y)| if (100..200).contains(&x) && (50..150).contains(&y) { 255 } else { 0 })
        .collect();
    let out = bytes(&pipeline(112, "none").apply(&grey(width, data), None).unwrap());
    // 200 rows become 128, so the square has 64 x 64, centred in 112 x 112.
    let row = |y: usize| out[y * 112..][..112].iter().filter(|&&v| v > 127).count();
    let column = |x: usize| (0..112).filter(|y| out[y * 112 + x] > 127).count();
    assert_eq!([row(56), column(56), row(23), row(24), row(87), row(88)], [64, 64, 0, 64, 64, 0]);
    assert_eq!([column(23), column(24), column(87), column(88)], [0, 64, 64, 0]);

    // A ribbon neither fails nor takes the memory of its full length.
    assert_eq!(pipeline(70, "none").apply(&grey(1, vec![5; 40_000]), None).unwrap(), vec![5.0; 4_900]);
    // Images of the target size are not cropped.
    let exact = grey(100, (0..10_000).map(|i| (i % 251) as u8).collect());
    assert_eq!(bytes(&pipeline(100, "none").apply(&exact, None).unwrap()), exact.data);
}

#[test]
fn random_crop_is_window_of_padded_image() {
    let image = grey(4, (1..=16).collect());
    let pipeline = pipeline(4, "crop:1");
    let at = |x: i32, y: i32| if (0..4).contains(&x) && (0..4).contains(&y) { y * 4 + x + 1 } else { 0 };
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..200 {
        let out = bytes(&pipeline.apply(&image, key(index)).unwrap());
        let window = (-1..=1).flat_map(|top| (-1..=1).map(move |left| (left, top))).find(|(left, top)| {
            out.iter().enumerate().all(|(i, &v)| i32::from(v) == at(i as i32 % 4 + left, i as i32 / 4 + top))
        });
        seen.insert(window.expect("no window of the image"));
    }
    assert_eq!(seen.len(), 9);
    // Evaluation never crops.
    assert_eq!(bytes(&pipeline.apply(&image, None).unwrap()), image.data);
}

#[test]
fn flip_happens_with_its_probability() {
    let image = grey(2, vec![1, 2, 3, 4]);
    let flipped = |spec: &str| {
        let pipeline = pipeline(2, spec);
        (0..400).filter(|&i| bytes(&pipeline.apply(&image, key(i)).unwrap()) == [2, 1, 4, 3]).count()
    };
    assert_eq!((flipped("flip:1"), flipped("flip:0"), flipped("none")), (400, 0, 0));
    assert!((150..250).contains(&flipped("flip")));
}

#[test]
fn resized_crop_fills_target() {
    let photo = grey(200, (0..200 * 150).map(|i| (i % 200) as u8).collect());
    let pipeline = pipeline(32, "resized-crop:0.2");
    let mut widths = Vec::new();
    for index in 0..50 {
        let out = pipeline.apply(&photo, key(index)).unwrap();
        // Columns rise steadily from left to right, and all rows agree.
        assert!(out.chunks(32).all(|row| row == &out[..32] && row.is_sorted()));
        widths.push(out[31] - out[0]);
    }
    assert!(widths.iter().any(|&w| w < 90.0) && widths.iter().any(|&w| w > 120.0), "{widths:?}");
}

#[test]
fn augmentation_depends_on_its_key_alone() {
    let photo = Image {
        width: 90,
        height: 80,
        channels: 3,
        data: (0..21_600).map(|i| (i * 7 % 256) as u8).collect(),
    };
    let pipeline = Pipeline {
        channels: 3,
        mean: vec![0.0; 3],
        std: vec![1.0; 3],
        ..pipeline(48, "resized-crop,flip,rotate:15,jitter:0.4:0.4:0.4:0.1")
    };
    let run = |seed, epoch, index| pipeline.apply(&photo, Some(SampleKey { seed, epoch, index })).unwrap();
    let base = run(1, 2, 3);
    assert_eq!(base, run(1, 2, 3));
    for other in [run(0, 2, 3), run(1, 0, 3), run(1, 2, 0)] {
        assert_ne!(base, other);
    }
    assert!(base.iter().all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn augmentation_lists_are_read() {
    let ratio = (3.0 / 4.0, 4.0 / 3.0);
    let jitter = |x: f32, hue: f32| Augment::ColorJitter { brightness: x, contrast: x, saturation: x, hue };
    assert_eq!(parse_augment("none").unwrap(), []);
    assert_eq!(parse_augment(" ").unwrap(), []);
    assert_eq!(
        parse_augment("flip, crop:4,resized-crop,rotate:10,jitter:0.2").unwrap(),
        [
            Augment::HorizontalFlip { p: 0.5 },
            Augment::RandomCrop { padding: 4 },
            Augment::RandomResizedCrop { scale: (0.08, 1.0), ratio },
            Augment::Rotation { degrees: 10.0 },
            jitter(0.2, 0.0),
        ]
    );
    assert_eq!(
        parse_augment("resized-crop:0.3,jitter:0.3:0.3:0.3:0.1,flip:1").unwrap(),
        [
            Augment::RandomResizedCrop { scale: (0.3, 1.0), ratio },
            jitter(0.3, 0.1),
            Augment::HorizontalFlip { p: 1.0 }
        ]
    );
    for wrong in ["flop", "flip:x", "crop:1:2", "flip,", "jitter:1:1", "none,flip"] {
        let item = wrong.strip_prefix("flip,").unwrap_or(wrong).split(',').next().unwrap();
        assert_eq!(
            parse_augment(wrong).unwrap_err().to_string(),
            format!(
                "augmentation is {item:?}; it must be none or a comma-separated list of flip[:P], crop[:PADDING], \
                 resized-crop[:MIN_SCALE], rotate[:DEGREES], jitter[:X] or \
                 jitter:BRIGHTNESS:CONTRAST:SATURATION:HUE"
            )
        );
    }
    for (wrong, message) in [
        ("flip:1.5", "flip probability is 1.5; it must be from 0 to 1"),
        ("crop:2.5", "crop padding is 2.5; it must be a whole number from 0 to 512"),
        ("crop:inf", "crop padding is inf; it must be a whole number from 0 to 512"),
        ("crop:1000", "crop padding is 1000; it must be from 0 to 512"),
        ("rotate:-1", "rotation is -1; it must be from 0 to 180"),
        ("rotate:nan", "rotation is NaN; it must be from 0 to 180"),
        ("resized-crop:0", "resized-crop smallest scale is 0; it must be from 0.0001 to 1"),
        ("jitter:2", "jitter brightness is 2; it must be from 0 to 1"),
        ("jitter:0:0:0:0.6", "jitter hue is 0.6; it must be from 0 to 0.5"),
    ] {
        assert_eq!(parse_augment(wrong).unwrap_err().to_string(), message);
    }
}

#[test]
fn pipeline_wrong_settings_and_images_are_refused() {
    let image = grey(2, vec![0; 4]);
    let refused = |change: fn(&mut Pipeline)| {
        let mut pipeline = pipeline(2, "none");
        change(&mut pipeline);
        pipeline.apply(&image, None).unwrap_err().to_string()
    };
    assert_eq!(refused(|p| p.size.0 = 0), "image size is 0x2; it must be from 1 to 16384 a side");
    assert_eq!(refused(|p| p.channels = 2), "channels is 2; it must be 1 (grey) or 3 (colour)");
    assert_eq!(refused(|p| p.mean.clear()), "mean is []; it must be 1 finite numbers, one per channel");
    assert_eq!(refused(|p| p.std[0] = 0.0), "std is [0.0]; it must be 1 positive numbers, one per channel");
    assert_eq!(
        refused(|p| p.augment = vec![Augment::HorizontalFlip { p: f32::NAN }]),
        "flip probability is NaN; it must be from 0 to 1"
    );
    let short = Image { height: 3, ..image.clone() };
    assert_eq!(
        pipeline(2, "none").apply(&short, None).unwrap_err().to_string(),
        "image is 3x2x1 in 4 bytes; it must be height x width x channels bytes, and not empty"
    );
    let color = Image { width: 1, height: 1, channels: 3, data: vec![0; 3] };
    assert_eq!(
        pipeline(2, "none").apply(&color, None).unwrap_err().to_string(),
        "image channels is 3; it must be 1, as in the pipeline"
    );
}

#[test]
fn pipeline_measures_moments_per_channel() {
    let dir = tempfile::tempdir().unwrap();
    // Red is 0 or 255 evenly, green always 51, blue 0 and 102; a larger image weighs no more.
    paint(dir.path().join("train/a/1.png"), 8, 8, [0, 51, 0]);
    paint(dir.path().join("train/a/2.png"), 30, 30, [255, 51, 102]);
    paint(dir.path().join("test/a/1.png"), 8, 8, [9, 9, 9]);
    let data = open("folder", dir.path(), &SourceOptions::default()).unwrap();
    let (mean, std) = estimate_normalisation(&data.train).unwrap();
    for (got, want) in mean.iter().chain(&std).zip([0.5, 0.2, 0.2, 0.5, 1.0, 0.2]) {
        assert!((got - want).abs() < 1e-6, "{mean:?} {std:?}");
    }
    assert_eq!(
        estimate_normalisation(&data.validation).unwrap_err().to_string(),
        "training set is empty; it must be at least one image"
    );
}

#[test]
fn random_crop_draws_each_axis_by_itself() {
    // A pixel's value is its position plus 1; padding is 0.
    let image = grey(4, (1..=16).collect());
    let pipeline = pipeline(4, "crop:2");
    let mut counts = std::collections::BTreeMap::new();
    for index in 0..1000 {
        let seen = bytes(&pipeline.apply(&image, key(index)).unwrap());
        let at = seen.iter().position(|&v| v > 0).expect("a part of the picture");
        let from = usize::from(seen[at]) - 1;
        let offset = |from: usize, at: usize| from as isize - at as isize;
        *counts.entry((offset(from / 4, at / 4), offset(from % 4, at % 4))).or_insert(0) += 1;
    }
    // 40 are expected of each; the standard deviation is 6.
    let even = counts.values().all(|n| (10..=70).contains(n));
    assert!(counts.len() == 25 && even, "{counts:?}");
}

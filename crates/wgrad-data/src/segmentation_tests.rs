//! Pictures with masks: their labels, and skipped files.

use super::*;
use crate::mask_png;

/// Pictures of 8x4 with a white right half, marked by grey level 200 in the masks.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["images", "masks"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    for i in 0..5_u8 {
        let half = |level: u8| {
            image::GrayImage::from_fn(8, 4, |x, _| image::Luma([if x < 4 { 10 * i } else { level }]))
        };
        half(255).save(dir.path().join(format!("images/{i}.png"))).unwrap();
        let mask = image::GrayImage::from_fn(8, 4, |x, _| image::Luma([if x < 4 { 0 } else { 200 }]));
        mask.save(dir.path().join(format!("masks/{i}.png"))).unwrap();
    }
    dir
}

fn options() -> SegmentationOptions {
    SegmentationOptions { size: (4, 4), val_split: Some(0.4), seed: 1, ..SegmentationOptions::default() }
}

fn open_with(dir: &Path, options: &SegmentationOptions) -> Result<SegmentationData, DataError> {
    open_masks(&format!("masks:{}", dir.display()), options)
}

fn open(dir: &Path) -> Result<SegmentationData, DataError> {
    open_with(dir, &options())
}

#[test]
fn masks_grey_levels_become_classes_and_pictures_are_split() {
    let dir = folder();
    std::fs::remove_file(dir.path().join("images/4.png")).unwrap();
    let images = open(dir.path()).unwrap();
    assert_eq!((images.classes, images.channels), (vec!["0".to_owned(), "200".into()], 1));
    assert_eq!((images.train.len(), images.validation.len()), (2, 2));
    assert!(images.warnings.len() == 1 && images.warnings[0].contains("4.png has no picture"));
    for masked in images.train.iter().chain(&images.validation) {
        assert_eq!(masked.classes, [0, 0, 1, 1].repeat(4));
        assert!(masked.picture.data[0] < 50 && masked.picture.data[3] == 255);
    }
}

#[test]
fn masks_are_mirrored_with_their_pictures() {
    let dir = folder();
    let images = open(dir.path()).unwrap().train;
    let (mean, std) = masked_image_moments(&images, 1);
    let reader = SegmentationReader { mean, std, flip: true, seed: 3 };
    let mut seen = [0, 0];
    for epoch in 0..20 {
        let batch = reader.batch(&images, &reader.order(images.len(), epoch), Some(epoch));
        assert_eq!(batch, reader.batch(&images, &reader.order(images.len(), epoch), Some(epoch)));
        for (picture, classes) in batch.pictures.chunks(16).zip(batch.classes.chunks(16)) {
            let bright: Vec<i32> = picture.iter().map(|&v| i32::from(v > 0.0)).collect();
            assert_eq!(bright, classes);
            seen[classes[0] as usize] += 1;
        }
    }
    assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
    let plain = reader.batch(&images, &[0, 1, 2], None);
    assert!(plain.classes.chunks(16).all(|c| c[0] == 0));
}

#[test]
fn masks_errors_are_one_line() {
    let dir = folder();
    let why = |dir: &Path| open(dir).unwrap_err().to_string();
    assert!(why(&dir.path().join("masks")).contains("DIR/images"));
    image::GrayImage::new(3, 3).save(dir.path().join("masks/2.png")).unwrap();
    let strict = SegmentationOptions { strict: true, ..options() };
    let refused = open_with(dir.path(), &strict).unwrap_err().to_string();
    assert!(refused.contains("2.png is 3x3, its picture 8x4; make them the same size"), "{refused}");
    let levels = image::GrayImage::from_fn(8, 4, |x, y| image::Luma([(x * 4 + y * 50) as u8]));
    let everywhere = |mask: &image::GrayImage| {
        for i in 0..5 {
            mask.save(dir.path().join(format!("masks/{i}.png"))).unwrap();
        }
    };
    everywhere(&levels);
    assert!(open(dir.path()).is_ok());
    let ignoring = |label: &str| {
        let options = SegmentationOptions { ignore: Some(label.to_owned()), ..options() };
        open_with(dir.path(), &options).unwrap_err().to_string()
    };
    for label in ["foo", "0,1", "70000", "#12345", ""] {
        let why = ignoring(label);
        assert!(why.starts_with(&format!("ignored label is {label:?}; it must be one label")), "{why}");
    }
    everywhere(&image::GrayImage::from_fn(8, 4, |x, _| image::Luma([x as u8 / 4])));
    assert!(ignoring("0").contains("number of grey levels is 1 in"));
    assert!(ignoring("0").contains("masks without `ignore` 0; it must be 2 to"));
    everywhere(&image::GrayImage::new(8, 4));
    assert!(why(dir.path()).contains("number of grey levels is 1 in"));
}

#[test]
fn masks_without_matching_pictures_are_an_error() {
    let dir = folder();
    for i in 0..5 {
        let mask = |name: &str| dir.path().join("masks").join(format!("{i}{name}.png"));
        std::fs::rename(mask(""), mask("_mask")).unwrap();
    }
    let why = open(dir.path()).unwrap_err().to_string();
    assert!(why.contains("(5 pictures, 5 masks, no names in common, as 0.png and 0_mask.png)"), "{why}");
    std::fs::rename(dir.path().join("images"), dir.path().join("train")).unwrap();
    std::fs::create_dir(dir.path().join("images")).unwrap();
    std::fs::rename(dir.path().join("train"), dir.path().join("images/train")).unwrap();
    let why = open(dir.path()).unwrap_err().to_string();
    assert!(why.contains("0 pictures, 5 masks, and images/train, a folder, which is not read"), "{why}");
}

/// Saves masks of 8x4, one per picture, from pixels turned into a file by `write`.
fn masks(dir: &Path, write: impl Fn(&Path, &dyn Fn(u32, u32) -> usize)) {
    for i in 0..5_usize {
        // Three areas, the last one pixel wide: a resize by brightness or to 4x4 would lose it.
        let area = move |x: u32, y: u32| if (x, y) == (7, 3) { 2 } else { usize::from(x >= 4 || i == 9) };
        write(&dir.join(format!("masks/{i}.png")), &area);
    }
}

/// A palette file of the areas' indices.
fn indexed(path: &Path, area: &dyn Fn(u32, u32) -> usize, indices: [u8; 3], colours: &[(u8, [u8; 3])]) {
    let mut palette = vec![0; 256 * 3];
    for (index, colour) in colours {
        palette[usize::from(*index) * 3..][..3].copy_from_slice(colour);
    }
    let data: Vec<u8> = (0..32).map(|at| indices[area(at % 8, at / 8)]).collect();
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 8, 4);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.write_header().unwrap().write_image_data(&data).unwrap();
}

/// Pascal VOC's aeroplane, potted plant and border; the first two are one grey.
const VOC: [(u8, [u8; 3]); 3] = [(1, [128, 0, 0]), (16, [0, 64, 0]), (255, [224, 224, 192])];

#[test]
fn masks_palette_indices_become_classes_and_one_is_ignored() {
    let dir = folder();
    masks(dir.path(), |path, area| indexed(path, area, [1, 16, 255], &VOC));
    let images = open(dir.path()).unwrap();
    assert_eq!(images.classes, ["1", "16", "255"]);
    assert!(images.warnings[0].contains("`ignore` 255"), "{:?}", images.warnings);
    assert_eq!(images.palette.as_ref().map(|p| (p[1], p[16], p.len())), Some(([128, 0, 0], [0, 64, 0], 256)));
    for side in [2, 4, 32] {
        let size = SegmentationOptions { size: (side, side), ..options() };
        assert_eq!(open_with(dir.path(), &size).unwrap().classes.len(), 3, "whatever the size");
    }
    let ignore = SegmentationOptions { ignore: Some("255".into()), size: (4, 8), ..options() };
    let images = open_with(dir.path(), &ignore).unwrap();
    assert_eq!((images.classes, images.warnings.len()), (vec!["1".to_owned(), "16".into()], 0));
    let (mean, std) = masked_image_moments(&images.train, 1);
    let reader = SegmentationReader { mean, std, flip: false, seed: 3 };
    let batch = reader.batch(&images.train, &[0], None);
    assert_eq!((batch.classes[0], batch.classes[4], batch.classes[31]), (0, 1, IGNORED));
    let absent = SegmentationOptions { ignore: Some("7".into()), ..options() };
    assert!(
        open_with(dir.path(), &absent).unwrap().warnings.iter().any(|w| w.contains("`ignore` 7: no pixel"))
    );
}

#[test]
fn masks_with_different_palettes_are_read_by_colour() {
    let dir = folder();
    let colours = [[0, 0, 0], [255, 0, 0], [0, 0, 255]];
    masks(dir.path(), |path, area| {
        let turn = usize::from(path.ends_with("3.png"));
        let indices = [0, 1 + turn as u8, 2 - turn as u8];
        let palette: Vec<(u8, [u8; 3])> = indices.into_iter().zip(colours).collect();
        indexed(path, area, indices, &palette);
    });
    let images = open(dir.path()).unwrap();
    assert_eq!(images.classes, ["#000000", "#0000ff", "#ff0000"]);
    assert!(images.palette.is_none() && images.warnings[0].contains("colours are the classes"));
}

#[test]
fn masks_keep_colours_and_16_bit_levels_apart() {
    let dir = folder();
    // Both are the grey 29.
    let colours = [[97, 0, 0], [0, 0, 255], [255, 255, 255]];
    masks(dir.path(), |path, area| {
        image::RgbImage::from_fn(8, 4, |x, y| image::Rgb(colours[area(x, y)])).save(path).unwrap();
    });
    assert_eq!(open(dir.path()).unwrap().classes, ["#0000ff", "#610000", "#ffffff"]);
    let ignore = SegmentationOptions { ignore: Some("#FFFFFF".into()), ..options() };
    assert_eq!(open_with(dir.path(), &ignore).unwrap().classes, ["#0000ff", "#610000"]);
    for levels in [[0, 1, 2], [0, 300, 301]] {
        masks(dir.path(), |path, area| {
            let pixel = |x, y| image::Luma([levels[area(x, y)] as u16]);
            image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(8, 4, pixel).save(path).unwrap();
        });
        assert_eq!(open(dir.path()).unwrap().classes, levels.map(|level: u32| level.to_string()));
    }
    // Greys in files of three channels are the levels they were.
    masks(dir.path(), |path, area| {
        image::RgbImage::from_fn(8, 4, |x, y| image::Rgb([100 * area(x, y) as u8; 3])).save(path).unwrap();
    });
    assert_eq!(open(dir.path()).unwrap().classes, ["0", "100", "200"]);
}

#[test]
fn masks_predicted_read_back_as_same_classes() {
    let voc = [[9, 9, 9]; 20];
    for (names, palette) in [
        (["0", "1", "200"], None),
        (["0", "5", "19"], Some(&voc[..])),
        (["0", "300", "65535"], None),
        (["#0000ff", "#610000", "#ffffff"], None),
    ] {
        let dir = folder();
        let names = names.map(str::to_owned);
        masks(dir.path(), |path, area| {
            let classes: Vec<u8> = (0..32).map(|at| area(at % 8, at / 8) as u8).collect();
            std::fs::write(path, mask_png(&classes, (4, 8), &names, palette).unwrap()).unwrap();
        });
        let images = open(dir.path()).unwrap();
        assert_eq!(images.classes, names);
        assert_eq!(images.palette.is_some(), palette.is_some());
        assert_eq!(images.train[0].classes[..4], [0, 0, 1, 1]);
    }
    assert!(mask_png(&[0], (1, 1), &["cat".into()], None).unwrap_err().to_string().contains("#rrggbb"));
}

#[test]
fn masks_damaged_and_stray_files_are_skipped_and_named() {
    let dir = folder();
    std::fs::write(dir.path().join("masks/1.png"), b"no picture").unwrap();
    for name in ["images/Thumbs.db", "masks/Thumbs.db", "masks/._0.png", "images/notes.txt"] {
        std::fs::write(dir.path().join(name), b"x").unwrap();
    }
    let images = open(dir.path()).unwrap();
    assert_eq!(images.train.len() + images.validation.len(), 4);
    let [stray, skipped] = &images.warnings[..] else { panic!("{:?}", images.warnings) };
    assert!(
        stray.contains("4 files left out: 2 .db (images 1, masks 1), 1 .txt (images/notes.txt), 1 hidden"),
        "{stray}"
    );
    assert!(
        skipped.starts_with("skipped a picture with its mask: cannot decode") && skipped.contains("1.png")
    );
    let strict = SegmentationOptions { strict: true, ..options() };
    assert!(open_with(dir.path(), &strict).unwrap_err().to_string().contains("1.png"));
    std::fs::write(dir.path().join("masks/1.png"), std::fs::read(dir.path().join("masks/0.png")).unwrap())
        .unwrap();
    std::fs::write(dir.path().join("images/2.png"), b"\x89PNG").unwrap();
    let images = open(dir.path()).unwrap();
    assert!(images.warnings[1].contains("images/2.png"), "{:?}", images.warnings);
    // Two pictures of one name: the second is named.
    std::fs::copy(dir.path().join("images/0.png"), dir.path().join("images/0.jpg")).unwrap();
    let images = open(dir.path()).unwrap();
    assert!(images.warnings.iter().any(|w| w.contains("0.png has the name of")), "{:?}", images.warnings);
}

#[test]
fn masks_of_trained_model_keep_its_classes() {
    let dir = folder();
    let known = |names: &[&str]| SegmentationOptions {
        classes: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..options()
    };
    let images = open_with(dir.path(), &known(&["0", "100", "200"])).unwrap();
    assert_eq!(images.train[0].classes[..4], [0, 0, 2, 2]);
    let why = open_with(dir.path(), &known(&["0", "100"])).unwrap_err().to_string();
    assert!(why.contains("label 200 is none of the model's classes 0, 100"), "{why}");
    masks(dir.path(), |path, area| {
        image::GrayImage::from_fn(8, 4, |x, y| image::Luma([90 * area(x, y) as u8]))
            .save(path.with_extension("jpg"))
            .unwrap();
        std::fs::remove_file(path).unwrap();
    });
    let why = open(dir.path()).unwrap_err().to_string();
    assert!(why.contains("a JPEG,") && why.contains("save masks as PNG"), "{why}");
}

//! Image folders: layouts, formats, skipped and refused files.

use wgrad_data::{SourceOptions, decode_image};

use crate::{BASELINE, PROGRESSIVE, TURNED, open, paint, refusal, two_classes, write};

fn strict() -> SourceOptions {
    SourceOptions { strict: true, ..SourceOptions::default() }
}

#[test]
fn folder_without_splits_gets_hold_out() {
    let (_guard, dir) = two_classes(10);
    let data = open("folder", &dir, &SourceOptions::default()).unwrap();
    assert_eq!(data.classes, ["cat", "dog"]);
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (16, 4, 0));
    assert_eq!((0..4).map(|i| data.validation.label(i)).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!((data.channels, data.image_size), (3, Some((8, 8))));
    for i in 0..16 {
        let red = data.train.load(i).unwrap().data[0];
        assert_eq!(data.train.label(i), usize::from(red >= 100));
    }
    let half = SourceOptions { val_split: Some(0.5), ..SourceOptions::default() };
    assert_eq!(open("folder", &dir, &half).unwrap().validation.len(), 10);
    assert!(data.warnings.is_empty());
}

#[test]
fn folder_with_splits_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    for (split, n) in [("train", 4), ("test", 2)] {
        for class in ["b", "a"] {
            for i in 0..n {
                paint(path.join(split).join(class).join(format!("{i}.png")), 9, 7, [i, 0, 0]);
            }
        }
    }
    let lens = |options: &SourceOptions| {
        let data = open("folder", path, options).unwrap();
        ((data.train.len(), data.validation.len(), data.test.len()), data.warnings)
    };
    let quarter = SourceOptions { val_split: Some(0.25), ..SourceOptions::default() };
    assert_eq!(lens(&SourceOptions::default()), ((8, 0, 4), vec![]));
    assert_eq!(lens(&quarter), ((6, 2, 4), vec![]));

    for (i, name) in ["valid", "val", "validation"].iter().enumerate() {
        paint(path.join(name).join("a/x.png"), 9, 7, [0; 3]);
        paint(path.join(name).join("b/x.png"), 9, 7, [0; 3]);
        let (lens, warnings) = lens(&SourceOptions::default());
        assert_eq!((lens, warnings.len()), ((8, 2, 4), i));
    }
    let (lens, warnings) = lens(&quarter);
    assert_eq!(lens, (8, 2, 4));
    let shown = path.display();
    assert_eq!(
        warnings,
        [
            format!("{shown}/val is ignored: validation is taken for that split"),
            format!("{shown}/valid is ignored: validation is taken for that split"),
            format!("`val_split` is ignored: folder:{shown} has validation images of its own"),
        ]
    );
}

#[test]
fn folder_classes_named_train_or_test_are_classes() {
    let dir = tempfile::tempdir().unwrap();
    for class in ["train", "plane"] {
        for i in 0..5 {
            paint(dir.path().join(class).join(format!("{i}.png")), 8, 8, [0; 3]);
        }
    }
    let data = open("folder", dir.path(), &SourceOptions::default()).unwrap();
    assert_eq!(data.classes, ["plane", "train"]);
    assert_eq!((data.train.len(), data.validation.len()), (8, 2));
}

#[test]
fn folder_left_out_files_are_reported_in_one_line() {
    let (_guard, dir) = two_classes(2);
    for name in ["cat/.DS_Store", "cat/._1.png", "cat/notes.txt", ".git/x.png", "README.md", "cat/noext"] {
        write(dir.join(name), "x");
    }
    for name in ["cat/a.tif", "cat/b.tif", "dog/c.TIF", "dog/Thumbs.db"] {
        write(dir.join(name), if name.ends_with("db") { "x" } else { "II*\0" });
    }
    // Text beginning like a BMP.
    write(dir.join("dog/BM.txt"), "BM");
    write(dir.join("__MACOSX/cat/1.png"), "x");
    paint(dir.join("cat/deeper/still/1.PNG"), 8, 8, [3; 3]);
    let data = open("folder", &dir, &SourceOptions::default()).unwrap();
    assert_eq!(data.classes, ["cat", "dog"]);
    assert_eq!(data.train.len() + data.validation.len(), 5);
    let [line] = &data.warnings[..] else { panic!("{:?}", data.warnings) };
    for words in [
        "12 files left out",
        "3 .tif (cat 2, dog 1)",
        "3 hidden (1 beside the folders, cat 2)",
        "2 .txt (cat 1, dog 1)",
        "1 .db (dog/Thumbs.db)",
        "1 .md (README.md)",
        "1 without an ending (cat/noext)",
        "1 folder (__MACOSX)",
        "only JPEG, PNG, GIF, WebP and BMP are read",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    // An unreadable format is an undecodable image.
    assert_eq!(
        open("folder", &dir, &strict()).unwrap_err(),
        "cannot decode cat/a.tif: only JPEG, PNG, GIF, WebP and BMP are read; save it again as jpg or png, or remove it"
    );
}

#[test]
fn folder_images_are_recognised_by_content() {
    let (_guard, dir) = two_classes(2);
    for (i, name) in ["cat/lie.tif", "cat/noext", "dog/photo.dat", "dog/really.jpg"].iter().enumerate() {
        paint(dir.join("x.png"), 8, 8, [i as u8; 3]);
        std::fs::rename(dir.join("x.png"), dir.join(name)).unwrap();
    }
    let data = open("folder", &dir, &strict()).unwrap();
    assert_eq!(
        (data.train.len() + data.validation.len(), data.warnings.len()),
        (8, 0),
        "{:?}",
        data.warnings
    );
    // A TIFF called .png is named as a TIFF.
    write(dir.join("dog/tiff.png"), b"II*\0\x08\0\0\0");
    let data = open("folder", &dir, &SourceOptions::default()).unwrap();
    assert!(data.warnings[0].contains("1 .png (dog/tiff.png)"), "{:?}", data.warnings);
    assert!(
        decode_image(dir.join("dog/tiff.png"), 3).unwrap_err().to_string().contains("it is a TIFF image")
    );
    // A class of other files only is reported with its contents.
    for i in 0..3 {
        write(dir.join(format!("fox/{i}.tiff")), b"II*\0");
    }
    let why = refusal("folder", &dir);
    assert!(
        why.starts_with("class folder fox holds no readable image (3 .tiff left out); add .jpg"),
        "{why}"
    );
}

#[test]
fn folder_splits_in_usual_spellings_are_recognised() {
    for (train, other, sizes) in [
        ("Training", "Testing", (4, 0, 2)),
        ("TRAIN", "TEST", (4, 0, 2)),
        ("train_set", "dev", (4, 2, 0)),
        ("train", "Valid", (4, 2, 0)),
        ("train", "eval", (4, 0, 2)),
        ("seg_train/seg_train", "seg_test/seg_test", (4, 0, 2)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for (split, n) in [(train, 2), (other, 1)] {
            for (class, i) in ["a", "b"].iter().flat_map(|class| (0..n).map(move |i| (class, i))) {
                paint(dir.path().join(split).join(class).join(format!("{i}.png")), 8, 8, [0; 3]);
            }
        }
        let data = open("folder", dir.path(), &SourceOptions::default()).unwrap();
        assert_eq!(data.classes, ["a", "b"], "{train}");
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), sizes, "{train}, {other}");
        assert!(data.warnings.is_empty(), "{:?}", data.warnings);
    }
}

#[test]
fn folder_of_equal_subfolders_is_ambiguous() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    for name in ["part1/cat/0.png", "part1/dog/0.png", "part2/cat/0.png", "part2/dog/0.png"] {
        paint(path.join(name), 8, 8, [0; 3]);
    }
    assert_eq!(
        refusal("folder", path),
        "DIR: part1, part2 hold the same folders (cat, dog); if they are splits, call them train, val and test; if they are classes, put the images of each into one folder"
    );
    // Classes with images of their own are classes.
    paint(path.join("part1/0.png"), 8, 8, [0; 3]);
    assert_eq!(open("folder", path, &SourceOptions::default()).unwrap().classes, ["part1", "part2"]);
    // Splits one folder further down.
    let dir = tempfile::tempdir().unwrap();
    for name in ["archive/Train/cat/0.png", "archive/Train/dog/0.png", "archive/Test/cat/0.png"] {
        paint(dir.path().join(name), 8, 8, [0; 3]);
    }
    assert_eq!(
        refusal("folder", dir.path()),
        "DIR holds splits one folder further down; give folder:archive"
    );
}

#[test]
fn folder_with_nested_classes_is_ambiguous() {
    for (images, want) in [
        (
            ["train/cat.1.png", "train/dog.1.png", "test1/1.png"],
            "DIR: test1, train are named as splits and hold no class folders; put the images of each class into a folder of its own, as in train/cat/1.jpg, or rename them if they are classes",
        ),
        (
            ["train/images/cat/1.png", "train/images/dog/1.png", "test/images/cat/1.png"],
            "train has one class folder, images, which holds cat, dog; if these are the classes, move them up into train",
        ),
        (
            ["pets/cat/1.png", "pets/dog/1.png", "pets/dog/2.png"],
            "DIR has one class folder, pets, which holds cat, dog; if these are the classes, move them up into DIR",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for image in images {
            paint(dir.path().join(image), 8, 8, [0; 3]);
        }
        assert_eq!(refusal("folder", dir.path()), want);
    }
}

#[test]
fn levels_ignore_hot_and_dead_pixels() {
    let dir = tempfile::tempdir().unwrap();
    for (class, i) in ["a", "b"].iter().flat_map(|class| (0..3).map(move |i| (class, i))) {
        let path = dir.path().join(format!("{class}/{i}.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let level = |x: u32, y: u32| match (x, y) {
            (3, 4) => 65_535,
            (5, 1) => 0,
            _ => 2000 + x as u16,
        };
        image::ImageBuffer::from_fn(32, 32, |x, y| image::Luma([level(x, y)])).save(path).unwrap();
    }
    let found = || open("folder", dir.path(), &SourceOptions::default()).unwrap();
    assert_eq!(found().levels, Some(wgrad_data::Levels { low: 2000, high: 2031 }));
    paint(dir.path().join("a/eight.png"), 8, 8, [9; 3]);
    assert!(found().warnings.iter().any(|w| w.contains("; 1 with 8 bits are read as they are")));
}

#[test]
fn levels_scale_16_bit_pictures_by_range_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let deep = |name: &str, level: u16| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(9, 8, image::Luma([level])).save(path).unwrap();
    };
    for i in 0..4 {
        deep(&format!("a/{i}.png"), 2000);
        deep(&format!("b/{i}.png"), 2060);
    }
    let data = open("folder", dir.path(), &SourceOptions::default()).unwrap();
    assert_eq!(data.levels, Some(wgrad_data::Levels { low: 2000, high: 2060 }));
    let grey = |i: usize| data.train.load(i).unwrap().data[0];
    for i in 0..data.train.len() {
        assert_eq!(grey(i), [0, 255][data.train.label(i)]);
    }
    let [line] = &data.warnings[..] else { panic!("{:?}", data.warnings) };
    assert!(line.contains("8 pictures have 16 bits per sample: 2000 to 2060, the range in use"), "{line}");
    // A model's range holds for other data.
    let levels = Some(wgrad_data::Levels { low: 2000, high: 2120 });
    let data = open("folder", dir.path(), &SourceOptions { levels, ..SourceOptions::default() }).unwrap();
    assert!((0..data.train.len()).all(|i| [0, 128].contains(&data.train.load(i).unwrap().data[0])));
    assert!(data.warnings.is_empty());
}

#[test]
fn decode_refuses_jpegs_the_decoder_misreads() {
    let dir = tempfile::tempdir().unwrap();
    // Segments alone: the frame's sampling and how many components the first scan holds decide.
    let jpeg = |marker: u8, sampling: [u8; 3], in_scan: u8| {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, marker, 0, 17, 8, 0, 16, 0, 16, 3];
        sampling.iter().zip(1..).for_each(|(&s, id)| bytes.extend([id, s, 0]));
        bytes.extend([0xFF, 0xDA, 0, 6 + 2 * in_scan, in_scan]);
        bytes.extend([0; 16]);
        bytes.extend([0xFF, 0xD9]);
        write(dir.path().join("a.jpg"), &bytes);
        decode_image(dir.path().join("a.jpg"), 3).unwrap_err().to_string()
    };
    let apart = "its brightness and smaller colour planes are in scans of their own";
    let coarser = "its brightness is stored coarser than its colour";
    assert!(jpeg(0xC0, [0x22, 0x11, 0x11], 1).contains(apart));
    assert!(jpeg(0xC0, [0x11, 0x22, 0x22], 3).contains(coarser));
    for (marker, sampling, in_scan) in
        [(0xC0, [0x22, 0x11, 0x11], 3), (0xC0, [0x11; 3], 1), (0xC2, [0x22, 0x11, 0x11], 1)]
    {
        let other = jpeg(marker, sampling, in_scan);
        assert!(!other.contains(apart) && !other.contains(coarser), "{other}");
    }
}

#[test]
fn folder_wrong_layout_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let none =
        "DIR has no class folders; put the images of each class into a folder of its own, as in cat/1.jpg";
    assert_eq!(refusal("folder", path), none);
    paint(path.join("loose.png"), 8, 8, [0; 3]);
    assert_eq!(refusal("folder", path), none);

    paint(path.join("train/a/1.png"), 8, 8, [0; 3]);
    paint(path.join("train/b/1.png"), 8, 8, [0; 3]);
    std::fs::create_dir_all(path.join("test")).unwrap();
    let warnings = || open("folder", path, &SourceOptions::default()).unwrap().warnings;
    assert!(warnings().iter().any(|w| w.contains("test is left out: it has no class folders")));
    paint(path.join("test/1.png"), 8, 8, [0; 3]);
    assert!(warnings().iter().any(|w| w.contains("test is left out: it has no class folders")));
    paint(path.join("test/a/1.png"), 8, 8, [0; 3]);
    assert!(warnings().iter().any(|w| w.contains("test has no images of 1 of the classes: b")));
    let advice = "move it to train/ too, or remove it";
    paint(path.join("test/b/1.png"), 8, 8, [0; 3]);
    paint(path.join("val/a/1.png"), 8, 8, [0; 3]);
    paint(path.join("val/b/1.png"), 8, 8, [0; 3]);
    paint(path.join("val/c/1.png"), 8, 8, [0; 3]);
    assert_eq!(refusal("folder", path), format!("class \"c\" is in val but not in train; {advice}"));
    std::fs::remove_dir_all(path.join("val")).unwrap();
    std::fs::remove_file(path.join("test/b/1.png")).unwrap();
    let empty = |name: &str| {
        format!(
            "class folder {name} holds no readable image; add .jpg, .png, .gif, .webp or .bmp files or remove the folder"
        )
    };
    assert_eq!(refusal("folder", path), empty("test/b"));
    write(path.join("test/b/1.png"), "not a png");
    assert_eq!(refusal("folder", path), empty("test/b"));
}

#[test]
fn folder_unreadable_header_is_named_or_refused() {
    let (_guard, dir) = two_classes(3);
    write(dir.join("cat/broken.png"), "not a png");
    write(dir.join("dog/empty.jpg"), "");
    let data = open("folder", &dir, &SourceOptions::default()).unwrap();
    assert_eq!(data.train.len() + data.validation.len(), 6);
    let line = |name: &str| {
        let path = dir.join(name);
        format!(
            "skipped an image: cannot decode {}: not an image this reads; save it again as jpg or png, or remove it",
            path.display()
        )
    };
    assert_eq!(data.warnings[0], line("cat/broken.png").replace("not an image this reads", FORMAT_ERROR));
    assert_eq!(data.warnings.len(), 2);
    assert!(data.warnings[1].contains("dog/empty.jpg"));
    assert_eq!(
        open("folder", &dir, &strict()).unwrap_err(),
        format!("cannot decode cat/broken.png: {FORMAT_ERROR}; save it again as jpg or png, or remove it")
    );
}

const FORMAT_ERROR: &str = "not an image this reads";

#[test]
fn decode_recognises_every_format_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    for name in ["a.png", "a.bmp", "a.gif", "a.webp", "a.jpg", "a.jpeg"] {
        paint(path.join(name), 6, 4, [200, 100, 52]);
        let image = decode_image(path.join(name), 3).unwrap();
        assert_eq!((image.width, image.height, image.channels), (6, 4, 3));
        for (value, want) in image.data.chunks(3).flatten().zip([200, 100, 52].iter().cycle()) {
            assert!(value.abs_diff(*want) <= 4, "{name}: {value} for {want}");
        }
    }
    // The name may lie.
    std::fs::rename(path.join("a.png"), path.join("lie.jpg")).unwrap();
    assert_eq!(decode_image(path.join("lie.jpg"), 3).unwrap().data[..3], [200, 100, 52]);
    assert_eq!(decode_image(path.join("lie.jpg"), 1).unwrap().data, [124; 24]);

    // Alpha is dropped, 16 bits become 8.
    let rgba = image::RgbaImage::from_pixel(2, 2, image::Rgba([9, 8, 7, 0]));
    rgba.save(path.join("alpha.png")).unwrap();
    assert_eq!(decode_image(path.join("alpha.png"), 3).unwrap().data[..3], [9, 8, 7]);
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(2, 2, image::Luma([40_000_u16]));
    deep.save(path.join("deep.png")).unwrap();
    assert_eq!(decode_image(path.join("deep.png"), 1).unwrap().data, [156; 4]);
}

#[test]
fn decode_jpeg_progressive_and_upright() {
    let dir = tempfile::tempdir().unwrap();
    let at = |bytes: &[u8]| {
        let path = dir.path().join("a.jpg");
        write(&path, bytes);
        decode_image(&path, 3).unwrap()
    };
    let near = |image: &wgrad_data::Image, x: usize, y: usize, want: [u8; 3]| {
        let pixel = &image.data[(y * image.width + x) * 3..][..3];
        assert!(
            pixel.iter().zip(want).all(|(a, b)| a.abs_diff(b) <= 6),
            "{pixel:?} at {x},{y}, not {want:?}"
        );
    };
    for bytes in [PROGRESSIVE, BASELINE] {
        let image = at(bytes);
        assert_eq!((image.width, image.height), (24, 16));
        near(&image, 5, 5, [50, 75, 128]);
        near(&image, 20, 10, [200, 150, 128]);
    }
    // Orientation 6: stored lying, shown turned clockwise, so (x, y) is stored at (y, 15 - x).
    let image = at(TURNED);
    assert_eq!((image.width, image.height), (16, 24));
    near(&image, 10, 5, [50, 75, 128]);
}

#[test]
fn decode_refuses_incomplete_images() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        write(dir.path().join(name), bytes);
        let message = decode_image(dir.path().join(name), 3).unwrap_err().to_string();
        assert!(!message.contains('\n'));
        message.replace(&format!("{}/", dir.path().display()), "")
    };
    let advice = "save it again as jpg or png, or remove it";
    let early = format!("cannot decode a.jpg: the jpeg ends early; {advice}");
    for cut in [3, 100, BASELINE.len() - 40, BASELINE.len() - 1] {
        assert_eq!(refused("a.jpg", &BASELINE[..cut]), early);
    }
    assert_eq!(refused("a.jpg", &PROGRESSIVE[..PROGRESSIVE.len() - 60]), early);
    assert_eq!(refused("a.png", b"hello"), format!("cannot decode a.png: not an image this reads; {advice}"));

    paint(dir.path().join("b.png"), 50, 50, [1, 2, 3]);
    let png = std::fs::read(dir.path().join("b.png")).unwrap();
    let message = refused("b.png", &png[..png.len() - 30]);
    assert!(message.starts_with("cannot decode b.png: ") && message.ends_with(advice), "{message}");

    let missing = decode_image(dir.path().join("none.png"), 3).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read ") && missing.contains("none.png: No such file"), "{missing}");
    assert_eq!(
        decode_image(dir.path().join("b.png"), 2).unwrap_err().to_string(),
        "channels is 2; it must be 1 (grey) or 3 (colour)"
    );
}

#[test]
fn folder_of_grey_images_is_grey_and_photos_have_no_size() {
    let dir = tempfile::tempdir().unwrap();
    for (class, side) in [("a", 20), ("a", 21), ("b", 20), ("b", 22)] {
        let path = dir.path().join(class);
        std::fs::create_dir_all(&path).unwrap();
        image::GrayImage::new(side, 20).save(path.join(format!("{side}.png"))).unwrap();
    }
    let data = open("folder", dir.path(), &SourceOptions::default()).unwrap();
    assert_eq!((data.channels, data.image_size), (1, None));

    let dir = tempfile::tempdir().unwrap();
    for i in 0..2 {
        paint(dir.path().join(format!("a/{i}.jpg")), 260, 130, [9; 3]);
    }
    let options = SourceOptions { image_size: Some(100), ..SourceOptions::default() };
    let data = open("folder", dir.path(), &options).unwrap();
    assert_eq!((data.channels, data.image_size), (3, None));
    let image = data.train.load(0).unwrap();
    assert_eq!((image.width, image.height), (230, 115));
}

//! Segmentation: training, evaluation, planning and refused settings.

use crate::fixture::Place;
use serde_json::Value;
use std::fs;

/// Creates grey 20x20 images of a bright square on noise, with masks of the square.
pub(crate) fn scenes(place: &Place) -> String {
    for name in ["images", "masks"] {
        fs::create_dir_all(place.path("scenes").join(name)).expect("a folder");
    }
    for i in 0..15u32 {
        let (left, top) = (i * 7 % 11, i * 5 % 9);
        let inside = |x: u32, y: u32| (left..left + 9).contains(&x) && (top..top + 9).contains(&y);
        let noise = |x: u32, y: u32| ((x * 31 + y * 17 + i * 13) % 60) as u8;
        let picture = image::GrayImage::from_fn(20, 20, |x, y| {
            image::Luma([noise(x, y) + if inside(x, y) { 150 } else { 0 }])
        });
        let mask =
            image::GrayImage::from_fn(20, 20, |x, y| image::Luma([if inside(x, y) { 255 } else { 0 }]));
        picture.save(place.path(&format!("scenes/images/{i}.png"))).expect("written");
        mask.save(place.path(&format!("scenes/masks/{i}.png"))).expect("written");
    }
    "masks:scenes".into()
}

const SHORT: [&str; 14] = [
    "train",
    "--model",
    "unet",
    "--width",
    "0.05",
    "--image-size",
    "32",
    "--augment",
    "flip",
    "--batch-size",
    "4",
    "--device",
    "cpu",
    "--data",
];

#[test]
fn segmenter_learns_and_is_evaluated_per_pixel() {
    let place = Place::new();
    let data = scenes(&place);
    let args = [&SHORT[..], &[&data, "--epochs", "20", "--out", "run", "--json"]].concat();
    let printed = place.ok(&args);
    let events: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let (start, end) = (&events[0], events.last().expect("an end"));
    assert_eq!((&start["train_images"], &start["validation_images"]), (&12.into(), &3.into()));
    assert_eq!(start["classes"], serde_json::json!(["0", "255"]));
    assert!(end["pixels_per_second"].as_f64().is_some_and(|v| v > 0.0), "{end}");
    let found = &end["evaluation"];
    // Predicting only background is correct for four fifths of the pixels, with a mean IoU of 0.4.
    assert!(found["mean_iou"].as_f64().is_some_and(|v| v > 0.75), "{found}");
    assert_eq!(found["pixels"], 3 * 32 * 32);
    let eval = ["eval", "--checkpoint", "run", "--device", "cpu"];
    let told = place.json(&[&eval[..], &["--json"]].concat());
    assert_eq!((&told["mean_iou"], &told["confusion"]), (&found["mean_iou"], &found["confusion"]));
    assert!(place.ok(&eval).contains("mean IoU"));
    let again = place.ok(&["train", "--resume", "--out", "run", "--json"]);
    assert!(again.contains("\"interrupted\":false"), "{again}");
    let plan = place.json(&["plan", "--model", "unet", "--batch-size", "2", "--classes", "3", "--json"]);
    assert!(plan["flops"].as_u64().is_some_and(|n| n > 1_000_000_000), "{plan}");
    paints_masks(&place);
}

/// Asserts the masks predicted by the segmenter in `run` to be close to the true ones.
fn paints_masks(place: &Place) {
    let predict =
        ["predict", "--checkpoint", "run", "--device", "cpu", "scenes/images/3.png", "scenes/images/4.png"];
    let said = place.ok(&[&predict[..], &["--json"]].concat());
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(said[1]["mask"], std::path::Path::new("masks").join("4.png").display().to_string());
    let shares = &said[0]["shares"];
    let sum: f64 = ["0", "255"].iter().filter_map(|class| shares[class].as_f64()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{shares}");
    for name in ["3.png", "4.png"] {
        let open = |dir: &str| image::open(place.path(dir).join(name)).expect("a picture").into_luma8();
        let (painted, wanted) = (open("masks"), open("scenes/masks"));
        assert_eq!(painted.dimensions(), (20, 20), "the image's own size");
        let same = painted.pixels().zip(wanted.pixels()).filter(|(a, b)| a == b).count();
        assert!(
            painted.pixels().all(|p| [0, 255].contains(&p[0])) && same > 340,
            "{name}: {same} of 400 pixels"
        );
    }
    place.refused(&predict, 2, &["--out", "3.png exists already"]);
    place.refused(&[&predict[..], &["--out", "more", "--top", "2"]].concat(), 2, &["--top", "unet"]);
    place.refused(&[&predict[..], &["scenes/masks/4.png", "--out", "more"]].concat(), 2, &["two images"]);
    assert!(!place.path("more").exists(), "nothing was written");
    // A folder keeps its structure, and one damaged file does not prevent the masks of the others.
    fs::create_dir_all(place.path("new/deep")).expect("a folder");
    fs::copy(place.path("scenes/images/3.png"), place.path("new/deep/3.png")).expect("copied");
    fs::copy(place.path("scenes/images/4.png"), place.path("new/4.png")).expect("copied");
    fs::write(place.path("new/bad.png"), b"\x89PNG\r\n\x1a\nand no more").expect("written");
    let folder = ["predict", "--checkpoint", "run", "--device", "cpu", "new", "--out", "more"];
    place.refused(&folder, 1, &["1 of 3 images failed", "bad.png"]);
    assert!(place.path("more/deep/3.png").is_file() && place.path("more/4.png").is_file());
}

#[test]
fn last_batch_of_one_image_at_the_smallest_size_is_left_out() {
    let place = Place::new();
    let data = scenes(&place);
    let own = ["train", "--model", "unet", "--width", "0.05", "--image-size", "16", "--device", "cpu"];
    // 15 images, 2 held out: three batches of four and one image.
    let more = ["--val-split", "0.13", "--batch-size", "4", "--epochs", "1", "--data", &data];
    let output = place.wgrad(&[&own[..], &more, &["--out", "run"]].concat()).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let note = "1 of 13 training images are left out";
    assert!(output.status.success() && stderr.contains(note), "{stderr}");
    let one = [&own[..], &["--batch-size", "1", "--data", &data]].concat();
    place.refused(&one, 2, &["--batch-size", "batch normalisation", "--image-size 32"]);
}

#[test]
fn invalid_segmentation_setting_is_refused() {
    let place = Place::new();
    let data = scenes(&place);
    for (args, words) in [
        (&["--model", "unet"][..], &["masks"][..]),
        (&["--model", "unet", "--data", "fashion-mini"], &["--data", "masks:DIR"]),
        (&["--model", "lenet", "--data", &data], &["--data", "unet"]),
        (&["--model", "gpt", "--data", &data], &["--data", "unet"]),
        (&["--model", "unet", "--data", &data, "--image-size", "40"], &["--image-size", "16"]),
        (&["--model", "unet", "--data", &data, "--augment", "crop:4"], &["--augment", "flip"]),
        (&["--model", "unet", "--data", &data, "--layers", "2"], &["--layers", "unet"]),
    ] {
        place.refused(&[&["train", "--device", "cpu"], args].concat(), 2, words);
    }
    place.refused(&[&SHORT[..], &["masks:nowhere"]].concat(), 1, &["nowhere", "DIR/images"]);
    fs::write(place.path("scenes/masks/3.png"), b"no picture").expect("written");
    place.refused(&[&SHORT[..], &[&data, "--strict"]].concat(), 1, &["3.png"]);
    let ignore = ["train", "--device", "cpu", "--model", "lenet", "--ignore", "255"];
    place.refused(&ignore, 2, &["--ignore", "lenet"]);
    assert!(!place.path("runs").exists(), "no run was started");
}

#[test]
fn ignored_label_is_excluded_from_classes_and_scores() {
    let place = Place::new();
    let data = scenes(&place);
    for i in 0..15 {
        let path = place.path(&format!("scenes/masks/{i}.png"));
        let mut mask = image::open(&path).expect("a mask").into_luma8();
        // Classes 0 and 1, and a border of two rows.
        mask.enumerate_pixels_mut().for_each(|(_, y, p)| p[0] = if y < 2 { 255 } else { p[0] / 255 });
        mask.save(&path).expect("written");
    }
    fs::write(place.path("scenes/masks/Thumbs.db"), b"x").expect("written");
    fs::write(place.path("scenes/images/3.png"), b"no picture").expect("written");
    let args = ["--epochs", "2", "--ignore", "255", "--out", "run", "--json"];
    let printed = place.ok(&[&SHORT[..], &[&data], &args[..]].concat());
    let events: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let (start, end) = (&events[0], &events.last().expect("an end")["evaluation"]);
    assert_eq!(start["classes"], serde_json::json!(["0", "1"]));
    // Of 32 rows the first three lie under the border's two of 20.
    assert_eq!(end["pixels"], 3 * 32 * 29, "{end}");
    let told = place.json(&["eval", "--checkpoint", "run", "--device", "cpu", "--json"]);
    assert_eq!((&told["confusion"], &told["loss"]), (&end["confusion"], &end["loss"]));
    place.ok(&["predict", "--checkpoint", "run", "--device", "cpu", "scenes/images/4.png", "--out", "out"]);
    let painted = image::open(place.path("out/4.png")).expect("a mask").into_luma8();
    assert!(painted.pixels().all(|p| p[0] < 2), "labels as trained on");
}

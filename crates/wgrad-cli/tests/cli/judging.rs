//! `eval` on other data than the training data: unsplit folders, test images only, missing classes.

use crate::fixture::{Place, picture};
use serde_json::Value;
use std::fs;

fn eval(place: &Place, more: &[&str]) -> Value {
    place.json(&[&["eval", "--checkpoint", "run", "--device", "cpu", "--json"][..], more].concat())
}

/// Trains a run on three classes and creates folders for its evaluation.
fn trained(place: &Place, data: &str) {
    place.photos();
    for split in ["train", "test"] {
        let dir = place.path("photos").join(split).join("grey");
        fs::create_dir_all(&dir).expect("a folder");
        (0..4).for_each(|i| picture(&dir.join(format!("{i}.png")), 110 + i));
    }
    let run = ["train", "--model", "linear", "--epochs", "20", "--lr", "0.05", "--device", "cpu"];
    place.ok(&[&run[..], &["--data", data, "--out", "run"]].concat());
}

#[test]
fn unsplit_folder_is_evaluated_as_a_whole() {
    let place = Place::new();
    trained(&place, "folder:photos");
    let found = eval(&place, &["--data", "folder:photos/test"]);
    assert_eq!(found["images"], 14);
    assert!(found["split"].as_str().is_some_and(|s| s.contains("all: 14 images")), "{found}");
    // The same images as the test split of the whole.
    assert_eq!(found["confusion"], eval(&place, &[])["confusion"]);
    assert_eq!(eval(&place, &["--data", "photos/test"])["images"], 14, "a plain path is read as a folder");
    let held_out = eval(&place, &["--data", "folder:photos/test", "--split", "validation"])["images"].clone();
    assert!(held_out.as_u64() < Some(14), "{held_out}");
    // A folder with only a test split.
    fs::create_dir_all(place.path("only")).expect("a folder");
    fs::rename(place.path("photos/test"), place.path("only/test")).expect("moved");
    assert_eq!(eval(&place, &["--data", "folder:only"])["images"], 14);
    // Without classes there is no evaluation; the error names the alternative.
    let flat = ["eval", "--checkpoint", "run", "--device", "cpu", "--data", "folder:only/test/dark"];
    place.refused(&flat, 2, &["no class folders", "wgrad predict"]);
}

#[test]
fn run_on_a_moved_unsplit_folder_is_evaluated_on_its_held_out_images() {
    let place = Place::new();
    trained(&place, "folder:photos/train");
    let own = eval(&place, &[]);
    assert!(own["split"].as_str().is_some_and(|s| s.contains("held out")), "{own}");
    fs::rename(place.path("photos/train"), place.path("moved")).expect("moved");
    let moved = eval(&place, &["--data", "folder:moved"]);
    assert_eq!(
        (&moved["images"], &moved["loss"]),
        (&own["images"], &own["loss"]),
        "its training images stay out"
    );
    assert_eq!(eval(&place, &["--data", "folder:moved", "--split", "all"])["images"], 28);
}

#[test]
fn data_lacking_a_class_is_matched_by_class_names() {
    let place = Place::new();
    trained(&place, "folder:photos");
    let whole = eval(&place, &["--data", "folder:photos/test"]);
    // "light" is label 2 of the model and would be label 1 of the data.
    fs::remove_dir_all(place.path("photos/test/grey")).expect("removed");
    let found = eval(&place, &["--data", "folder:photos/test"]);
    assert_eq!(found["confusion"][2], whole["confusion"][2]);
    assert_eq!((&found["images"], &found["classes"][1]["support"]), (&10.into(), &0.into()));
    assert_eq!(
        found["classes"][1]["f1"],
        Value::Null,
        "a class of neither truth nor prediction has no figure"
    );
    assert_eq!(found["macro_f1"], 1.0, "{found}");
    // A test split lacking the class, too.
    assert_eq!(eval(&place, &["--data", "folder:photos"])["images"], 10);
    fs::rename(place.path("photos/test/dark"), place.path("photos/test/night")).expect("renamed");
    let other = ["eval", "--checkpoint", "run", "--device", "cpu", "--data", "folder:photos/test"];
    place.refused(&other, 2, &["--data", "classes", "night", "dark"]);
}

#[test]
fn init_from_matches_the_last_layer_by_class_names() {
    let place = Place::new();
    trained(&place, "folder:photos");
    let start = ["train", "--model", "linear", "--steps", "1", "--lr", "1e-30", "--device", "cpu"];
    // Two of the three classes, in another order of labels.
    fs::remove_dir_all(place.path("photos/train/dark")).expect("removed");
    fs::remove_dir_all(place.path("photos/test/dark")).expect("removed");
    let two = [&start[..], &["--data", "folder:photos", "--init-from", "run", "--out", "two"]].concat();
    place.ok(&two);
    let found = place.json(&["eval", "--checkpoint", "two", "--device", "cpu", "--json"]);
    assert_eq!(found["accuracy"], 1.0, "rows of grey and light: {found}");
    for split in ["train", "test"] {
        fs::rename(
            place.path("photos").join(split).join("grey"),
            place.path("photos").join(split).join("fog"),
        )
        .expect("renamed");
    }
    let other = [&start[..], &["--data", "folder:photos", "--init-from", "run", "--out", "three"]].concat();
    place.refused(&other, 2, &["--init-from", "\"fog\"", "--head new"]);
}

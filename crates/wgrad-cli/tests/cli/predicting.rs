//! `predict` on many inputs: folders, patterns, lists, and files other than images.

use crate::fixture::{Place, picture};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::process::Stdio;

const PREDICT: [&str; 5] = ["predict", "--checkpoint", "run", "--device", "cpu"];

/// Creates a folder with two images, one in a subfolder, a text and a damaged image.
fn holiday(place: &Place) {
    fs::create_dir_all(place.path("holiday/deep")).expect("a folder");
    picture(&place.path("holiday/b.png"), 30);
    picture(&place.path("holiday/deep/c.jpg"), 200);
    fs::write(place.path("holiday/notes.txt"), "sunny").expect("written");
    fs::write(place.path("holiday/a.png"), b"\x89PNG\r\n\x1a\nand no more").expect("written");
}

/// Lines of standard output, standard error, and the exit code.
fn told(output: &std::process::Output) -> (Vec<String>, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let lines = text(&output.stdout).lines().map(str::to_owned).collect();
    (lines, text(&output.stderr), output.status.code())
}

#[test]
fn valid_images_are_predicted_although_others_fail() {
    let place = Place::new();
    place.trained("run");
    holiday(&place);
    let files = ["holiday/a.png", "no-such.png", "holiday/b.png"];
    let output = place.wgrad(&[&PREDICT[..], &files].concat()).output().expect("runs");
    let (lines, stderr, code) = told(&output);
    assert_eq!((lines.len(), code), (1, Some(1)), "{stderr}");
    assert!(lines[0].starts_with("holiday/b.png: "), "{lines:?}");
    assert!(stderr.contains("no-such.png") && stderr.contains("2 of 3 images failed"), "{stderr}");
}

#[test]
fn folder_prints_one_json_line_per_image() {
    let place = Place::new();
    place.trained("run");
    holiday(&place);
    let output = place.wgrad(&[&PREDICT[..], &["holiday", "--json"]].concat()).output().expect("runs");
    let (lines, stderr, code) = told(&output);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<&str> = lines.iter().filter_map(|line| line["image"].as_str()).collect();
    assert_eq!((names, code), (vec!["holiday/a.png", "holiday/b.png", "holiday/deep/c.jpg"], Some(1)));
    assert!(lines[0]["error"].is_string() && lines[1]["guesses"][0]["class"].is_string(), "{lines:?}");
    let skipped = "1 file of holiday is not an image and was skipped, e.g. holiday/notes.txt";
    assert!(stderr.contains(skipped), "{stderr}");
    fs::create_dir_all(place.path("bare")).expect("a folder");
    place.refused(&[&PREDICT[..], &["bare"]].concat(), 2, &["bare contains no images"]);
}

#[test]
fn quoted_pattern_is_expanded() {
    let place = Place::new();
    place.trained("run");
    holiday(&place);
    let lines = place.ok(&[&PREDICT[..], &["photos/test/*/[0-3].png"]].concat());
    assert_eq!(lines.lines().count(), 8, "{lines}");
    assert!(place.ok(&[&PREDICT[..], &["holiday/**/c.*"]].concat()).starts_with("holiday/deep/c.jpg: "));
    place.refused(&[&PREDICT[..], &["holiday/*.tif"]].concat(), 2, &["no file matches holiday/*.tif"]);
}

#[test]
fn list_on_standard_input_is_predicted_as_it_arrives() {
    let place = Place::new();
    place.trained("run");
    holiday(&place);
    let mut command = place.plain(&[&PREDICT[..], &["-"]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    let mut input = child.stdin.take().expect("piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
    for name in ["holiday/b.png", "holiday/deep/c.jpg"] {
        writeln!(input, "{name}").expect("written");
        // The result is printed before the list ends.
        let line = lines.next().expect("a line").expect("text");
        assert!(line.starts_with(&format!("{name}: ")), "{line}");
    }
    drop(input);
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

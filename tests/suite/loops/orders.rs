//! Order of samples from the loaders: `xtask/loops_torch.py` reads it from the file this test
//! holds (`UPDATE_EXPECT=1` writes it anew), and the golden runs hold the training loop to it.

use super::{Place, band, level};
use expect_test::expect_file;
use std::sync::Arc;
use wgrad_data::{
    Loader, LoaderOptions, Pipeline, SegmentationOptions, SegmentationReader, SourceOptions, Streams,
    TokenizerChoice, open, open_masks, open_text,
};

/// Settings shared with the golden runs.
pub(super) const SIDE: usize = 8;
pub(super) const COUNTS: [usize; 3] = [5, 3, 2];
pub(super) const TESTS: [usize; 3] = [4, 1, 6];
pub(super) const SEED: u64 = 5;
pub(super) const EPOCHS: u64 = 3;
pub(super) const BATCH: usize = 4;
pub(super) const SCENES: usize = 7;
pub(super) const SCENE_SIDE: usize = 32;
pub(super) const SCENE_SPLIT: f64 = 0.3;
pub(super) const LETTERS: usize = 150;
pub(super) const TEXT_SPLIT: f64 = 0.25;
pub(super) const ROWS: usize = 3;
pub(super) const CONTEXT: usize = 7;

/// Class and number of each picture, in the order of an epoch.
fn pictures(place: &Place) -> Vec<Vec<(usize, usize)>> {
    let data = place.pictures(SIDE, &COUNTS, &TESTS);
    let set = open(&data, &SourceOptions::default()).expect("pictures");
    let pipeline =
        Pipeline { size: (SIDE, SIDE), channels: 1, augment: Vec::new(), mean: vec![0.0], std: vec![1.0] };
    let options = LoaderOptions {
        batch_size: BATCH,
        shuffle: true,
        seed: SEED,
        workers: 0,
        ..LoaderOptions::default()
    };
    let loader = Loader::new(Arc::new(set.train), pipeline, options).expect("a loader");
    let named = |image: &[f32], label: i32| {
        let class = label as usize;
        let seen = |number: &usize| {
            let wanted = |i: usize| level(class, *number, i / SIDE, i % SIDE);
            image.iter().enumerate().all(|(i, v)| (v * 255.0 - f32::from(wanted(i))).abs() < 0.01)
        };
        (class, (0..COUNTS[class]).find(seen).expect("a picture of its label"))
    };
    let epoch = |e: u64| {
        let batches = loader.epoch(e, 0).map(|b| b.expect("a batch"));
        let all = batches.flat_map(|b| {
            let images = b.images.chunks(SIDE * SIDE).map(<[f32]>::to_vec).collect::<Vec<_>>();
            images.into_iter().zip(b.labels)
        });
        all.map(|(image, label)| named(&image, label)).collect()
    };
    (0..EPOCHS).map(epoch).collect()
}

/// Numbers of scenes: those held out, and each epoch's.
fn scenes(place: &Place) -> (Vec<usize>, Vec<Vec<usize>>) {
    let data = place.scenes(SCENE_SIDE, SCENES);
    let options = SegmentationOptions {
        size: (SCENE_SIDE, SCENE_SIDE),
        val_split: Some(SCENE_SPLIT),
        seed: SEED,
        ..SegmentationOptions::default()
    };
    let found = open_masks(&data, &options).expect("scenes");
    let number = |scene: &wgrad_data::MaskedImage| {
        let wanted = |n: usize, i: usize| {
            let (y, x) = (i / SCENE_SIDE, i % SCENE_SIDE);
            level(usize::from(band(n, y, x)), n, y, x)
        };
        let own = |n: &usize| scene.picture.data.iter().enumerate().all(|(i, v)| *v == wanted(*n, i));
        (0..SCENES).find(own).expect("a known scene")
    };
    let train: Vec<usize> = found.train.iter().map(number).collect();
    let reader = SegmentationReader { mean: vec![0.0], std: vec![1.0], flip: false, seed: SEED };
    let epoch = |e: u64| reader.order(train.len(), e).into_iter().map(|i| train[i]).collect();
    (found.validation.iter().map(number).collect(), (0..EPOCHS).map(epoch).collect())
}

#[test]
fn orders_of_loaders_match_golden_runs() {
    let place = Place::new();
    let (pictures, (held_out, scenes)) = (pictures(&place), scenes(&place));
    assert!(pictures[0] != pictures[1] && pictures[1] != pictures[2], "another order in each epoch");
    assert!(scenes[0] != scenes[1] || scenes[1] != scenes[2], "another order in each epoch");
    for epoch in &pictures {
        let mut all = epoch.clone();
        all.sort_unstable();
        let every: Vec<_> =
            COUNTS.iter().enumerate().flat_map(|(c, &n)| (0..n).map(move |i| (c, i))).collect();
        assert_eq!(all, every, "each picture once");
    }
    let text = open_text(&place.text(LETTERS), &TokenizerChoice::Char, TEXT_SPLIT).expect("a text");
    let letters: Vec<i32> = super::text(LETTERS).bytes().map(|b| i32::from(b - b'a')).collect();
    let (train, validation) = (text.train.clone(), text.validation.clone());
    assert_eq!([train.clone(), validation.clone()].concat(), letters, "the end is held out");
    let streams = Streams::new(train, ROWS, CONTEXT, SEED).expect("streams");
    let epoch = |e: u64| (0..streams.batches_per_epoch()).map(|i| streams.batch(e, i).x).collect::<Vec<_>>();
    let tokens: Vec<Vec<Vec<i32>>> = (0..EPOCHS).map(epoch).collect();
    let json = serde_json::json!({
        "counts": COUNTS, "tests": TESTS, "side": SIDE, "batch": BATCH, "pictures": pictures,
        "scene_side": SCENE_SIDE, "scenes": scenes, "held_out": held_out,
        "letters": letters, "train": text.train.len(), "rows": ROWS, "context": CONTEXT, "tokens": tokens,
    });
    expect_file!["../../golden/orders.json"].assert_eq(&(json.to_string() + "\n"));
}

/// Epochs of one batch of the same tokens, at a rate of nearly 0: steps differ by dropout alone.
#[test]
fn draws_differ_in_every_step_and_epoch() {
    let place = Place::new();
    // Text to train on for one batch, and no token more.
    let letters = 4 * CONTEXT + 1 + 12;
    let own = wgrad_train::Config {
        model: "gpt".into(),
        data: place.text(letters),
        context: Some(CONTEXT),
        layers: Some(1),
        hidden: Some(8),
        heads: Some(2),
        batch_size: 4,
        val_split: Some(12.0 / letters as f64),
        epochs: 5,
        lr: 1e-30,
        schedule: "constant".into(),
        device: "cpu".into(),
        ..wgrad_train::Config::default()
    };
    for (dropout, accumulate, different) in [(0.0, 1, 1), (0.4, 1, 5), (0.4, 2, 5)] {
        let config = wgrad_train::Config { dropout, accumulate, ..own.clone() };
        let (summary, seen) = super::run(&config, &place.path(&format!("run-{dropout}-{accumulate}")));
        assert_eq!((summary.steps, summary.epochs), (5, 5), "a batch an epoch");
        let losses: std::collections::BTreeSet<u64> =
            seen.evaluations.iter().map(|e| e.0.to_bits()).collect();
        assert_eq!(losses.len(), different, "dropout {dropout} in {accumulate}: {:?}", seen.evaluations);
    }
    // From the same weights, another seed draws otherwise.
    let from = Some(place.path("run-0.4-1").display().to_string());
    let seeds = [1, 2].map(|seed| {
        let config = wgrad_train::Config { dropout: 0.4, seed, init_from: from.clone(), ..own.clone() };
        super::run(&config, &place.path(&format!("seed-{seed}"))).1.evaluations
    });
    assert!(seeds[0][0].2 == seeds[1][0].2, "the same weights");
    assert!(seeds[0].iter().zip(&seeds[1]).all(|(a, b)| a.0 != b.0), "the seed decides what is dropped");
}

//! The loader: order, resuming, workers, and undecodable files.

use std::sync::Arc;

use wgrad_data::{Batch, Loader, LoaderOptions, Pipeline, SourceOptions, Splits, parse_augment};

use crate::{BASELINE, open, two_classes, write};

fn options() -> LoaderOptions {
    LoaderOptions { batch_size: 7, shuffle: true, seed: 5, augment: true, ..LoaderOptions::default() }
}

fn loader(data: &Splits, options: LoaderOptions) -> Loader {
    let pipeline = Pipeline {
        size: (8, 8),
        channels: 3,
        augment: parse_augment("crop:2,flip,jitter:0.3").unwrap(),
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
    };
    Loader::new(Arc::new(data.train.clone()), pipeline, options).unwrap()
}

fn batches(loader: &Loader, epoch: u64, start: usize) -> Vec<Batch> {
    loader.epoch(epoch, start).map(Result::unwrap).collect()
}

fn indices(batches: &[Batch]) -> Vec<usize> {
    batches.iter().flat_map(|batch| batch.indices.clone()).collect()
}

/// 32 training images.
fn data() -> (tempfile::TempDir, Splits) {
    let (guard, dir) = two_classes(20);
    let data = open("folder", &dir, &SourceOptions::default()).unwrap();
    (guard, data)
}

#[test]
fn loader_workers_change_nothing() {
    let (_guard, data) = data();
    let of =
        |workers, prefetch| batches(&loader(&data, LoaderOptions { workers, prefetch, ..options() }), 3, 0);
    let base = of(0, 0);
    assert_eq!(base.iter().map(|batch| batch.len).collect::<Vec<_>>(), [7, 7, 7, 7, 4]);
    assert_eq!(base[4].images.len(), 4 * 3 * 64);
    assert_eq!(base, of(1, 1));
    assert_eq!(base, of(3, 2));
    assert_eq!(base, of(8, 100));
}

#[test]
fn loader_epoch_is_a_permutation_of_seed_and_epoch() {
    let (_guard, data) = data();
    let order =
        |seed, epoch| indices(&batches(&loader(&data, LoaderOptions { seed, ..options() }), epoch, 0));
    let base = order(5, 0);
    assert_eq!(base, order(5, 0));
    assert_ne!(base, order(5, 1));
    assert_ne!(base, order(6, 0));
    let mut sorted = base.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..32).collect::<Vec<_>>());
    let plain = batches(&loader(&data, LoaderOptions { shuffle: false, ..options() }), 9, 0);
    assert_eq!(indices(&plain), sorted);
    for batch in &plain {
        let labels: Vec<i32> = batch.indices.iter().map(|&i| data.train.label(i) as i32).collect();
        assert_eq!(batch.labels, labels);
    }
}

#[test]
fn loader_order_is_stable_between_releases() {
    let (_guard, data) = data();
    let batches = batches(&loader(&data, options()), 0, 0);
    // A changed order would make resumed runs see other batches than they would have.
    assert_eq!(batches[0].indices, [28, 6, 31, 9, 4, 25, 18]);
}

#[test]
fn loader_resumed_epoch_sees_the_rest() {
    let (_guard, data) = data();
    for workers in [0, 2] {
        let loader = loader(&data, LoaderOptions { workers, ..options() });
        let whole = batches(&loader, 4, 0);
        for start in 0..=5 {
            assert_eq!(batches(&loader, 4, start), whole[start..]);
        }
        assert!(batches(&loader, 4, 99).is_empty());
    }
}

#[test]
fn loader_drop_last_drops_incomplete_batch() {
    let (_guard, data) = data();
    let lens = |batch_size, drop_last| {
        let loader = loader(&data, LoaderOptions { batch_size, drop_last, ..options() });
        let lens: Vec<usize> = batches(&loader, 0, 0).iter().map(|batch| batch.len).collect();
        assert_eq!(lens.len(), loader.batches_per_epoch());
        lens
    };
    assert_eq!(lens(12, false), [12, 12, 8]);
    assert_eq!(lens(12, true), [12, 12]);
    assert_eq!(lens(16, true), [16, 16]);
    assert_eq!(lens(100, true), [0; 0]);
    assert_eq!(lens(100, false), [32]);
}

#[test]
fn loader_evaluation_is_ordered_and_unaugmented() {
    let (_guard, data) = data();
    let plain = LoaderOptions { augment: false, shuffle: false, ..options() };
    let batch = &batches(&loader(&data, plain), 0, 0)[0];
    for (i, image) in batch.images.chunks(3 * 64).enumerate() {
        let red = f32::from(data.train.load(i).unwrap().data[0]);
        assert!(image[..64].iter().all(|&v| (v - (red / 255.0 - 0.5) / 0.25).abs() < 1e-6));
    }
}

/// Six images; `dog/001.jpg` has a header but a truncated body.
fn with_a_cut_jpeg(strict: bool) -> (tempfile::TempDir, Splits, String) {
    let (guard, dir) = two_classes(3);
    std::fs::remove_file(dir.join("dog/001.png")).unwrap();
    write(dir.join("dog/001.jpg"), &BASELINE[..BASELINE.len() - 40]);
    for class in ["cat", "dog"] {
        crate::paint(dir.join("test").join(class).join("1.png"), 8, 8, [0; 3]);
        std::fs::create_dir_all(dir.join("train")).unwrap();
        std::fs::rename(dir.join(class), dir.join("train").join(class)).unwrap();
    }
    let options = SourceOptions { strict, ..SourceOptions::default() };
    let data = open("folder", &dir, &options).unwrap();
    let message = format!(
        "cannot decode {}: the jpeg ends early; save it again as jpg or png, or remove it",
        dir.join("train/dog/001.jpg").display()
    );
    (guard, data, message)
}

#[test]
fn loader_broken_file_is_replaced_and_named_once() {
    let (_guard, data, message) = with_a_cut_jpeg(false);
    assert_eq!(data.train.len(), 6);
    assert!(data.warnings.is_empty());
    for workers in [0, 3] {
        let plain = LoaderOptions { batch_size: 2, shuffle: false, workers, ..options() };
        let ordered = loader(&data, plain.clone());
        assert!(ordered.take_warnings().is_empty());
        assert_eq!(indices(&batches(&ordered, 0, 0)), [0, 1, 2, 3, 5, 5]);
        assert_eq!(ordered.take_warnings(), [format!("skipped an image: {message}")]);
        batches(&ordered, 1, 0);
        assert!(ordered.take_warnings().is_empty());

        // In the last place of the order the first of the order stands in.
        let shuffled = loader(&data, LoaderOptions { shuffle: true, ..plain });
        for epoch in 0..20 {
            let seen = indices(&batches(&shuffled, epoch, 0));
            let lost = (0..6).find(|&i| i != 4 && seen.iter().filter(|&&j| j == i).count() == 2).unwrap();
            let at = seen.iter().position(|&i| i == lost).unwrap();
            assert!(seen[(at + 1) % 6] == lost || (at == 0 && seen[5] == lost), "{seen:?}");
        }
    }
}

#[test]
fn loader_strict_stops_at_broken_file() {
    let (_guard, data, message) = with_a_cut_jpeg(true);
    for workers in [0, 2] {
        let plain = LoaderOptions { batch_size: 2, shuffle: false, workers, ..options() };
        let loader = loader(&data, plain);
        let mut epoch = loader.epoch(0, 0);
        assert!(epoch.next().unwrap().is_ok() && epoch.next().unwrap().is_ok());
        assert_eq!(epoch.next().unwrap().unwrap_err().to_string(), message);
        assert!(epoch.next().is_none());
    }
    assert_eq!(wgrad_data::estimate_normalisation(&data.train).unwrap_err().to_string(), message);
}

#[test]
fn loader_without_readable_images_is_an_error() {
    let (guard, data) = data();
    guard.close().unwrap();
    let loader = loader(&data, LoaderOptions { workers: 2, ..options() });
    let mut epoch = loader.epoch(0, 0);
    let message = epoch.next().unwrap().unwrap_err().to_string();
    assert!(message.starts_with("cannot read "), "{message}");
    assert!(epoch.next().is_none());
    assert!(!loader.take_warnings().is_empty());
}

#[test]
fn loader_of_empty_subset_has_no_batches() {
    let (_guard, data) = data();
    let pipeline =
        Pipeline { size: (8, 8), channels: 3, augment: vec![], mean: vec![0.0; 3], std: vec![1.0; 3] };
    let loader = Loader::new(Arc::new(data.test.clone()), pipeline, options()).unwrap();
    assert_eq!(loader.batches_per_epoch(), 0);
    assert!(loader.epoch(0, 0).next().is_none());
}

#[test]
fn loader_impossible_options_are_refused() {
    let (_guard, data) = data();
    let refused = |channels: usize, options: LoaderOptions| {
        let (mean, std) = (vec![0.0; channels], vec![1.0; channels]);
        let pipeline = Pipeline { size: (8, 8), channels, augment: vec![], mean, std };
        Loader::new(Arc::new(data.train.clone()), pipeline, options).err().unwrap().to_string()
    };
    let zero = LoaderOptions { batch_size: 0, ..options() };
    assert_eq!(refused(3, zero), "batch size is 0; it must be at least 1");
    assert_eq!(
        refused(1, options()),
        format!("pipeline channels is 1; it must be 3, as in {}, train: 32 images", data.name)
    );
}

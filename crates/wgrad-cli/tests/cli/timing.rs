//! `profile` and `bench`: every kernel has a time, rates are compared with ceilings, and invalid calls are refused.

use crate::fixture::Place;

#[test]
fn profile_lists_kernels_and_layers() {
    let place = Place::new();
    for (device, clock) in [("cpu", "this machine's clock"), ("software", "the adapter's timestamps")] {
        let call = ["profile", "--model", "lenet", "--batch-size", "8", "--steps", "2", "--device", device];
        let trace = place.path("step.json");
        let trace_call = [&call[..], &["--json", "--trace", trace.to_str().expect("a name")]].concat();
        let profile = place.json(&trace_call);
        assert!(profile["clock"].as_str().is_some_and(|c| c.contains(clock)), "{profile}");
        let seconds = |rows: &str| -> f64 {
            let rows = profile[rows].as_array().expect("rows");
            rows.iter().map(|r| r["seconds"].as_f64().expect("a time")).sum()
        };
        let total = profile["kernel_seconds"].as_f64().expect("a time");
        assert!(total > 0.0 && profile["ceilings"]["flops_per_s"].as_f64() > Some(1e6), "{profile}");
        for rows in ["kernels", "layers", "steps"] {
            assert!((seconds(rows) - total).abs() < 1e-6 * total, "{device}: {rows} are not the whole");
        }
        let layers = profile["layers"].as_array().expect("layers");
        assert!(layers.iter().any(|l| l["name"] == "conv1"), "{profile}");
        let events: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&trace).expect("a trace")).expect("JSON");
        let events = events["traceEvents"].as_array().expect("events");
        assert_eq!(events.len(), 1 + profile["steps"].as_array().expect("steps").len());
        let text = place.ok(&call);
        assert!(text.contains("of roofline") && text.contains("conv2d"), "{text}");
    }
}

#[test]
fn bench_measures_the_selected_rows() {
    let place = Place::new();
    let call = ["bench", "--device", "cpu", "--only", "attention", "--seconds", "0.01"];
    let bench = place.json(&[&call[..], &["--json"]].concat());
    let rows = bench["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3, "{bench}");
    for row in rows {
        assert!(row["best_seconds"].as_f64() > Some(0.0), "{row}");
        assert!(row["best_seconds"].as_f64() <= row["median_seconds"].as_f64(), "{row}");
    }
    let text = place.ok(&["bench", "--device", "cpu", "--only", "train lenet", "--seconds", "0.01"]);
    assert!(text.contains("images/s") && text.contains("ceilings"), "{text}");
}

#[test]
fn invalid_profile_or_bench_call_is_refused() {
    let place = Place::new();
    place.refused(&["profile", "--model", "nosuch"], 2, &["nosuch", "lenet"]);
    place.refused(&["profile", "--model", "lenet", "--steps", "0"], 2, &["--steps"]);
    let nowhere = ["profile", "--model", "lenet", "--device", "cpu", "--trace", "no/such/step.json"];
    place.refused(&nowhere, 1, &["no/such/step.json", "directory"]);
    place.refused(&["bench", "--only", "nosuch"], 1, &["nosuch"]);
    place.refused(&["bench", "--seconds", "0"], 2, &["--seconds"]);
    place.refused(&["bench", "--device", "abacus"], 2, &["abacus"]);
}

//! `doctor`: correct kernels pass, damaged ones fail, and invalid calls are refused.

use crate::fixture::Place;

#[test]
fn correct_kernels_pass() {
    let place = Place::new();
    let report = place.json(&["doctor", "--device", "cpu", "--only", "matmul", "--json"]);
    assert_eq!(report["sound"], true);
    let cases = report["cases"].as_array().expect("cases");
    assert!(cases.len() > 15, "{} cases", cases.len());
    for case in cases {
        let (relative, tolerance) = (case["relative"].as_f64(), case["tolerance"].as_f64());
        assert!(relative.expect("a number") <= tolerance.expect("a number"), "{case}");
        assert!(!case["variants"].as_array().expect("variants").is_empty(), "{case}");
    }
    let text = place.ok(&["doctor", "--device", "software", "--only", "softmax", "--full"]);
    assert!(text.contains("llvmpipe") && text.contains("limits") && text.contains("all correct"), "{text}");
}

#[test]
fn damaged_kernels_fail() {
    let place = Place::new();
    let mistakes =
        [("matmul_small", "barrier-after-load"), ("matmul_small", "wrong-lane"), ("linear", "operand-stuck")];
    for (only, name) in mistakes {
        let args = ["doctor", "--device", "software", "--only", only, "--break", name];
        let output = place.wgrad(&args).output().expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        assert!(text.contains("WRONG") && !text.contains("all correct"), "{name}: {text}");
    }
    let list = place.ok(&["doctor", "--break", "list"]);
    assert!(list.contains("barrier-after-load") && list.contains("gradient-sign"), "{list}");
}

#[test]
fn invalid_doctor_call_is_refused() {
    let place = Place::new();
    let refused = |args: &[&str], code, words: &[&str]| {
        place.refused(&[&["doctor", "--device"], args].concat(), code, words)
    };
    refused(&["cpu", "--break", "everything"], 2, &["--break", "--break list"]);
    refused(&["cpu", "--only", "no such case"], 1, &["no operation has \"no such case\" in its name"]);
    refused(&["cpu", "--only", "relu", "--break", "wrong-lane"], 1, &["affects no kernel"]);
    refused(&["toaster"], 2, &["unknown device"]);
}

#[test]
fn detect_anomaly_names_the_origin_of_the_first_nan() {
    let place = Place::new();
    let data = place.photos();
    let overflow = ["--optimizer", "sgd", "--schedule", "constant", "--lr", "3e38"];
    for device in ["cpu", "software"] {
        let call = [
            &[
                "train",
                "--model",
                "mlp",
                "--steps",
                "4",
                "--batch-size",
                "8",
                "--data",
                &data,
                "--device",
                device,
            ][..],
            &["--detect-anomaly", "--out", device],
            &overflow,
        ];
        let said = place.refused(&call.concat(), 1, &["step ", "it reads", "from the same"]);
        assert!(said.contains("the mathematics is at fault"), "{said}");
    }
    // Anomaly detection does not change a finite run.
    let sound = [
        "train",
        "--model",
        "linear",
        "--steps",
        "3",
        "--device",
        "cpu",
        "--detect-anomaly",
        "--data",
        &data,
    ];
    place.ok(&sound);
    place.ok(&[&sound[..], &["--accumulate", "2"]].concat());
}

//! `devices`, `plan`, `--help`: commands without a run.

use crate::fixture::{Place, said_no};

#[test]
fn help_of_every_command_has_an_example() {
    let place = Place::new();
    let commands = [
        "", "devices", "doctor", "train", "eval", "predict", "generate", "tokenize", "plan", "profile",
        "bench", "tune",
    ];
    for command in commands {
        let call = [command, "--help"];
        let help = place.ok(if command.is_empty() { &call[1..] } else { &call });
        assert!(help.contains("Example:\n  wgrad"), "{command:?}: {help}");
    }
    assert!(place.ok(&["--version"]).starts_with("wgrad "));
}

#[test]
fn devices_list_the_cpu_and_the_automatic_choice() {
    let place = Place::new();
    let found = place.json(&["devices", "--json"]);
    let cpu = found["cpu"]["name"].as_str().expect("the CPU has a name");
    assert!(cpu.contains("CPU"), "{cpu}");
    assert!(found["adapters"].is_array());
    let reason = found["auto"]["reason"].as_str().expect("auto has a reason");
    assert!(reason.starts_with("auto: "), "{reason}");
    let text = place.ok(&["devices"]);
    assert!(text.contains(cpu) && text.contains(reason), "{text}");
}

#[test]
fn devices_without_an_automatic_choice_name_flags_and_commands() {
    let place = Place::new();
    for call in [&["devices"][..], &["devices", "--json"]] {
        let output = place.wgrad(call).env("WGRAD_DEVICE", "gpu:99").output().expect("the program runs");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("gpu:99"), "{told}");
        assert!(told.contains("--device cpu") || told.contains("`wgrad devices`"), "{told}");
        assert!(!told.contains("`device`") && !told.contains("`adapters`"), "{told}");
    }
}

#[test]
fn plan_reports_work_and_memory() {
    let place = Place::new();
    let plan = place.json(&["plan", "--model", "lenet", "--batch-size", "64", "--kernels", "--json"]);
    let number = |name: &str| plan[name].as_u64().unwrap_or_else(|| panic!("{name} is a number"));
    let parts = ["weight", "state", "gradient", "activation", "staging", "thread", "other"];
    assert_eq!(parts.iter().map(|part| number(&format!("{part}_bytes"))).sum::<u64>(), number("peak_bytes"));
    assert_eq!(number("thread_bytes"), 0, "an adapter has none");
    let cpu = place.json(&["plan", "--model", "lenet", "--batch-size", "64", "--device", "cpu", "--json"]);
    assert!(cpu["thread_bytes"].as_u64() > Some(0), "{cpu}");
    assert!(number("weight_bytes") >= 61_706 * 4 && number("state_bytes") >= 2 * 61_706 * 4, "{plan}");
    assert!(number("flops") > 64 * 61_706 && number("bytes_moved") > 0);
    let kernels = plan["kernels"].as_array().expect("a list");
    let dispatches: u64 = kernels.iter().map(|k| k["dispatches"].as_u64().expect("a number")).sum();
    assert_eq!(dispatches, number("dispatches"));
    let text = place.ok(&["plan", "--model", "lenet", "--batch-size", "64", "--kernels"]);
    assert!(text.contains("conv2d") && text.contains("peak memory"), "{text}");
    assert!(!place.ok(&["plan", "--model", "lenet", "--eval"]).contains("conv2d"));
    let gpt = place.json(&["plan", "--model", "gpt", "--context", "32", "--batch-size", "4", "--json"]);
    // The blocks' matrices alone have 12 * 128^2 weights per layer.
    assert!(gpt["weight_bytes"].as_u64().is_some_and(|n| n > 4 * 12 * 128 * 128 * 4), "{gpt}");
    assert_eq!((&gpt["context"], &gpt["vocabulary"]), (&32.into(), &65.into()));
    let text = place.ok(&["plan", "--model", "char-lstm", "--layers", "1", "--context", "4", "--eval"]);
    assert!(text.contains("1 layers of 256") && text.contains("evaluation"), "{text}");
}

#[test]
fn plan_with_peers_lists_other_engines() {
    let place = Place::new();
    let step = ["plan", "--model", "cifar-cnn", "--batch-size", "32", "--peers"];
    let plan = place.json(&[&step[..], &["--json"]].concat());
    let theirs = plan["peers"].as_array().expect("a list").iter().find(|p| p["dispatches"].is_u64());
    let theirs = theirs.expect("one engine was measured at this step");
    assert!(plan["dispatches"].as_u64() < theirs["dispatches"].as_u64(), "{plan}");
    let text = place.ok(&step);
    let head = text.lines().find(|l| l.starts_with("per step")).expect("a table");
    assert!(theirs["name"].as_str().is_some_and(|name| head.contains(name)), "{text}");
    // A step without measurements lists the measured ones.
    let other = place.ok(&["plan", "--model", "lenet", "--peers"]);
    let row = other.lines().find(|l| l.starts_with("  dispatches")).expect("a row");
    assert!(row.ends_with('-') && other.contains("measured at --model cifar-cnn"), "{other}");
    assert!(!place.ok(&step[..5]).contains("\nper step"));
}

#[test]
fn plan_respects_device_limits() {
    let place = Place::new();
    let alexnet = ["plan", "--model", "alexnet", "--batch-size", "64"];
    let text = place.ok(&alexnet);
    assert!(text.contains("alexnet") && text.contains("GFLOP") | text.contains("TFLOP"), "{text}");
    // The first dense layer's weights and their gradient: 9216 x 4096 floats.
    let strict = [&alexnet[..], &["--limits", "webgpu-baseline"]].concat();
    place.refused(&strict, 1, &["134217728"]);
    place.ok(&["plan", "--model", "lenet", "--limits", "webgpu-baseline"]);
    let cpu = place.json(&["plan", "--model", "alexnet", "--device", "cpu", "--json"]);
    assert_eq!(cpu["planned_for"], "the native CPU");
    let both = ["plan", "--model", "lenet", "--device", "cpu", "--limits", "webgpu-baseline"];
    place.refused(&both, 2, &["--limits"]);
}

#[test]
fn invalid_call_is_reported_in_one_line() {
    let place = Place::new();
    place.refused(&["train", "--no-such-flag"], 2, &["--no-such-flag", "wgrad train --help"]);
    place.refused(&["plan"], 2, &["--model", "wgrad plan --help"]);
    place.refused(&["predict", "--checkpoint", "x"], 2, &["IMAGE"]);
    place.refused(&["train", "--epochs", "1", "--steps", "1"], 2, &["--epochs", "--steps"]);
    place.refused(&["train", "--batch-size", "many"], 2, &["--batch-size", "many"]);
    place.refused(&["tarin"], 2, &["tarin", "train"]);
    place.refused(&["plan", "--model", "lenet", "--classes", "1"], 2, &["--classes"]);
    place.refused(&["plan", "--model", "lent"], 2, &["lent", "lenet"]);
    place.refused(&["plan", "--model", "gpt", "--heads", "3"], 2, &["--heads 3"]);
    place.refused(&["plan", "--model", "alexnet", "--image-size", "8"], 2, &["63x63", "--image-size"]);
    place.refused(&["plan", "--model", "lenet", "--batch-size", "0"], 2, &["--batch-size"]);
    let huge = u64::MAX.to_string();
    place.refused(&["plan", "--model", "lenet", "--batch-size", &huge], 2, &["--batch-size"]);
}

#[cfg(unix)]
#[test]
fn closed_pipe_is_no_failure() {
    let place = Place::new();
    let gone = place.bash("\"$WGRAD\" plan --model alexnet --kernels | true; exit ${PIPESTATUS[0]}");
    assert_eq!((gone.status.code(), gone.stderr.as_slice()), (Some(0), &b""[..]));
    if std::path::Path::new("/dev/full").exists() {
        let full = place.bash("\"$WGRAD\" plan --model lenet > /dev/full");
        said_no(&full, 1, &["space"]);
    }
}

//! Invalid input: one clear line, the right exit code, nothing overwritten.

use crate::fixture::{Place, SHORT, files, picture};
use std::fs;
use wgrad_train::{Rule, Setting, Sort, settings};

/// Text against a setting's rule; `None` if it has none.
fn invalid(setting: &Setting) -> Option<String> {
    Some(match setting.rule() {
        Rule::Any => return None,
        Rule::Positive => "0".into(),
        Rule::NotNegative => "-1".into(),
        Rule::BelowOne | Rule::Share => "1".into(),
        Rule::UpTo(most) => (most + 1.0).to_string(),
        Rule::AtLeast(least) => (least - 1).to_string(),
        Rule::FromTo(_, most) => (most + 1).to_string(),
        Rule::OneOf(_) | Rule::Form { .. } => "no-such-name".into(),
    })
}

#[test]
fn invalid_value_of_every_setting_is_refused_with_its_flag_and_rule() {
    let place = Place::new();
    let mut ruled = 0;
    for setting in settings() {
        let flag = format!("--{}", setting.name.replace('_', "-"));
        let named = format!("{flag}: ");
        if let Some(value) = invalid(setting) {
            let rule = setting.rule().to_string();
            // Functions of the library become commands.
            let rule = rule.split('`').next().expect("a start");
            let line = place.refused(&["train", &flag, &value], 2, &[&named, &value, rule]);
            assert!(line.split('`').skip(1).step_by(2).all(|word| word.starts_with("wgrad ")), "{line}");
            ruled += 1;
        }
        match setting.sort {
            Sort::Count => {
                place.refused(&["train", &flag, "many"], 2, &[&flag, "many"]);
                let huge = u64::MAX.to_string();
                place.refused(&["train", &flag, &huge], 2, &[&named, &huge, "must be at most"]);
            }
            Sort::Number => drop(place.refused(&["train", &flag, "many"], 2, &[&flag, "many"])),
            Sort::Switch | Sort::Text => {}
        }
    }
    assert!(ruled > 20, "{ruled} settings have rules");
}

#[test]
fn invalid_setting_is_refused() {
    let place = Place::new();
    let huge = u64::MAX.to_string();
    for (flag, value, words) in [
        ("--lr", "nan", &["--lr", "positive"][..]),
        ("--lr", "-1", &["--lr", "positive"]),
        ("--lr", "inf", &["--lr"]),
        ("--weight-decay", "nan", &["--weight-decay"]),
        ("--momentum", "1.5", &["--momentum"]),
        ("--momentum", "0.5", &["--momentum", "adam"]),
        ("--label-smoothing", "1", &["--label-smoothing"]),
        ("--width", "0", &["--width"]),
        ("--width", "nan", &["--width"]),
        ("--batch-size", "0", &["--batch-size"]),
        ("--accumulate", "0", &["--accumulate"]),
        ("--accumulate", "3", &["--accumulate", "--batch-size 32"]),
        ("--epochs", "0", &["--epochs"]),
        ("--seed", &huge, &["--seed"]),
        ("--val-split", "1", &["--val-split"]),
        ("--patience", "0", &["--patience"]),
        ("--image-size", "100000", &["--image-size"]),
        ("--model", "resnet9000", &["resnet9000", "lenet"]),
        ("--clip-norm", "0", &["--clip-norm", "positive"]),
        ("--clip-value", "nan", &["--clip-value"]),
        ("--ema", "1", &["--ema", "0.999"]),
        ("--optimizer", "adma", &["--optimizer", "adma", "adamw", "muon"]),
        ("--schedule", "linear", &["--schedule", "cosine"]),
        ("--augment", "flop", &["flop", "flip"]),
        ("--device", "toaster", &["toaster", "software"]),
        ("--data", "imagenet", &["imagenet", "folder:DIR"]),
        ("--data", "folder:", &["folder:"]),
        ("--config", "none.toml", &["--config", "none.toml"]),
    ] {
        place.refused(&["train", flag, value], 2, words);
    }
    let both = ["train", "--clip-norm", "1", "--clip-value", "1"];
    place.refused(&both, 2, &["--clip-norm", "--clip-value"]);
    place.refused(&["train", "--device", "gpu:99"], 1, &["gpu:99"]);
    place.refused(
        &["train", "--model", "alexnet", "--image-size", "32", "--device", "cpu"],
        2,
        &["--image-size"],
    );
    fs::write(place.path("bad.toml"), "learning_rate = 0.1\n").expect("written");
    place.refused(&["train", "--config", "bad.toml"], 2, &["bad.toml", "learning_rate"]);
    fs::write(place.path("bad.toml"), "lr = \"fast\"\n").expect("written");
    place.refused(&["train", "--config", "bad.toml"], 2, &["bad.toml"]);
    assert!(!place.path("runs").exists(), "no run was started");
}

#[test]
fn missing_or_damaged_data_is_refused() {
    let place = Place::new();
    let train = |data: &str, code, words: &[&str]| {
        place.refused(&[&SHORT[..], &[data, "--out", "run"]].concat(), code, words);
        assert!(!place.path("run").exists(), "no run was started");
    };
    train("folder:nowhere", 1, &["nowhere does not exist"]);
    train("mnist:nowhere", 1, &["nowhere does not exist"]);
    place.photos();
    train("mnist:photos", 1, &["photos/train-images-idx3-ubyte"]);
    fs::create_dir_all(place.path("empty/cat")).expect("a folder");
    fs::create_dir_all(place.path("empty/dog")).expect("a folder");
    picture(&place.path("empty/dog/1.png"), 9);
    train("folder:empty", 1, &["empty/cat"]);
    fs::create_dir_all(place.path("bare")).expect("a folder");
    train("folder:bare", 1, &["bare", "class folders"]);

    fs::create_dir_all(place.path("idx")).expect("a folder");
    for part in ["train", "t10k"] {
        let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28][..], &[7; 100]].concat();
        fs::write(place.path(&format!("idx/{part}-images-idx3-ubyte")), images).expect("written");
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 3, 4];
        fs::write(place.path(&format!("idx/{part}-labels-idx1-ubyte")), labels).expect("written");
    }
    train("mnist:idx", 1, &["idx/train-images-idx3-ubyte", "100 of 1568"]);
}

#[test]
fn undecodable_image_is_named() {
    let place = Place::new();
    let data = place.photos();
    let broken = place.path("photos/train/dark/broken.jpg");
    picture(&broken, 50);
    let bytes = fs::read(&broken).expect("a picture");
    fs::write(&broken, &bytes[..bytes.len() * 2 / 3]).expect("written");
    let strict = [&SHORT[..], &[&data, "--out", "run", "--strict"]].concat();
    place.refused(&strict, 1, &["broken.jpg"]);
    let skipping = place.wgrad(&[&SHORT[..], &[&data, "--out", "skipping"]].concat()).output().expect("runs");
    let stderr = String::from_utf8_lossy(&skipping.stderr);
    assert!(skipping.status.success(), "{stderr}");
    assert_eq!(stderr.matches("broken.jpg").count(), 1, "named once: {stderr}");

    place.trained("model");
    let predict = ["predict", "--checkpoint", "model", "photos/train/dark/1.png", "--device", "cpu"];
    place.refused(&[&predict[..], &["photos/train/dark/broken.jpg"]].concat(), 1, &["broken.jpg"]);
    place.refused(&[&predict[..], &["no-such.png"]].concat(), 1, &["no-such.png"]);
}

#[test]
fn existing_run_is_never_overwritten() {
    let place = Place::new();
    place.trained("run");
    let before = files(&place.path("run"));
    let again = [&SHORT[..], &["folder:photos", "--out", "run"]].concat();
    place.refused(&again, 2, &["run", "--resume"]);
    assert_eq!(files(&place.path("run")), before);
    fs::write(place.path("file"), "precious").expect("written");
    place.refused(&[&SHORT[..], &["folder:photos", "--out", "file"]].concat(), 1, &["file"]);
    assert_eq!(fs::read(place.path("file")).expect("still there"), b"precious");
}

#[test]
fn missing_run_or_checkpoint_is_refused() {
    let place = Place::new();
    place.refused(&["train", "--resume"], 2, &["--out"]);
    place.refused(&["train", "--resume", "--out", "nothing"], 1, &["nothing"]);
    place.refused(&["eval", "--checkpoint", "nothing", "--device", "cpu"], 1, &["nothing"]);
    place.refused(&["predict", "--checkpoint", "nothing", "a.png", "--device", "cpu"], 1, &["nothing"]);
    place.trained("run");
    place.refused(&["train", "--resume", "--out", "run", "--config", "x.toml"], 2, &["--config"]);
    place.refused(&["train", "--resume", "--out", "run", "--device", "toaster"], 2, &["toaster"]);
    place.refused(
        &["eval", "--checkpoint", "run", "--device", "cpu", "--split", "validation"],
        2,
        &["--split"],
    );
    let other = ["eval", "--checkpoint", "run", "--device", "cpu", "--data", "fashion-mini"];
    place.refused(&other, 2, &["--data", "classes"]);
}

#[test]
fn checkpoint_of_another_model_is_refused() {
    let place = Place::new();
    place.trained("run");
    let mlp = [
        "train",
        "--model",
        "mlp",
        "--steps",
        "1",
        "--device",
        "cpu",
        "--data",
        "folder:photos",
        "--out",
        "mlp",
    ];
    place.ok(&mlp);
    let model = |run: &str| place.path(run).join("checkpoint/model.safetensors");
    let own = fs::read(model("run")).expect("a model");
    fs::copy(model("mlp"), model("run")).expect("copied");
    let before = files(&place.path("run"));
    place.refused(
        &["eval", "--checkpoint", "run", "--weights", "last", "--device", "cpu"],
        1,
        &["run/checkpoint", "another model"],
    );
    place.refused(&["train", "--resume", "--out", "run"], 1, &["run/checkpoint", "another model"]);
    fs::write(model("run"), &own[..own.len() / 2]).expect("written");
    place.refused(
        &["eval", "--checkpoint", "run", "--weights", "last", "--device", "cpu"],
        1,
        &["model.safetensors"],
    );
    fs::write(model("run"), fs::read(model("mlp")).expect("a model")).expect("written");
    assert_eq!(files(&place.path("run")), before, "nothing was overwritten");
}

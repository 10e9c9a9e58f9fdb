//! Data source specs as first written by users: plain paths, files given for folders, relative paths.

use crate::TrainError;
use crate::settings::Config;
use crate::tasks::kind::Input;
use crate::tasks::kind_of;
use std::path::Path;
use wgrad_data::DataError;

/// Name of data that a program brought.
pub(crate) const MEMORY: &str = "memory";

/// Error of a run whose data was brought by a program.
pub(crate) fn lost() -> TrainError {
    TrainError::config(
        "data",
        "the run's data came from a program's memory: bring it again, or give a source",
    )
}

/// Source kinds with a path.
const KINDS: [&str; 6] = ["folder", "mnist", "fashion-mnist", "cifar10", "masks", "text"];

/// Spec with an absolute path.
fn absolute(spec: &str) -> String {
    let Some((kind, path)) =
        spec.split_once(':').filter(|(kind, path)| KINDS.contains(kind) && !path.is_empty())
    else {
        return spec.to_owned();
    };
    format!("{kind}:{}", absolute_path(path))
}

/// True if both specs name the same path.
pub(crate) fn same(a: &str, b: &str) -> bool {
    absolute(a) == absolute(b)
}

fn absolute_path(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// Settings with absolute paths.
pub(crate) fn settled(config: &Config) -> Config {
    let tokenizer = match config.tokenizer.strip_prefix("bpe:").filter(|path| !path.is_empty()) {
        Some(path) => format!("bpe:{}", absolute_path(path)),
        None => config.tokenizer.clone(),
    };
    Config {
        data: absolute(&config.data),
        init_from: config.init_from.as_deref().map(absolute_path),
        tokenizer,
        ..config.clone()
    }
}

/// Spec for a plain path, with its kind guessed from the contents. Other specs are returned unchanged.
pub fn guess_source(spec: &str, model: &str) -> String {
    let path = Path::new(spec);
    if spec.contains(':') || !path.exists() {
        return spec.to_owned();
    }
    let has = |names: &[&str]| names.iter().any(|name| path.join(name).exists());
    let is_text = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"));
    let texts = || {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let names: Vec<_> = entries.map(|entry| entry.path()).collect();
        names.iter().any(|path| is_text(path)) && !names.iter().any(|path| path.is_dir())
    };
    let input = kind_of(model).map(|kind| kind.input());
    let kind = if path.is_file() {
        "text"
    } else if input == Some(Input::Masks) || has(&["masks"]) && has(&["images"]) {
        "masks"
    } else if has(&["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"]) {
        "mnist"
    } else if has(&["data_batch_1.bin"]) {
        "cifar10"
    } else if input == Some(Input::Text) || texts() {
        "text"
    } else {
        "folder"
    };
    format!("{kind}:{spec}")
}

/// Error for a run's own data, with a hint as it may have moved.
pub(crate) fn moved(error: TrainError, spec: &str) -> TrainError {
    let place = spec.split_once(':').map(|(_, place)| Path::new(place));
    match error {
        TrainError::Data(DataError::Missing { path, .. }) if Some(path.as_path()) == place => {
            let hint = "if the data has moved, give its new location with `data`";
            DataError::Missing { path, hint }.into()
        }
        other => other,
    }
}

/// Error if a spec's path is not of the kind read by its source.
///
/// # Errors
/// If a file is given for a folder, or a source lacks its path.
pub(crate) fn check(spec: &str) -> Result<(), TrainError> {
    let fail = |why: String| Err(TrainError::config("data", why));
    let Some((kind, path)) = spec.split_once(':') else {
        return match KINDS.contains(&spec) {
            true => fail(format!("{spec} needs the folder of its files: {spec}:DIR")),
            false => Ok(()),
        };
    };
    if KINDS.contains(&kind) && kind != "text" && Path::new(path).is_file() {
        let layout = match kind {
            "folder" => " with one folder of images per class; lists of labels (CSV) are not read",
            "masks" => " with the subfolders images and masks",
            _ => "",
        };
        return fail(format!("{path} is a file; {kind}: takes a folder{layout}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spec_with_a_path_becomes_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("folder:photos"), format!("folder:{}", here.join("photos").display()));
        assert_eq!(absolute(&absolute("text:a.txt")), absolute("text:a.txt"));
        for spec in ["fashion-mini", "folder:", "what:ever"] {
            assert_eq!(absolute(spec), spec);
        }
        let config =
            Config { tokenizer: "bpe:a.bpe".into(), init_from: Some("runs/a".into()), ..Config::default() };
        let settled = settled(&config);
        assert_eq!(settled.tokenizer, format!("bpe:{}", here.join("a.bpe").display()));
        assert_eq!(settled.init_from, Some(here.join("runs/a").display().to_string()));
    }

    #[test]
    fn plain_path_gets_its_kind_from_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path.display().to_string()
        };
        make("photos/cat/1.jpg");
        make("cells/images/1.png");
        make("cells/masks/1.png");
        make("digits/train-images-idx3-ubyte.gz");
        make("novels/a.txt");
        let novel = make("novels/b.txt");
        let of = |name: &str, model: &str| {
            let spec = dir.path().join(name).display().to_string();
            guess_source(&spec, model).split(':').next().unwrap().to_owned()
        };
        assert_eq!(of("photos", "lenet"), "folder");
        assert_eq!(of("cells", "unet"), "masks");
        assert_eq!(of("digits", "lenet"), "mnist");
        assert_eq!(of("novels", "gpt"), "text");
        assert_eq!(guess_source(&novel, "gpt"), format!("text:{novel}"));
        assert_eq!(guess_source("fashion-mini", "lenet"), "fashion-mini");
        assert_eq!(guess_source("no/such/place", "lenet"), "no/such/place");
        let labels = make("labels.csv");
        let told = check(&format!("folder:{labels}")).unwrap_err().to_string();
        assert!(told.contains("labels.csv is a file") && !told.contains("not exist"), "{told}");
        assert!(check("mnist").unwrap_err().to_string().contains("mnist:DIR"));
        check("fashion-mini").unwrap();
    }
}

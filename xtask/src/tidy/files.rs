//! Files of the tree: the documents of the root, and the list of shaders.
//!
//! Of the documents it only checks that they are not empty.

use super::{File, Problem};

/// The files a repository of ours has in its root.
const REQUIRED: [&str; 6] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// The shaders' folder, and the file naming them all.
const SHADERS: &str = "shaders/";
const SHADER_LIST: &str = "shaders/lib.rs";

/// Every required file is there, with something in it.
pub(super) fn check_required(tree: &[File]) -> Vec<Problem> {
    let has = |path: &str| tree.iter().any(|file| file.path == path && !file.text.trim().is_empty());
    let missing = REQUIRED.into_iter().filter(|path| !has(path));
    missing.map(|path| Problem::in_file(path, "is missing or empty")).collect()
}

/// Every `.wgsl` file is named, by its quoted path or stem, in the code of `shaders/lib.rs`.
pub(super) fn check_shaders(tree: &[File]) -> Vec<Problem> {
    let list = tree.iter().find(|file| file.path == SHADER_LIST).map_or("", |file| file.text.as_str());
    let code: Vec<&str> = list.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let named = |word: &str| {
        let quoted = format!("\"{word}\"");
        code.iter().any(|line| line.contains(&quoted))
    };
    let shaders = tree.iter().filter_map(|file| Some((file, file.path.strip_prefix(SHADERS)?)));
    shaders
        .filter_map(|(file, name)| Some((file, name, name.strip_suffix(".wgsl")?)))
        .filter(|(_, name, stem)| !named(name) && !named(stem))
        .map(|(file, name, _)| {
            Problem::in_file(&file.path, format!("\"{name}\" is not named in {SHADER_LIST}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn files_missing_document_is_reported() {
        let full: Vec<(&str, &str)> = REQUIRED.map(|path| (path, "text")).to_vec();
        assert!(check_required(&tree(&full)).is_empty());
        for (i, path) in REQUIRED.into_iter().enumerate() {
            let mut files = full.clone();
            files[i].1 = "\n";
            assert_eq!(check_required(&tree(&files)), [Problem::in_file(path, "is missing or empty")]);
            files.remove(i);
            assert_eq!(check_required(&tree(&files)).len(), 1);
        }
    }

    #[test]
    fn files_unlisted_shader_is_reported() {
        let files = [
            (
                SHADER_LIST,
                "//! \"lost\"\nconst A: &str = include_str!(\"add.wgsl\");\nrow(\"common/rng\");\n",
            ),
            ("shaders/add.wgsl", "// Adds.\n"),
            ("shaders/common/rng.wgsl", "// Random numbers.\n"),
            ("shaders/lost.wgsl", "// Named in a comment only.\n"),
            ("shaders/common/add.wgsl", "// Not the one in the list.\n"),
            ("tests/src/odd.wgsl", "// Not a shader of ours.\n"),
        ];
        let found: Vec<String> = check_shaders(&tree(&files)).iter().map(Problem::to_string).collect();
        assert_eq!(
            found,
            [
                "shaders/lost.wgsl: \"lost.wgsl\" is not named in shaders/lib.rs",
                "shaders/common/add.wgsl: \"common/add.wgsl\" is not named in shaders/lib.rs",
            ]
        );
        assert_eq!(check_shaders(&tree(&files[1..2])).len(), 1, "no list names nothing");
    }
}

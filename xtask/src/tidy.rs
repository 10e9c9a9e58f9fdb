//! `cargo xtask tidy`: checks beyond the compiler and clippy.
//!
//! Checks are pure functions over the tree's texts, each with a failing test. They never look at git, the
//! network or another tool, and never repair anything.

mod circles;
mod edges;
mod files;
mod paths;
mod text;

use anyhow::{Context as _, Result, bail};
use std::fmt;
use std::path::Path;

/// Checked folders under the root.
const FOLDERS: [&str; 7] = ["crates", "shaders", "xtask", "tests", "benches", "examples", "docs"];
/// Checked files outside of them.
const ROOT_FILES: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "Cargo.toml",
    ".ci/run",
];
/// Checked kinds of text; all others are data.
const EXTENSIONS: [&str; 5] = ["rs", "wgsl", "toml", "md", "py"];

/// One file: its path from the root, with forward slashes, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The path's last extension, or nothing.
    fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// Something to repair; `line` counts from 1.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    path: String,
    line: Option<usize>,
    what: String,
}

impl Problem {
    fn in_file(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, what: what.into() }
    }

    fn on_line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::in_file(path, what) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

/// Prints every problem and the line budget; an error if there was a problem.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = read_tree(root)?;
    let problems = check(&tree, &read_names(root)?);
    for problem in &problems {
        println!("{problem}");
    }
    println!("{}", line_budget(&tree));
    if !problems.is_empty() {
        bail!("tidy found {} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" });
    }
    Ok(())
}

/// All checks, in the order of the paths; `names` are the paths of all files, texts or not.
fn check(tree: &[File], names: &[String]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = tree.iter().flat_map(text::check).collect();
    problems.extend(edges::check(tree));
    problems.extend(circles::check(tree));
    problems.extend(files::check_required(tree));
    problems.extend(files::check_shaders(tree));
    problems.extend(paths::check(tree, names));
    problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    problems
}

/// Lines of code by folder, largest first, and in total: the amount for a reader.
fn line_budget(tree: &[File]) -> String {
    let mut folders: Vec<(&str, usize)> = Vec::new();
    for file in tree.iter().filter(|file| matches!(file.extension(), "rs" | "wgsl")) {
        let folder = file.path.strip_prefix("crates/").unwrap_or(&file.path);
        let folder = folder.split('/').next().unwrap_or(folder);
        let lines = file.text.lines().count();
        match folders.iter_mut().find(|(name, _)| *name == folder) {
            Some((_, sum)) => *sum += lines,
            None => folders.push((folder, lines)),
        }
    }
    folders.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let total: usize = folders.iter().map(|(_, lines)| lines).sum();
    let parts: Vec<String> = folders.iter().map(|(name, lines)| format!("{name} {lines}")).collect();
    format!("tidy: {total} lines of Rust and WGSL ({})", parts.join(", "))
}

/// Reads the checked files, sorted by path.
pub(crate) fn read_tree(root: &Path) -> Result<Vec<File>> {
    let mut tree = Vec::new();
    for folder in FOLDERS {
        read_folder(root, folder, &mut tree)?;
    }
    for path in ROOT_FILES {
        if root.join(path).is_file() {
            tree.push(read_file(root, path.to_owned())?);
        }
    }
    tree.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tree)
}

fn read_folder(root: &Path, folder: &str, tree: &mut Vec<File>) -> Result<()> {
    let entries = std::fs::read_dir(root.join(folder)).with_context(|| format!("cannot read {folder}"))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            read_folder(root, &path, tree)?;
        } else if kind.is_file() && EXTENSIONS.iter().any(|ext| path.ends_with(&format!(".{ext}"))) {
            tree.push(read_file(root, path)?);
        }
    }
    Ok(())
}

/// The paths of all files under the root but build outputs, as [`File::path`].
fn read_names(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(root.join(&folder));
        for entry in entries.with_context(|| format!("cannot read {folder}"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if !entry.file_type()?.is_dir() {
                names.push(path);
            } else if !["target", ".git", "node_modules"].contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    Ok(names)
}

fn read_file(root: &Path, path: String) -> Result<File> {
    let text = std::fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
    Ok(File { path, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of (path, text) for the tests of the checks.
    pub(super) fn tree(files: &[(&str, &str)]) -> Vec<File> {
        files.iter().map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() }).collect()
    }

    #[test]
    fn the_tree_is_tidy() {
        let problems = check(&read_tree(crate::root()).unwrap(), &read_names(crate::root()).unwrap());
        let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert!(problems.is_empty(), "\n{}", lines.join("\n"));
    }

    #[test]
    fn the_tree_is_read() {
        let tree = read_tree(crate::root()).unwrap();
        for path in
            ["xtask/src/tidy/text.rs", "shaders/lib.rs", "crates/wgrad-graph/Cargo.toml", "Cargo.toml"]
        {
            assert!(tree.iter().any(|file| file.path == path), "{path} is not looked at");
        }
    }

    #[test]
    fn every_kind_of_check_takes_part() {
        let tree = tree(&[
            ("crates/wgrad-nn/src/lib.rs", "use x;\n"),
            ("crates/wgrad-nn/Cargo.toml", "[package]\nname = \"wgrad-nn\"\n[dependencies]\nwgpu = \"30\"\n"),
            ("shaders/lib.rs", "//! Shaders.\n"),
            ("shaders/add.wgsl", "// Adds.\n"),
            ("docs/lost.md", "# Lost\n\n`docs/none.md`\n"),
        ]);
        let problems = check(&tree, &[]);
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        for path in [
            "crates/wgrad-nn/src/lib.rs",
            "crates/wgrad-nn/Cargo.toml",
            "shaders/add.wgsl",
            "README.md",
            "docs/lost.md",
        ] {
            assert!(paths.contains(&path), "{path}: {paths:?}");
        }
    }

    #[test]
    fn the_budget_counts_code_by_folder() {
        let tree = tree(&[
            ("crates/wgrad-nn/src/lib.rs", "1\n2\n"),
            ("crates/wgrad-nn/src/loss.rs", "1\n"),
            ("shaders/add.wgsl", "1\n2\n3\n4\n"),
            ("README.md", "not code\n"),
        ]);
        assert_eq!(line_budget(&tree), "tidy: 7 lines of Rust and WGSL (shaders 4, wgrad-nn 3)");
    }
}

//! Dead paths: files and folders of the repository that a document names in backticks must exist.
//!
//! Works on lines: code blocks are skipped, and `<family>`, `*` and `{a,b}` in a path stand for several.

use super::{File, Problem};

/// Folders of the repository at the beginning of a path.
const ROOTS: [&str; 8] =
    ["crates/", "shaders/", "xtask/", "tests/", "benches/", "examples/", "docs/", ".ci/"];
/// Extensions of sources, named by the end of their path too.
const SOURCES: [&str; 4] = [".rs", ".wgsl", ".py", ".mjs"];

/// Dead paths in the documents of `tree`, compared with the `names` of all files.
pub(super) fn check(tree: &[File], names: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.iter().filter(|file| file.extension() == "md") {
        let mut fenced = false;
        for (i, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                let spans = line.split('`').skip(1).step_by(2);
                let dead = spans.flat_map(expanded).filter(|path| is_path(path) && !exists(path, names));
                problems.extend(
                    dead.map(|path| Problem::on_line(&file.path, i + 1, format!("`{path}` does not exist"))),
                );
            }
        }
    }
    problems
}

/// The span with the alternatives of its first `{a,b}`, in turn.
fn expanded(span: &str) -> Vec<String> {
    let Some((before, rest)) = span.split_once('{') else { return vec![span.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![span.to_owned()] };
    choices.split(',').flat_map(|choice| expanded(&format!("{before}{}{after}", choice.trim()))).collect()
}

/// True for a path of the repository: under one of its folders, or a source file.
fn is_path(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/<>*".contains(c);
    let source = SOURCES.iter().any(|ext| span.len() > ext.len() && span.ends_with(ext));
    span.chars().all(plain) && (source || ROOTS.iter().any(|root| span.starts_with(root)))
}

/// True if the path is a file or folder, or the end of a source file's path.
fn exists(path: &str, names: &[String]) -> bool {
    let wanted: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let alike = |name: &[&str]| name.iter().zip(&wanted).all(|(name, wanted)| matches(name, wanted));
    names.iter().any(|name| {
        let name: Vec<&str> = name.split('/').collect();
        let Some(spare) = name.len().checked_sub(wanted.len()) else { return false };
        alike(&name) || alike(&name[spare..])
    })
}

/// True if a name fits a pattern with at most one `*` or `<word>`.
fn matches(name: &str, pattern: &str) -> bool {
    let wild = pattern.split_once('*').or_else(|| {
        let (before, rest) = pattern.split_once('<')?;
        Some((before, rest.split_once('>')?.1))
    });
    match wild {
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    fn dead(text: &str) -> Vec<String> {
        let names = ["crates/a/src/ops/conv.rs", "crates/a/src/ops/pool.rs", "docs/proof.md", "xtask/run.py"];
        let names: Vec<String> = names.map(str::to_owned).to_vec();
        check(&tree(&[("README.md", text)]), &names).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn paths_of_files_and_folders_pass() {
        let good = "`crates/a/src/ops/conv.rs`, `ops/pool.rs`, `crates/a/src/`, `docs/proof.md`, `run.py`\n\
                    `crates/a/src/ops/<family>.rs`, `ops/{conv,pool}.rs`, `crates/*/src`\n\
                    `a.b()`, `folder:./photos`, `runs/best`, `model.json`, `x * 2.rs y`, crates/none\n\
                    ```\n`crates/none/lib.rs`\n```\n";
        assert_eq!(dead(good), [""; 0]);
    }

    #[test]
    fn paths_missing_in_the_tree_are_reported() {
        for bad in
            ["crates/b/lib.rs", "chunk.rs", "docs/", "docs/none.md", "ops/lost.rs", "crates/<name>/lib.rs"]
        {
            let found = dead(&format!("one\nsee `{bad}`\n"));
            let wanted =
                if bad == "docs/" { vec![] } else { vec![format!("README.md:2: `{bad}` does not exist")] };
            assert_eq!(found, wanted);
        }
        assert_eq!(dead("`ops/{conv,lost}.rs`"), ["README.md:1: `ops/lost.rs` does not exist"]);
    }
}

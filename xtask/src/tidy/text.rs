//! Format of each text by itself: size, header, white space, no leftovers.
//!
//! Works on lines, not on syntax: whole-line comments are skipped in checks of code, nothing cleverer.

use super::{File, Problem};

/// No file of code is longer.
const MAX_LINES: usize = 500;

/// Macros for unfinished work. (Spelled in two parts, since this file is checked too.)
const LEFTOVERS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Macros that write to the terminal, and the folders allowed to use them.
const PRINTS: [&str; 4] = ["println", "eprintln", "print", "eprint"];
const PRINTERS: [&str; 5] = ["crates/wgrad-cli/", "crates/wgrad-audit/", "xtask/", "examples/", "benches/"];

/// The folder beside the checkout, missing in a clone.
const OUTSIDE: &str = concat!("../", "shared");

/// Everything wrong with one file.
pub(super) fn check(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    let is_rust = file.extension() == "rs";
    let is_code = is_rust || file.extension() == "wgsl";
    let may_print =
        PRINTERS.iter().any(|folder| file.path.starts_with(folder)) || file.path.ends_with("build.rs");

    let n_lines = file.text.lines().count();
    if is_code && n_lines > MAX_LINES {
        problems
            .push(Problem::in_file(&file.path, format!("{n_lines} lines, at most {MAX_LINES} are allowed")));
    }
    if is_rust && !file.text.starts_with("//!") {
        problems.push(Problem::in_file(&file.path, "does not start with `//!`"));
    }
    if is_code && !is_rust && !file.text.starts_with("//") {
        problems.push(Problem::in_file(&file.path, "does not start with `//`"));
    }
    for (i, line) in file.text.split('\n').enumerate() {
        let mut report = |what: String| problems.push(Problem::on_line(&file.path, i + 1, what));
        if is_code && line.ends_with([' ', '\t', '\r']) {
            report("trailing white space".to_owned());
        }
        if line.contains(OUTSIDE) {
            report(format!("names {OUTSIDE}, which is not part of the repository"));
        }
        if is_rust && !line.trim_start().starts_with("//") {
            for name in LEFTOVERS {
                if calls(line, name) {
                    report(format!("`{name}!` is left over"));
                }
            }
            for name in PRINTS {
                if !may_print && calls(line, name) {
                    report(format!("`{name}!` outside of the command line"));
                }
            }
        }
    }
    problems
}

/// Does the line call the macro of exactly this name?
fn calls(line: &str, name: &str) -> bool {
    let call = format!("{name}!(");
    line.match_indices(&call).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Problems of one file, one line each.
    fn problems_of(path: &str, text: &str) -> Vec<String> {
        check(&File { path: path.to_owned(), text: text.to_owned() }).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn text_clean_file_passes() {
        let none: [&str; 0] = [];
        assert_eq!(problems_of("crates/wgrad-nn/src/lib.rs", "//! Layers.\n\nfn f() {}\n"), none);
        assert_eq!(problems_of("shaders/add.wgsl", "// Adds.\n"), none);
        assert_eq!(problems_of("README.md", "Two blanks  \nbreak a line in Markdown.\n"), none);
    }

    #[test]
    fn text_longer_than_500_lines_is_reported() {
        let full = format!("//! Long.\n{}", "x\n".repeat(MAX_LINES - 1));
        assert!(problems_of("tests/src/lib.rs", &full).is_empty());
        assert_eq!(
            problems_of("tests/src/lib.rs", &(full.clone() + "x")),
            ["tests/src/lib.rs: 501 lines, at most 500 are allowed"]
        );
        assert_eq!(problems_of("shaders/a.wgsl", &(full.clone() + "x")).len(), 1);
        assert!(problems_of("README.md", &(full + "x")).is_empty());
    }

    #[test]
    fn text_missing_header_is_reported() {
        assert_eq!(problems_of("xtask/src/a.rs", "// A.\n"), ["xtask/src/a.rs: does not start with `//!`"]);
        assert_eq!(
            problems_of("shaders/a.wgsl", "fn f() {}\n"),
            ["shaders/a.wgsl: does not start with `//`"]
        );
        assert_eq!(problems_of("xtask/src/a.rs", "").len(), 1);
    }

    #[test]
    fn text_trailing_white_space_is_reported() {
        assert_eq!(problems_of("shaders/a.wgsl", "// A.\nx \n"), ["shaders/a.wgsl:2: trailing white space"]);
        assert_eq!(problems_of("xtask/src/a.rs", "//! A.\nx\t\n").len(), 1);
        assert_eq!(problems_of("xtask/src/a.rs", "//! A.\r\nx\n").len(), 1);
        assert_eq!(problems_of("xtask/src/a.rs", "//! A.\n ").len(), 1);
    }

    #[test]
    fn text_leftovers_are_reported_outside_comments() {
        for name in LEFTOVERS {
            let found = problems_of("xtask/src/a.rs", &format!("//! A.\n    {name}!(1);\n"));
            assert_eq!(found, [format!("xtask/src/a.rs:2: `{name}!` is left over")]);
            assert!(
                problems_of("xtask/src/a.rs", &format!("//! A.\n// {name}!(1);\nmy_{name}!(1);\n"))
                    .is_empty()
            );
        }
    }

    #[test]
    fn text_printing_is_reported_outside_command_line() {
        for name in PRINTS {
            let text = format!("//! A.\nfn f() {{ {name}!(\"x\") }}\n");
            for path in
                ["crates/wgrad-nn/src/lib.rs", "tests/src/lib.rs", "shaders/lib.rs", "crates/wgrad/src/a.rs"]
            {
                assert_eq!(
                    problems_of(path, &text),
                    [format!("{path}:2: `{name}!` outside of the command line")]
                );
            }
            for path in
                ["crates/wgrad-cli/src/main.rs", "examples/xor.rs", "benches/src/a.rs", "shaders/build.rs"]
            {
                assert!(problems_of(path, &text).is_empty(), "{path}");
            }
            assert!(
                problems_of("crates/wgrad/src/lib.rs", &format!("//! ```\n//! {name}!(\"x\");\n//! ```\n"))
                    .is_empty()
            );
        }
    }

    #[test]
    fn text_reference_to_outside_folder_is_reported() {
        for path in ["README.md", "tests/Cargo.toml", "tests/golden/make.py"] {
            assert_eq!(problems_of(path, &format!("see {OUTSIDE}/golden\n")).len(), 1, "{path}");
        }
    }
}

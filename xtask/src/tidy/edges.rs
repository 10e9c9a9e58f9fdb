//! Allowed dependencies between crates: data flows one way, and one crate alone knows wgpu.
//!
//! Reads manifests line by line, as far as dependencies are concerned; it is no TOML parser.

use super::{File, Problem};

const TYPES: &str = "wgrad-types";
const GRAPH: &str = "wgrad-graph";
const SHADERS: &str = "wgrad-shaders";
const KERNELS: &str = "wgrad-kernels";
const PLAN: &str = "wgrad-plan";
const DEVICE: &str = "wgrad-device";
const DOCTOR: &str = "wgrad-doctor";
const SESSION: &str = "wgrad-session";
const BENCH: &str = "wgrad-bench";
const NN: &str = "wgrad-nn";
const DATA: &str = "wgrad-data";
const MODELS: &str = "wgrad-models";
const TRAIN: &str = "wgrad-train";
const FACADE: &str = "wgrad";
const CLI: &str = "wgrad-cli";
const TESTS: &str = "wgrad-tests";
const AUDIT: &str = "wgrad-audit";

/// Allowed dependencies of each crate's code on our crates. Tests may use more, through dev-dependencies.
const EDGES: [(&str, &[&str]); 15] = [
    (TYPES, &[]),
    (GRAPH, &[TYPES]),
    (SHADERS, &[]),
    (KERNELS, &[TYPES, GRAPH, SHADERS]),
    (PLAN, &[TYPES, GRAPH, KERNELS]),
    (DEVICE, &[TYPES, KERNELS, PLAN]),
    (DOCTOR, &[TYPES, GRAPH, KERNELS, PLAN, DEVICE]),
    (NN, &[TYPES, GRAPH]),
    (SESSION, &[TYPES, GRAPH, KERNELS, PLAN, DEVICE, NN]),
    (DATA, &[TYPES]),
    (MODELS, &[TYPES, GRAPH, NN]),
    (TRAIN, &[TYPES, GRAPH, NN, DATA, MODELS, SESSION, PLAN, DEVICE]),
    (FACADE, &[TYPES, GRAPH, SHADERS, KERNELS, PLAN, DEVICE, DOCTOR, SESSION, NN, DATA, MODELS, TRAIN]),
    (BENCH, &[TYPES, GRAPH, KERNELS, PLAN, DEVICE, SESSION]),
    (CLI, &[TYPES, GRAPH, PLAN, DEVICE, DOCTOR, BENCH, SESSION, NN, DATA, MODELS, TRAIN, FACADE]),
];

/// The crates at the end of the flow, allowed to use any.
const FREE: [&str; 5] = [TESTS, AUDIT, "wgrad-benches", "wgrad-examples", "xtask"];

/// A dependency as a manifest states it.
#[derive(Debug, PartialEq)]
struct Dependency {
    line: usize,
    package: String,
    /// From `[dev-dependencies]`: only tests use it.
    dev: bool,
}

/// Every edge missing in the tables, in all manifests of the tree but the workspace's own.
pub(super) fn check(tree: &[File]) -> Vec<Problem> {
    tree.iter().filter(|file| file.path.ends_with("/Cargo.toml")).flat_map(check_manifest).collect()
}

fn check_manifest(file: &File) -> Vec<Problem> {
    if file.text.lines().any(|line| line.trim() == "[workspace]") {
        // A workspace of its own: a peer's program for comparison, sharing nothing with ours.
        return Vec::new();
    }
    let (name, dependencies) = read_manifest(&file.text);
    let allowed = EDGES.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
    if allowed.is_none() && !FREE.contains(&name.as_str()) {
        return vec![Problem::in_file(
            &file.path,
            format!("crate `{name}` has no row in xtask/src/tidy/edges.rs"),
        )];
    }
    let mut problems = Vec::new();
    for Dependency { line, package, dev } in dependencies {
        let ours = package == FACADE || package.starts_with("wgrad-");
        if let Some(allowed) = allowed
            && ours
            && !dev
            && !allowed.contains(&package.as_str())
        {
            problems.push(Problem::on_line(
                &file.path,
                line,
                format!("`{name}` may not depend on `{package}`"),
            ));
        }
        // Tests translate shaders, and so does the audit.
        let tests_shaders = [TESTS, AUDIT].contains(&name.as_str()) && package == "naga";
        if knows_wgpu(&package) && name != DEVICE && !tests_shaders {
            let what = format!("only `{DEVICE}` may depend on `{package}`");
            problems.push(Problem::on_line(&file.path, line, what));
        }
    }
    problems
}

/// wgpu and the crates it is made of.
fn knows_wgpu(package: &str) -> bool {
    package == "wgpu" || package.starts_with("wgpu-") || package == "naga"
}

/// A manifest's package name and dependencies, in every form accepted by cargo: `a = …`, `a.workspace =
/// true`, `[dependencies.a]`, the sections of targets, and renamed packages.
fn read_manifest(text: &str) -> (String, Vec<Dependency>) {
    let mut name = String::new();
    let mut dependencies: Vec<Dependency> = Vec::new();
    let mut section = String::new();
    // Inside `[dependencies.a]`: `a`'s index, which a `package` key renames.
    let mut own_section = None;
    for (i, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = header.trim().to_owned();
            own_section = None;
            if let Some((dev, Some(key))) = dependency_section(&section) {
                own_section = Some(dependencies.len());
                dependencies.push(Dependency { line: i + 1, package: unquoted(key).to_owned(), dev });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if section == "package" && key == "name" {
            name = unquoted(value).to_owned();
        }
        if let Some(at) = own_section {
            if key == "package" {
                dependencies[at].package = unquoted(value).to_owned();
            }
        } else if let Some((dev, None)) = dependency_section(&section) {
            let key = key.split('.').next().unwrap_or(key);
            let package = renamed(value).unwrap_or_else(|| unquoted(key));
            dependencies.push(Dependency { line: i + 1, package: package.to_owned(), dev });
        }
    }
    (name, dependencies)
}

/// For a section of dependencies: whether only tests use them, and the one key it is about, if it is.
fn dependency_section(section: &str) -> Option<(bool, Option<&str>)> {
    // `target.'cfg(unix)'.dependencies`: the condition may hold dots, so the kind is looked for from the right.
    for (kind, dev) in [("dev-dependencies", true), ("build-dependencies", false), ("dependencies", false)] {
        let start = match section.strip_prefix(kind) {
            Some(rest) => Some(rest),
            None if section.starts_with("target.") => {
                section.rsplit_once(&format!(".{kind}")).map(|(_, rest)| rest)
            }
            None => None,
        };
        match start {
            Some("") => return Some((dev, None)),
            Some(rest) if rest.starts_with('.') => return Some((dev, Some(&rest[1..]))),
            _ => {}
        }
    }
    None
}

/// The real name in `{ package = "name", … }`.
fn renamed(value: &str) -> Option<&str> {
    let table = value.strip_prefix('{')?.trim_end_matches('}');
    let fields = table.split(',').filter_map(|field| field.split_once('='));
    fields.filter(|(key, _)| key.trim() == "package").map(|(_, name)| unquoted(name.trim())).next()
}

fn unquoted(value: &str) -> &str {
    value.trim().trim_matches(['"', '\''])
}

/// The line up to a `#` outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return &line[..at],
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    /// Problems of one manifest: a crate's name and the text of its dependencies.
    fn problems_of(name: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\" # the crate\n\n{dependencies}");
        check(&tree(&[("crates/x/Cargo.toml", &text)])).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn edges_in_table_are_allowed_and_no_other() {
        let names: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
        for (from, allowed) in EDGES {
            for to in &names {
                let found = problems_of(from, &format!("[dependencies]\n{to}.workspace = true\n"));
                assert_eq!(found.is_empty(), allowed.contains(to), "{from} -> {to}: {found:?}");
            }
        }
    }

    #[test]
    fn edges_table_flows_one_way() {
        // Every crate's row comes after those of the crates it may use.
        let place = |name: &str| EDGES.iter().position(|(row, _)| *row == name).expect("each name has a row");
        for (from, allowed) in EDGES {
            assert!(allowed.iter().all(|to| place(to) < place(from)), "{from}");
        }
    }

    #[test]
    fn edges_separate_workspace_is_ignored() {
        assert_eq!(problems_of("burn-peer", "[dependencies]\nwgpu = \"30\"\n").len(), 1);
        assert!(problems_of("burn-peer", "[workspace]\n\n[dependencies]\nwgpu = \"30\"\n").is_empty());
    }

    #[test]
    fn edges_message_names_crates_and_line() {
        assert_eq!(
            problems_of(
                PLAN,
                "[dependencies]\nwgrad-types.workspace = true\nwgrad-device.workspace = true\n"
            ),
            ["crates/x/Cargo.toml:6: `wgrad-plan` may not depend on `wgrad-device`"]
        );
    }

    #[test]
    fn edges_every_spelling_is_found() {
        for spelling in [
            "[dependencies]\nwgrad-device = { path = \"../wgrad-device\" }\n",
            "[dependencies]\n\"wgrad-device\" = \"1\"\n",
            "[dependencies]\ndevice = { version = \"1\", package = \"wgrad-device\" }\n",
            "[dependencies.wgrad-device]\nworkspace = true\n",
            "[dependencies.device]\nworkspace = true\npackage = \"wgrad-device\"\n",
            "[build-dependencies]\nwgrad-device.workspace = true\n",
            "[target.'cfg(unix)'.dependencies]\nwgrad-device.workspace = true\n",
            "[target.'cfg(any(unix, feature = \"a.b\"))'.dependencies.wgrad-device]\nworkspace = true\n",
        ] {
            assert_eq!(problems_of(NN, spelling).len(), 1, "{spelling}");
        }
    }

    #[test]
    fn edges_other_entries_are_ignored() {
        for other in [
            "[dev-dependencies]\nwgrad-device.workspace = true\n",
            "[dependencies]\n# wgrad-device.workspace = true\nserde.workspace = true\n",
            "[features]\nwgrad-device = []\n",
            "[package.metadata]\nwgrad-device = 1\n",
        ] {
            assert!(problems_of(NN, other).is_empty(), "{other}");
        }
        let root = "[workspace.dependencies]\nwgpu = \"30\"\n";
        assert!(check(&tree(&[("Cargo.toml", root)])).is_empty());
    }

    #[test]
    fn edges_only_device_may_use_wgpu() {
        let wgpu = "[dependencies]\nwgpu.workspace = true\n";
        let naga = "[dev-dependencies]\nnaga.workspace = true\n";
        assert!(problems_of(DEVICE, wgpu).is_empty());
        assert!(problems_of(TESTS, naga).is_empty() && problems_of(AUDIT, naga).is_empty());
        for name in [SESSION, TESTS, AUDIT, FACADE, CLI, "wgrad-examples", "xtask"] {
            assert_eq!(problems_of(name, wgpu).len(), 1, "{name}");
        }
        for name in [SHADERS, KERNELS, "wgrad-benches"] {
            assert_eq!(problems_of(name, naga).len(), 1, "{name}");
        }
        assert_eq!(problems_of(KERNELS, "[dependencies]\nwgpu-types = \"30\"\n").len(), 1);
    }

    #[test]
    fn edges_unknown_crate_is_reported() {
        assert_eq!(problems_of("wgrad-extra", "").len(), 1);
        assert!(problems_of("wgrad-benches", "[dependencies]\nwgrad-kernels.workspace = true\n").is_empty());
    }
}

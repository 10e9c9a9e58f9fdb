//! Circles between the files of a crate: files that use one another's items cannot be read, tested or moved alone.
//!
//! A file uses another if an import or a path in its code leads, through re-exports, to an item defined there. `mod`
//! declarations and re-exports are no use, nor is the use of a folder's own file (`mod.rs`, `lib.rs`) by the files below
//! it: it is their common ground. Calls of methods are not seen.

mod source;

use super::{File, Problem};
use source::{Import, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Uses left out, each with its reason: files under the first path use the second.
const HONEST: [(&str, &str, &str); 1] = [(
    "crates/wgrad-graph/src/ops/",
    "crates/wgrad-graph/src/tensor/mod.rs",
    "an operation's gradient is written as tensor code, and tensors make operations",
)];

/// Most steps from a name to its item: imports of imports.
const MOST_STEPS: usize = 16;

/// Path of a module: names below the crate.
type Module = Vec<String>;

/// Circles of every crate in the tree, and reasons that excuse nothing.
pub(super) fn check(tree: &[File]) -> Vec<Problem> {
    let mut problems = check_excused(tree, &HONEST);
    if tree.iter().any(|file| file.path == "xtask/src/tidy/circles/mod.rs") {
        problems.extend(HONEST.iter().filter(|honest| !is_needed(tree, honest)).map(|(from, to, _)| {
            let what = format!("the circle of {from} and {to} is gone: take it off the list");
            Problem::in_file("xtask/src/tidy/circles/mod.rs", what)
        }));
    }
    problems
}

/// True if there is a circle without this excuse.
fn is_needed(tree: &[File], honest: &(&str, &str, &str)) -> bool {
    let others: Vec<_> = HONEST.iter().filter(|other| *other != honest).copied().collect();
    !check_excused(tree, &others).is_empty()
}

fn check_excused(tree: &[File], honest: &[(&str, &str, &str)]) -> Vec<Problem> {
    let crates: BTreeSet<&str> =
        tree.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml")).collect();
    let sources = crates.into_iter().flat_map(|name| {
        let root = format!("{name}/src/");
        Crate::new(tree, &root).circles(honest)
    });
    sources.collect()
}

/// Files of a crate, by module.
struct Crate<'t> {
    files: BTreeMap<Module, (&'t str, Source)>,
}

impl<'t> Crate<'t> {
    fn new(tree: &'t [File], root: &str) -> Self {
        let module = |path: &str| -> Option<Module> {
            let inner = path.strip_prefix(root)?.strip_suffix(".rs")?;
            let mut names: Module = inner.split('/').map(str::to_owned).collect();
            let door = names.last().is_some_and(|last| last == "mod");
            let top = names.len() == 1 && ["lib", "main"].contains(&names[0].as_str());
            names.pop_if(|_| door || top);
            Some(names)
        };
        let files = tree
            .iter()
            .filter_map(|file| Some((module(&file.path)?, (file.path.as_str(), Source::new(&file.text)))));
        Self { files: files.collect() }
    }

    fn source(&self, module: &[String]) -> Option<&Source> {
        self.files.get(module).map(|file| &file.1)
    }

    /// Module of a path's beginning, and its rest; `None` for names from outside.
    fn start<'p>(&self, here: &[String], path: &'p [String], depth: usize) -> Option<(Module, &'p [String])> {
        let child = |name: &String| [here, std::slice::from_ref(name)].concat();
        match path.first()?.as_str() {
            "crate" => Some((Vec::new(), &path[1..])),
            "super" | "self" => {
                let (mut module, mut rest, mut depth) = (here.to_vec(), path, depth);
                while let Some(first) = rest.first().filter(|name| ["super", "self"].contains(&name.as_str()))
                {
                    match (first == "super", depth) {
                        (true, 0) => drop(module.pop()),
                        (true, _) => depth -= 1,
                        (false, _) => {}
                    }
                    rest = &rest[1..];
                }
                Some((module, rest))
            }
            _ if self.files.contains_key(&child(&path[0])) => Some((here.to_vec(), path)),
            _ => None,
        }
    }

    /// Module with the item at the end of a path seen from `here`; `None` for a module itself and for items from outside.
    fn resolve(&self, here: &[String], path: &[String], depth: usize, steps: usize) -> Option<Module> {
        if steps == 0 {
            return None;
        }
        if let Some((module, rest)) = self.start(here, path, depth) {
            return self.walk(module, rest, steps);
        }
        // A name from an import of this file.
        let import = self.source(here)?.imports.iter().find(|import| import.name == path[0])?;
        if import.path.first() == path.first() && import.path.len() == 1 {
            return None;
        }
        self.imported(here, import, &path[1..], steps)
    }

    fn imported(&self, here: &[String], import: &Import, rest: &[String], steps: usize) -> Option<Module> {
        self.resolve(here, &[&import.path[..], rest].concat(), import.depth, steps - 1)
    }

    fn walk(&self, mut module: Module, mut path: &[String], steps: usize) -> Option<Module> {
        loop {
            let (name, rest) = path.split_first()?;
            module.push(name.clone());
            if self.files.contains_key(&module) {
                path = rest;
                continue;
            }
            module.pop();
            let source = self.source(&module)?;
            if source.items.contains(name) {
                return Some(module);
            }
            if let Some(import) = source.imports.iter().find(|import| import.name == *name) {
                return self.imported(&module, import, rest, steps);
            }
            let all = source.imports.iter().filter(|import| import.name == "*");
            return all.filter_map(|import| self.imported(&module, import, path, steps)).next();
        }
    }

    /// Modules whose items a module uses.
    fn uses(&self, module: &Module, source: &Source) -> BTreeSet<Module> {
        let imports = source.imports.iter();
        let own = imports.filter(|import| !import.public || source.names.contains(&import.name));
        let imported = own.filter_map(|import| match import.name.as_str() {
            // All names of a module: of its file.
            "*" => {
                let (mut used, rest) = self.start(module, &import.path, import.depth)?;
                used.extend_from_slice(rest);
                self.files.contains_key(&used).then_some(used)
            }
            _ => self.resolve(module, &import.path, import.depth, MOST_STEPS),
        });
        let paths =
            source.paths.iter().filter_map(|(path, depth)| self.resolve(module, path, *depth, MOST_STEPS));
        imported.chain(paths).filter(|used| !module.starts_with(used)).collect()
    }

    fn circles(&self, honest: &[(&str, &str, &str)]) -> Vec<Problem> {
        let excused = |from: &str, to: &str| honest.iter().any(|h| from.starts_with(h.0) && to == h.1);
        let path = |module: &Module| self.files[module].0;
        let used = |(module, (own, source)): (&Module, &(&'t str, Source))| {
            let uses = self.uses(module, source).iter().map(path).filter(|to| !excused(own, to)).collect();
            (*own, uses)
        };
        let edges: BTreeMap<&str, BTreeSet<&str>> = self.files.iter().map(used).collect();
        components(&edges)
            .into_iter()
            .map(|circle| {
                let names = circle.iter().copied().collect::<Vec<_>>().join(", ");
                let first = circle.first().expect("a circle has files");
                let what = format!(
                    "{} files use one another: {names}; move what they share to a file of its own",
                    circle.len()
                );
                Problem::in_file(first, what)
            })
            .collect()
    }
}

/// Groups of files that reach one another, of two files or more.
fn components<'t>(edges: &BTreeMap<&'t str, BTreeSet<&'t str>>) -> Vec<BTreeSet<&'t str>> {
    let reached = |from: &'t str| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(file) = waiting.pop() {
            waiting.extend(edges.get(file).into_iter().flatten().copied().filter(|to| seen.insert(*to)));
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reached(file))).collect();
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for (file, to) in &reach {
        let circle: BTreeSet<&str> = to.iter().copied().filter(|other| reach[other].contains(file)).collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(&str, &str)> = [("crates/a/Cargo.toml", "")].iter().chain(files).copied().collect();
        check_excused(&tree(&files), &[]).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn circle_of_two_files_is_found() {
        let found = told(&[
            ("crates/a/src/lib.rs", "mod x;\nmod y;\nmod z;\n"),
            ("crates/a/src/x.rs", "use crate::y::Y;\npub struct X;\n"),
            ("crates/a/src/y.rs", "pub struct Y;\nfn f() { super::x::X; }\n"),
            ("crates/a/src/z.rs", "use crate::{x::X, y::Y};\n"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("2 files use one another: crates/a/src/x.rs, crates/a/src/y.rs"),
            "{found:?}"
        );
    }

    #[test]
    fn circle_through_re_exports_and_imported_modules_is_found() {
        let found = told(&[
            ("crates/a/src/lib.rs", "mod x;\nmod y;\npub use x::X;\npub use y::*;\n"),
            ("crates/a/src/x.rs", "use crate::y;\npub struct X;\nfn f() { y::make() }\n"),
            ("crates/a/src/y/mod.rs", "mod deep;\npub use deep::make;\n"),
            ("crates/a/src/y/deep.rs", "pub fn make() -> crate::X {}\n"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("crates/a/src/x.rs, crates/a/src/y/deep.rs"), "{found:?}");
    }

    #[test]
    fn declarations_tests_and_common_ground_are_no_circle() {
        let found = told(&[
            ("crates/a/src/lib.rs", "mod x;\nmod y;\npub use x::X;\npub struct Top;\nfn f() { x::g(); }\n"),
            ("crates/a/src/x.rs", "use crate::{Top, y::Y};\npub struct X;\npub fn g() {}\n"),
            ("crates/a/src/y.rs", "pub struct Y;\n#[cfg(test)]\nmod tests {\n    use crate::x::X;\n}\n"),
            ("crates/b/src/lib.rs", "use a::X;\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn excuse_holds_for_its_files_only() {
        let files = tree(&[
            ("crates/a/Cargo.toml", ""),
            ("crates/a/src/lib.rs", "mod x;\nmod y;\n"),
            ("crates/a/src/x.rs", "use crate::y::Y;\npub struct X;\n"),
            ("crates/a/src/y.rs", "use crate::x::X;\npub struct Y;\n"),
        ]);
        let excuse = ("crates/a/src/x", "crates/a/src/y.rs", "for the test");
        assert!(check_excused(&files, &[excuse]).is_empty());
        let other = ("crates/b/", "crates/a/src/y.rs", "for the test");
        assert_eq!(check_excused(&files, &[other]).len(), 1);
    }
}

//! Names in a kernel's text by their value per invocation: unique, dependent or changing; read line by line.

use std::collections::{BTreeMap, BTreeSet};

/// Functions and operators able to map different numbers to the same one.
const MERGING: [&str; 10] = ["/", "%", ">>", "&", "|", "min(", "max(", "clamp(", "select(", "=="];

/// Names by their dependence on the invocation.
#[derive(Default)]
pub(crate) struct Owners<'a> {
    /// Names with a unique value in every invocation of a workgroup.
    own: BTreeSet<&'a str>,
    /// Computed of such, by whatever.
    dependent: BTreeSet<&'a str>,
    /// Not constant over their scope: assigned variables, and names computed from them.
    changing: BTreeSet<&'a str>,
}

/// Words of a text with their first byte, without components and fields (`.x`).
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    let all = std::iter::from_fn(move || {
        let from = at + text[at..].find(part)?;
        at = from + text[from..].find(|c| !part(c)).unwrap_or(text.len() - from);
        Some((from, &text[from..at]))
    });
    all.filter(move |w| !text[..w.0].ends_with('.'))
}

impl<'a> Owners<'a> {
    pub(crate) fn of(lines: &[&'a str]) -> Self {
        let mut owners = Self::default();
        // Written-out loops repeat their definitions: each counts once.
        let mut definitions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in lines {
            for (builtin, name) in builtins(line) {
                // A component of a vector is shared by several invocations.
                if builtin == "local_invocation_index" {
                    owners.own.insert(name);
                }
                if builtin.contains("invocation") {
                    owners.dependent.insert(name);
                }
            }
            for statement in line.trim().trim_start_matches("for (").split(';') {
                let Some((name, value, fresh)) = assignment(statement) else { continue };
                if !fresh {
                    owners.changing.insert(name);
                }
                definitions.entry(name).or_default().insert(value);
            }
        }
        for (parameter, arguments) in arguments(lines) {
            definitions.entry(parameter).or_default().extend(arguments);
        }
        loop {
            let before = (owners.own.len(), owners.dependent.len(), owners.changing.len());
            for (&name, values) in &definitions {
                if values.iter().any(|v| owners.depends(v)) {
                    owners.dependent.insert(name);
                }
                if values.iter().any(|v| words(v).any(|w| owners.changing.contains(w.1))) {
                    owners.changing.insert(name);
                }
                if values.iter().all(|v| owners.is_own(v)) && !owners.changing.contains(name) {
                    owners.own.insert(name);
                }
            }
            if before == (owners.own.len(), owners.dependent.len(), owners.changing.len()) {
                return owners;
            }
        }
    }

    /// True if this index is unique per invocation and constant: exactly one name in it depends on the
    /// invocation, in sums and products with names equal for all. A changing name may count rounds (`t * 64u
    /// + li`).
    pub(crate) fn is_own(&self, index: &str) -> bool {
        let all: Vec<(usize, &str)> = words(index).collect();
        let still = |i: usize| {
            let (at, word) = all[i];
            let times = |text: &str, ahead: bool| match ahead {
                true => text.trim_start().starts_with('*'),
                false => text.trim_end().ends_with('*'),
            };
            let neighbours = [
                (times(&index[at + word.len()..], true), all.get(i + 1)),
                (times(&index[..at], false), i.checked_sub(1).and_then(|i| all.get(i))),
            ];
            let factors: Vec<&str> = neighbours.iter().filter(|n| n.0).filter_map(|n| Some(n.1?.1)).collect();
            let counts_rounds = !factors.is_empty() && factors.iter().all(|f| !self.dependent.contains(f));
            counts_rounds || !self.changing.contains(word)
        };
        let telling: Vec<&str> = all.iter().map(|w| w.1).filter(|w| self.dependent.contains(w)).collect();
        matches!(telling[..], [one] if self.own.contains(one))
            && (0..all.len()).all(still)
            && !MERGING.iter().any(|m| index.contains(m))
    }

    /// True if it depends on the invocation.
    pub(crate) fn depends(&self, index: &str) -> bool {
        words(index).any(|w| self.dependent.contains(w.1))
    }

    /// True if a single invocation takes this branch: a unique name equals a number common to all.
    pub(crate) fn is_single(&self, branch: &str) -> bool {
        let condition = branch.split('{').next().unwrap_or_default();
        let single = |clause: &str| {
            let sides = clause.split_once("==");
            sides.is_some_and(|(a, b)| {
                self.is_own(a) && !self.depends(b) || self.is_own(b) && !self.depends(a)
            })
        };
        !condition.contains("||") && condition.split("&&").any(single)
    }
}

/// Built-in values of an entry point, with their names.
fn builtins(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split("@builtin(").skip(1).filter_map(|text| {
        let (builtin, rest) = text.split_once(')')?;
        Some((builtin, rest.split(':').next()?.trim()))
    })
}

/// Name and value of an assignment, and whether the name is new.
fn assignment(statement: &str) -> Option<(&str, &str, bool)> {
    let statement = statement.trim().trim_start_matches("} ").trim_start_matches("{ ");
    let (target, value) = statement.split_once('=')?;
    if value.starts_with('=')
        || target.ends_with(['<', '>', '!']) && !target.ends_with("<<") && !target.ends_with(">>")
    {
        return None;
    }
    let fresh = target.starts_with("let ") || target.starts_with("var ");
    let name = words(target).map(|w| w.1).find(|w| !["let", "var"].contains(w))?;
    let plain = fresh
        || target.trim().trim_end_matches(['+', '-', '*', '/', '%', '|', '&', '^', '<', '>']).trim() == name;
    plain.then_some((name, value, fresh))
}

/// Parameters of the module's functions, with the arguments of every call.
fn arguments<'a>(lines: &[&'a str]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut functions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for head in lines.iter().filter_map(|l| l.strip_prefix("fn ")) {
        let Some((name, rest)) = head.split_once('(').filter(|(name, _)| *name != "main") else { continue };
        let parameters = parts(rest).into_iter().filter_map(|p| Some(p.split_once(':')?.0.trim()));
        functions.insert(name, parameters.collect());
    }
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in lines.iter().filter(|l| !l.starts_with("fn ") && !l.trim_start().starts_with("//")) {
        for (at, name) in words(line) {
            let Some(parameters) = functions.get(name) else { continue };
            let Some(passed) = line[at + name.len()..].strip_prefix('(') else { continue };
            for (parameter, argument) in parameters.iter().zip(parts(passed)) {
                found.entry(parameter).or_default().insert(argument);
            }
        }
    }
    found
}

/// Arguments up to the closing bracket.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' if depth == 0 => {
                parts.push(text[from..i].trim());
                break;
            }
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn run(row: u32, local: u32) {\n    let k = local * 2u;\n    row_sum = row;\n}\n\
                        fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {\n    \
                        let tx = li % 8u;\n    let quad = li * 4u + 1u;\n    var i = li;\n    i += 32u;\n    \
                        for (var t = 0u; t < 4u; t += 1u) {\n    run(wg.x, min(tx, 3u) + quad);\n    }\n    run(wg.y, li);\n}\n";

    #[test]
    fn owners_follow_names_through_lines_and_calls() {
        let lines: Vec<&str> = TEXT.lines().collect();
        let owners = Owners::of(&lines);
        assert_eq!(owners.own.iter().copied().collect::<Vec<_>>(), ["li", "quad"]);
        for name in ["li", "quad", "tx", "i", "local", "k"] {
            assert!(owners.depends(name), "{name}");
        }
        assert!(!owners.depends("wg.x + row + t + wg.i"));
        assert_eq!(owners.changing.iter().copied().collect::<Vec<_>>(), ["i", "row_sum", "t"]);
    }
}

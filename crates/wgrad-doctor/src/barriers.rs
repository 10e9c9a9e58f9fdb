//! Missing barriers, found by reading the text: a store to workgroup memory and another invocation's load of
//! the same place (in either order) need a barrier between them.
//!
//! An adapter with lockstep workgroups never shows a missing barrier; this check does. It reads lines, not
//! syntax, in the form printed by the generators: loops count as run twice, branches as taken or not. A place
//! belongs to one invocation only if its index tells invocations apart (`owners.rs`); a statement's loads
//! never conflict with its own store. A place common to all may be stored by one of them alone.

use crate::owners::{Owners, words};

/// Checks a module; the error names the two accesses.
///
/// # Errors
/// If two accesses to a workgroup variable, one of them a store, have no barrier between them.
pub fn check_barriers(source: &str) -> Result<(), String> {
    let shared: Vec<&str> = source.lines().filter_map(shared_name).collect();
    if shared.is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> = source.lines().collect();
    let entry = lines.iter().position(|l| l.starts_with("fn main(")).ok_or("no entry point `main`")?;
    let owners = Owners::of(&lines);
    let functions = functions(&lines, &shared);
    let mut walk = Walk {
        lines: &lines,
        shared: &shared,
        owners: &owners,
        functions: &functions,
        since: Vec::new(),
        inside: Vec::new(),
        alone: 0,
    };
    walk.function(entry)
}

/// Name of the workgroup variable declared in a line.
fn shared_name(line: &str) -> Option<&str> {
    line.trim().strip_prefix("var<workgroup> ")?.split(':').next().map(str::trim)
}

/// Functions that touch workgroup memory, by themselves or by what they call: beginning of a call, and line of the head.
fn functions(lines: &[&str], shared: &[&str]) -> Vec<(String, usize)> {
    let heads = (0..lines.len()).filter_map(|at| {
        let name = lines[at].strip_prefix("fn ")?.split('(').next()?;
        let end = (at..lines.len()).find(|&i| lines[i] == "}")?;
        (name != "main").then(|| (format!("{name}("), at, lines[at + 1..end].join("\n")))
    });
    let all: Vec<(String, usize, String)> = heads.collect();
    let mut found: Vec<(String, usize)> = Vec::new();
    loop {
        let touches = |body: &str| {
            body.contains("workgroup")
                || shared.iter().any(|name| words(body).any(|w| w.1 == *name))
                || found.iter().any(|(call, _)| body.contains(call))
        };
        let new: Vec<(String, usize)> = all
            .iter()
            .filter(|(call, at, body)| !found.contains(&(call.clone(), *at)) && touches(body))
            .map(|(call, at, _)| (call.clone(), *at))
            .collect();
        if new.is_empty() {
            return found;
        }
        found.extend(new);
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Access<'a> {
    name: &'a str,
    place: &'a str,
    store: bool,
}

struct Walk<'a> {
    lines: &'a [&'a str],
    shared: &'a [&'a str],
    owners: &'a Owners<'a>,
    functions: &'a [(String, usize)],
    /// Accesses since the last barrier.
    since: Vec<Access<'a>>,
    /// Heads of the active functions: a name contained in another one, as `f(` in `if (`, must not recurse.
    inside: Vec<usize>,
    /// Depth of branches taken by a single invocation.
    alone: usize,
}

impl<'a> Walk<'a> {
    /// Analyses the function with this line as its head.
    fn function(&mut self, head: usize) -> Result<(), String> {
        if self.inside.contains(&head) {
            return Ok(());
        }
        let end = (head + 1..self.lines.len()).find(|&i| self.lines[i] == "}").unwrap_or(self.lines.len());
        self.inside.push(head);
        let found = self.block(head + 1, end);
        self.inside.pop();
        found
    }

    fn block(&mut self, from: usize, to: usize) -> Result<(), String> {
        let mut at = from;
        while at < to {
            let line = self.lines[at].trim();
            if line.starts_with("for ") || line.starts_with("while ") || line.starts_with("loop ") {
                let end = self.closing(at, to);
                for _ in 0..2 {
                    self.block(at + 1, end)?;
                }
                at = end + 1;
                continue;
            }
            let end = if line.starts_with("if ") { self.closing(at, to) } else { at };
            let alone = usize::from(line.starts_with("if ") && self.owners.is_single(line));
            self.alone += alone;
            self.line(line)?;
            if end > at {
                // A barrier within serves nobody who goes round it.
                let before = self.since.clone();
                self.block(at + 1, end)?;
                before.into_iter().for_each(|access| self.add(access));
            }
            self.alone -= alone;
            at = end + 1;
        }
        Ok(())
    }

    /// Remembers an access, once.
    fn add(&mut self, access: Access<'a>) {
        if !self.since.contains(&access) {
            self.since.push(access);
        }
    }

    /// The line that closes the block opened on line `at`.
    fn closing(&self, at: usize, to: usize) -> usize {
        let mut depth = 0;
        for i in at..to {
            depth +=
                self.lines[i].matches('{').count() as isize - self.lines[i].matches('}').count() as isize;
            if depth <= 0 {
                return i;
            }
        }
        to
    }

    fn line(&mut self, line: &'a str) -> Result<(), String> {
        if line.starts_with("workgroupBarrier()") || line.contains("workgroupUniformLoad(") {
            self.since.clear();
            return Ok(());
        }
        for (call, head) in self.functions {
            if line.contains(call) {
                self.function(*head)?;
            }
        }
        let (accesses, before) = (self.accesses(line), self.since.clone());
        for access in accesses {
            let own = self.owners.is_own(access.place);
            if access.store && self.alone == 0 && !self.owners.depends(access.place) {
                let place = Shown(&access);
                return Err(format!("{place} is stored by every invocation, not by one alone"));
            }
            let other = |a: &&Access<'_>| {
                a.name == access.name && a.store != access.store && (a.place != access.place || !own)
            };
            if let Some(other) = before.iter().find(other) {
                let how = |a: &Access<'_>| if a.store { "stored" } else { "loaded" };
                return Err(format!(
                    "{} is {} and {} {} with no barrier between",
                    Shown(other),
                    how(other),
                    Shown(&access),
                    how(&access),
                ));
            }
            self.add(access);
        }
        Ok(())
    }

    /// The line's accesses to workgroup memory: `name[place]`, or `name` for all of it; stores if an
    /// assignment follows.
    fn accesses(&self, line: &'a str) -> Vec<Access<'a>> {
        let mut found = Vec::new();
        for &name in self.shared {
            for (at, _) in words(line).filter(|w| w.1 == name) {
                let (mut place, mut rest) = ("", &line[at + name.len()..]);
                while let Some(tail) = rest.strip_prefix('[') {
                    let inner = &tail[..closing_bracket(tail)];
                    place = if place.is_empty() { inner } else { place };
                    rest = &tail[inner.len() + 1..];
                }
                // A swizzle is part of the same place.
                let after = match rest.strip_prefix('.') {
                    Some(part) => part.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
                    None => rest,
                };
                let after = after.trim_start();
                let assigned = after.starts_with('=') && !after.starts_with("==");
                let added =
                    after.find("= ").is_some_and(|i| (1..=2).contains(&i) && is_operator(&after[..i]));
                let changed = line[..at].ends_with('&') && !line[..at].ends_with("atomicLoad(&");
                found.push(Access { name, place, store: assigned || added || changed });
            }
        }
        found
    }
}

/// True for operators of a compound assignment, as the text before `=`.
fn is_operator(text: &str) -> bool {
    ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"].contains(&text)
}

/// An access as the text has it.
struct Shown<'a>(&'a Access<'a>);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.place {
            "" => write!(f, "{}", self.0.name),
            place => write!(f, "{}[{place}]", self.0.name),
        }
    }
}

/// Position of the bracket closing the one before `text`.
fn closing_bracket(text: &str) -> usize {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => return i,
            ']' => depth -= 1,
            _ => {}
        }
    }
    text.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(body: &str) -> String {
        format!(
            "var<workgroup> block: array<f32, 64>;\nvar<workgroup> key: array<u32, 2>;\nvar<workgroup> most: f32;\n\n\
             fn f(o: u32) {{\n}}\n\
             fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {{\n{body}}}\n"
        )
    }

    fn sound(body: &str) {
        assert_eq!(check_barriers(&kernel(body)), Ok(()), "{body}");
    }

    fn unsound(body: &str, why: &str) {
        let said = check_barriers(&kernel(body)).expect_err(body);
        assert!(said.contains(why), "{said}");
    }

    const BETWEEN: &str = "no barrier between";
    const BARRIER: &str = "    workgroupBarrier();\n";

    const TILE: &str = "    for (var k = 0u; k < 9u; k += 1u) {\n        block[li * 4u] = x0[k];\n        \
                        workgroupBarrier();\n        c += block[k];\n        workgroupBarrier();\n    }\n";

    #[test]
    fn barriers_of_a_tile_are_both_needed() {
        sound(TILE);
        let (first, last) = (TILE.find("workgroupBarrier").unwrap(), TILE.rfind("workgroupBarrier").unwrap());
        for at in [first, last] {
            unsound(&format!("{}{}", &TILE[..at], &TILE[at + "workgroupBarrier();".len()..]), BETWEEN);
        }
    }

    #[test]
    fn barriers_of_a_tree_first_is_needed() {
        let tree = "    block[li] = acc;\n    workgroupBarrier();\n    if (lane < 2u) {\n        \
                    block[li] = block[li] + block[li + 2u];\n    }\n    workgroupBarrier();\n    acc = block[li];\n";
        sound(tree);
        unsound(&tree.replacen(BARRIER, "", 1), BETWEEN);
    }

    /// One invocation stores for all: the next round's store must wait for every load.
    #[test]
    fn barriers_around_read_of_shared_slot_are_needed() {
        for slot in ["key[0u]", "key[wg.x % 2u]", "key[k]", "most", "block[li / 32u]", "block[min(li, 7u)]"] {
            let round = format!(
                "    for (var k = 0u; k < 2u; k += 1u) {{\n        if (li == 0u) {{\n            {slot} = next;\n        }}\n\
                 {BARRIER}        sum += {slot};\n{BARRIER}    }}\n"
            );
            sound(&round);
            unsound(&round.replacen(BARRIER, "", 1), BETWEEN);
            let at = round.rfind(BARRIER).unwrap();
            unsound(&format!("{}{}", &round[..at], &round[at + BARRIER.len()..]), BETWEEN);
        }
    }

    #[test]
    fn barriers_not_needed_for_own_place() {
        for place in ["li", "li * 4u + 1u", "64u * k + li", "slot", "k * 64u + slot"] {
            let body = format!(
                "    let slot = li + 7u;\n    for (var k = 0u; k < 2u; k += 1u) {{\n        block[{place}] = a;\n        \
                 a += block[{place}];\n    }}\n"
            );
            sound(&body);
        }
        for place in ["k", "li + k", "li % 8u", "li >> 2u", "half", "0u", "other"] {
            let body = format!(
                "    let half = li / 2u;\n    var other = li;\n    other = 3u;\n    \
                 for (var k = 0u; k < 2u; k += 1u) {{\n        if (li == 0u) {{\n            block[{place}] = a;\n        }}\n        \
                 a += block[{place}];\n    }}\n"
            );
            unsound(&body, BETWEEN);
        }
    }

    #[test]
    fn barriers_in_a_branch_do_not_count() {
        let body = |inner: &str| {
            format!("    block[li] = a;\n    if (li < 3u) {{\n{inner}    }}\n    a = block[0u];\n")
        };
        unsound(&body(BARRIER), BETWEEN);
        sound(&format!("    block[li] = a;\n{BARRIER}    a = block[0u];\n"));
    }

    #[test]
    fn barriers_see_shared_slot_under_another_name() {
        for slot in ["block[li - tx]", "block[li + tx]", "block[li * k]", "block[k * li]"] {
            let round = format!(
                "    let tx = li % 8u;\n    for (var k = 0u; k < 2u; k += 1u) {{\n        sum += {slot};\n        {slot} = next;\n    }}\n"
            );
            unsound(&round, BETWEEN);
        }
        sound(
            "    for (var k = 0u; k < 2u; k += 1u) {\n        block[k * 32u + li] = next;\n        sum += block[k * 32u + li];\n    }\n",
        );
    }

    #[test]
    fn barriers_branch_of_several_invocations_is_shared() {
        for branch in ["li % 8u == 0u", "li / 8u == 0u", "li == 0u || li == 1u", "li == wg.x + li"] {
            unsound(
                &format!("    if ({branch}) {{\n        key[0u] = next;\n    }}\n"),
                "stored by every invocation",
            );
        }
        sound("    if (wg.x < 3u && li == 0u) {\n        key[0u] = next;\n    }\n");
    }

    #[test]
    fn barriers_vector_component_is_shared() {
        let text = kernel("    block[id.x] = next;\n    sum += block[id.x];\n").replace(
            "@builtin(local_invocation_index) li: u32",
            "@builtin(local_invocation_id) id: vec3<u32>",
        );
        let said = check_barriers(&text).expect_err("a slot for several");
        assert!(said.contains(BETWEEN), "{said}");
    }

    #[test]
    fn barriers_shared_slot_is_stored_by_one() {
        let why = "stored by every invocation";
        unsound("    key[0u] = a;\n", why);
        unsound("    if (a < 3u) {\n        most = a;\n    }\n", why);
        sound("    if (li == 0u) {\n        most = a;\n    }\n");
        sound("    if (li == 0u) { key[0u] = a; }\n");
    }

    #[test]
    fn barriers_see_every_kind_of_store() {
        for store in ["most += a;", "most = a;", "most *= 2.0;", "atomicMax(&most, a);"] {
            unsound(&format!("    if (li == 0u) {{ {store} }}\n    a = most;\n"), BETWEEN);
        }
        unsound("    block[li].x = a;\n    a = block[li + 1u].x;\n", BETWEEN);
        unsound("    block[li][2] = a;\n    a = block[li + 1u][2];\n", BETWEEN);
        sound("    let a = block[li] == 3.0;\n    let b = block[li + 1u] <= 3.0;\n");
    }
}

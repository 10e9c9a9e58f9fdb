//! Barriers, by reading the text: between a store to workgroup memory and a load of what another invocation may have
//! stored (and the other way round) there must be one.
//!
//! An adapter that runs a workgroup in lockstep never shows a missing barrier; this does. It reads lines, not syntax,
//! as the generators write them: branches count as taken, loops as taken twice. Places named by the same text are taken
//! for the invocation's own, and a statement's loads never conflict with its own store.

/// Checks a module; the error names the two accesses.
///
/// # Errors
/// Where two accesses to a workgroup variable, one of them a store, have no barrier between them.
pub fn check_barriers(source: &str) -> Result<(), String> {
    let shared: Vec<&str> = source.lines().filter_map(shared_name).collect();
    if shared.is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> = source.lines().collect();
    let mut walk = Walk { lines: &lines, shared: &shared, since: Vec::new(), inside: Vec::new() };
    let entry = lines.iter().position(|l| l.starts_with("fn main(")).ok_or("no entry point `main`")?;
    walk.function(entry)
}

/// The variable a line declares in workgroup memory.
fn shared_name(line: &str) -> Option<&str> {
    line.trim().strip_prefix("var<workgroup> ")?.split(':').next().map(str::trim)
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
    /// Accesses since the last barrier.
    since: Vec<Access<'a>>,
    /// Heads of the functions under way: a name that is part of another one, as `f(` of `if (`, must not go round.
    inside: Vec<usize>,
}

impl<'a> Walk<'a> {
    /// Walks the function whose head is this line.
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
            self.line(line)?;
            at += 1;
        }
        Ok(())
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
        if line.starts_with("workgroupBarrier()") {
            self.since.clear();
            return Ok(());
        }
        for head in 0..self.lines.len() {
            let name = self.lines[head].strip_prefix("fn ").and_then(|l| l.split('(').next());
            if name.is_some_and(|n| n != "main" && line.contains(&format!("{n}("))) {
                self.function(head)?;
            }
        }
        let (accesses, before) = (self.accesses(line), self.since.clone());
        for access in accesses {
            let other =
                |a: &&Access<'_>| a.name == access.name && a.place != access.place && a.store != access.store;
            if let Some(other) = before.iter().find(other) {
                let how = |a: &Access<'_>| if a.store { "stored" } else { "loaded" };
                return Err(format!(
                    "{0}[{1}] is {2} and {0}[{3}] {4} with no barrier between",
                    access.name,
                    other.place,
                    how(other),
                    access.place,
                    how(&access),
                ));
            }
            self.since.push(access);
        }
        Ok(())
    }

    /// The line's accesses to workgroup memory: `name[place]`, stored where an assignment follows.
    fn accesses(&self, line: &'a str) -> Vec<Access<'a>> {
        let mut found = Vec::new();
        for &name in self.shared {
            let mut rest = 0;
            while let Some(at) = line[rest..].find(name).map(|at| at + rest) {
                rest = at + name.len();
                let inside_word = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let Some(tail) = line[rest..].strip_prefix('[').filter(|_| !inside_word) else { continue };
                let place = &tail[..closing_bracket(tail)];
                let after = line[rest + place.len() + 2..].trim_start();
                let store = after.starts_with("= ") || after.starts_with("+= ");
                found.push(Access { name, place, store });
            }
        }
        found
    }
}

/// Where the bracket opened before `text` closes.
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
            "var<workgroup> block: array<f32, 64>;\n\nfn f(o: u32) {{\n}}\nfn main(x: u32) {{\n{body}}}\n"
        )
    }

    const TILE: &str = "    for (var k = 0u; k < 9u; k += 1u) {\n        block[li * 4u] = x0[k];\n        \
                        workgroupBarrier();\n        c += block[k];\n        workgroupBarrier();\n    }\n";

    #[test]
    fn both_barriers_of_a_tile_are_needed() {
        assert_eq!(check_barriers(&kernel(TILE)), Ok(()));
        let (first, last) = (TILE.find("workgroupBarrier").unwrap(), TILE.rfind("workgroupBarrier").unwrap());
        for at in [first, last] {
            let without = format!("{}{}", &TILE[..at], &TILE[at + "workgroupBarrier();".len()..]);
            let said = check_barriers(&kernel(&without)).expect_err("a barrier is missing");
            assert!(said.contains("no barrier between"), "{said}");
        }
    }

    #[test]
    fn a_tree_is_sound_and_its_first_barrier_needed() {
        let tree = "    block[li] = acc;\n    workgroupBarrier();\n    if (lane < 2u) {\n        \
                    block[li] = block[li] + block[li + 2u];\n    }\n    workgroupBarrier();\n    acc = block[li];\n";
        assert_eq!(check_barriers(&kernel(tree)), Ok(()));
        let without = tree.replacen("    workgroupBarrier();\n", "", 1);
        assert!(check_barriers(&kernel(&without)).is_err());
    }
}

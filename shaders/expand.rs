//! Makes a kernel's text of a shader file: figures for its `const` header, code for its hooks, its imports, its loops.
//!
//! Works on lines, not on syntax, by five rules:
//! - `const NAME: u32 = ..;` (`bool`, `f32`) takes the launch's own value;
//! - a hook between `// #hook NAME` and `// #end` is replaced by code of the launch;
//! - lines between `// #if CONDITION` and `// #end` stay if that holds: a constant expression over the header and the
//!   indices of unrolled loops, mostly a `bool`, `!` before it for its opposite;
//! - a `for` line that ends in `// #unroll` is written out, its index a literal: arrays indexed by literals alone are
//!   registers to every compiler;
//! - `// #import common/x` stands for that file.
//!
//! Bindings (lines beginning with `@group(0)`) are left out: the launch declares its own. Labels (`// #label NAME` at
//! the end of a line) stay, for tools that look for a line by its purpose.

use crate::evaluate::evaluate;
use crate::source;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Code in place of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The hook's name.
    pub name: &'static str,
    /// Complete WGSL of the function, in place of the file's own.
    pub code: String,
}

impl Hook {
    /// No code: the launch has no use for the hook.
    pub fn none(name: &'static str) -> Self {
        Self { name, code: String::new() }
    }
}

/// Value of a constant of a shader's header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// Of a `u32`.
    Count(usize),
    /// Of a `bool`.
    Flag(bool),
    /// Of an `f32`; a normal number.
    Real(f32),
}

impl From<usize> for Figure {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<bool> for Figure {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// The shader `name` with these constants and hooks, without its bindings. Panics if the file lacks one of the constants
/// or hooks, or breaks a rule of the directives: bugs of the caller or file.
#[track_caller]
pub fn expand(name: &str, constants: &[(&str, Figure)], hooks: &[Hook]) -> String {
    expand_text(name, &imports(source(name)), constants, hooks)
}

/// As [`expand`], with another file in place of one of its imports.
#[track_caller]
pub fn expand_with(
    name: &str,
    (import, other): (&str, &str),
    constants: &[(&str, Figure)],
    hooks: &[Hook],
) -> String {
    let text = source(name).replace(&format!("// #import {import}\n"), &format!("// #import {other}\n"));
    expand_text(name, &imports(&text), constants, hooks)
}

#[track_caller]
fn expand_text(name: &str, text: &str, constants: &[(&str, Figure)], hooks: &[Hook]) -> String {
    let out = format!("{FROM}{name}\n");
    let mut expander = Expander { name, constants, hooks, known: BTreeMap::new(), used: 0, out };
    let lines: Vec<&str> = text.lines().collect();
    expander.lines(&lines);
    assert_eq!(expander.used, constants.len() + hooks.len(), "{name}: a constant or hook is not in the file");
    expander.out
}

struct Expander<'a> {
    name: &'a str,
    constants: &'a [(&'a str, Figure)],
    hooks: &'a [Hook],
    /// Values of the header's constants so far; flags are 0 or 1.
    known: BTreeMap<String, i64>,
    /// Constants and hooks used.
    used: usize,
    out: String,
}

impl Expander<'_> {
    #[track_caller]
    fn lines(&mut self, lines: &[&str]) {
        let mut at = 0;
        while at < lines.len() {
            at = self.line(lines, at);
        }
    }

    /// Expands the line or block at `at`; returns the index of the next.
    #[track_caller]
    fn line(&mut self, lines: &[&str], at: usize) -> usize {
        let line = lines[at];
        let trimmed = line.trim_start();
        if trimmed.starts_with("@group(0)") {
            return at + 1;
        }
        if let Some(name) = trimmed.strip_prefix("// #hook ") {
            let end = self.end(lines, at);
            match self.hooks.iter().find(|h| h.name == name) {
                Some(hook) => {
                    self.used += 1;
                    let code: Vec<&str> = hook.code.lines().collect();
                    self.lines(&code);
                }
                None => self.lines(&lines[at + 1..end]),
            }
            return end + 1;
        }
        if let Some(condition) = trimmed.strip_prefix("// #if ") {
            let end = self.end(lines, at);
            if self.holds(condition) {
                self.lines(&lines[at + 1..end]);
            }
            return end + 1;
        }
        if let Some(head) = line.strip_suffix(" // #unroll") {
            let indent = &line[..line.len() - trimmed.len()];
            let close = format!("{indent}}}");
            let end = (at + 1..lines.len()).find(|&i| lines[i] == close);
            let end = end.unwrap_or_else(|| panic!("{}: no end of {line:?}", self.name));
            self.unroll(head, indent, &lines[at + 1..end]);
            return end + 1;
        }
        match header(line) {
            Some((name, ty, value)) => self.constant(name, ty, value),
            None => self.out.extend([line, "\n"]),
        }
        at + 1
    }

    /// Index of the `// #end` that closes the directive at `at`.
    #[track_caller]
    fn end(&self, lines: &[&str], at: usize) -> usize {
        let mut depth = 0;
        for (i, line) in lines.iter().enumerate().skip(at) {
            let line = line.trim_start();
            if line.starts_with("// #hook ") || line.starts_with("// #if ") {
                depth += 1;
            } else if line == "// #end" {
                depth -= 1;
                if depth == 0 {
                    return i;
                }
            }
        }
        panic!("{}: no #end of {:?}", self.name, lines[at])
    }

    #[track_caller]
    fn holds(&self, condition: &str) -> bool {
        let (text, negated) = match condition.strip_prefix('!') {
            Some(text) => (text, true),
            None => (condition, false),
        };
        let value = evaluate(text, &self.known);
        let value = value.unwrap_or_else(|| panic!("{}: #if {text}: its value is not known", self.name));
        (value != 0) != negated
    }

    fn constant(&mut self, name: &str, ty: &str, value: &str) {
        let figure = self.constants.iter().find(|c| c.0 == name).map(|c| c.1);
        self.used += usize::from(figure.is_some());
        let known = match figure {
            Some(Figure::Count(n)) => Some(n as i64),
            Some(Figure::Flag(flag)) => Some(i64::from(flag)),
            Some(Figure::Real(_)) => None,
            None => evaluate(value, &self.known),
        };
        let text = match figure {
            Some(Figure::Count(n)) => format!("{n}u"),
            Some(Figure::Flag(flag)) => flag.to_string(),
            Some(Figure::Real(x)) => format!("{x:?}f"),
            None => value.to_owned(),
        };
        self.known.extend(known.map(|known| (name.to_owned(), known)));
        self.out += &format!("const {name}: {ty} = {text};\n");
    }

    /// Writes a loop out. `head` is `for (var i = A; i < B; i += C) {`.
    #[track_caller]
    fn unroll(&mut self, head: &str, indent: &str, body: &[&str]) {
        let found = loop_head(head.trim_start()).and_then(|(index, bounds)| {
            let [from, to, step] = bounds.map(|b| evaluate(b, &self.known));
            Some((index, from?, to?, step?))
        });
        let (index, from, to, step) =
            found.unwrap_or_else(|| panic!("{}: bounds of {head:?} are not known", self.name));
        // A scope per trip, if the body names anything.
        let inner = format!("{indent}    ");
        let scoped = body.iter().any(|line| {
            line.strip_prefix(&*inner).is_some_and(|l| l.starts_with("let ") || l.starts_with("var "))
        });
        for value in (from..to).step_by(step as usize) {
            let literal = format!("{value}u");
            let trip: Vec<Cow<'_, str>> = body.iter().map(|line| with_word(line, index, &literal)).collect();
            let outdented = |line| str::strip_prefix(line, "    ").filter(|_| !scoped).unwrap_or(line);
            let trip: Vec<&str> = trip.iter().map(|line| outdented(&**line)).collect();
            if scoped {
                self.out.extend([indent, "{\n"]);
            }
            self.lines(&trip);
            if scoped {
                self.out.extend([indent, "}\n"]);
            }
        }
    }
}

/// Name, type and value of a line of the `const` header.
fn header(line: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = line.strip_prefix("const ")?.split_once(": ")?;
    let (ty, value) = rest.split_once(" = ")?;
    matches!(ty, "u32" | "bool" | "f32").then_some((name, ty, value.strip_suffix(';')?))
}

/// Index and bounds (first, end, step) of a loop's head.
fn loop_head(head: &str) -> Option<(&str, [&str; 3])> {
    let inner = head.strip_prefix("for (var ")?.strip_suffix(") {")?;
    let mut parts = inner.split("; ");
    let (index, from) = parts.next()?.split_once(" = ")?;
    let to = parts.next()?.strip_prefix(index)?.strip_prefix(" < ")?;
    let step = parts.next()?.strip_prefix(index)?.strip_prefix(" += ")?;
    Some((index, [from, to, step]))
}

/// The line with every word `name` replaced.
fn with_word<'a>(line: &'a str, name: &str, value: &str) -> Cow<'a, str> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut last) = (String::new(), 0);
    for (at, _) in line.match_indices(name) {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        if !before.ends_with(part) && !before.ends_with('.') && !after.starts_with(part) {
            out += &line[last..at];
            out += value;
            last = at + name.len();
        }
    }
    if out.is_empty() { Cow::Borrowed(line) } else { Cow::Owned(out + &line[last..]) }
}

/// How the text of an import begins.
const FROM: &str = "// from ";

/// The text with every line `// #import common/x` replaced by that file, below a line `// from common/x`; once each, and
/// not if the text has such a line already.
#[track_caller]
pub fn imports(text: &str) -> String {
    let mut seen: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix(FROM)).map(str::to_owned).collect();
    let mut out = String::new();
    insert(text, &mut out, &mut seen);
    out
}

fn insert(text: &str, out: &mut String, seen: &mut Vec<String>) {
    for line in text.lines() {
        match line.strip_prefix("// #import ") {
            Some(name) if seen.iter().any(|s| s == name) => {}
            Some(name) => {
                seen.push(name.to_owned());
                out.extend([FROM, name, "\n"]);
                insert(source(name), out, seen);
            }
            None => out.extend([line, "\n"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_hooks_are_replaced() {
        let code = "fn epilogue(o: u32, acc: f32) {\n    mine(o, acc);\n}\n".to_owned();
        let figures = [("KH", 3.into()), ("H", 17.into())];
        let text = expand("max_pool2d", &figures, &[Hook { name: "epilogue", code }]);
        assert!(text.contains("const KH: u32 = 3u;\n") && text.contains("const H: u32 = 17u;\n"));
        assert!(text.contains("mine(o, acc)") && !text.contains("y0[o] = acc"));
        assert!(!text.contains("@group") && !text.contains("#hook") && !text.contains("#end"));
        assert!(text.contains("const KW: u32 = 2u;"), "others keep the file's figure");
    }

    #[test]
    #[should_panic(expected = "not in the file")]
    fn unknown_constant_panics() {
        expand("argmax", &[("KH", 3.into())], &[]);
    }

    #[test]
    fn imports_are_replaced_once() {
        let text = imports("// #import common/erf\n// #import common/erf\nfn f() {}\n");
        assert_eq!(text.matches("fn erf_(").count(), 1);
        assert_eq!(imports(&format!("// #import common/erf\n{text}")), text, "it is there already");
        assert!(text.ends_with("fn f() {}\n"));
    }

    const LOOPS: &str = "const N: u32 = 2u;\nconst HALF: u32 = N / 2u;\nconst PAIRS: bool = false;\n\
        fn f() {\n    \
        for (var r = 0u; r < N; r += 1u) { // #unroll\n        \
            let v = x[r + rr];\n        \
            for (var j = r; j < HALF + 1u; j += 1u) { // #unroll\n            \
                acc[r * N + j] += v;\n        \
            }\n    \
        }\n    \
        // #if PAIRS\n    pair();\n    // #end\n    // #if !PAIRS\n    single();\n    // #end\n}\n";

    #[test]
    fn unrolled_loop_has_literals_for_its_index() {
        let text = expand_text("t", LOOPS, &[], &[]);
        let body = "    {\n        let v = x[0u + rr];\n        acc[0u * N + 0u] += v;\n        acc[0u * N + 1u] += v;\n    }\n    \
                    {\n        let v = x[1u + rr];\n        acc[1u * N + 1u] += v;\n    }\n    single();\n}\n";
        assert!(text.ends_with(body), "{text}");
        let text = expand_text("t", LOOPS, &[("N", 1.into()), ("PAIRS", true.into())], &[]);
        assert!(text.contains("const PAIRS: bool = true;\n") && text.contains("    pair();\n"));
        assert!(!text.contains("single()") && text.matches("acc[").count() == 1, "{text}");
    }

    #[test]
    #[should_panic(expected = "are not known")]
    fn unroll_of_unknown_bounds_panics() {
        expand_text("t", "for (var r = 0u; r < n; r += 1u) { // #unroll\n}\n", &[], &[]);
    }
}

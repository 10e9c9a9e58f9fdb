//! A Rust file as far as circles are concerned: its items, imports and paths, read from tokens.
//!
//! Tests and what stands in strings and comments are left out. Macros are read as code.

use std::collections::BTreeSet;

/// An import: the path, and the name it gets here (`*` for all names of a module).
#[derive(Debug, PartialEq)]
pub(super) struct Import {
    pub path: Vec<String>,
    pub name: String,
    /// A re-export: `pub use`, `pub(crate) use` and the like.
    pub public: bool,
    /// Inline modules around it.
    pub depth: usize,
}

/// Contents of a file.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Names of items defined here.
    pub items: BTreeSet<String>,
    pub imports: Vec<Import>,
    /// Paths of two names or more, with the number of inline modules around each.
    pub paths: Vec<(Vec<String>, usize)>,
    /// Names in the code outside of imports.
    pub names: BTreeSet<String>,
}

/// Keywords followed by the name of an item.
const ITEMS: [&str; 8] = ["fn", "struct", "enum", "trait", "const", "static", "type", "union"];

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self::default();
        let at = |i: usize| tokens.get(i).map_or("", String::as_str);
        // Brace depths of the inline modules around the token.
        let (mut inside, mut depth): (Vec<usize>, usize) = (Vec::new(), 0);
        let mut i = 0;
        while i < tokens.len() {
            let token = at(i);
            match token {
                "#" if (1..7).map(|k| at(i + k)).eq(["[", "cfg", "(", "test", ")", "]"]) => {
                    i = end_of_item(&tokens, i + 7);
                    continue;
                }
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    inside.pop_if(|start| *start == depth);
                }
                "mod" if at(i + 2) == "{" => inside.push(depth),
                "macro_rules" if at(i + 1) == "!" => {
                    source.items.insert(at(i + 2).to_owned());
                }
                "use" if i == 0 || [";", "}", "{", "]", ")", "pub"].contains(&at(i - 1)) => {
                    let public = i > 0 && ["pub", ")"].contains(&at(i - 1));
                    let mut found = Vec::new();
                    i = tree(&tokens, i + 1, &[], &mut found);
                    let import = |(path, name)| Import { path, name, public, depth: inside.len() };
                    source.imports.extend(found.into_iter().map(import));
                    continue;
                }
                _ if ITEMS.contains(&token) && is_name(at(i + 1)) => {
                    source.items.insert(at(i + 1).to_owned());
                }
                _ if is_name(token) && at(i + 1) == "::" && (i == 0 || at(i - 1) != "::") => {
                    let mut path = vec![token.to_owned()];
                    while at(i + 1) == "::" && is_name(at(i + 2)) {
                        path.push(at(i + 2).to_owned());
                        i += 2;
                    }
                    source.names.extend(path.iter().cloned());
                    source.paths.push((path, inside.len()));
                }
                _ if is_name(token) => {
                    source.names.insert(token.to_owned());
                }
                _ => {}
            }
            i += 1;
        }
        source
    }
}

/// Index after the item at `i`, further attributes included.
fn end_of_item(tokens: &[String], mut i: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(i) {
        i += 1;
        match token.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token == "}" {
                    return i;
                }
            }
            ";" if depth == 0 => return i,
            _ => {}
        }
    }
    i
}

/// Reads a tree of imports at `i` below `prefix`; the index after it.
fn tree(tokens: &[String], mut i: usize, prefix: &[String], found: &mut Vec<(Vec<String>, String)>) -> usize {
    let mut path = prefix.to_vec();
    let at = |i: usize| tokens.get(i).map_or("", String::as_str);
    loop {
        match at(i) {
            "{" => {
                i += 1;
                while !["}", ""].contains(&at(i)) {
                    i = tree(tokens, i, &path, found);
                    i += usize::from(at(i) == ",");
                }
                return i + 1;
            }
            "*" => {
                found.push((path, "*".to_owned()));
                return i + 1;
            }
            "::" => i += 1,
            name if is_name(name) => {
                path.push(name.to_owned());
                i += 1;
                if at(i) == "::" {
                    continue;
                }
                if path.len() > 1 {
                    path.pop_if(|last| last == "self");
                }
                let mut own = path.last().cloned().unwrap_or_default();
                if at(i) == "as" {
                    own = at(i + 1).to_owned();
                    i += 2;
                }
                found.push((path, own));
                return i;
            }
            // No import: a macro's own language.
            _ => return i + 1,
        }
    }
}

/// Names, `::` and single characters of a text, without strings, characters, lifetimes and comments.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let find = |from: usize, wanted: &str| {
        let wanted: Vec<char> = wanted.chars().collect();
        let here = |i: &usize| chars[*i..].starts_with(&wanted);
        (from..chars.len()).find(here).map_or(chars.len(), |i| i + wanted.len())
    };
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            i = find(i, "\n");
        } else if c == '/' && at(i + 1) == '*' {
            i = find(i + 2, "*/");
        } else if c == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' {
            i = if at(i + 1) == '\\' {
                find(i + 3, "'")
            } else if at(i + 2) == '\'' {
                i + 3
            } else {
                i + 1
            };
        } else if c.is_ascii_alphanumeric() || c == '_' {
            let end = (i..chars.len()).find(|&k| !(at(k).is_ascii_alphanumeric() || at(k) == '_'));
            let end = end.unwrap_or(chars.len());
            let word: String = chars[i..end].iter().collect();
            let hashes = (end..chars.len()).take_while(|&k| at(k) == '#').count();
            if ["r", "br", "cr"].contains(&word.as_str()) && at(end + hashes) == '"' {
                i = find(end + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
                continue;
            }
            tokens.push(word);
            i = end;
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".into());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.into());
            }
            i += 1;
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_imports_and_paths_are_read() {
        let source = Source::new(
            "//! use no::Comment;\nuse crate::{a::{self, B as C}, d::*};\npub(crate) use super::e::F;\n\
             struct G<'a>(&'a str);\nfn h() { let x = \"use no::text\"; 'q'; r#\"use no::raw\"#; i::j(k::L) }\n\
             #[cfg(test)]\nmod tests { use no::Test; }\nmod inner { fn m() { super::n::o() } }\n",
        );
        let import = |i: &Import| format!("{} {} {}", i.path.join("::"), i.name, i.public);
        let imports: Vec<String> = source.imports.iter().map(import).collect();
        assert_eq!(
            imports,
            ["crate::a a false", "crate::a::B C false", "crate::d * false", "super::e::F F true"]
        );
        let paths: Vec<String> = source.paths.iter().map(|(p, d)| format!("{} {d}", p.join("::"))).collect();
        assert_eq!(paths, ["i::j 0", "k::L 0", "super::n::o 1"]);
        assert!(["G", "h", "m"].iter().all(|name| source.items.contains(*name)));
    }
}

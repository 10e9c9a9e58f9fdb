//! Makes a kernel's text of a shader file: figures for its `const` header, code for its hooks, its imports.
//!
//! Works on lines, not on syntax: a constant is one line `const NAME: u32 = ..;`, a hook stands between
//! `// #hook NAME` and `// #end`, an import is the line `// #import common/x`, a binding is one line beginning with
//! `@group(0)`. Bindings are left out, since the launch declares its own.

use crate::source;

/// Code that takes a hook's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The hook's name.
    pub name: &'static str,
    /// Complete WGSL of the function, in place of the file's own.
    pub code: String,
}

/// The shader `name` with these constants and hooks and without its bindings. Panics on a constant or a hook that
/// the file does not have: a bug of the caller.
#[track_caller]
pub fn expand(name: &str, constants: &[(&str, usize)], hooks: &[Hook]) -> String {
    let mut out = String::new();
    let mut n_used = 0;
    let mut inside_hook = false;
    for line in source(name).lines().filter(|line| !line.starts_with("@group(0)")) {
        if let Some(hook) = line.strip_prefix("// #hook ").and_then(|n| hooks.iter().find(|h| h.name == n)) {
            out.push_str(&hook.code);
            (inside_hook, n_used) = (true, n_used + 1);
        } else if line == "// #end" {
            inside_hook = false;
        } else if !inside_hook && !line.starts_with("// #hook ") {
            let figure = constant_name(line).and_then(|n| constants.iter().find(|c| c.0 == n));
            match figure {
                Some((name, value)) => out.push_str(&format!("const {name}: u32 = {value}u;\n")),
                None => out.extend([line, "\n"]),
            }
            n_used += usize::from(figure.is_some());
        }
    }
    assert_eq!(n_used, constants.len() + hooks.len(), "{name}: a constant or hook is not in the file");
    out
}

/// The name a line of the `const` header gives a figure to.
fn constant_name(line: &str) -> Option<&str> {
    line.strip_prefix("const ")?.split_once(": u32 = ").map(|(name, _)| name)
}

/// The text with every line `// #import common/x` replaced by that file.
#[track_caller]
pub fn imports(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        match line.strip_prefix("// #import ") {
            Some(name) => out.push_str(source(name)),
            None => out.extend([line, "\n"]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_hooks_take_their_places() {
        let code = "fn epilogue(o: u32, acc: f32) {\n    mine(o, acc);\n}\n".to_owned();
        let text = expand("max_pool2d", &[("KH", 3), ("H", 17)], &[Hook { name: "epilogue", code }]);
        assert!(text.contains("const KH: u32 = 3u;\n") && text.contains("const H: u32 = 17u;\n"));
        assert!(text.contains("mine(o, acc)") && !text.contains("y0[o] = acc"));
        assert!(!text.contains("@group") && !text.contains("#hook") && !text.contains("#end"));
        assert!(text.contains("const KW: u32 = 2u;"), "others keep the file's figure");
    }

    #[test]
    #[should_panic(expected = "not in the file")]
    fn an_unknown_constant_is_a_bug() {
        expand("argmax", &[("KH", 3)], &[]);
    }

    #[test]
    fn imports_are_replaced() {
        let text = imports("// #import common/erf\nfn f() {}\n");
        assert!(text.contains("fn erf_(") && text.ends_with("fn f() {}\n"));
    }
}

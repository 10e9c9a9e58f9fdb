//! Environment variables: all of wgrad's, and the one function that reads those of the library.

use std::path::PathBuf;

/// Names of the variables with their meanings; docs/variables.md is this table.
pub const VARIABLES: &[(&str, &str)] = &[
    ("WGRAD_DEVICE", "device in place of `auto`: `gpu`, `gpu:N`, `software`, `cpu`"),
    ("WGRAD_LIMITS", "`webgpu-baseline`: adapters open with WebGPU's default limits and no optional feature"),
    (
        "WGRAD_VECTORS",
        "vector instructions of the CPU device: `scalar`, `avx2` and so on; by default the widest",
    ),
    ("WGRAD_SHADER_CHECKS", "`1`: kernels run with the shader compiler's run-time checks (slower)"),
    ("WGRAD_CACHE_DIR", "folder of compiled kernels and tuned variants; empty: nothing is kept between runs"),
    ("WGRAD_LOG", "command line: events to print on standard error, as `info` or `wgrad_device=debug`"),
    ("WGRAD_BENCH_DEVICE", "benchmarks in `benches/`: device to measure; by default `cpu`"),
    ("WGRAD_EXAMPLE_QUICK", "examples: if set, only enough steps to show that they work"),
    ("WGRAD_GOLDEN_DIR", "tests: folder of PyTorch references in place of the ones in the repository"),
    ("WGRAD_QUIET_CHILD", "tests: marks the child process of a test of driver messages"),
];

/// The library's variables as they are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variables {
    /// Device in place of `auto`.
    pub device: Option<String>,
    /// Limits of adapters.
    pub limits: Option<String>,
    /// Vector instructions of the CPU.
    pub vectors: Option<String>,
    /// Run-time checks in kernels.
    pub shader_checks: bool,
    /// Folder of files kept between runs; empty for none.
    pub cache_dir: Option<PathBuf>,
    /// Events that the command line prints.
    pub log: Option<String>,
}

/// Reads the environment.
pub fn read() -> Variables {
    // Not UTF-8: a value like any other without meaning, to be refused by name.
    let text = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    Variables {
        device: text("WGRAD_DEVICE"),
        limits: text("WGRAD_LIMITS"),
        vectors: text("WGRAD_VECTORS"),
        shader_checks: text("WGRAD_SHADER_CHECKS").is_some_and(|v| v == "1" || v == "true"),
        cache_dir: std::env::var_os("WGRAD_CACHE_DIR").map(PathBuf::from),
        log: text("WGRAD_LOG"),
    }
}

/// Variables of the environment that begin with `WGRAD_` and mean nothing, such as misspelt ones.
pub fn unknown() -> Vec<String> {
    unknown_of(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown_of(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = |name: &String| VARIABLES.iter().any(|v| v.0 == name);
    let mut unknown: Vec<String> = names.filter(|n| n.starts_with("WGRAD_") && !known(n)).collect();
    unknown.sort();
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_variables_are_found_by_prefix() {
        let names = ["WGRAD_DEVICE", "WGRAD_DEVISE", "PATH", "WGRAD_A"].map(str::to_owned);
        assert_eq!(unknown_of(names.into_iter()), ["WGRAD_A", "WGRAD_DEVISE"]);
    }

    #[test]
    fn docs_page_is_the_table() {
        let page = include_str!("../../../docs/variables.md");
        let rows: Vec<&str> = page.lines().filter(|l| l.starts_with("| `WGRAD_")).collect();
        let want: Vec<String> =
            VARIABLES.iter().map(|(name, meaning)| format!("| `{name}` | {meaning} |")).collect();
        assert_eq!(rows, want);
    }
}

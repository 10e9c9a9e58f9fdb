//! Every public method has reference values from outside: the sources are read, and each `pub fn` must have a
//! case of PyTorch's, a test of plain loops, or a reason here for computing nothing.

use super::read;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Methods with a test of their own in place of a case, and the test.
const PLAIN: &[(&str, &str)] = &[
    ("Tensor::full_like", "plain::constants_have_requested_values"),
    ("Tensor::zeros_like", "plain::constants_have_requested_values"),
    ("Tensor::iota_like", "plain::constants_have_requested_values"),
    ("Tensor::dropout", "draws"),
    ("Tensor::custom", "suite::custom: what a user brings has a reference of its own"),
    ("Builder::full", "plain::constants_have_requested_values"),
    ("Builder::iota", "plain::constants_have_requested_values"),
    ("Builder::literal", "plain::constants_have_requested_values"),
    ("Builder::rand", "draws"),
    ("Heads::projected", "within multihead_attention"),
    ("Heads::split", "within multihead_attention"),
    ("Heads::attend", "within multihead_attention"),
    ("Heads::shared", "plain::repeated_heads_are_consecutive"),
    ("fn::join", "plain::repeated_heads_are_consecutive"),
    ("Heads::new", "plain::repeated_heads_are_consecutive"),
    ("Loss::of", "layers: a case a variant"),
    ("Conv::new", "plain::constructors_set_their_defaults"),
    ("Conv::no_bias", "plain::constructors_set_their_defaults"),
    ("Recurrent::new", "plain::constructors_set_their_defaults"),
    ("Tensor::to_array", "the f64 interpreter: its examples, and every case of the doctor"),
    ("RecurrentKind::gates", "within recurrent: the parameters' shapes"),
];

/// Accessors and set-up: they compute nothing.
const NOTHING: &[&str] = &[
    "Tensor::builder",
    "Tensor::value",
    "Tensor::ty",
    "Tensor::shape",
    "Tensor::dtype",
    "Tensor::numel",
    "Builder::new",
    "Builder::graph",
    "Builder::rewind",
    "Builder::input",
    "Builder::param",
    "Builder::scalar",
    "Builder::output",
    "Builder::keep",
    "Builder::pending",
    "Builder::update",
    "Builder::owns",
    "Builder::scope",
    "Builder::scoped",
    "Net::new",
    "Net::averaged",
    "Net::builder",
    "Net::graph",
    "Net::output",
    "Net::mode",
    "Net::input",
    "Net::weight",
    "Net::buffer",
    "Net::parameters",
    "Net::weights",
    "Net::named_weights",
    "Net::initial",
];

/// Cases of operators and numbers beside a tensor, not of methods.
const OPERATORS: &[&str] = &[
    "neg",
    "add",
    "sub",
    "mul",
    "div",
    "add_number",
    "sub_number",
    "mul_number",
    "div_number",
    "number_add",
    "number_sub",
    "number_mul",
    "number_div",
];

fn sources(folder: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(folder);
    let all = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<PathBuf> = all.map(|e| e.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "rs") && !f.to_string_lossy().ends_with("_tests.rs"));
    files.sort();
    files
}

/// `Type::method` of each public method of some types in a file.
fn methods(text: &str, types: &[&str]) -> Vec<String> {
    let (mut of, mut found, mut rows) = ("", Vec::new(), false);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            let name = rest.split([' ', '<', '{']).next().unwrap_or("");
            of = types.iter().find(|t| **t == name && !rest.contains(" for ")).copied().unwrap_or("");
        }
        // The table of functions of one operand: a name and a kind per row.
        if line.starts_with("unary_methods! {") {
            rows = true;
        } else if line == "}" {
            rows = false;
        } else if rows && !line.trim().starts_with("///") && !line.trim().starts_with("#[") {
            found.extend(line.split_whitespace().next().map(|name| format!("Tensor::{name}")));
        }
        let Some(rest) = line.trim_start().strip_prefix("pub fn ") else { continue };
        let name = rest.split(['(', '<']).next().unwrap_or("");
        if !line.starts_with(' ') {
            found.push(format!("fn::{name}"));
            continue;
        }
        if !of.is_empty() && !name.starts_with('$') {
            found.push(format!("{of}::{name}"));
        }
    }
    found
}

#[test]
fn public_methods_have_reference_values() {
    let types = ["Tensor", "Builder", "Net", "Heads", "Loss", "Conv", "Recurrent", "RecurrentKind"];
    let mut public = BTreeSet::new();
    for folder in ["wgrad-graph/src/tensor", "wgrad-nn/src"] {
        for file in sources(folder) {
            public.extend(methods(&std::fs::read_to_string(&file).expect("a source"), &types));
        }
    }
    assert!(public.len() > 150, "only {} methods are found: {public:?}", public.len());
    let case = |file: &str, key: &'static str, of: &'static str| -> Vec<String> {
        let cases = read(file).cases();
        cases.iter().map(|c| format!("{of}::{}", c[key].as_str().expect("a name"))).collect()
    };
    let mut held: BTreeSet<String> =
        case("compositions.safetensors", "method", "Tensor").into_iter().collect();
    for operator in OPERATORS {
        assert!(held.remove(&format!("Tensor::{operator}")), "no case of {operator}");
    }
    held.extend(case("layers.safetensors", "layer", "Net"));
    assert!(held.remove("Net::loss"));
    let known: BTreeSet<String> =
        PLAIN.iter().map(|p| p.0.to_owned()).chain(NOTHING.iter().map(|n| (*n).to_owned())).collect();
    let twice: Vec<_> = held.intersection(&known).collect();
    assert!(twice.is_empty(), "these have cases and are excused: {twice:?}");
    held.extend(known);
    let (missing, stale): (Vec<_>, Vec<_>) =
        (public.difference(&held).collect(), held.difference(&public).collect());
    assert!(missing.is_empty(), "no case, no plain loop, no reason: {missing:?}");
    assert!(stale.is_empty(), "there is no such method: {stale:?}");
}

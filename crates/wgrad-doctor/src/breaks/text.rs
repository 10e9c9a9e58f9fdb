//! Mistakes in a launch's text: barriers, indices, edges, tie rules, loop bounds.

use super::{Break, Damage};
use wgrad_kernels::Launch;

const BARRIER: &str = "workgroupBarrier();";

pub(super) const BREAKS: &[Break] = &[
    text("barrier", "barrier-after-load", "a tile is read before all of it has been loaded", |l| {
        labelled(l, "loaded", |_| Some(String::new()))
    }),
    text("barrier", "barrier-before-load", "a tile is overwritten while others still read it", |l| {
        labelled(l, "used", |_| Some(String::new()))
    }),
    text("barrier", "barrier-in-tree", "lanes are added before they have been stored", |l| {
        let tree = l.source.contains("var<workgroup> lane_values");
        tree.then(|| replaced_first(&l.source, BARRIER, "")).flatten()
    }),
    text(
        "barrier",
        "shared-slot",
        "what one invocation says to all is said again before all have read it",
        |l| {
            let tree = l.source.contains("var<workgroup> lane_values");
            let rounds = "workgroupBarrier();\n    for (var turn = 0u; turn < 2u; turn += 1u) {\n        \
                      if (li == 0u) {\n            said[0u] = turn;\n        }\n        workgroupBarrier();\n        \
                      heard = max(heard, said[0u]);\n    }\n    workgroupBarrier();";
            let with = tree.then(|| replaced_first(&l.source, BARRIER, rounds)).flatten()?;
            let said =
                "var<workgroup> said: array<u32, 1>;\nvar<private> heard: u32;\nvar<workgroup> lane_values";
            Some(with.replacen("var<workgroup> lane_values", said, 1))
        },
    ),
    text("index", "wrong-depth-in-tile", "one depth of the left tile is used twice", |l| {
        labelled(l, "tile_a", |line| exchanged(line, "(kk + 1u)", "(kk + 0u)"))
    }),
    text("index", "wrong-column-in-tile", "an invocation reads its left neighbour's columns", |l| {
        labelled(l, "tile_b", |line| exchanged(line, " + tx + ", " + max(tx, 1u) - 1u + "))
    }),
    text("index", "wrong-lane", "a value comes from the lane before", |l| {
        labelled(l, "accumulate", |line| exchanged(line, "* DEPTHS + 1u)", "* DEPTHS + 0u)"))
    }),
    text("edge", "edge-store-row", "the last row of a ragged product is not stored", |l| {
        labelled(l, "edge_row", |line| exchanged(line, ") {", " - 1u) {"))
    }),
    text("edge", "edge-store-column", "the last columns of a ragged product are not stored", |l| {
        labelled(l, "edge_column", |line| exchanged(line, "N) {", "N - 4u) {"))
    }),
    text("edge", "edge-load-row", "rows are clamped one before the last", |l| {
        labelled(l, "last_row", |line| exchanged(line, "M - A_UNIT", "max(M - A_UNIT, 1u) - 1u"))
    }),
    text("edge", "depth-tail", "the depths left over are taken from the beginning", |l| {
        labelled(l, "depth_begin", |line| exchanged(line, "WHOLE, 1u == 1u", "0u, 1u == 1u"))
    }),
    text("edge", "depth-loop", "the last block of the depth is left out", |l| {
        labelled(l, "depth_loop", |line| {
            let (_, step) = line.rsplit_once("+= ")?;
            let step = step.split(')').next()?;
            Some(line.replacen("k0 < ", &format!("k0 + {step} < "), 1))
        })
    }),
    text("sum", "split-part", "the last part of a split reduction is not added", |l| {
        let combines = l.name.contains("combine");
        let own = |line: &str| combines && starts(line, "for (var r = ");
        in_lines(&l.source, own, |line| less(line, "u; r +="))
    }),
    text(
        "sum",
        "sum-beside-product",
        "a bias's gradient misses some of what its weights' gradient multiplies",
        |l| labelled(l, "sum_beside", |_| Some(String::new())),
    ),
    text("formula", "transform-sign", "Winograd's transform of the results has a sign wrong", |l| {
        labelled(l, "transform", |line| exchanged(line, "1u] - n", "1u] + n"))
    }),
    text("edge", "map-edge", "the last element (or four) of a map is left out", |l| {
        let bound = |line: &str| starts(line, "if (i < ") || starts(line, "let end = min(");
        let map = l.name.starts_with("map.");
        in_lines(&l.source, |line| map && bound(line), |line| less(line, "u)"))
    }),
    text("index", "quad-order", "of four results one is stored twice", |l| {
        labelled(l, "store_one", |line| exchanged(line, "[1u])", "[0u])"))
    }),
    text("mask", "attention-sees-ahead", "a query sees the key after its own", |l| {
        labelled(l, "causal_end", |line| exchanged(line, " + 1u", " + 2u"))
    }),
    text("mask", "attention-block-sees-ahead", "a query of a block sees the key after its own", |l| {
        labelled(l, "masked", |line| exchanged(line, "row + 1u", "row + 2u"))
    }),
    text(
        "large argument",
        "attention-no-rescaling",
        "sums under an earlier maximum are not scaled to the new one",
        |l| labelled(l, "rescaling", |line| Some(format!("{} = 1.0;", line.split_once(" = ")?.0))),
    ),
    text("large argument", "attention-no-maximum", "attention takes exp of scores as they are", |l| {
        labelled(l, "running_maximum", |line| Some(format!("{} = 0.0;", line.split_once(" = ")?.0)))
    }),
    text(
        "formula",
        "attention-no-delta",
        "the gradient of the scores forgets that weights sum to one",
        |l| labelled(l, "slope", |line| exchanged(line, "- delta", "- 0.0 * delta")),
    ),
    text(
        "index",
        "attention-kept-slopes",
        "the gradient of queries takes slopes of the query after its own",
        |l| labelled(l, "slope_row", |line| exchanged(line, "min(row0 + ", "min(row0 + 1u + ")),
    ),
    text("mask", "attention-edge", "keys beyond the last one count as the last one", |l| {
        labelled(l, "masked", |line| exchanged(line, " < ", " < 1000u + "))
    }),
    text("edge", "reduce-start", "the first element of a reduction is left out", |l| {
        in_lines(
            &l.source,
            |line| starts(line, "for (var r = "),
            |line| Some(line.replacen("; r <", " + 1u; r <", 1)),
        )
    }),
    text("sum", "reduce-identity", "a maximum begins at 0", |l| {
        let own = |line: &str| {
            (starts(line, "var sum = ") || starts(line, "var extreme")) && line.contains("-infinity_()")
        };
        in_lines(&l.source, own, |line| Some(line.replace("-infinity_()", "0.0f")))
    }),
    text("formula", "subgroup-operation", "lanes are compared, not added", |l| {
        replaced(&l.source, "subgroupAdd(", "subgroupMax(")
    }),
    text("padding", "padding-value", "padding counts as 1", |l| {
        replaced(&l.source, "select(0.0, x", "select(1.0, x")
    }),
    text("padding", "padding-edge", "the image ends a row or column early", |l| {
        let tests = |line: &str| {
            starts(line, "let ")
                && (line.contains("in = ") || line.contains("inside = "))
                && line.contains(" < ")
        };
        let by_label = || labelled(l, "inside", |line| exchanged(line, ";", " - 1u;"));
        in_lines(&l.source, tests, |line| less(line, "u;")).or_else(by_label)
    }),
    text("edge", "pool-window", "the window is a row short", |l| {
        let own = l.name == "max_pool2d" || l.name == "avg_pool2d";
        in_lines(&l.source, |line| own && starts(line, "const KH: u32 = "), |line| less(line, "u;"))
    }),
    text("tie", "pool-tie", "the gradient goes to the last of equal maxima", |l| {
        replaced(&l.source, "(at < o && other == mine)", "(at > o && other == mine)")
    }),
    text("edge", "pool-cover", "an element's last window is forgotten", |l| {
        let own = |line: &str| starts(line, "const COVER_X: u32 = ") && !line.contains(" = 1u");
        in_lines(&l.source, own, |line| less(line, "u;"))
    }),
    text("formula", "pool-count", "the mean divides by one too many", |l| {
        replaced(&l.source, "f32(KH * KW)", "f32(KH * KW + 1u)")
    }),
    text("tie", "argmax-tie", "the last of equal maxima is taken", |l| {
        replaced(&l.source, "v > best", "v >= best")
    }),
    text("NaN", "nan-in-maximum", "a maximum drops NaN, as drivers' own do", |l| {
        let marks = ["magnitude > 0x7f800000", "worst > vec4<i32>(0x7f800000)", "worst > i32(0x7f800000)"];
        let own = |line: &str| marks.iter().any(|mark| line.contains(mark)) && !line.contains("if (");
        in_lines(&l.source, own, |line| Some(line.replace("0x7f800000", "0x7fffffff")))
    }),
    text("NaN", "nan-in-relu", "relu of NaN is 0", |l| {
        let one = l.source.replace("select(x, 0.0, bitcast<i32>(x) <= -0x800000)", "max(x, 0.0)");
        replaced(
            &one,
            "select(x, vec4<f32>(0.0), bitcast<vec4<i32>>(x) <= vec4<i32>(-0x800000))",
            "max(x, vec4<f32>(0.0))",
        )
    }),
    text("NaN", "nan-in-argmax", "argmax passes NaN over", |l| {
        replaced(&l.source, "if (magnitude > 0x7f800000)", "if (false)")
    }),
    text("index", "gather-outside", "an index outside takes the first element", |l| {
        replaced(&l.source, "select(0.0, x0[at], inside)", "x0[at]")
    }),
    text("index", "gather-repeat", "an index that repeats counts once", |l| {
        replaced(&l.source, "acc += dy_at(at);", "acc = dy_at(at);")
    }),
    text("random stream", "random-step", "every step draws the same numbers", |l| {
        replaced(&l.source, "scalars[1u], ", "scalars[0u], ")
    }),
    text("formula", "function", "exp is exp2", |l| replaced(&l.source, "select(exp(", "select(exp2(")),
    text("precision", "precision", "a function is a ten-thousandth off", |l| {
        replaced(&l.source, "= tanh_(", "= 1.0001f * tanh_(")
    }),
    text("precision", "small-arguments", "1 is taken from e^x where that cancels", |l| {
        replaced(
            &l.source,
            "p * (x * x) + x, abs(x) < vec4<f32>(0.7))",
            "p * (x * x) + x, abs(x) < vec4<f32>(0.0))",
        )
    }),
    text("precision", "f16-conversion", "what is stored as f16 has only the digits of a bfloat16", |l| {
        let own = |line: &str| line.contains("] = f16(") || line.contains("] = vec4<f16>(");
        in_lines(&l.source, own, |line| {
            let (to, value) = line.split_once("f16")?;
            let four = to.ends_with("vec4<");
            let (real, word) = if four { ("vec4<f32>", "vec4<u32>") } else { ("f32", "u32") };
            let (open, value) = value.split_at(value.find('(')? + 1);
            let value = value.strip_suffix(");")?;
            let cut = format!("bitcast<{real}>(bitcast<{word}>({value}) & {word}(0xffff0000u))");
            Some(format!("{to}f16{open}{cut});"))
        })
    }),
    text("precision", "f16-cast", "a cast to f16 and back leaves the f32 as it was", |l| {
        let by_bits = l.source.replace("return bitcast<f32>(rounded | (bits & 0x80000000u));", "return x;");
        let four = by_bits.replace("vec4<f32>(vec4<f16>(", "vec4<f32>(vec4<f32>(");
        Some(four.replace("f32(f16(", "f32(f32("))
    }),
    text("precision", "f16-sums", "a product of f16 adds up in f16", |l| {
        let half = l.source.contains("enable f16;");
        let sum = |line: &str| {
            let (sum, more) = line.split_once(" += ")?;
            let (sum, more) = (sum.trim_start(), more.strip_suffix(';')?);
            Some(format!("{sum} = vec4<f32>(vec4<f16>({sum} + {more}));"))
        };
        if half { labelled(l, "accumulate", sum) } else { None }
    }),
];

const fn text(
    kind: &'static str,
    name: &'static str,
    what: &'static str,
    damage: fn(&Launch) -> Option<String>,
) -> Break {
    Break { kind, name, what, damage: Damage::Text(damage) }
}

/// Every line with this label changed, the label apart; `None` if no line was.
fn labelled(launch: &Launch, label: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mark = format!(" // #label {label}");
    in_lines(&launch.source, |line| line.ends_with(&mark), |line| change(line.strip_suffix(&mark)?))
}

/// The first occurrence in a line replaced; `None` if there is none.
fn exchanged(line: &str, from: &str, to: &str) -> Option<String> {
    line.contains(from).then(|| line.replacen(from, to, 1))
}

/// Replaces all occurrences; `None` if there are none.
fn replaced(source: &str, from: &str, to: &str) -> Option<String> {
    source.contains(from).then(|| source.replace(from, to))
}

/// The first occurrence replaced; `None` if there is none.
fn replaced_first(source: &str, from: &str, to: &str) -> Option<String> {
    source.contains(from).then(|| source.replacen(from, to, 1))
}

fn starts(line: &str, with: &str) -> bool {
    line.trim_start().starts_with(with)
}

/// Changes every line selected by `wanted`; `None` if there is none.
fn in_lines(
    source: &str,
    wanted: impl Fn(&str) -> bool,
    change: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut changed = false;
    let mut line = |line: &str| match wanted(line).then(|| change(line)).flatten() {
        Some(new) => {
            changed = true;
            new + "\n"
        }
        None => format!("{line}\n"),
    };
    let text: String = source.lines().map(&mut line).collect();
    changed.then_some(text)
}

/// The line with the last number before `mark` one less.
fn less(line: &str, mark: &str) -> Option<String> {
    let end = line.rfind(mark)?;
    let digits = line[..end].bytes().rev().take_while(u8::is_ascii_digit).count();
    let n: usize = line[end - digits..end].parse().ok()?;
    Some(format!("{}{}{}", &line[..end - digits], n.checked_sub(1)?, &line[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn break_text_reduces_numbers_in_place() {
        assert_eq!(
            less("let ar0 = min(row0 + 0u, 32u);", "u);").as_deref(),
            Some("let ar0 = min(row0 + 0u, 31u);")
        );
        assert_eq!(less("no number u);", "u);"), None);
    }

    #[test]
    fn labelled_lines_alone_change() {
        let launch = Launch {
            name: "k".into(),
            source: "    a = 1.0; // #label one\n    a = 2.0;\n    a = 3.0; // #label one_more\n".into(),
            bindings: Vec::new(),
            groups: [1; 3],
            checked: false,
            traits: Vec::new(),
        };
        let changed = labelled(&launch, "one", |line| exchanged(line, "1.0", "4.0"));
        let text = "    a = 4.0;\n    a = 2.0;\n    a = 3.0; // #label one_more\n";
        assert_eq!(changed.as_deref(), Some(text));
        assert_eq!(labelled(&launch, "two", |line| Some(line.to_owned())), None);
    }
}

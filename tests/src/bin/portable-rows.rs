//! Rows for other implementations of WebGPU (`cargo xtask dawn`), as JSON files.
//!
//! `portable-rows write DIR [NAME]`: every row with NAME in its name, as a plan under WebGPU's default limits with its inputs.
//! `portable-rows judge DIR`: holds `DIR/ROW.result`, the words of each output, against the references, as the doctor does.

use serde_json::{Value, json};
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use wgrad_doctor::{Row, build, judge, rows};
use wgrad_kernels::{Access, Buffer};
use wgrad_plan::{Place, Plan, PlanOptions, plan};
use wgrad_types::{Caps, HostTensor};

fn place(place: &Place) -> Value {
    json!([place.slot, place.offset, place.bytes])
}

/// The dispatches of a plan in order: text, workgroups, and per binding its access and place; the scalars
/// have no place.
fn launches(plan: &Plan) -> Vec<Value> {
    let mut all = Vec::new();
    for step in &plan.steps {
        for launch in &step.candidate.launches {
            let bound = launch.bindings.iter().map(|b| {
                let at = match b.buffer {
                    Buffer::Operand(i) => Some(&step.operands[i]),
                    Buffer::Output(i) => Some(&step.outputs[i]),
                    Buffer::Scratch(i) => Some(&step.scratch[i]),
                    Buffer::Scalars => None,
                };
                json!({ "write": b.access == Access::ReadWrite, "at": at.map(place) })
            });
            all.push(json!({
                "name": launch.name,
                "source": &*launch.source,
                "groups": launch.groups,
                "bindings": bound.collect::<Vec<_>>(),
            }));
        }
    }
    all
}

fn case(row: &Row) -> Result<Value, Box<dyn Error>> {
    let built = build(row, 0);
    let plan = plan(&built.graph, &Caps::webgpu_baseline(), &PlanOptions::default())?;
    let fed = plan.inputs.iter().map(|i| (i.place, built.env.inputs[&i.name].to_host(i.ty.dtype)));
    let fed: Vec<Value> = fed
        .chain(plan.literals.iter().cloned())
        .map(|(at, t)| json!({ "at": place(&at), "words": t.words }))
        .collect();
    Ok(json!({
        "row": row.name,
        "slots": plan.slots.iter().map(|s| s.bytes).collect::<Vec<_>>(),
        "scalars": [built.env.seed, built.env.step],
        "fed": fed,
        "launches": launches(&plan),
        "outputs": plan.outputs.iter().map(|named| place(&named.place)).collect::<Vec<_>>(),
    }))
}

/// Holds a row's results against its references.
fn verdict(row: &Row, dir: &Path) -> Result<(), Box<dyn Error>> {
    let built = build(row, 0);
    let words: Vec<Vec<u32>> =
        serde_json::from_slice(&std::fs::read(dir.join(format!("{}.result", row.name)))?)?;
    let types = built.graph.outputs.iter().map(|(_, v)| built.graph.node(*v).ty.clone());
    let results: Vec<HostTensor> = types.zip(words).map(|(ty, words)| HostTensor { ty, words }).collect();
    if results.len() != built.graph.outputs.len() {
        return Err("results are missing".into());
    }
    Ok(judge(row, &built, &results)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["write", dir, ref name @ ..] => {
            let name = name.first().copied().unwrap_or_default();
            for row in rows::all().into_iter().filter(|row| row.name.contains(name)) {
                std::fs::write(Path::new(dir).join(format!("{}.json", row.name)), case(row)?.to_string())?;
            }
            Ok(())
        }
        ["judge", dir] => {
            let dir = Path::new(dir);
            let written = |row: &&Row| dir.join(format!("{}.json", row.name)).exists();
            let rows: Vec<&Row> = rows::all().into_iter().filter(written).collect();
            let mut wrong = 0;
            for row in &rows {
                if let Err(why) = verdict(row, dir) {
                    writeln!(std::io::stdout(), "{}: {why}", row.name)?;
                    wrong += 1;
                }
            }
            writeln!(std::io::stdout(), "{} rows, {wrong} wrong", rows.len())?;
            if wrong > 0 || rows.is_empty() {
                Err("the results are not the references".into())
            } else {
                Ok(())
            }
        }
        _ => Err("usage: portable-rows write DIR [NAME] | judge DIR".into()),
    }
}

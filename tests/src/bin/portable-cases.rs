//! Cases for other implementations of WebGPU (`cargo xtask dawn`), as JSON files.
//!
//! `portable-cases write DIR [NAME]`: every case with NAME in its name, as a plan under WebGPU's default
//! limits with its inputs. `portable-cases judge DIR`: compares `DIR/CASE.result`, the words of each output,
//! with the references, like the doctor.

use serde_json::{Value, json};
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use wgrad_doctor::{Case, build, cases, judge};
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
    for kernel in &plan.kernels {
        for launch in &kernel.variant.launches {
            let bound = launch.bindings.iter().map(|b| {
                let at = match b.buffer {
                    Buffer::Operand(i) => Some(&kernel.operands[i]),
                    Buffer::Output(i) => Some(&kernel.outputs[i]),
                    Buffer::Scratch(i) => Some(&kernel.scratch[i]),
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

fn as_json(case: &Case) -> Result<Value, Box<dyn Error>> {
    let built = build(case, 0);
    let plan = plan(&built.graph, &Caps::webgpu_baseline(), &PlanOptions::default())?;
    let fed = plan.inputs.iter().map(|i| (i.place, built.env.inputs[&i.name].to_host(i.ty.dtype)));
    let fed: Vec<Value> = fed
        .chain(plan.literals.iter().cloned())
        .map(|(at, t)| json!({ "at": place(&at), "words": t.words }))
        .collect();
    Ok(json!({
        "case": case.name,
        "slots": plan.slots.iter().map(|s| s.bytes).collect::<Vec<_>>(),
        "scalars": [built.env.seed, built.env.step],
        "fed": fed,
        "launches": launches(&plan),
        "outputs": plan.outputs.iter().map(|named| place(&named.place)).collect::<Vec<_>>(),
    }))
}

/// Holds a case's results against its references.
fn verdict(case: &Case, dir: &Path) -> Result<(), Box<dyn Error>> {
    let built = build(case, 0);
    let words: Vec<Vec<u32>> =
        serde_json::from_slice(&std::fs::read(dir.join(format!("{}.result", case.name)))?)?;
    let types = built.graph.outputs.iter().map(|(_, v)| built.graph.node(*v).ty.clone());
    let results: Vec<HostTensor> = types.zip(words).map(|(ty, words)| HostTensor { ty, words }).collect();
    if results.len() != built.graph.outputs.len() {
        return Err("results are missing".into());
    }
    Ok(judge(case, &built, &results)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["write", dir, ref name @ ..] => {
            let name = name.first().copied().unwrap_or_default();
            for case in cases::all().into_iter().filter(|case| case.name.contains(name)) {
                std::fs::write(
                    Path::new(dir).join(format!("{}.json", case.name)),
                    as_json(case)?.to_string(),
                )?;
            }
            Ok(())
        }
        ["judge", dir] => {
            let dir = Path::new(dir);
            let written = |case: &&Case| dir.join(format!("{}.json", case.name)).exists();
            let cases: Vec<&Case> = cases::all().into_iter().filter(written).collect();
            let mut wrong = 0;
            for case in &cases {
                if let Err(why) = verdict(case, dir) {
                    writeln!(std::io::stdout(), "{}: {why}", case.name)?;
                    wrong += 1;
                }
            }
            writeln!(std::io::stdout(), "{} cases, {wrong} wrong", cases.len())?;
            if wrong > 0 || cases.is_empty() {
                Err("the results are not the references".into())
            } else {
                Ok(())
            }
        }
        _ => Err("usage: portable-cases write DIR [NAME] | judge DIR".into()),
    }
}

//! `rows-as-json DIR [NAME]`: every row whose name contains NAME, as plans under WebGPU's default limits, with inputs and
//! references, for programs that run WGSL otherwise than through naga (`cargo xtask dawn`).

use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use wgrad_doctor::{Row, build, references, rows};
use wgrad_kernels::{Access, Buffer};
use wgrad_plan::{Place, Plan, PlanOptions, plan};
use wgrad_types::{Caps, DType};

fn place(place: &Place) -> Value {
    json!([place.slot, place.offset, place.bytes])
}

/// The dispatches of a plan in order: text, workgroups, and per binding whether it is written and where it is; the scalars
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
    // Bits, since JSON knows no NaN.
    let bits = |v: &f64| [v.to_bits() as u32, (v.to_bits() >> 32) as u32];
    let references = references(row, &built);
    let outputs = plan.outputs.iter().enumerate().map(|(i, named)| {
        let wanted = references.iter().map(|r| r[i].data.iter().flat_map(bits).collect::<Vec<u32>>());
        json!({
            "name": named.name,
            "at": place(&named.place),
            "real": named.ty.dtype == DType::F32,
            "dtype": named.ty.dtype.to_string(),
            "wanted": wanted.collect::<Vec<_>>(),
        })
    });
    let fed = plan.inputs.iter().map(|i| (i.place, built.env.inputs[&i.name].to_host(i.ty.dtype)));
    let fed: Vec<Value> = fed
        .chain(plan.literals.iter().cloned())
        .map(|(at, t)| json!({ "at": place(&at), "words": t.words }))
        .collect();
    Ok(json!({
        "row": row.name,
        "each": row.each(),
        "tolerance": row.tolerance,
        "slots": plan.slots.iter().map(|s| s.bytes).collect::<Vec<_>>(),
        "scalars": [built.env.seed, built.env.step],
        "fed": fed,
        "launches": launches(&plan),
        "outputs": outputs.collect::<Vec<_>>(),
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: rows-as-json DIR [NAME]")?;
    let name = args.next().unwrap_or_default();
    for row in rows::all().into_iter().filter(|row| row.name.contains(&name)) {
        let path = Path::new(&dir).join(format!("{}.json", row.name));
        std::fs::write(path, case(row)?.to_string())?;
    }
    Ok(())
}

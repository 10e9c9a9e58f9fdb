//! The lowest level: a graph by hand, its gradient, its plan on a device, and the same numbers from the f64 interpreter.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;
use wgrad::graph::{Env, interpret, print};
use wgrad::prelude::*;

fn main() -> wgrad::Result<()> {
    let b = Builder::new();
    let (x, w) = (b.input("x", Type::f32(&[3, 4])), b.input("w", Type::f32(&[4, 2])));
    let loss = x.matmul(&w).tanh().square().mean_all();
    let gradient = differentiate(&loss, std::slice::from_ref(&w))?.remove(0);
    b.output("loss", &loss);
    b.output("dw", &gradient);
    let graph = b.graph();
    println!("{}", print(&graph));

    let device = Device::auto()?;
    let plan = Arc::new(plan(&graph, device.caps(), &PlanOptions::default())?);
    let mut memory = device.memory(&plan.layout)?;
    let mut program = device.program(plan, &memory)?;
    let data = |shape: &[usize]| Array::from_fn(shape, |i| (i as f64 * 0.7).sin());
    let (xs, ws) = (data(&[3, 4]), data(&[4, 2]));
    let words = [xs.to_host(DType::F32).words, ws.to_host(DType::F32).words];
    program.step(&mut memory, &[&words[0], &words[1]], &[0, 0])?;
    let results = program.wait()?.expect("a step was submitted");

    let mut env = Env::default();
    env.inputs.extend([("x".to_owned(), xs), ("w".to_owned(), ws)]);
    let exact = interpret(&graph, &env)[gradient.value().index()].clone().map(|a| a.data).unwrap_or_default();
    for (got, want) in results[1].iter().map(|&w| f32::from_bits(w)).zip(exact) {
        println!("{got:+.7}  exact {want:+.7}");
        assert!((f64::from(got) - want).abs() < 1e-6, "the device and the interpreter differ");
    }
    Ok(())
}

//! `wgrad plan`: kernels, work and memory of a step, without running it. Opens a device only if one is given.

use crate::output::{self, bytes, count, flops, table};
use crate::peers::Peers;
use crate::workload::WorkloadArgs;
use anyhow::Result;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use wgrad_device::{Device, Request, cpu_threads};
use wgrad_plan::{Choices, Plan, PlanOptions, PlannedKernel, Summary, dump, launch_names, plan, wgsl};
use wgrad_train::{TrainError, Value as Fact, Workload, check_precision};
use wgrad_types::{Caps, Limits};

/// Assumed largest binding without `--device` or `--limits`: the limit of common GPUs.
const COMMON_BINDING: usize = 2 << 30;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad plan --model alexnet --batch-size 64\n  \
                        wgrad plan --model lenet --limits webgpu-baseline --kernels\n  \
                        wgrad plan --model lenet --wgsl conv2d > conv2d.wgsl\n  \
                        wgrad plan --model gpt --layers 6 --hidden 384 --heads 6 --context 256\n  \
                        wgrad plan --model cifar-cnn --device software --peers")]
pub(crate) struct Args {
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Device of this machine to plan for: auto, gpu, gpu:N, software or cpu
    #[arg(long)]
    device: Option<String>,
    /// Device limits to respect
    #[arg(long, value_enum)]
    limits: Option<LimitsName>,
    /// List every kernel
    #[arg(long, alias = "steps")]
    kernels: bool,
    /// Print the WGSL of the kernels with names, as listed by --kernels, that begin with NAME
    #[arg(long, value_name = "NAME", conflicts_with_all = ["json", "kernels", "peers"])]
    wgsl: Option<String>,
    /// Compare with other engines' dispatches and bytes for the same step, measured for a few models
    #[arg(long)]
    peers: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum LimitsName {
    WebgpuBaseline,
}

/// Capabilities to plan for, the target's name, and its tuned kernel variants.
fn caps(args: &Args) -> Result<(Caps, String, Arc<Choices>), TrainError> {
    let none = Arc::default;
    let baseline = args.limits == Some(LimitsName::WebgpuBaseline);
    match args.device.as_deref() {
        Some("cpu") if baseline => Err(TrainError::Config {
            setting: "limits".into(),
            why: "the CPU has no limits: leave out --limits or choose another --device".into(),
        }),
        Some("cpu") => Ok((Caps::cpu(), "the native CPU".into(), none())),
        Some(name) => {
            let request: Request = name.parse()?;
            let request = if baseline { request.with_baseline_limits() } else { request };
            let (device, selected) = Device::open(&request)?;
            Ok((device.caps().clone(), selected.device, device.choices()))
        }
        None if baseline => {
            Ok((Caps::webgpu_baseline(), "a GPU with WebGPU's default limits".into(), none()))
        }
        None => {
            let limits = Limits {
                binding_bytes: COMMON_BINDING,
                buffer_bytes: COMMON_BINDING,
                ..Limits::WEBGPU_BASELINE
            };
            let caps = Caps { limits, f16: true, ..Caps::webgpu_baseline() };
            Ok((caps, format!("a GPU that binds {}", bytes(COMMON_BINDING)), none()))
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (_, workload) = args.workload.build(args.device.as_deref())?;
    let (caps, target, choices) = caps(args)?;
    check_precision(&args.workload.precision, &caps, &target)?;
    let options = PlanOptions::default().choices(&choices).packed(args.workload.eval);
    let plan = plan(&workload.graph, &caps, &options)?;
    if let Some(name) = &args.wgsl {
        output::line(&kernel_text(&plan, name)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let peers = args.peers.then(|| Peers::of(&args.workload)).transpose()?;
    if args.json {
        let mut value = as_json(args, &workload, &target, &plan);
        peers.iter().for_each(|peers| value["peers"] = peers.as_json());
        output::json(&value)?;
    } else {
        let beside = peers.map(|peers| format!("\n\n{}", peers.as_text(&Summary::of(&plan))));
        output::line(&(as_text(args, &workload, &target, &plan) + &beside.unwrap_or_default()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn kernel_text(plan: &Plan, name: &str) -> Result<String, TrainError> {
    let refused = |why: String| Err(TrainError::Config { setting: "wgsl".into(), why });
    let texts = wgsl(plan, name);
    if !texts.is_empty() {
        return Ok(texts.join("\n").trim_end().to_owned());
    }
    match launch_names(plan) {
        names if names.is_empty() => refused("this plan has no WGSL: use --device gpu or software".into()),
        names => refused(format!("no kernel of the plan is named {name}; it has {}", names.join(", "))),
    }
}

/// Size of inputs, outputs and tables, in bytes.
fn rest(s: &Summary) -> usize {
    let told = [s.weight_bytes, s.state_bytes, s.gradient_bytes, s.activation_bytes, s.staging_bytes];
    s.peak_bytes - s.thread_bytes - told.iter().sum::<usize>()
}

fn as_text(args: &Args, workload: &Workload, target: &str, plan: &Plan) -> String {
    let s = Summary::on(plan, cpu_threads());
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let what = if args.workload.eval {
        "evaluation".into()
    } else {
        format!("training with {}", args.workload.optimizer)
    };
    let batch = count(args.workload.batch_size as u64);
    let head = [
        row("model", format!("{} {}, batch {batch}, {what}", args.workload.model, workload.caption)),
        row("planned for", target.to_owned()),
        row("dispatches", count(s.dispatches as u64)),
        row("work", format!("{} per step", flops(s.flops))),
        row("moved", format!("{} per step", bytes(usize::try_from(s.bytes).unwrap_or(usize::MAX)))),
    ];
    let memory = [
        row("peak memory", bytes(s.peak_bytes)),
        row("  weights", bytes(s.weight_bytes)),
        row("  optimizer state", bytes(s.state_bytes)),
        row("  gradients", bytes(s.gradient_bytes)),
        row("  activations", bytes(s.activation_bytes)),
        row("  inputs, outputs", bytes(rest(&s))),
        row("  staging", bytes(s.staging_bytes)),
        row("  per-thread scratch", bytes(s.thread_bytes)),
    ];
    let kernels = if args.kernels { dump(plan) } else { "--kernels lists every kernel".into() };
    format!("{}\n\n{}\n\n{}", table(&head, &[1]), table(&memory, &[]), kernels.trim_end())
}

fn as_json(args: &Args, workload: &Workload, target: &str, plan: &Plan) -> Value {
    let s = Summary::on(plan, cpu_threads());
    let mut value = json!({
        "model": args.workload.model,
        "batch_size": args.workload.batch_size,
        "mode": if args.workload.eval { "evaluation" } else { "training" },
        "planned_for": target,
        "dispatches": s.dispatches,
        "flops": s.flops,
        "bytes_moved": s.bytes,
        "peak_bytes": s.peak_bytes,
        "weight_bytes": s.weight_bytes,
        "state_bytes": s.state_bytes,
        "gradient_bytes": s.gradient_bytes,
        "activation_bytes": s.activation_bytes,
        "staging_bytes": s.staging_bytes,
        "thread_bytes": s.thread_bytes,
        "other_bytes": rest(&s),
    });
    for (name, fact) in &workload.fields {
        value[*name] = match fact {
            Fact::Unset => Value::Null,
            Fact::Switch(on) => json!(on),
            Fact::Count(n) => json!(n),
            Fact::Number(v) => json!(v),
            Fact::Text(text) => json!(text),
        };
    }
    if !args.workload.eval {
        value["optimizer"] = json!(args.workload.optimizer);
    }
    if args.kernels {
        let kernel = |kernel: &PlannedKernel| {
            json!({
                "kernel": kernel.kernel.name(),
                "variant": kernel.variant.name,
                "layer": kernel.scope,
                "shape": kernel.kernel.shape,
                "dispatches": kernel.variant.launches.len().max(1),
                "flops": kernel.cost.flops,
                "bytes_moved": kernel.cost.bytes,
            })
        };
        value["kernels"] = plan.kernels.iter().map(kernel).collect();
    }
    value
}

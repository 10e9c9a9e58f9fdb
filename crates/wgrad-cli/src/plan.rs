//! `wgrad plan`: what a step does and needs, before anything runs. Opens a device only where one is named.

use crate::output::{self, bytes, count, flops, table};
use crate::shape::Shape;
use anyhow::Result;
use serde_json::{Value, json};
use std::process::ExitCode;
use wgrad_device::{Device, Request};
use wgrad_graph::Graph;
use wgrad_models::{ImageModel, ModelKind, TextKind};
use wgrad_plan::{Plan, PlanOptions, PlanStep, Summary, dump, plan};
use wgrad_train::{Config, ModelCard, TrainError, eval_graph, pixel_graph, step_graph, text_graph};
use wgrad_types::{Caps, Limits};

/// Largest binding counted on where neither `--device` nor `--limits` says: what common GPUs offer.
const COMMON_BINDING: usize = 2 << 30;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad plan --model alexnet --batch-size 64\n  \
                        wgrad plan --model lenet --limits webgpu-baseline --steps\n  \
                        wgrad plan --model gpt --layers 6 --hidden 384 --heads 6 --context 256")]
pub(crate) struct Args {
    /// Model of the zoo
    #[arg(long, value_name = "NAME", help = crate::train::models())]
    model: String,
    /// Factor on the model's widths
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true)]
    width: f64,
    /// Images, or rows of text, a step
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Side of the images [default: the model's own, or 28]
    #[arg(long, value_name = "N")]
    image_size: Option<usize>,
    /// Classes to tell apart
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    classes: u32,
    /// Image channels [default: 1 for linear, mlp and lenet, else 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    channels: Option<u32>,
    /// Different tokens of a language model
    #[arg(long, value_name = "N", default_value_t = 65, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    vocabulary: u32,
    #[command(flatten)]
    shape: Shape,
    /// Update rule
    #[arg(long, value_name = "NAME", default_value = "adam", help = crate::train::optimizers())]
    optimizer: String,
    /// Plan for a device of this machine: auto, gpu, gpu:N, software or cpu
    #[arg(long)]
    device: Option<String>,
    /// Limits to keep within
    #[arg(long, value_enum)]
    limits: Option<LimitsName>,
    /// Plan an evaluation batch instead of a training step
    #[arg(long)]
    eval: bool,
    /// List every kernel
    #[arg(long)]
    steps: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum LimitsName {
    WebgpuBaseline,
}

/// Capabilities to plan for, and what they are called.
fn caps(args: &Args) -> Result<(Caps, String), TrainError> {
    let baseline = args.limits == Some(LimitsName::WebgpuBaseline);
    match args.device.as_deref() {
        Some("cpu") if baseline => Err(TrainError::Config {
            option: "--limits".into(),
            why: "the CPU has no limits: leave out --limits or choose another --device".into(),
        }),
        Some("cpu") => Ok((Caps::cpu(), "the native CPU".into())),
        Some(name) => {
            let request: Request = name.parse()?;
            let request = if baseline { request.with_baseline_limits() } else { request };
            let (device, choice) = Device::open(&request)?;
            Ok((device.caps().clone(), choice.device))
        }
        None if baseline => Ok((Caps::webgpu_baseline(), "a GPU with WebGPU's default limits".into())),
        None => {
            let limits = Limits {
                binding_bytes: COMMON_BINDING,
                buffer_bytes: COMMON_BINDING,
                ..Limits::WEBGPU_BASELINE
            };
            let caps = Caps { limits, ..Caps::webgpu_baseline() };
            Ok((caps, format!("a GPU that binds {}", bytes(COMMON_BINDING))))
        }
    }
}

/// What is planned: its graph, in words and as fields of JSON.
struct Subject {
    graph: Graph,
    words: String,
    fields: Vec<(&'static str, Value)>,
}

/// An image classifier's step or evaluation.
fn of_images(args: &Args, config: &Config) -> Result<Subject, TrainError> {
    let kind = config.model_kind()?;
    let side = args.image_size.or(kind.image_size()).unwrap_or(28);
    let coloured = !matches!(kind, ModelKind::Linear | ModelKind::Mlp | ModelKind::LeNet);
    let channels = args.channels.map_or(if coloured { 3 } else { 1 }, |n| n as usize);
    let classes = args.classes as usize;
    let model = ImageModel { kind, channels, size: (side, side), classes, width: args.width };
    model.check()?;
    let graph = if args.eval {
        eval_graph(&model, args.batch_size)?
    } else {
        step_graph(&model, args.batch_size, &config.optimizer()?, config.label_smoothing)?
    };
    let known = count(classes as u64);
    let words = format!("(width {}), {channels}x{side}x{side} images, {known} classes", args.width);
    let fields = vec![
        ("width_factor", json!(args.width)),
        ("channels", json!(channels)),
        ("height", json!(side)),
        ("width", json!(side)),
        ("classes", json!(classes)),
    ];
    Ok(Subject { graph, words, fields })
}

/// A segmenter's step or evaluation.
fn of_pixels(args: &Args, config: &Config) -> Result<Subject, TrainError> {
    let (side, channels) = (args.image_size.unwrap_or(128), args.channels.map_or(3, |n| n as usize));
    let card = ModelCard {
        model: args.model.clone(),
        width: args.width,
        channels,
        size: (side, side),
        classes: (0..args.classes).map(|class| class.to_string()).collect(),
        mean: vec![0.0; channels],
        std: vec![1.0; channels],
    };
    let optimizer = if args.eval { None } else { Some(config.optimizer()?) };
    let graph = pixel_graph(&card, args.batch_size, optimizer.as_ref())?;
    let known = count(u64::from(args.classes));
    let words = format!("(width {}), {channels}x{side}x{side} images, {known} classes of pixels", args.width);
    let fields = vec![
        ("width_factor", json!(args.width)),
        ("channels", json!(channels)),
        ("height", json!(side)),
        ("width", json!(side)),
        ("classes", json!(args.classes)),
    ];
    Ok(Subject { graph, words, fields })
}

/// A language model's step or evaluation.
fn of_text(args: &Args, config: &Config, kind: TextKind) -> Result<Subject, TrainError> {
    let model = config.text_model(kind, args.vocabulary as usize);
    model.check()?;
    let optimizer = if args.eval { None } else { Some(config.optimizer()?) };
    let graph = text_graph(&model, args.batch_size, optimizer.as_ref())?;
    let known = count(u64::from(args.vocabulary));
    let words =
        format!("({} layers of {}), context {}, {known} tokens", model.layers, model.hidden, model.context);
    let fields = vec![
        ("layers", json!(model.layers)),
        ("hidden", json!(model.hidden)),
        ("heads", json!(model.heads)),
        ("context", json!(model.context)),
        ("vocabulary", json!(model.vocab)),
    ];
    Ok(Subject { graph, words, fields })
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = Config {
        model: args.model.clone(),
        width: args.width,
        batch_size: args.batch_size,
        optimizer: args.optimizer.clone(),
        image_size: args.image_size,
        device: args.device.clone().unwrap_or_else(|| "auto".into()),
        context: args.shape.context,
        layers: args.shape.layers,
        hidden: args.shape.hidden,
        heads: args.shape.heads,
        data: Config::for_model(&args.model).data,
        ..Config::default()
    };
    config.check()?;
    let subject = match config.text_kind() {
        Some(kind) => of_text(args, &config, kind)?,
        None if config.is_segmenter() => of_pixels(args, &config)?,
        None => of_images(args, &config)?,
    };
    let (caps, target) = caps(args)?;
    let plan = plan(&subject.graph, &caps, &PlanOptions::default())?;
    if args.json {
        output::json(&as_json(args, &subject, &target, &plan))?;
    } else {
        output::line(&as_text(args, &subject, &target, &plan))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes of inputs, outputs and tables.
fn rest(s: &Summary) -> usize {
    s.peak_bytes - s.weight_bytes - s.state_bytes - s.gradient_bytes - s.activation_bytes
}

fn as_text(args: &Args, subject: &Subject, target: &str, plan: &Plan) -> String {
    let s = Summary::of(plan);
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let what = if args.eval { "evaluation".into() } else { format!("training with {}", args.optimizer) };
    let batch = count(args.batch_size as u64);
    let head = [
        row("model", format!("{} {}, batch {batch}, {what}", args.model, subject.words)),
        row("planned for", target.to_owned()),
        row("dispatches", count(s.dispatches as u64)),
        row("work", format!("{} a step", flops(s.flops))),
        row("moved", format!("{} a step", bytes(usize::try_from(s.bytes).unwrap_or(usize::MAX)))),
    ];
    let memory = [
        row("peak memory", bytes(s.peak_bytes)),
        row("  weights", bytes(s.weight_bytes)),
        row("  optimizer state", bytes(s.state_bytes)),
        row("  gradients", bytes(s.gradient_bytes)),
        row("  activations", bytes(s.activation_bytes)),
        row("  inputs, outputs", bytes(rest(&s))),
    ];
    let kernels = if args.steps { dump(plan) } else { "--steps lists every kernel".into() };
    format!("{}\n\n{}\n\n{}", table(&head, &[1]), table(&memory, &[]), kernels.trim_end())
}

fn as_json(args: &Args, subject: &Subject, target: &str, plan: &Plan) -> Value {
    let s = Summary::of(plan);
    let mut value = json!({
        "model": args.model,
        "batch_size": args.batch_size,
        "mode": if args.eval { "evaluation" } else { "training" },
        "planned_for": target,
        "dispatches": s.dispatches,
        "flops": s.flops,
        "bytes_moved": s.bytes,
        "peak_bytes": s.peak_bytes,
        "weight_bytes": s.weight_bytes,
        "state_bytes": s.state_bytes,
        "gradient_bytes": s.gradient_bytes,
        "activation_bytes": s.activation_bytes,
        "other_bytes": rest(&s),
    });
    subject.fields.iter().for_each(|(name, field)| value[*name] = field.clone());
    if !args.eval {
        value["optimizer"] = json!(args.optimizer);
    }
    if args.steps {
        let kernel = |step: &PlanStep| {
            json!({
                "kernel": step.step.name(),
                "form": step.candidate.name,
                "layer": step.scope,
                "shape": step.step.shape,
                "dispatches": step.candidate.launches.len().max(1),
                "flops": step.cost.flops,
                "bytes_moved": step.cost.bytes,
            })
        };
        value["kernels"] = plan.steps.iter().map(kernel).collect();
    }
    value
}

//! Workload of `plan`, `profile` and `tune`: a model's training step or evaluation, described by flags.

use crate::output::count;
use crate::settings::meaning;
use crate::shape::Shape;
use crate::spelling;
use serde_json::{Value, json};
use wgrad_graph::{Graph, autocast, fold, hoist};
use wgrad_models::{ImageModel, ModelKind, TextKind};
use wgrad_train::{
    Config, GenerativeKind, ModelCard, Reading, TrainError, eval_graph, generative_graph, pixel_graph,
    step_graph, text_graph,
};

/// Flags for a model and its training step.
#[derive(clap::Args)]
pub(crate) struct WorkloadArgs {
    #[arg(long, value_name = "NAME", help = meaning("model"))]
    pub(crate) model: String,
    #[arg(long, value_name = "F", help = meaning("width"), default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) width: f64,
    #[arg(long, value_name = "N", help = meaning("batch_size"), default_value_t = 32)]
    pub(crate) batch_size: usize,
    #[arg(long, value_name = "N", help = format!("{} [default: the model's own, or 28]", meaning("image_size")))]
    image_size: Option<usize>,
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    classes: u32,
    /// Number of image channels [default: 1 for linear, mlp and lenet, else 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    channels: Option<u32>,
    /// Vocabulary size of a language model
    #[arg(long, value_name = "N", default_value_t = 65, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    vocabulary: u32,
    #[command(flatten)]
    shape: Shape,
    #[arg(long, value_name = "NAME", default_value = "adam", help = meaning("optimizer"))]
    pub(crate) optimizer: String,
    #[arg(long, value_name = "NAME", default_value = "f32", help = meaning("precision"))]
    pub(crate) precision: String,
    /// Use an evaluation batch instead of a training step
    #[arg(long)]
    pub(crate) eval: bool,
}

/// Graph of a workload, with its description in words and as JSON fields.
pub(crate) struct Workload {
    pub(crate) graph: Graph,
    pub(crate) words: String,
    pub(crate) fields: Vec<(&'static str, Value)>,
}

/// Training step or evaluation of an image classifier.
fn of_images(args: &WorkloadArgs, config: &Config) -> Result<Workload, TrainError> {
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
    Ok(Workload { graph, words, fields })
}

/// Training step or evaluation of a segmenter or a generative model.
fn of_pixels(args: &WorkloadArgs, config: &Config) -> Result<Workload, TrainError> {
    let (usual, channels) = match config.generative_kind() {
        Some(GenerativeKind::Autoencoder) => (28, 1),
        Some(GenerativeKind::DcGan) => (32, 3),
        None => (128, 3),
    };
    let side = args.image_size.unwrap_or(usual);
    let channels = args.channels.map_or(channels, |n| n as usize);
    let card = ModelCard {
        model: config.model.clone(),
        width: args.width,
        channels,
        size: (side, side),
        classes: (0..args.classes).map(|class| class.to_string()).collect(),
        mean: vec![0.0; channels],
        std: vec![1.0; channels],
        reading: Reading::default(),
    };
    let optimizer = if args.eval { None } else { Some(config.optimizer()?) };
    let (batch, optimizer) = (args.batch_size, optimizer.as_ref());
    let graph = match config.generative_kind() {
        Some(_) => generative_graph(&card, batch, optimizer)?,
        None => pixel_graph(&card, batch, optimizer)?,
    };
    let told = match config.generative_kind() {
        Some(GenerativeKind::DcGan) if !args.eval => "images, the discriminator's half of a step".to_owned(),
        Some(_) => "images".to_owned(),
        None => format!("images, {} classes of pixels", count(u64::from(args.classes))),
    };
    let words = format!("(width {}), {channels}x{side}x{side} {told}", args.width);
    let fields = vec![
        ("width_factor", json!(args.width)),
        ("channels", json!(channels)),
        ("height", json!(side)),
        ("width", json!(side)),
        ("classes", json!(args.classes)),
    ];
    Ok(Workload { graph, words, fields })
}

/// Training step or evaluation of a language model.
fn of_text(args: &WorkloadArgs, config: &Config, kind: TextKind) -> Result<Workload, TrainError> {
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
    Ok(Workload { graph, words, fields })
}

impl WorkloadArgs {
    /// True if both are the same work: model, shapes, optimizer and precision.
    pub(crate) fn is_same(&self, other: &Self) -> Result<bool, TrainError> {
        let names = |w: &Self| [w.model.clone(), w.optimizer.clone(), w.precision.clone()];
        let alike =
            names(self) == names(other) && self.batch_size == other.batch_size && self.eval == other.eval;
        Ok(alike && self.build(None)?.1.fields == other.build(None)?.1.fields)
    }

    /// Equivalent configuration, and the workload with its graph.
    pub(crate) fn build(&self, device: Option<&str>) -> Result<(Config, Workload), TrainError> {
        let args = self;
        let model = spelling::model(&args.model)?;
        let config = spelling::settled(Config {
            data: Config::for_model(&model).data,
            model,
            width: args.width,
            batch_size: args.batch_size,
            optimizer: args.optimizer.clone(),
            precision: args.precision.clone(),
            image_size: args.image_size,
            device: device.unwrap_or("auto").into(),
            context: args.shape.context,
            layers: args.shape.layers,
            hidden: args.shape.hidden,
            heads: args.shape.heads,
            ..Config::default()
        })?;
        config.check()?;
        if args.eval && args.precision != "f32" {
            return Err(TrainError::Config {
                setting: "precision".into(),
                why: "evaluation runs in f32: leave it out with --eval".into(),
            });
        }
        let mut workload = match config.text_kind() {
            Some(kind) => of_text(args, &config, kind)?,
            None if config.is_segmenter() || config.generative_kind().is_some() => of_pixels(args, &config)?,
            None => of_images(args, &config)?,
        };
        if args.eval {
            workload.graph = hoist(&fold(&workload.graph)).each;
        }
        if args.precision == "f16" {
            workload.graph = autocast(&workload.graph);
            workload.words += ", f16";
        }
        Ok((config, workload))
    }
}

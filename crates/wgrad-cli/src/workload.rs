//! Workload of `plan`, `profile` and `tune`: a model's training step or evaluation, described by flags.

use crate::settings::meaning;
use crate::shape::Shape;
use crate::spelling;
use wgrad_train::{Assumed, Config, TrainError, Workload, workload};

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
        let assumed = Assumed {
            classes: args.classes as usize,
            channels: args.channels.map(|n| n as usize),
            vocabulary: args.vocabulary as usize,
            evaluation: args.eval,
        };
        let workload = workload(&config, &assumed)?;
        Ok((config, workload))
    }
}

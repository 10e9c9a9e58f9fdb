//! Training, evaluation, prediction and generation: the library behind the command line.
//!
//! [`train`] runs epochs over a data source, evaluates, stops early, saves checkpoints and resumes bit for bit. Progress is
//! reported to an [`Observer`]; nothing here prints.

mod describe;
mod error;
mod evaluate;
mod evaluation;
mod numbers;
mod precision;
mod run;
mod saved;
mod settings;
mod spec;
mod tasks;

pub use describe::workload;
pub use error::TrainError;
pub use evaluate::evaluate_checkpoint;
pub use evaluation::{Evaluation, Scores};
pub use numbers::thousands;
pub use precision::check_precision;
pub use run::callback::Callback;
pub use run::observer::{EvalReport, Observer, StartReport, StepReport};
pub use run::summary::Summary;
pub use run::training::{Training, train};
pub use saved::card::{Card, ModelCard, Reading, TextCard};
pub use saved::files::{load_checkpoint_card, load_config};
pub use saved::kept::{Origin, Weights, origin};
pub use settings::{Config, Rule, Setting, Sort, Value, model_names, settings};
pub use spec::guess_source;
pub use tasks::gradients::Gradients;
pub use tasks::image_data::is_picture;
pub use tasks::kind::{Assumed, Brought, Evaluating, Input, Output, Part, TaskKind, Workload};
pub use tasks::task::{Feed, Feeds, Sizes, Task};
pub use tasks::{
    Generator, Guess, Mask, Predictor, Sampling, Segmenter, eval_graph, kind_of, kinds, step_graph,
    text_graph, train_graph,
};

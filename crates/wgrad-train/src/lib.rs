//! Training, evaluation, prediction and generation: the library behind the command line.
//!
//! [`train`] runs epochs over a data source, evaluates, stops early, saves checkpoints and resumes bit for bit. Progress is
//! reported to an [`Observer`]; nothing here prints.

mod anomaly;
mod curves;
mod data;
mod error;
mod evaluate;
#[cfg(test)]
mod feeds_tests;
mod generate;
mod generative;
mod generative_task;
mod graphs;
mod image_data;
mod images;
mod kept;
mod observer;
mod part;
mod plans;
mod precision;
mod predict;
mod run;
mod run_folder;
mod segmentation;
mod segmenter;
mod settings;
mod spec;
mod state;
mod task;
mod text;
mod transfer;
mod tuning;

pub use error::TrainError;
pub use evaluate::{Evaluation, Scores, evaluate_checkpoint};
pub use generate::{Generator, Sampling};
pub use generative::{GENERATIVE_MODELS, GenerativeKind, generative_graph};
pub use graphs::{eval_graph, step_graph, train_graph};
pub use kept::{Origin, Weights, origin};
pub use observer::{EvalReport, Observer, StartReport, StepReport};
pub use part::Part;
pub use precision::check_precision;
pub use predict::{Guess, Predictor, is_picture};
pub use run::{Summary, train};
pub use segmentation::{SEGMENTER, pixel_graph};
pub use segmenter::{Mask, Segmenter};
pub use settings::{Config, Rule, Setting, Sort, Value, model_names, settings};
pub use spec::guess_source;
pub use state::{Card, ModelCard, Reading, TextCard, load_checkpoint_card, load_config};
pub use task::Sizes;
pub use text::text_graph;

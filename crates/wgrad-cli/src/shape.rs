//! Shape flags of a language model, of commands that build one for measurement.

use crate::settings::help;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Shape {
    #[arg(long, value_name = "N", help = help("context"))]
    pub(crate) context: Option<usize>,
    #[arg(long, value_name = "N", help = help("layers"))]
    pub(crate) layers: Option<usize>,
    #[arg(long, value_name = "N", help = help("hidden"))]
    pub(crate) hidden: Option<usize>,
    #[arg(long, value_name = "N", help = help("heads"))]
    pub(crate) heads: Option<usize>,
}

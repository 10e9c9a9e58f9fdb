//! Shape flags of a language model, shared by every command building one.

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Shape {
    /// Context length of a language model, in tokens [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,
    /// Number of layers of a language model [default: 4 for gpt and bert, 2 for others]
    #[arg(long, value_name = "N")]
    pub(crate) layers: Option<usize>,
    /// Width of a language model's hidden state or residual stream [default: 128 for gpt and bert, 256 for others]
    #[arg(long, value_name = "N")]
    pub(crate) hidden: Option<usize>,
    /// Number of attention heads in gpt and bert [default: 4]
    #[arg(long, value_name = "N")]
    pub(crate) heads: Option<usize>,
}

//! The flags that shape a language model, for every command that makes one.

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Shape {
    /// Tokens of a language model's training sequences [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,
    /// Its layers [default: 4 for gpt and bert, 2 for others]
    #[arg(long, value_name = "N")]
    pub(crate) layers: Option<usize>,
    /// Width of its hidden state or residual stream [default: 128 for gpt and bert, 256 for others]
    #[arg(long, value_name = "N")]
    pub(crate) hidden: Option<usize>,
    /// Heads of attention in gpt and bert [default: 4]
    #[arg(long, value_name = "N")]
    pub(crate) heads: Option<usize>,
}

//! The WGSL that is written by hand, by name, and the expander that makes a kernel of it.
//!
//! Every file is valid WGSL as it stands, with small figures in its `const` header. [`expand`] puts a launch's own
//! figures in. This crate knows no step and no device.

mod evaluate;
mod expand;

pub use expand::{Figure, Hook, expand, expand_with, imports};

/// Every shader: its path in this folder and its text.
pub const SHADERS: &[(&str, &str)] = &[
    ("argmax.wgsl", include_str!("argmax.wgsl")),
    ("argmax_join.wgsl", include_str!("argmax_join.wgsl")),
    ("argmax_part.wgsl", include_str!("argmax_part.wgsl")),
    ("attention.wgsl", include_str!("attention.wgsl")),
    ("attention_grad.wgsl", include_str!("attention_grad.wgsl")),
    ("attention_slopes_grad.wgsl", include_str!("attention_slopes_grad.wgsl")),
    ("attention_subgroup.wgsl", include_str!("attention_subgroup.wgsl")),
    ("attention_subgroup_grad.wgsl", include_str!("attention_subgroup_grad.wgsl")),
    ("avg_pool2d.wgsl", include_str!("avg_pool2d.wgsl")),
    ("avg_pool2d_grad.wgsl", include_str!("avg_pool2d_grad.wgsl")),
    ("common/attention.wgsl", include_str!("common/attention.wgsl")),
    ("common/attention_grad.wgsl", include_str!("common/attention_grad.wgsl")),
    ("common/attention_scores.wgsl", include_str!("common/attention_scores.wgsl")),
    ("common/attention_subgroup.wgsl", include_str!("common/attention_subgroup.wgsl")),
    ("common/channel_blocks.wgsl", include_str!("common/channel_blocks.wgsl")),
    ("common/conv_extents.wgsl", include_str!("common/conv_extents.wgsl")),
    ("common/depthwise.wgsl", include_str!("common/depthwise.wgsl")),
    ("common/erf.wgsl", include_str!("common/erf.wgsl")),
    ("common/exp.wgsl", include_str!("common/exp.wgsl")),
    ("common/finite.wgsl", include_str!("common/finite.wgsl")),
    ("common/lanes.wgsl", include_str!("common/lanes.wgsl")),
    ("common/log.wgsl", include_str!("common/log.wgsl")),
    ("common/nan.wgsl", include_str!("common/nan.wgsl")),
    ("common/philox.wgsl", include_str!("common/philox.wgsl")),
    ("common/pow.wgsl", include_str!("common/pow.wgsl")),
    ("common/product_hooks.wgsl", include_str!("common/product_hooks.wgsl")),
    ("common/round_f16.wgsl", include_str!("common/round_f16.wgsl")),
    ("common/source_block.wgsl", include_str!("common/source_block.wgsl")),
    ("common/store_columns.wgsl", include_str!("common/store_columns.wgsl")),
    ("common/subgroup_tile.wgsl", include_str!("common/subgroup_tile.wgsl")),
    ("common/tile.wgsl", include_str!("common/tile.wgsl")),
    ("common/trig.wgsl", include_str!("common/trig.wgsl")),
    ("conv2d.wgsl", include_str!("conv2d.wgsl")),
    ("conv2d_input_grad.wgsl", include_str!("conv2d_input_grad.wgsl")),
    ("conv2d_weight_grad.wgsl", include_str!("conv2d_weight_grad.wgsl")),
    ("depthwise.wgsl", include_str!("depthwise.wgsl")),
    ("depthwise_weight_grad.wgsl", include_str!("depthwise_weight_grad.wgsl")),
    ("gather.wgsl", include_str!("gather.wgsl")),
    ("gather_grad.wgsl", include_str!("gather_grad.wgsl")),
    ("matmul.wgsl", include_str!("matmul.wgsl")),
    ("max_pool2d.wgsl", include_str!("max_pool2d.wgsl")),
    ("max_pool2d_at.wgsl", include_str!("max_pool2d_at.wgsl")),
    ("max_pool2d_grad.wgsl", include_str!("max_pool2d_grad.wgsl")),
    ("max_pool2d_grad_at.wgsl", include_str!("max_pool2d_grad_at.wgsl")),
    ("softmax.wgsl", include_str!("softmax.wgsl")),
    ("winograd_results.wgsl", include_str!("winograd_results.wgsl")),
    ("winograd_tiles.wgsl", include_str!("winograd_tiles.wgsl")),
    ("winograd_weights.wgsl", include_str!("winograd_weights.wgsl")),
];

/// A shader's text by its path without the extension. Panics where there is none: a bug of the caller.
#[track_caller]
pub fn source(name: &str) -> &'static str {
    let found = SHADERS.iter().find(|(path, _)| path.strip_suffix(".wgsl") == Some(name));
    found.map(|(_, text)| *text).unwrap_or_else(|| panic!("no shader is named {name:?}"))
}

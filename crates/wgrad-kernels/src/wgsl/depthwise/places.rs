//! The forward pass and the input's gradient, `shaders/depthwise.wgsl`: an invocation goes from block to block of its
//! channel.

use crate::kernel::{Core, Kernel};
use crate::launch::{Unsupported, Variant};
use crate::wgsl::block::{Block, Extents};
use crate::wgsl::epilogue::Epilogue;
use crate::wgsl::module::{Module, Width};
use wgrad_types::Caps;

pub(super) fn variant(kernel: &Kernel, e: &Extents, caps: &Caps) -> Result<Option<Variant>, Unsupported> {
    let gradient = matches!(kernel.core, Core::Conv2dInputGrad(_));
    let Some(block) = Block::new(e, gradient) else { return Ok(None) };
    let label = format!("{}.depthwise", kernel.name());
    let (grid, mut figures) = block.by_channel(&label, e.channels, e.images, caps)?;
    let mut module = Module::new(kernel, caps);
    let [source, weights] = [module.element_hook(0, "source_at"), module.element_hook(1, "weight_at")];
    let columns = &block.axes[1];
    let epilogue = Epilogue::new(kernel);
    let four = columns.extent.is_multiple_of(4) && epilogue.fits_quads(&[0, 1]);
    let [one, quad] = epilogue.hooks(&mut module, if four { Width::Four } else { Width::One });
    let hooks = [source, weights, one, quad];
    figures.extend(block.source_figures());
    figures.extend(block.conv_figures(e));
    figures.extend([
        ("GRADIENT", gradient.into()),
        ("PY", e.spec.padding[0].into()),
        ("PX", e.spec.padding[1].into()),
        ("STORE_FOUR", four.into()),
    ]);
    let launch = module.launch_shader(&label, "depthwise", figures, &hooks, &grid)?;
    Ok(Some(Variant { name: "depthwise".to_owned(), launches: vec![launch], scratch: Vec::new() }))
}

//! The forward pass and the input's gradient, `shaders/depthwise.wgsl`: an invocation goes from block to block of its
//! channel.

use crate::kernel::{Core, Kernel};
use crate::launch::{Unsupported, Variant};
use crate::wgsl::block::{Block, Extents, share, workgroup};
use crate::wgsl::epilogue::Epilogue;
use crate::wgsl::module::{Grid, Module, Width};
use wgrad_shaders::{Hook, expand};
use wgrad_types::Caps;

pub(super) fn variant(kernel: &Kernel, e: &Extents, caps: &Caps) -> Result<Option<Variant>, Unsupported> {
    let gradient = matches!(kernel.core, Core::Conv2dInputGrad(_));
    let Some(block) = Block::new(e, gradient) else { return Ok(None) };
    let label = format!("{}.depthwise", kernel.name());
    let blocks = e.images * block.count();
    let chunk = share(blocks, e.channels, caps);
    let grid = Grid::new(&label, e.channels * blocks.div_ceil(chunk), caps)?;
    let mut module = Module::new(kernel, caps);
    let [source, weights] = [module.element_hook(0, "source_at"), module.element_hook(1, "weight_at")];
    let columns = &block.axes[1];
    let epilogue = Epilogue::new(kernel);
    let four = columns.extent.is_multiple_of(4) && epilogue.fits_quads(&[0, 1]);
    let code = epilogue.function(&mut module, if four { Width::Four } else { Width::One });
    let (one, quad) = if four { (String::new(), code) } else { (code, String::new()) };
    let hooks =
        [source, weights, Hook { name: "epilogue", code: one }, Hook { name: "epilogue4", code: quad }];
    let mut figures = block.figures(e, chunk);
    figures.extend(block.conv_figures(e));
    figures.extend(grid.figures());
    figures.extend([
        ("GRADIENT", gradient.into()),
        ("PY", e.spec.padding[0].into()),
        ("PX", e.spec.padding[1].into()),
        ("WORKGROUP", workgroup(caps).into()),
        ("STORE_FOUR", four.into()),
    ]);
    let launch = module.launch_text(&label, &expand("depthwise", &figures, &hooks), &grid)?;
    Ok(Some(Variant { name: "depthwise".to_owned(), launches: vec![launch], scratch: Vec::new() }))
}

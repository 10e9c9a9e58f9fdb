//! 3x3 convolutions of stride 1 by the minimal filtering of Winograd, F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2015): 16 products instead of 36 for four positions and a pair of channels.
//!
//! Four launches: weights and tiles are transformed into scratch, 16 products multiply them, the inverse transform adds up
//! and runs the epilogue. An invocation takes four tiles beside each other, a vector an element. The input's gradient is the
//! same with the weights turned round and their channels exchanged.

use super::block::{Block, Extents, share, workgroup};
use super::epilogue::Epilogue;
use super::gemm;
use super::module::{Figures, Grid, Module, Width};
use crate::expr::Expr;
use crate::kernel::{Core, Kernel};
use crate::launch::{Access, Buffer, Launch, Unsupported, Variant};
use crate::table::figures;
use wgrad_graph::ops::ConvSpec;
use wgrad_types::{Caps, DType, Type, View};

/// Minimum number of input and output channels.
const FEWEST: usize = 32;
/// Maximum scratch: transformed images take four times the memory.
const MOST_SCRATCH: usize = 512 << 20;

const WEIGHTS: usize = 0;
const TILES: usize = 1;
const PRODUCTS: usize = 2;

/// A convolution as `out[o] = sum over c of w(o, c) * source[c]`.
struct Job<'a> {
    kernel: &'a Kernel,
    caps: &'a Caps,
    /// Of a forward pass from the source to the result.
    e: Extents,
    block: Block,
    results: usize,
    gradient: bool,
}

/// Winograd variant, and true if it comes before all others.
pub(super) fn variant(kernel: &Kernel, caps: &Caps) -> Result<Option<(bool, Variant)>, Unsupported> {
    let (spec, gradient) = match &kernel.core {
        Core::Conv2d(spec) => (spec, false),
        Core::Conv2dInputGrad(spec) => (spec, true),
        _ => return Ok(None),
    };
    let (source, w) = (&kernel.operands[0].shape, &kernel.operands[1].shape);
    let plain = spec.groups == 1 && spec.stride == [1; 2] && spec.dilation == [1; 2] && w[2..] == [3, 3];
    let few = source[1].min(kernel.shape[1]) < FEWEST || source[0] == 0;
    if !plain || few || spec.padding.iter().any(|p| *p > 2) || kernel.shape[2].min(kernel.shape[3]) < 4 {
        return Ok(None);
    }
    let padding = if gradient { spec.padding.map(|p| 2 - p) } else { spec.padding };
    let e = Extents {
        spec: ConvSpec { padding, ..*spec },
        images: source[0],
        channels: source[1],
        input: [source[2], source[3]],
        output: [kernel.shape[2], kernel.shape[3]],
        kernel: [3, 3],
    };
    let Some(block) = Block::sized(&e, [2, 8]) else { return Ok(None) };
    let job = Job { kernel, caps, e, block, results: kernel.shape[1], gradient };
    let scratch = job.scratch();
    let largest = scratch.iter().max().copied().unwrap_or(0);
    if largest > caps.limits.binding_bytes || scratch.iter().sum::<usize>() > MOST_SCRATCH {
        return Ok(None);
    }
    let Some(products) = job.products()? else { return Ok(None) };
    let launches = vec![job.weights()?, job.tiles()?, products, job.results()?];
    let first = job.e.channels.min(job.results) >= figures(caps).winograd;
    Ok(Some((first, Variant { name: "winograd2x2".to_owned(), launches, scratch })))
}

impl Job<'_> {
    /// Tiles of all images, four a block.
    fn count(&self) -> usize {
        4 * self.e.images * self.block.count()
    }

    fn scratch(&self) -> Vec<usize> {
        let (c, o, t) = (self.e.channels, self.results, self.count());
        [c * o, c * t, o * t].iter().map(|n| 16 * n * DType::F32.bytes()).collect()
    }

    fn label(&self, part: &str) -> String {
        format!("{}.winograd2x2.{part}", self.kernel.name())
    }

    /// `[16, c, o]` from the weights.
    fn weights(&self) -> Result<Launch, Unsupported> {
        let (label, c, o) = (self.label("weights"), self.e.channels, self.results);
        let mut module = Module::new(self.kernel, self.caps);
        let hook = module.element_hook(1, "weight_at");
        module.scratch_at(WEIGHTS, "weights", Access::ReadWrite, Width::One);
        let per = share(c * o, 1, self.caps);
        let grid = Grid::new(&label, (c * o).div_ceil(per), self.caps)?;
        let figures: Figures = vec![
            ("CHANNELS", c.into()),
            ("RESULTS", o.into()),
            ("GRADIENT", self.gradient.into()),
            ("CHUNK", per.into()),
            ("WORKGROUP", workgroup(self.caps).into()),
        ];
        module.launch_shader(&label, "winograd_weights", figures, &[hook], &grid)
    }

    /// `[16, c, tile]` from the source.
    fn tiles(&self) -> Result<Launch, Unsupported> {
        let (label, c) = (self.label("tiles"), self.e.channels);
        let mut module = Module::new(self.kernel, self.caps);
        let hook = module.element_hook(0, "source_at");
        module.scratch_at(TILES, "tiles", Access::ReadWrite, Width::Four);
        let (grid, mut figures) = self.block.by_channel(&label, c, self.e.images, self.caps)?;
        figures.extend(self.block.source_figures());
        module.launch_shader(&label, "winograd_tiles", figures, &[hook], &grid)
    }

    /// `[16, o, tile]`, a product each.
    fn products(&self) -> Result<Option<Launch>, Unsupported> {
        let (c, o, t) = (self.e.channels, self.results, self.count());
        let a = View {
            shape: vec![16, o, c],
            strides: [c * o, 1, o].map(|s| s as isize).into(),
            ..View::contiguous(&[])
        };
        let kernel = Kernel {
            core: Core::MatMul { a, b: View::contiguous(&[16, c, t]) },
            operands: vec![Type::f32(&[16, c, o]), Type::f32(&[16, c, t])],
            shape: vec![16, o, t],
            epilogue: Expr::identity(),
            outputs: vec![DType::F32],
            sums: None,
            in_place: vec![None],
        };
        let Some(mut launch) = gemm::undivided(&kernel, self.caps)? else { return Ok(None) };
        launch.name = self.label(launch.name.trim_start_matches("matmul."));
        for binding in &mut launch.bindings {
            binding.buffer = Buffer::Scratch(match binding.buffer {
                Buffer::Operand(0) => WEIGHTS,
                Buffer::Operand(_) => TILES,
                _ => PRODUCTS,
            });
        }
        Ok(Some(launch))
    }

    /// The results from the products.
    fn results(&self) -> Result<Launch, Unsupported> {
        let (label, o) = (self.label("results"), self.results);
        let mut module = Module::new(self.kernel, self.caps);
        module.scratch_at(PRODUCTS, "products", Access::Read, Width::Four);
        let [height, width] = self.e.output;
        let epilogue = Epilogue::new(self.kernel);
        let four = width.is_multiple_of(4) && epilogue.fits_quads(&[]);
        let hooks = epilogue.hooks(&mut module, if four { Width::Four } else { Width::One });
        let (grid, mut figures) = self.block.by_channel(&label, o, self.e.images, self.caps)?;
        figures.extend([("H", height.into()), ("W", width.into()), ("STORE_FOUR", four.into())]);
        module.launch_shader(&label, "winograd_results", figures, &hooks, &grid)
    }
}

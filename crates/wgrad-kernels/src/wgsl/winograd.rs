//! 3x3 convolutions of stride 1 by the minimal filtering of Winograd, F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2015): 16 products for four places and a pair of channels where the sum has 36.
//!
//! Four launches: weights and tiles are transformed into scratch, 16 products multiply them, the inverse transform adds up
//! and runs the epilogue. An invocation takes four tiles beside each other, a vector an element. The input's gradient is the
//! same with the weights turned round and their channels exchanged.

use super::block::{Block, Extents, by_channel, grid_stride, share, workgroup};
use super::epilogue::Epilogue;
use super::gemm;
use super::module::{Grid, Module, Width};
use crate::expr::Expr;
use crate::kernel::{Core, Kernel};
use crate::launch::{Access, Buffer, Launch, Unsupported, Variant};
use crate::table::figures;
use wgrad_graph::ops::ConvSpec;
use wgrad_types::{Caps, DType, Type, View};

/// Channels in and out from which it is offered.
const FEWEST: usize = 32;
/// Scratch beyond which it is not: transformed images take four times the memory.
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

/// The form, and whether it comes before all others.
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
        let w = module.operand(1, Width::One);
        let to = module.scratch_at(WEIGHTS, "weights", Access::ReadWrite, Width::One);
        let half = self.kernel.operands[1].dtype == DType::F16;
        let pairs = c * o;
        let per = share(pairs, 1, self.caps);
        let grid = Grid::new(&label, pairs.div_ceil(per), self.caps)?;
        let mut head = grid.id();
        head.push(format!("let first = id * {per}u;"));
        head.push(format!("let end = min(first + {per}u, {pairs}u);"));
        // Pair (c, o) of the product; weights lie [o, c] forwards, [c, o] for the gradient.
        let from =
            if self.gradient { "at * 9u".to_owned() } else { format!("(at % {o}u * {c}u + at / {o}u) * 9u") };
        let mut body = vec![format!("let origin = {from};")];
        for t in 0..9 {
            let element = format!("{w}[origin + {}u]", if self.gradient { 8 - t } else { t });
            let element = if half { format!("f32({element})") } else { element };
            body.push(format!("let g{}_{} = {element};", t / 3, t % 3));
        }
        let transform = |x: [String; 3]| {
            let [a, b, c] = x;
            [a.clone(), format!("0.5 * ({a} + {b} + {c})"), format!("0.5 * ({a} - {b} + {c})"), c.clone()]
        };
        for s in 0..3 {
            let column = transform([0, 1, 2].map(|r| format!("g{r}_{s}")));
            body.extend(column.iter().enumerate().map(|(i, v)| format!("let h{i}_{s} = {v};")));
        }
        for i in 0..4 {
            for (j, v) in transform([0, 1, 2].map(|s| format!("h{i}_{s}"))).iter().enumerate() {
                body.push(format!("{to}[at + {}u] = {v};", (4 * i + j) * pairs));
            }
        }
        self.launch(module, &label, &head, &body, &grid)
    }

    /// `[16, c, tile]` from the source.
    fn tiles(&self) -> Result<Launch, Unsupported> {
        let (label, c) = (self.label("tiles"), self.e.channels);
        let mut module = Module::new(self.kernel, self.caps);
        let x = module.operand(0, Width::One);
        let to = module.scratch_at(TILES, "tiles", Access::ReadWrite, Width::Four);
        let half = self.kernel.operands[0].dtype == DType::F16;
        let (grid, head) = self.by_channel(&label, c)?;
        let plane = self.e.input[0] * self.e.input[1];
        let mut body = self.block.load("at", &format!("(image * {c}u + channel) * {plane}u"), &x, half);
        for r in 0..4 {
            for s in 0..4 {
                let of = [0, 2, 4, 6].map(|tile| format!("v{r}_{}", s + tile));
                body.push(format!("let d{r}_{s} = vec4<f32>({});", of.join(", ")));
            }
        }
        let transform = |x: [String; 4]| {
            let [a, b, c, d] = x;
            [format!("{a} - {c}"), format!("{b} + {c}"), format!("{c} - {b}"), format!("{b} - {d}")]
        };
        for s in 0..4 {
            let column = transform([0, 1, 2, 3].map(|r| format!("d{r}_{s}")));
            body.extend(column.iter().enumerate().map(|(i, v)| format!("let e{i}_{s} = {v};")));
        }
        let quads = self.count() / 4;
        body.push(format!("let to = channel * {quads}u + at;"));
        for i in 0..4 {
            for (j, v) in transform([0, 1, 2, 3].map(|s| format!("e{i}_{s}"))).iter().enumerate() {
                body.push(format!("{to}[to + {}u] = {v};", (4 * i + j) * c * quads));
            }
        }
        self.launch(module, &label, &head, &body, &grid)
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
        let products = module.scratch_at(PRODUCTS, "products", Access::Read, Width::Four);
        let [height, width] = self.e.output;
        let epilogue = Epilogue::new(self.kernel);
        let quads = width.is_multiple_of(4) && epilogue.fits_quads(&[]);
        epilogue.declare(&mut module, if quads { Width::Four } else { Width::One });
        let (grid, head) = self.by_channel(&label, o)?;
        let (blocks, across) = (self.block.count(), self.block.axes[1].blocks);
        let tiles = self.count() / 4;
        let mut body = vec![
            format!("let origin = channel * {tiles}u + at;"),
            format!("let row = at % {blocks}u / {across}u * 2u;"),
            format!("let column = at % {across}u * 8u;"),
            format!("let plane = (at / {blocks}u * {o}u + channel) * {}u;", height * width),
        ];
        for k in 0..16 {
            body.push(format!("let m{}_{} = {products}[origin + {}u];", k / 4, k % 4, k * o * tiles));
        }
        let transform = |x: [String; 4]| {
            let [a, b, c, d] = x;
            [format!("{a} + {b} + {c}"), format!("{b} - {c} - {d}")]
        };
        for s in 0..4 {
            let column = transform([0, 1, 2, 3].map(|r| format!("m{r}_{s}")));
            body.extend(column.iter().enumerate().map(|(i, v)| format!("let n{i}_{s} = {v};")));
        }
        for i in 0..2 {
            for (j, v) in transform([0, 1, 2, 3].map(|s| format!("n{i}_{s}"))).iter().enumerate() {
                body.push(format!("let y{i}_{j} = {v};"));
            }
            let mut stores = vec![format!("let at{i} = plane + (row + {i}u) * {width}u + column;")];
            for half in 0..2 {
                let value = |x: usize| format!("y{i}_{}[{}]", x % 2, 2 * half + x / 2);
                let guarded = |x: usize, store: String| match width.is_multiple_of(8) {
                    true => store,
                    false => format!("if (column + {x}u < {width}u) {{ {store} }}"),
                };
                let first = 4 * half;
                if quads {
                    let four = [0, 1, 2, 3].map(value).join(", ");
                    stores.push(guarded(
                        first,
                        format!("epilogue4((at{i} + {first}u) / 4u, vec4<f32>({four}));"),
                    ));
                } else {
                    let one = |x: usize| {
                        guarded(first + x, format!("epilogue(at{i} + {}u, {});", first + x, value(x)))
                    };
                    stores.extend((0..4).map(one));
                }
            }
            match height.is_multiple_of(2) || i == 0 {
                true => body.extend(stores),
                false => {
                    body.push(format!("if (row + {i}u < {height}u) {{"));
                    body.extend(stores.iter().map(|s| format!("    {s}")));
                    body.push("}".to_owned());
                }
            }
        }
        self.launch(module, &label, &head, &body, &grid)
    }

    /// The grid and the first lines of a launch of so many channels.
    fn by_channel(&self, label: &str, channels: usize) -> Result<(Grid, Vec<String>), Unsupported> {
        by_channel(label, channels, self.count() / 4, self.caps)
    }

    /// A launch whose invocations go from `first` to `end`, `at` by `at`.
    fn launch(
        &self,
        module: Module<'_>,
        label: &str,
        head: &[String],
        body: &[String],
        grid: &Grid,
    ) -> Result<Launch, Unsupported> {
        module.launch(label, workgroup(self.caps), &grid_stride(head, body, self.caps), grid)
    }
}

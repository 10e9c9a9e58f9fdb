//! Optimizers as updates of the training graph, with PyTorch's formulas and order of operations.
//!
//! The graph reads the learning rate and bias corrections as scalars; [`Optimizer::scalars`] gives their values for each
//! step. Planning merges the updates of all parameters into a few kernels. The formulas are in `rules` and `muon`, the
//! scalars in `scalars`, the names of the command line in `names`.

mod accumulate;
mod muon;
mod names;
mod rules;
mod scalars;
mod scaling;

pub use accumulate::{SHARE, accumulate};
pub use names::OPTIMIZERS;

use accumulate::sum_name;
use rules::Rule;
use wgrad_graph::{Builder, Role, Tensor, depends, differentiate};
use wgrad_types::ShapeError;

/// Update rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerKind {
    /// `torch.optim.SGD`.
    Sgd {
        /// Momentum factor; 0 keeps no state.
        momentum: f64,
        /// Nesterov's form.
        nesterov: bool,
    },
    /// `torch.optim.RMSprop`.
    RmsProp {
        /// Decay of the mean square.
        alpha: f64,
        /// Added to the denominator.
        eps: f64,
        /// Momentum factor; 0 keeps no buffer.
        momentum: f64,
        /// Subtract the squared mean from the mean square.
        centered: bool,
    },
    /// `torch.optim.Adagrad`.
    Adagrad {
        /// Decay of the learning rate with the step's number.
        lr_decay: f64,
        /// Added to the denominator.
        eps: f64,
    },
    /// `torch.optim.Adadelta`.
    Adadelta {
        /// Decay of both mean squares.
        rho: f64,
        /// Added under both roots.
        eps: f64,
    },
    /// `torch.optim.Adam`: weight decay is added to the gradient.
    Adam {
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
        /// Divide by the largest second moment so far (Reddi et al., 2018).
        amsgrad: bool,
    },
    /// `torch.optim.AdamW`: weight decay shrinks the parameter.
    AdamW {
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
    },
    /// `torch.optim.Adamax`.
    Adamax {
        /// Decay of the first moment and of the largest gradient.
        betas: (f64, f64),
        /// Added to the gradient's magnitude.
        eps: f64,
    },
    /// `torch.optim.NAdam`.
    NAdam {
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
        /// Speed of the momentum's warm-up.
        momentum_decay: f64,
    },
    /// `torch.optim.RAdam`.
    RAdam {
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
    },
    /// LAMB (You et al., 2020): Adam's step scaled by the ratio of the parameter's norm to its own; 1 if
    /// either is 0.
    Lamb {
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
    },
    /// Lion (Chen et al., 2023): the sign of an interpolated momentum; weight decay shrinks the parameter.
    Lion {
        /// Share of the momentum in the step, and its decay.
        betas: (f64, f64),
    },
    /// Muon (Jordan, 2024), as `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"`, for tensors of two or more
    /// axes (later axes flattened); AdamW at the same rate for the others. Weight decay shrinks the parameter.
    Muon {
        /// Momentum factor, in Nesterov's form.
        momentum: f64,
        /// AdamW's moments.
        betas: (f64, f64),
        /// AdamW's denominator.
        eps: f64,
    },
}

/// Gradient clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Nothing.
    Off,
    /// Clips the global gradient norm to this (`torch.nn.utils.clip_grad_norm_`).
    Norm(f64),
    /// Each element is held within plus and minus this (`torch.nn.utils.clip_grad_value_`).
    Value(f64),
}

/// Parameters subject to weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecayOn {
    /// Every parameter, as PyTorch's optimizers do.
    All,
    /// Those of two or more axes: matrices and kernels, not biases and norms.
    Matrices,
}

/// An update rule with weight decay, clipping, averaging and loss scaling.
///
/// ```
/// use wgrad_nn::{Clip, Optimizer};
/// let optimizer = Optimizer::adamw().weight_decay(0.05).clip(Clip::Norm(1.0));
/// assert_eq!(optimizer.weight_decay, 0.05);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Optimizer {
    /// The rule.
    pub kind: OptimizerKind,
    /// L2 penalty; AdamW, LAMB, Lion and Muon shrink the parameter instead.
    pub weight_decay: f64,
    /// Parameters subject to it.
    pub decay_on: DecayOn,
    /// Gradient clipping.
    pub clip: Clip,
    /// Decay of an exponential moving average of the weights, kept as state `NAME.ema`; `None` keeps none.
    pub ema: Option<f64>,
    /// Scales the loss to keep gradients within f16, and skips steps with NaN or infinite gradients.
    pub loss_scaling: bool,
}

/// Parameters with settings of their own (PyTorch's parameter groups).
#[derive(Clone, Debug)]
pub struct Group {
    /// Names and nodes.
    pub weights: Vec<(String, Tensor)>,
    /// Their weight decay.
    pub weight_decay: f64,
    /// Factor on the learning rate.
    pub lr_factor: f64,
}

/// Name of a weight's moving average.
pub fn average_name(weight: &str) -> String {
    format!("{weight}.ema")
}

/// Every weight with its group.
fn members(groups: &[Group]) -> impl Iterator<Item = (&Group, &(String, Tensor))> {
    groups.iter().flat_map(|g| g.weights.iter().map(move |w| (g, w)))
}

impl Optimizer {
    /// A rule with PyTorch's weight decay for it ([`OptimizerKind::weight_decay`]), without clipping, average or loss scaling.
    pub fn new(kind: OptimizerKind) -> Self {
        Self {
            kind,
            weight_decay: kind.weight_decay(),
            decay_on: DecayOn::All,
            clip: Clip::Off,
            ema: None,
            loss_scaling: false,
        }
    }

    /// `torch.optim.SGD` with this momentum; 0 for none.
    pub fn sgd(momentum: f64) -> Self {
        Self::new(OptimizerKind::Sgd { momentum, nesterov: false })
    }

    /// `torch.optim.Adam` with PyTorch's defaults.
    pub fn adam() -> Self {
        Self::new(OptimizerKind::Adam { betas: (0.9, 0.999), eps: 1e-8, amsgrad: false })
    }

    /// `torch.optim.AdamW` with PyTorch's defaults: weight decay 0.01.
    pub fn adamw() -> Self {
        Self::new(OptimizerKind::AdamW { betas: (0.9, 0.999), eps: 1e-8 })
    }

    /// The rule of a name in [`OPTIMIZERS`]; `None` if there is none.
    pub fn named(name: &str) -> Option<Self> {
        OptimizerKind::named(name).map(Self::new)
    }

    /// Sets the weight decay.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }

    /// Sets the parameters to decay.
    #[must_use]
    pub fn decay_on(self, decay_on: DecayOn) -> Self {
        Self { decay_on, ..self }
    }

    /// Sets the gradients' clipping.
    #[must_use]
    pub fn clip(self, clip: Clip) -> Self {
        Self { clip, ..self }
    }

    /// Keeps a moving average of the weights with this decay, or none.
    #[must_use]
    pub fn ema(self, ema: Option<f64>) -> Self {
        Self { ema, ..self }
    }

    /// Turns loss scaling for f16 on or off.
    #[must_use]
    pub fn loss_scaling(self, loss_scaling: bool) -> Self {
        Self { loss_scaling, ..self }
    }

    /// Differentiates `loss` with respect to `weights` and adds the updates that end a step. Gives back the gradients,
    /// as they are before clipping.
    ///
    /// # Errors
    /// If an operation between the loss and a weight has no gradient, or the loss depends on none of the weights.
    #[track_caller]
    pub fn minimise(&self, loss: &Tensor, weights: &[(String, Tensor)]) -> Result<Vec<Tensor>, ShapeError> {
        self.minimise_groups(loss, &weights.iter().map(|w| self.group(w)).collect::<Vec<_>>())
    }

    /// As [`Optimizer::minimise`], with weight decay and a factor on the learning rate for each group; the optimizer's
    /// own weight decay is not used. The gradients come in the groups' order.
    ///
    /// # Errors
    /// As [`Optimizer::minimise`].
    #[track_caller]
    pub fn minimise_groups(&self, loss: &Tensor, groups: &[Group]) -> Result<Vec<Tensor>, ShapeError> {
        let wrt: Vec<Tensor> = members(groups).map(|(_, w)| w.1.clone()).collect();
        loss.builder().owns("minimise", &wrt);
        if !depends(loss, &wrt) {
            return Err(ShapeError::new("minimise", "the loss depends on no weight to train"));
        }
        let scaled = if self.loss_scaling { scaling::scaled(loss) } else { loss.clone() };
        let found = differentiate(&scaled, &wrt)?;
        found.iter().for_each(|g| loss.builder().keep(g));
        let gradients = if self.loss_scaling { scaling::unscaled(&found) } else { found.clone() };
        self.update(groups, &gradients, &found, &[]);
        self.declare(&loss.builder());
        Ok(gradients)
    }

    /// The update at the end of a step with gradients summed by [`accumulate`]: the rule over the sums, which
    /// then restart from 0. Clipping and decay see the sums, like one large batch's gradients.
    #[track_caller]
    pub fn apply(&self, builder: &Builder, weights: &[(String, Tensor)]) {
        builder.owns("apply", weights.iter().map(|w| &w.1));
        let groups: Vec<Group> = weights.iter().map(|w| self.group(w)).collect();
        let sums: Vec<Tensor> =
            weights.iter().map(|(name, p)| builder.param(&sum_name(name), &p.shape(), Role::State)).collect();
        self.update(&groups, &sums, &sums, &sums);
        self.declare(builder);
    }

    /// All scalars of a step as leaves of the graph: some are needed only with decay on the weights, and a
    /// step refuses names missing in its graph.
    fn declare(&self, builder: &Builder) {
        self.scalars(1, 1.0).iter().for_each(|(name, _)| drop(builder.scalar(name)));
    }

    /// A weight as a group of its own.
    fn group(&self, weight: &(String, Tensor)) -> Group {
        let decays = self.decay_on == DecayOn::All || weight.1.shape().len() >= 2;
        let weight_decay = if decays { self.weight_decay } else { 0.0 };
        Group { weights: vec![weight.clone()], weight_decay, lr_factor: 1.0 }
    }

    /// Adds the updates of all weights from their gradients, which are based on the `stored` tensors;
    /// `cleared` become 0, each in the group of the weight with its index.
    fn update(&self, groups: &[Group], gradients: &[Tensor], stored: &[Tensor], cleared: &[Tensor]) {
        let finite = members(groups).next().filter(|_| self.loss_scaling);
        let finite = finite.and_then(|(_, w)| scaling::all_finite(&w.1.builder(), stored));
        let clipped = self.clipped(gradients);
        for (i, ((group, (name, p)), g)) in members(groups).zip(clipped).enumerate() {
            let builder = p.builder();
            let rule = Rule { name, p, g, decay: group.weight_decay, lr_factor: group.lr_factor };
            let (next, mut pairs) = rule.step(self.kind);
            if self.ema.is_some() {
                let average = builder.param(&average_name(name), &p.shape(), Role::State);
                let moved = &average + (&next - &average) * &builder.scalar("ema_rate");
                pairs.push((average, moved));
            }
            pairs.insert(0, (p.clone(), next));
            if let Some(finite) = &finite {
                pairs.iter_mut().for_each(|(target, value)| *value = finite.select(value, target));
            }
            pairs.extend(cleared.get(i).map(|sum| (sum.clone(), sum.zeros_like())));
            builder.update(&pairs.iter().map(|(t, v)| (t, v)).collect::<Vec<_>>());
        }
    }

    fn clipped(&self, gradients: &[Tensor]) -> Vec<Tensor> {
        match self.clip {
            Clip::Off => gradients.to_vec(),
            Clip::Value(most) => gradients.iter().map(|g| g.clamp(-most, most)).collect(),
            Clip::Norm(most) => {
                let squares = gradients.iter().map(|g| g.square().sum_all());
                let Some(sum) = squares.reduce(|a, b| a + b) else { return Vec::new() };
                // PyTorch's: the norm is never divided by zero, and small gradients stay as they are.
                let factor = (sum.sqrt() + 1e-6).reciprocal() * most;
                let factor = factor.minimum(&factor.full_like(1.0));
                gradients.iter().map(|g| g * &factor).collect()
            }
        }
    }
}

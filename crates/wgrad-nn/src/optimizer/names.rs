//! Optimizers by name, with the constants PyTorch gives them.

use super::OptimizerKind;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;

/// Every rule by its name on the command line. LAMB's and Lion's constants are their papers', Muon's `torch.optim.Muon`'s.
pub const OPTIMIZERS: &[(&str, OptimizerKind)] = &[
    ("sgd", OptimizerKind::Sgd { momentum: 0.0, nesterov: false }),
    ("momentum", OptimizerKind::Sgd { momentum: 0.9, nesterov: false }),
    ("nesterov", OptimizerKind::Sgd { momentum: 0.9, nesterov: true }),
    ("rmsprop", OptimizerKind::RmsProp { alpha: 0.99, eps: EPS, momentum: 0.0, centered: false }),
    ("rmsprop-centered", OptimizerKind::RmsProp { alpha: 0.99, eps: EPS, momentum: 0.0, centered: true }),
    ("adagrad", OptimizerKind::Adagrad { lr_decay: 0.0, eps: 1e-10 }),
    ("adadelta", OptimizerKind::Adadelta { rho: 0.9, eps: 1e-6 }),
    ("adam", OptimizerKind::Adam { betas: BETAS, eps: EPS, amsgrad: false }),
    ("amsgrad", OptimizerKind::Adam { betas: BETAS, eps: EPS, amsgrad: true }),
    ("adamw", OptimizerKind::AdamW { betas: BETAS, eps: EPS }),
    ("adamax", OptimizerKind::Adamax { betas: BETAS, eps: EPS }),
    ("nadam", OptimizerKind::NAdam { betas: BETAS, eps: EPS, momentum_decay: 4e-3 }),
    ("radam", OptimizerKind::RAdam { betas: BETAS, eps: EPS }),
    ("lamb", OptimizerKind::Lamb { betas: BETAS, eps: 1e-6 }),
    ("lion", OptimizerKind::Lion { betas: (0.9, 0.99) }),
    ("muon", OptimizerKind::Muon { momentum: 0.95, betas: BETAS, eps: EPS }),
];

impl OptimizerKind {
    /// Default weight decay of PyTorch's rule of this name. LAMB and Lion, missing in PyTorch, have none.
    pub fn weight_decay(self) -> f64 {
        match self {
            Self::AdamW { .. } => 0.01,
            Self::Muon { .. } => 0.1,
            _ => 0.0,
        }
    }

    /// The rule of a name, if it exists.
    pub fn named(name: &str) -> Option<Self> {
        OPTIMIZERS.iter().find(|o| o.0 == name).map(|o| o.1)
    }
}

//! Each optimizer for twenty steps on a linear regression.

use super::runs::{Run, check, same, sgd};
use wgrad_graph::Tensor;
use wgrad_nn::{Init, Loss, Net, Optimizer, OptimizerKind};

/// A linear layer with unprefixed parameters.
fn bare_linear(net: &Net, x: &Tensor) -> Tensor {
    x.linear(&net.weight("weight", &[1, 3], Init::Zeros), Some(&net.weight("bias", &[1], Init::Zeros)))
}

fn regression(file: &'static str, optimizer: Optimizer, lr: f64) {
    check(&Run { file, model: bare_linear, loss: Loss::Mse, optimizer, lr, rename: same, free: None });
}

fn named(name: &str) -> Optimizer {
    Optimizer::new(OptimizerKind::named(name).expect("an optimizer"))
}

#[test]
fn golden_run_opt_sgd() {
    regression("opt_sgd", sgd(0.0, false), 0.05);
}

#[test]
fn golden_run_opt_rmsprop() {
    regression("opt_rmsprop", named("rmsprop"), 0.01);
}

#[test]
fn golden_run_opt_rmsprop_centered_momentum() {
    let kind = OptimizerKind::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.9, centered: true };
    regression("opt_rmsprop_centered_momentum", Optimizer::new(kind), 0.01);
}

#[test]
fn golden_run_opt_adagrad() {
    regression("opt_adagrad", named("adagrad"), 0.1);
}

#[test]
fn golden_run_opt_adadelta() {
    regression("opt_adadelta", named("adadelta"), 1.0);
}

#[test]
fn golden_run_opt_adam_amsgrad_wd() {
    regression("opt_adam_amsgrad_wd", named("amsgrad").weight_decay(0.01), 0.02);
}

#[test]
fn golden_run_opt_adamax() {
    regression("opt_adamax", named("adamax"), 0.02);
}

#[test]
fn golden_run_opt_nadam() {
    regression("opt_nadam", named("nadam"), 0.02);
}

#[test]
fn golden_run_opt_radam() {
    regression("opt_radam", named("radam"), 0.02);
}

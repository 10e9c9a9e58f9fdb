//! Losses, as methods and by name.

use super::methods::{cross_entropy, number};
use serde_json::Value;
use wgrad_graph::Tensor;
use wgrad_nn::Loss;

pub(super) fn loss(method: &str, a: &Value, x: &[Tensor]) -> Option<Tensor> {
    Some(match method {
        "cross_entropy" => x[0].cross_entropy(&x[1], cross_entropy(a)),
        "nll_loss" => x[0].nll_loss(&x[1], cross_entropy_index(a)),
        "mse_loss" => x[0].mse_loss(&x[1]),
        "l1_loss" => x[0].l1_loss(&x[1]),
        "huber_loss" => x[0].huber_loss(&x[1], number(a, "delta")),
        "bce_loss" => x[0].bce_loss(&x[1]),
        "bce_with_logits_loss" => x[0].bce_with_logits_loss(&x[1]),
        "kl_div" => x[0].kl_div(&x[1]),
        "hinge_loss" => x[0].hinge_loss(&x[1]),
        "multi_margin_loss" => x[0].multi_margin_loss(&x[1]),
        "sigmoid_focal_loss" => x[0].sigmoid_focal_loss(&x[1], number(a, "alpha"), number(a, "gamma")),
        "dice_loss" => x[0].dice_loss(&x[1], number(a, "smooth")),
        "correct" => x[0].correct(&x[1]),
        _ => return None,
    })
}

fn cross_entropy_index(a: &Value) -> i32 {
    a["ignore_index"].as_i64().expect("a label") as i32
}

/// Every loss by its name in the reference; `by_name`'s caller reports variants without a case.
pub(super) fn by_name(a: &Value) -> Loss {
    match a["kind"].as_str().expect("a kind") {
        "cross_entropy" => Loss::CrossEntropy { label_smoothing: number(a, "label_smoothing") },
        "nll" => Loss::Nll,
        "multi_margin" => Loss::MultiMargin,
        "mse" => Loss::Mse,
        "l1" => Loss::L1,
        "huber" => Loss::Huber { delta: number(a, "delta") },
        "kl_div" => Loss::KlDiv,
        "hinge" => Loss::Hinge,
        "bce" => Loss::Bce,
        "bce_with_logits" => Loss::BceWithLogits,
        "focal" => Loss::Focal { alpha: number(a, "alpha"), gamma: number(a, "gamma") },
        "dice" => Loss::Dice { smooth: number(a, "smooth") },
        other => panic!("no loss {other:?}"),
    }
}

/// The reference's name of a loss: a new variant does not compile without one, and needs a case.
pub(super) fn name(loss: Loss) -> &'static str {
    match loss {
        Loss::CrossEntropy { .. } => "cross_entropy",
        Loss::Nll => "nll",
        Loss::MultiMargin => "multi_margin",
        Loss::Mse => "mse",
        Loss::L1 => "l1",
        Loss::Huber { .. } => "huber",
        Loss::KlDiv => "kl_div",
        Loss::Hinge => "hinge",
        Loss::Bce => "bce",
        Loss::BceWithLogits => "bce_with_logits",
        Loss::Focal { .. } => "focal",
        Loss::Dice { .. } => "dice",
    }
}

//! Sizes common to several models.

/// Sides below this take CIFAR's stem in residual networks and MobileNet.
pub(crate) const SMALL: usize = 64;

/// A width times a factor, at least 1.
pub(crate) fn scaled(n: usize, factor: f64) -> usize {
    ((n as f64 * factor).round() as usize).max(1)
}

//! Frozen weights, and the last layer of a network.

use crate::TrainError;
use wgrad_graph::Tensor;
use wgrad_nn::Net;

/// True if a name matches a pattern with `*` as a wildcard.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).filter(|&i| tail.is_char_boundary(i)).any(|i| fits(rest, &tail[i..]))
        }),
    }
}

/// Trainable weights: all but those matching a pattern of `--freeze`.
///
/// # Errors
/// If a pattern matches no weight, or no weight is left.
pub(crate) fn trainable(net: &Net, freeze: Option<&str>) -> Result<Vec<(String, Tensor)>, TrainError> {
    let all: Vec<(String, Tensor)> = net.named_weights();
    let Some(freeze) = freeze else { return Ok(all) };
    let patterns: Vec<&str> = freeze.split(',').map(str::trim).collect();
    if let Some(pattern) = patterns.iter().find(|p| !all.iter().any(|w| fits(p, &w.0))) {
        let some = all.first().map_or("", |w| w.0.as_str());
        let why = format!("{pattern:?} matches no weight; names are like {some}");
        return Err(TrainError::config("freeze", why));
    }
    let free: Vec<_> = all.into_iter().filter(|w| !patterns.iter().any(|p| fits(p, &w.0))).collect();
    if free.is_empty() {
        return Err(TrainError::config("freeze", "leaves nothing to train"));
    }
    Ok(free)
}

/// Name of the last declared layer: its weights' names up to the last dot.
pub(crate) fn head(net: &Net) -> String {
    let last = net.weights().pop().map_or(String::new(), |p| p.name);
    last.rsplit_once('.').map_or(String::new(), |(layer, _)| layer.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freeze_pattern_matches_whole_names() {
        for (pattern, name, want) in [
            ("features.*", "features.0.weight", true),
            ("features.*", "classifier.features.0", false),
            ("*.bias", "fc1.bias", true),
            ("*.bias", "fc1.bias2", false),
            ("layer*.conv?", "layer1.conv1", false),
            ("layer*.0.*", "layer2.0.conv1.weight", true),
            ("fc", "fc", true),
            ("fc", "fc.weight", false),
            ("*", "anything", true),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} on {name}");
        }
    }
}

//! Fine-tuning: frozen weights, and initial weights from another run.

use crate::TrainError;
use crate::generative::GenerativeKind;
use crate::kept::checkpoint_dir;
use crate::settings::Config;
use crate::state::{Card, load_card, load_tensors, names, take_averages};
use std::path::Path;
use wgrad_graph::{Role, Tensor};
use wgrad_models::is_auxiliary;
use wgrad_nn::Net;
use wgrad_session::{NamedTensor, Session, Tensors};
use wgrad_types::HostTensor;

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

/// Index of each class among others; the first missing class as the error.
fn matched<'a>(own: &'a [String], theirs: &[String]) -> Result<Vec<usize>, &'a String> {
    own.iter().map(|class| theirs.iter().position(|c| c == class).ok_or(class)).collect()
}

/// Selected rows of a tensor with one row per class; `None` if it has another shape.
fn picked(tensor: &HostTensor, rows: &[usize], of: usize) -> Option<HostTensor> {
    if tensor.ty.shape.first() != Some(&of) {
        return None;
    }
    let size = tensor.words.len() / of;
    let mut ty = tensor.ty.clone();
    ty.shape[0] = rows.len();
    let words = rows.iter().flat_map(|row| &tensor.words[row * size..(row + 1) * size]).copied().collect();
    Some(HostTensor { ty, words })
}

/// Loads the tensors of the `--init-from` checkpoint into a fresh session. Those of layer `head` and of auxiliary heads are
/// reinitialised with `--head new`, otherwise matched to this run's classes by name. Returns a note with their number.
///
/// # Errors
/// If the checkpoint does not exist or is of another kind of model, or a tensor is missing or has another type.
pub(crate) fn start_from(
    config: &Config,
    own: &Card,
    head: &str,
    session: &mut Session,
) -> Result<Option<String>, TrainError> {
    let Some(from) = &config.init_from else { return Ok(None) };
    let dir = checkpoint_dir(Path::new(from));
    let wrong = |why: String| Err(TrainError::config("init_from", format!("{from}: {why}")));
    let theirs = load_card(&dir)?;
    // Row of the other run's last layer per class of this run; `None` if the classes are equal.
    let rows = match (&theirs, own) {
        (Card::Image(theirs), Card::Image(own)) if config.head == "new" || theirs.classes == own.classes => {
            None
        }
        (Card::Image(_), Card::Image(own)) if GenerativeKind::named(&own.model).is_some() => None,
        (Card::Image(theirs), Card::Image(own)) => match matched(&own.classes, &theirs.classes) {
            Ok(rows) => Some((rows, theirs.classes.len())),
            Err(class) => {
                return wrong(format!(
                    "it has no class {class:?} (it knows {:?}): use `head` new to reinitialise the last layer",
                    theirs.classes
                ));
            }
        },
        (Card::Text(theirs), Card::Text(own)) => {
            if (&theirs.characters, &theirs.pairs) != (&own.characters, &own.pairs) {
                return wrong("its vocabulary differs; train both on texts of the same characters, or with `tokenizer` byte".into());
            }
            None
        }
        _ => return wrong("one model takes images, the other text".into()),
    };
    let mut there = load_tensors(&dir, &names(session))?;
    take_averages(&mut there);
    let mut taken = Tensors::new();
    for param in session.params().iter().filter(|p| p.role != Role::State) {
        let last = param.name.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'));
        let in_head = last || is_auxiliary(&param.name);
        if config.head == "new" && in_head {
            continue;
        }
        let advice = if in_head { ": use `head` new to reinitialise it" } else { "" };
        match there.iter().find(|t| t.name == param.name) {
            None => return wrong(format!("{} is missing{advice}", param.name)),
            Some(NamedTensor { name, value: tensor, .. })
                if (last || is_auxiliary(name) && name.contains(".fc2."))
                    && let Some((rows, of)) = &rows
                    && let Some(picked) = picked(tensor, rows, *of)
                    && picked.ty == param.ty =>
            {
                taken.push(NamedTensor::new(param.role, name.clone(), picked));
            }
            Some(NamedTensor { name, value: tensor, .. }) if tensor.ty != param.ty => {
                return wrong(format!("{name} is {}, the model's {}{advice}", tensor.ty, param.ty));
            }
            Some(NamedTensor { name, value: tensor, .. }) => {
                taken.push(NamedTensor::new(param.role, name.clone(), tensor.clone()));
            }
        }
    }
    session.restore(&taken)?;
    Ok(Some(format!("{} tensors initialised from {from}", taken.len())))
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

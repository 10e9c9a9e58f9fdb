//! Fine-tuning: initial weights from another run.

use crate::saved::card::Card;
use crate::saved::files::{checkpoint_dir, load_card};
use crate::saved::tensors::{load_tensors, names, take_averages};
use crate::settings::Config;
use crate::{TrainError, tasks};
use std::path::Path;
use wgrad_graph::Role;
use wgrad_models::is_auxiliary;
use wgrad_session::{NamedTensor, Session, Tensors};
use wgrad_types::HostTensor;

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
        (Card::Image(_), Card::Image(own))
            if tasks::kind_of(&own.model).is_some_and(|kind| !kind.output().has_classes()) =>
        {
            None
        }
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

//! Tensors of a checkpoint, matched to those of a model.

use crate::TrainError;
use std::path::Path;
use wgrad_device::Device;
use wgrad_graph::{Graph, Role};
use wgrad_models::is_auxiliary;
use wgrad_nn::average_name;
use wgrad_session::checkpoint::{self, OPTIMIZER_FILE};
use wgrad_session::{Runner, Session, SessionError, Tensors};

/// Loads a checkpoint's tensors, optimizer state included, into a session.
pub(crate) fn restore(dir: &Path, session: &mut Session) -> Result<(), TrainError> {
    let names = names(session);
    if names.iter().any(|n| n.0 == Role::State) && !checkpoint::newest(dir).join(OPTIMIZER_FILE).exists() {
        let why = format!(
            "{OPTIMIZER_FILE} is missing, so the run cannot continue exactly; start a new one from the weights with `init_from`"
        );
        return Err(TrainError::CannotResume { path: dir.into(), why });
    }
    let tensors = fitting(dir, &names, true)?;
    session.restore(&tensors).map_err(|e| other_model(dir, e))
}

/// Tensors of a checkpoint; all of the given names must be present. With `state` the optimizer's tensors are included;
/// without, moving averages replace their weights.
pub(crate) fn fitting(dir: &Path, names: &Names, state: bool) -> Result<Tensors, TrainError> {
    let mut tensors = load_tensors(dir, names)?;
    if !state {
        take_averages(&mut tensors);
        let known = |name: &str| names.iter().any(|n| n.1 == name);
        tensors.retain(|t| known(&t.name) || !is_auxiliary(&t.name));
    }
    let there = |n: &(Role, String)| tensors.iter().any(|t| t.role == n.0 && t.name == n.1);
    let needed = |n: &&(Role, String)| state || n.0 != Role::State;
    if let Some(n) = names.iter().filter(needed).find(|n| !there(n)) {
        return Err(TrainError::OtherModel { path: dir.into(), why: format!("it lacks {}", n.1) });
    }
    Ok(tensors)
}

/// Error if a tensor's shape or type differs from the model's.
pub(crate) fn other_model(dir: &Path, e: SessionError) -> TrainError {
    match e {
        SessionError::Tensor { .. } => TrainError::OtherModel { path: dir.into(), why: e.to_string() },
        other => other.into(),
    }
}

/// Tensors of a model.
pub(crate) type Names = Vec<(Role, String)>;

/// Tensors of a session.
pub(crate) fn names(session: &Session) -> Names {
    session.params().iter().map(|p| (p.role, p.name.clone())).collect()
}

/// Replaces weights by their moving averages, if present, and drops the optimizer state.
pub(crate) fn take_averages(tensors: &mut Tensors) {
    let (states, mut model): (Tensors, Tensors) =
        std::mem::take(tensors).into_iter().partition(|t| t.role == Role::State);
    for weight in &mut model {
        let average = average_name(&weight.name);
        if let Some(found) = states.iter().find(|s| s.name == average) {
            weight.value.clone_from(&found.value);
        }
    }
    *tensors = model;
}

/// Tensors of a checkpoint with their roles in the model.
pub(crate) fn load_tensors(dir: &Path, names: &Names) -> Result<Tensors, TrainError> {
    let role =
        |name: &str| names.iter().find(|n| n.1 == name && n.0 != Role::State).map_or(Role::Weight, |n| n.0);
    Ok(checkpoint::load(dir, role)?)
}

/// Inference session for a graph with a checkpoint's weights, or their moving averages if stored.
pub(crate) fn restored(dir: &Path, graph: &Graph, device: &Device) -> Result<(Session, Runner), TrainError> {
    let names = graph.params().map(|(role, name, _)| (role, name.to_owned())).collect();
    let tensors = fitting(dir, &names, false)?;
    Session::inference(device, graph, &tensors).map_err(|e| other_model(dir, e))
}

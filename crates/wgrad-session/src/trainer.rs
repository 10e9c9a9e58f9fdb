//! Training in a few lines: a network, its optimizer and a device as one value.
//!
//! A [`Trainer`] keeps the step count, the weights' names and the optimizer's scalars; [`Session`] and [`Runner`] below it
//! leave all three to the caller.

use crate::{Outputs, Runner, Session, SessionError, Tensors, checkpoint};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wgrad_device::Device;
use wgrad_graph::{Graph, Role, Tensor, autocast};
use wgrad_nn::{Net, Optimizer};
use wgrad_plan::Plan;
use wgrad_types::{AdapterClass, HostTensor};

/// Step count and seed, beside the tensors of a checkpoint.
const STATE_FILE: &str = "trainer.json";
/// Format of [`STATE_FILE`].
const VERSION: u64 = 1;
/// Bound of a plausible step count: exact in f64, for JSON and bias corrections.
const MAX_STEPS: u64 = 1 << 53;

/// Trainers for networks: [`Net`]'s last step, from mathematics to a device.
pub trait NetExt {
    /// A trainer with default options: seed 0, f32, every weight trained. See [`Trainer::new`].
    ///
    /// # Errors
    /// As [`Trainer::new`].
    ///
    /// # Panics
    /// As [`Trainer::new`].
    fn trainer(&self, loss: &Tensor, optimizer: Optimizer, device: &Device) -> Result<Trainer, SessionError>;

    /// A trainer with these options. See [`Trainer::new`].
    ///
    /// # Errors
    /// As [`Trainer::new`].
    ///
    /// # Panics
    /// As [`Trainer::new`].
    fn trainer_with(
        &self,
        loss: &Tensor,
        optimizer: Optimizer,
        device: &Device,
        options: TrainerOptions<'_>,
    ) -> Result<Trainer, SessionError>;
}

impl NetExt for Net {
    #[track_caller]
    fn trainer(&self, loss: &Tensor, optimizer: Optimizer, device: &Device) -> Result<Trainer, SessionError> {
        Trainer::new(self, loss, optimizer, device, TrainerOptions::default())
    }

    #[track_caller]
    fn trainer_with(
        &self,
        loss: &Tensor,
        optimizer: Optimizer,
        device: &Device,
        options: TrainerOptions<'_>,
    ) -> Result<Trainer, SessionError> {
        Trainer::new(self, loss, optimizer, device, options)
    }
}

/// Choice of weights by name.
pub type Choose<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// Settings of a [`Trainer`]; clipping, weight decay and averages are the [`Optimizer`]'s.
///
/// ```
/// use wgrad_session::TrainerOptions;
/// let options = TrainerOptions::default().seed(7).trainable(|name| name.starts_with("head."));
/// assert_eq!(options.seed, 7);
/// ```
#[derive(Default)]
#[non_exhaustive]
pub struct TrainerOptions<'a> {
    /// Seed of the initial values and of every random draw.
    pub seed: u64,
    /// Mixed precision: products read f16, the loss is scaled. Weights and sums stay f32.
    pub f16: bool,
    /// Choice of the weights to train by name; `None` trains all.
    pub trainable: Option<Choose<'a>>,
}

impl<'a> TrainerOptions<'a> {
    /// Sets the seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Turns mixed precision on or off.
    #[must_use]
    pub fn f16(self, f16: bool) -> Self {
        Self { f16, ..self }
    }

    /// Trains only the weights chosen by name; the others keep their values.
    #[must_use]
    pub fn trainable(self, choose: impl Fn(&str) -> bool + 'a) -> Self {
        Self { trainable: Some(Box::new(choose)), ..self }
    }
}

/// A network in training on a device.
///
/// ```
/// use wgrad_device::Device;
/// use wgrad_nn::{Mode, Net, Optimizer};
/// use wgrad_session::NetExt as _;
/// use wgrad_types::{HostTensor, Type};
///
/// let net = Net::new(Mode::Train);
/// let (x, y) = (net.input("x", Type::f32(&[4, 1])), net.input("y", Type::f32(&[4, 1])));
/// let loss = net.linear("line", &x, 1).mse_loss(&y);
/// let mut trainer = net.trainer(&loss, Optimizer::adam(), &Device::cpu())?;
///
/// let x = HostTensor::f32(&[4, 1], &[0., 1., 2., 3.]);
/// let y = HostTensor::f32(&[4, 1], &[1., 3., 5., 7.]);
/// for _ in 0..500 {
///     trainer.step([("x", &x), ("y", &y)], 0.1)?;
/// }
/// assert!((trainer.tensor("line.weight")?.as_f32()[0] - 2.0).abs() < 0.1);
/// # Ok::<(), wgrad_session::SessionError>(())
/// ```
pub struct Trainer {
    session: Arc<Mutex<Session>>,
    runner: Runner,
    device: Device,
    optimizer: Optimizer,
    /// Scalars of the graph beside the optimizer's.
    own: Vec<(String, f32)>,
    steps: u64,
    /// Submitted steps with results still in the runner.
    in_flight: usize,
    /// Results of earlier steps, met by [`Trainer::step`] before its own.
    earlier: VecDeque<Outputs>,
}

/// Another graph over the tensors of a [`Trainer`]: validation, prediction.
///
/// It sees the weights as they are at each call, and may outlive the trainer.
pub struct Evaluator {
    session: Arc<Mutex<Session>>,
    runner: Runner,
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trainer {
    /// Differentiates `loss`, adds the optimizer's updates to the network's graph, plans it for the device, and draws the
    /// weights' initial values. The loss is named `loss` among the outputs unless the graph has an output of that name.
    ///
    /// # Errors
    /// If there is no weight to train, an operation between loss and weights has no gradient, the graph has no plan on
    /// the device, memory does not suffice, or the options ask for f16 and the device lacks it. The network's graph is
    /// then as before: try another loss or device.
    ///
    /// # Panics
    /// If the network's weights have updates already, since a [`Net`] serves one trainer; if `loss` is of another network.
    #[track_caller]
    pub fn new(
        net: &Net,
        loss: &Tensor,
        optimizer: Optimizer,
        device: &Device,
        options: TrainerOptions<'_>,
    ) -> Result<Self, SessionError> {
        let mut weights = net.named_weights();
        let before = net.graph();
        if let Some((name, _)) =
            weights.iter().find(|(_, w)| before.updates.iter().any(|u| u.target == w.value()))
        {
            panic!("trainer: weight {name:?} has an update already; build a Net per trainer");
        }
        if options.f16 && !device.caps().f16 && device.caps().class != AdapterClass::Cpu {
            return Err(SessionError::NoF16 { device: device.name() });
        }
        if let Some(choose) = &options.trainable {
            weights.retain(|(name, _)| choose(name));
        }
        if weights.is_empty() {
            return Err(SessionError::NothingToTrain);
        }
        let optimizer = if options.f16 { optimizer.loss_scaling(true) } else { optimizer };
        let open = || {
            if !before.outputs.iter().any(|o| o.0 == "loss") {
                net.output("loss", loss);
            }
            optimizer.minimise(loss, &weights)?;
            let graph = if options.f16 { autocast(&net.graph()) } else { net.graph() };
            Session::new(device, &graph, &net.initial(options.seed), options.seed as u32)
        };
        let (session, runner) = open().inspect_err(|_| net.builder().rewind(before.clone()))?;
        Ok(Self {
            session: Arc::new(Mutex::new(session)),
            runner,
            device: device.clone(),
            optimizer,
            own: Vec::new(),
            steps: 0,
            in_flight: 0,
            earlier: VecDeque::new(),
        })
    }

    /// Runs one training step at a learning rate and waits for its outputs.
    ///
    /// # Errors
    /// If an input is missing, unknown, of another type, or an index out of its range; if the learning rate is NaN or
    /// infinite; if the device fails. Weights and step count are untouched unless the device failed.
    pub fn step<'a>(
        &mut self,
        inputs: impl AsRef<[(&'a str, &'a HostTensor)]>,
        lr: f64,
    ) -> Result<Outputs, SessionError> {
        self.submit(inputs, lr)?;
        loop {
            let outputs = self.runner.wait()?.ok_or(SessionError::NothingSubmitted)?;
            self.in_flight -= 1;
            if self.in_flight == 0 {
                return Ok(outputs);
            }
            self.earlier.push_back(outputs);
        }
    }

    /// Submits one training step and returns at once: the host can prepare the next batch meanwhile. Results come
    /// from [`Trainer::collect`] and [`Trainer::ready`], oldest first. A few steps are under way at most; a further one
    /// waits.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn submit<'a>(
        &mut self,
        inputs: impl AsRef<[(&'a str, &'a HostTensor)]>,
        lr: f64,
    ) -> Result<(), SessionError> {
        if !(lr as f32).is_finite() {
            let why = format!("a learning rate is a finite number, got {lr}");
            return Err(SessionError::Input { name: "lr".into(), why });
        }
        let mut scalars: Vec<(&str, f32)> = self.optimizer.scalars(self.steps + 1, lr);
        scalars.extend(self.own.iter().map(|(name, value)| (name.as_str(), *value)));
        self.runner.step(&mut lock(&self.session), self.steps, inputs.as_ref(), &scalars)?;
        self.steps += 1;
        self.in_flight += 1;
        Ok(())
    }

    /// Outputs of the oldest submitted step, after waiting for it; `None` if all have been collected.
    ///
    /// # Errors
    /// If the device fails.
    pub fn collect(&mut self) -> Result<Option<Outputs>, SessionError> {
        self.next(Runner::wait)
    }

    /// Outputs of the oldest submitted step if it has finished; does not block.
    ///
    /// # Errors
    /// If the device fails.
    pub fn ready(&mut self) -> Result<Option<Outputs>, SessionError> {
        self.next(Runner::ready)
    }

    fn next(
        &mut self,
        take: impl FnOnce(&mut Runner) -> Result<Option<Outputs>, SessionError>,
    ) -> Result<Option<Outputs>, SessionError> {
        if let Some(outputs) = self.earlier.pop_front() {
            return Ok(Some(outputs));
        }
        let outputs = take(&mut self.runner)?;
        self.in_flight -= usize::from(outputs.is_some());
        Ok(outputs)
    }

    /// A further graph over the same tensors, such as the network in `Mode::Eval` or at another batch size. A graph seen
    /// before is not planned again.
    ///
    /// # Errors
    /// If the graph has no plan on the device, or reads a tensor the trainer lacks.
    pub fn evaluator(&self, graph: &Graph) -> Result<Evaluator, SessionError> {
        let runner = self.session().runner(graph)?;
        Ok(Evaluator { session: self.session.clone(), runner })
    }

    /// Sets a scalar of the graph beside the optimizer's, for all steps to come.
    ///
    /// # Errors
    /// If the graph has no such scalar, or it is the optimizer's.
    pub fn set_scalar(&mut self, name: &str, value: f32) -> Result<(), SessionError> {
        if self.optimizer.scalars(1, 1.0).iter().any(|s| s.0 == name) {
            let why = "the optimizer sets this scalar from the learning rate".into();
            return Err(SessionError::Input { name: name.into(), why });
        }
        self.runner.check_scalar(name, value)?;
        match self.own.iter_mut().find(|s| s.0 == name) {
            Some(scalar) => scalar.1 = value,
            None => self.own.push((name.into(), value)),
        }
        Ok(())
    }

    /// Number of steps submitted so far, those before a loaded checkpoint included.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Kernels and memory of a training step.
    pub fn plan(&self) -> &Arc<Plan> {
        self.runner.plan()
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A tensor's values by name, as `state_dict()[name]` in PyTorch: a weight or buffer, else an optimizer state.
    ///
    /// # Errors
    /// If there is no such tensor, or the device fails.
    pub fn tensor(&self, name: &str) -> Result<HostTensor, SessionError> {
        self.session().tensor(name)
    }

    /// All trainable weights, as PyTorch's `named_parameters`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn weights(&self) -> Result<Tensors, SessionError> {
        let mut tensors = self.session().snapshot()?;
        tensors.retain(|t| t.role == Role::Weight);
        Ok(tensors)
    }

    /// Overwrites these tensors; the others stay.
    ///
    /// # Errors
    /// If a name or shape is not the network's, or the device fails.
    pub fn set_tensors(&mut self, tensors: &Tensors) -> Result<(), SessionError> {
        self.session().restore(tensors)
    }

    /// Overwrites all weights and buffers from a safetensors file, such as one saved by PyTorch; optimizer states stay.
    ///
    /// # Errors
    /// If the file cannot be read, or its tensors are not the network's; nothing is overwritten then.
    pub fn load_weights(&mut self, file: &Path) -> Result<(), SessionError> {
        self.session().load(&checkpoint::read(file)?)
    }

    /// Saves weights, buffers, optimizer states, step count and seed as a checkpoint folder (see [`checkpoint`]). A
    /// checkpoint already there is replaced as a whole.
    ///
    /// # Errors
    /// If the disk refuses (the checkpoint there stays), or the device fails.
    pub fn save(&self, dir: &Path) -> Result<(), SessionError> {
        let session = self.session();
        let state = serde_json::json!({ "version": VERSION, "steps": self.steps, "seed": session.seed() });
        checkpoint::save(dir, &session.snapshot()?, &[(STATE_FILE, state.to_string().into_bytes())])
    }

    /// Resumes from a checkpoint of [`Trainer::save`]: on the same device, later steps equal those of an uninterrupted run
    /// bit for bit.
    ///
    /// # Errors
    /// If the checkpoint is missing, damaged, of a newer format or of another network, or the device fails.
    pub fn load(&mut self, dir: &Path) -> Result<(), SessionError> {
        let corrupt = |why: String| SessionError::Corrupt { path: dir.join(STATE_FILE), why };
        let text = checkpoint::read_file(dir, STATE_FILE)?;
        let state: serde_json::Value = serde_json::from_slice(&text).map_err(|e| corrupt(e.to_string()))?;
        let number =
            |key: &str| state[key].as_u64().ok_or_else(|| corrupt(format!("it has no number {key:?}")));
        let version = number("version")?;
        if version > VERSION {
            let why = format!("it has format {version}, this version of wgrad reads up to {VERSION}");
            return Err(corrupt(why));
        }
        let (steps, seed) = (number("steps")?, number("seed")?);
        let seed = u32::try_from(seed).map_err(|_| corrupt(format!("no run has seed {seed}")))?;
        if steps > MAX_STEPS {
            return Err(corrupt(format!("no run has {steps} steps")));
        }
        let mut session = self.session();
        let buffers = session.params().iter().filter(|p| p.role == Role::Buffer);
        let buffers: Vec<String> = buffers.map(|p| p.name.clone()).collect();
        let role = |name: &str| if buffers.iter().any(|b| b == name) { Role::Buffer } else { Role::Weight };
        let tensors = checkpoint::load(dir, role)?;
        let there =
            |p: &&wgrad_plan::ParamPlace| tensors.iter().any(|t| t.role == p.role && t.name == p.name);
        if let Some(missing) = session.params().iter().find(|p| !there(p)) {
            let why = "the network has it, the checkpoint has not".into();
            return Err(SessionError::Tensor { name: missing.name.clone(), why });
        }
        session.restore(&tensors)?;
        session.set_seed(seed);
        drop(session);
        self.steps = steps;
        Ok(())
    }

    /// The session below, for runners, traces and profiles. Locked until the guard is dropped: evaluators wait meanwhile.
    pub fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }
}

impl Evaluator {
    /// Runs the graph once and waits for its outputs. Random draws, if any, are those of step 0.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn run<'a>(
        &mut self,
        inputs: impl AsRef<[(&'a str, &'a HostTensor)]>,
    ) -> Result<Outputs, SessionError> {
        self.runner.step(&mut lock(&self.session), 0, inputs.as_ref(), &[])?;
        self.runner.wait()?.ok_or(SessionError::NothingSubmitted)
    }

    /// Kernels and memory of a run.
    pub fn plan(&self) -> &Arc<Plan> {
        self.runner.plan()
    }
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;

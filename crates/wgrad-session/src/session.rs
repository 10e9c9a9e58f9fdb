//! Sessions, and the plans running over their tensors.

use crate::SessionError;
use crate::feeding::{Feeding, list};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wgrad_device::{Counters, Device, Memory, Profile, Program, Traced};
use wgrad_graph::{Graph, Hoisted, NamedTensor, Role, fold, hoist};
use wgrad_plan::{ParamLayout, ParamPlace, Plan, PlanOptions, common_layout, plan};
use wgrad_types::{HostTensor, Type};

/// Named tensors: a snapshot, initial values.
pub type Tensors = Vec<NamedTensor>;

/// Persistent tensors on a device.
pub struct Session {
    device: Device,
    memory: Memory,
    layout: ParamLayout,
    seed: u32,
    /// Plans made so far, by their graphs.
    plans: Mutex<HashMap<Graph, Arc<Plan>>>,
    /// The same allocation in this session's runners, and in no other's.
    identity: Arc<()>,
}

/// A plan over a session's tensors.
pub struct Runner {
    program: Program,
    feeding: Feeding,
    /// Its session's.
    identity: Arc<()>,
}

/// A step's results by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs(Vec<(String, HostTensor)>);

impl Outputs {
    /// A result.
    ///
    /// # Panics
    /// If the graph has no output of this name: a caller's bug. [`Outputs::find`] gives `None` instead.
    #[track_caller]
    pub fn get(&self, name: &str) -> &HostTensor {
        // No closure: the panic is to be at the caller's line.
        match self.find(name) {
            Some(found) => found,
            None => panic!("the graph has no output {name:?}; it has {}", list(self.names())),
        }
    }

    /// A result, if the graph has an output of this name.
    pub fn find(&self, name: &str) -> Option<&HostTensor> {
        self.0.iter().find(|o| o.0 == name).map(|o| &o.1)
    }

    /// The outputs' names, in the graph's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|o| o.0.as_str())
    }

    /// A result of one f32.
    ///
    /// # Panics
    /// As [`Outputs::get`].
    #[track_caller]
    pub fn scalar(&self, name: &str) -> f32 {
        match self.get(name).as_f32()[..] {
            [value] => value,
            ref all => panic!("output {name:?} has {} values; Outputs::get gives them all", all.len()),
        }
    }
}

impl Session {
    /// Plans a training graph, makes memory for its tensors, and fills in initial values; optimizer state starts at 0.
    /// `seed` drives every random draw.
    ///
    /// # Errors
    /// If the graph has no plan on the device, or memory does not suffice.
    pub fn new(
        device: &Device,
        graph: &Graph,
        initial: &Tensors,
        seed: u32,
    ) -> Result<(Self, Runner), SessionError> {
        Self::of(device, graph, initial, seed, false)
    }

    fn empty(device: &Device, memory: Memory, layout: ParamLayout, seed: u32) -> Self {
        let (plans, identity) = (Mutex::default(), Arc::new(()));
        Self { device: device.clone(), memory, layout, seed, plans, identity }
    }

    fn of(
        device: &Device,
        graph: &Graph,
        initial: &Tensors,
        seed: u32,
        packed: bool,
    ) -> Result<(Self, Runner), SessionError> {
        let choices = device.choices();
        let plan = planned(graph, device, PlanOptions::default().choices(&choices).packed(packed))?;
        let memory = device.memory(&plan.layout)?;
        let layout = plan.layout.clone();
        let mut session = Self::empty(device, memory, layout, seed);
        session.restore(initial)?;
        let feeding = Feeding::new(graph, &plan);
        let program = session.device.program(Arc::new(plan), &session.memory)?;
        let identity = session.identity.clone();
        Ok((session, Runner { program, feeding, identity }))
    }

    /// A session for inference. Values depending on persistent tensors alone, such as batch norm's factors, are computed
    /// once, now, on the CPU, and the plan reads the results ([`fold`], [`hoist`]). The CPU device keeps weights packed.
    /// Results equal those of the graph up to rounding.
    ///
    /// The session holds only the tensors its plan reads, and `folded.N` for the computed ones. Later changes of the
    /// weights behind those would go unseen: do not train beside it.
    ///
    /// # Errors
    /// As [`Session::new`], and if a tensor is not the graph's.
    pub fn inference(
        device: &Device,
        graph: &Graph,
        tensors: &Tensors,
    ) -> Result<(Self, Runner), SessionError> {
        for NamedTensor { role, name, value } in tensors {
            fits(graph.params().find(|p| (p.0, p.1) == (*role, name)).map(|p| p.2), name, value)?;
        }
        let Hoisted { once, each } = hoist(&fold(graph));
        let read_by = |graph: &Graph| -> Tensors {
            let wanted = |t: &&NamedTensor| graph.params().any(|p| (p.0, p.1) == (t.role, &*t.name));
            tensors.iter().filter(wanted).cloned().collect()
        };
        let mut initial = read_by(&each);
        if !once.outputs.is_empty() {
            let (mut session, mut runner) = Self::new(&Device::cpu(), &once, &read_by(&once), 0)?;
            runner.step(&mut session, 0, &[], &[])?;
            let Outputs(folded) = runner.wait()?.expect("a step is under way");
            initial.extend(
                folded.into_iter().map(|(name, tensor)| NamedTensor::new(Role::Buffer, name, tensor)),
            );
        }
        let (session, mut runner) = Self::of(device, &each, &initial, 0, true)?;
        runner.feeding = Feeding::new(graph, runner.plan());
        Ok((session, runner))
    }

    /// [`Session::new`] over several graphs, each with a part of the tensors: the players of a GAN, for example, each with
    /// an optimizer of its own. Tensors of the same name and role are the same. Returns the plans in the graphs' order.
    ///
    /// # Errors
    /// As [`Session::new`], and if graphs give a tensor different shapes.
    pub fn over(
        device: &Device,
        graphs: &[&Graph],
        initial: &Tensors,
        seed: u32,
    ) -> Result<(Self, Vec<Runner>), SessionError> {
        let layout = common_layout(graphs, device.caps())?;
        let memory = device.memory(&layout)?;
        let mut session = Self::empty(device, memory, layout, seed);
        session.restore(initial)?;
        let runners = graphs.iter().map(|graph| session.runner(graph)).collect::<Result<_, _>>()?;
        Ok((session, runners))
    }

    /// A further plan over the same tensors: evaluation, or training with another batch size. A graph seen before is not
    /// planned again.
    ///
    /// # Errors
    /// If the graph has no plan on the device, or reads a tensor the session lacks.
    pub fn runner(&self, graph: &Graph) -> Result<Runner, SessionError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match plans.get(graph) {
            Some(known) => known.clone(),
            None => {
                let choices = self.device.choices();
                let options = PlanOptions::default().layout(Some(&self.layout)).choices(&choices);
                let fresh = Arc::new(planned(graph, &self.device, options)?);
                plans.insert(graph.clone(), fresh.clone());
                fresh
            }
        };
        // Others may plan while kernels compile.
        drop(plans);
        let feeding = Feeding::new(graph, &known);
        let identity = self.identity.clone();
        Ok(Runner { program: self.device.program(known, &self.memory)?, feeding, identity })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Persistent tensors and their places.
    pub fn params(&self) -> &[ParamPlace] {
        &self.layout.params
    }

    /// All tensors' values; waits for work under way.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn snapshot(&self) -> Result<Tensors, SessionError> {
        let read = |p: &ParamPlace| {
            let words = self.memory.read(p.place)?;
            Ok(NamedTensor::new(p.role, p.name.clone(), HostTensor { ty: p.ty.clone(), words }))
        };
        self.layout.params.iter().map(read).collect()
    }

    /// One tensor's values: of the weight or buffer of this name, else of the optimizer state. Waits for work under way.
    ///
    /// # Errors
    /// If there is no such tensor, or the device is lost.
    pub fn tensor(&self, name: &str) -> Result<HostTensor, SessionError> {
        let named = || self.layout.params.iter().filter(|p| p.name == name);
        let found = named().find(|p| p.role != Role::State).or_else(|| named().next());
        let why = || SessionError::Tensor { name: name.into(), why: "the model has no such tensor".into() };
        let p = found.ok_or_else(why)?;
        Ok(HostTensor { ty: p.ty.clone(), words: self.memory.read(p.place)? })
    }

    pub(crate) fn seed(&self) -> u32 {
        self.seed
    }

    pub(crate) fn set_seed(&mut self, seed: u32) {
        self.seed = seed;
    }

    /// Overwrites the model's weights and buffers by name, as `load_state_dict` does: all of them, and nothing else. Read a
    /// file by [`crate::checkpoint::read`]; [`Session::restore`] overwrites a part.
    ///
    /// # Errors
    /// If a tensor is missing, of no such name or of another shape; nothing is overwritten then. If the device is lost.
    pub fn load(&mut self, tensors: &[(String, HostTensor)]) -> Result<(), SessionError> {
        let own = || self.layout.params.iter().filter(|p| p.role != Role::State);
        let mut roles = Vec::new();
        for (name, tensor) in tensors.iter().filter(|t| !t.0.ends_with(COUNTED)) {
            let found = own().find(|p| p.name == *name);
            fits(found.map(|p| &p.ty), name, tensor)?;
            roles.extend(found.map(|p| NamedTensor::new(p.role, name.clone(), tensor.clone())));
        }
        if let Some(missing) = own().find(|p| !roles.iter().any(|t| t.name == p.name)) {
            let why = "the model has it, what is loaded has not; Session::restore overwrites a part".into();
            return Err(SessionError::Tensor { name: missing.name.clone(), why });
        }
        self.restore(&roles)
    }

    /// Overwrites the tensors named; others stay.
    ///
    /// # Errors
    /// If a name or shape is not the session's; nothing is overwritten then. If the device is lost.
    pub fn restore(&mut self, tensors: &Tensors) -> Result<(), SessionError> {
        let place = |t: &NamedTensor| {
            let found = self.layout.params.iter().find(|p| p.role == t.role && p.name == t.name);
            fits(found.map(|p| &p.ty), &t.name, &t.value)?;
            Ok(found.map(|p| p.place))
        };
        let places: Vec<_> = tensors.iter().map(place).collect::<Result<_, SessionError>>()?;
        for (tensor, place) in tensors.iter().zip(places) {
            place.map_or(Ok(()), |place| self.memory.write(place, &tensor.value.words))?;
        }
        Ok(())
    }
}

/// Plans a graph and says so.
fn planned(graph: &Graph, device: &Device, options: PlanOptions<'_>) -> Result<Plan, SessionError> {
    let plan = plan(graph, device.caps(), &options)?;
    tracing::info!(
        nodes = graph.nodes.len(),
        kernels = plan.kernels.len(),
        peak_bytes = plan.peak_bytes(),
        "planned"
    );
    Ok(plan)
}

/// Suffix of PyTorch's batch counters; models here have none.
const COUNTED: &str = "num_batches_tracked";

/// Error unless a tensor has the type of the model's tensor of its name.
fn fits(ty: Option<&Type>, name: &str, tensor: &HostTensor) -> Result<(), SessionError> {
    let wrong = |why: String| SessionError::Tensor { name: name.into(), why };
    match ty {
        None => Err(wrong("the model has no such tensor".into())),
        Some(ty) if *ty != tensor.ty => Err(wrong(format!("the model has {ty}, the file {}", tensor.ty))),
        Some(_) => Ok(()),
    }
}

impl Runner {
    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        self.program.plan()
    }

    /// Error unless the graph has a scalar of this name.
    pub(crate) fn check_scalar(&self, name: &str, value: f32) -> Result<(), SessionError> {
        self.feeding.known(self.program.plan(), &[], &[(name, value)])
    }

    /// Error unless the plan is over this session's memory.
    fn check_owner(&self, session: &Session) -> Result<(), SessionError> {
        if Arc::ptr_eq(&self.identity, &session.identity) { Ok(()) } else { Err(SessionError::OtherSession) }
    }

    /// Submissions, allocations and bytes so far.
    pub fn counters(&self) -> Counters {
        self.program.counters()
    }

    /// Runs one step. Random draws are a function of `step`, its number. Returns when the work is submitted; results
    /// queue up in order for [`Runner::wait`] and [`Runner::ready`].
    ///
    /// # Errors
    /// If the session is not the runner's own, an input or scalar is missing, unknown or of another type, a label or token
    /// is out of bounds (see [`wgrad_graph::index_bounds`]), or the device fails.
    pub fn step(
        &mut self,
        session: &mut Session,
        step: u64,
        inputs: &[(&str, &HostTensor)],
        scalars: &[(&str, f32)],
    ) -> Result<(), SessionError> {
        self.check_owner(session)?;
        let plan = self.program.plan().clone();
        let (words, values) = self.feeding.arguments(&plan, (session.seed, step), inputs, scalars)?;
        Ok(self.program.step(&mut session.memory, &words, &values)?)
    }

    /// Runs one step kernel by kernel and shows operands, results (see [`Program::trace`]) and scalars of each.
    ///
    /// # Errors
    /// As [`Runner::step`].
    pub fn trace(
        &mut self,
        session: &mut Session,
        step: u64,
        inputs: &[(&str, &HostTensor)],
        scalars: &[(&str, f32)],
        visit: &mut dyn FnMut(&Traced<'_>, &[u32]) -> bool,
    ) -> Result<(), SessionError> {
        self.check_owner(session)?;
        let plan = self.program.plan().clone();
        let (words, values) = self.feeding.arguments(&plan, (session.seed, step), inputs, scalars)?;
        Ok(self.program.trace(&mut session.memory, &words, &values, &mut |t| visit(t, &values))?)
    }

    /// Runs one step kernel by kernel with a clock at each (see [`Program::profile`]).
    ///
    /// # Errors
    /// As [`Runner::step`].
    pub fn profile(
        &mut self,
        session: &mut Session,
        step: u64,
        inputs: &[(&str, &HostTensor)],
        scalars: &[(&str, f32)],
    ) -> Result<Profile, SessionError> {
        self.check_owner(session)?;
        let plan = self.program.plan().clone();
        let (words, values) = self.feeding.arguments(&plan, (session.seed, step), inputs, scalars)?;
        Ok(self.program.profile(&mut session.memory, &words, &values)?)
    }

    fn outputs(&self, words: Vec<Vec<u32>>) -> Outputs {
        let named = self.program.plan().outputs.iter().zip(words);
        Outputs(named.map(|(o, words)| (o.name.clone(), HostTensor { ty: o.ty.clone(), words })).collect())
    }

    /// The oldest step's results if it has finished; does not block.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn ready(&mut self) -> Result<Option<Outputs>, SessionError> {
        let words = self.program.ready()?;
        Ok(words.map(|w| self.outputs(w)))
    }

    /// The oldest uncollected step's results, waiting for it; `None` if none is under way.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn wait(&mut self) -> Result<Option<Outputs>, SessionError> {
        let words = self.program.wait()?;
        Ok(words.map(|w| self.outputs(w)))
    }
}

//! A graph on a device with synthetic values, for benchmarks and profiles.

use std::time::Instant;
use wgrad_device::{Device, Profile};
use wgrad_graph::{Graph, Role, index_bounds};
use wgrad_session::{NamedTensor, Runner, Session, SessionError, Tensors};
use wgrad_types::{DType, HostTensor, Type};

/// A session over a graph, its inputs, and the scalars of every step.
pub struct SyntheticStep {
    device: Device,
    session: Session,
    runner: Runner,
    inputs: Vec<(String, HostTensor)>,
    scalars: Vec<(String, f32)>,
    step: u64,
}

impl SyntheticStep {
    /// Weights are `initial` or small synthetic values; integer inputs are 0 or 1, valid as labels and
    /// tokens. Scalars missing in `scalars` are 1.
    ///
    /// # Errors
    /// If the graph has no plan on the device, or the device fails.
    pub fn new(
        device: &Device,
        graph: &Graph,
        initial: Option<&Tensors>,
        scalars: &[(&str, f32)],
    ) -> Result<Self, SessionError> {
        let (mut session, runner) = Session::new(device, graph, initial.unwrap_or(&Vec::new()), 0)?;
        if initial.is_none() {
            let weights = session.params().iter().filter(|p| p.role == Role::Weight);
            let values: Tensors =
                weights.map(|p| NamedTensor::new(p.role, p.name.clone(), values(&p.ty, 0.05))).collect();
            session.restore(&values)?;
        }
        Ok(Self::ready(device, graph, (session, runner), scalars))
    }

    /// An inference plan (see [`Session::inference`]) with small made-up weights.
    ///
    /// # Errors
    /// As [`SyntheticStep::new`].
    pub fn inference(device: &Device, graph: &Graph) -> Result<Self, SessionError> {
        let weights = graph.params().filter(|p| p.0 == Role::Weight);
        let weights: Tensors =
            weights.map(|(role, name, ty)| NamedTensor::new(role, name, values(ty, 0.05))).collect();
        Ok(Self::ready(device, graph, Session::inference(device, graph, &weights)?, &[]))
    }

    fn ready(
        device: &Device,
        graph: &Graph,
        (session, runner): (Session, Runner),
        scalars: &[(&str, f32)],
    ) -> Self {
        let plan = runner.plan().clone();
        let bounds = index_bounds(graph);
        // The only class there is.
        let lone = |name: &str| bounds.iter().any(|b| b.input == name && b.extent < 2);
        let value = |name: &str, ty: &Type| match lone(name) {
            true => HostTensor { ty: ty.clone(), words: vec![0; ty.numel()] },
            false => values(ty, 1.0),
        };
        let inputs = plan.inputs.iter().map(|i| (i.name.clone(), value(&i.name, &i.ty))).collect();
        let given = |name: &str| scalars.iter().find(|s| s.0 == name).map_or(1.0, |s| s.1);
        let scalars = plan.scalars.iter().map(|name| (name.clone(), given(name))).collect();
        Self { device: device.clone(), session, runner, inputs, scalars, step: 0 }
    }

    /// The session and its runner.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// One step to its end.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self) -> Result<(), SessionError> {
        self.run(|runner, session, step, inputs, scalars| {
            runner.step(session, step, inputs, scalars)?;
            runner.wait().map(|_| ())
        })
    }

    /// Seconds of whole steps, ascending: at least five, and until `seconds` have passed. Measured under the
    /// conditions of a training loop ([`Device::install`]).
    ///
    /// # Errors
    /// If the device fails.
    pub fn times(&mut self, seconds: f64) -> Result<Vec<f64>, SessionError> {
        self.device.clone().install(|| self.timed(seconds))
    }

    fn timed(&mut self, seconds: f64) -> Result<Vec<f64>, SessionError> {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while times.len() < 5 || begun.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            self.step()?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    }

    /// One step with a clock at every kernel.
    ///
    /// # Errors
    /// If the device fails.
    pub fn profile(&mut self) -> Result<Profile, SessionError> {
        self.run(|runner, session, step, inputs, scalars| runner.profile(session, step, inputs, scalars))
    }

    fn run<R>(
        &mut self,
        f: impl FnOnce(
            &mut Runner,
            &mut Session,
            u64,
            &[(&str, &HostTensor)],
            &[(&str, f32)],
        ) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        let inputs: Vec<(&str, &HostTensor)> = self.inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
        let scalars: Vec<(&str, f32)> = self.scalars.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let done = f(&mut self.runner, &mut self.session, self.step, &inputs, &scalars)?;
        self.step += 1;
        Ok(done)
    }
}

/// Values spread evenly over `-scale ..= scale`; whole numbers are 0 and 1 in turn.
fn values(ty: &Type, scale: f32) -> HostTensor {
    let words = (0..ty.numel()).map(|i| match ty.dtype {
        DType::F32 | DType::F16 => (((i * 7 % 1999) as f32 / 999.0 - 1.0) * scale).to_bits(),
        DType::I32 | DType::Bool => (i % 2) as u32,
    });
    HostTensor { ty: ty.clone(), words: words.collect() }
}

//! The GPU device: a plan's launches as wgpu calls. No other code knows wgpu.
//!
//! Errors from outside are values: creation runs in error scopes ([`health`]), everything else reports through the
//! device's error state. Every buffer is made by [`Inner::buffer`], every wait is [`Inner::wait`].

mod adapters;
mod buffer;
mod disk;
mod health;
mod memory;
mod pipelines;
mod profile;
mod program;
mod rings;
mod trace;

pub(crate) use memory::Memory;
pub(crate) use program::Program;

pub(crate) use adapters::{Found, find};

use crate::tuned::Tuned;
use crate::{AdapterReport, DeviceError};
use health::Health;
use pipelines::Pipelines;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use wgrad_kernels::Launch;
use wgrad_plan::{Choices, ParamLayout, Plan};
use wgrad_types::{Caps, Limits, Vendor};

/// An opened adapter. Cheap to clone; clones are the same device.
#[derive(Clone)]
pub(crate) struct Gpu {
    inner: Arc<Inner>,
}

/// State shared by the clones of a [`Gpu`], its memories and its programs.
struct Inner {
    instance: wgpu::Instance,
    device: wgpu::Device,
    queue: wgpu::Queue,
    report: AdapterReport,
    caps: Caps,
    health: Arc<Health>,
    pipelines: Pipelines,
    tuned: Tuned,
    /// Opened with WebGPU's default limits, and with run-time checks.
    opened: (bool, bool),
    allocations: AtomicU64,
    submissions: AtomicU64,
}

impl Gpu {
    /// Opens an adapter: with all its limits and features, or with exactly WebGPU's default limits and no
    /// optional feature; `checks` turns on the run-time checks that valid launches do not need.
    pub(crate) fn open(found: Found, baseline: bool, checks: bool) -> Result<Self, DeviceError> {
        let Found { instance, adapter, report } = found;
        let offered = adapter.features();
        let wanted = wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F16
            | wgpu::Features::PIPELINE_CACHE
            | wgpu::Features::TIMESTAMP_QUERY;
        let (required_features, required_limits) = match baseline {
            true => (wgpu::Features::empty(), wgpu::Limits::defaults()),
            false => (offered & wanted, adapter.limits()),
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features,
            required_limits,
            // A plan's few buffers live as long as it does: pooling for speed would only hold memory back.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|e| DeviceError::Open {
            adapter: report.title(),
            why: e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" "),
        })?;
        let health = Health::watch(&device);
        let limits = match baseline {
            true => Limits::WEBGPU_BASELINE,
            false => adapters::limits(&device.limits()),
        };
        let fixed = report.subgroup_min == report.subgroup_max && report.subgroup_min > 0;
        let subgroup =
            (fixed && required_features.contains(wgpu::Features::SUBGROUP)).then_some(report.subgroup_min);
        let caps = Caps {
            class: report.class,
            vendor: Vendor::of(report.vendor),
            limits,
            f16: required_features.contains(wgpu::Features::SHADER_F16),
            subgroup,
        };
        let pipelines = Pipelines::new(&device, &report, checks);
        let inner = Inner {
            tuned: Tuned::open(&report),
            opened: (baseline, checks),
            allocations: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            instance,
            device,
            queue,
            report,
            caps,
            health,
            pipelines,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same adapter opened anew, in the same way.
    pub(crate) fn reopened(&self) -> Result<Self, DeviceError> {
        let gone = || DeviceError::Lost { why: "its adapter is gone".into() };
        let found = find().into_iter().find(|f| f.report == self.inner.report).ok_or_else(gone)?;
        let (baseline, checks) = self.inner.opened;
        Self::open(found, baseline, checks)
    }

    /// Kernel variants measured best on this adapter.
    pub(crate) fn choices(&self) -> Arc<Choices> {
        self.inner.tuned.choices()
    }

    pub(crate) fn keep(&self, choices: &Choices) -> std::io::Result<Option<PathBuf>> {
        self.inner.tuned.keep(choices)
    }

    /// State of the file of variants, for the line on the choice of device.
    pub(crate) fn note(&self) -> Option<&str> {
        self.inner.tuned.note()
    }

    pub(crate) fn caps(&self) -> &Caps {
        &self.inner.caps
    }

    pub(crate) fn name(&self) -> String {
        self.inner.report.title()
    }

    pub(crate) fn report(&self) -> &AdapterReport {
        &self.inner.report
    }

    pub(crate) fn validate(&self, launch: &Launch) -> Result<(), DeviceError> {
        self.inner.pipelines.validate(&self.inner.device, launch)
    }

    pub(crate) fn memory(&self, layout: &ParamLayout) -> Result<Memory, DeviceError> {
        Memory::new(self.inner.clone(), layout)
    }

    pub(crate) fn program(&self, plan: Arc<Plan>, memory: &Memory) -> Result<Program, DeviceError> {
        Program::new(self.inner.clone(), plan, memory)
    }

    /// Gives the adapter up. Whatever is called afterwards, on any clone, memory or program, is an error that says the
    /// device was lost: what a reset or an unplugged card looks like.
    pub(crate) fn destroy(&self) {
        self.inner.device.destroy();
        // wgpu says so only once the work under way has ended, and until then lets further calls fail silently.
        drop(self.inner.health.give_up("it was destroyed".into()));
        self.inner.instance.poll_all(false);
    }
}

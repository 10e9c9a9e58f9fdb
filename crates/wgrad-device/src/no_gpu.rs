//! The GPU device of a build without the feature `gpu`: there is none, and the type system knows it.

use crate::{AdapterReport, Counters, DeviceError, Profile, Traced};
use std::path::PathBuf;
use std::sync::Arc;
use wgrad_kernels::Launch;
use wgrad_plan::{Choices, ParamLayout, Place, Plan};
use wgrad_types::Caps;

/// Nothing has this type.
#[derive(Clone)]
enum Never {}

#[derive(Clone)]
pub(crate) struct Gpu(Never);

pub(crate) struct Memory(Never);

pub(crate) struct Program(Never);

pub(crate) struct Found {
    pub(crate) report: AdapterReport,
    never: Never,
}

pub(crate) fn find() -> Vec<Found> {
    Vec::new()
}

impl Gpu {
    pub(crate) fn open(found: Found, _baseline: bool, _checks: bool) -> Result<Self, DeviceError> {
        match found.never {}
    }

    pub(crate) fn reopened(&self) -> Result<Self, DeviceError> {
        match self.0 {}
    }

    pub(crate) fn choices(&self) -> Arc<Choices> {
        match self.0 {}
    }

    pub(crate) fn keep(&self, _: &Choices) -> std::io::Result<Option<PathBuf>> {
        match self.0 {}
    }

    pub(crate) fn note(&self) -> Option<&str> {
        match self.0 {}
    }

    pub(crate) fn caps(&self) -> &Caps {
        match self.0 {}
    }

    pub(crate) fn name(&self) -> String {
        match self.0 {}
    }

    pub(crate) fn report(&self) -> &AdapterReport {
        match self.0 {}
    }

    pub(crate) fn validate(&self, _: &Launch) -> Result<(), DeviceError> {
        match self.0 {}
    }

    pub(crate) fn memory(&self, _: &ParamLayout) -> Result<Memory, DeviceError> {
        match self.0 {}
    }

    pub(crate) fn program(&self, _: Arc<Plan>, _: &Memory) -> Result<Program, DeviceError> {
        match self.0 {}
    }

    pub(crate) fn destroy(&self) {
        match self.0 {}
    }
}

impl Memory {
    pub(crate) fn write(&mut self, _: Place, _: &[u32]) -> Result<(), DeviceError> {
        match self.0 {}
    }

    pub(crate) fn read(&self, _: Place) -> Result<Vec<u32>, DeviceError> {
        match self.0 {}
    }
}

impl Program {
    pub(crate) fn step(&mut self, _: &mut Memory, _: &[&[u32]], _: &[u32]) -> Result<(), DeviceError> {
        match self.0 {}
    }

    pub(crate) fn trace(
        &mut self,
        _: &mut Memory,
        _: &[&[u32]],
        _: &[u32],
        _: &mut dyn FnMut(&Traced<'_>) -> bool,
    ) -> Result<(), DeviceError> {
        match self.0 {}
    }

    pub(crate) fn profile(
        &mut self,
        _: &mut Memory,
        _: &[&[u32]],
        _: &[u32],
    ) -> Result<Profile, DeviceError> {
        match self.0 {}
    }

    pub(crate) fn ready(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        match self.0 {}
    }

    pub(crate) fn wait(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        match self.0 {}
    }

    pub(crate) fn counters(&self) -> Counters {
        match self.0 {}
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        match self.0 {}
    }
}

//! Pipelines: compiled in parallel and kept by source text, so equal kernels are compiled once per device.

use super::disk::DiskCache;
use super::health::{Health, reason, scoped};
use crate::{AdapterReport, DeviceError};
use std::collections::HashMap;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use wgrad_kernels::{Access, Launch};

/// The WGSL compiler recurses: deep generated expressions need more stack than a thread usually has.
const STACK: usize = 16 << 20;

/// A compiled kernel.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// A kernel to compile and its name in messages: kernel and layer.
pub(super) struct Wanted<'a> {
    pub(super) label: String,
    pub(super) launch: &'a Launch,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    source: Arc<str>,
    access: Vec<Access>,
    checked: bool,
}

/// A device's pipelines.
pub(super) struct Pipelines {
    made: Mutex<HashMap<Key, Pipeline>>,
    disk: Option<DiskCache>,
    checks: bool,
}

impl Pipelines {
    /// An empty cache. `checks`, or `WGRAD_SHADER_CHECKS=1`, turns on the run-time checks that valid launches
    /// do not need.
    pub(super) fn new(device: &wgpu::Device, adapter: &AdapterReport, checks: bool) -> Self {
        let checks = checks || crate::variables::read().shader_checks;
        Self { made: Mutex::default(), disk: DiskCache::open(device, adapter), checks }
    }

    /// The pipelines of the kernels, in their order; those not known yet are compiled on all cores.
    pub(super) fn get(
        &self,
        device: &wgpu::Device,
        health: &Health,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Pipeline>, DeviceError> {
        let key = |w: &Wanted<'_>| Key {
            source: w.launch.source.clone(),
            access: w.launch.bindings.iter().map(|b| b.access).collect(),
            checked: w.launch.checked,
        };
        let keys: Vec<Key> = wanted.iter().map(key).collect();
        let mut have: HashMap<Key, Pipeline> = HashMap::new();
        let mut missing: Vec<(&Key, &Wanted<'_>)> = Vec::new();
        {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let mut seen = std::collections::HashSet::new();
            for (key, wanted) in keys.iter().zip(wanted).filter(|(key, _)| seen.insert(*key)) {
                match made.get(key) {
                    Some(pipeline) => drop(have.insert(key.clone(), pipeline.clone())),
                    None => missing.push((key, wanted)),
                }
            }
        }
        let started = std::time::Instant::now();
        let fresh = in_parallel(&missing, |(_, wanted)| self.compile(device, wanted));
        health.check()?;
        for ((key, _), pipeline) in missing.iter().zip(fresh) {
            have.insert((*key).clone(), pipeline?);
        }
        tracing::debug!(
            kernels = have.len(),
            fresh = missing.len(),
            "kernels of a plan; the others were compiled before"
        );
        if !missing.is_empty() {
            tracing::info!(kernels = missing.len(), seconds = started.elapsed().as_secs_f64(), "compiled");
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.extend(missing.iter().map(|(key, _)| ((*key).clone(), have[*key].clone())));
            drop(made);
            if let Some(disk) = &self.disk {
                disk.save();
            }
        }
        Ok(keys.iter().map(|key| have[key].clone()).collect())
    }

    /// Takes a text as a module, without a pipeline.
    pub(super) fn validate(&self, device: &wgpu::Device, launch: &Launch) -> Result<(), DeviceError> {
        let wanted = Wanted { label: launch.name.clone(), launch };
        let why = |e: wgpu::Error| refused_source(&e, &wanted).unwrap_or_else(|| explain(&reason(&e)));
        let module = scoped(device, || self.module(device, launch));
        module.map(drop).map_err(|e| DeviceError::Kernel { kernel: launch.name.clone(), why: why(e) })
    }

    fn compile(&self, device: &wgpu::Device, wanted: &Wanted<'_>) -> Result<Pipeline, DeviceError> {
        let fail = |why: String| DeviceError::Kernel { kernel: wanted.label.clone(), why };
        let refused = |error: wgpu::Error| match error {
            wgpu::Error::OutOfMemory { .. } => {
                DeviceError::OutOfMemory { what: format!("kernel {}", wanted.label) }
            }
            other => fail(explain(&reason(&other))),
        };
        // Compilers and drivers do panic on unexpected code: this counts as a rejection.
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            let module = scoped(device, || self.module(device, wanted.launch))
                .map_err(|e| refused_source(&e, wanted).map_or_else(|| refused(e), fail))?;
            scoped(device, || self.pipeline(device, wanted.launch, &module)).map_err(refused)
        }));
        compiled.unwrap_or_else(|_| Err(fail("the shader compiler crashed".into())))
    }

    #[expect(
        unsafe_code,
        reason = "naga's run-time checks cost up to half the speed, and launches prove them needless"
    )]
    fn module(&self, device: &wgpu::Device, launch: &Launch) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&launch.name),
            source: wgpu::ShaderSource::Wgsl(launch.source.as_ref().into()),
        };
        if self.checks || launch.checked {
            return device.create_shader_module(descriptor);
        }
        // SAFETY: a user's text does not come here; the source is generated by wgrad-kernels for exactly the shapes and
        // groups of this launch: every index is in range or guarded, every loop is finite, no integer is divided by zero.
        // `WGRAD_SHADER_CHECKS=1` verifies.
        unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    }

    fn pipeline(&self, device: &wgpu::Device, launch: &Launch, module: &wgpu::ShaderModule) -> Pipeline {
        let entry = |(number, binding): (usize, &wgrad_kernels::Binding)| wgpu::BindGroupLayoutEntry {
            binding: number as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: binding.access == Access::Read },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let entries: Vec<_> = launch.bindings.iter().enumerate().map(entry).collect();
        let label = Some(launch.name.as_str());
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[],
                zero_initialize_workgroup_memory: false,
            },
            cache: self.disk.as_ref().map(DiskCache::cache),
        });
        Pipeline { pipeline, layout }
    }
}

/// The results of a function over items, in their order, computed on as many threads as there are cores.
fn in_parallel<T: Sync, R: Send + Sync>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let results: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < items.len()) {
            let result = f(&items[i]);
            drop(results[i].set(result));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).is_ok();
        let started = (0..threads).map(spawn).filter(|&started| started).count();
        if started == 0 {
            work();
        }
    });
    results.into_iter().map(|r| r.into_inner().expect("every item was taken by a thread")).collect()
}

/// The WGSL front end's reason with the line it points at.
fn refused_source(error: &wgpu::Error, wanted: &Wanted<'_>) -> Option<String> {
    let text = error.to_string();
    // "   ┌─ wgsl:12:5" or "   ┌─ label:12:5"; the label may hold colons itself.
    let place = text.lines().find_map(|l| l.trim_start().strip_prefix("┌─ "))?;
    let line: usize = place.trim_end().rsplit(':').nth(1)?.parse().ok()?;
    let code = wanted.launch.source.lines().nth(line.checked_sub(1)?)?;
    Some(format!("{} (line {line}: `{}`)", explain(&reason(error)), code.trim()))
}

/// The reason without naga's preamble, a repetition of the label.
fn explain(reason: &str) -> String {
    let after = |mark: &str| reason.split_once(mark).map(|(_, rest)| rest.trim().to_owned());
    after(" parsing error:")
        .or_else(|| after("Shader validation error:"))
        .unwrap_or_else(|| reason.to_owned())
}

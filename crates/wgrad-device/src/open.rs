//! Device selection: the request, the available devices, and one line with the result and its reason.

use crate::device::Kind;
use crate::gpu::{self, Found, Gpu};
use crate::{AdapterReport, Device, DeviceError, cpu, variables};
use std::fmt;
use std::str::FromStr;
use wgrad_types::AdapterClass;

/// A device by name: `auto`, `gpu`, `gpu:N`, `software` or `cpu`, as on the command line. The default is `auto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    wanted: Wanted,
    /// Opens an adapter with WebGPU's default limits and no optional features, whatever it offers
    /// (`WGRAD_LIMITS=webgpu-baseline` does so from outside). The native CPU has no limits.
    pub baseline_limits: bool,
    /// Runs kernels with the shader compiler's run-time checks (like `WGRAD_SHADER_CHECKS=1`): slower, and
    /// safe for any kernel.
    pub shader_checks: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Auto,
    Gpu,
    Nth(usize),
    Software,
    Cpu,
}

impl Request {
    /// The same with WebGPU's default limits.
    #[must_use]
    pub fn with_baseline_limits(self) -> Self {
        Self { baseline_limits: true, ..self }
    }
}

impl FromStr for Request {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { name: name.to_owned() };
        let name_here = name.trim().to_lowercase();
        // Other tools' names for a GPU.
        let other = ["cuda", "mps", "metal", "vulkan", "rocm", "hip", "xpu", "dx12"];
        let (kind, number) = name_here.split_once(':').map_or((&*name_here, None), |(k, n)| (k, Some(n)));
        let name_here = match number {
            _ if !other.contains(&kind) => match name_here.bytes().all(|b| b.is_ascii_digit()) {
                true if !name_here.is_empty() => format!("gpu:{name_here}"),
                _ => name_here,
            },
            Some(number) => format!("gpu:{number}"),
            None => "gpu".to_owned(),
        };
        let wanted = match &*name_here {
            "auto" => Wanted::Auto,
            "gpu" => Wanted::Gpu,
            "software" => Wanted::Software,
            "cpu" => Wanted::Cpu,
            other => {
                let number = other.strip_prefix("gpu:").filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
                Wanted::Nth(number.and_then(|n| n.parse().ok()).ok_or_else(unknown)?)
            }
        };
        Ok(Self { wanted, baseline_limits: false, shader_checks: false })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wanted {
            Wanted::Auto => f.write_str("auto"),
            Wanted::Gpu => f.write_str("gpu"),
            Wanted::Nth(n) => write!(f, "gpu:{n}"),
            Wanted::Software => f.write_str("software"),
            Wanted::Cpu => f.write_str("cpu"),
        }
    }
}

/// The selected device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The device's own name and kind.
    pub device: String,
    /// One line: the request, the selected device, and the reason.
    pub reason: String,
}

/// The adapters of this machine, best class first; `gpu:N` counts them from 0.
pub fn adapters() -> Vec<AdapterReport> {
    crate::quiet_drivers();
    gpu::find().into_iter().map(|found| found.report).collect()
}

impl Device {
    /// The best device of this machine: a discrete GPU, else an integrated one, else the CPU. `WGRAD_DEVICE` names another.
    /// [`Device::reason`] says which and why.
    ///
    /// ```no_run
    /// use wgrad_device::Device;
    /// let device = Device::auto()?;
    /// println!("{}", device.reason());
    /// # Ok::<(), wgrad_device::DeviceError>(())
    /// ```
    ///
    /// # Errors
    /// If `WGRAD_DEVICE` or another variable of docs/variables.md has no meaning here, or its device is not there.
    pub fn auto() -> Result<Self, DeviceError> {
        Ok(Self::open(&Request::default())?.0)
    }

    /// Opens what was asked for. `WGRAD_DEVICE` takes the place of `auto`.
    ///
    /// # Errors
    /// If nothing fits the request, or the driver refuses.
    pub fn open(request: &Request) -> Result<(Self, Selected), DeviceError> {
        crate::quiet_drivers();
        let set = variables::read();
        let (request, asked) = resolve(request, set.device.as_deref(), set.limits.as_deref())?;
        if let Some(name) = set.vectors.filter(|name| !name.is_empty()) {
            let refused = |hint| DeviceError::NotFound {
                wanted: format!("vectors {name:?}"),
                hint: format!("WGRAD_VECTORS {hint}"),
            };
            wgrad_kernels::cpu::choose_vectors(&name).map_err(refused)?;
        }
        let cpu = cpu::Cpu::new();
        let found = if request.wanted == Wanted::Cpu { Vec::new() } else { gpu::find() };
        let reports: Vec<AdapterReport> = found.iter().map(|f| f.report.clone()).collect();
        let ranked = rank(&request.wanted, &reports)?;
        let mut found: Vec<Option<Found>> = found.into_iter().map(Some).collect();
        let mut refusals = Vec::new();
        for at in ranked.adapters {
            let Some(found) = found[at].take() else { continue };
            match Gpu::open(found, request.baseline_limits, request.shader_checks) {
                Ok(gpu) => {
                    let mut why = ranked.why.clone();
                    why.extend(refusals);
                    why.extend(gpu.note().map(str::to_owned));
                    let title = gpu.name();
                    let limits = if request.baseline_limits { " with WebGPU's default limits" } else { "" };
                    let reason = format!("{asked}: {title}{limits}, {}", why.join("; "));
                    tracing::info!("device {reason}");
                    let device = Self { kind: Kind::Gpu(gpu), reason: reason.as_str().into() };
                    return Ok((device, Selected { device: title, reason }));
                }
                Err(error) if ranked.or_cpu => {
                    tracing::warn!("falling back: {error}");
                    refusals.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        let title = cpu.name();
        let why = match refusals.is_empty() {
            true => why_cpu(&request.wanted, &reports),
            false => format!("because {}", refusals.join("; ")),
        };
        let reason = format!("{asked}: {title}, {why}");
        tracing::info!("device {reason}");
        let device = Self { kind: Kind::Cpu(cpu), reason: reason.as_str().into() };
        Ok((device, Selected { device: title, reason }))
    }
}

/// The request combined with the environment, and its wording.
fn resolve(
    request: &Request,
    device: Option<&str>,
    limits: Option<&str>,
) -> Result<(Request, String), DeviceError> {
    let (mut resolved, asked) = match device.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) if request.wanted == Wanted::Auto => {
            let asked = format!("WGRAD_DEVICE={name}");
            let from: Request = name.parse().map_err(|_| DeviceError::Unknown { name: asked.clone() })?;
            (Request { wanted: from.wanted, ..request.clone() }, asked)
        }
        _ => (request.clone(), request.to_string()),
    };
    match limits.map(str::trim).filter(|name| !name.is_empty()) {
        None => {}
        Some("webgpu-baseline") => resolved.baseline_limits = true,
        Some(other) => {
            let wanted = format!("limits {other:?}");
            return Err(DeviceError::NotFound { wanted, hint: "WGRAD_LIMITS may be webgpu-baseline".into() });
        }
    }
    Ok((resolved, asked))
}

/// Advice if there are no adapters.
const NO_ADAPTER: &str = if cfg!(feature = "gpu") {
    "no driver offers one; use `device` cpu"
} else {
    "this build is without the feature `gpu`; use cpu"
};

/// Adapters to try in order, why the first is, and whether the CPU stands in where none opens.
#[derive(Debug, PartialEq, Eq)]
struct Ranked {
    adapters: Vec<usize>,
    why: Vec<String>,
    or_cpu: bool,
}

/// The choice itself, apart from opening. `reports` are in the order of [`adapters`]: best class first.
fn rank(wanted: &Wanted, reports: &[AdapterReport]) -> Result<Ranked, DeviceError> {
    let of = |software: bool| -> Vec<usize> {
        (0..reports.len()).filter(|&i| (reports[i].class == AdapterClass::Software) == software).collect()
    };
    let not_found =
        |wanted: &str, hint: &str| DeviceError::NotFound { wanted: wanted.into(), hint: hint.into() };
    let only = |adapters: Vec<usize>, why: &str| Ranked {
        adapters: adapters.into_iter().take(1).collect(),
        why: vec![why.to_owned()],
        or_cpu: false,
    };
    match wanted {
        Wanted::Cpu => Ok(Ranked { adapters: Vec::new(), why: Vec::new(), or_cpu: true }),
        Wanted::Auto => {
            let why = match reports.len() {
                1 => "the only adapter".to_owned(),
                count => format!("the best of {count} adapters"),
            };
            Ok(Ranked { adapters: of(false), why: vec![why], or_cpu: true })
        }
        Wanted::Gpu if !of(false).is_empty() => Ok(only(of(false), "the best GPU here")),
        Wanted::Gpu if reports.is_empty() => Err(not_found("GPU", NO_ADAPTER)),
        Wanted::Gpu => {
            let there = names(reports);
            let hint = format!("there is only software ({there}); use `device` software or cpu");
            Err(not_found("GPU", &hint))
        }
        Wanted::Software if of(true).is_empty() => {
            let install = "install Mesa's lavapipe (mesa-vulkan-drivers), or use `device` cpu";
            let hint = if cfg!(feature = "gpu") { install } else { NO_ADAPTER };
            Err(not_found("software adapter", hint))
        }
        Wanted::Software => Ok(only(of(true), "as asked")),
        Wanted::Nth(n) if *n < reports.len() => Ok(only(vec![*n], "as asked")),
        Wanted::Nth(n) => {
            let hint = match reports.len() {
                0 => "there are no adapters; use `device` cpu".to_owned(),
                1 => "the only adapter is gpu:0 (see `adapters`)".to_owned(),
                count => format!("adapters are gpu:0 to gpu:{} (see `adapters`)", count - 1),
            };
            Err(not_found(&format!("adapter gpu:{n}"), &hint))
        }
    }
}

fn names(reports: &[AdapterReport]) -> String {
    reports.iter().map(AdapterReport::short_name).collect::<Vec<_>>().join(", ")
}

fn why_cpu(wanted: &Wanted, reports: &[AdapterReport]) -> String {
    match (wanted, reports) {
        (Wanted::Cpu, _) => "as asked".into(),
        (_, []) => "because no graphics adapter was found".into(),
        (_, [one]) => format!("because the only adapter, {}, is a software adapter", one.short_name()),
        (_, all) => format!("because all adapters ({}) are software adapters", names(all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_types::Limits;

    fn adapter(name: &str, class: AdapterClass) -> AdapterReport {
        AdapterReport {
            name: name.into(),
            class,
            backend: "Vulkan".into(),
            driver: String::new(),
            vendor: 1,
            device: 1,
            bus: String::new(),
            limits: Limits::WEBGPU_BASELINE,
            subgroup_min: 32,
            subgroup_max: 32,
            features: Vec::new(),
        }
    }

    fn request(name: &str) -> Request {
        name.parse().expect("a device's name")
    }

    #[test]
    fn request_names_parse_and_print() {
        for name in ["auto", "gpu", "gpu:0", "gpu:17", "software", "cpu"] {
            assert_eq!(request(name).to_string(), name);
        }
        // Other tools' names for a GPU.
        for (name, want) in
            [("GPU", "gpu"), ("cuda", "gpu"), ("CUDA:1", "gpu:1"), ("mps", "gpu"), ("0", "gpu:0")]
        {
            assert_eq!(request(name).to_string(), want);
        }
        for name in ["", "gpu:", "gpu:-1", "gpu:+1", "gpu:x", "cuda:x", "tpu", "gpu:99999999999999999999999"]
        {
            let error = name.parse::<Request>().expect_err("no device's name");
            assert_eq!(error, DeviceError::Unknown { name: name.into() });
        }
    }

    #[test]
    fn request_environment_replaces_auto_only() {
        let auto = request("auto");
        let (resolved, asked) = resolve(&auto, Some("software"), None).expect("a device's name");
        assert_eq!((resolved, asked.as_str()), (request("software"), "WGRAD_DEVICE=software"));
        let (resolved, asked) = resolve(&request("cpu"), Some("software"), None).expect("a device's name");
        assert_eq!((resolved, asked.as_str()), (request("cpu"), "cpu"));
        assert_eq!(resolve(&auto, Some(" "), Some("")).expect("unset").0, auto);
        let error = resolve(&auto, Some("toaster"), None).expect_err("unknown device").to_string();
        assert!(error.starts_with("unknown device \"WGRAD_DEVICE=toaster\": use auto, "), "{error}");
        let (resolved, _) = resolve(&auto, None, Some("webgpu-baseline")).expect("known limits");
        assert_eq!(resolved, auto.clone().with_baseline_limits());
        let error = resolve(&auto, None, Some("tiny")).expect_err("unknown limits");
        assert_eq!(error.to_string(), "no limits \"tiny\" found: WGRAD_LIMITS may be webgpu-baseline");
    }

    #[test]
    fn request_auto_takes_hardware_never_software() {
        let all = [
            adapter("Big", AdapterClass::Discrete),
            adapter("Small", AdapterClass::Integrated),
            adapter("llvmpipe (LLVM 15)", AdapterClass::Software),
        ];
        let ranked = rank(&Wanted::Auto, &all).expect("auto always finds something");
        assert_eq!((ranked.adapters, ranked.or_cpu), (vec![0, 1], true));
        assert_eq!(ranked.why, ["the best of 3 adapters"]);
        assert_eq!(rank(&Wanted::Gpu, &all).expect("a GPU").adapters, [0]);
        assert_eq!(rank(&Wanted::Software, &all).expect("software").adapters, [2]);
        assert_eq!(rank(&Wanted::Nth(2), &all).expect("the third").adapters, [2]);
        assert_eq!(rank(&Wanted::Auto, &all[2..]).expect("the CPU").adapters, [] as [usize; 0]);
        let why = "because the only adapter, llvmpipe, is a software adapter";
        assert_eq!(why_cpu(&Wanted::Auto, &all[2..]), why);
        assert_eq!(why_cpu(&Wanted::Auto, &[]), "because no graphics adapter was found");
    }

    #[test]
    fn request_without_match_names_the_remedy() {
        let software = [adapter("llvmpipe (LLVM 15)", AdapterClass::Software)];
        let said = |wanted, reports| rank(&wanted, reports).expect_err("not there").to_string();
        assert_eq!(
            said(Wanted::Gpu, &software),
            "no GPU found: there is only software (llvmpipe); use `device` software or cpu"
        );
        assert_eq!(said(Wanted::Gpu, &[]), "no GPU found: no driver offers one; use `device` cpu");
        assert_eq!(
            said(Wanted::Nth(99), &software),
            "no adapter gpu:99 found: the only adapter is gpu:0 (see `adapters`)"
        );
        assert!(said(Wanted::Software, &[]).starts_with("no software adapter found: install"));
    }
}

//! Selection of devices, and the messages about it.

use std::process::Command;
use wgrad_device::{Device, DeviceError, Request, adapters};
use wgrad_types::{AdapterClass, Limits};

fn open(name: &str) -> Result<(Device, wgrad_device::Selected), DeviceError> {
    Device::open(&name.parse::<Request>()?)
}

#[test]
fn software_adapter_is_listed_and_no_gpu() {
    let all = adapters();
    let report = all.iter().find(|a| a.class == AdapterClass::Software).expect("lavapipe is installed");
    assert!(report.name.contains("llvmpipe"));
    assert_eq!(report.title(), "llvmpipe (software adapter, Vulkan)");
    assert!(report.driver.contains("Mesa"), "{}", report.driver);
    assert!(report.limits.storage_buffers >= 8 && report.limits.workgroup_bytes >= 16 << 10);
    assert!(report.limits.binding_bytes % 16 == 0 && report.limits.buffer_bytes % 16 == 0);
    let unique: std::collections::BTreeSet<String> = all.iter().map(|a| format!("{a:?}")).collect();
    assert_eq!(unique.len(), all.len());
}

#[test]
fn software_adapter_opens_with_full_limits() {
    let (device, selected) = open("software").unwrap();
    let report = adapters().into_iter().find(|a| a.class == AdapterClass::Software).unwrap();
    assert_eq!(device.caps().class, AdapterClass::Software);
    assert_eq!(device.caps().limits, report.limits);
    let fixed =
        report.subgroup_min == report.subgroup_max && report.features.iter().any(|f| f == "subgroups");
    assert_eq!(device.caps().subgroup, fixed.then_some(report.subgroup_min));
    assert_eq!(device.name(), "llvmpipe (software adapter, Vulkan)");
    assert_eq!(selected.device, device.name());
    // A cache folder of the machine's may add tuned kernels.
    let reason = selected.reason.split("; ").next();
    assert_eq!(reason, Some("software: llvmpipe (software adapter, Vulkan), as asked"));
}

#[test]
fn adapter_opens_by_number() {
    let all = adapters();
    for (n, report) in all.iter().enumerate() {
        assert_eq!(open(&format!("gpu:{n}")).unwrap().0.name(), report.title());
    }
    let error = open("gpu:99").err().unwrap();
    assert!(matches!(&error, DeviceError::NotFound { wanted, .. } if wanted == "adapter gpu:99"), "{error}");
}

#[test]
fn cpu_opens_by_name() {
    let (device, selected) = open("cpu").unwrap();
    assert_eq!(device.caps().class, AdapterClass::Cpu);
    assert_eq!(selected.reason, format!("cpu: {}, as asked", device.name()));
}

#[test]
fn device_unknown_name_is_refused() {
    let error = open("toaster").err().unwrap();
    assert_eq!(error, DeviceError::Unknown { name: "toaster".into() });
    assert!(error.to_string().contains("auto, gpu, gpu:N, software or cpu"));
}

#[test]
fn gpu_is_real_or_not_found() {
    let real = adapters().iter().any(|a| a.class != AdapterClass::Software);
    match open("gpu") {
        Ok((device, _)) => assert!(real && device.caps().class != AdapterClass::Software),
        Err(error) => {
            assert!(!real, "{error}");
            assert!(error.to_string().ends_with("use `device` software or cpu"), "{error}");
        }
    }
}

/// Runs `in_an_environment` alone in a process of its own with these variables.
fn with_environment(vars: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "opening::in_an_environment", "--ignored", "--nocapture"]);
    for name in ["WGRAD_DEVICE", "WGRAD_LIMITS", "WGRAD_SHADER_CHECKS", "WGRAD_CACHE_DIR"] {
        child.env_remove(name);
    }
    let output = child.env("WGRAD_CACHE_DIR", "").envs(vars.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|l| l.split_once("opened ")).map(|(_, said)| said.to_owned()).unwrap()
}

#[test]
#[ignore = "run by the tests below, in an environment of their making"]
fn in_an_environment() {
    match Device::open(&Request::default()) {
        Ok((device, selected)) => {
            if device.caps().class != AdapterClass::Cpu {
                let mut rig = crate::fixture::Rig::new(device.clone());
                rig.step(1);
                assert_eq!(rig.wait(), Some(crate::fixture::expected(1)));
            }
            let baseline = device.caps().limits == Limits::WEBGPU_BASELINE;
            answer(&format!("opened {} | {baseline}", selected.reason));
        }
        Err(error) => answer(&format!("opened not: {error}")),
    }
}

/// Message from the child process to its parent.
fn answer(line: &str) {
    use std::io::Write;
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
}

#[test]
fn device_environment_variable_is_used() {
    let said = with_environment(&[("WGRAD_DEVICE", "software")]);
    assert_eq!(said, "WGRAD_DEVICE=software: llvmpipe (software adapter, Vulkan), as asked | false");
    let vars =
        [("WGRAD_DEVICE", "software"), ("WGRAD_LIMITS", "webgpu-baseline"), ("WGRAD_SHADER_CHECKS", "1")];
    let said = with_environment(&vars);
    assert!(said.ends_with("with WebGPU's default limits, as asked | true"), "{said}");
    let said = with_environment(&[("WGRAD_DEVICE", "toaster")]);
    assert!(said.starts_with("not: unknown device \"WGRAD_DEVICE=toaster\""), "{said}");
}

#[test]
fn pipeline_cache_persists_and_damage_is_harmless() {
    let folder = std::env::temp_dir().join(format!("wgrad-device-{}", std::process::id()));
    let vars = [("WGRAD_DEVICE", "software"), ("WGRAD_CACHE_DIR", folder.to_str().unwrap())];
    let run = || {
        with_environment(&vars);
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    };
    let whole = std::fs::read(run()).unwrap();
    assert!(whole.starts_with(b"wgradpc1"));
    // A second start has nothing to add to the file.
    let kept = run();
    assert_eq!(std::fs::read(&kept).unwrap(), whole);
    let mut damaged = std::fs::read(&kept).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, &damaged).unwrap();
    assert_ne!(std::fs::read(run()).unwrap(), damaged);
    std::fs::remove_dir_all(&folder).unwrap();
    // A file in place of the folder: no cache, no complaint.
    std::fs::write(&folder, "in the way").unwrap();
    with_environment(&vars);
    std::fs::remove_file(&folder).unwrap();
}

#[test]
fn auto_prefers_hardware_then_cpu() {
    let said = with_environment(&[]);
    match &adapters()[..] {
        [only] if only.class == AdapterClass::Software => {
            assert!(said.starts_with("auto: native CPU ("), "{said}");
            assert!(
                said.contains("), because the only adapter, llvmpipe, is a software adapter |"),
                "{said}"
            );
        }
        all => assert_eq!(said.contains("native CPU"), all[0].class == AdapterClass::Software, "{said}"),
    }
}

//! Every shader, hand-written ones as they stand and every variant of every case, for every class of adapter,
//! through naga: parsed, validated, and written as SPIR-V, MSL and HLSL. The results stay in
//! `target/tmp/portability`, for `cargo xtask portability` and its checks by spirv-val and Tint.

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::collections::BTreeMap;
use std::path::Path;
use wgrad_doctor::check_barriers;
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::{build, cases, gpu, gpu_baseline};
use wgrad_types::{AdapterClass, Caps, Limits};

/// The shader as SPIR-V. Panics with its name if a stage refuses it.
fn portable(name: &str, source: &str) -> Vec<u32> {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    let capabilities = Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER | Capabilities::SHADER_FLOAT16;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    let spv = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    let words = spv::write_vec(&module, &info, &spv, None).unwrap_or_else(|e| panic!("{name}: SPIR-V: {e}"));
    assert_eq!(words[0], 0x0723_0203, "{name}: SPIR-V's magic number");
    let msl = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..msl::Options::default() };
    msl::write_string(&module, &info, &msl, &msl::PipelineOptions::default())
        .unwrap_or_else(|e| panic!("{name}: MSL: {e}"));
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_2,
        fake_missing_bindings: true,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions::default();
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(&module, &info, None)
        .unwrap_or_else(|e| panic!("{name}: HLSL: {e}"));
    assert!(text.contains("numthreads"), "{name}: HLSL has an entry point");
    words
}

/// The module without the array strides naga gives arrays in workgroup memory. Current SPIR-V rules allow them in
/// buffers only: naga breaks them (gfx-rs/wgpu#7696), and some drivers mind. The rest of the module is validated as it is.
fn without_workgroup_strides(words: &[u32]) -> Vec<u32> {
    const HEADER: usize = 5;
    const TYPE_POINTER: u32 = 32;
    const DECORATE: u32 = 71;
    const WORKGROUP: u32 = 4;
    const ARRAY_STRIDE: u32 = 6;
    let mut instructions: Vec<&[u32]> = Vec::new();
    let mut at = HEADER;
    while at < words.len() {
        let length = (words[at] >> 16) as usize;
        instructions.push(&words[at..at + length]);
        at += length;
    }
    let opcode = |i: &[u32]| i[0] & 0xffff;
    let in_workgroup = |i: &&&[u32]| opcode(i) == TYPE_POINTER && i[2] == WORKGROUP;
    let arrays: Vec<u32> = instructions.iter().filter(in_workgroup).map(|i| i[3]).collect();
    let stride = |i: &[u32]| opcode(i) == DECORATE && i[2] == ARRAY_STRIDE && arrays.contains(&i[1]);
    let kept = instructions.into_iter().filter(|i| !stride(i)).flatten();
    words[..HEADER].iter().chain(kept).copied().collect()
}

/// Every class of adapter with roomy and with small limits, with subgroups and without.
fn capabilities() -> Vec<Caps> {
    let roomy = Limits { workgroup_bytes: 32 << 10, workgroup_size: 1024, ..Limits::WEBGPU_BASELINE };
    let mut all = vec![gpu().caps().clone(), gpu_baseline().caps().clone()];
    for class in
        [AdapterClass::Discrete, AdapterClass::Integrated, AdapterClass::OtherGpu, AdapterClass::Software]
    {
        for (limits, subgroup) in [(roomy, Some(32)), (roomy, Some(4)), (Limits::WEBGPU_BASELINE, None)] {
            all.push(Caps { class, limits, subgroup, f16: subgroup.is_some(), ..Caps::webgpu_baseline() });
        }
    }
    all
}

/// Every file with an entry point, its imports in place, and the products with their other core. Files in `common/` are
/// part of some of these, or of kernels that the cases reach.
fn standing_alone() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (path, text) in wgrad_shaders::SHADERS.iter().filter(|(path, _)| !path.starts_with("common/")) {
        all.push((path.to_string(), wgrad_shaders::imports(text)));
        let other = text.replace("// #import common/tile\n", "// #import common/subgroup_tile\n");
        if other != *text {
            all.push((format!("{path} by subgroups"), wgrad_shaders::imports(&other)));
        }
    }
    all
}

/// Kernels of all cases, variants and adapters, and the shader files as they stand. `cargo xtask portability` gives them to
/// Tint too.
#[test]
fn shaders_of_every_variant_are_portable() {
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    for caps in capabilities() {
        for case in cases::all() {
            let plan =
                plan(&build(case, 0).graph, &caps, &PlanOptions::default()).expect("cases fit every device");
            for kernel in &plan.kernels {
                for variant in wgrad_kernels::variants(&kernel.kernel, &caps).expect("a planned step") {
                    for launch in variant.launches {
                        modules.insert(launch.source.to_string(), format!("{} ({})", launch.name, case.name));
                    }
                }
            }
        }
    }
    modules.extend(standing_alone().into_iter().map(|(name, source)| (source, name)));
    assert!(modules.len() > 1000, "only {} modules", modules.len());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("portability");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("the folder of the last run is ours");
    }
    std::fs::create_dir_all(&folder).expect("a folder");
    for (n, (source, name)) in modules.iter().enumerate() {
        let words = portable(name, source);
        // A file as it stands has the statements of all its flags.
        if !name.contains(".wgsl") {
            check_barriers(source).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let path = folder.join(format!("{n:05}.wgsl"));
        std::fs::write(&path, format!("// {name}\n{source}")).expect("a file");
        let bytes: Vec<u8> = without_workgroup_strides(&words).iter().flat_map(|w| w.to_le_bytes()).collect();
        std::fs::write(path.with_extension("spv"), bytes).expect("a file");
    }
}

//! Every shader, hand-written as it stands and every form any row generates, through naga: parsed, validated, and
//! written as SPIR-V, MSL and HLSL.

use crate::rows;
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::collections::BTreeMap;
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::{build, gpu, gpu_baseline};

/// Panics with the shader's name where a stage refuses it.
fn portable(name: &str, source: &str) {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    let capabilities = Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER;
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
        shader_model: hlsl::ShaderModel::V6_0,
        fake_missing_bindings: true,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions::default();
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(&module, &info, None)
        .unwrap_or_else(|e| panic!("{name}: HLSL: {e}"));
    assert!(text.contains("numthreads"), "{name}: HLSL has an entry point");
}

#[test]
fn hand_written_shaders_are_valid_as_they_stand() {
    for (name, source) in wgrad_shaders::SHADERS {
        let module = naga::front::wgsl::parse_str(source);
        assert!(module.is_ok(), "{name}: {}", module.expect_err("it failed").emit_to_string(source));
    }
}

#[test]
fn every_form_of_every_row_is_portable() {
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    for device in [gpu(), gpu_baseline()] {
        for row in rows::all() {
            let plan = plan(&build(row).graph, device.caps(), &PlanOptions::default())
                .expect("rows fit every device");
            for step in &plan.steps {
                for candidate in wgrad_kernels::candidates(&step.step, device.caps()).expect("a planned step")
                {
                    for launch in candidate.launches {
                        modules.insert(launch.source.to_string(), format!("{} ({})", launch.name, row.name));
                    }
                }
            }
        }
    }
    assert!(modules.len() > 300, "only {} modules", modules.len());
    for (source, name) in &modules {
        portable(name, source);
    }
}

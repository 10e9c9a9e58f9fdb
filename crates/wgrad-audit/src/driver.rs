//! A Vulkan driver asked for `VK_KHR_pipeline_executable_properties`. No queue is used and nothing runs.

#![expect(unsafe_code, reason = "Vulkan's interface; objects live as long as the process")]

use anyhow::{Context, Result, bail};
use ash::{khr, vk};
use std::ffi::CStr;

/// An opened device.
pub(crate) struct Driver {
    _entry: ash::Entry,
    device: ash::Device,
    statistics: khr::pipeline_executable_properties::Device,
    name: String,
}

/// The compiler's statistics of a pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statistics {
    /// Vector registers per invocation.
    pub(crate) registers: u64,
    /// Vector and scalar registers spilled.
    pub(crate) spills: u64,
    /// Bytes of workgroup memory.
    pub(crate) lds: u64,
    /// Subgroups a SIMD unit holds.
    pub(crate) occupancy: u64,
    /// Instructions.
    pub(crate) instructions: u64,
    /// Cycles per wave with hidden latency, by the compiler's model.
    pub(crate) inverse_throughput: u64,
}

fn text(chars: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|c| c.cast_unsigned()).take_while(|c| *c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Driver {
    /// The first device of the driver named by the environment.
    pub(crate) fn load() -> Result<Self> {
        // SAFETY: plain calls in Vulkan's required order; structures outlive the calls reading them.
        unsafe {
            let entry = ash::Entry::load().context("no Vulkan loader")?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let create = vk::InstanceCreateInfo::default().application_info(&application);
            let instance = entry.create_instance(&create, None).context("no Vulkan instance")?;
            let devices = instance.enumerate_physical_devices()?;
            let Some(&physical) = devices.first() else { bail!("the driver shows no device") };
            let name = text(&instance.get_physical_device_properties(physical).device_name);
            let extensions = instance.enumerate_device_extension_properties(physical)?;
            let wanted: &CStr = khr::pipeline_executable_properties::NAME;
            if !extensions.iter().any(|e| text(&e.extension_name).as_bytes() == wanted.to_bytes()) {
                bail!("{name} tells nothing of its compiler ({})", wanted.to_string_lossy());
            }
            let mut info = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                .pipeline_executable_info(true);
            let mut v12 = vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true);
            let (extensions, priority) = ([wanted.as_ptr()], [1.0]);
            let queues =
                [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&priority)];
            let create = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .push_next(&mut info)
                .push_next(&mut v12);
            let device =
                instance.create_device(physical, &create, None).context("the device does not open")?;
            let statistics = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Self { _entry: entry, device, statistics, name })
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Compiles a module with `bindings` storage buffers in group 0.
    pub(crate) fn compile(&self, module: &[u32], bindings: usize) -> Result<Statistics> {
        let binding = |i: usize| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(i as u32)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings: Vec<_> = (0..bindings).map(binding).collect();
        // SAFETY: as in `load`; objects are left to the end of the process.
        unsafe {
            let create = vk::ShaderModuleCreateInfo::default().code(module);
            let module = self.device.create_shader_module(&create, None)?;
            let create = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let layouts = [self.device.create_descriptor_set_layout(&create, None)?];
            let create = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts);
            let layout = self.device.create_pipeline_layout(&create, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let create = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            let pipeline = made.map_err(|(_, why)| why).context("the pipeline does not compile")?[0];
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let found = self.statistics.get_pipeline_executable_statistics(&info)?;
            let value = |name: &str| -> Result<u64> {
                let found = found.iter().find(|s| text(&s.name) == name);
                Ok(found.with_context(|| format!("the driver does not tell {name:?}"))?.value.u64)
            };
            Ok(Statistics {
                registers: value("VGPRs")?,
                spills: value("Spilled VGPRs")? + value("Spilled SGPRs")?,
                lds: value("LDS size")?,
                occupancy: value("Subgroups per SIMD")?,
                instructions: value("Instructions")?,
                inverse_throughput: value("Inverse Throughput")?,
            })
        }
    }
}

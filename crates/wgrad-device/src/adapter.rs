//! The description of an adapter as plain data.

use wgrad_types::{AdapterClass, Limits};

/// What is known of an adapter before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterReport {
    /// The adapter's own name.
    pub name: String,
    /// Kind of hardware; software is recognised by type and by name.
    pub class: AdapterClass,
    /// The graphics API it is reached through.
    pub backend: String,
    /// Driver and its version, as the driver tells them.
    pub driver: String,
    /// The vendor's number (on PCI, the vendor id).
    pub vendor: u32,
    /// The device's number.
    pub device: u32,
    /// The PCI address, where known.
    pub bus: String,
    /// Limits it offers.
    pub limits: Limits,
    /// Smallest subgroup.
    pub subgroup_min: u32,
    /// Largest subgroup.
    pub subgroup_max: u32,
    /// Optional features that matter to kernels.
    pub features: Vec<String>,
}

impl AdapterReport {
    /// Name, kind and API: "llvmpipe (software adapter, Vulkan)".
    pub fn title(&self) -> String {
        format!("{} ({}, {})", self.short_name(), self.class, self.backend)
    }

    /// The name without the compiler's version that Mesa appends.
    pub fn short_name(&self) -> &str {
        self.name.split(" (LLVM").next().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_leaves_out_the_compiler() {
        let mesa = AdapterReport {
            name: "llvmpipe (LLVM 15.0.6, 256 bits)".into(),
            class: AdapterClass::Software,
            backend: "Vulkan".into(),
            driver: String::new(),
            vendor: 0,
            device: 0,
            bus: String::new(),
            limits: Limits::WEBGPU_BASELINE,
            subgroup_min: 8,
            subgroup_max: 8,
            features: Vec::new(),
        };
        assert_eq!(mesa.title(), "llvmpipe (software adapter, Vulkan)");
    }
}

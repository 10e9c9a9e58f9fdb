//! Default variants by adapter class and vendor: the one place with hardware-specific figures.
//!
//! The figures need no tuning and are nowhere exact: `wgrad tune` measures. Reasons are published
//! measurements and compilers' own statistics; only the software adapter's row was measured on its hardware
//! here.

use wgrad_types::{AdapterClass, Caps, Vendor};

/// Maximum loop trips per invocation: Mesa 22.3 ends every loop of an invocation after 65535 in all.
pub(crate) const MAX_TRIPS: usize = 60_000;

/// Rows of a subgroup's results stored by unrolled text; further ones are stored in a loop: every store in
/// the text costs a software adapter's compiler (Mesa 25) a branch per lane and element.
pub(crate) const ROWS_STORED: usize = 4;

/// Figures for the choice of variants on an adapter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    class: AdapterClass,
    /// `None` stands for all vendors without a row of their own.
    vendor: Option<Vendor>,
    /// Minimum workgroups of a tiled product to keep the adapter busy; below it, smaller tiles come first.
    pub(crate) busy: usize,
    /// Maximum workgroups of a split product, and the minimum depth of a part.
    pub(crate) split: (usize, usize),
    /// Maximum results per invocation of a tiled product: tiles with more come last.
    pub(crate) results: usize,
    /// Tiles offered.
    pub(crate) tiles: usize,
    /// Minimum channels in and out for Winograd's transform as the default of 3x3 convolutions.
    pub(crate) winograd: usize,
    /// Minimum invocations of an unsplit reduction.
    pub(crate) reduction: usize,
    /// Why.
    reason: &'static str,
}

const ANY: Figures = Figures {
    class: AdapterClass::OtherGpu,
    vendor: None,
    busy: 32,
    split: (64, 128),
    results: 64,
    tiles: 3,
    winograd: usize::MAX,
    reduction: 1 << 14,
    reason: "Nothing is known of it: taken for a small GPU, which a large one outgrows sooner than the other way round.",
};

/// One row per kind of adapter; the first match counts.
const TABLE: [Figures; 9] = [
    Figures {
        class: AdapterClass::Discrete,
        vendor: Some(Vendor::Amd),
        busy: 128,
        split: (256, 128),
        reduction: 1 << 16,
        reason: "40 to 96 compute units of two or four vector units each. RADV's model of navi31: 8x8 results an invocation take a \
                 third fewer issue slots a multiply-add than 4x4, and 84 of 256 registers with blocks 8 deep; nothing spills.",
        ..ANY
    },
    Figures {
        class: AdapterClass::Discrete,
        vendor: Some(Vendor::Nvidia),
        busy: 128,
        split: (256, 128),
        reduction: 1 << 16,
        reason: "46 to 170 multiprocessors. gpu.cpp's 8x8 tiles give 2 TFLOP/s on a laptop's RTX 3080, CUDA with the same 1.5x that.",
        ..ANY
    },
    Figures {
        class: AdapterClass::Discrete,
        vendor: Some(Vendor::Intel),
        busy: 64,
        split: (128, 128),
        results: 16,
        reduction: 1 << 16,
        reason: "20 to 32 cores. Mesa's compiler for dg2 spills 226 registers of an 8x8 tile at 32 lanes, none of 4x4's.",
        ..ANY
    },
    Figures {
        class: AdapterClass::Discrete,
        busy: 128,
        split: (256, 128),
        reduction: 1 << 16,
        reason: "A card of its own has many units, whoever made it.",
        ..ANY
    },
    Figures {
        class: AdapterClass::Integrated,
        vendor: Some(Vendor::Amd),
        reason: "2 to 40 compute units, as the discrete ones in all else: their tiles, fewer workgroups.",
        ..ANY
    },
    Figures {
        class: AdapterClass::Integrated,
        vendor: Some(Vendor::Intel),
        results: 16,
        reason: "24 to 128 execution units with 128 registers of 8 lanes: large tiles spill as on the discrete ones.",
        ..ANY
    },
    Figures {
        class: AdapterClass::Integrated,
        vendor: Some(Vendor::Apple),
        busy: 32,
        reason: "8 to 80 cores, counted as integrated whatever their number. On an M2 wgpu-mm reaches 72 per cent of the peak with \
                 tiles in registers as here; gpu.cpp 25 with 64x64x16.",
        ..ANY
    },
    Figures {
        class: AdapterClass::Software,
        busy: 4,
        split: (4, 256),
        tiles: 1,
        winograd: 64,
        reason: "A workgroup costs as much as thousands of operations, and barriers cut it into coroutines: few workgroups, one tile \
                 as a last variant; subgroup kernels come before it.",
        ..ANY
    },
    ANY,
];

/// The adapter's row.
pub(crate) fn figures(caps: &Caps) -> &'static Figures {
    let fits = |row: &&Figures| row.class == caps.class && row.vendor.is_none_or(|v| v == caps.vendor);
    TABLE.iter().find(fits).unwrap_or(&TABLE[TABLE.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_every_adapter_kind_has_row_and_reason() {
        let of = |class, vendor| figures(&Caps { class, vendor, ..Caps::webgpu_baseline() });
        for row in &TABLE {
            assert!(row.reason.len() > 20, "{row:?}");
            assert_eq!(of(row.class, row.vendor.unwrap_or(Vendor::Other)), row, "a row before it hides it");
        }
        assert_eq!(of(AdapterClass::Integrated, Vendor::Other), &ANY);
        assert_eq!(of(AdapterClass::Integrated, Vendor::Nvidia), &ANY);
        assert_eq!(
            (
                of(AdapterClass::Discrete, Vendor::Intel).results,
                of(AdapterClass::Discrete, Vendor::Amd).results
            ),
            (16, 64)
        );
    }
}

// Extents of a depthwise convolution, the blocks of places that invocations own, and the source below a block's taps.

const KH: u32 = 3u;
const KW: u32 = 3u;
const SY: u32 = 1u;
const SX: u32 = 1u;
const DY: u32 = 1u;
const DX: u32 = 1u;
// Extents of the plane that blocks cover, and of a block.
const EXTENT_Y: u32 = 2u;
const EXTENT_X: u32 = 4u;
const PLACES_Y: u32 = 2u;
const PLACES_X: u32 = 4u;

const TAPS: u32 = KH * KW;
const RAGGED_ROWS: bool = EXTENT_Y % PLACES_Y != 0u;
const RAGGED_COLUMNS: bool = EXTENT_X % PLACES_X != 0u;

// #import common/channel_blocks
// #import common/source_block

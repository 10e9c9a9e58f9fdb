// Extents of a convolution: images, channels per group in and out, image, output, kernel; strides, padding, dilation.

const IMAGES: u32 = 1u;
const C_IN: u32 = 2u;
const C_OUT: u32 = 8u;
const H: u32 = 3u;
const W: u32 = 5u;
const OH: u32 = 2u;
const OW: u32 = 4u;
const KH: u32 = 2u;
const KW: u32 = 2u;
const SY: u32 = 1u;
const SX: u32 = 1u;
const PY: u32 = 0u;
const PX: u32 = 0u;
const DY: u32 = 1u;
const DX: u32 = 1u;

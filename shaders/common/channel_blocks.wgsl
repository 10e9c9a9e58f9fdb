// Blocks of neighbouring places, channel by channel: workgroup id makes some of the BLOCKS blocks of a channel (all images),
// its invocations going from `first` to `end`, WORKGROUP apart.

const CHANNELS: u32 = 2u;
// Blocks of a channel, those of one image, and those beside each other.
const BLOCKS: u32 = 1u;
const IMAGE_BLOCKS: u32 = 1u;
const BLOCKS_X: u32 = 1u;
// Blocks of a workgroup.
const CHUNK: u32 = 64u;
const WORKGROUP: u32 = 64u;
const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 2u;
// More workgroups run than there is work.
const FOLDED: bool = false;

const PARTS: u32 = (BLOCKS + CHUNK - 1u) / CHUNK;
const BLOCKS_Y: u32 = IMAGE_BLOCKS / BLOCKS_X;

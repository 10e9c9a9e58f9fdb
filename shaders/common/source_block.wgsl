// The part of the source that a block's taps meet: SPAN_Y x SPAN_X elements, from BACK rows and columns before the block's
// base on; the base moves by STEP from block to block. Read by the hook `source_at`. Belongs to `common/channel_blocks`.

// Extents of the source.
const SOURCE_Y: u32 = 2u;
const SOURCE_X: u32 = 4u;
const SPAN_Y: u32 = 4u;
const SPAN_X: u32 = 6u;
const BACK_Y: u32 = 1u;
const BACK_X: u32 = 1u;
const STEP_Y: u32 = 2u;
const STEP_X: u32 = 4u;
// The elements are loaded once per block; else, if taps lie far apart, one by one where they are used.
const STAGED: bool = true;

// #if STAGED
// The source's elements of block `at`, row by row; 0 outside.
fn source_block(at: u32, channel: u32) -> array<f32, SPAN_Y * SPAN_X> {
    let plane = (at / IMAGE_BLOCKS * CHANNELS + channel) * (SOURCE_Y * SOURCE_X);
    let block = at % IMAGE_BLOCKS;
    let base_y = block / BLOCKS_X * STEP_Y;
    let base_x = block % BLOCKS_X * STEP_X;
    var y: array<u32, SPAN_Y>;
    var x: array<u32, SPAN_X>;
    var y_inside: array<bool, SPAN_Y>;
    var x_inside: array<bool, SPAN_X>;
    // Coordinates left of the plane or above it wrap to huge numbers.
    for (var k = 0u; k < SPAN_Y; k += 1u) { // #unroll
        y[k] = base_y + k - BACK_Y;
        y_inside[k] = true;
        // #if max(BACK_Y - k, 0u) + max((BLOCKS_Y - 1u) * STEP_Y + k + 1u - BACK_Y - SOURCE_Y, 0u) > 0u
        y_inside[k] = y[k] < SOURCE_Y; // #label inside
        y[k] = select(0u, y[k], y_inside[k]);
        // #end
    }
    for (var k = 0u; k < SPAN_X; k += 1u) { // #unroll
        x[k] = base_x + k - BACK_X;
        x_inside[k] = true;
        // #if max(BACK_X - k, 0u) + max((BLOCKS_X - 1u) * STEP_X + k + 1u - BACK_X - SOURCE_X, 0u) > 0u
        x_inside[k] = x[k] < SOURCE_X; // #label inside
        x[k] = select(0u, x[k], x_inside[k]);
        // #end
    }
    var v: array<f32, SPAN_Y * SPAN_X>;
    for (var r = 0u; r < SPAN_Y; r += 1u) { // #unroll
        for (var c = 0u; c < SPAN_X; c += 1u) { // #unroll
            v[r * SPAN_X + c] = select(0.0, source_at(plane + y[r] * SOURCE_X + x[c]), y_inside[r] & x_inside[c]);
        }
    }
    return v;
}
// #end

// #if !STAGED
// Element (r, c) of them.
fn source_element(at: u32, channel: u32, r: u32, c: u32) -> f32 {
    let plane = (at / IMAGE_BLOCKS * CHANNELS + channel) * (SOURCE_Y * SOURCE_X);
    let block = at % IMAGE_BLOCKS;
    let y = block / BLOCKS_X * STEP_Y + r - BACK_Y;
    let x = block % BLOCKS_X * STEP_X + c - BACK_X;
    let inside = (y < SOURCE_Y) & (x < SOURCE_X);
    return select(0.0, source_at(plane + select(0u, y * SOURCE_X + x, inside)), inside);
}
// #end

// softmax: y[row, i] = exp(x[row, i] - m) / sum over j of exp(x[row, j] - m), m the row's maximum; PyTorch's
// `torch.softmax(x, dim=-1)`. And every other chain of reductions over a row with the element-wise code around them, by its
// hook: log-softmax, layer and RMS norms, losses, and their gradients.
//
// x0: x [ROWS, WIDTH]; y0: y [ROWS, WIDTH].
//
// Owners: a team of LANES invocations owns a row at a time, ROUNDS of them one after another; its lanes take every LANES-th
// element. Elements needed again after a reduction stay in workgroup memory: WIDTH is bounded by it. A lane reads back
// only elements of its own, so there is no barrier but the reductions' own (`common/lanes`); code that reads another
// lane's has one after the loop that writes them. Teams beyond the last row repeat it and store nothing.

const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 1u;
const FOLDED: bool = false;
const OPAQUE_LOOPS: bool = false;
const ROWS: u32 = 4u;
// Rows per team.
const ROUNDS: u32 = 1u;

// #import common/lanes

const TEAMS: u32 = WORKGROUP / LANES;
const BLOCK: u32 = TEAMS * ROUNDS;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y0: array<f32>;

// #hook row_chain
const WIDTH: u32 = 8u;
var<workgroup> kept: array<f32, WIDTH / LANES * WORKGROUP>;

// A lane's share of a row; `zero` is 0, in a way that keeps compilers from unrolling.
fn row_chain(row: u32, lane: u32, li: u32, zero: u32, stores: bool) {
    var largest = -infinity_();
    var magnitude = 0;
    for (var trip = zero; trip < WIDTH / LANES; trip += 1u) {
        let x = x0[row * WIDTH + trip * LANES + lane];
        largest = max(largest, x);
        magnitude = max(magnitude, bitcast<i32>(x) & 0x7fffffff);
    }
    let m = lanes_max(largest, magnitude, li);
    var sum = 0.0;
    for (var trip = zero; trip < WIDTH / LANES; trip += 1u) {
        let e = exp(x0[row * WIDTH + trip * LANES + lane] - m);
        kept[trip * WORKGROUP + li] = e;
        sum += e;
    }
    let total = lanes_sum(sum, li);
    for (var trip = zero; trip < WIDTH / LANES; trip += 1u) {
        if (stores) {
            y0[row * WIDTH + trip * LANES + lane] = kept[trip * WORKGROUP + li] / total;
        }
    }
}
// #end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let id = wg.y * GROUPS_X + wg.x;
    // #if FOLDED
    if (id >= GROUPS) {
        return;
    }
    // #end
    let zero = select(0u, wg.z, OPAQUE_LOOPS);
    for (var t = zero; t < ROUNDS; t += 1u) {
        let row = id * BLOCK + t * TEAMS + li / LANES;
        row_chain(min(row, ROWS - 1u), li % LANES, li, zero, row < ROWS);
    }
}

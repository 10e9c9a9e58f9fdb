// Sum and maximum over a team of LANES neighbouring invocations, the same in every lane of the team. All invocations of
// the workgroup call them together.
//
// A team is a subgroup, or meets in workgroup memory (a tree: the order of its sums is fixed by LANES), or is one
// invocation.

// Invocations of a team and of the workgroup; LANES is 2 to the power of LEVELS.
const LANES: u32 = 4u;
const LEVELS: u32 = 2u;
const WORKGROUP: u32 = 64u;
// The kind of team: one of them holds.
const SUBGROUP: bool = false;
const TREE: bool = true;
const ALONE: bool = false;

// #import common/nan

// #if TREE
var<workgroup> lane_sums: array<f32, WORKGROUP>;
var<workgroup> lane_orders: array<u32, WORKGROUP>;
// #end

// Sum of every lane's own number.
fn lanes_sum(own: f32, li: u32) -> f32 {
    var all = own;
    // #if SUBGROUP
    all = subgroupAdd(own); // #label lanes_sum
    // #end
    // #if TREE
    lane_sums[li] = own;
    workgroupBarrier();
    for (var level = 1u; level < LEVELS + 1u; level += 1u) { // #unroll
        if (li % LANES < (LANES >> level)) {
            lane_sums[li] = lane_sums[li] + lane_sums[li + (LANES >> level)]; // #label lanes_sum
        }
        workgroupBarrier(); // #label lanes_barrier
    }
    all = lane_sums[li - li % LANES];
    // The next sum overwrites these.
    workgroupBarrier();
    // #end
    return all;
}

// Largest of every lane's own number; NaN if any is, which the largest magnitude's bits tell: compilers may drop NaN from
// a maximum. A minimum is the maximum of the opposites.
fn lanes_max(own: f32, magnitude: i32, li: u32) -> f32 {
    var all = own;
    // #if SUBGROUP
    all = ordered_(subgroupMax(order_(own, magnitude)));
    // #end
    // #if TREE
    lane_orders[li] = order_(own, magnitude);
    workgroupBarrier();
    for (var level = 1u; level < LEVELS + 1u; level += 1u) { // #unroll
        if (li % LANES < (LANES >> level)) {
            lane_orders[li] = max(lane_orders[li], lane_orders[li + (LANES >> level)]);
        }
        workgroupBarrier();
    }
    all = ordered_(lane_orders[li - li % LANES]);
    workgroupBarrier();
    // #end
    // #if ALONE
    all = select(own, bitcast<f32>(magnitude), magnitude > 0x7f800000);
    // #end
    return all;
}

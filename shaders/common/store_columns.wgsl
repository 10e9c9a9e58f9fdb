// Stores the existing ones of columns n .. n + 3 of a row of a product: all at once if their addresses are an aligned quad.
fn store_columns(part: u32, row: u32, n: u32, value: vec4<f32>) {
    // #if STORE_FOUR
    // #if RAGGED_COLUMNS
    if (n < N) { // #label edge_column
    // #end
        store4(part, (row + out_column(n)) / 4u, value);
    // #if RAGGED_COLUMNS
    }
    // #end
    // #end
    // #if !STORE_FOUR
    for (var c = 0u; c < 4u; c += 1u) { // #unroll
        // #if RAGGED_COLUMNS
        if (n + c < N) { // #label edge_column
        // #end
            store(part, row + out_column(n + c), value[c]); // #label store_one
        // #if RAGGED_COLUMNS
        }
        // #end
    }
    // #end
}

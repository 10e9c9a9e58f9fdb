// Summands of columns n .. n + 3 in addresses of the result; worked out once for all rows, before any guard, since no
// compiler moves a division out of one.
fn column_places(n: u32) -> vec4<u32> {
    return vec4<u32>(out_column(n), out_column(n + 1u), out_column(n + 2u), out_column(n + 3u));
}

// Stores the existing ones of columns n .. n + 3 of a row of a product: all at once if their addresses are an aligned quad.
fn store_columns(part: u32, row: u32, n: u32, places: vec4<u32>, value: vec4<f32>) {
    // #if STORE_FOUR
    // #if RAGGED_COLUMNS
    if (n < N) { // #label edge_column
    // #end
        store4(part, (row + places.x) / 4u, value);
    // #if RAGGED_COLUMNS
    }
    // #end
    // #end
    // #if !STORE_FOUR
    for (var c = 0u; c < 4u; c += 1u) { // #unroll
        // #if RAGGED_COLUMNS
        if (n + c < N) { // #label edge_column
        // #end
            store(part, row + places[c], value[c]); // #label store_one
        // #if RAGGED_COLUMNS
        }
        // #end
    }
    // #end
}

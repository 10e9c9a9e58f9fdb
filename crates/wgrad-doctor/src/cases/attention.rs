//! Attention and positions: causal, masked, crossed, shared heads, a row without visible keys.

use super::cases;
use crate::{ints, real};

cases! {
    attention [real(&[2, 3, 19, 8]), real(&[2, 3, 19, 8]), real(&[2, 3, 19, 8])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], false);
    attention_causal [real(&[2, 3, 19, 8]), real(&[2, 3, 19, 8]), real(&[2, 3, 19, 8])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], true);
    attention_cross [real(&[2, 2, 7, 16]), real(&[2, 2, 21, 16]), real(&[2, 2, 21, 16])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], false);
    attention_causal_longer_keys [real(&[1, 2, 5, 4]), real(&[1, 2, 9, 4]), real(&[1, 2, 9, 3])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], true);
    attention_one_step [real(&[1, 2, 1, 4]), real(&[1, 2, 13, 4]), real(&[1, 2, 13, 4])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], false);
    // Several blocks of keys and of queries, none of them whole.
    attention_long [real(&[1, 2, 37, 12]), real(&[1, 2, 70, 12]), real(&[1, 2, 70, 8])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], false);
    attention_long_causal [real(&[1, 2, 70, 8]), real(&[1, 2, 70, 8]), real(&[1, 2, 70, 8])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], true);
    // Whole blocks, as most models have them.
    attention_whole [real(&[1, 2, 32, 8]), real(&[1, 1, 32, 8]), real(&[1, 1, 32, 8])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], true);
    attention_whole_cross [real(&[1, 1, 32, 8]), real(&[1, 1, 48, 8]), real(&[1, 1, 48, 8])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], false);
    attention_causal_fewer_keys [real(&[1, 1, 21, 4]), real(&[1, 1, 6, 4]), real(&[1, 1, 6, 4])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], true);
    attention_wide_heads [real(&[1, 1, 6, 72]), real(&[1, 1, 11, 72]), real(&[1, 1, 11, 72])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], true);
    attention_odd_heads [real(&[1, 2, 5, 3]), real(&[1, 2, 5, 3]), real(&[1, 2, 5, 6])] |x| x[0].scaled_dot_product_attention(&x[1], &x[2], true);
    // One projection, cut into queries, keys and values in place; heads joined again.
    attention_projected [real(&[2, 9, 48])] |x| {
        let part = |i: usize| x[0].narrow(2, 16 * i, 16).reshape(&[2, 9, 2, 8]).permute(&[0, 2, 1, 3]);
        part(0).scaled_dot_product_attention(&part(1), &part(2), true).permute(&[0, 2, 1, 3]).reshape(&[2, 9, 16])
    };
    // Columns that are not contiguous.
    attention_turned [real(&[1, 2, 4, 7]), real(&[1, 2, 4, 7]), real(&[1, 2, 4, 7])] |x| {
        x[0].t().scaled_dot_product_attention(&x[1].t(), &x[2].t(), false)
    };
    // Masks by batch and key: the first row of keys is hidden from all, the last query sees nothing.
    attention_masked [real(&[2, 2, 4, 6]), real(&[2, 2, 5, 6]), real(&[2, 2, 5, 6]), ints(&[2, 1, 4, 5], 0, 2)] |x| {
        let seen = x[3].ne(&x[3].full_like(0.0));
        x[0].masked_dot_product_attention(&x[1], &x[2], &seen)
    };
    attention_sees_nothing [real(&[1, 1, 3, 4]), real(&[1, 1, 5, 4]), real(&[1, 1, 5, 4]), ints(&[1, 1, 3, 5], 0, 1)] |x| {
        x[0].masked_dot_product_attention(&x[1], &x[2], &x[3].ne(&x[3].full_like(0.0)))
    };
    attention_shared_heads [real(&[2, 6, 5, 4]), real(&[2, 2, 5, 4]), real(&[2, 2, 5, 4])] |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[2], true)
    };
    attention_shared_odd_heads [real(&[1, 4, 5, 3]), real(&[1, 2, 5, 3]), real(&[1, 2, 5, 3])] |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[2], false)
    };
    rotary [real(&[2, 3, 5, 8])] |x| x[0].rotary(&x[0].builder().iota(5), 5, 1e4);
    rotary_at [real(&[1, 2, 3, 6]), ints(&[3], 0, 900)] |x| x[0].rotary(&x[1], 900, 1e4);
    sinusoidal_positions [real(&[7, 6]), ints(&[7], 0, 300)] |x| x[1].sinusoidal_positions(300, 6) * &x[0];
}

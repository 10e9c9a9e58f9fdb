//! Gather, embedding, and their gradients; indices repeat, and lie outside.

use super::cases;
use crate::{ints, real, ties};

cases! {
    gather_columns [real(&[4, 9]), ints(&[4, 3], 0, 9)] |x| x[0].gather(1, &x[1]);
    gather_rows [real(&[5, 3]), ints(&[8, 3], 0, 5)] |x| x[0].gather(0, &x[1]);
    gather_middle [real(&[2, 6, 5]), ints(&[2, 4, 5], 0, 6)] |x| x[0].gather(1, &x[1]);
    gather_outside [real(&[4, 9]), ints(&[4, 5], -3, 12)] |x| x[0].gather(1, &x[1]);
    embedding [real(&[9, 5]), ints(&[4, 6], 0, 9)] |x| x[0].embedding(&x[1]);
    embedding_repeats [real(&[3, 7]), ints(&[50], 0, 3)] |x| x[0].embedding(&x[1]);
    gather_grad [real(&[4, 3]), ints(&[4, 3], 0, 9)] |x| x[0].gather_grad(&x[1], 1, 9);
    embedding_long [ties(&[7, 3], 9), ints(&[62_001], 0, 7)] |x| x[0].embedding(&x[1]).sum(&[0]) * &x[0].narrow(0, 0, 1).reshape(&[3]);
}

//! Pooling: overlapping, padded, dense, with ties, ragged at the edge.

use super::cases;
use crate::{real, ties};
use wgrad_graph::ops::Window;

cases! {
    max_pool2d [real(&[2, 3, 9, 10])] |x| x[0].max_pool2d(Window::new(2, 2, 0));
    max_pool2d_overlapping [real(&[2, 3, 9, 10])] |x| x[0].max_pool2d(Window::new(3, 2, 0));
    max_pool2d_padded [real(&[2, 3, 9, 10])] |x| x[0].max_pool2d(Window::new(3, 2, 1));
    max_pool2d_dense [real(&[2, 3, 9, 10])] |x| x[0].max_pool2d(Window::new(3, 1, 1));
    max_pool2d_stride_beyond [real(&[2, 3, 11, 10])] |x| x[0].max_pool2d(Window::new(2, 3, 0));
    max_pool2d_ties [ties(&[2, 3, 9, 9], 3)] |x| x[0].max_pool2d(Window::new(3, 2, 0));
    max_pool2d_pairs_ties [ties(&[2, 3, 8, 9], 2)] |x| x[0].max_pool2d(Window::new(2, 2, 0));
    max_pool2d_padded_ties [ties(&[2, 3, 8, 9], 2)] |x| x[0].max_pool2d(Window::new(3, 2, 1));
    max_pool2d_negative [real(&[1, 2, 6, 6])] |x| (x[0].square() * -1.0 - 1.0).max_pool2d(Window::new(3, 2, 1));
    max_pool2d_whole [real(&[2, 3, 4, 5])] |x| x[0].max_pool2d(Window { kernel: [4, 5], stride: [1, 1], padding: [0, 0] });
    max_pool2d_much_overlap [ties(&[1, 2, 21, 23], 50)] |x| x[0].max_pool2d(Window::new(17, 1, 8));
    max_pool2d_huge [ties(&[1, 1, 190, 260], 900)] |x| x[0].max_pool2d(Window { kernel: [180, 200], stride: [7, 30], padding: [3, 1] });
    avg_pool2d_huge [real(&[1, 1, 190, 260])] |x| x[0].avg_pool2d(Window { kernel: [180, 200], stride: [7, 30], padding: [3, 1] });
    avg_pool2d [real(&[2, 3, 9, 10])] |x| x[0].avg_pool2d(Window::new(2, 2, 0));
    avg_pool2d_overlapping [real(&[2, 3, 9, 10])] |x| x[0].avg_pool2d(Window::new(3, 2, 0));
    avg_pool2d_padded [real(&[2, 3, 9, 10])] |x| x[0].avg_pool2d(Window::new(3, 2, 1));
    avg_pool2d_dense [real(&[2, 3, 9, 10])] |x| x[0].avg_pool2d(Window::new(3, 1, 1));
    adaptive_avg_pool2d [real(&[2, 4, 13, 15])] |x| x[0].adaptive_avg_pool2d([6, 6]);
    adaptive_avg_pool2d_even [real(&[2, 4, 12, 6])] |x| x[0].adaptive_avg_pool2d([6, 3]);
    adaptive_avg_pool2d_one [real(&[2, 4, 5, 7])] |x| x[0].adaptive_avg_pool2d([1, 1]);
}

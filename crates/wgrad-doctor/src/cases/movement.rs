//! Movements: read as views, through each other, through padding, and into kernels that need plain memory.

use super::cases;
use crate::real;
use wgrad_graph::Tensor;

cases! {
    reshape [real(&[4, 6])] |x| (&x[0] * 2.0).reshape(&[3, 8]) + 1.0;
    reshape_of_permute [real(&[4, 6])] |x| x[0].t().reshape(&[3, 8]).exp();
    reshape_twice_through_permute [real(&[2, 3, 4])] |x| x[0].permute(&[1, 0, 2]).reshape(&[6, 4]).t().reshape(&[3, 8]) * 2.0;
    permute [real(&[3, 4, 5])] |x| x[0].permute(&[2, 0, 1]).exp();
    transpose_sum [real(&[3, 4]), real(&[4, 3])] |x| x[0].t() + &x[1];
    expand [real(&[3, 1, 2])] |x| x[0].broadcast_to(&[4, 3, 5, 2]) * 2.0;
    slice [real(&[5, 7])] |x| x[0].slice(&[(1, 3), (2, 4)]).exp();
    pad [real(&[3, 4])] |x| x[0].pad(&[(1, 2), (0, 3)]) + 1.0;
    pad_of_computed [real(&[3, 4])] |x| x[0].exp().pad(&[(1, 2), (2, 0)]) * 3.0;
    pad_then_slice [real(&[3, 4])] |x| x[0].exp().pad(&[(2, 2), (2, 2)]).slice(&[(1, 5), (1, 4)]);
    pad_then_permute [real(&[3, 4])] |x| x[0].cos().pad(&[(1, 0), (0, 2)]).t().sum(&[1]);
    concat [real(&[2, 3]), real(&[2, 1]), real(&[2, 4])] |x| Tensor::concat(&[&x[0], &x[1].exp(), &x[2]], 1);
    concat_rows [real(&[2, 3]), real(&[4, 3])] |x| Tensor::concat(&[&x[0], &x[1]], 0).t();
    concat_many [real(&[2, 23])] |x| {
        let parts: Vec<Tensor> = (0..11).map(|i| x[0].narrow(1, 2 * i, 1 + i % 3) * (1.0 + i as f64)).collect();
        Tensor::concat(&parts.iter().collect::<Vec<_>>(), 1)
    };
    unbind_and_stack [real(&[3, 19, 2])] |x| {
        let steps: Vec<Tensor> = x[0].unbind(1).iter().rev().map(Tensor::tanh).collect();
        Tensor::stack(&steps.iter().collect::<Vec<_>>(), 0)
    };
    narrow [real(&[6, 5])] |x| x[0].narrow(0, 2, 3);
    output_is_input [real(&[6, 5])] |x| x[0].clone();
    output_is_view [real(&[6, 5])] |x| x[0].t();
    iota [real(&[3, 6])] |x| x[0].iota_like(1).to_f32() * &x[0];
    iota_permuted [real(&[3, 6])] |x| x[0].iota_like(0).to_f32().t() * x[0].t();
    detach [real(&[7])] no gradient |x| x[0].detach() * &x[0];
    random [real(&[5, 9])] no gradient |x| x[0].builder().rand(&[5, 9]) + &x[0];
    random_twice [real(&[5, 9])] no gradient |x| x[0].builder().rand(&[5, 9]) - x[0].builder().rand(&[9, 5]).t();
    random_padded [real(&[5, 9])] no gradient |x| x[0].builder().rand(&[3, 9]).pad(&[(1, 1), (0, 0)]) * &x[0];
    literal [real(&[2, 3])] |x| x[0].builder().literal(&wgrad_types::Array::new(&[2, 3], vec![1.0, 2.0, 3.0, -1.0, 0.1, 0.3])) * &x[0];
}

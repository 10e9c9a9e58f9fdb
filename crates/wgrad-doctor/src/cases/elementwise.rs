//! The element-wise tables, comparisons, selection, casts, and functions composed of them.

use super::cases;
use crate::{ints, real, ties, within};
use wgrad_types::DType;

cases! {
    neg [real(&[3, 5])] |x| -&x[0];
    abs [real(&[3, 5])] |x| x[0].abs();
    sign [real(&[7])] |x| x[0].sign();
    floor [within(&[9], -3.0, 3.0)] |x| x[0].floor();
    exp [within(&[4, 33], -4.0, 4.0)] |x| x[0].exp();
    exp_large [within(&[64], -80.0, 80.0)] |x| x[0].exp();
    log [within(&[5, 7], 0.05, 6.0)] |x| x[0].log();
    sqrt [within(&[5, 7], 0.05, 6.0)] |x| x[0].sqrt();
    rsqrt [within(&[5, 7], 0.05, 6.0)] |x| x[0].rsqrt();
    reciprocal [within(&[5, 7], 0.2, 5.0)] |x| x[0].reciprocal();
    square [real(&[5, 7])] |x| x[0].square();
    sin [real(&[31])] |x| x[0].sin();
    cos [real(&[31])] |x| x[0].cos();
    tanh [within(&[64], -5.0, 5.0)] |x| x[0].tanh();
    // Its gradient 1 - y^2 is pure rounding error if y is 1 in f32; `tanh` checks the gradient.
    tanh_large [within(&[64], -500.0, 500.0)] no gradient |x| x[0].tanh();
    erf [within(&[65], -4.0, 4.0)] |x| x[0].erf();
    sigmoid [within(&[64], -9.0, 9.0)] |x| x[0].sigmoid();
    sigmoid_large [within(&[64], -80.0, 80.0)] |x| x[0].sigmoid();
    softplus [within(&[64], -30.0, 30.0)] |x| x[0].softplus();
    finite [real(&[31])] |x| x[0].finite();
    // e^e^0 is finite; e^e^8 is not, even in f64.
    finite_not [ints(&[40], 0, 2)] no gradient |x| (x[0].to_f32() * 8.0).exp().exp().finite();
    relu [real(&[2, 3, 5])] |x| x[0].relu();
    relu_at_zero [ties(&[40], 3)] |x| (&x[0] - 1.0).relu();
    add [real(&[3, 4]), real(&[3, 4])] |x| &x[0] + &x[1];
    add_i32 [ints(&[9], -50, 50), ints(&[9], -50, 50)] no gradient |x| &x[0] + &x[1];
    mul_i32 [ints(&[9], -50, 50), ints(&[9], -50, 50)] no gradient |x| &x[0] * &x[1];
    sub [real(&[3, 4]), real(&[3, 4])] |x| &x[0] - &x[1];
    mul [real(&[3, 4]), real(&[3, 4])] |x| &x[0] * &x[1];
    div [real(&[3, 4]), within(&[3, 4], 0.5, 3.0)] |x| &x[0] / &x[1];
    pow [within(&[3, 4], 0.2, 3.0), real(&[3, 4])] |x| x[0].pow(&x[1]);
    maximum [real(&[3, 40]), real(&[3, 40])] |x| x[0].maximum(&x[1]);
    maximum_ties [ties(&[40], 3), ties(&[40], 3)] |x| x[0].maximum(&x[1]);
    minimum [real(&[3, 40]), real(&[3, 40])] |x| x[0].minimum(&x[1]);
    minimum_ties [ties(&[40], 3), ties(&[40], 3)] |x| x[0].minimum(&x[1]);
    eq [ties(&[40], 3), ties(&[40], 3)] no gradient |x| x[0].eq(&x[1]);
    ne [ints(&[40], 0, 3), ints(&[40], 0, 3)] no gradient |x| x[0].ne(&x[1]);
    lt [real(&[40]), real(&[40])] no gradient |x| x[0].lt(&x[1]);
    le [ties(&[40], 3), ties(&[40], 3)] no gradient |x| x[0].le(&x[1]);
    gt [ints(&[40], -3, 3), ints(&[40], -3, 3)] no gradient |x| x[0].gt(&x[1]);
    ge [ties(&[40], 3), ties(&[40], 3)] no gradient |x| x[0].ge(&x[1]);
    select [real(&[6, 5]), real(&[6, 5])] |x| x[0].detach().gt(&x[1].detach()).select(&x[0].square(), &x[1]);
    cast_to_i32 [within(&[50], -20.0, 20.0)] no gradient |x| x[0].cast(DType::I32);
    cast_to_bool [ties(&[50], 2)] no gradient |x| x[0].cast(DType::Bool);
    cast_from_i32 [ints(&[50], -9, 9)] no gradient |x| x[0].to_f32();
    broadcast_both [real(&[3, 1, 5]), real(&[4, 1])] |x| &x[0] * &x[1];
    scalar_operand [real(&[3, 7]), real(&[])] |x| &x[0] * &x[1];
    large_map [real(&[70_001])] |x| &x[0] * 2.0 + 1.0;
    vector_map [real(&[64, 64]), real(&[64, 64]), real(&[64])] |x| (&x[0] * &x[1] + &x[2]).relu();
    one_element [real(&[1])] |x| &x[0] + 1.0;
    gelu [within(&[77], -5.0, 5.0)] |x| x[0].gelu();
    large_gelu [within(&[65_664], -5.0, 5.0)] |x| x[0].gelu();
    gelu_tanh [within(&[77], -5.0, 5.0)] |x| x[0].gelu_tanh();
    silu [within(&[77], -9.0, 9.0)] |x| x[0].silu();
    elu [within(&[77], -5.0, 5.0)] |x| x[0].elu(1.3);
    leaky_relu [real(&[77])] |x| x[0].leaky_relu(0.01);
    mish [within(&[77], -5.0, 5.0)] |x| x[0].mish();
    hardswish [within(&[77], -5.0, 5.0)] |x| x[0].hardswish();
    clamp [within(&[77], -5.0, 5.0)] |x| x[0].clamp(-1.5, 2.5);
    powf [within(&[9], 0.2, 4.0)] |x| x[0].powf(2.5);
}

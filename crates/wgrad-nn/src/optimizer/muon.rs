//! The nearest orthogonal matrix, by five Newton-Schulz steps (Jordan, 2024): singular values come out between about
//! 0.7 and 1.2, at the price of fifteen matrix products.

use wgrad_graph::Tensor;

const STEPS: usize = 5;
const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
const EPS: f64 = 1e-7;

/// `[rows, columns]` with its singular values brought near 1.
pub(super) fn orthogonal(x: &Tensor) -> Tensor {
    let shape = x.shape();
    if shape[0] > shape[1] {
        return orthogonal(&x.t()).t();
    }
    let norm = x.square().sum_all().sqrt();
    let mut x = x / &norm.maximum(&norm.full_like(EPS));
    let (a, b, c) = COEFFICIENTS;
    for _ in 0..STEPS {
        let gram = x.matmul(&x.t());
        let polynomial = &gram * b + gram.matmul(&gram) * c;
        x = polynomial.matmul(&x) + &x * a;
    }
    x
}

//! Square products of one crate: `products-peer CRATE WORKLOAD`, f32, row by row in memory. Lines as in `common/report.rs`;
//! `RAYON_NUM_THREADS` sets the threads.

#![allow(dead_code, reason = "what the other peers share")]

#[path = "../../common/report.rs"]
mod report;

use report::{Report, Rng, matmul};

/// `c = a b`.
#[cfg(feature = "faer")]
fn product(n: usize, threads: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
    let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
    let [a, b] = [a, b].map(|x| MatRef::from_row_major_slice(x, n, n));
    matmul(MatMut::from_row_major_slice_mut(c, n, n), Accum::Replace, a, b, 1.0, par);
}

/// `c = a b`.
#[cfg(feature = "gemm")]
fn product(n: usize, threads: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    use gemm::Parallelism;
    assert!(a.len() == n * n && b.len() == n * n && c.len() == n * n);
    let row = n as isize;
    let par = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    // SAFETY: all three have n rows of n elements.
    unsafe {
        gemm::gemm(
            n, n, n, c.as_mut_ptr(), 1, row, false, a.as_ptr(), 1, row, b.as_ptr(), 1, row, 0.0, 1.0, false,
            false, false, par,
        );
    }
}

/// `c = a b`, on as many threads as `MATMUL_NUM_THREADS` says.
#[cfg(feature = "matrixmultiply")]
fn product(n: usize, _: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() == n * n && b.len() == n * n && c.len() == n * n);
    let row = n as isize;
    // SAFETY: all three have n rows of n elements.
    unsafe {
        matrixmultiply::sgemm(n, n, n, 1.0, a.as_ptr(), row, 1, b.as_ptr(), row, 1, 0.0, c.as_mut_ptr(), row, 1);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, peer, workload] = &args[..] else { panic!("usage: products-peer CRATE matmul_N") };
    let n: usize = workload.strip_prefix("matmul_").and_then(|n| n.parse().ok()).expect("matmul_N");
    let threads = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut rng = Rng(7);
    let (a, b, mut c) = (rng.floats(n * n), rng.floats(n * n), vec![0.0; n * n]);
    let report = Report { peer: peer.clone(), device: format!("cpu{threads}t") };
    report.kernel(workload, matmul(n, n, n), || product(n, threads, &a, &b, &mut c));
    // One result element, compared with a sum in f64.
    let (i, j) = (n / 3, n / 2);
    let want: f64 = (0..n).map(|k| f64::from(a[i * n + k]) * f64::from(b[k * n + j])).sum();
    assert!((f64::from(c[i * n + j]) - want).abs() < 1e-3, "a wrong product");
}

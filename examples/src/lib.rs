//! The programs are in `examples/`; run one with `cargo run --release -p wgrad-examples --example xor`.

/// Whether an example should do only enough to show that it works (`WGRAD_EXAMPLE_QUICK=1`, as CI sets).
pub fn quick() -> bool {
    std::env::var_os("WGRAD_EXAMPLE_QUICK").is_some()
}

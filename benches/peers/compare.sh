#!/bin/sh
# wgrad beside another engine on this machine, in turn: benches/peers/compare.sh PEER [WORKLOAD…]
# PEER: torch, candle, burn-flex (the processor), faer, gemm, matrixmultiply (the same, products alone); burn-wgsl,
# burn-vulkan, meganeura (the software adapter). What it measures and prints: compare.py. What it builds goes under the
# target folder; burn takes minutes, PyTorch 3 GB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cargo build --release --workspace --bins
exec python3 "$here/compare.py" "$@"

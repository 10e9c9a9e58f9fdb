#!/bin/sh
# wgrad against PyTorch on this machine's processor, side by side: benches/peers/compare.sh [WORKLOAD…]
# ROUNDS (3) and THREADS (2) by environment. PyTorch goes into a virtual environment under the target folder, 3 GB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}
python=${PYTHON:-$target/peers/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$target/peers"
    "$target/peers/bin/pip" install --quiet torch numpy
fi
cargo build --release --workspace --bins
[ $# -gt 0 ] || set -- cifar_cnn_b32 cifar_cnn_b128 alexnet_b16 gpt_c64 gpt_c256 kernels
exec "$python" "$here/compare.py" "$target/release/measure" "$python" "${ROUNDS:-3}" "${THREADS:-2}" "$@"

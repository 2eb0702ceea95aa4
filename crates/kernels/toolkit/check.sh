#!/usr/bin/env bash
# Compiles and links the workspace with CUDA by the toolkit in .cuda-toolkit, and starts the binary without a driver: the kernels,
# everything behind the feature, and what a user is told where there is no GPU. HOMEBENCH_CUDA_TOOLKIT and HOMEBENCH_CUDA_TARGET
# name other folders for the toolkit and for what is built.
set -euo pipefail
cd "$(dirname "$0")/../../.."

toolkit="$(python3 crates/kernels/toolkit/install.py "${HOMEBENCH_CUDA_TOOLKIT:-.cuda-toolkit}")"
export CUDA_HOME="$toolkit"
export CUDA_PATH="$CUDA_HOME" CUDA_ROOT="$CUDA_HOME"
export PATH="$CUDA_HOME/bin:$PATH"
# cudarc would ask nvcc, and candle's kernels a GPU.
export CUDARC_CUDA_VERSION=13010 CUDA_COMPUTE_CAP=80
# candle's own kernels are most of the time; its build would use half of the cores.
CUDAFORGE_THREADS="$(nproc)"
export CUDAFORGE_THREADS
# A folder and a profile of its own: other features compile candle anew.
export CARGO_TARGET_DIR="${HOMEBENCH_CUDA_TARGET:-target/cuda}" CARGO_INCREMENTAL=0

# The kernels alone, which is quick: without a warning, and taken by the assembler for every kind of device.
ptx="$(mktemp)"
trap 'rm -f "$ptx"' EXIT
nvcc --ptx -std=c++17 -O3 --fmad=false -Werror all-warnings -arch compute_80 -o "$ptx" crates/kernels/kernels/kernels.cu
for architecture in 80 86 89 90 100 120; do
    ptxas -arch "sm_$architecture" "$ptx" -o /dev/null
done

cargo clippy --profile cuda-check --locked --workspace --all-targets --features cuda -- -D warnings
cargo build --profile cuda-check --locked --workspace --features cuda

# The stub in place of the driver, as on a machine without one.
export LD_LIBRARY_PATH="$CUDA_HOME/lib:$CUDA_HOME/lib/stubs"
homebench="$CARGO_TARGET_DIR/cuda-check/homebench"
"$homebench" devices
status=0
said="$("$homebench" run experiments/quickstart.toml --device cuda:0 --out "$CARGO_TARGET_DIR/refused" 2>&1)" || status=$?
printf '%s\n' "$said"
if [ "$status" != 2 ] || [[ "$said" != "error: device cuda:0: the CUDA driver gives no devices"* ]] || [[ "$said" != *"hint: "* ]]; then
    echo "expected exit code 2 and a sentence with its mend where there is no driver, found exit code $status" >&2
    exit 1
fi

#!/usr/bin/env bash
# Guess:  between two element-wise operators on the processor, candle's worker threads sleep. A step that does most of its work
#         elsewhere pays nothing for them.
# Truth:  after each operator on 65,536 values and more, every worker asks 25,000 times for the next one before it sleeps.
#         A program that is idle for a millisecond after each addition uses at least 1.4 times the processor time with two threads of
#         candle's as with one.
# Seen with: candle-core 0.11.1, rustc 1.95.0. CANDLE_NUM_THREADS=1 has no worker; CANDLE_BARRIER_POOL_SPIN_LIMIT=1 lets it sleep at once.
# Matters: training that shares its own operators between all cores shares them with a thread that does nothing. Steps of
#          small rankers took 15 to 20 % longer, and comparisons of threads measure the wait.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "waits"
version = "0.0.0"
edition = "2021"
[dependencies]
candle-core = { version = "=0.11.1", default-features = false }
[profile.dev]
debug = false
TOML
cat >"$work/src/main.rs" <<'RUST'
use candle_core::{DType, Device, Tensor};
fn main() -> candle_core::Result<()> {
    let ones = Tensor::ones((128, 512), DType::F32, &Device::Cpu)?;
    for _ in 0..1000 {
        (&ones + &ones)?;
        // Other work of the step, which needs no candle.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(())
}
RUST
cargo build --quiet --manifest-path "$work/Cargo.toml" --target-dir "$work/target"
rustc --version
grep -A1 'name = "candle-core"' "$work/Cargo.lock"
python3 - "$work/target/debug/waits" <<'PYTHON'
import os, resource, subprocess, sys

def seconds(**variables):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.argv[1]], check=True, env=os.environ | variables)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

one = seconds(CANDLE_NUM_THREADS="1")
two = seconds(CANDLE_NUM_THREADS="2")
asleep = seconds(CANDLE_NUM_THREADS="2", CANDLE_BARRIER_POOL_SPIN_LIMIT="1")
print(f"processor seconds of 1000 additions: one thread {one:.2f}, two {two:.2f}, two that sleep at once {asleep:.2f}")
assert two > 1.3 * one and two > 1.3 * asleep, (one, two, asleep)
PYTHON

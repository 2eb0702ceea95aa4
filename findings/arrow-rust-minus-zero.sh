#!/usr/bin/env bash
# Guess:  a comparison kernel of Arrow says that -0.0 equals 0.0, as IEEE 754, SQL, numpy and pyarrow do.
# Truth:  the kernels of the Rust crates (arrow-ord) order floats totally: -0.0 is less than 0.0 and not equal to it, and NaN is
#         equal to NaN and greater than every number.
# Seen with: arrow 60.1.0 (Rust), pyarrow 21.0.0.
# Matters: a label such as `watch_share = 0`, or a filter, counts other rows in a Rust program than in Python on one Parquet
#          file. Compare floats one by one, or map -0.0 and NaN first.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/kernel/src"
cat > "$work/kernel/Cargo.toml" <<'TOML'
[package]
name = "kernel"
version = "0.1.0"
edition = "2021"
[dependencies]
arrow-array = "=60.1.0"
arrow-ord = "=60.1.0"
TOML
cat > "$work/kernel/src/main.rs" <<'RUST'
use arrow_array::{Array as _, Float64Array};
fn main() {
    let values = Float64Array::from(vec![-0.0, 0.0, f64::NAN]);
    let zero = Float64Array::new_scalar(0.0);
    let nan = Float64Array::new_scalar(f64::NAN);
    let flags = |found: arrow_array::BooleanArray| (0..found.len()).map(|row| found.value(row)).collect::<Vec<_>>();
    let (equal, same) = (arrow_ord::cmp::eq(&values, &zero).unwrap(), arrow_ord::cmp::eq(&values, &nan).unwrap());
    println!("Rust: -0.0, 0.0, NaN equal to 0.0: {:?}; to NaN: {:?}", flags(equal.clone()), flags(same.clone()));
    assert_eq!(flags(equal), [false, true, false]);
    assert_eq!(flags(same), [false, false, true]);
}
RUST
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==21.0.0
"$work/venv/bin/python" -c '
import pyarrow, pyarrow.compute as compute
found = compute.equal(pyarrow.array([-0.0, 0.0]), 0.0).to_pylist()
print("pyarrow", pyarrow.__version__, "-0.0, 0.0 equal to 0.0:", found)
assert found == [True, True]'
cargo run -q --manifest-path "$work/kernel/Cargo.toml"

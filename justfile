# Conveniences on top of cargo: `just` lists them.

export CARGO_INCREMENTAL := "1"

_default:
    @just --list

# Run an experiment by its name, fetching its data first: just run census --jobs 2
run name *args:
    just _data-{{ if name =~ "census" { "census" } else { "none" } }}
    cargo run --release -- run experiments/{{ name }}.toml {{ args }}

_data-census:
    cargo run --release -- data fetch census-income

_data-none:

# Pass the tests
test *args:
    cargo test --release --workspace {{ args }}

# Measure speed
bench *args:
    cargo bench -p homebench-benches {{ args }}

# Draw the charts of every committed results folder again
figures:
    cargo build --release
    for table in results/*/cells.csv; do target/release/homebench figures "$(dirname "$table")" || exit 1; done

# Run an experiment again and compare it byte for byte with what is committed: just reproduce census --jobs 2
reproduce name *args:
    just _data-{{ if name =~ "census" { "census" } else { "none" } }}
    cargo run --release -- run experiments/{{ name }}.toml --out target/reproduced/{{ name }} --fresh {{ args }}
    .ci/same-results results/{{ name }} target/reproduced/{{ name }}

# Measure homebench against PyTorch and torch-rechub, alternating in one run, on an otherwise idle machine: just peers steps
peers *args: _peers-environment _data-census
    cargo build --release -p homebench-runner -p homebench-benches --bins
    .venv-peers/bin/python benches/peers/run.py {{ args }}

_peers-environment:
    test -x .venv-peers/bin/python || python3 -m venv .venv-peers
    .venv-peers/bin/pip install --quiet --requirement benches/peers/requirements.txt

# Formatting and lints, as CI has them
lint:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings

# Everything that CI does
ci:
    .ci/run

# Conveniences on top of cargo: `just` lists them.

export CARGO_INCREMENTAL := "1"
# Arguments reach commands as they were quoted.
set positional-arguments

_default:
    @just --list

# Run an experiment by its name, fetching its data first: just run census --jobs 2
run name *args:
    just _data-{{ if name =~ "census" { "census" } else if name =~ "movielens" { "movielens" } else if name =~ "journey" { "journey" } else { "none" } }}
    shift && cargo run --release -- run experiments/{{ name }}.toml "$@"

_data-census:
    cargo run --release -- data fetch census-income

_data-movielens:
    cargo run --release -- data fetch movielens-100k

_data-journey:
    cargo run --release -- data fetch complete-journey

_data-none:

# Pass the tests
test *args:
    cargo test --release --workspace "$@"

# Measure speed
bench *args:
    cargo bench -p homebench-benches "$@"

# Draw the charts of every committed results folder
figures:
    cargo build --release
    for table in results/*/cells.csv; do target/release/homebench figures "$(dirname "$table")" || exit 1; done

# Write report.html, report.md and tables/ of every committed results folder
report:
    cargo build --release
    for table in results/*/cells.csv; do target/release/homebench report "$(dirname "$table")" || exit 1; done

# Write the numbers and the output that documents quote as the committed files have them now
quote: contrasts
    HOMEBENCH_QUOTE=1 cargo test --release --workspace --test documents
    HOMEBENCH_QUOTE=1 cargo test --release --workspace --test end_to_end -- readme tutorial

# Write CLAIMS.md from results/claims.toml and the provenance of the folders that it names
claims:
    HOMEBENCH_QUOTE=1 cargo test --release --workspace --test documents claims

# Compute the differences of results/contrasts.toml from the committed scores
contrasts:
    python3 results/contrasts.py

# Build the documentation as a book, into target/book; mdBook is installed by `cargo install mdbook`
book:
    @command -v mdbook >/dev/null || { echo "mdBook is not installed: cargo install mdbook" >&2; exit 1; }
    mdbook build

# Run an experiment again and compare it byte for byte with what is committed: just reproduce census --jobs 2
reproduce name *args:
    shift && just _reproduce {{ name }} --fresh "$@"

# Run every committed experiment again, the quickest first; after a stop the same command goes on: just reproduce-all --jobs 2
reproduce-all *args:
    .ci/reproduce-all "$@"

# Train one committed cell of each experiment again and compare its rows byte for byte, as the gate does
reproduce-cells *args: _data-census
    cargo build --release --bin homebench
    .ci/reproduce-cells "$@"

_reproduce name *args:
    just _data-{{ if name =~ "census" { "census" } else if name =~ "movielens" { "movielens" } else if name =~ "journey" { "journey" } else { "none" } }}
    shift && cargo run --release -- run experiments/{{ name }}.toml --out target/reproduced/{{ name }} "$@"
    if [ -d results/{{ name }}/external ]; then cp -r results/{{ name }}/external target/reproduced/{{ name }}/; fi
    rm -rf target/packed/{{ name }} target/committed/results/{{ name }} && mkdir -p target/committed
    target/release/homebench pack target/reproduced/{{ name }} --into target/packed/{{ name }}
    git ls-files -z results/{{ name }} | xargs -0 cp --parents --target-directory target/committed
    .ci/same-results target/committed/results/{{ name }} target/packed/{{ name }}

# Look at results' report.html in headless Chromium (Debian's package chromium): just check-report results/census --screenshots shots
check-report *args="results/census --prove": report
    python3 tests/browser/check_report.py {{ args }}

# Tune gradient-boosted trees on the rows of an experiment of results/ or of any folder, as an external variant of its report: just trees census --trials 20
trees name *args: _trees-environment
    cargo build --release --bin homebench
    shift && .venv-trees/bin/python benches/peers/trees.py {{ if path_exists(name / "cells.csv") == "true" { name } else { "results" / name } }} --homebench target/release/homebench "$@"
    target/release/homebench figures {{ if path_exists(name / "cells.csv") == "true" { name } else { "results" / name } }}
    target/release/homebench report {{ if path_exists(name / "cells.csv") == "true" { name } else { "results" / name } }}

_trees-environment:
    test -x .venv-trees/bin/python || python3 -m venv .venv-trees
    .venv-trees/bin/pip install --quiet --requirement benches/peers/requirements-trees.txt

# Take files written by DuckDB, polars, pandas and RecBole from `data describe` to a report, and count their rows elsewhere
check-writers *args:
    cargo build --release --bin homebench
    test -x .venv-writers/bin/python || python3 -m venv .venv-writers
    .venv-writers/bin/pip install --quiet --requirement tests/writers/requirements.txt
    .venv-writers/bin/python tests/writers/describe_to_report.py target/release/homebench "$@"

# Build the wheel of the program and its Python reader into target/wheels
wheel *args="--release": _wheel-environment
    .venv-wheel/bin/maturin build --out target/wheels {{ args }}

_wheel-environment:
    test -x .venv-wheel/bin/python || python3 -m venv .venv-wheel
    .venv-wheel/bin/pip install --quiet --requirement tests/wheel/requirements.txt

# Install the newest wheel where there is no Rust, run the quickstart in an empty folder and read its results: just check-wheel --small
check-wheel *args:
    python3 tests/wheel/check_wheel.py "$(ls -t target/wheels/homebench-*.whl | head -n 1)" "$@"

# Train cells on emulated processors (Debian's package qemu-user) and compare them byte for byte
check-processors:
    cargo build --release --bin homebench
    python3 tests/processors/emulated.py target/release/homebench

# Run experiments through a real Slurm of two nodes on this machine, its packages installed where they can be: just check-slurm --only tuned
check-slurm *args:
    cargo build --release --bin homebench
    python3 tests/cluster/slurm.py target/release/homebench "$@"

# The same with all that takes minutes, and random kills of tasks, cells, nodes and parents
cluster-torture kills="200" seed="2408":
    cargo build --release --bin homebench
    python3 tests/cluster/slurm.py target/release/homebench --long --kills {{ kills }} --seed {{ seed }}

# Time 1,000 sleeping cells through Slurm and on this machine, and count what Slurm is asked meanwhile
cluster-cost *args:
    cargo build --release --bin homebench
    python3 tests/cluster/cost.py target/release/homebench "$@"

# Time a report over 10,000 cells
report-speed *args:
    cargo build --release --bin homebench
    python3 benches/report_scale.py target/release/homebench "$@"

# Time plans of 10,000 cells and runs of 1,000 trivial ones
parent-speed *args:
    cargo build --release --bin homebench
    python3 benches/parent_overhead.py target/release/homebench "$@"

# Time and memory of planning, submitting, collecting and reporting 100,000 cells of a cluster
cluster-scale *args: _scale-environment
    cargo build --release --bin homebench
    .venv-scale/bin/python benches/cluster_scale.py target/release/homebench "$@"

_scale-environment:
    test -x .venv-scale/bin/python || python3 -m venv .venv-scale
    .venv-scale/bin/pip install --quiet blake3

# Memory and time of preparing and training on 1, 10 and 50 million rows of the feed: just feed-memory --millions 1
feed-memory *args:
    cargo build --release --bin homebench
    python3 benches/feed_memory.py target/release/homebench "$@"

# Measure homebench against PyTorch and torch-rechub, alternating in one run, on an otherwise idle machine: just peers steps
peers *args: _peers-environment _data-census
    cargo build --release --workspace --bins
    .venv-peers/bin/python benches/peers/run.py "$@"
    .venv-peers/bin/python benches/peers/table.py

# Measure steps of the models that choose experts against PyTorch's and their own dense step: just peers-sparse --pairs 11
peers-sparse *args: _peers-environment
    cargo build --release -p homebench-benches --bins
    .venv-peers/bin/python benches/peers/run.py steps --workloads sparse-one-task,sparse-nine-tasks,switch-s --modes eager,compiled,own "$@"
    .venv-peers/bin/python benches/peers/table.py

_peers-environment:
    test -x .venv-peers/bin/python || python3 -m venv .venv-peers
    .venv-peers/bin/pip install --quiet --requirement benches/peers/requirements.txt

# A CUDA toolkit to build with, from wheels, in a folder of the project: 1.1 GiB, no driver
cuda-toolkit:
    python3 crates/kernels/toolkit/install.py .cuda-toolkit

# Compile and link with CUDA, lints included, on a machine with or without a GPU
check-cuda:
    crates/kernels/toolkit/check.sh

# Run a command with a CUDA toolkit, the machine's own or that of `just cuda-toolkit`: just with-cuda cargo build --release --features cuda
with-cuda *command:
    crates/kernels/toolkit/with.sh "$@"

# Everything that is to be known of a GPU: parity, repeats, precision, peers, into results/gpu; `just gpu-report cpu` rehearses it
gpu-report device="cuda:0": _peers-environment
    {{ if device == "cpu" { "" } else { "crates/kernels/toolkit/with.sh" } }} .venv-peers/bin/python benches/gpu_report.py --device {{ device }}

# Formatting and lints, as CI has them
lint:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings

# Everything that CI does
ci:
    .ci/run

# Kill or interrupt experiments and their cells 200 times each at random moments, and compare what they end with byte for byte
torture kills="200" seed="2408":
    HOMEBENCH_TORTURE_KILLS={{ kills }} HOMEBENCH_TORTURE_SEED={{ seed }} cargo test --release --workspace --test end_to_end -- --nocapture torture

# Try to break it: tests of faults, random changes of every file that it reads, and random signals; prints the tables of docs/reliability.md
break changes="500" kills="300" seed="0":
    cargo build --release --bin homebench
    cargo test --release --workspace --test end_to_end -- cache:: failures:: faults:: integrity:: interruption:: output:: ownership:: status::
    python3 tests/break/mutations.py target/release/homebench --count {{ changes }} --seed {{ seed }} --keep target/break
    just torture {{ kills }}

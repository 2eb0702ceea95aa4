"""Measures homebench against PyTorch on training steps, and against torch-rechub on Census, alternating in one run.

    .venv-peers/bin/python benches/peers/run.py [steps] [census] [options]      (or: just peers)

steps   for each workload, peer and thread count: checks that both sides turn the same weights and inputs into the same
        logits, loss and gradients, warms both up, then measures pairs. Writes steps.csv and steps.svg.
census  whole processes, from the raw files to the test AUC. Writes census.csv.

Rows of a workload, peer, thread count and machine that were measured now replace those in the files; the others stay.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from record import HERE, ROOT, machine, merge_csv
from servers import StepServer, alternate, median_ratio

STEP_COLUMNS = [
    "workload", "precision", "peer", "threads", "pair", "ours_rows_per_second", "peer_rows_per_second", "ratio", "machine",
    "ours_peak_memory_bytes", "peer_peak_memory_bytes",
]  # fmt: skip
# Of logits, by the less exact of both sides.
RELATIVE_TOLERANCES = {"f32": 1e-4, "bf16x3": 1e-3, "tf32": 1e-2, "medium": 5e-2, "bf16": 5e-2}
# Of logits in f32, of models that choose experts: a pair of a row and a task that chose otherwise differs by far more.
CHOOSING, CHOOSING_TOLERANCE = {"sparse_mmoe", "switch"}, 1e-5
# Of the loss and of every variable's gradient, which are sums over rows; in f32 alone.
GRADIENT_TOLERANCE = 1e-4
# How the peer runs chosen experts; see sparse_models.py.
DISPATCHES = {"eager": ["loop", "grouped"], "compiled": ["masked"]}
# How the peer updates embedding tables: as everything else, and as those who know the rows of a batch are few.
TABLE_OPTIMIZERS = ["adam", "sparse_adam"]
# What each of our precisions is measured against on the processor: the peer's way of that precision and, of less than f32, its f32 too.
PEER_PRECISIONS = {"f32": ["f32"], "bf16x3": ["f32"], "bf16": ["f32", "bf16", "medium"]}


def check_environment():
    """Every pinned package is there in the pinned version."""
    wrong = []
    for line in (HERE / "requirements.txt").read_text().split():
        package, wanted = line.split("==")
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            found = "nothing"
        if found != wanted:
            wrong.append(f"{package}: expected {wanted}, found {found}")
    if wrong:
        hint = "hint: `just peers` sets up .venv-peers; or pip install -r benches/peers/requirements.txt"
        raise SystemExit("\n".join([*wrong, hint]))


def torch_step(args, workload, peer, threads, *more):
    options = ["--workload", workload, "--mode", peer.mode, "--threads", str(threads), "--device", args.device]
    options += ["--precision", peer.precision, "--tables", peer.tables, "--dispatch", peer.dispatch]
    return [sys.executable, str(HERE / "torch_step.py"), *options, *more]


def our_step(args, workload, threads, precision):
    options = ["--workload", workload, "--threads", str(threads), "--device", args.device]
    return [args.ours, *options, "--precision", precision]


def check_equal(args, workload, architecture, peer, precision, folder):
    """Our weights and inputs, both sides' logits of both passes, and in f32 their loss and gradients."""
    import numpy as np
    from safetensors.numpy import load_file

    weights, inputs, ours, gradients, theirs = (
        f"{folder}/{n}.safetensors" for n in ("weights", "inputs", "ours", "gradients", "theirs")
    )
    command = our_step(args, workload, max(args.threads), precision)
    command += ["--weights-out", weights, "--inputs-out", inputs, "--logits-out", ours, "--gradients-out", gradients]
    subprocess.run(command, input="quit\n", text=True, check=True, stdout=subprocess.DEVNULL)
    more = ["--weights", weights, "--inputs", inputs, "--outputs", theirs]
    subprocess.run(torch_step(args, workload, peer, max(args.threads), *more), check=True)
    ours, theirs = load_file(ours), load_file(theirs)
    what = f"{workload}, {precision}, {peer.mode} {peer.dispatch} {peer.precision}"
    tolerance = max(RELATIVE_TOLERANCES[precision], RELATIVE_TOLERANCES[peer.precision])
    if precision == peer.precision == "f32":
        tolerance = CHOOSING_TOLERANCE if architecture in CHOOSING else tolerance
        ours |= load_file(gradients)
        without_tables = {name for name in ours if name != "gradient/x" or name in theirs}
        if without_tables != set(theirs):
            raise SystemExit(f"{what}: one side alone has {sorted(without_tables ^ set(theirs))}; nothing was measured")
    largest = {}
    for name in sorted(ours.keys() & theirs.keys()):
        difference = np.abs(ours[name] - theirs[name]).max() / max(np.abs(theirs[name]).max(), 1e-12)
        is_of_step = name == "loss" or name.startswith("gradient/")
        if not difference <= (GRADIENT_TOLERANCE if is_of_step else tolerance):
            raise SystemExit(f"{what}: {name} differ by {difference:.1e}; nothing was measured")
        kind = name.partition("/")[0] if is_of_step else name
        largest[kind] = max(difference, largest.get(kind, 0))
    if "logits" not in ours:
        raise SystemExit(f"{args.ours} wrote no `logits`")
    print(f"{what}: the same to", ", ".join(f"{value:.1e} ({kind})" for kind, value in largest.items()), file=sys.stderr)
    return ["--weights", weights, "--inputs", inputs]


@dataclass(frozen=True)
class Peer:
    """What stands on the other side: PyTorch, or in mode `own` our f32 or our step of another workload."""

    mode: str
    precision: str = "f32"
    tables: str = "adam"
    dispatch: str = "loop"


def comparisons(args, description):
    """Our precision, a peer and the threads: one of each that was asked for."""
    tables = TABLE_OPTIMIZERS if "tables" in description else ["adam"]
    for precision in args.precisions:
        # A GPU has the same precisions on both sides.
        precisions = PEER_PRECISIONS[precision] if args.device == "cpu" else [precision]
        for of_peer, mode in itertools.product(precisions, args.modes):
            if mode == "own":
                peers = [Peer(mode)] if of_peer == "f32" and (precision != "f32" or "beside" in description) else []
            else:
                is_sparse = description["model"]["model"] == "sparse_mmoe"
                dispatches = DISPATCHES[mode] if is_sparse else ["loop"]
                peers = [Peer(mode, of_peer, *more) for more in itertools.product(tables, dispatches)]
            for peer, threads in itertools.product(peers, args.threads):
                yield precision, peer, threads


def peer_step(args, workload, description, peer, threads, batch):
    """The command of the other side, its name, and how many of its steps make one of ours."""
    if peer.mode == "own":
        beside = description.get("beside")
        if beside is None:
            return our_step(args, workload, threads, peer.precision), f"homebench {peer.precision}", 1
        return our_step(args, beside["workload"], threads, peer.precision), f"homebench {beside['name']}", beside.get("times", 1)
    name = f"PyTorch {metadata.version('torch')} {peer.mode}" + (f" {peer.precision}" if peer.precision != "f32" else "")
    name += " SparseAdam" if peer.tables == "sparse_adam" else ""
    name += f" {peer.dispatch}" if description["model"]["model"] == "sparse_mmoe" else ""
    return torch_step(args, workload, peer, threads, *batch), name, 1


def measure_steps(args, here, folder):
    for workload in args.workloads:
        description = tomllib.loads((HERE / "workloads" / f"{workload}.toml").read_text())
        rows = description["rows"]
        checked, batch = set(), []
        for precision, peer, threads in comparisons(args, description):
            if peer.mode != "own" and (precision, peer) not in checked:
                batch = check_equal(args, workload, description["model"]["model"], peer, precision, folder)
                checked.add((precision, peer))
            command, name, times = peer_step(args, workload, description, peer, threads, batch)
            with StepServer(our_step(args, workload, threads, precision), threads) as ours, StepServer(command, threads) as other:
                pairs = [(o, p / times) for o, p in alternate(ours, other, rows, args.pairs, args.seconds)]
                memory = ours.peak_memory_bytes(), other.peak_memory_bytes()
            lines = [
                dict(zip(STEP_COLUMNS, (workload, precision, name, threads, i, o, p, o / p, here, *memory), strict=True))
                for i, (o, p) in enumerate(pairs)
            ]
            merge_csv(args.out / "steps.csv", STEP_COLUMNS, ("workload", "precision", "peer", "threads", "machine"), lines)
            medians = (statistics.median(side) for side in zip(*pairs, strict=True))
            print(
                "{}, {}, {} threads, {}: ours {:.0f} rows/s, peer {:.0f} rows/s, ratio {:.2f}, memory {:.2f}".format(
                    workload, precision, threads, name, *medians, median_ratio(pairs), memory[0] / memory[1]
                ),
                flush=True,
            )
    from chart import draw_steps

    draw_steps(args.out / "steps.csv", args.out / "steps.svg")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    data = Path(os.environ.get("HOMEBENCH_DATA", ROOT / ".homebench" / "data")) / "census-income"
    names = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("what", nargs="*", help="steps, census; both by default")
    parser.add_argument("--workloads", type=names, default=["home-l", "mmoe-l", "ple-l"])
    parser.add_argument("--modes", type=names, default=["eager", "compiled"], help="eager,compiled, and own: our f32 beside the precision, or the step that a workload names")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], default=[2, 1])
    parser.add_argument("--device", default="cpu", help="of both sides' training steps: cpu, or cuda:<index>")
    parser.add_argument("--precisions", type=names, default=["f32"], help="of our products: f32,bf16,bf16x3 or, on a GPU, tf32")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3, help="about how long one side of a pair runs")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "peers")
    parser.add_argument("--ours", default=str(target / "step_server"))
    parser.add_argument("--homebench", default=str(target / "homebench"))
    parser.add_argument("--census-train", type=Path, default=data / "census_income_1994_1995_train.csv")
    parser.add_argument("--census-test", type=Path, default=data / "census_income_1994_1995_test.csv")
    args = parser.parse_args()
    args.what = args.what or ["steps", "census"]
    unknown = set(args.precisions) - set(PEER_PRECISIONS if args.device == "cpu" else ["f32", "tf32", "bf16"])
    if unknown:
        parser.error(f"no precision of {args.device}: {' '.join(unknown)}")
    if set(args.what) - {"steps", "census"}:
        parser.error(f"expected steps or census, found {' '.join(args.what)}")
    for what, file, hint in [
        ("steps", args.ours, "cargo build --release -p homebench-benches --bin step_server"),
        ("census", args.homebench, "cargo build --release -p homebench-runner --bin homebench"),
        ("census", args.census_train, "homebench data fetch census-income"),
        ("census", args.census_test, "homebench data fetch census-income"),
    ]:
        if what in args.what and not Path(file).exists():
            parser.error(f"no file {file}\nhint: {hint}")
    return args


def main():
    args = arguments()
    check_environment()
    here = machine(args.device)
    print(here, file=sys.stderr)
    if "steps" in args.what:
        with tempfile.TemporaryDirectory() as folder:
            measure_steps(args, here, folder)
    if "census" in args.what:
        from census import measure_census

        measure_census(args, here)


if __name__ == "__main__":
    main()

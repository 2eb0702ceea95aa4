#!/usr/bin/env python3
"""Everything that is to be known of a GPU, in one go: gpu_report.py [--device cuda:0] [--out results/gpu].

    just gpu-report

1. parity     the operators' and models' tests on the GPU: they hold it against f64 on the processor and against PyTorch's
              golden files
2. repeats    a small experiment twice on the GPU: the same bytes
3. precision  training steps of a workload in f32, TF32 and bfloat16
4. peers      training steps against PyTorch on the same GPU, alternating

Each leaves a file, and report.md says what came of all. A part that fails is said and the others go on; the exit code is 1 then.

`--device cpu` rehearses it where there is no GPU: the same parts on the processor, briefly, into target/gpu-rehearsal.
"""

import argparse
import csv
import filecmp
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches" / "peers"))

from record import machine, merge_csv  # noqa: E402
from servers import StepServer, warm_up  # noqa: E402

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
HOMEBENCH = TARGET / "homebench"
WORKLOADS = ["home-l", "mmoe-l", "ple-l"]
PRECISION_COLUMNS = ["workload", "precision", "rows_per_second", "machine"]
# Threads of the host on either side.
THREADS = 2
# What may differ between two runs of one experiment, beside the table of times and its figures.
TIMES = {".lock", "provenance.toml", "log.txt", "tries.txt"}


def cargo(args, what, *more):
    """A cargo command over the whole workspace, so that dependencies are compiled once."""
    features = [] if args.is_rehearsal else ["--features", "cuda"]
    return ["cargo", what, "--release", "--locked", "--workspace", *features, *more]


def parity(args):
    """The tests of kernels and models on the GPU; gives their last words."""
    files = [file for crate in ("kernels", "model") for file in (ROOT / "crates" / crate / "tests").glob("*.rs")]
    names = [option for file in sorted(files) for option in ("--test", file.stem)]
    # One device: tests take turns, so that a failure is of the one that is named.
    command = cargo(args, "test", *names, "--no-fail-fast", "--", "--test-threads=1")
    environment = os.environ | {"HOMEBENCH_TEST_DEVICE": args.device}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    (args.out / "parity.txt").write_text(ran.stdout + ran.stderr)
    results = [line for line in ran.stdout.splitlines() if line.startswith("test result:")]
    passed, failed = (sum(int(line.split()[place]) for line in results) for place in (3, 5))
    said = f"{passed} tests passed, {failed} failed"
    if ran.returncode != 0 or not results:
        raise RuntimeError(f"{said}; see parity.txt")
    return said


def repeats(args):
    """The quickstart twice, and every file that should be the same."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder) / name for name in ("first", "second")]
        for run in runs:
            command = [HOMEBENCH, "run", "experiments/quickstart.toml", "--device", args.device, "--out", run]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        files = [{path.relative_to(run) for path in run.rglob("*") if path.is_file() and not has_times(path)} for run in runs]
        if files[0] != files[1]:
            raise RuntimeError(f"the runs left other files: {sorted(files[0] ^ files[1])}")
        others = sorted(str(file) for file in files[0] if not filecmp.cmp(runs[0] / file, runs[1] / file, shallow=False))
        if others:
            raise RuntimeError(f"{len(others)} of {len(files[0])} files differ: {', '.join(others[:5])}")
        return f"{len(files[0])} files of two runs of the quickstart are the same, byte for byte"


def has_times(path):
    return path.name in TIMES or path.name.startswith("throughput")


def num_rows(workload):
    """Rows of a workload's batch."""
    return tomllib.loads((ROOT / "benches" / "peers" / "workloads" / f"{workload}.toml").read_text())["rows"]


def precision(args):
    """Rows per second of each workload and precision, the median of five measurements."""
    here = machine(args.device)
    rows = []
    for workload in args.workloads:
        for name in ("f32",) if args.is_rehearsal else ("f32", "tf32", "bf16"):
            command = [str(TARGET / "step_server"), "--workload", workload, "--threads", str(THREADS)]
            with StepServer([*command, "--device", args.device, "--precision", name], THREADS) as server:
                steps = warm_up(server, num_rows(workload), 3)
                rate = statistics.median(server.step(steps) for _ in range(5))
            rows.append(dict(zip(PRECISION_COLUMNS, (workload, name, rate, here), strict=True)))
    merge_csv(args.out / "precision.csv", PRECISION_COLUMNS, ("workload", "precision"), rows)
    return "\n".join(["| workload | precision | rows/s |", "| --- | --- | ---: |"] + [
        f"| {row['workload']} | {row['precision']} | {row['rows_per_second']:,.0f} |" for row in rows
    ])  # fmt: skip


def peers(args):
    """benches/peers/run.py on the GPU, in f32 and TF32."""
    command = [sys.executable, "benches/peers/run.py", "steps", "--device", args.device, "--threads", str(THREADS)]
    command += ["--precisions", "f32" if args.is_rehearsal else "f32,tf32"]
    command += ["--workloads", ",".join(args.workloads), "--out", args.out]
    subprocess.run([*command, *(["--pairs", "1", "--seconds", "1"] if args.is_rehearsal else [])], cwd=ROOT, check=True)
    with (args.out / "steps.csv").open(newline="") as file:
        measured = list(csv.DictReader(file))
    table = ["| workload | precision | peer | ratio |", "| --- | --- | --- | ---: |"]
    key_of = lambda row: (row["workload"], row["precision"], row["peer"])  # noqa: E731
    for key in sorted({key_of(row) for row in measured}):
        ratios = [float(row["ratio"]) for row in measured if key_of(row) == key]
        table.append(f"| {key[0]} | {key[1]} | {key[2]} | {statistics.median(ratios):.2f} |")
    return "\n".join(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--out", type=Path, help="results/gpu, or target/gpu-rehearsal")
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=WORKLOADS)
    args = parser.parse_args()
    args.is_rehearsal = args.device == "cpu"
    default = ROOT / "target" / "gpu-rehearsal" if args.is_rehearsal else ROOT / "results" / "gpu"
    args.out = (args.out or default).resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    subprocess.run(cargo(args, "build", "--bins"), cwd=ROOT, check=True)
    devices = subprocess.run([HOMEBENCH, "devices"], capture_output=True, text=True, check=True).stdout
    if f"\n{args.device} " not in devices:
        sys.exit(f"no device {args.device}; there are:\n{devices}")
    (args.out / "devices.txt").write_text(devices)
    text = [f"# {machine(args.device)}\n"]
    failed = 0
    for part in (parity, repeats, precision, peers):
        print(f"== {part.__name__}", flush=True)
        try:
            text.append(f"## {part.__name__}\n{part(args)}\n")
        except (RuntimeError, subprocess.CalledProcessError, SystemExit) as error:
            failed += 1
            text.append(f"## {part.__name__}\nFailed: {error}\n")
        print(text[-1], flush=True)
        (args.out / "report.md").write_text("\n".join(text))
    print(f"results are in {args.out}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

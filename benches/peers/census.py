"""Whole runs on Census, from the raw files to the test AUC: ours and torch-rechub's, alternating."""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata

from record import HERE, ROOT, merge_csv
from servers import THREAD_VARIABLES

SPEC = ROOT / "experiments" / "peers" / "census-mmoe.toml"
COLUMNS = [
    "workload", "peer", "threads", "pair", "ours_seconds", "peer_seconds", "ratio", "machine",
    "ours_peak_memory_bytes", "peer_peak_memory_bytes", "ours_auc_income", "peer_auc_income",
    "ours_auc_never_married", "peer_auc_never_married",
]  # fmt: skip


def timed(command, environment, stdout):
    """Runs a process to its end: seconds, and the peak memory of it or of the largest process it waited for."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=stdout, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: status {process.returncode}")
    return seconds, usage.ru_maxrss * 1024


def ours(args, environment):
    """`homebench run` with an empty cache and an empty results folder, so that it prepares the data and trains."""
    with tempfile.TemporaryDirectory() as folder:
        data = args.census_train.resolve().parents[1]
        environment = environment | {"HOMEBENCH_CACHE": f"{folder}/cache", "HOMEBENCH_DATA": str(data)}
        command = [args.homebench, "run", str(SPEC), "--out", f"{folder}/results"]
        seconds, memory = timed(command, environment, subprocess.DEVNULL)
        with open(f"{folder}/results/metrics.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if (row["split"], row["metric"]) == ("test", "auc")]
    return seconds, memory, {row["task"]: float(row["value"]) for row in rows}


def theirs(args, environment, threads):
    with tempfile.TemporaryFile("w+") as stdout:
        command = [sys.executable, str(HERE / "torch_rechub_census.py"), "--threads", str(threads)]
        command += ["--train", str(args.census_train.resolve()), "--test", str(args.census_test.resolve())]
        seconds, memory = timed(command, environment, stdout)
        stdout.seek(0)
        answer = json.loads(stdout.read().splitlines()[-1])
    return seconds, memory, answer["auc"]


def measure_census(args, here):
    """Both once to warm the files up, then pairs."""
    threads = max(args.threads)
    environment = os.environ | {name: str(threads) for name in THREAD_VARIABLES}
    ours(args, environment)
    lines = []
    for pair in range(args.pairs):
        sides = {}
        for side in ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours"):
            sides[side] = ours(args, environment) if side == "ours" else theirs(args, environment, threads)
        (o, o_memory, o_auc), (p, p_memory, p_auc) = sides["ours"], sides["theirs"]
        aucs = (auc[task] for task in ("income", "never_married") for auc in (o_auc, p_auc))
        peer = f"torch-rechub {metadata.version('torch-rechub')}"
        values = ("census-mmoe", peer, threads, pair, o, p, p / o, here, o_memory, p_memory, *aucs)
        lines.append(dict(zip(COLUMNS, values, strict=True)))
        print(f"census-mmoe, pair {pair}: ours {o:.1f} s, peer {p:.1f} s", file=sys.stderr)
    merge_csv(args.out / "census.csv", COLUMNS, ("workload", "peer", "threads", "machine"), lines)
    columns = ("ours_seconds", "peer_seconds", "ratio", "ours_auc_income", "peer_auc_income")
    medians = [statistics.median(line[column] for line in lines) for column in columns]
    print(
        "census-mmoe, {} threads, {}: ours {:.1f} s, peer {:.1f} s, ratio {:.1f}, income AUC {:.4f} and {:.4f}".format(
            threads, lines[0]["peer"], *medians
        )
    )

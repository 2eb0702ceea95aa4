#!/usr/bin/env python3
"""What a real Slurm costs over the same cells on this machine, and how often it is asked while a run waits.

    tests/cluster/cost.py HOMEBENCH [--cells 1000] [--seconds 2] [--nodes 4] [--cpus 2] [--pairs 1]       (or: just cluster-cost)

Cells sleep (a program of a variant), so that as many slots as a cluster has are no more than this machine can do at once. The settings
are those of a user, but for the memory. Fails where the ratio or the number of calls is over its limit.
"""

import argparse
import collections
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster import Cluster, install

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = ["sbatch", "squeue", "scancel", "scontrol"]
MOST_RATIO, MOST_CALLS = 1.15, 2
SPEC = """question = "What does it cost?"
seeds = [{seeds}]
[dataset]
name = "visits"
[variants.sleeps]
command = ["sh", "sleep.sh"]
rows_as = "csv"
"""


def prepare(folder, cells):
    (folder / "descriptions").mkdir()
    (folder / "data" / "visits").mkdir(parents=True)
    shutil.copy(PROJECT / "tests" / "end_to_end" / "visits.toml", folder / "descriptions")
    shutil.copy(PROJECT / "tests" / "cluster" / "sleep.sh", folder)
    rows = [f"p{row % 11},{row % 13},u{row},{1 if (row * 7) % 5 < 2 else 0}" for row in range(192)]
    (folder / "data" / "visits" / "visits.csv").write_text("\n".join(["place,size,part,stays", *rows]) + "\n")
    (folder / "spec.toml").write_text(SPEC.format(seeds=", ".join(map(str, range(1, cells + 1)))))


def count_calls(folder):
    """Puts programs in front of Slurm's that write down when each was called."""
    (folder / "bin").mkdir()
    for name in PROGRAMS:
        wrapper = folder / "bin" / name
        wrapper.write_text(f'#!/bin/sh\necho "$(date +%s) {name}" >>"{folder}/calls"\nexec {shutil.which(name)} "$@"\n')
        wrapper.chmod(0o755)
    return f"{folder}/bin:{os.environ['PATH']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homebench")
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=1)
    arguments = parser.parse_args()
    if why := install():
        print(f"Slurm: left out: {why}")
        return 0
    slots = arguments.nodes * arguments.cpus
    with tempfile.TemporaryDirectory(prefix="homebench-cost-") as temporary:
        folder = Path(temporary) / "work"
        folder.mkdir()
        prepare(folder, arguments.cells)
        (folder / "cluster.toml").write_text(
            f'[slurm]\ntasks = {slots}\nmemory = "100MiB"\nenvironment = ["HOMEBENCH_TEST_SLEEP"]\n')
        with Cluster(Path(temporary) / "slurm", nodes=arguments.nodes, cpus=arguments.cpus) as cluster:
            environment = {**cluster.env, "PATH": count_calls(folder), "NO_COLOR": "1", "HOMEBENCH_TEST_SLEEP": str(arguments.seconds)}

            def seconds(out, *more):
                places = ["--descriptions", "descriptions", "--data-dir", "data", "--cache-dir", "cache", "--threads", "1"]
                words = [Path(arguments.homebench).resolve(), "run", "spec.toml", "--out", out, *places, *more]
                start = time.time()
                with open(folder / f"{out}.log", "wb") as log:
                    code = subprocess.run(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode
                if code:
                    sys.exit((folder / f"{out}.log").read_text()[-3000:])
                return time.time() - start

            ratios, rates = [], []
            for pair in range(arguments.pairs):
                here = seconds(f"here{pair}", "--jobs", str(slots))
                before = time.time()
                there = seconds(f"there{pair}", "--executor", "slurm")
                same = subprocess.run([PROJECT / ".ci" / "same-results", f"here{pair}", f"there{pair}"], cwd=folder, capture_output=True, text=True)
                if same.returncode:
                    sys.exit(same.stdout)
                calls = [line.split() for line in (folder / "calls").read_text().splitlines()]
                by_name = collections.Counter(name for when, name in calls if int(when) >= int(before))
                ratios.append(there / here)
                # Beside the submission, which is two calls of `sbatch` and one of `scontrol`.
                rates.append((by_name["squeue"] + by_name["scancel"]) / (there / 60))
                print(f"{arguments.cells} cells of {arguments.seconds:g} s on {slots} slots: {here:.1f} s here, {there:.1f} s through Slurm: "
                      f"{ratios[-1]:.3f} times; calls: {dict(by_name)}, {rates[-1]:.2f} a minute", flush=True)
    ratio, rate = statistics.median(ratios), max(rates)
    print(f"median {ratio:.3f} times, at most {rate:.2f} calls a minute while waiting")
    return 1 if ratio > MOST_RATIO or rate > MOST_CALLS else 0


if __name__ == "__main__":
    sys.exit(main())

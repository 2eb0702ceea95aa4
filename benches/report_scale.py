"""How long a report over many cells takes: makes up a results folder and times `homebench report` and `homebench figures` on it.

    python3 benches/report_scale.py target/release/homebench [--cells 20000] [--seconds 15] [--megabytes 600]
                                                                                              (or: just report-speed)

Two shapes of the same number of cells: few variants with many seeds, and a sweep of many variants with 5 seeds. Four tasks, five
metrics, ten epochs of curves, as a run writes them. Then a folder of 300 tasks, 6 variants and 3 seeds. Fails if a report takes longer
than `--seconds` or more memory than `--megabytes`.
"""

import argparse
import csv
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

TASKS = ["click", "long_view", "like", "follow"]
MANY_TASKS = [f"task_{task}" for task in range(300)]
METRICS = ["auc", "log_loss", "normalised_entropy", "calibration", "expected_calibration_error"]
EPOCHS = 10
HEADERS = {
    "cells": "cell,variant,model,dataset,seed,status,error,selected_epoch,epochs_run,validation_score,parameters,"
    "flops_per_row,phase,trial,split_seed",
    "metrics": "cell,variant,seed,split,task,metric,value,rows,positives",
    "curves": "cell,variant,seed,epoch,step,split,task,metric,value",
}


def scores(generator, quality):
    auc = min(0.999, max(0.5, quality + generator.gauss(0, 0.002)))
    loss = 1.1 - auc
    return auc, loss, 2 * loss, 1 + generator.gauss(0, 0.01), abs(generator.gauss(0, 0.01))


def write(folder, variants, seeds, tasks):
    generator = random.Random(0)
    files = {name: (folder / f"{name}.csv").open("w", newline="") for name in HEADERS}
    writers = {name: csv.writer(file, lineterminator="\n") for name, file in files.items()}
    for name, header in HEADERS.items():
        writers[name].writerow(header.split(","))
    for variant in range(variants):
        quality = 0.7 + 0.02 * math.sin(variant)
        for seed in range(1, seeds + 1):
            name, cell = f"home/rank={variant}", f"{variant:08x}{seed:08x}"
            tail = ["done", "", 7, EPOCHS, quality, 260000 + variant, 500000 + variant, "final", "", ""]
            writers["cells"].writerow([cell, name, "home", "synthetic", seed, *tail])
            for split in ("validation", "test"):
                for task in tasks:
                    for metric, value in zip(METRICS, scores(generator, quality), strict=True):
                        writers["metrics"].writerow([cell, name, seed, split, task, metric, value, 20000, 3000])
            for epoch in range(1, EPOCHS + 1):
                head = [cell, name, seed, epoch, 100 * epoch]
                writers["curves"].writerow([*head, "train", "all", "loss", 1 / epoch])
                for task in tasks:
                    for metric, value in zip(METRICS[:2], scores(generator, quality), strict=False):
                        writers["curves"].writerow([*head, "validation", task, metric, value])
    for file in files.values():
        file.close()
    (folder / "spec.resolved.toml").write_text('question = "How long does it take?"\n[dataset]\nname = "synthetic"\n')


def measure(command):
    """Seconds, seconds of processors and megabytes of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    # 1: nothing vouches for tables that were made up.
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{command}: wait status {status}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homebench", help="the program")
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=15, help="a report may take so long")
    parser.add_argument("--megabytes", type=float, default=600, help="and so much memory")
    parser.add_argument("--keep", type=pathlib.Path, help="write the folders here and leave them")
    args = parser.parse_args()
    is_large = False
    with tempfile.TemporaryDirectory() as temporary:
        shapes = [(50, args.cells // 50, TASKS), (args.cells // 5, 5, TASKS), (6, 3, MANY_TASKS)]
        for variants, seeds, tasks in shapes:
            folder = (args.keep or pathlib.Path(temporary)) / f"{variants}-variants"
            folder.mkdir(parents=True)
            write(folder, variants, seeds, tasks)
            for what in ("report", "figures"):
                seconds, processor, megabytes = measure([args.homebench, what, folder])
                print(
                    f"{variants} variants x {seeds} seeds x {len(tasks)} tasks: {what} {seconds:.1f} s ({processor:.1f} s of processors), "
                    f"{megabytes:.0f} MB",
                    flush=True,
                )
                is_large |= seconds > args.seconds or megabytes > args.megabytes
    return 1 if is_large else 0


if __name__ == "__main__":
    sys.exit(main())

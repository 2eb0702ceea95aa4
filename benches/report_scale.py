"""How long a report over many cells takes: makes up a results folder and times `homebench report` and `homebench figures` on it.

    python3 benches/report_scale.py target/release/homebench [--cells 10000] [--seconds 10]      (or: just report-speed)

Two shapes of the same number of cells: few variants with many seeds, and a sweep of many variants with 5 seeds. Four tasks, five
metrics, ten epochs of curves, as a run writes them. Fails if a report takes longer than `--seconds`.
"""

import argparse
import csv
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time

TASKS = ["click", "long_view", "like", "follow"]
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


def write(folder, variants, seeds):
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
                for task in TASKS:
                    for metric, value in zip(METRICS, scores(generator, quality), strict=True):
                        writers["metrics"].writerow([cell, name, seed, split, task, metric, value, 20000, 3000])
            for epoch in range(1, EPOCHS + 1):
                head = [cell, name, seed, epoch, 100 * epoch]
                writers["curves"].writerow([*head, "train", "all", "loss", 1 / epoch])
                for task in TASKS:
                    for metric, value in zip(METRICS[:2], scores(generator, quality), strict=False):
                        writers["curves"].writerow([*head, "validation", task, metric, value])
    for file in files.values():
        file.close()
    (folder / "spec.resolved.toml").write_text('question = "How long does it take?"\n[dataset]\nname = "synthetic"\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homebench", help="the program")
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10, help="a report may take so long")
    parser.add_argument("--keep", type=pathlib.Path, help="write the folders here and leave them")
    args = parser.parse_args()
    slow = False
    with tempfile.TemporaryDirectory() as temporary:
        for variants, seeds in ((50, args.cells // 50), (args.cells // 5, 5)):
            folder = (args.keep or pathlib.Path(temporary)) / f"{variants}-variants"
            folder.mkdir(parents=True)
            write(folder, variants, seeds)
            for what in ("report", "figures"):
                start = time.perf_counter()
                subprocess.run([args.homebench, what, folder], check=True, stdout=subprocess.DEVNULL)
                seconds = time.perf_counter() - start
                print(f"{variants} variants x {seeds} seeds: {what} {seconds:.1f} s", flush=True)
                slow |= what == "report" and seconds > args.seconds
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

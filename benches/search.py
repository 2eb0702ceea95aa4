#!/usr/bin/env python3
"""Compares the methods of [tuning] on experiments/search.toml at one budget, in repetitions that differ in every seed.

    python3 benches/search.py target/release/homebench [--repetitions 10] [--rows 8000] [--jobs 2] [--methods random tpe]

Each method and repetition is a results folder of its own below --folder, so that a run that was interrupted goes on where it was, and
methods may be run one at a time. What is there is then written to benches/search.csv and, where matplotlib is, drawn to docs/search.svg.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPEC = HERE.parent / "experiments" / "search.toml"
# The tasks that the spec selects by.
TASKS = tomllib.loads(SPEC.read_text())["selection"]["tasks"]
# 80 epochs each: 10 x 8; 32 x 1 + 16 x 1 + 8 x 2 + 4 x 4 on the rungs.
METHODS = {
    "random": ["tuning.method=\"random\""],
    "latin_hypercube": ["tuning.method=\"random\"", "tuning.sampling=\"latin_hypercube\""],
    "grid": [],
    "successive_halving": ["tuning.method=\"successive_halving\"", "tuning.trials=32", "tuning.eta=2"],
    "tpe": ["tuning.method=\"tpe\"", "tuning.startup_trials=4", "tuning.generation_size=2"],
}
# A spec has one table of settings; that of the grid replaces the ranges.
GRID = """[tuning.grid]
training.learning_rate = [1e-4, 5.6e-4, 3.2e-3, 1.8e-2, 1e-1]
training.embedding_learning_rate = [1e-3, 1e-2]
"""
# Student's, two-sided, 95 %, by the number of pairs.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def spec_of(method, folder):
    """The spec of a method: of the grid one with its own table."""
    if method != "grid":
        return SPEC
    text = SPEC.read_text()
    start, end = text.index("[tuning.random]"), text.index("[variants.home]")
    text = text[:start] + GRID + "\n" + text[end:]
    path = folder / "grid.toml"
    path.write_text(text.replace('method = "random"', 'method = "grid"'))
    return path


def run(homebench, method, repetition, options):
    out = options.folder / f"{method}-{repetition}"
    command = [homebench, "run", spec_of(method, options.folder), "--out", out, "--jobs", options.jobs, "--threads", 1]
    command += ["--descriptions", SPEC.parent / "datasets"]
    settings = METHODS[method] + [
        f"dataset.rows={options.rows}",
        f"tuning.seeds=[{100 + repetition}]",
        f"seeds=[{repetition}]",
    ]
    if method != "grid":
        settings.append(f"tuning.random.seed={repetition}")
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        # A trial may fail, as one with too large a rate; a run that has a winner is whole all the same.
        print(done.stderr[-2000:], file=sys.stderr)
        if not (out / "cells.csv").exists():
            sys.exit(done.returncode)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def result(folder):
    """What a folder came to; nothing where it is not whole."""
    if not (folder / "cells.csv").exists():
        return None
    cells = rows_of(folder / "cells.csv")
    finals = [cell for cell in cells if cell["phase"] == "final" and cell["status"] == "done"]
    if not finals:
        return None
    last = {row["cell"] for row in rows_of(folder / "tuning.csv")}
    trained = [cell for cell in cells if cell["cell"] in last and cell["status"] == "done"]
    epochs = sum(int(cell["epochs_run"]) for cell in trained)
    test = [
        float(row["value"])
        for row in rows_of(folder / "metrics.csv")
        if row["split"] == "test" and row["metric"] == "auc" and row["task"] in TASKS
    ]
    winner = [row for row in rows_of(folder / "tuning.csv") if row["selected"] == "true"]
    return {
        "trials": len({cell["trial"] for cell in cells if cell["phase"] == "tuning"}),
        "epochs": epochs,
        "flops_per_row": int(finals[0]["flops_per_row"]),
        "winner_validation": statistics.mean(float(row["validation_score"]) for row in winner),
        "final_validation": statistics.mean(float(cell["validation_score"]) for cell in finals),
        "final_test": statistics.mean(test),
    }


def collect(options):
    found = []
    for method in METHODS:
        for repetition in range(1, options.repetitions + 1):
            one = result(options.folder / f"{method}-{repetition}")
            if one is not None:
                found.append({"method": method, "repetition": repetition, **one})
    # The best that any winner of any method reached stands for the best that there is.
    best = max(row["final_test"] for row in found)
    for row in found:
        row["flops"] = f"{3 * row['flops_per_row'] * options.rows * row['epochs']:.4e}"
        row["regret"] = best - row["final_test"]
    return found


def interval(values):
    """Mean and half the width of its 95 % interval."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, float("nan")
    return mean, STUDENT[len(values)] * statistics.stdev(values) / len(values) ** 0.5


def summary(found):
    random = {row["repetition"]: row["regret"] for row in found if row["method"] == "random"}
    lines = [
        "| method | repetitions | trials | epochs | FLOPs | regret, mean | to random search, paired, 95 % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for method in METHODS:
        rows = [row for row in found if row["method"] == method]
        if not rows:
            continue
        pairs = [row["regret"] - random[row["repetition"]] for row in rows if row["repetition"] in random]
        mean, half = interval(pairs) if method != "random" and pairs else (0.0, float("nan"))
        paired = "-" if method == "random" else f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"
        lines.append(
            f"| `{method}` | {len(rows)} | {rows[0]['trials']} | {statistics.mean(row['epochs'] for row in rows):.0f} "
            f"| {rows[0]['flops']} | {statistics.mean(row['regret'] for row in rows):.4f} | {paired} |"
        )
    return "\n".join(lines)


def draw(found, target):
    try:
        import matplotlib
    except ImportError:
        return print("matplotlib is not there, so no chart is drawn", file=sys.stderr)
    matplotlib.use("svg")
    # The same bytes from the same numbers.
    matplotlib.rcParams["svg.hashsalt"] = "homebench"
    # Words stay words: fewer bytes, and a reader can search them.
    matplotlib.rcParams["svg.fonttype"] = "none"
    import matplotlib.pyplot as plt

    methods = [method for method in METHODS if any(row["method"] == method for row in found)]
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.5 * len(methods)), layout="constrained")
    for y, method in enumerate(methods):
        regrets = [row["regret"] for row in found if row["method"] == method]
        mean, half = interval(regrets)
        axes.plot(regrets, [y] * len(regrets), "o", color="#4477aa", alpha=0.35, markersize=5, markeredgewidth=0)
        axes.errorbar([mean], [y], xerr=[half], fmt="D", color="#222222", markersize=5, capsize=3, linewidth=1.5)
    axes.set_yticks(range(len(methods)), [method.replace("_", " ") for method in methods], fontsize=9)
    axes.invert_yaxis()
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("regret in test AUC, mean over the tasks of selection (dots: repetitions; diamond: mean with 95 % interval)", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homebench", type=Path)
    parser.add_argument("--repetitions", type=int, default=10, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--folder", type=Path, default=HERE.parent / "target" / "search")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    # Repetition by repetition, so that what is there at any time compares the same repetitions.
    for repetition in range(1, options.repetitions + 1):
        for method in options.methods:
            run(options.homebench.resolve(), method, repetition, options)
            print(f"{method}, repetition {repetition}", file=sys.stderr)
    found = collect(options)
    columns = ["method", "repetition", "trials", "epochs", "flops", "winner_validation", "final_validation", "final_test", "regret"]
    with open(HERE / "search.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    print(summary(found))
    draw(found, HERE.parent / "docs" / "search.svg")


if __name__ == "__main__":
    main()

"""Writes results/contrasts.md: differences that no table of a report has, from the committed scores alone.

    python3 results/contrasts.py [--check]

results/contrasts.toml lists them. A difference is of the test scores of two variants at the same seed, a mean over tasks; its interval is
Student's, and no correction is made. `minus` takes another such difference away, seed by seed; `relative` is the share of b that a
is below it. --check writes nothing, and ends with 1
where contrasts.md says other numbers.
"""

import argparse
import csv
import io
import math
import pathlib
import statistics
import subprocess
import sys
import tomllib

RESULTS = pathlib.Path(__file__).resolve().parent
PAGE = RESULTS / "contrasts.md"


def rows(path):
    packed = path.with_name(path.name + ".zst")
    if packed.exists():
        unpacked = subprocess.run(["zstd", "-dcq", packed], check=True, capture_output=True, text=True)
        return list(csv.DictReader(io.StringIO(unpacked.stdout)))
    with path.open(newline="") as source:
        return list(csv.DictReader(source))


class Folder:
    """Test scores of a folder by variant, data, metric, task and seed."""

    def __init__(self, name):
        folder = RESULTS / name
        datasets = {row["cell"]: row["dataset"] for row in rows(folder / "cells.csv")}
        scored = [row for row in rows(folder / "metrics.csv") if row["split"] == "test" and row["value"]]
        external = [row for path in sorted(folder.glob("external/*.csv")) for row in rows(path) if "metric" in row]
        self.scores = {}
        for row in scored + [row for row in external if row["split"] == "test" and row["value"]]:
            data = datasets[row["cell"]] if row.get("cell") else row.get("dataset") or next(iter(datasets.values()))
            key = (row["variant"], data, row["metric"])
            self.scores.setdefault(key, {}).setdefault(row["task"], {})[int(row["seed"])] = float(row["value"])

    def by_task(self, variant, part, metric, tasks):
        """The scores by task and seed, of the one dataset whose name has `part`."""
        found = [by_task for (name, data, kind), by_task in self.scores.items() if (name, kind) == (variant, metric) and part in data]
        if len(found) != 1:
            sys.exit(f"{PAGE.name}: {variant}, `{part}`, {metric}: {len(found)} datasets fit, not one")
        return {task: found[0][task] for task in tasks or found[0]}

    def differences(self, contrast, metric, tasks, is_relative):
        """By seed, the mean over tasks of a less b; of how much less a is than b, in percent of b, where the contrast is relative."""
        parts = contrast.get("data", ["", ""])
        parts = [parts, parts] if isinstance(parts, str) else parts
        first, second = (self.by_task(contrast[side], part, metric, tasks) for side, part in zip("ab", parts, strict=True))
        seeds = set.intersection(*(set(scores) for side in (first, second) for scores in side.values()))

        def difference(task, seed):
            a, b = first[task][seed], second[task][seed]
            return 100 * (b - a) / b if is_relative else a - b

        return {seed: statistics.fmean(difference(task, seed) for task in first) for seed in seeds}


def student_area(degrees, end):
    """What lies between 0 and `end` of Student's distribution, by Simpson's rule."""
    scale = math.gamma((degrees + 1) / 2) / math.sqrt(degrees * math.pi) / math.gamma(degrees / 2)
    intervals = 2000
    total = 0.0
    for place in range(intervals + 1):
        weight = 1 if place in (0, intervals) else 4 if place % 2 else 2
        total += weight * (1 + (place * end / intervals) ** 2 / degrees) ** (-(degrees + 1) / 2)
    return scale * total * end / intervals / 3


def student_quantile(degrees):
    """The 97.5 % quantile of Student's distribution, by bisection."""
    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if student_area(degrees, middle) > 0.475 else (middle, high)
    return low


def number(value, digits, sign):
    text = f"{value:{sign}.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def page(contrasts):
    lines = [
        "# Contrasts",
        "",
        "Differences that no table of a report has. `results/contrasts.py` computes them from the committed test scores, as",
        "`results/contrasts.toml` lists them: paired by seed, a mean over tasks, with Student's 95 % interval and without any correction.",
        "",
        "| contrast | experiment | what | metric | seeds | difference | 95 % interval | p |",
        "| --- | --- | --- | --- | ---: | ---: | --- | ---: |",
    ]
    folders = {}
    for name, contrast in contrasts.items():
        name_of_folder = contrast["folder"]
        if name_of_folder not in folders:
            folders[name_of_folder] = Folder(name_of_folder)
        rule = (contrast.get("metric", "auc"), contrast.get("tasks"), contrast.get("relative", False))
        differences = folders[name_of_folder].differences(contrast, *rule)
        if "minus" in contrast:
            other = folders[name_of_folder].differences(contrast["minus"], *rule)
            differences = {seed: differences[seed] - other[seed] for seed in differences.keys() & other.keys()}
        values = [differences[seed] for seed in sorted(differences)]
        mean = statistics.fmean(values)
        error = statistics.stdev(values) / math.sqrt(len(values))
        half = student_quantile(len(values) - 1) * error
        p = 1 - 2 * student_area(len(values) - 1, abs(mean) / error)
        digits = 1 if rule[2] else 5 if half < 0.0005 else 4
        unit = " %" if rule[2] else ""
        interval = f"[{number(mean - half, digits, '-')}, {number(mean + half, digits, '-')}]"
        lines.append(
            f"| {name} | [{name_of_folder}]({name_of_folder}/report.md) | {contrast['what']} | {rule[0]}{unit} | {len(values)} "
            f"| {number(mean, digits, '+')} | {interval} | {'< .001' if p < 0.001 else number(p, 3, '-')} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare alone")
    args = parser.parse_args()
    after = page(tomllib.loads((RESULTS / "contrasts.toml").read_text()))
    if args.check:
        if not PAGE.exists() or PAGE.read_text() != after:
            sys.exit("results/contrasts.md: other numbers than the folders have\nhint: python3 results/contrasts.py")
    else:
        PAGE.write_text(after)


if __name__ == "__main__":
    main()

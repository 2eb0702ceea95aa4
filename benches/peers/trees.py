"""Gradient-boosted trees on an experiment's own data: LightGBM, one model a task, tuned on validation, as an external variant.

    trees.py RESULTS_DIR [--trials N] [--threads N] [--homebench PROGRAM]      (or: just trees EXPERIMENT)

Reads the rows that the experiment's cells read: `homebench data export` writes the prepared splits with the spec's dataset,
protocol and rows, and the content hash is compared with the one in provenance.toml, so features, vocabularies and splits are
the same to the byte. Categorical features go in as such, numeric ones as prepared, row weights weigh rows in training, and rows
on which a task is not observed are none of its rows. A multi-valued feature becomes one column for each of its ids, the number of
times that a row's list has it: for a feature of many ids, the MOST_LIST_IDS that the training rows have most often.

A task with labels of one kind alone in the training or the validation split is left out, said, and recorded as undefined; metrics that
one kind of label leaves undefined on a split are written without a value. Scores are written after each task, so that an end in the middle loses none.

Each task is tuned alone: N trials of random search (the first is the library's defaults) with the experiment's first seed, each with
early stopping on validation; N is that of the experiment's own tuning, else 20. The winner is trained with every seed of the
experiment, which then decides the sampling of rows and features, and the test split is read, once. Writes
RESULTS_DIR/external/trees.csv and trees.toml, which `homebench report RESULTS_DIR` shows among the other variants.
"""

import argparse
import csv
import io
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata

import lightgbm
import numpy
import pyarrow.ipc
from sklearn.metrics import log_loss, roc_auc_score

MOST_ROUNDS = 2000
# Columns that a multi-valued feature becomes at most: trees look at each column at each split.
MOST_LIST_IDS = 256
PATIENCE = 50
# Settings, their ranges, and the library's default, which is the first trial.
SPACE = {
    "learning_rate": ("log", 0.02, 0.3, 0.1),
    "num_leaves": ("log whole", 7, 255, 31),
    "min_data_in_leaf": ("log whole", 5, 500, 20),
    "feature_fraction": ("even", 0.3, 1.0, 1.0),
    "bagging_fraction": ("even", 0.5, 1.0, 1.0),
    "lambda_l2": ("log", 1e-3, 30.0, 0.0),
    "cat_smooth": ("log", 1.0, 100.0, 10.0),
}
COLUMNS = ["variant", "seed", "split", "task", "metric", "value", "rows", "positives"]


class Split:
    """A prepared split, from the file that the experiment's cells map."""

    def __init__(self, path):
        with pyarrow.memory_map(str(path)) as source:
            table = pyarrow.ipc.open_file(source).read_all()
        names = table.column_names
        self.columns = {name: self.array(table[name]) for name in names if name != "lists"}
        self.lists = self.read_lists(table["lists"]) if "lists" in names else []
        self.rows = table.num_rows

    @staticmethod
    def array(column):
        """[rows, width]"""
        pieces = [piece.flatten().to_numpy().reshape(len(piece), -1) for piece in column.chunks]
        return numpy.concatenate(pieces)

    @staticmethod
    def read_lists(column):
        """Of each multi-valued feature its ids, row after row, and each row's number of them."""
        width = column.type.list_size
        rows = [piece.flatten() for piece in column.chunks]
        # Lists of a row stand side by side, those of one feature `width` apart.
        lengths = numpy.concatenate([piece.value_lengths().to_numpy() for piece in rows]).reshape(-1, width)
        ids = numpy.concatenate([piece.flatten().to_numpy() for piece in rows])
        owners = numpy.repeat(numpy.arange(lengths.size) % width, lengths.ravel())
        return [(ids[owners == place], lengths[:, place]) for place in range(width)]

    def features(self, list_ids):
        """Categorical ids, exact in a float, beside the numeric features, and how often each row has each of `list_ids`."""
        parts = [self.columns[name].astype(numpy.float32) for name in ("categorical", "numeric") if name in self.columns]
        parts += [self.counts(place, ids) for place, ids in enumerate(list_ids)]
        return numpy.concatenate(parts, axis=1)

    def counts(self, place, wanted):
        """[rows, ids wanted]"""
        ids, lengths = self.lists[place]
        rows = numpy.repeat(numpy.arange(self.rows), lengths)
        order = numpy.argsort(wanted)
        found = numpy.searchsorted(wanted, ids, sorter=order).clip(max=len(wanted) - 1)
        columns = order[found]
        is_wanted = wanted[columns] == ids
        counts = numpy.zeros((self.rows, len(wanted)), numpy.float32)
        numpy.add.at(counts, (rows[is_wanted], columns[is_wanted]), 1)
        return counts

    def common_ids(self):
        """Of each multi-valued feature the ids that most rows have, the most common first."""
        return [self.most_common(ids) for ids, _ in self.lists]

    @staticmethod
    def most_common(ids):
        if not len(ids):
            return numpy.zeros(1, numpy.uint32)
        known, counts = numpy.unique(ids, return_counts=True)
        # Of equally common ones the smaller, so that the same rows give the same columns.
        return known[numpy.argsort(-counts, kind="stable")[:MOST_LIST_IDS]]

    def task(self, place):
        """Which rows observe a task, their labels, weights and users."""
        labels = self.columns["labels"][:, place].astype(numpy.float64)
        observed = ~numpy.isnan(labels)
        more = (self.columns[name][observed, 0] if name in self.columns else None for name in ("weight", "user"))
        return observed, labels[observed], *more


class Splits(dict):
    """Splits by name, each read when it is first asked for: the test split after the choice."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, name):
        self[name] = Split(self.folder / f"{name}.arrow")
        return self[name]


def draw(random, trial):
    """Settings of a trial; the first is the library's defaults."""
    settings = {}
    for name, (kind, low, high, default) in SPACE.items():
        share = random.random()
        if trial == 0:
            settings[name] = default
        elif kind == "even":
            settings[name] = round(low + (high - low) * share, 4)
        else:
            value = math.exp(math.log(low) + (math.log(high) - math.log(low)) * share)
            settings[name] = round(value) if kind.endswith("whole") else float(f"{value:.4g}")
    return settings


class Task:
    """A task's rows and how to train and score on them."""

    def __init__(self, name, is_regression, place, splits, schema, threads):
        self.name, self.is_regression, self.threads = name, is_regression, threads
        self.place, self.splits = place, splits
        self.list_ids = splits["train"].common_ids()
        names = [feature["name"] for feature in schema["categorical"]] + schema["numeric"]
        names += [f"list_{place}_id_{id}" for place, ids in enumerate(self.list_ids) for id in ids]
        # LightGBM takes no punctuation in names, and no name twice.
        names = [f"{place}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}" for place, name in enumerate(names)]
        categorical = list(range(len(schema["categorical"])))
        self.train = self.dataset("train", feature_name=names, categorical_feature=categorical)
        self.validation = self.dataset("validation", reference=self.train)

    def dataset(self, split, **more):
        observed, labels, weights, _ = self.splits[split].task(self.place)
        # Row weights are for learning; scores count every row once.
        weights = weights if split == "train" else None
        features = self.splits[split].features(self.list_ids)[observed]
        return lightgbm.Dataset(features, labels, weight=weights, free_raw_data=False, params=self.fixed(0), **more)

    def fixed(self, seed):
        return {
            "objective": "regression" if self.is_regression else "binary",
            "metric": "l2" if self.is_regression else "auc",
            "bagging_freq": 1,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads,
            "max_bin": 255,
            "feature_pre_filter": False,
            "verbosity": -1,
        }

    def fit(self, settings, seed):
        """The model with the best validation score, and that score, better higher."""
        model = lightgbm.train(
            self.fixed(seed) | settings,
            self.train,
            MOST_ROUNDS,
            valid_sets=[self.validation],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        score = next(iter(model.best_score["valid_0"].values()))
        return model, -score if self.is_regression else score

    def scores(self, model, split, best):
        """Metric, value, rows and positives, by the definitions in METHODOLOGY.md. `best` has the best possible scores."""
        observed, labels, _, users = self.splits[split].task(self.place)
        if not len(labels):
            return []
        predicted = model.predict(self.splits[split].features(self.list_ids)[observed])
        if self.is_regression:
            error, variance = float(((predicted - labels) ** 2).mean()), float(labels.var())
            values = {"mse": error, "r_squared": 1 - error / variance if variance > 0 else None}
            positives = ""
        else:
            values = binary_metrics(predicted, labels, users)
            positives = int(labels.sum())
        for metric, sign in (("auc", -1), ("mse", 1)):
            if (limit := best.get((split, self.name, f"best_{metric}"))) is not None:
                value = values[metric]
                values[f"{metric}_regret"] = None if value is None else sign * (value - limit)
        return [(metric, value, len(labels), positives) for metric, value in values.items()]


def binary_metrics(predicted, labels, users):
    rate = labels.mean()
    loss = float(log_loss(labels, predicted, labels=[0, 1]))
    values = {"auc": None, "log_loss": loss, "normalised_entropy": None, "calibration": None}
    # Of one kind of label alone there is nothing to rank, and no entropy to compare with.
    if 0 < rate < 1:
        entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
        values["auc"] = float(roc_auc_score(labels, predicted))
        values["normalised_entropy"] = loss / entropy
    if rate > 0:
        values["calibration"] = float(predicted.sum() / labels.sum())
    values["expected_calibration_error"] = calibration_error(predicted, labels)
    if users is not None:
        aucs, rows = user_aucs(predicted, labels, users)
        values["gauc"] = float(numpy.average(aucs, weights=rows)) if len(aucs) else None
        values["gauc_unweighted"] = float(aucs.mean()) if len(aucs) else None
    return values


def calibration_error(predicted, labels, bins=20):
    """Mean over rows of the distance between the predicted and the observed rate of the row's bin, of bins of equal width."""
    places = numpy.minimum((predicted * bins).astype(int), bins - 1)
    return float(numpy.abs(numpy.bincount(places, predicted - labels)).sum() / len(labels))


def user_aucs(predicted, labels, users):
    """The AUC within each user who has both labels, and the user's rows."""
    order = numpy.lexsort((predicted, users))
    users, predicted, positive = users[order], predicted[order], labels[order] > 0
    user_starts = starts(users)
    # Ranks count from 1 within a user; rows of equal predictions share the mean of theirs.
    rows = numpy.diff(numpy.append(user_starts, len(users)))
    rank = numpy.arange(1, len(users) + 1) - numpy.repeat(user_starts, rows)
    tie_starts = starts(users, predicted)
    ties = numpy.diff(numpy.append(tie_starts, len(users)))
    rank = numpy.repeat(numpy.add.reduceat(rank, tie_starts) / ties, ties)
    positives = numpy.add.reduceat(positive, user_starts, dtype=numpy.int64)
    pairs = positives * (rows - positives)
    has_both = pairs > 0
    ranks = numpy.add.reduceat(numpy.where(positive, rank, 0.0), user_starts)
    won = ranks - positives * (positives + 1) / 2
    return won[has_both] / pairs[has_both], rows[has_both]


def starts(*columns):
    """Where a run of rows that agree in every column begins."""
    changes = numpy.logical_or.reduce([numpy.diff(column) != 0 for column in columns])
    return numpy.append(0, numpy.flatnonzero(changes) + 1)


def read_toml(path):
    return tomllib.loads(path.read_text())


def export(homebench, spec, folder):
    """The prepared splits of the spec's dataset, and their schema."""
    dataset = spec["dataset"]
    command = [homebench, "data", "export", dataset["name"], "--out", str(folder)]
    if "protocol" in dataset:
        command += ["--protocol", dataset["protocol"]]
    rows = dataset.get("rows")
    if isinstance(rows, int):
        command += ["--rows", str(rows)]
    elif isinstance(rows, float):
        command += ["--fraction", str(rows)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return read_toml(folder / "schema.toml")


def check_content(results, schema):
    """The rows are those of the experiment."""
    runs = read_toml(results / "provenance.toml")["runs"]
    hashes = {run["dataset"]["content_hash"] for run in runs}
    if schema["content_hash"] not in hashes:
        raise SystemExit(
            f"{results}: its cells ran on data {', '.join(sorted(hashes))}, the export is {schema['content_hash']}\n"
            "hint: run the experiment again, or get the data that it ran on"
        )


def tuned_trials(results):
    """How many trials the experiment gave each of its variants."""
    path = results / "tuning.csv"
    if not path.exists():
        return None
    with path.open(newline="") as file:
        return max(int(row["trial"]) for row in csv.DictReader(file))


def regressions_of(results):
    """Tasks that the experiment scored by squared error."""
    with (results / "metrics.csv").open(newline="") as file:
        return {row["task"] for row in csv.DictReader(file) if row["metric"] == "mse"}


def best_scores(results):
    """What can be scored at best, by split, task and metric, where the data know their truth; it is one for every cell."""
    with (results / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"].startswith("best_") and row["value"]]
    return {(row["split"], row["task"], row["metric"]): float(row["value"]) for row in rows}


def seeds_of(results):
    with (results / "cells.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("phase", "final") != "tuning"]
    if any(row.get("split_seed") for row in rows):
        raise SystemExit(f"{results}: has several splits, which trees.py doesn't know")
    return sorted({int(row["seed"]) for row in rows})


def run_task(task, seeds, trials, best_possible):
    """The winner and its validation score, and rows for the table."""
    random = numpy.random.default_rng([seeds[0], task.place])
    best = None
    for trial in range(trials):
        settings = draw(random, trial)
        _, score = task.fit(settings, seeds[0])
        print(f"{task.name}, trial {trial + 1} of {trials}: validation {score:.5f}", file=sys.stderr)
        if best is None or score > best[1]:
            best = settings, score
    # The choice is frozen; from here on the test split is read, once per seed.
    rows = []
    for seed in seeds:
        model, _ = task.fit(best[0], seed)
        for split in ("validation", "test"):
            for metric, value, count, positives in task.scores(model, split, best_possible):
                key = ("trees", seed, split, task.name, metric)
                rows.append((*key, "" if value is None else repr(float(value)), count, positives))
    return best, rows


def why_untrained(task, place, splits):
    """Why trees can't be grown and chosen for a task; nothing where they can."""
    for split in ("train", "validation"):
        labels = splits[split].task(place)[1]
        if not len(labels):
            return f"{task}: left out, no row of the {split} split observes it"
        if (labels == labels[0]).all():
            return f"{task}: left out, every label of the {split} split is {labels[0]:g}"
    return None


def undefined_rows(name, is_regression, place, splits, seeds):
    """Rows of the table for a task that is left out: its main metric without a value."""
    rows = []
    for split in ("validation", "test"):
        labels = splits[split].task(place)[1]
        metric, positives = ("r_squared", "") if is_regression else ("auc", int(labels.sum()))
        rows += [("trees", seed, split, name, metric, "", len(labels), positives) for seed in seeds]
    return rows


def toml_text(value):
    """A string as TOML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(results, schema, trials, winners, rows):
    folder = results / "external"
    folder.mkdir(exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    program = f"LightGBM {metadata.version('lightgbm')}"
    lines = [
        f"about = {toml_text('Gradient-boosted trees, one model a task, early stopping on validation:')}",
        f"program = {toml_text(program)}",
        f"command = {toml_text('just trees ' + results.name)}",
        f"dataset_content = {toml_text(schema['content_hash'])}",
        f"trials = {trials}",
        "",
        "[search_space]",
        *(f"{name} = {toml_text(f'{kind}, {low} to {high}')}" for name, (kind, low, high, _) in SPACE.items()),
    ]
    for task, (settings, score) in winners.items():
        words = ", ".join(f"{name} = {value}" for name, value in settings.items())
        lines += ["", "[[winners]]", f"task = {toml_text(task)}", f"settings = {toml_text(words)}"]
        lines += [f"validation_score = {float(score)!r}"]
    # The table last: without its .toml, a report refuses it.
    replace(folder / "trees.toml", "\n".join(lines) + "\n")
    replace(folder / "trees.csv", text.getvalue())


def replace(path, text):
    """Writes a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, newline="")
    part.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path, metavar="RESULTS_DIR")
    parser.add_argument("--trials", type=int, help="trials for each task [default: those of the experiment's tuning, or 20]")
    parser.add_argument("--threads", type=int, default=0, help="[default: all cores]")
    parser.add_argument("--homebench", default="homebench", help="the program")
    args = parser.parse_args()
    if not (args.results / "spec.resolved.toml").is_file():
        parser.error(f"{args.results} is no results folder\nhint: homebench run experiments/<name>.toml")
    trials = args.trials or tuned_trials(args.results) or 20
    seeds = seeds_of(args.results)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        schema = export(args.homebench, read_toml(args.results / "spec.resolved.toml"), folder)
        check_content(args.results, schema)
        regressions = regressions_of(args.results)
        best_possible = best_scores(args.results)
        winners, rows = {}, []
        for place, entry in enumerate(schema["tasks"]):
            splits = Splits(folder)
            if why := why_untrained(entry["name"], place, splits):
                print(why, file=sys.stderr)
                rows += undefined_rows(entry["name"], entry["name"] in regressions, place, splits, seeds)
                continue
            task = Task(entry["name"], entry["name"] in regressions, place, splits, schema, args.threads)
            winners[task.name], task_rows = run_task(task, seeds, trials, best_possible)
            rows += task_rows
            # Hours of the tasks before are not lost with the next one.
            write(args.results, schema, trials, winners, rows)
    # Once more, for tasks that were left out after the last one with a score.
    write(args.results, schema, trials, winners, rows)
    print(f"{args.results / 'external'}: {len(rows)} scores of {len(winners)} tasks and {len(seeds)} seeds")


if __name__ == "__main__":
    main()

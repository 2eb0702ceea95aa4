"""Gradient-boosted trees on an experiment's own data: LightGBM, one model a task, tuned on validation, as an external variant.

    trees.py RESULTS_DIR [--trials N] [--threads N] [--homebench PROGRAM] [--descriptions DIR] [--data-dir DIR] [--cache-dir DIR]
    (or: just trees EXPERIMENT)

Reads the rows that the experiment's cells read: `homebench data export` writes the prepared splits with the spec's dataset,
protocol and rows, and the content hash is compared with the one in provenance.toml, so features, vocabularies and splits are
the same to the byte. Categorical features go in as such, numeric ones as prepared, and buckets as their number, missing where nothing was
there. Row weights weigh rows in training, and rows on which a task is not observed are none of its rows. A multi-valued feature becomes
one column for each of its ids, the number of times that a row's list has it: for a feature of many ids, the MOST_LIST_IDS that the
training rows have most often.

LightGBM looks at every training row to choose its bins, and merges the categories that are too rare for one with what it has not seen. How
many are left is said, and stands for each task and feature in external/trees/categories.csv.

A task with labels of one kind alone in the training or the validation split is left out, said, and recorded as undefined; metrics that
one kind of label leaves undefined on a split are written without a value. Scores are written after each task. Every trial and every
seed that is done is kept in external/trees/, so that the same command goes on where it was.

Each task is tuned alone: N trials of random search (the first is the library's defaults) with the experiment's first seed, each with
early stopping on validation; N is that of the experiment's own tuning, else 20. The winner is trained with every seed of the
experiment, which then decides the sampling of rows and features, and the test split is read, once. Writes
RESULTS_DIR/external/trees.csv and trees.toml, which `homebench report RESULTS_DIR` shows among the other variants.
"""

import argparse
import csv
import functools
import hashlib
import io
import json
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
    "cat_l2": ("log", 0.1, 100.0, 10.0),
    "max_cat_threshold": ("log whole", 8, 256, 32),
    "min_data_per_group": ("log whole", 5, 500, 100),
}
PLACES = ("--descriptions", "--data-dir", "--cache-dir")
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

    def features(self, list_ids, buckets=()):
        """Categorical ids beside the numeric features, and how often each row has each of `list_ids`. Ids of the columns `buckets` are
        numbers of an order, and 0 is none."""
        # f64: a float of 32 bits holds no id beyond 2^24.
        parts = [self.columns[name].astype(numpy.float64) for name in ("categorical", "numeric") if name in self.columns]
        for place in buckets:
            column = parts[0][:, place]
            column[column == 0] = numpy.nan
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
        self.schema = schema
        features = schema["categorical"]
        self.buckets = [place for place, feature in enumerate(features) if feature.get("kind") == "bucket"]
        self.categorical = {place: feature["name"] for place, feature in enumerate(features) if place not in self.buckets}

    # What follows is made when it is first asked for: not where everything is kept.
    @functools.cached_property
    def list_ids(self):
        return self.splits["train"].common_ids()

    @functools.cached_property
    def train(self):
        names = [feature["name"] for feature in self.schema["categorical"]] + self.schema["numeric"]
        lists = zip(self.schema.get("lists", []), self.list_ids, strict=True)
        names += [f"{feature['name']}_id_{id}" for feature, ids in lists for id in ids]
        # LightGBM takes no punctuation in names, and no name twice.
        names = [f"{place}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}" for place, name in enumerate(names)]
        return self.dataset("train", feature_name=names, categorical_feature=list(self.categorical))

    @functools.cached_property
    def validation(self):
        return self.dataset("validation", reference=self.train)

    def dataset(self, split, **more):
        observed, labels, weights, _ = self.splits[split].task(self.place)
        # Row weights are for learning; scores count every row once.
        weights = weights if split == "train" else None
        features = self.features(split, observed)
        return lightgbm.Dataset(features, labels, weight=weights, free_raw_data=False, params=self.fixed(0), **more)

    def features(self, split, observed):
        return self.splits[split].features(self.list_ids, self.buckets)[observed]

    def categories(self, model):
        """Of each categorical feature its name, how many ids the training rows have, and how many LightGBM left apart."""
        # The line of a model's text that says what bins each feature has: of categories their ids.
        line = next(line for line in model.model_to_string(num_iteration=1).splitlines() if line.startswith("feature_infos="))
        infos = line.removeprefix("feature_infos=").split(" ")
        observed = self.splits["train"].task(self.place)[0]
        ids = self.splits["train"].columns["categorical"][observed] if self.categorical else None
        found = []
        for place, name in self.categorical.items():
            # `none` is a feature of one value.
            kept = 0 if infos[place] == "none" else len([id for id in infos[place].split(":") if id != "-1"])
            found.append((name, len(numpy.unique(ids[:, place])), kept))
        return found

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
            # Every row, or categories that a sample lacks would be merged with unseen ones.
            "bin_construct_sample_cnt": max(self.splits["train"].rows, 1),
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
        predicted = model.predict(self.features(split, observed))
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


def export(homebench, places, spec, folder):
    """The prepared splits of the spec's dataset, and their schema."""
    dataset = spec["dataset"]
    command = [homebench, "data", "export", dataset["name"], "--out", str(folder), *places]
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


def scores_of(results):
    """The rows of `metrics.csv`, which is packed in folders that are committed."""
    path = results / "metrics.csv"
    if path.exists():
        text = path.read_text()
    else:
        with pyarrow.input_stream(f"{path}.zst", compression="zstd") as file:
            text = file.read().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def regressions_of(results):
    """Tasks that the experiment scored by squared error."""
    return {row["task"] for row in scores_of(results) if row["metric"] == "mse"}


def best_scores(results):
    """What can be scored at best, by split, task and metric, where the data know their truth; it is one for every cell."""
    rows = [row for row in scores_of(results) if row["metric"].startswith("best_") and row["value"]]
    return {(row["split"], row["task"], row["metric"]): float(row["value"]) for row in rows}


def seeds_of(results):
    with (results / "cells.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("phase", "final") != "tuning"]
    if any(row.get("split_seed") for row in rows):
        raise SystemExit(f"{results}: has several splits, which trees.py doesn't know")
    return sorted({int(row["seed"]) for row in rows})


class Kept:
    """What is done of a task, on disk after every step; of another search, data or program it is not used."""

    def __init__(self, folder, place, key):
        self.path, self.key = folder / f"task_{place}.json", key
        self.trials, self.seeds, self.categories = [], {}, None
        if self.path.is_file():
            kept = json.loads(self.path.read_text())
            if kept["key"] == key:
                self.trials, self.seeds, self.categories = kept["trials"], kept["seeds"], kept["categories"]

    def write(self):
        kept = {"key": self.key, "trials": self.trials, "seeds": self.seeds, "categories": self.categories}
        # Floats as Python writes them come back to the bit.
        replace(self.path, json.dumps(kept, indent=1) + "\n")


def key_of(schema, seeds, trials):
    """What decides the scores: rows, search, program and this file."""
    versions = [metadata.version(name) for name in ("lightgbm", "numpy", "scikit-learn")]
    own = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps([schema["content_hash"], seeds, trials, versions, own]).encode()).hexdigest()


def run_task(task, seeds, trials, best_possible, kept):
    """The winner and its validation score, and rows for the table."""
    random = numpy.random.default_rng([seeds[0], task.place])
    for trial in range(trials):
        settings = draw(random, trial)
        if trial < len(kept.trials):
            continue
        model, score = task.fit(settings, seeds[0])
        print(f"{task.name}, trial {trial + 1} of {trials}: validation {score:.5f}", file=sys.stderr)
        kept.categories = kept.categories or task.categories(model)
        kept.trials.append((settings, float(score)))
        kept.write()
    # Of equal ones the first.
    best = max(kept.trials, key=lambda trial: trial[1])
    # The choice is frozen; from here on the test split is read, once per seed.
    for seed in seeds:
        if str(seed) in kept.seeds:
            continue
        model, _ = task.fit(best[0], seed)
        rows = []
        for split in ("validation", "test"):
            for metric, value, count, positives in task.scores(model, split, best_possible):
                rows.append(("trees", seed, split, task.name, metric, "" if value is None else repr(float(value)), count, positives))
        kept.seeds[str(seed)] = rows
        kept.write()
    return best, [row for seed in seeds for row in kept.seeds[str(seed)]]


def say_categories(task, categories):
    for feature, there, kept in categories:
        if kept < there:
            print(f"{task}: {feature} has {there} ids in the training rows, LightGBM keeps {kept} apart", file=sys.stderr)


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


def table(columns, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def about_of(categories):
    """What was run, with what became of categories: of the task whose feature lost the most."""
    about = "Gradient-boosted trees, one model a task, early stopping on validation"
    merged = [(there - kept, task, feature, there, kept) for task, feature, there, kept in categories if kept < there]
    if merged:
        _, task, feature, there, kept = max(merged, key=lambda one: one[0])
        features = len({one[2] for one in merged})
        about += (
            f"; rare categories of {features} features are one with unseen ones, most in {feature}, of whose {there} ids {kept} "
            f"are kept apart for {task}"
        )
    return f"{about}:"


def write(results, schema, trials, winners, rows, categories):
    folder = results / "external"
    program = f"LightGBM {metadata.version('lightgbm')}"
    lines = [
        f"about = {toml_text(about_of(categories))}",
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
    replace(folder / "trees" / "categories.csv", table(["task", "feature", "ids_in_training", "kept_apart"], categories))
    # The table last: without its .toml, a report refuses it.
    replace(folder / "trees.toml", "\n".join(lines) + "\n")
    replace(folder / "trees.csv", table(COLUMNS, rows))


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
    for place in PLACES:
        parser.add_argument(place, help="as of homebench")
    args = parser.parse_args()
    if not (args.results / "spec.resolved.toml").is_file():
        parser.error(f"{args.results} is no results folder\nhint: homebench run experiments/<name>.toml")
    trials = args.trials or tuned_trials(args.results) or 20
    seeds = seeds_of(args.results)
    given = {place: getattr(args, place.removeprefix("--").replace("-", "_")) for place in PLACES}
    places = [word for place, folder in given.items() if folder for word in (place, folder)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        schema = export(args.homebench, places, read_toml(args.results / "spec.resolved.toml"), folder)
        check_content(args.results, schema)
        run(args.results, schema, folder, trials, seeds, args.threads)


def run(results, schema, folder, trials, seeds, threads):
    """Every task, and after each the table."""
    regressions = regressions_of(results)
    best_possible = best_scores(results)
    notes = results / "external" / "trees"
    notes.mkdir(parents=True, exist_ok=True)
    key = key_of(schema, seeds, trials)
    winners, rows, categories = {}, [], []
    for place, entry in enumerate(schema["tasks"]):
        name, is_regression = entry["name"], entry["name"] in regressions
        splits = Splits(folder)
        if why := why_untrained(name, place, splits):
            print(why, file=sys.stderr)
            rows += undefined_rows(name, is_regression, place, splits, seeds)
        else:
            kept = Kept(notes, place, key)
            task = Task(name, is_regression, place, splits, schema, threads)
            winners[name], task_rows = run_task(task, seeds, trials, best_possible, kept)
            rows += task_rows
            say_categories(name, kept.categories)
            categories += [(name, *one) for one in kept.categories]
        # Hours of the tasks before are not lost with the next one.
        write(results, schema, trials, winners, rows, categories)
    print(f"{results / 'external'}: {len(rows)} scores of {len(winners)} tasks and {len(seeds)} seeds")


if __name__ == "__main__":
    main()

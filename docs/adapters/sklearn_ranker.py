"""One linear model a task, by scikit-learn, as a variant of homebench: logistic regression, or ridge where the labels are numbers.

    [variants.sklearn]
    command = ["python3", "docs/adapters/sklearn_ranker.py"]
    penalty = 1.0

Ids become columns of their own, numeric features are taken as they are, and multi-valued features are left out.
"""

import json
import pathlib
import pickle
import sys

import numpy
import pyarrow.ipc
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
tasks = settings["tasks"]
kept = pathlib.Path(settings["state"]) / "models.pickle"


def read(split):
    """Columns of a split, each [rows, width]."""
    with pyarrow.ipc.open_file(settings["rows"][split]) as file:
        table = file.read_all()
    names = [name for name in table.column_names if name != "lists"]
    return {name: table[name].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1) for name in names}


def features(columns):
    """Ids, then numbers."""
    return numpy.concatenate([columns[name] for name in ("categorical", "numeric") if name in columns], axis=1, dtype=numpy.float64)


def new_model(task):
    penalty, seed = settings["knobs"]["penalty"], settings["seed"]
    if task["kind"] == "regression":
        linear = Ridge(alpha=penalty, random_state=seed)
    else:
        linear = LogisticRegression(C=1 / penalty, max_iter=1000, random_state=seed)
    ids = list(range(len(settings["categorical"])))
    return make_pipeline(make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ids), remainder="passthrough"), linear)


def predict(model, task, rows):
    return model.predict(rows) if task["kind"] == "regression" else model.predict_proba(rows)[:, 1]


def write(models, split):
    """A column `row` that counts from 0, and what is predicted for each task."""
    rows = features(read(split))
    columns = [numpy.arange(len(rows)), *(predict(model, task, rows) for model, task in zip(models, tasks, strict=True))]
    # All digits, so that they come back to the bit.
    form = ["%d"] + ["%.17g"] * len(tasks)
    header = ",".join(["row", *(task["name"] for task in tasks)])
    numpy.savetxt(settings["predictions"] + ".csv", numpy.stack(columns, axis=1), fmt=form, delimiter=",", header=header, comments="")


def fit(task, labels, rows):
    # A row may not observe the task.
    observed = ~numpy.isnan(labels)
    return new_model(task).fit(rows[observed], labels[observed])


if settings["phase"] == "fit":
    columns = read("train")
    models = [fit(task, columns["labels"][:, place], features(columns)) for place, task in enumerate(tasks)]
    kept.write_bytes(pickle.dumps(models))
    write(models, "validation")
else:
    write(pickle.loads(kept.read_bytes()), "test")

"""One logistic regression a task, by scikit-learn, as a variant of homebench.

    [variants.sklearn]
    command = ["python3", "docs/adapters/sklearn_ranker.py"]
    penalty = 1.0
"""

import json
import pathlib
import pickle
import sys

import numpy
import pyarrow.ipc
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
tasks = [task["name"] for task in settings["tasks"]]
kept = pathlib.Path(settings["state"]) / "models.pickle"


def read(split):
    """Columns of a split, each [rows, width]."""
    with pyarrow.ipc.open_file(settings["rows"][split]) as file:
        table = file.read_all()
    names = [name for name in table.column_names if name != "lists"]
    return {name: numpy.array([piece for chunk in table[name].chunks for piece in chunk.to_numpy(zero_copy_only=False)]) for name in names}


def features(columns):
    return columns["categorical"]


def write(models, split):
    """A column `row` that counts from 0, and the probability of each task."""
    rows = features(read(split))
    columns = [numpy.arange(len(rows)), *(models[task].predict_proba(rows)[:, 1] for task in tasks)]
    lines = numpy.stack(columns, axis=1)
    # All digits, so that they come back to the bit.
    form = ["%d"] + ["%.17g"] * len(tasks)
    numpy.savetxt(settings["predictions"] + ".csv", lines, fmt=form, delimiter=",", header=",".join(["row", *tasks]), comments="")


if settings["phase"] == "fit":
    columns, models = read("train"), {}
    for place, task in enumerate(tasks):
        labels = columns["labels"][:, place]
        # A row may not observe the task.
        observed = ~numpy.isnan(labels)
        model = make_pipeline(
            OneHotEncoder(handle_unknown="ignore"),
            LogisticRegression(C=1 / settings["knobs"]["penalty"], max_iter=1000, random_state=settings["seed"]),
        )
        models[task] = model.fit(features(columns)[observed], labels[observed])
    kept.write_bytes(pickle.dumps(models))
    write(models, "validation")
else:
    write(pickle.loads(kept.read_bytes()), "test")

"""Gradient-boosted trees as a variant of an experiment (docs/adapters.md): LightGBM, one model a task, with the variant's knobs as its settings.

    trees_variant.py SETTINGS

Knobs are settings of LightGBM such as those of SPACE in trees.py; those that are not given have its defaults. Rows must come as Arrow. A
model that is done is kept, so that a cell that was killed goes on with the next task.
"""

import json
import pathlib
import sys

import lightgbm
import numpy
import trees

settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
state = pathlib.Path(settings["state"])


class Splits(dict):
    def __missing__(self, name):
        self[name] = trees.Split(settings["rows"][name])
        return self[name]


def fit(place, about, splits):
    """What predicts a task: a constant, or the model's file with what its features are made with."""
    name, is_regression = about["name"], about["kind"] == "regression"
    kept = state / f"task_{place}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    _, labels, weights, _ = splits["train"].task(place)
    made = {"constant": float(numpy.average(labels, weights=weights)) if len(labels) else 0.0}
    if why := trees.why_untrained(name, place, splits):
        print(f"{why}; predicts {made['constant']}")
    else:
        task = trees.Task(name, is_regression, place, splits, settings, settings["threads"])
        model, score = task.fit(settings["knobs"], settings["seed"])
        trees.say_categories(name, task.categories(model))
        print(f"{name}: validation {score:.5f} after {model.best_iteration} trees")
        model.save_model(state / f"task_{place}.txt", num_iteration=model.best_iteration)
        made |= {"lists": [ids.tolist() for ids in task.list_ids], "buckets": task.buckets}
    trees.replace(kept, json.dumps(made))
    return made


def predict(place, made, split):
    if "lists" not in made:
        return numpy.full(split.rows, made["constant"])
    lists = [numpy.array(ids, numpy.uint32) for ids in made["lists"]]
    model = lightgbm.Booster(model_file=state / f"task_{place}.txt")
    return model.predict(split.features(lists, made["buckets"]), num_threads=settings["threads"])


def main():
    if settings["rows_as"] != "arrow":
        sys.exit('rows_as: expected "arrow"')
    splits, tasks = Splits(), settings["tasks"]
    name = "validation" if settings["phase"] == "fit" else "test"
    columns = [predict(place, fit(place, about, splits), splits[name]) for place, about in enumerate(tasks)]
    lines = numpy.stack([numpy.arange(splits[name].rows), *columns], axis=1)
    header = ",".join(["row", *(about["name"] for about in tasks)])
    # All digits, so that they come back to the bit.
    form = ["%d"] + ["%.17g"] * len(tasks)
    numpy.savetxt(settings["predictions"] + ".csv", lines, fmt=form, delimiter=",", header=header, comments="")


if __name__ == "__main__":
    main()

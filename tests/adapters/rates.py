"""A program for tests of adapters, in plain Python: predicts a task's rate among the training rows that have the row's id of one feature.

    rates.py SETTINGS

Knobs: `feature`, the name of a categorical feature; `smoothing`, rows of the mean that each id's rate begins with; `fault`, what goes wrong.
"""

import csv
import json
import pathlib
import sys
import time

settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
knobs, tasks = settings["knobs"], [task["name"] for task in settings["tasks"]]
state = pathlib.Path(settings["state"]) / "rates.json"
fault = knobs.get("fault", "none")


def rows(split):
    with open(settings["rows"][split], newline="") as file:
        yield from csv.DictReader(file)


def fit():
    counts = {task: {} for task in tasks}
    for row in rows("train"):
        for task in tasks:
            if label := row[f"label_{task}"]:
                found = counts[task].setdefault(row[knobs["feature"]], [0.0, 0])
                found[0] += float(label)
                found[1] += 1
    rates = {}
    for task, found in counts.items():
        mean = sum(one[0] for one in found.values()) / max(sum(one[1] for one in found.values()), 1)
        more = knobs["smoothing"]
        rates[task] = {id: (one[0] + more * mean) / (one[1] + more) for id, one in found.items()}
        rates[task][""] = mean
    state.write_text(json.dumps(rates))
    return rates


def predict(rates, split):
    lines = [[number, *(rates[task].get(row[knobs["feature"]], rates[task][""]) for task in tasks)] for number, row in enumerate(rows(split))]
    if fault == "nan":
        lines[3][1] = float("nan")
    elif fault == "short":
        lines.pop()
    elif fault == "order":
        lines[1], lines[2] = lines[2], lines[1]
    elif fault == "nothing":
        return
    with open(settings["predictions"] + ".csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *tasks])
        writer.writerows(lines)


print(f"{settings['phase']} with {knobs}")
if fault == "exit":
    sys.exit(3)
if fault == "hang":
    time.sleep(600)
if fault == "memory":
    filled = bytearray(b"x" * (1 << 30))
    time.sleep(600)
if settings["phase"] == "fit":
    assert set(settings["rows"]) == {"train", "validation"}
    predict(fit(), "validation")
else:
    assert set(settings["rows"]) == {"test"}
    with open(settings["rows"]["test"], newline="") as file:
        assert not any(name.startswith("label") for name in next(csv.reader(file))), "labels of test"
    predict(json.loads(state.read_text()), "test")

"""Makes rows.csv and expected.csv: small cases with ties, and what scikit-learn says of them.

    pip install numpy scikit-learn
    python tests/golden/metrics/make_metrics.py

Rows hold a score (read as a logit), a label and a group. A label that is nan is not observed: scikit-learn never sees its row. An
empty value in expected.csv means: undefined.
"""

import csv
import pathlib

import numpy as np
from sklearn import metrics

FOLDER = pathlib.Path(__file__).parent


def sigmoid(logits):
    small = np.exp(-np.abs(logits))
    return np.where(logits < 0, small / (1 + small), 1 / (1 + small))


def classification_cases(random):
    def rows(count, rate, decimals, scale=2.0, groups=12):
        logits = random.normal(0.0, scale, count)
        shift = np.quantile(logits, 1 - rate)
        labels = (random.uniform(size=count) < sigmoid(logits - shift)).astype(np.float32)
        return np.float32(np.round(logits, decimals)), labels, random.integers(0, groups, count)

    yield "distinct", rows(400, 0.3, 7)
    yield "many_ties", rows(400, 0.3, 0)
    yield "some_ties", rows(400, 0.5, 1)
    yield "rare_positives", rows(800, 0.01, 2)
    yield "mostly_positive", rows(300, 0.95, 1)
    yield "large_logits", rows(200, 0.4, 1, scale=30.0)
    yield "small_groups", rows(200, 0.4, 1, groups=90)
    scores, labels, groups = rows(100, 0.5, 1)
    yield "constant", (np.full_like(scores, 0.25), labels, groups)
    yield "one_class", (scores, np.ones_like(labels), groups)
    yield "one_row_each", (np.float32([0.5, -0.5]), np.float32([0, 1]), np.array([1, 1]))


def masked_cases(random):
    """Rows of which some don't observe the task, and users whose observed rows are of one class."""
    logits = np.float32(np.round(random.normal(0.0, 2.0, 500), 1))
    labels = (random.uniform(size=500) < sigmoid(logits - 1.0)).astype(np.float32)
    users = random.integers(0, 40, 500)
    hidden = random.uniform(size=500) < 0.4
    yield "masked", (logits, np.where(hidden, np.nan, labels).astype(np.float32), users)
    yield "masked_negatives", (logits, np.where(labels > 0.5, labels, np.nan).astype(np.float32), users)
    # Every third user likes everything, every other third nothing.
    kinds = np.where(users % 3 == 0, 1.0, np.where(users % 3 == 1, 0.0, labels))
    yield "users_of_one_class", (logits, kinds.astype(np.float32), users)
    # Every second user's positives are hidden.
    partly = np.where((users % 2 == 0) & (labels > 0.5), np.nan, labels)
    yield "users_masked_to_one_class", (logits, partly.astype(np.float32), users)
    yield "users_masked_away", (logits, np.where(users < 30, np.nan, labels).astype(np.float32), users)
    yield "all_users_of_one_class", (logits, (users % 2).astype(np.float32), users)


def regression_cases(random):
    x = random.normal(0, 3, 300)
    yield "regression", (np.float32(x), np.float32(x + random.normal(0, 1, 300)), np.zeros(300, int))
    yield "regression_worse_than_mean", (np.float32(-x), np.float32(x), np.zeros(300, int))


def grouped(scores, labels, groups):
    areas, weights, left_out = [], [], 0
    for group in np.unique(groups):
        rows = groups == group
        if len(np.unique(labels[rows])) < 2:
            left_out += 1
            continue
        areas.append(metrics.roc_auc_score(labels[rows], scores[rows]))
        weights.append(rows.sum())
    return areas, weights, left_out


def calibration_error(probabilities, labels, bins):
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        abs(probabilities[index == b].mean() - labels[index == b].mean()) * (index == b).mean()
        for b in range(bins)
        if (index == b).any()
    ]
    return sum(gaps)


def classification_values(scores, labels, groups):
    observed = ~np.isnan(labels)
    scores, labels, groups = scores[observed], labels[observed], groups[observed]
    logits, labels = scores.astype(np.float64), labels.astype(np.float64)
    probabilities = sigmoid(logits)
    both = len(np.unique(labels)) == 2
    yield "auc", metrics.roc_auc_score(labels, logits) if both else None
    # Probabilities near 1 lose digits in scikit-learn's form; beyond this the loss is written out in the stable one.
    if np.abs(logits).max() < 12:
        loss = metrics.log_loss(labels, probabilities, labels=[0, 1])
    else:
        loss = np.mean(np.logaddexp(0, np.where(labels > 0.5, -logits, logits)))
    rate = labels.mean()
    yield "log_loss", loss
    base = metrics.log_loss(labels, np.full_like(labels, rate), labels=[0, 1]) if both else None
    yield "normalised_entropy", loss / base if both else None
    yield "calibration", probabilities.sum() / labels.sum()
    yield "expected_calibration_error_15", calibration_error(probabilities, labels, 15)
    areas, weights, left_out = grouped(scores, labels, groups)
    yield "grouped_auc_weighted", np.average(areas, weights=weights) if areas else None
    yield "grouped_auc_unweighted", np.mean(areas) if areas else None
    yield "grouped_auc_groups", float(len(areas))
    yield "grouped_auc_left_out", float(left_out)


def regression_values(scores, labels, _):
    scores, labels = scores.astype(np.float64), labels.astype(np.float64)
    yield "mean_squared_error", metrics.mean_squared_error(labels, scores)
    yield "r_squared", metrics.r2_score(labels, scores)


def main():
    random = np.random.default_rng(2024)
    rows, expected = [], []
    kinds = [
        (classification_cases, classification_values),
        (regression_cases, regression_values),
        (masked_cases, classification_values),
    ]
    for cases, values in kinds:
        for name, (scores, labels, groups) in cases(random):
            columns = zip(map(str, scores), map(str, labels), groups)
            rows += [(name, *row) for row in columns]
            for metric, value in values(scores, labels, groups):
                expected.append((name, metric, "" if value is None else repr(float(value))))
    write("rows.csv", ("case", "score", "label", "group"), rows)
    write("expected.csv", ("case", "metric", "value"), expected)


def write(name, header, rows):
    with open(FOLDER / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


main()

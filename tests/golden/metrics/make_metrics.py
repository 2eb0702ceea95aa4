"""Makes rows.csv and expected.csv: small cases with ties, and what scikit-learn says of them.

    pip install numpy scipy scikit-learn
    python tests/golden/metrics/make_metrics.py

Rows hold a score (read as a logit), a label, a group and a weight. A label that is nan is not observed: scikit-learn never sees its
row. An empty value in expected.csv means: undefined.

scikit-learn has no recall, precision, hit rate and reciprocal rank within groups. They are written here by their definitions, of tied
rows as the mean over all orders, counted with binomial coefficients in fractions.
"""

import csv
import pathlib
from fractions import Fraction
from math import comb

import numpy as np
from scipy import stats
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


def ranked_cases(random):
    """Groups of many sizes with and without ties, some without a positive row, some of one row."""
    def rows(count, groups, decimals, rate):
        logits = np.float32(np.round(random.normal(0.0, 2.0, count), decimals))
        labels = (random.uniform(size=count) < rate * sigmoid(logits)).astype(np.float32)
        # Squared, so that some groups are large and some have a row or two.
        return logits, labels, (groups * random.uniform(size=count) ** 2).astype(int)

    yield "ranked", rows(600, 40, 7, 0.5)
    yield "ranked_ties", rows(600, 40, 0, 0.4)
    yield "ranked_one_score", rows(200, 20, -2, 0.5)
    yield "ranked_rare", rows(600, 150, 1, 0.1)
    logits, labels, groups = rows(60, 9, 1, 0.5)
    yield "ranked_no_positive", (logits, np.zeros_like(labels), groups)
    hidden = groups % 3 == 0
    yield "ranked_empty_groups", (logits, np.where(hidden, np.nan, labels).astype(np.float32), groups)


def regression_cases(random):
    x = random.normal(0, 3, 300)
    yield "regression", (np.float32(x), np.float32(x + random.normal(0, 1, 300)), np.zeros(300, int))
    yield "regression_worse_than_mean", (np.float32(-x), np.float32(x), np.zeros(300, int))


def more_regression_cases(random):
    x = np.round(random.normal(0, 3, 300))
    yield "regression_ties", (np.float32(x), np.float32(np.round(x / 2 + random.normal(0, 1, 300))), np.zeros(300, int))
    yield "regression_constant_prediction", (np.full(50, 1.5, np.float32), np.float32(x[:50]), np.zeros(50, int))
    yield "regression_constant_label", (np.float32(x[:50]), np.full(50, 1.5, np.float32), np.zeros(50, int))


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


def on_request_values(scores, labels, groups, weights):
    observed = ~np.isnan(labels)
    scores, labels, groups, weights = scores[observed], labels[observed], groups[observed], weights[observed]
    logits, labels, weights = scores.astype(np.float64), labels.astype(np.float64), weights.astype(np.float64)
    probabilities = sigmoid(logits)
    any_positive = labels.sum() > 0
    yield "pr_auc", metrics.average_precision_score(labels, logits) if any_positive else None
    yield "brier", metrics.brier_score_loss(labels, probabilities, pos_label=1)
    both = len(np.unique(labels[weights > 0])) == 2
    positive_weight = (labels * weights).sum()
    yield "weighted_auc", metrics.roc_auc_score(labels, logits, sample_weight=weights) if both else None
    area = metrics.average_precision_score(labels, logits, sample_weight=weights) if positive_weight > 0 else None
    yield "weighted_pr_auc", area
    yield "weighted_brier", metrics.brier_score_loss(labels, probabilities, sample_weight=weights, pos_label=1)
    losses = np.logaddexp(0, np.where(labels > 0.5, -logits, logits))
    loss = np.average(losses, weights=weights)
    if np.abs(logits).max() < 12:
        theirs = metrics.log_loss(labels, probabilities, sample_weight=weights, labels=[0, 1])
        assert np.isclose(loss, theirs, rtol=1e-10), (loss, theirs)
    yield "weighted_log_loss", loss
    calibration = (weights * probabilities).sum() / positive_weight if positive_weight > 0 else None
    yield "weighted_calibration", calibration
    yield from ranking_values(logits, labels, groups)


def ranking_values(logits, labels, groups):
    kept = [groups == group for group in np.unique(groups) if labels[groups == group].sum() > 0]
    yield "ranked_groups", float(len(kept))
    yield "ranked_groups_left_out", float(len(np.unique(groups)) - len(kept))
    for k in (1, 3, 10, None):
        after = "" if k is None else f"@{k}"
        values = [ranked(logits[rows], labels[rows], k) for rows in kept]
        for name in ("ndcg", "mrr", "recall", "precision", "hit_rate"):
            if k is not None or name in ("ndcg", "mrr"):
                yield name + after, np.mean([value[name] for value in values]) if values else None


def ranked(logits, labels, k):
    """A group's values, each the mean over all orders of tied rows. A group that has fewer rows than k divides its hits by k."""
    k_or_all = len(labels) if k is None else k
    # It refuses a single row, whose only order is the best one.
    ndcg = metrics.ndcg_score([labels], [logits], k=k) if len(labels) > 1 else 1.0
    hits, none_before, reciprocal, before = Fraction(0), True, Fraction(0), 0
    hit_rate = Fraction(0)
    for score in sorted(set(logits), reverse=True):
        tied = logits == score
        n, p = int(tied.sum()), int(labels[tied].sum())
        looked_at = max(0, min(n, k_or_all - before))
        hits += Fraction(p * looked_at, n)
        if p > 0 and none_before:
            none_before = False
            hit_rate = 1 - Fraction(comb(n - p, looked_at), comb(n, looked_at))
            for place in range(1, looked_at + 1):
                first_here = Fraction(comb(n - place, p - 1), comb(n, p))
                reciprocal += first_here / (before + place)
        before += n
    recall = hits / int(labels.sum())
    exact = {"mrr": reciprocal, "recall": recall, "precision": hits / k_or_all, "hit_rate": hit_rate}
    return {"ndcg": ndcg} | {name: float(value) for name, value in exact.items()}


def regression_values(scores, labels, _):
    scores, labels = scores.astype(np.float64), labels.astype(np.float64)
    yield "mean_squared_error", metrics.mean_squared_error(labels, scores)
    # scikit-learn has 0 where labels don't vary.
    yield "r_squared", metrics.r2_score(labels, scores) if len(np.unique(labels)) > 1 else None


def on_request_regression_values(scores, labels, _, weights):
    scores, labels, weights = (values.astype(np.float64) for values in (scores, labels, weights))
    yield "mae", metrics.mean_absolute_error(labels, scores)
    yield "rmse", metrics.root_mean_squared_error(labels, scores)
    vary = len(np.unique(labels)) > 1 and len(np.unique(scores)) > 1
    yield "spearman", stats.spearmanr(scores, labels).statistic if vary else None
    yield "weighted_mse", metrics.mean_squared_error(labels, scores, sample_weight=weights)
    yield "weighted_rmse", metrics.root_mean_squared_error(labels, scores, sample_weight=weights)
    yield "weighted_mae", metrics.mean_absolute_error(labels, scores, sample_weight=weights)
    r_squared = metrics.r2_score(labels, scores, sample_weight=weights)
    yield "weighted_r_squared", r_squared if len(np.unique(labels)) > 1 else None


def main():
    random = np.random.default_rng(2024)
    # Of their own, so that rows stay what they were before they had weights.
    random_weights = np.random.default_rng(2025)
    rows, expected = [], []
    kinds = [
        (classification_cases, classification_values, on_request_values),
        (regression_cases, regression_values, on_request_regression_values),
        (masked_cases, classification_values, on_request_values),
        (ranked_cases, None, on_request_values),
        (more_regression_cases, regression_values, on_request_regression_values),
    ]
    for cases, values, on_request in kinds:
        for name, (scores, labels, groups) in cases(random):
            # Eighths are exact in 32 bits; a quarter of the rows has no weight.
            weights = np.float32(np.maximum(0, random_weights.integers(-10, 31, len(scores))) / 8)
            columns = zip(map(str, scores), map(str, labels), groups, map(str, weights))
            rows += [(name, *row) for row in columns]
            found = list(values(scores, labels, groups)) if values else []
            for metric, value in found + list(on_request(scores, labels, groups, weights)):
                expected.append((name, metric, "" if value is None else repr(float(value))))
    write("rows.csv", ("case", "score", "label", "group", "weight"), rows)
    write("expected.csv", ("case", "metric", "value"), expected)


def write(name, header, rows):
    with open(FOLDER / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


main()

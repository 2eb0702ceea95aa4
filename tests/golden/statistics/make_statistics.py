"""Makes expected.csv: what scipy says of small paired samples.

    pip install numpy scipy
    python tests/golden/statistics/make_statistics.py

Each row: case, what, the two samples (numbers separated by spaces), the value.
"""

import csv
import itertools
import pathlib

import numpy as np
from scipy import stats

FOLDER = pathlib.Path(__file__).parent


def samples():
    random = np.random.default_rng(7)
    yield "three_seeds", [0.951, 0.953, 0.950], [0.949, 0.950, 0.9485]
    yield "opposite_signs", [0.5, 0.7, 0.6, 0.8], [0.6, 0.65, 0.7, 0.75]
    yield "ties_and_zeros", [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 2.5, 4.5, 4.0]
    for count in (6, 10, 12):
        a = random.normal(0.95, 0.002, count).round(5)
        yield f"random_{count}", list(a), list((a - random.normal(0.001, 0.001, count)).round(5))


def bootstrap(values):
    """Percentile interval over every one of the n^n resamples."""
    means = [np.mean(draw) for draw in itertools.product(values, repeat=len(values))]
    return np.quantile(means, [0.025, 0.975], method="inverted_cdf")


def values(a, b):
    a, b = np.array(a), np.array(b)
    yield "mean", a.mean()
    yield "std", a.std(ddof=1)
    test = stats.permutation_test(
        (a - b,), np.mean, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    )
    yield "p_value", test.pvalue
    wins = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
    yield "probability_of_improvement", wins
    freedom = len(a) - 1
    error = (a - b).std(ddof=1) / np.sqrt(len(a))
    quantiles = stats.t.ppf(0.975, freedom) + stats.t.ppf(0.8, freedom)
    yield "smallest_detectable_effect", quantiles * error
    if len(a) <= 6:
        yield "difference_low", bootstrap(a - b)[0]
        yield "difference_high", bootstrap(a - b)[1]


def main():
    with open(FOLDER / "expected.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "what", "a", "b", "value"))
        for name, a, b in samples():
            texts = [" ".join(repr(float(value)) for value in sample) for sample in (a, b)]
            for what, value in values(a, b):
                writer.writerow((name, what, *texts, repr(float(value))))


main()

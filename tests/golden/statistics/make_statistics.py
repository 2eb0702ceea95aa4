"""Makes expected.csv and holm.csv: what scipy and statsmodels say of small paired samples.

    pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
    python tests/golden/statistics/make_statistics.py

A row of expected.csv: case, what, the two samples (numbers separated by spaces), the value. A row of holm.csv: p-values, and
the corrected ones.
"""

import csv
import itertools
import pathlib

import numpy as np
from scipy import integrate, optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

FOLDER = pathlib.Path(__file__).parent


def samples():
    random = np.random.default_rng(7)
    yield "three_seeds", [0.951, 0.953, 0.950], [0.949, 0.950, 0.9485]
    yield "opposite_signs", [0.5, 0.7, 0.6, 0.8], [0.6, 0.65, 0.7, 0.75]
    yield "ties_and_zeros", [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 2.5, 4.5, 4.0]
    yield "two_seeds", [0.7, 0.72], [0.69, 0.7]
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
    difference = a - b
    yield "p_value", stats.ttest_rel(a, b).pvalue
    test = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    )
    yield "sign_flip_p_value", test.pvalue
    wins = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
    yield "probability_of_improvement", wins
    for name, level in (("effect", 0.05), ("at_one_in_a_thousand", 0.001)):
        yield f"smallest_detectable_{name}", smallest_detectable(difference, level)
    for name, sample in (("mean", a), ("difference", difference)):
        interval = stats.t.interval(0.95, len(a) - 1, sample.mean(), stats.sem(sample))
        yield f"{name}_low", interval[0]
        yield f"{name}_high", interval[1]
    if len(a) <= 6:
        low, high = bootstrap(difference)
        yield "bootstrap_low", low
        yield "bootstrap_high", high


def smallest_detectable(difference, level):
    """The mean whose t-test rejects in four of five experiments: an integral over the sample's standard deviation.
    statsmodels, which has the noncentral t distribution as a series, must agree where it is able to."""
    freedom = len(difference) - 1
    critical = stats.t.isf(level / 2, freedom)
    deviation = stats.chi(freedom, scale=1 / np.sqrt(freedom))

    def power(shift):
        def rejected(s):
            return stats.norm.sf(critical * s - shift) + stats.norm.sf(critical * s + shift)

        turn = shift / critical
        ends = [0, *(turn + x / critical for x in (-8, -3, 0, 3, 8) if turn + x / critical > 0), turn + 20]
        parts = (
            integrate.quad(lambda s: deviation.pdf(s) * rejected(s), low, high, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
            for low, high in itertools.pairwise(ends)
        )
        return sum(parts)

    shift = optimize.brentq(lambda shift: power(shift) - 0.8, 1, 1.5 * critical + 2, xtol=1e-12, rtol=1e-13)
    effect = shift / np.sqrt(len(difference))
    other = TTestPower().power(effect, len(difference), level, alternative="two-sided")
    assert np.isnan(other) or abs(other - 0.8) < 1e-6, other
    return effect * difference.std(ddof=1)


def main():
    with open(FOLDER / "expected.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "what", "a", "b", "value"))
        for name, a, b in samples():
            texts = [" ".join(repr(float(value)) for value in sample) for sample in (a, b)]
            for what, value in values(a, b):
                writer.writerow((name, what, *texts, repr(float(value))))
    with open(FOLDER / "holm.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("p_values", "corrected"))
        random = np.random.default_rng(8)
        families = [[0.01, 0.04, 0.03, 0.005], [0.9, 0.8], [0.02, 0.02, 0.02], [0.001]]
        for family in [*families, list(random.beta(0.3, 2, 20).round(6))]:
            corrected = multipletests(family, method="holm")[1]
            writer.writerow([" ".join(repr(float(p)) for p in ps) for ps in (family, corrected)])


main()

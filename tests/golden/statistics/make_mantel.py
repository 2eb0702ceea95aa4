"""Makes mantel.csv: Spearman's rho of two matrices' entries above their diagonals, and the share of orders of the things of one matrix
whose rho is as high. Of up to eight things all orders are counted out, of more 20,000 are drawn.

    pip install numpy==2.4.6 scipy==1.17.1
    python tests/golden/statistics/make_mantel.py

A row: case, things, the two matrices (numbers separated by spaces, row by row), rho, p-value, its tolerance. Rho is empty where a
matrix doesn't vary.
"""

import csv
import itertools
import pathlib

import numpy as np
from scipy import stats

FOLDER = pathlib.Path(__file__).parent


def symmetric(random, count, digits):
    matrix = random.uniform(0, 1, (count, count)).round(digits)
    matrix = np.triu(matrix, 1)
    return matrix + matrix.T + np.eye(count)


def arc(count):
    place = np.arange(count)
    return np.cos(0.2 * np.abs(place[:, None] - place[None, :])).round(6)


def cases():
    random = np.random.default_rng(11)
    for count in (3, 4, 5, 6):
        yield f"random_{count}", symmetric(random, count, 4), symmetric(random, count, 4)
    yield "ties", symmetric(random, 5, 1), symmetric(random, 5, 1)
    yield "same", arc(6), arc(6)
    near = arc(7) + 0.3 * (symmetric(random, 7, 4) - np.eye(7))
    yield "near", near.round(5), arc(7)
    yield "opposite", 1 - arc(5), arc(5)
    yield "constant", np.ones((4, 4)), arc(4)
    many = arc(10) + 0.8 * (symmetric(random, 10, 4) - np.eye(10))
    yield "many", many.round(5), arc(10)


def rho(one, other):
    above = np.triu_indices(len(one), 1)
    return stats.spearmanr(one[above], other[above]).statistic


def shares(one, other):
    seen, count = rho(one, other), len(one)
    if count <= 8:
        orders = itertools.permutations(range(count))
        tolerance = 1e-12
    else:
        random = np.random.default_rng(5)
        orders = (random.permutation(count) for _ in range(20_000))
        tolerance = 0.02
    found = [rho(one[np.ix_(order, order)], other) >= seen - 1e-12 for order in map(list, orders)]
    return seen, np.mean(found), tolerance


def main():
    with open(FOLDER / "mantel.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "things", "one", "other", "rho", "p_value", "tolerance"])
        for name, one, other in cases():
            flat = [" ".join(repr(float(x)) for x in matrix.ravel()) for matrix in (one, other)]
            if np.ptp(one[np.triu_indices(len(one), 1)]) == 0:
                writer.writerow([name, len(one), *flat, "", "", ""])
                continue
            seen, p_value, tolerance = shares(one, other)
            writer.writerow([name, len(one), *flat, repr(float(seen)), repr(float(p_value)), tolerance])


if __name__ == "__main__":
    main()

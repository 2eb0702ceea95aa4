"""Makes gram.csv: weights from matrices of inner products, by TorchJD 0.18, or where that stops before the last digits by scipy from there.

    pip install torch==2.15.0 torchjd==0.18.0 numpy==2.4.6 scipy==1.17.1 "qpsolvers[quadprog]" cvxpy
    python tests/golden/balancing/make_gram.py

PCGrad, GradVac, IMTL-G, Aligned-MTL and UPGrad are TorchJD's weights as they are, in float64; the orders that it drew for the first two are
written down. MGDA is the best point of every face of the simplex (TorchJD's Frank-Wolfe converges slowly; it must come near).
CAGrad, Nash-MTL and FairGrad are TorchJD's (or, for Nash, FairGrad's with alpha 1), polished by scipy's root finder on the equations that they
solve.

A row: the table as TOML with `;` for line ends, the matrix row by row, the orders of projections, the weights.
"""

import csv
import itertools
import pathlib

import numpy as np
import torch
from scipy import optimize
from torchjd import aggregation as jd

FOLDER = pathlib.Path(__file__).parent
torch.set_default_dtype(torch.float64)


def matrices():
    random = np.random.default_rng(5)
    for index in range(24):
        tasks = 2 + index % 4
        dimensions = tasks + 1 + index % 3
        rows = random.normal(size=(tasks, dimensions)) * 10.0 ** random.uniform(-1, 1, size=(tasks, 1))
        if index % 2:
            # Conflicts: the last gradient is turned against the first.
            rows[-1] -= 1.5 * rows[0] * np.linalg.norm(rows[-1]) / np.linalg.norm(rows[0])
        yield rows @ rows.T


def mgda(gram):
    best, found = np.inf, None
    size = len(gram)
    for count in range(1, size + 1):
        for face in itertools.combinations(range(size), count):
            part = gram[np.ix_(face, face)]
            weights = np.linalg.solve(part, np.ones(count))
            weights = weights / weights.sum()
            if (weights < 0).any():
                continue
            whole = np.zeros(size)
            whole[list(face)] = weights
            value = whole @ gram @ whole
            if value < best:
                best, found = value, whole
    near = jd.MGDAWeighting(epsilon=1e-9, max_iters=20000)(torch.tensor(gram)).numpy()
    assert best * (1 - 1e-9) <= near @ gram @ near <= best + 1e-3 * gram.trace(), (best, near @ gram @ near)
    return found


def cagrad(gram, c):
    size = len(gram)
    mean = np.ones(size) / size
    radius = c * np.sqrt(mean @ gram @ mean)
    near = jd.CAGradWeighting(c=c, norm_eps=1e-12)(torch.tensor(gram)).numpy() - mean
    near = near / near.sum()
    face = np.flatnonzero(near > 1e-5)
    linear = gram @ mean

    def slope(x):
        w = np.zeros(size)
        w[face] = x[:-1]
        norm = np.sqrt(w @ gram @ w)
        slopes = linear + radius * gram @ w / norm
        return np.append(slopes[face] - x[-1], w.sum() - 1)

    start = np.append(near[face], linear @ near + radius * np.sqrt(near @ gram @ near))
    root = optimize.root(slope, start, method="lm", options={"xtol": 1e-15, "ftol": 1e-15})
    w = np.zeros(size)
    w[face] = root.x[:-1]
    assert np.abs(w - near).max() < 1e-3, (w, near)
    norm = np.sqrt(w @ gram @ w)
    slopes = linear + radius * gram @ w / norm
    assert (slopes >= slopes @ w - 1e-9 * np.abs(slopes).max()).all()
    return mean + radius / norm * w


def fair(gram, alpha):
    near = jd.FairGradWeighting(alpha=alpha)(torch.tensor(gram)).numpy()
    # In logarithms, where every number is a weight.
    equation = lambda x: np.log(np.maximum(gram @ np.exp(x), 1e-300)) + x / alpha
    root = optimize.root(equation, np.log(near), method="hybr", options={"xtol": 1e-15})
    weights = np.exp(root.x)
    residual = gram @ weights * weights ** (1 / alpha) - 1
    assert np.abs(residual).max() < 1e-12, residual
    return weights


def with_orders(weighting, gram):
    """The weights, and for each task the others in the order drawn."""
    drawn, draw = [], torch.randperm

    def recorded(count, *args, **kwargs):
        order = draw(count, *args, **kwargs)
        drawn.append(order.tolist())
        return order

    torch.randperm = recorded
    try:
        weights = weighting(torch.tensor(gram)).numpy()
    finally:
        torch.randperm = draw
    size = len(gram)
    orders = []
    for task, order in enumerate(drawn):
        if len(order) == size:
            orders.append([other for other in order if other != task])
        else:
            others = [other for other in range(size) if other != task]
            orders.append([others[place] for place in order])
    assert len(orders) == size
    return weights, orders


def plain(weighting):
    return lambda gram: (weighting(torch.tensor(gram)).numpy(), [])


CASES = {
    "method = 'mgda'": lambda gram: (mgda(gram), []),
    "method = 'pcgrad'": lambda gram: with_orders(jd.PCGradWeighting(), gram),
    "method = 'gradvac'": lambda gram: with_orders(jd.GradVacWeighting(eps=0.0), gram),
    "method = 'cagrad'": lambda gram: (cagrad(gram, 0.5), []),
    "method = 'cagrad';c = 0.9": lambda gram: (cagrad(gram, 0.9), []),
    "method = 'imtl_g'": plain(jd.IMTLGWeighting()),
    "method = 'nash_mtl'": lambda gram: (fair(gram, 1.0), []),
    "method = 'fairgrad';alpha = 2.0": lambda gram: (fair(gram, 2.0), []),
    "method = 'fairgrad';alpha = 0.5": lambda gram: (fair(gram, 0.5), []),
    "method = 'aligned_mtl'": plain(jd.AlignedMTLWeighting()),
    "method = 'upgrad'": plain(jd.UPGradWeighting()),
}


def main():
    torch.manual_seed(1)
    numbers = lambda values: " ".join(repr(float(value)) for value in values)
    with open(FOLDER / "gram.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["table", "matrix", "orders", "weights"])
        for table, weigh in CASES.items():
            for gram in matrices():
                weights, orders = weigh(gram)
                text = ";".join(" ".join(map(str, order)) for order in orders)
                out.writerow([f"{table};normalise = false", numbers(gram.ravel()), text, numbers(weights)])


main()

"""Makes losses.csv: what the methods of one backward pass weigh, by PyTorch from the objectives as their papers write them.

    pip install torch==2.15.0
    python tests/golden/balancing/make_losses.py

Weights are derivatives of an objective, found by autograd, and learned scalars are updated by torch.optim.Adam: nothing here is
written as Rust writes it. A task that is not observed in a step is left out of that step's objective, and its scalar's optimiser is
not asked for a step.

A row: case, the table as TOML with `;` for line ends, step, epoch, which tasks are observed, losses, losses after the step, weights.
"""

import csv
import math
import pathlib

import torch

FOLDER = pathlib.Path(__file__).parent
STEPS, PER_EPOCH, TASKS = 40, 10, 3
torch.set_default_dtype(torch.float64)


def derivative(objective, losses, observed):
    """d objective / d loss of the observed tasks, 0 elsewhere."""
    leaves = [torch.tensor(losses[t], requires_grad=True) for t in observed]
    objective(leaves).backward()
    weights = [0.0] * TASKS
    for t, leaf in zip(observed, leaves):
        weights[t] = leaf.grad.item()
    return weights


class Scalars:
    """A parameter a task, each with an optimiser of its own, so that one may rest."""

    def __init__(self, initial, lr, weight_decay=0.0):
        self.of = [torch.tensor(float(initial), requires_grad=True) for _ in range(TASKS)]
        self.optimisers = [torch.optim.Adam([s], lr=lr, weight_decay=weight_decay) for s in self.of]

    def step(self, observed):
        for t in observed:
            self.optimisers[t].step()
            self.optimisers[t].zero_grad()


class Learned:
    """UW and IMTL-L: the objective is of the losses and of scalars."""

    def __init__(self, term, initial, lr):
        self.term, self.scalars = term, Scalars(initial, lr)

    def weigh(self, losses, observed, epoch):
        def objective(leaves):
            return sum(self.term(leaf, self.scalars.of[t]) for t, leaf in zip(observed, leaves))

        weights = derivative(objective, losses, observed)
        self.scalars.step(observed)
        return weights


class Dwa:
    def __init__(self, temperature, per_window):
        self.temperature, self.per_window = temperature, per_window
        self.history, self.count = [[] for _ in range(TASKS)], 0

    def weigh(self, losses, observed, epoch):
        window = self.count // self.per_window
        self.count += 1
        for t in observed:
            self.history[t].append((window, losses[t]))
        ratios = []
        for t in observed:
            # The last two windows before this one in which the task was seen.
            seen = sorted({w for w, _ in self.history[t] if w < window})
            means = [
                sum(l for w, l in self.history[t] if w == s) / sum(w == s for w, _ in self.history[t])
                for s in seen[-2:]
            ]
            ratios.append(means[1] / means[0] if len(means) == 2 else 1.0)
        shares = torch.softmax(torch.tensor(ratios) / self.temperature, 0) * len(observed)
        weights = [0.0] * TASKS
        for t, share in zip(observed, shares):
            weights[t] = share.item()
        return weights


class Gls:
    def weigh(self, losses, observed, epoch):
        return derivative(lambda leaves: math.prod(leaves) ** (1 / len(leaves)), losses, observed)


class Famo:
    def __init__(self, lr, weight_decay):
        self.scalars = Scalars(0.0, lr, weight_decay)

    def shares(self, observed):
        return torch.softmax(torch.stack([self.scalars.of[t] for t in observed]), 0)

    def weigh(self, losses, observed, epoch):
        z = self.shares(observed).detach()
        c = 1 / sum(z[i] / (losses[t] + 1e-8) for i, t in enumerate(observed))

        def objective(leaves):
            return c * sum(z[i] * (leaf + 1e-8).log() for i, leaf in enumerate(leaves))

        return derivative(objective, losses, observed)

    def look_again(self, before, after, observed):
        change = torch.tensor([math.log(before[t] + 1e-8) - math.log(after[t] + 1e-8) for t in observed])
        self.shares(observed).backward(change)
        self.scalars.step(observed)


class Stch:
    def __init__(self, mu, warm_up):
        self.mu, self.warm_up = mu, warm_up
        self.seen = [[] for _ in range(TASKS)]
        self.nadir = [None] * TASKS

    def weigh(self, losses, observed, epoch):
        if epoch <= self.warm_up:
            for t in observed:
                self.seen[t].append((epoch, losses[t]))
            return derivative(lambda leaves: sum(leaf.log() for leaf in leaves), losses, observed)
        for t in observed:
            if self.nadir[t] is None:
                last = max((e for e, _ in self.seen[t]), default=None)
                of_last = [l for e, l in self.seen[t] if e == last]
                self.nadir[t] = sum(of_last) / len(of_last) if of_last else losses[t]

        def objective(leaves):
            ratios = torch.stack([(leaf / self.nadir[t]).log() for t, leaf in zip(observed, leaves)])
            return self.mu * len(observed) * torch.logsumexp(ratios / self.mu, 0)

        return derivative(objective, losses, observed)


def uw(loss, s):
    return loss / (2 * s.exp()) + s / 2


def imtl_l(loss, s):
    return s.exp() * loss - s


CASES = {
    "uw": ("method = 'uw';normalise = false", lambda: Learned(uw, -0.5, 0.01)),
    "uw_fast": (
        "method = 'uw';normalise = true;learning_rate = 0.1;initial = 0.25",
        lambda: Learned(uw, 0.25, 0.1),
    ),
    "imtl_l": ("method = 'imtl_l';normalise = false", lambda: Learned(imtl_l, 0.0, 0.01)),
    "dwa": ("method = 'dwa';normalise = false", lambda: Dwa(2.0, PER_EPOCH)),
    "dwa_steps": (
        "method = 'dwa';normalise = false;temperature = 0.5;every_steps = 4",
        lambda: Dwa(0.5, 4),
    ),
    "gls": ("method = 'gls';normalise = false", Gls),
    "famo": ("method = 'famo';normalise = false", lambda: Famo(0.025, 1e-3)),
    "famo_decay": (
        "method = 'famo';normalise = true;learning_rate = 0.2;weight_decay = 0.05",
        lambda: Famo(0.2, 0.05),
    ),
    "stch": ("method = 'stch';normalise = false", lambda: Stch(1.0, 1)),
    "stch_sharp": (
        "method = 'stch';normalise = false;mu = 0.2;warm_up_epochs = 2",
        lambda: Stch(0.2, 2),
    ),
}


def main():
    random = torch.Generator().manual_seed(3)
    rows = []
    for case, (table, make) in CASES.items():
        method = make()
        for step in range(STEPS):
            epoch = 1 + step // PER_EPOCH
            noise = torch.rand(TASKS, generator=random).tolist()
            losses = [
                10.0 ** (t - 1) * (0.2 + 0.1 * noise[t] + math.exp(-0.05 * (t + 1) * step)) for t in range(TASKS)
            ]
            lower = torch.rand(TASKS, generator=random).tolist()
            after = [loss * (0.9 + 0.15 * one) for loss, one in zip(losses, lower)]
            # Each task is missing now and then, and the last one from the whole of the first epoch.
            observed = [t for t in range(TASKS) if (step + t) % 7 and not (t == TASKS - 1 and epoch == 1)]
            weights = method.weigh(losses, observed, epoch)
            if hasattr(method, "look_again"):
                method.look_again(losses, after, observed)
            if "normalise = true" in table:
                factor = len(observed) / sum(weights)
                weights = [weight * factor for weight in weights]
            numbers = lambda values: " ".join(repr(value) for value in values)
            flags = " ".join("1" if t in observed else "0" for t in range(TASKS))
            rows.append([case, table, step, epoch, flags, numbers(losses), numbers(after), numbers(weights)])
    with open(FOLDER / "losses.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["case", "table", "step", "epoch", "observed", "losses", "after", "weights"])
        out.writerows(rows)


main()

"""Models of tasks that come one after another, in plain PyTorch: ESMM, ESCM2, AITM and ResFlow. Every label is of all rows."""

import math

import torch

import torch.nn.functional as F

from reference_models import expert_set, linear, tower


def in_order(run):
    """The tasks, each behind the one that it comes after."""
    after, order = run.config["after"], []
    while len(order) < len(run.tasks):
        order += [t for t in run.tasks if t not in order and after.get(t) in (None, *order)]
    return order


def before(run, task):
    return run.config["after"].get(task)


def stacked(run, logits):
    return torch.stack([logits[t] for t in run.tasks], dim=1)


def esmm(run, v):
    """p_t = p_before(t) sigmoid(z_t); its logit by the probabilities themselves."""
    chances = {}
    for t in in_order(run):
        own = torch.sigmoid(tower(run, t, expert_set(run, f"task.{t}", 1, v)[0]))
        chances[t] = own * chances[before(run, t)] if before(run, t) else own
    return stacked(run, {t: torch.log(p) - torch.log(1 - p) for t, p in chances.items()})


def escm2(run, v):
    """ESMM's logits; in training the losses of rows that a task before selects, weighed by inverse propensities, or doubly robust."""
    hidden = {t: expert_set(run, f"task.{t}", 1, v)[0] for t in run.tasks}
    own = {t: tower(run, t, hidden[t]) for t in run.tasks}
    chances = {}
    for t in in_order(run):
        chances[t] = torch.sigmoid(own[t]) * (chances[before(run, t)] if before(run, t) else 1)
    if run.train:
        run.auxiliary = sum(counterfactual(run, t, hidden[t], own[t], chances) for t in run.tasks if before(run, t))
    return stacked(run, {t: torch.log(p) - torch.log(1 - p) for t, p in chances.items()})


def counterfactual(run, task, hidden, own, chances):
    labels = dict(zip(run.tasks, run.labels.T))
    observed = dict(zip(run.tasks, (torch.ones_like(run.labels) if run.observed is None else run.observed).T))
    both = observed[task] * observed[before(run, task)]
    propensity = run.constant(f"p/{task}", chances[before(run, task)]).clamp(min=run.config["propensity_floor"])
    weights = both * labels[before(run, task)] / propensity
    error = F.binary_cross_entropy_with_logits(own, labels[task], reduction="none")
    if run.config["counterfactual"] == "ipw":
        return (weights * error).sum() / both.sum().clamp(min=1)
    x, dims = hidden, run.config["tower_dims"]
    for layer, out_dim in enumerate(dims):
        x = run.relu(linear(run, f"task.{task}.imputation.{layer}", x, out_dim))
    guess = F.softplus(linear(run, f"task.{task}.imputation.{len(dims)}", x, 1)[:, 0])
    terms = both * guess + weights * (error - guess) + weights * (error - guess) ** 2
    return terms.sum() / both.sum().clamp(min=1)


def attention(run, path, units):
    """The sum over two units u of softmax(<K u, Q u> / sqrt(H)) V u."""
    width = units[0].shape[1]
    value, key, query = (run.parameter(f"{path}.{name}.weight", width, width) for name in ("value", "key", "query"))
    scores = torch.stack([((u @ key) * (u @ query)).sum(dim=1) / math.sqrt(width) for u in units], dim=1)
    shares = torch.softmax(scores, dim=1)
    return sum(shares[:, place : place + 1] * (u @ value) for place, u in enumerate(units))


def aitm(run, v):
    """z_t is the attention over what the task before knows and the task's own; the calibrator is the auxiliary loss."""
    own = {t: expert_set(run, f"task.{t}", 1, v)[0] for t in run.tasks}
    z, logits = {}, {}
    for t in in_order(run):
        z[t] = own[t]
        if before(run, t):
            info = run.relu(linear(run, f"task.{t}.info.0", z[before(run, t)], own[t].shape[1]))
            z[t] = attention(run, f"task.{t}.attention", [info, own[t]])
        logits[t] = tower(run, t, z[t])
    logits = stacked(run, logits)
    if run.train and run.config["calibrator_weight"] > 0:
        run.auxiliary = calibrator(run, torch.sigmoid(logits))
    return logits


def calibrator(run, chances):
    """The sum over tasks of the mean of max(p_t - p_before(t), 0) over the rows that observe both."""
    observed = torch.ones_like(chances) if run.observed is None else run.observed
    total = 0
    for place, t in enumerate(run.tasks):
        if before(run, t):
            earlier = run.tasks.index(before(run, t))
            both = observed[:, place] * observed[:, earlier]
            excess = run.relu(chances[:, place] - chances[:, earlier])
            total = total + (excess * both).sum() / both.sum().clamp(min=1)
    return total


def resflow(run, v):
    """h_t^l = f_t^l(h_t^{l-1}) + h_before(t)^l, and logits likewise."""
    config = run.config
    h = {t: v for t in run.tasks}
    for level, out_dim in enumerate(config["expert_dims"]):
        is_normalised = config["norm_position"] == "every_layer" or level == len(config["expert_dims"]) - 1
        run.config = config | {"norm": config["norm"] if is_normalised else "none"}
        next_h = {}
        for t in in_order(run):
            own = expert_set(run, f"level.{level}.task.{t}", 1, h[t], [out_dim])[0]
            next_h[t] = own + next_h[before(run, t)] if before(run, t) else own
        h = next_h
    logits = {}
    for t in in_order(run):
        own = tower(run, t, h[t])
        logits[t] = own + logits[before(run, t)] if before(run, t) else own
    return stacked(run, logits)


CHAIN_MODELS = {"esmm": esmm, "escm2": escm2, "aitm": aitm, "resflow": resflow}

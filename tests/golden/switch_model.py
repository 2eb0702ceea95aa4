"""Residual blocks whose input is masked by a task's choice of linear experts, in plain PyTorch; and the prior on choices.

Shapes: T tasks, B rows, H width of the streams, L blocks, M experts of a block, k of them chosen, U = L M units, block by
block. Each task has its own stream [B, H] through the same blocks.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from reference_models import EPSILON, linear, tower
from sparse_models import chosen_softmax, top_k

SMALL = 1e-6  # keeps a logarithm of 0 away


def switch(run, v):
    """y_t = Tower_t(h_t^L), where block l makes h_t of h_t:

    m_t = 1 + sum_j g_tj (h_t W_j + b_j);  u_t = m_t * h_t;  h_t = u_t + F(u_t) + (1 - m_t) * h_t

    F(u) is an MLP of the layer norm of u. The gate g_t = top-k of softmax(SiLU(e_t) W + b) knows the task alone.
    """
    config = run.config
    h = linear(run, "shared.input", v, config["hidden_dim"]).expand(len(run.tasks), -1, -1)
    embeddings = task_embeddings(run, v.dtype)
    probabilities, chosen = [], []
    for level in range(config["num_blocks"]):
        p, choice, weights = task_gate(run, f"level.{level}.shared.gate", embeddings)
        mask = 1 + expert_mix(run, f"level.{level}.shared.expert", weights, h)
        u = mask * h
        h = u + hidden_layers(run, f"level.{level}.shared.block", u) + (1 - mask) * h
        run.seen[f"mask/{level}"] = mask
        for t, name in enumerate(run.tasks):
            path = f"level.{level}.task.{name}.gate"
            run.gates[path] = weights[t].expand(len(v), -1)
            run.unnormalised.add(path)
        probabilities.append(p)
        chosen.append(choice)
    if run.train and config["prior"] != "none":
        run.auxiliary = prior_loss(run, torch.cat(probabilities, dim=1), torch.cat(chosen, dim=1))
    return torch.stack([tower(run, name, h[t]) for t, name in enumerate(run.tasks)], dim=1)


def order_of_tasks(config):
    """Task -> its rank."""
    return {task: rank for rank, task in enumerate(config.get("prior_order") or config["tasks"])}


def task_embeddings(run, dtype):
    """e [T, A]: learned, or columns sin(rank / 10000^(2i/A)), cos(rank / 10000^(2i/A)) of the task's rank in the order."""
    config = run.config
    width = config["task_dim"]
    if config["task_embedding"] == "learned":
        return torch.stack([run.parameter(f"task.{t}.embedding", width) for t in run.tasks])
    rank = order_of_tasks(config)
    rows = []
    for t in run.tasks:
        angles = [rank[t] / 10000 ** (2 * (column // 2) / width) for column in range(width)]
        rows.append([math.cos(a) if column % 2 else math.sin(a) for column, a in enumerate(angles)])
    return torch.tensor(rows, dtype=dtype)


def task_gate(run, path, embeddings):
    """Softmax, choice and weights of every task, each [T, M]."""
    config = run.config
    scores = linear(run, path, F.silu(embeddings), config["num_experts"])
    p = torch.softmax(scores, dim=1)
    chosen = top_k(run, scores, config["top_k"])
    weights = p * chosen if config["gate_weights"] == "raw" else chosen_softmax(scores, chosen)
    return p, chosen, weights


def expert_mix(run, path, weights, h):
    """sum_j g_tj (h_t W_j + b_j), each expert by itself: [T, B, H]."""
    num_experts, width = weights.shape[1], h.shape[2]
    weight = run.parameter(f"{path}.weight", num_experts, width, width)
    bias = run.parameter(f"{path}.bias", num_experts, width)
    outputs = [h @ weight[j] + bias[j] for j in range(num_experts)]
    return sum(weights[:, j, None, None] * outputs[j] for j in range(num_experts))


def hidden_layers(run, path, u):
    """F(u): layer norm, `block_dims` with the activation after each, then a linear layer back to H."""
    width = u.shape[-1]
    mean = u.mean(dim=-1, keepdim=True)
    var = ((u - mean) ** 2).mean(dim=-1, keepdim=True)
    run.smallest_divisor = min(run.smallest_divisor, var.min().item())
    weight, bias = (run.parameter(f"{path}.norm.{name}", width) for name in ("weight", "bias"))
    u = (u - mean) / torch.sqrt(var + EPSILON) * weight + bias
    dims = run.config["block_dims"]
    for layer, out_dim in enumerate([*dims, width]):
        at = f"{path}.{layer}"
        u = u @ run.parameter(f"{at}.weight", u.shape[-1], out_dim) + run.parameter(f"{at}.bias", out_dim)
        u = run.activation(u) if layer < len(dims) else u
    return u


# --------------------------------------------------------------------------------------------------------------- prior


def prior_matrix(config):
    """Pr [T, U], with k L ones in every row: which units a task should choose, up to a permutation of the units."""
    k, num_blocks, num_experts = config["top_k"], config["num_blocks"], config["num_experts"]
    tasks = config["tasks"]
    num_units, ones = num_blocks * num_experts, k * num_blocks
    prior = np.zeros((len(tasks), num_units))
    if config["prior"] == "window":
        rank = order_of_tasks(config)
        for t, name in enumerate(tasks):
            place = rank[name] / (len(tasks) - 1) if len(tasks) > 1 else 0.0
            # Halves go up, away from zero; `round` would send them to the even neighbour.
            start = math.floor(place ** config["prior_exponent"] * (num_units - ones) + 0.5)
            prior[t, start : start + ones] = 1
        return prior
    assert config["prior"] == "groups"
    shared, of_group, of_task = config["prior_units"]
    assert shared + of_group + of_task == ones
    groups = config["groups"]
    assert shared + of_group * len(groups) + of_task * len(tasks) <= num_units
    for t, name in enumerate(tasks):
        group = next(g for g, members in enumerate(groups) if name in members["tasks"])
        first_of_group = shared + group * of_group
        first_of_task = shared + len(groups) * of_group + t * of_task
        prior[t, :shared] = 1
        prior[t, first_of_group : first_of_group + of_group] = 1
        prior[t, first_of_task : first_of_task + of_task] = 1
    return prior


def costs(usage, prior):
    """C[u, v] = sum_t |Q[t, u] - Pr[t, v]|."""
    return np.abs(usage[:, :, None] - prior[:, None, :]).sum(axis=0)


def match(usage, prior):
    """The columns of the prior in the units' order, at the least cost, and that cost."""
    cost = costs(usage, prior)
    units, columns = linear_sum_assignment(cost)
    assert (units == np.arange(len(cost))).all()
    return prior[:, columns], cost[units, columns].sum()


def only_one_match(usage, prior):
    """Whether all matchings of the least cost give every unit the same column of the prior.

    Where they don't, the loss depends on how ties are broken, which nothing here says.
    """
    matched, least = match(usage, prior)
    cost = costs(usage, prior)
    for unit in range(len(cost)):
        same = (prior == matched[:, unit, None]).all(axis=0)
        # The unit is kept from the columns like its own: does something else come as cheap?
        elsewhere = cost.copy()
        elsewhere[unit, same] = cost.sum() + 1
        units, columns = linear_sum_assignment(elsewhere)
        if elsewhere[units, columns].sum() <= least:
            return False
    return True


def prior_loss(run, probabilities, chosen):
    """The mean over tasks of JSD_t between all blocks' softmax and the matched prior, both made to sum to 1."""
    config = run.config
    prior, usage = prior_matrix(config), chosen.numpy().astype(np.float64)
    matched, cost = match(usage, prior)
    if not only_one_match(usage, prior):
        run.choice_margin = 0.0  # as good as two equal scores: such a draw is refused
    given = {"prior": prior, "matched_prior": matched, "matching_cost": np.array(cost)}
    given = {name: torch.from_numpy(value).to(probabilities.dtype) for name, value in given.items()}
    run.seen |= given
    num_blocks = config["num_blocks"]
    target = given["matched_prior"] / (config["top_k"] * num_blocks)
    return jensen_shannon(probabilities / num_blocks, target).mean()


def jensen_shannon(a, r):
    """JSD of rows that sum to 1, with SMALL inside the logarithms."""
    middle = torch.log((a + r) / 2 + SMALL)
    return 0.5 * ((a * (torch.log(a + SMALL) - middle)).sum(dim=-1) + (r * (torch.log(r + SMALL) - middle)).sum(dim=-1))

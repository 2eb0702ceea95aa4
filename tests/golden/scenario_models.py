"""STAR, HiNet and M3oE in plain PyTorch: what rows of one scenario share, and what each scenario has of its own.

- star: Sheng et al., "One model to serve all", arXiv:2101.11427.
- hinet: Zhou et al., "HiNet", arXiv:2303.06095.
- m3oe: Zhang et al., "M3oE", arXiv:2404.18465.

A row has a scenario of 1 to S, or 0: none that is known. What a scenario has of its own is [S, ...], the first of them first.
"""

import torch

from personal_models import columns_of
from reference_models import EPSILON, MOMENTUM, expert_set, gate, gate_logits, linear, mix, tower


def ids_of(run):
    return run.scenarios.long()


def of_row(run, neutral, own):
    """What each row takes of its scenario's own [S, ...]; the neutral value where it has none."""
    return torch.cat([torch.full_like(own[:1], neutral), own])[ids_of(run)]


def shares(run):
    """[B, S]: all of a row's own scenario, and equal parts of every one where it has none."""
    num_scenarios = run.config["num_scenarios"]
    known = torch.eye(num_scenarios, dtype=torch.float64)
    return torch.cat([torch.full_like(known[:1], 1 / num_scenarios), known])[ids_of(run)]


# ---------------------------------------------------------------------------------------------------------------- STAR


def star_layer(run, path, x, out_dim):
    """x (W * W_s) + (b + b_s), row by row."""
    sizes = (x.shape[1], out_dim)
    num_scenarios = run.config["num_scenarios"]
    weight = run.parameter(f"{path}.weight", *sizes)
    own_weight = run.parameter(f"{path}.scenario_weight", num_scenarios, *sizes)
    bias = run.parameter(f"{path}.bias", out_dim)
    own_bias = run.parameter(f"{path}.scenario_offset", num_scenarios, out_dim)
    weights = weight * of_row(run, 1.0, own_weight)
    return torch.einsum("bi,bio->bo", x, weights) + bias + of_row(run, 0.0, own_bias)


def partitioned_norm(run, v):
    """(gamma gamma_s) (v - mean_s) / sqrt(var_s + eps) + (beta + beta_s), by the statistics of the scenario's rows of the batch.

    A scenario with one row of the batch has its running statistics instead, which then stay; rows without a scenario have
    those of the whole batch.
    """
    at, num_scenarios, width = "shared.norm", run.config["num_scenarios"], v.shape[1]
    gamma, beta = run.parameter(f"{at}.weight", width), run.parameter(f"{at}.bias", width)
    own_gamma = run.parameter(f"{at}.scenario_weight", num_scenarios, width)
    own_beta = run.parameter(f"{at}.scenario_offset", num_scenarios, width)
    # By id: the whole batch's first.
    means, variances = (
        [run.parameter(f"{at}.running_{name}", width), *run.parameter(f"{at}.scenario_running_{name}", num_scenarios, width)]
        for name in ("mean", "var")
    )
    if run.train:
        moved = {"mean": list(means), "var": list(variances)}
        for place in range(num_scenarios + 1):
            rows = v[ids_of(run) == place] if place else v
            if len(rows) < 2:
                continue
            mean, variance = rows.mean(dim=0), rows.var(dim=0, correction=0)
            unbiased = variance * len(rows) / (len(rows) - 1)
            moved["mean"][place] = ((1 - MOMENTUM) * means[place] + MOMENTUM * mean).detach()
            moved["var"][place] = ((1 - MOMENTUM) * variances[place] + MOMENTUM * unbiased).detach()
            means[place], variances[place] = mean, variance
        for name, rows in moved.items():
            run.running[f"{at}.running_{name}"] = rows[0]
            run.running[f"{at}.scenario_running_{name}"] = torch.stack(rows[1:])
    mean, variance = torch.stack(means)[ids_of(run)], torch.stack(variances)[ids_of(run)]
    run.smallest_divisor = min(run.smallest_divisor, variance.min().item())
    scale, shift = gamma * of_row(run, 1.0, own_gamma), beta + of_row(run, 0.0, own_beta)
    return scale * (v - mean) / torch.sqrt(variance + EPSILON) + shift


def star(run, v):
    """Star layers to a hidden state, star layers from it to each task, and a small network that knows the scenario beside them."""
    config = run.config
    x = partitioned_norm(run, v) if config["partitioned_norm"] else v
    for layer, out_dim in enumerate(config["expert_dims"]):
        x = run.activation(star_layer(run, f"shared.expert.{layer}", x, out_dim))
    run.experts["shared.expert"] = x[None]
    logits = []
    for t in run.tasks:
        z = x
        for layer, out_dim in enumerate(config["tower_dims"]):
            z = run.relu(star_layer(run, f"task.{t}.tower.{layer}", z, out_dim))
        logits.append(star_layer(run, f"task.{t}.tower.{len(config['tower_dims'])}", z, 1))
    logits = torch.cat(logits, dim=1)
    if not config["auxiliary"]:
        return logits
    a = v
    for layer, out_dim in enumerate(config["auxiliary_dims"]):
        a = run.relu(linear(run, f"shared.auxiliary.{layer}", a, out_dim))
    return logits + linear(run, f"shared.auxiliary.{len(config['auxiliary_dims'])}", a, len(run.tasks))


# --------------------------------------------------------------------------------------------------------------- HiNet


def sub_experts(run, path, num_experts, v):
    """Experts and their gate: [B, H]."""
    return mix(gate(run, f"{path}.gate", v, num_experts), [expert_set(run, path, num_experts, v)])


def others(run, v, own):
    """The attention over the other scenarios' [B, H], by the scenario's embedding; over all where a row has none."""
    embedding = columns_of(run, v, [run.config["scenario"]])
    logits = gate_logits(run, "scenario.attention", embedding, len(own))
    is_own = of_row(run, 0.0, torch.eye(len(own), dtype=torch.float64)).bool()
    weights = torch.softmax(logits.masked_fill(is_own, -torch.inf), dim=1)
    run.gates["scenario.attention"] = weights
    return torch.einsum("bs,sbh->bh", weights, own)


def hinet(run, v):
    """What all scenarios share, what the row's own says, what the others say about it; from these CGC."""
    config = run.config
    num_scenarios, num_own, num_shared = (config[key] for key in ("num_scenarios", "num_task_experts", "num_shared_experts"))
    parts = [sub_experts(run, "scenario.shared", config["num_scenario_shared_experts"], v)]
    count = config["num_scenario_experts"]
    own = torch.stack([sub_experts(run, f"scenario.{s}", count, v) for s in range(num_scenarios)])
    is_known = (ids_of(run) > 0)[:, None]
    mine = torch.einsum("bs,sbh->bh", shares(run), own)
    if config["attention"] and num_scenarios > 1:
        attended = others(run, v, own)
        parts += [torch.where(is_known, mine, attended), attended]
    else:
        parts += [mine]
    c = torch.cat(parts, dim=1)
    shared = [expert_set(run, "shared", num_shared, c)] if num_shared else []
    logits = []
    for t in run.tasks:
        experts = [expert_set(run, f"task.{t}", num_own, c), *shared]
        logits.append(tower(run, t, mix(gate(run, f"task.{t}.gate", c, num_own + num_shared), experts)))
    return torch.stack(logits, dim=1)


# ---------------------------------------------------------------------------------------------------------------- M3oE


def balanced(weights, outputs):
    """Of each of n outputs its own share w, and of the rest the others' mean. weights [n], outputs [n, B, H]."""
    if len(outputs) == 1:
        return outputs
    kept = torch.sigmoid(weights)[:, None, None]
    return kept * outputs + (1 - kept) * (outputs.sum(dim=0) - outputs) / (len(outputs) - 1)


def of_scenarios(run, path, x, out_dim):
    """A linear layer of each scenario: x [B, in] or [S, B, in] -> [S, B, out]."""
    num_scenarios = run.config["num_scenarios"]
    weight = run.parameter(f"{path}.weight", num_scenarios, x.shape[-1], out_dim)
    return x @ weight + run.parameter(f"{path}.bias", num_scenarios, out_dim)[:, None, :]


def m3oe(run, v):
    """Experts of all, of scenarios and of tasks on one representation; h = MoE + a scenarios' part + a' tasks' part."""
    config = run.config
    num_scenarios, num_shared = config["num_scenarios"], config["num_shared_experts"]
    num_tasks, each = len(run.tasks), config["fusion"] == "each"
    u = star_layer(run, "shared.star", v, config["star_dim"])
    x = expert_set(run, "shared", 1, u, [config["bottom_dim"]], "bottom")[0]
    x = x + expert_set(run, "shared", 1, v, [config["bottom_dim"]], "skip")[0]
    common = expert_set(run, "shared", num_shared, x)
    by_scenario = expert_set(run, "scenario", num_scenarios, x)
    by_task = torch.cat([expert_set(run, f"task.{t}", 1, x) for t in run.tasks])
    is_known = (ids_of(run) > 0)[:, None]

    scenarios_part = by_scenario
    if num_scenarios > 1:
        free = run.parameter("scenario.balance", num_scenarios) if each else run.parameter("shared.scenario_balance", 1)
        scenarios_part = balanced(free.expand(num_scenarios), by_scenario)
    scenarios_part = torch.einsum("bs,sbh->bh", shares(run), scenarios_part)
    scenarios_part = torch.where(is_known, scenarios_part, by_scenario.mean(dim=0))
    tasks_part = by_task
    if num_tasks > 1:
        free = [run.parameter(f"task.{t}.balance", 1) for t in run.tasks] if each else [run.parameter("shared.task_balance", 1)]
        tasks_part = balanced(torch.cat(free).expand(num_tasks), by_task)

    def fusion(name, task):
        """sigmoid of the row's weight, [B, 1]."""
        shared = None if each else run.parameter(f"shared.{name}", 1).expand(num_scenarios)
        free = run.parameter(f"task.{task}.{name}", num_scenarios) if each else shared
        return (shares(run) @ torch.sigmoid(free))[:, None]

    logits = []
    for place, t in enumerate(run.tasks):
        scores = of_scenarios(run, f"task.{t}.gate", run.constant("x", x), num_shared)
        weights = torch.softmax(torch.einsum("bs,sbk->bk", shares(run), scores), dim=1)
        run.gates[f"task.{t}.gate"] = weights
        z = mix(weights, [common])
        z = z + fusion("scenario_fusion", t) * scenarios_part + fusion("task_fusion", t) * tasks_part[place]
        for layer, out_dim in enumerate(config["tower_dims"]):
            z = run.relu(of_scenarios(run, f"task.{t}.tower.{layer}", z, out_dim))
        z = of_scenarios(run, f"task.{t}.tower.{len(config['tower_dims'])}", z, 1)[:, :, 0]
        logits.append((shares(run) * z.T).sum(dim=1))
    return torch.stack(logits, dim=1)


SCENARIO_MODELS = {"star": star, "hinet": hinet, "m3oe": m3oe}

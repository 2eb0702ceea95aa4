"""PEPNet and STEM-Net in plain PyTorch: gates over units by scenario and prior features; tables per task beside shared ones."""

import torch

from reference_models import expert_set, gate, linear, mix, tower


def columns_of(run, v, names):
    """The columns of v that belong to these features, in the order of the names."""
    start, found = 0, {}
    for feature in run.config["features"]:
        found[feature["name"]] = v[:, start : start + feature["width"]]
        start += feature["width"]
    assert start == v.shape[1]
    return torch.cat([found[name] for name in names], dim=1)


def factors(run, path, x, out_dim):
    """gamma sigmoid(W2 relu(W1 x + b1) + b2) with gamma = 2."""
    hidden = run.relu(linear(run, f"{path}.0", x, run.config["gate_hidden_dim"]))
    return 2 * torch.sigmoid(linear(run, f"{path}.1", hidden, out_dim))


def pepnet(run, v):
    """EPNet scales the input, PPNet the units of each task's layers; no gradient goes back through what their gates read of the
    whole input."""
    config, scaled = run.config, v
    if config["parts"] != "ppnet":
        e_s = columns_of(run, v, [config["scenario"]])
        read = torch.cat([e_s, run.constant("v", v)], dim=1)
        scaled = v * factors(run, "shared.epnet", read, v.shape[1])
    if config["parts"] != "epnet":
        u = columns_of(run, v, config["prior_features"])
        read = torch.cat([u, run.constant("scaled", scaled)], dim=1)
    x = {t: scaled for t in run.tasks}
    norm, position = config["norm"], config["norm_position"]
    for level, out_dim in enumerate(config["expert_dims"]):
        is_normalised = position == "every_layer" or level == len(config["expert_dims"]) - 1
        run.config = config | {"norm": norm if is_normalised else "none"}
        for t in run.tasks:
            path = f"level.{level}.task.{t}"
            x[t] = expert_set(run, path, 1, x[t], [out_dim])[0]
            if config["parts"] != "epnet":
                x[t] = x[t] * factors(run, f"{path}.ppnet", read, out_dim)
    return torch.stack([tower(run, t, x[t]) for t in run.tasks], dim=1)


def stem(run, v):
    """v [T + 1, B, D]: the input of each task's own tables, then that of the shared ones."""
    num_own, num_shared, num_levels = (
        run.config[key] for key in ("num_task_experts", "num_shared_experts", "num_levels")
    )
    x, x_shared = dict(zip(run.tasks, v)), v[-1]
    for level in range(num_levels):
        own = {t: expert_set(run, f"level.{level}.task.{t}", num_own, x[t]) for t in run.tasks}
        shared = expert_set(run, f"level.{level}.shared", num_shared, x_shared)
        num_all = len(run.tasks) * num_own + num_shared
        next_x = {}
        for t in run.tasks:
            weights = gate(run, f"level.{level}.task.{t}.gate", x[t] + x_shared, num_all)
            seen = [
                own[u] if u == t or not run.config["stop_gradients"] else run.constant(f"{level}/{u}", own[u])
                for u in run.tasks
            ]
            next_x[t] = mix(weights, [*seen, shared])
        if level < num_levels - 1:
            weights = gate(run, f"level.{level}.shared.gate", x_shared, num_all)
            x_shared = mix(weights, [*own.values(), shared])
        x = next_x
    return torch.stack([tower(run, t, x[t]) for t in run.tasks], dim=1)


PERSONAL_MODELS = {"pepnet": pepnet, "stem": stem}

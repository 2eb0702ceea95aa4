"""PAD-Net in plain PyTorch: each task predicts from its own features, then again from those and what the others pass on."""

import torch

from reference_models import expert_set, linear, tower


def pad_net(run, v):
    """F_t = net_t(net(v)); F'_t = F_t + sum_{a != t} sigmoid(F_a W_ta) * (F_a V_ta); y_t = Tower_t(F'_t).

    In training with deep supervision, first predictions Tower^1_t(F_t) are left in `run.first`.
    """
    shared = expert_set(run, "shared", 1, v)[0]
    features = {t: expert_set(run, f"task.{t}", 1, shared, run.config["task_dims"])[0] for t in run.tasks}
    width = run.config["task_dims"][-1]
    exchanged = dict(features)
    if run.config["exchange"] == "gated":
        for t in run.tasks:
            for other in run.tasks:
                if other == t:
                    continue
                gate = torch.sigmoid(features[other] @ run.parameter(f"task.{t}.from.{other}.gate.weight", width, width))
                value = features[other] @ run.parameter(f"task.{t}.from.{other}.value.weight", width, width)
                exchanged[t] = exchanged[t] + gate * value
    if run.config["deep_supervision"] > 0 and run.train:
        run.first = torch.stack([first_tower(run, t, features[t]) for t in run.tasks], dim=1)
    return torch.stack([tower(run, t, exchanged[t]) for t in run.tasks], dim=1)


def first_tower(run, task, x):
    """As a tower, at a path of its own."""
    dims = run.config["tower_dims"]
    for layer, out_dim in enumerate(dims):
        x = run.relu(linear(run, f"task.{task}.first_tower.{layer}", x, out_dim))
    return linear(run, f"task.{task}.first_tower.{len(dims)}", x, 1)[:, 0]

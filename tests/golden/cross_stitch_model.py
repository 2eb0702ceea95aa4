"""Cross-stitch networks in plain PyTorch: a network per task, and after every level each task mixes all tasks' outputs."""

import torch

from reference_models import expert_set, tower


def cross_stitch(run, v):
    """x_t^l = sum_u A^l[t,u] net_u^l(x_u^{l-1}); y_t = Tower_t(x_t^L). Level l is layer l of `expert_dims`, one per task."""
    x = [v for _ in run.tasks]
    for level, out_dim in enumerate(run.config["expert_dims"]):
        sets = [f"level.{level}.task.{t}" for t in run.tasks]
        own = torch.cat([expert_set(run, path, 1, x[t], [out_dim]) for t, path in enumerate(sets)])
        stitch = run.parameter(f"level.{level}.stitch", len(run.tasks), len(run.tasks))
        x = torch.einsum("tu,ubh->tbh", stitch, own)
    return torch.stack([tower(run, name, x[t]) for t, name in enumerate(run.tasks)], dim=1)

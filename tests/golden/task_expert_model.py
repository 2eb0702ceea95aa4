"""Experts on every level of a shared backbone, and per task a memory that goes up through the levels, in plain PyTorch.

Shapes: B rows, N experts of a level, C width of an expert's output and of a memory. Levels count from 0.
"""

import torch

from reference_models import expert_set, linear, mix, tower


def task_expert(run, v):
    """f_t = sum_n g_tn F_n(x) + g_t,N+1 R_t(M_t), then M_t is written; y_t = Tower_t(M_t) after the last level.

    x is the level's backbone feature. Level 0 has no memory to read: N columns. Without memory y_t = Tower_t(f_t) of the
    last level, so that experts and gates below it would feed nothing: there are none.
    """
    config = run.config
    num_experts, num_levels = config["num_experts"], config["num_levels"]
    x = v
    memory = dict.fromkeys(run.tasks)
    for level in range(num_levels):
        at = f"level.{level}"
        if config["backbone_dims"]:
            x = expert_set(run, f"{at}.shared", 1, x, config["backbone_dims"], "backbone")[0]
        if not config["memory"] and level < num_levels - 1:
            continue
        experts = expert_set(run, f"{at}.shared", num_experts, x)
        for t in run.tasks:
            path, old = f"{at}.task.{t}", memory[t]
            seen = [experts] if old is None else [experts, read(run, path, old)[None]]
            new = mix(gate(run, path, x, old, num_experts), seen)
            memory[t] = new if old is None else write(run, path, old, new)
    return torch.stack([tower(run, t, memory[t]) for t in run.tasks], dim=1)


def gate(run, path, x, memory, num_experts):
    """Weights [B, N], or [B, N + 1] where there is a memory, its column the last."""
    config = run.config
    num_seen = num_experts + (memory is not None)
    if config["gate_reads"] == "none":
        scores = run.parameter(f"{path}.gate.bias", num_seen).expand(len(x), num_seen)
    else:
        both = config["gate_reads"] == "both" and memory is not None
        scores = linear(run, f"{path}.gate", torch.cat([x, memory], dim=1) if both else x, num_seen)
    softmax = config["gate_kind"] == "softmax"
    weights = torch.softmax(scores, dim=1) if softmax else torch.sigmoid(scores)
    run.gates[f"{path}.gate"] = weights
    if not softmax:
        run.unnormalised.add(f"{path}.gate")
    return weights


def read(run, path, memory):
    """R: the memory itself or a linear map of it."""
    if run.config["memory_read"] == "identity":
        return memory
    return linear(run, f"{path}.memory", memory, memory.shape[1])


def write(run, path, memory, new):
    """The memory after a level that had one."""
    how = run.config["memory_write"]
    if how == "replace":
        return new
    if how == "add":
        return memory + new
    assert how == "gated"
    share = torch.sigmoid(linear(run, f"{path}.write", torch.cat([memory, new], dim=1), memory.shape[1]))
    return (1 - share) * memory + share * new

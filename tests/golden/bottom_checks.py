"""What must hold of interactions of features whatever the weights are."""

import torch
import torch.nn.functional as F

from bottoms import fields
from cases import autoint, bottom
from checks import close, normal, run_of
from reference_models import Run


def check_bottoms():
    check_pairs()
    check_ranks()
    check_attention()
    check_separate_bottoms()


MMOE = {"model": "mmoe", "num_experts": 3, "gate_dims": []}


def check_pairs():
    """All pairs at once: half of the square of the sum less the sum of the squares. One feature has no pair."""
    config = MMOE | bottom("fm", {"a": 2, "b": 2}, 1)
    x = normal("pairs", 7, 5)
    parameters, _, run = run_of(config, x=x)
    e = fields(Run(config, parameters, True), "bottom", x)
    close(run.seen["bottom"], torch.cat([x, (e.sum(dim=1) ** 2 - (e**2).sum(dim=1)) / 2], dim=1))
    alone = run_of(MMOE | bottom("fm", {"a": 5}), x=x)[2].seen["bottom"]
    assert torch.equal(alone, torch.cat([x, torch.zeros_like(x)], dim=1))


def check_ranks():
    """Two matrices are their product, and a layer of zeros passes v on."""
    low, full = (MMOE | bottom("dcn_v2", cross_layers=2, cross_rank=rank) for rank in (2, 0))
    parameters, logits, _ = run_of(low)
    merged = {path: value for path, value in parameters.items() if not path.startswith("bottom")}
    for layer in range(2):
        at = f"bottom.cross.{layer}"
        merged[f"{at}.weight"] = parameters[f"{at}.down.weight"] @ parameters[f"{at}.up.weight"]
        merged[f"{at}.bias"] = parameters[f"{at}.up.bias"]
    close(run_of(full, merged)[1], logits)
    idle = {path: torch.zeros_like(value) if path.startswith("bottom") else value for path, value in merged.items()}
    close(run_of(full, idle)[1], run_of(MMOE, merged)[1])


def check_attention():
    """A layer against PyTorch's own attention, without its scale."""
    config = MMOE | autoint({"a": 2, "b": 2}, 1, layers=1, heads=2, dim=3)
    x = normal("attention", 7, 5)
    parameters, _, run = run_of(config, x=x)
    e = fields(Run(config, parameters, True), "bottom", x)
    of = lambda name: (e @ parameters[f"bottom.attention.0.{name}.weight"]).unflatten(2, (2, 3)).transpose(1, 2)
    attended = F.scaled_dot_product_attention(of("query"), of("key"), of("value"), scale=1.0)
    attended = attended.transpose(1, 2).flatten(2) + e @ parameters["bottom.attention.0.residual.weight"]
    close(run.seen["bottom"], torch.relu(attended).flatten(1))


def check_separate_bottoms():
    """Of `single_task` no task's logits depend on another's bottom."""
    config = {"model": "single_task"} | bottom("dcn_v2", cross_layers=1, cross_rank=0)
    parameters, logits, _ = run_of(config)
    other = {path: value + 1 if path.startswith("task.b.bottom") else value for path, value in parameters.items()}
    changed = run_of(config, other)[1]
    assert torch.equal(changed[:, [0, 2]], logits[:, [0, 2]]) and (changed[:, 1] != logits[:, 1]).any()

"""Writes distillation.safetensors: the loss of distillation, its gradients, and steps of the maps, in float64 from float32 numbers.

    python distillation.py             writes the file
    python distillation.py --check     writes nothing; fails where it differs from what would be written

Li and Bilen, "Knowledge distillation for multi-task learning", arXiv:2007.06889:
sum over tasks of mean over rows of |n(f_t A_t) - n(f*_t)|^2, n(x) = x / sqrt(|x|^2 + 1e-6).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from draws import exact, generator

FILE = Path(__file__).parent / "distillation.safetensors"
TASKS = ["click", "like", "long_view"]
ROWS, WIDTH, TEACHER_WIDTH = 7, 4, 3
STEPS, LEARNING_RATE, DECAY = 10, 0.1, 0.05


def normalised(x):
    return x / torch.sqrt((x * x).sum(dim=-1, keepdim=True) + 1e-6)


def distance(features, adapters, targets):
    total = 0.0
    for task, adapter in enumerate(adapters):
        difference = normalised(features[task] @ adapter) - normalised(targets[task])
        total = total + (difference**2).sum(dim=1).mean()
    return total


def drawn():
    normal = lambda name, shape: exact(generator("distillation", name).normal(0.0, 1.0, shape))
    features = normal("features", (len(TASKS), ROWS, WIDTH))
    targets = normal("targets", (len(TASKS), ROWS, TEACHER_WIDTH))
    # A teacher all of whose units are off, and a row that points the other way.
    targets[0, 0] = 0.0
    adapters = [normal(f"w/{task}", (WIDTH, TEACHER_WIDTH)) for task in TASKS]
    targets[1, 1] = exact((-3.0 * features[1, 1] @ adapters[1]).numpy())
    return features, adapters, targets


def case():
    features, adapters, targets = drawn()
    tensors = {"features": features, "targets": targets}
    tensors |= {f"w/{task}": adapter for task, adapter in zip(TASKS, adapters)}
    leaves = [adapter.clone().requires_grad_(True) for adapter in adapters]
    of_features = features.clone().requires_grad_(True)
    loss = distance(of_features, leaves, targets)
    loss.backward()
    tensors |= {"loss": loss, "grad/features": of_features.grad}
    tensors |= {f"grad/{task}": leaf.grad for task, leaf in zip(TASKS, leaves)}
    assert torch.autograd.gradcheck(lambda x: distance(x, adapters, targets), of_features.detach().clone().requires_grad_(True))

    leaves = [adapter.clone().requires_grad_(True) for adapter in adapters]
    optimiser = torch.optim.Adam(leaves, lr=LEARNING_RATE, weight_decay=DECAY)
    losses = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = distance(features, leaves, targets)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    tensors["adam/losses"] = torch.stack(losses)
    tensors |= {f"adam/final/{task}": leaf for task, leaf in zip(TASKS, leaves)}
    return save({path: tensor.detach().numpy().astype(np.float32, order="C") for path, tensor in tensors.items()})


def main():
    torch.set_num_threads(1)
    content = case()
    if "--check" not in sys.argv[1:]:
        FILE.write_bytes(content)
    elif not FILE.exists() or FILE.read_bytes() != content:
        raise SystemExit(f"not as generated: {FILE.name}")


if __name__ == "__main__":
    main()

"""Writes relatedness.safetensors: scores of weights by task and layer, and the overlaps of the masks that keep the highest of them.

    python relatedness.py             writes the file
    python relatedness.py --check     writes nothing; fails where it differs from what would be written

Sun et al., "DiSparse", CVPR 2022, arXiv:2206.04662: a mask keeps the top share of all weights that a task's loss reaches, shared and own.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from draws import generator

FILE = Path(__file__).parent / "relatedness.safetensors"
TASKS = ["a", "b", "c"]
SHAPES = {"shared.0.weight": (4, 5), "shared.1.weight": (5, 3)}
SHARES = [0.1, 0.3, 0.75]


def drawn():
    """Scores of shared layers, of a layer that only two tasks reach, and of each task's own head."""
    scores = {task: {} for task in TASKS}
    for task in TASKS:
        shapes = SHAPES | {f"task.{task}.tower.weight": (3, 2)} | ({} if task == "c" else {"group.weight": (2, 6)})
        for layer, shape in shapes.items():
            # Of unlike sizes, so that layers keep unlike shares.
            scale = 3.0 if layer == "shared.1.weight" else 1.0
            scores[task][layer] = (scale * generator("relatedness", task, layer).exponential(1.0, shape)).astype(np.float32)
    return scores


def masks(scores, share):
    flat = np.concatenate([s.ravel() for s in scores.values()])
    kept = int(np.rint(share * flat.size))
    threshold = np.partition(flat, flat.size - kept)[flat.size - kept]
    assert len(np.unique(flat)) == flat.size
    return {layer: s >= threshold for layer, s in scores.items()}


def overlap(a, b):
    union = np.logical_or(a, b).sum()
    iou = np.logical_and(a, b).sum() / union if union else np.nan
    dense_a, dense_b = a.mean(), b.mean()
    random = dense_a * dense_b / (dense_a + dense_b - dense_a * dense_b) if union else np.nan
    return np.array([iou, random], dtype=np.float32)


def case():
    scores = drawn()
    tensors = {f"score/{task}/{layer}": s for task in TASKS for layer, s in scores[task].items()}
    for share in SHARES:
        of = {task: masks(scores[task], share) for task in TASKS}
        for one, other in combinations(TASKS, 2):
            layers = [layer for layer in of[one] if layer in of[other]]
            for layer in layers:
                tensors[f"{share}/{layer}/{one}/{other}"] = overlap(of[one][layer], of[other][layer])
            flat = [np.concatenate([of[task][layer].ravel() for layer in layers]) for task in (one, other)]
            tensors[f"{share}/all/{one}/{other}"] = overlap(*flat)
    return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def main():
    content = case()
    if "--check" not in sys.argv[1:]:
        FILE.write_bytes(content)
    elif not FILE.exists() or FILE.read_bytes() != content:
        raise SystemExit(f"not as generated: {FILE.name}")


if __name__ == "__main__":
    main()

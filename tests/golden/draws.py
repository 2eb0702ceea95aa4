"""Random weights, inputs, masks and noise of the golden cases."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch

INPUT_DIM = 5
TRAIN_ROWS, EVAL_ROWS = 7, 5
# Models, and cases of others.
MASKED = {"sparse_mmoe", "smes", "aitm", "escm2", "pad_net", "star_masked"}
# How many training rows have no known scenario, and how many each of S has; who has how many is drawn, but for the last of four.
ROWS_OF_SCENARIOS = {1: (1, 6), 2: (1, 4, 2), 3: (1, 3, 2, 1), 4: (1, 3, 2, 1, 0)}
# Cases in which the row without one is of scenario 1.
ALL_KNOWN = {"star_all_known", "hinet_two_known", "m3oe_idle_scenario"}


def generator(*key):
    """A generator of its own for every purpose and name."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def exact(value):
    """In float64, and exact in float32."""
    return torch.from_numpy(value.astype(np.float32).astype(np.float64))


def draw(config, key, path, shape):
    """A parameter's value. Nothing is left at a neutral value such as 0 or 1, but experts that have to start at 0."""
    random = generator(*key, path)
    if config.get("expert_init") == "zero" and ".expert." in path:
        value = np.zeros(shape)
    elif path.endswith(("norm.weight", "running_var", ".scenario_weight")):
        value = random.uniform(0.5, 1.5, shape)
    elif path.endswith(".selector"):
        # Small, so that most of the selectors' bits are between 0 and 1.
        value = random.normal(0.0, 0.4 / np.sqrt(shape[-2]), shape)
    elif path.endswith((".weight", ".lora_a", ".lora_b", "gate.row", "gate.task", "gate.noise", ".stitch")):
        # [in, out] comes last, but where the width is one there is nothing to add up.
        value = random.normal(0.0, 1.2 / np.sqrt(shape[-2]), shape)
    elif path.endswith((".embedding", "balance", "fusion")):
        value = random.normal(0.0, 1.0, shape)
    else:  # biases, residuals, running means
        value = random.normal(0.0, 0.4, shape)
    return exact(value)


@dataclass(frozen=True)
class Batch:
    """What a training pass reads; the mask and the noise are None in models that have none."""

    x: torch.Tensor
    labels: torch.Tensor
    observed: torch.Tensor | None = None
    noise: torch.Tensor | None = None
    scenarios: torch.Tensor | None = None

    def with_x(self, x):
        return replace(self, x=x)

    @property
    def given(self):
        return {name: tensor for name, tensor in vars(self).items() if name != "x"}

    def tensors(self):
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}


def inputs(config, key):
    """The training batch, the rows of the evaluation, and the scenarios of these, if they have any."""
    num_tasks = len(config["tasks"])
    random = generator(*key, "inputs")
    input_dim = sum(feature["width"] for feature in config["features"]) if "features" in config else INPUT_DIM
    # Of tables per task and shared ones: an input from each.
    sets = (num_tasks + 1,) if config["model"] == "stem" else ()
    x = exact(random.normal(size=(*sets, TRAIN_ROWS, input_dim)))
    eval_x = exact(random.normal(size=(*sets, EVAL_ROWS, input_dim)))
    labels = (random.uniform(size=(TRAIN_ROWS, num_tasks)) < 0.4).astype(np.float64)
    labels[0], labels[1] = 0.0, 1.0  # both classes in every task
    batch = Batch(x, torch.from_numpy(labels))
    if {config["model"], key[1]} & MASKED:
        batch = replace(batch, **masked_labels(key, num_tasks))
    if config.get("gate_noise", "none") != "none":
        size = (TRAIN_ROWS, num_tasks, config["num_experts"])
        batch = replace(batch, noise=exact(generator(*key, "noise").normal(size=size)))
    eval_scenarios = None
    if "num_scenarios" in config:
        scenarios, eval_scenarios = drawn_scenarios(config["num_scenarios"], key)
        batch = replace(batch, scenarios=scenarios)
    return batch, eval_x, eval_scenarios


def drawn_scenarios(num_scenarios, key):
    """Ids of the training rows, and of the evaluation's, where every one occurs."""
    random = generator(*key, "scenarios")
    unknown, *counts = ROWS_OF_SCENARIOS[num_scenarios]
    counts[:3] = random.permutation(counts[:3])
    if key[1] in ALL_KNOWN:
        unknown, counts[0] = 0, counts[0] + unknown
    train = random.permutation(np.repeat(np.arange(num_scenarios + 1), [unknown, *counts]))
    every = np.resize(np.arange(num_scenarios + 1), EVAL_ROWS)
    return torch.from_numpy(train.astype(np.float64)), torch.from_numpy(random.permutation(every).astype(np.float64))


def masked_labels(key, num_tasks):
    """Labels and a mask: two observed rows or more of either label in every task, and a row that no task observes."""
    random = generator(*key, "observed")
    while True:
        labels = (random.uniform(size=(TRAIN_ROWS, num_tasks)) < 0.5).astype(np.float64)
        observed = (random.uniform(size=(TRAIN_ROWS, num_tasks)) < 0.75).astype(np.float64)
        positive, negative = (observed * labels).sum(axis=0), (observed * (1 - labels)).sum(axis=0)
        enough = min(positive.min(), negative.min()) >= 2
        # Tasks with different counts, or a mean over the wrong pairs might not show.
        uneven = len(set(observed.sum(axis=0))) > 1
        if enough and uneven and (observed.sum(axis=1) == 0).any():
            return {"labels": torch.from_numpy(labels), "observed": torch.from_numpy(observed)}

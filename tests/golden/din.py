"""Writes cases_din/: models behind lists that attend to a target, from ids to logits, gradients of tables included.

    python din.py             writes cases_din/<case>.safetensors
    python din.py --check     writes nothing; fails where a file differs from what would be written

Zhou et al., "Deep interest network for click-through rate prediction", arXiv:1706.06978, equation 3: the lists of a row become
sum_j a(e_j, e_t) e_j, without a softmax. The unit a is a network on e_t, e_j, e_t - e_j and e_t * e_j with s * sigmoid(s) between its layers.
"""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from draws import draw, exact, generator
from forward import MODELS, task_losses
from generate import ADAM_STEPS, ATTEMPTS, LEARNING_RATE, SMALLEST_GRADIENT, clone, fit
from reference_models import Run

FOLDER = Path(__file__).parent / "cases_din"

HEAD = """tasks = ["click", "like"]
expert_dims = [4, 3]
tower_dims = [3]
norm = "none"
norm_position = "every_layer"
activation = "relu"
{knobs}
[[groups]]
name = "all"
tasks = ["click", "like"]
[input]
num_numeric = {numbers}
"""
MMOE = 'model = "mmoe"\nnum_experts = 2\ngate_dims = []'
SHARED_BOTTOM = 'model = "shared_bottom"'
SINGLE_TASK = 'model = "single_task"'
STEM = 'model = "stem"\nnum_shared_experts = 1\nnum_task_experts = 1\nnum_levels = 1\ngate_dims = []\nstop_gradients = true'

# One list that reads the table of its target.
SEEN = """single = [{ name = "user", table = "user" }, { name = "item", table = "item" }]
lists = [{ name = "seen", table = "item" }]
tables = { user = [4, 2], item = [7, 3] }
"""
# Of their own tables and of a shared one, of two widths; a list between them is pooled.
SEVERAL = """single = [{ name = "tag", table = "tag" }, { name = "item", table = "item" }]
lists = [{ name = "tags", table = "tags" }, { name = "bought", table = "item", pooling = "mean" }, { name = "seen", table = "item" }]
tables = { tag = [5, 2], tags = [4, 2], item = [7, 3] }
"""


def case(knobs, features, attention, hidden_dims, numbers=1):
    return f"{HEAD.format(knobs=knobs, numbers=numbers)}{features}attention = {attention}\nhidden_dims = {hidden_dims}\n"


ONE = '{ seen = "item" }'
CASES = {
    "mmoe": case(MMOE, SEEN, ONE, [4]),
    "shared_bottom_two_layers": case(SHARED_BOTTOM, SEEN, ONE, [5, 3]),
    "shared_bottom_three_layers": case(SHARED_BOTTOM, SEEN, ONE, [4, 3, 2], numbers=0),
    "mmoe_several_lists": case(MMOE, SEVERAL, '{ tags = "tag", seen = "item" }', [4]),
    "mmoe_two_of_one_target": case(
        MMOE, SEVERAL.replace(', pooling = "mean"', ""), '{ bought = "item", seen = "item" }', [3, 2]
    ).replace('{ name = "tags", table = "tags" }', '{ name = "tags", table = "tags", pooling = "sum" }'),
    "single_task": case(SINGLE_TASK, SEEN, ONE, [4]),
    "stem": case(STEM, SEVERAL, '{ tags = "tag", seen = "item" }', [3, 2]),
}


@dataclass(frozen=True)
class Rows:
    """A batch: ids of single features [B, features], the lists of every row, numbers [B, numbers], labels [B, T]."""

    single: np.ndarray
    lists: list
    numeric: torch.Tensor
    labels: torch.Tensor

    def tensors(self):
        ids = [index for row in self.lists for of_list in row for index in of_list]
        ends = np.cumsum([len(of_list) for row in self.lists for of_list in row]).reshape(len(self.lists), -1)
        return {"single": self.single, "lists/ids": np.array(ids), "lists/ends": ends, "numeric": self.numeric, "labels": self.labels}


def drawn(config, key, num_rows):
    """Rows among whose lists are an empty one, one with an element twice, and one that has its target."""
    described, random = config["input"], generator(*key, "rows")
    rows_of = lambda feature: described["tables"][feature["table"]][0]
    single = np.stack([random.integers(0, rows_of(feature), num_rows) for feature in described["single"]], axis=1)
    lists = [
        [list(map(int, random.integers(0, rows_of(feature), random.integers(0, 5)))) for feature in described["lists"]]
        for _ in range(num_rows)
    ]
    for place, feature in enumerate(described["lists"]):
        names = [other["name"] for other in described["single"]]
        target = described["attention"].get(feature["name"], names[0])
        lists[0][place] = []
        lists[1][place] = [2, 1, 2]
        lists[2][place] = [1, int(single[2, names.index(target)]) % rows_of(feature), 0]
    numeric = exact(random.normal(size=(num_rows, described["num_numeric"])))
    labels = (random.uniform(size=(num_rows, len(config["tasks"]))) < 0.4).astype(np.float64)
    labels[0], labels[1] = 0.0, 1.0
    return Rows(single, lists, numeric, torch.from_numpy(labels))


def unit(run, path, element, target):
    """a(e_j, e_t)."""
    x = torch.cat([target, element, target - element, target * element])
    for layer, width in enumerate([*run.config["input"]["hidden_dims"], 1]):
        if layer:
            x = x * torch.sigmoid(x)
        at = f"{path}.{layer}"
        x = x @ run.parameter(f"{at}.weight", len(x), width) + run.parameter(f"{at}.bias", width)
    return x[0]


def embedded(run, root, rows):
    """What a model reads of the rows: single features, lists, numbers, side by side; [B, D]."""
    described = run.config["input"]
    table = lambda feature: run.parameter(f"{root}embedding.{feature['table']}.weight", *described["tables"][feature["table"]])
    all_rows = []
    for row in range(len(rows.lists)):
        single = {feature["name"]: table(feature)[index] for feature, index in zip(described["single"], rows.single[row])}
        columns = list(single.values())
        for feature, ids in zip(described["lists"], rows.lists[row]):
            elements, name = [table(feature)[index] for index in ids], feature["name"]
            # An empty list has nothing to add up.
            total = torch.zeros(described["tables"][feature["table"]][1], dtype=torch.float64)
            for element in elements:
                if name in described["attention"]:
                    target = single[described["attention"][name]]
                    element = unit(run, f"{root}attention.{name}", element, target) * element
                total = total + element
            if feature.get("pooling") == "mean":
                total = total / max(1, len(elements))
            columns.append(total)
        all_rows.append(torch.cat([*columns, rows.numeric[row]]))
    return torch.stack(all_rows)


def roots(config):
    tasks = [f"task.{task}." for task in config["tasks"]]
    return {"single_task": tasks, "stem": [*tasks, ""]}.get(config["model"], [""])


def evaluate(config, parameters, rows, train, create=None):
    """The logits, what the model read, and its run."""
    run = Run(config, parameters, train, create)
    sets = [embedded(run, root, rows) for root in roots(config)]
    v = torch.stack(sets) if len(roots(config)) > 1 else sets[0]
    return MODELS[config["model"]](run, v), v, run


def gradients(config, parameters, rows):
    leaves = clone(parameters)
    logits, v, run = evaluate(config, leaves, rows, train=True)
    loss = task_losses(logits, rows.labels)
    loss.backward()
    return logits, v, loss, {path: leaf.grad for path, leaf in leaves.items()}, run


def adam(config, parameters, rows):
    """The loss before each step, and the variables after them. The batch is the same in each, so that rows of tables that it doesn't
    touch have no gradient in any, and stay."""
    leaves = clone(parameters)
    optimiser = torch.optim.Adam(list(leaves.values()), lr=LEARNING_RATE)
    losses = []
    for _ in range(ADAM_STEPS):
        optimiser.zero_grad()
        logits, _, run = evaluate(config, leaves, rows, train=True)
        loss = task_losses(logits, rows.labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return torch.stack(losses), leaves


def is_poor(found):
    """Gradients that would prove little, or come out otherwise in float32: all but zero, or zero but for rounding."""
    noise = any(((g != 0) & (g.abs() < 1e-9)).any() for g in found.values())
    return noise or any(g.abs().max() < SMALLEST_GRADIENT for g in found.values())


def make(name, text):
    config = tomllib.loads(text)
    for attempt in range(ATTEMPTS):
        key = ("din", name, attempt)
        rows, eval_rows = drawn(config, (*key, "train"), 7), drawn(config, (*key, "eval"), 5)
        parameters = {}
        evaluate(config, parameters, rows, True, create=lambda path, shape: draw(config, key, path, shape))
        logits, v, loss, found, run = gradients(config, parameters, rows)
        eval_logits, _, eval_run = evaluate(config, parameters, eval_rows, train=False)
        if fit(run) and fit(eval_run) and not is_poor(found):
            break
    else:
        raise SystemExit(f"{name}: no draw is good enough")
    check_gradients(config, parameters, rows, found)
    check_lists(config, parameters, rows, v)
    losses, final = adam(config, parameters, rows)
    tensors = rows.tensors() | {f"eval/{path}": tensor for path, tensor in eval_rows.tensors().items()}
    tensors |= {f"w/{path}": tensor for path, tensor in parameters.items()}
    tensors |= {"train/input": v, "train/logits": logits, "train/loss": loss, "eval/logits": eval_logits}
    tensors |= {f"grad/{path}": gradient for path, gradient in found.items()}
    tensors |= {"adam/losses": losses} | {f"adam/final/{path}": leaf for path, leaf in final.items()}
    numbers = lambda value: value.detach().numpy() if isinstance(value, torch.Tensor) else value
    return {path: numbers(value).astype(np.float32, order="C") for path, value in tensors.items()}


def check_gradients(config, parameters, rows, found):
    """Central differences at the largest element of every gradient. What is constant in training is one here too: `stem` has such."""
    if config.get("stop_gradients"):
        return
    step = 1e-6
    for path, gradient in found.items():
        at = np.unravel_index(gradient.abs().argmax().item(), gradient.shape)
        sides = []
        for sign in (1, -1):
            changed = {p: t.clone() for p, t in parameters.items()}
            changed[path][at] += sign * step
            sides.append(task_losses(evaluate(config, changed, rows, True)[0], rows.labels).item())
        difference = (sides[0] - sides[1]) / (2 * step)
        assert abs(difference - gradient[at].item()) < 1e-6 * max(1, abs(difference)), f"{path}{at}"


def check_lists(config, parameters, rows, v):
    """The order of a list says nothing, and nothing in it is zeros."""
    turned = Rows(rows.single, [[of_list[::-1] for of_list in row] for row in rows.lists], rows.numeric, rows.labels)
    assert torch.allclose(evaluate(config, parameters, turned, True)[1], v, rtol=0, atol=1e-12)
    described = config["input"]
    width = lambda features: sum(described["tables"][feature["table"]][1] for feature in features)
    first = width(described["single"])
    assert (v[..., 0, first : first + width(described["lists"])] == 0).all()


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    FOLDER.mkdir(exist_ok=True)
    different = []
    for name, text in CASES.items():
        content = save(make(name, text), metadata={"model": text})
        path = FOLDER / f"{name}.safetensors"
        if "--check" not in sys.argv[1:]:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            different.append(name)
    if different:
        raise SystemExit(f"not as generated: {', '.join(different)}")


if __name__ == "__main__":
    main()

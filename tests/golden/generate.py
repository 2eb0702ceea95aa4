"""Writes the golden files: one safetensors file a case, from the reference models, in float64 from float32 weights.

    python generate.py [CASE...]     writes cases/<case>.safetensors (all of them without arguments)
    python generate.py --check       writes nothing; fails where a file differs from what would be written
"""

import hashlib
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from cases import cases
from reference_models import EPSILON, MOMENTUM, batch_norm, forward, loss, Run

FOLDER = Path(__file__).parent / "cases"
INPUT_DIM = 5
TRAIN_ROWS, EVAL_ROWS = 7, 5
ADAM_STEPS, LEARNING_RATE = 20, 1e-2
# Cases that also hold their variables and running statistics after the Adam steps.
WITH_FINAL = {"shared_bottom", "mmoe", "mmoe_starred", "ple", "adatt", "home"}
# Nearer to a ReLU's kink than this, float32 and float64 might fall on different sides: such a draw is refused.
KINK_DISTANCE = 1e-3
SMALLEST_VARIANCE = 1e-2  # that a norm divides by
SMALLEST_GRADIENT = 5e-4  # the largest element of each


def generator(*key):
    """A generator of its own for every purpose and name."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def draw(key, path, shape):
    """A parameter's value, in float64 and exact in float32. Nothing is left at a neutral value such as 0 or 1."""
    random = generator(*key, path)
    if path.endswith("norm.weight") or path.endswith("norm.running_var"):
        value = random.uniform(0.5, 1.5, shape)
    elif path.endswith(".weight") or path.endswith(".lora_a") or path.endswith(".lora_b"):
        # [in, out] comes last, but where the width is one there is nothing to add up.
        value = random.normal(0.0, 1.2 / np.sqrt(shape[-2]), shape)
    else:  # biases, residuals, running means
        value = random.normal(0.0, 0.4, shape)
    return torch.from_numpy(value.astype(np.float32).astype(np.float64))


def is_variable(path):
    """Running statistics are no variables."""
    return not path.endswith(("running_mean", "running_var"))


def inputs(key, num_tasks):
    random = generator(*key, "inputs")
    x = random.normal(size=(TRAIN_ROWS, INPUT_DIM)).astype(np.float32).astype(np.float64)
    eval_x = random.normal(size=(EVAL_ROWS, INPUT_DIM)).astype(np.float32).astype(np.float64)
    labels = (random.uniform(size=(TRAIN_ROWS, num_tasks)) < 0.4).astype(np.float64)
    labels[0], labels[1] = 0.0, 1.0  # both classes in every task
    return tuple(map(torch.from_numpy, (x, eval_x, labels)))


def clone(parameters):
    """Fresh leaves."""
    return {path: value.detach().clone().requires_grad_(is_variable(path)) for path, value in parameters.items()}


def gradients(config, parameters, x, labels):
    """The loss of a training pass and its gradient by path, the input's under "x"."""
    leaves = clone(parameters)
    x = x.clone().requires_grad_(True)
    logits, run = forward(config, leaves, x, train=True)
    value = loss(logits, labels)
    value.backward()
    found = {path: leaf.grad for path, leaf in leaves.items() if leaf.requires_grad}
    missing = [path for path, gradient in found.items() if gradient is None]
    assert not missing, f"no gradient: {missing}"
    return logits, value, found | {"x": x.grad}, run


def adam(config, parameters, x, labels):
    """The loss before each of the steps, and the parameters and running statistics after them."""
    leaves = clone(parameters)
    variables = [leaf for leaf in leaves.values() if leaf.requires_grad]
    optimiser = torch.optim.Adam(variables, lr=LEARNING_RATE)
    losses = []
    for _ in range(ADAM_STEPS):
        optimiser.zero_grad()
        logits, run = forward(config, leaves, x, train=True)
        value = loss(logits, labels)
        value.backward()
        optimiser.step()
        leaves.update(run.running)
        losses.append(value.detach())
    return torch.stack(losses), leaves


def make(name, text):
    """The tensors of a case, checked. Draws again where float32 and float64 might not agree."""
    config = tomllib.loads(text)
    for attempt in range(500):
        key = ("golden", name, attempt)
        x, eval_x, labels = inputs(key, len(config["tasks"]))
        parameters = {}
        forward(config, parameters, x, train=True, create=lambda path, shape: draw(key, path, shape))
        logits, value, found, run = gradients(config, parameters, x, labels)
        eval_logits, eval_run = forward(config, parameters, eval_x, train=False)
        far_from_kinks = min(run.kink_distance, eval_run.kink_distance) > KINK_DISTANCE
        well_spread = min(run.smallest_variance, eval_run.smallest_variance) > SMALLEST_VARIANCE
        if far_from_kinks and well_spread and not poor_gradients(found):
            break
    else:
        raise SystemExit(f"{name}: no draw is good enough")
    losses, final = adam(config, parameters, x, labels)
    check_gradients(config, parameters, x, labels, found)
    for path, weights in run.gates.items():
        if not (path.endswith("self_gate") and weights.shape[1] == 1):
            assert torch.allclose(weights.sum(dim=1), torch.ones(TRAIN_ROWS, dtype=weights.dtype)), path

    tensors = {"x": x, "eval/x": eval_x, "labels": labels}
    tensors |= {f"w/{path}": tensor for path, tensor in parameters.items()}
    tensors |= {"train/logits": logits, "eval/logits": eval_logits, "train/loss": value}
    tensors |= {f"grad/{path}": tensor for path, tensor in found.items()}
    tensors |= {f"train/gate/{path}": tensor for path, tensor in run.gates.items()}
    tensors |= {f"train/feature_gate/{path}": tensor for path, tensor in run.feature_gates.items()}
    tensors |= {f"train/expert/{path}": tensor for path, tensor in run.experts.items()}
    tensors |= {f"after/{path}": tensor for path, tensor in run.running.items()}
    tensors["adam/losses"] = losses
    if name in WITH_FINAL:
        tensors |= {f"adam/final/{path}": tensor for path, tensor in final.items()}
    return {path: tensor.detach().numpy().astype(np.float32) for path, tensor in tensors.items()}


def check_gradients(config, parameters, x, labels, found):
    """Central differences at the largest element of a few gradients."""
    def value(changed, x):
        return loss(forward(config, changed, x, train=True)[0], labels).item()

    paths = sorted(found)
    step = 1e-6
    for path in [*paths[:: max(1, len(paths) // 6)], "x"]:
        at = np.unravel_index(found[path].abs().argmax().item(), found[path].shape)
        sides = []
        for sign in (1, -1):
            changed = {p: t.clone() for p, t in parameters.items()} | {"x": x.clone()}
            changed[path][at] += sign * step
            sides.append(value(changed, changed.pop("x")))
        difference = (sides[0] - sides[1]) / (2 * step)
        analytic = found[path][at].item()
        assert abs(difference - analytic) < 1e-6 * max(1, abs(analytic)), f"{path}{at}: {difference} {analytic}"


def poor_gradients(found):
    """Paths of gradients that would prove little, or not come out the same in float32 or on another machine.

    Too small as a whole: dead units, or a cancellation that leaves rounding. Single elements that are zero but for
    rounding: Adam would blow that up. A softmax over one thing has no gradient, and may be zero.
    """
    poor = []
    for path, gradient in found.items():
        softmax = path.endswith(("gate.weight", "gate.bias")) and "self_gate" not in path
        constant = softmax and gradient.shape[-1] == 1
        noise = (gradient != 0) & (gradient.abs() < 1e-10)
        if noise.any() or (gradient.abs().max() < SMALLEST_GRADIENT and not constant):
            poor.append(path)
    return poor


def check_batch_norm():
    """The batch norm written out here is PyTorch's, in both modes."""
    random = generator("batch norm")
    x = torch.from_numpy(random.normal(size=(1, 7, 4)))
    module = torch.nn.BatchNorm1d(4, eps=EPSILON, momentum=MOMENTUM, dtype=torch.float64)
    with torch.no_grad():
        for tensor in (module.weight, module.bias, module.running_mean):
            tensor.copy_(torch.from_numpy(random.normal(size=4)))
    parameters = {f"norm.{path}": tensor.detach().clone()[None] for path, tensor in module.named_parameters()}
    parameters |= {f"norm.running_{k}": getattr(module, f"running_{k}").clone()[None] for k in ("mean", "var")}
    for train in (True, False):
        run = Run({}, parameters, train)
        ours = batch_norm(run, "norm", x)[0]
        module.train(train)
        assert torch.allclose(ours, module(x[0]), rtol=1e-12)
        for path, tensor in run.running.items():
            assert torch.allclose(tensor[0], getattr(module, path.removeprefix("norm.")), rtol=1e-12)
        parameters.update(run.running)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    check_batch_norm()
    arguments = sys.argv[1:]
    check = "--check" in arguments
    chosen = [a for a in arguments if a != "--check"]
    known = cases()
    unknown = set(chosen) - set(known)
    if unknown:
        raise SystemExit(f"unknown case {sorted(unknown)}; there are {', '.join(known)}")
    FOLDER.mkdir(exist_ok=True)
    different = []
    for name in chosen or known:
        # One metadata key only: the library writes several in the order of a hash.
        content = save(make(name, known[name]), metadata={"model": known[name]})
        path = FOLDER / f"{name}.safetensors"
        if not check:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            different.append(name)
    if different:
        raise SystemExit(f"not as generated: {', '.join(different)}")


if __name__ == "__main__":
    main()

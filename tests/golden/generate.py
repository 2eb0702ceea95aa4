"""Writes the golden files: one safetensors file a case, from the reference models, in float64 from float32 weights.

    python generate.py [CASE...]     writes cases/<case>.safetensors (all of them without arguments)
    python generate.py --check       writes nothing; fails where a file differs from what would be written
"""

import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from bottom_checks import check_bottoms
from cases import cases
from checks import check_everything
from draws import draw, inputs
from forward import forward, loss
from scenario_cases import scenario_cases
from scenario_checks import check_scenario_models

FOLDER = Path(__file__).parent / "cases"
ADAM_STEPS, LEARNING_RATE = 20, 1e-2
# Cases that also hold their variables and running statistics after the Adam steps.
WITH_FINAL = {"shared_bottom", "mmoe", "mmoe_starred", "ple", "adatt", "home"}
WITH_FINAL |= {"star", "hinet", "m3oe"}
WITH_FINAL |= {"sparse_mmoe", "smes", "switch", "task_expert", "cross_stitch", "pad_net"}
WITH_FINAL |= {"pepnet", "stem", "esmm", "escm2", "aitm", "resflow"}
WITH_FINAL |= {"mmoe_fm", "mmoe_dcn_v2", "mmoe_dcn_v2_low_rank", "mmoe_autoint", "single_task_autoint"}
# Nearer to a ReLU's kink than this, float32 and float64 might fall on different sides: such a draw is refused.
KINK_DISTANCE = 1e-3
# Likewise the last expert chosen and the first one left, in every Adam step too: there a choice is no small matter.
CHOICE_MARGIN = 1e-3
SMALLEST_DIVISOR = 1e-2  # a variance that a norm divides by, or a sum
SMALLEST_GRADIENT = 5e-4  # the largest element of each
ATTEMPTS = 5000


def is_variable(path):
    """Running statistics are no variables."""
    return not path.endswith(("running_mean", "running_var"))


def clone(parameters):
    """Fresh leaves."""
    return {path: value.detach().clone().requires_grad_(is_variable(path)) for path, value in parameters.items()}


def training_pass(config, parameters, batch, **given):
    """The logits, the loss and the run of a training pass."""
    logits, run = forward(config, parameters, batch.x, train=True, **batch.given, **given)
    return logits, loss(run, logits, batch.labels), run


def backward(config, value, leaves):
    """The gradients of the leaves. What a batch norm takes out again has none but rounding, which Adam would blow up: exactly 0."""
    value.backward()
    for path, leaf in leaves.items():
        if is_cancelled(config, path):
            assert leaf.grad.abs().max() < 1e-12, path
            leaf.grad.zero_()


def is_cancelled(config, path):
    """What the star layer of `m3oe` adds to all rows alike, before a batch norm over them."""
    return config["model"] == "m3oe" and config["norm"] == "batch" and path == "shared.star.bias"


def gradients(config, parameters, batch):
    """A training pass, with the loss's gradient by path, the input's under "x"."""
    leaves = clone(parameters)
    x = batch.x.clone().requires_grad_(True)
    logits, value, run = training_pass(config, leaves, batch.with_x(x))
    backward(config, value, leaves)
    found = {path: leaf.grad for path, leaf in leaves.items() if leaf.requires_grad}
    missing = [path for path, gradient in found.items() if gradient is None]
    assert not missing, f"no gradient: {missing}"
    return logits, value, found | {"x": x.grad}, run


def adam(config, parameters, batch):
    """The loss before each of the steps, the parameters and running statistics after them, and the least choice margin."""
    leaves = clone(parameters)
    variables = [leaf for leaf in leaves.values() if leaf.requires_grad]
    optimiser = torch.optim.Adam(variables, lr=LEARNING_RATE)
    losses, margin = [], float("inf")
    for _ in range(ADAM_STEPS):
        optimiser.zero_grad()
        _, value, run = training_pass(config, leaves, batch)
        backward(config, value, leaves)
        optimiser.step()
        leaves.update(run.running)
        losses.append(value.detach())
        margin = min(margin, run.choice_margin)
    return torch.stack(losses), leaves, margin


def make(name, text):
    """The tensors of a case, checked. Draws again where float32 and float64 might not agree."""
    config = tomllib.loads(text)
    for attempt in range(ATTEMPTS):
        key = ("golden", name, attempt)
        batch, eval_x, eval_scenarios = inputs(config, key)
        parameters = {}
        create = lambda path, shape: draw(config, key, path, shape)
        forward(config, parameters, batch.x, train=True, create=create, **batch.given)
        logits, value, found, run = gradients(config, parameters, batch)
        eval_logits, eval_run = forward(config, parameters, eval_x, train=False, scenarios=eval_scenarios)
        if not (fit(run) and fit(eval_run)) or poor_gradients(config, found, batch):
            continue
        losses, final, margin = adam(config, parameters, batch)
        if margin > CHOICE_MARGIN:
            break
    else:
        raise SystemExit(f"{name}: no draw is good enough")
    check_gradients(config, parameters, batch, found, run.constants)
    for path, weights in run.gates.items():
        if not (path.endswith("self_gate") and weights.shape[1] == 1) and path not in run.unnormalised:
            assert torch.allclose(weights.sum(dim=1), torch.ones(len(weights), dtype=weights.dtype)), path

    tensors = {"eval/x": eval_x} | batch.tensors()
    if eval_scenarios is not None:
        tensors["eval/scenarios"] = eval_scenarios
    tensors |= {f"w/{path}": tensor for path, tensor in parameters.items()}
    tensors |= {"train/logits": logits, "eval/logits": eval_logits, "train/loss": value}
    if run.auxiliary is not None:
        tensors["train/auxiliary"] = run.auxiliary
    tensors |= {f"grad/{path}": tensor for path, tensor in found.items()}
    tensors |= {f"train/gate/{path}": tensor for path, tensor in run.gates.items()}
    tensors |= {f"train/feature_gate/{path}": tensor for path, tensor in run.feature_gates.items()}
    tensors |= {f"train/expert/{path}": tensor for path, tensor in run.experts.items()}
    tensors |= {f"train/{path}": tensor for path, tensor in run.seen.items()}
    tensors |= {f"after/{path}": tensor for path, tensor in run.running.items()}
    tensors["adam/losses"] = losses
    if name in WITH_FINAL:
        tensors |= {f"adam/final/{path}": tensor for path, tensor in final.items()}
    # Row by row: what is saved is the memory as it lies there.
    return {path: tensor.detach().numpy().astype(np.float32, order="C") for path, tensor in tensors.items()}


def fit(run):
    """Whether float32 takes the same side everywhere."""
    return (
        run.kink_distance > KINK_DISTANCE
        and run.smallest_divisor > SMALLEST_DIVISOR
        and run.choice_margin > CHOICE_MARGIN
    )


def check_gradients(config, parameters, batch, found, constants):
    """Central differences at the largest element of every gradient."""
    def value(changed, x):
        return training_pass(config, changed, batch.with_x(x), constants=constants)[1].item()

    step = 1e-6
    for path in sorted(found):
        at = np.unravel_index(found[path].abs().argmax().item(), found[path].shape)
        sides = []
        for sign in (1, -1):
            changed = {p: t.clone() for p, t in parameters.items()} | {"x": batch.x.clone()}
            changed[path][at] += sign * step
            sides.append(value(changed, changed.pop("x")))
        difference = (sides[0] - sides[1]) / (2 * step)
        analytic = found[path][at].item()
        assert abs(difference - analytic) < 1e-6 * max(1, abs(analytic)), f"{path}{at}: {difference} {analytic}"


def poor_gradients(config, found, batch):
    """Paths of gradients that would prove little, or not come out the same in float32 or on another machine.

    Too small as a whole: dead units, or a cancellation that leaves rounding. Single elements that are zero but for
    rounding: Adam would blow that up. A softmax over one thing has no gradient, and may be zero.
    """
    poor = []
    for path, gradient in found.items():
        softmax = path.endswith(("gate.weight", "gate.bias")) and "self_gate" not in path
        constant = softmax and gradient.shape[-1] == 1
        noise = (gradient != 0) & (gradient.abs() < 1e-10)
        small = gradient.abs().max() < SMALLEST_GRADIENT and not constant
        if without_gradient(config, path, batch):
            assert (gradient == 0).all(), path
        elif noise.any() or small or silent_scenario(path, gradient, batch):
            poor.append(path)
    return poor


def silent_scenario(path, gradient, batch):
    """Whether units that are off hide what a scenario with rows has of its own; [S, ...] of star layers, and of towers."""
    if batch.scenarios is None or not (path.endswith("scenario_weight") or ".tower." in path and gradient.dim() == 3):
        return False
    present = [int(s) - 1 for s in batch.scenarios.unique() if s > 0]
    return (gradient[present].flatten(1) == 0).all(dim=1).any()


def without_gradient(config, path, batch):
    """Attention over one other scenario of two says nothing, where no row lacks a scenario.

    The masks of experts that are 0 are 1 whatever the gates say; without a prior nothing else reaches the gates.
    """
    if is_cancelled(config, path):
        return True
    if config.get("num_scenarios") == 2 and path.startswith("scenario.attention."):
        return (batch.scenarios > 0).all()
    no_masks = config["model"] == "switch" and config["expert_init"] == "zero" and config["prior"] == "none"
    return no_masks and (path.endswith(".embedding") or ".shared.gate." in path)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    check_bottoms()
    check_everything()
    check_scenario_models()
    arguments = sys.argv[1:]
    check = "--check" in arguments
    chosen = [a for a in arguments if a != "--check"]
    known = cases() | scenario_cases()
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

"""What must hold of the models of scenarios whatever the weights are."""

import torch

from checks import PARTS, TASKS, close, normal
from draws import draw
from forward import forward
from reference_models import EPSILON, MOMENTUM
from scenario_cases import HINET, M3OE, STAR

IDS = torch.tensor([2.0, 0.0, 1.0, 3.0, 1.0, 1.0, 2.0])


def check_scenario_models():
    check_same_scenarios()
    check_partitions()
    check_merged_weights()
    check_two_scenarios()
    check_own_share()


def run_of(model, config, parameters=None, ids=IDS, x=None):
    """A training pass with drawn weights, or with these: parameters, logits, run."""
    config = TASKS | PARTS | config | {"model": model}
    parameters = {} if parameters is None else dict(parameters)
    create = lambda path, shape: draw(config, ("check", "scenarios"), path, shape)
    x = normal("scenarios", 7, 5) if x is None else x
    logits, run = forward(config, parameters, x, train=True, create=create, scenarios=ids)
    return parameters, logits, run


def without_norm(parameters):
    return {path: value for path, value in parameters.items() if ".norm." not in path}


def check_same_scenarios():
    """Where all scenarios' own is the same, or nothing, ids say nothing; STAR is `shared_bottom` then."""
    config = STAR | {"partitioned_norm": False, "auxiliary": False}
    parameters = run_of("star", config)[0]
    logits = run_of("star", config, parameters | neutral(parameters))[1]
    plain = {p: v[None] if ".expert." in p else v for p, v in parameters.items() if "scenario_" not in p}
    close(logits, run_of("shared_bottom", {}, plain)[1])

    for model, config in (("hinet", HINET), ("m3oe", M3OE)):
        parameters = run_of(model, config)[0]
        parameters |= neutral(parameters)
        for path, value in parameters.items():
            # Of HiNet each scenario's experts are a set of their own, and the attention is any.
            if model == "hinet" and path.startswith(("scenario.1.", "scenario.2.")):
                parameters[path] = parameters["scenario.0." + path.split(".", 2)[2]]
            elif model == "m3oe" and is_by_scenario(path):
                parameters[path] = value[:1].expand_as(value).clone()
        logits = run_of(model, config, parameters)[1]
        close(logits, run_of(model, config, parameters, ids=IDS.roll(1))[1])
        close(logits, run_of(model, config, parameters, ids=torch.zeros(7))[1])


def neutral(parameters):
    """Star layers that say the same of every row."""
    ones = {path: torch.ones_like(value) for path, value in parameters.items() if path.endswith("scenario_weight")}
    return ones | {path: torch.zeros_like(value) for path, value in parameters.items() if path.endswith("scenario_offset")}


def is_by_scenario(path):
    return path.startswith("scenario.") or ".gate." in path or ".tower." in path or path.endswith("fusion")


def check_partitions():
    """Partitioned norm is PyTorch's batch norm on each scenario's rows; one row changes nothing of its scenario's statistics."""
    config = STAR | {"auxiliary": False, "tower_dims": []}
    x = normal("scenarios", 7, 5)
    parameters, _, run = run_of("star", config, x=x)
    for place in range(4):
        at = "shared.norm"
        module = torch.nn.BatchNorm1d(5, eps=EPSILON, momentum=MOMENTUM, dtype=torch.float64)
        before = {
            name: parameters[f"{at}.scenario_running_{name}"][place - 1] if place else parameters[f"{at}.running_{name}"]
            for name in ("mean", "var")
        }
        after = {
            name: run.running[f"{at}.scenario_running_{name}"][place - 1] if place else run.running[f"{at}.running_{name}"]
            for name in ("mean", "var")
        }
        rows = x[IDS == place] if place else x
        if len(rows) == 1:
            assert all(torch.equal(after[name], before[name]) for name in before)
            continue
        module.running_mean.copy_(before["mean"])
        module.running_var.copy_(before["var"])
        normalised = module(rows)
        close(after["mean"], module.running_mean)
        close(after["var"], module.running_var)
        # Rows as they are then give the logits of a network without the norm.
        if place == 1:
            scale = parameters[f"{at}.weight"] * parameters[f"{at}.scenario_weight"][0]
            shift = parameters[f"{at}.bias"] + parameters[f"{at}.scenario_offset"][0]
            ready = x.clone()
            ready[IDS == 1] = (normalised * scale + shift).detach()
            plain = config | {"partitioned_norm": False}
            expected = run_of("star", plain, without_norm(parameters), x=ready)[1]
            close(run_of("star", config, parameters, x=x)[1][IDS == 1], expected[IDS == 1])


def check_merged_weights():
    """Rows of scenario 2 are what a network with the products of weights and the sums of biases says of them."""
    config = STAR | {"partitioned_norm": False}
    parameters, logits, _ = run_of("star", config)
    merged = {}
    for path, value in parameters.items():
        if path.endswith((".weight", ".bias")) and "auxiliary" not in path:
            own = parameters[path.replace(".weight", ".scenario_weight").replace(".bias", ".scenario_offset")][1]
            value = value * own if path.endswith(".weight") else value + own
        merged[path] = value
    close(run_of("star", config, merged, ids=torch.zeros(7))[1][IDS == 2], logits[IDS == 2])


def check_two_scenarios():
    """Of two scenarios the other has all of the attention."""
    _, _, run = run_of("hinet", HINET | {"num_scenarios": 2}, ids=torch.tensor([1.0, 2, 2, 1, 1, 2, 1]))
    assert run.gates["scenario.attention"].int().tolist() == [[0, 1], [1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1]]
    _, _, run = run_of("hinet", HINET)
    weights = run.gates["scenario.attention"]
    assert all(weights[row, int(s) - 1] == 0 for row, s in enumerate(IDS) if s) and (weights[IDS == 0] > 0).all()


def check_own_share():
    """Balances that are all a scenario's and all a task's own: no other's experts matter."""
    parameters = run_of("m3oe", M3OE)[0]
    parameters |= {path: torch.full_like(v, 800.0) for path, v in parameters.items() if path.endswith("balance")}
    logits = run_of("m3oe", M3OE, parameters)[1]
    other = dict(parameters)
    other |= {path: value + 1 for path, value in parameters.items() if path.startswith("task.c.expert.")}
    for path in parameters:
        if path.startswith("scenario.expert."):
            other[path] = other[path].clone()
            other[path][2] += 1
    changed, same = run_of("m3oe", M3OE, other)[1], (IDS == 1) | (IDS == 2)
    assert torch.equal(changed[same][:, :2], logits[same][:, :2])
    assert (changed[~same] != logits[~same]).all() and (changed[:, 2] != logits[:, 2]).all()

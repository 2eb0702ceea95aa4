"""What must hold whatever the weights are: checks of the reference's parts against facts that need no reference."""

import itertools
import math

import numpy as np
import torch

from balance import entropy, mutual_info, only, squared_variation, switch_balance
from draws import draw, exact, generator
from forward import forward, loss
from reference_models import EPSILON, MOMENTUM, Run, batch_norm
from sparse_models import chance_of_choice, code_products, smooth_step, top_k
from switch_model import costs, expert_mix, jensen_shannon, match, only_one_match, prior_matrix, task_embeddings

PARTS = {"expert_dims": [4, 3], "tower_dims": [3], "norm": "none", "norm_position": "every_layer", "activation": "relu"}
TASKS = {"tasks": ["a", "b", "c"], "groups": [{"name": "g", "tasks": ["a", "c"]}, {"name": "h", "tasks": ["b"]}]}


def check_everything():
    check_batch_norm()
    check_top_k()
    check_balance()
    check_mutual_info()
    check_chance_of_choice()
    check_selectors()
    check_masked_loss()
    check_dense_choice()
    check_private_choice()
    check_windows()
    check_matching()
    check_divergence()
    check_masks()
    check_memory()
    check_stitches()
    check_residuals()
    check_idle_gates()
    check_stops()
    check_products()


def normal(key, *shape):
    return exact(generator("check", key).normal(size=shape))


def close(a, b, tolerance=1e-12):
    a, b = (torch.as_tensor(value, dtype=torch.float64) for value in (a, b))
    assert torch.allclose(a, b, rtol=tolerance, atol=tolerance), (a, b)


def run_of(config, parameters=None, key="weights", x=None):
    """A training pass of a model with drawn weights, or with these, on rows of its own: parameters, logits, run."""
    config = TASKS | PARTS | config
    parameters = {} if parameters is None else dict(parameters)
    x = normal("rows", 7, 5) if x is None else x
    create = lambda path, shape: draw(config, ("check", key), path, shape)
    logits, run = forward(config, parameters, x, train=True, create=create)
    return parameters, logits, run


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


def check_top_k():
    """Equal scores: the first ones. Banned ones never."""
    run = Run({}, {}, True)
    scores = torch.tensor([[1.0, 2.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0], [0.0, 1.0, 5.0, 4.0]])
    assert top_k(run, scores, 2).int().tolist() == [[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    banned = torch.tensor([[False, True, False, False]] * 3)
    assert top_k(run, scores, 2, banned).int().tolist() == [[0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 1, 1]]
    assert not top_k(run, scores, 0).any() and top_k(run, scores, 4).all()


def check_balance():
    """Even choices give 1 and 0, all to one expert gives E."""
    num_experts = 5
    even = torch.eye(num_experts, dtype=torch.float64)
    for k in (1, 2):
        chosen = sum(even.roll(shift, 0) for shift in range(k)).bool()  # each expert k times in 5 pairs
        close(switch_balance(chosen, torch.full_like(even, 1 / num_experts)), 1)
        close(squared_variation((chosen / k).sum(dim=0)), 0)
    one = torch.zeros_like(even)
    one[:, 2] = 1
    close(switch_balance(one.bool(), one), num_experts)
    close(squared_variation(one.sum(dim=0)), num_experts - 1)
    # Shares that follow the probabilities never cost less than even ones.
    p = torch.softmax(normal("p", 4, num_experts), dim=1).mean(dim=0)
    assert num_experts * (p * p).sum() >= 1
    assert only(torch.ones(2, 3, dtype=torch.bool), 1).tolist() == [[False, True, False]] * 2


def check_mutual_info():
    """0 where tasks use experts alike, -ln T where each has an expert of its own; unobserved rows don't count."""
    observed = torch.ones(4, 3, dtype=torch.bool)
    alike = torch.softmax(normal("alike", 4, 1, 5), dim=-1).expand(4, 3, 5)
    close(mutual_info(alike, observed), 0)
    own = torch.eye(5, dtype=torch.float64)[:3].expand(4, 3, 5)
    close(mutual_info(own, observed), -math.log(3))
    two = observed.clone()
    two[:, 1] = False
    close(mutual_info(own, two), -math.log(2))
    close(entropy(torch.full((4,), 0.25, dtype=torch.float64)), math.log(4))


def check_chance_of_choice():
    """The closed form against how often new noise of one expert has it chosen."""
    run = Run({}, {}, True)
    clean, noise = normal("clean", 1, 1, 5), normal("noise", 1, 1, 5)
    scale = torch.nn.functional.softplus(normal("scale", 1, 1, 5))
    noisy = clean + noise * scale
    chance = chance_of_choice(run, clean, noisy, scale, 2)[0, 0]
    draws = normal("draws", 40_000)
    for e in range(5):
        again = noisy.expand(len(draws), 1, 5).clone()
        again[:, 0, e] = clean[0, 0, e] + draws * scale[0, 0, e]
        close(top_k(run, again, 2)[:, 0, e].double().mean(), chance[e], 0.01)


def check_selectors():
    """The step's ends, and that a code of bits picks the expert whose number it is; bit 0 is the smallest."""
    close(smooth_step(exact(generator("t").uniform(0.5, 2, 4))), 1)
    close(smooth_step(torch.tensor([-3.0, -0.5, -0.25, 0.0, 0.25, 0.5])), [0, 0, 0.15625, 0.5, 0.84375, 1])
    for num_experts, num_bits in ((5, 3), (4, 2), (2, 1)):
        for code in itertools.product((0.0, 1.0), repeat=num_bits):
            number = int(sum(bit * 2**j for j, bit in enumerate(code)))
            picked = code_products(torch.tensor(code, dtype=torch.float64), num_experts)
            close(picked, torch.tensor([float(e == number) for e in range(num_experts)]))
    a = smooth_step(0.3 * normal("bits", 6, 3))
    close(code_products(a, 8).sum(dim=-1), torch.ones(6))


def check_masked_loss():
    """A task's loss is that of its observed rows alone, and 0 without any."""
    logits, labels = normal("logits", 4, 3), (normal("labels", 4, 3) > 0).double()
    observed = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 1, 0]]).double()
    run = Run({}, {}, True, observed=observed)
    unmasked = Run({}, {}, True)
    parts = loss(unmasked, logits[[0, 2]][:, :1], labels[[0, 2]][:, :1]) + loss(unmasked, logits[:, 1:2], labels[:, 1:2])
    close(loss(run, logits, labels), parts)


SPARSE = {
    "model": "sparse_mmoe", "num_experts": 4, "top_k": 2, "num_shared_experts": 0, "gate": "top_k",
    "gate_reads": "per_task", "gate_dims": [], "gate_weights": "renormalised", "gate_noise": "none", "balance": "none",
}  # fmt: skip


def check_dense_choice():
    """With all experts chosen it is MMoE, renormalised or raw."""
    for form in ("renormalised", "raw"):
        parameters, logits, _ = run_of(SPARSE | {"top_k": 4, "gate_weights": form})
        _, dense, _ = run_of({"model": "mmoe", "num_experts": 4, "gate_dims": []}, parameters)
        close(logits, dense)


def check_private_choice():
    """SMES without the shared stage is `sparse_mmoe`; without the private one, all tasks run the same experts."""
    smes = {"model": "smes", "num_experts": 4, "encoder_dims": [], "balance": "none"}
    parameters, logits, _ = run_of(SPARSE)
    close(logits, run_of(smes | {"shared_k": 0, "private_k": 2}, parameters)[1])
    chosen = run_of(smes | {"shared_k": 2, "private_k": 0}, parameters)[2].seen["chosen"]
    assert (chosen == chosen[:, :1]).all()
    chosen = run_of(smes | {"shared_k": 1, "private_k": 2}, parameters)[2].seen["chosen"]
    assert (chosen.sum(dim=-1) == 3).all() and (chosen.all(dim=1).sum(dim=-1) >= 1).all()


# -------------------------------------------------------------------------------------------------------------- switch


def window(num_tasks, num_blocks, num_experts, k, exponent=1.0):
    config = {"tasks": list(range(num_tasks)), "num_blocks": num_blocks, "num_experts": num_experts, "top_k": k}
    return prior_matrix(config | {"prior": "window", "prior_exponent": exponent})


def check_windows():
    """Row sums, starts counted by hand, the units that all tasks share; and a prior by groups written out."""
    for num_tasks, num_blocks, num_experts, k in itertools.product((1, 2, 5), (1, 2, 4), (2, 3, 4), (1, 2)):
        prior = window(num_tasks, num_blocks, num_experts, k)
        assert (prior.sum(axis=1) == k * num_blocks).all()
        always = (prior == 1).all(axis=0).sum()
        assert num_tasks == 1 or always == num_blocks * max(0, 2 * k - num_experts)
    assert window(8, 4, 3, 2, 4.0).argmax(axis=1).tolist() == [0, 0, 0, 0, 0, 1, 2, 4]
    # Halves: 0.5 is 1 and 2.5 is 3.
    assert window(3, 1, 3, 2).argmax(axis=1).tolist() == [0, 1, 1]
    assert window(3, 5, 3, 2).argmax(axis=1).tolist() == [0, 3, 5]
    assert (window(3, 2, 3, 3) == 1).all()
    groups = TASKS | {"num_blocks": 2, "num_experts": 4, "top_k": 2, "prior": "groups", "prior_units": [2, 1, 1]}
    assert prior_matrix(groups).astype(int).tolist() == [
        [1, 1, 1, 0, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 1, 0, 0],
        [1, 1, 1, 0, 0, 0, 1, 0],
    ]


def check_matching():
    """The least cost against all permutations, and against that of permuted columns; and whether ties are seen."""
    random = generator("check", "matching")
    tied = 0
    for num_units, num_tasks in itertools.product((1, 2, 3, 4, 5, 6), (1, 2, 3, 4)):
        usage, prior = (random.integers(0, 2, (num_tasks, num_units)).astype(float) for _ in range(2))
        cost = costs(usage, prior)
        every = list(map(list, itertools.permutations(range(num_units))))
        all_costs = np.array([cost[range(num_units), order].sum() for order in every])
        matched, least = match(usage, prior)
        assert least == all_costs.min() == np.abs(usage - matched).sum()
        assert least == match(usage, prior[:, random.permutation(num_units)])[1]
        best = [prior[:, every[i]].tolist() for i in np.flatnonzero(all_costs == least)]
        one = all(other == best[0] for other in best)
        assert only_one_match(usage, prior) == one
        tied += not one
    assert 0 < tied < 24


def check_divergence():
    """In [0, ln 2] but for what keeps logarithms finite, symmetric, 0 for equals, ln 2 where nothing is shared."""
    a, r = torch.softmax(2 * normal("a", 50, 6), dim=1), torch.softmax(2 * normal("r", 50, 6), dim=1)
    values = jensen_shannon(a, r)
    assert ((values > 0) & (values < math.log(2))).all()
    close(values, jensen_shannon(r, a))
    close(jensen_shannon(a, a), torch.zeros(50))
    apart = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]], dtype=torch.float64)
    value = jensen_shannon(apart[0], apart[1])
    assert value <= math.log(2)
    close(value, math.log(2), 1e-5)


SWITCH = {
    "model": "switch", "num_blocks": 2, "num_experts": 3, "top_k": 2, "hidden_dim": 4, "block_dims": [5],
    "task_embedding": "learned", "task_dim": 4, "gate_weights": "raw", "expert_init": "fan_in", "prior": "none",
}  # fmt: skip


def check_masks():
    """Experts that are 0 leave the network without them; merged experts are the unmerged ones; the sinusoids by hand."""
    parameters, logits, run = run_of(SWITCH | {"expert_init": "zero"})
    assert all((mask == 1).all() for name, mask in run.seen.items() if name.startswith("mask/"))
    other = {path: value + 1 if ".gate." in path else value for path, value in parameters.items()}
    assert torch.equal(logits, run_of(SWITCH, other)[1])

    weight, bias, shares, h = (normal(n, *s) for n, s in (("w", (3, 4, 4)), ("b", (3, 4)), ("g", (2, 3)), ("h", (2, 7, 4))))
    run = Run({}, {"e.weight": weight, "e.bias": bias}, True)
    merged = torch.einsum("tj,jio->tio", shares, weight), torch.einsum("tj,jo->to", shares, bias)
    close(expert_mix(run, "e", shares, h), h @ merged[0] + merged[1][:, None, :])

    config = {"tasks": ["a", "b"], "prior_order": ["b", "a"], "task_embedding": "position", "task_dim": 4}
    rows = task_embeddings(Run(config, {}, True), torch.float64)
    close(rows, [[math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)], [0, 1, 0, 1]])


# -------------------------------------------------------------------------------------------------------------- levels


TASK_EXPERT = {
    "model": "task_expert", "num_levels": 3, "backbone_dims": [4], "num_experts": 3, "memory": True,
    "memory_write": "replace", "memory_read": "identity", "gate_reads": "backbone", "gate_kind": "softmax",
}  # fmt: skip


def check_memory():
    """The last memory unrolled over the levels; one level or no memory is MMoE on the backbone's feature."""
    parameters, logits, run = run_of(TASK_EXPERT)
    unrolled = []
    for t in TASKS["tasks"]:
        gates = [run.gates[f"level.{level}.task.{t}.gate"] for level in range(3)]
        total = 0
        for level in range(3):
            reach = math.prod((gates[above][:, 3] for above in range(level + 1, 3)), start=torch.ones(7))
            own = torch.einsum("bn,nbh->bh", gates[level][:, :3], run.experts[f"level.{level}.shared.expert"])
            total = total + reach[:, None] * own
        h = torch.relu(total @ parameters[f"task.{t}.tower.0.weight"] + parameters[f"task.{t}.tower.0.bias"])
        unrolled.append(h @ parameters[f"task.{t}.tower.1.weight"] + parameters[f"task.{t}.tower.1.bias"])
    close(logits, torch.cat(unrolled, dim=1))

    mmoe = {"model": "mmoe", "num_experts": 3, "gate_dims": []}
    _, dense, _ = run_of(mmoe)
    for changes in ({"num_levels": 1}, {"num_levels": 1, "memory": False}, {"memory": False}):
        config = TASK_EXPERT | {"backbone_dims": []} | changes
        at = f"level.{config['num_levels'] - 1}."
        renamed = {}
        for path, value in run_of(mmoe)[0].items():
            is_tower = ".tower." in path
            renamed[path if is_tower else at + path] = value
        assert torch.equal(run_of(config, renamed)[1], dense)


def check_stitches():
    """Tasks that are not stitched together are `single_task`."""
    config = {"model": "cross_stitch"}
    parameters = run_of(config)[0]
    parameters |= {path: torch.eye(3, dtype=torch.float64) for path in parameters if path.endswith(".stitch")}
    alone = {}
    for path, value in parameters.items():
        if ".expert." in path:
            level, rest = path.removeprefix("level.").split(".", 1)
            path = rest.replace(".expert.0", f".expert.{level}")
        alone[path] = value
    close(run_of(config, parameters)[1], run_of({"model": "single_task"}, alone)[1])


def check_residuals():
    """A fixed residual is a learned one of 1."""
    config = {"model": "adatt", "gate_dims": [], "num_task_experts": 1, "num_shared_experts": 1, "num_levels": 2}
    parameters, logits, _ = run_of(config | {"residual": "fixed"})
    assert not any("residual" in path for path in parameters)
    units = [f"level.0.{unit}" for unit in ("task.a", "task.b", "task.c", "shared")]
    units += [f"level.1.task.{t}" for t in "abc"]
    parameters |= {f"{unit}.residual": torch.ones(1, dtype=torch.float64) for unit in units}
    assert torch.equal(run_of(config | {"residual": "learned"}, parameters)[1], logits)


# ------------------------------------------------------------------------------------------------- persons, tables and chains


PEPNET = {
    "model": "pepnet", "features": [{"name": "user", "width": 2}, {"name": "tab", "width": 3}], "scenario": "tab",
    "parts": "both", "prior_features": ["user"], "gate_hidden_dim": 3,
}  # fmt: skip


def check_idle_gates():
    """Gates whose last layer is 0 are at 1: PEPNet is `single_task` then."""
    parameters = run_of(PEPNET)[0]
    idle = ("epnet.1.weight", "epnet.1.bias", "ppnet.1.weight", "ppnet.1.bias")
    parameters |= {path: torch.zeros_like(value) for path, value in parameters.items() if path.endswith(idle)}
    alone = {}
    for path, value in parameters.items():
        if ".expert." in path:
            level, rest = path.removeprefix("level.").split(".", 1)
            path = rest.replace(".expert.0", f".expert.{level}")
        alone[path] = value
    close(run_of(PEPNET, parameters)[1], run_of({"model": "single_task"}, alone)[1])


STEM = {"model": "stem", "gate_dims": [], "num_task_experts": 1, "num_shared_experts": 1, "num_levels": 2}


def check_stops():
    """Stops change no logit, and of one level no task's loss reaches the input of another."""
    x = normal("sets", 4, 7, 5)
    parameters, logits, _ = run_of(STEM | {"stop_gradients": True}, x=x)
    assert torch.equal(run_of(STEM | {"stop_gradients": False}, parameters, x=x)[1], logits)
    one = STEM | {"num_levels": 1, "stop_gradients": True}
    x = x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(run_of(one, x=x)[1][:, 1].sum(), x)
    assert (gradient[[0, 2]] == 0).all() and (gradient[[1, 3]] != 0).any(dim=-1).all()


def check_products():
    """A task is no likelier than the one before it, and its share of that one's chance is what its own network says."""
    config = {"model": "esmm", "after": {"b": "a", "c": "b"}}
    parameters, logits, _ = run_of(config)
    own = torch.sigmoid(run_of({"model": "single_task"}, parameters)[1])
    close(torch.sigmoid(logits), torch.cumprod(own, dim=1))

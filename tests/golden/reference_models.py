"""Multi-task mixture-of-experts rankers in plain PyTorch, written from the papers' equations.

Every model is a function `model(run, v) -> logits [B, T]`. A `Run` looks parameters up by variable path in a flat
dictionary, knows the configuration and whether this is training, and collects what is seen on the way. Nothing here is
fast and nothing is shared with the Rust implementation: that is its purpose.

Shapes: B rows, D input width, T tasks, E experts of a set, H output width of an expert. An expert set's output is
[E, B, H], a gate's weights are [B, number of experts it sees]. What the papers leave open is in README.md, "Choices".
"""

import torch
import torch.nn.functional as F

MOMENTUM = 0.1
EPSILON = 1e-5


class Run:
    """One evaluation of a model: its configuration, its parameters, the mode, and what was seen on the way."""

    def __init__(self, config, parameters, train, create=None, observed=None, noise=None, labels=None, scenarios=None, constants=None):
        self.config = config
        self.parameters = parameters
        self.train = train
        self.create = create
        self.observed = observed
        self.noise = noise
        self.labels = labels  # for losses of a model's own
        self.scenarios = scenarios  # whole numbers [B], 0 of rows without a known one
        self.given_constants = constants
        self.constants = {}
        self.gates = {}
        self.unnormalised = set()  # gates whose weights need not sum to 1
        self.feature_gates = {}
        self.experts = {}
        self.seen = {}  # further tensors of a training pass, by their name in the case file
        self.auxiliary = None
        self.first = None  # first predictions, which are held against the labels too
        self.running = {}
        self.kink_distance = float("inf")
        self.smallest_divisor = float("inf")
        self.choice_margin = float("inf")

    def parameter(self, path, *shape):
        """The parameter at `path`, which must have this shape; `create` makes it where it is missing."""
        if path not in self.parameters and self.create is not None:
            self.parameters[path] = self.create(path, shape)
        parameter = self.parameters[path]
        assert tuple(parameter.shape) == shape, f"{path}: expected {shape}, found {tuple(parameter.shape)}"
        return parameter

    def constant(self, name, value):
        """A value that no gradient passes. Finite differences give the one they differ from, or they would see it move."""
        self.constants[name] = value.detach() if self.given_constants is None else self.given_constants[name]
        return self.constants[name]

    def relu(self, x):
        """ReLU; remembers how near any input came to the kink, where two precisions could disagree."""
        self.kink_distance = min(self.kink_distance, x.detach().abs().min().item())
        return torch.relu(x)

    def activation(self, x):
        return {"relu": self.relu, "silu": F.silu}[self.config["activation"]](x)

    @property
    def tasks(self):
        return self.config["tasks"]

    @property
    def groups(self):
        """Group name -> its tasks, groups in order."""
        return {group["name"]: group["tasks"] for group in self.config["groups"]}

    def group_of(self, task):
        return next(name for name, tasks in self.groups.items() if task in tasks)


# ---------------------------------------------------------------------------------------------------------------- parts


def batch_norm(run, path, x):
    """Batch norm of x [E, B, H] over the rows; in training also the running statistics after this step.

    The batch is normalised by its biased variance, the running estimate takes the unbiased one (PyTorch's convention).
    """
    num_experts, num_rows, width = x.shape
    weight = run.parameter(f"{path}.weight", num_experts, width)
    bias = run.parameter(f"{path}.bias", num_experts, width)
    running_mean = run.parameter(f"{path}.running_mean", num_experts, width)
    running_var = run.parameter(f"{path}.running_var", num_experts, width)
    if run.train:
        mean = x.mean(dim=1)
        var = ((x - mean[:, None, :]) ** 2).mean(dim=1)
        unbiased = var * num_rows / (num_rows - 1)
        run.running[f"{path}.running_mean"] = ((1 - MOMENTUM) * running_mean + MOMENTUM * mean).detach()
        run.running[f"{path}.running_var"] = ((1 - MOMENTUM) * running_var + MOMENTUM * unbiased).detach()
    else:
        mean, var = running_mean, running_var
    run.smallest_divisor = min(run.smallest_divisor, var.min().item())
    normalised = (x - mean[:, None, :]) / torch.sqrt(var[:, None, :] + EPSILON)
    return normalised * weight[:, None, :] + bias[:, None, :]


def layer_norm(run, path, x):
    """Layer norm of x [E, B, H] over the units of each row."""
    num_experts, _, width = x.shape
    weight = run.parameter(f"{path}.weight", num_experts, width)
    bias = run.parameter(f"{path}.bias", num_experts, width)
    mean = x.mean(dim=2, keepdim=True)
    var = ((x - mean) ** 2).mean(dim=2, keepdim=True)
    run.smallest_divisor = min(run.smallest_divisor, var.min().item())
    return (x - mean) / torch.sqrt(var + EPSILON) * weight[:, None, :] + bias[:, None, :]


def expert_set(run, path, num_experts, x, dims=None, name="expert"):
    """The outputs [E, B, H] of the experts of one set; x is [B, in], or [E, B, in] where each has its own input.

    A layer is `activation(x W + b)`, a normalised one `activation(norm(x W + b))`, without b before batch norm (which
    cancels it). `norm_position = "output"` normalises the last layer only.
    """
    if x.dim() == 2:
        x = x.expand(num_experts, *x.shape)
    norm, dims = run.config["norm"], run.config["expert_dims"] if dims is None else dims
    for layer, out_dim in enumerate(dims):
        at = f"{path}.{name}.{layer}"
        here = norm if run.config["norm_position"] == "every_layer" or layer == len(dims) - 1 else "none"
        x = torch.einsum("ebi,eio->ebo", x, run.parameter(f"{at}.weight", num_experts, x.shape[2], out_dim))
        if here != "batch":
            x = x + run.parameter(f"{at}.bias", num_experts, out_dim)[:, None, :]
        if here == "batch":
            x = batch_norm(run, f"{at}.norm", x)
        elif here == "layer":
            x = layer_norm(run, f"{at}.norm", x)
        x = run.activation(x)
    run.experts[f"{path}.{name}"] = x
    return x


def linear(run, path, x, out_dim):
    """x W + b for x [B, in]."""
    return x @ run.parameter(f"{path}.weight", x.shape[1], out_dim) + run.parameter(f"{path}.bias", out_dim)


def gate_logits(run, path, x, num_seen):
    """MLP(x) W + b, [B, num_seen]; the MLP has ReLU layers of `gate_dims`, by default none."""
    for layer, out_dim in enumerate(run.config["gate_dims"]):
        x = run.relu(linear(run, f"{path}.hidden.{layer}", x, out_dim))
    return linear(run, path, x, num_seen)


def gate(run, path, x, num_seen):
    """The softmax of the gate's logits, [B, num_seen]."""
    weights = torch.softmax(gate_logits(run, path, x, num_seen), dim=1)
    run.gates[path] = weights
    return weights


def self_gate(run, path, x, num_own):
    """A sigmoid where the set has one expert, a softmax where it has several: [B, num_own]. It has no MLP."""
    scores = linear(run, path, x, num_own)
    weights = torch.sigmoid(scores) if num_own == 1 else torch.softmax(scores, dim=1)
    run.gates[path] = weights
    return weights


def mix(weights, experts):
    """Sum(g, {e}): weights [B, n], a list of expert sets [E_i, B, H] with n experts in all -> [B, H]."""
    return torch.einsum("bn,nbh->bh", weights, torch.cat(experts))


def tower(run, task, x):
    """MLP with ReLU to one logit, the last layer linear: [B]."""
    dims = run.config["tower_dims"]
    for layer, out_dim in enumerate(dims):
        x = run.relu(linear(run, f"task.{task}.tower.{layer}", x, out_dim))
    return linear(run, f"task.{task}.tower.{len(dims)}", x, 1)[:, 0]


def feature_gate(run, path, num_experts, v):
    """The gated input v * FeaGate(v) of one expert set: [B, in], or [E, B, in] with scope = per_expert.

    LoRA_l(v) = v A_l B_l
    after_sigmoid:  FeaGate(v) = sum_l softmax(W v)_l 2 sigmoid(LoRA_l(v))
    before_sigmoid: FeaGate(v) = 2 sigmoid(sum_l softmax(W v)_l LoRA_l(v))
    """
    num_lora, rank, width = run.config["num_lora"], run.config["rank"], v.shape[1]
    lead = (num_experts,) if run.config["feature_gate_scope"] == "per_expert" else ()
    at = f"{path}.feature_gate"
    weight = run.parameter(f"{at}.weight", *lead, width, num_lora)
    lora_a = run.parameter(f"{at}.lora_a", *lead, num_lora, width, rank)
    lora_b = run.parameter(f"{at}.lora_b", *lead, num_lora, rank, width)

    def one(weight, lora_a, lora_b):
        shares = torch.softmax(v @ weight, dim=1)
        loras = torch.stack([v @ lora_a[l] @ lora_b[l] for l in range(num_lora)])
        if run.config["feature_gate_mix"] == "after_sigmoid":
            return torch.einsum("bl,lbd->bd", shares, 2 * torch.sigmoid(loras))
        return 2 * torch.sigmoid(torch.einsum("bl,lbd->bd", shares, loras))

    if lead:
        gates = torch.stack([one(weight[e], lora_a[e], lora_b[e]) for e in range(num_experts)])
    else:
        gates = one(weight, lora_a, lora_b)
    run.feature_gates[at] = gates
    return v * gates


# ------------------------------------------------------------------------------------------------------------ baselines


def logistic(run, v):
    """Logistic regression on numeric inputs: y_t = w_t · v + b_t. (One-hot features reach a model as embedded columns.)"""
    logits = []
    for t in run.tasks:
        weight = run.parameter(f"task.{t}.linear.weight", v.shape[1], 1)
        bias = run.parameter(f"task.{t}.linear.bias", 1)
        logits.append((v * weight[:, 0]).sum(dim=1) + bias)
    return torch.stack(logits, dim=1)


def single_task(run, v):
    """T disjoint models: y_t = Tower_t(MLP_t(v)); v is [T, B, D] where each reads its own."""
    read = v if v.dim() == 3 else v.expand(len(run.tasks), *v.shape)
    h = [expert_set(run, f"task.{t}", 1, own)[0] for t, own in zip(run.tasks, read)]
    return torch.stack([tower(run, t, own) for t, own in zip(run.tasks, h)], dim=1)


def shared_bottom(run, v):
    """y_t = Tower_t(MLP(v))."""
    h = expert_set(run, "shared", 1, v)[0]
    return torch.stack([tower(run, t, h) for t in run.tasks], dim=1)


def omoe(run, v):
    """One gate for all tasks: h = Sum(g(v), {E_n(v)})."""
    num_experts = run.config["num_experts"]
    experts = expert_set(run, "shared", num_experts, v)
    h = mix(gate(run, "shared.gate", v, num_experts), [experts])
    return torch.stack([tower(run, t, h) for t in run.tasks], dim=1)


def mmoe(run, v):
    """One gate per task: h_t = Sum(g_t(v), {E_n(v)})."""
    num_experts = run.config["num_experts"]
    experts = expert_set(run, "shared", num_experts, v)
    h = {t: mix(gate(run, f"task.{t}.gate", v, num_experts), [experts]) for t in run.tasks}
    return torch.stack([tower(run, t, h[t]) for t in run.tasks], dim=1)


def ml_mmoe(run, v):
    """MMoE in levels, every gate reads v; between levels one gate per expert of the next level mixes its input."""
    num_experts, num_levels = run.config["num_experts"], run.config["num_levels"]
    x = v
    for level in range(num_levels):
        experts = expert_set(run, f"level.{level}", num_experts, x)
        if level < num_levels - 1:
            gates = [gate(run, f"level.{level}.gate.{e}", v, num_experts) for e in range(num_experts)]
            x = torch.stack([mix(weights, [experts]) for weights in gates])
    h = {t: mix(gate(run, f"task.{t}.gate", v, num_experts), [experts]) for t in run.tasks}
    return torch.stack([tower(run, t, h[t]) for t in run.tasks], dim=1)


def ple(run, v):
    """CGC in levels: a task's gate sees its own experts, then the shared ones; the shared gate sees all experts."""
    num_own, num_shared, num_levels = (
        run.config[key] for key in ("num_task_experts", "num_shared_experts", "num_levels")
    )
    x = {t: v for t in run.tasks}
    x_shared = v
    for level in range(num_levels):
        own = {t: expert_set(run, f"level.{level}.task.{t}", num_own, x[t]) for t in run.tasks}
        shared = [expert_set(run, f"level.{level}.shared", num_shared, x_shared)] if num_shared else []
        next_x = {
            t: mix(gate(run, f"level.{level}.task.{t}.gate", x[t], num_own + num_shared), [own[t], *shared])
            for t in run.tasks
        }
        if num_shared and level < num_levels - 1:
            num_all = len(run.tasks) * num_own + num_shared
            weights = gate(run, f"level.{level}.shared.gate", x_shared, num_all)
            x_shared = mix(weights, [*(own[t] for t in run.tasks), *shared])
        x = next_x
    return torch.stack([tower(run, t, x[t]) for t in run.tasks], dim=1)


def cgc(run, v):
    """PLE with one level."""
    run.config = run.config | {"num_levels": 1}
    return ple(run, v)


def adatt(run, v):
    """x_t^l = Sum(g_t(x_t^{l-1}), {every expert of the level}) + Sum(a_t, {own experts}), a_t a free vector.

    With `residual = "fixed"`, a_t is the constant 1 where a unit has one expert; where it has several, it is learned.

    The shared unit is one more such unit. Its experts are on every level; its gate and residual are on every level but
    the last, whose shared output nothing would read. Without the shared unit this is AdaTT-sp.
    """
    num_own, num_levels = run.config["num_task_experts"], run.config["num_levels"]
    num_shared = run.config.get("num_shared_experts", 0)
    x = {f"task.{t}": v for t in run.tasks}
    count = dict.fromkeys(x, num_own)
    if num_shared:
        x["shared"], count["shared"] = v, num_shared
    for level in range(num_levels):
        experts = {unit: expert_set(run, f"level.{level}.{unit}", count[unit], x[unit]) for unit in count}
        next_x = {}
        for unit in count:
            if unit == "shared" and level == num_levels - 1:
                continue
            weights = gate(run, f"level.{level}.{unit}.gate", x[unit], sum(count.values()))
            if run.config["residual"] == "fixed" and count[unit] == 1:
                residual = torch.ones(1, dtype=v.dtype)
            else:
                residual = run.parameter(f"level.{level}.{unit}.residual", count[unit])
            next_x[unit] = mix(weights, list(experts.values())) + torch.einsum("n,nbh->bh", residual, experts[unit])
        x = next_x
    return torch.stack([tower(run, t, x[f"task.{t}"]) for t in run.tasks], dim=1)


# ----------------------------------------------------------------------------------------------------------------- HoME


def home(run, v):
    """HoME: meta experts per group, then task experts, each set behind its own feature gate, under a hierarchy mask."""
    config = run.config
    mask, groups = config["mask"], list(run.groups)

    def gated(path, num_experts, x, on):
        """What the experts of a set read, and what its gates read."""
        through = feature_gate(run, path, num_experts, x) if on else x
        return through, (through if config["gate_input"] == "gated" else x)

    # Layer 1: the meta experts.
    on = config["feature_gate"] in ("all", "meta_only")
    names = ["shared", *groups]
    count = {n: config["num_meta_shared_experts" if n == "shared" else "num_meta_group_experts"] for n in names}
    experts, gate_input = {}, {}
    for n in names:
        through, gate_input[n] = gated(f"meta.{n}", count[n], v, on)
        experts[n] = expert_set(run, f"meta.{n}", count[n], through)
    z = {}
    for n in names:
        seen = names if n == "shared" or not mask else ["shared", n]
        weights = gate(run, f"meta.{n}.gate", gate_input[n], sum(count[s] for s in seen))
        z[n] = mix(weights, [experts[s] for s in seen])
        if config["self_gate"]:
            z[n] = z[n] + mix(self_gate(run, f"meta.{n}.self_gate", gate_input[n], count[n]), [experts[n]])

    # Layer 2: the task experts. A set is known by its path.
    on = config["feature_gate"] == "all"
    reads = {"shared": "shared"} | {f"group.{c}": c for c in groups}
    reads |= {f"task.{t}": run.group_of(t) for t in run.tasks}
    count = {path: config[f"num_{path.split('.')[0]}_experts"] for path in reads}
    experts, gate_input = {}, {}
    for path, source in reads.items():
        through, gate_input[path] = gated(path, count[path], z[source], on)
        experts[path] = expert_set(run, path, count[path], through)
    logits = []
    for t in run.tasks:
        own = f"task.{t}"
        seen = ["shared", f"group.{run.group_of(t)}", own] if mask else list(reads)
        both = torch.cat([gate_input[own], gate_input["shared"]], dim=1)
        weights = gate(run, f"{own}.gate", both, sum(count[s] for s in seen))
        h = mix(weights, [experts[s] for s in seen])
        if config["self_gate"]:
            h = h + mix(self_gate(run, f"{own}.self_gate", gate_input[own], count[own]), [experts[own]])
        logits.append(tower(run, t, h))
    return torch.stack(logits, dim=1)


DENSE_MODELS = {
    "logistic": logistic,
    "single_task": single_task,
    "shared_bottom": shared_bottom,
    "omoe": omoe,
    "mmoe": mmoe,
    "ml_mmoe": ml_mmoe,
    "cgc": cgc,
    "ple": ple,
    "adatt_sp": adatt,
    "adatt": adatt,
    "home": home,
}

"""HoME, MMoE and PLE as PyTorch's users write them: `nn.Module`s of `nn.Linear`s, an expert a module, softmax gates.

sparse_models.py has the models that choose experts. `load_weights` fills a model from weights by homebench's variable paths, and
`gradients` has those of a model by them, to check that both sides compute the same.
"""

import torch
from torch import nn


def mlp(input_dim, dims, norm, activation):
    """Linear, norm, activation, for every width; a linear layer before batch norm has no bias, as is usual."""
    layers = []
    for dim in dims:
        layers.append(nn.Linear(input_dim, dim, bias=norm == "none"))
        if norm == "batch":
            layers.append(nn.BatchNorm1d(dim))
        layers.append(nn.SiLU() if activation == "silu" else nn.ReLU())
        input_dim = dim
    return nn.Sequential(*layers)


class Tower(nn.Sequential):
    def __init__(self, input_dim, dims):
        super().__init__(mlp(input_dim, dims, "none", "relu"), nn.Linear(dims[-1] if dims else input_dim, 1))


class Experts(nn.ModuleList):
    """Experts that read the same input; returns a list of [batch, dim]."""

    def __init__(self, config, input_dim, num_experts):
        super().__init__(
            mlp(input_dim, config["expert_dims"], config["norm"], config["activation"]) for _ in range(num_experts)
        )

    def forward(self, x):
        return [expert(x) for expert in self]


def mix(weights, experts):
    """The weighted sum of a list of [batch, dim] with weights [batch, experts]."""
    return sum(weights[:, i : i + 1] * expert for i, expert in enumerate(experts))


class Gate(nn.Module):
    def __init__(self, input_dim, num_seen):
        super().__init__()
        self.linear = nn.Linear(input_dim, num_seen)

    def forward(self, x, experts):
        return mix(torch.softmax(self.linear(x), dim=-1), experts)


class SelfGate(nn.Module):
    def __init__(self, input_dim, num_own):
        super().__init__()
        self.linear = nn.Linear(input_dim, num_own)

    def forward(self, x, experts):
        scores = self.linear(x)
        if len(experts) == 1:
            return torch.sigmoid(scores) * experts[0]
        return mix(torch.softmax(scores, dim=-1), experts)


class FeatureGate(nn.Module):
    def __init__(self, dim, num_lora, rank):
        super().__init__()
        self.mixer = nn.Linear(dim, num_lora, bias=False)
        self.loras = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, dim, bias=False)) for _ in range(num_lora)
        )
        for lora in self.loras:
            nn.init.zeros_(lora[1].weight)

    def forward(self, x):
        weights = torch.softmax(self.mixer(x), dim=-1)
        gate = sum(weights[:, i : i + 1] * torch.sigmoid(lora(x)) for i, lora in enumerate(self.loras))
        return x * (2 * gate)


class Mmoe(nn.Module):
    def __init__(self, config, input_dim):
        super().__init__()
        self.tasks = config["tasks"]
        num_experts, dim = config["num_experts"], config["expert_dims"][-1]
        self.experts = Experts(config, input_dim, num_experts)
        self.gates = nn.ModuleDict({t: Gate(input_dim, num_experts) for t in self.tasks})
        self.towers = nn.ModuleDict({t: Tower(dim, config["tower_dims"]) for t in self.tasks})

    def forward(self, x):
        experts = self.experts(x)
        return torch.cat([self.towers[t](self.gates[t](x, experts)) for t in self.tasks], dim=1)

    def paths(self):
        yield "shared.expert", self.experts
        for t in self.tasks:
            yield f"task.{t}.gate", self.gates[t].linear
            yield f"task.{t}.tower", self.towers[t]


class PleLevel(nn.Module):
    def __init__(self, config, input_dim, last):
        super().__init__()
        self.tasks = config["tasks"]
        own, shared = config["num_task_experts"], config["num_shared_experts"]
        self.task_experts = nn.ModuleDict({t: Experts(config, input_dim, own) for t in self.tasks})
        self.shared_experts = Experts(config, input_dim, shared)
        self.task_gates = nn.ModuleDict({t: Gate(input_dim, own + shared) for t in self.tasks})
        self.shared_gate = None if last else Gate(input_dim, len(self.tasks) * own + shared)

    def forward(self, x, x_shared):
        own = {t: self.task_experts[t](x[t]) for t in self.tasks}
        shared = self.shared_experts(x_shared)
        out = {t: self.task_gates[t](x[t], own[t] + shared) for t in self.tasks}
        if self.shared_gate is None:
            return out, None
        return out, self.shared_gate(x_shared, [e for t in self.tasks for e in own[t]] + shared)


class Ple(nn.Module):
    def __init__(self, config, input_dim):
        super().__init__()
        self.tasks = config["tasks"]
        num_levels, dim = config["num_levels"], config["expert_dims"][-1]
        self.levels = nn.ModuleList(
            PleLevel(config, dim if level else input_dim, level == num_levels - 1) for level in range(num_levels)
        )
        self.towers = nn.ModuleDict({t: Tower(dim, config["tower_dims"]) for t in self.tasks})

    def forward(self, x):
        x, x_shared = {t: x for t in self.tasks}, x
        for level in self.levels:
            x, x_shared = level(x, x_shared)
        return torch.cat([self.towers[t](x[t]) for t in self.tasks], dim=1)

    def paths(self):
        for i, level in enumerate(self.levels):
            yield f"level.{i}.shared.expert", level.shared_experts
            if level.shared_gate is not None:
                yield f"level.{i}.shared.gate", level.shared_gate.linear
            for t in self.tasks:
                yield f"level.{i}.task.{t}.expert", level.task_experts[t]
                yield f"level.{i}.task.{t}.gate", level.task_gates[t].linear
        for t in self.tasks:
            yield f"task.{t}.tower", self.towers[t]


class GatedExperts(nn.Module):
    """A set of experts behind its own feature gate."""

    def __init__(self, config, input_dim, num_experts):
        super().__init__()
        self.feature_gate = FeatureGate(input_dim, config["num_lora"], config["rank"])
        self.experts = Experts(config, input_dim, num_experts)

    def forward(self, x):
        return self.experts(self.feature_gate(x))


class Home(nn.Module):
    def __init__(self, config, input_dim):
        super().__init__()
        self.tasks = config["tasks"]
        self.groups = [group["name"] for group in config["groups"]]
        self.group_of = {t: group["name"] for group in config["groups"] for t in group["tasks"]}
        shared, own = config["num_meta_shared_experts"], config["num_meta_group_experts"]
        dim = config["expert_dims"][-1]

        self.meta_shared = GatedExperts(config, input_dim, shared)
        self.meta_shared_gate = Gate(input_dim, shared + own * len(self.groups))
        self.meta_shared_self_gate = SelfGate(input_dim, shared)
        self.meta = nn.ModuleDict({c: GatedExperts(config, input_dim, own) for c in self.groups})
        self.meta_gates = nn.ModuleDict({c: Gate(input_dim, shared + own) for c in self.groups})
        self.meta_self_gates = nn.ModuleDict({c: SelfGate(input_dim, own) for c in self.groups})

        shared, group, own = (config[f"num_{k}_experts"] for k in ("shared", "group", "task"))
        self.shared = GatedExperts(config, dim, shared)
        self.group = nn.ModuleDict({c: GatedExperts(config, dim, group) for c in self.groups})
        self.task = nn.ModuleDict({t: GatedExperts(config, dim, own) for t in self.tasks})
        self.gates = nn.ModuleDict({t: Gate(2 * dim, shared + group + own) for t in self.tasks})
        self.self_gates = nn.ModuleDict({t: SelfGate(dim, own) for t in self.tasks})
        self.towers = nn.ModuleDict({t: Tower(dim, config["tower_dims"]) for t in self.tasks})

    def forward(self, x):
        shared = self.meta_shared(x)
        own = {c: self.meta[c](x) for c in self.groups}
        z_shared = self.meta_shared_gate(x, shared + [e for c in self.groups for e in own[c]])
        z_shared = z_shared + self.meta_shared_self_gate(x, shared)
        z = {c: self.meta_gates[c](x, shared + own[c]) + self.meta_self_gates[c](x, own[c]) for c in self.groups}

        shared = self.shared(z_shared)
        group = {c: self.group[c](z[c]) for c in self.groups}
        both = {c: torch.cat([z[c], z_shared], dim=1) for c in self.groups}
        logits = []
        for t in self.tasks:
            c = self.group_of[t]
            own = self.task[t](z[c])
            h = self.gates[t](both[c], shared + group[c] + own) + self.self_gates[t](z[c], own)
            logits.append(self.towers[t](h))
        return torch.cat(logits, dim=1)

    def paths(self):
        def gated(path, module):
            yield f"{path}.feature_gate", module.feature_gate
            yield f"{path}.expert", module.experts

        yield from gated("meta.shared", self.meta_shared)
        yield "meta.shared.gate", self.meta_shared_gate.linear
        yield "meta.shared.self_gate", self.meta_shared_self_gate.linear
        for c in self.groups:
            yield from gated(f"meta.{c}", self.meta[c])
            yield f"meta.{c}.gate", self.meta_gates[c].linear
            yield f"meta.{c}.self_gate", self.meta_self_gates[c].linear
            yield from gated(f"group.{c}", self.group[c])
        yield from gated("shared", self.shared)
        for t in self.tasks:
            yield from gated(f"task.{t}", self.task[t])
            yield f"task.{t}.gate", self.gates[t].linear
            yield f"task.{t}.self_gate", self.self_gates[t].linear
            yield f"task.{t}.tower", self.towers[t]


class Embedded(nn.Module):
    """A ranker behind embedding tables, whose rows stand side by side."""

    def __init__(self, ranker, sizes, sparse):
        super().__init__()
        self.ranker = self.forward_ranker = ranker
        self.tables = nn.ModuleList(
            nn.Embedding(sizes["rows"], sizes["width"], sparse=sparse) for _ in range(sizes["count"])
        )

    def forward(self, ids):
        return self.forward_ranker(torch.cat([table(ids[:, i]) for i, table in enumerate(self.tables)], dim=1))

    def paths(self):
        yield from self.ranker.paths()
        for i, table in enumerate(self.tables):
            yield f"embedding.{i}", table


def bindings(model):
    """Every (tensor, rows of it or None, variable path, place in the variable's stack or None) of a model.

    Matrices are transposed there, except for embedding tables.
    """

    def of_linear(linear, path, expert=None):
        yield linear.weight, None, f"{path}.weight", expert
        if linear.bias is not None:
            yield linear.bias, None, f"{path}.bias", expert

    for path, module in model.paths():
        if isinstance(module, nn.Parameter):
            yield module, None, path, None
        elif isinstance(module, nn.ModuleList) and isinstance(module[0], nn.Linear):
            for e, expert in enumerate(module):
                yield from of_linear(expert, path, e)
        elif isinstance(module, Experts):
            for e, expert in enumerate(module):
                linears = [layer for layer in expert if isinstance(layer, nn.Linear)]
                norms = [layer for layer in expert if isinstance(layer, nn.BatchNorm1d)]
                for i, linear in enumerate(linears):
                    yield from of_linear(linear, f"{path}.{i}", e)
                for i, norm in enumerate(norms):
                    for name in ("weight", "bias", "running_mean", "running_var"):
                        yield getattr(norm, name), None, f"{path}.{i}.norm.{name}", e
        elif isinstance(module, nn.Sequential):
            linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
            for i, linear in enumerate(linears):
                yield from of_linear(linear, f"{path}.{i}")
        elif isinstance(module, FeatureGate):
            yield module.mixer.weight, None, f"{path}.weight", None
            for i, lora in enumerate(module.loras):
                yield lora[0].weight, None, f"{path}.lora_a", i
                yield lora[1].weight, None, f"{path}.lora_b", i
        elif isinstance(module, tuple):
            # Some rows of a linear layer that several variables share.
            linear, rows = module
            yield linear.weight, rows, f"{path}.weight", None
            yield linear.bias, rows, f"{path}.bias", None
        else:
            yield from of_linear(module, path)


def tables_of(model):
    """The weights of embedding tables, which lie as they are: their rows are no inputs of a product."""
    return {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}


@torch.no_grad()
def load_weights(model, weights):
    """Fills every parameter and running statistic of `model` from a dictionary by variable path; all must be used."""
    left, tables = set(weights), tables_of(model)
    for tensor, rows, path, expert in bindings(model):
        left.discard(path)
        value = weights[path] if expert is None else weights[path][expert]
        target = tensor if rows is None else tensor[rows]
        target.copy_(value.T if value.dim() == 2 and id(tensor) not in tables else value)
    if left:
        raise ValueError(f"weights that this model has not: {sorted(left)}")


def gradients(model):
    """A dictionary by variable path of the gradients that a backward pass has left, without those of embedding tables."""
    found, tables = {}, tables_of(model)
    for tensor, rows, path, expert in bindings(model):
        if not isinstance(tensor, nn.Parameter) or id(tensor) in tables:
            continue
        # An expert that no row chose was left out of the graph.
        gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        gradient = gradient if rows is None else gradient[rows]
        gradient = gradient.T if gradient.dim() == 2 else gradient
        if expert is None:
            found[path] = gradient.contiguous()
        else:
            found.setdefault(path, []).append(gradient)
    return {path: torch.stack(value) if isinstance(value, list) else value for path, value in found.items()}

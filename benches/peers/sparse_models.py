"""Models of which a row or task runs a few experts, as PyTorch's users write them.

`sparse_mmoe` takes, beside x, `observed` [batch, tasks], which says what pairs of a row and a task count (none: all), and gives the
logits and the balance loss. By `dispatch` the chosen experts run in a loop, each on the rows that chose it (`loop`); on rows that were
gathered for all of them at once (`grouped`); or all of them on all rows, with weights of 0 (`masked`).
"""

import torch
from torch import nn

from models import Experts, Tower, mix


class TaskGates(nn.Linear):
    """The linear gates of all tasks in one product; scores are [batch, tasks, experts]."""

    def __init__(self, input_dim, num_tasks, num_experts):
        super().__init__(input_dim, num_tasks * num_experts)
        self.dims = num_tasks, num_experts

    def forward(self, x):
        return super().forward(x).view(-1, *self.dims)

    def of_task(self, task):
        """The layer and the rows of it that are a task's."""
        _, num_experts = self.dims
        return self, slice(task * num_experts, (task + 1) * num_experts)


class SparseMmoe(nn.Module):
    def __init__(self, config, input_dim, dispatch="loop"):
        super().__init__()
        self.tasks, self.num_experts, self.top_k = config["tasks"], config["num_experts"], config["top_k"]
        self.balance_weight = config["balance_weight"] if config["balance"] == "switch" else 0
        self.dim = config["expert_dims"][-1]
        self.mixed = {"loop": self.loop, "grouped": self.grouped, "masked": self.masked}[dispatch]
        self.experts = Experts(config, input_dim, self.num_experts)
        self.gates = TaskGates(input_dim, len(self.tasks), self.num_experts)
        self.towers = nn.ModuleDict({t: Tower(self.dim, config["tower_dims"]) for t in self.tasks})

    def forward(self, x, observed=None):
        scores = self.gates(x)
        best, chosen = scores.topk(self.top_k, dim=-1)
        mixed = self.mixed(x, torch.softmax(best, dim=-1), chosen, observed)
        logits = torch.cat([self.towers[t](mixed[:, i]) for i, t in enumerate(self.tasks)], dim=1)
        return logits, self.balance(scores, chosen, observed)

    def weights_of_all(self, weights, chosen, observed):
        """[batch, tasks, experts], 0 where an expert is not chosen."""
        if observed is not None:
            weights = weights * observed.unsqueeze(-1)
        return weights.new_zeros(*weights.shape[:2], self.num_experts).scatter(-1, chosen, weights)

    def loop(self, x, weights, chosen, observed):
        weights = self.weights_of_all(weights, chosen, observed)
        pairs, of_pairs = len(x) * len(self.tasks), weights.view(-1, self.num_experts)
        mixed = x.new_zeros(pairs, self.dim)
        for e, expert in enumerate(self.experts):
            # A row runs an expert once, however many of its tasks chose it.
            places = torch.nonzero(of_pairs[:, e]).squeeze(1)
            rows, of_row = torch.unique_consecutive(places // len(self.tasks), return_inverse=True)
            outputs = expert(x.index_select(0, rows)).index_select(0, of_row)
            mixed.index_add_(0, places, outputs * of_pairs[:, e].index_select(0, places).unsqueeze(1))
        return mixed.view(len(x), len(self.tasks), self.dim)

    def grouped(self, x, weights, chosen, observed):
        weights, chosen = weights.flatten(0, 1), chosen.flatten(0, 1)
        pairs = torch.arange(len(chosen), device=x.device)
        if observed is not None:
            pairs = observed.flatten().nonzero().squeeze(1)
            weights, chosen = weights.index_select(0, pairs), chosen.index_select(0, pairs)
        # Rows of the first expert, then of the second.
        places = (chosen * len(x) + (pairs // len(self.tasks)).unsqueeze(1)).flatten()
        ran = torch.zeros(self.num_experts * len(x), dtype=torch.bool, device=x.device)
        ran[places] = True
        counts = ran.view(self.num_experts, -1).sum(dim=1).tolist()
        gathered = x.index_select(0, ran.nonzero().squeeze(1) % len(x)).split(counts)
        outputs = torch.cat([expert(rows) for expert, rows in zip(self.experts, gathered)])
        outputs = outputs.index_select(0, (ran.cumsum(0) - 1).index_select(0, places)).view(*weights.shape, self.dim)
        mixed = (outputs * weights.unsqueeze(2)).sum(dim=1)
        if observed is not None:
            mixed = mixed.new_zeros(observed.numel(), self.dim).index_add(0, pairs, mixed)
        return mixed.view(len(x), len(self.tasks), self.dim)

    def masked(self, x, weights, chosen, observed):
        weights, outputs = self.weights_of_all(weights, chosen, observed), self.experts(x)
        return torch.stack([mix(weights[:, t], outputs) for t in range(len(self.tasks))], dim=1)

    def balance(self, scores, chosen, observed):
        """E sum_e f_e P_e: the share of the choices that fell on e, which has no gradient, times e's mean probability."""
        if not (self.training and self.balance_weight):
            return None
        if observed is None:
            observed = scores.new_ones(scores.shape[:2])
        counted = observed.unsqueeze(-1)
        fell_on = scores.new_zeros(self.num_experts).index_add(0, chosen.flatten(), counted.expand_as(chosen).flatten())
        pairs = observed.sum()
        means = (torch.softmax(scores, dim=-1) * counted).sum(dim=(0, 1)) / pairs
        return self.balance_weight * self.num_experts * (fell_on / (pairs * self.top_k) * means).sum()

    def paths(self):
        yield "shared.expert", self.experts
        for i, t in enumerate(self.tasks):
            yield f"task.{t}.gate", self.gates.of_task(i)
            yield f"task.{t}.tower", self.towers[t]


class SwitchBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.top_k = config["hidden_dim"], config["top_k"]
        self.gate = nn.Linear(config["task_dim"], config["num_experts"])
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(config["num_experts"]))
        self.norm = nn.LayerNorm(width)
        layers = []
        for dim in config["block_dims"]:
            layers += [nn.Linear(width, dim), nn.ReLU()]
            width = dim
        self.hidden = nn.Sequential(*layers, nn.Linear(width, config["hidden_dim"]))

    def forward(self, h, embedding):
        probabilities = torch.softmax(self.gate(nn.functional.silu(embedding)), dim=-1)
        best, chosen = probabilities.topk(self.top_k)
        weights = torch.zeros_like(probabilities).scatter(0, chosen, best)
        mask = 1 + sum(weights[j] * expert(h) for j, expert in enumerate(self.experts))
        masked = mask * h
        return masked + self.hidden(self.norm(masked)) + (1 - mask) * h


class Switch(nn.Module):
    """A pass for each task, in which every expert runs by itself."""

    def __init__(self, config, input_dim):
        super().__init__()
        self.tasks = config["tasks"]
        width = config["hidden_dim"]
        self.input = nn.Linear(input_dim, width)
        self.embeddings = nn.ParameterDict({t: nn.Parameter(torch.randn(config["task_dim"])) for t in self.tasks})
        self.blocks = nn.ModuleList(SwitchBlock(config) for _ in range(config["num_blocks"]))
        self.towers = nn.ModuleDict({t: Tower(width, config["tower_dims"]) for t in self.tasks})

    def of_task(self, x, task):
        h = self.input(x)
        for block in self.blocks:
            h = block(h, self.embeddings[task])
        return self.towers[task](h)

    def forward(self, x):
        return torch.cat([self.of_task(x, t) for t in self.tasks], dim=1)

    def paths(self):
        yield "shared.input", self.input
        for i, block in enumerate(self.blocks):
            yield f"level.{i}.shared.gate", block.gate
            yield f"level.{i}.shared.expert", block.experts
            yield f"level.{i}.shared.block.norm", block.norm
            yield f"level.{i}.shared.block", block.hidden
        for t in self.tasks:
            yield f"task.{t}.embedding", self.embeddings[t]
            yield f"task.{t}.tower", self.towers[t]

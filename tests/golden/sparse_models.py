"""Models that mix a few experts of many per row and task, chosen by the row and task, in plain PyTorch.

Shapes: B rows, T tasks, E experts; N observed pairs of a row and a task. Logits, choices and weights are [B, T, E]. All
experts are computed for all rows, as in a dense model; the others' weights are 0. So batch norm sees every row.
"""

import math

import torch
import torch.nn.functional as F

from balance import balance_loss, entropy, switch_balance
from reference_models import expert_set, gate_logits, linear, tower


def top_k(run, scores, k, banned=None):
    """The k largest scores of each row [.., E], as booleans; of equal ones the first. `banned` ones are never chosen.

    Remembers the smallest distance between the last one chosen and the first one left.
    """
    if banned is not None:
        scores = scores.masked_fill(banned, -torch.inf)
    ordered, order = torch.sort(scores.detach(), dim=-1, descending=True, stable=True)
    if 0 < k < scores.shape[-1]:
        run.choice_margin = min(run.choice_margin, (ordered[..., k - 1] - ordered[..., k]).min().item())
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order[..., :k], True)


def chosen_softmax(logits, chosen):
    """exp z_e / sum of exp z_j over the chosen j; 0 for the others."""
    return torch.softmax(logits.masked_fill(~chosen, -torch.inf), dim=-1)


def observed_pairs(run, logits):
    """Booleans [B, T]; every pair where there is no mask."""
    return torch.ones_like(logits[..., 0], dtype=torch.bool) if run.observed is None else run.observed.bool()


def record(run, weights, chosen=None, normalised=True):
    """What a case file says about the mix: all tasks' choices and weights, and each task's weights as its gate."""
    run.seen["weights"] = weights
    if chosen is not None:
        run.seen["chosen"] = chosen.to(weights.dtype)
    for t, name in enumerate(run.tasks):
        run.gates[f"task.{name}.gate"] = weights[:, t]
        if not normalised:
            run.unnormalised.add(f"task.{name}.gate")


def towers(run, mixed):
    """The tasks' towers on [B, T, H]."""
    return torch.stack([tower(run, name, mixed[:, t]) for t, name in enumerate(run.tasks)], dim=1)


# --------------------------------------------------------------------------------------------------------- sparse_mmoe


def sparse_mmoe(run, v):
    """MMoE whose tasks mix a few experts of each row: h_t = sum_e w_te E_e(v) (+ the experts that are always on)."""
    config = run.config
    num_experts, num_always = config["num_experts"], config["num_shared_experts"]
    experts = expert_set(run, "shared", num_experts, v)
    weights = dselect_k(run, v) if config["gate"] == "dselect_k" else top_k_gate(run, v)
    mixed = torch.einsum("bte,ebh->bth", weights, experts)
    if num_always:
        mixed = mixed + expert_set(run, "always", num_always, v).sum(dim=0)[:, None, :]
    return towers(run, mixed)


def top_k_gate(run, v):
    """The weights [B, T, E] of the top-k gate; in training also its balance loss.

    z~ = z + n s in training, z in evaluation; the choice and the weights are made from z~.
    """
    config = run.config
    k = config["top_k"]
    clean = sparse_logits(run, v)
    noisy, scale = clean, None
    if run.train and config["gate_noise"] != "none":
        scale = noise_scale(run, v, clean)
        noisy = clean + run.noise * scale
    chosen = top_k(run, noisy, k)
    probabilities = torch.softmax(noisy, dim=-1)
    renormalised = config["gate_weights"] == "renormalised"
    weights = chosen_softmax(noisy, chosen) if renormalised else probabilities * chosen
    record(run, weights, chosen, renormalised)
    if run.train and config["balance"] != "none":
        likely = chance_of_choice(run, clean, noisy, scale, k) if config["balance"] == "load" else None
        run.auxiliary = balance_loss(
            config["balance"], config["balance_over"], observed_pairs(run, clean), chosen, probabilities, weights, likely
        )
    return weights


def sparse_logits(run, v):
    """The gate's logits [B, T, E] before any noise."""
    config = run.config
    reads, num_experts = config["gate_reads"], config["num_experts"]
    num_rows, width = v.shape
    if reads == "per_task":
        return torch.stack([gate_logits(run, f"task.{t}.gate", v, num_experts) for t in run.tasks], dim=1)
    if reads == "row_only":
        return gate_logits(run, "shared.gate", v, num_experts)[:, None, :].expand(-1, len(run.tasks), -1)
    task_dim = config["task_dim"]
    embeddings = [run.parameter(f"task.{t}.embedding", task_dim).expand(num_rows, task_dim) for t in run.tasks]
    if reads == "row_and_task":
        each = [gate_logits(run, "shared.gate", torch.cat([v, e], dim=1), num_experts) for e in embeddings]
    elif reads == "row_times_task":
        of_row = v @ run.parameter("shared.gate.row", width, config["gate_rank"])
        of_task = run.parameter("shared.gate.task", task_dim, config["gate_rank"])
        each = [linear(run, "shared.gate", of_row * (e @ of_task), num_experts) for e in embeddings]
    else:
        assert reads == "task_only"
        each = [linear(run, "shared.gate", e, num_experts) for e in embeddings]
    return torch.stack(each, dim=1)


def noise_scale(run, v, logits):
    """s, by which the normal draws are multiplied, as [B, T, E]."""
    config = run.config
    if config["gate_noise"] == "fixed":
        return torch.full_like(logits, config["gate_noise_std"])
    shape = v.shape[1], config["num_experts"]
    if config["gate_reads"] == "per_task":
        paths = [f"task.{t}.gate.noise" for t in run.tasks]
    else:
        paths = ["shared.gate.noise"] * len(run.tasks)
    return torch.stack([F.softplus(v @ run.parameter(path, *shape)) for path in paths], dim=1)


def chance_of_choice(run, clean, noisy, scale, k):
    """q_e = Phi((z_e - m_e) / s_e): how likely new noise of expert e alone would have it chosen.

    m_e is the k-th largest z~ among the other experts, a constant: the gradient reaches q through z and s.
    """
    num_experts = noisy.shape[-1]
    others = ~torch.eye(num_experts, dtype=torch.bool)
    rivals = torch.stack([noisy[..., others[e]].topk(k, dim=-1).values[..., -1] for e in range(num_experts)], dim=-1)
    rivals = run.constant("rivals", rivals)
    return 0.5 * (1 + torch.erf((clean - rivals) / scale / math.sqrt(2)))


# ----------------------------------------------------------------------------------------------------------- DSelect-k


def smooth_step(t):
    """0 up to -1/2, 1 from 1/2, and the cubic between them that has no kink (gamma = 1)."""
    return torch.where(t <= -0.5, 0.0, torch.where(t >= 0.5, 1.0, -2 * t**3 + 1.5 * t + 0.5))


def code_products(a, num_experts):
    """r[.., e] = prod_j (a_j where bit j of e is set, else 1 - a_j), for a [.., m]; codes of no expert are left out."""
    codes = torch.arange(num_experts)[:, None] >> torch.arange(a.shape[-1]) & 1
    return torch.where(codes.bool(), a[..., None, :], 1 - a[..., None, :]).prod(dim=-1)


def dselect_k(run, v):
    """The weights [B, T, E]: k selectors, each all but one-hot over the experts, mixed by a softmax."""
    config = run.config
    num_experts, k = config["num_experts"], config["top_k"]
    num_bits = (num_experts - 1).bit_length()
    products, weights = [], []
    for t in run.tasks:
        selector = run.parameter(f"task.{t}.gate.selector", v.shape[1], k * num_bits)
        omega = run.parameter(f"task.{t}.gate.weight", v.shape[1], k)
        scores = (v @ selector).reshape(-1, k, num_bits)
        # The step's second derivative jumps there.
        run.kink_distance = min(run.kink_distance, (scores.detach().abs() - 0.5).abs().min().item())
        products.append(code_products(smooth_step(scores), num_experts))
        weights.append(torch.einsum("bi,bie->be", torch.softmax(v @ omega, dim=1), products[-1]))
    weights = torch.stack(weights, dim=1)
    # The products of 5 codes of 8 need not sum to 1.
    record(run, weights, normalised=num_experts == 2**num_bits)
    if run.train and config["balance"] != "none":
        products = torch.stack(products, dim=1)  # [B, T, k, E]
        run.auxiliary = dselect_regulariser(run, products[observed_pairs(run, weights)])
    return weights


def dselect_regulariser(run, products):
    """The mean over pairs and selectors of r's entropy; and of 1 / sum_e r where there are codes of no expert. [N, k, E]."""
    value = entropy(products).mean()
    num_experts = products.shape[-1]
    if num_experts & (num_experts - 1):
        sums = products.sum(dim=-1)
        run.smallest_divisor = min(run.smallest_divisor, sums.min().item())
        value = value + (1 / sums).mean()
    return value


# ---------------------------------------------------------------------------------------------------------------- smes


def smes(run, v):
    """Experts for the row, chosen by all tasks together, then private ones of each task among the rest.

    p_t = softmax(r_t(F(v))); s = mean_t p_t; S = top-k of s; A_t = top-k of p_t outside S; w_t = p_t over S and A_t,
    made to sum to 1.
    """
    config = run.config
    num_experts = config["num_experts"]
    for layer, out_dim in enumerate(config["encoder_dims"]):
        v = run.relu(linear(run, f"shared.encoder.{layer}", v, out_dim))
    experts = expert_set(run, "shared", num_experts, v)
    logits = torch.stack([linear(run, f"task.{t}.gate", v, num_experts) for t in run.tasks], dim=1)
    probabilities = torch.softmax(logits, dim=-1)
    shared = top_k(run, probabilities.mean(dim=1), config["shared_k"])[:, None, :].expand_as(logits)
    private = top_k(run, logits, config["private_k"], banned=shared)
    chosen = shared | private
    weights = chosen_softmax(logits, chosen)
    record(run, weights, chosen)
    if run.train and config["balance"] != "none":
        pairs = observed_pairs(run, logits)
        run.auxiliary = switch_balance(chosen[pairs], probabilities[pairs])
    return towers(run, torch.einsum("bte,ebh->bth", weights, experts))


SPARSE_MODELS = {"sparse_mmoe": sparse_mmoe, "smes": smes}

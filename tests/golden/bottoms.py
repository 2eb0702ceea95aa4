"""Interactions of features before a model, in plain PyTorch: fm, dcn_v2 and autoint, each from v [B, D] to v' [B, D'].

- fm: He and Chua, "Neural factorization machines", arXiv:1708.05027, equation 4, beside v itself.
- dcn_v2: Wang et al., "DCN V2", arXiv:2008.13535, equations 1 and 2, stacked: the model reads the last layer.
- autoint: Song et al., "AutoInt", arXiv:1810.11921, equations 4 to 8.
"""

import torch

# Each task its own bottom, since it shares nothing with the others.
SEPARATE = {"single_task"}


def before_model(run, v):
    """What the model reads in place of v: v where it has no bottom; [T, B, D'] where each task has its own."""
    kind = run.config.get("bottom", "none")
    if kind == "none":
        return v
    if run.config["model"] in SEPARATE:
        read = torch.stack([BOTTOMS[kind](run, f"task.{t}.bottom", v) for t in run.tasks])
    else:
        read = BOTTOMS[kind](run, "bottom", v)
    run.seen["bottom"] = read
    return read


def fields(run, path, v):
    """The vectors of the features [B, M, d]: columns of tables as they are, x_n V_n of a numeric one."""
    widths = [feature["width"] for feature in run.config["features"]]
    columns = torch.split(v, widths, dim=1)
    num_embedded, start = 0, 0
    while start < run.config["num_embedded"]:
        start += widths[num_embedded]
        num_embedded += 1
    assert start == run.config["num_embedded"] and set(widths[num_embedded:]) <= {1}
    vectors, num_numeric = list(columns[:num_embedded]), len(widths) - num_embedded
    if num_numeric:
        width = widths[0] if num_embedded else run.config["embedding_dim"]
        scaled = run.parameter(f"{path}.numeric.weight", num_numeric, width)
        vectors += [columns[num_embedded + n] * scaled[n] for n in range(num_numeric)]
    return torch.stack(vectors, dim=1)


def fm(run, path, v):
    """v beside the sum over pairs of features of e_i * e_j, pair by pair."""
    e = fields(run, path, v)
    pairs = [e[:, i] * e[:, j] for j in range(e.shape[1]) for i in range(j)]
    return torch.cat([v, sum(pairs, torch.zeros_like(e[:, 0]))], dim=1)


def dcn_v2(run, path, v):
    """x_{l+1} = x_0 * (x_l W_l + b_l) + x_l, with W_l = A_l C_l where there is a rank."""
    width, rank = v.shape[1], run.config["cross_rank"]
    x = v
    for layer in range(run.config["cross_layers"]):
        at = f"{path}.cross.{layer}"
        if rank:
            product = run.parameter(f"{at}.down.weight", width, rank) @ run.parameter(f"{at}.up.weight", rank, width)
            bias = run.parameter(f"{at}.up.bias", width)
        else:
            product, bias = run.parameter(f"{at}.weight", width, width), run.parameter(f"{at}.bias", width)
        x = v * (x @ product + bias) + x
    return x


def autoint(run, path, v):
    """Features attend to features, head by head: relu(sum_k a_mk Wv e_k + Wr e_m), layer by layer."""
    e = fields(run, path, v)
    num_heads, width = run.config["attention_heads"], run.config["attention_dim"]
    for layer in range(run.config["attention_layers"]):
        weights = {
            name: run.parameter(f"{path}.attention.{layer}.{name}.weight", e.shape[2], num_heads * width)
            for name in ("query", "key", "value", "residual")
        }
        heads = []
        for head in range(num_heads):
            at = slice(head * width, (head + 1) * width)
            query, key, value = (e @ weights[name][:, at] for name in ("query", "key", "value"))
            shares = torch.softmax(torch.einsum("bmd,bkd->bmk", query, key), dim=2)
            heads.append(torch.einsum("bmk,bkd->bmd", shares, value))
        e = run.relu(torch.cat(heads, dim=2) + e @ weights["residual"])
    return torch.cat(e.unbind(dim=1), dim=1)


BOTTOMS = {"fm": fm, "dcn_v2": dcn_v2, "autoint": autoint}

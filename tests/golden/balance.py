"""Losses that keep the experts of a sparse model in use. N pairs of a row and a task, E experts."""

import torch


def balance_loss(kind, over, observed, chosen, probabilities, weights, likely):
    """The balance loss of one kind over the observed pairs [B, T], or the mean of those of each task's pairs alone."""
    if kind == "mutual_info":
        return mutual_info(probabilities, observed)

    def of(pairs):
        if kind == "switch":
            return switch_balance(chosen[pairs], probabilities[pairs])
        return squared_variation({"importance": weights, "load": likely}[kind][pairs].sum(dim=0))

    if over == "all":
        return of(observed)
    # A task without an observed row has no loss of its own.
    each = [of(observed & only(observed, t)) for t in range(observed.shape[1]) if observed[:, t].any()]
    return torch.stack(each).mean()


def only(pairs, task):
    """Booleans like `pairs` [B, T], true for one task."""
    return (torch.arange(pairs.shape[1]) == task).expand_as(pairs)


def switch_balance(chosen, probabilities):
    """E sum_e f_e P_e over pairs [N, E]: f the share of the choices that fell on e, P the mean probability.

    f is a constant, P carries the gradient.
    """
    share = chosen.to(probabilities.dtype).sum(dim=0) / chosen.sum()
    return probabilities.shape[1] * (share * probabilities.mean(dim=0)).sum()


def squared_variation(total):
    """The population variance of [E] by the mean's square."""
    return ((total - total.mean()) ** 2).mean() / total.mean() ** 2


def entropy(p):
    """Sum -p ln p over the last axis; 0 where p is 0, in the gradient too."""
    positive = p > 0
    safe = torch.where(positive, p, 1.0)
    return -torch.where(positive, safe * torch.log(safe), 0.0).sum(dim=-1)


def mutual_info(probabilities, observed):
    """-(H(mean_t p_t) - mean_t H(p_t)), p_t the mean over the observed rows of task t; tasks without one are left out."""
    each = [probabilities[observed[:, t], t].mean(dim=0) for t in range(observed.shape[1]) if observed[:, t].any()]
    tasks = torch.stack(each)
    return -(entropy(tasks.mean(dim=0)) - entropy(tasks).mean())

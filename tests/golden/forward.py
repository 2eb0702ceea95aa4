"""Every model by name: its logits, and the loss of a training pass."""

import torch.nn.functional as F

from bottoms import before_model
from chain_models import CHAIN_MODELS
from cross_stitch_model import cross_stitch
from pad_net_model import pad_net
from personal_models import PERSONAL_MODELS
from reference_models import DENSE_MODELS, Run
from scenario_models import SCENARIO_MODELS
from sparse_models import SPARSE_MODELS
from switch_model import switch
from task_expert_model import task_expert

OTHER_MODELS = {"switch": switch, "task_expert": task_expert, "cross_stitch": cross_stitch, "pad_net": pad_net}
MODELS = DENSE_MODELS | SPARSE_MODELS | OTHER_MODELS | PERSONAL_MODELS | CHAIN_MODELS | SCENARIO_MODELS


def forward(config, parameters, x, train, create=None, **given):
    """Logits [B, T] and the run that made them. `given`: `observed`, `noise`, `labels`, `constants`, of a training pass, and
    `scenarios`, of any."""
    run = Run(config, parameters, train, create, **given)
    return MODELS[config["model"]](run, before_model(run, x)), run


def loss(run, logits, labels):
    """The sum of the tasks' losses, and the auxiliary loss times its weight."""
    total = task_losses(logits, labels, run.observed)
    if run.first is not None:
        run.auxiliary = task_losses(run.first, labels, run.observed)
    if run.auxiliary is not None:
        total = total + auxiliary_weight(run.config) * run.auxiliary
    return total


def task_losses(logits, labels, observed=None):
    """The sum over tasks of the mean binary cross-entropy over the task's observed rows; without such rows it is 0."""
    losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    if observed is None:
        return losses.mean(dim=0).sum()
    return ((losses * observed).sum(dim=0) / observed.sum(dim=0).clamp(min=1)).sum()


def auxiliary_weight(config):
    names = {"switch": "prior_weight", "aitm": "calibrator_weight", "escm2": "counterfactual_weight", "pad_net": "deep_supervision"}
    return config[names.get(config["model"], "balance_weight")]

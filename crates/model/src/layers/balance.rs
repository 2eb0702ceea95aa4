//! What evens out the experts of a sparse model: the loss that its knobs say.

use super::sparse_gates::StepRoutes;
use crate::ModelError;
use crate::knobs::Knobs;
use candle_core::{Result, Tensor};
use homebench_kernels::sparse::{Balance, BalanceLoss, Routing, load_loss, selector_entropy};

/// A loss that keeps experts in use.
pub(crate) struct BalanceConfig {
    kind: BalanceKind,
    pub(crate) weight: f64,
}

enum BalanceKind {
    OfLogits(BalanceLoss),
    Load { per_task: bool },
    Selectors,
}

/// Whether the gates' logits get a gradient. Of one chosen expert whose renormalised weight is the constant 1 none comes through
/// the experts, and noise has none of its own: a balance has to give it, by other numbers than that weight.
pub(crate) fn gates_learn(routing: &Routing, balance: Option<&BalanceConfig>) -> bool {
    let reads_weights = |balance: &BalanceConfig| matches!(balance.kind, BalanceKind::OfLogits(loss) if loss.balance == Balance::Importance);
    !routing.has_constant_weights() || balance.is_some_and(|balance| !reads_weights(balance))
}

impl BalanceConfig {
    /// What `balance`, `balance_weight` and `balance_over` say; none where its weight is 0.
    pub(crate) fn new(
        knobs: &Knobs,
        routing: &Routing,
    ) -> std::result::Result<Option<Self>, ModelError> {
        let balance = knobs.choice("balance");
        let per_task = knobs.choice("balance_over") == "task";
        let refuse = |message: &str| Err(ModelError::knob("balance", message));
        let kind = match (knobs.choice("gate"), balance) {
            (_, "none") => return Ok(None),
            ("dselect_k", "switch") => BalanceKind::Selectors,
            ("dselect_k", _) => {
                return refuse(
                    "DSelect-k has a loss of its own, the entropy of its selectors, which \"switch\" stands for; \
                     use that or \"none\"",
                );
            }
            (_, "load") if knobs.choice("gate_noise") == "none" => {
                return refuse(
                    "the load is a probability over noise; set gate_noise too, or use \"switch\"",
                );
            }
            (_, "load") if routing.experts_per_pair() == routing.num_experts => {
                return refuse(
                    "the load of experts that are all chosen can't change; lower top_k, or use \"none\"",
                );
            }
            (_, "load") => BalanceKind::Load { per_task },
            (_, "mutual_info") if per_task => {
                return Err(ModelError::knob(
                    "balance_over",
                    "mutual information is of all tasks together; use balance_over = \"all\"",
                ));
            }
            (_, balance) => BalanceKind::OfLogits(BalanceLoss {
                balance: match balance {
                    "importance" => Balance::Importance,
                    "mutual_info" => Balance::MutualInformation,
                    _ => Balance::Switch,
                },
                per_task,
            }),
        };
        Ok(Self::with_weight(kind, knobs))
    }

    /// Switch's loss over all tasks, where `balance` says so.
    pub(crate) fn switch(knobs: &Knobs) -> Option<Self> {
        let loss = BalanceLoss {
            balance: Balance::Switch,
            per_task: false,
        };
        match knobs.choice("balance") {
            "none" => None,
            _ => Self::with_weight(BalanceKind::OfLogits(loss), knobs),
        }
    }

    fn with_weight(kind: BalanceKind, knobs: &Knobs) -> Option<Self> {
        let weight = knobs.number("balance_weight");
        (weight > 0.0).then_some(Self { kind, weight })
    }

    pub(crate) fn loss(
        &self,
        routing: &Routing,
        routes: &StepRoutes,
        observed: Option<&Tensor>,
    ) -> Result<Tensor> {
        let missing =
            || candle_core::Error::Msg("a balance loss needs the gates' logits".to_owned());
        let noisy = routes.noisy.as_ref().ok_or_else(missing)?;
        match self.kind {
            BalanceKind::OfLogits(loss) => loss.forward(routing, noisy, observed),
            BalanceKind::Load { per_task } => {
                let clean = routes.clean.as_ref().ok_or_else(missing)?;
                let deviations = routes.deviations.as_ref().ok_or_else(missing)?;
                load_loss(routing, clean, deviations, noisy, observed, per_task)
            }
            BalanceKind::Selectors => {
                let shares = routes.shares.as_ref().ok_or_else(missing)?;
                selector_entropy(shares, observed)
            }
        }
    }
}

//! ESMM: the probability of a task is that of the task before it times its own, over all rows.
//!
//! Source: Ma et al., "Entire space multi-task model: an effective approach for estimating post-click conversion rate", SIGIR 2018,
//! arXiv:1804.07931: `p_ctcvr = p_ctr p_cvr`, with losses of p_ctr and of p_ctcvr over all rows, and none of p_cvr, which only rows with
//! a click could have. Every task has a network of its own on shared tables.
//!
//! Chains of more than two tasks multiply on, as in ESM² (arXiv:1910.07099) without its micro and macro behaviours.
//!
//! # Shapes
//! - v: [B, D]; the networks: [T, B, H]; own logits z and those of the products y: [B, T]
//! - result: [B, T]

use super::task_networks::TaskNetworks;
use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knobs, expert_knobs};
use crate::layers::{Chains, logit_of_product};
use crate::ranker::{BuildContext, Ranker, Trace};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};

pub(super) const ESMM: Architecture = Architecture {
    name: "esmm",
    title: "ESMM: products of probabilities along a chain, over all rows",
    paper: "arXiv:1804.07931",
    equation: "p_t = p_before(t) sigmoid(Tower_t(MLP_t(v))), without the first factor where nothing comes before; y_t = logit(p_t)",
    knobs: || expert_knobs("none", "relu").to_vec(),
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

struct Esmm {
    networks: TaskNetworks,
    chains: Chains,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let chains = Chains::new(ESMM.name, context)?;
    let networks = TaskNetworks::new(true, knobs, context, vb)?;
    Ok(Box::new(Esmm { networks, chains }))
}

impl Ranker for Esmm {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let hidden = self.networks.hidden(xs, train, trace)?;
        let own = self.networks.towers.forward_t(&hidden, train)?;
        let logits = self
            .chains
            .along(&own.t()?.contiguous()?, logit_of_product)?;
        logits.t()?.contiguous()
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.networks.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.networks.flops_per_row()
    }
}

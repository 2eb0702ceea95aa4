//! Shared-bottom: `y_t = Tower_t(MLP(v))`.
//!
//! Source: Caruana, "Multitask learning", 1997; the baseline of the MMoE paper (doi 10.1145/3219819.3220007).
//!
//! # Shapes
//! - v: [B, D]; the bottom: [1, B, H]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knobs, expert_knobs};
use crate::layers::{ExpertConfig, Towers};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, Ranker, StepOutput, Trace, TrainingPass};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const SHARED_BOTTOM: Architecture = Architecture {
    name: "shared_bottom",
    title: "Shared-bottom",
    paper: "Caruana 1997; baseline of doi 10.1145/3219819.3220007",
    equation: "y_t = Tower_t(MLP(v))",
    knobs: || expert_knobs("none", "relu").to_vec(),
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

struct SharedBottom {
    set: Part,
    bottom: StackedMlp,
    towers: Towers,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    // The bottom is an expert like others: MMoE of one expert is this model, its gates being always 1.
    let config = ExpertConfig::from_knobs(knobs);
    let set = Place::shared().part(PartKind::Experts, 0);
    let sources = vec![0; context.layout.tasks.len()];
    let towers = Towers::new(knobs, context, config.output_dim(), sources, vb)?;
    Ok(Box::new(SharedBottom {
        bottom: config.build(context.input_dim, &[(vb.part(&set), 1)], vec![0])?,
        flops_per_row: config.flops_per_row(context.input_dim) + towers.flops_per_row(),
        towers,
        set,
    }))
}

impl SharedBottom {
    fn hidden(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let hidden = self.bottom.forward_t(xs, train)?;
        if let Some(trace) = trace {
            trace.push_experts(&self.set, &hidden);
        }
        Ok(hidden)
    }
}

impl Ranker for SharedBottom {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let hidden = self.hidden(xs, train, trace)?;
        self.towers.forward_t(&hidden, train)
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let hidden = pass.represent(self.hidden(xs, true, trace)?)?;
        Ok(StepOutput {
            logits: self.towers.forward_t(&hidden, true)?,
            auxiliary: None,
            first: None,
        })
    }

    fn has_representation(&self) -> bool {
        true
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

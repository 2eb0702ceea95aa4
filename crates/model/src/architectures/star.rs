//! STAR: a star of networks, whose weights are those of all scenarios times those of the row's.
//!
//! Source: Sheng et al., "One model to serve all: star topology adaptive recommender for multi-domain CTR prediction", CIKM 2021,
//! arXiv:2101.11427. `h^l = act(h^{l-1} (W * W_s) + b + b_s)` of a row of scenario s, behind partitioned normalisation, and an auxiliary
//! network whose logit is added: its input has the scenario's embedding, which so reaches the prediction by a short way.
//!
//! The paper has one task. Here tasks share the layers of `expert_dims` and have towers of their own, every layer a star layer too: with
//! one task this is the paper's network. The auxiliary network is one for all tasks, with a logit for each.
//!
//! Deviation: batches hold rows of all scenarios, where the paper draws each from one; statistics are by scenario all the same. What becomes
//! of a scenario with one row, and of rows of none, is said at `PartitionedNorm`.
//!
//! # Shapes
//! - v: [B, D]; `h^l`: [1, B, H_l]; a tower: [T, B, width]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, TOWER_DIMS, expert_knobs};
use crate::layers::{PartitionedNorm, StarNetworks, plain_networks, product_flops};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, Ranker, StepOutput, Trace, TrainingPass};
use crate::registry::Architecture;
use crate::scenario::{RowScenarios, ScenarioRows};
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::{Activation, StackedMlp};

pub(super) const STAR: Architecture = Architecture {
    name: "star",
    title: "STAR: a star of networks by scenario",
    paper: "arXiv:2101.11427",
    equation: "h^l = act(h^{l-1} (W^l * W_s^l) + b^l + b_s^l), h^0 = PN_s(v); y_t = StarTower_t(h^L) + Aux(v)_t",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: Some(
        "it normalises the input itself by scenario, and its auxiliary network reads the scenario's embedding there",
    ),
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    // Without norms: the one of this model is by scenario, and of the input.
    let [expert_dims, .., activation] = expert_knobs("none", "relu");
    vec![
        expert_dims,
        TOWER_DIMS,
        activation,
        Knob::flag(
            "partitioned_norm",
            true,
            "whether the input is normalised, by the statistics of its scenario's rows",
        ),
        Knob::flag(
            "auxiliary",
            true,
            "whether a small network of the input adds to every logit",
        ),
        Knob::widths(
            "auxiliary_dims",
            true,
            &[16],
            "widths of the hidden layers of that network; a linear layer to a logit a task follows",
        ),
    ]
}

struct Star {
    scenarios: RowScenarios,
    norm: Option<PartitionedNorm>,
    set: Part,
    bottom: StarNetworks,
    towers: StarNetworks,
    auxiliary: Option<StackedMlp>,
    features: FeatureTap,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let scenarios = RowScenarios::new("star", context)?;
    let (count, tasks) = (scenarios.num_scenarios(), &context.layout.tasks);
    let shared = vb.pp("shared");
    let norm = match knobs.flag("partitioned_norm") {
        true => Some(PartitionedNorm::new(
            context.input_dim,
            count,
            &shared.pp("norm"),
        )?),
        false => None,
    };
    let set = Place::shared().part(PartKind::Experts, 0);
    let activation = match knobs.choice("activation") {
        "silu" => Activation::Silu,
        _ => Activation::Relu,
    };
    let dims = [&[context.input_dim], &*knobs.widths("expert_dims")].concat();
    let bottom = StarNetworks::new(&dims, (activation, activation), &[vb.part(&set)], count)?;
    let width = dims[dims.len() - 1];
    let own = vb.of_one_task(true).pp("task");
    let builders: Vec<VarBuilder> = (tasks.iter())
        .map(|task| own.pp(task).pp("tower"))
        .collect();
    let dims = [&[width], &*knobs.widths("tower_dims"), &[1]].concat();
    let activations = (Activation::Relu, Activation::Identity);
    let towers = StarNetworks::new(&dims, activations, &builders, count)?;
    let mut flops_per_row = bottom.flops_per_row() + towers.flops_per_row();
    let auxiliary = match knobs.flag("auxiliary") {
        true => {
            let hidden = knobs.widths("auxiliary_dims");
            let dims = [&[context.input_dim], &*hidden, &[tasks.len()]].concat();
            flops_per_row += product_flops(&dims);
            let at = [shared.pp("auxiliary")];
            Some(plain_networks(&dims, false, &at, vec![0])?)
        }
        false => None,
    };
    Ok(Box::new(Star {
        features: FeatureTap::new(width, vec![0; tasks.len()]),
        scenarios,
        norm,
        set,
        bottom,
        towers,
        auxiliary,
        flops_per_row,
    }))
}

impl Star {
    /// What towers read, [1, B, H], and the rows by scenario.
    fn hidden(
        &self,
        xs: &Tensor,
        train: bool,
        trace: Option<&mut Trace>,
    ) -> Result<(Tensor, ScenarioRows)> {
        let rows = self.scenarios.rows(xs)?;
        let normalised = match &self.norm {
            Some(norm) => norm.forward_t(xs, &rows, train)?,
            None => xs.clone(),
        };
        let hidden = self.bottom.forward(&normalised.unsqueeze(0)?, &rows)?;
        if let Some(trace) = trace {
            trace.push_experts(&self.set, &hidden);
        }
        Ok((hidden, rows))
    }

    fn logits(
        &self,
        xs: &Tensor,
        hidden: &Tensor,
        rows: &ScenarioRows,
        train: bool,
    ) -> Result<Tensor> {
        self.features.pass(hidden);
        let towers = self.towers.forward(hidden, rows)?;
        let logits = towers.squeeze(2)?.t()?.contiguous()?;
        match &self.auxiliary {
            Some(auxiliary) => logits + auxiliary.forward_t(xs, train)?.squeeze(0)?,
            None => Ok(logits),
        }
    }
}

impl Ranker for Star {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let (hidden, rows) = self.hidden(xs, train, trace)?;
        self.logits(xs, &hidden, &rows, train)
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let (hidden, rows) = self.hidden(xs, true, trace)?;
        let hidden = match self.has_representation() {
            true => pass.represent(hidden)?,
            false => hidden,
        };
        Ok(StepOutput {
            logits: self.logits(xs, &hidden, &rows, true)?,
            auxiliary: None,
            first: None,
        })
    }

    /// The auxiliary network goes past what the towers read, and is of all tasks.
    fn has_representation(&self) -> bool {
        self.auxiliary.is_none()
    }

    fn scenarios(&self) -> Option<&RowScenarios> {
        Some(&self.scenarios)
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(&self.features)
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

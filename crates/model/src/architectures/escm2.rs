//! ESCM²: ESMM with a loss of its own for the chance of a task given the one before it, which counts rows by how unlikely they were to be
//! selected.
//!
//! Source: Wang et al., "ESCM²: entire space counterfactual multi-task model for post-click conversion rate estimation", SIGIR 2022,
//! arXiv:2204.05125. With z the own logit of a task, o the label of the task before it, p that one's probability (no gradient
//! passes it) and `e = BCE(z, r)` for the label r: `IPW = mean(o e / p)`. Doubly robust (DR), with an imputed error ê:
//! `mean(ê + o (e - ê) / p) + mean(o (e - ê)² / p)`. Means are over rows that observe both tasks; o takes part as 0 or 1.
//!
//! Deviations: ê is `softplus` of a tower on the task's network, so that no error is below 0; p is at least `propensity_floor`, in place
//! of a largest weight; the loss of the products has the weight 1, as of every model here.
//!
//! # Shapes
//! - v: [B, D]; own logits, products and imputed errors: [B, T]
//! - result: [B, T]

use super::task_networks::TaskNetworks;
use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, expert_knobs};
use crate::layers::{Chains, logit_of_product, plain_networks};
use crate::part::Place;
use crate::ranker::{AuxiliaryLoss, BuildContext, Ranker, StepOutput, Trace, TrainingPass};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::sparse::softplus;
use homebench_kernels::stacked_mlp::StackedMlp;
use homebench_kernels::{sigmoid, sum_of_rows};

pub(super) const ESCM2: Architecture = Architecture {
    name: "escm2",
    title: "ESCM²: ESMM with counterfactual losses of selected rows",
    paper: "arXiv:2204.05125",
    equation: "ESMM, and in training mean(o e_t / p_before(t)) or its doubly robust form",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.extend([
        Knob::choice(
            "counterfactual",
            &["ipw", "dr"],
            "ipw",
            "how the loss of selected rows is corrected: by inverse propensities, or doubly robust with imputed errors",
        ),
        Knob::number("counterfactual_weight", 0.0, 0.1, "weight of that loss"),
        Knob::number(
            "propensity_floor",
            0.0,
            0.05,
            "least propensity that rows are weighed by",
        ),
    ]);
    knobs
}

struct Escm2 {
    networks: TaskNetworks,
    chains: Chains,
    /// Of tasks that come after another, in their order: their place, and the towers of their imputed errors.
    imputation: Option<(Vec<usize>, StackedMlp)>,
    weight: f64,
    floor: f64,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let chains = Chains::new(ESCM2.name, context)?;
    let networks = TaskNetworks::new(true, knobs, context, vb)?;
    let (weight, floor) = (
        knobs.number("counterfactual_weight"),
        knobs.number("propensity_floor"),
    );
    if weight == 0.0 {
        return Err(ModelError::knob(
            "counterfactual_weight",
            "expected a weight above 0, found 0: without that loss the model is ESMM; use model = \"esmm\"",
        ));
    }
    if !(floor > 0.0 && floor < 1.0) {
        return Err(ModelError::knob(
            "propensity_floor",
            format!(
                "expected a probability above 0 and below 1, found {floor}: rows are weighed by one over it at most"
            ),
        ));
    }
    let imputation = match knobs.choice("counterfactual") {
        "dr" => {
            let places = context.after.iter().enumerate();
            let places: Vec<usize> = places
                .filter(|(_, before)| before.is_some())
                .map(|(task, _)| task)
                .collect();
            let tasks = Place::tasks(context.layout);
            let builders: Vec<VarBuilder> = (places.iter())
                .map(|task| vb.of_one_task(true).pp(&tasks[*task].path).pp("imputation"))
                .collect();
            let mut dims = vec![networks.output_dim];
            dims.extend(knobs.widths("tower_dims"));
            dims.push(1);
            let towers = plain_networks(&dims, false, &builders, places.clone())?;
            Some((places, towers))
        }
        _ => None,
    };
    Ok(Box::new(Escm2 {
        networks,
        chains,
        imputation,
        weight,
        floor,
    }))
}

/// What a step computes on the way to its logits.
struct Forward {
    /// [tasks, batch, H].
    hidden: Tensor,
    /// Own logits, [tasks, batch].
    own: Tensor,
    /// Those of the products, [tasks, batch].
    chained: Tensor,
}

impl Escm2 {
    fn forward(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Forward> {
        let hidden = self.networks.hidden(xs, train, trace)?;
        let own = self.networks.towers.forward_t(&hidden, train)?;
        let own = own.t()?.contiguous()?;
        Ok(Forward {
            chained: self.chains.along(&own, logit_of_product)?,
            own,
            hidden,
        })
    }

    /// The counterfactual losses of all tasks that come after another, added up.
    fn counterfactual(
        &self,
        forward: &Forward,
        labels: &Tensor,
        observed: Option<&Tensor>,
    ) -> Result<Tensor> {
        let by_task = |tensor: &Tensor| tensor.t()?.contiguous();
        let labels = by_task(labels)?;
        let observed = observed.map(by_task).transpose()?;
        let imputed = match &self.imputation {
            Some((places, towers)) => {
                let errors = towers.forward_t(&forward.hidden, true)?.squeeze(2)?;
                Some((places, softplus(&errors)?))
            }
            None => None,
        };
        let mut total: Option<Tensor> = None;
        for (task, before) in self.chains.order() {
            let Some(before) = before else {
                continue;
            };
            let both = match &observed {
                Some(observed) => {
                    (observed.narrow(0, task, 1)? * observed.narrow(0, before, 1)?)?
                }
                None => labels.narrow(0, task, 1)?.ones_like()?,
            };
            let count = sum_of_rows(&both)?.maximum(1.0)?;
            let own = forward.own.narrow(0, task, 1)?;
            let error = (softplus(&own)? - (&own * labels.narrow(0, task, 1)?)?)?;
            let chance = sigmoid(&forward.chained.narrow(0, before, 1)?.detach())?;
            let selected = (labels.narrow(0, before, 1)? * &both)?;
            let weights = (selected / chance.maximum(self.floor)?)?;
            let place = |places: &[usize]| places.iter().position(|place| *place == task);
            let sum = match &imputed {
                Some((places, errors)) => {
                    let place = place(places).unwrap_or_default();
                    let guess = errors.narrow(0, place, 1)?;
                    let distance = (&error - &guess)?;
                    let robust = (&distance + distance.sqr()?)?;
                    sum_of_rows(&((guess * both)? + (weights * robust)?)?)?
                }
                None => sum_of_rows(&(weights * error)?)?,
            };
            let mean = (sum / count)?.reshape(())?;
            total = Some(match total {
                Some(total) => (total + mean)?,
                None => mean,
            });
        }
        total.ok_or_else(|| candle_core::Error::Msg("a chain without a second task".to_owned()))
    }
}

impl Ranker for Escm2 {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        self.forward(xs, train, trace)?.chained.t()?.contiguous()
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let forward = self.forward(xs, true, trace)?;
        let Some(labels) = pass.labels else {
            candle_core::bail!("a counterfactual loss needs labels");
        };
        Ok(StepOutput {
            logits: forward.chained.t()?.contiguous()?,
            auxiliary: Some(AuxiliaryLoss {
                loss: self.counterfactual(&forward, labels, pass.observed)?,
                weight: self.weight,
            }),
            first: None,
        })
    }

    fn reads_observed(&self) -> bool {
        true
    }

    fn reads_labels(&self) -> bool {
        true
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.networks.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.networks.flops_per_row()
    }
}

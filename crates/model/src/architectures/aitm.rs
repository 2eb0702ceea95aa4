//! AITM: what the task before a task knows, transferred by attention, and a penalty where a later task is likelier than an earlier one.
//!
//! Source: Xi et al., "Modeling the sequential dependence among audience multi-step conversions with multi-task learning in targeted
//! display advertising", KDD 2021, arXiv:2105.08489. `q_t = MLP_t(v)`, `p_t = relu(W_t z_before(t))`, and z_t is the attention over p_t
//! and q_t: `sum_u softmax_u(<K_t u, Q_t u> / sqrt(H)) V_t u`; `z_t = q_t` where nothing comes before. The calibrator's penalty is the mean
//! over rows of `max(p(t) - p(before(t)), 0)`, added up over the tasks, of weight .6.
//!
//! The label of a task here is of all rows, so that its score is the probability of the whole chain, as in the paper. The penalty counts
//! the rows that observe both tasks. Deviation: no dropout in the networks.
//!
//! # Shapes
//! - v: [B, D]; q, z: [T, B, H]; the attention's maps V, K, Q: [H, H], without bias
//! - result: [B, T]

use super::task_networks::TaskNetworks;
use crate::ModelError;
use crate::chain;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, expert_knobs};
use crate::layers::{Chains, linear_maps_without_bias, plain_networks, product_flops};
use crate::part::Place;
use crate::ranker::{AuxiliaryLoss, BuildContext, Ranker, StepOutput, Trace, TrainingPass};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::gate::{GateActivation, Mix, MixGate};
use homebench_kernels::stacked_mlp::StackedMlp;
use homebench_kernels::{sigmoid, sum_of_rows};

pub(super) const AITM: Architecture = Architecture {
    name: "aitm",
    title: "AITM: attention to what the task before knows, and a calibrator",
    paper: "arXiv:2105.08489",
    equation: "z_t = Attention_t(relu(W_t z_before(t)), MLP_t(v)); y_t = Tower_t(z_t)",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.push(Knob::number(
        "calibrator_weight",
        0.0,
        0.6,
        "weight of the penalty for tasks that are likelier than the one before them; 0: none",
    ));
    knobs
}

/// How a task takes in what the one before it knows.
struct Transfer {
    /// W, with its ReLU.
    info: StackedMlp,
    /// V, K and Q, one operator.
    maps: StackedMlp,
}

struct Aitm {
    networks: TaskNetworks,
    /// By task; none where nothing comes before.
    transfers: Vec<Option<Transfer>>,
    /// The attention's sum over its two.
    mix: Mix,
    chains: Chains,
    calibrator_weight: f64,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let chains = Chains::new(AITM.name, context)?;
    let networks = TaskNetworks::new(false, knobs, context, vb)?;
    let width = networks.output_dim;
    let transfer = |(place, (task, before)): (&Place, (usize, &Option<usize>))| {
        if before.is_none() {
            return Ok(None);
        }
        let vb = vb.of_one_task(chain::is_last(context.after, task));
        let vb = vb.pp(&place.path);
        let maps = ["value", "key", "query"].map(|name| vb.pp("attention").pp(name));
        Ok(Some(Transfer {
            info: plain_networks(&[width, width], true, &[vb.pp("info")], vec![0])?,
            maps: linear_maps_without_bias(width, width, &maps, vec![0; 3])?,
        }))
    };
    let tasks = Place::tasks(context.layout);
    let transfers = tasks
        .iter()
        .zip(context.after.iter().enumerate())
        .map(transfer);
    let transfers = transfers.collect::<std::result::Result<Vec<_>, ModelError>>()?;
    // W reads one row, the attention's maps two.
    let num_transfers = transfers.iter().flatten().count();
    let flops = num_transfers * (1 + 2 * 3) * product_flops(&[width, width]);
    let gate = MixGate {
        experts: vec![0, 1],
        activation: GateActivation::Softmax,
        output: 0,
        stopped: Vec::new(),
    };
    Ok(Box::new(Aitm {
        flops_per_row: networks.flops_per_row() + flops,
        networks,
        transfers,
        mix: Mix::new(vec![gate], 2, 1)?,
        chains,
        calibrator_weight: knobs.number("calibrator_weight"),
    }))
}

impl Aitm {
    /// The attention over what the task before knows and the task's own, [batch, H].
    fn attend(
        &self,
        transfer: &Transfer,
        before: &Tensor,
        own: &Tensor,
        train: bool,
    ) -> Result<Tensor> {
        let (num_rows, width) = own.dims2()?;
        let info = transfer.info.forward_t(before, train)?.squeeze(0)?;
        // Both read the same maps: the rows of one below those of the other.
        let both = Tensor::cat(&[&info, own], 0)?;
        let mapped = transfer.maps.forward_t(&both, train)?;
        let scores = sum_of_rows(&(mapped.get(1)? * mapped.get(2)?)?)?;
        let scores = (scores * (1.0 / (width as f64).sqrt()))?;
        let of = |place: usize| scores.narrow(0, place * num_rows, num_rows);
        let scores = Tensor::cat(&[of(0)?, of(1)?], 1)?;
        let values = mapped.get(0)?.reshape((2, num_rows, width))?;
        self.mix.forward(&values, &scores)?.squeeze(0)
    }

    fn logits(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let own = self.networks.hidden(xs, train, trace)?;
        let mut done: Vec<Option<Tensor>> = vec![None; self.transfers.len()];
        for (task, before) in self.chains.order() {
            let own = own.get(task)?;
            let before = before.and_then(|before| done[before].as_ref());
            done[task] = Some(match (&self.transfers[task], before) {
                (Some(transfer), Some(before)) => self.attend(transfer, before, &own, train)?,
                _ => own,
            });
        }
        let done: Vec<Tensor> = done.into_iter().flatten().collect();
        self.networks
            .towers
            .forward_t(&Tensor::stack(&done, 0)?, train)
    }

    /// The mean over rows of what a task is likelier than the one before it, added up over the tasks.
    fn penalty(&self, logits: &Tensor, observed: Option<&Tensor>) -> Result<Tensor> {
        let chances = sigmoid(logits)?;
        let mut total: Option<Tensor> = None;
        for (task, before) in self.chains.order() {
            let Some(before) = before else {
                continue;
            };
            let of = |tensor: &Tensor, task: usize| tensor.narrow(1, task, 1)?.t()?.contiguous();
            let excess = (of(&chances, task)? - of(&chances, before)?)?.relu()?;
            let mean = match observed {
                // Of rows that observe both: nothing may be learned from a logit of a task that its row doesn't observe.
                Some(observed) => {
                    let both = (of(observed, task)? * of(observed, before)?)?;
                    let count = sum_of_rows(&both)?.maximum(1.0)?;
                    (sum_of_rows(&(excess * both)?)? / count)?
                }
                None => (sum_of_rows(&excess)? / logits.dim(0)? as f64)?,
            };
            let mean = mean.reshape(())?;
            total = Some(match total {
                Some(total) => (total + mean)?,
                None => mean,
            });
        }
        total.ok_or_else(|| candle_core::Error::Msg("a chain without a second task".to_owned()))
    }
}

impl Ranker for Aitm {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        self.logits(xs, train, trace)
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let logits = self.logits(xs, true, trace)?;
        let auxiliary = match self.calibrator_weight > 0.0 {
            true => Some(AuxiliaryLoss {
                loss: self.penalty(&logits, pass.observed)?,
                weight: self.calibrator_weight,
            }),
            false => None,
        };
        Ok(StepOutput {
            logits,
            auxiliary,
            first: None,
        })
    }

    fn reads_observed(&self) -> bool {
        self.calibrator_weight > 0.0
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.networks.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

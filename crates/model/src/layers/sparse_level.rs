//! Experts of which pairs of rows and tasks run a few, then towers: the shape of the sparse models.

use super::{BalanceConfig, SparseGates, Towers};
use crate::part::Part;
use crate::ranker::{AuxiliaryLoss, Ranker, StepOutput, Trace, TrainingPass};
use candle_core::{Result, Tensor};
use homebench_kernels::sparse::{RouteBy, SparseMixture};
use homebench_kernels::stacked_mlp::StackedMlp;

/// See the module.
pub(crate) struct SparseLevel {
    /// What experts and gates read in place of the input.
    pub(crate) encoder: Option<StackedMlp>,
    /// The experts to choose among.
    pub(crate) set: Part,
    /// Those that every pair runs.
    pub(crate) always: Option<Part>,
    /// What to call the gate of each task.
    pub(crate) gates: Vec<Part>,
    pub(crate) routes: SparseGates,
    pub(crate) mixture: SparseMixture,
    pub(crate) balance: Option<BalanceConfig>,
    pub(crate) towers: Towers,
    pub(crate) flops_per_row: usize,
}

impl SparseLevel {
    fn encode(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        match &self.encoder {
            Some(encoder) => encoder.forward_t(xs, train)?.squeeze(0),
            None => Ok(xs.clone()),
        }
    }

    fn push_trace(
        &self,
        xs: &Tensor,
        by: RouteBy<'_>,
        train: bool,
        trace: &mut Trace,
    ) -> Result<()> {
        let weights = self.mixture.weights(xs, by)?;
        let seen: Vec<usize> = (0..self.mixture.routing().num_experts).collect();
        for (task, part) in self.gates.iter().enumerate() {
            let weights = weights.narrow(1, task, 1)?.squeeze(1)?;
            trace.push_choice(part, &seen, weights.contiguous()?);
        }
        // All rows of all experts, which a pass without a trace does not run.
        let outputs = self.mixture.expert_outputs(xs, train)?;
        trace.push_experts(&self.set, &outputs.narrow(0, 0, seen.len())?);
        if let Some(always) = &self.always {
            let count = outputs.dim(0)? - seen.len();
            trace.push_experts(always, &outputs.narrow(0, seen.len(), count)?);
        }
        Ok(())
    }
}

impl Ranker for SparseLevel {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let xs = self.encode(xs, train)?;
        let logits = self.routes.logits(&xs, train)?;
        let by = SparseGates::route_by(logits.as_ref());
        if let Some(trace) = trace {
            self.push_trace(&xs, by, train, trace)?;
        }
        let hidden = self.mixture.forward_t(&xs, by, None, train)?;
        self.towers.forward_t(&hidden, train)
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let xs = self.encode(xs, true)?;
        let routes = self.routes.in_training(&xs, pass)?;
        let by = SparseGates::route_by(routes.noisy.as_ref());
        if let Some(trace) = trace {
            self.push_trace(&xs, by, true, trace)?;
        }
        let hidden = self.mixture.forward_t(&xs, by, pass.observed, true)?;
        let auxiliary = match &self.balance {
            Some(balance) => Some(AuxiliaryLoss {
                loss: balance.loss(self.mixture.routing(), &routes, pass.observed)?,
                weight: balance.weight,
            }),
            None => None,
        };
        Ok(StepOutput {
            logits: self.towers.forward_t(&hidden, true)?,
            auxiliary,
        })
    }

    fn reads_observed(&self) -> bool {
        true
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

//! Experts of which pairs of rows and tasks run a few, then towers: the shape of the sparse models.

use super::{BalanceConfig, ExpertConfig, SparseGates, Towers};
use crate::ModelError;
use crate::knobs::Knobs;
use crate::part::{Part, PartKind, Place};
use crate::ranker::{
    AuxiliaryLoss, BuildContext, GateKind, Ranker, StepOutput, Trace, TrainingPass,
};
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::sparse::{RouteBy, Routing, SparseMixture};
use homebench_kernels::stacked_mlp::StackedMlp;

/// See the module.
pub(crate) struct SparseLevel {
    encoder: Option<StackedMlp>,
    set: Part,
    always: Option<Part>,
    gates: Vec<Part>,
    routes: SparseGates,
    mixture: SparseMixture,
    balance: Option<BalanceConfig>,
    towers: Towers,
    flops_per_row: usize,
}

/// What experts and gates read: the input, or what a network makes of it.
pub(crate) struct Encoder {
    pub(crate) network: Option<StackedMlp>,
    pub(crate) output_dim: usize,
    pub(crate) flops_per_row: usize,
}

impl Encoder {
    pub(crate) fn identity(context: &BuildContext<'_>) -> Self {
        Self {
            network: None,
            output_dim: context.input_dim,
            flops_per_row: 0,
        }
    }
}

/// What a sparse level is made of beside what every model's knobs say.
pub(crate) struct SparseParts {
    pub(crate) encoder: Encoder,
    pub(crate) routing: Routing,
    /// Experts that every pair runs.
    pub(crate) num_always: usize,
    pub(crate) routes: SparseGates,
    pub(crate) balance: Option<BalanceConfig>,
}

impl SparseLevel {
    /// Experts at `shared.expert` and `always.expert`, and a tower for each task.
    pub(crate) fn new(
        knobs: &Knobs,
        context: &BuildContext<'_>,
        parts: SparseParts,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let SparseParts {
            encoder,
            routing,
            num_always,
            mut routes,
            balance,
        } = parts;
        let config = ExpertConfig::from_knobs(knobs);
        let set = Place::shared().part(PartKind::Experts, 0);
        let always = (num_always > 0).then(|| Place::always().part(PartKind::Experts, 0));
        let mut sets = vec![(vb.part(&set), routing.num_experts)];
        sets.extend(always.iter().map(|part| (vb.part(part), num_always)));
        let sources = vec![0; routing.num_experts + num_always];
        let experts = config.build(encoder.output_dim, &sets, sources)?;
        // One operator for gates and experts needs gates that nothing else reads.
        let own = routes.take_linear(balance.is_none());
        let tasks = (0..routing.num_tasks).collect();
        let towers = Towers::new(knobs, context, config.output_dim(), tasks, vb)?;
        let num_run = routing.most_experts_of_row() + num_always;
        let gate = |place: &Place| place.part(PartKind::Gate(GateKind::Softmax), 0);
        Ok(Self {
            flops_per_row: encoder.flops_per_row
                + num_run * config.flops_per_row(encoder.output_dim)
                + routes.flops_per_row()
                + towers.flops_per_row(),
            mixture: SparseMixture::new(experts, own, routing)?,
            gates: Place::tasks(context.layout).iter().map(gate).collect(),
            encoder: encoder.network,
            set,
            always,
            routes,
            balance,
            towers,
        })
    }

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
            first: None,
        })
    }

    fn reads_observed(&self) -> bool {
        true
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

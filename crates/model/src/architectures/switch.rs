//! Switch: residual blocks whose input is masked by the experts that a task chooses.
//!
//! Source: Park et al., "Switch diffusion transformer", arXiv:2403.09176, whose tasks are steps of denoising. Here tasks are tasks,
//! every row runs once for each, and their order stands in for that of the steps.
//!
//! Deviations: of units that match a prior as well as others, no chance decides; a window's start follows the tasks' ranks without
//! the fourth power, which among few tasks gives nearly all of them the first window; the prior is matched at every step.
//!
//! # Shapes
//! - v: [B, D]; streams h: [T, B, H]; a block's experts: [M, H, H]; their choice: [T, M]
//! - result: [B, T]

use super::switch_prior::{Prior, Units, ranks};
use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, TOWER_DIMS};
use crate::layers::{Towers, linear, plain_layers, product_flops, task_embeddings};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{
    AuxiliaryLoss, BuildContext, GateKind, Ranker, StepOutput, Trace, TrainingPass,
};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::{Init, VarBuilder};
use candle_core::{DType, Result, Tensor};
use homebench_kernels::gate::GateLogits;
use homebench_kernels::sparse::{Choice, Routing, Weighting, jensen_shannon};
use homebench_kernels::stacked_mlp::{Activation, StackedMlp};
use homebench_kernels::{Parameter, layer_norm, masked, matmul, silu, softmax};

pub(super) const SWITCH: Architecture = Architecture {
    name: "switch",
    title: "Switch: masks of task-chosen experts, with a prior",
    paper: "arXiv:2403.09176",
    equation: "m_t = 1 + sum over top-k of g_t(e_t)_j E_j(h_t); h_t' = m_t h_t + F(m_t h_t) + (1 - m_t) h_t; y_t = Tower_t(h_t^L)",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    vec![
        TOWER_DIMS,
        Knob::count("num_blocks", 1, 3, "residual blocks"),
        Knob::count("num_experts", 1, 3, "experts of a block"),
        Knob::count("top_k", 1, 2, "experts of a block that a task chooses"),
        Knob::count("hidden_dim", 1, 64, "width of the streams"),
        Knob::widths(
            "block_dims",
            false,
            &[64],
            "widths of a block's hidden layers",
        ),
        Knob::choice(
            "activation",
            &["relu", "silu"],
            "relu",
            "what follows a block's hidden layers",
        ),
        Knob::choice(
            "task_embedding",
            &["learned", "position"],
            "learned",
            "what gates read of a task: a learned vector, or sines of its rank in prior_order",
        ),
        Knob::count("task_dim", 1, 16, "width of a task's embedding"),
        Knob::choice(
            "gate_weights",
            &["raw", "renormalised"],
            "raw",
            "whether the weights of the chosen experts are their parts of the softmax over all, or sum to 1",
        ),
        Knob::choice(
            "expert_init",
            &["zero", "fan_in"],
            // With experts of 0 every mask starts at 1.
            "zero",
            "first weights of experts",
        ),
        Knob::choice(
            "prior",
            &["none", "window", "groups"],
            "none",
            "which units tasks should share: none, neighbours in an order, or tasks of a group",
        ),
        Knob::number(
            "prior_weight",
            0.0,
            1.0,
            "weight of the distance from the prior",
        ),
        Knob::tasks(
            "prior_order",
            "all tasks in the order of windows and positions; none: the order of tasks",
        ),
        Knob::number(
            "prior_exponent",
            0.0,
            1.0,
            "power of a task's rank in its window's start",
        ),
        Knob::counts(
            "prior_units",
            &[],
            "units of all tasks, of a group and of a task, with prior = \"groups\"",
        ),
    ]
}

struct Block {
    gate: GateLogits,
    /// What to call the choice of each task.
    gates: Vec<Part>,
    set: Part,
    expert_weight: Parameter,
    expert_bias: Parameter,
    scale: Parameter,
    shift: Parameter,
    hidden: StackedMlp,
}

/// What gates read of tasks.
enum TaskEmbedding {
    Learned(Vec<Parameter>),
    Position(Tensor),
}

struct Switch {
    input: GateLogits,
    embedding: TaskEmbedding,
    routing: Routing,
    blocks: Vec<Block>,
    prior: Option<Prior>,
    prior_weight: f64,
    towers: Towers,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let units = Units {
        num_blocks: knobs.count("num_blocks"),
        num_experts: knobs.count("num_experts"),
        top_k: knobs.count("top_k"),
    };
    if units.top_k > units.num_experts {
        return Err(ModelError::knob(
            "top_k",
            format!(
                "expected at most the number of experts, {}, found {}",
                units.num_experts, units.top_k
            ),
        ));
    }
    let (width, num_tasks) = (knobs.count("hidden_dim"), context.layout.tasks.len());
    let prior = Prior::new(knobs, context.layout, units)?;
    let routing = Routing {
        // A task is a row here: gates see nothing else.
        num_tasks: 1,
        num_experts: units.num_experts,
        choice: Choice::TopK(units.top_k),
        weighting: match knobs.choice("gate_weights") {
            "renormalised" => Weighting::Renormalised,
            _ => Weighting::Raw,
        },
    };
    let prior_weight = knobs.number("prior_weight");
    if routing.has_constant_weights() && (prior.is_none() || prior_weight == 0.0) {
        return Err(ModelError::knob(
            "gate_weights",
            "one chosen expert always has the renormalised weight 1, so that gates would learn nothing; use \
             gate_weights = \"raw\", or a prior with a prior_weight above 0",
        ));
    }
    let embedding = task_embedding(knobs, context, vb)?;
    let blocks = (0..units.num_blocks)
        .map(|index| build_block(knobs, context, index, vb))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let towers = Towers::new(knobs, context, width, (0..num_tasks).collect(), vb)?;
    let mut block_dims = vec![width];
    block_dims.extend(knobs.widths("block_dims"));
    block_dims.push(width);
    // The experts of a task are one map, merged before rows are seen.
    let of_block = product_flops(&[width, width]) + product_flops(&block_dims);
    Ok(Box::new(Switch {
        input: linear(context.input_dim, width, &vb.pp("shared").pp("input"))?,
        flops_per_row: product_flops(&[context.input_dim, width])
            + num_tasks * units.num_blocks * of_block
            + towers.flops_per_row(),
        routing,
        prior_weight,
        embedding,
        blocks,
        prior,
        towers,
    }))
}

fn task_embedding(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<TaskEmbedding, ModelError> {
    let width = knobs.count("task_dim");
    if knobs.choice("task_embedding") == "learned" {
        return Ok(TaskEmbedding::Learned(task_embeddings(context, width, vb)?));
    }
    // Vaswani et al., "Attention is all you need", section 3.5: sines and cosines of falling frequencies, side by side.
    let of = |rank: usize, column: usize| {
        let pair = (column / 2 * 2) as f64 / width as f64;
        let angle = rank as f64 / libm::pow(10_000.0, pair);
        let value = match column % 2 {
            0 => libm::sin(angle),
            _ => libm::cos(angle),
        };
        value as f32
    };
    let ranks = ranks(knobs, context.layout)?;
    let values: Vec<f32> = (ranks.iter())
        .flat_map(|rank| (0..width).map(move |column| of(*rank, column)))
        .collect();
    let values = Tensor::from_vec(values, (ranks.len(), width), vb.device())?;
    Ok(TaskEmbedding::Position(values.to_dtype(vb.dtype())?))
}

fn build_block(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    index: usize,
    vb: &VarBuilder,
) -> std::result::Result<Block, ModelError> {
    let (experts, width) = (knobs.count("num_experts"), knobs.count("hidden_dim"));
    let place = Place::shared().in_level(index);
    let set = place.part(PartKind::Experts, index);
    let shared = vb.pp(&place.path);
    let of_experts = vb.part(&set);
    let init = match knobs.choice("expert_init") {
        "zero" => Init::Constant(0.0),
        _ => Init::fan_in(width),
    };
    let block = shared.pp("block");
    let mut dims = vec![width];
    dims.extend(knobs.widths("block_dims"));
    dims.push(width);
    let activation = match knobs.choice("activation") {
        "silu" => Activation::Silu,
        _ => Activation::Relu,
    };
    let tasks = Place::tasks(context.layout);
    let kind = PartKind::Gate(GateKind::Softmax);
    let of_all = place.part(kind, index);
    let gate = |task: &Place| task.in_level(index).part(kind, index);
    Ok(Block {
        gate: linear(knobs.count("task_dim"), experts, &vb.part(&of_all))?,
        gates: tasks.iter().map(gate).collect(),
        expert_weight: of_experts.get((experts, width, width), "weight", init)?,
        expert_bias: of_experts.get((experts, width), "bias", init)?,
        set,
        scale: block.pp("norm").get(width, "weight", Init::Constant(1.0))?,
        shift: block.pp("norm").get(width, "bias", Init::Constant(0.0))?,
        hidden: plain_layers(&dims, activation, std::slice::from_ref(&block))?,
    })
}

impl Block {
    /// The experts that each task chose as one map, [tasks, H + 1, H], its last row the bias.
    fn merged(&self, weights: &Tensor) -> Result<Tensor> {
        let (experts, width, _) = self.expert_weight.tensor().dims3()?;
        let flat = self
            .expert_weight
            .tensor()
            .reshape((experts, width * width))?;
        let both = Tensor::cat(&[&flat, self.expert_bias.tensor()], 1)?;
        let tasks = weights.dim(0)?;
        matmul(weights, &both)?.reshape((tasks, width + 1, width))
    }

    /// The streams after the block.
    fn forward_t(&self, streams: &Tensor, weights: &Tensor, train: bool) -> Result<Tensor> {
        let (tasks, rows, width) = streams.dims3()?;
        let masked = masked(streams, &self.merged(weights)?)?;
        let flat = masked.reshape((tasks * rows, width))?;
        let flat = layer_norm(&flat, self.scale.tensor(), self.shift.tensor())?;
        let hidden = self.hidden.forward_t(&flat, train)?;
        // m h + F(m h) + (1 - m) h: without attention between them, as the source has, the first and the last are h.
        streams + hidden.reshape((tasks, rows, width))?
    }

    fn push_trace(&self, streams: &Tensor, weights: &Tensor, trace: &mut Trace) -> Result<()> {
        let (tasks, rows, _) = streams.dims3()?;
        let experts = weights.dim(1)?;
        let seen: Vec<usize> = (0..experts).collect();
        for (task, part) in (0..tasks).zip(&self.gates) {
            let own = weights.detach().narrow(0, task, 1)?.repeat((rows, 1))?;
            trace.push_choice(part, &seen, own);
        }
        // Experts are linear: what they make of the mean stream is the mean of what they make of each task's.
        let mean = streams.detach().mean(0)?;
        let of = |expert: usize| {
            let output = matmul(&mean, &self.expert_weight.tensor().detach().get(expert)?)?;
            output.broadcast_add(&self.expert_bias.tensor().detach().get(expert)?)
        };
        let outputs = (0..experts).map(of).collect::<Result<Vec<_>>>()?;
        trace.push_experts(&self.set, &Tensor::stack(&outputs, 0)?);
        Ok(())
    }
}

impl Switch {
    /// Each block's gate logits, [tasks, experts].
    fn gate_logits(&self) -> Result<Vec<Tensor>> {
        let embeddings = match &self.embedding {
            TaskEmbedding::Position(values) => values.clone(),
            TaskEmbedding::Learned(vectors) => {
                let vectors: Vec<Tensor> = vectors.iter().map(|v| v.tensor().clone()).collect();
                Tensor::stack(&vectors, 0)?
            }
        };
        let inputs = silu(&embeddings)?;
        self.blocks
            .iter()
            .map(|block| block.gate.forward(&inputs))
            .collect()
    }

    fn run(
        &self,
        xs: &Tensor,
        gate_logits: &[Tensor],
        train: bool,
        mut trace: Option<&mut Trace>,
    ) -> Result<Tensor> {
        let first = self.input.forward(xs)?.unsqueeze(0)?;
        let tasks = gate_logits.first().map_or(Ok(1), |logits| logits.dim(0))?;
        let mut streams = Tensor::cat(&vec![first; tasks], 0)?;
        for (block, logits) in self.blocks.iter().zip(gate_logits) {
            let weights = self.routing.weights(logits)?.squeeze(1)?;
            if let Some(trace) = trace.as_deref_mut() {
                block.push_trace(&streams, &weights, trace)?;
            }
            streams = block.forward_t(&streams, &weights, train)?;
        }
        self.towers.forward_t(&streams, train)
    }

    /// The mean distance of tasks' gates from the prior, its units matched with those that tasks chose.
    fn prior_loss(&self, prior: &Prior, gate_logits: &[Tensor]) -> Result<Tensor> {
        let share = 1.0 / gate_logits.len() as f64;
        let of = |logits: &Tensor| softmax(logits)?.affine(share, 0.0);
        let probabilities = gate_logits.iter().map(of).collect::<Result<Vec<_>>>()?;
        let used = |logits: &Tensor| self.routing.weights(&logits.detach())?.squeeze(1);
        let usage = gate_logits.iter().map(used).collect::<Result<Vec<_>>>()?;
        let usage = Tensor::cat(&usage, 1)?.to_dtype(DType::F32)?;
        let usage: Vec<f32> = usage.flatten_all()?.to_vec1()?;
        // Softmax is positive: a weight of 0 is an expert that was not chosen.
        let usage: Vec<bool> = usage.iter().map(|weight| *weight != 0.0).collect();
        jensen_shannon(&Tensor::cat(&probabilities, 1)?, prior.matched(&usage))
    }
}

impl Ranker for Switch {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        self.run(xs, &self.gate_logits()?, train, trace)
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        _pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let gate_logits = self.gate_logits()?;
        let auxiliary = match &self.prior {
            Some(prior) if self.prior_weight > 0.0 => Some(AuxiliaryLoss {
                loss: self.prior_loss(prior, &gate_logits)?,
                weight: self.prior_weight,
            }),
            _ => None,
        };
        Ok(StepOutput {
            logits: self.run(xs, &gate_logits, true, trace)?,
            auxiliary,
            first: None,
        })
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

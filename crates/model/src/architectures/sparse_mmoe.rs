//! MMoE of which each row and task runs a few experts: sparse, task-aware gates.
//!
//! Source: Gupta et al., "Sparsely activated mixture-of-experts are robust multi-task learners", arXiv:2204.07689. Its abstract and
//! routing in general are known to us, its equations are not: the forms of gates and the defaults here are our choice. DSelect-k is
//! of Hazimeh et al., arXiv:2106.03760.
//!
//! Deviation: no capacity of experts, which buffers of a fixed size need and rows that are gathered don't.
//!
//! # Shapes
//! - v: [B, D]; experts: [E, B, H]; logits and weights: [B, T * E]; `h`: [T, B, H]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{BalanceConfig, Encoder, SparseGates, SparseLevel, SparseParts, gates_learn};
use crate::ranker::{BuildContext, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;
use homebench_kernels::sparse::{Choice, Routing, Weighting};

pub(super) const SPARSE_MMOE: Architecture = Architecture {
    name: "sparse_mmoe",
    title: "Sparse MMoE: top-k experts per row and task",
    paper: "arXiv:2204.07689",
    equation: "y_t = Tower_t(sum over top-k of g_t(v)_n E_n(v))",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.extend([
        GATE_DIMS,
        Knob::count("num_experts", 1, 8, "experts among which rows choose"),
        Knob::count("top_k", 1, 2, "experts of a row and task"),
        Knob::count("num_shared_experts", 0, 0, "experts that every row and task runs"),
        Knob::choice(
            "gate",
            &["top_k", "dselect_k"],
            "top_k",
            "what chooses: the largest logits, or DSelect-k's smooth selectors",
        ),
        Knob::choice(
            "gate_reads",
            &["per_task", "row_and_task", "row_times_task", "task_only", "row_only"],
            // It differs from `mmoe` in the choice alone: the cleanest comparison.
            "per_task",
            "what gates read: the row with a gate per task, the row beside or times a task's embedding, one of the two",
        ),
        Knob::count("task_dim", 1, 16, "width of a task's embedding, where gates read one"),
        Knob::count("gate_rank", 1, 16, "width in which row and task are multiplied"),
        Knob::choice(
            "gate_weights",
            &["renormalised", "raw"],
            "renormalised",
            "whether the weights of the chosen experts sum to 1, or are their parts of the softmax over all",
        ),
        Knob::choice(
            "gate_noise",
            &["none", "learned", "fixed"],
            "none",
            "noise of the logits in training",
        ),
        Knob::number("gate_noise_std", 0.0, 1.0, "deviation of fixed noise"),
        Knob::choice(
            "balance",
            &["switch", "importance", "load", "mutual_info", "none"],
            "switch",
            "the loss that keeps experts in use",
        ),
        Knob::number("balance_weight", 0.0, 0.01, "weight of that loss"),
        Knob::choice(
            "balance_over",
            &["all", "task"],
            // A loss per task makes every task use every expert, which is what task-aware gates are to avoid.
            "all",
            "whether that loss is of all tasks' choices together, or the mean of a loss per task",
        ),
    ]);
    knobs
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let routing = routing(knobs, context.layout.tasks.len())?;
    let balance = BalanceConfig::new(knobs, &routing)?;
    if !gates_learn(&routing, balance.as_ref()) {
        return Err(ModelError::knob(
            "gate_weights",
            "one chosen expert always has the renormalised weight 1, so that gates would learn nothing, with or \
             without noise; use gate_weights = \"raw\", or balance = \"switch\" with a balance_weight above 0",
        ));
    }
    let parts = SparseParts {
        encoder: Encoder::identity(context),
        routing,
        num_always: knobs.count("num_shared_experts"),
        routes: SparseGates::new(knobs, context, &routing, vb)?,
        balance,
    };
    Ok(Box::new(SparseLevel::new(knobs, context, parts, vb)?))
}

fn routing(knobs: &Knobs, num_tasks: usize) -> Result<Routing, ModelError> {
    let (num_experts, top_k) = (knobs.count("num_experts"), knobs.count("top_k"));
    if top_k > num_experts {
        return Err(ModelError::knob(
            "top_k",
            format!("expected at most the number of experts, {num_experts}, found {top_k}"),
        ));
    }
    let (choice, weighting) = match (knobs.choice("gate"), knobs.choice("gate_weights")) {
        ("dselect_k", _) => (Choice::Nonzero, Weighting::Given),
        (_, "raw") => (Choice::TopK(top_k), Weighting::Raw),
        _ => (Choice::TopK(top_k), Weighting::Renormalised),
    };
    Ok(Routing {
        num_tasks,
        num_experts,
        choice,
        weighting,
    })
}

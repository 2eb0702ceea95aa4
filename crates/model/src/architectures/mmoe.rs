//! One-gate and multi-gate mixture of experts.
//!
//! Source: Ma et al., "Modeling task relationships in multi-task learning with multi-gate mixture-of-experts", KDD 2018,
//! doi 10.1145/3219819.3220007: OMoE eq. 3, `h = Sum(g(v), {E_n(v)})`; MMoE eq. 6, `h_t = Sum(g_t(v), {E_n(v)})`.
//!
//! # Shapes
//! - v: [B, D]; experts: [E, B, H]; a gate: [B, E]; `h`, of one gate or one per task: [gates, B, H]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{ExpertSet, LevelConfig, Levels};
use crate::part::Place;
use crate::ranker::{BuildContext, GateKind, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;

pub(super) const OMOE: Architecture = Architecture {
    name: "omoe",
    title: "OMoE: one-gate mixture of experts",
    paper: "doi 10.1145/3219819.3220007",
    equation: "y_t = Tower_t(Sum(g(v), {E_n(v)}))",
    knobs,
    build: build_omoe,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

pub(super) const MMOE: Architecture = Architecture {
    name: "mmoe",
    title: "MMoE: multi-gate mixture of experts",
    paper: "doi 10.1145/3219819.3220007",
    equation: "y_t = Tower_t(Sum(g_t(v), {E_n(v)}))",
    knobs,
    build: build_mmoe,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.push(GATE_DIMS);
    knobs.push(Knob::count("num_experts", 1, 4, "experts, all shared"));
    knobs
}

fn build_omoe(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    // One mix, which every tower reads: tasks differ in their towers alone.
    let towers = vec![0; context.layout.tasks.len()];
    build(knobs, context, &[Place::shared()], towers, vb)
}

fn build_mmoe(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let tasks = Place::tasks(context.layout);
    build(knobs, context, &tasks, (0..tasks.len()).collect(), vb)
}

/// A level with one output per gate; tower t reads output `tower_sources[t]`.
fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    gates: &[Place],
    tower_sources: Vec<usize>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let mut config = LevelConfig::new(knobs, 0, context.input_dim, gates.len());
    let num_experts = knobs.count("num_experts");
    let experts = config.add_set(ExpertSet::new(Place::shared(), 0, num_experts));
    for (output, place) in gates.iter().enumerate() {
        let gate = config.gate_of(place, GateKind::Softmax);
        config.add_gate(gate, 0, experts.clone(), output);
    }
    let levels = Levels::new(vec![config], tower_sources, false, knobs, context, vb)?;
    Ok(Box::new(levels))
}

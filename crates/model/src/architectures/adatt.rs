//! Adaptive task-to-task fusion.
//!
//! Source: Li et al., "AdaTT: adaptive task-to-task fusion network for multitask learning in recommendations",
//! arXiv:2304.04959. AdaTT-sp: `x_t^l = Sum(g_t(x_t^{l-1}), {every task's experts}) + Sum(a_t, {own experts})`; AdaTT adds a shared unit.
//!
//! Deviations: the shared unit has experts on every level and a gate and residual on every level but the last, as in the
//! authors' code; with experts on every level but the last, its last gate would feed nothing. Of a unit with one expert, `a_t` is
//! the constant 1, as there too; `residual = "learned"` learns it.
//!
//! # Shapes
//! - v: [B, D]; `x^l`: [units, B, H], tasks in order, then the shared unit, which the last level lacks
//! - gates of level l: [B, experts of all units]; a residual: [own experts], the same on every row
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{ExpertSet, Gate, LevelConfig, Levels};
use crate::part::Place;
use crate::ranker::{BuildContext, GateKind, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;

pub(super) const ADATT_SP: Architecture = Architecture {
    name: "adatt_sp",
    title: "AdaTT-sp: adaptive task-to-task fusion without a shared unit",
    paper: "arXiv:2304.04959",
    equation: "x_t^l = Sum(g_t(x_t^{l-1}), {E_u^l(x_u^{l-1}) of every task u}) + Sum(a_t, {E_t^l(x_t^{l-1})}); y_t = Tower_t(x_t^L)",
    knobs: sp_knobs,
    build: |knobs, context, vb| build(knobs, context, 0, vb),
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

pub(super) const ADATT: Architecture = Architecture {
    name: "adatt",
    title: "AdaTT: adaptive task-to-task fusion",
    paper: "arXiv:2304.04959",
    equation: "AdaTT-sp with a shared unit among the u",
    knobs: || {
        let mut knobs = sp_knobs();
        knobs.push(Knob::count(
            "num_shared_experts",
            1,
            1,
            "experts of the shared unit, on each level",
        ));
        knobs
    },
    build: |knobs, context, vb| build(knobs, context, knobs.count("num_shared_experts"), vb),
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn sp_knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.push(GATE_DIMS);
    knobs.push(Knob::count(
        "num_task_experts",
        1,
        1,
        "experts of each task, on each level",
    ));
    knobs.push(Knob::choice(
        "residual",
        &["fixed", "learned"],
        // As the authors' code has it: a weight of its own is learned only where there are several experts to weigh.
        "fixed",
        "how a unit with one expert adds it: as it is, or with a learned weight that starts at 1",
    ));
    // Two, as of every model with levels here: with one, PLE is CGC and AdaTT's shared unit has no gate.
    knobs.push(Knob::count("num_levels", 1, 2, "levels"));
    knobs
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    num_shared: usize,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let tasks = Place::tasks(context.layout);
    let num_levels = knobs.count("num_levels");
    let mut levels = Vec::with_capacity(num_levels);
    let mut input_dim = context.input_dim;
    for index in 0..num_levels {
        let last = index + 1 == num_levels;
        // Units: every task, then the shared one; each has an input and, but for the shared one at the end, an output.
        let num_own = knobs.count("num_task_experts");
        let mut units: Vec<(Place, usize)> = tasks
            .iter()
            .map(|task| (task.in_level(index), num_own))
            .collect();
        if num_shared > 0 {
            units.push((Place::shared().in_level(index), num_shared));
        }
        let num_outputs = if last { tasks.len() } else { units.len() };
        // Level 0 has one input, v, for every unit; from then on each unit reads what its own gate mixed.
        let source = |unit: usize| if index == 0 { 0 } else { unit };
        let mut config = LevelConfig::new(knobs, index, input_dim, num_outputs);
        config.single_residual_is_fixed = knobs.choice("residual") == "fixed";
        let own: Vec<Vec<usize>> = units
            .iter()
            .enumerate()
            .map(|(unit, (place, count))| {
                config.add_set(ExpertSet::new(place.clone(), source(unit), *count))
            })
            .collect();
        for (unit, (place, _)) in units.iter().enumerate().take(num_outputs) {
            let gate = config.gate_of(place, GateKind::Softmax);
            config.add_gate(gate, source(unit), own.concat(), unit);
            config.gates.push(Gate {
                part: config.gate_of(place, GateKind::Residual),
                kind: GateKind::Residual,
                // `a_t` is a free vector: it looks at no input.
                sources: Vec::new(),
                gated_sources: Vec::new(),
                experts: own[unit].clone(),
                output: unit,
                stopped: Vec::new(),
            });
        }
        input_dim = config.expert.output_dim();
        levels.push(config);
    }
    let sources = (0..tasks.len()).collect();
    let levels = Levels::new(levels, sources, false, knobs, context, vb)?;
    Ok(Box::new(levels))
}

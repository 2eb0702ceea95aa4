//! Customized gate control and progressive layered extraction.
//!
//! Source: Tang et al., "Progressive layered extraction (PLE)", RecSys 2020, doi 10.1145/3383313.3412236. CGC, eq. 1 to 3:
//! `h_t = Sum(g_t(v), {E_t(v), E_shared(v)})`. PLE stacks it: level j's experts and gates of task t read `x_t^{j-1}`, the shared ones
//! `x_s^{j-1}`; the shared gate sees every expert of the level; the last level has none. One level is CGC.
//!
//! Without shared experts there is no shared gate either.
//!
//! # Shapes
//! - v: [B, D]; `x^j`: [T + 1, B, H], tasks in order, then the shared one, which the last level lacks
//! - a task's gate: [B, own + shared experts]; the shared gate: [B, experts of the level]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{ExpertSet, LevelConfig, Levels};
use crate::part::Place;
use crate::ranker::{BuildContext, GateKind, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;

pub(super) const CGC: Architecture = Architecture {
    name: "cgc",
    title: "CGC: customized gate control",
    paper: "doi 10.1145/3383313.3412236",
    equation: "y_t = Tower_t(Sum(g_t(v), {E_t(v), E_shared(v)}))",
    knobs: cgc_knobs,
    build: |knobs, context, vb| build(knobs, context, 1, vb),
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

pub(super) const PLE: Architecture = Architecture {
    name: "ple",
    title: "PLE: progressive layered extraction",
    paper: "doi 10.1145/3383313.3412236",
    equation: "x_t^j = Sum(g_t(x_t^{j-1}), {E_t(x_t^{j-1}), E_shared(x_s^{j-1})}); y_t = Tower_t(x_t^L)",
    knobs: || {
        let mut knobs = cgc_knobs();
        knobs.push(Knob::count("num_levels", 1, 2, "levels"));
        knobs
    },
    build: |knobs, context, vb| build(knobs, context, knobs.count("num_levels"), vb),
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn cgc_knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.push(GATE_DIMS);
    knobs.push(Knob::count(
        "num_task_experts",
        1,
        2,
        "experts of each task",
    ));
    knobs.push(Knob::count("num_shared_experts", 0, 2, "shared experts"));
    knobs
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    num_levels: usize,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let tasks = Place::tasks(context.layout);
    let (num_own, num_shared) = (
        knobs.count("num_task_experts"),
        knobs.count("num_shared_experts"),
    );
    let mut levels = Vec::with_capacity(num_levels);
    let mut input_dim = context.input_dim;
    for index in 0..num_levels {
        let last = index + 1 == num_levels;
        // `x_s` is read by the next level's shared experts and shared gate; where there are none, nobody would read it.
        let shared_gate = !last && num_shared > 0;
        let num_outputs = tasks.len() + usize::from(shared_gate);
        let mut config = LevelConfig::new(knobs, index, input_dim, num_outputs);
        // Inputs of a level but the first: one per task, then the shared one.
        let source = |unit: usize| if index == 0 { 0 } else { unit };
        let units = tasks.iter().map(|task| task.in_level(index)).enumerate();
        let shared_unit = Place::shared().in_level(index);
        let own: Vec<Vec<usize>> = units
            .clone()
            .map(|(t, unit)| config.add_set(ExpertSet::new(unit, source(t), num_own)))
            .collect();
        let shared_source = source(tasks.len());
        let shared = ExpertSet::new(shared_unit.clone(), shared_source, num_shared);
        let shared = config.add_set(shared);
        for (t, unit) in units {
            // The order of a gate's columns, own then shared, is that of saved weights and of docs/models.md.
            let seen = [own[t].as_slice(), &shared].concat();
            let gate = config.gate_of(&unit, GateKind::Softmax);
            config.add_gate(gate, source(t), seen, t);
        }
        if shared_gate {
            let all = [own.concat(), shared].concat();
            let gate = config.gate_of(&shared_unit, GateKind::Softmax);
            config.add_gate(gate, shared_source, all, tasks.len());
        }
        input_dim = config.expert.output_dim();
        levels.push(config);
    }
    let sources = (0..tasks.len()).collect();
    let levels = Levels::new(levels, sources, false, knobs, context, vb)?;
    Ok(Box::new(levels))
}

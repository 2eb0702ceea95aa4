//! Multi-level MMoE: MMoE in levels, all gates reading `v`.
//!
//! Source: a baseline of the PLE (doi 10.1145/3383313.3412236) and AdaTT (arXiv:2304.04959) papers. Level 1's experts read
//! `v`; a level but the last has one gate per expert of the next level, whose mix is that expert's input; the last level has
//! one gate per task.
//!
//! # Shapes
//! - v: [B, D], which all gates read; `x^l`: [E, B, H], an input for each expert of the next level
//! - a gate: [B, E]; result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{ExpertSet, LevelConfig, Levels};
use crate::layout::Owner;
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, GateKind, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;

pub(super) const ML_MMOE: Architecture = Architecture {
    name: "ml_mmoe",
    title: "ML-MMoE: multi-level MMoE",
    paper: "baseline of doi 10.1145/3383313.3412236 and arXiv:2304.04959",
    equation: "x_e^l = Sum(g_e^l(v), {E_n^l(x_n^{l-1})}); y_t = Tower_t(Sum(g_t(v), {E_n^L(x_n^{L-1})}))",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.push(GATE_DIMS);
    knobs.push(Knob::count("num_experts", 1, 4, "experts of each level"));
    knobs.push(Knob::count("num_levels", 1, 2, "levels"));
    knobs
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let (num_experts, num_levels) = (knobs.count("num_experts"), knobs.count("num_levels"));
    let tasks = Place::tasks(context.layout);
    let mut levels = Vec::with_capacity(num_levels);
    let mut input_dim = context.input_dim;
    for index in 0..num_levels {
        let last = index + 1 == num_levels;
        // Every level has as many experts, so that each mix below the last level has exactly one reader.
        let num_outputs = if last { tasks.len() } else { num_experts };
        let mut config = LevelConfig::new(knobs, index, input_dim, num_outputs);
        // All gates read v, whatever the level's experts read.
        config.gate_input_dim = context.input_dim;
        let experts = config.add_set(ExpertSet {
            place: Place {
                path: format!("level.{index}"),
                owner: Owner::All,
                name: "experts".to_string(),
            },
            sources: (0..num_experts)
                .map(|e| if index == 0 { 0 } else { e })
                .collect(),
        });
        let gate = |output: usize| match last {
            true => config.gate_of(&tasks[output], GateKind::Softmax),
            // One of many that nobody owns: the next level's experts have numbers, not names.
            false => Part {
                path: format!("level.{index}.gate.{output}"),
                layer: index,
                kind: PartKind::Gate(GateKind::Softmax),
                owner: Owner::All,
                name: format!("gate {output}"),
            },
        };
        let gates: Vec<Part> = (0..num_outputs).map(gate).collect();
        for (output, gate) in gates.into_iter().enumerate() {
            config.add_gate(gate, 0, experts.clone(), output);
        }
        input_dim = config.expert.output_dim();
        levels.push(config);
    }
    let sources = (0..tasks.len()).collect();
    let levels = Levels::new(levels, sources, true, knobs, context, vb)?;
    Ok(Box::new(levels))
}

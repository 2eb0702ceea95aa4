//! STEM-Net: tables of each task's own beside shared ones, and experts that other tasks read but don't teach.
//!
//! Source: Su et al., "STEM: unleashing the power of embeddings for multi-task recommendation", AAAI 2024, arXiv:2308.13537. Each task has
//! an input v_t from tables of its own, and all have v_s from shared ones. `x_t = Sum(g_t(v_t + v_s), {E_t(v_t), E_s(v_s), sg(E_u(v_u)) of
//! every other task u})`: the gradient of a task stops at another's experts, and so at another's tables. On a level but the last, a shared
//! gate mixes all experts, gradients included, to the next x_s.
//!
//! Deviations: the last level has no shared gate, whose mix nothing would read; gates are linear unless `gate_dims` says otherwise, where
//! the authors' code has layers of 128 and 64.
//!
//! # Shapes
//! - v: [T + 1, B, D], tasks in order, then the shared one; `x^l`: the same with H in place of D, the last level without the shared one
//! - a gate: [B, experts of all tasks and shared ones]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{ExpertSet, Gate, Level, LevelConfig, Towers, find_own};
use crate::part::Place;
use crate::ranker::{BuildContext, GateKind, Ranker, Trace};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};

pub(super) const STEM: Architecture = Architecture {
    name: "stem",
    title: "STEM-Net: tables per task and shared, stopped gradients between tasks",
    paper: "arXiv:2308.13537",
    equation: "x_t^l = Sum(g_t(x_t^{l-1} + x_s^{l-1}), {E_t(x_t^{l-1}), E_s(x_s^{l-1}), sg(E_u(x_u^{l-1})) of every other u}); y_t = Tower_t(x_t^L)",
    knobs,
    build,
    tables: Tables::PerTaskAndShared,
    no_bottom: Some(
        "its gates add up the inputs of tasks' and shared tables, and a bottom would mix what its stopped gradients keep apart",
    ),
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.extend([
        GATE_DIMS,
        Knob::count(
            "num_task_experts",
            1,
            1,
            "experts of each task, on each level",
        ),
        Knob::count("num_shared_experts", 1, 1, "shared experts, on each level"),
        Knob::count("num_levels", 1, 1, "levels"),
        Knob::flag(
            "stop_gradients",
            true,
            "whether a task's gradient stops at the experts of other tasks",
        ),
    ]);
    knobs
}

struct Stem {
    levels: Vec<Level>,
    towers: Towers,
    num_tasks: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let tasks = Place::tasks(context.layout);
    let num_levels = knobs.count("num_levels");
    let mut configs = Vec::with_capacity(num_levels);
    let mut input_dim = context.input_dim;
    for index in 0..num_levels {
        // With tables shared after all, everything reads the one input that there is.
        let source = |unit: usize| match index == 0 && !context.input_per_task {
            true => 0,
            false => unit,
        };
        let is_last = index + 1 == num_levels;
        let num_outputs = tasks.len() + usize::from(!is_last);
        let mut config = LevelConfig::new(knobs, index, input_dim, num_outputs);
        let num_own = knobs.count("num_task_experts");
        let units: Vec<Place> = tasks.iter().map(|task| task.in_level(index)).collect();
        let own: Vec<Vec<usize>> = (units.iter().enumerate())
            .map(|(t, unit)| config.add_set(ExpertSet::new(unit.clone(), source(t), num_own)))
            .collect();
        let shared_unit = Place::shared().in_level(index);
        let shared_source = source(tasks.len());
        let num_shared = knobs.count("num_shared_experts");
        let shared = ExpertSet::new(shared_unit.clone(), shared_source, num_shared);
        let shared = config.add_set(shared);
        // The order of a gate's columns is that of saved weights and of docs/models.md.
        let seen = [own.concat(), shared].concat();
        for (t, unit) in units.iter().enumerate() {
            let others = own.iter().enumerate().filter(|(u, _)| *u != t);
            let others: Vec<usize> = others.flat_map(|(_, experts)| experts.clone()).collect();
            config.gates.push(Gate {
                part: config.gate_of(unit, GateKind::Softmax),
                kind: GateKind::Softmax,
                sources: vec![source(t)],
                gated_sources: Vec::new(),
                experts: seen.clone(),
                output: t,
                stopped: match knobs.flag("stop_gradients") {
                    true => others,
                    false => Vec::new(),
                },
            });
        }
        if !is_last {
            let gate = config.gate_of(&shared_unit, GateKind::Softmax);
            // Of one input, what task gates read comes first: see `gate_inputs`.
            config.add_gate(gate, shared_source.max(1), seen, tasks.len());
        }
        input_dim = config.expert.output_dim();
        configs.push(config);
    }
    let sources: Vec<usize> = (0..tasks.len()).collect();
    find_own(&mut configs, &sources, false);
    let levels = configs.iter().map(|config| Level::new(config, vb));
    let levels = levels.collect::<std::result::Result<Vec<_>, ModelError>>()?;
    let towers = Towers::new(knobs, context, input_dim, sources, vb)?;
    Ok(Box::new(Stem {
        levels,
        towers,
        num_tasks: tasks.len(),
    }))
}

impl Stem {
    /// What gates read: a task's input plus the shared one, and the shared one alone where the level has a shared gate.
    fn gate_inputs(&self, xs: &Tensor, is_last: bool) -> Result<Tensor> {
        if xs.rank() == 2 {
            return Tensor::stack(&[&(xs * 2.0)?, xs], 0);
        }
        let shared = xs.get(self.num_tasks)?;
        // One by one: candle would sum the gradient of a repeated tensor in an order of its own.
        let mut inputs = (0..self.num_tasks)
            .map(|task| xs.get(task)? + &shared)
            .collect::<Result<Vec<_>>>()?;
        if !is_last {
            inputs.push(shared);
        }
        Tensor::stack(&inputs, 0)
    }
}

impl Ranker for Stem {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let mut hidden = xs.clone();
        for (index, level) in self.levels.iter().enumerate() {
            let gate_xs = self.gate_inputs(&hidden, index + 1 == self.levels.len())?;
            hidden = level.forward_t(&hidden, Some(&gate_xs), train, trace.as_deref_mut())?;
        }
        self.towers.forward_t(&hidden, train)
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        let levels: usize = self.levels.iter().map(Level::flops_per_row).sum();
        levels + self.towers.flops_per_row()
    }
}

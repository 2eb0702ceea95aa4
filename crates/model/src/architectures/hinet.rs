//! HiNet: experts of scenarios that read each other by attention, then customised gate control by task.
//!
//! Source: Zhou et al., "HiNet: novel multi-scenario & multi-task learning with hierarchical information extraction", ICDE 2023,
//! arXiv:2303.06095. An expert of the scenario layer is an integration of sub-experts, `SEI(v) = Sum(g(v), {E_k(v)})`: one of all
//! scenarios, S, and one of each, F_s. The scenario-aware attentive network weighs those of the other scenarios by the embedding of the
//! row's, `A = sum over u != s of softmax(W e_s)_u F_u(v)`. Tasks read `C = [S, F_s, A]` by CGC.
//!
//! The attention of a row is over the other scenarios, and sums to 1. A row of no known scenario is weighed over all of them, and has that
//! sum in place of an own expert too. With one scenario there are no others and no attention: C = [S, F_1]; so it is with
//! `attention = false`, where a row of no known scenario has the mean of all experts as its own.
//!
//! Every scenario's expert is read by every row, so that none can be left out.
//!
//! # Shapes
//! - v: [B, D]; S, `F_s`, A: [B, H]; the attention's weights: [B, scenarios]; C: [B, 3 H]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{
    ExpertSet, Level, LevelConfig, Towers, find_own, linear_maps, plain_networks, product_flops,
};
use crate::layout::Owner;
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, GateKind, Ranker, StepOutput, Trace, TrainingPass};
use crate::registry::Architecture;
use crate::scenario::{RowScenarios, ScenarioRows, embedding_columns};
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::gate::{GateActivation, Mix, MixGate};
use homebench_kernels::stacked_mlp::StackedMlp;
use homebench_kernels::{softmax, spread};
use std::ops::Range;

pub(super) const HINET: Architecture = Architecture {
    name: "hinet",
    title: "HiNet: scenarios that attend to each other, then tasks",
    paper: "arXiv:2303.06095",
    equation: "C = [SEI(v), SEI_s(v), sum over u != s of softmax(W e_s)_u SEI_u(v)]; y_t = Tower_t(Sum(g_t(C), {E_t(C), E_shared(C)}))",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: Some(
        "its attention reads the columns of the scenario, and behind a bottom no column is a feature's",
    ),
    layers: &["scenario layer", "attention", "task layer"],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.extend([
        GATE_DIMS,
        Knob::count(
            "num_scenario_shared_experts",
            1,
            2,
            "sub-experts of the expert of all scenarios",
        ),
        Knob::count(
            "num_scenario_experts",
            1,
            2,
            "sub-experts of each scenario's expert",
        ),
        Knob::count("num_task_experts", 1, 2, "experts of each task"),
        Knob::count("num_shared_experts", 0, 2, "experts of all tasks"),
        Knob::flag(
            "attention",
            true,
            "whether a row reads the experts of other scenarios, weighed by the embedding of its own",
        ),
    ]);
    knobs
}

/// Weighs the experts of scenarios by the embedding of the row's.
struct Attention {
    columns: Range<usize>,
    hidden: Option<StackedMlp>,
    map: StackedMlp,
    /// The weights, shown as a gate.
    gate: Part,
    /// What it weighs, shown as experts.
    read: Part,
    flops_per_row: usize,
}

struct HiNet {
    scenarios: RowScenarios,
    scenario_layer: Level,
    attention: Option<Attention>,
    /// Of scenarios' experts: the own one, and where there is an attention the others.
    mix: Mix,
    task_layer: Level,
    towers: Towers,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let scenarios = RowScenarios::new("hinet", context)?;
    let count = scenarios.num_scenarios();
    let scenario_layer = Level::new(&scenario_layer(knobs, context, count), vb)?;
    let attention = match knobs.flag("attention") && count > 1 {
        true => Some(Attention::new(knobs, context, count, vb)?),
        false => None,
    };
    let num_read = 1 + usize::from(attention.is_some());
    let weigh = |output| MixGate {
        experts: (0..count).collect(),
        activation: GateActivation::Identity,
        output,
        stopped: Vec::new(),
    };
    let mix = Mix::new((0..num_read).map(weigh).collect(), count, num_read)?;
    let task_layer = task_layer(knobs, context, 1 + num_read);
    let width = task_layer.expert.output_dim();
    let each: Vec<usize> = (0..context.layout.tasks.len()).collect();
    let mut levels = [task_layer];
    find_own(&mut levels, &each, false);
    Ok(Box::new(HiNet {
        scenario_layer,
        attention,
        mix,
        task_layer: Level::new(&levels[0], vb)?,
        towers: Towers::new(knobs, context, width, each, vb)?,
        scenarios,
    }))
}

/// Integrations of sub-experts: that of all scenarios, then one of each.
fn scenario_layer(knobs: &Knobs, context: &BuildContext<'_>, count: usize) -> LevelConfig {
    let place = |name: &str, path: &str| Place {
        path: format!("scenario.{path}"),
        owner: Owner::All,
        name: name.to_owned(),
    };
    let mut config = LevelConfig::new(knobs, 0, context.input_dim, 1 + count);
    let all = place("all scenarios", "shared");
    let units = std::iter::once(("num_scenario_shared_experts", all));
    let own = (0..count).map(|scenario| {
        let name = format!("scenario {scenario}");
        ("num_scenario_experts", place(&name, &scenario.to_string()))
    });
    for (output, (knob, unit)) in units.chain(own).enumerate() {
        let experts = config.add_set(ExpertSet::new(unit.clone(), 0, knobs.count(knob)));
        let gate = config.gate_of(&unit, GateKind::Softmax);
        config.add_gate(gate, 0, experts, output);
    }
    config
}

/// CGC on so many vectors side by side.
fn task_layer(knobs: &Knobs, context: &BuildContext<'_>, num_read: usize) -> LevelConfig {
    let tasks = Place::tasks(context.layout);
    let mut config = LevelConfig::new(knobs, 2, 0, tasks.len());
    config.input_dim = num_read * config.expert.output_dim();
    config.gate_input_dim = config.input_dim;
    let own: Vec<Vec<usize>> = (tasks.iter())
        .map(|task| {
            let count = knobs.count("num_task_experts");
            config.add_set(ExpertSet::new(task.clone(), 0, count))
        })
        .collect();
    let count = knobs.count("num_shared_experts");
    let shared = config.add_set(ExpertSet::new(Place::shared(), 0, count));
    for (output, task) in tasks.iter().enumerate() {
        // The order of a gate's columns is that of saved weights and of docs/models.md.
        let seen = [own[output].as_slice(), &shared].concat();
        let gate = config.gate_of(task, GateKind::Softmax);
        config.add_gate(gate, 0, seen, output);
    }
    config
}

impl Attention {
    fn new(
        knobs: &Knobs,
        context: &BuildContext<'_>,
        count: usize,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let gate = Part {
            path: "scenario.attention".to_owned(),
            layer: 1,
            kind: PartKind::Gate(GateKind::Softmax),
            owner: Owner::All,
            name: "attention".to_owned(),
        };
        let read = Part {
            path: "scenario.integrated".to_owned(),
            kind: PartKind::Experts,
            name: "scenarios".to_owned(),
            ..gate.clone()
        };
        let vb = vb.part(&gate);
        let columns = embedding_columns(context);
        let mut dims = vec![columns.len()];
        dims.extend(knobs.widths("gate_dims"));
        let width = dims[dims.len() - 1];
        let hidden = match dims.len() > 1 {
            true => Some(plain_networks(&dims, true, &[vb.pp("hidden")], vec![0])?),
            false => None,
        };
        let map = linear_maps(width, count, std::slice::from_ref(&vb), vec![0])?;
        dims.push(count);
        Ok(Self {
            columns,
            hidden,
            map,
            gate,
            read,
            flops_per_row: product_flops(&dims),
        })
    }

    /// The weights of each scenario, [batch, scenarios]: exactly 0 of the row's own.
    fn weights(&self, xs: &Tensor, rows: &ScenarioRows, train: bool) -> Result<Tensor> {
        let columns = &self.columns;
        let mut read = xs.narrow(1, columns.start, columns.len())?.contiguous()?;
        if let Some(hidden) = &self.hidden {
            read = hidden.forward_t(&read, train)?.squeeze(0)?;
        }
        let logits = self.map.forward_t(&read, train)?.squeeze(0)?;
        let own = rows.is_own()?;
        // So far down that the softmax has nothing left for it but what is then taken away.
        let others = (softmax(&(logits - (&own * OUT_OF_REACH)?)?)? * own.affine(-1.0, 1.0)?)?;
        Ok(others)
    }
}

/// Below every logit.
const OUT_OF_REACH: f64 = 1e30;

impl HiNet {
    /// What tasks read, [batch, 3 H].
    fn extracted(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let rows = self.scenarios.rows(xs)?;
        let integrated = self
            .scenario_layer
            .forward_t(xs, None, train, trace.as_deref_mut())?;
        let count = self.scenarios.num_scenarios();
        let of_scenarios = integrated.narrow(0, 1, count)?.contiguous()?;
        let weights = match &self.attention {
            None => rows.shares()?,
            Some(attention) => {
                let others = attention.weights(xs, &rows, train)?;
                if let Some(trace) = trace {
                    let seen: Vec<usize> = (0..count).collect();
                    trace.push_gate(&attention.gate, GateKind::Softmax, &seen, others.detach());
                    trace.push_experts(&attention.read, &of_scenarios);
                }
                let of_unknown = (spread(&rows.is_unknown()?, count)? * &others)?;
                Tensor::cat(&[(rows.is_own()? + of_unknown)?, others], 1)?
            }
        };
        let read = self.mix.forward(&of_scenarios, &weights)?;
        let mut parts = vec![integrated.get(0)?];
        for index in 0..read.dim(0)? {
            parts.push(read.get(index)?);
        }
        Tensor::cat(&parts, 1)
    }
}

impl Ranker for HiNet {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let extracted = self.extracted(xs, train, trace.as_deref_mut())?;
        let hidden = self.task_layer.forward_t(&extracted, None, train, trace)?;
        self.towers.forward_t(&hidden, train)
    }

    /// The representation is what the experts of the task layer put out.
    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let logits = match pass.cut {
            None => self.forward_t(xs, true, trace)?,
            Some(_) => {
                let extracted = self.extracted(xs, true, None)?;
                let hidden = self.task_layer.forward_cut(&extracted, None, pass)?;
                self.towers.forward_t(&hidden, true)?
            }
        };
        Ok(StepOutput {
            logits,
            auxiliary: None,
            first: None,
        })
    }

    fn has_representation(&self) -> bool {
        true
    }

    fn scenarios(&self) -> Option<&RowScenarios> {
        Some(&self.scenarios)
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        let attention = self.attention.as_ref();
        self.scenario_layer.flops_per_row()
            + attention.map_or(0, |attention| attention.flops_per_row)
            + self.task_layer.flops_per_row()
            + self.towers.flops_per_row()
    }
}

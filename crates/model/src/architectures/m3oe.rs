//! M3oE: experts of everybody, of scenarios and of tasks, balanced within each kind and fused by scenario and task.
//!
//! Source: Zhang et al., "M3oE: multi-domain multi-task mixture-of experts recommendation framework", SIGIR 2024, arXiv:2404.18465, and its
//! code. A star layer and a skip give `x = MLP(v (W * W_s) + b + b_s) + Skip(v)`, which all experts read. Of a row of scenario s,
//! `h_t = Sum(g_{s,t}(sg(x)), {E_k(x)}) + sigmoid(a_{s,t}) F_s' + sigmoid(a'_{s,t}) Q_t'`, where `F_s' = sigmoid(b_s) F_s + (1 - sigmoid(b_s))
//! mean of the other scenarios' F`, and Q' the same over tasks. Each scenario and task has a gate and a tower.
//!
//! A row of no known scenario reads the star layer's shared weights, the mean of all scenarios' experts, and the means of what their gates,
//! fusions and towers would give it. One scenario has no others to be balanced with, nor has one task: that part is its experts alone.
//!
//! Deviations: a and b are learned with everything else, where the paper finds them by a search in two levels; towers have no norm; with
//! `fusion = "shared"` a and b are four numbers, as in the authors' code, which updates them once an epoch on a batch of training rows.
//!
//! Gates and towers run on the rows of their scenario alone, where that is cheaper; see `SparseMixture`.
//!
//! # Shapes
//! - v: [B, D]; x: [B, bottom_dim]; an expert: [B, H]; `h_t`: [B, H]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, expert_knobs};
use crate::layers::{ExpertConfig, Fusion, ScenarioNetworks, StarNetworks, product_flops};
use crate::layout::Owner;
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, GateKind, Ranker, Trace};
use crate::registry::Architecture;
use crate::scenario::{RowScenarios, ScenarioRows};
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::gate::{GateActivation, Mix, MixGate};
use homebench_kernels::softmax;
use homebench_kernels::stacked_mlp::{Activation, StackedMlp};

pub(super) const M3OE: Architecture = Architecture {
    name: "m3oe",
    title: "M3oE: experts of all, of scenarios and of tasks, fused",
    paper: "arXiv:2404.18465",
    equation: "x = MLP(v (W * W_s) + b + b_s) + Skip(v); h_t = Sum(g_{s,t}(sg(x)), {E_k(x)}) + sigmoid(a_{s,t}) F_s' + sigmoid(a'_{s,t}) Q_t'; y_t = Tower_{s,t}(h_t)",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: Some(
        "its star layer, with weights for each scenario, is what stands between the input and the experts",
    ),
    layers: &["bottom", "expert layer"],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.extend([
        Knob::count("star_dim", 1, 64, "width of the star layer"),
        Knob::count("bottom_dim", 1, 64, "width of what experts read"),
        Knob::count("num_shared_experts", 1, 4, "experts of all scenarios and tasks"),
        Knob::choice(
            "fusion",
            &["each", "shared"],
            "each",
            "whether each scenario and task has weights of its own for what is fused, or all have the same four",
        ),
    ]);
    knobs
}

struct M3oe {
    scenarios: RowScenarios,
    star: StarNetworks,
    /// Of what the star layer gives, and of the input.
    bottom: [(Part, StackedMlp); 2],
    /// Of everybody, of scenarios, then of tasks.
    experts: StackedMlp,
    /// Each set and its number of experts.
    sets: Vec<(Part, usize)>,
    gates: Vec<(Part, ScenarioNetworks)>,
    num_shared: usize,
    fusion: Fusion,
    mix: Mix,
    towers: Vec<ScenarioNetworks>,
    features: FeatureTap,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let scenarios = RowScenarios::new("m3oe", context)?;
    let (count, num_tasks) = (scenarios.num_scenarios(), context.layout.tasks.len());
    let (star_dim, bottom_dim) = (knobs.count("star_dim"), knobs.count("bottom_dim"));
    let config = ExpertConfig::from_knobs(knobs);
    let widths = (context.input_dim, star_dim);
    let star = vb.pp("shared").pp("star");
    let star = StarNetworks::one_layer(widths, Activation::Identity, &star, count)?;
    let layer = config.with_dims(&[bottom_dim]);
    let mut flops_per_row = star.flops_per_row();
    let mut network = |name: &str, width: usize| {
        let part = Place::shared().named(name, 0);
        flops_per_row += layer.flops_per_row(width);
        let network = layer.build(width, &[(vb.part(&part), 1)], vec![0])?;
        Ok::<_, ModelError>((part, network))
    };
    let bottom = [
        network("bottom", star_dim)?,
        network("skip", context.input_dim)?,
    ];
    let num_shared = knobs.count("num_shared_experts");
    let sets = expert_sets(context, num_shared, count);
    let builders: Vec<(VarBuilder, usize)> = (sets.iter())
        .map(|(part, experts)| (vb.part(part), *experts))
        .collect();
    let num_experts = num_shared + count + num_tasks;
    let experts = config.build(bottom_dim, &builders, vec![0; num_experts])?;
    flops_per_row += num_experts * config.flops_per_row(bottom_dim);
    let (mut gates, mut towers) = (Vec::new(), Vec::new());
    let width = config.output_dim();
    let tower_dims = [&[width], &*knobs.widths("tower_dims"), &[1]].concat();
    let own = vb.of_one_task(true);
    for task in Place::tasks(context.layout) {
        let part = task.part(PartKind::Gate(GateKind::Softmax), 1);
        let gate = ScenarioNetworks::linear((bottom_dim, num_shared), count, &own.part(&part))?;
        gates.push((part, gate));
        let tower = own.pp(&task.path).pp("tower");
        towers.push(ScenarioNetworks::new(&tower_dims, count, &tower)?);
        // A row runs those of its scenario.
        flops_per_row += product_flops(&[bottom_dim, num_shared]) + product_flops(&tower_dims);
    }
    Ok(Box::new(M3oe {
        scenarios,
        star,
        bottom,
        experts,
        sets,
        gates,
        num_shared,
        fusion: Fusion::new(knobs.choice("fusion") == "shared", context, count, vb)?,
        mix: mix(num_shared, count, num_tasks)?,
        towers,
        features: FeatureTap::new(width, (0..num_tasks).collect()),
        flops_per_row,
    }))
}

/// Experts of everybody, of each scenario, and of each task.
fn expert_sets(context: &BuildContext<'_>, num_shared: usize, count: usize) -> Vec<(Part, usize)> {
    let of_scenarios = Place {
        path: "scenario".to_owned(),
        owner: Owner::All,
        name: "scenarios".to_owned(),
    };
    let mut sets = vec![(Place::shared(), num_shared), (of_scenarios, count)];
    sets.extend((Place::tasks(context.layout).into_iter()).map(|task| (task, 1)));
    let part = |(place, experts): (Place, usize)| (place.part(PartKind::Experts, 1), experts);
    sets.into_iter().map(part).collect()
}

/// The sum of a task: of everybody's experts by its gate, and of the others by weights that are given.
fn mix(num_shared: usize, count: usize, num_tasks: usize) -> Result<Mix> {
    let ends = [
        0,
        num_shared,
        num_shared + count,
        num_shared + count + num_tasks,
    ];
    let gate = |output: usize, kind: usize| MixGate {
        experts: (ends[kind]..ends[kind + 1]).collect(),
        activation: match kind {
            0 => GateActivation::Softmax,
            _ => GateActivation::Identity,
        },
        output,
        stopped: Vec::new(),
    };
    let gates = (0..num_tasks).flat_map(|task| (0..3).map(move |kind| (task, kind)));
    let gates = gates.map(|(task, kind)| gate(task, kind)).collect();
    Mix::new(gates, ends[3], num_tasks)
}

impl M3oe {
    /// What experts read, [batch, bottom_dim].
    fn bottom(
        &self,
        xs: &Tensor,
        rows: &ScenarioRows,
        train: bool,
        mut trace: Option<&mut Trace>,
    ) -> Result<Tensor> {
        let of_scenario = self.star.forward(&xs.unsqueeze(0)?, rows)?.squeeze(0)?;
        let mut run = |(part, network): &(Part, StackedMlp), xs: &Tensor| {
            let outputs = network.forward_t(xs, train)?;
            if let Some(trace) = trace.as_deref_mut() {
                trace.push_experts(part, &outputs);
            }
            outputs.squeeze(0)
        };
        let [bottom, skip] = &self.bottom;
        run(bottom, &of_scenario)? + run(skip, xs)?
    }
}

impl Ranker for M3oe {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let rows = self.scenarios.rows(xs)?;
        let read = self.bottom(xs, &rows, train, trace.as_deref_mut())?;
        let experts = self.experts.forward_t(&read, train)?;
        let shares = rows.shares()?;
        let mut columns = Vec::with_capacity(3 * self.gates.len());
        let balances = self.fusion.of_scenarios(&rows)?;
        for (task, (part, gate)) in self.gates.iter().enumerate() {
            // What experts learn, they learn as experts: nothing of a gate's gradient goes on to what it reads.
            let logits = gate.forward_t(&read.detach(), &shares, train)?;
            if let Some(trace) = trace.as_deref_mut() {
                let seen: Vec<usize> = (0..self.num_shared).collect();
                let weights = softmax(&logits.detach())?;
                trace.push_gate(part, GateKind::Softmax, &seen, weights);
            }
            let [of_scenarios, of_tasks] = self.fusion.of_task(task, &balances, &rows)?;
            columns.extend([logits, of_scenarios, of_tasks]);
        }
        if let Some(trace) = trace {
            let mut start = 0;
            for (part, count) in &self.sets {
                trace.push_experts(part, &experts.narrow(0, start, *count)?);
                start += count;
            }
        }
        let hidden = self.mix.forward(&experts, &Tensor::cat(&columns, 1)?)?;
        self.features.pass(&hidden);
        let logits = self.towers.iter().enumerate().map(|(task, tower)| {
            let of_task = hidden.get(task)?.contiguous()?;
            tower.forward_t(&of_task, &shares, train)
        });
        Tensor::cat(&logits.collect::<Result<Vec<_>>>()?, 1)
    }

    fn scenarios(&self) -> Option<&RowScenarios> {
        Some(&self.scenarios)
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(&self.features)
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

//! PEPNet: gates of a domain and of a person, which scale units and not experts.
//!
//! Source: Chang et al., "PEPNet: parameter and embedding personalized network for infusing with personalized prior information", KDD
//! 2023, arXiv:2302.01115. EPNet: `v' = 2 sigmoid(G(e_s, sg(v))) v`, where e_s is the embedding of the row's scenario and `sg` stops the
//! gradient. PPNet: `x_t^l = MLP_t^l(x_t^{l-1}) 2 sigmoid(G_t^l(u, sg(v')))`, where u are the embeddings of prior features such as user,
//! item and author. A gate G is a hidden layer with ReLU and a linear one.
//!
//! Deviation: the layers of `expert_dims` are gated, those of the tower behind them are not, as of every model here; `tower_dims = []` is
//! the paper's form, whose last layer has no gate either.
//!
//! # Shapes
//! - v: [B, D]; e_s: [B, embedding width]; u: [B, P]; `x^l`: [T, B, H_l]; a gate of PPNet: [B, H_l]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, expert_knobs};
use crate::layers::{ExpertConfig, Towers, plain_networks, product_flops};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, Ranker, Trace};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::sigmoid;
use homebench_kernels::stacked_mlp::StackedMlp;
use std::ops::Range;

pub(super) const PEPNET: Architecture = Architecture {
    name: "pepnet",
    title: "PEPNet: gates of scenario and prior features over units",
    paper: "arXiv:2302.01115",
    equation: "v' = 2 sigmoid(G(e_s, sg(v))) v; x_t^l = MLP_t^l(x_t^{l-1}) 2 sigmoid(G_t^l(u, sg(v'))); y_t = Tower_t(x_t^L)",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: Some(
        "its gates read the columns of single features, and behind a bottom no column is a feature's",
    ),
    layers: &[],
};

/// What a gate reaches at most; the paper's. A gate that says nothing is at 1.
const GAMMA: f64 = 2.0;

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.extend([
        Knob::choice(
            "parts",
            &["both", "epnet", "ppnet"],
            "both",
            "which gates there are: EPNet's, which read the scenario, PPNet's, which read prior features, or both",
        ),
        Knob::features(
            "prior_features",
            "features that PPNet's gates read, such as user, item and author",
        ),
        Knob::count("gate_hidden_dim", 1, 32, "width of the hidden layer of a gate"),
    ]);
    knobs
}

/// The columns of features, and a gate that reads them beside the whole input.
struct EpNet {
    scenario: Range<usize>,
    gate: StackedMlp,
}

struct PepLevel {
    /// One network each.
    sets: Vec<Part>,
    networks: StackedMlp,
    /// Absent without PPNet.
    gates: Option<StackedMlp>,
}

struct PepNet {
    epnet: Option<EpNet>,
    /// Columns of the prior features; none without PPNet.
    prior: Vec<Range<usize>>,
    levels: Vec<PepLevel>,
    towers: Towers,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let (num_tasks, hidden) = (context.layout.tasks.len(), knobs.count("gate_hidden_dim"));
    let (epnet, mut flops_per_row) = match knobs.choice("parts") {
        "ppnet" => (None, 0),
        _ => epnet(hidden, context, vb)?,
    };
    let prior = prior(knobs, context)?;
    let gate_input = context.input_dim + prior.iter().map(Range::len).sum::<usize>();
    let config = ExpertConfig::from_knobs(knobs);
    let (mut levels, mut input_dim) = (Vec::new(), context.input_dim);
    for (index, width) in config.dims().iter().enumerate() {
        let tasks: Vec<Place> = (Place::tasks(context.layout).iter())
            .map(|task| task.in_level(index))
            .collect();
        let sets: Vec<Part> = (tasks.iter())
            .map(|task| task.part(PartKind::Experts, index))
            .collect();
        let own = vb.of_one_task(true);
        let builders: Vec<(VarBuilder, usize)> =
            sets.iter().map(|set| (own.part(set), 1)).collect();
        // All tasks read the one input first, and then each what its own layer gave.
        let sources = (0..num_tasks).map(|task| if index == 0 { 0 } else { task });
        let layer = config.layer(index);
        flops_per_row += num_tasks * layer.flops_per_row(input_dim);
        let gates = match prior.is_empty() {
            true => None,
            false => {
                let dims = [gate_input, hidden, *width];
                let gates: Vec<VarBuilder> = (tasks.iter())
                    .map(|task| own.pp(&task.path).pp("ppnet"))
                    .collect();
                flops_per_row += num_tasks * product_flops(&dims);
                Some(plain_networks(&dims, false, &gates, vec![0; num_tasks])?)
            }
        };
        levels.push(PepLevel {
            networks: layer.build(input_dim, &builders, sources.collect())?,
            sets,
            gates,
        });
        input_dim = *width;
    }
    let towers = Towers::new(knobs, context, input_dim, (0..num_tasks).collect(), vb)?;
    Ok(Box::new(PepNet {
        epnet,
        prior,
        levels,
        flops_per_row: flops_per_row + towers.flops_per_row(),
        towers,
    }))
}

/// EPNet with its FLOPs.
fn epnet(
    hidden: usize,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<(Option<EpNet>, usize), ModelError> {
    let Some(scenario) = context.columns.scenario else {
        return Err(ModelError::knob(
            "parts",
            "EPNet's gate reads the scenario of a row, and the dataset has none; write scenario = \"a_column\" in its description, \
             or parts = \"ppnet\"",
        ));
    };
    let scenario = context.columns.features[scenario].columns.clone();
    let dims = [
        scenario.len() + context.input_dim,
        hidden,
        context.input_dim,
    ];
    let at = [vb.pp("shared").pp("epnet")];
    let gate = plain_networks(&dims, false, &at, vec![0])?;
    Ok((Some(EpNet { scenario, gate }), product_flops(&dims)))
}

/// The columns that PPNet's gates read beside the input.
fn prior(
    knobs: &Knobs,
    context: &BuildContext<'_>,
) -> std::result::Result<Vec<Range<usize>>, ModelError> {
    let features = context.columns.features;
    let places = knobs.features("prior_features", features)?;
    match (knobs.choice("parts"), places.is_empty()) {
        ("epnet", false) => Err(ModelError::knob(
            "prior_features",
            "without PPNet nothing reads them; leave them out, or write parts = \"both\"",
        )),
        ("both" | "ppnet", true) => Err(ModelError::knob(
            "prior_features",
            "PPNet's gates read prior features, and none is named; name some, such as prior_features = [\"user\"], or write \
             parts = \"epnet\"",
        )),
        _ => {
            let columns = places.iter().map(|place| features[*place].columns.clone());
            Ok(columns.collect())
        }
    }
}

/// `2 sigmoid(logits)`.
fn factors(logits: &Tensor) -> Result<Tensor> {
    sigmoid(logits)? * GAMMA
}

/// Some columns of the input, and beside them another that no gradient goes back to.
fn beside(xs: &Tensor, columns: &[Range<usize>], stopped: &Tensor) -> Result<Tensor> {
    let mut parts = Vec::with_capacity(columns.len() + 1);
    for columns in columns {
        parts.push(xs.narrow(1, columns.start, columns.len())?);
    }
    parts.push(stopped.detach());
    Tensor::cat(&parts, 1)
}

impl Ranker for PepNet {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let mut hidden = xs.clone();
        if let Some(EpNet { scenario, gate }) = &self.epnet {
            let read = beside(xs, std::slice::from_ref(scenario), xs)?;
            hidden = (xs * factors(&gate.forward_t(&read, train)?.squeeze(0)?)?)?;
        }
        // Prior features as they come out of their tables: EPNet scales what the tasks' networks read.
        let read = match self.prior.is_empty() {
            true => None,
            false => Some(beside(xs, &self.prior, &hidden)?),
        };
        for level in &self.levels {
            let outputs = level.networks.forward_t(&hidden, train)?;
            if let Some(trace) = trace.as_deref_mut() {
                for (task, set) in level.sets.iter().enumerate() {
                    trace.push_experts(set, &outputs.narrow(0, task, 1)?);
                }
            }
            hidden = match (&level.gates, &read) {
                (Some(gates), Some(read)) => (outputs * factors(&gates.forward_t(read, train)?)?)?,
                _ => outputs,
            };
        }
        self.towers.forward_t(&hidden, train)
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

//! PAD-Net: tasks that predict twice, the second time from what other tasks' features passed on.
//!
//! Source: Xu et al., "PAD-Net: multi-tasks guided prediction-and-distillation network", CVPR 2018, arXiv:1805.04409, as its
//! multi-task form is commonly written: for images, with convolutions of 3 x 3 where here are linear maps.
//!
//! # Shapes
//! - v: [B, D]; the bottom: [1, B, H_0]; F, F': [T, B, H]; what task a passes on to task t: [B, H]
//! - result: [B, T]; in training also the first predictions, [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, expert_knobs};
use crate::layers::{ExpertConfig, Towers, linear_maps_without_bias, product_flops};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, FirstPrediction, Ranker, StepOutput, Trace, TrainingPass};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::gate::{GateActivation, Mix, MixGate};
use homebench_kernels::sigmoid;
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const PAD_NET: Architecture = Architecture {
    name: "pad_net",
    title: "PAD-Net: predictions that guide others",
    paper: "arXiv:1805.04409",
    equation: "F_t = MLP_t(MLP(v)); F_t' = F_t + sum over a != t of sigmoid(F_a W_ta) * (F_a V_ta); y_t = Tower_t(F_t'), first Tower_t^1(F_t)",
    knobs: || {
        let mut knobs = expert_knobs("none", "relu").to_vec();
        knobs.extend([
            Knob::widths(
                "task_dims",
                false,
                &[32],
                "widths of a task's own network, which reads the shared one's output",
            ),
            Knob::choice(
                "exchange",
                &["gated", "none"],
                "gated",
                "what a task's second prediction reads beside its own features: those of the others behind gates, or nothing",
            ),
            Knob::number(
                "deep_supervision",
                0.0,
                1.0,
                "weight of the first predictions' losses; 0: there are none",
            ),
        ]);
        knobs
    },
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

/// What tasks pass on to each other.
struct Exchange {
    /// Of each task and each other one, in this order, the W that reads the other's features, and then of each the V.
    maps: StackedMlp,
    /// A task's features and all that is passed on to it, each with the weight 1: their sum in one order.
    sums: Mix,
    width: usize,
    num_pairs: usize,
}

struct PadNet {
    bottom_set: Part,
    bottom: StackedMlp,
    sets: Vec<Part>,
    networks: StackedMlp,
    exchange: Option<Exchange>,
    /// The first predictions and the weight of their losses.
    first: Option<(Towers, f64)>,
    towers: Towers,
    flops_per_row: usize,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let num_tasks = context.layout.tasks.len();
    let config = ExpertConfig::from_knobs(knobs);
    let own = config.with_dims(&knobs.widths("task_dims"));
    let bottom_set = Place::shared().part(PartKind::Experts, 0);
    let tasks = Place::tasks(context.layout);
    let sets: Vec<Part> = (tasks.iter())
        .map(|task| task.part(PartKind::Experts, 1))
        .collect();
    // What a task's own network gives goes to the others by their exchange.
    let is_exchanged = num_tasks > 1 && knobs.choice("exchange") == "gated";
    let of_tasks = vb.of_one_task(!is_exchanged);
    let builders: Vec<(VarBuilder, usize)> =
        sets.iter().map(|set| (of_tasks.part(set), 1)).collect();
    let exchange = match is_exchanged {
        true => Some(Exchange::new(context, own.output_dim(), vb)?),
        false => None,
    };
    let each = || (0..num_tasks).collect::<Vec<usize>>();
    let towers = Towers::new(knobs, context, own.output_dim(), each(), vb)?;
    let weight = knobs.number("deep_supervision");
    let first = match weight > 0.0 {
        true => {
            let dim = own.output_dim();
            let first = Towers::named("first_tower", knobs, context, dim, each(), vb)?;
            Some((first, weight))
        }
        false => None,
    };
    Ok(Box::new(PadNet {
        bottom: config.build(context.input_dim, &[(vb.part(&bottom_set), 1)], vec![0])?,
        networks: own.build(config.output_dim(), &builders, vec![0; num_tasks])?,
        // First predictions are of training alone.
        flops_per_row: config.flops_per_row(context.input_dim)
            + num_tasks * own.flops_per_row(config.output_dim())
            + exchange.as_ref().map_or(0, Exchange::flops_per_row)
            + towers.flops_per_row(),
        bottom_set,
        sets,
        exchange,
        first,
        towers,
    }))
}

impl Exchange {
    /// `task.<name>.from.<other>.gate` (W) and `.value` (V) of every task and every other, [H, H] each.
    fn new(
        context: &BuildContext<'_>,
        width: usize,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let tasks = &context.layout.tasks;
        let num_others = tasks.len() - 1;
        let (mut maps, mut sources) = (Vec::new(), Vec::new());
        for kind in ["gate", "value"] {
            for (task, name) in tasks.iter().enumerate() {
                let place = vb.of_one_task(true).pp("task").pp(name).pp("from");
                for (other, from) in tasks.iter().enumerate().filter(|(other, _)| *other != task) {
                    maps.push(place.pp(from).pp(kind));
                    sources.push(other);
                }
            }
        }
        let num_pairs = maps.len() / 2;
        let gate = |task: usize| {
            let first = tasks.len() + task * num_others;
            let passed_on = first..first + num_others;
            MixGate {
                experts: std::iter::once(task).chain(passed_on).collect(),
                activation: GateActivation::Identity,
                output: task,
                stopped: Vec::new(),
            }
        };
        let gates = (0..tasks.len()).map(gate).collect();
        Ok(Self {
            maps: linear_maps_without_bias(width, width, &maps, sources)?,
            sums: Mix::new(gates, tasks.len() + num_pairs, tasks.len())?,
            width,
            num_pairs,
        })
    }

    fn flops_per_row(&self) -> usize {
        2 * self.num_pairs * product_flops(&[self.width, self.width])
    }

    /// F' of F, both [tasks, batch, width].
    fn forward(&self, features: &Tensor, train: bool) -> Result<Tensor> {
        let (tasks, rows, _) = features.dims3()?;
        let mapped = self.maps.forward_t(features, train)?;
        let part = |place: usize| {
            let part = mapped.narrow(0, place * self.num_pairs, self.num_pairs)?;
            part.contiguous()
        };
        let passed_on = sigmoid(&part(0)?)?.mul(&part(1)?)?;
        let weights = (rows, tasks + self.num_pairs);
        let weights = Tensor::ones(weights, features.dtype(), features.device())?;
        self.sums
            .forward(&Tensor::cat(&[features, &passed_on], 0)?, &weights)
    }
}

impl PadNet {
    /// F and F'.
    fn features_of(
        &self,
        xs: &Tensor,
        train: bool,
        trace: Option<&mut Trace>,
    ) -> Result<(Tensor, Tensor)> {
        let bottom = self.bottom.forward_t(xs, train)?;
        let features = self.networks.forward_t(&bottom, train)?;
        if let Some(trace) = trace {
            trace.push_experts(&self.bottom_set, &bottom);
            for (task, set) in self.sets.iter().enumerate() {
                trace.push_experts(set, &features.narrow(0, task, 1)?);
            }
        }
        let exchanged = match &self.exchange {
            Some(exchange) => exchange.forward(&features, train)?,
            None => features.clone(),
        };
        Ok((features, exchanged))
    }
}

impl Ranker for PadNet {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let (_, exchanged) = self.features_of(xs, train, trace)?;
        self.towers.forward_t(&exchanged, train)
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        _pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let (features, exchanged) = self.features_of(xs, true, trace)?;
        let first = match &self.first {
            Some((towers, weight)) => Some(FirstPrediction {
                logits: towers.forward_t(&features, true)?,
                weight: *weight,
            }),
            None => None,
        };
        Ok(StepOutput {
            logits: self.towers.forward_t(&exchanged, true)?,
            auxiliary: None,
            first,
        })
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

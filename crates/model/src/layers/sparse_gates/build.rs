//! How gates are built from knobs.

use super::super::expert::plain_networks;
use super::super::gate::GateReader;
use super::super::level_config::{LevelConfig, product_flops};
use super::{Form, Noise, linear, task_embeddings};
use crate::ModelError;
use crate::knobs::Knobs;
use crate::part::{PartKind, Place};
use crate::ranker::{BuildContext, GateKind};
use crate::var_builder::{Init, VarBuilder};
use homebench_kernels::Parameter;
use homebench_kernels::gate::{GateLogits, LinearGate};
use homebench_kernels::sparse::{Routing, Selectors};

pub(super) fn per_task_config(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    input_dim: usize,
    num_experts: usize,
) -> LevelConfig {
    let places = Place::tasks(context.layout);
    let mut config = gate_config(knobs, &places, input_dim, num_experts);
    config.own.gates = vec![true; places.len()];
    config
}

/// A level of nothing but gates that read one input.
fn gate_config(
    knobs: &Knobs,
    places: &[Place],
    input_dim: usize,
    num_experts: usize,
) -> LevelConfig {
    let mut config = LevelConfig::new(knobs, 0, input_dim, places.len());
    for (output, place) in places.iter().enumerate() {
        let gate = config.gate_of(place, GateKind::Softmax);
        config.add_gate(gate, 0, (0..num_experts).collect(), output);
    }
    config
}

/// What gates are built from.
pub(super) struct Builder<'a> {
    pub(super) knobs: &'a Knobs,
    pub(super) context: &'a BuildContext<'a>,
    pub(super) routing: &'a Routing,
    pub(super) vb: &'a VarBuilder,
}

impl Builder<'_> {
    /// Knobs that mean nothing together.
    pub(super) fn check(&self, reads: &str) -> Result<(), ModelError> {
        let has_network = !self.knobs.widths("gate_dims").is_empty();
        match (reads, has_network) {
            // Without one, the task adds the same numbers to the logits of every row: a gate for all tasks, and a bias each.
            ("row_and_task", false) => Err(ModelError::knob(
                "gate_dims",
                "a gate that reads row and task needs a hidden layer, found none: without one the task shifts \
                 all rows' logits alike; use gate_dims = [32]",
            )),
            ("row_times_task" | "task_only" | "dselect_k", true) => Err(ModelError::knob(
                "gate_dims",
                format!("gates of `{reads}` have no network before them; leave gate_dims out"),
            )),
            ("dselect_k", _) if self.knobs.choice("gate_reads") != "per_task" => {
                Err(ModelError::knob(
                    "gate_reads",
                    "DSelect-k has selectors per task; use gate_reads = \"per_task\"",
                ))
            }
            ("dselect_k", _) if self.knobs.choice("gate_noise") != "none" => Err(ModelError::knob(
                "gate_noise",
                "DSelect-k chooses by smooth steps, without noise; use gate_noise = \"none\"",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn form(&self, reads: &str) -> Result<(Form, usize), ModelError> {
        let (width, experts) = (self.context.input_dim, self.routing.num_experts);
        let (task_dim, rank) = (self.knobs.count("task_dim"), self.knobs.count("gate_rank"));
        let tasks = self.routing.num_tasks;
        let shared = Place::shared();
        let of_shared = shared.part(PartKind::Gate(GateKind::Softmax), 0);
        Ok(match reads {
            "dselect_k" => self.selectors()?,
            "row_only" => {
                let config = gate_config(self.knobs, std::slice::from_ref(&shared), width, experts);
                let reader = GateReader::new(&config, self.vb)?;
                (
                    Form::RowOnly(Box::new(reader)),
                    config.gates_flops_per_row(),
                )
            }
            "row_and_task" => {
                let mut dims = vec![width + task_dim];
                dims.extend(self.knobs.widths("gate_dims"));
                let hidden_dim = dims[dims.len() - 1];
                let part = self.vb.part(&of_shared);
                let hidden = plain_networks(&dims, true, &[part.pp("hidden")], vec![0])?;
                let last = linear(hidden_dim, experts, &part)?;
                dims.push(experts);
                let form = Form::RowAndTask {
                    embeddings: self.embeddings(task_dim)?,
                    hidden,
                    last,
                };
                (form, tasks * product_flops(&dims))
            }
            "row_times_task" => {
                let gate = self.vb.part(&of_shared);
                let row = map(gate.get((width, rank), "row", Init::fan_in(width))?, rank)?;
                let form = Form::RowTimesTask {
                    embeddings: self.embeddings(task_dim)?,
                    row,
                    task: gate.get((task_dim, rank), "task", Init::fan_in(task_dim))?,
                    last: linear(rank, experts, &gate)?,
                };
                // Of the product of a task's embedding, none is a row's.
                (
                    form,
                    product_flops(&[width, rank]) + tasks * product_flops(&[rank, experts]),
                )
            }
            "task_only" => {
                let form = Form::TaskOnly {
                    embeddings: self.embeddings(task_dim)?,
                    last: linear(task_dim, experts, &self.vb.part(&of_shared))?,
                };
                (form, 0)
            }
            _ => {
                let config = per_task_config(self.knobs, self.context, width, experts);
                let reader = GateReader::new(&config, self.vb)?;
                (
                    Form::PerTask(Box::new(reader)),
                    config.gates_flops_per_row(),
                )
            }
        })
    }

    /// An embedding of each task.
    fn embeddings(&self, task_dim: usize) -> Result<Vec<Parameter>, ModelError> {
        task_embeddings(self.context, task_dim, self.vb)
    }

    fn gates_of_tasks(&self) -> impl Iterator<Item = VarBuilder> {
        let tasks = self.context.layout.tasks.iter();
        let vb = self.vb.of_one_task(true);
        tasks.map(move |task| vb.pp("task").pp(task).pp("gate"))
    }

    fn selectors(&self) -> Result<(Form, usize), ModelError> {
        let width = self.context.input_dim;
        let selectors = Selectors {
            num_selectors: self.knobs.count("top_k"),
            num_experts: self.routing.num_experts,
        };
        if selectors.num_bits() == 0 {
            return Err(ModelError::knob(
                "num_experts",
                "DSelect-k needs at least 2 experts to choose from",
            ));
        }
        let num_steps = selectors.num_selectors * selectors.num_bits();
        let init = Init::fan_in(width);
        let (mut steps, mut weights) = (Vec::new(), Vec::new());
        for task in Place::tasks(self.context.layout) {
            let gate = task.part(PartKind::Gate(GateKind::Softmax), 0);
            let gate = self.vb.of_one_task(true).part(&gate);
            steps.push(weight_alone(
                gate.get((width, num_steps), "selector", init)?,
                num_steps,
            ));
            let of_selectors = gate.get((width, selectors.num_selectors), "weight", init)?;
            weights.push(weight_alone(of_selectors, selectors.num_selectors));
        }
        let form = Form::Selectors {
            steps: GateLogits::new(steps)?,
            weights: GateLogits::new(weights)?,
            selectors,
        };
        let columns = self.routing.num_tasks * (num_steps + selectors.num_selectors);
        Ok((form, product_flops(&[width, columns])))
    }

    pub(super) fn noise(&self, reads: &str) -> Result<Noise, ModelError> {
        let (width, experts) = (self.context.input_dim, self.routing.num_experts);
        let deviation = self.knobs.number("gate_noise_std");
        match self.knobs.choice("gate_noise") {
            "fixed" if deviation == 0.0 => Err(ModelError::knob(
                "gate_noise_std",
                "expected a number above 0 with gate_noise = \"fixed\", found 0",
            )),
            "fixed" => Ok(Noise::Fixed(deviation)),
            "learned" => {
                // Zero, so that every deviation starts at ln 2.
                let noise = |gate: VarBuilder| {
                    let weight = gate.get((width, experts), "noise", Init::Constant(0.0))?;
                    Ok(weight_alone(weight, experts))
                };
                let maps: Vec<LinearGate> = match reads {
                    "per_task" => self
                        .gates_of_tasks()
                        .map(noise)
                        .collect::<Result<_, ModelError>>()?,
                    _ => vec![noise(self.vb.pp("shared").pp("gate"))?],
                };
                Ok(Noise::Learned(GateLogits::new(maps)?))
            }
            _ => Ok(Noise::None),
        }
    }
}

fn map(weight: Parameter, outputs: usize) -> Result<GateLogits, ModelError> {
    Ok(GateLogits::new(vec![weight_alone(weight, outputs)])?)
}

fn weight_alone(weight: Parameter, num_logits: usize) -> LinearGate {
    LinearGate {
        sources: vec![0],
        weight: Some(weight),
        bias: None,
        num_logits,
    }
}

//! Gates whose (row, task) pairs run a few experts: what they read, and their noise.

mod build;

use super::gate::GateReader;
use crate::ModelError;
use crate::knobs::Knobs;
use crate::ranker::{BuildContext, NoiseSource, TrainingPass};
use crate::var_builder::{Init, VarBuilder};
use build::{Builder, per_task_config};
use candle_core::{Result, Tensor};
use homebench_kernels::gate::{GateLogits, LinearGate};
use homebench_kernels::sparse::{RouteBy, Routing, Selectors, gate_noise, softplus};
use homebench_kernels::stacked_mlp::StackedMlp;
use homebench_kernels::{Parameter, matmul};

/// Gates of every task.
pub(crate) struct SparseGates {
    form: Form,
    noise: Noise,
    /// Names the stream of their noise: gates in two places of a model draw different numbers.
    path: String,
    num_tasks: usize,
    num_experts: usize,
    flops_per_row: usize,
}

/// What gates read.
enum Form {
    /// The row, by a gate per task.
    PerTask(Box<GateReader>),
    /// The same, but the mixture has them.
    OfMixture,
    /// The row, by one gate.
    RowOnly(Box<GateReader>),
    /// The row beside a task's embedding.
    RowAndTask {
        embeddings: Vec<Parameter>,
        hidden: StackedMlp,
        last: GateLogits,
    },
    /// The row times a task's embedding, each mapped to one width.
    RowTimesTask {
        embeddings: Vec<Parameter>,
        row: GateLogits,
        task: Parameter,
        last: GateLogits,
    },
    /// A task's embedding: every row of a task has the same experts.
    TaskOnly {
        embeddings: Vec<Parameter>,
        last: GateLogits,
    },
    /// DSelect-k.
    Selectors {
        steps: GateLogits,
        weights: GateLogits,
        selectors: Selectors,
    },
}

/// Noise of logits in training.
enum Noise {
    None,
    Fixed(f64),
    /// Deviations read the row, by a map per task or one for all.
    Learned(GateLogits),
}

/// What a training step's pairs choose by.
pub(crate) struct StepRoutes {
    /// Without noise; absent where the mixture has the gates.
    pub(super) clean: Option<Tensor>,
    /// With noise; the weights of DSelect-k.
    pub(crate) noisy: Option<Tensor>,
    pub(super) deviations: Option<Tensor>,
    /// Of DSelect-k's selectors.
    pub(super) shares: Option<Tensor>,
}

impl SparseGates {
    /// The gates that `knobs` say, under `task.<name>.gate` and `shared.gate`.
    pub(crate) fn new(
        knobs: &Knobs,
        context: &BuildContext<'_>,
        routing: &Routing,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let builder = Builder {
            knobs,
            context,
            routing,
            vb,
        };
        let reads = match knobs.choice("gate") {
            "dselect_k" => "dselect_k",
            _ => knobs.choice("gate_reads"),
        };
        builder.check(reads)?;
        let (form, flops_per_row) = builder.form(reads)?;
        Ok(Self {
            form,
            flops_per_row,
            noise: builder.noise(reads)?,
            path: path(vb),
            num_tasks: routing.num_tasks,
            num_experts: routing.num_experts,
        })
    }

    /// A gate per task that reads rows of width `input_dim`, without noise.
    pub(crate) fn per_task(
        knobs: &Knobs,
        context: &BuildContext<'_>,
        input_dim: usize,
        routing: &Routing,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let config = per_task_config(knobs, context, input_dim, routing.num_experts);
        Ok(Self {
            flops_per_row: config.gates_flops_per_row(),
            form: Form::PerTask(Box::new(GateReader::new(&config, vb)?)),
            noise: Noise::None,
            path: path(vb),
            num_tasks: routing.num_tasks,
            num_experts: routing.num_experts,
        })
    }

    /// Gives the linear gates away, where that is all there is and nobody else reads their logits.
    pub(crate) fn take_linear(&mut self, is_alone: bool) -> Option<GateLogits> {
        if !is_alone || !matches!(self.noise, Noise::None) {
            return None;
        }
        match std::mem::replace(&mut self.form, Form::OfMixture) {
            Form::PerTask(reader) => match reader.into_linear() {
                Ok(logits) => Some(logits),
                Err(reader) => {
                    self.form = Form::PerTask(reader);
                    None
                }
            },
            other => {
                self.form = other;
                None
            }
        }
    }

    pub(crate) fn route_by(logits: Option<&Tensor>) -> RouteBy<'_> {
        logits.map_or(RouteBy::Gates, RouteBy::Logits)
    }

    /// Logits without noise, or DSelect-k's weights, [batch, tasks * experts]; none where the mixture has the gates.
    pub(crate) fn logits(&self, xs: &Tensor, train: bool) -> Result<Option<Tensor>> {
        Ok(self.logits_and_shares(xs, train)?.0)
    }

    /// What a training step chooses by.
    pub(crate) fn in_training(&self, xs: &Tensor, pass: &TrainingPass<'_>) -> Result<StepRoutes> {
        let (clean, shares) = self.logits_and_shares(xs, true)?;
        let mut routes = StepRoutes {
            noisy: clean.clone(),
            clean,
            deviations: None,
            shares,
        };
        let Some(clean) = &routes.clean else {
            return Ok(routes);
        };
        let deviations = match &self.noise {
            Noise::None => return Ok(routes),
            Noise::Fixed(deviation) => clean.zeros_like()?.detach().affine(1.0, *deviation)?,
            Noise::Learned(map) => self.of_every_task(softplus(&map.forward(xs)?)?)?,
        };
        let noise = match pass.noise {
            NoiseSource::Step { seed, step } => {
                gate_noise(seed, step, &self.path, clean.dims2()?, clean.device())?
            }
            NoiseSource::Given(noise) => noise.reshape(clean.shape())?,
        };
        routes.noisy = Some(clean.add(&noise.mul(&deviations)?)?);
        routes.deviations = Some(deviations);
        Ok(routes)
    }

    fn logits_and_shares(
        &self,
        xs: &Tensor,
        train: bool,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let logits = match &self.form {
            Form::OfMixture => return Ok((None, None)),
            Form::PerTask(reader) => reader.forward_t(xs, train)?,
            Form::RowOnly(reader) => self.of_every_task(reader.forward_t(xs, train)?)?,
            Form::RowAndTask {
                embeddings,
                hidden,
                last,
            } => {
                let beside = |embedding: &Parameter| {
                    let embedding = embedding.tensor().unsqueeze(0)?;
                    Tensor::cat(&[xs, &on_every_row(&embedding, xs.dim(0)?)?], 1)
                };
                let inputs = embeddings.iter().map(beside).collect::<Result<Vec<_>>>()?;
                let hidden = hidden.forward_t(&Tensor::cat(&inputs, 0)?, train)?;
                self.beside_each_other(&last.forward(&hidden)?)?
            }
            Form::RowTimesTask {
                embeddings,
                row,
                task,
                last,
            } => {
                let rows = row.forward(xs)?;
                let times = |embedding: &Parameter| -> Result<Tensor> {
                    let embedding = embedding.tensor().unsqueeze(0)?;
                    let mapped = matmul(&embedding, task.tensor())?;
                    &rows * on_every_row(&mapped, xs.dim(0)?)?
                };
                let products = embeddings.iter().map(times).collect::<Result<Vec<_>>>()?;
                self.beside_each_other(&last.forward(&Tensor::cat(&products, 0)?)?)?
            }
            Form::TaskOnly { embeddings, last } => {
                let embeddings: Vec<Tensor> =
                    embeddings.iter().map(|e| e.tensor().clone()).collect();
                let logits = last.forward(&Tensor::stack(&embeddings, 0)?)?;
                on_every_row(&logits.reshape((1, self.num_columns()))?, xs.dim(0)?)?
            }
            Form::Selectors {
                steps,
                weights,
                selectors,
            } => {
                let rows = xs.dim(0)?;
                let tasks = self.num_tasks;
                let per_task = |logits: Tensor| {
                    let width = logits.dim(1)? / tasks;
                    logits.reshape((rows, tasks, width))
                };
                let shares = selectors.shares(&per_task(steps.forward(xs)?)?)?;
                let mixed = selectors.weights(&shares, &per_task(weights.forward(xs)?)?)?;
                let mixed = mixed.reshape((rows, self.num_columns()))?;
                return Ok((Some(mixed), Some(shares)));
            }
        };
        Ok((Some(logits), None))
    }

    fn num_columns(&self) -> usize {
        self.num_tasks * self.num_experts
    }

    /// What one map gives for all tasks, [batch, experts], for each of them; what a map per task gives, as it is.
    fn of_every_task(&self, logits: Tensor) -> Result<Tensor> {
        if logits.dim(1)? == self.num_columns() {
            return Ok(logits);
        }
        Tensor::cat(&vec![logits; self.num_tasks], 1)
    }

    /// From [tasks * batch, experts], task after task, to [batch, tasks * experts].
    fn beside_each_other(&self, logits: &Tensor) -> Result<Tensor> {
        let rows = logits.dim(0)? / self.num_tasks;
        let parts = (0..self.num_tasks).map(|task| logits.narrow(0, task * rows, rows));
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)
    }

    pub(crate) fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}

/// Where gates are: `gate` of a model that has them in one place.
fn path(vb: &VarBuilder) -> String {
    vb.pp("gate").prefix().to_owned()
}

/// A row vector on every row. By a product, whose gradient has one order of sums on every processor.
pub(crate) fn on_every_row(row: &Tensor, num_rows: usize) -> Result<Tensor> {
    matmul(
        &Tensor::ones((num_rows, 1), row.dtype(), row.device())?,
        row,
    )
}

/// `task.<name>.embedding` of every task.
pub(crate) fn task_embeddings(
    context: &BuildContext<'_>,
    task_dim: usize,
    vb: &VarBuilder,
) -> std::result::Result<Vec<Parameter>, ModelError> {
    let tasks = context.layout.tasks.iter();
    let vb = vb.of_one_task(true);
    // As PyTorch's embeddings start, so that tasks differ from the first step.
    tasks
        .map(|task| {
            vb.pp("task")
                .pp(task)
                .get(task_dim, "embedding", Init::Normal(1.0))
        })
        .collect()
}

/// One linear map with a bias.
pub(crate) fn linear(
    inputs: usize,
    outputs: usize,
    vb: &VarBuilder,
) -> std::result::Result<GateLogits, ModelError> {
    let init = Init::fan_in(inputs);
    Ok(GateLogits::new(vec![LinearGate {
        sources: vec![0],
        weight: Some(vb.get((inputs, outputs), "weight", init)?),
        bias: Some(vb.get(outputs, "bias", init)?),
        num_logits: outputs,
    }])?)
}

#[cfg(test)]
mod tests {
    use super::super::SparseGates;
    use crate::features::InputColumns;
    use crate::knobs::{Knob, Knobs, expert_knobs};
    use crate::layout::{TaskGroup, TaskLayout};
    use crate::ranker::{BuildContext, NoiseSource, TrainingPass};
    use crate::var_builder::VarBuilder;
    use candle_core::{DType, Device, Tensor};
    use homebench_kernels::sparse::{Choice, Routing, Weighting, gate_noise};

    #[test]
    fn gates_of_two_levels_draw_different_noise_and_those_of_one_the_noise_of_gate() {
        let layout = TaskLayout {
            tasks: vec!["a".into(), "b".into()],
            groups: vec![TaskGroup {
                name: "all".into(),
                tasks: vec![0, 1],
            }],
        };
        let context = BuildContext {
            layout: &layout,
            input_dim: 3,
            num_embedded: 0,
            input_per_task: false,
            columns: InputColumns::default(),
            after: &[],
        };
        let routing = Routing {
            num_tasks: 2,
            num_experts: 8,
            choice: Choice::TopK(2),
            weighting: Weighting::Renormalised,
        };
        let known = [
            Knob::widths("gate_dims", true, &[], ""),
            Knob::choice("gate", &["top_k"], "top_k", ""),
            Knob::choice("gate_reads", &["row_only"], "row_only", ""),
            Knob::count("task_dim", 1, 1, ""),
            Knob::count("gate_rank", 1, 1, ""),
            Knob::choice("gate_noise", &["fixed"], "fixed", ""),
            Knob::number("gate_noise_std", 0.0, 1.0, ""),
        ];
        let experts = expert_knobs("none", "relu");
        let known: Vec<Knob> = known.into_iter().chain(experts).collect();
        let knobs = Knobs::resolve("two_levels", &known, &toml::Table::new()).unwrap();
        let xs = Tensor::ones((5, 3), DType::F32, &Device::Cpu).unwrap();
        let pass = TrainingPass {
            observed: None,
            labels: None,
            noise: NoiseSource::Step { seed: 4, step: 9 },
            cut: None,
        };
        let noise = |place: Option<&str>| -> Vec<f32> {
            let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
            let vb = place.map_or(vb.clone(), |place| vb.pp(place));
            let gates = SparseGates::new(&knobs, &context, &routing, &vb).unwrap();
            let routes = gates.in_training(&xs, &pass).unwrap();
            let noise = (routes.noisy.unwrap() - routes.clean.unwrap()).unwrap();
            noise.flatten_all().unwrap().to_vec1().unwrap()
        };
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let expected = gate_noise(4, 9, "gate", (5, 16), &Device::Cpu).unwrap();
        let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
        assert!(close(&noise(None), &expected));
        let [first, second] = ["level.0", "level.1"].map(|place| noise(Some(place)));
        assert!(!close(&first, &second));
        assert!(!close(&first, &expected));
    }
}

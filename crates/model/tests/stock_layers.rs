//! The same models put together from candle-nn's layers, gate by gate and expert by expert, with the same weights: logits,
//! gradients, running statistics, the loss, and training by candle-nn's own optimiser.

mod common;

use candle_core::{D, Module, ModuleT, Result, Tensor, Var};
use candle_nn::{Activation, AdamW, BatchNorm, LayerNorm, Linear, Optimizer, ParamsAdamW};
use common::{Network, assert_close, config, inputs, three_tasks, values};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig};
use homebench_kernels::stacked_mlp::{BATCH_NORM_MOMENTUM, NORM_EPSILON};
use std::collections::BTreeMap;

const WIDTH: usize = 7;
const ROWS: usize = 9;
const TASKS: [&str; 3] = ["a", "b", "c"];

/// Copies of a model's variables, and what reads them.
struct Stock {
    variables: BTreeMap<String, Var>,
    activation: Activation,
    train: bool,
    /// What batch norms leave: running mean and variance by path of an expert's layer.
    statistics: BTreeMap<(String, usize), [Tensor; 2]>,
}

impl Stock {
    fn of(network: &Network, activation: Activation, train: bool) -> Self {
        let copies = network.variables.snapshot().unwrap().into_iter();
        Self {
            variables: copies
                .map(|(path, tensor)| (path, Var::from_tensor(&tensor).unwrap()))
                .collect(),
            activation,
            train,
            statistics: BTreeMap::new(),
        }
    }

    /// A variable, or one expert's part of it.
    fn get(&self, path: &str, expert: Option<usize>) -> Option<Tensor> {
        let variable = self.variables.get(path)?.as_tensor();
        Some(match expert {
            Some(expert) => variable.get(expert).unwrap(),
            None => variable.clone(),
        })
    }

    /// candle-nn keeps weights as [out, in].
    fn linear(&self, path: &str, expert: Option<usize>) -> Linear {
        let weight = self.get(&format!("{path}.weight"), expert).unwrap();
        Linear::new(
            weight.t().unwrap(),
            self.get(&format!("{path}.bias"), expert),
        )
    }

    /// The norm of an expert's layer, if it has one.
    fn normalise(&mut self, path: &str, expert: usize, xs: Tensor) -> Result<Tensor> {
        let get = |name: &str| self.get(&format!("{path}.norm.{name}"), Some(expert));
        let (Some(scale), Some(shift)) = (get("weight"), get("bias")) else {
            return Ok(xs);
        };
        let (Some(mean), Some(variance)) = (get("running_mean"), get("running_var")) else {
            // The fused operator of `LayerNorm::forward` has no backward pass; this one is the same from candle's operators.
            let epsilon = NORM_EPSILON as f32;
            let found = LayerNorm::new(scale.clone(), shift.clone(), NORM_EPSILON).forward(&xs)?;
            let slow = candle_nn::ops::layer_norm_slow(&xs, &scale, &shift, epsilon)?;
            assert_close(&found, &slow, 1e-6);
            return Ok(slow);
        };
        let (epsilon, momentum) = (NORM_EPSILON, BATCH_NORM_MOMENTUM);
        let width = xs.dim(1)?;
        let norm =
            BatchNorm::new_with_momentum(width, mean, variance, scale, shift, epsilon, momentum)?;
        let found = norm.forward_t(&xs, self.train)?;
        let left = [norm.running_mean().clone(), norm.running_var().clone()];
        self.statistics.insert((path.to_string(), expert), left);
        Ok(found)
    }

    /// Expert `expert` of the set at `path`.
    fn expert(&mut self, path: &str, expert: usize, xs: &Tensor) -> Result<Tensor> {
        let mut hidden = xs.clone();
        for layer in ["0", "1"] {
            let path = format!("{path}.{layer}");
            let product = self.linear(&path, Some(expert)).forward(&hidden)?;
            let normal = self.normalise(&path, expert, product)?;
            hidden = self.activation.forward(&normal)?;
        }
        Ok(hidden)
    }

    /// Two linear layers with ReLU between them.
    fn tower(&self, task: &str, xs: &Tensor) -> Result<Tensor> {
        let hidden = self
            .linear(&format!("task.{task}.tower.0"), None)
            .forward(xs)?;
        self.linear(&format!("task.{task}.tower.1"), None)
            .forward(&hidden.relu()?)
    }

    fn shared_bottom(&mut self, xs: &Tensor) -> Result<Tensor> {
        let hidden = self.expert("shared.expert", 0, xs)?;
        let logits = TASKS.map(|task| self.tower(task, &hidden));
        Tensor::cat(&logits.into_iter().collect::<Result<Vec<_>>>()?, 1)
    }

    /// Of four experts; a gate may have one hidden layer.
    fn mmoe(&mut self, xs: &Tensor) -> Result<Tensor> {
        let experts = (0..4).map(|expert| self.expert("shared.expert", expert, xs));
        let experts = Tensor::stack(&experts.collect::<Result<Vec<_>>>()?, 1)?;
        let mut logits = Vec::new();
        for task in TASKS {
            let gate = format!("task.{task}.gate");
            let hidden = format!("{gate}.hidden.0");
            let read = match self.variables.contains_key(&format!("{hidden}.weight")) {
                true => self.linear(&hidden, None).forward(xs)?.relu()?,
                false => xs.clone(),
            };
            let weights = self.linear(&gate, None).forward(&read)?;
            let weights = candle_nn::ops::softmax(&weights, D::Minus1)?;
            let mix = experts.broadcast_mul(&weights.unsqueeze(2)?)?.sum(1)?;
            logits.push(self.tower(task, &mix)?);
        }
        Tensor::cat(&logits, 1)
    }
}

/// Labels of a batch, 0 or 1.
fn labels() -> Vec<f32> {
    let label = |index: usize| f32::from(u8::from(index.is_multiple_of(3)));
    (0..ROWS * TASKS.len()).map(label).collect()
}

/// The loss from candle-nn's: its mean is over tasks as well.
fn stock_loss(logits: &Tensor) -> Result<Tensor> {
    let labels = Tensor::from_vec(labels(), logits.shape(), logits.device())?;
    let mean = candle_nn::loss::binary_cross_entropy_with_logit(logits, &labels)?;
    mean * TASKS.len() as f64
}

type Build = fn(&mut Stock, &Tensor) -> Result<Tensor>;

/// Fails unless the model and what `build` puts together agree in training and evaluation, backward too.
#[track_caller]
fn assert_same(name: &str, knobs: &str, activation: Activation, build: Build) {
    let network = Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH);
    let xs = inputs(ROWS, WIDTH, 2.0);
    let mut stock = Stock::of(&network, activation, false);
    let expected = build(&mut stock, &xs).unwrap();
    let found = network.model.forward_t(&xs, false, None).unwrap();
    assert_close(&found, &expected, 1e-5);

    let mut stock = Stock::of(&network, activation, true);
    let expected = build(&mut stock, &xs).unwrap();
    let gradients = stock_loss(&expected).unwrap().backward().unwrap();
    let targets = Targets::new(labels());
    let found = network.gradients(&xs, |logits| {
        assert_close(logits, &expected, 1e-5);
        multi_task_loss(logits, &targets)
    });
    let mut compared = 0;
    for (path, variable) in &stock.variables {
        let Some(gradient) = gradients.get(variable) else {
            continue;
        };
        let expected = values(gradient);
        let scale = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        for (a, b) in found[path].iter().zip(&expected) {
            assert!(
                (a - b).abs() <= 1e-4 * scale,
                "{name} {path}: {a} is not {b}"
            );
        }
        compared += 1;
    }
    assert_eq!(
        compared,
        found.len() - 1,
        "all but the gradient of the input"
    );
    for ((path, expert), expected) in &stock.statistics {
        for (name, expected) in ["running_mean", "running_var"].iter().zip(expected) {
            let path = format!("{path}.norm.{name}");
            let mut all = network.variables.parameters().iter();
            let found = all.find(|p| p.path() == path).unwrap().tensor();
            assert_close(&found.get(*expert).unwrap(), expected, 1e-5);
        }
    }
}

#[test]
fn a_network_and_towers_are_linear_layers_norms_and_activations() {
    for (activation, word) in [(Activation::Relu, "relu"), (Activation::Silu, "silu")] {
        for norm in ["none", "batch", "layer"] {
            for position in ["every_layer", "output"] {
                let knobs =
                    format!("norm = '{norm}'\nnorm_position = '{position}'\nactivation = '{word}'");
                assert_same("shared_bottom", &knobs, activation, Stock::shared_bottom);
            }
        }
    }
}

#[test]
fn a_mixture_is_experts_summed_by_the_softmax_of_linear_gates() {
    assert_same("mmoe", "", Activation::Relu, Stock::mmoe);
    assert_same("mmoe", "gate_dims = [4]", Activation::Relu, Stock::mmoe);
    let starred = "norm = 'batch'\nactivation = 'silu'";
    assert_same("mmoe", starred, Activation::Silu, Stock::mmoe);
}

#[test]
fn training_goes_as_with_adamw_of_candle() {
    let network = Network::from_seed(&config("mmoe", ""), &three_tasks(), WIDTH);
    let mut stock = Stock::of(&network, Activation::Relu, true);
    let (rate, config) = (0.01, AdamConfig::default());
    let ours = network.variables.parameters();
    let mut adam = Adam::new(ours, config);
    let params = ParamsAdamW {
        lr: rate,
        weight_decay: 0.0,
        ..Default::default()
    };
    let mut adamw = AdamW::new(stock.variables.values().cloned().collect(), params).unwrap();
    let xs = inputs(ROWS, WIDTH, 2.0);
    let mut losses = Vec::new();
    for _ in 0..20 {
        let expected = stock_loss(&stock.mmoe(&xs).unwrap()).unwrap();
        adamw.backward_step(&expected).unwrap();
        let loss = multi_task_loss(&network.logits(&xs), &Targets::new(labels())).unwrap();
        let gradients = loss.backward().unwrap();
        for parameter in ours {
            parameter.collect(&gradients).unwrap();
        }
        adam.step(rate).unwrap();
        assert_close(&loss, &expected, 1e-4);
        losses.push(values(&loss)[0]);
    }
    assert!(losses[19] < 0.8 * losses[0], "{losses:?}");
}

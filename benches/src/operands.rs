//! Inputs and parameters with random values.

use candle_core::{Device, Result, Tensor, Var};
use homebench_kernels::random::Philox;
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};
use homebench_kernels::{Parameter, Role, Stack};

/// Makes operands and keeps their parameters.
#[derive(Debug, Default)]
pub struct Operands {
    /// Every parameter made so far.
    pub parameters: Vec<Parameter>,
}

/// `count` numbers uniform in ±`reach`.
pub fn uniform(name: &str, count: usize, reach: f32) -> Vec<f32> {
    let stream = Philox::new(1, "bench", name);
    (0..count as u64)
        .map(|index| (stream.uniform(index) * 2.0 - 1.0) * reach)
        .collect()
}

/// A variable to be an operator's input, so that a backward pass finds its gradient too.
///
/// # Errors
/// A tensor can't be made.
pub fn input(shape: &[usize]) -> Result<Var> {
    let values = uniform("input", shape.iter().product(), 1.7);
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
}

impl Operands {
    /// A parameter uniform in `centre` ± `reach`.
    ///
    /// # Errors
    /// A tensor can't be made.
    pub fn parameter(&mut self, shape: &[usize], centre: f32, reach: f32) -> Result<Parameter> {
        let path = format!("parameter.{}", self.parameters.len());
        let values = uniform(&path, shape.iter().product(), reach);
        let values = values.into_iter().map(|value| value + centre).collect();
        let tensor = Tensor::from_vec::<_, f32>(values, shape, &Device::Cpu)?;
        let parameter = Parameter::new(path, Var::from_tensor(&tensor)?, Role::Trained);
        self.parameters.push(parameter.clone());
        Ok(parameter)
    }

    /// A stack of one parameter.
    ///
    /// # Errors
    /// A tensor can't be made.
    pub fn stack(
        &mut self,
        experts: usize,
        shape: &[usize],
        centre: f32,
        reach: f32,
    ) -> Result<Stack> {
        let full = [&[experts], shape].concat();
        Stack::new(vec![self.parameter(&full, centre, reach)?], shape)
    }

    /// Experts as home-l has them, batch norm and SiLU after every layer; expert e reads input `sources[e]`.
    ///
    /// # Errors
    /// A tensor can't be made.
    pub fn experts(
        &mut self,
        sources: &[usize],
        input_dim: usize,
        dims: &[usize],
    ) -> Result<StackedMlp> {
        let experts = sources.len();
        let mut layers = Vec::new();
        let mut depth = input_dim;
        for width in dims {
            let norm = Norm::Batch {
                scale: self.stack(experts, &[*width], 1.0, 0.1)?,
                shift: self.stack(experts, &[*width], 0.0, 0.1)?,
                running_mean: self.stack(experts, &[*width], 0.0, 0.0)?,
                running_variance: self.stack(experts, &[*width], 1.0, 0.0)?,
            };
            let reach = (depth as f32).sqrt().recip();
            layers.push(StackedLayer {
                weight: self.stack(experts, &[depth, *width], 0.0, reach)?,
                bias: None,
                norm,
                activation: Activation::Silu,
            });
            depth = *width;
        }
        StackedMlp::new(sources.to_vec(), layers)
    }

    /// Empties every gradient buffer, as an optimiser does.
    pub fn consume_gradients(&self) {
        for parameter in &self.parameters {
            parameter.consume_gradient(|_| {});
        }
    }
}

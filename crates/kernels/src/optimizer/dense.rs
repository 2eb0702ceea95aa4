//! The optimiser of dense variables: one traversal of parameters and gradient buffers, under any rule.

use super::adagrad::{AdagradConfig, AdagradFactors, adagrad_update};
use super::adam::{AdamConfig, StepFactors, adam_update};
use super::kept::Kept;
use super::sgd::{SgdConfig, SgdFactors, descent_update, momentum_update};
use crate::cuda::{self, Machine, TensorAddresses};
use crate::parameter::{Parameter, Role};
use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

/// How dense variables are updated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DenseRule {
    /// Adam, or AdamW where its decay isn't 0.
    Adam(AdamConfig),
    /// Adagrad.
    Adagrad(AdagradConfig),
    /// Gradient descent, with momentum or without.
    Sgd(SgdConfig),
}

impl From<AdamConfig> for DenseRule {
    fn from(config: AdamConfig) -> Self {
        Self::Adam(config)
    }
}

impl From<AdagradConfig> for DenseRule {
    fn from(config: AdagradConfig) -> Self {
        Self::Adagrad(config)
    }
}

impl From<SgdConfig> for DenseRule {
    fn from(config: SgdConfig) -> Self {
        Self::Sgd(config)
    }
}

impl DenseRule {
    /// Which of the two numbers kept for an element this rule needs.
    fn keeps(&self) -> [bool; 2] {
        match self {
            Self::Adam(_) => [true, true],
            Self::Adagrad(_) => [true, false],
            Self::Sgd(config) => [config.momentum != 0.0, false],
        }
    }

    fn factors(&self, learning_rate: f64, step: u64) -> Factors {
        match self {
            Self::Adam(config) => Factors::Adam(StepFactors::new(config, learning_rate, step)),
            Self::Adagrad(config) => Factors::Adagrad(AdagradFactors::new(config, learning_rate)),
            Self::Sgd(config) if config.momentum != 0.0 => {
                Factors::Momentum(SgdFactors::new(config, learning_rate))
            }
            Self::Sgd(config) => Factors::Descent(SgdFactors::new(config, learning_rate)),
        }
    }
}

/// The factors of one step under one rule.
#[derive(Debug, Clone, Copy)]
enum Factors {
    Adam(StepFactors),
    Adagrad(AdagradFactors),
    Momentum(SgdFactors),
    Descent(SgdFactors),
}

impl Factors {
    /// The kernel of a device, and the factors as it wants them.
    fn kernel(self) -> (&'static str, Vec<f32>) {
        match self {
            Self::Adam(factors) => ("adam_update", factors.as_floats().to_vec()),
            Self::Adagrad(factors) => ("adagrad_update", factors.as_floats().to_vec()),
            Self::Momentum(factors) => ("momentum_update", factors.with_momentum().to_vec()),
            Self::Descent(factors) => ("descent_update", factors.without_momentum().to_vec()),
        }
    }

    /// Updates a run of elements; state that the rule doesn't keep is empty.
    fn update(self, values: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        match self {
            Self::Adam(factors) => adam_update(values, first, second, gradient, factors),
            Self::Adagrad(factors) => adagrad_update(values, first, gradient, factors),
            Self::Momentum(factors) => momentum_update(values, first, gradient, factors),
            Self::Descent(factors) => descent_update(values, gradient, factors),
        }
    }
}

#[derive(Debug)]
struct State {
    parameter: Parameter,
    /// Adam's mean of gradients, Adagrad's sum of squares, momentum's velocity; empty where the rule keeps nothing.
    first: Kept,
    /// Adam's mean of squares.
    second: Kept,
}

impl State {
    fn new(parameter: &Parameter, rule: &DenseRule) -> Self {
        let [first, second] = rule.keeps().map(|keeps| {
            let length = if keeps { parameter.num_elements() } else { 0 };
            Kept::new(length, parameter.tensor())
        });
        Self {
            parameter: parameter.clone(),
            first,
            second,
        }
    }

    /// What `machine`, which the parameter is on, needs to update it; none where no gradient has arrived. The gradient counts
    /// as used.
    fn on(&mut self, machine: &Machine) -> Result<Option<TensorAddresses>> {
        let Some(gradient) = self.parameter.arrived_gradient(true)? else {
            return Ok(None);
        };
        Ok(Some(TensorAddresses {
            values: self.parameter.address_mut()?,
            gradient,
            first: self.first.address(machine)?,
            second: self.second.address(machine)?,
            num_elements: self.parameter.num_elements(),
        }))
    }

    /// Updates a parameter that is on no machine.
    fn update(&mut self, factors: Factors) -> Result<()> {
        let Self {
            parameter,
            first,
            second,
        } = self;
        let (first, second) = (first.on_processor(), second.on_processor());
        let tensor = parameter.tensor();
        let fused = tensor.device().is_cpu() && tensor.dtype() == DType::F32;
        let mut result = Ok(());
        parameter.consume_gradient(|gradient| {
            result = if fused {
                parameter.update(|values| update(values, first, second, gradient, factors))
            } else {
                update_elsewhere(parameter, first, second, gradient, factors)
            };
        });
        result
    }
}

/// An optimiser's state over a list of parameters. A parameter that got no gradient in a step stays as it is.
#[derive(Debug)]
pub struct Optimizer {
    rule: DenseRule,
    step: u64,
    states: Vec<State>,
}

/// Elements updated by one task.
pub(super) const PIECE: usize = 1 << 14;

impl Optimizer {
    /// State for the trained ones of `parameters` that are not frozen.
    pub fn new(parameters: &[Parameter], rule: impl Into<DenseRule>) -> Self {
        let rule = rule.into();
        let states = parameters
            .iter()
            .filter(|parameter| parameter.role() == Role::Trained && !parameter.is_frozen())
            .map(|parameter| State::new(parameter, &rule))
            .collect();
        Self {
            rule,
            step: 0,
            states,
        }
    }

    /// Steps done, which some rules count with.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Goes on as after so many steps; what is kept between steps is set by way of [`Self::kept_mut`].
    pub fn set_steps_done(&mut self, steps: u64) {
        self.step = steps;
    }

    /// The numbers kept from step to step, under stable names: `<variable path>.first` and `.second`. To save and to
    /// restore.
    pub fn kept_mut(&mut self) -> impl Iterator<Item = (String, &mut Kept)> {
        self.states.iter_mut().flat_map(|state| {
            let path = state.parameter.path();
            [
                (format!("{path}.first"), &mut state.first),
                (format!("{path}.second"), &mut state.second),
            ]
        })
    }

    /// Updates every parameter from its gradient buffer and empties the buffer.
    ///
    /// # Errors
    /// A parameter can't be written.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        self.step += 1;
        let factors = self.rule.factors(learning_rate, self.step);
        let mut on_machine = None;
        for state in &mut self.states {
            let Some(machine) = Machine::of(state.parameter.tensor()) else {
                state.update(factors)?;
                continue;
            };
            let addresses = state.on(&machine)?;
            let (_, tensors) = on_machine.get_or_insert_with(|| (machine, Vec::new()));
            tensors.extend(addresses);
        }
        // All parameters that are on a device, many in a launch.
        let Some((machine, tensors)) = on_machine else {
            return Ok(());
        };
        let (kernel, factors) = factors.kernel();
        cuda::update(&machine, kernel, &factors, &tensors)
    }
}

/// The update in place, shared between threads in pieces.
fn update(
    values: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    factors: Factors,
) {
    let values = values.par_chunks_mut(PIECE);
    let pieces = values.zip(gradient.par_chunks(PIECE));
    match (first.is_empty(), second.is_empty()) {
        (false, false) => pieces
            .zip(first.par_chunks_mut(PIECE))
            .zip(second.par_chunks_mut(PIECE))
            .for_each(|(((values, gradient), first), second)| {
                factors.update(values, first, second, gradient);
            }),
        (false, true) => {
            pieces
                .zip(first.par_chunks_mut(PIECE))
                .for_each(|((values, gradient), first)| {
                    factors.update(values, first, &mut [], gradient);
                });
        }
        _ => pieces.for_each(|(values, gradient)| {
            factors.update(values, &mut [], &mut [], gradient);
        }),
    }
}

/// The update for a variable on another device or of another type: by way of the host.
fn update_elsewhere(
    parameter: &Parameter,
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    factors: Factors,
) -> Result<()> {
    let tensor = parameter.tensor();
    let mut values = tensor
        .flatten_all()?
        .to_dtype(DType::F32)?
        .to_vec1::<f32>()?;
    factors.update(&mut values, first, second, gradient);
    let values = Tensor::from_vec(values, tensor.shape(), tensor.device())?;
    parameter.var().set(&values.to_dtype(tensor.dtype())?)
}

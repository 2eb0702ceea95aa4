//! One step of training: the forward pass, the losses, the backward pass, and what moves the variables.

use super::*;
use crate::balance::{BalanceAt, Balancer};
use crate::balanced_loss::TaskLosses;
use crate::task_gradients::{self, Moved};
use candle_core::Var;
use homebench_kernels::Role;
use homebench_kernels::cuda::is_deferred;
use homebench_kernels::optimizer::clip_gradient_norm;
use homebench_model::{
    AuxiliaryLoss, FirstPrediction, NoiseSource, Representation, StepOutput, TrainingPass,
};
use std::cell::RefCell;

/// What is learned from beside the losses of tasks.
pub(crate) struct Others {
    /// The model's own loss, times its weight.
    pub(crate) auxiliary: Option<Tensor>,
    /// The distance from a teacher, times its weight.
    pub(crate) distillation: Option<Tensor>,
}

impl Others {
    /// Those that there are.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = Tensor> {
        [self.auxiliary, self.distillation].into_iter().flatten()
    }
}

/// A model's own loss, times its weight: that of its balance or prior, and that of what it predicts first.
fn own_loss(
    auxiliary: Option<AuxiliaryLoss>,
    first: Option<FirstPrediction>,
    targets: &Targets,
) -> Result<Option<Tensor>, TrainError> {
    let auxiliary = match auxiliary {
        Some(AuxiliaryLoss { loss, weight }) => Some((loss * weight)?),
        None => None,
    };
    let first = match first {
        Some(FirstPrediction { logits, weight }) => {
            Some((multi_task_loss(&logits, targets)? * weight)?)
        }
        None => None,
    };
    Ok(match (auxiliary, first) {
        (Some(one), Some(other)) => Some((one + other)?),
        (one, other) => one.or(other),
    })
}

impl Network {
    /// The losses of a step as they are known, and their sum.
    fn read_loss(
        &self,
        of_tasks: Tensor,
        others: Others,
    ) -> Result<(StepLoss, Tensor), TrainError> {
        let is_deferred = is_deferred(&of_tasks);
        let mut parts = vec![of_tasks.detach()];
        let mut total = of_tasks;
        for other in others.into_parts() {
            parts.push(other.detach());
            total = (total + other)?;
        }
        let parts = Tensor::stack(&parts, 0)?;
        // Reading a number waits for the device; its losses are read some steps later, many at once.
        let value = match is_deferred {
            false => StepLoss::Known(self.losses(&parts.to_vec1::<f32>()?)),
            true => StepLoss::OnDevice(parts),
        };
        Ok((value, total))
    }

    /// A training step's forward pass, and the leaf that it reads.
    fn forward(
        &self,
        loaded: &mut Loaded,
        step: &Step,
        dropout: Option<&Dropout>,
        cut: Option<&RefCell<Option<Representation>>>,
    ) -> Result<(Var, StepOutput), TrainError> {
        let Loaded { batch, copied } = loaded;
        let (of_batch, num_rows) = (ids(batch), batch.num_rows);
        let xs = match copied {
            Some(copied) => {
                let input = &self.input;
                input.gather_copied(of_batch, copied, num_rows, dropout)?
            }
            None => {
                let (input, numeric) = (&self.input, &batch.numeric);
                input.gather(of_batch, numeric, num_rows, dropout)?
            }
        };
        let (observed, labels) = (self.observed(batch)?, self.labels(batch)?);
        let pass = TrainingPass {
            observed: observed.as_ref(),
            labels: labels.as_ref(),
            noise: NoiseSource::Step {
                seed: step.seed,
                step: step.index,
            },
            cut,
        };
        let read = self.attended(self.input.of_step(&xs), of_batch, dropout)?;
        let output = self.pass(batch, || self.model.forward_step(&read, &pass, None))?;
        Ok((xs, output))
    }

    /// What a step's logits are held against. Balanced losses have no fixed weights.
    fn targets(&self, batch: &Batch) -> Targets {
        Targets {
            task_weights: self.task_weights.clone(),
            positive_weights: self.positive_weights.clone(),
            regression: self.regression.clone(),
            ..Targets::observed(batch.labels.clone(), &batch.weights)
        }
    }

    /// One training step; gives the loss before it. On a device, nothing is waited for, unless tasks are balanced by their losses. `norms`
    /// sees the gradients.
    pub(crate) fn step(
        &mut self,
        loaded: &mut Loaded,
        training: &TrainingConfig,
        step: &Step,
        norms: Option<&mut GradientNorms>,
    ) -> Result<StepLoss, TrainError> {
        let rate = training.embedding_dropout;
        // Keyed by the step and not by a state, so that a training that goes on drops the same
        // units.
        let dropout = (rate > 0.0).then(|| Dropout::new(rate, step.seed, step.index, "embedding"));
        let at = self.balancer.as_ref().map(Balancer::at);
        let cut = RefCell::default();
        let is_cut = at == Some(BalanceAt::Representation);
        let tap = self.distiller.as_ref().and_then(|_| self.model.features());
        let mut forward = || self.forward(loaded, step, dropout.as_ref(), is_cut.then_some(&cut));
        let ((xs, output), features) = match tap {
            Some(tap) => tap
                .during(forward)
                .map(|(output, features)| (output, Some(features)))?,
            None => (forward()?, None),
        };
        let StepOutput {
            logits,
            auxiliary,
            first,
        } = output;
        let targets = self.targets(&loaded.batch);
        let others = Others {
            auxiliary: own_loss(auxiliary, first, &targets)?,
            distillation: match (&self.distiller, features) {
                (Some(distiller), Some(features)) => {
                    Some(distiller.loss(&features, &loaded.batch)?)
                }
                _ => None,
            },
        };
        let (value, loss, balanced) = match &mut self.balancer {
            Some(balancer) if balancer.needs_gradients() => {
                let losses = TaskLosses::read(&logits, &targets)?;
                let told = losses.told(&others)?;
                if !told.total().is_finite() {
                    return Ok(StepLoss::Known(told));
                }
                let representation = cut.borrow();
                let moved = Moved {
                    dense: &self.dense,
                    is_shared: &self.is_shared,
                    xs: &xs,
                    representation: representation.as_ref(),
                };
                let auxiliary = others.auxiliary.as_ref();
                let of_xs = task_gradients::balance(&losses, auxiliary, &moved, balancer, step)?;
                self.update(loaded, training, step, norms, of_xs, dropout.as_ref())?;
                return Ok(StepLoss::Known(told));
            }
            None => {
                let of_tasks = multi_task_loss(&logits, &targets)?;
                let (value, loss) = self.read_loss(of_tasks, others)?;
                (value, loss, None)
            }
            Some(balancer) => {
                let balanced = TaskLosses::read(&logits, &targets)?;
                let (value, loss) = balanced.weighed(balancer, step, others)?;
                (value, loss, Some(balanced))
            }
        };
        // Training ends with it: no update may spread it into the weights.
        if matches!(&value, StepLoss::Known(losses) if !losses.total().is_finite()) {
            return Ok(value);
        }
        let gradients = match &self.distiller {
            Some(distiller) => (loss + distiller.adapters().penalty()?)?.backward()?,
            None => loss.backward()?,
        };
        if let Some(distiller) = &mut self.distiller {
            let adapters = distiller.adapters_mut();
            adapters.step(&gradients, step.rate_factor)?;
        }
        for parameter in &self.dense {
            parameter.collect(&gradients)?;
        }
        let of_xs = gradients.get(&xs).cloned();
        self.update(loaded, training, step, norms, of_xs, dropout.as_ref())?;
        if let Some(before) = balanced
            && self.balancer.as_ref().is_some_and(Balancer::looks_again)
        {
            self.look_again(loaded, step, dropout.as_ref(), &before, &targets)?;
        }
        Ok(value)
    }

    /// Moves the variables by the gradients that have arrived; `of_xs` is that of the gathered input.
    fn update(
        &mut self,
        loaded: &Loaded,
        training: &TrainingConfig,
        step: &Step,
        norms: Option<&mut GradientNorms>,
        of_xs: Option<Tensor>,
        dropout: Option<&Dropout>,
    ) -> Result<(), TrainError> {
        if let Some(norms) = norms {
            // Before clipping, which would hide what the experts receive.
            norms.measure(&self.dense)?;
        }
        if training.gradient_clip_norm > 0.0 {
            clip_gradient_norm(&self.dense, training.gradient_clip_norm)?;
        }
        self.optimizer
            .step(training.learning_rate * step.rate_factor)?;
        // Tables are no variables of candle's graph, where their gradient would be as large as they
        // are: the gradient of the gathered rows is scattered to those rows alone.
        if let Some(gradient) = of_xs {
            let rate = training
                .embedding_learning_rate
                .unwrap_or(training.learning_rate);
            let rate = rate * step.rate_factor;
            let of_batch = ids(&loaded.batch);
            self.input.update(of_batch, &gradient, dropout, rate)?;
        }
        Ok(())
    }

    /// Tells the balancer the losses of the same batch after the step: the same units are dropped and the same noise is added, and running
    /// statistics stay as the step left them.
    fn look_again(
        &mut self,
        loaded: &mut Loaded,
        step: &Step,
        dropout: Option<&Dropout>,
        before: &TaskLosses,
        targets: &Targets,
    ) -> Result<(), TrainError> {
        let all = self.variables.parameters().iter();
        let statistics = all.filter(|parameter| parameter.role() == Role::Statistic);
        let kept = statistics.map(|parameter| {
            let copy = parameter.tensor().detach().copy()?;
            Ok((parameter.clone(), copy))
        });
        let kept: Vec<(Parameter, Tensor)> = kept.collect::<candle_core::Result<_>>()?;
        let (_, StepOutput { logits, .. }) = self.forward(loaded, step, dropout, None)?;
        let after = TaskLosses::read(&logits, targets)?;
        for (parameter, values) in kept {
            parameter.var().set(&values)?;
        }
        if let Some(balancer) = &mut self.balancer {
            balancer.look_again(&before.values, &after.values, &before.is_observed);
        }
        Ok(())
    }
}

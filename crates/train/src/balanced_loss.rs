//! The losses of a step's tasks, read so that they can be weighed.

use super::TrainError;
use super::balance::{Balancer, Moment};
use super::network::{Losses, Others, Step, StepLoss};
use candle_core::{DType, Tensor};
use homebench_kernels::loss::{Targets, task_losses};

/// The losses of one batch.
pub(super) struct TaskLosses {
    /// [tasks].
    pub(super) losses: Tensor,
    /// The same, one a task; 0 where no row observes it.
    pub(super) values: Vec<f64>,
    /// Whether a row observes the task.
    pub(super) is_observed: Vec<bool>,
}

impl TaskLosses {
    /// Waits for a device: what a task weighs depends on what it lost.
    pub(super) fn read(logits: &Tensor, targets: &Targets) -> Result<Self, TrainError> {
        let losses = task_losses(logits, targets)?;
        let values = losses.detach().to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        Ok(Self {
            is_observed: targets.observed_tasks(values.len()),
            losses,
            values,
        })
    }

    /// What is told of the step: the plain sum of the losses, which means the same whatever weighs them, beside the others.
    pub(super) fn told(&self, others: &Others) -> Result<Losses, TrainError> {
        let read = |loss: &Option<Tensor>| -> Result<Option<f64>, TrainError> {
            let value = loss
                .as_ref()
                .map(|loss| loss.to_dtype(DType::F32)?.to_scalar::<f32>());
            Ok(value.transpose()?.map(f64::from))
        };
        Ok(Losses {
            of_tasks: self.values.iter().sum(),
            auxiliary: read(&others.auxiliary)?,
            distillation: read(&others.distillation)?,
        })
    }

    /// What is told, and the loss to learn from: the sum of weights times losses, and the others.
    pub(super) fn weighed(
        &self,
        balancer: &mut Balancer,
        step: &Step,
        others: Others,
    ) -> Result<(StepLoss, Tensor), TrainError> {
        let told = self.told(&others)?;
        if !told.total().is_finite() {
            // Training ends here; a weight of no number would only hide which loss it was.
            return Ok((StepLoss::Known(told), self.losses.sum_all()?));
        }
        let weights = balancer.weigh_losses(&step.moment(), &self.values, &self.is_observed);
        let weights: Vec<f32> = weights.into_iter().map(|weight| weight as f32).collect();
        let weights = Tensor::from_vec(weights, self.losses.shape(), self.losses.device())?;
        let weights = weights.to_dtype(self.losses.dtype())?;
        let mut loss = (&self.losses * weights)?.sum_all()?;
        for other in others.into_parts() {
            loss = (loss + other)?;
        }
        Ok((StepLoss::Known(told), loss))
    }
}

impl Step {
    /// As a balancer knows it.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            seed: self.seed,
            step: self.index,
            epoch: self.epoch,
        }
    }
}

//! What a network has to do with distillation: a teacher of its own, and features.

use super::Network;
use crate::TrainError;
use crate::distillation::{DistillFrom, Distiller};
use homebench_data::{Batch, Schema};
use homebench_kernels::Parameter;
use homebench_model::{FeatureTap, TaskFeatures};

impl Network {
    /// Has it learn from a teacher's features too.
    pub(in super::super) fn distill(
        &mut self,
        schema: &Schema,
        from: &DistillFrom<'_>,
        seed: u64,
    ) -> Result<(), TrainError> {
        let Some(width) = self.feature_width() else {
            let said = "the model has no features that a teacher's could be compared with";
            return Err(TrainError::NoFeatures(said.to_owned()));
        };
        let distiller = Distiller::new(schema, from, width, seed, self.device())?;
        self.distiller = Some(Box::new(distiller));
        Ok(())
    }

    /// Units of a task's features; absent of a model without any.
    pub(in super::super) fn feature_width(&self) -> Option<usize> {
        self.model.features().map(FeatureTap::width)
    }

    /// The maps of distillation, which are trained and no part of the model.
    pub(in super::super) fn adapters(&self) -> &[Parameter] {
        match &self.distiller {
            Some(distiller) => distiller.adapters().parameters(),
            None => &[],
        }
    }

    /// The features of a batch's rows in evaluation.
    pub(in super::super) fn features(&self, batch: &Batch) -> Result<TaskFeatures, TrainError> {
        let Some(tap) = self.model.features() else {
            return Err(TrainError::NoFeatures("the model has none".to_owned()));
        };
        let xs = self.input_of(batch)?;
        let (_, features) =
            tap.during(|| self.pass(batch, || self.model.forward_t(&xs, false, None)))?;
        Ok(features)
    }
}

//! A model with the weights that training selected.

use super::network::Network;
use super::{TrainError, TrainingConfig};
use candle_core::{Device, Tensor};
use homebench_data::{Batch, Schema};
use homebench_model::ModelConfig;
use std::collections::BTreeMap;

/// A model that scores rows with kept weights.
pub struct Scorer {
    network: Network,
}

impl Scorer {
    /// Of a model for rows of this schema.
    ///
    /// # Errors
    /// Weights of another model or of other rows.
    pub fn new(
        schema: &Schema,
        model: &ModelConfig,
        training: &TrainingConfig,
        weights: &BTreeMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        // Of the whole process, which has one model.
        homebench_kernels::set_precision(training.precision.into());
        let network = Network::new(schema, model, training, 0, device)?;
        network.variables().restore(weights)?;
        Ok(Self { network })
    }

    /// Its outputs for some rows, row-major [rows, tasks]: logits, and numbers of regressions as models learn them. They are those of
    /// an evaluation in training, bit for bit, whatever rows are beside them.
    ///
    /// # Errors
    /// A tensor operation failed.
    pub fn outputs(&self, rows: &Batch) -> Result<Vec<f32>, TrainError> {
        self.network.scores(rows, None)
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }
}

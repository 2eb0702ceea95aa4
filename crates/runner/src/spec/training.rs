//! Training settings, each checked at its place.

use super::source::Source;
use super::wire::WireTraining;
use crate::diagnostic::{Diagnostic, KeyPath};
use crate::train::TrainingConfig;

/// `wire` on top of `base`; `table` is where it stands in the spec.
pub(super) fn resolve(
    wire: &WireTraining,
    base: &TrainingConfig,
    table: &KeyPath,
    source: &Source,
) -> Result<TrainingConfig, Diagnostic> {
    let at = At { table, source };
    Ok(TrainingConfig {
        batch_size: at.count("batch_size", wire.batch_size, base.batch_size)?,
        max_epochs: at.count("max_epochs", wire.max_epochs, base.max_epochs)?,
        patience: at.count("patience", wire.patience, base.patience)?,
        evaluations_per_epoch: at.count(
            "evaluations_per_epoch",
            wire.evaluations_per_epoch,
            base.evaluations_per_epoch,
        )?,
        learning_rate: at
            .rate("learning_rate", wire.learning_rate)?
            .unwrap_or(base.learning_rate),
        embedding_learning_rate: at
            .rate("embedding_learning_rate", wire.embedding_learning_rate)?
            .or(base.embedding_learning_rate),
        weight_decay: at
            .decay("weight_decay", wire.weight_decay)?
            .unwrap_or(base.weight_decay),
        embedding_dim: at.count("embedding_dim", wire.embedding_dim, base.embedding_dim)?,
    })
}

struct At<'a> {
    table: &'a KeyPath,
    source: &'a Source,
}

impl At<'_> {
    fn refuse(&self, key: &str, expected: &str, found: impl std::fmt::Display) -> Diagnostic {
        let path = self.table.join(key);
        self.source.at_value(
            &path,
            format!("`{path}`: expected {expected}, found {found}"),
        )
    }

    fn count(&self, key: &str, value: Option<usize>, base: usize) -> Result<usize, Diagnostic> {
        match value {
            Some(0) => Err(self.refuse(key, "a whole number, 1 or more", 0)),
            Some(count) => Ok(count),
            None => Ok(base),
        }
    }

    fn rate(&self, key: &str, value: Option<f64>) -> Result<Option<f64>, Diagnostic> {
        match value {
            Some(rate) if !(rate.is_finite() && rate > 0.0) => {
                Err(self.refuse(key, "a finite number above 0", rate))
            }
            _ => Ok(value),
        }
    }

    fn decay(&self, key: &str, value: Option<f64>) -> Result<Option<f64>, Diagnostic> {
        match value {
            Some(decay) if !(decay.is_finite() && decay >= 0.0) => {
                Err(self.refuse(key, "a finite number, 0 or more", decay))
            }
            _ => Ok(value),
        }
    }
}

//! Training settings as a cell's file and a resolved spec hold them.

use super::schedule::WrittenSchedule;
use homebench_train::{EmbeddingOptimizerName, OptimizerName, PrecisionName, TrainingConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a cell is trained: [`TrainingConfig`] as a file holds it.
///
/// The optional fields but the first came after cells had ids. At their defaults they are left out of a cell's content, so
/// that its id stays what it was; a resolved spec writes them out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the fields are those of TrainingConfig
pub struct CellTraining {
    pub batch_size: usize,
    pub max_epochs: usize,
    pub patience: usize,
    pub evaluations_per_epoch: usize,
    pub learning_rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_learning_rate: Option<f64>,
    pub weight_decay: f64,
    pub embedding_dim: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_clip_norm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_optimizer: Option<EmbeddingOptimizerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_l2: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<WrittenSchedule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_weights: Option<BTreeMap<String, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_weights: Option<BTreeMap<String, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<PrecisionName>,
}

impl CellTraining {
    /// With every default written out, but for what the optimiser has no use for and for f32, the only precision that the
    /// processor has.
    pub fn written_out(config: &TrainingConfig) -> Self {
        Self {
            batch_size: config.batch_size,
            max_epochs: config.max_epochs,
            patience: config.patience,
            evaluations_per_epoch: config.evaluations_per_epoch,
            learning_rate: config.learning_rate,
            embedding_learning_rate: config.embedding_learning_rate,
            weight_decay: config.weight_decay,
            embedding_dim: config.embedding_dim,
            optimizer: Some(config.optimizer),
            momentum: (config.optimizer == OptimizerName::Sgd).then_some(config.momentum),
            gradient_clip_norm: Some(config.gradient_clip_norm),
            embedding_optimizer: Some(config.embedding_optimizer),
            embedding_l2: Some(config.embedding_l2),
            embedding_dropout: Some(config.embedding_dropout),
            schedule: Some(config.schedule.into()),
            task_weights: Some(config.task_weights.clone()),
            positive_weights: Some(config.positive_weights.clone()),
            precision: (config.precision != PrecisionName::F32).then_some(config.precision),
        }
    }
}

/// With later fields left out where they are at their defaults.
impl From<&TrainingConfig> for CellTraining {
    fn from(config: &TrainingConfig) -> Self {
        fn changed<T: PartialEq>(value: Option<T>, default: Option<T>) -> Option<T> {
            if value == default { None } else { value }
        }
        let default = Self::written_out(&TrainingConfig::default());
        let cell = Self::written_out(config);
        Self {
            optimizer: changed(cell.optimizer, default.optimizer),
            momentum: changed(cell.momentum, Some(0.0)),
            gradient_clip_norm: changed(cell.gradient_clip_norm, default.gradient_clip_norm),
            embedding_optimizer: changed(cell.embedding_optimizer, default.embedding_optimizer),
            embedding_l2: changed(cell.embedding_l2, default.embedding_l2),
            embedding_dropout: changed(cell.embedding_dropout, default.embedding_dropout),
            schedule: changed(cell.schedule, default.schedule),
            task_weights: changed(cell.task_weights, default.task_weights),
            positive_weights: changed(cell.positive_weights, default.positive_weights),
            ..cell
        }
    }
}

impl From<&CellTraining> for TrainingConfig {
    fn from(cell: &CellTraining) -> Self {
        Self {
            batch_size: cell.batch_size,
            max_epochs: cell.max_epochs,
            patience: cell.patience,
            evaluations_per_epoch: cell.evaluations_per_epoch,
            learning_rate: cell.learning_rate,
            embedding_learning_rate: cell.embedding_learning_rate,
            weight_decay: cell.weight_decay,
            embedding_dim: cell.embedding_dim,
            optimizer: cell.optimizer.unwrap_or_default(),
            momentum: cell.momentum.unwrap_or_default(),
            gradient_clip_norm: cell.gradient_clip_norm.unwrap_or_default(),
            embedding_optimizer: cell.embedding_optimizer.unwrap_or_default(),
            embedding_l2: cell.embedding_l2.unwrap_or_default(),
            embedding_dropout: cell.embedding_dropout.unwrap_or_default(),
            schedule: cell.schedule.map(Into::into).unwrap_or_default(),
            task_weights: cell.task_weights.clone().unwrap_or_default(),
            positive_weights: cell.positive_weights.clone().unwrap_or_default(),
            precision: cell.precision.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_train::Schedule;

    fn everything() -> TrainingConfig {
        TrainingConfig {
            optimizer: OptimizerName::Sgd,
            momentum: 0.9,
            gradient_clip_norm: 1.0,
            embedding_optimizer: EmbeddingOptimizerName::RowwiseAdagrad,
            embedding_l2: 1e-5,
            embedding_dropout: 0.1,
            schedule: Schedule::Cosine {
                warm_up_steps: 10,
                final_share: 0.1,
            },
            task_weights: [("income".to_owned(), 2.0)].into(),
            positive_weights: [("income".to_owned(), 3.0)].into(),
            precision: PrecisionName::Bf16,
            ..TrainingConfig::default()
        }
    }

    #[test]
    fn defaults_leave_the_content_of_a_cell_as_it_was() {
        let text = toml::to_string(&CellTraining::from(&TrainingConfig::default())).unwrap();
        let keys: Vec<&str> = text.lines().filter_map(|l| l.split(' ').next()).collect();
        let expected = [
            "batch_size",
            "max_epochs",
            "patience",
            "evaluations_per_epoch",
            "learning_rate",
            "weight_decay",
            "embedding_dim",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn settings_come_back_from_either_text() {
        for config in [TrainingConfig::default(), everything()] {
            for cell in [
                CellTraining::from(&config),
                CellTraining::written_out(&config),
            ] {
                let text = toml::to_string(&cell).unwrap();
                let read: CellTraining = toml::from_str(&text).unwrap();
                assert_eq!(TrainingConfig::from(&read), config, "{text}");
            }
        }
    }
}

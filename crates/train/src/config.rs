//! How a cell is trained.

use super::attention_config::AttentionConfig;
use super::balance::BalanceConfig;
use super::schedule::Schedule;
use homebench_kernels::Precision;
use homebench_kernels::optimizer::{AdagradConfig, AdamConfig, DenseRule, SgdConfig, SparseRule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How dense variables are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Adam; weight decay must be 0.
    #[default]
    Adam,
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adagrad; weight decay joins the gradient.
    Adagrad,
    /// Gradient descent with momentum; weight decay joins the gradient.
    Sgd,
}

/// How touched rows of embedding tables are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingOptimizerName {
    /// Adam whose moments move only when a row is touched.
    #[default]
    Adam,
    /// Adagrad with one sum of squares a row.
    RowwiseAdagrad,
}

/// What training does to an embedding table that begins with pretrained vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PretrainedUse {
    /// It stays as it begins: no update, no decay.
    Frozen,
    /// It is updated as any table.
    Trained,
}

/// How exactly matrices are multiplied; everything else is in f32 whatever this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrecisionName {
    /// Factors of products in f32.
    #[default]
    F32,
    /// Factors rounded to 10 bits after the point; on CUDA devices.
    Tf32,
    /// Factors rounded to 7 bits after the point.
    Bf16,
    /// Factors as the sum of two numbers of 7 bits after the point; on processors.
    Bf16x3,
}

impl PrecisionName {
    /// As a spec writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Bf16x3 => "bf16x3",
        }
    }
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::Tf32 => Self::Tf32,
            PrecisionName::Bf16 => Self::Bf16,
            PrecisionName::Bf16x3 => Self::Bf16x3,
        }
    }
}

/// How a cell is trained: the table `[training]` of a spec or a cell, where what is left out is at its default.
///
/// What is new here is at its default in every cell there is, and must leave the cell's id as it is: see `CellContent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Rows of a step.
    pub batch_size: usize,
    /// Largest number of passes over the training rows.
    pub max_epochs: usize,
    /// Evaluations without improvement on validation after which training stops.
    pub patience: usize,
    /// Validation passes per epoch, at equal distances.
    pub evaluations_per_epoch: usize,
    /// Step size of dense variables.
    pub learning_rate: f64,
    /// Step size of the embedding tables; equal to `learning_rate` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_learning_rate: Option<f64>,
    /// Weight decay of dense variables: decoupled with AdamW, an L2 penalty with Adagrad and gradient descent.
    pub weight_decay: f64,
    /// Width of each embedding.
    pub embedding_dim: usize,
    /// Width of the rows of each embedding table, by name; `embedding_dim` where absent.
    #[serde(skip_serializing_if = "is_default")]
    pub embedding_dims: BTreeMap<String, usize>,
    /// Which lists attend to a target; all are pooled where absent.
    #[serde(skip_serializing_if = "is_default")]
    pub attention: AttentionConfig,
    /// Embedding tables that begin with the pretrained vectors that the data have of them, by name; the others begin at random.
    #[serde(skip_serializing_if = "is_default")]
    pub pretrained: BTreeMap<String, PretrainedUse>,
    /// How dense variables are updated.
    pub optimizer: OptimizerName,
    /// Share of the velocity that gradient descent keeps from step to step; 0 with other optimisers.
    // Most optimisers have no use for it, and refuse another value than this.
    #[serde(skip_serializing_if = "is_default")]
    pub momentum: f64,
    /// Largest norm of the gradients of all dense variables together; 0 clips nothing. Embedding tables are not clipped.
    pub gradient_clip_norm: f64,
    /// How touched rows of embedding tables are updated.
    pub embedding_optimizer: EmbeddingOptimizerName,
    /// Decay of touched rows: a step leaves 1 - (its step size x this) of them, beside the gradient's part.
    pub embedding_l2: f64,
    /// Chance of an embedded unit to be dropped in a training step; the others are divided by 1 - this.
    pub embedding_dropout: f64,
    /// How both step sizes change from step to step.
    pub schedule: Schedule,
    /// Weight of each task in the loss, by name; 1 where absent.
    pub task_weights: BTreeMap<String, f64>,
    /// Factor of each task's positive labels in the loss, by name; 1 where absent.
    pub positive_weights: BTreeMap<String, f64>,
    /// What each task's loss, or gradient, weighs in a step; each weighs 1 where absent.
    #[serde(skip_serializing_if = "is_default")]
    pub balance: BalanceConfig,
    /// How exactly a CUDA device multiplies.
    // The processor has no other than this.
    #[serde(skip_serializing_if = "is_default")]
    pub precision: PrecisionName,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            batch_size: 1024,
            max_epochs: 10,
            patience: 2,
            evaluations_per_epoch: 1,
            learning_rate: 1e-3,
            embedding_learning_rate: None,
            weight_decay: 0.0,
            embedding_dim: 8,
            embedding_dims: BTreeMap::new(),
            attention: AttentionConfig::default(),
            pretrained: BTreeMap::new(),
            optimizer: OptimizerName::default(),
            momentum: 0.0,
            gradient_clip_norm: 0.0,
            embedding_optimizer: EmbeddingOptimizerName::default(),
            embedding_l2: 0.0,
            embedding_dropout: 0.0,
            schedule: Schedule::default(),
            task_weights: BTreeMap::new(),
            positive_weights: BTreeMap::new(),
            balance: BalanceConfig::default(),
            precision: PrecisionName::default(),
        }
    }
}

impl TrainingConfig {
    /// The rule of dense variables.
    pub(super) fn dense_rule(&self) -> DenseRule {
        let weight_decay = self.weight_decay;
        match self.optimizer {
            // One rule: a spec can't give `adam` a decay, and with a decay of 0 the two are the same.
            OptimizerName::Adam | OptimizerName::Adamw => DenseRule::Adam(AdamConfig {
                weight_decay,
                ..AdamConfig::default()
            }),
            OptimizerName::Adagrad => DenseRule::Adagrad(AdagradConfig {
                weight_decay,
                ..AdagradConfig::default()
            }),
            OptimizerName::Sgd => DenseRule::Sgd(SgdConfig {
                momentum: self.momentum,
                weight_decay,
            }),
        }
    }

    /// The rule of embedding tables.
    pub(super) fn sparse_rule(&self) -> SparseRule {
        let weight_decay = self.embedding_l2;
        match self.embedding_optimizer {
            EmbeddingOptimizerName::Adam => SparseRule::Adam(AdamConfig {
                weight_decay,
                ..AdamConfig::default()
            }),
            EmbeddingOptimizerName::RowwiseAdagrad => SparseRule::RowWiseAdagrad {
                // No setting: that of dense variables.
                epsilon: AdagradConfig::default().epsilon,
                weight_decay,
            },
        }
    }
}

/// The weights of `tasks` in their order, or none where all are 1.
pub(super) fn in_order(weights: &BTreeMap<String, f64>, tasks: &[String]) -> Option<Vec<f32>> {
    let of = |task: &String| weights.get(task).map_or(1.0, |weight| *weight as f32);
    let all: Vec<f32> = tasks.iter().map(of).collect();
    // None at all where they change nothing, so that the loss of most cells has no factors to
    // multiply by.
    all.iter().any(|weight| *weight != 1.0).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::BalanceMethod;

    #[test]
    fn every_name_gives_its_rule_with_its_decay() {
        let rule = |optimizer| {
            let config = TrainingConfig {
                optimizer,
                momentum: 0.5,
                weight_decay: 0.1,
                ..TrainingConfig::default()
            };
            config.dense_rule()
        };
        let adam = AdamConfig {
            weight_decay: 0.1,
            ..AdamConfig::default()
        };
        assert_eq!(rule(OptimizerName::Adamw), DenseRule::Adam(adam));
        let adagrad = AdagradConfig {
            weight_decay: 0.1,
            ..AdagradConfig::default()
        };
        assert_eq!(rule(OptimizerName::Adagrad), DenseRule::Adagrad(adagrad));
        let sgd = SgdConfig {
            momentum: 0.5,
            weight_decay: 0.1,
        };
        assert_eq!(rule(OptimizerName::Sgd), DenseRule::Sgd(sgd));
        let plain = TrainingConfig::default();
        assert_eq!(plain.dense_rule(), DenseRule::Adam(AdamConfig::default()));
        assert_eq!(plain.sparse_rule(), SparseRule::Adam(AdamConfig::default()));
    }

    #[test]
    fn settings_come_back_from_their_text_whatever_they_are() {
        let changed = TrainingConfig {
            embedding_learning_rate: Some(0.01),
            optimizer: OptimizerName::Sgd,
            momentum: 0.9,
            embedding_optimizer: EmbeddingOptimizerName::RowwiseAdagrad,
            embedding_dims: [("user".to_owned(), 3)].into(),
            attention: AttentionConfig {
                lists: [("seen".to_owned(), "item".to_owned())].into(),
                hidden_dims: vec![8, 4],
            },
            schedule: Schedule::Cosine {
                warm_up_steps: 10,
                final_share: 0.1,
            },
            task_weights: [("income".to_owned(), 2.0)].into(),
            balance: BalanceMethod::Famo.defaults(),
            precision: PrecisionName::Bf16,
            ..TrainingConfig::default()
        };
        for config in [TrainingConfig::default(), changed] {
            let text = toml::to_string(&config).unwrap();
            assert_eq!(
                toml::from_str::<TrainingConfig>(&text).unwrap(),
                config,
                "{text}"
            );
        }
        assert_eq!(
            toml::from_str::<TrainingConfig>("").unwrap(),
            TrainingConfig::default()
        );
    }

    #[test]
    fn weights_are_put_in_the_order_of_tasks() {
        let tasks = ["click".to_owned(), "like".to_owned()];
        let weights = |name: &str, weight| BTreeMap::from([(name.to_owned(), weight)]);
        assert_eq!(
            in_order(&weights("like", 2.0), &tasks),
            Some(vec![1.0, 2.0])
        );
        assert_eq!(in_order(&weights("like", 1.0), &tasks), None);
        assert_eq!(in_order(&BTreeMap::new(), &tasks), None);
    }
}

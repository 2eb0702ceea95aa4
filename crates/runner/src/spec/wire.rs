//! The spec as its file writes it.

use super::schedule::WrittenSchedule;
use crate::train::{EmbeddingOptimizerName, OptimizerName};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireExperiment {
    pub(super) question: String,
    pub(super) dataset: WireDataset,
    pub(super) seeds: Vec<u64>,
    #[serde(default)]
    pub(super) training: WireTraining,
    pub(super) variants: BTreeMap<String, WireVariant>,
    #[serde(default)]
    pub(super) run: WireRun,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireDataset {
    pub(super) name: String,
    pub(super) protocol: Option<String>,
    /// A whole number of training rows, or a share of every split.
    pub(super) rows: Option<toml::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTraining {
    pub(super) batch_size: Option<usize>,
    pub(super) max_epochs: Option<usize>,
    pub(super) patience: Option<usize>,
    pub(super) evaluations_per_epoch: Option<usize>,
    pub(super) learning_rate: Option<f64>,
    pub(super) embedding_learning_rate: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) embedding_dim: Option<usize>,
    pub(super) optimizer: Option<OptimizerName>,
    pub(super) momentum: Option<f64>,
    pub(super) gradient_clip_norm: Option<f64>,
    pub(super) embedding_optimizer: Option<EmbeddingOptimizerName>,
    pub(super) embedding_l2: Option<f64>,
    pub(super) embedding_dropout: Option<f64>,
    pub(super) schedule: Option<WrittenSchedule>,
    pub(super) task_weights: Option<BTreeMap<String, f64>>,
    pub(super) positive_weights: Option<BTreeMap<String, f64>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRun {
    pub(super) jobs: Option<usize>,
    pub(super) threads: Option<usize>,
    pub(super) device: Option<String>,
    pub(super) retries: Option<usize>,
    pub(super) time_limit_seconds: Option<f64>,
    /// A whole number, or a text with a unit.
    pub(super) memory_limit_bytes: Option<toml::Value>,
    pub(super) checkpoint_every_seconds: Option<f64>,
}

/// A tolerance for one of the two quantities.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireBudget {
    pub(super) like: String,
    pub(super) params: Option<f64>,
    pub(super) flops: Option<f64>,
}

/// `model`, `training`, `budget`, and whatever knobs the model has.
#[derive(Debug, Clone)]
pub(super) struct WireVariant {
    pub(super) model: String,
    pub(super) training: WireTraining,
    pub(super) budget: Option<WireBudget>,
    pub(super) knobs: toml::Table,
}

/// By hand, because serde's `flatten` loses the places of wrong values.
impl<'de> Deserialize<'de> for WireVariant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VariantVisitor)
    }
}

struct VariantVisitor;

impl<'de> Visitor<'de> for VariantVisitor {
    type Value = WireVariant;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a table with `model` and its knobs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireVariant, A::Error> {
        let (mut model, mut training, mut budget) = (None, None, None);
        let mut knobs = toml::Table::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "model" => model = Some(map.next_value()?),
                "training" => training = Some(map.next_value()?),
                "budget" => budget = Some(map.next_value()?),
                _ => {
                    knobs.insert(key, map.next_value()?);
                }
            }
        }
        Ok(WireVariant {
            model: model.ok_or_else(|| serde::de::Error::missing_field("model"))?,
            training: training.unwrap_or_default(),
            budget,
            knobs,
        })
    }
}

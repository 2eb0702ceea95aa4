//! The spec as its file writes it.

use super::Relations;
use super::schedule::WrittenSchedule;
use homebench_train::{EmbeddingOptimizerName, OptimizerName, PrecisionName};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireExperiment {
    pub(super) question: String,
    pub(super) outcome: Option<String>,
    pub(super) dataset: WireDataset,
    pub(super) seeds: Vec<u64>,
    pub(super) split_seeds: Option<Vec<u64>>,
    pub(super) baseline: Option<String>,
    /// A path or a list of paths.
    pub(super) include: Option<toml::Value>,
    #[serde(default)]
    pub(super) training: WireTraining,
    #[serde(default)]
    pub(super) defaults: toml::Table,
    pub(super) grid: Option<toml::Table>,
    pub(super) random: Option<toml::Table>,
    pub(super) tuning: Option<WireTuning>,
    #[serde(default)]
    pub(super) variants: BTreeMap<String, WireVariant>,
    #[serde(default)]
    pub(super) run: WireRun,
}

/// A file that a spec includes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireIncluded {
    /// A path or a list of paths.
    pub(super) include: Option<toml::Value>,
    #[serde(default)]
    pub(super) variants: BTreeMap<String, WireVariant>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTuning {
    pub(super) trials: Option<usize>,
    pub(super) seeds: Vec<u64>,
    pub(super) grid: Option<toml::Table>,
    pub(super) random: Option<toml::Table>,
}

/// What a variant adds to the search space.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireVariantTuning {
    pub(super) grid: Option<toml::Table>,
    pub(super) random: Option<toml::Table>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireDataset {
    pub(super) name: String,
    pub(super) protocol: Option<String>,
    /// A whole number of training rows, or a share of every split.
    pub(super) rows: Option<toml::Value>,
    /// Knobs of an embedded source in place of those of its description.
    #[serde(default)]
    pub(super) knobs: toml::Table,
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
    pub(super) precision: Option<PrecisionName>,
}

impl WireTraining {
    /// Whether the training setting of this name is a table.
    pub(super) fn is_table(key: &str) -> bool {
        let empty = toml::Value::Table(toml::Table::new());
        let table = toml::Table::from_iter([(key.to_owned(), empty)]);
        match Self::deserialize(table) {
            Ok(_) => true,
            // A table without a key that it needs is one.
            Err(error) => error.message().starts_with("missing field"),
        }
    }

    /// Whether there is a training setting of this name.
    pub(super) fn has_key(key: &str) -> bool {
        let table = toml::Table::from_iter([(key.to_owned(), toml::Value::Boolean(true))]);
        match Self::deserialize(table) {
            Ok(_) => true,
            Err(error) => !error.message().starts_with("unknown field"),
        }
    }
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

/// Keys of a variant that are no knobs.
#[cfg(test)]
pub(super) const VARIANT_KEYS: [&str; 9] = [
    "model",
    "ablates",
    "without",
    "plain_form",
    "training",
    "budget",
    "grid",
    "random",
    "tuning",
];

/// Keys of its own, and whatever knobs the model has.
#[derive(Debug, Clone)]
pub(super) struct WireVariant {
    pub(super) model: String,
    pub(super) relations: Relations,
    pub(super) training: WireTraining,
    pub(super) budget: Option<WireBudget>,
    pub(super) grid: Option<toml::Table>,
    pub(super) random: Option<toml::Table>,
    pub(super) tuning: WireVariantTuning,
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
        let (mut grid, mut random, mut tuning) = (None, None, None);
        let mut relations = Relations::default();
        let mut knobs = toml::Table::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "model" => model = Some(map.next_value()?),
                "ablates" => relations.ablates = Some(map.next_value()?),
                "without" => relations.without = Some(map.next_value()?),
                "plain_form" => relations.plain_form = Some(map.next_value()?),
                "training" => training = Some(map.next_value()?),
                "budget" => budget = Some(map.next_value()?),
                "grid" => grid = Some(map.next_value()?),
                "random" => random = Some(map.next_value()?),
                "tuning" => tuning = Some(map.next_value()?),
                _ => {
                    knobs.insert(key, map.next_value()?);
                }
            }
        }
        Ok(WireVariant {
            model: model.ok_or_else(|| serde::de::Error::missing_field("model"))?,
            relations,
            training: training.unwrap_or_default(),
            budget,
            grid,
            random,
            tuning: tuning.unwrap_or_default(),
            knobs,
        })
    }
}

#[cfg(test)]
mod tests {
    /// Or a spec couldn't set it.
    #[test]
    fn no_knob_has_the_name_of_another_key_of_a_variant() {
        // Those of `[random]` beside knobs.
        let others = ["n", "seed"];
        for entry in homebench_model::registry() {
            for knob in &entry.knobs {
                assert!(!super::VARIANT_KEYS.contains(&knob.name) && !others.contains(&knob.name));
            }
        }
    }
}

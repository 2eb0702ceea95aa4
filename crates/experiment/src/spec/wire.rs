//! The spec as its file writes it.

use super::Relations;
use homebench_model::PROGRAM;
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
    /// Read over what it changes, by `training::resolve`.
    #[serde(default)]
    pub(super) training: toml::Table,
    #[serde(default)]
    pub(super) defaults: toml::Table,
    pub(super) grid: Option<toml::Table>,
    pub(super) random: Option<toml::Table>,
    pub(super) tuning: Option<WireTuning>,
    pub(super) selection: Option<WireSelection>,
    pub(super) metrics: Option<WireMetrics>,
    /// Expressions or buckets, by name.
    #[serde(default)]
    pub(super) cohorts: toml::Table,
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

/// By what epochs and trials are selected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireSelection {
    pub(super) metric: Option<String>,
    pub(super) combine: Option<String>,
    pub(super) tasks: Option<BTreeMap<String, f64>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTuning {
    pub(super) method: Option<String>,
    pub(super) sampling: Option<String>,
    pub(super) eta: Option<usize>,
    pub(super) min_epochs: Option<usize>,
    pub(super) startup_trials: Option<usize>,
    pub(super) generation_size: Option<usize>,
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

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireMetrics {
    #[serde(default)]
    pub(super) extra: Vec<String>,
    pub(super) group: Option<String>,
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
    #[serde(default)]
    pub(super) predictions: Vec<String>,
    pub(super) tensorboard: Option<bool>,
}

/// A tolerance for one of the two quantities.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireBudget {
    pub(super) like: String,
    pub(super) params: Option<f64>,
    pub(super) flops: Option<f64>,
}

/// Cells that others start from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireInitFrom {
    pub(super) variant: String,
    /// A seed, or `same`.
    pub(super) seed: Option<toml::Value>,
    pub(super) paths: Option<Vec<String>>,
    #[serde(default)]
    pub(super) rename: BTreeMap<String, String>,
}

/// Teachers of a variant's cells.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireDistill {
    pub(super) from: String,
    pub(super) weight: Option<f64>,
    pub(super) adapter_learning_rate: Option<f64>,
    pub(super) adapter_weight_decay: Option<f64>,
    #[serde(default)]
    pub(super) teachers: BTreeMap<String, String>,
}

/// Keys of a variant that are no knobs.
#[cfg(test)]
pub(super) const VARIANT_KEYS: [&str; 12] = [
    "model",
    "ablates",
    "without",
    "plain_form",
    "init_from",
    "freeze",
    "distill",
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
    pub(super) training: toml::Table,
    pub(super) budget: Option<WireBudget>,
    pub(super) init_from: Option<WireInitFrom>,
    pub(super) freeze: Option<Vec<String>>,
    pub(super) distill: Option<WireDistill>,
    pub(super) grid: Option<toml::Table>,
    pub(super) random: Option<toml::Table>,
    pub(super) tuning: WireVariantTuning,
    pub(super) knobs: toml::Table,
}

/// By hand, because serde's `flatten` loses the places of wrong values.
impl<'de> Deserialize<'de> for WireVariant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not as a map, for which a user reads "a table" in place of the words of the visitor.
        deserializer.deserialize_any(VariantVisitor)
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
        let (mut init_from, mut freeze, mut distill) = (None, None, None);
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
                "init_from" => init_from = Some(map.next_value()?),
                "freeze" => freeze = Some(map.next_value()?),
                "distill" => distill = Some(map.next_value()?),
                "grid" => grid = Some(map.next_value()?),
                "random" => random = Some(map.next_value()?),
                "tuning" => tuning = Some(map.next_value()?),
                _ => {
                    knobs.insert(key, map.next_value()?);
                }
            }
        }
        // What is run in place of a model.
        let program = knobs.contains_key("command").then(|| PROGRAM.to_owned());
        let model = model.or(program);
        Ok(WireVariant {
            model: model.ok_or_else(|| serde::de::Error::missing_field("model"))?,
            relations,
            training: training.unwrap_or_default(),
            budget,
            init_from,
            freeze,
            distill,
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
        let (models, bottoms) = (homebench_model::registry(), homebench_model::bottoms());
        let of_models = models.iter().flat_map(|model| &model.knobs);
        let of_bottoms = bottoms.iter().flat_map(|bottom| bottom.knobs);
        for knob in of_models.chain(of_bottoms) {
            assert!(!super::VARIANT_KEYS.contains(&knob.name) && !others.contains(&knob.name));
        }
    }
}

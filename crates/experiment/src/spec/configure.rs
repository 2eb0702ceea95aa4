//! One configuration of a variant: what it is in its table, with what a sweep chose on top.

use super::check::{check_batch_norm, model_diagnostic};
use super::setting::{Chosen, TRAINING, plain};
use super::source::{Locator, Source};
use super::training;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::ModelConfig;
use homebench_train::TrainingConfig;
use toml::{Table, Value};

/// A model and its training, and what of both a sweep chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// The architecture with its knobs.
    pub model: ModelConfig,
    /// How it is trained.
    pub training: TrainingConfig,
    /// What a grid, random draws or tuning set, in the order of names.
    pub settings: Vec<Chosen>,
}

impl Configured {
    /// This one with `chosen` on top, for the configuration `name` of the variant `base`.
    ///
    /// # Errors
    /// A value that makes no model or no training, at its place.
    pub(super) fn with(
        &self,
        chosen: Vec<Chosen>,
        name: &str,
        base: &str,
        source: &Source,
    ) -> Result<Self, Diagnostic> {
        let mut settings = self.settings.clone();
        settings.extend(chosen.iter().cloned());
        // By name, whatever the order of sweeps: names of configurations are made of them.
        settings.sort_by(|a, b| a.setting.cmp(&b.setting));
        let at = KeyPath::new(["variants", name]);
        let locator = Locator::of_configuration(source, name, base, &settings);
        let knobs = chosen.iter().filter_map(|one| {
            let knob = one.setting.knob()?;
            Some((knob.to_owned(), one.value.clone()))
        });
        let knobs: Table = knobs.collect();
        let model = match knobs.is_empty() {
            true => self.model.clone(),
            false => (self.model.with_knobs(&knobs))
                .map_err(|error| model_diagnostic(&error, &at, locator))?,
        };
        let training = self.trained(&chosen, &at.join(TRAINING), locator)?;
        // Either of the two can make the batch too small; the one that was chosen is told.
        let sets_norm = chosen.iter().any(|one| one.setting.knob() == Some("norm"));
        let place = match sets_norm {
            true => at.join("norm"),
            false => at.join(TRAINING).join("batch_size"),
        };
        check_batch_norm(&model, &training, &place, &at, locator)?;
        Ok(Self {
            model,
            training,
            settings,
        })
    }

    fn trained(
        &self,
        chosen: &[Chosen],
        at: &KeyPath,
        locator: Locator<'_>,
    ) -> Result<TrainingConfig, Diagnostic> {
        let mut table = Table::new();
        for one in chosen {
            if let Some(path) = one.setting.in_training() {
                self.put(path, &one.value, &mut table);
            }
        }
        if table.is_empty() {
            return Ok(self.training.clone());
        }
        training::resolve(&table, &self.training, at, locator)
    }

    /// Puts a value at a path below `training`; a table on the way begins as this configuration has it.
    fn put(&self, path: &[String], value: &Value, table: &mut Table) {
        let (first, below) = path.split_first().expect("a setting has a key");
        let Some((last, between)) = below.split_last() else {
            table.insert(first.clone(), value.clone());
            return;
        };
        let mut holder = table.entry(first.clone()).or_insert_with(|| {
            let there = training::written(&self.training).remove(first);
            there.unwrap_or_else(|| Value::Table(Table::new()))
        });
        for key in between {
            if !holder.is_table() {
                break;
            }
            let table = holder.as_table_mut().expect("it was asked above");
            holder = table
                .entry(key.clone())
                .or_insert_with(|| Value::Table(Table::new()));
        }
        match holder {
            Value::Table(table) => {
                table.insert(last.clone(), value.clone());
            }
            // A value with a path below it: refused as a table where that value belongs.
            other => *other = Value::Table(Table::from_iter([(last.clone(), value.clone())])),
        }
    }

    /// What a sweep chose, as the model and its training hold it, so that `1e-3` and `0.001` are one value.
    pub fn chosen_values(&self) -> Vec<(String, Value)> {
        let mut settings = self.settings.iter();
        let has_training = settings.any(|one| one.setting.in_training().is_some());
        let training = has_training.then(|| training::written(&self.training));
        let held = |one: &Chosen| -> Option<Value> {
            if let Some(knob) = one.setting.knob() {
                return self.model.knobs().get(knob).cloned();
            }
            let (first, below) = one.setting.in_training()?.split_first()?;
            let mut value = training.as_ref()?.get(first)?;
            for key in below {
                value = value.get(key)?;
            }
            Some(value.clone())
        };
        let named = |one: &Chosen| {
            let value = held(one).unwrap_or_else(|| one.value.clone());
            (one.setting.to_string(), value)
        };
        self.settings.iter().map(named).collect()
    }

    /// What a sweep chose, as tables write it.
    pub fn written_settings(&self) -> Vec<(String, String)> {
        let values = self.chosen_values().into_iter();
        values.map(|(name, value)| (name, plain(&value))).collect()
    }
}

//! Training settings, each checked at its place.

use super::pretrained::PRETRAINED;
use super::source::Locator;
use super::{attention, balance};
use homebench_data::Task;
use homebench_diagnostic::{Diagnostic, KeyPath, keys_of, read};
use homebench_train::{OptimizerName, Schedule, TrainingConfig, WrittenSchedule};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The widths of tables that have one of their own.
pub(crate) const WIDTHS: &str = "embedding_dims";

/// A table of training settings with every default written out, but for what the optimiser or the device has no use for.
pub(super) fn written(config: &TrainingConfig) -> Table {
    Table::try_from(config).expect("training is plain TOML")
}

/// Whether there is a training setting of this name.
pub(super) fn has_key(key: &str) -> bool {
    keys_of::<TrainingConfig>().contains(&key)
}

/// Whether the training setting of this name is a table.
pub(super) fn is_table(key: &str) -> bool {
    // At their defaults, these are not written.
    if [balance::BALANCE, attention::ATTENTION, WIDTHS, PRETRAINED].contains(&key) {
        return true;
    }
    let written = written(&TrainingConfig::default());
    written.get(key).is_some_and(Value::is_table)
}

/// `own` on top of `base`; `table` is where it stands in the spec. Tables within (weights, the schedule, the balance) replace those of
/// `base`.
pub(super) fn resolve(
    own: &Table,
    base: &TrainingConfig,
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<TrainingConfig, Diagnostic> {
    let mut whole = written(base);
    if own.contains_key("optimizer") && own.get("optimizer") != whole.get("optimizer") {
        // That of `base` is of the optimiser that is replaced.
        whole.remove("momentum");
    }
    // Read with what is below, so that serde finds wrong types and unknown keys; what `base` has is right.
    whole.extend(own.clone());
    let mut config: TrainingConfig =
        read(&Value::Table(whole)).map_err(|refusal| source.refuse(&refusal.within(table)))?;
    let at = TrainingTable { table, source };
    at.check(&mut config)?;
    at.check_schedule(own)?;
    at.check_weights(
        "task_weights",
        &mut config.task_weights,
        |at, task, weight| at.decay(task, weight),
    )?;
    at.check_weights(
        "positive_weights",
        &mut config.positive_weights,
        |at, task, weight| at.rate(task, weight),
    )?;
    at.fits_optimizer(own, &config)?;
    attention::check_units(&config, table, source)?;
    balance::resolve(own, &mut config, table, source)?;
    Ok(config)
}

/// Refuses weights of 0 for every task of the dataset: the loss would be 0 whatever the model did. `places` are where the weights may come
/// from, the nearest first.
pub(super) fn check_weighted(
    training: &TrainingConfig,
    tasks: &[&str],
    places: &[KeyPath],
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    let is_trained = |task: &&str| training.task_weights.get(*task) != Some(&0.0);
    if tasks.is_empty() || tasks.iter().any(is_trained) {
        return Ok(());
    }
    let place = places.iter().find(|place| source.has(place));
    let place = place.or(places.first()).cloned().unwrap_or_default();
    let message =
        format!("`{place}`: every task has the weight 0, so that nothing would be trained");
    Err(source.at_key(&place, message).hint(format!(
        "give a weight above 0 to one of {}, or leave it out for a weight of 1",
        tasks.join(", ")
    )))
}

/// Refuses what the dataset's tasks don't fit: weights of tasks that there are not, weights of positive labels where labels are numbers,
/// and a balance that they can't have.
pub(super) fn check_tasks(
    training: &TrainingConfig,
    of_dataset: &[Task],
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    let tasks: Vec<&str> = of_dataset.iter().map(|task| task.name.as_str()).collect();
    for (key, weights) in [
        ("task_weights", &training.task_weights),
        ("positive_weights", &training.positive_weights),
    ] {
        if let Some(name) = weights.keys().find(|name| !tasks.contains(&name.as_str())) {
            let message = format!(
                "`{}`: the dataset has no task `{name}`; it has: {}",
                table.join(key),
                tasks.join(", ")
            );
            let place = table.join(key).join(name);
            return Err(source
                .at_key(&place, message)
                .did_you_mean(name, tasks.iter().copied()));
        }
    }
    let mut numbers = of_dataset.iter().filter(|task| task.is_regression());
    if let Some(Task { name, .. }) =
        numbers.find(|task| training.positive_weights.contains_key(&task.name))
    {
        let place = table.join("positive_weights").join(name);
        let message = format!(
            "`{place}`: `{name}` predicts a number, and numbers are not positive or negative labels"
        );
        return Err(source
            .at_key(&place, message)
            .hint("leave it out; `task_weights` gives the whole loss of a task another weight"));
    }
    balance::check_tasks(&training.balance, &tasks, table, source)
}

/// Refuses widths of tables that the dataset's features don't read.
pub(super) fn check_tables(
    training: &TrainingConfig,
    tables: &[String],
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    let known = || tables.iter().map(String::as_str);
    let mut widths = training.embedding_dims.keys();
    let Some(name) = widths.find(|name| !tables.contains(name)) else {
        return Ok(());
    };
    let at = table.join(WIDTHS);
    let there_are = match tables {
        [] => "none, since no feature has ids".to_owned(),
        tables => tables.join(", "),
    };
    let message = format!("`{at}`: no feature reads a table `{name}`; tables are: {there_are}");
    Err(source
        .at_key(&at.join(name), message)
        .did_you_mean(name, known()))
}

struct TrainingTable<'a> {
    table: &'a KeyPath,
    source: Locator<'a>,
}

impl TrainingTable<'_> {
    fn refuse(&self, key: &str, expected: &str, found: impl std::fmt::Display) -> Diagnostic {
        let path = self.table.join(key);
        self.source.at_value(
            &path,
            format!("`{path}`: expected {expected}, found {found}"),
        )
    }

    /// Refuses numbers that no training can have.
    fn check(&self, config: &mut TrainingConfig) -> Result<(), Diagnostic> {
        self.count("batch_size", config.batch_size)?;
        self.count("max_epochs", config.max_epochs)?;
        self.count("patience", config.patience)?;
        self.count("evaluations_per_epoch", config.evaluations_per_epoch)?;
        self.rate("learning_rate", &mut config.learning_rate)?;
        if let Some(rate) = &mut config.embedding_learning_rate {
            self.rate("embedding_learning_rate", rate)?;
        }
        self.decay("weight_decay", &mut config.weight_decay)?;
        self.count("embedding_dim", config.embedding_dim)?;
        let table = &self.table.join(WIDTHS);
        for (name, width) in &config.embedding_dims {
            TrainingTable { table, ..*self }.count(name, *width)?;
        }
        self.share("momentum", &mut config.momentum)?;
        self.decay("gradient_clip_norm", &mut config.gradient_clip_norm)?;
        self.decay("embedding_l2", &mut config.embedding_l2)?;
        self.share("embedding_dropout", &mut config.embedding_dropout)
    }

    fn count(&self, key: &str, value: usize) -> Result<(), Diagnostic> {
        match value {
            0 => Err(self.refuse(key, "a whole number, 1 or more", 0)),
            _ => Ok(()),
        }
    }

    fn rate(&self, key: &str, value: &mut f64) -> Result<(), Diagnostic> {
        match value.is_finite() && *value > 0.0 {
            true => self.fits_32_bits(key, *value, false),
            false => Err(self.refuse(key, "a finite number above 0", value)),
        }
    }

    /// Refuses a number that training, which computes in 32 bits, would take for infinity or for 0.
    fn fits_32_bits(&self, key: &str, value: f64, may_be_zero: bool) -> Result<(), Diagnostic> {
        let narrowed = value as f32;
        let is_lost = narrowed == 0.0 && value != 0.0;
        let least = format_args!("a number from {:e} on", f32::from_bits(1)).to_string();
        let (expected, hint) = match (narrowed.is_infinite(), is_lost, may_be_zero) {
            (true, _, _) => (
                format!("a number up to {:e}", f32::MAX),
                "infinite: make it smaller",
            ),
            (_, true, true) => (format!("0 or {least}"), "0: write 0.0, or make it larger"),
            (_, true, false) => (least, "0: make it larger"),
            _ => return Ok(()),
        };
        let said = self.refuse(key, &expected, format_args!("{value:e}"));
        Err(said.hint(format!(
            "training computes with numbers of 32 bits, in which this one is {hint}"
        )))
    }

    fn decay(&self, key: &str, value: &mut f64) -> Result<(), Diagnostic> {
        if !(value.is_finite() && *value >= 0.0) {
            return Err(self.refuse(key, "a finite number, 0 or more", value));
        }
        // -0.0 is a way to write 0, and must give the same text.
        *value += 0.0;
        self.fits_32_bits(key, *value, true)
    }

    fn share(&self, key: &str, value: &mut f64) -> Result<(), Diagnostic> {
        if !(0.0..1.0).contains(value) {
            return Err(self.refuse(key, "a number from 0 to below 1", value));
        }
        *value += 0.0;
        Ok(())
    }

    /// Checks weights by task, and drops those that are 1, which is what a task without a weight has.
    fn check_weights(
        &self,
        key: &str,
        weights: &mut BTreeMap<String, f64>,
        check: fn(&TrainingTable<'_>, &str, &mut f64) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let table = &self.table.join(key);
        let below = TrainingTable { table, ..*self };
        for (task, weight) in weights.iter_mut() {
            check(&below, task, weight)?;
        }
        // Whether 1 is written or not, the cell is the same.
        weights.retain(|_, weight| *weight != 1.0);
        Ok(())
    }

    /// Refuses keys that the schedule's kind has no use for, and numbers that are none of a schedule.
    fn check_schedule(&self, own: &Table) -> Result<(), Diagnostic> {
        let Some(value) = own.get("schedule") else {
            return Ok(());
        };
        let TrainingTable { table, source } = *self;
        let table = &table.join("schedule");
        let written: WrittenSchedule =
            read(value).map_err(|refusal| source.refuse(&refusal.within(table)))?;
        let at = TrainingTable { table, source };
        let kind = value
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        // What is written of the schedule that it makes is what its kind has.
        let keys = WrittenSchedule::from(Schedule::from(written)).written_keys();
        let present = written.written_keys();
        if let Some(key) = present.iter().find(|key| !keys.contains(key)) {
            let message = format!("`{table}`: a schedule of the kind `{kind}` has no `{key}`");
            let said = source.at_key(&table.join(*key), message);
            return Err(said.hint(match keys.is_empty() {
                true => "leave it out".to_owned(),
                false => format!("it has: {}", keys.join(", ")),
            }));
        }
        if let Some(key) = written.kind.needed_key() {
            if !present.contains(&key) {
                let message = format!("`{table}`: a schedule of the kind `{kind}` needs `{key}`");
                let said = source.at_key(table, message);
                return Err(said.hint(format!("add `{key} = ...`, a number of steps")));
            }
            let steps = match key {
                "every_steps" => written.every_steps,
                _ => written.warm_up_steps,
            };
            // That it is there was asked above.
            at.count(key, steps.unwrap_or(1))?;
        }
        for (key, share) in [
            ("final_share", written.final_share),
            ("factor", written.factor),
        ] {
            if let Some(share) = share.filter(|share| !(0.0..=1.0).contains(share)) {
                return Err(at.refuse(key, "a number from 0 to 1", share));
            }
        }
        Ok(())
    }

    /// Refuses what the optimiser has no use for, rather than ignoring it.
    fn fits_optimizer(&self, own: &Table, config: &TrainingConfig) -> Result<(), Diagnostic> {
        if config.momentum != 0.0 && config.optimizer != OptimizerName::Sgd {
            let expected = "0 with an optimizer that is not `sgd`";
            return Err(self
                .refuse("momentum", expected, config.momentum)
                .hint("set `optimizer = \"sgd\"`, or leave momentum out"));
        }
        // Adam with a decay is one of two algorithms, and the spec has to say which.
        if config.weight_decay != 0.0 && config.optimizer == OptimizerName::Adam {
            let key = match own.contains_key("weight_decay") {
                true => "weight_decay",
                false => "optimizer",
            };
            let path = self.table.join(key);
            let message = format!(
                "`{path}`: expected a `weight_decay` of 0 with the optimizer `adam`, found {}",
                config.weight_decay
            );
            return Err(self.source.at_value(&path, message).hint(
                "set `optimizer = \"adamw\"` for Adam with decoupled weight decay, or `weight_decay = 0.0`",
            ));
        }
        Ok(())
    }
}

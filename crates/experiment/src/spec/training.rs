//! Training settings, each checked at its place.

use super::schedule::WrittenSchedule;
use super::source::Locator;
use super::wire::WireTraining;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::{OptimizerName, Schedule, TrainingConfig};
use std::collections::BTreeMap;

/// `wire` on top of `base`; `table` is where it stands in the spec. Tables within (weights, the schedule) replace those of
/// `base`.
pub(super) fn resolve(
    wire: &WireTraining,
    base: &TrainingConfig,
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<TrainingConfig, Diagnostic> {
    let at = At { table, source };
    let optimizer = wire.optimizer.unwrap_or(base.optimizer);
    let config = TrainingConfig {
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
        weight_decay: at.decay("weight_decay", wire.weight_decay, base.weight_decay)?,
        embedding_dim: at.count("embedding_dim", wire.embedding_dim, base.embedding_dim)?,
        optimizer,
        momentum: match optimizer {
            // Of the optimiser that was replaced.
            _ if optimizer != base.optimizer => at.share("momentum", wire.momentum, 0.0)?,
            _ => at.share("momentum", wire.momentum, base.momentum)?,
        },
        gradient_clip_norm: at.decay(
            "gradient_clip_norm",
            wire.gradient_clip_norm,
            base.gradient_clip_norm,
        )?,
        embedding_optimizer: wire.embedding_optimizer.unwrap_or(base.embedding_optimizer),
        embedding_l2: at.decay("embedding_l2", wire.embedding_l2, base.embedding_l2)?,
        embedding_dropout: at.share(
            "embedding_dropout",
            wire.embedding_dropout,
            base.embedding_dropout,
        )?,
        schedule: at.schedule(wire.schedule, base.schedule)?,
        task_weights: at
            .weights("task_weights", wire.task_weights.as_ref(), true)?
            .unwrap_or_else(|| base.task_weights.clone()),
        positive_weights: at
            .weights("positive_weights", wire.positive_weights.as_ref(), false)?
            .unwrap_or_else(|| base.positive_weights.clone()),
        precision: wire.precision.unwrap_or(base.precision),
    };
    at.fits_optimizer(wire, &config)?;
    Ok(config)
}

/// Refuses weights of tasks that the dataset doesn't have.
pub(super) fn check_tasks(
    training: &TrainingConfig,
    tasks: &[&str],
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
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
    Ok(())
}

struct At<'a> {
    table: &'a KeyPath,
    source: Locator<'a>,
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

    fn decay(&self, key: &str, value: Option<f64>, base: f64) -> Result<f64, Diagnostic> {
        match value {
            Some(decay) if !(decay.is_finite() && decay >= 0.0) => {
                Err(self.refuse(key, "a finite number, 0 or more", decay))
            }
            // -0.0 is a way to write 0.
            Some(decay) => Ok(decay + 0.0),
            None => Ok(base),
        }
    }

    fn share(&self, key: &str, value: Option<f64>, base: f64) -> Result<f64, Diagnostic> {
        match value {
            Some(share) if !(0.0..1.0).contains(&share) => {
                Err(self.refuse(key, "a number from 0 to below 1", share))
            }
            Some(share) => Ok(share + 0.0),
            None => Ok(base),
        }
    }

    /// Weights by task, without those that are 1, which is what a task without a weight has.
    fn weights(
        &self,
        key: &str,
        value: Option<&BTreeMap<String, f64>>,
        may_be_zero: bool,
    ) -> Result<Option<BTreeMap<String, f64>>, Diagnostic> {
        let At { table, source } = *self;
        let below = At {
            table: &table.join(key),
            source,
        };
        for (task, weight) in value.into_iter().flatten() {
            match may_be_zero {
                true => below.decay(task, Some(*weight), 1.0).map(|_| ())?,
                false => below.rate(task, Some(*weight)).map(|_| ())?,
            }
        }
        let not_one = |weights: &BTreeMap<String, f64>| {
            let all = weights.iter().filter(|(_, weight)| **weight != 1.0);
            all.map(|(task, weight)| (task.clone(), weight + 0.0))
                .collect()
        };
        Ok(value.map(not_one))
    }

    fn schedule(
        &self,
        value: Option<WrittenSchedule>,
        base: Schedule,
    ) -> Result<Schedule, Diagnostic> {
        let Some(written) = value else {
            return Ok(base);
        };
        let At { table, source } = *self;
        let table = &table.join("schedule");
        let at = At { table, source };
        let (kind, keys) = (written.kind.name(), written.kind.keys());
        let present = written.written_keys();
        if let Some(key) = present.iter().find(|key| !keys.contains(key)) {
            let message = format!(
                "`{}`: a schedule of the kind `{kind}` has no `{key}`",
                table
            );
            return Err(source.at_key(&table.join(*key), message).hint(match keys {
                [] => "leave it out".to_owned(),
                _ => format!("it has: {}", keys.join(", ")),
            }));
        }
        if let Some(key) = written
            .kind
            .needed_key()
            .filter(|key| !present.contains(key))
        {
            let message = format!("`{table}`: a schedule of the kind `{kind}` needs `{key}`");
            let said = source.at_key(table, message);
            return Err(said.hint(format!("add `{key} = ...`, a number of steps")));
        }
        if let Some(key) = written.kind.needed_key() {
            let steps = match key {
                "every_steps" => written.every_steps,
                _ => written.warm_up_steps,
            };
            at.count(key, steps, 1)?;
        }
        for (key, share) in [
            ("final_share", written.final_share),
            ("factor", written.factor),
        ] {
            if let Some(share) = share.filter(|share| !(0.0..=1.0).contains(share)) {
                return Err(at.refuse(key, "a number from 0 to 1", share));
            }
        }
        Ok(written.into())
    }

    /// Refuses what the optimiser has no use for, rather than ignoring it.
    fn fits_optimizer(
        &self,
        wire: &WireTraining,
        config: &TrainingConfig,
    ) -> Result<(), Diagnostic> {
        if config.momentum != 0.0 && config.optimizer != OptimizerName::Sgd {
            let expected = "0 with an optimizer that is not `sgd`";
            return Err(self
                .refuse("momentum", expected, config.momentum)
                .hint("set `optimizer = \"sgd\"`, or leave momentum out"));
        }
        if config.weight_decay != 0.0 && config.optimizer == OptimizerName::Adam {
            let key = match wire.weight_decay {
                Some(_) => "weight_decay",
                None => "optimizer",
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

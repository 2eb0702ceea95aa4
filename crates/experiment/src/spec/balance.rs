//! `[training.balance]`, checked: its method's keys alone, each in its range, and nothing beside it that weighs tasks as well.

use super::source::Locator;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::{BalanceConfig, TrainingConfig};
use std::fmt::Display;
use toml::Table;

/// The key of the table.
pub(super) const BALANCE: &str = "balance";

/// What a number has to be, and how that is said.
type Range = (&'static str, fn(f64) -> bool);

const ABOVE_ZERO: Range = ("a finite number above 0", |value| {
    value.is_finite() && value > 0.0
});
const NOT_NEGATIVE: Range = ("a finite number, 0 or more", |value| {
    value.is_finite() && value >= 0.0
});
const FINITE: Range = ("a finite number", f64::is_finite);
const BELOW_ONE: Range = ("a number from 0 to below 1", |value| {
    (0.0..1.0).contains(&value)
});
const UP_TO_ONE: Range = ("a number from 0 to 1", |value| (0.0..=1.0).contains(&value));

/// Checks what is written and fills in the method's defaults. `own` is the training table that was read last, at `table`.
pub(super) fn resolve(
    own: &Table,
    config: &mut TrainingConfig,
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    let at = BalanceTable {
        table: &table.join(BALANCE),
        source,
    };
    at.check_keys(&config.balance)?;
    at.check_numbers(&mut config.balance)?;
    config.balance = std::mem::take(&mut config.balance).filled();
    if config.balance.is_equal_weights() || config.task_weights.is_empty() {
        return Ok(());
    }
    // The one that came last is told.
    let key = match own.contains_key(BALANCE) {
        true => BALANCE,
        false => "task_weights",
    };
    let place = table.join(key);
    let method = config.balance.method.name();
    let message = format!(
        "`{place}`: `task_weights` fix what `balance.method = \"{method}\"` is there to find"
    );
    Err(source.at_key(&place, message).hint(
        "leave out one of the two; `task_weights = {}` drops weights that a variant has from [training]",
    ))
}

/// Refuses a method for one task, and a main task that the dataset doesn't have.
pub(super) fn check_tasks(
    balance: &BalanceConfig,
    tasks: &[&str],
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    if balance.is_equal_weights() {
        return Ok(());
    }
    let table = table.join(BALANCE);
    if let [only] = tasks {
        let place = table.join("method");
        let message = format!(
            "`{place}`: `{}` weighs tasks against each other, and the dataset has one, `{only}`",
            balance.method.name()
        );
        return Err(source
            .at_value(&place, message)
            .hint("leave `balance` out, or use a dataset with two tasks or more"));
    }
    let Some(main) = balance.main_task.as_deref() else {
        return Ok(());
    };
    if tasks.contains(&main) {
        return Ok(());
    }
    let place = table.join("main_task");
    let message = format!(
        "`{place}`: the dataset has no task `{main}`; it has: {}",
        tasks.join(", ")
    );
    Err(source
        .at_value(&place, message)
        .did_you_mean(main, tasks.iter().copied()))
}

struct BalanceTable<'a> {
    table: &'a KeyPath,
    source: Locator<'a>,
}

impl BalanceTable<'_> {
    fn refuse(&self, key: &str, expected: &str, found: impl Display) -> Diagnostic {
        let path = self.table.join(key);
        let message = format!("`{path}`: expected {expected}, found {found}");
        self.source.at_value(&path, message)
    }

    /// Refuses keys that the method has no use for.
    fn check_keys(&self, balance: &BalanceConfig) -> Result<(), Diagnostic> {
        let keys = balance.method.keys();
        let written = balance.written_keys();
        let Some(key) = written.iter().find(|key| !keys.contains(key)) else {
            return Ok(());
        };
        let (table, method) = (self.table, balance.method.name());
        let message = format!("`{table}`: the method `{method}` has no `{key}`");
        let said = self.source.at_key(&table.join(*key), message);
        Err(said.hint(match keys.is_empty() {
            true => "leave it out".to_owned(),
            false => format!("it has: {}", keys.join(", ")),
        }))
    }

    fn check_numbers(&self, balance: &mut BalanceConfig) -> Result<(), Diagnostic> {
        for (key, value) in [
            ("every_steps", balance.every_steps),
            ("warm_up_epochs", balance.warm_up_epochs),
        ] {
            if value == Some(0) {
                return Err(self.refuse(key, "a whole number, 1 or more", 0));
            }
        }
        for (key, value, (expected, is_in)) in [
            ("temperature", &mut balance.temperature, ABOVE_ZERO),
            ("learning_rate", &mut balance.learning_rate, ABOVE_ZERO),
            ("weight_decay", &mut balance.weight_decay, NOT_NEGATIVE),
            ("initial", &mut balance.initial, FINITE),
            ("mu", &mut balance.mu, ABOVE_ZERO),
            ("alpha", &mut balance.alpha, ABOVE_ZERO),
            ("c", &mut balance.c, BELOW_ONE),
            ("beta", &mut balance.beta, BELOW_ONE),
            ("relaxation", &mut balance.relaxation, UP_TO_ONE),
        ] {
            let Some(value) = value else {
                continue;
            };
            if !is_in(*value) {
                return Err(self.refuse(key, expected, *value));
            }
            // -0.0 is a way to write 0, and must give the same text.
            *value += 0.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::load;

    #[test]
    fn one_task_has_nothing_to_be_weighed_against() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        let text = "question = \"What is this?\"\nseeds = [1]\ndataset = { name = \"feed\" }\n\
                    [training.balance]\nmethod = \"famo\"\n[variants.a]\nmodel = \"mmoe\"\n";
        std::fs::write(&path, text).unwrap();
        let (experiment, source) = load(&path, &[]).unwrap();
        let check = |tasks: &[&str]| {
            let table = KeyPath::new(["training"]);
            check_tasks(
                &experiment.training.balance,
                tasks,
                &table,
                (&source).into(),
            )
        };
        check(&["click", "like"]).unwrap();
        let said = check(&["click"]).unwrap_err();
        assert_eq!(
            said.message,
            "`training.balance.method`: `famo` weighs tasks against each other, and the dataset has one, `click`"
        );
        assert_eq!(said.location.unwrap().line, 5);
    }
}

//! Pretrained vectors that training asks for, against those that the data's description has.

use super::Experiment;
use super::source::{Locator, Source};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::TrainingConfig;

/// The key of training that names tables with pretrained vectors.
pub(crate) const PRETRAINED: &str = "pretrained";

/// The embedding tables of a dataset, by its description.
#[derive(Clone, Copy)]
struct Described<'a> {
    /// Name of the dataset.
    dataset: &'a str,
    tables: &'a [String],
    /// Those with pretrained vectors; nothing where rows are made up.
    pretrained: Option<&'a [String]>,
}

/// Refuses tables that the dataset doesn't have, or has no pretrained vectors of.
pub(super) fn check_names(
    experiment: &Experiment,
    dataset: &str,
    tables: &[String],
    pretrained: Option<&[String]>,
    source: &Source,
) -> Result<(), Diagnostic> {
    let described = Described {
        dataset,
        tables,
        pretrained,
    };
    let shared = KeyPath::new(["training"]);
    check_training(described, &experiment.training, &shared, source.into())?;
    for variant in &experiment.variants {
        let table = KeyPath::new(["variants", &variant.name, "training"]);
        let own = &variant.configured.training;
        check_training(described, own, &table, variant.locator(source))?;
        for (index, trial) in variant.trials.iter().enumerate() {
            let locator = variant.trial_locator(index, source);
            check_training(described, &trial.training, &table, locator)?;
        }
    }
    Ok(())
}

fn check_training(
    described: Described<'_>,
    config: &TrainingConfig,
    table: &KeyPath,
    locator: Locator<'_>,
) -> Result<(), Diagnostic> {
    let at = table.join(PRETRAINED);
    for name in config.pretrained.keys() {
        let path = at.join(name);
        let refuse = |message: String| locator.at_key(&path, format!("`{path}`: {message}"));
        if !described.tables.contains(name) {
            let known = described.tables;
            let there_are = match known {
                [] => "none, since no feature has ids".to_owned(),
                known => known.join(", "),
            };
            let message = format!("no feature reads a table `{name}`; tables are: {there_are}");
            return Err(refuse(message).did_you_mean(name, known.iter().map(String::as_str)));
        }
        let dataset = described.dataset;
        let Some(pretrained) = described.pretrained else {
            let message = format!(
                "the rows of `{dataset}` are made up, so that no file has vectors of their values"
            );
            return Err(refuse(message).hint(format!(
                "leave it out, or use a dataset of files with [pretrained.{name}]"
            )));
        };
        if !pretrained.contains(name) {
            let has = match pretrained {
                [] => "it has none of any table".to_owned(),
                has => format!("it has those of: {}", has.join(", ")),
            };
            let message =
                format!("`{dataset}` has no pretrained vectors of the table `{name}`; {has}");
            return Err(refuse(message).hint(format!(
                "describe their file in {dataset}.toml as [pretrained.{name}], or leave it out"
            )));
        }
    }
    Ok(())
}

/// The table of training that a configuration has `key` of a table of it from: that of the variant, or that of the file.
pub(crate) fn training_with(key: &str, variant: &str, locator: Locator<'_>) -> KeyPath {
    let own = KeyPath::new(["variants", variant, "training"]);
    match locator.has(&own.join(key)) {
        true => own,
        false => KeyPath::new(["training"]),
    }
}

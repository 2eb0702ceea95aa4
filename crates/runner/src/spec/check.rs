//! From wire types to a checked experiment.

use super::source::Source;
use super::wire::{WireDataset, WireExperiment, WireVariant};
use super::{Experiment, Variant, budget, run, training};
use crate::data::{self, DatasetRef, Places, RowSubset};
use crate::diagnostic::{Diagnostic, KeyPath};
use crate::train::TrainingConfig;
use homebench_model::{ModelConfig, ModelError};
use std::collections::BTreeMap;

const LONGEST_NAME: usize = 64;

pub(super) fn experiment(
    name: &str,
    wire: WireExperiment,
    source: &Source,
) -> Result<Experiment, Diagnostic> {
    let question = KeyPath::new(["question"]);
    if wire.question.trim().is_empty() {
        return Err(source
            .at_value(&question, "`question`: expected a sentence, found nothing")
            .hint("say what this experiment is to find out"));
    }
    let shared = training::resolve(
        &wire.training,
        &TrainingConfig::default(),
        &KeyPath::new(["training"]),
        source,
    )?;
    Ok(Experiment {
        name: name.to_owned(),
        question: wire.question,
        dataset: dataset(wire.dataset, source)?,
        seeds: seeds(wire.seeds, source)?,
        variants: variants(wire.variants, &shared, source)?,
        training: shared,
        run: run::resolve(&wire.run, source)?,
    })
}

fn dataset(wire: WireDataset, source: &Source) -> Result<DatasetRef, Diagnostic> {
    let path = KeyPath::new(["dataset", "rows"]);
    let refuse = |found: String| {
        source
            .at_value(
                &path,
                format!("`dataset.rows`: expected a number of training rows (a whole number, 1 or more) or a share of all rows (above 0.0, up to 1.0), found {found}"),
            )
            .hint("leave the key out to use every row")
    };
    let rows = match &wire.rows {
        None => RowSubset::All,
        Some(toml::Value::Integer(rows)) if *rows >= 1 => {
            RowSubset::TrainRows(usize::try_from(*rows).map_err(|_| refuse(rows.to_string()))?)
        }
        // The same rows as without the key, so the same cells.
        Some(toml::Value::Float(share)) if *share == 1.0 => RowSubset::All,
        Some(toml::Value::Float(share)) if *share > 0.0 && *share < 1.0 => {
            RowSubset::Fraction(*share)
        }
        Some(other) => return Err(refuse(other.to_string())),
    };
    Ok(DatasetRef {
        name: wire.name,
        protocol: wire.protocol,
        rows,
        split_seed: None,
    })
}

fn seeds(seeds: Vec<u64>, source: &Source) -> Result<Vec<u64>, Diagnostic> {
    let path = KeyPath::new(["seeds"]);
    if seeds.is_empty() {
        return Err(source
            .at_value(&path, "`seeds`: expected at least one seed, found none")
            .hint("give three or more: `seeds = [1, 2, 3]`"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, seed) in seeds.iter().enumerate() {
        if !seen.insert(seed) {
            let place = path.join(index.to_string());
            return Err(source
                .at_value(&place, format!("`seeds`: the seed {seed} is given twice"))
                .hint("a seed trained twice gives the same numbers twice; leave one out"));
        }
    }
    Ok(seeds)
}

fn variants(
    mut wire: BTreeMap<String, WireVariant>,
    shared: &TrainingConfig,
    source: &Source,
) -> Result<Vec<Variant>, Diagnostic> {
    let path = KeyPath::new(["variants"]);
    if wire.is_empty() {
        return Err(source
            .at_key(
                &path,
                "`variants`: expected at least one variant, found none",
            )
            .hint("add one: `[variants.mmoe]` with `model = \"mmoe\"`"));
    }
    let mut resolved = Vec::with_capacity(wire.len());
    for name in source.variant_order() {
        if let Some(variant) = wire.remove(&name) {
            resolved.push(one_variant(&name, &variant, shared, source)?);
        }
    }
    // Whatever way a variant came in, none is left out silently.
    for (name, variant) in &wire {
        resolved.push(one_variant(name, variant, shared, source)?);
    }
    budget::check_names(&resolved, source)?;
    Ok(resolved)
}

fn one_variant(
    name: &str,
    wire: &WireVariant,
    shared: &TrainingConfig,
    source: &Source,
) -> Result<Variant, Diagnostic> {
    let path = KeyPath::new(["variants", name]);
    if !is_file_name(name) {
        return Err(source
            .at_key(&path, format!("`{name}` is no name for a variant: expected 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`, beginning with a letter or digit"))
            .hint("names of variants are used in file names"));
    }
    let model = ModelConfig::from_table(&wire.model, &wire.knobs)
        .map_err(|error| model_diagnostic(&error, &path, source))?;
    let training = training::resolve(&wire.training, shared, &path.join("training"), source)?;
    check_batch_norm(&model, &training, wire, &path, source)?;
    let budget = wire.budget.as_ref();
    Ok(Variant {
        budget: budget
            .map(|wire| budget::resolve(wire, &model, &path.join("budget"), source))
            .transpose()?,
        name: name.to_owned(),
        model,
        training,
    })
}

fn check_batch_norm(
    model: &ModelConfig,
    training: &TrainingConfig,
    wire: &WireVariant,
    variant: &KeyPath,
    source: &Source,
) -> Result<(), Diagnostic> {
    let norm = model.knobs().get("norm").and_then(toml::Value::as_str);
    if norm != Some("batch") || training.batch_size > 1 {
        return Ok(());
    }
    let path = match wire.training.batch_size {
        Some(_) => variant.join("training").join("batch_size"),
        None => KeyPath::new(["training", "batch_size"]),
    };
    let message =
        format!("`{path}`: expected at least 2 for the batch norm of `{variant}`, found 1");
    Err(source.at_value(&path, message).hint(
        "a batch of one row has no deviation to divide by; use more rows, or `norm` other than batch",
    ))
}

/// Whether a name stays itself as a part of a file name on every system.
fn is_file_name(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fit)
}

/// What is wrong with the model of the variant at the path `variant`, at its place in the spec.
pub fn model_diagnostic(error: &ModelError, variant: &KeyPath, source: &Source) -> Diagnostic {
    let (diagnostic, nearest) = match error {
        ModelError::UnknownModel { nearest, .. } => {
            let path = variant.join("model");
            (source.at_value(&path, error.to_string()), nearest.as_ref())
        }
        ModelError::UnknownKnob { knob, nearest, .. } => {
            let path = variant.join(knob);
            (source.at_key(&path, error.to_string()), nearest.as_ref())
        }
        ModelError::InvalidKnob { knob, message } => {
            let path = variant.join(knob);
            let message = format!("`{path}`: {message}");
            (source.at_value(&path, message), None)
        }
        ModelError::InvalidLayout { .. }
        | ModelError::InvalidWeights { .. }
        | ModelError::Tensor { .. } => (source.at_key(variant, error.to_string()), None),
    };
    match nearest {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
}

/// Checks that the dataset and its protocol exist and that its description makes a dataset with the tasks that
/// the training settings name, reading no data.
///
/// # Errors
/// An unknown dataset or protocol at its place in the spec, or what is wrong with the description.
pub fn check_dataset(
    experiment: &Experiment,
    source: &Source,
    places: &Places,
) -> anyhow::Result<()> {
    let dataset = &experiment.dataset;
    let known = data::known(places)?;
    if !known.contains(&dataset.name) {
        let path = KeyPath::new(["dataset", "name"]);
        let message = format!(
            "unknown dataset `{}`; expected one of: {}",
            dataset.name,
            known.join(", ")
        );
        return Err(source
            .at_value(&path, message)
            .did_you_mean(&dataset.name, known.iter().map(String::as_str))
            .into());
    }
    match data::check(dataset, places) {
        Ok((tasks, _)) => {
            let tasks: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
            Ok(check_weights(experiment, &tasks, source)?)
        }
        Err(error) if error.downcast_ref::<Diagnostic>().is_some_and(has_place) => Err(error),
        Err(error) => {
            let key = if dataset.protocol.is_some() {
                "protocol"
            } else {
                "name"
            };
            let path = KeyPath::new(["dataset", key]);
            let mut said = source.at_value(&path, format!("{error:#}"));
            if let Some(inner) = error.downcast_ref::<Diagnostic>() {
                said.message.clone_from(&inner.message);
                said.hint.clone_from(&inner.hint);
            }
            Err(said.into())
        }
    }
}

fn check_weights(
    experiment: &Experiment,
    tasks: &[&str],
    source: &Source,
) -> Result<(), Diagnostic> {
    let table = KeyPath::new(["training"]);
    training::check_tasks(&experiment.training, tasks, &table, source)?;
    for variant in &experiment.variants {
        // What a variant has from `[training]` is right by now.
        let table = KeyPath::new(["variants", &variant.name, "training"]);
        training::check_tasks(&variant.training, tasks, &table, source)?;
    }
    Ok(())
}

fn has_place(diagnostic: &Diagnostic) -> bool {
    diagnostic.location.is_some()
}

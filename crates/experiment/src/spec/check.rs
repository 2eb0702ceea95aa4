//! From wire types to a checked experiment.

use super::source::{Locator, Source};
use super::wire::{WireDataset, WireExperiment, WireTuning};
use super::{
    Base, Chosen, Experiment, Space, Tuning, Variant, attention, check_scores, expand, pretrained,
    run, scores, selection, settle, training, tuning, variants,
};
use homebench_data::exchange::RowsAs;
use homebench_data::{self as data, DatasetRef, Places, RowSubset, Task};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::{ModelConfig, ModelError};
use homebench_train::TrainingConfig;

pub(super) fn experiment(
    name: &str,
    mut wire: WireExperiment,
    source: &Source,
) -> Result<Experiment, Diagnostic> {
    check_prose(&wire, source)?;
    let shared = training::resolve(
        &wire.training,
        &TrainingConfig::default(),
        &KeyPath::new(["training"]),
        source.into(),
    )?;
    let selection = selection::resolve(wire.selection.as_ref(), source)?;
    let dataset = dataset(wire.dataset, source)?;
    let seeds = seeds(wire.seeds, &KeyPath::new(["seeds"]), source)?;
    let split_seeds = match wire.split_seeds {
        Some(seeds) => self::seeds(seeds, &KeyPath::new(["split_seeds"]), source)?,
        None => Vec::new(),
    };
    let root = KeyPath::default();
    let (grid, random) = (wire.grid.as_ref(), wire.random.as_ref());
    let sweep = Space::read(grid, random, &root, true, source)?;
    let wire_variants = std::mem::take(&mut wire.variants);
    let bases = variants::bases(wire_variants, &wire.defaults, &shared, source)?;
    // Knobs of the data make no variants: every variant is trained on each of their values.
    let mut variants = expand::variants(&bases, &sweep.of_variants(), source)?;
    let points = points(&sweep, wire.tuning.is_some(), source)?;
    // After the sweep: a budget may name one configuration, such as `home[rank=8]`.
    super::budget_goal::check_names(&variants, source)?;
    super::relations::check(&bases, &variants, source)?;
    settle::settle(&bases, &mut variants, &seeds, wire.tuning.is_some(), source)?;
    if let Some(name) = &wire.baseline {
        check_baseline(name, &variants, source)?;
    }
    let tuning = tuning(wire.tuning.as_ref(), &seeds, &bases, &mut variants, source)?;
    Ok(Experiment {
        name: name.to_owned(),
        question: wire.question,
        outcome: wire.outcome,
        dataset,
        points,
        seeds,
        split_seeds,
        baseline: wire.baseline,
        training: shared,
        selection,
        sweep,
        tuning,
        bases,
        variants,
        scoring: scores::resolve(wire.metrics.as_ref(), &wire.cohorts, source)?,
        run: run::resolve(&wire.run, source)?,
    })
}

fn check_prose(wire: &WireExperiment, source: &Source) -> Result<(), Diagnostic> {
    let question = ("question", Some(&wire.question));
    let outcome = ("outcome", wire.outcome.as_ref());
    for ((key, text), hint) in [
        (question, "say what this experiment is to find out"),
        (outcome, "leave it out until there are results to tell of"),
    ] {
        if text.is_some_and(|text| text.trim().is_empty()) {
            let message = format!("`{key}`: expected a sentence, found nothing");
            return Err(source.at_value(&KeyPath::new([key]), message).hint(hint));
        }
    }
    Ok(())
}

/// Every combination of the knobs of the data that are swept.
fn points(sweep: &Space, is_tuned: bool, source: &Source) -> Result<Vec<Vec<Chosen>>, Diagnostic> {
    let of_data = sweep.of_data();
    if let (Some(axis), true) = (of_data.first(), is_tuned) {
        let message = format!(
            "`{}`: the data can't be swept where variants are tuned",
            axis.place
        );
        return Err(source.at_key(&axis.place, message).hint(
            "tune on one value in a spec of its own, then sweep with the settings that won",
        ));
    }
    expand::combinations(&of_data, vec![Vec::new()], source)
}

/// Gives every variant its trials, where there are to be any.
fn tuning(
    wire: Option<&WireTuning>,
    seeds: &[u64],
    bases: &[Base],
    variants: &mut [Variant],
    source: &Source,
) -> Result<Option<Tuning>, Diagnostic> {
    let Some(wire) = wire else {
        variants::check_no_tuning(bases, source)?;
        return Ok(None);
    };
    let path = KeyPath::new(["tuning", "seeds"]);
    let own = self::seeds(wire.seeds.clone(), &path, source)?;
    tuning::tune(wire, own, seeds, bases, variants, source).map(Some)
}

fn check_baseline(name: &str, variants: &[Variant], source: &Source) -> Result<(), Diagnostic> {
    let names = variants.iter().map(|variant| variant.name.as_str());
    if names.clone().any(|known| known == name) {
        return Ok(());
    }
    let known: Vec<&str> = names.clone().collect();
    let message = format!(
        "`baseline`: no variant is called `{name}`; there are: {}",
        known.join(", ")
    );
    let said = source.at_value(&KeyPath::new(["baseline"]), message);
    Err(said.did_you_mean(name, names))
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
        // An epoch's order holds row numbers as u32.
        Some(toml::Value::Integer(rows)) if *rows > i64::from(u32::MAX) => {
            let message = format!("`{path}`: expected at most {} rows, found {rows}", u32::MAX);
            return Err(source
                .at_value(&path, message)
                .hint("leave the key out to use every row"));
        }
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
        knobs: wire.knobs,
    })
}

fn seeds(seeds: Vec<u64>, path: &KeyPath, source: &Source) -> Result<Vec<u64>, Diagnostic> {
    if seeds.is_empty() {
        let message = format!("`{path}`: expected at least one seed, found none");
        let said = source.at_value(path, message);
        return Err(match path.keys() {
            [only] if only == "seeds" => said.hint("give three or more: `seeds = [1, 2, 3]`"),
            _ => said.hint("give one or more, such as [1]"),
        });
    }
    // A seed twice would narrow every interval by nothing but a copy.
    let mut seen = std::collections::BTreeSet::new();
    for (index, seed) in seeds.iter().enumerate() {
        if !seen.insert(seed) {
            let place = path.join(index.to_string());
            return Err(source
                .at_value(&place, format!("`{path}`: the seed {seed} is given twice"))
                .hint("a seed trained twice gives the same numbers twice; leave one out"));
        }
    }
    Ok(seeds)
}

/// What is wrong with the model of the variant at the path `variant`, at its place in the spec.
pub fn model_diagnostic<'a>(
    error: &ModelError,
    variant: &KeyPath,
    source: impl Into<Locator<'a>>,
) -> Diagnostic {
    let source: Locator<'_> = source.into();
    match error {
        ModelError::UnknownModel { name, known } => source
            .at_value(&variant.join("model"), error.to_string())
            .did_you_mean(name, known.iter().map(String::as_str)),
        ModelError::UnknownKnob { knob, known, .. } => source
            .at_key(&variant.join(knob), error.to_string())
            .did_you_mean(knob, known.iter().map(String::as_str)),
        ModelError::InvalidKnob { knob, message } => {
            let path = variant.join(knob);
            let message = format!("`{path}`: {message}");
            source.at_value(&path, message)
        }
        ModelError::TooLarge { knob, .. } => {
            let path = match knob {
                Some(knob) => variant.join(knob),
                None => variant.join("training").join("embedding_dim"),
            };
            // What is at its default in the variant is told at the variant, or where `[training]` has it.
            let shared = KeyPath::new(["training", "embedding_dim"]);
            let place = match knob.is_none() && !source.has(&path) {
                true => shared,
                false => path.clone(),
            };
            let said = source.at_value(&place, format!("`{place}`: {error}"));
            said.hint("make it smaller")
        }
        ModelError::InvalidLayout { .. }
        | ModelError::InvalidWeights { .. }
        | ModelError::Tensor { .. } => source.at_key(variant, error.to_string()),
    }
}

/// Checks that the dataset and its protocol exist and that its description makes a dataset with the tasks and tables that
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
    for (point, dataset) in experiment.points.iter().zip(experiment.datasets()) {
        let (tasks, _) = data::check(&dataset, places)
            .map_err(|error| misdescribed(error, &dataset, point, source))?;
        let tables = data::table_names(&dataset, places)?;
        check_weights(experiment, &tasks, &tables, source)?;
        let inputs = data::described_inputs(&dataset, places)?;
        for variant in &experiment.variants {
            let name = variant.name.as_str();
            attention::check(&variant.configured, &inputs, name, variant.locator(source))?;
            for (index, trial) in variant.trials.iter().enumerate() {
                attention::check(trial, &inputs, name, variant.trial_locator(index, source))?;
            }
        }
        let vectors = data::pretrained_names(&dataset, places)?;
        pretrained::check_names(
            experiment,
            &dataset.name,
            &tables,
            vectors.as_deref(),
            source,
        )?;
        let rows = data::row_columns(&dataset, places)?;
        check_rows_as(experiment, &dataset, source, places)?;
        check_scores::check(experiment, &dataset, &tasks, rows, source, places)?;
        selection::check(experiment, &tasks, rows, source)?;
    }
    check_split_seeds(experiment, source, places)
}

/// What is wrong with the data, at its place in the spec where the spec is to blame.
fn misdescribed(
    error: anyhow::Error,
    dataset: &DatasetRef,
    point: &[Chosen],
    source: &Source,
) -> anyhow::Error {
    let inner = error.downcast_ref::<Diagnostic>();
    if let Some(said) = inner
        && let Some(knob) = data::blamed_knob(said, &dataset.knobs)
    {
        let chosen = point
            .iter()
            .find(|one| one.setting.in_dataset() == Some(knob));
        let place = chosen.map_or_else(
            || KeyPath::new(["dataset", "knobs", knob]),
            |one| one.place.clone(),
        );
        let mut at_place = source.at_value(&place, format!("`{place}`: {}", said.message));
        at_place.hint.clone_from(&said.hint);
        return at_place.into();
    }
    // The description is to blame, and says where.
    if inner.is_some_and(has_place) {
        return error;
    }
    let key = match (&dataset.protocol, dataset.knobs.is_empty()) {
        // The narrowest key that can have led here.
        (Some(_), _) => KeyPath::new(["dataset", "protocol"]),
        (None, true) => KeyPath::new(["dataset", "name"]),
        (None, false) => point.first().map_or_else(
            || KeyPath::new(["dataset", "knobs"]),
            |one| one.place.clone(),
        ),
    };
    let mut said = source.at_value(&key, format!("{error:#}"));
    if let Some(inner) = inner {
        said.message.clone_from(&inner.message);
        said.hint.clone_from(&inner.hint);
    }
    said.into()
}

/// Refuses rows as CSV with two columns of one name, of which a program that reads them by name gets one.
fn check_rows_as(
    experiment: &Experiment,
    dataset: &DatasetRef,
    source: &Source,
    places: &Places,
) -> anyhow::Result<()> {
    const ROWS_AS: &str = "rows_as";
    let is_csv = |variant: &&Variant| {
        let model = &variant.configured.model;
        let rows_as = model.knobs().get(ROWS_AS).and_then(toml::Value::as_str);
        model.is_program() && rows_as == Some(RowsAs::Csv.ending())
    };
    let Some(variant) = experiment.variants.iter().find(is_csv) else {
        return Ok(());
    };
    let Some(name) = data::csv_column_given_twice(dataset, places)? else {
        return Ok(());
    };
    let path = KeyPath::new(["variants", &variant.name, ROWS_AS]);
    let message = format!(
        "`{path}`: rows as CSV would have two columns `{name}`: a feature of that name, and what every dataset calls so"
    );
    let said = variant.locator(source).at_value(&path, message);
    Err(said
        .hint("write `rows_as = \"arrow\"`, which has features, labels, users and weights apart, or rename the feature in the description")
        .into())
}

fn check_weights(
    experiment: &Experiment,
    of_dataset: &[Task],
    tables: &[String],
    source: &Source,
) -> Result<(), Diagnostic> {
    let tasks: Vec<&str> = of_dataset.iter().map(|task| task.name.as_str()).collect();
    let tasks = tasks.as_slice();
    let table = KeyPath::new(["training"]);
    training::check_tasks(&experiment.training, of_dataset, &table, source.into())?;
    training::check_tables(&experiment.training, tables, &table, source.into())?;
    let shared = table.join("task_weights");
    for variant in &experiment.variants {
        // What a variant has from `[training]` is right by now.
        let table = KeyPath::new(["variants", &variant.name, "training"]);
        let locator = variant.locator(source);
        training::check_tasks(&variant.configured.training, of_dataset, &table, locator)?;
        training::check_tables(&variant.configured.training, tables, &table, locator)?;
        // Of variants alone: what `[training]` says may be replaced in every one of them.
        let weights = [table.join("task_weights"), shared.clone()];
        let configured = &variant.configured.training;
        training::check_weighted(configured, tasks, &weights, locator)?;
        for (index, trial) in variant.trials.iter().enumerate() {
            let locator = variant.trial_locator(index, source);
            training::check_tasks(&trial.training, of_dataset, &table, locator)?;
            training::check_tables(&trial.training, tables, &table, locator)?;
            training::check_weighted(&trial.training, tasks, &weights, locator)?;
        }
    }
    Ok(())
}

/// Refuses seeds of a split that no seed divides anew.
fn check_split_seeds(
    experiment: &Experiment,
    source: &Source,
    places: &Places,
) -> anyhow::Result<()> {
    if experiment.split_seeds.is_empty() {
        return Ok(());
    }
    match data::split_seed(&experiment.dataset, places) {
        Ok(_) => Ok(()),
        Err(error) => match error.downcast_ref::<Diagnostic>() {
            Some(inner) => {
                let path = KeyPath::new(["split_seeds"]);
                let mut said = source.at_key(&path, format!("`split_seeds`: {}", inner.message));
                said.hint.clone_from(&inner.hint);
                Err(said.into())
            }
            None => Err(error),
        },
    }
}

/// Refuses batches of one row where experts have batch norm; `place` is that of the batch size, or of what else led there.
pub(super) fn check_batch_norm(
    model: &ModelConfig,
    training: &TrainingConfig,
    place: &KeyPath,
    variant: &KeyPath,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    let norm = model.knobs().get("norm").and_then(toml::Value::as_str);
    // A knob of a program may have the same name.
    if model.is_program() || norm != Some("batch") || training.batch_size > 1 {
        return Ok(());
    }
    let what = match place.last() {
        Some("batch_size") => "at least 2",
        _ => "a `batch_size` of at least 2",
    };
    let message = format!("`{place}`: expected {what} for the batch norm of `{variant}`, found 1");
    Err(source.at_value(place, message).hint(
        "a batch of one row has no deviation to divide by; use more rows, or `norm` other than batch",
    ))
}

fn has_place(diagnostic: &Diagnostic) -> bool {
    diagnostic.location.is_some()
}

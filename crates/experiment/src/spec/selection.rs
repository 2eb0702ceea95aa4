//! `[selection]`: by what epochs and trials are selected, one rule for every variant, so that their scores are on one scale.

use super::metric_name::named_metric;
use super::source::Source;
use super::wire::WireSelection;
use super::{Configured, Experiment, Variant, check_scores};
use homebench_data::{RowColumns, Task};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_metric::Metric;
use homebench_train::{Combine, SelectionConfig};
use std::collections::BTreeMap;

const TABLE: &str = "selection";
const COMBINES: [Combine; 3] = [Combine::Mean, Combine::Worst, Combine::Product];

fn at(key: &str) -> KeyPath {
    KeyPath::new([TABLE, key])
}

/// The table, as far as it can be checked without the data.
///
/// # Errors
/// A metric or a way to combine that there is not, or that doesn't fit the other; weights that choose no task.
pub(super) fn resolve(
    wire: Option<&WireSelection>,
    source: &Source,
) -> Result<SelectionConfig, Diagnostic> {
    let Some(wire) = wire else {
        return Ok(SelectionConfig::default());
    };
    let config = SelectionConfig {
        metric: match wire.metric.as_deref() {
            None | Some(SelectionConfig::MAIN) => None,
            Some(name) => Some(metric(name, source)?),
        },
        combine: match wire.combine.as_deref() {
            None => Combine::default(),
            Some(name) => combine(name, source)?,
        },
        tasks: match &wire.tasks {
            None => BTreeMap::new(),
            Some(tasks) => weights(tasks, source)?,
        },
    };
    if config.combine == Combine::Worst {
        // They have to be of one size to say no more than which tasks take part.
        if let Some((task, weight)) = config.tasks.iter().find(|(_, weight)| **weight != 1.0) {
            let place = at("tasks").join(task);
            let message = format!(
                "`{place}`: expected 1 or 0 with `combine = \"worst\"`, found {weight}: the worst of some values has no weights"
            );
            return Err(source
                .at_value(&place, message)
                .hint("write 1.0 for each task that takes part, or `combine = \"mean\"`"));
        }
    }
    match config.metric.filter(|metric| metric.may_be_negative()) {
        Some(metric) if config.combine == Combine::Product => {
            Err(no_product(metric, "combine", source))
        }
        _ => Ok(config),
    }
}

fn metric(name: &str, source: &Source) -> Result<Metric, Diagnostic> {
    let place = at("metric");
    let able = Metric::ALL
        .iter()
        .filter(|metric| metric.why_not_selecting().is_none());
    let names: Vec<String> = [SelectionConfig::MAIN.to_owned()]
        .into_iter()
        .chain(able.map(|metric| metric.example_name()))
        .collect();
    let refuse = |message: &str| source.at_value(&place, format!("`{place}`: {message}"));
    let found =
        named_metric(name, &names).map_err(|refusal| refusal.of(refuse(&refusal.message)))?;
    let Some(why) = found.why_not_selecting() else {
        return Ok(found);
    };
    let message = format!(
        "nothing can be selected by `{name}`: {why}; expected one of: {}",
        names.join(", ")
    );
    Err(refuse(&message).did_you_mean(name, names.iter().map(String::as_str)))
}

fn combine(name: &str, source: &Source) -> Result<Combine, Diagnostic> {
    let mut all = COMBINES.iter().copied();
    all.find(|combine| combine.name() == name).ok_or_else(|| {
        let names = COMBINES.map(Combine::name);
        let place = at("combine");
        let message = format!(
            "`{place}`: expected one of `{}`, found `{name}`",
            names.join("`, `")
        );
        let said = source.at_value(&place, message);
        said.did_you_mean(name, names)
    })
}

/// The weights that are not 0.
fn weights(
    tasks: &BTreeMap<String, f64>,
    source: &Source,
) -> Result<BTreeMap<String, f64>, Diagnostic> {
    for (task, weight) in tasks {
        if !(weight.is_finite() && *weight >= 0.0) {
            let place = at("tasks").join(task);
            let message = format!("`{place}`: expected a finite number, 0 or more, found {weight}");
            return Err(source.at_value(&place, message).hint(
                "a larger weight counts for more, whichever way of the metric is better; leave the task out for none",
            ));
        }
    }
    let mut kept = tasks.clone();
    kept.retain(|_, weight| *weight > 0.0);
    if kept.is_empty() {
        let place = at("tasks");
        let message = format!(
            "`{place}`: no task has a weight above 0, so that nothing would be selected by"
        );
        return Err(source
            .at_key(&place, message)
            .hint("give one task a weight of 1.0, or leave the key out for all tasks"));
    }
    Ok(kept)
}

fn no_product(metric: Metric, key: &str, source: &Source) -> Diagnostic {
    let place = at(key);
    let message = format!(
        "`{place}`: `{}` may be negative, and two bad values then have a good product",
        metric.name()
    );
    let hint = match key {
        "combine" => {
            "write `combine = \"mean\"` or `combine = \"worst\"`, or take a metric that is never below 0"
        }
        _ => "write `combine = \"mean\"`",
    };
    source.at_value(&place, message).hint(hint)
}

/// Checks what the rule says of the tasks of the data.
///
/// # Errors
/// A task that there is not or that some variant doesn't learn, a metric that one of the tasks can't have, trials of a variant whose
/// scores are of different tasks.
pub(super) fn check(
    experiment: &Experiment,
    tasks: &[Task],
    rows: RowColumns,
    source: &Source,
) -> Result<(), Diagnostic> {
    let config = &experiment.selection;
    let place = at("tasks");
    for name in config.tasks.keys() {
        if !tasks.iter().any(|task| task.name == *name) {
            let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
            let message = format!(
                "`{place}`: the dataset has no task `{name}`; it has: {}",
                names.join(", ")
            );
            let said = source.at_key(&place.join(name), message);
            return Err(said.did_you_mean(name, names));
        }
    }
    let takes_part =
        |task: &&Task| config.tasks.is_empty() || config.tasks.contains_key(&task.name);
    let chosen: Vec<&Task> = tasks.iter().filter(takes_part).collect();
    match config.metric {
        Some(metric) => check_metric(metric, experiment, &chosen, tasks, rows, source)?,
        None => check_main(config, &chosen, source)?,
    }
    check_trained(experiment, tasks, source)
}

fn check_metric(
    metric: Metric,
    experiment: &Experiment,
    chosen: &[&Task],
    tasks: &[Task],
    rows: RowColumns,
    source: &Source,
) -> Result<(), Diagnostic> {
    let (name, place) = (metric.name(), at("metric"));
    let of_numbers = metric.is_of_numbers() == Some(true);
    // A task that no variant learns takes no part unless it is named.
    let is_learned = |task: &&&Task| {
        !experiment.selection.tasks.is_empty()
            || configurations(experiment).any(|one| is_trained(one, &task.name))
    };
    let mut learned = chosen.iter().filter(is_learned);
    if let Some(task) = learned.find(|task| task.is_regression() != of_numbers) {
        let kind = match of_numbers {
            true => "predicts classes",
            false => "predicts a number",
        };
        let message = format!("`{place}`: `{}` {kind} and has no `{name}`", task.name);
        let able = tasks
            .iter()
            .filter(|task| task.is_regression() == of_numbers);
        let able: Vec<String> = able.map(|task| format!("{} = 1.0", task.name)).collect();
        let hint = match able.is_empty() {
            true => "leave the metric out: each task then has its main one".to_owned(),
            false => format!(
                "choose the tasks that have it: `tasks = {{ {} }}`; or leave the metric out: each task then has its main one",
                able.join(", ")
            ),
        };
        return Err(source.at_value(&place, message).hint(hint));
    }
    match check_scores::lacking(metric, &experiment.scoring, &experiment.dataset, rows) {
        Some((message, hint)) => {
            let message = format!("`{place}`: {message}");
            Err(source.at_value(&place, message).hint(hint))
        }
        None => Ok(()),
    }
}

/// R² may be negative, and so may 2 AUC - 1, which stands beside it.
fn check_main(
    config: &SelectionConfig,
    chosen: &[&Task],
    source: &Source,
) -> Result<(), Diagnostic> {
    let has_numbers = chosen.iter().any(|task| task.is_regression());
    match config.combine == Combine::Product && has_numbers {
        true => Err(no_product(Metric::RSquared, "combine", source)),
        false => Ok(()),
    }
}

/// Refuses tasks that would be selected by and that some variant doesn't learn, and scores that would stand in one table of tuning and
/// are of different tasks or on different scales.
fn check_trained(
    experiment: &Experiment,
    tasks: &[Task],
    source: &Source,
) -> Result<(), Diagnostic> {
    for name in experiment.selection.tasks.keys() {
        let not = |variant: &&Variant| {
            let mut all = std::iter::once(&variant.configured).chain(&variant.trials);
            all.any(|one| !is_trained(one, name))
        };
        if let Some(variant) = experiment.variants.iter().find(not) {
            let place = at("tasks").join(name);
            let message = format!(
                "`{place}`: `{}` doesn't learn `{name}`: its `task_weights` has a weight of 0",
                variant.name
            );
            return Err(source.at_key(&place, message).hint(format!(
                "select by other tasks, or give `{name}` a weight above 0 in the loss"
            )));
        }
    }
    if !experiment.selection.tasks.is_empty() {
        return Ok(());
    }
    for variant in &experiment.variants {
        check_trials(variant, tasks, source)?;
    }
    match experiment.selection.metric {
        // One metric is on one scale.
        Some(_) => Ok(()),
        None => check_scales(experiment, tasks, source),
    }
}

/// Which tasks a configuration learns.
fn learned(configured: &Configured, tasks: &[Task]) -> Vec<bool> {
    let tasks = tasks.iter();
    tasks
        .map(|task| is_trained(configured, &task.name))
        .collect()
}

/// `[selection]` with the tasks for a hint.
fn with_tasks(tasks: &[Task]) -> String {
    let names = tasks.iter().map(|task| format!("{} = 1.0", task.name));
    let names: Vec<String> = names.collect();
    format!("`[selection]` with `tasks = {{ {} }}`", names.join(", "))
}

/// Refuses trials of one variant that are scored by different tasks.
fn check_trials(variant: &Variant, tasks: &[Task], source: &Source) -> Result<(), Diagnostic> {
    let Some(first) = variant.trials.first() else {
        return Ok(());
    };
    let first = learned(first, tasks);
    let mut trials = variant.trials.iter();
    let Some(other) = trials.position(|one| learned(one, tasks) != first) else {
        return Ok(());
    };
    let message = format!(
        "trials of `{}` learn different tasks (trial 1 and trial {}), so that their scores can't be compared",
        variant.name,
        other + 1
    );
    let path = KeyPath::new(["variants", &variant.name, "training", "task_weights"]);
    let said = variant.trial_locator(other, source).at_key(&path, message);
    Err(said.hint(format!(
        "tune weights above 0; or say what selects, of tasks that every trial learns: {}",
        with_tasks(tasks)
    )))
}

/// Refuses variants that are tuned on different scales: the mean of AUC, of R², or of both as skills.
fn check_scales(
    experiment: &Experiment,
    tasks: &[Task],
    source: &Source,
) -> Result<(), Diagnostic> {
    let scale = |variant: &Variant| {
        let has = |numbers: bool| {
            let mut own = tasks.iter().filter(|task| task.is_regression() == numbers);
            own.any(|task| is_trained(&variant.configured, &task.name))
        };
        (has(false), has(true))
    };
    let mut tuned = experiment
        .variants
        .iter()
        .filter(|one| !one.trials.is_empty());
    let Some(first) = tuned.next() else {
        return Ok(());
    };
    let Some(other) = tuned.find(|one| scale(one) != scale(first)) else {
        return Ok(());
    };
    let message = format!(
        "`{}` and `{}` learn tasks of different kinds, so that their scores in tuning are on different scales",
        first.name, other.name
    );
    let path = KeyPath::new(["variants", &other.name, "training", "task_weights"]);
    let said = other.locator(source).at_key(&path, message);
    Err(said.hint(format!(
        "say what selects, of tasks that every variant learns: {}",
        with_tasks(tasks)
    )))
}

fn configurations(experiment: &Experiment) -> impl Iterator<Item = &Configured> {
    let variants = experiment.variants.iter();
    variants.flat_map(|variant| std::iter::once(&variant.configured).chain(&variant.trials))
}

/// As training has it, in single precision.
fn is_trained(configured: &Configured, task: &str) -> bool {
    let weight = configured.training.task_weights.get(task);
    weight.is_none_or(|weight| *weight as f32 != 0.0)
}

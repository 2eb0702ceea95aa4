//! Whether a dataset's tasks and rows can be scored as `[metrics]` and `[cohorts]` ask: by its description alone, and once columns stay with
//! its rows.

use super::Experiment;
use super::source::Source;
use homebench_data::{
    self as data, CarriedSplits, DataWarning, DatasetRef, Places, RowColumns, Task, TaskKind,
};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_metric::{Metric, Needs};
use homebench_train::{Scoring, check_count};

/// Refuses what the dataset's tasks and rows can't be scored by, reading no data.
pub(super) fn check(
    experiment: &Experiment,
    dataset: &DatasetRef,
    tasks: &[Task],
    rows: RowColumns,
    source: &Source,
    places: &Places,
) -> anyhow::Result<()> {
    let scoring = &experiment.scoring;
    for metric in &scoring.metrics.extra {
        let at = place_of(*metric, source);
        check_task_kind(*metric, tasks, &at, source)?;
        if let Some((message, hint)) = lacking(*metric, scoring, dataset, rows) {
            let message = format!("`metrics.extra`: {message}");
            return Err(source.at_value(&at, message).hint(hint).into());
        }
    }
    check_group(experiment, source)?;
    if let Some(column) = &scoring.metrics.group {
        check_carried(
            column,
            &KeyPath::new(["metrics", "group"]),
            dataset,
            source,
            places,
        )?;
    }
    for (name, cohort) in &scoring.cohorts {
        let at = KeyPath::new(["cohorts", name]);
        if cohort.is_of_users() && !rows.has_user {
            let message = format!("`{at}`: the dataset `{}` has no users", dataset.name);
            let hint = "name the column of users in the description, `user = \"...\"`";
            return Err(source.at_value(&at, message).hint(hint).into());
        }
        if let Some(text) = cohort.expression() {
            check_carried(text, &at, dataset, source, places)?;
        }
    }
    Ok(())
}

/// What a metric is computed from that the rows don't have, and the fix.
pub(super) fn lacking(
    metric: Metric,
    scoring: &Scoring,
    dataset: &DatasetRef,
    rows: RowColumns,
) -> Option<(String, &'static str)> {
    let (name, dataset) = (metric.name(), &dataset.name);
    match metric.needs() {
        Needs::Groups if !rows.has_user && scoring.metrics.group.is_none() => Some((
            format!("`{name}` ranks rows within a group, and the dataset `{dataset}` has no users"),
            "say in which column: `group = \"session\"` in [metrics], or `user = \"...\"` in the description",
        )),
        Needs::Users if !rows.has_user => Some((
            format!("`{name}` is computed within users, and the dataset `{dataset}` has none"),
            "name their column in the description (`user = \"user_id\"`), or take another metric",
        )),
        Needs::Weights if !rows.has_weight => Some((
            format!("`{name}` weighs rows, and those of the dataset `{dataset}` have no weights"),
            "name the column of weights in the description, `weight = \"...\"`, or take another metric",
        )),
        _ => None,
    }
}

/// Where a metric is asked for.
fn place_of(metric: Metric, source: &Source) -> KeyPath {
    let list = KeyPath::new(["metrics", "extra"]);
    let written = source.wire().ok().and_then(|wire| wire.metrics);
    let names = written.map(|metrics| metrics.extra).unwrap_or_default();
    let place = names.iter().position(|name| name == metric.name());
    place.map_or(list.clone(), |index| list.join(index.to_string()))
}

/// Refuses a metric that no task can have.
fn check_task_kind(
    metric: Metric,
    tasks: &[Task],
    at: &KeyPath,
    source: &Source,
) -> Result<(), Diagnostic> {
    let of_numbers = metric.is_of_numbers().unwrap_or_default();
    let is_its = |task: &Task| (task.kind == TaskKind::Regression) == of_numbers;
    if tasks.iter().any(is_its) {
        return Ok(());
    }
    let (of, found, others) = match of_numbers {
        true => (
            "regressions",
            "tell two classes apart",
            "pr_auc, brier or ndcg@10",
        ),
        false => (
            "tasks of two classes",
            "predict numbers",
            "mae, rmse or spearman",
        ),
    };
    let message = format!(
        "`metrics.extra`: `{}` is of {of}, and all tasks here {found}",
        metric.name()
    );
    Err(source
        .at_value(at, message)
        .hint(format!("leave it out; these tasks can have {others}")))
}

/// Refuses a group that nothing is ranked in.
fn check_group(experiment: &Experiment, source: &Source) -> Result<(), Diagnostic> {
    let choice = &experiment.scoring.metrics;
    let mut asked = choice.extra.iter().chain(&experiment.selection.metric);
    if choice.group.is_none() || asked.any(|metric| metric.needs() == Needs::Groups) {
        return Ok(());
    }
    let at = KeyPath::new(["metrics", "group"]);
    let message = "`metrics.group`: no metric ranks rows within groups".to_owned();
    Err(source
        .at_value(&at, message)
        .hint("ask for one, such as `extra = [\"ndcg@10\"]`, or leave `group` out"))
}

/// Refuses what can't be computed from the columns of a row.
fn check_carried(
    text: &str,
    at: &KeyPath,
    dataset: &DatasetRef,
    source: &Source,
    places: &Places,
) -> anyhow::Result<()> {
    let Err(error) = data::check_carried(dataset, places, text) else {
        return Ok(());
    };
    let Some(inner) = error.downcast_ref::<Diagnostic>() else {
        return Err(error);
    };
    let mut said = source.at_value(at, format!("`{at}`: {}", inner.message));
    said.hint.clone_from(&inner.hint);
    Err(said.into())
}

/// Refuses groups and cohorts that leave nothing to score or too much to read, once columns stay with the rows; says what else a reader of
/// scores has to know.
///
/// # Errors
/// A group that no row of a scored split has, a cohort of too many values; at its place in the spec.
pub fn check_carried_rows(
    scoring: &Scoring,
    source: &Source,
    carried: &CarriedSplits,
) -> Result<Vec<DataWarning>, Diagnostic> {
    let mut warnings = Vec::new();
    let scored = |name: &str| {
        let counts = carried.counts(name).into_iter().flatten();
        ["validation", "test"].into_iter().zip(counts.skip(1))
    };
    if let Some(column) = &scoring.metrics.group {
        for (split, counts) in scored(column) {
            if counts.missing == counts.rows {
                let at = KeyPath::new(["metrics", "group"]);
                let message = format!(
                    "`{at}`: `{column}` is empty on all {} rows of the {split} split, so no row is in a group",
                    counts.rows
                );
                let said = source.at_value(&at, message);
                return Err(said.hint(
                    "name a column that has values, or leave `group` out to rank within users",
                ));
            }
            if counts.missing > 0 {
                warnings.push(DataWarning {
                    kind: "rows_without_group".to_owned(),
                    is_loud: 2 * counts.missing >= counts.rows,
                    message: format!(
                        "{} of the {} {split} rows have no `{column}`: they are in no group and in no ranking metric",
                        counts.missing, counts.rows
                    ),
                });
            }
        }
    }
    for (name, cohort) in &scoring.cohorts {
        for (_, counts) in cohort.expression().into_iter().flat_map(scored) {
            if let Err(refusal) = check_count(name, counts.values) {
                let said = source.at_value(&KeyPath::new(["cohorts", name]), refusal.message);
                return Err(match refusal.hint {
                    Some(hint) => said.hint(hint),
                    None => said,
                });
            }
        }
    }
    Ok(warnings)
}

//! A cell's parts of the tables on its experts and gates.

use homebench_results::tables::or_empty;
use homebench_train::Diagnostics;

/// Rows of `experts.csv`.
pub(super) fn experts_rows<'a>(
    key: &'a [String; 3],
    found: &'a Diagnostics,
) -> impl Iterator<Item = Vec<String>> + 'a {
    found.experts.iter().map(move |point| {
        row(
            key,
            [
                point.epoch.to_string(),
                point.step.to_string(),
                point.layer.to_string(),
                point.path.clone(),
                or_empty(point.expert),
                point.task.clone(),
                point.metric.name().to_owned(),
                or_empty(point.value),
            ],
        )
    })
}

/// Rows of `gates.csv`.
pub(super) fn gates_rows<'a>(
    key: &'a [String; 3],
    found: &'a Diagnostics,
) -> impl Iterator<Item = Vec<String>> + 'a {
    found.gates.iter().map(move |point| {
        row(
            key,
            [
                point.epoch.to_string(),
                point.step.to_string(),
                point.layer.to_string(),
                point.path.clone(),
                point.task.clone(),
                point.expert_path.clone(),
                or_empty(point.expert),
                point.metric.name().to_owned(),
                or_empty(point.value),
            ],
        )
    })
}

/// Rows of `expert_histograms.csv`.
pub(super) fn histogram_rows<'a>(
    key: &'a [String; 3],
    found: &'a Diagnostics,
) -> impl Iterator<Item = Vec<String>> + 'a {
    found.histograms.iter().map(move |bin| {
        row(
            key,
            [
                bin.epoch.to_string(),
                bin.step.to_string(),
                bin.layer.to_string(),
                bin.path.clone(),
                bin.expert.to_string(),
                or_empty(bin.low),
                or_empty(bin.high),
                bin.count.to_string(),
            ],
        )
    })
}

fn row<const N: usize>(key: &[String; 3], rest: [String; N]) -> Vec<String> {
    key.iter().cloned().chain(rest).collect()
}

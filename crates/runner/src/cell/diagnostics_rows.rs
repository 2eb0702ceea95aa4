//! A cell's parts of the tables on its experts and gates.

use super::record::Key;
use homebench_results::tables::{ExpertsRow, GatesRow, HistogramsRow};
use homebench_train::Diagnostics;

/// Rows of `experts.csv`.
pub(super) fn experts_rows<'a>(
    key: Key<'a>,
    found: &'a Diagnostics,
) -> impl Iterator<Item = ExpertsRow<'a>> {
    found.experts.iter().map(move |point| ExpertsRow {
        cell: key.cell,
        variant: key.variant,
        seed: key.seed,
        epoch: point.epoch as u64,
        step: point.step as u64,
        layer: point.layer as u64,
        path: &point.path,
        expert: point.expert.map(|expert| expert as u64),
        task: &point.task,
        metric: point.metric.name(),
        value: point.value,
    })
}

/// Rows of `gates.csv`.
pub(super) fn gates_rows<'a>(
    key: Key<'a>,
    found: &'a Diagnostics,
) -> impl Iterator<Item = GatesRow<'a>> {
    found.gates.iter().map(move |point| GatesRow {
        cell: key.cell,
        variant: key.variant,
        seed: key.seed,
        epoch: point.epoch as u64,
        step: point.step as u64,
        layer: point.layer as u64,
        path: &point.path,
        task: &point.task,
        expert_path: &point.expert_path,
        expert: point.expert.map(|expert| expert as u64),
        metric: point.metric.name(),
        value: point.value,
    })
}

/// Rows of `expert_histograms.csv`.
pub(super) fn histograms_rows<'a>(
    key: Key<'a>,
    found: &'a Diagnostics,
) -> impl Iterator<Item = HistogramsRow<'a>> {
    found.histograms.iter().map(move |bin| HistogramsRow {
        cell: key.cell,
        variant: key.variant,
        seed: key.seed,
        epoch: bin.epoch as u64,
        step: bin.step as u64,
        layer: bin.layer as u64,
        path: &bin.path,
        expert: bin.expert as u64,
        low: bin.low,
        high: bin.high,
        count: bin.count,
    })
}

//! The tables of tuning and sweeps.

use crate::analysis::{Analysis, SharedTasks};
use crate::document::{Cell as Field, Table};
use crate::format::{self, ABSENT, grouped};
use crate::statistics::{mean, standard_deviation};
use homebench_results::read::{Cell, Results, TuningRow, distinct};
use std::collections::{BTreeMap, HashMap};

/// A variant's trials by number, each with its cells.
pub(super) fn trials_of<'a>(
    results: &'a Results,
    variant: &str,
) -> BTreeMap<u64, Vec<&'a TuningRow>> {
    let mut trials: BTreeMap<u64, Vec<&TuningRow>> = BTreeMap::new();
    for trial in results
        .tuning
        .iter()
        .filter(|trial| trial.variant == variant)
    {
        trials.entry(trial.trial).or_default().push(trial);
    }
    trials
}

/// Settings of each cell, in words; knobs of the data are in the name of the data.
pub(super) fn settings_of_variants(results: &Results) -> HashMap<&str, String> {
    let mut settings: HashMap<&str, String> = HashMap::new();
    let own = results.settings.iter();
    for setting in own.filter(|setting| !setting.setting.starts_with("dataset.")) {
        let words = settings.entry(&setting.cell).or_default();
        if !words.is_empty() {
            *words += ", ";
        }
        *words += &format!("{} = {}", setting.setting, setting.value);
    }
    settings
}

/// Mean validation score of a trial; nothing if one of its cells failed.
fn score(cells: &[&TuningRow]) -> Option<f64> {
    let scores: Option<Vec<f64>> = cells.iter().map(|cell| cell.validation_score).collect();
    mean(&scores?)
}

fn number(value: Option<f64>) -> Field {
    Field::number(format::score(value), value)
}

/// Each variant's winner: its settings, and validation beside test. What its trials trained is told of those that ended whole; on rungs, a
/// trial's last cell counts the epochs of all.
pub(super) fn tuned(analysis: &Analysis, train_rows: Option<u64>) -> Table {
    let results = &analysis.results;
    let settings = settings_of_variants(results);
    let of_trial: HashMap<&str, &Cell> = results
        .trials
        .iter()
        .map(|cell| (cell.id.as_str(), cell))
        .collect();
    let mut table = Table::new(&[
        "variant",
        "trials",
        "failed",
        "epochs trained",
        "FLOPs",
        "winner",
        "its settings",
        "validation when tuned",
        "validation, fresh seeds",
        "test, mean over tasks",
    ]);
    let shared = shared_tasks(analysis);
    for variant in distinct(results.tuning.iter().map(|trial| trial.variant.as_str())) {
        let trials = trials_of(results, variant);
        let failed = trials
            .values()
            .filter(|cells| score(cells).is_none())
            .count();
        let trained = trials.values().flatten();
        let trained = trained.filter_map(|cell| of_trial.get(cell.cell.as_str()));
        let epochs: u64 = trained.clone().filter_map(|cell| cell.epochs_run).sum();
        // Those of a program are not known.
        let are_known = trained.clone().any(|cell| cell.flops_per_row.is_some());
        let train_rows = train_rows.filter(|_| are_known);
        // A step is three forward passes.
        let passes = trained.filter_map(|cell| Some(3 * cell.epochs_run? * cell.flops_per_row?));
        let flops = train_rows.map(|rows| passes.sum::<u64>() as f64 * rows as f64);
        let winner = trials
            .iter()
            .find(|(_, cells)| cells.iter().any(|cell| cell.is_selected));
        let words = winner.and_then(|(_, cells)| settings.get(cells[0].cell.as_str()));
        let finals = results.own_cells().filter(|cell| cell.variant == variant);
        let finals: Vec<f64> = finals.filter_map(|cell| cell.validation_score).collect();
        table.push(vec![
            Field::words(variant),
            Field::number(trials.len().to_string(), Some(trials.len() as f64)),
            Field::number(failed.to_string(), Some(failed as f64)),
            Field::number(grouped(epochs as f64), Some(epochs as f64)),
            Field::number(
                flops.map_or(ABSENT.to_owned(), |flops| format!("{flops:.2e}")),
                flops,
            ),
            Field::number(
                winner.map_or(ABSENT.to_owned(), |(trial, _)| trial.to_string()),
                winner.map(|(trial, _)| *trial as f64),
            ),
            Field::words(words.map_or(ABSENT, String::as_str)),
            number(winner.and_then(|(_, cells)| score(cells))),
            Field::number(
                format::mean_and_deviation(mean(&finals), standard_deviation(&finals)),
                mean(&finals),
            ),
            number(test_over_tasks(analysis, variant, &shared)),
        ]);
    }
    table
}

/// Variants whose winner has the smallest or the largest of at least three numbers that were tried of a setting, by that setting:
/// what is best may lie beyond.
pub(super) fn at_the_edge(results: &Results) -> BTreeMap<&str, Vec<&str>> {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for variant in distinct(results.tuning.iter().map(|trial| trial.variant.as_str())) {
        let trials = results
            .tuning
            .iter()
            .filter(|trial| trial.variant == variant);
        let is_selected: HashMap<&str, bool> = trials
            .map(|trial| (trial.cell.as_str(), trial.is_selected))
            .collect();
        // Numbers tried of each setting, and those of the winner.
        let mut tried: BTreeMap<&str, (Vec<f64>, Option<f64>)> = BTreeMap::new();
        for setting in &results.settings {
            let (Some(&is_winner), Ok(number)) = (
                is_selected.get(setting.cell.as_str()),
                setting.value.parse::<f64>(),
            ) else {
                continue;
            };
            let (numbers, winner) = tried.entry(&setting.setting).or_default();
            numbers.push(number);
            if is_winner {
                *winner = Some(number);
            }
        }
        for (setting, (mut numbers, winner)) in tried {
            numbers.sort_by(f64::total_cmp);
            numbers.dedup();
            let ends = [numbers.first().copied(), numbers.last().copied()];
            if numbers.len() > 2 && winner.is_some() && ends.contains(&winner) {
                edges.entry(setting).or_default().push(variant);
            }
        }
    }
    edges
}

/// The tasks that all tuned variants have.
pub(super) fn shared_tasks(analysis: &Analysis) -> SharedTasks {
    let tuned = distinct(analysis.results.tuning.iter().map(|trial| &trial.variant));
    let places = tuned
        .iter()
        .filter_map(|name| analysis.summary.variant_place(name));
    analysis.shared_tasks(&places.collect::<Vec<_>>())
}

/// Mean over these tasks of the mean test score, on the scale that they have in common.
fn test_over_tasks(analysis: &Analysis, variant: &str, shared: &SharedTasks) -> Option<f64> {
    let place = analysis.summary.variant_place(variant)?;
    let scale = analysis.scale?;
    let parts = shared.parts.iter();
    let means: Option<Vec<f64>> = parts
        .map(|&(panel, metric)| {
            let row = &analysis.main_of(panel)?.panels[panel][place];
            scale.value(metric, row.test.mean?)
        })
        .collect();
    mean(&means?)
}

/// Every trial of every variant.
pub(super) fn trials(results: &Results) -> Table {
    let settings = settings_of_variants(results);
    let mut table = Table::new(&["variant", "trial", "settings", "validation", "selected"]);
    for variant in distinct(results.tuning.iter().map(|trial| trial.variant.as_str())) {
        for (number_of_trial, cells) in trials_of(results, variant) {
            let words = settings.get(cells[0].cell.as_str());
            let is_selected = cells.iter().any(|cell| cell.is_selected);
            table.push(vec![
                Field::words(variant),
                Field::number(number_of_trial.to_string(), Some(number_of_trial as f64)),
                Field::words(words.map_or(ABSENT, String::as_str)),
                match score(&cells) {
                    None => Field::number("failed", None),
                    score => number(score),
                },
                Field::words(if is_selected { "yes" } else { "" }),
            ]);
        }
    }
    table
}

/// What a grid or random draws gave each shown variant.
pub(super) fn settings(analysis: &Analysis) -> Table {
    let settings = settings_of_variants(&analysis.results);
    let mut of_variants: HashMap<&str, Vec<&str>> = HashMap::new();
    for cell in analysis.results.own_cells() {
        if let Some(words) = settings.get(cell.id.as_str()) {
            of_variants.entry(&cell.variant).or_default().push(words);
        }
    }
    let mut table = Table::new(&["variant", "settings"]);
    for &variant in &analysis.shown {
        let name = &analysis.summary.variants[variant];
        let all = of_variants
            .get(name.as_str())
            .into_iter()
            .flatten()
            .copied();
        for words in distinct(all) {
            table.push(vec![Field::words(name), Field::words(words)]);
        }
    }
    table
}

//! Rows that chains of tasks and scenarios can't have.

use super::LOUD_SHARE;
use crate::packed::{Link, Written};
use crate::table::split_assignment::TEST;
use crate::{DataWarning, SPLITS, Task};

/// Warnings about the chains of the splits whose labels may be looked at.
pub(crate) fn of_chains(tasks: &[Task], written: &[Written; 3]) -> Vec<DataWarning> {
    let splits = SPLITS.iter().zip(written).take(TEST);
    splits
        .flat_map(|(split, written)| {
            let links = written.watched.links.iter();
            links.flat_map(|link| of_link(tasks, split, link, written.positives[link.task] as u64))
        })
        .collect()
}

fn of_link(tasks: &[Task], split: &str, link: &Link, positives: u64) -> Vec<DataWarning> {
    let (name, before) = (&tasks[link.task].name, &tasks[link.before].name);
    let mut warnings = Vec::new();
    if link.impossible > 0 {
        warnings.push(DataWarning {
            kind: "impossible_chain".to_owned(),
            is_loud: link.impossible as f64 >= LOUD_SHARE * positives as f64,
            message: format!(
                "{} of the {positives} positive labels of the task `{name}` in the {split} split are on rows where `{before}`, after which \
                 it comes, is 0: models of chains can't be right there",
                link.impossible
            ),
        });
    }
    if link.ended > 0 && link.observed_of_ended == 0 {
        warnings.push(DataWarning {
            kind: "chain_of_selected_rows".to_owned(),
            is_loud: true,
            message: format!(
                "no row of the {split} split where `{before}` is 0 observes the task `{name}`, which comes after it: models of chains learn \
                 from all rows, where its label is 0",
            ),
        });
    }
    warnings
}

/// Warnings about rows whose scenario no model has learned of.
pub(crate) fn of_scenarios(scenario: &str, written: &[Written; 3]) -> Vec<DataWarning> {
    let splits = SPLITS.iter().zip(written);
    let unknown = splits.filter(|(_, written)| written.watched.without_scenario > 0);
    unknown
        .map(|(split, written)| DataWarning {
            kind: "unknown_scenario".to_owned(),
            is_loud: true,
            message: format!(
                "{} of the {} rows of the {split} split have no scenario that training has (`{scenario}`): for models all of them are one",
                written.watched.without_scenario, written.rows
            ),
        })
        .collect()
}

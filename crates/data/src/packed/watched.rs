//! Rows that chains of tasks or scenarios can't have, counted as they are written.

use super::Widths;
use crate::{Batch, CategoricalFeature, Task};

/// What is counted, and how often it was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Watched {
    pub(crate) links: Vec<Link>,
    /// The feature of scenarios among those of ids.
    scenario: Option<usize>,
    /// Rows without a scenario that training has.
    pub(crate) without_scenario: u64,
}

/// A task that comes after another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) task: usize,
    pub(crate) before: usize,
    /// Rows on which it is 1 and the one before it 0.
    pub(crate) impossible: u64,
    /// Rows on which the one before it is 0, and of these those that observe it.
    pub(crate) ended: u64,
    pub(crate) observed_of_ended: u64,
}

impl Watched {
    /// The chains of these tasks, and the scenario of this name.
    pub(crate) fn new(
        tasks: &[Task],
        scenario: Option<&str>,
        categorical: &[CategoricalFeature],
    ) -> Self {
        let link = |(task, about): (usize, &Task)| {
            Some(Link {
                task,
                before: about.after?,
                impossible: 0,
                ended: 0,
                observed_of_ended: 0,
            })
        };
        let place = |name| categorical.iter().position(|feature| feature.name == name);
        Self {
            links: tasks.iter().enumerate().filter_map(link).collect(),
            scenario: scenario.and_then(place),
            without_scenario: 0,
        }
    }

    /// Counts these rows.
    pub(super) fn count(&mut self, rows: &Batch, widths: Widths) {
        if !self.links.is_empty() {
            for labels in rows.labels.chunks_exact(widths.labels) {
                for link in &mut self.links {
                    // A label that isn't observed is NaN, which compares as false.
                    let has_ended = labels[link.before] < 0.5;
                    let label = labels[link.task];
                    link.impossible += u64::from(has_ended && label > 0.5);
                    link.ended += u64::from(has_ended);
                    link.observed_of_ended += u64::from(has_ended && !label.is_nan());
                }
            }
        }
        if let Some(scenario) = self.scenario {
            let ids = rows.categorical.iter().skip(scenario);
            let unknown = ids.step_by(widths.categorical).filter(|id| **id == 0);
            self.without_scenario += unknown.count() as u64;
        }
    }
}

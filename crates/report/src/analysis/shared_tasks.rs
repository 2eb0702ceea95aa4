//! Which tasks means over tasks are over where a variant has no test score on one of them: a task of weight 0 in its loss, or one that
//! an external table has no rows of.
//!
//! A mean over fewer tasks is another quantity: it is higher where the task that is left out is hard. So a difference is over the tasks
//! that both sides have, and means that stand beside each other are over the tasks that all of them have.

use super::Analysis;
use super::summary::{Run, Sample, Split};
use homebench_metric::Metric;
use homebench_results::read::distinct;
use std::collections::{BTreeMap, BTreeSet};

/// A panel that takes part in a mean over tasks, with its main metric.
pub(crate) type Part = (usize, Metric);

/// One task is no mean over tasks, unless there is one alone.
const FEWEST_TASKS: usize = 2;

/// What means that stand beside each other are over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SharedTasks {
    pub(crate) parts: Vec<Part>,
    /// The tasks that are left out, since a variant lacks them.
    pub(crate) tasks_left_out: Vec<String>,
    /// The variants that still lack a task; of them there is no mean.
    pub(crate) variants_left_out: Vec<usize>,
}

/// The tasks that a difference of means is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct TasksOfBoth {
    /// So many have both; 0 where they are too few for a mean.
    pub(crate) num_tasks: usize,
    /// The panels that one of the two lacks.
    pub(crate) left_out: Vec<usize>,
}

/// Two variants' means by run, over the same tasks.
#[derive(Default)]
pub(crate) struct PairOfMeans<K = Run> {
    pub(crate) ours: BTreeMap<K, f64>,
    pub(crate) theirs: BTreeMap<K, f64>,
    pub(crate) both: TasksOfBoth,
}

impl Analysis {
    pub(super) fn sample_of(&self, variant: usize, (panel, metric): Part) -> &Sample {
        self.summary.sample(Split::Test, variant, panel, metric)
    }

    /// Whether a run of the variant has a defined test score on it.
    fn has_value(&self, variant: usize, part: Part) -> bool {
        let mut values = self.sample_of(variant, part).values();
        values.any(Option::is_some)
    }

    /// The datasets on which the variant has scores: of others it lacks nothing.
    pub(super) fn datasets_of(&self, variant: usize) -> BTreeSet<&str> {
        let parts = self.parts_of_mean().into_iter();
        let scored = parts.filter(|part| !self.sample_of(variant, *part).is_empty());
        scored.map(|part| self.dataset_of(part)).collect()
    }

    pub(super) fn dataset_of(&self, (panel, _): Part) -> &str {
        &self.summary.panels[panel].dataset
    }

    fn has_any_value(&self, variant: usize) -> bool {
        let mut parts = self.parts_of_mean().into_iter();
        parts.any(|part| self.has_value(variant, part))
    }

    /// The parts that the variant lacks, of the data on which it ran; nothing of one without any score, of which there is no mean.
    fn lacked(&self, variant: usize) -> Vec<Part> {
        if !self.has_any_value(variant) {
            return Vec::new();
        }
        let datasets = self.datasets_of(variant);
        let lacks = |part: &Part| {
            !self.has_value(variant, *part) && datasets.contains(self.dataset_of(*part))
        };
        self.parts_of_mean().into_iter().filter(lacks).collect()
    }

    /// The tasks that one variant has, for a mean that stands beside no other.
    pub(crate) fn own_tasks(&self, variant: usize) -> SharedTasks {
        let lacked = self.lacked(variant);
        let parts = self.parts_of_mean().into_iter();
        SharedTasks {
            parts: parts.filter(|part| !lacked.contains(part)).collect(),
            ..SharedTasks::default()
        }
    }

    /// The tasks that all these variants have; where these are too few, those that most variants have. By name: a task that a variant
    /// lacks on one dataset is left out of all, or a line over datasets would be over other tasks at each.
    pub(crate) fn shared_tasks(&self, variants: &[usize]) -> SharedTasks {
        let parts = self.parts_of_mean();
        let task = |part: &Part| self.summary.panels[part.0].task.as_str();
        let lacked: Vec<(usize, BTreeSet<&str>)> = variants
            .iter()
            .map(|variant| (*variant, self.lacked(*variant).iter().map(task).collect()))
            .collect();
        let without = |names: &BTreeSet<&str>| -> SharedTasks {
            let is_kept = |part: &Part| !names.contains(task(part));
            let left_out = parts.iter().filter(|part| !is_kept(part)).map(task);
            let lacks = |of: &BTreeSet<&str>| !of.is_subset(names);
            let variants_left_out = lacked.iter().filter(|(_, of)| lacks(of));
            SharedTasks {
                tasks_left_out: distinct(left_out.map(str::to_owned)),
                parts: parts.iter().copied().filter(is_kept).collect(),
                variants_left_out: variants_left_out.map(|(variant, _)| *variant).collect(),
            }
        };
        let is_enough = |found: &SharedTasks| found.parts.len() >= FEWEST_TASKS.min(parts.len());
        let all = lacked.iter().flat_map(|(_, names)| names.iter().copied());
        let of_all = without(&all.collect());
        if is_enough(&of_all) {
            return of_all;
        }
        let size = |found: &SharedTasks| {
            let num_variants = variants.len() - found.variants_left_out.len();
            (num_variants, found.parts.len())
        };
        let found = lacked.iter().map(|(_, names)| without(names));
        let most = found.filter(is_enough).max_by_key(size);
        // Without two tasks that a variant has there is nothing to be shown of any.
        most.unwrap_or_else(|| SharedTasks {
            variants_left_out: variants.to_vec(),
            ..without(&BTreeSet::new())
        })
    }

    /// The means of a variant and of another one over the tasks that both have; empty where these are too few.
    pub(crate) fn pair_over_tasks(&self, variant: usize, other: usize) -> PairOfMeans {
        let sides = [variant, other];
        if !sides.iter().all(|side| self.has_any_value(*side)) {
            return PairOfMeans::default();
        }
        let parts = self.parts_of_mean();
        let kept: Vec<Part> = parts
            .iter()
            .copied()
            .filter(|part| sides.iter().all(|side| self.has_value(*side, *part)))
            .collect();
        let left_out: BTreeSet<usize> = sides
            .iter()
            .flat_map(|side| self.lacked(*side))
            .map(|(panel, _)| panel)
            .collect();
        let is_enough = left_out.is_empty() || kept.len() >= FEWEST_TASKS;
        let means = |side: usize| match is_enough {
            true => self.mean_of(side, &kept),
            false => BTreeMap::new(),
        };
        PairOfMeans {
            ours: means(variant),
            theirs: means(other),
            both: TasksOfBoth {
                num_tasks: if is_enough { kept.len() } else { 0 },
                left_out: left_out.into_iter().collect(),
            },
        }
    }
}

#[cfg(test)]
#[path = "shared_tasks_tests.rs"]
mod tests;

//! The mean over tasks: a variant's test scores as one number a run, and its difference to the baseline's at the same seed. Which tasks
//! several means are over is decided in `shared_tasks`.

use super::Analysis;
use super::comparison::Spread;
use super::shared_tasks::{PairOfMeans, Part, SharedTasks, TasksOfBoth};
use super::summary::{Panel, Run, Sample};
use crate::statistics::{Evidence, Judgement, PairedDifference, judge, mean, paired_difference};
use homebench_metric::Metric;
use std::collections::BTreeMap;

/// What scores of several tasks are averaged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// The main metric of every task.
    Metric(Metric),
    /// 2 AUC - 1 of tasks that have classes and R² of those that have numbers, as selection averages them.
    Skill,
}

impl Scale {
    /// As selection does it: of the tasks that have an AUC or an R², or, where none has, on the main metric that all tasks share.
    /// Nothing where they share none.
    pub(super) fn of(main: &[Metric]) -> Option<Self> {
        let (skilled, others): (Vec<Metric>, Vec<Metric>) =
            main.iter().partition(|metric| metric.skill(0.0).is_some());
        let shared = |metrics: &[Metric]| {
            let first = *metrics.first()?;
            let is_shared = metrics.iter().all(|metric| *metric == first);
            is_shared.then_some(Self::Metric(first))
        };
        match skilled.is_empty() {
            true => shared(&others),
            false => shared(&skilled).or(Some(Self::Skill)),
        }
    }

    /// What readers call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.title(),
            Self::Skill => "2 AUC - 1 and R²",
        }
    }

    /// Its title and unit.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Metric(metric) => metric.label(),
            Self::Skill => self.title().to_owned(),
        }
    }

    /// Whether higher is better; nothing where neither way is.
    pub(crate) fn higher_is_better(self) -> Option<bool> {
        match self {
            Self::Metric(metric) => metric.higher_is_better(),
            Self::Skill => Some(true),
        }
    }

    /// A score of a task's main metric on this scale.
    pub(crate) fn value(self, metric: Metric, value: f64) -> Option<f64> {
        match self {
            Self::Metric(own) => (own == metric).then_some(value),
            Self::Skill => metric.skill(value),
        }
    }
}

impl Analysis {
    /// A variant's test values by run, a mean over the shared tasks each; runs that lack a task are left out. Nothing where tasks
    /// have no scale in common.
    pub(crate) fn over_tasks(&self, variant: usize, shared: &SharedTasks) -> BTreeMap<Run, f64> {
        self.over_panels(variant, shared, |_| true)
    }

    /// As [`Self::over_tasks`], over the panels that are wanted.
    pub(crate) fn over_panels(
        &self,
        variant: usize,
        shared: &SharedTasks,
        is_wanted: impl Fn(&Panel) -> bool,
    ) -> BTreeMap<Run, f64> {
        if shared.variants_left_out.contains(&variant) {
            return BTreeMap::new();
        }
        let datasets = self.datasets_of(variant);
        let wanted: Vec<Part> = shared
            .parts
            .iter()
            .copied()
            .filter(|(panel, _)| is_wanted(&self.summary.panels[*panel]))
            .filter(|part| datasets.contains(self.dataset_of(*part)))
            .collect();
        self.mean_of(variant, &wanted)
    }

    /// A variant's mean over these parts, by run.
    pub(super) fn mean_of(&self, variant: usize, parts: &[Part]) -> BTreeMap<Run, f64> {
        let samples: Vec<(Metric, &Sample)> = parts
            .iter()
            .map(|part| (part.1, self.sample_of(variant, *part)))
            .collect();
        let (Some(scale), Some((_, first))) = (self.scale, samples.first()) else {
            return BTreeMap::new();
        };
        let value = |run: &Run| {
            let samples = samples.iter();
            let values: Option<Vec<f64>> = samples
                .map(|(metric, sample)| scale.value(*metric, sample.get(run).copied()??))
                .collect();
            Some((*run, mean(&values?)?))
        };
        first.keys().filter_map(value).collect()
    }

    /// The panels that take part in a mean over tasks, with their main metrics: those whose main metric is on the common scale.
    pub(crate) fn parts_of_mean(&self) -> Vec<Part> {
        let panels = 0..self.summary.panels.len();
        let with_metric = panels.filter_map(|panel| Some((panel, self.main_metric(panel)?)));
        let is_part = |(_, metric): &(usize, Metric)| {
            let scale = self.scale;
            scale.is_some_and(|scale| scale.value(*metric, 0.0).is_some())
        };
        with_metric.filter(is_part).collect()
    }
}

/// Every variant's mean over tasks.
pub(crate) struct TaskMeans {
    pub(crate) scale: Scale,
    /// What the variants' own means are over.
    pub(crate) shared: SharedTasks,
    /// One per variant.
    pub(crate) rows: Vec<TaskMean>,
}

/// A variant's mean over tasks, over runs that have a score on every task.
pub(crate) struct TaskMean {
    pub(crate) score: Spread,
    /// Its difference to the baseline over the tasks that both have, run by run; nothing for the baseline.
    pub(crate) difference: Option<PairedDifference>,
    /// Those tasks.
    pub(crate) both: TasksOfBoth,
    /// What is said of it, corrected over variants.
    pub(crate) judgement: Option<Judgement>,
}

impl TaskMeans {
    /// Nothing with fewer than two tasks or variants, where tasks have no scale in common, or with several datasets, whose tasks are
    /// not the same questions.
    pub(super) fn of(analysis: &Analysis) -> Option<Self> {
        let summary = &analysis.summary;
        let scale = analysis.scale?;
        let first = &summary.panels.first()?.dataset;
        // The same task of two datasets is no second task: a sweep of the data would count each task several times.
        let is_one_dataset = summary.panels.iter().all(|panel| panel.dataset == *first);
        let num_parts = analysis.parts_of_mean().len();
        if num_parts < 2 || summary.variants.len() < 2 || !is_one_dataset {
            return None;
        }
        let variants: Vec<usize> = (0..summary.variants.len()).collect();
        let shared = analysis.shared_tasks(&variants);
        let mut rows: Vec<TaskMean> = variants
            .iter()
            .map(|variant| {
                let own = analysis.over_tasks(*variant, &shared);
                let pair = match *variant == analysis.baseline {
                    true => PairOfMeans::default(),
                    false => analysis.pair_over_tasks(*variant, analysis.baseline),
                };
                row(&own, pair)
            })
            .collect();
        // One family: every variant against the baseline.
        let higher = scale.higher_is_better();
        let evidence = |row: &TaskMean| {
            let difference = row.difference.as_ref()?;
            let sign = |higher| if higher { 1.0 } else { -1.0 };
            let advantage = higher.map(|higher| sign(higher) * difference.mean);
            Some(Evidence::of(difference, advantage))
        };
        let family: Vec<Option<Evidence>> = rows.iter().map(evidence).collect();
        for (row, judgement) in rows.iter_mut().zip(judge(&family)) {
            row.judgement = judgement;
        }
        Some(Self {
            scale,
            shared,
            rows,
        })
    }

    /// Whether a difference is over fewer tasks than there are.
    pub(crate) fn lacks_a_task(&self) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| !row.both.left_out.is_empty())
    }
}

fn row<K: Ord>(own: &BTreeMap<K, f64>, pair: PairOfMeans<K>) -> TaskMean {
    let values: Vec<f64> = own.values().copied().collect();
    let pairs: Vec<(f64, f64)> = pair
        .ours
        .iter()
        .filter_map(|(run, value)| Some((*value, *pair.theirs.get(run)?)))
        .collect();
    TaskMean {
        score: Spread::of(&values),
        difference: paired_difference(&pairs),
        both: pair.both,
        judgement: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{PairOfMeans, TasksOfBoth, row};
    use std::collections::BTreeMap;

    #[test]
    fn differences_are_paired_by_run_and_tested_against_zero() {
        let theirs = BTreeMap::from([(1, 0.70), (2, 0.71), (3, 0.72)]);
        let ours = BTreeMap::from([(1, 0.72), (2, 0.72), (3, 0.75), (4, 0.90)]);
        let pair = PairOfMeans {
            ours: ours.clone(),
            theirs: theirs.clone(),
            both: TasksOfBoth::default(),
        };
        let found = row(&ours, pair);
        let other = found.difference.unwrap();
        // scipy.stats.ttest_rel([.72, .72, .75], [.70, .71, .72])
        assert!((other.mean - 0.02).abs() < 1e-12);
        assert!((other.p_value.unwrap() - 0.074_179_900_227_448_5).abs() < 1e-9);
        let interval = other.interval.unwrap();
        assert!((interval.low + 0.004_841_377_117_503_176).abs() < 1e-9);
        assert!((found.score.mean.unwrap() - 0.7725).abs() < 1e-12);
        let alone = row(&theirs, PairOfMeans::default());
        assert_eq!(alone.difference, None);
    }
}

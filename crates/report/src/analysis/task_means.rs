//! The mean over tasks: a variant's test scores as one number a run, and its difference to the baseline's at the same seed.

use super::Analysis;
use super::comparison::Spread;
use super::summary::{Panel, Run, Sample, Split};
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
    /// A variant's test values by run, a mean over the tasks of a panel each; runs that lack a task are left out. Nothing where tasks
    /// have no scale in common.
    pub(crate) fn over_tasks(&self, variant: usize) -> BTreeMap<Run, f64> {
        self.over_panels(variant, |_| true)
    }

    /// As [`Self::over_tasks`], over the panels that are wanted.
    pub(crate) fn over_panels(
        &self,
        variant: usize,
        is_wanted: impl Fn(&Panel) -> bool,
    ) -> BTreeMap<Run, f64> {
        let parts = self.parts_of_mean().into_iter();
        // A panel of another dataset, on which the variant never ran, has no sample of it.
        let samples: Vec<(Metric, &Sample)> = parts
            .filter(|(panel, _)| is_wanted(&self.summary.panels[*panel]))
            .map(|(panel, metric)| {
                let sample = self.summary.sample(Split::Test, variant, panel, metric);
                (metric, sample)
            })
            .filter(|(_, sample)| !sample.is_empty())
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
    pub(crate) fn parts_of_mean(&self) -> Vec<(usize, Metric)> {
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
    /// One per variant.
    pub(crate) rows: Vec<TaskMean>,
}

/// A variant's mean over tasks, over runs that have a score on every task.
pub(crate) struct TaskMean {
    pub(crate) score: Spread,
    /// Its difference to the baseline, run by run; nothing for the baseline.
    pub(crate) difference: Option<PairedDifference>,
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
        let scores = (0..summary.variants.len())
            .map(|variant| analysis.over_tasks(variant))
            .collect::<Vec<_>>();
        let mut rows: Vec<TaskMean> = (0..scores.len())
            .map(|variant| row(&scores, variant, analysis.baseline))
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
        Some(Self { scale, rows })
    }
}

fn row<K: Ord>(scores: &[BTreeMap<K, f64>], variant: usize, baseline: usize) -> TaskMean {
    let values: Vec<f64> = scores[variant].values().copied().collect();
    let pairs: Vec<(f64, f64)> = scores[variant]
        .iter()
        .filter(|_| variant != baseline)
        .filter_map(|(run, value)| Some((*value, *scores[baseline].get(run)?)))
        .collect();
    TaskMean {
        score: Spread::of(&values),
        difference: paired_difference(&pairs),
        judgement: None,
    }
}

#[cfg(test)]
mod tests {
    use super::row;
    use std::collections::BTreeMap;

    #[test]
    fn differences_are_paired_by_run_and_tested_against_zero() {
        let scores = [
            BTreeMap::from([(1, 0.70), (2, 0.71), (3, 0.72)]),
            BTreeMap::from([(1, 0.72), (2, 0.72), (3, 0.75), (4, 0.90)]),
        ];
        let found = row(&scores, 1, 0);
        let other = found.difference.unwrap();
        // scipy.stats.ttest_rel([.72, .72, .75], [.70, .71, .72])
        assert!((other.mean - 0.02).abs() < 1e-12);
        assert!((other.p_value.unwrap() - 0.074_179_900_227_448_5).abs() < 1e-9);
        let interval = other.interval.unwrap();
        assert!((interval.low + 0.004_841_377_117_503_176).abs() < 1e-9);
        assert!((found.score.mean.unwrap() - 0.7725).abs() < 1e-12);
        assert_eq!(row(&scores, 0, 0).difference, None);
    }
}

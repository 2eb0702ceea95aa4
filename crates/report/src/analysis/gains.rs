//! Every variant over all tasks together: multi-task gain, and probability of improvement.

use super::comparison::Spread;
use super::summary::{Run, Sample, Split};
use super::{Analysis, baseline};
use crate::statistics::{
    Evidence, Improvement, Interval, Judgement, improvement, judge, multi_task_gain,
    student_interval, student_p_value,
};
use homebench_metric::Metric;
use rayon::prelude::*;

/// Every variant over all tasks together, on their main metrics.
#[derive(Default)]
pub(crate) struct Gains {
    /// The single-task variant, where there is one: without it there is no gain.
    pub(crate) single_task: Option<usize>,
    /// One per variant.
    pub(crate) rows: Vec<Gain>,
}

/// A variant over all tasks together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Gain {
    /// Runs in which the variant and single-task have a value on every task.
    pub(crate) num_runs: usize,
    /// Multi-task gain over those runs.
    pub(crate) gain: Option<Spread>,
    /// Student's interval of the mean gain.
    pub(crate) interval: Option<Interval>,
    /// Of the t-test that the gain is zero.
    pub(crate) p_value: Option<f64>,
    /// What is said of it, corrected over variants.
    pub(crate) judgement: Option<Judgement>,
    /// Mean over tasks of the probability of improvement on the baseline; nothing for the baseline.
    pub(crate) improvement: Option<Improvement>,
}

impl Gain {
    fn evidence(&self) -> Option<Evidence> {
        let gain = self.gain?;
        Some(Evidence {
            num_runs: self.num_runs,
            p_value: self.p_value,
            advantage: gain.mean,
            is_identical: gain.mean == Some(0.0)
                && gain.deviation.is_none_or(|spread| spread == 0.0),
        })
    }
}

/// A variant's runs on every panel's main metric, each task's values in the order of the runs.
struct TaskValues {
    runs: Vec<Run>,
    /// [panels with a main metric][runs]
    values: Vec<Vec<f64>>,
}

/// The metric that gains on a main metric are taken of, where the folder has it.
fn gain_metric(analysis: &Analysis, main: usize) -> Metric {
    let main = analysis.comparisons[main].metric;
    let wanted = main.of_gains();
    match analysis.summary.metrics.contains(&wanted) {
        true => wanted,
        false => main,
    }
}

/// Values of a variant at the runs that have one on every task.
fn task_values(analysis: &Analysis, variant: usize) -> TaskValues {
    let panels: Vec<(usize, usize)> = analysis
        .main
        .iter()
        .enumerate()
        .filter_map(|(panel, main)| Some((panel, (*main)?)))
        .collect();
    let samples: Vec<&Sample> = panels
        .iter()
        .map(|&(panel, main)| {
            let metric = gain_metric(analysis, main);
            analysis.summary.sample(Split::Test, variant, panel, metric)
        })
        .collect();
    // A mean over tasks of a run that lacks one would be of other tasks than those it is compared with.
    let is_whole = |run: &Run| {
        samples
            .iter()
            .all(|sample| sample.get(run).is_some_and(Option::is_some))
    };
    let first = samples
        .first()
        .map(|sample| sample.keys().copied().collect::<Vec<_>>());
    let runs: Vec<Run> = first
        .unwrap_or_default()
        .into_iter()
        .filter(is_whole)
        .collect();
    let values = samples
        .iter()
        .map(|sample| runs.iter().filter_map(|run| sample[run]).collect())
        .collect();
    TaskValues { runs, values }
}

pub(super) fn gains(analysis: &Analysis) -> Gains {
    let directions: Vec<bool> = analysis
        .main
        .iter()
        .flatten()
        .filter_map(|&place| gain_metric(analysis, place).higher_is_better())
        .collect();
    let single_task = baseline::single_task(&analysis.results, &analysis.summary);
    // Collected in the order of variants, so that the number of threads changes nothing.
    let all: Vec<TaskValues> = (0..analysis.summary.variants.len())
        .into_par_iter()
        .map(|variant| task_values(analysis, variant))
        .collect();
    let row = |variant: usize| {
        let mut gain = single_task
            .filter(|single_task| *single_task != variant)
            .map_or(Gain::default(), |single_task| {
                gain_of(&all[variant], &all[single_task], &directions)
            });
        if variant != analysis.baseline {
            let (ours, theirs) = (&all[variant].values, &all[analysis.baseline].values);
            let tasks = ours.iter().zip(theirs).zip(&directions);
            let tasks: Vec<_> = tasks
                .map(|((a, b), higher)| (a.clone(), b.clone(), *higher))
                .collect();
            gain.improvement = improvement(&tasks);
        }
        gain
    };
    let mut rows: Vec<Gain> = (0..all.len()).into_par_iter().map(row).collect();
    // One family: every variant against single-task.
    let family: Vec<Option<Evidence>> = rows.iter().map(Gain::evidence).collect();
    for (row, judgement) in rows.iter_mut().zip(judge(&family)) {
        row.judgement = judgement;
    }
    Gains { single_task, rows }
}

fn gain_of(ours: &TaskValues, single_task: &TaskValues, directions: &[bool]) -> Gain {
    let gains: Vec<f64> = ours
        .runs
        .iter()
        .enumerate()
        .filter_map(|(place, run)| {
            let other = single_task.runs.iter().position(|other| other == run)?;
            let tasks = directions.iter().enumerate();
            let tasks = tasks.map(|(task, higher)| {
                (
                    ours.values[task][place],
                    single_task.values[task][other],
                    *higher,
                )
            });
            multi_task_gain(&tasks.collect::<Vec<_>>())
        })
        .collect();
    Gain {
        num_runs: gains.len(),
        gain: (!gains.is_empty()).then(|| Spread::of(&gains)),
        interval: student_interval(&gains),
        p_value: student_p_value(&gains),
        ..Gain::default()
    }
}

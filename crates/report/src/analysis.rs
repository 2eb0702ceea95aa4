//! Everything that a report and its tables say, computed once.

use super::comparison::{Comparison, Spread};
use super::metric_name::MetricName;
use super::statistics::{
    Improvement, Interval, holm, improvement, multi_task_gain, student_interval, student_p_value,
};
use super::task_means::TaskMeans;
use homebench_diagnostic::Diagnostic;
use homebench_results::read::{Results, Run, Summary};
use rayon::prelude::*;

/// The model that gains are measured against.
const SINGLE_TASK: &str = "single_task";
/// Tables of a report show so many variants; the files in `tables/` have all.
const MOST_SHOWN: usize = 60;

/// A folder's numbers, compared.
pub(super) struct Analysis<'a> {
    pub(super) results: &'a Results,
    pub(super) summary: &'a Summary,
    /// The variant that differences are taken to.
    pub(super) baseline: usize,
    /// Every metric over every panel, in the order of `metrics.csv`.
    pub(super) comparisons: Vec<Comparison<'a>>,
    /// Each panel's main metric, an index into the comparisons; nothing without a test value of which a way is better.
    pub(super) main: Vec<Option<usize>>,
    /// Over all tasks.
    pub(super) gains: Gains,
    /// Means over tasks, where they have one main metric.
    pub(super) task_means: Option<TaskMeans<'a>>,
    /// The variants that tables of a report show.
    pub(super) shown: Vec<usize>,
}

/// Every variant over all tasks together, on their main metrics.
#[derive(Default)]
pub(super) struct Gains {
    /// The single-task variant, where there is one: without it there is no gain.
    pub(super) single_task: Option<usize>,
    /// One per variant.
    pub(super) rows: Vec<Gain>,
}

/// A variant over all tasks together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Gain {
    /// Runs in which the variant and single-task have a value on every task.
    pub(super) num_runs: usize,
    /// Multi-task gain over those runs.
    pub(super) gain: Option<Spread>,
    /// Student's interval of the mean gain.
    pub(super) interval: Option<Interval>,
    /// Of the t-test that the gain is zero.
    pub(super) p_value: Option<f64>,
    /// The same after Holm's correction over variants.
    pub(super) corrected_p_value: Option<f64>,
    /// Mean over tasks of the probability of improvement on the baseline; nothing for the baseline.
    pub(super) improvement: Option<Improvement>,
}

impl<'a> Analysis<'a> {
    /// Compares everything with the variant of this name; without one, with the spec's baseline, single-task or the first variant.
    ///
    /// # Errors
    /// No such variant.
    pub(super) fn new(
        results: &'a Results,
        summary: &'a Summary,
        baseline: Option<&str>,
    ) -> Result<Self, Diagnostic> {
        let baseline = choose_baseline(results, summary, baseline)?;
        let compare = |metric: &'a String| Comparison::new(summary, metric, baseline);
        let comparisons: Vec<Comparison> = summary.metrics.iter().map(compare).collect();
        let main = main_metrics(summary, &comparisons);
        let mut analysis = Self {
            results,
            summary,
            baseline,
            comparisons,
            main,
            gains: Gains::default(),
            task_means: None,
            shown: Vec::new(),
        };
        analysis.gains = gains(&analysis);
        analysis.task_means = TaskMeans::of(&analysis);
        analysis.shown = shown(&analysis);
        Ok(analysis)
    }

    /// A panel's main metric, compared.
    pub(super) fn main_of(&self, panel: usize) -> Option<&Comparison<'a>> {
        self.main[panel].map(|place| &self.comparisons[place])
    }

    /// The main metrics of all panels, each once, in the order of `metrics.csv`.
    pub(super) fn main_metrics(&self) -> Vec<usize> {
        (0..self.comparisons.len())
            .filter(|place| self.main.contains(&Some(*place)))
            .collect()
    }

    /// The baseline's name.
    pub(super) fn baseline_name(&self) -> &'a str {
        &self.summary.variants[self.baseline]
    }
}

fn choose_baseline(
    results: &Results,
    summary: &Summary,
    wanted: Option<&str>,
) -> Result<usize, Diagnostic> {
    let Some(name) = wanted else {
        let named = summary.named_baseline(results);
        let single_task = || single_task(results, summary);
        return Ok(named.or_else(single_task).unwrap_or(0));
    };
    let names = summary.variants.iter().map(String::as_str);
    names
        .clone()
        .position(|variant| variant == name)
        .ok_or_else(|| {
            let known: Vec<&str> = names.clone().collect();
            let message = format!("no variant of this folder; it has {}", known.join(", "));
            Diagnostic::new(format!("--baseline {name}"), message).did_you_mean(name, names)
        })
}

fn single_task(results: &Results, summary: &Summary) -> Option<usize> {
    let cell = results
        .cells
        .iter()
        .find(|cell| cell.model == SINGLE_TASK)?;
    summary
        .variants
        .iter()
        .position(|variant| *variant == cell.variant)
}

/// Each panel's first metric that judges and has a test value.
fn main_metrics(summary: &Summary, comparisons: &[Comparison]) -> Vec<Option<usize>> {
    let main = |panel: usize| {
        comparisons.iter().position(|comparison| {
            comparison.metric.judges()
                && comparison.panels[panel]
                    .iter()
                    .any(|row| row.test.mean.is_some())
        })
    };
    (0..summary.panels.len()).map(main).collect()
}

/// A variant's runs on every panel's main metric, each task's values in the order of the runs.
struct TaskValues {
    runs: Vec<Run>,
    /// [panels with a main metric][runs]
    values: Vec<Vec<f64>>,
}

/// The metric that gains on a main metric are taken of, where the folder has it.
fn gain_metric<'a>(analysis: &Analysis<'a>, main: usize) -> MetricName<'a> {
    let main = analysis.comparisons[main].metric;
    let wanted = MetricName::of(main.of_gains());
    let is_there = |metric: &String| metric == wanted.name();
    match analysis.summary.metrics.iter().any(is_there) {
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
    let samples: Vec<_> = panels
        .iter()
        .map(|&(panel, main)| {
            let metric = gain_metric(analysis, main);
            analysis
                .summary
                .sample("test", variant, panel, metric.name())
        })
        .collect();
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

fn gains(analysis: &Analysis) -> Gains {
    let directions: Vec<bool> = analysis
        .main
        .iter()
        .flatten()
        .filter_map(|&place| gain_metric(analysis, place).higher_is_better())
        .collect();
    let single_task = single_task(analysis.results, analysis.summary);
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
    let p_values: Vec<f64> = rows.iter().filter_map(|row| row.p_value).collect();
    let mut corrected = holm(&p_values).into_iter();
    for row in &mut rows {
        row.corrected_p_value = row.p_value.and_then(|_| corrected.next());
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

/// All variants, or, of too many, the baseline and the best on validation by their mean rank over tasks.
fn shown(analysis: &Analysis) -> Vec<usize> {
    let num_variants = analysis.summary.variants.len();
    if num_variants <= MOST_SHOWN {
        return (0..num_variants).collect();
    }
    let mut ranks = vec![0.0; num_variants];
    for (panel, main) in analysis.main.iter().enumerate() {
        let Some(comparison) = main.map(|place| &analysis.comparisons[place]) else {
            continue;
        };
        let value = |variant: usize| {
            let mean = comparison.panels[panel][variant].validation.mean;
            mean.and_then(|mean| comparison.metric.advantage(mean, 0.0))
                .unwrap_or(f64::NEG_INFINITY)
        };
        let mut order: Vec<usize> = (0..num_variants).collect();
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
        for (rank, variant) in order.into_iter().enumerate() {
            ranks[variant] += rank as f64;
        }
    }
    let mut order: Vec<usize> = (0..num_variants)
        .filter(|&variant| variant != analysis.baseline)
        .collect();
    order.sort_by(|&a, &b| ranks[a].total_cmp(&ranks[b]).then(a.cmp(&b)));
    order.truncate(MOST_SHOWN - 1);
    order.push(analysis.baseline);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;

    fn with<T>(sample: &Sample, baseline: Option<&str>, look: impl FnOnce(&Analysis) -> T) -> T {
        let results = Results::read(sample.write().path()).unwrap();
        let summary = Summary::new(&results);
        look(&Analysis::new(&results, &summary, baseline).unwrap())
    }

    fn with_single_task() -> Sample {
        Sample {
            models: vec!["shared_bottom".into(), "single_task".into(), "home".into()],
            ..Sample::default()
        }
    }

    #[test]
    fn the_baseline_is_the_one_asked_for_else_single_task_else_the_first() {
        assert_eq!(
            with(&Sample::default(), None, |analysis| analysis.baseline),
            0
        );
        assert_eq!(
            with(&with_single_task(), None, |analysis| analysis.baseline),
            1
        );
        let asked = with(&with_single_task(), Some("HoME"), |analysis| {
            analysis.baseline
        });
        assert_eq!(asked, 2);
        let results = Results::read(Sample::default().write().path()).unwrap();
        let summary = Summary::new(&results);
        let refused = Analysis::new(&results, &summary, Some("HOME"))
            .err()
            .unwrap();
        insta::assert_snapshot!(refused.render(), @r#"
            error: --baseline HOME: no variant of this folder; it has shared-bottom, MMoE, HoME
            hint: did you mean `HoME`?
            "#);
    }

    #[test]
    fn the_specs_baseline_stands_where_none_is_asked_for_and_it_has_cells() {
        let sample = with_single_task();
        let of_spec = |name: &str, asked: Option<&str>| {
            let folder = sample.write();
            let file = folder.path().join("spec.resolved.toml");
            let spec = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, format!("baseline = \"{name}\"\n{spec}")).unwrap();
            let results = Results::read(folder.path()).unwrap();
            let summary = Summary::new(&results);
            Analysis::new(&results, &summary, asked).unwrap().baseline
        };
        assert_eq!(of_spec("HoME", None), 2);
        assert_eq!(of_spec("HoME", Some("shared-bottom")), 0);
        assert_eq!(of_spec("a variant that `--only` left out", None), 1);
    }

    #[test]
    fn gains_are_against_single_task_and_corrected_over_variants() {
        with(&with_single_task(), None, |analysis| {
            let rows = &analysis.gains.rows;
            assert_eq!(analysis.gains.single_task, Some(1));
            assert_eq!((rows[1].gain, rows[1].improvement), (None, None));
            let home = &rows[2];
            assert_eq!(home.num_runs, 3);
            assert!(
                home.gain.unwrap().mean.unwrap() > 0.0 && rows[0].gain.unwrap().mean.unwrap() < 0.0
            );
            assert!(home.corrected_p_value.unwrap() >= home.p_value.unwrap());
            assert!(home.improvement.unwrap().mean > 0.5);
        });
        with(&Sample::default(), None, |analysis| {
            assert_eq!(analysis.gains.single_task, None);
            assert!(analysis.gains.rows[2].gain.is_none());
            assert!(analysis.gains.rows[2].improvement.is_some());
        });
    }

    #[test]
    fn of_very_many_variants_the_best_and_the_baseline_are_shown() {
        let sample = Sample {
            variants: (0..100).map(|variant| format!("v{variant}")).collect(),
            tasks: vec!["income".into()],
            num_seeds: 2,
            ..Sample::default()
        };
        let shown = with(&sample, None, |analysis| analysis.shown.clone());
        let expected: Vec<usize> = std::iter::once(0).chain(41..100).collect();
        assert_eq!(shown, expected);
    }
}

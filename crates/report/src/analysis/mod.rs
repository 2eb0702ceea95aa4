//! A folder's numbers, compared: what figures, reports and tables are all made from, computed once.
//!
//! The main metric of a task, the baseline, the mean over tasks and the variants that are shown are decided here and nowhere else. May
//! import statistics; must not know how anything is drawn or worded.

mod advantages;
mod baseline;
mod comparison;
mod extent;
mod external_range;
mod gains;
mod shared_tasks;
mod summary;
mod task_means;
mod unvaried;

pub(crate) use advantages::{Advantage, AdvantagePanel};
pub(crate) use baseline::{SINGLE_TASK, origin};
pub(crate) use comparison::{Comparison, Row, Spread, Standing, pairs_of};
pub use extent::{Extent, MissingCell};
pub(crate) use external_range::check as check_external;
pub(crate) use gains::{Gain, Gains};
pub(crate) use shared_tasks::{SharedTasks, TasksOfBoth};
pub(crate) use summary::{Panel, Run, Sample, Split, Summary};
pub(crate) use task_means::{Scale, TaskMeans};
pub(crate) use unvaried::Unvaried;

use homebench_diagnostic::Diagnostic;
use homebench_metric::Metric;
use homebench_results::read::Results;

/// Tables of a report show so many variants, which a reader can still go through; the files in `tables/` have all.
const MOST_SHOWN: usize = 60;

/// More variants than this are not drawn: nobody could read them, and their bitmaps would fill the memory.
pub(crate) const MOST_DRAWN: usize = 64;

/// A folder's numbers, compared.
pub(crate) struct Analysis {
    pub(crate) results: Results,
    pub(crate) summary: Summary,
    /// The variant that differences are taken to.
    pub(crate) baseline: usize,
    /// The one that they are taken to where nobody asks for another.
    pub(crate) own_baseline: usize,
    /// How much of the experiment is here.
    pub(crate) extent: Extent,
    /// Every metric over every panel, in the order of `metrics.csv`.
    pub(crate) comparisons: Vec<Comparison>,
    /// Each panel's main metric, an index into the comparisons; nothing without a test value of which a way is better.
    pub(crate) main: Vec<Option<usize>>,
    /// What scores of all tasks are averaged on; nothing where they have no scale in common.
    pub(crate) scale: Option<Scale>,
    /// Over all tasks.
    pub(crate) gains: Gains,
    /// Means over tasks, where they have a scale in common.
    pub(crate) task_means: Option<TaskMeans>,
    /// The variants that tables of a report show.
    pub(crate) shown: Vec<usize>,
}

impl Analysis {
    /// Compares everything with the variant of this name; without one, with the spec's baseline, single-task or the first variant.
    ///
    /// # Errors
    /// No such variant, or a metric that is not in the list.
    pub(crate) fn new(results: Results, baseline: Option<&str>) -> Result<Self, Diagnostic> {
        external_range::check(&results)?;
        let summary = Summary::new(&results)?;
        let own_baseline = baseline::choose(&results, &summary, None)?;
        let baseline = baseline::choose(&results, &summary, baseline)?;
        // Metrics one after another: each comparison shares its variants among the threads by itself.
        let compare = |metric: &Metric| Comparison::new(&summary, *metric, baseline);
        let comparisons: Vec<Comparison> = summary.metrics.iter().map(compare).collect();
        let main = main_metrics(&summary, &comparisons);
        let mut analysis = Self {
            results,
            summary,
            baseline,
            own_baseline,
            extent: Extent::default(),
            comparisons,
            main,
            scale: None,
            gains: Gains::default(),
            task_means: None,
            shown: Vec::new(),
        };
        let panels = 0..analysis.summary.panels.len();
        let main: Vec<Metric> = panels
            .filter_map(|panel| analysis.main_metric(panel))
            .collect();
        analysis.scale = Scale::of(&main);
        analysis.gains = gains::gains(&analysis);
        analysis.task_means = TaskMeans::of(&analysis);
        analysis.shown = analysis.best_on_validation(MOST_SHOWN);
        Ok(analysis)
    }

    /// A panel's main metric, compared.
    pub(crate) fn main_of(&self, panel: usize) -> Option<&Comparison> {
        self.main[panel].map(|place| &self.comparisons[place])
    }

    /// A panel's main metric: what the task is ranked by, in every table and figure.
    pub(crate) fn main_metric(&self, panel: usize) -> Option<Metric> {
        self.main_of(panel).map(|main| main.metric)
    }

    /// The main metrics of all panels, each once, in the order of `metrics.csv`.
    pub(crate) fn main_metrics(&self) -> Vec<usize> {
        (0..self.comparisons.len())
            .filter(|place| self.main.contains(&Some(*place)))
            .collect()
    }

    /// The baseline's name.
    pub(crate) fn baseline_name(&self) -> &str {
        &self.summary.variants[self.baseline]
    }

    /// All variants, or, of more than so many, the baseline and the best on validation by their mean rank over tasks.
    pub(crate) fn best_on_validation(&self, most: usize) -> Vec<usize> {
        best_on_validation(self, most)
    }

    /// Why a task has no test value of a metric, where the reason is the labels.
    pub(crate) fn unvaried(&self, panel: usize, metric: Metric) -> Option<Unvaried> {
        unvaried::unvaried(&self.results, &self.summary.panels[panel], metric)
    }
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

fn best_on_validation(analysis: &Analysis, most: usize) -> Vec<usize> {
    let num_variants = analysis.summary.variants.len();
    if num_variants <= most {
        return (0..num_variants).collect();
    }
    // By validation: a choice by test would show the variants that were lucky there.
    let mut ranks = vec![0.0; num_variants];
    for (panel, main) in analysis.main.iter().enumerate() {
        let Some(comparison) = main.map(|place| &analysis.comparisons[place]) else {
            continue;
        };
        let value = |variant: usize| {
            let mean = comparison.panels[panel][variant].validation.mean;
            mean.and_then(|mean| comparison.metric.advantage(mean, 0.0))
                // Without a score on the task it is last there.
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
    order.truncate(most - 1);
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
        look(&Analysis::new(results, baseline).unwrap())
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
        let refused = Analysis::new(results, Some("HOME")).err().unwrap();
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
            Analysis::new(results, asked).unwrap().baseline
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
            let judgement = home.judgement.unwrap();
            assert!(judgement.corrected_p_value.unwrap() >= home.p_value.unwrap());
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

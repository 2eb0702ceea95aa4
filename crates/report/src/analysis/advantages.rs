//! By how much each variant is better than the baseline, in the mean over tasks and task by task: what the answer's charts show.

use super::Analysis;
use super::shared_tasks::TasksOfBoth;
use crate::statistics::{Interval, Judgement, PairedDifference, Verdict};

/// How much better than the baseline a variant is: above zero is better, whatever the metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Advantage {
    pub(crate) mean: f64,
    /// Student's; nothing where the runs don't differ.
    pub(crate) interval: Option<Interval>,
    pub(crate) verdict: Verdict,
}

/// The variants on one task.
pub(crate) struct AdvantagePanel {
    /// The panel of the summary; nothing for the mean over tasks.
    pub(crate) panel: Option<usize>,
    /// One per variant that was asked for; nothing without a difference.
    pub(crate) advantages: Vec<Option<Advantage>>,
}

impl Analysis {
    /// Of these variants, the mean over tasks first where there is one; panels in which none has a difference are left out.
    pub(crate) fn advantages(&self, variants: &[usize], panels: &[usize]) -> Vec<AdvantagePanel> {
        let means = self.task_means.iter().map(|means| {
            let sign = sign(means.scale.higher_is_better());
            let advantage = |variant: &usize| {
                let row = &means.rows[*variant];
                Some(advantage(row.difference.as_ref()?, row.judgement?, sign))
            };
            AdvantagePanel {
                panel: None,
                advantages: variants.iter().map(advantage).collect(),
            }
        });
        let tasks = panels.iter().filter_map(|panel| {
            let main = self.main_of(*panel)?;
            let sign = sign(main.metric.higher_is_better());
            let advantage = |variant: &usize| {
                let row = &main.panels[*panel][*variant];
                Some(advantage(row.difference.as_ref()?, row.judgement?, sign))
            };
            Some(AdvantagePanel {
                panel: Some(*panel),
                advantages: variants.iter().map(advantage).collect(),
            })
        });
        let all = means.chain(tasks);
        all.filter(|panel| panel.advantages.iter().any(Option::is_some))
            .collect()
    }

    /// What the differences of these variants' means are over; empty where there is no mean over tasks.
    pub(crate) fn tasks_of_means(&self, variants: &[usize]) -> Vec<(usize, &TasksOfBoth)> {
        let means = self.task_means.iter();
        means
            .flat_map(|means| {
                let variants = variants.iter();
                variants.map(move |variant| (*variant, &means.rows[*variant].both))
            })
            .collect()
    }
}

fn sign(higher_is_better: Option<bool>) -> f64 {
    match higher_is_better {
        Some(false) => -1.0,
        _ => 1.0,
    }
}

fn advantage(difference: &PairedDifference, judgement: Judgement, sign: f64) -> Advantage {
    let interval = difference.interval.filter(|_| !difference.is_identical);
    let turned = |Interval { low, high }| Interval {
        low: f64::min(sign * low, sign * high),
        high: f64::max(sign * low, sign * high),
    };
    Advantage {
        mean: sign * difference.mean,
        interval: interval.map(turned),
        verdict: judgement.verdict,
    }
}

//! Why a task has no score of the metrics that labels must vary for.

use super::Panel;
use homebench_metric::Metric;
use homebench_results::read::{Results, Score};

/// Why a split has no AUC or no R² of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unvaried {
    /// Its labels are of one class.
    OneClass {
        /// Rows scored.
        rows: u64,
        /// Positive labels among them: none, or all.
        positives: u64,
    },
    /// Its labels are one number.
    OneNumber {
        /// Rows scored.
        rows: u64,
    },
}

impl std::fmt::Display for Unvaried {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneClass { rows, positives } => write!(
                formatter,
                "its labels are of one class, {positives} of {rows} rows are positive"
            ),
            Self::OneNumber { rows } => {
                write!(formatter, "the labels of its {rows} rows are one number")
            }
        }
    }
}

/// Why a task has no test value of a metric, where the reason is the labels.
pub(super) fn unvaried(results: &Results, panel: &Panel, metric: Metric) -> Option<Unvaried> {
    let score = results.scores.iter().find(|score| {
        score.split == "test"
            && score.metric == metric.name()
            && score.value.is_none()
            && score.task == panel.task
            && results.cells[score.cell].dataset == panel.dataset
    })?;
    let Score {
        rows, positives, ..
    } = *score;
    match positives {
        // The counts say it; a model that broke has scores of rows of both classes.
        Some(positives) if positives == 0 || positives == rows => {
            Some(Unvaried::OneClass { rows, positives })
        }
        // A model that broke has no squared error either.
        None if metric == Metric::RSquared && has_squared_error(results, score) => {
            Some(Unvaried::OneNumber { rows })
        }
        _ => None,
    }
}

/// Whether the task of a score has a mean squared error beside it.
fn has_squared_error(results: &Results, of: &Score) -> bool {
    let place = |score: &Score| (score.cell, score.split == "test", score.task.clone());
    let mut scores = results.scores.iter();
    scores.any(|score| {
        score.metric == Metric::MeanSquaredError.name()
            && place(score) == place(of)
            && score.value.is_some()
    })
}

//! Which tasks a figure shows where there are more than a reader can look through: those on which variants differ most.

use super::canvas::inches;
use super::panel::{self, Grid};
use crate::analysis::Analysis;

/// More panels than this are not drawn.
// Eight rows of three fill a page; beyond it nobody compares panels, and bitmaps of hundreds would fill the memory.
const MOST_PANELS: usize = 24;
/// A figure's largest area, but for one of few panels: a page's width, four pages high. A bitmap of it has 21 million pixels.
const LARGEST_AREA: f64 = inches(7.16) * inches(32.0);
/// So many panels are drawn however high each is.
const FEW_PANELS: usize = 3;

/// The tasks of a figure.
pub(super) struct Chosen {
    /// Panels of the summary, in its order.
    pub(super) panels: Vec<usize>,
    num_all: usize,
    is_by_difference: bool,
}

impl Chosen {
    /// Of all tasks so many at most.
    pub(super) fn at_most(analysis: &Analysis, most: usize) -> Self {
        Self::of_count(analysis, analysis.summary.panels.len().min(most))
    }

    /// Of all tasks those that fit into a figure whose panels are so high, with `more` panels beside those of tasks.
    pub(super) fn new(analysis: &Analysis, panel_height: f64, more: usize) -> Self {
        let num_all = analysis.summary.panels.len();
        let fits = |count: usize| {
            let panels = count + more;
            let grid = Grid::new(panels, 0.0, 0.0, panel_height);
            panels <= FEW_PANELS || grid.width * grid.lower_edge() <= LARGEST_AREA
        };
        let most = num_all.min(MOST_PANELS);
        let count = (1..=most).rev().find(|count| fits(*count)).unwrap_or(most);
        Self::of_count(analysis, count)
    }

    fn of_count(analysis: &Analysis, count: usize) -> Self {
        let num_all = analysis.summary.panels.len();
        let mut panels: Vec<usize> = (0..num_all).collect();
        if count < num_all {
            panels = by_difference(analysis);
            panels.truncate(count);
            panels.sort_unstable();
        }
        Self {
            panels,
            num_all,
            is_by_difference: analysis.summary.variants.len() > 1,
        }
    }

    /// Of all tasks those whose parts a figure shows.
    pub(super) fn of_parts(analysis: &Analysis) -> Self {
        Self::new(analysis, 0.0, 0)
    }

    /// Whether a part is shown that serves this task alone, or that serves several.
    pub(super) fn keeps(&self, analysis: &Analysis, task: Option<&str>) -> bool {
        let is_it = |panel: &usize| Some(analysis.summary.panels[*panel].task.as_str()) == task;
        task.is_none() || self.panels.len() == self.num_all || self.panels.iter().any(is_it)
    }

    /// What has to be said of those that are left out, after a space; empty where none is.
    pub(super) fn remark(&self) -> String {
        let (shown, all) = (self.panels.len(), self.num_all);
        if shown == all {
            return String::new();
        }
        let which = match self.is_by_difference {
            true => format!(
                "the {shown} of {all} tasks on which variants differ most on validation, relative to their mean"
            ),
            false => format!("the first {shown} of {all} tasks"),
        };
        format!(" Shown: {which}; the files in tables/ have all.")
    }

    /// Adds that remark to a figure.
    pub(super) fn say(&self, canvas: &mut super::canvas::Canvas) {
        let remark = self.remark();
        if !remark.is_empty() {
            panel::remark(canvas, remark.trim_start());
        }
    }
}

/// What has to be said of variants that are left out, after a space; empty where none is.
pub(super) fn best_of(shown: usize, all: usize) -> String {
    match shown < all {
        true => format!(" Shown: the {shown} of {all} variants that are best on validation."),
        false => String::new(),
    }
}

/// The number of rows of experts or gates that a figure shows.
// As many as fit into the same area, each a sixth of an inch high.
pub(super) const MOST_ROWS: usize = 192;

/// What has to be said of rows or columns that are left out; nothing where none is.
pub(super) fn first_of(shown: usize, all: usize, what: &str) -> Option<String> {
    (shown < all)
        .then(|| format!("Shown: the first {shown} of {all} {what}; the folder's tables have all."))
}

/// Every task, those first on which variants' means of the main metric differ most relative to their mean. By validation, as all that
/// is chosen here; in the order of the summary where they differ alike.
fn by_difference(analysis: &Analysis) -> Vec<usize> {
    let difference = |panel: usize| {
        let rows = analysis.main_of(panel).map(|main| &main.panels[panel]);
        let means = rows.into_iter().flatten();
        let means: Vec<f64> = means.filter_map(|row| row.validation.mean).collect();
        let size = means.iter().map(|mean| mean.abs()).sum::<f64>() / means.len().max(1) as f64;
        let highest = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lowest = means.iter().copied().fold(f64::INFINITY, f64::min);
        // Without two values nothing differs, and what is nothing on the average can't be set in relation.
        let ratio = (highest - lowest) / size;
        if ratio.is_finite() { ratio } else { 0.0 }
    };
    let differences: Vec<f64> = (0..analysis.summary.panels.len()).map(difference).collect();
    let mut order: Vec<usize> = (0..differences.len()).collect();
    order.sort_by(|&a, &b| differences[b].total_cmp(&differences[a]).then(a.cmp(&b)));
    order
}

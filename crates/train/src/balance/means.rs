//! Mean losses of windows of steps: of epochs, or of so many steps.

use serde::{Deserialize, Serialize};

/// Mean losses of the window under way and of the two before it, a number a task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct WindowMeans {
    window: usize,
    sums: Vec<f64>,
    counts: Vec<u32>,
    /// Of the window before the one under way; NaN where there is none.
    // TOML has no null, and a task may be unobserved for a window.
    last: Vec<f64>,
    /// Of the window before that.
    before_last: Vec<f64>,
}

impl WindowMeans {
    pub(super) fn new(num_tasks: usize) -> Self {
        Self {
            window: 0,
            sums: vec![0.0; num_tasks],
            counts: vec![0; num_tasks],
            last: vec![f64::NAN; num_tasks],
            before_last: vec![f64::NAN; num_tasks],
        }
    }

    /// Goes on to a window, counted from 0: at a new one, the means of what was under way become the last.
    pub(super) fn enter(&mut self, window: usize) {
        if window == self.window {
            return;
        }
        self.window = window;
        for task in 0..self.sums.len() {
            // A task without a row in a whole window keeps its means.
            if self.counts[task] == 0 {
                continue;
            }
            self.before_last[task] = self.last[task];
            self.last[task] = self.sums[task] / f64::from(self.counts[task]);
            (self.sums[task], self.counts[task]) = (0.0, 0);
        }
    }

    pub(super) fn add(&mut self, task: usize, loss: f64) {
        self.sums[task] += loss;
        self.counts[task] += 1;
    }

    /// The mean of the last window, where the task was observed in one.
    pub(super) fn last(&self, task: usize) -> Option<f64> {
        Some(self.last[task]).filter(|mean| !mean.is_nan())
    }

    /// The ratio of the last window's mean to that of the one before.
    pub(super) fn ratio(&self, task: usize) -> Option<f64> {
        let before = Some(self.before_last[task]).filter(|mean| !mean.is_nan())?;
        Some(self.last(task)? / before.max(super::LEAST_LOSS))
    }
}

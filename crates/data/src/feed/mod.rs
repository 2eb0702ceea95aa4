//! The embedded short-video feed: exposures with a known probability behind every label.
//!
//! Row i of a split depends on (seed, split, i) alone, so any range can be made anywhere. A row is a video shown to a
//! user in a context; what they are becomes a vector of factors φ (`sample`), tasks are random functions of φ that agree as
//! much as asked for (`truth`), and a label is drawn with probability
//! `(1 - noise) sigmoid(intercept + signal · score) + noise · rate`. Intercepts give every task its rate. In training and validation
//! a task may observe its label on a share of the rows alone.

mod popularity;
mod sample;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod task_tests;
#[cfg(test)]
mod tests;
mod truth;

pub(super) use sample::num_factors_of_rows;

use super::{Batch, CategoricalFeature, generated};
use crate::table::split_assignment::TEST;
use homebench_random::Philox;
use sample::{NUM_CATEGORICAL, NUM_NUMERIC, Sampler};
use std::fmt;
use std::ops::Range;
use truth::Truth;

/// The column of users, by which grouped metrics group.
pub(super) const USER: &str = "user";

/// The feature of scenarios, the last of those of ids.
pub(super) const SCENARIO: &str = "scenario";

/// Knobs of the feed.
#[derive(Clone, PartialEq)]
pub struct FeedConfig {
    /// Seed of everything.
    pub seed: u64,
    /// Rows of train, validation and test.
    pub rows: [u64; 3],
    /// Users; each belongs to a segment.
    pub num_users: u32,
    /// Kinds of users.
    pub num_user_segments: u32,
    /// Videos; each has an author.
    pub num_videos: u32,
    /// Authors of videos; each has one category.
    pub num_authors: u32,
    /// Categories of videos.
    pub num_categories: u32,
    /// Exponent s of the videos' popularity, which falls as rank^-s; 0 is even.
    pub popularity_skew: f64,
    /// The same of the users: how much of the feed is shown to the busiest.
    pub activity_skew: f64,
    /// Latent factors of each user, video and hour.
    pub num_factors: usize,
    /// Correlation of the logits of tasks of different groups, where nothing is in conflict.
    pub between_correlation: f64,
    /// Correlation of the logits of tasks of one group; at least the one between groups.
    pub within_correlation: f64,
    /// Share of the user segments in which what all tasks have in common counts the other way round in every group but the
    /// first, so that the correlation between that and the others is -`between_correlation` there.
    pub conflict: f64,
    /// Share ν of the logits' variance that is a wave over φ and no linear function of it, 0 to 1.
    pub nonlinearity: f64,
    /// Standard deviation of the logits; 0 makes every label noise.
    pub signal: f64,
    /// Chance of a label to be drawn from the task's rate whatever the row, 0 to 1.
    pub noise: f64,
    /// Tasks in order.
    pub tasks: Vec<FeedTask>,
    /// Scenarios in which rows are shown; 1 is none.
    pub scenarios: FeedScenarios,
}

/// Scenarios of the feed, such as its tabs.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedScenarios {
    /// How many; 1 where rows have no scenario.
    pub count: u32,
    /// Exponent s of their shares of the rows, which fall as rank^-s; 0 is even.
    pub skew: f64,
    /// Share of the logits' variance, of tasks that are not unrelated, that is a scenario's own function of φ, 0 to 1.
    pub share: f64,
    /// Standard deviation of what a scenario adds to the logits of each task.
    pub shift: f64,
}

impl Default for FeedScenarios {
    fn default() -> Self {
        Self {
            count: 1,
            skew: 0.0,
            share: 0.0,
            shift: 0.0,
        }
    }
}

impl FeedConfig {
    /// Whether rows have a scenario.
    pub(super) fn has_scenarios(&self) -> bool {
        self.scenarios.count > 1
    }
}

// As of tasks below: the text of a feed without scenarios is the one that it had before there were any.
impl fmt::Debug for FeedConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = formatter.debug_struct("FeedConfig");
        written
            .field("seed", &self.seed)
            .field("rows", &self.rows)
            .field("num_users", &self.num_users)
            .field("num_user_segments", &self.num_user_segments)
            .field("num_videos", &self.num_videos)
            .field("num_authors", &self.num_authors)
            .field("num_categories", &self.num_categories)
            .field("popularity_skew", &self.popularity_skew)
            .field("activity_skew", &self.activity_skew)
            .field("num_factors", &self.num_factors)
            .field("between_correlation", &self.between_correlation)
            .field("within_correlation", &self.within_correlation)
            .field("conflict", &self.conflict)
            .field("nonlinearity", &self.nonlinearity)
            .field("signal", &self.signal)
            .field("noise", &self.noise)
            .field("tasks", &self.tasks);
        if self.has_scenarios() {
            written.field("scenarios", &self.scenarios);
        }
        written.finish()
    }
}

/// A task of the feed.
#[derive(Clone, PartialEq)]
pub struct FeedTask {
    /// Its name.
    pub name: String,
    /// Index of its group.
    pub group: usize,
    /// Mean probability of a positive label.
    pub rate: f64,
    /// Share of the rows of training and validation on which its label is observed, above 0 to 1.
    pub observed_share: f64,
    /// Whether its logits have nothing in common with those of any other task.
    pub is_unrelated: bool,
}

impl FeedTask {
    /// A task that has its group's part in what tasks have in common, and is observed on every row.
    pub fn new(name: impl Into<String>, group: usize, rate: f64) -> Self {
        Self {
            name: name.into(),
            group,
            rate,
            observed_share: 1.0,
            is_unrelated: false,
        }
    }
}

// Content hashes, and with them the ids of cells, are of this text. What has its default isn't in it, so that feeds that don't use
// a knob keep the ids that they had before there was one.
impl fmt::Debug for FeedTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = formatter.debug_struct("FeedTask");
        written
            .field("name", &self.name)
            .field("group", &self.group)
            .field("rate", &self.rate);
        if self.observed_share != 1.0 {
            written.field("observed_share", &self.observed_share);
        }
        if self.is_unrelated {
            written.field("is_unrelated", &true);
        }
        written.finish()
    }
}

impl FeedConfig {
    pub(super) fn categorical(&self) -> Vec<CategoricalFeature> {
        let counts = sample::categorical_counts(self);
        let features =
            sample::CATEGORICAL
                .iter()
                .zip(counts)
                .map(|(name, count)| CategoricalFeature {
                    name: (*name).to_owned(),
                    vocabulary_size: count as usize + 1,
                });
        let scenario = self.has_scenarios().then(|| CategoricalFeature {
            name: SCENARIO.to_owned(),
            vocabulary_size: self.scenarios.count as usize + 1,
        });
        features.chain(scenario).collect()
    }

    pub(super) fn numeric(&self) -> Vec<String> {
        sample::NUMERIC.map(str::to_owned).to_vec()
    }

    pub(super) fn num_groups(&self) -> usize {
        let groups = self.tasks.iter().map(|task| task.group + 1);
        groups.max().unwrap_or_default()
    }
}

/// A generator of exposures.
#[derive(Debug)]
pub struct Feed {
    sampler: Sampler,
    truth: Truth,
    labels: Philox,
    /// Of each task that isn't observed everywhere: its place, its share, and what decides on which rows.
    observed: Vec<(usize, f64, Philox)>,
    num_tasks: usize,
    num_factors: usize,
    has_scenarios: bool,
}

impl Feed {
    /// The feed of these knobs.
    pub fn new(config: &FeedConfig) -> Self {
        let sampler = Sampler::new(config);
        let num_factors = num_factors_of_rows(config.num_factors);
        Self {
            truth: Truth::new(config, &sampler, num_factors),
            labels: Philox::new(config.seed, "feed", "labels"),
            observed: observed(config),
            num_tasks: config.tasks.len(),
            num_factors,
            has_scenarios: config.has_scenarios(),
            sampler,
        }
    }

    /// Rows `range` of a split (0 train, 1 validation, 2 test).
    pub fn rows(&self, split: usize, range: Range<u64>) -> Batch {
        let num_rows = (range.end - range.start) as usize;
        let mut batch = Batch {
            num_rows,
            categorical: Vec::with_capacity(num_rows * (NUM_CATEGORICAL + 1)),
            numeric: Vec::with_capacity(num_rows * NUM_NUMERIC),
            labels: Vec::with_capacity(num_rows * self.num_tasks),
            users: Vec::with_capacity(num_rows),
            ..Batch::default()
        };
        // A draw gives four numbers. Every row starts with one of its own, so that any range of
        // rows can be made by itself.
        let blocks_per_row = self.num_tasks.div_ceil(4) as u64;
        self.for_each_row(split, range, |index, row, probabilities| {
            batch.users.push(row.user);
            // Id 0 is the out-of-vocabulary row, which no made-up row has.
            batch.categorical.extend(row.categorical.map(|id| id + 1));
            if self.has_scenarios {
                batch.categorical.push(row.scenario + 1);
            }
            batch.numeric.extend_from_slice(&row.numeric);
            for (block, probabilities) in (0..).zip(probabilities.chunks(4)) {
                let drawn = self.labels.uniform4(index * blocks_per_row + block);
                let labels = drawn.into_iter().zip(probabilities);
                batch.labels.extend(labels.map(|(drawn, probability)| {
                    f32::from(u8::from(f64::from(drawn) < *probability))
                }));
            }
            if split != TEST {
                let labels = batch.labels.len() - self.num_tasks;
                self.hide(index, &mut batch.labels[labels..]);
            }
        });
        batch
    }

    /// Takes away the labels of a row that its tasks don't observe.
    // Never on test: whatever the share, all models are scored on the same rows.
    fn hide(&self, index: u64, labels: &mut [f32]) {
        for (task, share, stream) in &self.observed {
            // One number a row for every share: what a small one observes, a larger one does too.
            if f64::from(stream.uniform(index)) >= *share {
                labels[*task] = f32::NAN;
            }
        }
    }

    /// The logit of each label's true probability, of one task.
    pub(super) fn true_logits(&self, split: usize, range: Range<u64>, task: usize) -> Vec<f32> {
        let probabilities = self.probabilities(split, range);
        let of_task = probabilities.iter().skip(task).step_by(self.num_tasks);
        of_task
            .map(|probability| libm::log(probability / (1.0 - probability)) as f32)
            .collect()
    }

    /// The true probabilities of the labels of these rows, row-major [rows, tasks].
    pub fn probabilities(&self, split: usize, range: Range<u64>) -> Vec<f64> {
        let mut all = Vec::with_capacity((range.end - range.start) as usize * self.num_tasks);
        self.for_each_row(split, range, |_, _, probabilities| {
            all.extend_from_slice(probabilities)
        });
        all
    }

    fn for_each_row(
        &self,
        split: usize,
        range: Range<u64>,
        mut visit: impl FnMut(u64, &sample::Exposure, &[f64]),
    ) {
        let mut factors = vec![0.0; self.num_factors];
        let mut scratch = self.truth.scratch();
        let mut probabilities = vec![0.0; self.num_tasks];
        for row in range {
            let index = generated::index(split, row);
            let exposure = self.sampler.expose(index, &mut factors);
            self.truth
                .probabilities(&exposure, &factors, &mut scratch, &mut probabilities);
            visit(index, &exposure, &probabilities);
        }
    }
}

/// Of each task that isn't observed everywhere: its place, its share, and what decides on which rows.
fn observed(config: &FeedConfig) -> Vec<(usize, f64, Philox)> {
    let tasks = config.tasks.iter().enumerate();
    let hidden = tasks.filter(|(_, task)| task.observed_share < 1.0);
    hidden
        .map(|(place, task)| {
            let stream = Philox::new(config.seed, "feed observed", &task.name);
            (place, task.observed_share, stream)
        })
        .collect()
}

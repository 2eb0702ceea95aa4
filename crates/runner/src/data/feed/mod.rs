//! The embedded short-video feed: exposures with a known probability behind every label.
//!
//! Row i of a split depends on (seed, split, i) alone, so any range can be made anywhere. A row is a video shown to a
//! user in a context; all of it becomes one vector φ of about unit variance (`sample`), every task has two random
//! directions in that space (`truth`), and a label is drawn with probability
//! `sigmoid(intercept + signal · ((1 - ν) w·φ + ν √2 sin(2 w'·φ + b)))`, ν the non-linearity. Directions are correlated
//! between and within task groups as asked for; intercepts give every task its rate.

mod sample;
mod truth;

use super::packed::{PackedWriter, Widths, Written};
use super::{Batch, CategoricalFeature, Observer, RowSubset, SPLITS};
use crate::diagnostic::Diagnostic;
use homebench_kernels::random::Philox;
use rayon::prelude::*;
use sample::{NUM_NUMERIC, Sampler};
use std::ops::Range;
use std::path::Path;
use truth::Truth;

/// Rows made at a time; fixed, so that files don't depend on the number of threads.
const BLOCK: usize = 8192;

/// Blocks made before they are written; a bound on memory.
const WAVE: usize = 32;

/// Knobs of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedConfig {
    /// Seed of everything.
    pub seed: u64,
    /// Rows of train, validation and test.
    pub rows: [u64; 3],
    /// Kinds of users.
    pub num_user_segments: u32,
    /// Authors of videos; each has one category.
    pub num_authors: u32,
    /// Categories of videos.
    pub num_categories: u32,
    /// Exponent s of the authors' popularity, which falls as rank^-s; 0 is even.
    pub popularity_skew: f64,
    /// Latent factors of each kind of thing.
    pub num_factors: usize,
    /// Correlation of the truths of tasks of different groups, 0 to 1.
    pub group_correlation: f64,
    /// Share of what is left that tasks of one group have in common, 0 to 1.
    pub task_correlation: f64,
    /// Share ν of the truth that is no linear function of φ, 0 to 1.
    pub nonlinearity: f64,
    /// Standard deviation of the logits; 0 makes every label noise.
    pub signal: f64,
    /// Tasks in order.
    pub tasks: Vec<FeedTask>,
}

/// A task of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedTask {
    /// Its name.
    pub name: String,
    /// Index of its group.
    pub group: usize,
    /// Mean probability of a positive label.
    pub rate: f64,
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
        features.collect()
    }

    pub(super) fn numeric(&self) -> Vec<String> {
        sample::NUMERIC.map(str::to_owned).to_vec()
    }
}

/// A generator of exposures.
#[derive(Debug)]
pub struct Feed {
    sampler: Sampler,
    truth: Truth,
    labels: Philox,
    num_tasks: usize,
}

impl Feed {
    /// The feed of these knobs.
    pub fn new(config: &FeedConfig) -> Self {
        let sampler = Sampler::new(config);
        Self {
            truth: Truth::new(config, &sampler),
            labels: Philox::new(config.seed, "feed", "labels"),
            num_tasks: config.tasks.len(),
            sampler,
        }
    }

    /// Rows `range` of a split (0 train, 1 validation, 2 test).
    pub fn rows(&self, split: usize, range: Range<u64>) -> Batch {
        let mut batch = Batch {
            num_rows: (range.end - range.start) as usize,
            ..Batch::default()
        };
        self.each(split, range, |index, row, probabilities| {
            batch.categorical.extend(row.categorical.map(|id| id + 1));
            batch.numeric.extend_from_slice(&row.numeric);
            for (task, probability) in (0..).zip(probabilities) {
                let drawn = self.labels.uniform(index * self.num_tasks as u64 + task);
                batch
                    .labels
                    .push(f32::from(u8::from(f64::from(drawn) < *probability)));
            }
        });
        batch
    }

    /// The true probabilities of the labels of these rows, row-major [rows, tasks].
    pub fn probabilities(&self, split: usize, range: Range<u64>) -> Vec<f64> {
        let mut all = Vec::with_capacity((range.end - range.start) as usize * self.num_tasks);
        self.each(split, range, |_, _, probabilities| {
            all.extend_from_slice(probabilities)
        });
        all
    }

    fn each(
        &self,
        split: usize,
        range: Range<u64>,
        mut visit: impl FnMut(u64, &sample::Exposure, &[f64]),
    ) {
        let mut factors = vec![0.0; self.sampler.num_components()];
        let mut probabilities = vec![0.0; self.num_tasks];
        for row in range {
            let index = sample::index(split, row);
            let exposure = self.sampler.expose(index, &mut factors);
            self.truth.probabilities(&factors, &mut probabilities);
            visit(index, &exposure, &probabilities);
        }
    }
}

/// Writes the three splits into `folder`.
pub(super) fn prepare(
    config: &FeedConfig,
    subset: RowSubset,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<[Written; 3], Diagnostic> {
    let feed = Feed::new(config);
    let widths = Widths {
        categorical: sample::CATEGORICAL.len(),
        lists: 0,
        numeric: NUM_NUMERIC,
        labels: config.tasks.len(),
        user: 0,
        weight: 0,
    };
    let fraction = match subset {
        RowSubset::All => 1.0,
        RowSubset::Fraction(fraction) => fraction,
        // Rows are made, not found: more than the description's are as good.
        RowSubset::TrainRows(rows) => rows as f64 / config.rows[0] as f64,
    };
    let counts = config
        .rows
        .map(|rows| ((rows as f64 * fraction).round() as u64).max(1));
    let total = counts.iter().sum();
    let mut done = 0;
    let mut written = Vec::with_capacity(3);
    for (split, (name, count)) in SPLITS.iter().zip(counts).enumerate() {
        let mut writer = PackedWriter::create(folder.join(format!("{name}.arrow")), widths)?;
        let starts: Vec<u64> = (0..count).step_by(BLOCK).collect();
        for wave in starts.chunks(WAVE) {
            let batches: Vec<Batch> = wave
                .par_iter()
                .map(|start| feed.rows(split, *start..(start + BLOCK as u64).min(count)))
                .collect();
            for batch in &batches {
                writer.append(batch)?;
                done += batch.num_rows as u64;
            }
            observer.progress("making rows", done, total);
        }
        written.push(writer.finish()?);
    }
    Ok(written.try_into().expect("one for each split"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> FeedConfig {
        let task = |name: &str, group, rate| FeedTask {
            name: name.to_owned(),
            group,
            rate,
        };
        FeedConfig {
            seed: 5,
            rows: [1000, 100, 100],
            num_user_segments: 32,
            num_authors: 500,
            num_categories: 20,
            popularity_skew: 1.0,
            num_factors: 4,
            group_correlation: 0.3,
            task_correlation: 0.6,
            nonlinearity: 0.4,
            signal: 1.5,
            tasks: vec![
                task("a", 0, 0.5),
                task("b", 0, 0.3),
                task("c", 1, 0.05),
                task("d", 1, 0.02),
            ],
        }
    }

    fn correlation(values: &[f64], num_tasks: usize, a: usize, b: usize) -> f64 {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let column = |task: usize| {
            values
                .iter()
                .skip(task)
                .step_by(num_tasks)
                .map(move |p| logit(*p))
        };
        let count = (values.len() / num_tasks) as f64;
        let mean = |task| column(task).sum::<f64>() / count;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let covariance: f64 = column(a)
            .zip(column(b))
            .map(|(x, y)| (x - mean_a) * (y - mean_b))
            .sum();
        let squares = |task, mean: f64| column(task).map(|x| (x - mean).powi(2)).sum::<f64>();
        covariance / (squares(a, mean_a) * squares(b, mean_b)).sqrt()
    }

    #[test]
    fn any_range_of_rows_is_the_same_wherever_it_is_made() {
        let feed = Feed::new(&config());
        let all = feed.rows(0, 0..100);
        let part = Feed::new(&config()).rows(0, 40..60);
        let width = sample::CATEGORICAL.len();
        assert_eq!(part.categorical, all.categorical[40 * width..60 * width]);
        assert_eq!(
            part.numeric,
            all.numeric[40 * NUM_NUMERIC..60 * NUM_NUMERIC]
        );
        assert_eq!(part.labels, all.labels[40 * 4..60 * 4]);
        assert_ne!(part.categorical, feed.rows(1, 40..60).categorical);
    }

    #[test]
    fn labels_have_their_rates_and_ids_stay_inside_their_vocabularies() {
        let config = config();
        let rows = Feed::new(&config).rows(0, 0..100_000);
        for (task, expected) in [0.5, 0.3, 0.05, 0.02].into_iter().enumerate() {
            let positives: f32 = rows.labels.iter().skip(task).step_by(4).sum();
            let rate = f64::from(positives) / 1e5;
            assert!(
                (rate - expected).abs() < 0.004 + 0.03 * expected,
                "{task}: {rate}"
            );
        }
        for (column, feature) in config.categorical().iter().enumerate() {
            let ids = rows
                .categorical
                .iter()
                .skip(column)
                .step_by(sample::CATEGORICAL.len());
            let (min, max) = (ids.clone().min().unwrap(), ids.max().unwrap());
            assert!(
                *min >= 1 && (*max as usize) < feature.vocabulary_size,
                "{}",
                feature.name
            );
        }
    }

    #[test]
    fn tasks_of_a_group_agree_more_than_tasks_of_two_groups() {
        // Averaged over seeds: with few factors one draw of directions is far from its mean.
        let linear = FeedConfig {
            nonlinearity: 0.0,
            num_factors: 16,
            ..config()
        };
        let (mut within, mut between) = (0.0, 0.0);
        for seed in 0..10 {
            let probabilities = Feed::new(&FeedConfig {
                seed,
                ..linear.clone()
            })
            .probabilities(0, 0..4000);
            within += correlation(&probabilities, 4, 0, 1) / 10.0;
            between += correlation(&probabilities, 4, 0, 2) / 10.0;
        }
        assert!((between - 0.3).abs() < 0.15, "{between}");
        assert!((within - 0.72).abs() < 0.15, "{within}");
    }

    #[test]
    fn the_shipped_feed_can_be_ranked_well_but_not_perfectly() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
        let description =
            crate::data::description::Description::load(&folder, "synthetic").unwrap();
        let crate::data::description::Source::Feed(config) = &description.protocols[0].source
        else {
            panic!()
        };
        let feed = Feed::new(config);
        let (truth, rows) = (feed.probabilities(2, 0..40_000), feed.rows(2, 0..40_000));
        for (task, feed_task) in config.tasks.iter().enumerate() {
            let width = config.tasks.len();
            let mut ranked: Vec<(f64, f32)> = truth
                .iter()
                .zip(&rows.labels)
                .skip(task)
                .step_by(width)
                .map(|(p, y)| (*p, *y))
                .collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (mut positives, mut rank_sum) = (0.0, 0.0);
            for (rank, (_, label)) in (1..).zip(&ranked) {
                let rank: u32 = rank;
                positives += f64::from(*label);
                rank_sum += f64::from(rank) * f64::from(*label);
            }
            let negatives = ranked.len() as f64 - positives;
            let auc = (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives);
            assert!((0.8..0.95).contains(&auc), "{}: {auc}", feed_task.name);
        }
    }

    #[test]
    fn without_signal_every_row_has_the_same_probability() {
        let feed = Feed::new(&FeedConfig {
            signal: 0.0,
            ..config()
        });
        let probabilities = feed.probabilities(2, 0..50);
        assert!(
            probabilities
                .chunks(4)
                .all(|row| row == &probabilities[..4])
        );
        assert!((probabilities[3] - 0.02).abs() < 1e-6);
    }
}

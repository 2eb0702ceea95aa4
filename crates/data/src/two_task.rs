//! Two regressions whose relation is a knob (Ma et al., "Modeling task relationships in multi-task learning with multi-gate
//! mixture-of-experts", KDD 2018, section 3.2; PLE's synthetic data are made in the same way).
//!
//! Inputs x are standard normal. Task k has the label `y_k = w_k·x + sum_i sin(a_i w_k·x + b_i) + noise`, with
//! `w_1 = c u_1` and `w_2 = c (p u_1 + sqrt(1 - p²) u_2)` for two orthogonal unit vectors u and the correlation p. Row i of a split
//! depends on (seed, split, i) alone. Labels may be multiplied by a factor each, as those of tasks in different units.
//!
//! Deviations: the paper leaves d, c, a and b to the reader; here they are knobs.

use super::Batch;
use super::normal_inputs::NormalInputs;
use homebench_random::Philox;
use std::fmt;
use std::ops::Range;

/// Knobs of the two tasks.
#[derive(Clone, PartialEq)]
pub struct TwoTaskConfig {
    /// Seed of everything.
    pub seed: u64,
    /// Rows of train, validation and test.
    pub rows: [u64; 3],
    /// Number of inputs, d; 2 or more.
    pub input_dim: usize,
    /// Cosine p of the angle between the tasks' weights, -1 to 1.
    pub correlation: f64,
    /// Length c of the tasks' weights.
    pub scale: f64,
    /// Frequencies a of the waves.
    pub frequencies: Vec<f64>,
    /// Phases b of the waves, as many.
    pub phases: Vec<f64>,
    /// Standard deviation of the noise.
    pub noise: f64,
    /// Factor of each task's labels, noise included.
    pub label_scales: [f64; 2],
}

// Content hashes are of this text: factors that change nothing aren't in it, so that data of before there were any keep their ids.
impl fmt::Debug for TwoTaskConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = formatter.debug_struct("TwoTaskConfig");
        written
            .field("seed", &self.seed)
            .field("rows", &self.rows)
            .field("input_dim", &self.input_dim)
            .field("correlation", &self.correlation)
            .field("scale", &self.scale)
            .field("frequencies", &self.frequencies)
            .field("phases", &self.phases)
            .field("noise", &self.noise);
        if self.label_scales != [1.0; 2] {
            written.field("label_scales", &self.label_scales);
        }
        written.finish()
    }
}

/// A generator of rows with two labels.
#[derive(Debug)]
pub(super) struct TwoTask {
    /// [tasks][inputs]
    weights: [Vec<f64>; 2],
    waves: Vec<(f64, f64)>,
    noise: f64,
    label_scales: [f64; 2],
    inputs: NormalInputs,
    noises: Philox,
}

impl TwoTask {
    /// The tasks of these knobs.
    pub(super) fn new(config: &TwoTaskConfig) -> Self {
        let stream = |name: &str| Philox::new(config.seed, "two tasks", name);
        let [first, second] = directions(stream("directions"), config.input_dim);
        // Rounding may leave a little less than 0 at a correlation of 1 or -1.
        let (along, across) = (
            config.correlation,
            (1.0 - config.correlation.powi(2)).max(0.0).sqrt(),
        );
        let of_second = first.iter().zip(&second);
        let of_second = of_second.map(|(u1, u2)| config.scale * (along * u1 + across * u2));
        let frequencies = config.frequencies.iter().copied();
        Self {
            weights: [
                first.iter().map(|u1| config.scale * u1).collect(),
                of_second.collect(),
            ],
            waves: frequencies.zip(config.phases.iter().copied()).collect(),
            noise: config.noise,
            label_scales: config.label_scales,
            inputs: NormalInputs::new(stream("inputs"), config.input_dim),
            noises: stream("noise"),
        }
    }

    /// Rows `range` of a split (0 train, 1 validation, 2 test).
    pub(super) fn rows(&self, split: usize, range: Range<u64>) -> Batch {
        self.inputs.batch(split, range, 2, |index, inputs, labels| {
            let noises = self.noises.normal2(index);
            let tasks = self.weights.iter().zip(noises).zip(self.label_scales);
            for ((weights, noise), scale) in tasks {
                let label = self.expected_of(weights, inputs) + self.noise * f64::from(noise);
                labels.push((scale * label) as f32);
            }
        })
    }

    /// The labels of a task on these rows without their noise: no model can predict better.
    pub(super) fn expected(&self, split: usize, range: Range<u64>, task: usize) -> Vec<f32> {
        let mut all = Vec::with_capacity((range.end - range.start) as usize);
        self.inputs.for_each_row(split, range, |_, inputs| {
            let expected = self.expected_of(&self.weights[task], inputs);
            all.push((self.label_scales[task] * expected) as f32);
        });
        all
    }

    fn expected_of(&self, weights: &[f64], inputs: &[f32]) -> f64 {
        // In f64 up to the label, which is rounded once.
        let products = weights.iter().zip(inputs);
        let projection: f64 = products.map(|(w, x)| w * f64::from(*x)).sum();
        let waves = self.waves.iter();
        projection
            + waves
                .map(|(a, b)| libm::sin(a * projection + b))
                .sum::<f64>()
    }
}

/// Two orthogonal vectors of length 1 in random directions.
pub(super) fn directions(stream: Philox, input_dim: usize) -> [Vec<f64>; 2] {
    let draw = |first: usize| -> Vec<f64> {
        let places = first..first + input_dim;
        places
            .map(|place| f64::from(stream.normal(place as u64)))
            .collect()
    };
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let normalised = |vector: Vec<f64>| -> Vec<f64> {
        let length = dot(&vector, &vector).sqrt();
        vector.iter().map(|value| value / length).collect()
    };
    let first = normalised(draw(0));
    let drawn = draw(input_dim);
    // One step of Gram-Schmidt.
    let along = dot(&first, &drawn);
    let across = drawn.iter().zip(&first).map(|(b, a)| b - along * a);
    let second = normalised(across.collect());
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::correlation;

    fn config() -> TwoTaskConfig {
        TwoTaskConfig {
            seed: 3,
            rows: [1000, 100, 100],
            input_dim: 7,
            correlation: 0.5,
            scale: 1.5,
            frequencies: vec![1.0, 2.5],
            phases: vec![0.0, 0.7],
            noise: 0.1,
            label_scales: [1.0; 2],
        }
    }

    fn labels(batch: &Batch, task: usize) -> Vec<f32> {
        batch.labels.iter().skip(task).step_by(2).copied().collect()
    }

    #[test]
    fn weights_have_the_length_and_the_angle_asked_for() {
        for correlation in [-1.0, -0.3, 0.0, 0.5, 1.0] {
            let pair = TwoTask::new(&TwoTaskConfig {
                correlation,
                ..config()
            });
            let dot = |a: usize, b: usize| -> f64 {
                let products = pair.weights[a].iter().zip(&pair.weights[b]);
                products.map(|(a, b)| a * b).sum::<f64>() / 2.25
            };
            for (value, expected) in [(dot(0, 0), 1.0), (dot(1, 1), 1.0), (dot(0, 1), correlation)]
            {
                assert!((value - expected).abs() < 1e-12, "{value} {expected}");
            }
        }
    }

    #[test]
    fn labels_are_the_equation_of_the_inputs_and_noise_of_the_size_asked_for() {
        let pair = TwoTask::new(&config());
        let batch = pair.rows(0, 0..20_000);
        assert_eq!(batch.numeric.len(), 20_000 * 7);
        for task in 0..2 {
            let expected = pair.expected(0, 0..20_000, task);
            for row in [0, 1, 19_999] {
                let inputs = &batch.numeric[row * 7..(row + 1) * 7];
                let projection: f64 = inputs
                    .iter()
                    .zip(&pair.weights[task])
                    .map(|(x, w)| f64::from(*x) * w)
                    .sum();
                let by_hand = projection + projection.sin() + (2.5 * projection + 0.7).sin();
                assert!((f64::from(expected[row]) - by_hand).abs() < 1e-5);
            }
            let errors = labels(&batch, task).into_iter().zip(&expected);
            let squares: f64 = errors
                .map(|(label, expected)| f64::from(label - expected).powi(2))
                .sum();
            assert!((squares / 20_000.0 / 0.01 - 1.0).abs() < 0.05, "{squares}");
        }
        let count = batch.numeric.len() as f64;
        let mean = batch.numeric.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = batch
            .numeric
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum::<f64>()
            / count;
        assert!(
            mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
    }

    #[test]
    fn labels_agree_the_more_the_larger_the_knob_and_the_inputs_stay() {
        let batch = |correlation: f64| {
            let config = TwoTaskConfig {
                correlation,
                ..config()
            };
            TwoTask::new(&config).rows(0, 0..20_000)
        };
        let batches = [-1.0, 0.0, 0.5, 0.9, 1.0].map(batch);
        let wide = |batch: &Batch, task| labels(batch, task).into_iter().map(f64::from).collect();
        let of = |batch: &Batch| -> f64 {
            let [first, second]: [Vec<f64>; 2] = [wide(batch, 0), wide(batch, 1)];
            correlation(&first, &second)
        };
        let found = batches.each_ref().map(of);
        assert!(found.is_sorted(), "{found:?}");
        assert!(found[1].abs() < 0.03 && found[4] > 0.98, "{found:?}");
        assert!(
            batches
                .iter()
                .all(|batch| batch.numeric == batches[0].numeric)
        );
        let first = labels(&batches[0], 0);
        assert!(batches.iter().all(|batch| labels(batch, 0) == first));
    }

    #[test]
    fn a_factor_of_labels_is_one_of_the_truth_too() {
        let scaled = TwoTask::new(&TwoTaskConfig {
            label_scales: [1.0, 128.0],
            ..config()
        });
        // A power of two, so that no product is rounded.
        let (plain, scaled_rows) = (TwoTask::new(&config()), scaled.rows(0, 0..100));
        let rows = plain.rows(0, 0..100);
        assert_eq!(labels(&scaled_rows, 0), labels(&rows, 0));
        let times = |values: Vec<f32>| -> Vec<f32> {
            values.into_iter().map(|value| 128.0 * value).collect()
        };
        assert_eq!(labels(&scaled_rows, 1), times(labels(&rows, 1)));
        let expected = plain.expected(0, 0..100, 1);
        assert_eq!(scaled.expected(0, 0..100, 1), times(expected));
    }

    #[test]
    fn a_row_depends_on_the_seed_the_split_and_its_index_alone() {
        let pair = TwoTask::new(&config());
        let (all, part) = (pair.rows(1, 0..100), pair.rows(1, 40..60));
        assert_eq!(part.numeric[..], all.numeric[40 * 7..60 * 7]);
        assert_eq!(part.labels[..], all.labels[80..120]);
        assert_ne!(pair.rows(2, 0..10).numeric, pair.rows(1, 0..10).numeric);
        let other = TwoTask::new(&TwoTaskConfig {
            seed: 4,
            ..config()
        });
        assert_ne!(other.rows(1, 0..10).numeric, all.numeric[..70]);
    }
}

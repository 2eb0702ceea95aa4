//! Mean ranks over datasets, with intervals of a bootstrap over datasets and runs.

use crate::statistics::Interval;
use homebench_random::Philox;

/// Draws of the bootstrap.
const NUM_DRAWS: u64 = 2_000;

/// The scores of one folder on one dataset.
#[derive(Debug, Clone)]
pub(super) struct TaskScores {
    /// [tasks][variants][runs], higher is better; runs are the same of all variants.
    pub(super) values: Vec<Vec<Vec<f64>>>,
}

/// A dataset, and every folder that ran it.
pub(super) struct RankedDataset {
    pub(super) folders: Vec<TaskScores>,
}

/// What the datasets say of each variant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranks {
    /// Mean rank of each variant; 1 is best.
    pub(super) means: Vec<f64>,
    /// Percentile interval (95 %) of that mean.
    pub(super) intervals: Vec<Interval>,
    /// In which share of the draws the variant's mean rank is the best; ties share it.
    pub(super) first: Vec<f64>,
    /// [datasets][variants]
    pub(super) of_datasets: Vec<Vec<f64>>,
}

/// Ranks variants task by task, by their means over runs; a dataset's rank is the mean over its tasks, and all datasets count alike.
/// A draw of the bootstrap takes datasets anew, and in each of them runs, the same of all variants, since runs of one seed are paired.
pub(super) fn ranks(datasets: &[RankedDataset]) -> Ranks {
    let whole = |scores: &TaskScores| -> Vec<usize> { (0..scores.num_runs()).collect() };
    let of_dataset = |dataset: &RankedDataset| {
        let folders = dataset.folders.iter();
        mean_of(
            &folders
                .map(|scores| scores.ranks(&whole(scores)))
                .collect::<Vec<_>>(),
        )
    };
    let of_datasets: Vec<Vec<f64>> = datasets.iter().map(of_dataset).collect();
    let means = mean_of(&of_datasets);
    let mut first = vec![0.0; means.len()];
    let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); means.len()];
    let mut dice = Dice::new();
    for _ in 0..NUM_DRAWS {
        let draw = mean_of(&draw(datasets, &mut dice));
        let best = draw.iter().copied().fold(f64::INFINITY, f64::min);
        let winners: Vec<usize> = (0..draw.len())
            .filter(|place| draw[*place] == best)
            .collect();
        for winner in &winners {
            first[*winner] += 1.0 / winners.len() as f64;
        }
        for (of_variant, rank) in drawn.iter_mut().zip(draw) {
            of_variant.push(rank);
        }
    }
    first
        .iter_mut()
        .for_each(|share| *share /= NUM_DRAWS as f64);
    Ranks {
        means,
        intervals: drawn.into_iter().map(percentiles).collect(),
        first,
        of_datasets,
    }
}

/// The ranks of one draw, by dataset.
fn draw(datasets: &[RankedDataset], dice: &mut Dice) -> Vec<Vec<f64>> {
    let one = |_| {
        let dataset = &datasets[dice.below(datasets.len())];
        let mut of_folders = Vec::with_capacity(dataset.folders.len());
        for scores in &dataset.folders {
            let num_runs = scores.num_runs();
            let runs: Vec<usize> = (0..num_runs).map(|_| dice.below(num_runs)).collect();
            of_folders.push(scores.ranks(&runs));
        }
        mean_of(&of_folders)
    };
    (0..datasets.len()).map(one).collect()
}

fn percentiles(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let quantile = |share: f64| values[((share * values.len() as f64).ceil() as usize).max(1) - 1];
    Interval {
        low: quantile(0.025),
        high: quantile(0.975),
    }
}

/// Draws of a counter-based generator with a key of its own, so that the same scores give the same interval everywhere.
struct Dice {
    random: Philox,
    place: u64,
}

impl Dice {
    fn new() -> Self {
        Self {
            random: Philox::new(0, "bootstrap", "ranks"),
            place: 0,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.place += 1;
        self.random.below(self.place - 1, limit as u32) as usize
    }
}

impl TaskScores {
    fn num_runs(&self) -> usize {
        let first = self.values.first().and_then(|variants| variants.first());
        first.map_or(0, Vec::len)
    }

    /// Each variant's mean rank over tasks, by means over these runs.
    fn ranks(&self, runs: &[usize]) -> Vec<f64> {
        let of_task = |variants: &Vec<Vec<f64>>| {
            let sum = |values: &Vec<f64>| runs.iter().map(|run| values[*run]).sum::<f64>();
            ranked(&variants.iter().map(sum).collect::<Vec<_>>())
        };
        mean_of(&self.values.iter().map(of_task).collect::<Vec<_>>())
    }
}

/// Ranks of values, the highest first; equals share the mean of their ranks.
fn ranked(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let above = values.iter().filter(|other| *other > value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        above as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// The mean of rows, place by place.
fn mean_of(rows: &[Vec<f64>]) -> Vec<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let mean = |place| rows.iter().map(|row| row[place]).sum::<f64>() / rows.len() as f64;
    (0..width).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(tasks: &[&[&[f64]]]) -> RankedDataset {
        let task = |variants: &&[&[f64]]| variants.iter().map(|runs| runs.to_vec()).collect();
        RankedDataset {
            folders: vec![TaskScores {
                values: tasks.iter().map(task).collect(),
            }],
        }
    }

    #[test]
    fn ranks_are_means_over_tasks_then_datasets_and_ties_share_theirs() {
        let two_tasks = dataset(&[
            &[&[0.9, 0.9], &[0.8, 0.8], &[0.7, 0.7]],
            &[&[0.1, 0.1], &[0.3, 0.3], &[0.3, 0.3]],
        ]);
        let one_task = dataset(&[&[&[5.0], &[6.0], &[4.0]]]);
        let found = ranks(&[two_tasks, one_task]);
        assert_eq!(found.of_datasets, [[2.0, 1.75, 2.25], [2.0, 1.0, 3.0]]);
        assert_eq!(found.means, [2.0, 1.375, 2.625]);
        assert!((found.first.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        for (mean, interval) in found.means.iter().zip(&found.intervals) {
            assert!(interval.low <= *mean && *mean <= interval.high);
        }
    }

    #[test]
    fn a_variant_that_always_wins_is_first_in_every_draw_and_equals_share_it() {
        let clear = || dataset(&[&[&[0.9, 0.91], &[0.5, 0.52]]]);
        let found = ranks(&[clear(), clear(), clear()]);
        assert_eq!(found.first, [1.0, 0.0]);
        let ends = Interval {
            low: 1.0,
            high: 1.0,
        };
        assert_eq!(found.intervals[0], ends);
        let even = ranks(&[dataset(&[&[&[0.5], &[0.5]]])]);
        assert_eq!(even.means, [1.5, 1.5]);
        assert!((even.first[0] - 0.5).abs() < 1e-9);
    }

    /// Of two variants that win one dataset each in turn, the mean rank of a draw of n datasets is 1 plus a binomial share: its deviation
    /// is sqrt(1 / 4 n).
    #[test]
    fn the_interval_is_as_wide_as_draws_of_datasets_make_it() {
        let num_datasets = 100;
        let datasets: Vec<RankedDataset> = (0..num_datasets)
            .map(|place| match place % 2 {
                0 => dataset(&[&[&[1.0], &[0.0]]]),
                _ => dataset(&[&[&[0.0], &[1.0]]]),
            })
            .collect();
        let found = ranks(&datasets);
        let width = found.intervals[0].high - found.intervals[0].low;
        let expected = 2.0 * 1.96 * (0.25 / num_datasets as f64).sqrt();
        assert!((width / expected - 1.0).abs() < 0.15, "{width} {expected}");
    }
}

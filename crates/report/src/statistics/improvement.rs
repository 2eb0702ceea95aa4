//! Probability of improvement (Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
//! 2021): how often a run of one variant beats a run of another.

use super::Interval;
use homebench_random::Philox;

/// Draws of the bootstrap, fewer where each is long.
const MOST_DRAWS: usize = 2_000;
const FEWEST_DRAWS: usize = 500;
/// Pairs of runs looked at in all draws together, between those two.
const DRAWN_PAIRS: usize = 4_000_000;

/// Mean over tasks of the probability of improvement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Improvement {
    /// The mean.
    pub mean: f64,
    /// Percentile bootstrap interval (95 %): runs of both variants are drawn anew, each with all its tasks. Absent where a
    /// variant has one run.
    pub interval: Option<Interval>,
}

/// Probability that a run of `variant` beats a run of `baseline`, over all pairs of runs, a tie counting one half.
/// Nothing if one of them has no value.
pub fn probability_of_improvement(variant: &[f64], baseline: &[f64]) -> Option<f64> {
    let wins = wins(variant, baseline);
    (!wins.is_empty()).then(|| wins.iter().sum::<f64>() / wins.len() as f64)
}

/// The mean over tasks. Each task has the variant's values by run, the baseline's by run, and whether higher is better;
/// all tasks have as many runs. Nothing without tasks or runs.
pub fn improvement(tasks: &[(Vec<f64>, Vec<f64>, bool)]) -> Option<Improvement> {
    let (num_runs, num_others) = tasks.first().map(|(a, b, _)| (a.len(), b.len()))?;
    if num_runs * num_others == 0 {
        return None;
    }
    if num_runs * num_others > DRAWN_PAIRS / FEWEST_DRAWS {
        return Some(by_ranks(tasks, (num_runs, num_others)));
    }
    let mut wins = vec![0.0; num_runs * num_others];
    for (variant, baseline, higher) in tasks {
        let of_task = self::wins(variant, baseline);
        for (sum, win) in wins.iter_mut().zip(of_task) {
            *sum += if *higher { win } else { 1.0 - win };
        }
    }
    wins.iter_mut().for_each(|win| *win /= tasks.len() as f64);
    Some(Improvement {
        mean: wins.iter().sum::<f64>() / wins.len() as f64,
        interval: (num_runs > 1 && num_others > 1).then(|| bootstrap(&wins, num_others)),
    })
}

/// 1 where a run of the variant (row) beats one of the baseline (column), a half for a tie.
fn wins(variant: &[f64], baseline: &[f64]) -> Vec<f64> {
    let win = |a: f64, b: f64| match a.partial_cmp(&b) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Equal) => 0.5,
        _ => 0.0,
    };
    let rows = variant.iter();
    rows.flat_map(|&a| baseline.iter().map(move |&b| win(a, b)))
        .collect()
}

fn bootstrap(wins: &[f64], num_others: usize) -> Interval {
    let num_runs = wins.len() / num_others;
    let num_draws = (DRAWN_PAIRS / wins.len()).clamp(FEWEST_DRAWS, MOST_DRAWS);
    let draws = Draws::new(num_runs, num_others);
    let means = (0..num_draws as u64).map(|draw| {
        let mut times = vec![0.0; num_others];
        draws.others(draw).for_each(|other| times[other] += 1.0);
        let row = |run: usize| {
            let row = &wins[run * num_others..(run + 1) * num_others];
            row.iter()
                .zip(&times)
                .map(|(win, times)| win * times)
                .sum::<f64>()
        };
        draws.runs(draw).map(row).sum::<f64>() / wins.len() as f64
    });
    percentiles(means.collect())
}

/// Which runs of both variants are drawn.
struct Draws {
    random: Philox,
    num_runs: usize,
    num_others: usize,
}

impl Draws {
    fn new(num_runs: usize, num_others: usize) -> Self {
        Self {
            random: Philox::new(0, "bootstrap", "improvement"),
            num_runs,
            num_others,
        }
    }

    fn first(&self, draw: u64) -> u64 {
        draw * (self.num_runs + self.num_others) as u64
    }

    fn others(&self, draw: u64) -> impl Iterator<Item = usize> {
        let (first, most) = (self.first(draw), self.num_others as u32);
        (0..self.num_others as u64)
            .map(move |place| self.random.below(first + place, most) as usize)
    }

    fn runs(&self, draw: u64) -> impl Iterator<Item = usize> {
        let (first, most) = (self.first(draw), self.num_runs as u32);
        let first = first + self.num_others as u64;
        (0..self.num_runs as u64).map(move |place| self.random.below(first + place, most) as usize)
    }
}

fn percentiles(mut means: Vec<f64>) -> Interval {
    means.sort_by(f64::total_cmp);
    let num_draws = means.len() as f64;
    let quantile = |share: f64| means[((share * num_draws).ceil() as usize).max(1) - 1];
    Interval {
        low: quantile(0.025),
        high: quantile(0.975),
    }
}

/// As [`improvement`], where there are so many pairs of runs that looking at each in every draw would take minutes: the pairs that a run
/// wins are those of the runs below it, which are counted in the order of the values.
fn by_ranks(
    tasks: &[(Vec<f64>, Vec<f64>, bool)],
    (num_runs, num_others): (usize, usize),
) -> Improvement {
    let orders: Vec<_> = tasks.iter().map(Order::new).collect();
    let num_pairs = (num_runs * num_others) as f64;
    let mean = |run_times: &[f64], other_times: &[f64]| {
        let of_task = |order: &Order| order.wins(run_times, other_times) / num_pairs;
        orders.iter().map(of_task).sum::<f64>() / orders.len() as f64
    };
    let draws = Draws::new(num_runs, num_others);
    let means = (0..FEWEST_DRAWS as u64).map(|draw| {
        let (mut run_times, mut other_times) = (vec![0.0; num_runs], vec![0.0; num_others]);
        draws.runs(draw).for_each(|run| run_times[run] += 1.0);
        draws
            .others(draw)
            .for_each(|other| other_times[other] += 1.0);
        mean(&run_times, &other_times)
    });
    Improvement {
        mean: mean(&vec![1.0; num_runs], &vec![1.0; num_others]),
        interval: (num_runs > 1 && num_others > 1).then(|| percentiles(means.collect())),
    }
}

/// The values of both variants of a task, worst first.
struct Order(Vec<Valued>);

struct Valued {
    /// Higher is better.
    value: f64,
    is_other: bool,
    place: usize,
}

impl Order {
    fn new((variant, baseline, higher): &(Vec<f64>, Vec<f64>, bool)) -> Self {
        let valued = |values: &[f64], is_other| {
            let values = values.iter().enumerate();
            let values = values.map(move |(place, value)| Valued {
                value: if *higher { *value } else { -value },
                is_other,
                place,
            });
            values.collect::<Vec<_>>()
        };
        let mut all = valued(variant, false);
        all.extend(valued(baseline, true));
        all.sort_by(|one, other| one.value.total_cmp(&other.value));
        Self(all)
    }

    /// Pairs that the variant wins, where each run counts so many times.
    fn wins(&self, run_times: &[f64], other_times: &[f64]) -> f64 {
        let (mut below, mut won) = (0.0, 0.0);
        for equal in self.0.chunk_by(|one, other| one.value == other.value) {
            let times = |are_others, times: &[f64]| -> f64 {
                let its = equal.iter().filter(|one| one.is_other == are_others);
                its.map(|one| times[one.place]).sum()
            };
            let (runs, others) = (times(false, run_times), times(true, other_times));
            won += runs * (below + others / 2.0);
            below += others;
        }
        won
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_that_always_wins_has_one_and_equals_have_a_half() {
        let (good, bad) = (vec![0.9, 0.91, 0.92], vec![0.7, 0.8, 0.75]);
        let always = improvement(&[(good.clone(), bad.clone(), true)]).unwrap();
        assert_eq!(always.mean, 1.0);
        assert_eq!(
            always.interval,
            Some(Interval {
                low: 1.0,
                high: 1.0
            })
        );
        let never = improvement(&[(good.clone(), bad.clone(), false)]).unwrap();
        assert_eq!(never.mean, 0.0);
        let mixed = [
            (good.clone(), bad.clone(), true),
            (good.clone(), bad, false),
        ];
        assert_eq!(improvement(&mixed).unwrap().mean, 0.5);
        assert_eq!(
            improvement(&[(good.clone(), good, true)]).unwrap().mean,
            0.5
        );
        assert_eq!(improvement(&[]), None);
        assert_eq!(improvement(&[(vec![], vec![1.0], true)]), None);
    }

    /// Counting by ranks comes to what looking at every pair does, in each draw: ties, tasks of which lower is better, and all.
    #[test]
    fn many_runs_are_judged_as_few_are() {
        let random = Philox::new(3, "test", "improvement");
        let values = |from: u64, count: u64| -> Vec<f64> {
            // Coarse enough for ties.
            let value = |place| f64::from((random.normal(place) * 10.0).round());
            (from..from + count).map(value).collect()
        };
        let tasks = [
            (values(0, 70), values(100, 60), true),
            (values(200, 70), values(300, 60), false),
            (values(400, 70), values(500, 60), true),
        ];
        let by_pairs = improvement(&tasks).unwrap();
        let ranked = by_ranks(&tasks, (70, 60));
        assert!((by_pairs.mean - ranked.mean).abs() < 1e-12);
        // 4,200 pairs are looked at in 952 draws, of which the first 500 are those of the ranks.
        let near = |one: f64, other: f64| (one - other).abs() < 0.02;
        let (one, other) = (by_pairs.interval.unwrap(), ranked.interval.unwrap());
        assert!(
            near(one.low, other.low) && near(one.high, other.high),
            "{one:?} {other:?}"
        );
        // More pairs than that: the same draws of both, so the same to rounding.
        let tasks = [(values(1000, 100), values(2000, 90), true)];
        let (variant, baseline, _) = &tasks[0];
        let whole = improvement(&tasks).unwrap();
        let pairs = bootstrap(&wins(variant, baseline), 90);
        assert_eq!(whole.interval, Some(pairs));
    }

    /// The interval's width is that of a Mann-Whitney statistic: for equal variants sqrt((n + m + 1) / 12 n m).
    #[test]
    fn the_interval_is_as_wide_as_the_statistic_spreads() {
        let random = Philox::new(2, "test", "improvement");
        let values = |from: u64| -> Vec<f64> {
            (from..from + 40)
                .map(|place| f64::from(random.normal(place)))
                .collect()
        };
        let found = improvement(&[(values(0), values(40), true)]).unwrap();
        let interval = found.interval.unwrap();
        let expected = 2.0 * 1.96 * (81.0f64 / (12.0 * 1600.0)).sqrt();
        let width = interval.high - interval.low;
        assert!((width / expected - 1.0).abs() < 0.2, "{width} {expected}");
        assert!(interval.low < found.mean && found.mean < interval.high);
    }
}

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
    let mut wins = vec![0.0; num_runs * num_others];
    if wins.is_empty() {
        return None;
    }
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
    let random = Philox::new(0, "bootstrap", "improvement");
    let per_draw = (num_runs + num_others) as u64;
    let mut means: Vec<f64> = (0..num_draws as u64)
        .map(|draw| {
            let mut times = vec![0.0; num_others];
            for place in 0..num_others as u64 {
                times[random.below(draw * per_draw + place, num_others as u32) as usize] += 1.0;
            }
            let row = |place: u64| {
                let index = draw * per_draw + num_others as u64 + place;
                let run = random.below(index, num_runs as u32) as usize;
                let row = &wins[run * num_others..(run + 1) * num_others];
                row.iter()
                    .zip(&times)
                    .map(|(win, times)| win * times)
                    .sum::<f64>()
            };
            (0..num_runs as u64).map(row).sum::<f64>() / wins.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let quantile = |share: f64| means[((share * num_draws as f64).ceil() as usize).max(1) - 1];
    Interval {
        low: quantile(0.025),
        high: quantile(0.975),
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

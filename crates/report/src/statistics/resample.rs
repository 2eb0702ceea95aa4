//! Resampling: the bootstrap of a mean and the sign-flip permutation test.

use super::{Interval, mean};
use homebench_random::Philox;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Up to so many values, every resample is counted out.
// Of eight values 6,435 resamples have different counts, fewer than would be drawn in their place; of nine there are 24,310.
const EXACT_BOOTSTRAP: usize = 8;
/// Up to so many differences, every choice of signs is counted out.
// These are 65,536 sums of sixteen numbers, and each more difference doubles them.
const EXACT_SIGNS: usize = 16;
/// Draws where counting out is too much: most for few values, fewest for many, where each draw takes long and the
/// interval is narrow anyway.
const MOST_DRAWS: u64 = 10_000;
const FEWEST_DRAWS: u64 = 2_000;
/// Values drawn in all, between those two.
const DRAWN_VALUES: u64 = 400_000;
/// Key of the draws: fixed, so that an interval depends on its values alone.
const SEED: u64 = 0;

/// So many draws are summed side by side: each in the order of its values, so that its bits stay, while no sum waits for another.
const LANES: usize = 8;
/// Sums of nothing, as [`Iterator::sum`] has them.
const NOTHING: [f64; LANES] = [-0.0; LANES];

/// Percentile bootstrap interval (95 %) of the mean; nothing with fewer than two values.
///
/// With very few values it is too narrow (with three it is the range, which covers the mean in about three of four
/// experiments), so it should be read beside the values themselves.
pub fn bootstrap_interval(values: &[f64]) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let mut sums = if values.len() <= EXACT_BOOTSTRAP {
        every_sum(values)
    } else {
        drawn_sums(values)
    };
    sums.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: u64 = sums.iter().map(|(_, weight)| weight).sum();
    let quantile = |share: f64| {
        let wanted = (share * total as f64).ceil() as u64;
        let mut passed = 0;
        let reached = sums.iter().find(|(_, weight)| {
            passed += weight;
            passed >= wanted
        });
        reached.map(|(sum, _)| sum / values.len() as f64)
    };
    Some(Interval {
        low: quantile(0.025)?,
        high: quantile(0.975)?,
    })
}

/// Sums of all n^n resamples: each choice of how often every value is drawn, with the number of resamples it stands for.
fn every_sum(values: &[f64]) -> Vec<(f64, u64)> {
    let mut sums = Vec::new();
    extend(&mut sums, values, values.len() as u64, 0.0, 1);
    sums
}

fn extend(sums: &mut Vec<(f64, u64)>, values: &[f64], draws_left: u64, sum: f64, weight: u64) {
    let Some((first, rest)) = values.split_first() else {
        return;
    };
    if rest.is_empty() {
        sums.push((sum + draws_left as f64 * first, weight));
        return;
    }
    let mut ways = 1; // of placing this value's draws among those left
    for times in 0..=draws_left {
        let drawn = sum + times as f64 * first;
        extend(sums, rest, draws_left - times, drawn, weight * ways);
        ways = ways * (draws_left - times) / (times + 1);
    }
}

fn num_draws(num_values: usize) -> u64 {
    (DRAWN_VALUES / num_values as u64).clamp(FEWEST_DRAWS, MOST_DRAWS)
}

fn drawn_sums(values: &[f64]) -> Vec<(f64, u64)> {
    let (indices, length) = (drawn_indices(values.len()), values.len());
    let mut all = Vec::with_capacity(indices.len() / length);
    for draws in indices.chunks(LANES * length) {
        let mut sums = NOTHING;
        // Of a last chunk that is short, fewer sums are of draws.
        let num_draws = draws.len() / length;
        for place in 0..length {
            for (draw, sum) in sums.iter_mut().enumerate().take(num_draws) {
                *sum += values[draws[draw * length + place] as usize];
            }
        }
        all.extend(sums.into_iter().take(num_draws).map(|sum| (sum, 1)));
    }
    all
}

/// Which values each draw takes: the same for every sample of a size, so that samples are drawn paired by seed, and
/// kept, because a report needs them for thousands of samples.
fn drawn_indices(num_values: usize) -> Arc<[u32]> {
    static KEPT: Mutex<BTreeMap<usize, Arc<[u32]>>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let indices = kept.entry(num_values).or_insert_with(|| {
        let random = Philox::new(SEED, "bootstrap", "mean");
        let total = num_draws(num_values) * num_values as u64;
        let index = |index: u64| random.below(index, num_values as u32);
        (0..total).map(index).collect()
    });
    Arc::clone(indices)
}

/// Two-sided p-value of paired differences: how often signs drawn by a coin give a mean as far from zero as the one
/// seen. Counted out for up to sixteen differences; 1 without any.
pub fn sign_flip_p_value(differences: &[f64]) -> f64 {
    let Some(seen) = mean(differences) else {
        return 1.0;
    };
    // Sums that are equal but for rounding count as equal.
    let size: f64 = differences.iter().map(|value| value.abs()).sum();
    let threshold = seen.abs() * differences.len() as f64 - 1e-12 * size;
    let is_far = |sum: &f64| sum.abs() >= threshold;
    if differences.len() <= EXACT_SIGNS {
        let sums = every_choice_of_signs(differences);
        return sums.iter().filter(|sum| is_far(sum)).count() as f64 / sums.len() as f64;
    }
    let num_draws = num_draws(differences.len());
    let far = drawn_choices_of_signs(differences, num_draws);
    let far = far.iter().filter(|sum| is_far(sum)).count();
    // What was seen is one of the choices.
    (far as f64 + 1.0) / (num_draws as f64 + 1.0)
}

/// Sums of the values with every choice of their signs, each added up in the order of the values.
fn every_choice_of_signs(values: &[f64]) -> Vec<f64> {
    let mut sums = vec![-0.0];
    for value in values {
        sums = sums
            .iter()
            .flat_map(|sum| [sum + value, sum - value])
            .collect();
    }
    sums
}

/// Sums of the values with signs drawn by a coin, each added up in the order of the values.
fn drawn_choices_of_signs(values: &[f64], num_draws: u64) -> Vec<f64> {
    let random = Philox::new(SEED, "permutation", "signs");
    let blocks = values.len().div_ceil(128) as u64;
    let num_words = blocks as usize * 4;
    let mut all = Vec::with_capacity(num_draws as usize);
    let mut words = Vec::with_capacity(LANES * num_words);
    for first in (0..num_draws).step_by(LANES) {
        let draws = first..num_draws.min(first + LANES as u64);
        words.clear();
        words.extend((draws.start * blocks..draws.end * blocks).flat_map(|at| random.u32x4(at)));
        // Draws beyond the last have no words of their own, and no use.
        words.resize(LANES * num_words, 0);
        let mut sums = NOTHING;
        for (place, value) in values.iter().enumerate() {
            for (draw, sum) in sums.iter_mut().enumerate() {
                // A bit of 1 keeps the sign.
                let word = words[draw * num_words + place / 32];
                let flip = u64::from(!(word >> (place % 32)) & 1) << 63;
                *sum += f64::from_bits(value.to_bits() ^ flip);
            }
        }
        all.extend(sums.into_iter().take((draws.end - draws.start) as usize));
    }
    all
}

/// The smallest p-value that the sign-flip test can give for so many pairs: with fewer than six it can't reach 5 %.
pub fn smallest_p_value(num_pairs: usize) -> f64 {
    match num_pairs {
        0 => 1.0,
        1..=EXACT_SIGNS => 2.0 / (1u64 << num_pairs) as f64,
        _ => 1.0 / (num_draws(num_pairs) as f64 + 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_of_one_sign_give_the_smallest_p_value() {
        for num_pairs in 1..=10 {
            let differences: Vec<f64> = (1..=num_pairs).map(f64::from).collect();
            assert_eq!(
                sign_flip_p_value(&differences),
                smallest_p_value(num_pairs as usize)
            );
        }
        assert_eq!(smallest_p_value(5), 0.0625);
        let many: Vec<f64> = (1..=40).map(f64::from).collect();
        assert!(sign_flip_p_value(&many) < 0.001);
    }

    #[test]
    fn drawn_and_counted_intervals_and_p_values_agree() {
        let values: Vec<f64> = (0..6).map(|i| f64::from(i * i) - 3.0).collect();
        let quantiles = |mut sums: Vec<(f64, u64)>| {
            sums.sort_by(|a, b| a.0.total_cmp(&b.0));
            let spread =
                |&(sum, weight): &(f64, u64)| std::iter::repeat_n(sum / 6.0, weight as usize);
            let means: Vec<f64> = sums.iter().flat_map(spread).collect();
            [0.025, 0.25, 0.5, 0.975].map(|share| means[(share * means.len() as f64) as usize])
        };
        assert_eq!(
            every_sum(&values).iter().map(|sum| sum.1).sum::<u64>(),
            6u64.pow(6)
        );
        let pairs = quantiles(drawn_sums(&values))
            .into_iter()
            .zip(quantiles(every_sum(&values)));
        for (drawn, counted) in pairs {
            assert!((drawn - counted).abs() < 0.35, "{drawn} {counted}");
        }
        // A symmetric sample of twenty has no difference; shifted by its own spread it has one.
        let symmetric: Vec<f64> = (0..20).map(|i| f64::from(i) - 9.5).collect();
        assert!(sign_flip_p_value(&symmetric) > 0.9);
        let shifted: Vec<f64> = symmetric.iter().map(|value| value + 6.0).collect();
        assert!(sign_flip_p_value(&shifted) < 0.01);
    }

    #[test]
    fn an_interval_moves_and_scales_with_its_values() {
        let values: Vec<f64> = (0..9).map(|i| f64::from(i * i)).collect();
        let plain = bootstrap_interval(&values).unwrap();
        let moved: Vec<f64> = values.iter().map(|value| 2.0 * value + 5.0).collect();
        let moved = bootstrap_interval(&moved).unwrap();
        assert!((moved.low - (2.0 * plain.low + 5.0)).abs() < 1e-9);
        assert!((moved.high - (2.0 * plain.high + 5.0)).abs() < 1e-9);
        assert!(plain.low < plain.high);
    }
}

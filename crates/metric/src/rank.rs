//! Correlation of ranks.

use super::{assert_same_length, order};
use rayon::prelude::*;

/// Spearman's rho of pairs: the correlation of their ranks, equal values sharing the mean of theirs. Nothing with fewer than two
/// pairs or where one side doesn't vary.
///
/// # Panics
/// The two sides differ in length.
pub fn spearman(one: &[f64], other: &[f64]) -> Option<f64> {
    assert_eq!(one.len(), other.len(), "both sides of every pair");
    correlation(&ranks(one), &ranks(other))
}

/// [`spearman`] of many predictions with their labels. Exact: ranks are doubled, so that shared ones are whole, and their products are
/// added in integers.
///
/// Nothing with fewer than two rows, where one side doesn't vary, or with a NaN.
///
/// # Panics
/// If the lengths differ, or there are 2^32 rows or more.
pub fn rank_correlation(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    assert_same_length(predictions, labels);
    let (one, other) = (centred_ranks(predictions)?, centred_ranks(labels)?);
    let sum = |one: &[i64], other: &[i64]| -> i128 {
        let pairs = one.par_iter().zip(other);
        pairs.map(|(a, b)| i128::from(*a) * i128::from(*b)).sum()
    };
    let (both, left, right) = (sum(&one, &other), sum(&one, &one), sum(&other, &other));
    // In this form the root of equal factors is their very value, and a perfect correlation 1.
    let value = both as f64 / (left as f64 * right as f64).sqrt();
    (left > 0 && right > 0).then(|| value.clamp(-1.0, 1.0))
}

/// Twice the distance of each value's rank from the mean rank, ties sharing the mean of theirs.
fn centred_ranks(values: &[f32]) -> Option<Vec<i64>> {
    assert!(values.len() < 1 << 32, "rows are counted in 32 bits");
    let keys = values.par_iter().enumerate();
    let keys = keys.map(|(row, value)| Some(u64::from(order::key(*value)?) << 32 | row as u64));
    let mut keys = keys.collect::<Option<Vec<u64>>>()?;
    keys.par_sort_unstable();
    let mut ranks = vec![0; values.len()];
    let mut before = 0;
    for tied in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
        // Twice the mean of ranks before + 1 to before + n, less twice the mean of all.
        let rank = (2 * before + tied.len() + 1) as i64 - (values.len() + 1) as i64;
        for key in tied {
            ranks[(key & u64::from(u32::MAX)) as usize] = rank;
        }
        before += tied.len();
    }
    Some(ranks)
}

/// Ranks from 1, ties sharing their mean.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    // Every pair is looked at: there are as many values as tasks.
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// Pearson's correlation.
fn correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_one, mean_other) = (mean(one), mean(other));
    let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
        let pairs = one.iter().zip(other);
        pairs.map(|(a, b)| term(a - mean_one, b - mean_other)).sum()
    };
    let (both, left, right) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    (left > 0.0 && right > 0.0).then(|| both / (left * right).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_decide_and_ties_share_theirs() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 10.0, 11.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[-1.0, -2.0, -30.0]), Some(-1.0));
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 0.0]), [3.5, 2.0, 3.5, 1.0]);
        // 1 - 6 * (1 + 1 + 4) / (4 * 15), the textbook form without ties.
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 4.0, 3.0]).unwrap();
        assert!((rho - 0.6).abs() < 1e-12, "{rho}");
        assert_eq!(spearman(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(spearman(&[1.0], &[3.0]), None);
    }

    #[test]
    fn many_rows_have_the_rho_that_few_have_by_its_definition() {
        let (one, other) = crate::golden::noisy_rows(700, 30);
        let other: Vec<f32> = one
            .iter()
            .zip(&other)
            .map(|(a, b)| a.floor() - 2.0 * b)
            .collect();
        let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|v| f64::from(*v)).collect() };
        let expected = spearman(&wide(&one), &wide(&other)).unwrap();
        let found = rank_correlation(&one, &other).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        assert_eq!(rank_correlation(&one, &one), Some(1.0));
        let turned: Vec<f32> = one.iter().map(|value| -value).collect();
        assert_eq!(rank_correlation(&turned, &one), Some(-1.0));
        assert_eq!(rank_correlation(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(rank_correlation(&[1.0, f32::NAN], &[3.0, 4.0]), None);
        assert_eq!(
            (rank_correlation(&[1.0], &[3.0]), rank_correlation(&[], &[])),
            (None, None)
        );
    }
}

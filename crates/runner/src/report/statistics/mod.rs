//! Statistics over seeds: how large, how sure, and what could have been seen at all.
//!
//! With as few seeds as training allows, everything is counted out where that is possible: every resample of up to
//! eight values, every sign of up to sixteen differences. Beyond, draws come from a counter-based generator with a
//! fixed key, so the same values give the same interval everywhere.

#[cfg(test)]
mod golden;
mod resample;
mod student;

pub use resample::{bootstrap_interval, sign_flip_p_value, smallest_p_value};

/// The two ends of a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether zero lies inside or on an end.
    pub fn includes_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

/// Arithmetic mean; nothing without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation of a sample (n - 1 in the denominator); nothing with fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// A variant against a baseline, seed by seed.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedDifference {
    /// Mean of variant minus baseline.
    pub mean: f64,
    /// Bootstrap interval of that mean; absent with one pair.
    pub interval: Option<Interval>,
    /// Two-sided p-value of the sign-flip permutation test; absent with one pair.
    pub p_value: Option<f64>,
    /// Smallest true mean difference that a paired test at 5 % finds in four of five experiments of this size and
    /// spread; absent with one pair.
    pub smallest_detectable: Option<f64>,
    /// Seeds that both have.
    pub num_pairs: usize,
}

/// Compares values paired by seed; nothing without pairs.
pub fn paired_difference(pairs: &[(f64, f64)]) -> Option<PairedDifference> {
    let differences: Vec<f64> = pairs
        .iter()
        .map(|(variant, baseline)| variant - baseline)
        .collect();
    Some(PairedDifference {
        mean: mean(&differences)?,
        interval: bootstrap_interval(&differences),
        p_value: (differences.len() > 1).then(|| sign_flip_p_value(&differences)),
        smallest_detectable: smallest_detectable_effect(&differences),
        num_pairs: differences.len(),
    })
}

/// Smallest true mean that a two-sided t-test at 5 % finds with probability .8, given as many values of this spread.
/// Nothing with fewer than two values.
pub fn smallest_detectable_effect(differences: &[f64]) -> Option<f64> {
    let deviation = standard_deviation(differences)?;
    let freedom = (differences.len() - 1) as f64;
    let quantiles = student::quantile(0.975, freedom) + student::quantile(0.8, freedom);
    Some(quantiles * deviation / (differences.len() as f64).sqrt())
}

/// Probability that a run of `variant` beats a run of `baseline`, over all pairs of runs, a tie counting one half.
/// Nothing if one of them has no value.
pub fn probability_of_improvement(variant: &[f64], baseline: &[f64]) -> Option<f64> {
    let pairs = variant
        .iter()
        .flat_map(|a| baseline.iter().map(move |b| (a, b)));
    let wins: f64 = pairs
        .map(|(a, b)| {
            if a > b {
                1.0
            } else {
                0.5 * f64::from(u8::from(a == b))
            }
        })
        .sum();
    let num_pairs = variant.len() * baseline.len();
    (num_pairs > 0).then(|| wins / num_pairs as f64)
}

/// Holm's correction: p-values that may be compared with one level although many hypotheses were tested. In the order
/// of the input.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &place) in order.iter().enumerate() {
        let hypotheses_left = (p_values.len() - rank) as f64;
        largest = largest.max(p_values[place] * hypotheses_left).min(1.0);
        corrected[place] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holms_correction_gives_the_textbook_values_in_the_order_of_the_input() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        for (value, expected) in corrected.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn few_values_have_no_spread_and_no_interval() {
        assert_eq!(mean(&[]), None);
        assert_eq!(standard_deviation(&[1.0]), None);
        let single = paired_difference(&[(0.9, 0.8)]).unwrap();
        assert!((single.mean - 0.1).abs() < 1e-12);
        assert_eq!(
            (single.interval, single.p_value, single.smallest_detectable),
            (None, None, None)
        );
        assert_eq!(paired_difference(&[]), None);
        assert_eq!(probability_of_improvement(&[1.0], &[]), None);
    }

    #[test]
    fn equal_pairs_show_no_difference() {
        let equal = paired_difference(&[(0.9, 0.9), (0.8, 0.8), (0.7, 0.7)]).unwrap();
        assert_eq!(equal.p_value, Some(1.0));
        assert!(equal.interval.unwrap().includes_zero());
        assert_eq!(equal.smallest_detectable, Some(0.0));
    }
}

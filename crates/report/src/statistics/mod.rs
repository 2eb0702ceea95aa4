//! Statistics over seeds: how large, how sure, and what could have been seen at all.
//!
//! What decides are Student's interval and test of the paired differences: they hold for as few seeds as training allows
//! (of normal differences), where a bootstrap, which can only repeat what it was given, is too narrow: of three values it is
//! their range, which misses the true mean in one of four experiments. The bootstrap interval and the sign-flip test, which
//! assume no distribution, are given beside them. Both are counted out where that is possible: every resample of up to
//! eight values, every sign of up to sixteen differences. Beyond, draws come from a counter-based generator with a
//! fixed key, so the same values give the same interval everywhere.

#[cfg(test)]
mod golden;
mod improvement;
mod judgement;
mod mantel;
mod resample;
mod student;

pub use improvement::{Improvement, improvement, probability_of_improvement};
pub use judgement::{Evidence, FEWEST_RUNS, Judgement, Verdict, judge};
pub use mantel::{Mantel, mantel};
pub use resample::{bootstrap_interval, sign_flip_p_value, smallest_p_value};

/// The level of every test.
pub const LEVEL: f64 = 0.05;

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

/// Student's 95 % interval of the mean; nothing with fewer than two values.
pub fn student_interval(values: &[f64]) -> Option<Interval> {
    let (mean, error) = (mean(values)?, standard_error(values)?);
    let reach = student::interval_factor(values.len()) * error;
    Some(Interval {
        low: mean - reach,
        high: mean + reach,
    })
}

/// Two-sided p-value of the t-test that the mean is zero; nothing with fewer than two values, or where all are the same
/// and not zero, because then nothing is known of how they spread.
pub fn student_p_value(values: &[f64]) -> Option<f64> {
    let (mean, error) = (mean(values)?, standard_error(values)?);
    match (mean == 0.0, error == 0.0) {
        (true, _) => Some(1.0),
        (false, true) => None,
        _ => Some(student::two_sided(mean / error, (values.len() - 1) as f64)),
    }
}

fn standard_error(values: &[f64]) -> Option<f64> {
    Some(standard_deviation(values)? / (values.len() as f64).sqrt())
}

/// A variant against a baseline, seed by seed.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedDifference {
    /// Mean of variant minus baseline.
    pub mean: f64,
    /// Standard deviation of the differences; absent with one pair.
    pub deviation: Option<f64>,
    /// Student's interval of that mean. It, the p-values and the smallest effect are absent with one pair, or where the
    /// differences are the same at every seed but not zero: two programs without chance in them, say.
    pub interval: Option<Interval>,
    /// Bootstrap interval of that mean.
    pub bootstrap: Option<Interval>,
    /// Two-sided p-value of the paired t-test: below .05 where the interval excludes zero.
    pub p_value: Option<f64>,
    /// Two-sided p-value of the sign-flip permutation test.
    pub sign_flip_p_value: Option<f64>,
    /// Smallest true mean difference that a paired t-test at 5 % finds in four of five experiments of this size and
    /// spread.
    pub smallest_detectable: Option<f64>,
    /// Seeds that both have.
    pub num_pairs: usize,
    /// Whether both have the same number at each of them.
    pub is_identical: bool,
}

impl PairedDifference {
    /// Smallest true mean difference that a paired t-test at this level finds in four of five experiments of this size
    /// and spread.
    pub fn smallest_at(&self, level: f64) -> Option<f64> {
        let deviation = self.deviation.filter(|_| self.interval.is_some())?;
        Some(deviation * student::detectable_mean(self.num_pairs, level))
    }
}

/// Compares values paired by seed; nothing without pairs.
pub fn paired_difference(pairs: &[(f64, f64)]) -> Option<PairedDifference> {
    let differences = differences(pairs);
    let tested = tested(&differences);
    Some(PairedDifference {
        mean: mean(&differences)?,
        deviation: standard_deviation(&differences),
        interval: tested.and_then(student_interval),
        bootstrap: tested.and_then(bootstrap_interval),
        p_value: tested.and_then(student_p_value),
        sign_flip_p_value: tested.map(sign_flip_p_value),
        smallest_detectable: tested
            .and_then(|differences| smallest_detectable_effect(differences, LEVEL)),
        num_pairs: differences.len(),
        is_identical: pairs.iter().all(|(one, other)| one == other),
    })
}

/// Differences of pairs; those that differ by the rounding of the subtraction alone are made equal.
pub fn differences(pairs: &[(f64, f64)]) -> Vec<f64> {
    let mut differences: Vec<f64> = pairs.iter().map(|(one, other)| one - other).collect();
    let sizes = pairs.iter().map(|(one, other)| one.abs().max(other.abs()));
    // A few hundred units in the last place: more than a subtraction leaves, and far less than scores differ by. Without it, two
    // programs without chance in them would seem to differ with a tiny spread, and so with a tiny p-value.
    let rounding = 1e-13 * sizes.fold(0.0, f64::max);
    if let Some(mean) = mean(&differences)
        && differences
            .iter()
            .all(|value| (value - mean).abs() <= rounding)
    {
        differences.fill(mean);
    }
    differences
}

/// The differences, if there is anything to test: two or more, which spread or are all zero.
fn tested(differences: &[f64]) -> Option<&[f64]> {
    let first = *differences.first()?;
    let spread = first == 0.0 || differences.iter().any(|&value| value != first);
    (differences.len() > 1 && spread).then_some(differences)
}

/// Smallest true mean that a two-sided t-test at this level finds with probability .8, given as many values of this
/// spread. Nothing with fewer than two values.
pub fn smallest_detectable_effect(differences: &[f64], level: f64) -> Option<f64> {
    let deviation = standard_deviation(differences)?;
    Some(deviation * student::detectable_mean(differences.len(), level))
}

/// Mean over tasks of the relative change against a baseline, signed so that better is more: the multi-task gain of one
/// seed. Each task is (value, baseline's value, whether higher is better). Nothing without tasks, or where a baseline's
/// value is zero.
pub fn multi_task_gain(tasks: &[(f64, f64, bool)]) -> Option<f64> {
    let change = |(value, baseline, higher): &(f64, f64, bool)| {
        let change = (value - baseline) / baseline.abs();
        let signed = if *higher { change } else { -change };
        (*baseline != 0.0).then_some(signed)
    };
    mean(&tasks.iter().map(change).collect::<Option<Vec<f64>>>()?)
}

/// Standard error of an AUC from the choice of its rows (Hanley and McNeil, 1982): how far another test set of as many
/// positives and negatives would move it. Nothing where a class has no row.
pub fn auc_standard_error(auc: f64, positives: u64, negatives: u64) -> Option<f64> {
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (positives, negatives) = (positives as f64, negatives as f64);
    let two_positives = auc / (2.0 - auc);
    let two_negatives = 2.0 * auc * auc / (1.0 + auc);
    let variance = auc * (1.0 - auc)
        + (positives - 1.0) * (two_positives - auc * auc)
        + (negatives - 1.0) * (two_negatives - auc * auc);
    Some((variance.max(0.0) / (positives * negatives)).sqrt())
}

/// Half the width of the 95 % interval of an AUC that the choice of its rows leaves: 1.96 of [`auc_standard_error`].
pub fn auc_margin(auc: f64, positives: u64, negatives: u64) -> Option<f64> {
    auc_standard_error(auc, positives, negatives).map(|error| 1.96 * error)
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
        // No p-value falls below that of a smaller one before it.
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
    fn differences_without_chance_in_them_are_not_tested() {
        let constant = paired_difference(&[(0.9, 0.8), (0.8, 0.7), (0.7, 0.6)]).unwrap();
        assert!((constant.mean - 0.1).abs() < 1e-12);
        assert_eq!((constant.interval, constant.p_value), (None, None));
        assert_eq!(constant.smallest_detectable, None);
    }

    #[test]
    fn a_gain_counts_falling_losses_and_rising_scores() {
        let gain = multi_task_gain(&[(0.55, 0.5, true), (0.8, 1.0, false)]).unwrap();
        assert!((gain - 0.15).abs() < 1e-12);
        // Of a negative baseline (R² below that of the mean), up is still better.
        assert_eq!(multi_task_gain(&[(-0.5, -1.0, true)]), Some(0.5));
        assert_eq!(multi_task_gain(&[(0.5, 0.0, true)]), None);
        assert_eq!(multi_task_gain(&[]), None);
    }

    #[test]
    fn an_aucs_error_is_hanleys_and_mcneils() {
        // A score that ranks by chance has the variance of Mann and Whitney's statistic: (m + n + 1) / 12 m n.
        let chance = auc_standard_error(0.5, 30, 70).unwrap();
        assert!((chance - (101.0f64 / (12.0 * 2100.0)).sqrt()).abs() < 1e-12);
        // .893 * .107 + 50 (.893 / 1.107 - .893²) + 57 (2 * .893² / 1.893 - .893²), over 51 * 58, and its root.
        let error = auc_standard_error(0.893, 51, 58).unwrap();
        assert!((error - 0.03249).abs() < 0.00005, "{error}");
        assert_eq!(auc_standard_error(0.9, 0, 10), None);
    }

    /// Of normal differences, Student's interval holds the true mean as often as it says, the bootstrap's does not.
    #[test]
    fn with_few_seeds_students_interval_keeps_its_word_and_the_bootstrap_does_not() {
        let random = homebench_random::Philox::new(1, "test", "coverage");
        let coverage = |num_values: u64, interval: fn(&[f64]) -> Option<Interval>| {
            let num_experiments = 4000;
            let holds = (0..num_experiments).filter(|experiment| {
                let value = |place| f64::from(random.normal(experiment * num_values + place));
                let values: Vec<f64> = (0..num_values).map(value).collect();
                interval(&values).unwrap().includes_zero()
            });
            holds.count() as f64 / num_experiments as f64
        };
        for (num_values, bootstrap) in [(3, 0.75), (5, 0.83)] {
            let student = coverage(num_values, student_interval);
            assert!((student - 0.95).abs() < 0.012, "{num_values}: {student}");
            let found = coverage(num_values, bootstrap_interval);
            assert!((found - bootstrap).abs() < 0.025, "{num_values}: {found}");
        }
    }

    #[test]
    fn equal_pairs_show_no_difference() {
        let equal = paired_difference(&[(0.9, 0.9), (0.8, 0.8), (0.7, 0.7)]).unwrap();
        assert_eq!(equal.p_value, Some(1.0));
        assert!(equal.interval.unwrap().includes_zero());
        assert_eq!(equal.smallest_detectable, Some(0.0));
    }
}

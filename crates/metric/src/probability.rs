//! Scores that read predictions as probabilities: log-loss, normalised entropy and calibration, all from logits.

use super::{defined, is_positive, num_observed, ordered_sum};

/// Mean binary cross-entropy in nats, from logits in the stable form `max(x, 0) - x y + ln(1 + e^-|x|)`.
///
/// Nothing without rows or with a logit that is NaN; an infinite logit on the wrong side gives infinity.
///
/// # Shapes
/// - logits: `[rows]`
/// - labels: `[rows]`, 0 or 1, NaN where the row doesn't count
///
/// # Panics
/// If the lengths differ.
pub fn log_loss(logits: &[f32], labels: &[f32]) -> Option<f64> {
    let total = ordered_sum(logits, labels, row_loss);
    defined(total / num_observed(labels) as f64)
}

/// Softplus of the logit, turned where the label is positive: no difference of infinities arises.
pub(super) fn row_loss(logit: f32, label: f32) -> f64 {
    if label.is_nan() {
        return 0.0;
    }
    let against = f64::from(if is_positive(label) { -logit } else { logit });
    against.max(0.0) + libm::log1p(libm::exp(-against.abs()))
}

/// Log-loss over the entropy of the base rate (He et al., "Practical lessons from predicting clicks", 2014): 1 is a
/// constant prediction of the observed rate, lower is better.
///
/// Nothing where [`log_loss`] has nothing, or where one class only makes the entropy 0.
///
/// # Panics
/// If the lengths differ.
pub fn normalised_entropy(logits: &[f32], labels: &[f32]) -> Option<f64> {
    let loss = log_loss(logits, labels)?;
    let rate = positives(labels) as f64 / num_observed(labels) as f64;
    let entropy = -(rate * libm::log(rate) + (1.0 - rate) * libm::log1p(-rate));
    (rate > 0.0 && rate < 1.0).then(|| loss / entropy)
}

/// Sum of predicted probabilities over the number of positives: 1 is calibrated in the large, more is overestimation.
///
/// Nothing without a positive, or with a logit that is NaN.
///
/// # Panics
/// If the lengths differ.
pub fn calibration(logits: &[f32], labels: &[f32]) -> Option<f64> {
    let predicted = ordered_sum(logits, labels, |logit, label| match label.is_nan() {
        true => 0.0,
        false => sigmoid(logit),
    });
    let observed = positives(labels);
    defined(predicted / observed as f64).filter(|_| observed > 0)
}

/// Expected calibration error over `num_bins` bins of equal width: the mean over rows of the distance between the
/// predicted and the observed rate of the row's bin. A probability of 1 belongs to the last bin.
///
/// Nothing without rows, or with a logit that is NaN.
///
/// # Panics
/// If the lengths differ, or `num_bins` is 0.
pub fn expected_calibration_error(logits: &[f32], labels: &[f32], num_bins: usize) -> Option<f64> {
    assert!(num_bins > 0, "at least one bin");
    super::assert_same_length(logits, labels);
    // One thread in the order of rows: sums of threads would depend on how many there are.
    let mut predicted = vec![0.0; num_bins];
    let mut observed = vec![0usize; num_bins];
    let rows = logits.iter().zip(labels);
    for (&logit, &label) in rows.filter(|(_, label)| !label.is_nan()) {
        let probability = sigmoid(logit);
        let bin = ((probability * num_bins as f64) as usize).min(num_bins - 1);
        predicted[bin] += probability;
        observed[bin] += usize::from(is_positive(label));
    }
    let bins = predicted.iter().zip(&observed);
    let distance: f64 = bins.map(|(p, &o)| (p - o as f64).abs()).sum();
    defined(distance / num_observed(labels) as f64)
}

pub(super) fn sigmoid(logit: f32) -> f64 {
    let logit = f64::from(logit);
    // The exponential of a negative number can't overflow.
    let small = libm::exp(-logit.abs());
    if logit < 0.0 {
        small / (1.0 + small)
    } else {
        1.0 / (1.0 + small)
    }
}

/// Brier score: the mean squared distance between the predicted probability and the label.
///
/// Nothing without rows or with a logit that is NaN.
///
/// # Shapes
/// As of [`log_loss`].
///
/// # Panics
/// If the lengths differ.
pub fn brier(logits: &[f32], labels: &[f32]) -> Option<f64> {
    let total = ordered_sum(logits, labels, squared_distance);
    defined(total / num_observed(labels) as f64)
}

/// Squared distance between a row's probability and its label; 0 of a row that doesn't count.
pub(super) fn squared_distance(logit: f32, label: f32) -> f64 {
    if label.is_nan() {
        return 0.0;
    }
    // From the side of the label, so that a sure and right prediction loses no digits.
    let against = sigmoid(if is_positive(label) { -logit } else { logit });
    against * against
}

fn positives(labels: &[f32]) -> usize {
    labels.iter().filter(|&&label| is_positive(label)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{in_threads, noisy_rows};

    fn close(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() <= 1e-12 * expected.abs().max(1.0))
    }

    #[test]
    fn a_logit_of_zero_costs_ln_2_and_large_logits_stay_finite() {
        assert!(close(
            log_loss(&[0.0, 0.0], &[0.0, 1.0]),
            std::f64::consts::LN_2
        ));
        assert!(close(log_loss(&[100.0, -100.0], &[0.0, 1.0]), 100.0));
        assert_eq!(
            log_loss(&[f32::INFINITY, f32::NEG_INFINITY], &[1.0, 0.0]),
            Some(0.0)
        );
        assert_eq!(log_loss(&[f32::INFINITY], &[0.0]), Some(f64::INFINITY));
        let tiny = log_loss(&[50.0], &[1.0]).unwrap();
        assert!(
            (tiny / (-50f64).exp() - 1.0).abs() < 1e-12,
            "no digits lost: {tiny}"
        );
    }

    #[test]
    fn brier_is_a_quarter_of_chance_and_nothing_of_certainty() {
        assert_eq!(brier(&[0.0, 0.0], &[0.0, 1.0]), Some(0.25));
        assert_eq!(
            brier(&[f32::INFINITY, f32::NEG_INFINITY], &[1.0, 0.0]),
            Some(0.0)
        );
        assert_eq!(brier(&[f32::INFINITY, 0.0], &[0.0, f32::NAN]), Some(1.0));
        assert_eq!(brier(&[], &[]), None);
        assert_eq!(brier(&[f32::NAN], &[1.0]), None);
    }

    #[test]
    fn no_rows_and_a_nan_have_no_loss() {
        assert_eq!(log_loss(&[], &[]), None);
        assert_eq!(log_loss(&[f32::NAN, 1.0], &[0.0, 1.0]), None);
        assert_eq!(calibration(&[f32::NAN], &[1.0]), None);
        assert_eq!(expected_calibration_error(&[], &[], 10), None);
    }

    #[test]
    fn the_base_rate_has_a_normalised_entropy_of_one_and_is_calibrated() {
        let labels = [1.0, 0.0, 0.0, 0.0];
        let logits = [(1.0f32 / 3.0).ln(); 4];
        let entropy = normalised_entropy(&logits, &labels).unwrap();
        assert!((entropy - 1.0).abs() < 1e-7, "{entropy}");
        assert!((calibration(&logits, &labels).unwrap() - 1.0).abs() < 1e-7);
        assert!(expected_calibration_error(&logits, &labels, 10).unwrap() < 1e-7);
        assert_eq!(normalised_entropy(&logits, &[1.0; 4]), None);
        assert_eq!(calibration(&logits, &[0.0; 4]), None);
    }

    #[test]
    fn certain_predictions_fall_into_the_outer_bins() {
        let logits = [f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!(
            expected_calibration_error(&logits, &[1.0, 0.0], 10),
            Some(0.0)
        );
        assert_eq!(
            expected_calibration_error(&logits, &[0.0, 1.0], 10),
            Some(1.0)
        );
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (logits, labels) = noisy_rows(300_001, 1_000_000);
        let alone = in_threads(1, || log_loss(&logits, &labels).unwrap().to_bits());
        for threads in [2, 3] {
            let together = in_threads(threads, || log_loss(&logits, &labels).unwrap().to_bits());
            assert_eq!(together, alone);
        }
    }
}

//! Scores of regression tasks.

use super::{defined, ordered_sum};

/// Mean of squared differences. Nothing without rows, or with a NaN.
///
/// # Panics
/// If the lengths differ.
pub fn mean_squared_error(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    defined(squared_error(predictions, labels) / labels.len() as f64)
}

/// Coefficient of determination: 1 minus the squared error over that of the labels' mean.
///
/// Nothing where the labels don't vary, or with a NaN.
///
/// # Panics
/// If the lengths differ.
pub fn r_squared(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    let mean = ordered_sum(labels, labels, |label, _| f64::from(label)) / labels.len() as f64;
    let spread = ordered_sum(labels, labels, |label, _| (f64::from(label) - mean).powi(2));
    let value = 1.0 - squared_error(predictions, labels) / spread;
    // A mean that rounds makes a spread of labels that don't vary.
    let vary = labels.iter().any(|label| *label != labels[0]);
    defined(value).filter(|_| vary && spread > 0.0)
}

/// Root of the [`mean_squared_error`], in the unit of the labels.
///
/// # Panics
/// If the lengths differ.
pub fn root_mean_squared_error(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    mean_squared_error(predictions, labels).map(f64::sqrt)
}

/// Mean of absolute differences. Nothing without rows, or with a NaN.
///
/// # Panics
/// If the lengths differ.
pub fn mean_absolute_error(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    defined(ordered_sum(predictions, labels, distance) / labels.len() as f64)
}

fn squared_error(predictions: &[f32], labels: &[f32]) -> f64 {
    ordered_sum(predictions, labels, squared_distance)
}

pub(super) fn squared_distance(prediction: f32, label: f32) -> f64 {
    (f64::from(prediction) - f64::from(label)).powi(2)
}

pub(super) fn distance(prediction: f32, label: f32) -> f64 {
    (f64::from(prediction) - f64::from(label)).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_predictions_score_zero_and_one_and_the_mean_scores_nothing() {
        let labels = [1.0, 2.0, 6.0];
        assert_eq!(mean_squared_error(&labels, &labels), Some(0.0));
        assert_eq!(r_squared(&labels, &labels), Some(1.0));
        assert_eq!(mean_squared_error(&[3.0; 3], &labels), Some(14.0 / 3.0));
        assert_eq!(mean_absolute_error(&[3.0; 3], &labels), Some(2.0));
        assert_eq!(root_mean_squared_error(&[3.0; 2], &[1.0, 5.0]), Some(2.0));
        assert_eq!(r_squared(&[3.0; 3], &labels), Some(0.0));
    }

    #[test]
    fn no_rows_constant_labels_and_a_nan_have_no_score() {
        assert_eq!(mean_squared_error(&[], &[]), None);
        assert_eq!(mean_absolute_error(&[], &[]), None);
        assert_eq!(mean_absolute_error(&[f32::NAN], &[1.0]), None);
        assert_eq!(r_squared(&[1.0, 2.0], &[5.0, 5.0]), None);
        assert_eq!(r_squared(&[0.0; 11], &[0.1; 11]), None);
        assert_eq!(r_squared(&[f32::NAN, 2.0], &[5.0, 6.0]), None);
    }
}

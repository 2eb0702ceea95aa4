//! Runs so far from all others that an axis with room for them would show nothing else: they are drawn at its edge.

use super::axis::{Axis, range};
use super::canvas::{Canvas, Ink, points};
use std::ops::RangeInclusive;

// A cut axis has to be explained, so only where all other runs would be squeezed into a third of it or less.
/// A range is cut where that makes it this many times narrower.
const WORTH_IT: f64 = 3.0;

/// What is told below a figure some of whose values are not in the shown range.
pub(super) const REMARK: &str =
    "What ends at an edge lies or goes on beyond it; the axis shows the range of most runs.";

/// Values that an axis should show, of those of each variant's runs: all of them, or, where a few runs lie far from their own
/// variant and from every other, the others.
pub(super) fn shown_range(variants: &[Vec<f64>]) -> RangeInclusive<f64> {
    let medians: Vec<f64> = variants.iter().filter_map(|runs| median(runs)).collect();
    let (low, high) = range(medians.iter().copied());
    let deviations = variants.iter().flat_map(|runs| {
        let middle = median(runs).unwrap_or(0.0);
        runs.iter().map(move |run| (run - middle).abs())
    });
    // The median itself deviates from nothing.
    let deviations: Vec<f64> = deviations.filter(|deviation| *deviation > 0.0).collect();
    // How far variants lie apart, and not less than runs of one do.
    let width = (high - low).max(6.0 * median(&deviations).unwrap_or(0.0));
    // Medians of variants and of deviations: one run that is far off moves neither, as it would a mean.
    let fence = low - 2.0 * width..=high + 2.0 * width;
    let all = variants.iter().flatten().copied();
    let (least, most) = range(all.clone());
    let (low, high) = range(all.filter(|value| fence.contains(value)));
    if most - least > WORTH_IT * (high - low) {
        fence
    } else {
        f64::NEG_INFINITY..=f64::INFINITY
    }
}

/// A value's place on the axis, or the nearer end with the side (-1 or 1) on which the value is beyond it.
pub(super) fn place(axis: &Axis, value: f64) -> (f64, Option<f64>) {
    let at = axis.place(value);
    let (start, end) = axis.ends();
    let (left, right) = (start.min(end), start.max(end));
    match at {
        at if at < left => (left, Some(-1.0)),
        at if at > right => (right, Some(1.0)),
        _ => (at, None),
    }
}

/// Draws an arrow for a value beyond an axis, with its tip at the edge. `towards` is the direction, one of x and y being 0.
pub(super) fn at_edge(canvas: &mut Canvas, tip: (f64, f64), towards: (f64, f64), ink: Ink) {
    let (length, half) = (points(4.2), points(2.0));
    let base = (tip.0 - towards.0 * length, tip.1 - towards.1 * length);
    let (across, along) = (half * towards.1, half * towards.0);
    canvas.area(
        vec![
            tip,
            (base.0 + across, base.1 + along),
            (base.0 - across, base.1 - along),
        ],
        ink,
    );
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_shown(variants: &[&[f64]], value: f64) -> bool {
        let variants: Vec<Vec<f64>> = variants.iter().map(|runs| runs.to_vec()).collect();
        shown_range(&variants).contains(&value)
    }

    #[test]
    fn a_run_far_from_its_own_variant_and_all_others_is_beyond() {
        let dead: &[f64] = &[0.706, 0.5, 0.708, 0.704, 0.707];
        let whole: &[f64] = &[0.700, 0.702, 0.701, 0.699, 0.703];
        assert!(!is_shown(&[whole, dead], 0.5));
        assert!(is_shown(&[whole, dead], 0.708));
    }

    #[test]
    fn a_variant_whose_every_run_is_far_is_shown() {
        let linear: &[f64] = &[0.5, 0.501, 0.502];
        let whole: &[f64] = &[0.700, 0.702, 0.701];
        assert!(is_shown(&[linear, whole], 0.5));
    }

    #[test]
    fn runs_that_differ_moderately_few_runs_and_none_are_shown() {
        assert!(is_shown(&[&[0.70, 0.71, 0.69], &[0.72, 0.66, 0.71]], 0.66));
        assert!(is_shown(&[&[0.70, 0.70, 0.50]], 0.5));
        assert!(is_shown(&[&[0.70, 0.5]], 0.5));
        assert!(is_shown(&[&[0.70, 0.70, 0.70]], 0.7));
        assert!(is_shown(&[], 0.5));
    }

    #[test]
    fn values_beyond_either_end_of_either_direction_go_to_the_edge() {
        let axis = |start, end| Axis::around([0.0, 1.0].into_iter(), start, end);
        assert_eq!(place(&axis(10.0, 90.0), -9.0), (10.0, Some(-1.0)));
        assert_eq!(place(&axis(10.0, 90.0), 9.0), (90.0, Some(1.0)));
        let (at, beyond) = place(&axis(10.0, 90.0), 0.5);
        assert!((at - 50.0).abs() < 1e-9 && beyond.is_none());
        assert_eq!(place(&axis(90.0, 10.0), 9.0), (10.0, Some(-1.0)));
    }
}

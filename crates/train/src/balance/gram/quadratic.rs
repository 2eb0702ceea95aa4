//! Convex quadratic problems of a few variables, by active sets: exact up to rounding, where iterations towards a solution stop somewhere.

use super::matrix::{Gram, dot, solve};

/// How far a slope may point down, as a share of the largest.
const TOLERANCE: f64 = 1e-11;

/// What is added to a singular matrix, as a share of its largest entry.
const RIDGE: f64 = 1e-11;

/// The `x >= 0` with a sum of 1, or with any sum, that makes `x M x / 2 + b x` least.
///
/// Source: Nocedal and Wright, "Numerical optimization", 2006, algorithm 16.3.
pub(super) fn least(matrix: &Gram, linear: &[f64], has_sum: bool) -> Vec<f64> {
    let size = linear.len();
    let mut found = vec![0.0; size];
    let mut is_free = vec![false; size];
    if has_sum {
        let of = |task: &usize| matrix.at(*task, *task) / 2.0 + linear[*task];
        let best = (0..size).min_by(|one, other| of(one).total_cmp(&of(other)));
        let Some(best) = best else {
            return found;
        };
        (found[best], is_free[best]) = (1.0, true);
    }
    // Every round frees or holds a variable, and none of the sets of free ones comes twice but for rounding.
    for _ in 0..50 * (size + 1) {
        let free: Vec<usize> = (0..size).filter(|place| is_free[*place]).collect();
        // Gradients that depend on each other have many answers; a ridge takes the one of equal shares.
        let target = stationary(matrix, linear, &free, has_sum, 0.0)
            .or_else(|| stationary(matrix, linear, &free, has_sum, RIDGE));
        let Some(target) = target else {
            break;
        };
        let blocking = free
            .iter()
            .zip(&target)
            .filter(|(_, target)| **target <= 0.0)
            .map(|(place, target)| (found[*place] / (found[*place] - target), *place))
            .filter(|(share, _)| share.is_finite())
            .min_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((share, held)) = blocking {
            for (place, target) in free.iter().zip(&target) {
                found[*place] += share.clamp(0.0, 1.0) * (target - found[*place]);
            }
            (found[held], is_free[held]) = (0.0, false);
            continue;
        }
        for (place, target) in free.iter().zip(&target) {
            found[*place] = target.max(0.0);
        }
        // Slopes of the held variables, above that along the sum.
        let slopes: Vec<f64> = matrix
            .times(&found)
            .iter()
            .zip(linear)
            .map(|(product, linear)| product + linear)
            .collect();
        let level = match has_sum {
            true => dot(&slopes, &found),
            false => 0.0,
        };
        let scale = slopes
            .iter()
            .chain(linear)
            .fold(0f64, |most, slope| most.max(slope.abs()));
        let steepest = (0..size)
            .filter(|place| !is_free[*place])
            .min_by(|one, other| slopes[*one].total_cmp(&slopes[*other]));
        match steepest {
            Some(place) if slopes[place] < level - TOLERANCE * scale => is_free[place] = true,
            _ => break,
        }
    }
    found
}

/// Where the problem of the free variables alone has no slope; none where that is not one place.
fn stationary(
    matrix: &Gram,
    linear: &[f64],
    free: &[usize],
    has_sum: bool,
    ridge: f64,
) -> Option<Vec<f64>> {
    let count = free.len();
    let size = count + usize::from(has_sum);
    // The row of the sum is of the others' scale, so that pivots compare.
    let scale = free
        .iter()
        .fold(0f64, |most, place| most.max(matrix.at(*place, *place)))
        .max(f64::MIN_POSITIVE);
    let mut system = vec![0.0; size * size];
    let mut right = vec![0.0; size];
    for (row, place) in free.iter().enumerate() {
        for (column, other) in free.iter().enumerate() {
            system[row * size + column] = matrix.at(*place, *other);
        }
        system[row * size + row] += ridge * scale;
        right[row] = -linear[*place];
        if has_sum {
            system[row * size + count] = scale;
            system[count * size + row] = scale;
        }
    }
    if has_sum {
        right[count] = scale;
    }
    let mut found = solve(system, right)?;
    found.truncate(count);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::gram::tests::random_gram;

    /// No slope down is left, and no variable is below 0: of a convex problem, the answer.
    #[test]
    fn no_way_leads_down_from_what_is_found() {
        for size in 1..9 {
            for seed in 0..40 {
                // Fewer dimensions than tasks now and then: gradients that depend on each other.
                let matrix = random_gram(size, 1 + seed as usize % 9, seed);
                let linear: Vec<f64> = (0..size)
                    .map(|place| matrix.at(place, (place + 1) % size) - 0.3 * matrix.at(0, 0))
                    .collect();
                for has_sum in [true, false] {
                    // Without a sum, a singular matrix may have no least value.
                    if !has_sum && (seed as usize % 9) < size {
                        continue;
                    }
                    let found = least(&matrix, &linear, has_sum);
                    assert!(found.iter().all(|value| *value >= 0.0));
                    let products = matrix.times(&found);
                    let slopes: Vec<f64> =
                        products.iter().zip(&linear).map(|(p, l)| p + l).collect();
                    let all = slopes.iter().chain(&linear);
                    let scale = all.fold(1e-9f64, |most, slope| most.max(slope.abs()));
                    let level = match has_sum {
                        true => {
                            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                            dot(&slopes, &found)
                        }
                        false => 0.0,
                    };
                    for (value, slope) in found.iter().zip(&slopes) {
                        assert!(*slope >= level - 1e-8 * scale, "{found:?} {slopes:?}");
                        let is_flat = (slope - level).abs() < 1e-8 * scale;
                        assert!(
                            *value < 1e-9 || is_flat,
                            "{size} {seed} {has_sum}: {found:?} {slopes:?}"
                        );
                    }
                }
            }
        }
    }
}

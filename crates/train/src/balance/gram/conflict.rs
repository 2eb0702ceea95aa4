//! Methods that change each task's gradient where it conflicts with another's, as coefficients of the gradients.

use super::matrix::{Gram, dot};
use super::quadratic::least;

/// What UPGrad's authors add to the matrix, divided by its trace, so that a projection is one place.
const REGULARISATION: f64 = 1e-4;

/// Yu et al. 2020 (arXiv:2001.06782): each task's gradient loses what points against another task's, one after another in the order given;
/// the sum of what is left.
pub(super) fn pcgrad(matrix: &Gram, orders: &[Vec<usize>]) -> Vec<f64> {
    let size = matrix.size();
    let mut sum = vec![0.0; size];
    for (task, order) in orders.iter().enumerate() {
        let mut own = unit(size, task);
        for other in order {
            let product = dot(&own, &row(matrix, *other));
            if product < 0.0 {
                own[*other] -= product / matrix.at(*other, *other);
            }
        }
        sum.iter_mut().zip(&own).for_each(|(sum, own)| *sum += own);
    }
    sum
}

/// Wang et al. 2021 (arXiv:2010.05874): as PCGrad, but each gradient turns until its cosine with another is the running mean of what it was.
/// `means` is that mean of each pair, row-major, and goes on with a share `beta` of the new cosine.
pub(super) fn gradvac(
    matrix: &Gram,
    orders: &[Vec<usize>],
    means: &mut dyn FnMut(usize, usize) -> f64,
    learn: &mut dyn FnMut(usize, usize, f64),
) -> Vec<f64> {
    let size = matrix.size();
    let norms = matrix.norms();
    let mut sum = vec![0.0; size];
    for (task, order) in orders.iter().enumerate() {
        let mut own = unit(size, task);
        for other in order {
            let norm = matrix.squared_norm(&own).sqrt();
            let product = dot(&own, &row(matrix, *other));
            let cosine = (product / (norm * norms[*other])).clamp(-1.0, 1.0);
            let wanted = means(task, *other);
            if cosine < wanted {
                let [of_cosine, of_wanted] = [cosine, wanted].map(|c| (1.0 - c * c).sqrt());
                own[*other] +=
                    norm * (wanted * of_cosine - cosine * of_wanted) / (norms[*other] * of_wanted);
            }
            learn(task, *other, cosine);
        }
        sum.iter_mut().zip(&own).for_each(|(sum, own)| *sum += own);
    }
    sum
}

/// Liu et al. 2021 (arXiv:2110.14048): `d = g_0 + c |g_0| g_w / |g_w|`, g_0 the mean gradient and w on the simplex so that
/// `g_w . g_0 + c |g_0| |g_w|` is least.
pub(super) fn cagrad(matrix: &Gram, c: f64) -> Vec<f64> {
    let size = matrix.size();
    let mean = vec![1.0 / size as f64; size];
    let radius = c * matrix.squared_norm(&mean).sqrt();
    if radius == 0.0 {
        return mean;
    }
    let linear = matrix.times(&mean);
    // Where |g_w| = n, the slope is that of g_w . g_0 + radius |g_w|^2 / (2 n): a quadratic problem for each n, and one n at which its
    // solution has that norm.
    let at = |norm: f64| {
        let scaled = Gram::new(size, |row, column| radius / norm * matrix.at(row, column));
        least(&scaled, &linear, true)
    };
    let (mut low, mut high) = (0.0, matrix.norms().into_iter().fold(0.0, f64::max));
    let smallest = 1e-12 * high;
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if middle <= smallest || middle == low || middle == high {
            break;
        }
        match matrix.squared_norm(&at(middle)).sqrt() > middle {
            true => low = middle,
            false => high = middle,
        }
    }
    let weights = at(high.max(smallest));
    let norm = matrix.squared_norm(&weights).sqrt();
    if norm <= smallest {
        return mean;
    }
    let factor = radius / norm;
    let both = mean.iter().zip(&weights);
    both.map(|(mean, weight)| mean + factor * weight).collect()
}

/// Quinton and Rey 2024 (arXiv:2406.16232): the mean over tasks of each gradient's projection onto the cone of directions that conflict with
/// none.
pub(super) fn upgrad(matrix: &Gram) -> Vec<f64> {
    let size = matrix.size();
    let trace: f64 = (0..size).map(|task| matrix.at(task, task)).sum();
    let regular = Gram::new(size, |row, column| {
        let more = if row == column { REGULARISATION } else { 0.0 };
        matrix.at(row, column) / trace + more
    });
    let mut sum = vec![0.0; size];
    for task in 0..size {
        // The projection of g_t has coefficients v >= e_t of the least v M v: v = e_t + x, x >= 0.
        let more = least(&regular, &row(&regular, task), false);
        sum[task] += 1.0;
        sum.iter_mut()
            .zip(&more)
            .for_each(|(sum, more)| *sum += more);
    }
    sum.iter().map(|sum| sum / size as f64).collect()
}

fn unit(size: usize, place: usize) -> Vec<f64> {
    let mut unit = vec![0.0; size];
    unit[place] = 1.0;
    unit
}

fn row(matrix: &Gram, row: usize) -> Vec<f64> {
    (0..matrix.size())
        .map(|column| matrix.at(row, column))
        .collect()
}

//! How far features are from those of a teacher, whatever the lengths of both.

use crate::composed::{spread, sum_of_rows};
use crate::cuda::is_on_processor;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use crate::parameter::values;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Added to squared lengths, so that rows of zeros have a direction: none.
const EPSILON: f64 = 1e-6;

/// Rows that one task passes over.
const TASK_ROWS: usize = 64;

/// `sum over tasks of mean over rows of |n(x) - n(target)|^2` with `n(x) = x / sqrt(|x|^2 + 1e-6)`: Li and Bilen, "Knowledge
/// distillation for multi-task learning", arXiv:2007.06889. Targets are constants to the gradient.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::normalised_distance;
///
/// # fn main() -> candle_core::Result<()> {
/// let xs = Tensor::new(&[[[3f32, 4.0], [0.0, 2.0]]], &Device::Cpu)?;
/// // The first row points the same way; the second is at a right angle, |n(a) - n(b)|^2 = 2 - 2 cos = 2.
/// let targets = Tensor::new(&[[[6f32, 8.0], [1.0, 0.0]]], &Device::Cpu)?;
/// let distance = normalised_distance(&xs, &targets)?.to_scalar::<f32>()?;
/// assert!((distance - 1.0).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - xs, targets: [tasks, rows, width]
/// - result: a scalar
///
/// # Errors
/// Shapes that differ, or no rows.
pub fn normalised_distance(xs: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let (_, num_rows, width) = xs.dims3()?;
    if xs.dims() != targets.dims() || num_rows == 0 || width == 0 {
        candle_core::bail!(
            "features {:?} can't be compared with {:?}",
            xs.dims(),
            targets.dims()
        );
    }
    if !is_on_processor(xs) {
        return normalised_distance_composed(xs, targets);
    }
    let operator = Operator {
        targets: values(&targets.contiguous()?)?.to_vec(),
        width,
        num_rows,
    };
    apply_1(operator, xs)
}

/// The same from candle's stock operators, on any device and type: the reference.
///
/// # Errors
/// As [`normalised_distance`].
pub fn normalised_distance_composed(xs: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let num_rows = xs.dim(1)?;
    let normalised = |xs: &Tensor| -> Result<Tensor> {
        let length = (sum_of_rows(&xs.sqr()?)? + EPSILON)?.sqrt()?;
        xs.div(&spread(&length, xs.dim(2)?)?)
    };
    let difference = normalised(xs)?.sub(&normalised(&targets.detach())?)?;
    difference.sqr()?.sum_all()? / num_rows as f64
}

struct Operator {
    targets: Vec<f32>,
    width: usize,
    num_rows: usize,
}

impl Fused<1> for Operator {
    const NAME: &'static str = "normalised-distance";
    /// The slopes.
    type Kept = Vec<f32>;

    fn forward(&self, [xs]: [Argument<'_>; 1]) -> Result<Output<Vec<f32>>> {
        let xs = xs.values;
        let part = TASK_ROWS * self.width;
        let mut slopes = vec![0f32; xs.len()];
        let mut distances = vec![0f64; xs.len() / self.width];
        slopes
            .par_chunks_mut(part)
            .zip(xs.par_chunks(part))
            .zip(self.targets.par_chunks(part))
            .zip(distances.par_chunks_mut(TASK_ROWS))
            .for_each(|(((slopes, xs), targets), distances)| {
                let rows = slopes
                    .chunks_exact_mut(self.width)
                    .zip(xs.chunks_exact(self.width));
                let rows = rows.zip(targets.chunks_exact(self.width));
                for (((slopes, xs), target), distance) in rows.zip(distances) {
                    *distance = row_distance(slopes, xs, target, self.num_rows as f64);
                }
            });
        // Rows in order, whoever made them: the same sum at any number of threads.
        let sum: f64 = distances.iter().sum();
        let value = (sum / self.num_rows as f64) as f32;
        Ok(Output::new(vec![value], (), slopes))
    }

    fn backward(
        &self,
        _arguments: [Argument<'_>; 1],
        arrived: Arrived<'_, Vec<f32>>,
    ) -> Result<Gradients<1>> {
        Ok([Some(arrived.scaled_slopes())])
    }
}

/// A row's distance; its slopes over `num_rows` are left in `slopes`.
fn row_distance(slopes: &mut [f32], xs: &[f32], target: &[f32], num_rows: f64) -> f64 {
    let inverse_length = |xs: &[f32]| {
        let squares = xs.iter().map(|x| f64::from(*x) * f64::from(*x));
        1.0 / (squares.sum::<f64>() + EPSILON).sqrt()
    };
    let (own, of_target) = (inverse_length(xs), inverse_length(target));
    let (mut distance, mut along) = (0.0, 0.0);
    for (x, target) in xs.iter().zip(target) {
        let difference = f64::from(*x) * own - f64::from(*target) * of_target;
        distance += difference * difference;
        along += difference * f64::from(*x);
    }
    // dn/dx = r I - r^3 x x^T with r one over the length, and d|n - m|^2 = 2 (n - m) dn.
    for ((slope, x), target) in slopes.iter_mut().zip(xs).zip(target) {
        let difference = f64::from(*x) * own - f64::from(*target) * of_target;
        let of_row = 2.0 * own * (difference - own * own * f64::from(*x) * along);
        *slope = (of_row / num_rows) as f32;
    }
    distance
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|at| ((at * 37 + seed * 11) % 29) as f32 / 9.0 - 1.5)
            .collect()
    }

    fn tensor(values: &[f32], dims: (usize, usize, usize)) -> Tensor {
        Tensor::from_slice(values, dims, &Device::Cpu).unwrap()
    }

    fn value(tensor: &Tensor) -> f64 {
        f64::from(tensor.to_scalar::<f32>().unwrap())
    }

    #[test]
    fn distance_and_slopes_are_those_of_the_composed_form_and_of_finite_differences() {
        // More rows than one task passes over.
        let dims = (2, 70, 3);
        let (start, targets) = (numbers(420, 1), tensor(&numbers(420, 5), dims));
        let slopes = |distance: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>| {
            let xs = Var::from_tensor(&tensor(&start, dims)).unwrap();
            let found = distance(&xs, &targets).unwrap();
            let gradients = found.backward().unwrap();
            let slopes = gradients.get(&xs).unwrap().flatten_all().unwrap();
            (value(&found), slopes.to_vec1::<f32>().unwrap())
        };
        let (fused, fused_slopes) = slopes(&normalised_distance);
        let (composed, composed_slopes) = slopes(&normalised_distance_composed);
        assert!((fused - composed).abs() < 1e-5, "{fused} {composed}");
        for (fused, composed) in fused_slopes.iter().zip(&composed_slopes) {
            assert!((fused - composed).abs() < 1e-6, "{fused} {composed}");
        }
        for at in (0..420).step_by(13) {
            let side = |step: f32| {
                let mut changed = start.clone();
                changed[at] += step;
                value(&normalised_distance(&tensor(&changed, dims), &targets).unwrap())
            };
            let step = 1.0 / 64.0;
            let difference = (side(step) - side(-step)) / (2.0 * f64::from(step));
            let slope = f64::from(fused_slopes[at]);
            assert!(
                (difference - slope).abs() < 1e-3,
                "{at}: {difference} {slope}"
            );
        }
    }

    #[test]
    fn lengths_do_not_matter_and_rows_of_zeros_are_finite() {
        let dims = (1, 4, 3);
        let (xs, targets) = (numbers(12, 2), numbers(12, 3));
        let of = |xs: &[f32], targets: &[f32]| {
            value(&normalised_distance(&tensor(xs, dims), &tensor(targets, dims)).unwrap())
        };
        let longer: Vec<f32> = xs.iter().map(|x| x * 100.0).collect();
        assert!((of(&xs, &targets) - of(&longer, &targets)).abs() < 1e-4);
        assert_eq!(of(&xs, &xs), 0.0);
        assert!(of(&[0.0; 12], &targets).is_finite());
        assert_eq!(of(&[0.0; 12], &[0.0; 12]), 0.0);
    }

    #[test]
    fn other_shapes_are_refused() {
        let xs = tensor(&numbers(12, 2), (1, 4, 3));
        let said = normalised_distance(&xs, &tensor(&numbers(12, 2), (1, 3, 4)));
        let said = said.unwrap_err().to_string();
        assert!(
            said.starts_with("features [1, 4, 3] can't be compared with [1, 3, 4]"),
            "{said}"
        );
    }
}

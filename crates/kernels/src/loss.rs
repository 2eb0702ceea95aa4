//! The loss of all tasks at once: binary cross-entropy from logits, or the squared error where a task predicts a number.

use crate::cuda::{self, Machine};
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use crate::simd::{exp, multiversioned};
use candle_core::{DType, Device, Result, Tensor};

/// Labels of a batch with what weighs them.
#[derive(Debug, Clone)]
pub struct Targets {
    /// 0 or 1, or any number of a task of regression, row-major [batch, tasks]; anything where its weight is 0.
    pub labels: Vec<f32>,
    /// Weight of each label, row-major [batch, tasks]; 0 where a task was not observed. Absent: all 1.
    pub label_weights: Option<Vec<f32>>,
    /// Weight of each task in the sum. Absent: all 1.
    pub task_weights: Option<Vec<f32>>,
    /// Factor of each task's positive labels. Absent: all 1.
    pub positive_weights: Option<Vec<f32>>,
    /// Which tasks predict a number: their labels are any numbers, their loss is the squared error of the model's output, and
    /// positive weights don't concern them. Absent: none.
    pub regression: Option<Vec<bool>>,
}

impl Targets {
    /// Every label observed, every weight 1.
    pub fn new(labels: Vec<f32>) -> Self {
        Self {
            labels,
            label_weights: None,
            task_weights: None,
            positive_weights: None,
            regression: None,
        }
    }

    /// As [`Self::new`], but a label that is NaN is a task that was not observed: its weight is 0. Where `row_weights` has
    /// values, one a row, they are the weights of the other labels.
    ///
    /// # Panics
    /// `row_weights` has values, but not one a row.
    pub fn observed(labels: Vec<f32>, row_weights: &[f32]) -> Self {
        let has_gaps = labels.iter().any(|label| label.is_nan());
        let weight = |(index, label): (usize, &f32)| match label.is_nan() {
            true => 0.0,
            false if row_weights.is_empty() => 1.0,
            false => row_weights[index / (labels.len() / row_weights.len())],
        };
        let is_weighted = has_gaps || !row_weights.is_empty();
        Self {
            label_weights: is_weighted.then(|| labels.iter().enumerate().map(weight).collect()),
            ..Self::new(labels)
        }
    }

    /// Which tasks at least one row observes.
    pub fn observed_tasks(&self, num_tasks: usize) -> Vec<bool> {
        let Some(weights) = &self.label_weights else {
            return vec![true; num_tasks];
        };
        let mut observed = vec![false; num_tasks];
        for row in weights.chunks_exact(num_tasks) {
            for (observed, weight) in observed.iter_mut().zip(row) {
                *observed |= *weight > 0.0;
            }
        }
        observed
    }

    /// Which tasks predict a number, where any does.
    fn regression(&self) -> Option<&[bool]> {
        let tasks = self.regression.as_deref();
        tasks.filter(|tasks| tasks.contains(&true))
    }

    /// Per label: the factor of its loss, so that the loss is the sum over labels of factor times loss. It is the task's weight
    /// over the sum of that task's label weights; 0 for a task that no row observes.
    pub(crate) fn factors(&self, num_tasks: usize) -> Vec<f32> {
        let num_rows = self.labels.len() / num_tasks;
        let mut sums = vec![0f64; num_tasks];
        match &self.label_weights {
            None => sums.fill(num_rows as f64),
            Some(weights) => {
                for row in weights.chunks_exact(num_tasks) {
                    for (sum, weight) in sums.iter_mut().zip(row) {
                        *sum += f64::from(*weight);
                    }
                }
            }
        }
        let of_task = |task: usize| {
            let weight = self.task_weights.as_ref().map_or(1.0, |w| w[task]);
            if sums[task] > 0.0 {
                (f64::from(weight) / sums[task]) as f32
            } else {
                0.0
            }
        };
        let of_task: Vec<f32> = (0..num_tasks).map(of_task).collect();
        match &self.label_weights {
            None => of_task.repeat(num_rows),
            Some(weights) => weights
                .chunks_exact(num_tasks)
                .flat_map(|row| row.iter().zip(&of_task).map(|(w, f)| w * f))
                .collect(),
        }
    }

    fn check(&self, dims: &[usize]) -> Result<usize> {
        let &[num_rows, num_tasks] = dims else {
            candle_core::bail!("expected logits [batch, tasks], found {dims:?}");
        };
        let per_task =
            |weights: &Option<Vec<f32>>| weights.as_ref().is_none_or(|w| w.len() == num_tasks);
        let fits = self.labels.len() == num_rows * num_tasks
            && self
                .label_weights
                .as_ref()
                .is_none_or(|w| w.len() == self.labels.len())
            && per_task(&self.task_weights)
            && per_task(&self.positive_weights)
            && self
                .regression
                .as_ref()
                .is_none_or(|tasks| tasks.len() == num_tasks);
        if num_rows * num_tasks == 0 {
            candle_core::bail!("a loss needs at least 1 row and 1 task, found {dims:?}");
        }
        if !fits {
            candle_core::bail!(
                "targets of {} labels don't fit logits {dims:?}",
                self.labels.len()
            );
        }
        Ok(num_tasks)
    }
}

/// The sum over tasks of the weighted mean loss over the rows that observe the task: binary cross-entropy, or the squared error
/// of a task of regression.
///
/// # Shapes
/// - logits: [batch, tasks]
/// - result: a scalar
///
/// # Errors
/// Targets of another shape, or no row.
pub fn multi_task_loss(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    targets.check(logits.dims())?;
    // The device's kernel knows classes alone.
    if let Some(machine) = Machine::of(logits).filter(|_| targets.regression().is_none()) {
        return cuda::binary_cross_entropy(machine, logits, targets);
    }
    if !(logits.device().is_cpu() && logits.dtype() == DType::F32) {
        return multi_task_loss_composed(logits, targets);
    }
    let operator = Operator {
        targets: targets.clone(),
        per_task: false,
    };
    apply_1(operator, logits)
}

/// The losses that [`multi_task_loss`] adds up, one a task: for whoever weighs them by what they are. That of a task that no row
/// observes is 0.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::loss::{Targets, multi_task_loss, task_losses};
///
/// # fn main() -> candle_core::Result<()> {
/// let logits = Tensor::new(&[[0.0f32, 1.0], [0.0, -1.0]], &Device::Cpu)?;
/// let targets = Targets::new(vec![1.0, 1.0, 0.0, 0.0]);
/// let losses = task_losses(&logits, &targets)?;
/// assert!((losses.to_vec1::<f32>()?[0] - 2f32.ln()).abs() < 1e-6);
/// let sum = multi_task_loss(&logits, &targets)?.to_scalar::<f32>()?;
/// assert!((losses.sum_all()?.to_scalar::<f32>()? - sum).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - logits: [batch, tasks]
/// - result: \[tasks\]
///
/// # Errors
/// As [`multi_task_loss`].
pub fn task_losses(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    targets.check(logits.dims())?;
    if !(logits.device().is_cpu() && logits.dtype() == DType::F32) {
        return task_losses_composed(logits, targets);
    }
    let operator = Operator {
        targets: targets.clone(),
        per_task: true,
    };
    apply_1(operator, logits)
}

/// The same from candle's stock operators: the reference.
///
/// # Errors
/// As [`multi_task_loss`].
pub fn task_losses_composed(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    losses_composed(logits, targets)?.sum(0)
}

/// [`multi_task_loss`] from candle's stock operators: the reference.
///
/// # Errors
/// As [`multi_task_loss`].
pub fn multi_task_loss_composed(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    losses_composed(logits, targets)?.sum_all()
}

/// Every label's loss times its factor, [batch, tasks].
fn losses_composed(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    let num_tasks = targets.check(logits.dims())?;
    let constant = |values: Vec<f32>| {
        let rows = values.len() / num_tasks;
        Tensor::from_vec(values, (rows, num_tasks), &Device::Cpu)?
            .to_device(logits.device())?
            .to_dtype(logits.dtype())
    };
    let factors = targets.factors(num_tasks);
    // A weight of 0 leaves out even a label that is no number.
    let observed = |(label, factor): (&f32, &f32)| if *factor == 0.0 { 0.0 } else { *label };
    let labels: Vec<f32> = targets.labels.iter().zip(&factors).map(observed).collect();
    let numbers = targets.regression();
    let of_kind = |is_number: bool| {
        let label = |(index, label): (usize, &f32)| {
            let kind = numbers.is_some_and(|tasks| tasks[index % num_tasks]);
            if kind == is_number { *label } else { 0.0 }
        };
        constant(labels.iter().enumerate().map(label).collect())
    };
    let labels_of_classes = of_kind(false)?;
    let factors = constant(factors)?;
    let positive = targets.positive_weights.clone();
    let positive = constant(positive.unwrap_or_else(|| vec![1.0; num_tasks]))?;
    // -log sigmoid(x) = max(-x, 0) + log(1 + e^-|x|), and -log(1 - sigmoid(x)) = x more.
    let tail = ((logits.abs()?.neg()?.exp()? + 1.0)?).log()?;
    let rectified = logits.relu()?;
    // max(-x, 0) as max(x, 0) - x, so that one choice of slope at 0 serves both and the sum's is right.
    let of_positive = ((&rectified - logits)? + &tail)?;
    let of_negative = (rectified + &tail)?;
    let positive = labels_of_classes.broadcast_mul(&positive)?;
    let negative = labels_of_classes.affine(-1.0, 1.0)?;
    let loss = ((positive * of_positive)? + (negative * of_negative)?)?;
    let Some(numbers) = numbers else {
        return loss * factors;
    };
    let is_number = numbers.iter().map(|is| f32::from(u8::from(*is)));
    let is_number = constant(is_number.collect())?;
    let is_class = is_number.affine(-1.0, 1.0)?;
    let squared = (logits - of_kind(true)?)?.sqr()?;
    let loss = (loss.broadcast_mul(&is_class)? + squared.broadcast_mul(&is_number)?)?;
    loss * factors
}

struct Operator {
    targets: Targets,
    /// Whether each task's loss is a number of its own.
    per_task: bool,
}

impl Fused<1> for Operator {
    const NAME: &'static str = "multi-task-loss";
    /// The slopes.
    type Kept = Vec<f32>;

    fn forward(&self, [logits]: [Argument<'_>; 1]) -> Result<Output<Vec<f32>>> {
        let [_, num_tasks] = logits.sizes()?;
        let logits = logits.values;
        let factors = self.targets.factors(num_tasks);
        let positive = match &self.targets.positive_weights {
            Some(weights) => weights.repeat(logits.len() / num_tasks),
            None => vec![1.0; logits.len()],
        };
        let mut gradient = vec![0f32; logits.len()];
        let mut losses = vec![0f32; logits.len()];
        let labels = Labels {
            labels: &self.targets.labels,
            factors: &factors,
            positive: &positive,
        };
        losses_and_slopes(&mut losses, &mut gradient, logits, &labels);
        if let Some(regression) = self.targets.regression() {
            let tasks = regression.iter().enumerate().filter(|(_, is)| **is);
            for (task, _) in tasks {
                let places = (task..logits.len()).step_by(num_tasks);
                squared_errors(places, &mut losses, &mut gradient, logits, &labels);
            }
        }
        if self.per_task {
            let mut sums = vec![0f64; num_tasks];
            for row in losses.chunks_exact(num_tasks) {
                for (sum, loss) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*loss);
                }
            }
            let sums = sums.iter().map(|sum| *sum as f32).collect();
            return Ok(Output::new(sums, num_tasks, gradient));
        }
        let loss: f64 = losses.iter().map(|loss| f64::from(*loss)).sum();
        Ok(Output::new(vec![loss as f32], (), gradient))
    }

    fn backward(
        &self,
        _arguments: [Argument<'_>; 1],
        arrived: Arrived<'_, Vec<f32>>,
    ) -> Result<Gradients<1>> {
        if !self.per_task {
            return Ok([Some(arrived.scaled_slopes())]);
        }
        let mut slopes = arrived.kept;
        for row in slopes.chunks_exact_mut(arrived.gradient.len()) {
            for (slope, factor) in row.iter_mut().zip(arrived.gradient) {
                *slope *= factor;
            }
        }
        Ok([Some(slopes)])
    }
}

/// What weighs each logit's loss; all of the logits' length.
struct Labels<'a> {
    labels: &'a [f32],
    factors: &'a [f32],
    positive: &'a [f32],
}

multiversioned! {
    /// Each logit's weighted loss, and its slope. A factor of 0 leaves out even a label that is no number.
    fn losses_and_slopes(losses: &mut [f32], slopes: &mut [f32], logits: &[f32], of: &Labels<'_>) {
        let length = logits.len();
        let (losses, slopes) = (&mut losses[..length], &mut slopes[..length]);
        let (labels, factors) = (&of.labels[..length], &of.factors[..length]);
        let positive = &of.positive[..length];
        for index in 0..length {
            let (logit, factor) = (logits[index], factors[index]);
            let power = exp(-logit.abs());
            let tail = ln_1p(power);
            let of_positive = relu(-logit) + tail;
            let of_negative = relu(logit) + tail;
            // sigmoid(x) and 1 - sigmoid(x), each without cancellation.
            let (larger, smaller) = (1.0 / (1.0 + power), power / (1.0 + power));
            let (probability, rest) = if logit < 0.0 { (smaller, larger) } else { (larger, smaller) };
            let yes = labels[index] * positive[index];
            let no = 1.0 - labels[index];
            let loss = (yes * of_positive + no * of_negative) * factor;
            let slope = (no * probability - yes * rest) * factor;
            losses[index] = if factor == 0.0 { 0.0 } else { loss };
            slopes[index] = if factor == 0.0 { 0.0 } else { slope };
        }
    }
}

/// Each prediction's weighted squared error, and its slope.
fn squared_errors(
    places: impl Iterator<Item = usize>,
    losses: &mut [f32],
    slopes: &mut [f32],
    predictions: &[f32],
    of: &Labels<'_>,
) {
    for index in places {
        let factor = of.factors[index];
        let error = match factor == 0.0 {
            true => 0.0,
            false => predictions[index] - of.labels[index],
        };
        losses[index] = error * error * factor;
        slopes[index] = 2.0 * error * factor;
    }
}

/// `max(x, 0)` that keeps a NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `ln(1 + t)` for t in [0, 1], without branches: twice the inverse hyperbolic tangent of t / (2 + t). The relative error is
/// below 2e-7.
#[inline(always)]
pub(crate) fn ln_1p(t: f32) -> f32 {
    let z = t / (2.0 + t);
    let square = z * z;
    let mut series = 1.0f32 / 15.0;
    for divisor in [13.0f32, 11.0, 9.0, 7.0, 5.0, 3.0] {
        series = series.mul_add(square, 1.0 / divisor);
    }
    2.0 * series.mul_add(square * z, z)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_logarithm_is_within_its_stated_error() {
        for step in 1..=100_000 {
            let t = step as f32 * 1e-5;
            let truth = f64::from(t).ln_1p();
            assert!(((f64::from(ln_1p(t)) - truth) / truth).abs() < 2e-7, "{t}");
        }
        assert_eq!(ln_1p(0.0), 0.0);
    }
}

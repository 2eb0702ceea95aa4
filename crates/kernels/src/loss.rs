//! Binary cross-entropy from logits over all tasks at once.

use crate::parameter::argument;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor};
use std::sync::{Mutex, PoisonError};

/// Labels of a batch with what weighs them.
#[derive(Debug, Clone)]
pub struct Targets {
    /// 0 or 1, row-major [batch, tasks]; anything where its weight is 0.
    pub labels: Vec<f32>,
    /// Weight of each label, row-major [batch, tasks]; 0 where a task was not observed. Absent: all 1.
    pub label_weights: Option<Vec<f32>>,
    /// Weight of each task in the sum. Absent: all 1.
    pub task_weights: Option<Vec<f32>>,
    /// Factor of each task's positive labels. Absent: all 1.
    pub positive_weights: Option<Vec<f32>>,
}

impl Targets {
    /// Every label observed, every weight 1.
    pub fn new(labels: Vec<f32>) -> Self {
        Self {
            labels,
            label_weights: None,
            task_weights: None,
            positive_weights: None,
        }
    }

    /// As [`Self::new`], but a label that is NaN is a task that was not observed: its weight is 0.
    pub fn observed(labels: Vec<f32>) -> Self {
        let weight = |label: &f32| if label.is_nan() { 0.0 } else { 1.0 };
        let has_gaps = labels.iter().any(|label| label.is_nan());
        Self {
            label_weights: has_gaps.then(|| labels.iter().map(weight).collect()),
            ..Self::new(labels)
        }
    }

    /// Per label: the factor of its loss, so that the loss is the sum over labels of factor times loss. It is the task's weight
    /// over the sum of that task's label weights; 0 for a task that no row observes.
    fn factors(&self, num_tasks: usize) -> Vec<f32> {
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
            && per_task(&self.positive_weights);
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

/// The sum over tasks of the weighted mean binary cross-entropy over the rows that observe the task.
///
/// # Shapes
/// - logits: [batch, tasks]
/// - result: a scalar
///
/// # Errors
/// Targets of another shape, or no row.
pub fn binary_cross_entropy(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    targets.check(logits.dims())?;
    if !(logits.device().is_cpu() && logits.dtype() == DType::F32) {
        return binary_cross_entropy_composed(logits, targets);
    }
    let operator = Operator {
        targets: targets.clone(),
        gradient: Mutex::default(),
    };
    logits.contiguous()?.apply_op1(operator)
}

/// The same from candle's stock operators: the reference.
///
/// # Errors
/// As [`binary_cross_entropy`].
pub fn binary_cross_entropy_composed(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
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
    let labels = constant(targets.labels.iter().zip(&factors).map(observed).collect())?;
    let factors = constant(factors)?;
    let positive = targets.positive_weights.clone();
    let positive = constant(positive.unwrap_or_else(|| vec![1.0; num_tasks]))?;
    // -log sigmoid(x) = max(-x, 0) + log(1 + e^-|x|), and -log(1 - sigmoid(x)) = x more.
    let tail = ((logits.abs()?.neg()?.exp()? + 1.0)?).log()?;
    let rectified = logits.relu()?;
    // max(-x, 0) as max(x, 0) - x, so that one choice of slope at 0 serves both and the sum's is right.
    let of_positive = ((&rectified - logits)? + &tail)?;
    let of_negative = (rectified + &tail)?;
    let positive = labels.broadcast_mul(&positive)?;
    let loss = ((positive * of_positive)? + (labels.affine(-1.0, 1.0)? * of_negative)?)?;
    (loss * factors)?.sum_all()
}

struct Operator {
    targets: Targets,
    gradient: Mutex<Vec<f32>>,
}

impl CustomOp1 for Operator {
    fn name(&self) -> &'static str {
        "binary-cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = argument(storage, layout)?;
        let num_tasks = layout.dims()[1];
        let factors = self.targets.factors(num_tasks);
        let mut loss = 0f64;
        let mut gradient = Vec::with_capacity(logits.len());
        let labels = self.targets.labels.iter().zip(&factors);
        for (index, (logit, (label, factor))) in logits.iter().zip(labels).enumerate() {
            let positive = self.targets.positive_weights.as_ref();
            let positive = positive.map_or(1.0, |w| w[index % num_tasks]);
            let tail = (-logit.abs()).exp().ln_1p();
            let (of_positive, of_negative) = (relu(-logit) + tail, relu(*logit) + tail);
            let value = label * positive * of_positive + (1.0 - label) * of_negative;
            // A weight of 0 leaves out even a label that is no number.
            if *factor != 0.0 {
                loss += f64::from(value) * f64::from(*factor);
                let probability = crate::simd::sigmoid(*logit);
                let slope = (1.0 - label) * probability - label * positive * (1.0 - probability);
                gradient.push(slope * factor);
            } else {
                gradient.push(0.0);
            }
        }
        *self.gradient.lock().unwrap_or_else(PoisonError::into_inner) = gradient;
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let factor = gradient.to_scalar::<f32>()?;
        let saved = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        let scaled = saved.iter().map(|value| value * factor).collect();
        Ok(Some(Tensor::from_vec(
            scaled,
            logits.shape(),
            logits.device(),
        )?))
    }
}

/// `max(x, 0)` that keeps a NaN.
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

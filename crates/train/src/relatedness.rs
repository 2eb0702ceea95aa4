//! How much of a trained network's shared weights the tasks have in common, layer by layer: Sun et al., "DiSparse", CVPR 2022,
//! arXiv:2206.04662, its masks as a measure and not as a way to prune.
//!
//! A task's score of a weight w is `w² sum over batches of |g|`, g the gradient of the task's loss alone. Its mask keeps the share
//! rho of the highest scores among all weights that its loss reaches: the shared ones and those of its own head. Two tasks are as
//! related, in a layer, as the intersection of their masks is large beside the union. Masks drawn at random, which keep the
//! shares a and b of a layer, come to `a b / (a + b - a b)`, and to `rho / (2 - rho)` where both are rho.
//!
//! Only weights of linear layers count: no biases, no norms, no embedding tables. The rows are the first batches of the cell's
//! first epoch, in training mode, without noise, losses of the model's own or distillation.

use super::loader::batches;
use super::network::Network;
use super::order::Order;
use super::upcoming_rows::UpcomingRows;
use super::{TrainError, TrainingConfig};
use candle_core::{Device, Tensor};
use homebench_data::{Batch, Prepared};
use homebench_model::ModelConfig;
use std::collections::BTreeMap;

/// What masks are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskConfig {
    /// Share of a task's weights that its mask keeps, above 0 and below 1.
    pub share: f64,
    /// Batches whose gradients are added up; all of the split where it has fewer.
    pub num_batches: usize,
}

/// Two tasks' masks of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskOverlap {
    /// Path of the variable; `all` for all that both tasks' losses reach.
    pub layer: String,
    /// A task.
    pub task: String,
    /// Another that comes after it.
    pub other_task: String,
    /// Weights of the layer.
    pub weights: usize,
    /// Those that the task's mask keeps, and the other's.
    pub kept: [usize; 2],
    /// Those that both keep.
    pub kept_by_both: usize,
}

impl MaskOverlap {
    /// Intersection over union; absent where both masks are empty.
    pub fn iou(&self) -> Option<f64> {
        let union = self.kept[0] + self.kept[1] - self.kept_by_both;
        (union > 0).then(|| self.kept_by_both as f64 / union as f64)
    }

    /// What masks that are drawn at random and keep as many come to; absent where both are empty.
    pub fn random_iou(&self) -> Option<f64> {
        let [a, b] = self.kept.map(|kept| kept as f64 / self.weights as f64);
        (a + b > 0.0).then(|| a * b / (a + b - a * b))
    }
}

/// Scores of weights: by task, then by path for what its loss reaches.
type Scores = Vec<BTreeMap<String, Vec<f64>>>;

/// The overlaps of every two tasks' masks, in the order of paths and then of tasks, `all` last; of layers that both reach.
///
/// # Errors
/// See [`TrainError`]; weights of another model.
pub fn mask_overlaps(
    dataset: &Prepared,
    model: &ModelConfig,
    training: &TrainingConfig,
    (seed, weights): (u64, &BTreeMap<String, Tensor>),
    masks: MaskConfig,
    device: &Device,
) -> Result<Vec<MaskOverlap>, TrainError> {
    homebench_kernels::set_precision(training.precision.into());
    let network = Network::new(&dataset.schema, model, training, seed, device)?;
    network.variables().restore(weights)?;
    let tasks = network.layout().tasks.clone();
    let train = &dataset.train;
    let ranges = batches(train.num_rows(), training.batch_size);
    let order = Order::new(train.num_rows(), seed, 1);
    let mut upcoming = UpcomingRows::new(train, order, 0);
    let mut gradients: Scores = vec![BTreeMap::new(); tasks.len()];
    let mut batch = Batch::default();
    for range in ranges.iter().take(masks.num_batches) {
        let rows = upcoming.next(range.len());
        train.gather(rows, &mut batch).map_err(TrainError::Data)?;
        for (task, sums) in gradients.iter_mut().enumerate() {
            for (path, gradient) in network.gradients_of_task(&batch, task)? {
                let magnitudes = gradient.iter().map(|g| f64::from(g.abs()));
                match sums.get_mut(&path) {
                    Some(sums) => sums
                        .iter_mut()
                        .zip(magnitudes)
                        .for_each(|(sum, g)| *sum += g),
                    None => drop(sums.insert(path, magnitudes.collect())),
                }
            }
        }
    }
    let mut squares = BTreeMap::new();
    for parameter in network.variables().parameters() {
        let values = parameter.tensor().flatten_all()?.to_vec1::<f32>()?;
        let of_one = values
            .iter()
            .map(|value| f64::from(*value) * f64::from(*value));
        squares.insert(parameter.path().to_owned(), of_one.collect::<Vec<f64>>());
    }
    for (path, sums) in gradients.iter_mut().flatten() {
        sums.iter_mut()
            .zip(&squares[path])
            .for_each(|(sum, square)| *sum *= square);
    }
    Ok(overlaps(&tasks, &gradients, masks.share))
}

/// Whether a variable is the weight of a linear layer.
pub(super) fn is_linear_weight(path: &str) -> bool {
    path.ends_with(".weight") && !path.ends_with(".norm.weight")
}

fn overlaps(tasks: &[String], scores: &Scores, share: f64) -> Vec<MaskOverlap> {
    let masks: Vec<BTreeMap<&str, Vec<bool>>> =
        scores.iter().map(|scores| mask(scores, share)).collect();
    let mut rows = Vec::new();
    let mut of_all = Vec::new();
    let layers: std::collections::BTreeSet<&str> =
        masks.iter().flat_map(|mask| mask.keys().copied()).collect();
    for (place, task) in tasks.iter().enumerate() {
        for (other, other_task) in tasks.iter().enumerate().skip(place + 1) {
            of_all.push((
                place,
                other,
                MaskOverlap {
                    layer: "all".to_owned(),
                    task: task.clone(),
                    other_task: other_task.clone(),
                    weights: 0,
                    kept: [0, 0],
                    kept_by_both: 0,
                },
            ));
        }
    }
    for layer in layers {
        for (one, other, all) in &mut of_all {
            let (Some(a), Some(b)) = (masks[*one].get(layer), masks[*other].get(layer)) else {
                continue;
            };
            let count = |mask: &[bool]| mask.iter().filter(|kept| **kept).count();
            let row = MaskOverlap {
                layer: layer.to_owned(),
                weights: a.len(),
                kept: [count(a), count(b)],
                kept_by_both: a.iter().zip(b).filter(|(a, b)| **a && **b).count(),
                ..all.clone()
            };
            all.weights += row.weights;
            all.kept = [all.kept[0] + row.kept[0], all.kept[1] + row.kept[1]];
            all.kept_by_both += row.kept_by_both;
            rows.push(row);
        }
    }
    // Tasks that share nothing have nothing to be related in.
    let of_all = of_all.into_iter().map(|(_, _, all)| all);
    rows.extend(of_all.filter(|all| all.weights > 0));
    rows
}

/// The highest scores of all layers together; of equal ones the first, by path and place.
fn mask(scores: &BTreeMap<String, Vec<f64>>, share: f64) -> BTreeMap<&str, Vec<bool>> {
    let mut places: Vec<(f64, usize, usize)> = Vec::new();
    for (layer, scores) in scores.values().enumerate() {
        let of_layer = scores.iter().enumerate();
        places.extend(of_layer.map(|(at, score)| (*score, layer, at)));
    }
    let num_kept = ((places.len() as f64 * share).round() as usize).clamp(1, places.len().max(1));
    places.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut masks: Vec<Vec<bool>> = (scores.values())
        .map(|scores| vec![false; scores.len()])
        .collect();
    for (_, layer, at) in places.into_iter().take(num_kept) {
        masks[layer][at] = true;
    }
    scores.keys().map(String::as_str).zip(masks).collect()
}

#[cfg(test)]
mod tests;

//! What the gates of a layer choose together, where they run a few of the experts that they see.

use homebench_model::GateTrace;

/// Sums over rows of the choices of a layer's gates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChoiceSums {
    rows: usize,
    /// Pairs of rows and experts that some gate chose.
    executed: usize,
    /// Of each expert: how many gates of how many rows chose it.
    loads: Vec<u64>,
}

impl ChoiceSums {
    pub(super) fn new(num_experts: usize) -> Self {
        Self {
            rows: 0,
            executed: 0,
            loads: vec![0; num_experts],
        }
    }

    /// Adds rows of every gate's weights, each [rows, experts seen]; a weight that is not 0 is a choice.
    pub(super) fn add(&mut self, gates: &[(&GateTrace, &[f32])]) {
        let Some((first, weights)) = gates.first() else {
            return;
        };
        let num_rows = weights.len() / first.seen.len();
        let mut is_run = vec![false; self.loads.len()];
        for row in 0..num_rows {
            is_run.fill(false);
            for (gate, weights) in gates {
                let width = gate.seen.len();
                let weights = &weights[row * width..(row + 1) * width];
                let chosen = gate.seen.iter().zip(weights);
                for (expert, _) in chosen.filter(|(_, weight)| **weight != 0.0) {
                    is_run[*expert] = true;
                    self.loads[*expert] += 1;
                }
            }
            self.executed += is_run.iter().filter(|is_run| **is_run).count();
        }
        self.rows += num_rows;
    }

    /// Mean number of experts that a row runs.
    pub(super) fn executed(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.executed as f64 / self.rows as f64)
    }

    /// The largest load of an expert over the mean load: 1 is even, the number of experts is one expert for all.
    pub(super) fn load_skew(&self) -> Option<f64> {
        let total: u64 = self.loads.iter().sum();
        let largest = self.loads.iter().copied().max()?;
        (total > 0).then(|| largest as f64 * self.loads.len() as f64 / total as f64)
    }
}

/// The mutual information, in nats, of a gate drawn evenly and an expert drawn by that gate's mean weights: 0 where all gates choose
/// alike. Rows of means sum to what they will.
pub(super) fn information(means: &[Vec<f64>]) -> Option<f64> {
    let shares: Vec<Vec<f64>> = means
        .iter()
        .map(|row| {
            let total: f64 = row.iter().sum();
            row.iter().map(|weight| weight / total).collect()
        })
        .collect();
    let width = shares.first()?.len();
    let count = shares.len() as f64;
    let of_expert = |expert: usize| shares.iter().map(|row| row[expert]).sum::<f64>() / count;
    let all: Vec<f64> = (0..width).map(of_expert).collect();
    let own = shares.iter().map(|row| entropy(row)).sum::<f64>() / count;
    // A rounding below 0 is no information either.
    Some((entropy(&all) - own).max(0.0))
}

fn entropy(shares: &[f64]) -> f64 {
    let positive = shares.iter().filter(|share| **share > 0.0);
    -positive.map(|share| share * libm::log(*share)).sum::<f64>()
}

/// The mean cosine of two gates' mean weights, over all pairs.
pub(super) fn similarity(means: &[Vec<f64>]) -> Option<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut sum = 0.0;
    let mut pairs = 0usize;
    for (index, row) in means.iter().enumerate() {
        for other in &means[..index] {
            let lengths = dot(row, row).sqrt() * dot(other, other).sqrt();
            if lengths > 0.0 {
                sum += dot(row, other) / lengths;
                pairs += 1;
            }
        }
    }
    (pairs > 0).then(|| sum / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};
    use homebench_model::{GateKind, Owner};

    fn gate(task: usize, weights: &[[f32; 3]]) -> GateTrace {
        GateTrace {
            path: format!("task.{task}.gate"),
            layer: 0,
            owner: Owner::Task(task),
            kind: GateKind::Softmax,
            seen: vec![0, 1, 2],
            weights: Tensor::from_slice(weights.as_flattened(), (weights.len(), 3), &Device::Cpu)
                .unwrap(),
            chooses: true,
        }
    }

    #[test]
    fn rows_run_the_union_of_what_their_tasks_choose() {
        let weights = [
            [[0.5f32, 0.5, 0.0], [1.0, 0.0, 0.0]],
            [[0.0, 0.2, 0.8], [1.0, 0.0, 0.0]],
        ];
        let gates = [gate(0, &weights[0]), gate(1, &weights[1])];
        let mut sums = ChoiceSums::new(3);
        sums.add(&[
            (&gates[0], weights[0].as_flattened()),
            (&gates[1], weights[1].as_flattened()),
        ]);
        // Three experts for the first row, one for the second; loads 3, 2, 1.
        assert_eq!(sums.executed(), Some(2.0));
        assert_eq!(sums.load_skew(), Some(1.5));
        assert_eq!(ChoiceSums::new(3).executed(), None);
        assert_eq!(ChoiceSums::new(3).load_skew(), None);
    }

    #[test]
    fn gates_that_choose_alike_share_nothing_and_those_that_don_t_a_bit() {
        let alike = vec![vec![0.5, 0.5]; 2];
        assert_eq!(information(&alike), Some(0.0));
        assert!((similarity(&alike).unwrap() - 1.0).abs() < 1e-12);
        // Raw weights that don't sum to 1 are shares of their sum.
        let apart = [vec![0.4, 0.0], vec![0.0, 0.7]];
        assert!((information(&apart).unwrap() - std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(similarity(&apart), Some(0.0));
        assert_eq!(similarity(&apart[..1]), None);
    }
}

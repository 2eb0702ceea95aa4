//! What one input is multiplied with, side by side: [A of each LoRA of each gate | W of each gate].

use super::FeatureGates;
use crate::product::Matrix;
use crate::stack::StackValues;
use candle_core::Result;

/// Everything that one input's gates multiply it with.
pub(super) struct Packed {
    /// Gates that read the input.
    pub(super) gates: Vec<usize>,
    /// Number of columns.
    pub(super) width: usize,
    /// [dim, width].
    pub(super) weights: Vec<f32>,
}

impl Packed {
    /// [dim, width].
    pub(super) fn matrix(&self, dim: usize) -> Matrix<'_> {
        Matrix::new(&self.weights, dim, self.width)
    }
}

impl FeatureGates {
    pub(super) fn pack(&self, num_inputs: usize) -> Result<Vec<Packed>> {
        let (lora_a, weight) = (self.lora_a.read()?, self.weight.read()?);
        let pack = |input: usize| {
            let gates: Vec<usize> = (0..self.sources.len())
                .filter(|gate| self.sources[*gate] == input)
                .collect();
            let width = gates.len() * self.num_lora() * (self.rank() + 1);
            let mut packed = Packed {
                weights: vec![0.0; self.dim() * width],
                width,
                gates,
            };
            self.fill(&mut packed, &lora_a, &weight);
            packed
        };
        Ok((0..num_inputs).map(pack).collect())
    }

    fn fill(&self, packed: &mut Packed, lora_a: &StackValues<'_>, weight: &StackValues<'_>) {
        let (dim, rank, num_lora) = (self.dim(), self.rank(), self.num_lora());
        for (position, gate) in packed.gates.iter().enumerate() {
            let weight_column = self.weight_column(position, packed.gates.len());
            for unit in 0..dim {
                let row = &mut packed.weights[unit * packed.width..(unit + 1) * packed.width];
                for lora in 0..num_lora {
                    let from = (lora * dim + unit) * rank;
                    let at = self.lora_column(position, lora);
                    row[at..at + rank].copy_from_slice(&lora_a.expert(*gate)[from..from + rank]);
                }
                row[weight_column..weight_column + num_lora]
                    .copy_from_slice(&weight.expert(*gate)[unit * num_lora..(unit + 1) * num_lora]);
            }
        }
    }

    /// Hands the packed gradients, [dim, width] per input, to the parameters.
    pub(super) fn accumulate(&self, packed: &[Packed], gradients: &[Vec<f32>]) {
        let (dim, rank, num_lora) = (self.dim(), self.rank(), self.num_lora());
        let num_gates = self.sources.len();
        let mut of_a = vec![0f32; num_gates * num_lora * dim * rank];
        let mut of_weight = vec![0f32; num_gates * dim * num_lora];
        for (packed, gradient) in packed.iter().zip(gradients) {
            for (position, gate) in packed.gates.iter().enumerate() {
                let weight_column = self.weight_column(position, packed.gates.len());
                for (unit, row) in gradient.chunks_exact(packed.width).enumerate() {
                    for lora in 0..num_lora {
                        let to = ((gate * num_lora + lora) * dim + unit) * rank;
                        let at = self.lora_column(position, lora);
                        of_a[to..to + rank].copy_from_slice(&row[at..at + rank]);
                    }
                    let to = (gate * dim + unit) * num_lora;
                    of_weight[to..to + num_lora]
                        .copy_from_slice(&row[weight_column..weight_column + num_lora]);
                }
            }
        }
        self.lora_a.accumulate_values(&of_a);
        self.weight.accumulate_values(&of_weight);
    }
}

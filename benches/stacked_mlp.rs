//! Stacked networks with batch norm and SiLU: the experts of home-l's two layers.

use homebench_benches::bounds::{Bound, Product};
use homebench_benches::operands::{Operands, input};
use homebench_benches::operator::{Operator, criterion, rows};
use homebench_benches::{BATCH, EXPERT_DIMS, INPUT_DIM};

struct Subject {
    sizes: &'static str,
    sources: &'static [usize],
    input_dim: usize,
    /// Whether the composed operators are measured as well; they are slow.
    with_reference: bool,
}

const SUBJECTS: [Subject; 3] = [
    Subject {
        sizes: "batch4096_experts2",
        sources: &[0, 0],
        input_dim: INPUT_DIM,
        with_reference: true,
    },
    // The meta layer: three sets, each behind a feature gate.
    Subject {
        sizes: "batch4096_experts6",
        sources: &[0, 0, 1, 1, 2, 2],
        input_dim: INPUT_DIM,
        with_reference: false,
    },
    // The task layer: shared, groups, tasks.
    Subject {
        sizes: "batch4096_experts13",
        sources: &[0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9],
        input_dim: EXPERT_DIMS[1],
        with_reference: false,
    },
];

impl Subject {
    fn num_inputs(&self) -> usize {
        self.sources.iter().max().map_or(0, |last| last + 1)
    }

    /// Inputs and outputs of each product: the first layers of experts that read the same input make one, side by side.
    fn layers(&self) -> impl Iterator<Item = (usize, usize)> {
        let first = (0..self.num_inputs()).map(|input| {
            let readers = self
                .sources
                .iter()
                .filter(|source| **source == input)
                .count();
            (self.input_dim, readers * EXPERT_DIMS[0])
        });
        let second = self
            .sources
            .iter()
            .map(|_| (EXPERT_DIMS[0], EXPERT_DIMS[1]));
        first.chain(second)
    }

    fn num_activations(&self) -> usize {
        self.layers().map(|(_, width)| BATCH * width).sum()
    }
}

fn main() {
    let mut criterion = criterion();
    for subject in &SUBJECTS {
        let mut operands = Operands::default();
        let mlp = operands.experts(subject.sources, subject.input_dim, &EXPERT_DIMS);
        let mlp = mlp.unwrap();
        let xs = input(&[subject.num_inputs(), BATCH, subject.input_dim]).unwrap();
        let forward = subject
            .layers()
            .map(|(depth, width)| Product::new(BATCH, depth, width));
        let backward = subject
            .layers()
            .flat_map(|(depth, width)| Product::backward(BATCH, depth, width));
        let activations = subject.num_activations();
        let reference = || mlp.forward_composed(&xs, true);
        Operator {
            subject: "stacked_mlp",
            sizes: subject.sizes,
            operands: &operands,
            throughputs: rows(BATCH),
            fused: &|| mlp.forward_t(&xs, true),
            reference: subject.with_reference.then_some(&reference),
            // Beside the products: normalising and activating reads and writes every unit once; batch norm's gradient
            // reads the gradient and the product, and writes the gradient.
            bounds: [
                Bound::new(forward.collect(), 2 * activations),
                Bound::new(backward.collect(), 3 * activations),
            ],
        }
        .bench(&mut criterion);
    }
    criterion.final_summary();
}

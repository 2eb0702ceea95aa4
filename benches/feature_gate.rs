//! Feature gates of home-l: the meta layer's three over one input, and the task layer's ten.

use homebench_benches::bounds::{Bound, Product};
use homebench_benches::operands::{Operands, input};
use homebench_benches::operator::{Operator, criterion, rows};
use homebench_benches::{BATCH, EXPERT_DIMS, INPUT_DIM};
use homebench_kernels::feature_gate::{FeatureGateMix, FeatureGates};

const LORAS: usize = 2;
const RANK: usize = 64;

/// Sizes, width, and the input of each gate.
const SUBJECTS: [(&str, usize, &[usize]); 2] = [
    ("batch4096_gates3_dim512", INPUT_DIM, &[0, 0, 0]),
    (
        "batch4096_gates10_dim128",
        EXPERT_DIMS[1],
        &[0, 1, 2, 1, 1, 1, 2, 2, 2, 2],
    ),
];

fn main() {
    let mut criterion = criterion();
    for (sizes, dim, sources) in SUBJECTS {
        let mut operands = Operands::default();
        let (gates, reach) = (sources.len(), (dim as f32).sqrt().recip());
        let weight = operands.stack(gates, &[dim, LORAS], 0.0, reach).unwrap();
        let lora_a = operands
            .stack(gates, &[LORAS, dim, RANK], 0.0, reach)
            .unwrap();
        let lora_b = operands
            .stack(gates, &[LORAS, RANK, dim], 0.0, 0.1)
            .unwrap();
        let mix = FeatureGateMix::AfterSigmoid;
        let feature_gates = FeatureGates::new(sources.to_vec(), weight, lora_a, lora_b, mix);
        let feature_gates = feature_gates.unwrap();
        let num_inputs = sources.iter().max().map_or(0, |last| last + 1);
        let xs = input(&[num_inputs, BATCH, dim]).unwrap();
        // Per input: the softmax logits and every A of all its gates in one product; per LoRA: its B.
        let packed = (0..num_inputs).map(|input| {
            let readers = sources.iter().filter(|source| **source == input).count();
            (dim, readers * LORAS * (RANK + 1))
        });
        let layers = packed.chain((0..gates * LORAS).map(|_| (RANK, dim)));
        let forward = layers
            .clone()
            .map(|(depth, width)| Product::new(BATCH, depth, width));
        let backward = layers.flat_map(|(depth, width)| Product::backward(BATCH, depth, width));
        // Beside the products: inputs read and outputs written; backward, inputs and the outputs' gradient read, and the
        // inputs' gradient written.
        let touched = [num_inputs + gates, 2 * num_inputs + gates];
        let [of_forward, of_backward] = touched.map(|matrices| matrices * BATCH * dim);
        Operator {
            subject: "feature_gate",
            sizes,
            operands: &operands,
            throughputs: rows(BATCH),
            fused: &|| feature_gates.forward_t(&xs, true),
            reference: Some(&|| feature_gates.forward_composed(&xs)),
            bounds: [
                Bound::new(forward.collect(), of_forward),
                Bound::new(backward.collect(), of_backward),
            ],
        }
        .bench(&mut criterion);
    }
    criterion.final_summary();
}

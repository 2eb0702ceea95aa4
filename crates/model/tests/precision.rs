//! Every model under every precision of the processor. Precision is of the process, so this is a process of its own.

mod common;

use common::{MODELS, Network, config, inputs, three_tasks, values};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::{Precision, set_precision};

const WIDTH: usize = 37;
const ROWS: usize = 70;

/// All gradients, one after the other.
fn gradients(network: &Network) -> Vec<f32> {
    let label = |index: usize| f32::from(u8::from(index.is_multiple_of(3)));
    let targets = Targets::new((0..ROWS * 3).map(label).collect());
    let xs = inputs(ROWS, WIDTH, 1.0);
    let arrived = network.gradients(&xs, |logits| multi_task_loss(logits, &targets));
    arrived.into_values().flatten().collect()
}

/// Of two vectors: the length of their difference, by that of the second.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let difference = length(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / length(&mut expected.iter().map(|v| f64::from(*v)))
}

#[test]
fn rows_do_not_depend_on_their_batch_and_gradients_are_near_those_of_f32() {
    if !common::place::device().is_cpu() {
        return;
    }
    let xs = inputs(ROWS, WIDTH, 1.0);
    for (name, knobs) in MODELS {
        let what = format!("{name} with {knobs:?}");
        let network = |precision| {
            set_precision(precision);
            Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH)
        };
        let exact = gradients(&network(Precision::F32));
        for (precision, most) in [
            (Precision::F32, 0.0),
            (Precision::Bf16, 5e-2),
            (Precision::Bf16x3, 1e-4),
        ] {
            let network = network(precision);
            let away = distance(&gradients(&network), &exact);
            assert!(away <= most, "{what}, {precision:?}: {away}");
            let has_products = name != "logistic";
            assert_eq!(
                away > 0.0,
                has_products && most > 0.0,
                "{what}, {precision:?}"
            );
            let batch = values(&network.model.forward_t(&xs, false, None).unwrap());
            for row in 0..ROWS {
                let one = xs.narrow(0, row, 1).unwrap();
                let alone = values(&network.model.forward_t(&one, false, None).unwrap());
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(
                    bits(&alone),
                    bits(&batch[3 * row..3 * row + 3]),
                    "{what}, {precision:?}, row {row}"
                );
            }
        }
    }
    set_precision(Precision::F32);
}

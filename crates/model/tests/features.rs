//! What models leave at the tap in front of their towers.

mod common;

use candle_core::Tensor;
use common::{MODELS, Network, config, inputs, three_tasks, values};

const WIDTH: usize = 7;
const ROWS: usize = 9;

fn bits(tensor: &Tensor) -> Vec<u32> {
    values(tensor).iter().map(|value| value.to_bits()).collect()
}

fn network(name: &str, knobs: &str) -> Network {
    Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH)
}

#[test]
fn every_model_with_towers_leaves_what_they_read_and_its_logits_stay_what_they_are() {
    for (name, knobs) in MODELS {
        let (with, without) = (network(name, knobs), network(name, knobs));
        let Some(tap) = with.model.features() else {
            assert_eq!(name, "logistic");
            continue;
        };
        let xs = inputs(ROWS, WIDTH, 2.0);
        // Another model's pass, or none, leaves nothing.
        assert!(
            tap.during(|| without.model.forward_t(&xs, false, None))
                .is_err()
        );
        for train in [false, true] {
            let pass = || with.model.forward_t(&xs, train, None);
            let (logits, features) = tap.during(pass).unwrap();
            let expected = without.model.forward_t(&xs, train, None).unwrap();
            assert_eq!(bits(&logits), bits(&expected), "{name} {knobs}");
            for task in 0..3 {
                let of_task = features.of_task(task).unwrap();
                assert_eq!(of_task.dims(), [ROWS, tap.width()], "{name} {knobs}");
                let numbers = values(&of_task);
                assert!(
                    numbers.iter().any(|number| *number != 0.0),
                    "{name} {knobs}"
                );
            }
            assert!(features.of_task(3).is_err());
        }
    }
}

#[test]
fn a_loss_of_features_reaches_what_makes_them_and_no_tower() {
    for (name, knobs) in MODELS {
        let network = network(name, knobs);
        let Some(tap) = network.model.features() else {
            continue;
        };
        let xs = inputs(ROWS, WIDTH, 2.0);
        let step = || Ok::<_, candle_core::Error>(network.step(&xs, None, 0));
        let (_, features) = tap.during(step).unwrap();
        let of_tasks: Vec<Tensor> = (0..3).map(|task| features.of_task(task).unwrap()).collect();
        let loss = Tensor::cat(&of_tasks, 0)
            .unwrap()
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap();
        let gradients = loss.backward().unwrap();
        let mut is_reached = false;
        for parameter in network.variables.parameters() {
            parameter.collect(&gradients).unwrap();
            let gradient = parameter.gradient().unwrap_or_default();
            let is_zero = gradient.iter().all(|value| *value == 0.0);
            assert!(
                is_zero || !parameter.path().contains(".tower."),
                "{name} {knobs}: {}",
                parameter.path()
            );
            is_reached |= !is_zero;
        }
        assert!(is_reached, "{name} {knobs}");
    }
}

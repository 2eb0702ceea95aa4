use super::*;
use candle_core::{Device, Var};
use std::path::Path;

const TASKS: [&str; 3] = ["click", "like", "long_view"];

type Case = std::collections::HashMap<String, Tensor>;

/// Written by `tests/golden/distillation.py`.
fn case() -> Case {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/distillation.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims());
    let (found, expected) = (values(found), values(expected));
    let largest = expected
        .iter()
        .fold(0f32, |most, value| most.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * largest,
            "{at}: {found} {expected}"
        );
    }
}

fn adapters(how: &Distillation, case: &Case) -> Adapters {
    let tasks: Vec<String> = TASKS.iter().map(|task| (*task).to_owned()).collect();
    let first = &case["w/click"];
    let dims = first.dims2().unwrap();
    let adapters = Adapters::new(how, &tasks, dims, 1, &Device::Cpu).unwrap();
    for (map, task) in adapters.parameters().iter().zip(TASKS) {
        assert_eq!(map.path(), format!("distillation.task.{task}.adapter"));
        map.var().set(&case[&format!("w/{task}")]).unwrap();
    }
    adapters
}

fn features(case: &Case) -> Var {
    Var::from_tensor(&case["features"]).unwrap()
}

fn by_task(features: &Tensor) -> Vec<Tensor> {
    (0..TASKS.len())
        .map(|task| features.get(task).unwrap())
        .collect()
}

#[test]
fn loss_and_gradients_are_those_of_pytorch() {
    let case = case();
    let (adapters, features) = (adapters(&Distillation::default(), &case), features(&case));
    let loss = adapters
        .distance(&by_task(&features), &case["targets"])
        .unwrap();
    assert_close(&loss, &case["loss"], 1e-6);
    let gradients = loss.backward().unwrap();
    assert_close(
        gradients.get(&features).unwrap(),
        &case["grad/features"],
        2e-5,
    );
    for (map, task) in adapters.parameters().iter().zip(TASKS) {
        let expected = &case[&format!("grad/{task}")];
        assert_close(gradients.get(map.tensor()).unwrap(), expected, 2e-5);
    }
}

#[test]
fn steps_of_the_maps_are_those_of_pytorchs_adam_with_decay() {
    let case = case();
    // A decay that shows after few steps.
    let how = Distillation {
        adapter_weight_decay: 0.05,
        ..Distillation::default()
    };
    let (mut adapters, features) = (adapters(&how, &case), features(&case));
    let mut losses = Vec::new();
    for _ in 0..values(&case["adam/losses"]).len() {
        let loss = adapters
            .distance(&by_task(&features), &case["targets"])
            .unwrap();
        losses.push(loss.detach());
        let objective = (loss + adapters.penalty().unwrap()).unwrap();
        adapters.step(&objective.backward().unwrap(), 1.0).unwrap();
    }
    assert_close(
        &Tensor::stack(&losses, 0).unwrap(),
        &case["adam/losses"],
        3e-5,
    );
    for (map, task) in adapters.parameters().iter().zip(TASKS) {
        assert_close(map.tensor(), &case[&format!("adam/final/{task}")], 1e-4);
    }
}

#[test]
fn maps_start_as_xavier_normal_does_by_seed_and_task() {
    let how = Distillation::default();
    let tasks = ["a".to_owned(), "b".to_owned()];
    let made = |seed| Adapters::new(&how, &tasks, (60, 40), seed, &Device::Cpu).unwrap();
    let numbers = |adapters: &Adapters, task: usize| values(adapters.parameters()[task].tensor());
    let first = made(3);
    let squares = numbers(&first, 0)
        .iter()
        .map(|value| f64::from(value * value))
        .sum::<f64>();
    let deviation = (squares / 2400.0).sqrt();
    assert!(
        (deviation - (2.0f64 / 100.0).sqrt()).abs() < 0.01,
        "{deviation}"
    );
    assert_eq!(numbers(&first, 1), numbers(&made(3), 1));
    assert_ne!(numbers(&first, 0), numbers(&first, 1));
    assert_ne!(numbers(&first, 0), numbers(&made(4), 0));
}

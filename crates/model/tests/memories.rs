//! `task_expert` and `cross_stitch`: the closed form of a memory, and the models that they are at their ends.

mod common;

use candle_core::{DType, Tensor};
use common::{
    ByPath, Network, after_twenty_steps, assert_close, config, inputs, loss_of_step, place,
    renamed, some_observed, three_tasks, values,
};

const WIDTH: usize = 7;
const ROWS: usize = 9;
const TASKS: [&str; 3] = ["a", "b", "c"];

fn network(name: &str, knobs: &str) -> Network {
    Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH)
}

fn with_weights(name: &str, knobs: &str, weights: ByPath) -> Network {
    Network::from_weights(&config(name, knobs), &three_tasks(), WIDTH, weights)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_memory_that_is_replaced_weighs_the_experts_of_all_levels() {
    let knobs = "num_levels = 3\nbackbone_dims = [6]\nmemory_read = 'identity'\ntower_dims = []";
    let network = network("task_expert", knobs);
    let xs = inputs(ROWS, WIDTH, 2.0);
    let trace = network.trace(&xs);
    let weights = network.variables.snapshot().unwrap();
    for (task, name) in TASKS.into_iter().enumerate() {
        // From the last level down: the product of what the gates above leave to the memory.
        let mut passed = Tensor::ones((ROWS, 1), DType::F32, &place::device()).unwrap();
        let mut memory = Tensor::zeros((ROWS, 5), DType::F32, &place::device()).unwrap();
        for level in (0..3).rev() {
            let gate = format!("level.{level}.task.{name}.gate");
            let gate = trace.gates.iter().find(|shown| shown.path == gate).unwrap();
            let set = format!("level.{level}.shared.expert");
            let set = trace
                .experts
                .iter()
                .find(|shown| shown.path == set)
                .unwrap();
            for expert in 0..4 {
                let weight = gate.weights.narrow(1, expert, 1).unwrap();
                let weight = (weight * &passed).unwrap();
                let part = set
                    .outputs
                    .get(expert)
                    .unwrap()
                    .broadcast_mul(&weight)
                    .unwrap();
                memory = (memory + part).unwrap();
            }
            if level > 0 {
                passed = (passed * gate.weights.narrow(1, 4, 1).unwrap()).unwrap();
            }
        }
        let of_tower = |part: &str| &weights[&format!("task.{name}.tower.0.{part}")];
        let logits = memory.matmul(of_tower("weight")).unwrap();
        let logits = logits.broadcast_add(of_tower("bias")).unwrap();
        let found = network.logits(&xs).narrow(1, task, 1).unwrap();
        assert_close(&found, &logits, 1e-6);
    }
}

/// Fails unless two networks give the same logits, gradients and results of 20 steps of Adam, to the bit but for the gradient
/// of the input. `rename` says what
/// a path of the first is in the second.
#[track_caller]
fn assert_identical(
    one: impl Fn() -> Network,
    other: impl Fn() -> Network,
    rename: impl Fn(&str) -> String,
) {
    let xs = inputs(ROWS, WIDTH, 2.0);
    for train in [false, true] {
        let logits = |network: Network| network.model.forward_t(&xs, train, None).unwrap();
        assert_eq!(
            bits(&values(&logits(one()))),
            bits(&values(&logits(other())))
        );
    }
    for observed in [None, Some(some_observed(ROWS, 3))] {
        let observed = observed.as_ref();
        let gradients = |network: Network| {
            network.step_gradients(&xs, observed, |output| loss_of_step(output, observed))
        };
        let of_other = gradients(other());
        for (path, gradient) in gradients(one()) {
            let of_other = &of_other[&rename(&path)];
            if path == "xs" {
                // MMoE's one operator adds the gates' part to the experts' as it goes, here candle adds two sums.
                let tensor = |values: &[f32]| Tensor::new(values, &place::device()).unwrap();
                assert_close(&tensor(&gradient), &tensor(of_other), 1e-6);
                continue;
            }
            assert_eq!(gradient, *of_other, "{path}");
        }
        let (losses, weights) = after_twenty_steps(&one(), &xs, observed);
        let (other_losses, other_weights) = after_twenty_steps(&other(), &xs, observed);
        assert_eq!(bits(&losses), bits(&other_losses));
        assert!(losses[19] < losses[0]);
        for (path, values) in weights {
            assert_eq!(values, other_weights[&rename(&path)], "{path}");
        }
    }
}

/// The path in MMoE of a variable of a level without a backbone.
fn in_mmoe(path: &str) -> String {
    let path = path.replace("level.0.shared.expert", "shared.expert");
    path.replace("level.0.task.", "task.")
}

#[test]
fn one_level_without_a_backbone_is_mmoe() {
    for memory in [
        "memory = false",
        "memory = true",
        "gate_kind = 'softmax'\nnorm = 'batch'",
    ] {
        let knobs = format!("{memory}\nnum_levels = 1\nbackbone_dims = []");
        let task_expert = || network("task_expert", &knobs);
        let norm = if memory.contains("norm") {
            "norm = 'batch'"
        } else {
            ""
        };
        assert_identical(
            task_expert,
            || with_weights("mmoe", norm, renamed(&task_expert(), in_mmoe)),
            in_mmoe,
        );
    }
}

#[test]
fn one_level_is_mmoe_of_what_its_backbone_gives() {
    let one_level = network("task_expert", "num_levels = 1\nbackbone_dims = [8, 6]");
    let xs = inputs(ROWS, WIDTH, 2.0);
    let trace = one_level.trace(&xs);
    let backbone = trace
        .experts
        .iter()
        .find(|set| set.path.ends_with("backbone"));
    let features = backbone.unwrap().outputs.squeeze(0).unwrap();
    let mut weights = renamed(&one_level, in_mmoe);
    weights.retain(|path, _| !path.contains("backbone"));
    let mmoe = Network::from_weights(&config("mmoe", ""), &three_tasks(), 6, weights);
    let (found, expected) = (one_level.logits(&xs), mmoe.logits(&features));
    assert_eq!(bits(&values(&found)), bits(&values(&expected)));
}

#[test]
fn gates_that_read_nothing_are_the_same_for_every_row() {
    let knobs = "gate_reads = 'none'\nbackbone_dims = [6]";
    for gate in network("task_expert", knobs)
        .trace(&inputs(ROWS, WIDTH, 3.0))
        .gates
    {
        let rows: Vec<Vec<f32>> = gate.weights.to_vec2().unwrap();
        assert!(
            rows.iter().all(|row| bits(row) == bits(&rows[0])),
            "{}",
            gate.path
        );
    }
}

#[test]
fn a_memory_that_no_gate_weighs_is_none() {
    let knobs = "num_levels = 2\nbackbone_dims = [6]\nmemory_read = 'identity'";
    let seeded = network("task_expert", knobs);
    let mut weights = seeded.variables.snapshot().unwrap();
    for task in TASKS {
        // So far below the others that its weight is exactly 0.
        let bias = Tensor::new(&[0f32, 0.0, 0.0, 0.0, -1e4], &place::device()).unwrap();
        weights.insert(format!("level.1.task.{task}.gate.bias"), bias);
    }
    let with = with_weights("task_expert", knobs, weights.clone());
    // Without memories the first level has no experts, and gates have no column for them.
    weights.retain(|path, _| !path.contains("level.0") || path.contains("backbone"));
    for (path, tensor) in &mut weights {
        if path.contains(".gate.") {
            let columns = tensor.rank() - 1;
            *tensor = tensor.narrow(columns, 0, 4).unwrap().copy().unwrap();
        }
    }
    let without = with_weights("task_expert", &format!("{knobs}\nmemory = false"), weights);
    let xs = inputs(ROWS, WIDTH, 2.0);
    assert_close(&with.logits(&xs), &without.logits(&xs), 1e-6);
}

#[test]
fn stitches_that_mix_nothing_are_networks_of_their_own() {
    let own = |knobs: &str| network("single_task", knobs);
    for knobs in ["", "norm = 'batch'\nactivation = 'silu'"] {
        let weights = || {
            // A level is a layer of each task's network.
            let mut weights = renamed(&own(knobs), |path| {
                let parts: Vec<&str> = path.split('.').collect();
                match parts[..] {
                    ["task", task, "expert", layer, ..] => {
                        let rest = parts[4..].join(".");
                        format!("level.{layer}.task.{task}.expert.0.{rest}")
                    }
                    _ => path.to_owned(),
                }
            });
            for level in 0..2 {
                let identity = Tensor::eye(3, DType::F32, &place::device()).unwrap();
                weights.insert(format!("level.{level}.stitch"), identity);
            }
            weights
        };
        let stitched = || with_weights("cross_stitch", knobs, weights());
        let xs = inputs(ROWS, WIDTH, 2.0);
        for train in [false, true] {
            let logits = |network: Network| network.model.forward_t(&xs, train, None).unwrap();
            // By value: 0 times another task's negative unit gives a 0 a sign.
            assert_eq!(values(&logits(stitched())), values(&logits(own(knobs))));
        }
        // Nothing of a task's loss comes to another's network, but its stitches learn.
        let gradients =
            stitched().gradients(&xs, |logits| logits.narrow(1, 0, 1)?.sqr()?.sum_all());
        let is_zero = |path: &str| gradients[path].iter().all(|value| *value == 0.0);
        assert!(is_zero("level.1.task.b.expert.0.weight"));
        assert!(!is_zero("level.1.task.a.expert.0.weight"));
        let of_stitch = &gradients["level.1.stitch"];
        assert!(of_stitch[..3].iter().all(|value| *value != 0.0));
        assert!(of_stitch[3..].iter().all(|value| *value == 0.0));
    }
}

#[test]
fn stitches_start_with_nine_tenths_of_a_tasks_own() {
    let weights = network("cross_stitch", "").variables.snapshot().unwrap();
    let stitch = values(&weights["level.0.stitch"]);
    for (at, value) in stitch.iter().enumerate() {
        let expected = if at % 4 == 0 { 0.9 } else { 0.05 };
        assert!((value - expected).abs() < 1e-6);
    }
    let layout = common::layout(&[("g", &["a"])]);
    let alone = Network::from_seed(&config("cross_stitch", ""), &layout, WIDTH);
    let weights = alone.variables.snapshot().unwrap();
    assert_eq!(values(&weights["level.0.stitch"]), [1.0]);
}

//! `sparse_mmoe` and `smes`: the models that they are at their ends, whom they choose, and what learns from whom.

mod common;

use candle_core::Tensor;
use common::{
    ByPath, Network, after_twenty_steps, assert_close, config, inputs, layout, loss_of_step, place,
    renamed, some_observed, three_tasks, values,
};
use homebench_model::TaskLayout;

const WIDTH: usize = 7;
const ROWS: usize = 9;

fn network(name: &str, knobs: &str) -> Network {
    Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH)
}

fn with_weights(name: &str, knobs: &str, layout: &TaskLayout, weights: ByPath) -> Network {
    Network::from_weights(&config(name, knobs), layout, WIDTH, weights)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn one_task() -> TaskLayout {
    layout(&[("g", &["a"])])
}

/// Fails unless two networks give the same logits, gradients and results of 20 steps of Adam, to the bit, with some pairs
/// observed and with all. `rename` says what a path of the first is in the second.
#[track_caller]
fn assert_identical(
    one: impl Fn() -> Network,
    other: impl Fn() -> Network,
    rename: impl Fn(&str) -> String,
) {
    let xs = inputs(ROWS, WIDTH, 2.0);
    let (first, second) = (one(), other());
    for train in [false, true] {
        let logits = |network: &Network| network.model.forward_t(&xs, train, None).unwrap();
        assert_eq!(
            bits(&values(&logits(&first))),
            bits(&values(&logits(&second)))
        );
    }
    let num_tasks = first.logits(&xs).dim(1).unwrap();
    for observed in [None, Some(some_observed(ROWS, num_tasks))] {
        let observed = observed.as_ref();
        let gradients = |network: &Network| {
            network.step_gradients(&xs, observed, |output| loss_of_step(output, observed))
        };
        let (of_first, of_second) = (gradients(&first), gradients(&second));
        assert_eq!(of_first.len(), of_second.len());
        for (path, gradient) in of_first {
            // By value: a 0 may have either sign.
            assert_eq!(gradient, of_second[&rename(&path)], "{path}");
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

#[test]
fn choosing_every_expert_is_mmoe() {
    for more in ["", "gate_dims = [4]", "norm = 'batch'\nactivation = 'silu'"] {
        let weights = || network("mmoe", more).variables.snapshot().unwrap();
        let knobs = format!("{more}\nnum_experts = 4\ntop_k = 4\nbalance = 'none'");
        assert_identical(
            || network("mmoe", more),
            || with_weights("sparse_mmoe", &knobs, &three_tasks(), weights()),
            str::to_owned,
        );
    }
}

#[test]
fn choosing_every_expert_with_layer_norm_is_mmoe_but_for_the_order_of_operations() {
    // Layer norm has no fused operator: the sparse model is then made of stock ones, which multiply and add apart.
    let mmoe = network("mmoe", "norm = 'layer'");
    let knobs = "norm = 'layer'\nnum_experts = 4\ntop_k = 4\nbalance = 'none'";
    let weights = mmoe.variables.snapshot().unwrap();
    let sparse = with_weights("sparse_mmoe", knobs, &three_tasks(), weights);
    let xs = inputs(ROWS, WIDTH, 2.0);
    assert_close(&sparse.logits(&xs), &mmoe.logits(&xs), 1e-6);
}

#[test]
fn choosing_every_expert_for_one_task_is_omoe() {
    let omoe = || Network::from_seed(&config("omoe", ""), &one_task(), WIDTH);
    let rename = |path: &str| path.replace("shared.gate", "task.a.gate");
    let knobs = "num_experts = 4\ntop_k = 4\nbalance = 'none'";
    assert_identical(
        omoe,
        || with_weights("sparse_mmoe", knobs, &one_task(), renamed(&omoe(), rename)),
        rename,
    );
}

#[test]
fn one_task_mixes_the_experts_of_omoes_largest_weights() {
    let knobs = "tower_dims = []";
    let omoe = Network::from_seed(&config("omoe", knobs), &one_task(), WIDTH);
    let weights = renamed(&omoe, |path| path.replace("shared.gate", "task.a.gate"));
    let tower = ["task.a.tower.0.weight", "task.a.tower.0.bias"].map(|path| weights[path].clone());
    let chosen = format!("{knobs}\nnum_experts = 4\ntop_k = 2\nbalance = 'none'");
    let sparse = with_weights("sparse_mmoe", &chosen, &one_task(), weights);
    let xs = inputs(ROWS, WIDTH, 2.0);
    let trace = omoe.trace(&xs);
    let gate: Vec<Vec<f32>> = trace.gates[0].weights.to_vec2().unwrap();
    let mixed = gate.iter().map(|row| {
        let mut sorted = row.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let kept = |weight: &f32| if *weight >= sorted[1] { *weight } else { 0.0 };
        let sum: f32 = sorted[..2].iter().sum();
        row.iter()
            .map(|weight| kept(weight) / sum)
            .collect::<Vec<_>>()
    });
    let mixed: Vec<f32> = mixed.flatten().collect();
    let mixed = Tensor::from_vec(mixed, (ROWS, 1, 4), &place::device()).unwrap();
    let experts = trace.experts[0].outputs.transpose(0, 1).unwrap();
    let hidden = mixed.matmul(&experts.contiguous().unwrap()).unwrap();
    let logits = hidden.squeeze(1).unwrap().matmul(&tower[0]).unwrap();
    let expected = logits.broadcast_add(&tower[1]).unwrap();
    assert_close(&sparse.logits(&xs), &expected, 1e-6);
}

#[test]
fn smes_without_shared_experts_is_sparse_mmoe() {
    for balance in ["none", "switch"] {
        let smes = format!("num_experts = 6\nshared_k = 0\nprivate_k = 2\nbalance = '{balance}'");
        let sparse = format!("num_experts = 6\ntop_k = 2\nbalance = '{balance}'");
        let weights = || network("smes", &smes).variables.snapshot().unwrap();
        assert_identical(
            || network("smes", &smes),
            || with_weights("sparse_mmoe", &sparse, &three_tasks(), weights()),
            str::to_owned,
        );
    }
}

#[test]
fn smes_of_one_task_chooses_its_largest() {
    let smes = "num_experts = 6\nshared_k = 2\nprivate_k = 1";
    let one = || Network::from_seed(&config("smes", smes), &one_task(), WIDTH);
    let weights = || one().variables.snapshot().unwrap();
    assert_identical(
        one,
        || {
            with_weights(
                "sparse_mmoe",
                "num_experts = 6\ntop_k = 3",
                &one_task(),
                weights(),
            )
        },
        str::to_owned,
    );
}

/// Which experts each task of each row chose: [rows][tasks][experts].
fn choices(network: &Network, xs: &Tensor) -> Vec<Vec<Vec<bool>>> {
    let gates = network.trace(xs).gates;
    let of_gate = |row: usize| {
        let row = gates.iter().map(move |gate| {
            let weights: Vec<f32> = gate.weights.get(row).unwrap().to_vec1().unwrap();
            weights.iter().map(|weight| *weight > 0.0).collect()
        });
        row.collect()
    };
    (0..xs.dim(0).unwrap()).map(of_gate).collect()
}

fn count(chosen: &[bool]) -> usize {
    chosen.iter().filter(|is_chosen| **is_chosen).count()
}

#[test]
fn a_row_runs_no_more_experts_than_its_tasks_can_choose() {
    // Name and knobs, experts of a pair, experts of a row at most.
    for (name, knobs, of_pair, most) in [
        ("sparse_mmoe", "num_experts = 16", 2, 6),
        ("sparse_mmoe", "num_experts = 4\ntop_k = 3", 3, 4),
        ("sparse_mmoe", "gate_reads = 'row_only'", 2, 2),
        ("smes", "", 3, 5),
        ("smes", "num_experts = 4\nprivate_k = 2", 4, 4),
        ("smes", "shared_k = 3\nprivate_k = 0", 3, 3),
        ("smes", "shared_k = 0\nprivate_k = 2", 2, 6),
    ] {
        for row in choices(&network(name, knobs), &inputs(40, WIDTH, 3.0)) {
            let of_row = |expert: usize| row.iter().any(|pair| pair[expert]);
            let union: Vec<bool> = (0..row[0].len()).map(of_row).collect();
            let union = count(&union);
            assert!(
                (of_pair..=most).contains(&union),
                "{name}, {knobs}: {union}"
            );
            // With shared ones that were chosen again alone, a pair would have fewer.
            assert!(
                row.iter().all(|pair| count(pair) == of_pair),
                "{name}, {knobs}"
            );
        }
    }
}

#[test]
fn tasks_of_smes_share_experts_and_not_their_weights() {
    let smes = network("smes", "shared_k = 3\nprivate_k = 0");
    let xs = inputs(40, WIDTH, 3.0);
    for row in choices(&smes, &xs) {
        assert!(row[0] == row[1] && row[0] == row[2]);
    }
    let gates = smes.trace(&xs).gates;
    assert_ne!(values(&gates[0].weights), values(&gates[1].weights));
    // With own ones as well, every task of a row has the shared two.
    for row in choices(&network("smes", ""), &xs) {
        let of_all = (0..16).filter(|expert| row.iter().all(|pair| pair[*expert]));
        assert!(of_all.count() >= 2);
    }
}

#[test]
fn gates_that_read_the_task_alone_are_the_same_for_every_row() {
    let knobs = "num_experts = 4\ntop_k = 4\ngate_reads = 'task_only'";
    let gates = network("sparse_mmoe", knobs)
        .trace(&inputs(ROWS, WIDTH, 3.0))
        .gates;
    for gate in &gates {
        let rows: Vec<Vec<f32>> = gate.weights.to_vec2().unwrap();
        assert!(rows.iter().all(|row| bits(row) == bits(&rows[0])));
    }
    assert_ne!(values(&gates[0].weights), values(&gates[1].weights));
}

/// The weights of a network, some of them changed.
fn changed(network: &Network, change: impl Fn(&str, &mut Vec<f32>)) -> ByPath {
    let weights = network.variables.snapshot().unwrap().into_iter();
    let changed = weights.map(|(path, tensor)| {
        let mut numbers = values(&tensor);
        change(&path, &mut numbers);
        let tensor = Tensor::from_vec(numbers, tensor.dims(), &place::device()).unwrap();
        (path, tensor)
    });
    changed.collect()
}

#[test]
fn a_number_added_to_all_logits_of_a_task_changes_nothing() {
    for (name, knobs) in [
        ("sparse_mmoe", ""),
        ("sparse_mmoe", "gate_weights = 'raw'"),
        ("smes", ""),
    ] {
        let straight = network(name, knobs);
        let weights = changed(&straight, |path, numbers| {
            if path == "task.b.gate.bias" {
                numbers.iter_mut().for_each(|number| *number += 3.0);
            }
        });
        let shifted = with_weights(name, knobs, &three_tasks(), weights);
        let xs = inputs(ROWS, WIDTH, 2.0);
        assert_eq!(choices(&shifted, &xs), choices(&straight, &xs));
        assert_close(&shifted.logits(&xs), &straight.logits(&xs), 1e-6);
    }
}

#[test]
fn a_balance_of_weight_0_is_none() {
    for (name, balances) in [
        (
            "sparse_mmoe",
            ["switch", "importance", "mutual_info"].as_slice(),
        ),
        ("smes", &["switch"]),
    ] {
        for balance in balances {
            let weightless = format!("balance = '{balance}'\nbalance_weight = 0");
            let step = network(name, &weightless).step(&inputs(ROWS, WIDTH, 2.0), None, 0);
            assert!(step.auxiliary.is_none());
            assert_identical(
                || network(name, &weightless),
                || network(name, "balance = 'none'"),
                str::to_owned,
            );
        }
    }
}

#[test]
fn noise_is_of_the_step_and_evaluation_has_none() {
    let xs = inputs(ROWS, WIDTH, 2.0);
    let clean = network("sparse_mmoe", "");
    let expected = values(&clean.model.forward_t(&xs, false, None).unwrap());
    for noise in ["learned", "fixed"] {
        let noisy = network("sparse_mmoe", &format!("gate_noise = '{noise}'"));
        for _ in 0..2 {
            let logits = noisy.model.forward_t(&xs, false, None).unwrap();
            assert_eq!(bits(&values(&logits)), bits(&expected));
        }
        let of_step = |index| values(&noisy.step(&xs, None, index).logits);
        assert_eq!(bits(&of_step(3)), bits(&of_step(3)));
        assert_ne!(of_step(3), of_step(4));
        assert_ne!(of_step(3), expected);
        // The balance loss is of the noisy choice.
        let of_step = |index| values(&noisy.step(&xs, None, index).auxiliary.unwrap().loss);
        assert_eq!(bits(&of_step(3)), bits(&of_step(3)));
        assert_ne!(of_step(3), of_step(4));
    }
}

/// Gradients of an expert's slice of every variable of the routed set.
fn of_expert(gradients: &std::collections::BTreeMap<String, Vec<f32>>, expert: usize) -> Vec<f32> {
    let of_set = gradients
        .iter()
        .filter(|(path, _)| path.starts_with("shared.expert."));
    let of_one = of_set.flat_map(|(_, gradient)| {
        let size = gradient.len() / 8;
        gradient[expert * size..(expert + 1) * size].to_vec()
    });
    of_one.collect()
}

#[test]
fn what_no_observed_pair_chose_learns_nothing() {
    // Nobody chooses expert 0, task c alone expert 7, and no row observes task c.
    let knobs = "balance = 'none'";
    for more in ["", "norm = 'batch'"] {
        let knobs = format!("{knobs}\n{more}");
        let weights = changed(&network("sparse_mmoe", &knobs), |path, numbers| {
            if path.ends_with("gate.bias") {
                numbers[0] = -100.0;
                numbers[7] = if path == "task.c.gate.bias" {
                    100.0
                } else {
                    -100.0
                };
            }
        });
        let network = with_weights("sparse_mmoe", &knobs, &three_tasks(), weights);
        let xs = inputs(40, WIDTH, 2.0);
        let observed: Vec<f32> = (0..120).map(|at| f32::from(u8::from(at % 3 < 2))).collect();
        let observed = Tensor::from_vec(observed, (40, 3), &place::device()).unwrap();
        let gradients = |observed: Option<&Tensor>| {
            network.step_gradients(&xs, observed, |output| loss_of_step(output, observed))
        };
        let is_zero = |gradient: &[f32]| gradient.iter().all(|value| *value == 0.0);
        let (all, some) = (gradients(None), gradients(Some(&observed)));
        assert!(is_zero(&of_expert(&all, 0)) && is_zero(&of_expert(&some, 0)));
        assert!(!is_zero(&of_expert(&all, 7)) && is_zero(&of_expert(&some, 7)));
        assert!(!is_zero(&all["task.c.gate.weight"]) && is_zero(&some["task.c.gate.weight"]));
        assert!(!is_zero(&some["task.a.gate.weight"]));
    }
}

#[test]
fn a_balance_loss_sees_observed_pairs_alone() {
    let xs = inputs(ROWS, WIDTH, 2.0);
    let none_of_c: Vec<f32> = (0..3 * ROWS)
        .map(|at| f32::from(u8::from(at % 3 < 2)))
        .collect();
    let none_of_c = Tensor::from_vec(none_of_c, (ROWS, 3), &place::device()).unwrap();
    for (name, knobs) in [
        ("sparse_mmoe", "balance = 'switch'"),
        (
            "sparse_mmoe",
            "balance = 'importance'\nbalance_over = 'task'",
        ),
        ("sparse_mmoe", "balance = 'mutual_info'"),
        ("sparse_mmoe", "balance = 'load'\ngate_noise = 'learned'"),
        ("sparse_mmoe", "gate = 'dselect_k'\nnum_experts = 5"),
        ("smes", ""),
    ] {
        let network = network(name, knobs);
        let gradients = network.step_gradients(&xs, Some(&none_of_c), |output| {
            Ok(output.auxiliary.as_ref().unwrap().loss.clone())
        });
        for (path, gradient) in &gradients {
            let is_zero = gradient.iter().all(|value| *value == 0.0);
            let of_gate = |task: &str| path.starts_with(&format!("task.{task}.gate"));
            assert!(is_zero || !of_gate("c"), "{name}, {knobs}: {path}");
        }
        let learns = gradients
            .iter()
            .filter(|(path, _)| path.starts_with("task.a.gate"))
            .any(|(_, gradient)| gradient.iter().any(|value| *value != 0.0));
        assert!(learns, "{name}, {knobs}");
    }
}

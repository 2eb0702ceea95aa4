//! What architectures say of their variables, whether one task alone learns them, against the gradients that arrive; and where the graph of a step is
//! cut.

mod common;

use candle_core::{Result, Tensor};
use common::{MODELS, Network, config, inputs, place, three_tasks};
use homebench_kernels::{Role, not_the_last_pass};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const WIDTH: usize = 7;

/// The sum of one task's logits, each with a slope of its own.
fn of_task(logits: &Tensor, task: usize) -> Result<Tensor> {
    let rows = logits.dim(0)?;
    let slopes: Vec<f32> = (0..rows).map(|row| 1.0 + row as f32 / 3.0).collect();
    let slopes = Tensor::from_vec(slopes, rows, logits.device())?;
    (logits.narrow(1, task, 1)?.squeeze(1)? * slopes)?.sum_all()
}

#[test]
fn a_variable_that_two_tasks_reach_is_shared_and_no_other_is() {
    place::in_place(|| {
        for (model, knobs) in MODELS {
            let network = Network::from_seed(&config(model, knobs), &three_tasks(), WIDTH);
            let xs = inputs(24, WIDTH, 1.0);
            let mut reached: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
            for task in 0..3 {
                let found = network.gradients(&xs, |logits| of_task(logits, task));
                for (path, gradient) in found {
                    if gradient.iter().any(|slope| *slope != 0.0) {
                        reached.entry(path).or_default().insert(task);
                    }
                }
            }
            let shared: BTreeSet<&str> = network.variables.shared().map(|p| p.path()).collect();
            let all = network.variables.parameters().iter();
            for parameter in all.filter(|parameter| parameter.role() == Role::Trained) {
                let path = parameter.path();
                let tasks = reached.get(path).map_or(0, BTreeSet::len);
                let is_shared = shared.contains(path);
                assert!(is_shared || tasks <= 1, "{model} {knobs}: {path} is shared");
                // An expert that one task chose on these rows is there for all.
                let chooses = ["sparse_mmoe", "smes", "switch"].contains(&model);
                assert!(
                    !is_shared || tasks != 1 || chooses,
                    "{model} {knobs}: {path} is not"
                );
            }
            // Tasks of CGC and PLE share nothing but those experts, and without EPNet those of PEPNet have all to themselves.
            let has_none = knobs == "num_shared_experts = 0" || knobs.contains("'ppnet'");
            let shares = !["logistic", "single_task"].contains(&model) && !has_none;
            assert_eq!(!shared.is_empty(), shares, "{model} {knobs}");
        }
    });
}

/// Cut or not, a step has the same logits, and gradients that go through the two parts one after the other are those of the whole.
#[test]
fn a_step_that_is_cut_is_the_same_step_in_two_parts() {
    place::in_place(|| {
        let mut num_cut = 0;
        for (model, knobs) in MODELS {
            let network = Network::from_seed(&config(model, knobs), &three_tasks(), WIDTH);
            let has = network.model.has_representation();
            // Within a half: three cross layers make fourth powers of inputs, whose rounding larger ones would show.
            let xs = inputs(24, WIDTH, 0.5);
            let whole = network.gradients(&xs, |logits| of_task(logits, 1));
            let logits = network.step(&xs, None, 0).logits;
            let cut = RefCell::default();
            let again = network.cut_step(&xs, None, 0, Some(&cut)).logits;
            assert_eq!(
                common::values(&again),
                common::values(&logits),
                "{model} {knobs}"
            );
            let cut = cut.into_inner();
            assert_eq!(cut.is_some(), has, "{model} {knobs}");
            let Some(cut) = cut else { continue };
            num_cut += 1;
            let collect = |store: &candle_core::backprop::GradStore| {
                for parameter in network.variables.parameters() {
                    parameter.collect(store).unwrap();
                }
            };
            let loss = of_task(&again, 1).unwrap();
            let heads = not_the_last_pass(|| loss.backward()).unwrap();
            collect(&heads);
            let of_leaf = heads.get(cut.leaf()).unwrap();
            let through = (cut.output() * of_leaf).unwrap().sum_all().unwrap();
            collect(&through.backward().unwrap());
            for parameter in network.variables.parameters() {
                let expected = whole.get(parameter.path());
                let found = parameter.gradient();
                let zeros = vec![0.0; parameter.num_elements()];
                let (expected, found) =
                    (expected.unwrap_or(&zeros), found.unwrap_or(zeros.clone()));
                let scale = expected
                    .iter()
                    .fold(1e-2f32, |most, slope| most.max(slope.abs()));
                for (one, other) in found.iter().zip(expected) {
                    assert!(
                        (one - other).abs() <= 2e-5 * scale,
                        "{model} {knobs}: {}",
                        parameter.path()
                    );
                }
            }
        }
        assert!(num_cut > 20, "{num_cut}");
    });
}

//! What must hold of every model whatever its weights: limits, masks, gradients, threads.

mod common;

use candle_core::Tensor;
use common::{MODELS, Network, config, inputs, loss_of_step, place, three_tasks, values};
use homebench_kernels::Role;
use homebench_model::Trace;

const WIDTH: usize = 7;
const ROWS: usize = 9;

fn networks() -> impl Iterator<Item = (String, Network)> {
    MODELS.iter().map(|(name, knobs)| {
        let network = Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH);
        (format!("{name} with {knobs:?}"), network)
    })
}

#[test]
fn every_architecture_is_among_the_models_tested() {
    for entry in homebench_model::registry() {
        assert!(
            MODELS.iter().any(|(name, _)| *name == entry.name),
            "{}",
            entry.name
        );
    }
}

#[test]
fn logits_and_gradients_of_inputs_of_a_hundred_stay_finite() {
    for (what, network) in networks() {
        // Every value is -100 or 100, and one column is the same on every row.
        let signs = inputs(ROWS, WIDTH, 1.0).sign().unwrap();
        let one = Tensor::ones((ROWS, 1), candle_core::DType::F32, &place::device()).unwrap();
        let signs = Tensor::cat(&[one, signs.narrow(1, 1, WIDTH - 1).unwrap()], 1).unwrap();
        let xs = (signs * 100.0).unwrap();
        for train in [true, false] {
            let logits = network.model.forward_t(&xs, train, None).unwrap();
            assert!(values(&logits).iter().all(|v| v.is_finite()), "{what}");
        }
        let loss = loss_of_step(&network.step(&xs, None, 0), None).unwrap();
        assert!(values(&loss)[0].is_finite(), "{what}");
        let arrived = network.step_gradients(&xs, None, |output| loss_of_step(output, None));
        for (path, gradient) in arrived {
            assert!(gradient.iter().all(|v| v.is_finite()), "{what}: {path}");
        }
    }
}

#[test]
fn every_trained_variable_gets_a_gradient() {
    for (what, network) in networks() {
        let xs = inputs(ROWS, WIDTH, 1.0);
        let arrived = network.step_gradients(&xs, None, |output| loss_of_step(output, None));
        for parameter in network.variables.parameters() {
            let expected = parameter.role() == Role::Trained;
            let path = parameter.path();
            assert_eq!(arrived.contains_key(path), expected, "{what}: {path}");
        }
        // A logistic regression starts at zero, where nothing flows on to the input.
        let flows = arrived["xs"].iter().any(|v| *v != 0.0);
        assert_eq!(flows, !what.starts_with("logistic"), "{what}");
    }
}

#[test]
fn looking_inside_changes_no_logit() {
    for (what, network) in networks() {
        let xs = inputs(ROWS, WIDTH, 1.0);
        let mut trace = Trace::default();
        let seen = network.model.forward_t(&xs, false, Some(&mut trace));
        let alone = network.model.forward_t(&xs, false, None);
        assert_eq!(values(&seen.unwrap()), values(&alone.unwrap()), "{what}");
    }
}

fn choice<'a>(network: &'a Network, knob: &str) -> Option<&'a str> {
    network.config.knobs().get(knob)?.as_str()
}

fn is_of_sigmoids(network: &Network) -> bool {
    choice(network, "gate_kind") == Some("sigmoid")
}

/// Raw weights are parts of a softmax over experts that are not all chosen; DSelect-k leaves out the codes of no expert.
fn may_sum_to_less(network: &Network) -> bool {
    is_of_sigmoids(network)
        || choice(network, "gate_weights") == Some("raw")
        || choice(network, "gate") == Some("dselect_k")
}

#[test]
fn the_weights_of_a_gate_sum_to_one() {
    for (what, network) in networks() {
        for gate in network.trace(&inputs(ROWS, WIDTH, 3.0)).gates {
            let (path, weights) = (gate.path, gate.weights);
            assert_eq!(gate.seen.len(), weights.dim(1).unwrap(), "{what}: {path}");
            if path.ends_with("self_gate") && weights.dim(1).unwrap() == 1 {
                // One expert's self-gate is a sigmoid.
                assert!(values(&weights).iter().all(|w| (0.0..=1.0).contains(w)));
                continue;
            }
            let most = match is_of_sigmoids(&network) {
                true => weights.dim(1).unwrap() as f32,
                false => 1.0,
            };
            for sum in values(&weights.sum(1).unwrap()) {
                let fits = match may_sum_to_less(&network) {
                    true => sum > 0.0 && sum < most + 1e-6,
                    false => (sum - 1.0).abs() < 1e-6,
                };
                assert!(fits, "{what}: {path} sums to {sum}");
            }
        }
    }
}

/// Fails unless the logits of `task` alone give exactly zero gradient to every variable under one of `masked`, and
/// something other than zero under each of `seen`.
#[track_caller]
fn assert_masked(name: &str, knobs: &str, task: usize, masked: &[&str], seen: &[&str]) {
    let network = Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH);
    let of_task = |logits: &Tensor| logits.narrow(1, task, 1)?.sqr()?.sum_all();
    let arrived = network.gradients(&inputs(ROWS, WIDTH, 1.0), of_task);
    for path in masked {
        let paths = network.variables.parameters().iter().map(|p| p.path());
        assert!(paths.clone().any(|p| p.starts_with(path)), "{name}: {path}");
        for (under, gradient) in arrived.iter().filter(|(p, _)| p.starts_with(path)) {
            assert!(gradient.iter().all(|v| *v == 0.0), "{name}: {under}");
        }
    }
    for path in seen {
        let mut under = arrived.iter().filter(|(p, _)| p.starts_with(path));
        let any = under.any(|(_, gradient)| gradient.iter().any(|v| *v != 0.0));
        assert!(any, "{name}: {path}");
    }
}

#[test]
fn a_masked_expert_gets_exactly_no_gradient_from_a_task_that_cannot_see_it() {
    assert_masked(
        "home",
        "rank = 2",
        0,
        &[
            "group.h.",
            "task.b.",
            "task.c.",
            "meta.h.gate",
            "meta.h.self_gate",
        ],
        &[
            "group.g.expert",
            "task.a.expert",
            "shared.expert",
            "meta.shared.expert",
            "meta.h.expert",
        ],
    );
    assert_masked(
        "cgc",
        "",
        1,
        &["level.0.task.a.", "level.0.task.c."],
        &["level.0.task.b.expert", "level.0.shared.expert"],
    );
    // Below the last level the shared gate sees every task's experts.
    assert_masked(
        "ple",
        "",
        2,
        &["level.0.task.a.gate", "level.1.task.a.", "level.1.task.b."],
        &[
            "level.0.task.a.expert",
            "level.0.shared.gate",
            "level.1.task.c.expert",
        ],
    );
    assert_masked(
        "ple",
        "num_shared_experts = 0",
        2,
        &["level.0.task.a.", "level.1.task.b."],
        &["level.0.task.c."],
    );
    assert_masked(
        "single_task",
        "",
        0,
        &["task.b.", "task.c."],
        &["task.a.expert"],
    );
    assert_masked("mmoe", "", 0, &["task.b.", "task.c."], &["shared.expert"]);
    // A memory meets its task's tower alone.
    assert_masked(
        "task_expert",
        "backbone_dims = [6]\nmemory_write = 'gated'\ngate_reads = 'both'",
        0,
        &[
            "level.0.task.b.",
            "level.1.task.b.",
            "level.2.task.c.",
            "task.b.",
        ],
        &[
            "level.0.shared.backbone",
            "level.0.shared.expert",
            "level.1.task.a.memory",
            "level.2.task.a.write",
            "level.0.task.a.gate",
        ],
    );
    // A task reads what other tasks' experts give and teaches them nothing; the gate and the shared experts it teaches.
    assert_masked(
        "stem",
        "",
        0,
        &["level.0.task.b.", "level.0.task.c.", "task.b."],
        &[
            "level.0.task.a.expert",
            "level.0.shared.expert",
            "level.0.task.a.gate",
        ],
    );
    // Towers are a task's own whatever the scenario; so are M3oE's gates, and what its modules count for a task.
    assert_masked(
        "star",
        "",
        0,
        &["task.b.", "task.c."],
        &[
            "shared.expert",
            "shared.norm.",
            "shared.auxiliary",
            "task.a.tower",
        ],
    );
    assert_masked(
        "hinet",
        "",
        0,
        &["task.b.", "task.c."],
        &[
            "scenario.shared.expert",
            "scenario.2.expert",
            "scenario.attention",
            "shared.expert",
            "task.a.gate",
        ],
    );
    assert_masked(
        "m3oe",
        "",
        0,
        &[
            "task.b.gate",
            "task.b.balance",
            "task.b.scenario_fusion",
            "task.c.task_fusion",
            "task.c.tower",
        ],
        &[
            "task.c.expert",
            "scenario.expert",
            "scenario.balance",
            "shared.star",
        ],
    );
    // The last task of the chain teaches those before it; the first learns nothing from those behind.
    for name in ["esmm", "escm2", "aitm"] {
        let own = ["task.a.expert", "task.b.expert", "task.c.expert"];
        assert_masked(name, "", 2, &[], &own);
        assert_masked(name, "", 0, &["task.b.", "task.c."], &own[..1]);
    }
    assert_masked(
        "resflow",
        "",
        1,
        &["level.0.task.c.", "level.1.task.c.", "task.c."],
        &[
            "level.0.task.a.expert",
            "level.1.task.a.expert",
            "task.a.tower",
        ],
    );
    // After the last stitch a task's tower is its own; before it tasks exchange.
    assert_masked(
        "cross_stitch",
        "",
        0,
        &["task.b.", "task.c."],
        &["level.0.task.c.expert", "level.1.task.b.expert"],
    );
}

#[test]
fn without_the_mask_every_task_reaches_every_expert() {
    assert_masked(
        "home",
        "rank = 2\nmask = false",
        0,
        &["task.c.gate", "task.c.self_gate", "task.c.tower"],
        &[
            "group.h.expert",
            "task.b.expert",
            "task.c.expert",
            "meta.h.expert",
        ],
    );
}

#[test]
fn without_shared_experts_there_are_no_variables_of_them() {
    for (name, knobs) in [
        ("cgc", "num_shared_experts = 0"),
        ("ple", "num_shared_experts = 0"),
        ("home", "rank = 2\nnum_shared_experts = 0"),
    ] {
        let network = Network::from_seed(&config(name, knobs), &three_tasks(), WIDTH);
        let logits = network.logits(&inputs(ROWS, WIDTH, 1.0));
        assert_eq!(logits.dims(), [ROWS, 3]);
        let mut paths = network.variables.parameters().iter().map(|p| p.path());
        // The meta layer's shared experts are others.
        let shared = |p: &str| p.contains("shared.") && !p.starts_with("meta.");
        assert!(!paths.any(shared), "{name}");
    }
}

#[test]
fn a_batch_of_one_row_is_refused_by_batch_norm_in_training_alone() {
    let network = Network::from_seed(&config("home", "rank = 2"), &three_tasks(), WIDTH);
    let row = inputs(1, WIDTH, 1.0);
    let error = network.model.forward_t(&row, true, None).unwrap_err();
    assert!(error.to_string().contains("row"), "{error}");
    assert!(network.model.forward_t(&row, false, None).is_ok());
    let plain = Network::from_seed(&config("mmoe", ""), &three_tasks(), WIDTH);
    assert!(plain.model.forward_t(&row, true, None).is_ok());
}

/// Fails unless logits, gradients and statistics are the same at any number of threads.
#[track_caller]
fn assert_same_at_any_number_of_threads(name: &str, knobs: &str) {
    let (rows, width) = (2100, 33);
    let xs = inputs(rows, width, 2.0);
    let compute = || {
        let network = Network::from_seed(&config(name, knobs), &three_tasks(), width);
        let logits = values(&network.logits(&xs));
        let arrived = network.step_gradients(&xs, None, |output| loss_of_step(output, None));
        let statistics: Vec<Vec<f32>> = network
            .variables
            .parameters()
            .iter()
            .filter(|p| p.role() == Role::Statistic)
            .map(|p| values(p.tensor()))
            .collect();
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let arrived: Vec<_> = arrived.into_iter().map(|(p, v)| (p, bits(v))).collect();
        let statistics: Vec<_> = statistics.into_iter().map(bits).collect();
        (bits(logits), arrived, statistics)
    };
    let with_threads = |count: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        pool.unwrap().install(compute)
    };
    let expected = with_threads(1);
    for count in [2, 5, 5] {
        let is_same = with_threads(count) == expected;
        assert!(is_same, "{name} with {knobs:?}: {count} threads");
    }
}

#[test]
fn home_gives_the_same_bytes_at_any_number_of_threads() {
    assert_same_at_any_number_of_threads("home", "rank = 5\nexpert_dims = [40, 24]");
}

#[test]
fn other_models_give_the_same_bytes_at_any_number_of_threads() {
    for (name, knobs) in [
        ("sparse_mmoe", "gate_noise = 'learned'\nbalance = 'load'"),
        ("sparse_mmoe", "gate = 'dselect_k'\nnum_shared_experts = 1"),
        (
            "sparse_mmoe",
            "gate_reads = 'row_and_task'\ngate_dims = [20]",
        ),
        ("smes", "encoder_dims = [24]"),
        (
            "switch",
            "expert_init = 'fan_in'\nprior = 'window'\nhidden_dim = 8\nblock_dims = [8]",
        ),
        (
            "task_expert",
            "memory_write = 'gated'\ngate_reads = 'both'\nbackbone_dims = [8]",
        ),
        ("cross_stitch", ""),
        ("pepnet", "prior_features = ['user']"),
        ("stem", "num_levels = 2"),
        ("star", ""),
        ("hinet", ""),
        ("m3oe", ""),
        ("esmm", ""),
        ("escm2", "counterfactual = 'dr'"),
        ("aitm", ""),
        ("resflow", "norm = 'batch'"),
    ] {
        assert_same_at_any_number_of_threads(name, knobs);
    }
}

//! Configurations that are one model, and orders that are free.

mod common;

use candle_core::Tensor;
use common::{ByPath, Network, assert_close, config, inputs, layout, place, renamed, three_tasks};

const WIDTH: usize = 7;
const ROWS: usize = 9;

/// Fails unless two configurations with the same weights, but for the paths that only one has, give the same logits.
#[track_caller]
fn assert_same_model(
    one: (&str, &str),
    other: (&str, &str),
    groups: &[(&str, &[&str])],
    tolerance: f32,
) {
    let layout = layout(groups);
    let xs = inputs(ROWS, WIDTH, 2.0);
    let one = Network::from_seed(&config(one.0, one.1), &layout, WIDTH);
    let other = Network::from_seed(&config(other.0, other.1), &layout, WIDTH);
    assert_close(&one.logits(&xs), &other.logits(&xs), tolerance);
}

const GROUPS: &[(&str, &[&str])] = &[("g", &["a", "b"]), ("h", &["c"])];

#[test]
fn home_starts_as_home_without_feature_gates() {
    let without = ("home", "feature_gate = 'none'");
    for knobs in [
        "rank = 2",
        "rank = 2\nfeature_gate = 'meta_only'",
        "rank = 2\nfeature_gate_scope = 'per_expert'",
        "rank = 2\nnum_lora = 3\nfeature_gate_mix = 'before_sigmoid'",
        "rank = 2\nnum_lora = 1\ngate_input = 'gated'",
    ] {
        assert_same_model(("home", knobs), without, GROUPS, 1e-5);
    }
}

#[test]
fn a_mask_that_hides_nothing_is_no_mask() {
    let one_task: &[(&str, &[&str])] = &[("g", &["a"])];
    let masked = ("home", "rank = 2\nmask = true");
    assert_same_model(masked, ("home", "rank = 2\nmask = false"), one_task, 0.0);
}

#[test]
fn cgc_is_ple_of_one_level() {
    for knobs in [
        "",
        "num_shared_experts = 0",
        "norm = 'batch'\ngate_dims = [3]",
    ] {
        let one_level = format!("{knobs}\nnum_levels = 1");
        assert_same_model(("cgc", knobs), ("ple", &one_level), GROUPS, 0.0);
    }
}

#[test]
fn ml_mmoe_of_one_level_is_mmoe() {
    let mmoe = Network::from_seed(&config("mmoe", ""), &three_tasks(), WIDTH);
    let weights = renamed(&mmoe, |path| {
        path.replace("shared.expert", "level.0.expert")
    });
    let config = config("ml_mmoe", "num_levels = 1");
    let ml_mmoe = Network::from_weights(&config, &three_tasks(), WIDTH, weights);
    let xs = inputs(ROWS, WIDTH, 2.0);
    assert_close(&ml_mmoe.logits(&xs), &mmoe.logits(&xs), 0.0);
}

#[test]
fn adatt_sp_of_one_level_without_residual_is_mmoe_over_the_tasks_experts() {
    let mmoe = Network::from_seed(&config("mmoe", "num_experts = 3"), &three_tasks(), WIDTH);
    let mut weights = ByPath::new();
    for (path, tensor) in mmoe.variables.snapshot().unwrap() {
        if let Some(rest) = path.strip_prefix("shared.") {
            for (index, task) in ["a", "b", "c"].into_iter().enumerate() {
                let expert = tensor.narrow(0, index, 1).unwrap();
                weights.insert(format!("level.0.task.{task}.{rest}"), expert);
            }
        } else if path.contains(".gate.") {
            weights.insert(format!("level.0.{path}"), tensor);
        } else {
            weights.insert(path, tensor);
        }
    }
    for task in ["a", "b", "c"] {
        let nothing = Tensor::zeros(1, candle_core::DType::F32, &place::device()).unwrap();
        weights.insert(format!("level.0.task.{task}.residual"), nothing);
    }
    let config = config("adatt_sp", "num_levels = 1\nresidual = 'learned'");
    let adatt = Network::from_weights(&config, &three_tasks(), WIDTH, weights);
    let xs = inputs(ROWS, WIDTH, 2.0);
    assert_close(&adatt.logits(&xs), &mmoe.logits(&xs), 1e-6);
}

#[test]
fn a_fixed_residual_is_a_learned_one_of_one() {
    for (name, knobs) in [("adatt_sp", ""), ("adatt", "num_levels = 3")] {
        let learned = config(name, &format!("{knobs}\nresidual = 'learned'"));
        let learned = Network::from_seed(&learned, &three_tasks(), WIDTH);
        let mut weights = learned.variables.snapshot().unwrap();
        weights.retain(|path, _| !path.ends_with("residual"));
        let fixed = config(name, knobs);
        let fixed = Network::from_weights(&fixed, &three_tasks(), WIDTH, weights);
        let xs = inputs(ROWS, WIDTH, 2.0);
        assert_close(&fixed.logits(&xs), &learned.logits(&xs), 0.0);
    }
}

/// Fails unless logits stay when the experts of `set` are put in another order, and with them the columns of `gates`, whose
/// columns of that set begin at the given one.
#[track_caller]
fn assert_order_is_free(name: &str, knobs: &str, set: &str, count: usize, gates: &[(&str, usize)]) {
    let config = config(name, knobs);
    let network = Network::from_seed(&config, &three_tasks(), WIDTH);
    // The last becomes the first.
    let reorder = |tensor: &Tensor, dim: usize, start: usize| -> Tensor {
        let size = tensor.dim(dim).unwrap() as u32;
        let (first, last) = (start as u32, (start + count) as u32 - 1);
        let order: Vec<u32> = (0..first)
            .chain([last])
            .chain(first..last)
            .chain(last + 1..size)
            .collect();
        let order = Tensor::new(order, &place::device()).unwrap();
        tensor.index_select(&order, dim).unwrap()
    };
    let mut weights = network.variables.snapshot().unwrap();
    let mut changed = 0;
    for (path, tensor) in &mut weights {
        if path.starts_with(&format!("{set}.expert.")) {
            *tensor = reorder(tensor, 0, 0);
            changed += 1;
        }
        for (gate, start) in gates {
            let of_gate = ["weight", "bias", "noise"].map(|name| format!("{gate}.{name}"));
            if of_gate.contains(path) {
                *tensor = reorder(tensor, tensor.rank() - 1, *start);
                changed += 1;
            }
            if path == gate {
                *tensor = reorder(tensor, 0, *start);
                changed += 1;
            }
        }
    }
    assert!(changed >= 2 + gates.len(), "{name}: nothing was reordered");
    let reordered = Network::from_weights(&config, &three_tasks(), WIDTH, weights);
    let xs = inputs(ROWS, WIDTH, 2.0);
    assert_close(&reordered.logits(&xs), &network.logits(&xs), 1e-5);
}

#[test]
fn the_order_of_a_sets_experts_is_free() {
    assert_order_is_free("omoe", "", "shared", 4, &[("shared.gate", 0)]);
    let of_tasks = [("task.a.gate", 0), ("task.b.gate", 0), ("task.c.gate", 0)];
    assert_order_is_free("mmoe", "", "shared", 4, &of_tasks);
    assert_order_is_free("mmoe", "norm = 'batch'", "shared", 4, &of_tasks);
    // In HoME's gates the shared experts come first, then the group's.
    let of_groups = [
        ("meta.g.gate", 0),
        ("meta.h.gate", 0),
        ("meta.shared.gate", 0),
        ("meta.shared.self_gate", 0),
    ];
    assert_order_is_free("home", "rank = 2", "meta.shared", 2, &of_groups);
    assert_order_is_free("home", "rank = 2", "shared", 2, &of_tasks);
    let of_group = [("task.a.gate", 2), ("task.b.gate", 2)];
    assert_order_is_free("home", "rank = 2", "group.g", 2, &of_group);
    // In PLE's the task's experts come first, then the shared ones.
    let shared = [
        ("level.1.task.a.gate", 2),
        ("level.1.task.b.gate", 2),
        ("level.1.task.c.gate", 2),
    ];
    assert_order_is_free("ple", "", "level.1.shared", 2, &shared);
    let of_own = [
        ("level.1.task.a.gate", 2),
        ("level.1.task.b.gate", 2),
        ("level.1.task.c.gate", 2),
        ("level.1.task.b.residual", 0),
    ];
    assert_order_is_free(
        "adatt_sp",
        "num_task_experts = 2",
        "level.1.task.b",
        2,
        &of_own,
    );
    // Of sparse models, each form of gate. In TaskExpert's gates the level's experts come first, then the memory.
    for knobs in ["", "gate_noise = 'learned'\nnum_shared_experts = 1"] {
        assert_order_is_free("sparse_mmoe", knobs, "shared", 8, &of_tasks);
    }
    for knobs in [
        "gate_reads = 'row_only'",
        "gate_reads = 'task_only'",
        "gate_reads = 'row_times_task'",
        "gate_reads = 'row_and_task'\ngate_dims = [4]",
    ] {
        assert_order_is_free("sparse_mmoe", knobs, "shared", 8, &[("shared.gate", 0)]);
    }
    assert_order_is_free("smes", "", "shared", 16, &of_tasks);
    let of_level = [
        ("level.1.task.a.gate", 0),
        ("level.1.task.b.gate", 0),
        ("level.1.task.c.gate", 0),
    ];
    assert_order_is_free("task_expert", "", "level.1.shared", 4, &of_level);
}

#[test]
fn the_order_of_tasks_is_that_of_the_logits_and_nothing_else() {
    let order = "prior_order = ['b', 'c', 'a']\nhidden_dim = 6\nexpert_init = 'fan_in'";
    for (name, knobs) in [
        ("mmoe", String::new()),
        ("sparse_mmoe", String::new()),
        ("sparse_mmoe", "balance = 'mutual_info'".to_owned()),
        ("sparse_mmoe", "gate_reads = 'row_times_task'".to_owned()),
        (
            "sparse_mmoe",
            "gate = 'dselect_k'\nnum_experts = 5".to_owned(),
        ),
        ("smes", String::new()),
        ("switch", format!("{order}\nprior = 'window'")),
        ("switch", format!("{order}\ntask_embedding = 'position'")),
        ("task_expert", "memory_write = 'gated'".to_owned()),
        ("cross_stitch", String::new()),
    ] {
        let config = config(name, &knobs);
        let xs = inputs(ROWS, WIDTH, 2.0);
        let network = |groups| Network::from_seed(&config, &layout(groups), WIDTH);
        let straight = network(GROUPS).step(&xs, None, 0);
        let turned = network(&[("h", &["c"]), ("g", &["b", "a"])]).step(&xs, None, 0);
        for (task, other) in [(0, 2), (1, 1), (2, 0)] {
            let own = straight.logits.narrow(1, task, 1).unwrap();
            assert_close(&turned.logits.narrow(1, other, 1).unwrap(), &own, 1e-5);
        }
        let own = [straight.auxiliary, turned.auxiliary].map(|own| own.map(|own| own.loss));
        if let [Some(straight), Some(turned)] = own {
            assert_close(&turned, &straight, 1e-6);
        }
    }
}

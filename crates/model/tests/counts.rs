//! Parameters and FLOPs per row against counts made by hand.
//!
//! Inputs of width 5; tasks a, b in group g and c in group h; experts of widths 4 and 2; towers of one hidden layer of 3.
//!
//! | part | parameters | FLOPs: 2 for every multiply-add |
//! | --- | --- | --- |
//! | expert on 5 | (5·4 + 4) + (4·2 + 2) = 34 | 2 (20 + 8) = 56 |
//! | expert on 2 | (2·4 + 4) + (4·2 + 2) = 22 | 2 (8 + 8) = 32 |
//! | with batch norm | no biases, scale and shift of 4 and 2: 28 + 12 = 40 on 5, 16 + 12 = 28 on 2 | the same |
//! | gate on d with n columns | d·n + n | 2·d·n |
//! | three towers on 2 | 3 ((2·3 + 3) + (3·1 + 1)) = 39 | 3 · 2 (6 + 3) = 54 |
//! | feature gate, 2 LoRAs of rank 2 | on 5: 5·2 + 2·5·2 + 2·2·5 = 50; on 2: 4 + 8 + 8 = 20 | on 5: 2 (10 + 20 + 20) = 100; on 2: 40 |

mod common;

use common::{Network, config, three_tasks};

#[track_caller]
fn assert_counts(name: &str, knobs: &str, parameters: usize, flops_per_row: usize) {
    let knobs = format!("expert_dims = [4, 2]\ntower_dims = [3]\n{knobs}");
    let network = Network::from_seed(&config(name, &knobs), &three_tasks(), 5);
    let found = (
        network.variables.num_trained(),
        network.model.flops_per_row(),
    );
    assert_eq!(found, (parameters, flops_per_row), "{name}: {knobs}");
}

#[test]
fn logistic_has_a_weight_per_input_and_a_bias_per_task() {
    let network = Network::from_seed(&config("logistic", ""), &three_tasks(), 5);
    assert_eq!(network.variables.num_trained(), 3 * (5 + 1));
    assert_eq!(network.model.flops_per_row(), 3 * 2 * 5);
}

#[test]
fn shared_bottom_has_one_network_and_towers() {
    assert_counts("shared_bottom", "", 34 + 39, 56 + 54);
}

#[test]
fn single_task_has_a_network_and_a_tower_per_task() {
    assert_counts("single_task", "", 3 * 34 + 39, 3 * 56 + 54);
}

#[test]
fn omoe_has_experts_and_one_gate() {
    // A gate of 2 columns on 5: 12 and 20.
    assert_counts(
        "omoe",
        "num_experts = 2",
        2 * 34 + 12 + 39,
        2 * 56 + 20 + 54,
    );
}

#[test]
fn mmoe_has_experts_and_a_gate_per_task() {
    let two = "num_experts = 2";
    assert_counts("mmoe", two, 2 * 34 + 3 * 12 + 39, 2 * 56 + 3 * 20 + 54);
    // A layer of 3 before each gate: (5·3 + 3) + (3·2 + 2) = 26 and 2 (15 + 6) = 42.
    let hidden = "num_experts = 2\ngate_dims = [3]";
    assert_counts("mmoe", hidden, 2 * 34 + 3 * 26 + 39, 2 * 56 + 3 * 42 + 54);
}

#[test]
fn norms_have_a_scale_and_a_shift_per_unit_and_batch_norm_no_bias_before_it() {
    let flops = 2 * 56 + 3 * 20 + 54;
    let with = |norm: &str| format!("num_experts = 2\nnorm = {norm}");
    assert_counts("mmoe", &with("'batch'"), 2 * 40 + 36 + 39, flops);
    // Layer norm leaves the biases: 34 + 12 = 46.
    assert_counts("mmoe", &with("'layer'"), 2 * 46 + 36 + 39, flops);
    // Batch norm on the last layer alone: (5·4 + 4) + (4·2 + 2·2) = 36.
    let output = with("'batch'\nnorm_position = 'output'");
    assert_counts("mmoe", &output, 2 * 36 + 36 + 39, flops);
}

#[test]
fn ml_mmoe_has_a_gate_on_the_input_per_expert_of_the_next_level() {
    // Level 1: 2 experts on 5, 2 gates of 2 columns. Level 2: 2 experts on 2, 3 gates of 2 columns, on 5 as well.
    let parameters = (2 * 34 + 2 * 12) + (2 * 22 + 3 * 12) + 39;
    let flops = (2 * 56 + 2 * 20) + (2 * 32 + 3 * 20) + 54;
    assert_counts(
        "ml_mmoe",
        "num_experts = 2\nnum_levels = 2",
        parameters,
        flops,
    );
}

#[test]
fn cgc_has_experts_per_task_and_shared_ones() {
    // 3·2 + 1 experts; a gate sees 2 + 1: 5·3 + 3 = 18 and 30.
    let knobs = "num_task_experts = 2\nnum_shared_experts = 1";
    assert_counts("cgc", knobs, 7 * 34 + 3 * 18 + 39, 7 * 56 + 3 * 30 + 54);
    // Without shared ones: 6 experts, a gate sees 2.
    let without = "num_task_experts = 2\nnum_shared_experts = 0";
    assert_counts("cgc", without, 6 * 34 + 3 * 12 + 39, 6 * 56 + 3 * 20 + 54);
}

#[test]
fn ple_has_a_shared_gate_on_every_level_but_the_last() {
    // Each level: 3·1 + 1 experts. Level 1: gates of 2 columns on 5, the shared one of 4: 24 and 40. Level 2: gates of 2
    // columns on 2: 6 and 8.
    let parameters = (4 * 34 + 3 * 12 + 24) + (4 * 22 + 3 * 6) + 39;
    let flops = (4 * 56 + 3 * 20 + 40) + (4 * 32 + 3 * 8) + 54;
    let knobs = "num_task_experts = 1\nnum_shared_experts = 1\nnum_levels = 2";
    assert_counts("ple", knobs, parameters, flops);
}

#[test]
fn adatt_sp_has_gates_over_every_tasks_experts_and_a_residual() {
    // Each level: 3 experts, 3 gates of 3 columns, 3 residuals of 1. On 5: 18 and 30; on 2: 9 and 12.
    let parameters = (3 * 34 + 3 * 18 + 3) + (3 * 22 + 3 * 9 + 3) + 39;
    let flops = (3 * 56 + 3 * 30) + (3 * 32 + 3 * 12) + 54;
    assert_counts(
        "adatt_sp",
        "num_task_experts = 1\nnum_levels = 2",
        parameters,
        flops,
    );
}

#[test]
fn adatt_has_a_shared_unit_without_a_gate_on_the_last_level() {
    // Each level: 3 + 1 experts and gates of 4 columns: on 5, 24 and 40; on 2, 12 and 16. Gates and residuals: 4, then 3.
    let parameters = (4 * 34 + 4 * 24 + 4) + (4 * 22 + 3 * 12 + 3) + 39;
    let flops = (4 * 56 + 4 * 40) + (4 * 32 + 3 * 16) + 54;
    let knobs = "num_task_experts = 1\nnum_shared_experts = 1\nnum_levels = 2";
    assert_counts("adatt", knobs, parameters, flops);
}

/// Meta experts: 2 shared and 1 per group. Task layer: 1 shared, 2 per group, 1 per task.
const HOME: &str = "num_meta_shared_experts = 2\nnum_meta_group_experts = 1\nnum_shared_experts = 1\n\
    num_group_experts = 2\nnum_task_experts = 1\nnum_lora = 2\nrank = 2";

#[test]
fn home_has_two_layers_of_experts_feature_gates_gates_and_self_gates() {
    // Layer 1: 2 + 2·1 experts; 3 sets. Gates of 2 + 1, 2 + 1 and 2 + 2·1 columns on 5: 18 + 18 + 24 and 30 + 30 + 40.
    // Self-gates of 1, 1 and 2 columns: 6 + 6 + 12 and 10 + 10 + 20.
    let parameters = 4 * 40 + 3 * 50 + (18 + 18 + 24) + (6 + 6 + 12);
    let flops = 4 * 56 + 3 * 100 + (30 + 30 + 40) + (10 + 10 + 20);
    // Layer 2: 1 + 2·2 + 3·1 experts; 6 sets. Gates of 1 + 2 + 1 columns on 2 + 2: 20 and 32. Self-gates of 1 on 2: 3 and 4.
    let parameters = parameters + 8 * 28 + 6 * 20 + 3 * 20 + 3 * 3 + 39;
    let flops = flops + 8 * 32 + 6 * 40 + 3 * 32 + 3 * 4 + 54;
    assert_eq!((parameters, flops), (846, 1322));
    assert_counts("home", HOME, parameters, flops);
    // A feature gate per expert instead of one per set: 4 for 3, and 8 for 6.
    let per_expert = format!("{HOME}\nfeature_gate_scope = 'per_expert'");
    assert_counts("home", &per_expert, 846 + 50 + 2 * 20, 1322 + 100 + 2 * 40);
}

#[test]
fn an_ablation_of_home_lacks_what_its_name_says() {
    let with = |more: &str| format!("{HOME}\n{more}");
    let without_fg2 = with("feature_gate = 'meta_only'");
    assert_counts("home", &without_fg2, 846 - 6 * 20, 1322 - 6 * 40);
    let without_fg = with("feature_gate = 'none'");
    let (parameters, flops) = (846 - 6 * 20 - 3 * 50, 1322 - 6 * 40 - 3 * 100);
    assert_counts("home", &without_fg, parameters, flops);
    // Self-gates: 24 and 9 parameters, 40 and 12 FLOPs.
    let (parameters, flops) = (parameters - 33, flops - 52);
    let without_fg_sg = with("feature_gate = 'none'\nself_gate = false");
    assert_counts("home", &without_fg_sg, parameters, flops);
    // Every gate sees every expert: 3 gates of 4 columns, 24 and 40 each, and 3 of 8 on 4, 40 and 64 each.
    let (parameters, flops) = (
        parameters - (18 + 18 + 24) - 3 * 20 + 3 * 24 + 3 * 40,
        flops - (30 + 30 + 40) - 3 * 32 + 3 * 40 + 3 * 64,
    );
    let without_mask = with("feature_gate = 'none'\nself_gate = false\nmask = false");
    assert_counts("home", &without_mask, parameters, flops);
    // Plain experts have a bias where normalised ones have a scale and a shift: 6 fewer each.
    let without_norm = with("norm = 'none'\nactivation = 'relu'");
    assert_counts("home", &without_norm, 846 - 12 * 6, 1322);
}

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
fn adatt_sp_has_gates_over_every_tasks_experts_and_a_residual_of_several() {
    // Each level: 3 experts, 3 gates of 3 columns. On 5: 18 and 30; on 2: 9 and 12.
    let parameters = (3 * 34 + 3 * 18) + (3 * 22 + 3 * 9) + 39;
    let flops = (3 * 56 + 3 * 30) + (3 * 32 + 3 * 12) + 54;
    let one = "num_task_experts = 1\nnum_levels = 2";
    assert_counts("adatt_sp", one, parameters, flops);
    // 3 residuals of 1 each level, where they are learned.
    let learned = format!("{one}\nresidual = 'learned'");
    assert_counts("adatt_sp", &learned, parameters + 6, flops);
    // Of two experts, residuals are learned in both forms: 3 of 2, and gates of 6 columns on 5, 36 and 60.
    for residual in ["fixed", "learned"] {
        assert_counts(
            "adatt_sp",
            &format!("num_task_experts = 2\nnum_levels = 1\nresidual = '{residual}'"),
            6 * 34 + 3 * 36 + 6 + 39,
            6 * 56 + 3 * 60 + 54,
        );
    }
}

#[test]
fn adatt_has_a_shared_unit_without_a_gate_on_the_last_level() {
    // Each level: 3 + 1 experts and gates of 4 columns: on 5, 24 and 40; on 2, 12 and 16. Gates: 4, then 3.
    let parameters = (4 * 34 + 4 * 24) + (4 * 22 + 3 * 12) + 39;
    let flops = (4 * 56 + 4 * 40) + (4 * 32 + 3 * 16) + 54;
    let knobs = "num_task_experts = 1\nnum_shared_experts = 1\nnum_levels = 2";
    assert_counts("adatt", knobs, parameters, flops);
    // As many residuals as gates.
    let learned = format!("{knobs}\nresidual = 'learned'");
    assert_counts("adatt", &learned, parameters + 4 + 3, flops);
}

#[test]
fn sparse_mmoe_counts_every_expert_and_the_flops_of_those_that_a_row_may_run() {
    // 8 experts, and 3 gates of 8 columns on 5: 48 and 80. Three tasks run at most 6 experts of 8.
    let knobs = "num_experts = 8\ntop_k = 2";
    let (parameters, flops) = (8 * 34 + 3 * 48 + 39, 6 * 56 + 3 * 80 + 54);
    assert_counts("sparse_mmoe", knobs, parameters, flops);
    // With 5 of 8 each, they may run all; 2 more run always.
    let many = "num_experts = 8\ntop_k = 5\nnum_shared_experts = 2";
    assert_counts(
        "sparse_mmoe",
        many,
        parameters + 2 * 34,
        flops + (2 + 2) * 56,
    );
    // A deviation per task and expert, whose product training alone has.
    let noise = format!("{knobs}\ngate_noise = 'learned'");
    assert_counts("sparse_mmoe", &noise, parameters + 3 * 5 * 8, flops);
}

#[test]
fn sparse_mmoes_gates_count_what_they_read() {
    let with = |reads: &str| format!("num_experts = 8\ntop_k = 1\ntask_dim = 3\n{reads}");
    let (experts, run) = (8 * 34 + 39, 3 * 56 + 54);
    let switch = |reads: &str, parameters: usize, flops: usize| {
        assert_counts(
            "sparse_mmoe",
            &with(reads),
            experts + parameters,
            run + flops,
        );
    };
    // One gate of 8 columns on 5.
    switch("gate_reads = 'row_only'", 48, 80);
    // 3 embeddings of 3, a gate of 8 columns on 3. The same for every row: none of its FLOPs is a row's.
    switch("gate_reads = 'task_only'", 9 + 32, 0);
    // Embeddings, a layer of 4 on 5 + 3, a gate of 8 columns on 4, run for every task.
    let both = "gate_reads = 'row_and_task'\ngate_dims = [4]";
    switch(both, 9 + (8 * 4 + 4) + (4 * 8 + 8), 3 * 2 * (8 * 4 + 4 * 8));
    // Embeddings, maps of 5 and 3 to 2, a gate of 8 columns on 2 for every task.
    let times = "gate_reads = 'row_times_task'\ngate_rank = 2";
    switch(times, 9 + 10 + 6 + (16 + 8), 2 * 10 + 3 * 2 * 16);
    // DSelect-k: a task's selector has 3 bits and a weight on 5, without biases. Rows may run every expert.
    let selectors = "gate = 'dselect_k'";
    switch(selectors, 3 * 5 * 4, 3 * 2 * 5 * 4 + 5 * 56);
}

#[test]
fn smes_has_an_encoder_before_experts_and_gates() {
    // 3 gates of 9 columns on 5: 54 and 90. Of 9 experts, a row runs 2 of all tasks and 1 of each of 3.
    let knobs = "num_experts = 9\nshared_k = 2\nprivate_k = 1";
    assert_counts("smes", knobs, 9 * 34 + 3 * 54 + 39, 5 * 56 + 3 * 90 + 54);
    // Layers of 3 and 2: (5*3 + 3) + (3*2 + 2) = 26 and 2 (15 + 6) = 42. Gates of 9 columns on 2: 27 and 36.
    let encoder = format!("{knobs}\nencoder_dims = [3, 2]");
    assert_counts(
        "smes",
        &encoder,
        26 + 9 * 22 + 3 * 27 + 39,
        42 + 5 * 32 + 3 * 36 + 54,
    );
}

#[test]
fn switch_runs_every_block_for_every_task() {
    // Streams of 2, blocks with a layer of 4: norms 4, layers (2*4 + 4) + (4*2 + 2) = 22 and 2 (8 + 8) = 32; 3 experts
    // (2*2 + 2) = 6, merged to one of 2 * 4 = 8; a gate of 3 columns on 3: 12.
    let knobs = "tower_dims = [3]\nhidden_dim = 2\nblock_dims = [4]\ntask_dim = 3\nnum_blocks = 2\n\
        num_experts = 3\ntop_k = 2";
    let parameters = (5 * 2 + 2) + 3 * 3 + 2 * (4 + 22 + 3 * 6 + 12) + 39;
    let flops = 2 * 10 + 3 * 2 * (8 + 32) + 54;
    let counts = |knobs: &str| {
        let network = Network::from_seed(&config("switch", knobs), &three_tasks(), 5);
        (
            network.variables.num_trained(),
            network.model.flops_per_row(),
        )
    };
    assert_eq!(counts(knobs), (parameters, flops));
    // Positions are no variables.
    let position = format!("{knobs}\ntask_embedding = 'position'\nprior = 'window'");
    assert_eq!(counts(&position), (parameters - 9, flops));
}

#[test]
fn task_expert_runs_experts_once_for_all_tasks_and_reads_memories_for_each() {
    // Each level: a backbone of 2, on 5: 12 and 20, on 2: 6 and 8; 2 experts on 2.
    let knobs = "num_levels = 2\nbackbone_dims = [2]\nnum_experts = 2\nmemory_read = 'identity'";
    let experts = (12 + 2 * 22) + (6 + 2 * 22) + 39;
    let run = (20 + 2 * 32) + (8 + 2 * 32) + 54;
    // Gates on 2 of 2 columns, 6 and 8; on the second level of 3, 9 and 12.
    let (parameters, flops) = (experts + 3 * 6 + 3 * 9, run + 3 * 8 + 3 * 12);
    assert_counts("task_expert", knobs, parameters, flops);
    // A map of memories of 2, on the second level: 6 and 8.
    let linear = knobs.replace("identity", "linear");
    assert_counts("task_expert", &linear, parameters + 3 * 6, flops + 3 * 8);
    // A share that reads the memory and the mix: 4*2 + 2 and 2*8.
    let gated = format!("{knobs}\nmemory_write = 'gated'");
    assert_counts("task_expert", &gated, parameters + 3 * 10, flops + 3 * 16);
    // Gates that read the memory too: 2 rows of 3 more.
    let both = format!("{knobs}\ngate_reads = 'both'");
    assert_counts("task_expert", &both, parameters + 3 * 6, flops + 3 * 12);
    // Gates that read nothing: vectors of 2 and of 3.
    let none = format!("{knobs}\ngate_reads = 'none'");
    assert_counts("task_expert", &none, experts + 3 * 2 + 3 * 3, run);
    // Without memories the first level is a backbone alone, and gates have 2 columns.
    let without = format!("{knobs}\nmemory = false");
    assert_counts(
        "task_expert",
        &without,
        12 + (6 + 2 * 22) + 3 * 6 + 39,
        20 + (8 + 2 * 32) + 3 * 8 + 54,
    );
}

#[test]
fn cross_stitch_has_a_network_per_task_and_a_number_per_pair_and_level() {
    assert_counts("cross_stitch", "", 3 * 34 + 2 * 9 + 39, 3 * 56 + 54);
}

#[test]
fn pepnet_has_a_gate_on_the_input_and_one_per_task_and_layer() {
    // Layers of 3 tasks: on 5, 5*4 + 4 = 24 and 40; on 4, 4*2 + 2 = 10 and 16.
    let (own, own_flops) = (3 * (24 + 10) + 39, 3 * (40 + 16) + 54);
    // EPNet reads the scenario, 1, and the input: a hidden layer of 3 on 6, then 5.
    let (epnet, epnet_flops) = (6 * 3 + 3 + 3 * 5 + 5, 2 * (18 + 15));
    // PPNet reads 2 columns of the user and the input: 3 on 7, then 4, and 2.
    let (ppnet, ppnet_flops) = (
        3 * (2 * (7 * 3 + 3) + (3 * 4 + 4) + (3 * 2 + 2)),
        3 * 2 * (2 * 21 + 12 + 6),
    );
    let prior = "gate_hidden_dim = 3\nprior_features = ['user']";
    let (parameters, flops) = (own + epnet + ppnet, own_flops + epnet_flops + ppnet_flops);
    assert_counts("pepnet", prior, parameters, flops);
    let only = |part: &str| format!("{prior}\nparts = '{part}'");
    let (parameters, flops) = (own + ppnet, own_flops + ppnet_flops);
    assert_counts("pepnet", &only("ppnet"), parameters, flops);
    let epnet_alone = "gate_hidden_dim = 3\nparts = 'epnet'";
    let (parameters, flops) = (own + epnet, own_flops + epnet_flops);
    assert_counts("pepnet", epnet_alone, parameters, flops);
}

#[test]
fn stem_has_gates_over_every_tasks_experts_and_shared_ones() {
    // 3 experts of tasks and 2 shared ones, 3 gates of 5 columns on 5: 30 and 50.
    let one = "num_shared_experts = 2";
    assert_counts("stem", one, 5 * 34 + 3 * 30 + 39, 5 * 56 + 3 * 50 + 54);
    // Below the last level a shared gate; on the last, on 2, gates of 15 and 20.
    let two = "num_shared_experts = 2\nnum_levels = 2";
    let parameters = (5 * 34 + 4 * 30) + (5 * 22 + 3 * 15) + 39;
    let flops = (5 * 56 + 4 * 50) + (5 * 32 + 3 * 20) + 54;
    assert_counts("stem", two, parameters, flops);
    // What gradients stop at is no matter of counts.
    let free = format!("{two}\nstop_gradients = false");
    assert_counts("stem", &free, parameters, flops);
}

#[test]
fn models_with_weights_for_each_scenario_run_those_of_one() {
    // Three scenarios. Star layers have weights and biases once and once for each: 4 times 34 and 4 times 39.
    let (layers, run) = (4 * (34 + 39), 56 + 54);
    let plain = "partitioned_norm = false\nauxiliary = false";
    assert_counts("star", plain, layers, run);
    // Scale and shift of 5 inputs, as often.
    assert_counts("star", "auxiliary = false", layers + 4 * 10, run);
    // A layer of 3, then a logit a task: (5*3 + 3) + (3*3 + 3) and 2 (15 + 9).
    let auxiliary = "partitioned_norm = false\nauxiliary_dims = [3]";
    assert_counts("star", auxiliary, layers + 30, run + 48);

    // Sub-experts of everybody and of three scenarios, a gate of 2 columns on 5 for each of the four: 12 and 20.
    let (extraction, run) = (8 * 34 + 4 * 12, 8 * 56 + 4 * 20);
    let few = "num_task_experts = 1\nnum_shared_experts = 1";
    // A map of the scenario's 1 column: 6 and 6. Behind it 4 experts on 6, 38 and 64, and gates of 2 columns, 14 and 24.
    let (attention, attention_flops) = (6 + 4 * 38 + 3 * 14 + 39, 6 + 4 * 64 + 3 * 24 + 54);
    assert_counts("hinet", few, extraction + attention, run + attention_flops);
    // Without, experts on 4, 30 and 48, and gates of 10 and 16.
    let without = format!("{few}\nattention = false");
    assert_counts(
        "hinet",
        &without,
        extraction + 4 * 30 + 3 * 10 + 39,
        run + 4 * 48 + 3 * 16 + 54,
    );

    // A star layer of 3, 4 times 18 and 30; layers of 4 on 3 and on 5, 16 + 24 and 24 + 40; 2 + 3 + 3 experts on 4, 30 and 48; gates of 2
    // columns on 4, 10 of each scenario and task and 16 of each task; towers of each scenario.
    let small = "star_dim = 3\nbottom_dim = 4\nnum_shared_experts = 2";
    let (parameters, flops) = (
        72 + 40 + 8 * 30 + 9 * 10 + 3 * 39,
        30 + 64 + 8 * 48 + 3 * 16 + 54,
    );
    // Balances of scenarios and of tasks, 3 and 3, and two numbers of each scenario and task.
    assert_counts("m3oe", small, parameters + 6 + 2 * 9, flops);
    let shared = format!("{small}\nfusion = 'shared'");
    assert_counts("m3oe", &shared, parameters + 4, flops);
}

#[test]
fn models_of_chains_have_a_network_per_task_and_what_joins_them() {
    let (parameters, flops) = (3 * 34 + 39, 3 * 56 + 54);
    assert_counts("esmm", "", parameters, flops);
    assert_counts("resflow", "", parameters, flops);
    assert_counts("escm2", "", parameters, flops);
    // Two towers of 2, 3 and 1 for errors, in training alone.
    let robust = "counterfactual = 'dr'";
    assert_counts("escm2", robust, parameters + 2 * 13, flops);
    // Two of the tasks come after another: a map of 2 with bias, on one row, and three without, on two.
    let (transfers, transfer_flops) = (2 * (6 + 3 * 4), 2 * (8 + 2 * 3 * 8));
    assert_counts("aitm", "", parameters + transfers, flops + transfer_flops);
}

#[test]
fn pad_net_has_two_maps_for_each_ordered_pair_of_tasks_and_two_towers_for_each() {
    // A bottom; networks of 2 x 2 with a bias; 6 pairs of 2 maps of 2 x 2; first towers, which are no part of what is served.
    let knobs = "task_dims = [2]";
    let (parameters, flops) = (34 + 3 * 6 + 39, 56 + 3 * 8 + 54);
    assert_counts(
        "pad_net",
        knobs,
        parameters + 6 * 2 * 4 + 39,
        flops + 6 * 2 * 8,
    );
    let alone = format!("{knobs}\nexchange = 'none'\ndeep_supervision = 0");
    assert_counts("pad_net", &alone, parameters, flops);
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

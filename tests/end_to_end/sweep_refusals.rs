//! Everything that can be wrong with sweeps, tuning, defaults, includes and split seeds: refused with its place and its
//! mend, before anything runs.

use crate::bad_input::refusal_of;
use crate::harness::{Bench, experiment};

/// A spec that is right, one thing a line.
const SPEC: &str = r#"question = "Which is best?"
seeds = [1, 2]
[dataset]
name = "synthetic"
[training]
batch_size = 256
[grid]
rank = [4, 8]
[tuning]
trials = 2
seeds = [11]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-2] }
[variants.mmoe]
model = "mmoe"
expert_dims = [16, 8]
[variants.home]
model = "home"
expert_dims = [16, 8]
"#;

/// Refused with one line spoilt.
#[track_caller]
fn refusal(right: &str, wrong: &str) -> String {
    assert!(SPEC.contains(right));
    refusal_of(&SPEC.replace(right, wrong), &[])
}

/// Refused with this in place of the line of the grid, line 8.
#[track_caller]
fn of_grid(line: &str) -> String {
    refusal("rank = [4, 8]", line)
}

/// Refused with this in place of the line of the search, line 13.
#[track_caller]
fn of_search(line: &str) -> String {
    refusal(
        "\"training.learning_rate\" = { log_range = [1e-4, 1e-2] }",
        line,
    )
}

/// Refused with these lines at the end, from line 20 on.
#[track_caller]
fn at_end(lines: &str) -> String {
    refusal_of(&format!("{SPEC}{lines}\n"), &[])
}

/// Refused with these files beside the spec.
#[track_caller]
fn of_files(spec: &str, files: &[(&str, &str)]) -> String {
    let bench = Bench::new();
    bench.write("spec.toml", spec);
    for (name, text) in files {
        bench.write(name, text);
    }
    let descriptions = experiment("datasets");
    let arguments = ["plan", "spec.toml", "--descriptions", &descriptions];
    bench.run(&arguments).expect(2).stderr
}

#[test]
fn a_setting_that_nothing_has() {
    insta::assert_snapshot!(of_grid("rnk = [4, 8]"), @r"
    error: spec.toml:8:1: `grid.rnk`: no variant has a knob `rnk`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_experts, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean `rank`?
    ");
    insta::assert_snapshot!(of_grid("learning_rate = [1e-3]"), @r#"
    error: spec.toml:8:1: `grid.learning_rate`: no variant has a knob `learning_rate`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_experts, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean "training.learning_rate"?
    "#);
    insta::assert_snapshot!(of_grid("\"training.learning_rat\" = [1e-3]"), @r#"
    error: spec.toml:8:28: unknown key `learning_rat` in [variants."mmoe[learning_rat=0.001]".training]; expected one of `batch_size`, `max_epochs`, `patience`, `evaluations_per_epoch`, `learning_rate`, `embedding_learning_rate`, `weight_decay`, `embedding_dim`, `embedding_dims`, `attention`, `pretrained`, `optimizer`, `momentum`, `gradient_clip_norm`, `embedding_optimizer`, `embedding_l2`, `embedding_dropout`, `schedule`, `task_weights`, `positive_weights`, `balance`, `precision`
    hint: did you mean `learning_rate`?
    "#);
    insta::assert_snapshot!(of_grid("\"dataset.rows\" = [100]"), @r#"
    error: spec.toml:8:1: `grid."dataset.rows"`: `dataset.rows` is nothing that can be swept; expected a knob, such as `rank`, or a path below `training`, such as "training.learning_rate"
    hint: what is left of it can be changed with --set, a run at a time
    "#);
    insta::assert_snapshot!(of_grid("\"variants.home.rank\" = [4]"), @r#"
    error: spec.toml:8:1: `grid."variants.home.rank"`: `variants.home.rank` is nothing that can be swept; expected a knob, such as `rank`, or a path below `training`, such as "training.learning_rate"
    hint: for one variant, write `rank` into a table such as [variants.home.grid]
    "#);
    insta::assert_snapshot!(of_grid("\"trainin.learning_rate\" = [4]"), @r#"
    error: spec.toml:8:1: `grid."trainin.learning_rate"`: `trainin.learning_rate` is nothing that can be swept; expected a knob, such as `rank`, or a path below `training`, such as "training.learning_rate"
    hint: did you mean `training`?
    "#);
    insta::assert_snapshot!(at_end("grid = { num_experts = [2, 4] }"), @r"
    error: spec.toml:20:10: `variants.home.grid.num_experts`: `home` has no knob `num_experts`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean `num_task_experts`?
    ");
    insta::assert_snapshot!(of_search("num_expert = { range = [2, 4] }"), @r"
    error: spec.toml:13:1: `tuning.random.num_expert`: no variant has a knob `num_expert`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_experts, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean `num_experts`?
    ");
}

#[test]
fn a_list_of_values_that_is_none() {
    insta::assert_snapshot!(of_grid("rank = 4"), @r"
    error: spec.toml:8:8: `grid.rank`: expected a list of values, found integer
    hint: one value for all variants belongs in [training] or [defaults]
    ");
    insta::assert_snapshot!(of_grid("rank = []"), @r"
    error: spec.toml:8:8: `grid.rank`: expected at least one value, found none
    hint: leave the setting out, or give values
    ");
    insta::assert_snapshot!(of_grid("rank = [4, 8, 4]"), @r"
    error: spec.toml:8:15: `grid.rank`: 4 is given twice
    hint: the same value gives the same numbers; leave one out
    ");
    insta::assert_snapshot!(of_grid("training.embedding_l2 = [0.001, 0, 1e-3]"), @r#"
    error: spec.toml:8:36: `grid."training.embedding_l2"`: 0.001 is given twice
    hint: the same value gives the same numbers; leave one out
    "#);
    insta::assert_snapshot!(of_grid("training = 3"), @r#"
    error: spec.toml:8:1: `grid.training`: `training` is nothing that can be swept; expected a knob, such as `rank`, or a path below `training`, such as "training.learning_rate"
    hint: name a key of it
    "#);
    insta::assert_snapshot!(of_grid("training.momentum = [0.0]\n\"training.momentum\" = [0.5]"), @r#"
    error: spec.toml:9:1: `grid."training.momentum"` is given twice
    hint: leave one of the two ways to write it out
    "#);
}

#[test]
fn a_value_that_makes_no_model_or_training() {
    insta::assert_snapshot!(of_grid("rank = [4, 0]"), @r#"error: spec.toml:8:12: `variants."home[rank=0]".rank`: expected a whole number of at least 1, found 0"#);
    insta::assert_snapshot!(of_grid("norm = [\"layer\", \"batsh\"]"), @r#"error: spec.toml:8:18: `variants."mmoe[norm=batsh]".norm`: expected one of "none", "batch", "layer", found "batsh""#);
    insta::assert_snapshot!(of_grid("\"training.learning_rate\" = [1e-3, \"fast\"]"), @r#"error: spec.toml:8:35: `variants."mmoe[learning_rate=fast]".training.learning_rate`: expected a number, found string "fast""#);
    insta::assert_snapshot!(of_grid("training.batch_size = [256, 0]"), @r#"error: spec.toml:8:29: `variants."mmoe[batch_size=0]".training.batch_size`: expected a whole number, 1 or more, found 0"#);
    insta::assert_snapshot!(of_grid("training.optimizer = [\"adam\", \"adamm\"]"), @r#"
    error: spec.toml:8:31: unknown value `adamm` for `variants."mmoe[optimizer=adamm]".training.optimizer`; expected one of `adam`, `adamw`, `adagrad`, `sgd`
    hint: did you mean `adam`?
    "#);
    insta::assert_snapshot!(of_grid("training.schedule.warm_up_steps = [5]"), @r#"
    error: spec.toml:8:36: `variants."mmoe[warm_up_steps=5]".training.schedule`: a schedule of the kind `constant` has no `warm_up_steps`
    hint: leave it out
    "#);
    insta::assert_snapshot!(of_grid("training.task_weights.likes = [2.0, 1.0]"), @r#"
    error: spec.toml:8:32: `variants."mmoe[likes=2]".training.task_weights`: the dataset has no task `likes`; it has: click, long_view, like, follow
    hint: did you mean `like`?
    "#);
    insta::assert_snapshot!(of_grid("training.batch_size.rows = [2]"), @r#"error: spec.toml:8:29: `variants."mmoe[rows=2]".training.batch_size`: expected a whole number, 0 or more, found map"#);
    // What is told only once the data is known.
    insta::assert_snapshot!(of_grid("rank = [4, 64]"), @r#"error: spec.toml:8:12: `variants."home[rank=64]".rank`: expected at most the width of the gated input, 8, found 64"#);
    insta::assert_snapshot!(refusal("expert_dims = [16, 8]\n[variants.home]", "norm = \"batch\"\ntraining.batch_size = 1\n[variants.home]"), @r"
    error: spec.toml:17:23: `variants.mmoe.training.batch_size`: expected at least 2 for the batch norm of `variants.mmoe`, found 1
    hint: a batch of one row has no deviation to divide by; use more rows, or `norm` other than batch
    ");
    insta::assert_snapshot!(of_grid("training.batch_size = [1]"), @r#"
    error: spec.toml:8:24: `variants."home[batch_size=1]".training.batch_size`: expected at least 2 for the batch norm of `variants."home[batch_size=1]"`, found 1
    hint: a batch of one row has no deviation to divide by; use more rows, or `norm` other than batch
    "#);
}

#[test]
fn more_configurations_than_can_be_meant() {
    let values: Vec<String> = (1..=400).map(|value| value.to_string()).collect();
    let list = values.join(", ");
    let said = of_grid(&format!(
        "training.batch_size = [{list}]\ntraining.patience = [{list}]"
    ));
    insta::assert_snapshot!(said, @r"
    error: spec.toml:7:2: `grid`: expected fewer than 100000 combinations of one variant, found 160000
    hint: draw some of them: [random] with `choices`
    ");
}

#[test]
fn something_to_draw_from_that_is_none() {
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = [1e-3, 1e-2]"), @r#"
    error: spec.toml:13:28: `tuning.random."training.learning_rate"`: expected what to draw from, found array
    hint: write `{ range = [a, b] }`, `{ log_range = [a, b] }` or `{ choices = [...] }`
    "#);
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = { range = [1e-2, 1e-3] }"), @r#"error: spec.toml:13:38: `tuning.random."training.learning_rate".range`: expected two numbers, the smaller first, found [0.01, 0.001]"#);
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = { log_range = [0, 1] }"), @r#"error: spec.toml:13:42: `tuning.random."training.learning_rate".log_range`: expected two numbers above 0, the smaller first, found [0, 1]"#);
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = { log_rang = [0.1, 1] }"), @r#"
    error: spec.toml:13:30: unknown key `log_rang` in [tuning.random."training.learning_rate"]; expected one of `range`, `log_range`, `choices`
    hint: did you mean `log_range`?
    "#);
    insta::assert_snapshot!(of_search("num_experts = { log_rang = [1, 2] }"), @r"
    error: spec.toml:13:17: unknown key `log_rang` in [tuning.random.num_experts]; expected one of `range`, `log_range`, `choices`
    hint: did you mean `log_range`?
    ");
    insta::assert_snapshot!(of_search("num_experts = { range = [1, 2], choices = [1] }"), @r"
    error: spec.toml:13:15: `tuning.random.num_experts`: expected what to draw from, found 2 keys
    hint: write `{ range = [a, b] }`, `{ log_range = [a, b] }` or `{ choices = [...] }`
    ");
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = { choices = [] }"), @r#"
    error: spec.toml:13:40: `tuning.random."training.learning_rate".choices`: expected at least one value, found none
    hint: leave the setting out, or give values
    "#);
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = { range = 3 }"), @r#"
    error: spec.toml:13:38: `tuning.random."training.learning_rate".range`: expected a list, found integer
    hint: write `{ range = [a, b] }`, `{ log_range = [a, b] }` or `{ choices = [...] }`
    "#);
    insta::assert_snapshot!(of_search("n = 3\n\"training.learning_rate\" = { choices = [1.0] }"), @r"
    error: spec.toml:13:1: `tuning.random.n`: the number of draws is that of `tuning.trials`
    hint: leave `n` out
    ");
    insta::assert_snapshot!(of_search("seed = -1\n\"training.learning_rate\" = { choices = [1.0] }"), @r"error: spec.toml:13:8: `tuning.random.seed`: expected a whole number, 0 or more, found -1");
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = { choices = [1e-3] }"), @"
    error: spec.toml:12:9: `tuning.random`: 2 different settings are asked for, and at most 1 exist
    hint: ask for fewer, or draw from more values
    ");
    let random = |lines: &str| refusal("[grid]\nrank = [4, 8]", &format!("[random]\n{lines}"));
    insta::assert_snapshot!(random("rank = { range = [1, 8] }"), @r"
    error: spec.toml:7:2: the key `n` is missing in [random]
    hint: add `n = ...`, how many settings are drawn
    ");
    insta::assert_snapshot!(random("n = 0\nrank = { range = [1, 8] }"), @r"error: spec.toml:8:5: `random.n`: expected a whole number, 1 or more, found 0");
    insta::assert_snapshot!(random("n = 9\nrank = { range = [1, 8] }"), @"
    error: spec.toml:7:2: `random`: 9 different settings are asked for, and at most 8 exist
    hint: ask for fewer, or draw from more values
    ");
    let both = "[grid]\nrank = [4, 8]\n[random]\nn = 2\nrank = { range = [1, 8] }";
    insta::assert_snapshot!(refusal("[grid]\nrank = [4, 8]", both), @r"
    error: spec.toml:11:1: `random.rank`: the setting is in the grid as well
    hint: let a setting be either in `grid` or in `random`
    ");
}

#[test]
fn tuning_that_is_not_fair() {
    insta::assert_snapshot!(refusal("seeds = [11]", "seeds = [11, 2]"), @r"
    error: spec.toml:11:14: `tuning.seeds`: 2 is one of `seeds` as well
    hint: what is reported is trained with fresh seeds: a winner is partly lucky with the seeds that chose it
    ");
    insta::assert_snapshot!(refusal("seeds = [11]\n", ""), @r"
    error: spec.toml:9:1: the key `seeds` is missing in [tuning]
    hint: add `seeds = ...`
    ");
    insta::assert_snapshot!(refusal("seeds = [11]", "seeds = []"), @r"
    error: spec.toml:11:9: `tuning.seeds`: expected at least one seed, found none
    hint: give one or more, such as [1]
    ");
    insta::assert_snapshot!(refusal("seeds = [11]", "seeds = [11, 11]"), @r"
    error: spec.toml:11:14: `tuning.seeds`: the seed 11 is given twice
    hint: a seed trained twice gives the same numbers twice; leave one out
    ");
    insta::assert_snapshot!(refusal("trials = 2", "trials = 0"), @r"error: spec.toml:10:10: `tuning.trials`: expected a whole number, 1 or more, found 0");
    insta::assert_snapshot!(refusal("trials = 2\n", ""), @r"
    error: spec.toml:9:2: the key `trials` is missing in [tuning]
    hint: add `trials = ...`, how many settings are tried for each variant
    ");
    insta::assert_snapshot!(refusal("trials = 2", "trails = 2"), @r"
    error: spec.toml:10:1: unknown key `trails` in [tuning]; expected one of `method`, `sampling`, `eta`, `min_epochs`, `startup_trials`, `generation_size`, `trials`, `seeds`, `grid`, `random`
    hint: did you mean `trials`?
    ");
    insta::assert_snapshot!(of_search("num_experts = { range = [2, 9] }"), @r#"
    error: spec.toml:17:11: `home` has none of the settings to tune, and the others would be tuned without it
    hint: give it settings of its own in [variants.home.tuning.random] or [variants.home.tuning.grid], such as "training.learning_rate"
    "#);
    insta::assert_snapshot!(of_search("rank = { range = [2, 8] }\n\"training.learning_rate\" = { range = [0.1, 0.2] }"), @r"
    error: spec.toml:13:1: `tuning.random.rank`: the setting is swept as well, so that it can't be tuned
    hint: compare its values in [grid] or [random], or let tuning choose one
    ");
    insta::assert_snapshot!(at_end("tuning.grid.num_lora = [1, 2]"), @r#"
    error: spec.toml:13:1: `tuning.random."training.learning_rate"`: `home` has both a grid and random draws to tune
    hint: make the grid's lists `choices` of the random search, or the other way around
    "#);
    insta::assert_snapshot!(at_end("tuning.trials = 9"), @r"error: spec.toml:20:8: unknown key `trials` in [variants.home.tuning]; expected one of `grid`, `random`");
}

#[test]
fn grids_to_tune_that_differ_in_size() {
    let random = "trials = 2\nseeds = [11]\n[tuning.random]\n\"training.learning_rate\" = { log_range = [1e-4, 1e-2] }";
    let grid = |trials: &str| {
        let grid = format!(
            "{trials}seeds = [11]\n[tuning.grid]\nnum_lora = [1, 2]\n\"training.learning_rate\" = [1e-3, 1e-2]"
        );
        refusal(random, &grid)
    };
    insta::assert_snapshot!(grid(""), @r"
    error: spec.toml:11:9: every variant is tuned with the same number of trials: the grid of `home[rank=4]` makes 4, `mmoe` has 2
    hint: draw them: [tuning.random] with `choices`, and `trials = ...`; or give `home` a grid of its own in [variants.home.tuning.grid]
    ");
    insta::assert_snapshot!(grid("trials = 4\n"), @r"
    error: spec.toml:12:9: every variant is tuned with the same number of trials: the grid of `mmoe` makes 2, `tuning.trials` says 4
    hint: draw them: [tuning.random] with `choices`, and `trials = ...`; or give `mmoe` a grid of its own in [variants.mmoe.tuning.grid]
    ");
}

#[test]
fn tuning_of_a_variant_where_nothing_is_tuned() {
    let start = SPEC.find("[tuning]").expect("a table");
    let end = SPEC.find("[variants.mmoe]").expect("a table");
    let spec = SPEC.replace(&SPEC[start..end], "") + "tuning.grid.num_lora = [1, 2]\n";
    insta::assert_snapshot!(refusal_of(&spec, &[]), @r"
    error: spec.toml:15:1: `variants.home.tuning`: there is no [tuning], so nothing is tuned
    hint: add [tuning] with `seeds`, or leave this out
    ");
}

#[test]
fn defaults_that_nothing_takes() {
    let with = |line: &str| refusal("[grid]", &format!("[defaults]\n{line}\n[grid]"));
    insta::assert_snapshot!(with("tower_dim = [8]"), @r"
    error: spec.toml:8:1: `defaults.tower_dim`: no variant has a knob `tower_dim`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_experts, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean `tower_dims`?
    ");
    insta::assert_snapshot!(with("batch_size = 8"), @r"
    error: spec.toml:8:1: `defaults.batch_size`: no variant has a knob `batch_size`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_experts, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: settings of training that variants share belong in [training]
    ");
    insta::assert_snapshot!(with("tower_dims = [0]"), @r"error: spec.toml:8:14: `variants.mmoe.tower_dims`: expected a list of layer widths of at least 1, or none, such as [64, 32], found [0]");
    insta::assert_snapshot!(with("num_experts = 0"), @r"error: spec.toml:8:15: `variants.mmoe.num_experts`: expected a whole number of at least 1, found 0");
}

#[test]
fn split_seeds_that_divide_nothing() {
    let with = |line: &str| {
        refusal(
            "seeds = [1, 2]",
            &format!("seeds = [1, 2]\nsplit_seeds = {line}"),
        )
    };
    insta::assert_snapshot!(with("[1, 2]"), @r#"
    error: spec.toml:3:1: `split_seeds`: the split of `synthetic` is fixed: the rows of each split are made apart, and no seed divides them anew
    hint: leave `split_seeds` out, or use a dataset whose description has `kind = "hash"` in [split]
    "#);
    insta::assert_snapshot!(with("[]"), @r"
    error: spec.toml:3:15: `split_seeds`: expected at least one seed, found none
    hint: give one or more, such as [1]
    ");
    insta::assert_snapshot!(with("[3, 3]"), @r"
    error: spec.toml:3:19: `split_seeds`: the seed 3 is given twice
    hint: a seed trained twice gives the same numbers twice; leave one out
    ");
    let census = SPEC
        .replace("\"synthetic\"", "\"census-income\"")
        .replace("seeds = [1, 2]", "seeds = [1, 2]\nsplit_seeds = [1]");
    insta::assert_snapshot!(refusal_of(&census, &[]), @r#"
    error: spec.toml:3:1: `split_seeds`: the split of `census-income` is fixed: its training rows are files of their own, and no seed divides them anew
    hint: leave `split_seeds` out, or use a dataset whose description has `kind = "hash"` in [split]
    "#);
}

#[test]
fn a_budget_like_a_variant_that_is_swept() {
    let said = refusal(
        "[variants.home]",
        "budget = { like = \"home\", flops = 0.1 }\n[variants.home]",
    );
    insta::assert_snapshot!(said, @r"
    error: spec.toml:17:19: `variants.mmoe.budget.like`: `home` is swept, so that it has no one cost
    hint: name one of its configurations, such as `home[rank=4]`
    ");
    let said = refusal(
        "expert_dims = [16, 8]\n[variants.home]",
        "budget = { like = \"home[rank=4]\", flops = 0.00001 }\n[variants.home]",
    );
    insta::assert_snapshot!(said, @r"
    error: spec.toml:16:43: `variants.mmoe.budget.flops`: no expert width comes within 0.00001; the nearest is expert_dims = [39, 20] with 34664 FLOPs per row, 0.59 % more than the 34460 of `home[rank=4]`
    hint: allow flops = 0.006, or change another knob, such as the number of experts
    ");
}

#[test]
fn values_that_a_budget_makes_one() {
    let budget = "budget = { like = \"home[rank=4]\", flops = 0.1 }\ntuning.grid.expert_dims = [[16, 8], [32, 16]]\n[variants.home]";
    let spec = SPEC.replace("[variants.home]", budget).replace(
        "[tuning.random]\n\"training.learning_rate\" = { log_range = [1e-4, 1e-2] }",
        "[variants.home.tuning.grid]\n\"training.learning_rate\" = [1e-3, 1e-2]",
    );
    insta::assert_snapshot!(refusal_of(&spec, &[]), @r"
    error: the plan: mmoe/trial-1/11 and mmoe/trial-2/11 are the same cell: what differs between them changes nothing
    hint: leave one of the two values out; with a budget, widths of one ratio are one configuration
    ");
}

#[test]
fn values_of_a_grid_that_a_budget_makes_one() {
    let budget = "budget = { like = \"home[rank=4]\", flops = 0.1 }\ngrid.expert_dims = [[16, 8], [32, 16]]\n[variants.home]";
    insta::assert_snapshot!(refusal("[variants.home]", budget), @r#"
    error: spec.toml:18:30: `variants."mmoe[expert_dims=32x16]".expert_dims`: its budget gives `mmoe[expert_dims=32x16]` the widths of `mmoe[expert_dims=16x8]`, [39, 20]: two variants of one result
    hint: leave one of the two values out; with a budget, widths of one ratio are one configuration
    "#);
}

#[test]
fn settings_that_change_nothing_of_a_variant() {
    let linear = "[variants.linear]\nmodel = \"logistic\"\n";
    for setting in [
        "embedding_dim\" = [2, 4]",
        "precision\" = [\"f32\", \"bf16\"]",
    ] {
        let said = at_end(&format!(
            "{linear}[variants.linear.grid]\n\"training.{setting}"
        ));
        let name = setting.split('"').next().expect("a name");
        let expected = format!(
            "error: spec.toml:23:1: `variants.linear.grid.\"training.{name}\"`: `training.{name}` changes nothing in `linear`, a logistic\n\
             hint: leave it out: all of its values would give the same numbers"
        );
        assert_eq!(said.trim_end(), expected);
    }
    let search = "\"training.learning_rate\" = { log_range = [1e-4, 1e-2] }";
    let precision = "\"training.precision\" = { choices = [\"f32\", \"bf16\"] }";
    let spec = SPEC.replace(search, precision) + linear;
    insta::assert_snapshot!(refusal_of(&spec, &[]), @r#"
    error: spec.toml:20:11: `linear` has none of the settings to tune, and the others would be tuned without it
    hint: give it settings of its own in [variants.linear.tuning.random] or [variants.linear.tuning.grid], such as "training.learning_rate"
    "#);
    // Of four trials two would be the same.
    let grid = "[tuning.grid]\n\"training.embedding_dim\" = [2, 4]\n\"training.learning_rate\" = [1e-3, 1e-2]";
    let spec = SPEC.replace(&format!("[tuning.random]\n{search}"), grid) + linear;
    insta::assert_snapshot!(refusal_of(&spec.replace("trials = 2\n", ""), &[]), @r"
    error: spec.toml:11:9: every variant is tuned with the same number of trials: the grid of `linear` makes 2, `mmoe` has 4
    hint: draw them: [tuning.random] with `choices`, and `trials = ...`; or give `linear` a grid of its own in [variants.linear.tuning.grid]
    ");
}

#[test]
fn how_tables_are_updated_that_are_frozen() {
    let kept = "[variants.kept]\nmodel = \"mmoe\"\nfreeze = [\"embedding\"]\n";
    insta::assert_snapshot!(at_end(&format!("{kept}training.embedding_l2 = 0.1")), @r"
    error: spec.toml:23:10: `variants.kept.training.embedding_l2`: `freeze` has all embedding tables, so that none of them is updated
    hint: leave it out, or leave `embedding` out of `freeze`
    ");
    let grid = "[variants.kept.grid]\n\"training.embedding_l2\" = [0.1, 0.2]";
    insta::assert_snapshot!(at_end(&format!("{kept}{grid}")), @r#"
    error: spec.toml:24:1: `variants.kept.grid."training.embedding_l2"`: `training.embedding_l2` changes nothing in `kept`, whose `freeze` has all embedding tables
    hint: leave it out: all of its values would give the same numbers
    "#);
}

#[test]
fn draws_of_no_setting() {
    insta::assert_snapshot!(refusal("[grid]\nrank = [4, 8]", "[random]\nn = 2"), @r"
    error: spec.toml:7:2: `random`: expected at least one setting to draw, found none
    hint: add one, such as `training.learning_rate = { log_range = [1e-4, 1e-2] }`, or leave the table out
    ");
    insta::assert_snapshot!(at_end("[variants.home.random]\nn = 2"), @r"
    error: spec.toml:20:16: `variants.home.random`: expected at least one setting to draw, found none
    hint: add one, such as `training.learning_rate = { log_range = [1e-4, 1e-2] }`, or leave the table out
    ");
    insta::assert_snapshot!(of_search("seed = 3"), @r"
    error: spec.toml:12:9: `tuning.random`: expected at least one setting to draw, found none
    hint: add one, such as `training.learning_rate = { log_range = [1e-4, 1e-2] }`, or leave the table out
    ");
}

#[test]
fn an_override_of_a_sweep_is_blamed_by_its_own_words() {
    let set = |text: &str| refusal_of(SPEC, &["--set", text]);
    insta::assert_snapshot!(set("grid.rank=[4, 0]"), @r#"error: --set grid.rank=[4, 0]: `variants."home[rank=0]".rank`: expected a whole number of at least 1, found 0"#);
    insta::assert_snapshot!(set("grid.rnk=[4]"), @r"
    error: --set grid.rnk=[4]: `grid.rnk`: no variant has a knob `rnk`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_experts, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean `rank`?
    ");
    insta::assert_snapshot!(set("tuning.random.training.learning_rate.log_range=[3, 1]"), @r#"error: --set tuning.random.training.learning_rate.log_range=[3, 1]: `tuning.random."training.learning_rate".log_range`: expected two numbers above 0, the smaller first, found [3, 1]"#);
    insta::assert_snapshot!(set("tuning.seeds=[1]"), @r"
    error: --set tuning.seeds=[1]: `tuning.seeds`: 1 is one of `seeds` as well
    hint: what is reported is trained with fresh seeds: a winner is partly lucky with the seeds that chose it
    ");
    insta::assert_snapshot!(set("defaults.tower_dim=[3]"), @r"
    error: --set defaults.tower_dim=[3]: `defaults.tower_dim`: no variant has a knob `tower_dim`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_experts, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean `tower_dims`?
    ");
    insta::assert_snapshot!(set("split_seeds=[3]"), @r#"
    error: --set split_seeds=[3]: `split_seeds`: the split of `synthetic` is fixed: the rows of each split are made apart, and no seed divides them anew
    hint: leave `split_seeds` out, or use a dataset whose description has `kind = "hash"` in [split]
    "#);
    insta::assert_snapshot!(set("include=\"no.toml\""), @r#"
    error: --set include="no.toml": `include`: can't read no.toml: No such file or directory (os error 2)
    hint: paths are relative to the file that includes
    "#);
    insta::assert_snapshot!(set("variants.home.grid.num_experts=[3]"), @r"
    error: --set variants.home.grid.num_experts=[3]: `variants.home.grid.num_experts`: `home` has no knob `num_experts`; there are: activation, bottom, expert_dims, feature_gate, feature_gate_mix, feature_gate_scope, gate_dims, gate_input, mask, norm, norm_position, num_group_experts, num_lora, num_meta_group_experts, num_meta_shared_experts, num_shared_experts, num_task_experts, rank, self_gate, tower_dims
    hint: did you mean `num_task_experts`?
    ");
    insta::assert_snapshot!(refusal_of(SPEC, &["--only", "home[rank=5]/*"]), @r"
    error: --only home[rank=5]/*: no cell is named so; expected a pattern of: mmoe/1, mmoe/2, home[rank=4]/1, home[rank=4]/2, home[rank=8]/1, home[rank=8]/2
    hint: did you mean `home[rank=4]`?
    ");
}

const MODELS: &str = r#"# Shared by several experiments.
[variants.cgc]
model = "cgc"
expert_dims = [16, 8]
"#;

#[test]
fn a_file_to_include_that_is_none() {
    let with = |include: &str, files: &[(&str, &str)]| {
        of_files(&format!("include = {include}\n{SPEC}"), files)
    };
    insta::assert_snapshot!(with("\"model.toml\"", &[("models.toml", MODELS)]), @r"
    error: spec.toml:1:11: `include`: can't read model.toml: No such file or directory (os error 2)
    hint: did you mean `models.toml`?
    ");
    insta::assert_snapshot!(with("[\"models.toml\", 3]", &[("models.toml", MODELS)]), @r#"
    error: spec.toml:1:27: `include.1`: expected a path, found integer
    hint: write `include = "models.toml"`, or a list of such paths
    "#);
    insta::assert_snapshot!(with("\"models.toml\"", &[("models.toml", &MODELS.replace("expert_dims", "expert_dim"))]), @r"
    error: models.toml:4:1: `cgc` has no knob `expert_dim`; it has: expert_dims, tower_dims, norm, norm_position, activation, gate_dims, num_task_experts, num_shared_experts, bottom
    hint: did you mean `expert_dims`?
    ");
    insta::assert_snapshot!(with("\"models.toml\"", &[("models.toml", &MODELS.replace("[16, 8]", "[16, 0]"))]), @r"error: models.toml:4:15: `variants.cgc.expert_dims`: expected a list of layer widths of at least 1, at least one, such as [64, 32], found [16, 0]");
    insta::assert_snapshot!(with("\"models.toml\"", &[("models.toml", &MODELS.replace("\"cgc\"", "\"cgg\""))]), @r"
    error: models.toml:3:9: unknown model `cgg`; expected one of: logistic, single_task, shared_bottom, omoe, mmoe, ml_mmoe, cgc, ple, adatt_sp, adatt, sparse_mmoe, smes, switch, task_expert, cross_stitch, pad_net, pepnet, stem, star, hinet, m3oe, esmm, escm2, aitm, resflow, home
    hint: did you mean `cgc`?
    ");
    insta::assert_snapshot!(with("\"models.toml\"", &[("models.toml", &MODELS.replace("variants", "variant"))]), @r"
    error: models.toml:2:2: unknown key `variant`; expected one of `include`, `variants`
    hint: did you mean `variants`?
    ");
    let broken = with("\"models.toml\"", &[("models.toml", "[variants")]);
    assert!(broken.starts_with("error: models.toml:1:"), "{broken}");
}

#[test]
fn a_circle_of_includes() {
    let with = |files: &[(&str, &str)]| of_files(&format!("include = \"a.toml\"\n{SPEC}"), files);
    insta::assert_snapshot!(with(&[("a.toml", "include = \"a.toml\"")]), @r"
    error: a.toml:1:11: `include`: a.toml includes itself
    hint: a file that is included has to end the chain: remove one `include`
    ");
    insta::assert_snapshot!(with(&[("a.toml", "include = [\"b.toml\"]"), ("b.toml", "\n  include = \"./a.toml\"")]), @r"
    error: b.toml:2:13: `include`: ./a.toml includes itself, by way of b.toml
    hint: a file that is included has to end the chain: remove one `include`
    ");
}

#[test]
fn a_variant_that_is_defined_twice() {
    let home = MODELS.replace("cgc", "home");
    let spec = format!("include = [\"a.toml\", \"b.toml\"]\n{SPEC}");
    insta::assert_snapshot!(of_files(&spec, &[("a.toml", MODELS), ("b.toml", &home)]), @r"
    error: spec.toml:18:11: the variant `home` is defined in b.toml:2:11 as well
    hint: rename one of the two; to change a knob of a shared variant, use --set or [defaults]
    ");
    insta::assert_snapshot!(of_files(&spec, &[("a.toml", MODELS), ("b.toml", MODELS)]), @r"
    error: b.toml:2:11: the variant `cgc` is defined in a.toml:2:11 as well
    hint: rename one of the two; to change a knob of a shared variant, use --set or [defaults]
    ");
}

#[test]
fn a_misspelt_range_is_one_whether_its_setting_is_of_the_model_or_of_training() {
    insta::assert_snapshot!(of_search("\"training.learning_rate\" = { log_rang = [1e-4, 1e-2] }"), @r#"
    error: spec.toml:13:30: unknown key `log_rang` in [tuning.random."training.learning_rate"]; expected one of `range`, `log_range`, `choices`
    hint: did you mean `log_range`?
    "#);
    insta::assert_snapshot!(of_search("training.learning_rate = { log_rang = [1e-4, 1e-2] }"), @r#"
    error: spec.toml:13:28: unknown key `log_rang` in [tuning.random."training.learning_rate"]; expected one of `range`, `log_range`, `choices`
    hint: did you mean `log_range`?
    "#);
    insta::assert_snapshot!(of_search("training.schedule.warm_up_steps = { rnge = [1, 9] }"), @r#"
    error: spec.toml:13:37: unknown key `rnge` in [tuning.random."training.schedule.warm_up_steps"]; expected one of `range`, `log_range`, `choices`
    hint: did you mean `range`?
    "#);
    insta::assert_snapshot!(of_search("\"training.schedule\" = { choice = [{ kind = \"cosine\" }] }"), @r#"
    error: spec.toml:13:25: unknown key `choice` in [tuning.random."training.schedule"]; expected one of `range`, `log_range`, `choices`
    hint: did you mean `choices`?
    "#);
    insta::assert_snapshot!(of_search("rank = { log_rang = [1, 9] }"), @r"
    error: spec.toml:13:10: unknown key `log_rang` in [tuning.random.rank]; expected one of `range`, `log_range`, `choices`
    hint: did you mean `log_range`?
    ");
}

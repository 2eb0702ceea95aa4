//! Everything that can be wrong with a spec: refused with its place and its mend, before anything runs.

use crate::harness::{Bench, experiment};

/// A spec that is right, one thing a line, so that a test can spoil one.
const SPEC: &str = r#"question = "Which is best?"
seeds = [1, 2]
[dataset]
name = "synthetic"
[training]
batch_size = 256
learning_rate = 1e-3
max_epochs = 1
[variants.mmoe]
model = "mmoe"
num_experts = 2
"#;

/// Runs the spec with one line spoilt; gives what was said, with the names that grow with the registry left out.
#[track_caller]
fn refusal(right: &str, wrong: &str) -> String {
    assert!(SPEC.contains(right));
    refusal_of(&SPEC.replace(right, wrong), &[])
}

#[track_caller]
pub(crate) fn refusal_of(spec: &str, more: &[&str]) -> String {
    let bench = Bench::new();
    bench.write("spec.toml", spec);
    let descriptions = experiment("datasets");
    let arguments = [&["run", "spec.toml", "--descriptions", &descriptions], more].concat();
    let ran = bench.run(&arguments).expect(2);
    assert_eq!(ran.stdout, "");
    let left: Vec<_> = bench
        .files(".", &[])
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        left,
        [std::path::PathBuf::from("spec.toml")],
        "something was written"
    );
    ran.stderr
}

macro_rules! assert_refused {
    ($said:expr, @$snapshot:literal) => {
        insta::with_settings!({filters => vec![
            (r"(unknown (?:model|dataset) `\w*`; expected one of:).*", "$1 [names]"),
            (r"(has no knob `\w*`; it has:).*", "$1 [names]"),
        ]}, { insta::assert_snapshot!($said, @$snapshot); });
    };
}

#[test]
fn a_misspelt_key() {
    assert_refused!(refusal("learning_rate", "learning_rat"), @r"
    error: spec.toml:7:1: unknown key `learning_rat` in [training]; expected one of `batch_size`, `max_epochs`, `patience`, `evaluations_per_epoch`, `learning_rate`, `embedding_learning_rate`, `weight_decay`, `embedding_dim`, `embedding_dims`, `attention`, `pretrained`, `optimizer`, `momentum`, `gradient_clip_norm`, `embedding_optimizer`, `embedding_l2`, `embedding_dropout`, `schedule`, `task_weights`, `positive_weights`, `balance`, `precision`
    hint: did you mean `learning_rate`?
    ");
}

#[test]
fn a_misspelt_table() {
    assert_refused!(refusal("[training]", "[trainin]"), @r"
    error: spec.toml:5:2: unknown key `trainin`; expected one of `question`, `outcome`, `dataset`, `seeds`, `split_seeds`, `baseline`, `include`, `training`, `defaults`, `grid`, `random`, `tuning`, `selection`, `metrics`, `cohorts`, `variants`, `run`
    hint: did you mean `training`?
    ");
}

#[test]
fn a_missing_key() {
    assert_refused!(refusal("seeds = [1, 2]\n", ""), @r"
    error: spec.toml:1:1: the key `seeds` is missing
    hint: add `seeds = ...`
    ");
    assert_refused!(refusal("model = \"mmoe\"\n", ""), @r"
    error: spec.toml:9:1: the key `model` is missing in [variants.mmoe]
    hint: add `model = ...`
    ");
}

#[test]
fn a_wrong_type() {
    assert_refused!(refusal("256", "\"many\""), @r#"error: spec.toml:6:14: `training.batch_size`: expected a whole number, 0 or more, found string "many""#);
    assert_refused!(refusal("[1, 2]", "1"), @"error: spec.toml:2:9: `seeds`: expected a list, found integer `1`");
    assert_refused!(refusal("[1, 2]", "[1, -2]"), @"error: spec.toml:2:13: `seeds.1`: expected a whole number, 0 or more, found integer `-2`");
}

#[test]
fn broken_toml() {
    let said = refusal("[1, 2]", "[1, 2");
    assert!(said.starts_with("error: spec.toml:"), "{said}");
}

#[test]
fn an_unknown_model() {
    assert_refused!(refusal("\"mmoe\"", "\"mmeo\""), @r"
    error: spec.toml:10:9: unknown model `mmeo`; expected one of: [names]
    hint: did you mean `mmoe`?
    ");
}

#[test]
fn an_unknown_knob() {
    assert_refused!(refusal("num_experts", "num_expert"), @r"
    error: spec.toml:11:1: `mmoe` has no knob `num_expert`; it has: [names]
    hint: did you mean `num_experts`?
    ");
}

#[test]
fn a_knob_that_makes_no_model() {
    let said = refusal("num_experts = 2", "num_experts = 0");
    assert!(
        said.starts_with("error: spec.toml:11:15: `variants.mmoe.num_experts`: "),
        "{said}"
    );
}

#[test]
fn a_rank_above_the_width_that_it_maps() {
    let home = "model = \"home\"\nexpert_dims = [16, 8]\nrank = 9";
    let said = refusal("model = \"mmoe\"\nnum_experts = 2", home);
    assert_refused!(said, @"error: spec.toml:12:8: `variants.mmoe.rank`: expected at most the width of the gated input, 8, found 9");
}

#[test]
fn batches_of_one_row_for_batch_norm() {
    let spec = SPEC.replace("num_experts = 2", "norm = \"batch\"");
    assert_refused!(refusal_of(&spec.replace("256", "1"), &[]), @r"
    error: spec.toml:6:14: `training.batch_size`: expected at least 2 for the batch norm of `variants.mmoe`, found 1
    hint: a batch of one row has no deviation to divide by; use more rows, or `norm` other than batch
    ");
}

#[test]
fn an_unknown_dataset() {
    assert_refused!(refusal("\"synthetic\"", "\"sinthetic\""), @r"
    error: spec.toml:4:8: unknown dataset `sinthetic`; expected one of: [names]
    hint: did you mean `synthetic`?
    ");
}

#[test]
fn an_unknown_protocol() {
    let said = refusal(
        "name = \"synthetic\"",
        "name = \"synthetic\"\nprotocol = \"none\"",
    );
    assert!(said.starts_with("error: spec.toml:5:12: "), "{said}");
}

#[test]
fn a_batch_of_zero_and_no_epochs() {
    assert_refused!(refusal("256", "0"), @"error: spec.toml:6:14: `training.batch_size`: expected a whole number, 1 or more, found 0");
    assert_refused!(refusal("max_epochs = 1", "max_epochs = 0"), @"error: spec.toml:8:14: `training.max_epochs`: expected a whole number, 1 or more, found 0");
}

#[test]
fn a_learning_rate_that_is_none() {
    assert_refused!(refusal("1e-3", "nan"), @"error: spec.toml:7:17: `training.learning_rate`: expected a finite number above 0, found NaN");
    assert_refused!(refusal("1e-3", "-1"), @"error: spec.toml:7:17: `training.learning_rate`: expected a finite number above 0, found -1");
    assert_refused!(refusal("1e-3", "inf"), @"error: spec.toml:7:17: `training.learning_rate`: expected a finite number above 0, found inf");
}

/// Refused with these lines at the end of `[training]`, from the spec's line 9 on.
#[track_caller]
fn refusal_of_training(lines: &str) -> String {
    let end = "max_epochs = 1\n";
    refusal(end, &format!("{end}{lines}\n"))
}

#[test]
fn a_weight_of_a_task_that_is_not_there() {
    assert_refused!(refusal_of_training("task_weights = { likes = 2.0 }"), @r"
    error: spec.toml:9:18: `training.task_weights`: the dataset has no task `likes`; it has: click, long_view, like, follow
    hint: did you mean `like`?
    ");
    assert_refused!(refusal_of(&(SPEC.to_owned() + "training.positive_weights.clik = 2"), &[]), @r"
    error: spec.toml:12:27: `variants.mmoe.training.positive_weights`: the dataset has no task `clik`; it has: click, long_view, like, follow
    hint: did you mean `click`?
    ");
    assert_refused!(refusal_of_training("positive_weights = { like = 0.0 }"), @"error: spec.toml:9:29: `training.positive_weights.like`: expected a finite number above 0, found 0");
    assert_refused!(refusal_of_training("task_weights = { like = -1.0 }"), @"error: spec.toml:9:25: `training.task_weights.like`: expected a finite number, 0 or more, found -1");
}

#[test]
fn a_weight_that_32_bits_do_not_hold() {
    assert_refused!(refusal_of_training("task_weights = { like = 1e39 }"), @r"
    error: spec.toml:9:25: `training.task_weights.like`: expected a number up to 3.4028235e38, found 1e39
    hint: training computes with numbers of 32 bits, in which this one is infinite: make it smaller
    ");
    assert_refused!(refusal_of_training("task_weights = { like = 1e-50 }"), @r"
    error: spec.toml:9:25: `training.task_weights.like`: expected 0 or a number from 1e-45 on, found 1e-50
    hint: training computes with numbers of 32 bits, in which this one is 0: write 0.0, or make it larger
    ");
    assert_refused!(refusal_of_training("positive_weights = { like = 1e-50 }"), @r"
    error: spec.toml:9:29: `training.positive_weights.like`: expected a number from 1e-45 on, found 1e-50
    hint: training computes with numbers of 32 bits, in which this one is 0: make it larger
    ");
    assert_refused!(refusal_of_training("task_weights = { like = inf }"), @"error: spec.toml:9:25: `training.task_weights.like`: expected a finite number, 0 or more, found inf");
    assert_refused!(refusal_of_training("task_weights = { like = nan }"), @"error: spec.toml:9:25: `training.task_weights.like`: expected a finite number, 0 or more, found NaN");
    assert_refused!(refusal("1e-3", "1e-60"), @r"
    error: spec.toml:7:17: `training.learning_rate`: expected a number from 1e-45 on, found 1e-60
    hint: training computes with numbers of 32 bits, in which this one is 0: make it larger
    ");
}

#[test]
fn a_model_that_no_memory_holds() {
    for (line, place) in [
        (
            "expert_dims = [1600000000000]",
            "spec.toml:12:15: `variants.mmoe.expert_dims`",
        ),
        (
            "tower_dims = [4611686018427387904]",
            "spec.toml:12:14: `variants.mmoe.tower_dims`",
        ),
        (
            "training.embedding_dim = 2305843009213693952",
            "spec.toml:12:26: `variants.mmoe.training.embedding_dim`",
        ),
    ] {
        let said = refusal_of(&format!("{SPEC}{line}\n"), &[]);
        assert!(
            said.starts_with(&format!("error: {place}: this would have at least ")),
            "{said}"
        );
        assert!(
            said.contains(" GiB of 32-bit numbers; expected at most 34359738368"),
            "{said}"
        );
    }
    let said = refusal(
        "max_epochs = 1",
        "max_epochs = 1\nembedding_dim = 9223372036854775807",
    );
    assert!(
        said.starts_with("error: spec.toml:9:17: `training.embedding_dim`: this would have"),
        "{said}"
    );
    assert_refused!(refusal("num_experts = 2", "num_experts = 9223372036854775807"), @"error: spec.toml:11:15: `variants.mmoe.num_experts`: expected a whole number of at most 1048576, found 9223372036854775807");
    assert_refused!(refusal("num_experts = 2", "expert_dims = [0]"), @"error: spec.toml:11:15: `variants.mmoe.expert_dims`: expected a list of layer widths of at least 1, at least one, such as [64, 32], found [0]");
}

#[test]
fn numbers_that_64_bits_do_not_hold() {
    assert_refused!(refusal("[1, 2]", "[1, 18446744073709551615]"), @"error: spec.toml:2:13: `seeds.1`: expected a whole number up to 9223372036854775807 (2^63 - 1), found 18446744073709551615");
    let said = refusal_of(SPEC, &["--set", "seeds=[18446744073709551615]"]);
    assert!(said.contains("`seeds.0`: expected a whole number up to 9223372036854775807 (2^63 - 1), found 18446744073709551615"), "{said}");
    let said = refusal_of(SPEC, &["--set", "training.learning_rate=1e400"]);
    assert!(
        said.contains("expected a number up to 1.7976931348623157e308, found 1e400"),
        "{said}"
    );
    assert_refused!(refusal_of_training("schedule = \"cosine\"\nschedule.kind = \"cosine\""), @r"
    error: spec.toml:10:1: `training.schedule` is given at line 9 and extended at line 10
    hint: keep one of the two
    ");
}

#[test]
fn more_draws_than_anybody_trains() {
    let sweep = "random = { n = 4611686018427387904, num_experts = { range = [1, 4] } }\n";
    assert_refused!(refusal_of(&(SPEC.to_owned() + sweep), &[]), @r"
    error: spec.toml:12:16: `variants.mmoe.random.n`: expected fewer than 100000 draws, found 4611686018427387904
    hint: every draw is trained, and a random search of some hundreds finds what there is
    ");
}

#[test]
fn weights_that_leave_no_task_to_train() {
    let zero = "task_weights = { click = 0.0, long_view = 0, like = -0.0, follow = 0.0 }";
    assert_refused!(refusal_of_training(zero), @r"
    error: spec.toml:9:1: `training.task_weights`: every task has the weight 0, so that nothing would be trained
    hint: give a weight above 0 to one of click, long_view, like, follow, or leave it out for a weight of 1
    ");
    assert_refused!(refusal_of(&(SPEC.to_owned() + "training." + zero), &[]), @r"
    error: spec.toml:12:10: `variants.mmoe.training.task_weights`: every task has the weight 0, so that nothing would be trained
    hint: give a weight above 0 to one of click, long_view, like, follow, or leave it out for a weight of 1
    ");
    // What `[training]` says and every variant replaces is never used.
    let replaced = SPEC.replace("max_epochs = 1\n", &format!("max_epochs = 1\n{zero}\n"))
        + "training.task_weights = { like = 1.0 }\n";
    let replaced = replaced.replacen("seeds", "split_seeds = [3]\nseeds", 1);
    let said = refusal_of(&replaced, &[]);
    assert!(
        said.contains("`split_seeds`: the split of `synthetic` is fixed"),
        "{said}"
    );
}

#[test]
fn an_optimizer_that_is_not_there_or_has_no_use_for_a_setting() {
    assert_refused!(refusal_of_training("optimizer = \"adamm\""), @r"
    error: spec.toml:9:13: unknown value `adamm` for `training.optimizer`; expected one of `adam`, `adamw`, `adagrad`, `sgd`
    hint: did you mean `adam`?
    ");
    assert_refused!(refusal_of_training("momentum = 0.9"), @r#"
    error: spec.toml:9:12: `training.momentum`: expected 0 with an optimizer that is not `sgd`, found 0.9
    hint: set `optimizer = "sgd"`, or leave momentum out
    "#);
    assert_refused!(refusal_of_training("weight_decay = 0.1"), @r#"
    error: spec.toml:9:16: `training.weight_decay`: expected a `weight_decay` of 0 with the optimizer `adam`, found 0.1
    hint: set `optimizer = "adamw"` for Adam with decoupled weight decay, or `weight_decay = 0.0`
    "#);
    assert_refused!(refusal_of_training("embedding_optimizer = \"adagrad\""), @"error: spec.toml:9:23: unknown value `adagrad` for `training.embedding_optimizer`; expected one of `adam`, `rowwise_adagrad`");
}

#[test]
fn shares_that_are_none() {
    assert_refused!(refusal_of_training("embedding_dropout = 1.0"), @"error: spec.toml:9:21: `training.embedding_dropout`: expected a number from 0 to below 1, found 1");
    assert_refused!(refusal_of_training("embedding_dropout = nan"), @"error: spec.toml:9:21: `training.embedding_dropout`: expected a number from 0 to below 1, found NaN");
    assert_refused!(refusal_of_training("embedding_l2 = -1e-3"), @"error: spec.toml:9:16: `training.embedding_l2`: expected a finite number, 0 or more, found -0.001");
    assert_refused!(refusal_of_training("gradient_clip_norm = inf"), @"error: spec.toml:9:22: `training.gradient_clip_norm`: expected a finite number, 0 or more, found inf");
    assert_refused!(refusal_of_training("optimizer = \"sgd\"\nmomentum = 1.0"), @"error: spec.toml:10:12: `training.momentum`: expected a number from 0 to below 1, found 1");
}

#[test]
fn a_schedule_that_is_none() {
    assert_refused!(refusal_of_training("schedule = { kind = \"cosin\" }"), @r"
    error: spec.toml:9:21: unknown value `cosin` for `training.schedule.kind`; expected one of `constant`, `warm_up`, `cosine`, `step`
    hint: did you mean `cosine`?
    ");
    assert_refused!(refusal_of_training("schedule = { warm_up_steps = 3 }"), @r"
    error: spec.toml:9:12: the key `kind` is missing in [training.schedule]
    hint: add `kind = ...`
    ");
    assert_refused!(refusal_of_training("schedule = { kind = \"warm_up\" }"), @r"
    error: spec.toml:9:1: `training.schedule`: a schedule of the kind `warm_up` needs `warm_up_steps`
    hint: add `warm_up_steps = ...`, a number of steps
    ");
    assert_refused!(refusal_of_training("schedule = { kind = \"step\", every_steps = 0 }"), @"error: spec.toml:9:43: `training.schedule.every_steps`: expected a whole number, 1 or more, found 0");
    assert_refused!(refusal_of_training("schedule = { kind = \"cosine\", factor = 0.5 }"), @r"
    error: spec.toml:9:31: `training.schedule`: a schedule of the kind `cosine` has no `factor`
    hint: it has: warm_up_steps, final_share
    ");
    assert_refused!(refusal_of_training("schedule = { kind = \"cosine\", final_share = nan }"), @"error: spec.toml:9:45: `training.schedule.final_share`: expected a number from 0 to 1, found NaN");
}

#[test]
fn seeds_that_are_none_or_twice() {
    assert_refused!(refusal("[1, 2]", "[]"), @r"
    error: spec.toml:2:9: `seeds`: expected at least one seed, found none
    hint: give three or more: `seeds = [1, 2, 3]`
    ");
    assert_refused!(refusal("[1, 2]", "[2, 2]"), @r"
    error: spec.toml:2:13: `seeds`: the seed 2 is given twice
    hint: a seed trained twice gives the same numbers twice; leave one out
    ");
}

#[test]
fn an_empty_question_and_an_empty_outcome() {
    assert_refused!(refusal("\"Which is best?\"", "\" \""), @r"
    error: spec.toml:1:12: `question`: expected a sentence, found nothing
    hint: say what this experiment is to find out
    ");
    assert_refused!(refusal("[1, 2]", "[1, 2]\noutcome = \"\""), @r"
    error: spec.toml:3:11: `outcome`: expected a sentence, found nothing
    hint: leave it out until there are results to tell of
    ");
}

#[test]
fn a_baseline_that_is_no_variant() {
    let with = |name: &str| refusal("[1, 2]", &format!("[1, 2]\nbaseline = \"{name}\""));
    assert_refused!(with("mmo"), @r"
    error: spec.toml:3:12: `baseline`: no variant is called `mmo`; there are: mmoe
    hint: did you mean `mmoe`?
    ");
    assert_refused!(with("single_task"), @"error: spec.toml:3:12: `baseline`: no variant is called `single_task`; there are: mmoe");
}

#[test]
fn no_variants() {
    let spec = SPEC.split("[variants").next().unwrap().to_owned() + "[variants]\n";
    assert_refused!(refusal_of(&spec, &[]), @r#"
    error: spec.toml:9:2: `variants`: expected at least one variant, found none
    hint: add one: `[variants.mmoe]` with `model = "mmoe"`
    "#);
}

#[test]
fn a_variant_that_is_no_file_name() {
    assert_refused!(refusal("[variants.mmoe]", "[variants.\"a/b\"]"), @r"
    error: spec.toml:9:11: `a/b` is no name for a variant: expected 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit
    hint: names of variants are used in file names
    ");
}

#[test]
fn rows_that_are_none() {
    let said = refusal("name = \"synthetic\"", "name = \"synthetic\"\nrows = 0");
    assert!(
        said.starts_with("error: spec.toml:5:8: `dataset.rows`: expected"),
        "{said}"
    );
}

#[test]
fn an_override_is_blamed_by_its_own_words() {
    assert_refused!(refusal_of(SPEC, &["--set", "training.learning_rate=nan"]), @"error: --set training.learning_rate=nan: `training.learning_rate`: expected a finite number above 0, found NaN");
    assert_refused!(refusal_of(SPEC, &["--set", "training.batchsize=3"]), @r"
    error: --set training.batchsize=3: unknown key `batchsize` in [training]; expected one of `batch_size`, `max_epochs`, `patience`, `evaluations_per_epoch`, `learning_rate`, `embedding_learning_rate`, `weight_decay`, `embedding_dim`, `embedding_dims`, `attention`, `pretrained`, `optimizer`, `momentum`, `gradient_clip_norm`, `embedding_optimizer`, `embedding_l2`, `embedding_dropout`, `schedule`, `task_weights`, `positive_weights`, `balance`, `precision`
    hint: did you mean `batch_size`?
    ");
    assert_refused!(refusal_of(SPEC, &["--set", "variants.new.rank=3"]), @r"
    error: --set variants.new.rank=3: the key `model` is missing in [variants.new]
    hint: add `model = ...`
    ");
}

#[test]
fn a_device_that_is_not_built_in() {
    assert_refused!(refusal_of(SPEC, &["--device", "cuda:1"]), @r"
    error: device cuda:1: this build of homebench has no CUDA
    hint: run on the processor with `--device cpu`, or build with `--features cuda` where the CUDA toolkit is installed
    ");
    assert_refused!(refusal_of(&(SPEC.to_owned() + "[run]\ndevice = \"cuda\""), &[]), @r"
    error: device cuda:0: this build of homebench has no CUDA
    hint: run on the processor with `--device cpu`, or build with `--features cuda` where the CUDA toolkit is installed
    ");
    let said = refusal_of(SPEC, &["--device", "gpu"]);
    assert!(
        said.contains("expected `cpu`, `cuda` or `cuda:<index>`"),
        "{said}"
    );
}

#[test]
fn a_precision_that_the_device_does_not_have() {
    assert_refused!(refusal_of_training("precision = \"tf32\""), @r"
    error: spec.toml:9:13: `training.precision`: expected `f32`, `bf16` or `bf16x3` on the processor, found `tf32`
    hint: run on a GPU with `--device cuda`, or leave `precision` out for f32
    ");
    assert_refused!(refusal_of(&(SPEC.to_owned() + "training.precision = \"tf32\""), &[]), @r"
    error: spec.toml:12:22: `variants.mmoe.training.precision`: expected `f32`, `bf16` or `bf16x3` on the processor, found `tf32`
    hint: run on a GPU with `--device cuda`, or leave `precision` out for f32
    ");
    let on_gpu = SPEC.to_owned() + "training.precision = \"bf16x3\"";
    assert_refused!(refusal_of(&on_gpu, &["--device", "cuda"]), @r"
    error: spec.toml:12:22: `variants.mmoe.training.precision`: expected `f32`, `tf32` or `bf16` on a GPU, found `bf16x3`
    hint: run on the processor with `--device cpu`, or use `tf32`, which is the nearest to it
    ");
    assert_refused!(refusal_of_training("precision = \"fp16\""), @r"
    error: spec.toml:9:13: unknown value `fp16` for `training.precision`; expected one of `f32`, `tf32`, `bf16`, `bf16x3`
    hint: did you mean `bf16`?
    ");
}

#[test]
fn positive_labels_of_a_task_of_numbers() {
    let spec = "question = \"Which?\"\nseeds = [1]\ndataset = { name = \"two-task\" }\n\
                [training]\npositive_weights = { first = 3.0 }\n[variants.a]\nmodel = \"mmoe\"\n";
    assert_refused!(refusal_of(spec, &[]), @r"
    error: spec.toml:5:22: `training.positive_weights.first`: `first` predicts a number, and numbers are not positive or negative labels
    hint: leave it out; `task_weights` gives the whole loss of a task another weight
    ");
}

/// A table of rows whose feature is called as the column of weights.
const WEIGHED: &str = r#"source = "table"
default_protocol = "all"
columns = ["row", "weight", "y", "importance"]
weight = "importance"
[files.log]
name = "log.csv"
[split]
kind = "time"
column = "row"
validation_from = 30
test_from = 45
[features]
weight = { kind = "numeric" }
[tasks.y]
label = "y"
group = "a"
[protocols.all]
tasks = ["y"]
"#;

#[test]
fn two_columns_of_one_name_for_a_program() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("descriptions")).expect("a folder");
    bench.write("descriptions/log.toml", WEIGHED);
    bench.write("ranker.py", "");
    let spec = "question = \"Which?\"\nseeds = [1]\ndataset = { name = \"log\" }\n\
                [variants.outside]\ncommand = [\"python3\", \"ranker.py\"]\nrows_as = \"csv\"\n";
    bench.write("spec.toml", spec);
    let arguments = ["run", "spec.toml", "--descriptions", "descriptions"];
    assert_refused!(bench.run(&arguments).expect(2).stderr, @r#"
    error: spec.toml:6:11: `variants.outside.rows_as`: rows as CSV would have two columns `weight`: a feature of that name, and what every dataset calls so
    hint: write `rows_as = "arrow"`, which has features, labels, users and weights apart, or rename the feature in the description
    "#);
    bench.write("spec.toml", &spec.replace("csv", "arrow"));
    let said = bench.run(&arguments).stderr;
    assert!(!said.contains("rows_as"), "{said}");
}

#[test]
fn crashes_on_purpose_that_no_cell_would_hear() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    let faults = ("HOMEBENCH_FAULTS", "mmoe/*=bar");
    assert_refused!(bench.run_with(faults, &["run", "spec.toml"]).expect(2).stderr, @r"
    error: HOMEBENCH_FAULTS: `mmoe/*=bar`: expected `<cells>=<kind>[@<step>][:once]`; kinds are: panic, abort, segfault, kill, exit, hang, memory
    hint: write, for example, `mmoe/*=abort@20:once`, or unset the variable
    ");
}

#[test]
fn arguments_that_are_none() {
    for arguments in [
        ["--jobs", "0"],
        ["--threads", "x"],
        ["--set", "batch"],
        ["--only", "none/*"],
    ] {
        let said = refusal_of(SPEC, &arguments);
        assert!(said.contains("expected"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_spec_that_is_not_there() {
    let bench = Bench::new();
    bench.write("census.toml", SPEC);
    assert_refused!(bench.run(&["run", "censsus.toml"]).expect(2).stderr, @r"
    error: censsus.toml: no such file
    hint: did you mean `census.toml`?
    ");
}

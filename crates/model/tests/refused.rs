//! Knobs of sparse models and of those with priors and memories that make no model, each with its message.

mod common;

use candle_core::DType;
use common::{AFTER, NUM_SCENARIOS, features, place, three_tasks};
use homebench_model::{BuildContext, InputColumns, ModelConfig, VarBuilder};

/// What is said of a configuration, when it is read or when its model is built for tasks a, b, c in two groups.
fn said(name: &str, knobs: &str) -> String {
    let features = features(7);
    let columns = InputColumns {
        features: &features,
        scenario: Some(1),
        num_scenarios: NUM_SCENARIOS,
        ..InputColumns::default()
    };
    said_of(name, knobs, columns, &AFTER)
}

/// The same of these features, and of tasks that come after these.
fn said_of(name: &str, knobs: &str, columns: InputColumns<'_>, after: &[Option<usize>]) -> String {
    let layout = three_tasks();
    let context = BuildContext {
        layout: &layout,
        input_dim: 7,
        num_embedded: 0,
        input_per_task: false,
        columns,
        after,
    };
    let vb = VarBuilder::from_seed(3, DType::F32, &place::device());
    let built = ModelConfig::from_table(name, &knobs.parse().unwrap())
        .and_then(|config| config.build(&context, &vb).map(|_| ()));
    match built {
        Ok(()) => "a model".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn assert_said(name: &str, knobs: &str, expected: &str) {
    assert_eq!(said(name, knobs), expected, "{name}: {knobs}");
}

#[test]
fn a_choice_of_no_expert_or_of_more_than_there_are_is_refused() {
    for name in ["sparse_mmoe", "switch"] {
        let refused = |knobs: &str, found: &str| {
            assert_said(name, knobs, &format!("top_k: expected {found}"));
        };
        refused("top_k = 0", "a whole number of at least 1, found 0");
        refused("top_k = 1.5", "a whole number of at least 1, found 1.5");
        let more = "top_k = 4\nnum_experts = 3";
        refused(more, "at most the number of experts, 3, found 4");
        assert_said(name, "top_k = 3\nnum_experts = 3", "a model");
    }
    assert_said(
        "smes",
        "shared_k = 0\nprivate_k = 0",
        "shared_k: a row needs an expert; expected shared_k or private_k above 0, found both 0",
    );
    assert_said(
        "smes",
        "shared_k = 3\nprivate_k = 2\nnum_experts = 4",
        "shared_k: expected shared_k + private_k of at most the number of experts, 4, found 5",
    );
    assert_said(
        "smes",
        "shared_k = 3\nprivate_k = 2\nnum_experts = 5",
        "a model",
    );
}

#[test]
fn one_expert_of_weight_1_is_refused_where_gates_would_learn_nothing() {
    let refused = "gate_weights: one chosen expert always has the renormalised weight 1, so that gates would learn \
        nothing, with or without noise; use gate_weights = \"raw\", or balance = \"switch\" with a balance_weight above 0";
    let of_one = |more: &str| format!("top_k = 1\n{more}");
    assert_said("sparse_mmoe", &of_one("balance = 'none'"), refused);
    for more in [
        "balance_weight = 0",
        // Noise moves the choice, and no gradient comes through a choice.
        "balance = 'none'\ngate_noise = 'learned'",
        "balance = 'none'\ngate_noise = 'fixed'",
        // Made of the weights alone, which are constants.
        "balance = 'importance'",
        "balance = 'importance'\ngate_noise = 'learned'",
    ] {
        assert_said("sparse_mmoe", &of_one(more), refused);
    }
    let of_smes = "balance: one chosen expert always has the renormalised weight 1, so that gates would learn nothing; use \
        balance = \"switch\" with a balance_weight above 0, or more experts by shared_k or private_k";
    for one in ["shared_k = 1\nprivate_k = 0", "shared_k = 0\nprivate_k = 1"] {
        for unbalanced in ["balance = 'none'", "balance_weight = 0"] {
            assert_said("smes", &format!("{one}\n{unbalanced}"), of_smes);
        }
        assert_said("smes", one, "a model");
    }
    let of_switch = "gate_weights: one chosen expert always has the renormalised weight 1, so that gates would learn \
        nothing; use gate_weights = \"raw\", or a prior with a prior_weight above 0";
    let renormalised = of_one("gate_weights = 'renormalised'");
    assert_said("switch", &renormalised, of_switch);
    let weightless = format!("{renormalised}\nprior = 'window'\nprior_weight = 0");
    assert_said("switch", &weightless, of_switch);
    assert_said(
        "switch",
        &format!("{renormalised}\nprior = 'window'"),
        "a model",
    );
    for more in [
        "",
        "balance = 'mutual_info'",
        "balance = 'load'\ngate_noise = 'learned'",
        "balance = 'importance'\ngate_weights = 'raw'",
        "balance = 'none'\ngate_weights = 'raw'",
        "balance = 'none'\nnum_experts = 1",
    ] {
        assert_said("sparse_mmoe", &of_one(more), "a model");
    }
}

#[test]
fn gates_refuse_networks_and_noise_that_they_have_no_place_for() {
    assert_said(
        "sparse_mmoe",
        "gate_reads = 'row_and_task'",
        "gate_dims: a gate that reads row and task needs a hidden layer, found none: without one the task shifts all rows' \
         logits alike; use gate_dims = [32]",
    );
    for (reads, name) in [
        ("gate_reads = 'row_times_task'", "row_times_task"),
        ("gate_reads = 'task_only'", "task_only"),
        ("gate = 'dselect_k'", "dselect_k"),
    ] {
        assert_said(
            "sparse_mmoe",
            &format!("{reads}\ngate_dims = [4]"),
            &format!(
                "gate_dims: gates of `{name}` have no network before them; leave gate_dims out"
            ),
        );
    }
    assert_said(
        "sparse_mmoe",
        "gate = 'dselect_k'\ngate_noise = 'learned'",
        "gate_noise: DSelect-k chooses by smooth steps, without noise; use gate_noise = \"none\"",
    );
    assert_said(
        "sparse_mmoe",
        "gate = 'dselect_k'\ngate_reads = 'row_only'",
        "gate_reads: DSelect-k has selectors per task; use gate_reads = \"per_task\"",
    );
    assert_said(
        "sparse_mmoe",
        "gate = 'dselect_k'\nnum_experts = 1\ntop_k = 1",
        "num_experts: DSelect-k needs at least 2 experts to choose from",
    );
    assert_said(
        "sparse_mmoe",
        "gate_noise = 'fixed'\ngate_noise_std = 0",
        "gate_noise_std: expected a number above 0 with gate_noise = \"fixed\", found 0",
    );
}

#[test]
fn balances_that_mean_nothing_are_refused() {
    assert_said(
        "sparse_mmoe",
        "balance = 'load'",
        "balance: the load is a probability over noise; set gate_noise too, or use \"switch\"",
    );
    assert_said(
        "sparse_mmoe",
        "balance = 'load'\ngate_noise = 'learned'\nnum_experts = 3\ntop_k = 3",
        "balance: the load of experts that are all chosen can't change; lower top_k, or use \"none\"",
    );
    assert_said(
        "sparse_mmoe",
        "balance = 'mutual_info'\nbalance_over = 'task'",
        "balance_over: mutual information is of all tasks together; use balance_over = \"all\"",
    );
    assert_said(
        "sparse_mmoe",
        "gate = 'dselect_k'\nbalance = 'importance'",
        "balance: DSelect-k has a loss of its own, the entropy of its selectors, which \"switch\" stands for; use that or \
         \"none\"",
    );
    assert_said(
        "smes",
        "balance = 'load'",
        "balance: expected one of \"switch\", \"none\", found \"load\"",
    );
    assert_said(
        "sparse_mmoe",
        "balance_weight = -0.1",
        "balance_weight: expected a number of at least 0, found -0.1",
    );
}

#[test]
fn an_order_names_every_task_once() {
    // Whether anything reads it or not.
    for more in ["", "prior = 'window'", "task_embedding = 'position'"] {
        let refused = |order: &str, message: &str| {
            let knobs = format!("prior_order = {order}\n{more}");
            assert_said("switch", &knobs, &format!("prior_order: {message}"));
        };
        refused(
            "['a', 'b', 'd']",
            "no task is called `d`; there are: a, b, c",
        );
        refused("['a', 'b', 'c', 'a']", "task `a` comes twice");
        refused(
            "['c', 'a']",
            "task `b` is left out; name every task once, or leave prior_order out",
        );
        refused(
            "[1, 2, 3]",
            "expected a list of tasks' names, found [1, 2, 3]",
        );
        let all = format!("prior_order = ['c', 'a', 'b']\n{more}");
        assert_said("switch", &all, "a model");
    }
}

#[test]
fn units_of_groups_add_up_and_fit() {
    // Three blocks of two of three experts: 6 of 9 units.
    let refused = |units: &str, message: &str| {
        let knobs = format!("prior = 'groups'\nprior_units = {units}");
        assert_said("switch", &knobs, &format!("prior_units: {message}"));
    };
    refused(
        "[]",
        "expected three numbers with prior = \"groups\": units of all tasks, of a group and of a task; found 0",
    );
    refused(
        "[3, 3]",
        "expected three numbers with prior = \"groups\": units of all tasks, of a group and of a task; found 2",
    );
    refused(
        "[3, 1, 1]",
        "expected a sum of top_k * num_blocks, 6, found 5",
    );
    refused(
        "[2, 2, 2]",
        "2 groups and 3 tasks would need 12 units of 9; lower the numbers, or raise num_experts",
    );
    refused(
        "[7, -1, 0]",
        "expected a list of whole numbers, such as [2, 1, 0], found [7, -1, 0]",
    );
    assert_said(
        "switch",
        "prior = 'groups'\nprior_units = [4, 1, 1]",
        "a model",
    );
}

#[test]
fn a_gate_can_not_read_a_memory_that_is_not_there() {
    assert_said(
        "task_expert",
        "memory = false\ngate_reads = 'both'",
        "gate_reads: without a memory there is none to read; use \"backbone\", or memory = true",
    );
    for knobs in ["gate_reads = 'both'", "memory = false\ngate_reads = 'none'"] {
        assert_said("task_expert", knobs, "a model");
    }
}

#[test]
fn what_is_no_knob_is_named_with_those_that_are() {
    for (name, knob) in [
        ("switch", "match_every"),
        ("switch", "expert_dims"),
        ("smes", "pooling"),
        ("cross_stitch", "num_experts"),
        ("task_expert", "gate_dims"),
    ] {
        let said = said(name, &format!("{knob} = 1"));
        let expected = format!("`{name}` has no knob `{knob}`; it has: ");
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[test]
fn pepnet_refuses_features_that_there_are_not_and_parts_that_read_nothing() {
    let pepnet = |knobs: &str, expected: &str| assert_said("pepnet", knobs, expected);
    pepnet(
        "prior_features = ['usr']",
        "prior_features: no feature is called `usr`; there are: user, tab, rest",
    );
    pepnet(
        "prior_features = ['user', 'tab', 'user']",
        "prior_features: feature `user` comes twice",
    );
    pepnet(
        "prior_features = 'user'",
        "prior_features: expected a list of features' names, found \"user\"",
    );
    let none = "prior_features: PPNet's gates read prior features, and none is named; name some, such as \
        prior_features = [\"user\"], or write parts = \"epnet\"";
    pepnet("", none);
    pepnet("parts = 'ppnet'", none);
    pepnet(
        "parts = 'epnet'\nprior_features = ['user']",
        "prior_features: without PPNet nothing reads them; leave them out, or write parts = \"both\"",
    );
    pepnet("parts = 'epnet'", "a model");
    let features = features(7);
    let columns = InputColumns {
        features: &features,
        scenario: None,
        num_scenarios: 0,
        ..InputColumns::default()
    };
    let of = |knobs: &str| said_of("pepnet", knobs, columns, &[]);
    assert_eq!(
        of("prior_features = ['user']"),
        "parts: EPNet's gate reads the scenario of a row, and the dataset has none; write scenario = \"a_column\" in its \
         description, or parts = \"ppnet\""
    );
    assert_eq!(of("parts = 'ppnet'\nprior_features = ['user']"), "a model");
    // Of an input whose columns nobody named.
    assert_eq!(
        said_of(
            "pepnet",
            "parts = 'ppnet'\nprior_features = ['user']",
            InputColumns::default(),
            &[]
        ),
        "prior_features: no feature is called `user`; there are: none that this input names"
    );
}

#[test]
fn models_with_weights_for_each_scenario_refuse_rows_without() {
    let features = features(7);
    for name in ["star", "hinet", "m3oe"] {
        let of = |scenario, num_scenarios| {
            let columns = InputColumns {
                features: &features,
                scenario,
                num_scenarios,
                ..InputColumns::default()
            };
            said_of(name, "", columns, &[])
        };
        assert_eq!(
            of(None, 0),
            format!(
                "`{name}` has weights for each scenario, and the dataset has none; write scenario = \"a_column\" in its description, \
                 or take another model"
            )
        );
        assert_eq!(
            of(Some(1), 0),
            format!(
                "`{name}` has weights for each scenario, and no training row has a value of the scenario `tab`; name a column that has \
                 values there as `scenario`, or lower min_count of its feature"
            )
        );
        assert_eq!(
            of(Some(1), 1001),
            format!(
                "`{name}` has weights for each scenario, and `tab` has 1001 values in training; expected at most 1000: name a column of \
                 fewer values as `scenario`, or raise min_count of its feature"
            )
        );
        assert_eq!(of(Some(1), 1), "a model");
    }
    assert_said(
        "star",
        "norm = 'batch'",
        "`star` has no knob `norm`; it has: expert_dims, tower_dims, activation, partitioned_norm, auxiliary, auxiliary_dims, bottom",
    );
    assert_said(
        "m3oe",
        "fusion = 'none'",
        "fusion: expected one of \"each\", \"shared\", found \"none\"",
    );
    assert_said(
        "hinet",
        "num_scenario_experts = 0",
        "num_scenario_experts: expected a whole number of at least 1, found 0",
    );
}

#[test]
fn features_beyond_the_input_and_chains_that_are_none_are_refused_of_every_model() {
    let far = features(8);
    let of = |scenario, after: &[Option<usize>]| {
        let columns = InputColumns {
            features: &far[..2],
            scenario,
            num_scenarios: 0,
            ..InputColumns::default()
        };
        said_of("mmoe", "", columns, after)
    };
    assert_eq!(of(Some(1), &[]), "a model");
    assert_eq!(of(Some(2), &[]), "the scenario is none of the 2 features");
    let columns = InputColumns {
        features: &far,
        scenario: None,
        num_scenarios: 0,
        ..InputColumns::default()
    };
    assert_eq!(
        said_of("mmoe", "", columns, &[]),
        "the feature `rest` ends at column 8 of an input of 7"
    );
    assert_eq!(
        of(None, &[Some(1), Some(0), None]),
        "task `a` comes after itself"
    );
}

#[test]
fn models_of_chains_refuse_tasks_without_one() {
    for name in ["esmm", "escm2", "aitm", "resflow"] {
        for after in [&[][..], &[None, None, None]] {
            assert_eq!(
                said_of(name, "", InputColumns::default(), after),
                format!(
                    "`{name}` is a model of tasks that come one after another, and here none comes after another; say so in the \
                     description, such as after = \"click\" of the task of conversions, or take another model"
                )
            );
        }
        assert_said(name, "", "a model");
    }
    assert_said(
        "escm2",
        "counterfactual_weight = 0",
        "counterfactual_weight: expected a weight above 0, found 0: without that loss the model is ESMM; use model = \"esmm\"",
    );
    for floor in ["0", "1"] {
        assert_said(
            "escm2",
            &format!("propensity_floor = {floor}"),
            &format!(
                "propensity_floor: expected a probability above 0 and below 1, found {floor}: rows are weighed by one over it at most"
            ),
        );
    }
    assert_said(
        "aitm",
        "calibrator_weight = -0.1",
        "calibrator_weight: expected a number of at least 0, found -0.1",
    );
}

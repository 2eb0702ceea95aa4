//! What builders record of a model's parts: whom each serves, where its variables are, and what to call it.

mod common;

use common::{MODELS, Network, config, inputs, three_tasks};
use homebench_model::{Owner, PartKind, TaskGroup, TaskLayout};
use std::collections::BTreeSet;

const WIDTH: usize = 7;
/// No rank above the width.
const HOME: &str = "rank = 2";

/// Path, layer, owner and name of every part of a kind, in the order of paths.
fn parts(network: &Network, kind: &str) -> Vec<(String, usize, Owner, String)> {
    let of_kind = network.variables.parts().filter(|p| p.kind.name() == kind);
    of_kind
        .map(|p| (p.path.clone(), p.layer, p.owner, p.name.clone()))
        .collect()
}

/// Tasks and groups that are called like the words of paths.
fn confusing() -> TaskLayout {
    let group = |name: &str, task| TaskGroup {
        name: name.to_string(),
        tasks: vec![task],
    };
    TaskLayout {
        tasks: vec!["task".to_string(), "expert".to_string()],
        groups: vec![group("level", 0), group("gate", 1)],
    }
}

#[track_caller]
fn assert_parts(model: &str, kind: &str, expected: &[(&str, usize, Owner, &str)]) {
    let knobs = match model {
        "home" => HOME,
        "adatt" => "residual = 'learned'",
        _ => "",
    };
    let network = Network::from_seed(&config(model, knobs), &confusing(), WIDTH);
    let found = parts(&network, kind);
    let found: Vec<_> = found
        .iter()
        .map(|(path, layer, owner, name)| (path.as_str(), *layer, *owner, name.as_str()))
        .collect();
    assert_eq!(found, expected, "{model}: {kind}");
}

#[test]
fn a_part_is_of_a_task_a_group_or_everybody_whatever_they_are_called() {
    use Owner::{All, Group, Task};
    assert_parts("mmoe", "expert", &[("shared.expert", 0, All, "shared")]);
    assert_parts(
        "mmoe",
        "gate",
        &[
            ("task.expert.gate", 0, Task(1), "expert"),
            ("task.task.gate", 0, Task(0), "task"),
        ],
    );
    let experts = |level| {
        (
            ["level.0.expert", "level.1.expert"][level],
            level,
            All,
            "experts",
        )
    };
    assert_parts("ml_mmoe", "expert", &[experts(0), experts(1)]);
    assert_parts(
        "ml_mmoe",
        "gate",
        &[
            ("level.0.gate.0", 0, All, "gate 0"),
            ("level.0.gate.1", 0, All, "gate 1"),
            ("level.0.gate.2", 0, All, "gate 2"),
            ("level.0.gate.3", 0, All, "gate 3"),
            ("task.expert.gate", 1, Task(1), "expert"),
            ("task.task.gate", 1, Task(0), "task"),
        ],
    );
    assert_parts(
        "adatt",
        "residual",
        &[
            ("level.0.shared.residual", 0, All, "shared"),
            ("level.0.task.expert.residual", 0, Task(1), "expert"),
            ("level.0.task.task.residual", 0, Task(0), "task"),
            ("level.1.task.expert.residual", 1, Task(1), "expert"),
            ("level.1.task.task.residual", 1, Task(0), "task"),
        ],
    );
    let home = [
        ("group.gate.expert", 1, Group(1), "gate"),
        ("group.level.expert", 1, Group(0), "level"),
        ("meta.gate.expert", 0, Group(1), "gate"),
        ("meta.level.expert", 0, Group(0), "level"),
        ("meta.shared.expert", 0, All, "shared"),
        ("shared.expert", 1, All, "shared"),
        ("task.expert.expert", 1, Task(1), "expert"),
        ("task.task.expert", 1, Task(0), "task"),
    ];
    assert_parts("home", "expert", &home);
    let of_meta = |kind: &str| {
        let network = Network::from_seed(&config("home", HOME), &confusing(), WIDTH);
        let parts = parts(&network, kind).into_iter();
        parts
            .filter(|part| part.1 == 0)
            .map(|part| part.2)
            .collect::<Vec<_>>()
    };
    assert_eq!(of_meta("self_gate"), [Group(1), Group(0), All]);
    assert_eq!(of_meta("feature_gate"), [Group(1), Group(0), All]);
}

#[test]
fn whatever_a_trace_shows_is_a_part_of_its_layer_and_kind() {
    for (model, knobs) in MODELS {
        let network = Network::from_seed(&config(model, knobs), &three_tasks(), WIDTH);
        let trace = network.trace(&inputs(9, WIDTH, 1.0));
        let mut seen = BTreeSet::new();
        let has_variables = |path: &str| {
            let under = format!("{path}.");
            let mut paths = network.variables.parameters().iter().map(|p| p.path());
            paths.any(|other| other == path || other.starts_with(&under))
        };
        for set in &trace.experts {
            if !has_variables(&set.path) {
                // A memory that is read as it is, and what HiNet's attention reads.
                assert!(["task_expert", "hinet"].contains(&model), "{}", set.path);
                continue;
            }
            let part = network.variables.part(&set.path);
            assert_eq!(
                (part.layer, part.kind, part.owner),
                (set.layer, PartKind::Experts, set.owner)
            );
            seen.insert(&set.path);
        }
        for gate in &trace.gates {
            if !has_variables(&gate.path) {
                // One map makes the gates of all tasks, and each task's weights are shown as a gate of its own.
                let of_one_map = ["sparse_mmoe", "switch"].contains(&model);
                assert!(of_one_map, "{model}: {}", gate.path);
                continue;
            }
            let part = network.variables.part(&gate.path);
            assert_eq!(
                (part.layer, part.kind, part.owner),
                (gate.layer, PartKind::Gate(gate.kind), gate.owner)
            );
            seen.insert(&gate.path);
        }
        // What no trace shows is a feature gate, a residual, or one map that makes the gates of all tasks.
        for part in network
            .variables
            .parts()
            .filter(|p| !seen.contains(&p.path))
        {
            let kind = part.kind.name();
            assert!(
                ["feature_gate", "residual"].contains(&kind) || part.path.ends_with("shared.gate"),
                "{model}: {part:?}"
            );
        }
    }
}

#[test]
fn a_set_of_experts_has_the_variables_under_its_path() {
    for (model, knobs) in MODELS {
        let network = Network::from_seed(&config(model, knobs), &confusing(), WIDTH);
        for (set, variables) in network.variables.expert_sets() {
            let under = format!("{}.", set.path);
            let all = network.variables.parameters().iter().map(|p| p.path());
            let expected = all.filter(|path| path.starts_with(&under) && !path.contains("running"));
            let found: Vec<&str> = variables.iter().map(|p| p.path()).collect();
            assert_eq!(found, expected.collect::<Vec<_>>(), "{model}");
            assert!(!found.is_empty(), "{model}: {set:?}");
        }
    }
}

#[test]
#[should_panic(expected = "no part of the model was built at `shared.gate`")]
fn a_part_that_was_not_built_is_a_mistake_in_code() {
    let network = Network::from_seed(&config("mmoe", ""), &three_tasks(), WIDTH);
    network.variables.part("shared.gate");
}

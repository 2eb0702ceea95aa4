//! What must hold of models that have weights for each scenario: forms in which they are another model, scenarios without rows or with one,
//! and rows of no known scenario.

mod common;

use candle_core::Tensor;
use common::scened::{WIDTH, fresh, stirred, with};
use common::{ByPath, Network, config, inputs, place, three_tasks, values};
use homebench_model::Trace;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

const PLAIN_STAR: &str = "partitioned_norm = false\nauxiliary = false";

/// With the shared weights times those of one scenario and the sums of both biases, or where `scenario` is none, the shared ones alone.
fn as_shared_bottom(star: &ByPath, scenario: Option<usize>) -> ByPath {
    let shared = star.iter().filter(|(path, _)| !path.contains("scenario"));
    let of = |(path, tensor): (&String, &Tensor)| {
        let own = |name: &str| -> Tensor {
            let (at, _) = path.rsplit_once('.').unwrap();
            star[&format!("{at}.{name}")]
                .get(scenario.unwrap())
                .unwrap()
        };
        let tensor = match (scenario, path.ends_with("weight")) {
            (None, _) => tensor.clone(),
            (Some(_), true) => (tensor * own("scenario_weight")).unwrap(),
            (Some(_), false) => (tensor + own("scenario_offset")).unwrap(),
        };
        // An expert set has a dimension of experts.
        match path.starts_with("shared.expert") {
            true => (path.clone(), tensor.unsqueeze(0).unwrap()),
            false => (path.clone(), tensor),
        }
    };
    shared.map(of).collect()
}

#[test]
fn star_is_the_plain_network_of_the_products_of_its_weights() {
    let xs = inputs(9, WIDTH, 1.0);
    for num_scenarios in [1, 3] {
        let star = stirred("star", PLAIN_STAR, num_scenarios);
        for scenario in 0..=num_scenarios {
            let weights = as_shared_bottom(&star.weights(), scenario.checked_sub(1));
            let plain =
                Network::from_weights(&config("shared_bottom", ""), &three_tasks(), WIDTH, weights);
            for train in [true, false] {
                let found = star.logits(&xs, &[scenario as u32; 9], train);
                let expected = values(&plain.model.forward_t(&xs, train, None).unwrap());
                match place::device().is_cpu() && place::asked_for() != "host" {
                    true => assert_eq!(bits(&found), bits(&expected), "{scenario}"),
                    false => assert_near(&found, &expected),
                }
            }
        }
    }
}

#[test]
fn a_fresh_star_is_a_fresh_shared_bottom_in_every_scenario() {
    let xs = inputs(4, WIDTH, 1.0);
    let plain = Network::from_seed(&config("shared_bottom", ""), &three_tasks(), WIDTH);
    let expected = values(&plain.model.forward_t(&xs, false, None).unwrap());
    let star = fresh("star", PLAIN_STAR, 3);
    assert_near(&star.logits(&xs, &[0, 1, 2, 3], false), &expected);
}

/// Two scenarios with several rows, one with one row, one with none, and a row of none.
const IDS: [u32; 7] = [1, 2, 1, 3, 2, 0, 1];
const NUM_SCENARIOS: usize = 4;

#[test]
fn a_scenario_with_one_row_is_normalised_as_in_evaluation_and_its_statistics_stay() {
    let star = stirred("star", "auxiliary = false", NUM_SCENARIOS);
    let xs = inputs(7, WIDTH, 1.0);
    let before = star.statistics();
    let evaluated = star.logits(&xs, &IDS, false);
    assert_eq!(star.statistics(), before, "evaluation moves nothing");
    let trained = star.logits(&xs, &IDS, true);
    for row in 0..7 {
        let [of_training, of_evaluation] =
            [&trained, &evaluated].map(|logits| bits(&logits[3 * row..3 * row + 3]));
        assert_eq!(of_training == of_evaluation, IDS[row] == 3, "row {row}");
    }
    let after = star.statistics();
    for name in ["mean", "var"] {
        let path = format!("shared.norm.scenario_running_{name}");
        let pairs = before[&path].chunks(WIDTH).zip(after[&path].chunks(WIDTH));
        let stays: Vec<bool> = pairs
            .map(|(before, after)| bits(before) == bits(after))
            .collect();
        assert_eq!(stays, [false, false, true, true], "{path}");
        let of_all = format!("shared.norm.running_{name}");
        assert_ne!(before[&of_all], after[&of_all]);
    }
    // Alone in its batch, a row is one of a scenario with one row, and all rows are one.
    for row in 0..7 {
        let one = xs.narrow(0, row, 1).unwrap();
        let alone = star.logits(&one, &IDS[row..=row], true);
        assert_eq!(star.statistics(), after, "row {row}");
        let evaluated = star.logits(&one, &IDS[row..=row], false);
        assert_eq!(bits(&alone), bits(&evaluated), "row {row}");
    }
}

#[test]
fn a_batch_of_one_scenario_has_mean_0_and_deviation_1_of_the_scenarios_scale() {
    // A linear form of the normalised input: a bottom of one unit per input that passes it on.
    let knobs = "auxiliary = false\nexpert_dims = [14]\ntower_dims = []";
    let star = fresh("star", knobs, 2);
    let rows = 6;
    let xs = (inputs(rows, WIDTH, 3.0) + 5.0).unwrap();
    let mut weights = star.weights();
    let pass = |at: usize, column: usize| match at / WIDTH {
        _ if at % WIDTH != column => 0.0,
        0 => 1.0,
        _ => -1.0,
    };
    let maps: Vec<f32> = (0..WIDTH)
        .flat_map(|column| (0..14).map(move |at| pass(at, column)))
        .collect();
    let tensor = |values: Vec<f32>, like: &Tensor| {
        Tensor::from_vec(values, like.shape(), &place::device()).unwrap()
    };
    for (path, values) in [
        ("shared.expert.0.weight", maps),
        ("shared.expert.0.bias", vec![0.0; 14]),
    ] {
        let new = tensor(values, &weights[path]);
        weights.insert(path.to_owned(), new);
    }
    let star = with("star", knobs, 2, weights);
    let mut trace = Trace::default();
    let pass = || star.model.forward_t(&xs, true, Some(&mut trace));
    let slot = star.model.scenarios().unwrap();
    slot.during(&vec![2; rows], pass).unwrap();
    let hidden = values(&trace.experts[0].outputs);
    for column in 0..WIDTH {
        // What ReLU took from one unit is in the other.
        let of_row = |row: &[f32]| f64::from(row[column] - row[column + WIDTH]);
        let column: Vec<f64> = hidden.chunks(14).map(of_row).collect();
        let mean = column.iter().sum::<f64>() / rows as f64;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
        assert!(
            mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4,
            "{mean} {variance}"
        );
    }
}

/// Whether what a scenario has of a variable with a dimension of scenarios got a gradient.
fn reached(gradient: &[f32], scenario: usize) -> bool {
    let size = gradient.len() / NUM_SCENARIOS;
    let own = &gradient[scenario * size..(scenario + 1) * size];
    own.iter().any(|slope| *slope != 0.0)
}

#[test]
fn a_scenario_without_rows_gets_exactly_no_gradient() {
    let xs = inputs(7, WIDTH, 1.0);
    let ids = [1, 2, 1, 3, 2, 3, 1];
    let own = |path: &str| {
        path.contains("scenario_weight")
            || path.contains("scenario_offset")
            || path.contains("_fusion")
    };
    for (name, knobs) in [("star", ""), ("m3oe", ""), ("m3oe", "tower_dims = []")] {
        let model = stirred(name, knobs, NUM_SCENARIOS);
        let gradients = model.gradients(&xs, &ids);
        let mut num_own = 0;
        for (path, gradient) in &gradients {
            let is_of_m3oe = name == "m3oe" && (path.contains(".gate") || path.contains(".tower"));
            if !(own(path) || is_of_m3oe || path == "scenario.balance") {
                continue;
            }
            num_own += 1;
            assert!(!reached(gradient, 3), "{name}: {path}");
            // Behind a ReLU a small tower may be silent, but not for all three.
            assert!(
                (0..3).any(|scenario| reached(gradient, scenario)),
                "{name}: {path}"
            );
        }
        assert!(num_own > 6, "{name}");
    }
    // What others read of a scenario's expert teaches it; without the attention nothing does.
    for (attention, learns) in [(true, true), (false, false)] {
        let model = stirred("hinet", &format!("attention = {attention}"), NUM_SCENARIOS);
        let gradients = model.gradients(&xs, &ids);
        for path in ["scenario.3.expert.0.weight", "scenario.3.gate.weight"] {
            let any = gradients[path].iter().any(|slope| *slope != 0.0);
            assert_eq!(any, learns, "{path}");
        }
    }
}

#[test]
fn rows_of_other_scenarios_change_no_row_in_evaluation() {
    let xs = inputs(7, WIDTH, 1.0);
    for name in ["star", "hinet", "m3oe"] {
        let model = stirred(name, "", NUM_SCENARIOS);
        let together = model.logits(&xs, &IDS, false);
        let order = [3usize, 6, 0, 5, 1, 4, 2];
        let indices: Vec<u32> = order.iter().map(|row| *row as u32).collect();
        let indices = Tensor::new(indices, &place::device()).unwrap();
        let ids = order.map(|row| IDS[row]);
        let moved = model.logits(&xs.index_select(&indices, 0).unwrap(), &ids, false);
        for (place, row) in order.into_iter().enumerate() {
            let [found, expected] = [(&moved, place), (&together, row)]
                .map(|(logits, at)| bits(&logits[3 * at..3 * at + 3]));
            assert_eq!(found, expected, "{name}: row {row}");
        }
    }
}

#[test]
fn attention_is_over_the_others_and_over_all_of_a_row_of_none() {
    let hinet = stirred("hinet", "", NUM_SCENARIOS);
    let trace = hinet.trace(&inputs(7, WIDTH, 1.0), &IDS);
    let gate = trace
        .gates
        .iter()
        .find(|gate| gate.path == "scenario.attention");
    let weights = values(&gate.unwrap().weights);
    for (row, id) in weights.chunks(NUM_SCENARIOS).zip(IDS) {
        let sum: f32 = row.iter().sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        for (scenario, weight) in row.iter().enumerate() {
            assert_eq!(*weight == 0.0, scenario + 1 == id as usize, "{row:?}");
        }
    }
}

#[test]
fn with_one_scenario_there_is_nothing_to_attend_to_nor_to_balance_with() {
    let xs = inputs(4, WIDTH, 1.0);
    for name in ["hinet", "m3oe"] {
        let model = stirred(name, "", 1);
        let paths: Vec<&str> = model
            .variables
            .parameters()
            .iter()
            .map(|p| p.path())
            .collect();
        for absent in ["scenario.attention", "scenario.balance"] {
            assert!(!paths.iter().any(|path| path.starts_with(absent)), "{name}");
        }
        if name == "hinet" {
            // Two vectors side by side and not three.
            let first = &model.weights()["task.a.expert.0.weight"];
            assert_eq!(first.dims(), [2, 10, 6]);
        }
        // What is the mean of all of one is that one; but the star layer of a row of none has the shared weights alone.
        let mut weights = model.weights();
        for (path, value) in [("scenario_weight", 1.0), ("scenario_offset", 0.0)] {
            if let Some(tensor) = weights.get_mut(&format!("shared.star.{path}")) {
                let zeros = tensor.zeros_like().unwrap();
                *tensor = (zeros + value).unwrap();
            }
        }
        let model = with(name, "", 1, weights);
        let known = model.logits(&xs, &[1; 4], false);
        assert_near(&model.logits(&xs, &[0; 4], false), &known);
    }
}

/// The same numbers in every scenario.
fn alike(weights: ByPath, num_scenarios: usize) -> ByPath {
    let of = |(path, tensor): (String, Tensor)| {
        let is_own = path.starts_with("scenario.expert")
            || path.contains("scenario_")
            || path.contains(".task_fusion")
            || path.ends_with("balance") && path.starts_with("scenario")
            || path.contains("task.") && (path.contains(".gate") || path.contains(".tower"));
        let tensor = match is_own {
            true => {
                let first = tensor.narrow(0, 0, 1).unwrap();
                Tensor::cat(&vec![first; num_scenarios], 0).unwrap()
            }
            false => tensor,
        };
        (path, tensor)
    };
    weights.into_iter().map(of).collect()
}

#[test]
fn m3oe_of_scenarios_that_are_alike_treats_all_rows_alike() {
    let model = stirred("m3oe", "", 3);
    let mut weights = alike(model.weights(), 3);
    for (path, value) in [("scenario_weight", 1.0), ("scenario_offset", 0.0)] {
        let path = format!("shared.star.{path}");
        let zeros = weights[&path].zeros_like().unwrap();
        weights.insert(path, (zeros + value).unwrap());
    }
    let model = with("m3oe", "", 3, weights);
    let xs = inputs(4, WIDTH, 1.0);
    let expected = model.logits(&xs, &[1; 4], false);
    for id in [0, 2, 3] {
        assert_near(&model.logits(&xs, &[id; 4], false), &expected);
    }
}

#[test]
fn a_row_of_none_has_the_mean_of_what_m3oes_towers_give() {
    // Nothing before the towers differs between scenarios.
    let model = stirred("m3oe", "", 3);
    let own = model.weights();
    let mut weights = alike(own.clone(), 3);
    for (path, tensor) in own {
        if path.contains(".tower") {
            weights.insert(path, tensor);
        }
    }
    for (path, value) in [("scenario_weight", 1.0), ("scenario_offset", 0.0)] {
        let path = format!("shared.star.{path}");
        let zeros = weights[&path].zeros_like().unwrap();
        weights.insert(path, (zeros + value).unwrap());
    }
    let model = with("m3oe", "", 3, weights);
    let xs = inputs(4, WIDTH, 1.0);
    let each = [1, 2, 3].map(|id| model.logits(&xs, &[id; 4], false));
    let mean: Vec<f32> = (0..12)
        .map(|at| each.iter().map(|l| l[at]).sum::<f32>() / 3.0)
        .collect();
    assert_near(&model.logits(&xs, &[0; 4], false), &mean);
    assert!(
        each[0]
            .iter()
            .zip(&each[1])
            .any(|(a, b)| (a - b).abs() > 1e-2)
    );
}

#[test]
fn a_pass_needs_the_scenario_of_every_row() {
    let xs = inputs(3, WIDTH, 1.0);
    for name in ["star", "hinet", "m3oe"] {
        let model = fresh(name, "", 2);
        let slot = model.model.scenarios().unwrap();
        let said = |ids: Option<&[u32]>| {
            let pass = || model.model.forward_t(&xs, false, None);
            let given = match ids {
                Some(ids) => slot.during(ids, pass),
                None => pass(),
            };
            given.unwrap_err().to_string()
        };
        assert!(said(None).contains("needs the scenario of each row"));
        assert!(said(Some(&[1, 2])).contains("3 rows have 2 scenarios"));
        assert!(said(Some(&[1, 2, 3])).contains("row 2 is in group 3 of 3"));
        // Nothing is left of a pass that failed or ended.
        assert!(
            slot.during(&[0, 1, 2], || model.model.forward_t(&xs, false, None))
                .is_ok()
        );
        assert!(said(None).contains("needs the scenario of each row"));
    }
}

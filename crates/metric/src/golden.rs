//! Cases with known answers: scikit-learn's, committed under `tests/golden/metrics`, and rows for property tests.

use super::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Reproducible scores on a grid of `num_levels` values (so with ties where it is coarse) and labels that follow them loosely.
pub(super) fn noisy_rows(num_rows: usize, num_levels: u64) -> (Vec<f32>, Vec<f32>) {
    let rows = (0..num_rows as u64).map(|row| {
        let score = (hash(2 * row) % num_levels) as f32 / num_levels as f32 * 8.0 - 4.0;
        let noise = (hash(2 * row + 1) % 4096) as f32 / 4096.0 * 8.0 - 4.0;
        (score, f32::from(u8::from(score + noise > 1.0)))
    });
    rows.unzip()
}

fn hash(index: u64) -> u64 {
    let mut mixed = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// Runs `work` on a pool of its own.
pub(super) fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(work)
}

#[derive(Default)]
struct Case {
    scores: Vec<f32>,
    labels: Vec<f32>,
    groups: Vec<u32>,
    weights: Vec<f32>,
}

fn records(file: &str) -> Vec<Vec<String>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/metrics");
    let mut reader = csv::Reader::from_path(folder.join(file)).unwrap();
    let fields = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
    reader
        .records()
        .map(|record| fields(record.unwrap()))
        .collect()
}

fn cases() -> BTreeMap<String, Case> {
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for record in records("rows.csv") {
        let case = cases.entry(record[0].clone()).or_default();
        case.scores.push(record[1].parse().unwrap());
        case.labels.push(record[2].parse().unwrap());
        case.groups.push(record[3].parse().unwrap());
        case.weights.push(record[4].parse().unwrap());
    }
    cases
}

fn ours(metric: &str, case: &Case) -> Option<f64> {
    let (scores, labels) = (&case.scores, &case.labels);
    match metric {
        "auc" => auc(scores, labels),
        "log_loss" => log_loss(scores, labels),
        "normalised_entropy" => normalised_entropy(scores, labels),
        "calibration" => calibration(scores, labels),
        "expected_calibration_error_15" => expected_calibration_error(scores, labels, 15),
        "grouped_auc_weighted" => grouped_auc(scores, labels, &case.groups).weighted,
        "grouped_auc_unweighted" => grouped_auc(scores, labels, &case.groups).unweighted,
        "grouped_auc_groups" => Some(grouped_auc(scores, labels, &case.groups).num_groups as f64),
        "grouped_auc_left_out" => {
            Some(grouped_auc(scores, labels, &case.groups).num_left_out as f64)
        }
        "mean_squared_error" => mean_squared_error(scores, labels),
        "r_squared" => r_squared(scores, labels),
        name => by_name(name, case),
    }
}

/// A metric that a spec asks for, as training computes it.
fn by_name(name: &str, case: &Case) -> Option<f64> {
    let metric = Metric::named(name).unwrap_or_else(|| panic!("no metric is called {name}"));
    let inputs = Inputs {
        is_regression: metric.is_of_numbers().unwrap(),
        predictions: case.scores.clone(),
        labels: case.labels.clone(),
        users: case.groups.clone(),
        weights: case.weights.clone(),
        ..Inputs::default()
    };
    let scores = Rows::observed(&[metric], inputs).scores();
    assert_eq!(scores.len(), 1, "{name}");
    scores[0].1
}

#[test]
fn every_metric_agrees_with_scikit_learn_on_the_committed_cases() {
    let cases = cases();
    let expected = records("expected.csv");
    assert!(expected.len() > 600, "{} reference values", expected.len());
    let kinds = ["many_ties", "one_class", "masked", "users_of_one_class"];
    for kind in [&kinds[..], &["ranked_ties", "ranked_empty_groups"]].concat() {
        assert!(cases.contains_key(kind), "no case `{kind}`");
    }
    let is_on_request = |metric: &&Metric| metric.is_on_request();
    for metric in Metric::ALL.iter().filter(is_on_request) {
        let mut families = expected.iter().map(|record| record[1].split('@').next());
        assert!(
            families.any(|name| name == Some(metric.family())),
            "no case of {metric:?}"
        );
    }
    for record in &expected {
        let (name, metric) = (&record[0], &record[1]);
        let value = ours(metric, &cases[name]);
        if record[2].is_empty() {
            assert_eq!(value, None, "{metric} of {name}");
            continue;
        }
        let reference: f64 = record[2].parse().unwrap();
        let distance = (value.unwrap() - reference).abs();
        assert!(
            distance <= 1e-12 * reference.abs().max(1.0),
            "{metric} of {name}: {value:?}, scikit-learn has {reference}"
        );
    }
}

//! Cases with known answers: scipy's and statsmodels', committed under `tests/golden/statistics`.

use super::*;
use std::path::PathBuf;

fn numbers(text: &str) -> Vec<f64> {
    text.split(' ')
        .map(|number| number.parse().unwrap())
        .collect()
}

fn ours(what: &str, a: &[f64], b: &[f64]) -> f64 {
    let pairs: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
    let difference = paired_difference(&pairs).unwrap();
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    match what {
        "mean" => mean(a).unwrap(),
        "std" => standard_deviation(a).unwrap(),
        "p_value" => difference.p_value.unwrap(),
        "sign_flip_p_value" => difference.sign_flip_p_value.unwrap(),
        "probability_of_improvement" => probability_of_improvement(a, b).unwrap(),
        "smallest_detectable_effect" => difference.smallest_detectable.unwrap(),
        "smallest_detectable_at_one_in_a_thousand" => {
            smallest_detectable_effect(&differences, 0.001).unwrap()
        }
        "mean_low" => student_interval(a).unwrap().low,
        "mean_high" => student_interval(a).unwrap().high,
        "difference_low" => difference.interval.unwrap().low,
        "difference_high" => difference.interval.unwrap().high,
        "bootstrap_low" => difference.bootstrap.unwrap().low,
        "bootstrap_high" => difference.bootstrap.unwrap().high,
        other => panic!("nothing is called {other}"),
    }
}

/// Largest relative error: what the power's integral is computed to, and rounding elsewhere.
fn tolerance(what: &str) -> f64 {
    if what.starts_with("smallest") {
        1e-7
    } else {
        1e-11
    }
}

fn rows(name: &str) -> Vec<csv::StringRecord> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/statistics");
    let mut reader = csv::Reader::from_path(folder.join(name)).unwrap();
    reader.records().collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_statistic_agrees_with_scipy_and_statsmodels_on_the_committed_cases() {
    let rows = rows("expected.csv");
    for record in &rows {
        let value = ours(&record[1], &numbers(&record[2]), &numbers(&record[3]));
        let expected: f64 = record[4].parse().unwrap();
        let distance = (value - expected).abs();
        assert!(
            distance <= tolerance(&record[1]) * expected.abs().max(1e-3),
            "{} of {}: {value}, expected {expected}",
            &record[1],
            &record[0]
        );
    }
    assert!(rows.len() > 60);
}

#[test]
fn holms_correction_agrees_with_statsmodels() {
    let rows = rows("holm.csv");
    for record in &rows {
        let corrected = holm(&numbers(&record[0]));
        for (value, expected) in corrected.iter().zip(numbers(&record[1])) {
            assert!((value - expected).abs() < 1e-15, "{corrected:?}");
        }
    }
    assert!(rows.len() >= 4);
}

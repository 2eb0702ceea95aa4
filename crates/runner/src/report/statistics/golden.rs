//! Cases with known answers: scipy's, committed under `tests/golden/statistics`.

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
    match what {
        "mean" => mean(a).unwrap(),
        "std" => standard_deviation(a).unwrap(),
        "p_value" => difference.p_value.unwrap(),
        "probability_of_improvement" => probability_of_improvement(a, b).unwrap(),
        "smallest_detectable_effect" => difference.smallest_detectable.unwrap(),
        "difference_low" => difference.interval.unwrap().low,
        "difference_high" => difference.interval.unwrap().high,
        other => panic!("nothing is called {other}"),
    }
}

#[test]
fn every_statistic_agrees_with_scipy_on_the_committed_cases() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/statistics");
    let mut reader = csv::Reader::from_path(folder.join("expected.csv")).unwrap();
    let mut num_checked = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let value = ours(&record[1], &numbers(&record[2]), &numbers(&record[3]));
        let expected: f64 = record[4].parse().unwrap();
        let distance = (value - expected).abs();
        assert!(
            distance < 1e-12,
            "{} of {}: {value}, scipy has {expected}",
            &record[1],
            &record[0]
        );
        num_checked += 1;
    }
    assert!(num_checked > 30);
}

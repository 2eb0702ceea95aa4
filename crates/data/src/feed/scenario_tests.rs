//! Tests that scenarios of the feed do what their knobs say, and that a feed without them is what it was.

use super::tests::{config, logits};
use super::*;
use crate::tests::correlation;

const ROWS: u64 = 40_000;

fn with(count: u32, share: f64, shift: f64) -> FeedConfig {
    FeedConfig {
        scenarios: FeedScenarios {
            count,
            skew: 1.0,
            share,
            shift,
        },
        num_factors: 8,
        ..config()
    }
}

fn scenarios(feed: &Feed) -> Vec<u32> {
    let rows = feed.rows(0, 0..ROWS);
    let ids = rows.categorical.chunks_exact(NUM_CATEGORICAL + 1);
    ids.map(|row| row[NUM_CATEGORICAL]).collect()
}

#[test]
fn one_scenario_is_a_feed_without_any() {
    let one = FeedConfig {
        scenarios: FeedScenarios {
            count: 1,
            ..FeedScenarios::default()
        },
        ..config()
    };
    assert!(!format!("{one:?}").contains("scenario"));
    assert_eq!(one.categorical().len(), NUM_CATEGORICAL);
    let three = with(3, 0.5, 0.0);
    assert_eq!(three.categorical().last().unwrap().vocabulary_size, 4);
    assert!(format!("{three:?}").contains("scenarios: FeedScenarios { count: 3"));
}

#[test]
fn scenarios_have_shares_that_fall_with_their_rank() {
    let ids = scenarios(&Feed::new(&with(3, 0.0, 0.0)));
    let total = 1.0 + 1.0 / 2.0 + 1.0 / 3.0;
    for (id, weight) in [(1, 1.0), (2, 0.5), (3, 1.0 / 3.0)] {
        let share = ids.iter().filter(|found| **found == id).count() as f64 / ROWS as f64;
        assert!((share - weight / total).abs() < 0.01, "{id}: {share}");
    }
}

/// Scenarios that change nothing leave users, videos and chances as they are.
#[test]
fn scenarios_without_a_share_and_a_shift_change_no_chance() {
    let plain = FeedConfig {
        num_factors: 8,
        ..config()
    };
    let (plain, idle) = (Feed::new(&plain), Feed::new(&with(3, 0.0, 0.0)));
    assert_eq!(
        plain.probabilities(0, 0..500),
        idle.probabilities(0, 0..500)
    );
}

/// Of the same rows in two scenarios, logits correlate by what is not the scenarios' own.
#[test]
fn a_share_of_the_logits_is_a_scenarios_own() {
    let usual = {
        let plain = FeedConfig {
            num_factors: 8,
            ..config()
        };
        Feed::new(&plain).probabilities(0, 0..ROWS)
    };
    for share in [0.25, 0.75, 1.0] {
        let feed = Feed::new(&with(3, share, 0.0));
        let (ids, all) = (scenarios(&feed), feed.probabilities(0, 0..ROWS));
        for (task, id) in [(0, 1), (1, 2), (2, 3)] {
            let of = |values: &[f64]| -> Vec<f64> {
                let logits = logits(values, 4, task).into_iter().zip(&ids);
                logits
                    .filter(|(_, found)| **found == id)
                    .map(|(logit, _)| logit)
                    .collect()
            };
            let found = correlation(&of(&all), &of(&usual));
            let expected = (1.0 - share).sqrt();
            assert!(
                (found - expected).abs() < 0.05,
                "{share} {task}: {found} {expected}"
            );
        }
    }
}

#[test]
fn shifts_move_the_rates_of_scenarios_and_leave_that_of_all_rows() {
    let feed = Feed::new(&with(3, 0.0, 1.5));
    let (ids, all) = (scenarios(&feed), feed.probabilities(0, 0..ROWS));
    let rate = |task: usize, id: Option<u32>| {
        let rows = all.iter().skip(task).step_by(4).zip(&ids);
        let rows = rows.filter(|(_, found)| id.is_none_or(|id| **found == id));
        let (count, sum) = rows.fold((0.0, 0.0), |(count, sum), (chance, _)| {
            (count + 1.0, sum + chance)
        });
        sum / count
    };
    for (task, expected) in [(0, 0.5), (1, 0.3)] {
        assert!((rate(task, None) - expected).abs() < 0.01, "{task}");
        let rates = [1, 2, 3].map(|id| rate(task, Some(id)));
        let spread = rates.iter().fold(0.0f64, |most, a| {
            rates.iter().fold(most, |most, b| most.max((a - b).abs()))
        });
        assert!(spread > 0.05, "{task}: {rates:?}");
    }
}

#[test]
fn unrelated_tasks_have_no_part_in_scenarios() {
    let mut config = with(3, 1.0, 0.0);
    config.tasks[1].is_unrelated = true;
    let feed = Feed::new(&config);
    let all = feed.probabilities(0, 0..ROWS);
    let [a, b, c] = [0, 1, 2].map(|task| logits(&all, 4, task));
    assert!(correlation(&a, &b).abs() < 0.03, "{}", correlation(&a, &b));
    // Wholly a scenario's own, the others agree.
    assert!(correlation(&a, &c) > 0.95, "{}", correlation(&a, &c));
}

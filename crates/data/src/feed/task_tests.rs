//! Tests of what a task of the feed has for itself: the share on which it is observed, and whether it is related to others.

use super::tests::{config, logits};
use super::*;
use crate::tests::correlation;

/// Labels of some rows, by task.
fn labels(config: &FeedConfig, split: usize, count: u64) -> Vec<Vec<f32>> {
    let rows = Feed::new(config).rows(split, 0..count);
    let num_tasks = config.tasks.len();
    let task = |task| rows.labels.iter().skip(task).step_by(num_tasks);
    (0..num_tasks)
        .map(|place| task(place).copied().collect())
        .collect()
}

fn with_share(task: usize, share: f64) -> FeedConfig {
    let mut config = config();
    config.tasks[task].observed_share = share;
    config
}

#[test]
fn a_task_is_observed_on_its_share_of_the_rows_and_nothing_else_changes() {
    let whole = Feed::new(&config()).rows(0, 0..50_000);
    let all = labels(&config(), 0, 50_000);
    for share in [0.3, 0.03, 0.001] {
        let config = with_share(1, share);
        let rows = Feed::new(&config).rows(0, 0..50_000);
        assert_eq!(rows.categorical, whole.categorical);
        assert_eq!(rows.numeric, whole.numeric);
        let found = labels(&config, 0, 50_000);
        for task in [0, 2, 3] {
            assert_eq!(found[task], all[task], "{task}");
        }
        let pairs = found[1].iter().zip(&all[1]);
        let observed: Vec<_> = pairs.filter(|(label, _)| !label.is_nan()).collect();
        assert!(observed.iter().all(|(label, full)| label == full));
        let count = observed.len() as f64;
        let (expected, slack) = (share * 5e4, 5.0 * (share * 5e4).sqrt());
        assert!((count - expected).abs() < slack, "{share}: {count}");
    }
}

#[test]
fn what_a_small_share_observes_a_larger_one_does_too() {
    let [few, many] = [0.1, 0.5].map(|share| labels(&with_share(1, share), 1, 5000));
    let pairs = few[1].iter().zip(&many[1]);
    let mut seen = pairs.filter(|(label, _)| !label.is_nan());
    assert!(seen.all(|(label, more)| label == more));
}

#[test]
fn rows_that_tasks_observe_are_their_own() {
    let mut config = config();
    config.tasks[0].observed_share = 0.5;
    config.tasks[1].observed_share = 0.5;
    let found = labels(&config, 0, 20_000);
    let is_seen = |task: usize| -> Vec<f64> {
        let labels = found[task].iter();
        labels
            .map(|label| f64::from(u8::from(!label.is_nan())))
            .collect()
    };
    let found = correlation(&is_seen(0), &is_seen(1));
    assert!(found.abs() < 0.03, "{found}");
    // By name: a task keeps its rows wherever it stands.
    config.tasks.swap(0, 1);
    let swapped = labels(&config, 0, 20_000);
    let seen: Vec<f64> = swapped[1]
        .iter()
        .map(|label| f64::from(u8::from(!label.is_nan())))
        .collect();
    assert_eq!(seen, is_seen(0));
}

#[test]
fn test_rows_keep_every_label() {
    assert_eq!(
        labels(&with_share(1, 0.01), 2, 5000),
        labels(&config(), 2, 5000)
    );
}

/// The correlations of the logits of all pairs of tasks.
fn correlations(config: &FeedConfig) -> Vec<Vec<f64>> {
    let all = Feed::new(config).probabilities(0, 0..40_000);
    let count = config.tasks.len();
    let logits: Vec<_> = (0..count).map(|task| logits(&all, count, task)).collect();
    let of = |task: usize| logits.iter().map(move |other| (task, other));
    let row = |task: usize| {
        of(task)
            .map(|(task, other)| correlation(&logits[task], other))
            .collect()
    };
    (0..count).map(row).collect()
}

/// Two groups of tasks, and one more task of each.
fn with_extra(is_unrelated: bool) -> FeedConfig {
    let mut config = config();
    for (name, group) in [("e", 0), ("f", 1)] {
        config.tasks.push(FeedTask {
            is_unrelated,
            ..FeedTask::new(name, group, 0.2)
        });
    }
    config
}

#[test]
fn unrelated_tasks_have_no_correlation_with_any_other_and_the_others_keep_theirs() {
    let (alone, unrelated) = (correlations(&config()), correlations(&with_extra(true)));
    for task in 0..4 {
        for other in 0..4 {
            let (before, after) = (alone[task][other], unrelated[task][other]);
            assert!((before - after).abs() < 1e-6, "{task} {other}");
        }
    }
    for extra in [4, 5] {
        for other in (0..6).filter(|other| *other != extra) {
            let found = unrelated[extra][other];
            assert!(found.abs() < 0.03, "{extra} {other}: {found}");
        }
    }
    // The control: tasks more that are related as any of their group.
    let related = correlations(&with_extra(false));
    for (extra, own, others) in [(4, [0, 1], [2, 3]), (5, [2, 3], [0, 1])] {
        for (tasks, expected) in [(own, 0.7), (others, 0.3)] {
            for task in tasks {
                let found = related[extra][task];
                assert!((found - expected).abs() < 0.03, "{extra} {task}: {found}");
            }
        }
    }
}

#[test]
fn what_turns_a_task_unrelated_changes_no_other_label() {
    let (related, unrelated) = (with_extra(false), with_extra(true));
    let [related, unrelated] = [related, unrelated].map(|config| labels(&config, 0, 2000));
    assert_eq!(related[..4], unrelated[..4]);
    assert_ne!(related[4], unrelated[4]);
}

#[test]
fn conflict_leaves_unrelated_tasks_alone() {
    let config = FeedConfig {
        conflict: 0.5,
        ..with_extra(true)
    };
    let found = correlations(&config);
    for other in [0, 1, 2, 3, 4] {
        assert!(found[5][other].abs() < 0.03, "{other}: {}", found[5][other]);
    }
}

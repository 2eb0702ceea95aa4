//! Tests that every knob of the feed does what it says.

use super::*;
use crate::generated::Generated;
use crate::schema::{Description, Source};
use crate::tests::correlation;
use homebench_metric as metric;
use std::path::Path;

pub(super) fn config() -> FeedConfig {
    FeedConfig {
        seed: 5,
        rows: [1000, 100, 100],
        num_users: 3000,
        num_user_segments: 32,
        num_videos: 4000,
        num_authors: 500,
        num_categories: 20,
        popularity_skew: 1.0,
        activity_skew: 0.5,
        num_factors: 4,
        between_correlation: 0.3,
        within_correlation: 0.7,
        conflict: 0.0,
        nonlinearity: 0.4,
        signal: 1.5,
        noise: 0.0,
        tasks: vec![
            FeedTask::new("a", 0, 0.5),
            FeedTask::new("b", 0, 0.3),
            FeedTask::new("c", 1, 0.05),
            FeedTask::new("d", 1, 0.002),
        ],
        scenarios: FeedScenarios::default(),
    }
}

pub(super) fn logits(values: &[f64], num_tasks: usize, task: usize) -> Vec<f64> {
    let column = values.iter().skip(task).step_by(num_tasks);
    column.map(|p| (p / (1.0 - p)).ln()).collect()
}

/// The correlations of the logits of two tasks of one group, and of two groups.
fn within_and_between(config: &FeedConfig) -> (f64, f64) {
    let all = Feed::new(config).probabilities(0, 0..40_000);
    let [a, b, c] = [0, 1, 2].map(|task| logits(&all, 4, task));
    (correlation(&a, &b), correlation(&a, &c))
}

/// The AUC of the true probabilities of a task.
fn best_auc(config: &FeedConfig, task: usize) -> f64 {
    let feed = Feed::new(config);
    let (truth, rows) = (feed.probabilities(2, 0..60_000), feed.rows(2, 0..60_000));
    let of = |values: &mut dyn Iterator<Item = f32>| -> Vec<f32> {
        values.skip(task).step_by(config.tasks.len()).collect()
    };
    let scores = of(&mut truth.iter().map(|p| *p as f32));
    let labels = of(&mut rows.labels.iter().copied());
    metric::auc(&scores, &labels).unwrap()
}

/// Share of exposures of the first hundredth of a feature's values.
fn share_of_the_first(config: &FeedConfig, column: usize, count: u32) -> f64 {
    let rows = Feed::new(config).rows(0, 0..50_000);
    let ids = rows
        .categorical
        .iter()
        .skip(column)
        .step_by(NUM_CATEGORICAL);
    ids.filter(|id| **id <= count / 100).count() as f64 / 50_000.0
}

#[test]
fn any_range_of_rows_is_the_same_wherever_it_is_made() {
    let feed = Feed::new(&config());
    let all = feed.rows(0, 0..100);
    let part = Feed::new(&config()).rows(0, 40..60);
    let width = NUM_CATEGORICAL;
    assert_eq!(part.categorical, all.categorical[40 * width..60 * width]);
    assert_eq!(
        part.numeric,
        all.numeric[40 * NUM_NUMERIC..60 * NUM_NUMERIC]
    );
    assert_eq!(part.labels, all.labels[40 * 4..60 * 4]);
    assert_eq!(part.users, all.users[40..60]);
    assert_ne!(part.categorical, feed.rows(1, 40..60).categorical);
    let other = FeedConfig {
        seed: 6,
        ..config()
    };
    assert_ne!(
        all.categorical,
        Feed::new(&other).rows(0, 0..100).categorical
    );
}

#[test]
fn labels_have_their_rates_whatever_the_noise_and_ids_stay_inside_their_vocabularies() {
    for noise in [0.0, 0.5] {
        let config = FeedConfig { noise, ..config() };
        let rows = Feed::new(&config).rows(0, 0..200_000);
        for (task, expected) in config.tasks.iter().enumerate() {
            let positives: f32 = rows.labels.iter().skip(task).step_by(4).sum();
            let rate = f64::from(positives) / 2e5;
            let slack = 5.0 * (expected.rate / 2e5).sqrt() + 0.02 * expected.rate;
            assert!((rate - expected.rate).abs() < slack, "{task}: {rate}");
        }
        for (column, feature) in config.categorical().iter().enumerate() {
            let ids = rows
                .categorical
                .iter()
                .skip(column)
                .step_by(NUM_CATEGORICAL);
            let (min, max) = (ids.clone().min().unwrap(), ids.max().unwrap());
            let size = feature.vocabulary_size;
            assert!(*min >= 1 && (*max as usize) < size, "{}", feature.name);
        }
    }
}

#[test]
fn a_user_has_one_segment_and_activity_and_a_video_one_author_category_and_duration() {
    let rows = Feed::new(&config()).rows(0, 0..20_000);
    let mut seen = std::collections::HashMap::new();
    let numbers = rows.numeric.chunks(NUM_NUMERIC);
    for ((ids, numbers), user) in rows
        .categorical
        .chunks(NUM_CATEGORICAL)
        .zip(numbers)
        .zip(&rows.users)
    {
        assert_eq!(ids[0], user + 1);
        let of_user = (vec![ids[1]], numbers[0]);
        assert_eq!(seen.entry((0, ids[0])).or_insert(of_user.clone()), &of_user);
        let of_video = (vec![ids[3], ids[4]], numbers[1]);
        assert_eq!(
            seen.entry((1, ids[2])).or_insert(of_video.clone()),
            &of_video
        );
    }
    assert!(seen.len() > 3000);
}

#[test]
fn correlations_within_and_between_groups_are_those_asked_for_at_any_nonlinearity() {
    for (within, between) in [(0.7, 0.3), (0.9, 0.0), (0.5, 0.5), (0.0, 0.0)] {
        for nonlinearity in [0.0, 0.4, 1.0] {
            let found = within_and_between(&FeedConfig {
                within_correlation: within,
                between_correlation: between,
                nonlinearity,
                ..config()
            });
            assert!((found.0 - within).abs() < 0.03, "{found:?}");
            assert!((found.1 - between).abs() < 0.03, "{found:?}");
        }
    }
}

#[test]
fn conflict_turns_the_correlation_between_groups_in_its_share_of_the_segments() {
    let config = FeedConfig {
        between_correlation: 0.5,
        conflict: 0.25,
        ..config()
    };
    let feed = Feed::new(&config);
    let all = feed.probabilities(0, 0..60_000);
    let rows = feed.rows(0, 0..60_000);
    let segments: Vec<u32> = rows
        .categorical
        .iter()
        .skip(1)
        .step_by(NUM_CATEGORICAL)
        .copied()
        .collect();
    let [a, b, c] = [0, 1, 2].map(|task| logits(&all, 4, task));
    let in_segment = |values: &[f64], segment: u32| -> Vec<f64> {
        let rows = values.iter().zip(&segments);
        rows.filter(|(_, other)| **other == segment)
            .map(|(value, _)| *value)
            .collect()
    };
    let turned = (1..=config.num_user_segments).filter(|segment| {
        let of = |values| in_segment(values, *segment);
        assert!(correlation(&of(&a), &of(&b)) > 0.4);
        correlation(&of(&a), &of(&c)) < 0.0
    });
    assert_eq!(turned.count(), 8);
    let (within, between) = within_and_between(&config);
    assert!((between - 0.25).abs() < 0.06, "{between}");
    assert!((within - 0.7).abs() < 0.05, "{within}");
}

#[test]
fn noise_lowers_and_signal_raises_what_can_be_ranked() {
    let of = |noise, signal| {
        best_auc(
            &FeedConfig {
                noise,
                signal,
                ..config()
            },
            1,
        )
    };
    let by_noise = [0.0, 0.3, 0.6, 1.0].map(|noise| of(noise, 1.5));
    assert!(by_noise.is_sorted_by(|a, b| a > b), "{by_noise:?}");
    assert!((by_noise[3] - 0.5).abs() < 1e-9, "{by_noise:?}");
    let by_signal = [0.0, 0.5, 1.5, 4.0].map(|signal| of(0.0, signal));
    assert!(by_signal.is_sorted_by(|a, b| a < b), "{by_signal:?}");
    assert_eq!(by_signal[0], 0.5);
}

#[test]
fn the_waving_share_of_the_logits_is_the_nonlinearity() {
    // The straight part doesn't change with ν, so two truths correlate by the square root of what is left of it.
    let of = |nonlinearity| {
        let config = FeedConfig {
            nonlinearity,
            ..config()
        };
        logits(&Feed::new(&config).probabilities(0, 0..20_000), 4, 0)
    };
    let straight = of(0.0);
    for share in [0.2, 0.5, 0.9] {
        let found = correlation(&straight, &of(share)).powi(2);
        assert!((found - (1.0 - share)).abs() < 0.15, "{share}: {found}");
    }
}

#[test]
fn popularity_and_activity_follow_their_skews() {
    let of = |popularity_skew, activity_skew| {
        let config = FeedConfig {
            popularity_skew,
            activity_skew,
            ..config()
        };
        (
            share_of_the_first(&config, 2, config.num_videos),
            share_of_the_first(&config, 0, config.num_users),
        )
    };
    let (video, user) = of(0.0, 0.0);
    assert!((video - 0.01).abs() < 0.003 && (user - 0.01).abs() < 0.003);
    // Harmonic sums: 40 of 4,000 videos, and 30 of 3,000 users.
    let (video, user) = of(1.0, 0.5);
    assert!((video - 4.279 / 8.871).abs() < 0.02, "{video}");
    assert!((user - 0.091).abs() < 0.02, "{user}");
}

#[test]
fn a_feed_with_another_task_keeps_the_rows_and_the_truths_of_the_others() {
    let mut more = config();
    more.tasks.push(FeedTask::new("e", 1, 0.1));
    let (few, many) = (Feed::new(&config()), Feed::new(&more));
    assert_eq!(
        few.rows(0, 0..500).categorical,
        many.rows(0, 0..500).categorical
    );
    let (few, many) = (few.probabilities(0, 0..500), many.probabilities(0, 0..500));
    for task in 0..4 {
        let (few, many) = (logits(&few, 4, task), logits(&many, 5, task));
        assert!(correlation(&few, &many) > 0.999, "{task}");
    }
}

#[test]
fn the_shipped_feeds_can_be_ranked_well_but_not_perfectly() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    for name in ["synthetic", "feed"] {
        let description = Description::load(&folder, name).unwrap();
        let Source::Generated(Generated::Feed(config)) = &description.protocols[0].source else {
            panic!()
        };
        for (task, feed_task) in config.tasks.iter().enumerate() {
            let auc = best_auc(config, task);
            assert!(
                (0.7..0.97).contains(&auc),
                "{name} {}: {auc}",
                feed_task.name
            );
        }
    }
}

#[test]
fn without_signal_every_row_has_the_same_probability() {
    let feed = Feed::new(&FeedConfig {
        signal: 0.0,
        ..config()
    });
    let probabilities = feed.probabilities(2, 0..50);
    assert!(
        probabilities
            .chunks(4)
            .all(|row| row == &probabilities[..4])
    );
    assert!((probabilities[2] - 0.05).abs() < 1e-6);
}

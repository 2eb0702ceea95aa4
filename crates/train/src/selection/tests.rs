//! Whether the best evaluation is selected, by whatever rule.

use super::*;

fn config(text: &str) -> SelectionConfig {
    toml::from_str(text).unwrap()
}

/// Of tasks that are all trained.
fn score(text: &str, scores: &[TaskValue<'_>]) -> Option<f64> {
    config(text).score(scores, |_| true)
}

const SCORES: [TaskValue<'_>; 6] = [
    ("click", Metric::Auc, Some(0.75)),
    ("click", Metric::LogLoss, Some(0.5)),
    ("click", Metric::Gauc, Some(0.625)),
    ("like", Metric::Auc, Some(0.5)),
    ("like", Metric::LogLoss, Some(0.25)),
    ("like", Metric::Gauc, Some(0.875)),
];

#[test]
fn the_first_of_the_best_evaluations_is_selected() {
    let point = |epoch, split, task: &str, metric, value| CurvePoint {
        epoch,
        step: 10 * epoch,
        split,
        task: task.to_owned(),
        metric,
        value: Some(value),
    };
    let validation = |epoch, task, auc| point(epoch, SplitName::Validation, task, Metric::Auc, auc);
    let curve = [
        validation(1, "a", 0.5),
        validation(1, "b", 0.75),
        point(2, SplitName::Train, "all", Metric::LogLoss, 9.0),
        validation(2, "a", 0.75),
        validation(2, "b", 0.5),
        validation(3, "a", 0.25),
        validation(3, "b", 0.5),
    ];
    let default = SelectionConfig::default();
    let selected = |curve| selected_by(curve, &default, |_| true);
    assert_eq!(selected(&curve), Some((1, 0.625)));
    assert_eq!(
        selected_by(&curve, &default, |task| task == "a"),
        Some((2, 0.75))
    );
    assert_eq!(selected(&curve[2..3]), None);
    let worst = config("combine = 'worst'");
    assert_eq!(selected_by(&curve, &worst, |_| true), Some((1, 0.5)));
    let of_a = config("tasks = { a = 1.0 }");
    assert_eq!(selected_by(&curve, &of_a, |_| true), Some((2, 0.75)));
}

#[test]
fn values_of_tasks_become_one_by_their_weights() {
    for (text, expected) in [
        ("", (0.75 + 0.5) / 2.0),
        ("metric = 'auc'", (0.75 + 0.5) / 2.0),
        ("metric = 'gauc'", (0.625 + 0.875) / 2.0),
        (
            "tasks = { click = 3.0, like = 1.0 }",
            (3.0 * 0.75 + 0.5) / 4.0,
        ),
        ("metric = 'gauc'\ntasks = { like = 2.0 }", 0.875),
        ("combine = 'worst'", 0.5),
        ("metric = 'gauc'\ncombine = 'worst'", 0.625),
        ("combine = 'product'", 0.75 * 0.5),
        (
            "combine = 'product'\ntasks = { click = 2.0, like = 1.0 }",
            0.75 * 0.75 * 0.5,
        ),
        // Of a loss the largest is the worst, and the smallest is to win.
        ("metric = 'log_loss'", -(0.5 + 0.25) / 2.0),
        ("metric = 'log_loss'\ncombine = 'worst'", -0.5),
        ("metric = 'log_loss'\ncombine = 'product'", -0.125),
    ] {
        assert_eq!(score(text, &SCORES), Some(expected), "{text}");
    }
    // Tasks that aren't trained take no part, where no tasks are named.
    let of_click = |task: &str| task == "click";
    assert_eq!(
        config("metric = 'gauc'").score(&SCORES, of_click),
        Some(0.625)
    );
}

#[test]
fn tasks_of_both_kinds_are_on_the_scale_of_r_squared() {
    let mixed = [
        ("click", Metric::Auc, Some(0.75)),
        ("watch", Metric::RSquared, Some(0.25)),
    ];
    assert_eq!(score("combine = 'worst'", &mixed), Some(0.25));
    assert_eq!(
        score("tasks = { click = 3.0, watch = 1.0 }", &mixed),
        Some((3.0 * 0.5 + 0.25) / 4.0)
    );
    assert_eq!(score("tasks = { click = 1.0 }", &mixed), Some(0.75));
}

#[test]
fn an_evaluation_without_a_value_or_with_nan_is_not_selected() {
    let of_like = |value| {
        [
            ("click", Metric::Auc, Some(0.75)),
            ("like", Metric::Auc, value),
        ]
    };
    // By default a task without a value has no say; where tasks are chosen, all of them have to have one.
    assert_eq!(score("", &of_like(None)), Some(0.75));
    for text in [
        "metric = 'auc'",
        "combine = 'worst'",
        "tasks = { click = 1.0, like = 1.0 }",
        "tasks = { absent = 1.0 }",
    ] {
        assert_eq!(score(text, &of_like(None)), None, "{text}");
    }
    for text in ["", "metric = 'auc'", "combine = 'product'"] {
        assert_eq!(score(text, &of_like(Some(f64::NAN))), None, "{text}");
    }
    assert_eq!(score("metric = 'gauc'", &of_like(Some(0.5))), None);
    let undefined = config("combine = 'worst'").undefined(&of_like(None), |_| true);
    assert_eq!(undefined, Some(("like", Metric::Auc)));
}

#[test]
fn what_selects_is_told_in_words_and_comes_back_from_its_text() {
    for (text, expected) in [
        (
            "",
            "the mean of AUC (R² of a task that predicts a number) over tasks",
        ),
        (
            "metric = 'gauc'\ncombine = 'worst'\ntasks = { a = 1.0, b = 1.0 }",
            "the worst GAUC over a and b",
        ),
        (
            "metric = 'log_loss'\ncombine = 'product'\ntasks = { a = 1.0, b = 2.5, c = 1.0 }",
            "the product of log-loss over a (weight 1), b (weight 2.5) and c (weight 1), of which lower is better: \
             scores are its negative",
        ),
    ] {
        let config = config(text);
        assert_eq!(config.to_string(), expected);
        assert_eq!(
            toml::from_str(&toml::to_string(&config).unwrap()),
            Ok(config)
        );
    }
}

//! The embedded sources that are shipped: what they give, and that it stays.

use super::*;
use crate::schema::Description;
use crate::{RowSubset, Summary, prepare};
use std::path::Path;

fn descriptions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets")
}

fn prepared(name: &str, knobs: &str) -> Summary {
    let folder = tempfile::tempdir().unwrap();
    let reference = DatasetRef {
        rows: RowSubset::TrainRows(3000),
        knobs: knobs.parse().unwrap(),
        ..DatasetRef::new(name)
    };
    let places = Places {
        descriptions: descriptions(),
        data: folder.path().join("data"),
        cache: folder.path().join("cache"),
    };
    prepare(&reference, &places, &mut Notices::default()).unwrap()
}

/// Beginnings of the digests of what was asked, and of the rows of train, validation and test.
fn digests(summary: &Summary) -> [&str; 4] {
    let [train, validation, test] = &summary.split_digests;
    [&summary.content_hash, train, validation, test].map(|digest| &digest[..16])
}

#[test]
fn rows_and_ids_of_the_shipped_sources_stay() {
    // Taken before there were shares, unrelated tasks and further sources.
    for (name, expected) in [
        (
            "feed",
            [
                "4b3cfafa03248f97",
                "1919a45f9e56264a",
                "a4e4247d3cfb9cda",
                "e61fbf705c0eb546",
            ],
        ),
        (
            "synthetic",
            [
                "5e707b0bd08dbff0",
                "36b5284db577f9e2",
                "e27f97a6a5b2ca84",
                "9cb2e9673a64d579",
            ],
        ),
        (
            "two-task",
            [
                "737d3dc4378f68aa",
                "1baff4b2e4de3d2a",
                "08573822b04a90ee",
                "bd64b4dc9cb488a8",
            ],
        ),
    ] {
        assert_eq!(digests(&prepared(name, "")), expected, "{name}");
    }
}

/// What a content hash is of.
fn canonical(name: &str, knobs: &str) -> String {
    let knobs = knobs.parse().unwrap();
    let description = Description::load_with(&descriptions(), name, &knobs);
    let description = description.unwrap_or_else(|error| panic!("{error}"));
    description.protocols[0].canonical()
}

#[test]
fn knobs_that_are_what_they_were_change_no_id() {
    let feed = canonical("feed", "");
    let same = "num_tasks = 9\nnum_unrelated = 0\nobserved_share = { like = 1.0 }";
    assert_eq!(feed, canonical("feed", same));
    assert_eq!(feed, canonical("feed-extra", "num_tasks = 9"));
    for knobs in [
        "observed_share = { like = 0.5 }",
        "num_unrelated = 1",
        "num_tasks = 8",
    ] {
        assert_ne!(feed, canonical("feed", knobs), "{knobs}");
    }
    let pair = |knobs: &str| canonical("two-task", knobs);
    assert_eq!(pair(""), pair("label_scales = { second = 1.0 }"));
    assert_ne!(pair(""), pair("label_scales = { second = 100.0 }"));
}

#[test]
fn observed_labels_are_counted_in_the_manifest_and_none_are_hidden_on_test() {
    let (plain, summary) = (
        prepared("synthetic", ""),
        prepared("synthetic", "observed_share = { like = 0.25 }"),
    );
    let like = 2;
    assert_eq!(plain.schema.tasks[like].name, "like");
    for split in [&summary.train, &summary.validation] {
        let share = split.observed[like] as f64 / split.rows as f64;
        assert!((share - 0.25).abs() < 0.08, "{share}");
        assert!(
            split.observed[..like]
                .iter()
                .all(|rows| *rows == split.rows)
        );
    }
    assert!(summary.train.positives[like] < plain.train.positives[like]);
    assert_eq!(digests(&summary)[3], digests(&plain)[3]);
}

#[test]
fn factors_of_the_two_regressions_are_refused_as_on_an_arc() {
    let all = ["{ first = 0.0 }", "{ third = 2.0 }"]
        .map(|scales| refused("two-task", &format!("label_scales = {scales}")));
    insta::assert_snapshot!(all.join("\n"), @r#"
    the knobs of the spec:2:26: `regression.label_scales.first`: expected a factor from 0.000001 to 1000000, found 0
    hint: write 1 for labels as they are, or leave the task out
    the knobs of the spec:2:18: `regression.label_scales.third`: there is no task `third`; there are `first`, `second`
    hint: name a task that is described below [tasks]
    "#);
}

#[test]
fn labels_of_regressions_are_measured_beside_classes() {
    let summary = prepared("task-arc", "label_scales = { t3 = 100.0 }");
    let numbers = summary.train.numbers.iter();
    let deviations: Vec<f64> = numbers.map(|numbers| numbers.unwrap().deviation).collect();
    for (task, deviation) in deviations.iter().enumerate() {
        let scale = if task == 3 { 100.0 } else { 1.0 };
        assert!((deviation / scale - 1.0).abs() < 0.1, "{deviations:?}");
    }
}

/// The refusal of a shipped source with these knobs.
fn refused(name: &str, knobs: &str) -> String {
    let folder = descriptions();
    let said = Description::load_with(&folder, name, &knobs.parse().unwrap()).unwrap_err();
    let place = folder.display().to_string();
    said.to_string().replace(&place, "")
}

#[test]
fn knobs_of_the_feeds_tasks_that_make_no_data_are_refused() {
    let all = [
        "observed_share = { like = 0.0 }",
        "observed_share = { like = 1.5 }",
        "observed_share = { like = nan }",
        "observed_share = { lik = 0.5 }",
        "observed_share = { rating_of_stars = 0.5 }",
        "observed_share = 0.5",
        "num_unrelated = 10",
        "num_unrelated = -1",
        "num_tasks = 0",
        "num_tasks = 10",
        "num_tasks = 4\nobserved_share = { like = 0.5 }",
        "num_unrelated = 5",
    ]
    .map(|knobs| refused("feed", knobs));
    insta::assert_snapshot!(all.join("\n"), @r#"
    the knobs of the spec:2:27: `feed.observed_share.like`: expected a share above 0 and up to 1, found 0
    hint: write 1 where every row is observed; to leave a task out, take it out of [tasks] or give it the weight 0 in training
    the knobs of the spec:2:27: `feed.observed_share.like`: expected a share above 0 and up to 1, found 1.5
    hint: write 1 where every row is observed; to leave a task out, take it out of [tasks] or give it the weight 0 in training
    the knobs of the spec:2:27: `feed.observed_share.like`: expected a share above 0 and up to 1, found NaN
    hint: write 1 where every row is observed; to leave a task out, take it out of [tasks] or give it the weight 0 in training
    the knobs of the spec:2:20: `feed.observed_share.lik`: there is no task `lik`; there are `effective_view`, `long_view`, `finish`, `replay`, `like`, `profile`, `comment`, `follow`, `forward`
    hint: did you mean `like`?
    the knobs of the spec:2:20: `feed.observed_share.rating_of_stars`: there is no task `rating_of_stars`; there are `effective_view`, `long_view`, `finish`, `replay`, `like`, `profile`, `comment`, `follow`, `forward`
    hint: name a task that is described below [tasks]
    the knobs of the spec:2:1: `feed.observed_share`: expected a table, found floating point `0.5`
    the knobs of the spec:2:17: `feed.num_unrelated`: expected 0 to 9 tasks, found 10
    hint: the last so many tasks are made unrelated; describe more below [tasks]
    the knobs of the spec:2:1: `feed.num_unrelated`: expected a whole number, 0 or more, found integer `-1`
    the knobs of the spec:2:13: `feed.num_tasks`: expected 1 to 9 tasks, found 0
    hint: the first so many are taken; describe more below [tasks]
    the knobs of the spec:2:13: `feed.num_tasks`: expected 1 to 9 tasks, found 10
    hint: the first so many are taken; describe more below [tasks]
    the knobs of the spec:3:20: `feed.observed_share.like`: there is no task `like`; there are `effective_view`, `long_view`, `finish`, `replay`
    hint: name a task that is described below [tasks]
    the knobs of the spec:2:17: `feed.num_unrelated`: no two groups with related tasks are left to be in conflict
    hint: lower it, or set conflict = 0
    "#);
}

#[test]
fn knobs_that_make_no_arc_are_refused() {
    // Waves whose slopes add up to -1, and which are nearly straight.
    let [frequencies, phases] = ["-0.015625", "0.0"].map(|number| vec![number; 64].join(", "));
    let vanishing = format!("frequencies = [{frequencies}]\nphases = [{phases}]");
    let all = [
        "step_degrees = 0.0",
        "step_degrees = 25.5",
        "step_degrees = nan",
        "label_scales = { t3 = 0.0 }",
        "label_scales = { t3 = inf }",
        "label_scales = { t3 = -2.0 }",
        "label_scales = { t9 = 2.0 }",
        "input_dim = 1",
        "noise = -0.1",
        "signal = 1.0",
        "num_tasks = 1",
        "num_tasks = 9",
        "frequencies = [1.0]",
        "frequencies = [1.0, 2.0, 1e9]",
        &vanishing,
    ]
    .map(|knobs| refused("task-arc", knobs));
    insta::assert_snapshot!(all.join("\n"), @r#"
    the knobs of the spec:2:16: `arc.step_degrees`: expected an angle above 0 and up to 25, found 0
    hint: without waves the correlation of neighbours is the cosine of the step: .97 at 15 degrees, .91 at 25
    the knobs of the spec:2:16: `arc.step_degrees`: expected an angle above 0 and up to 25, found 25.5
    hint: without waves the correlation of neighbours is the cosine of the step: .97 at 15 degrees, .91 at 25
    the knobs of the spec:2:16: `arc.step_degrees`: expected an angle above 0 and up to 25, found NaN
    hint: without waves the correlation of neighbours is the cosine of the step: .97 at 15 degrees, .91 at 25
    the knobs of the spec:2:23: `arc.label_scales.t3`: expected a factor from 0.000001 to 1000000, found 0
    hint: write 1 for labels as they are, or leave the task out
    the knobs of the spec:2:23: `arc.label_scales.t3`: expected a factor from 0.000001 to 1000000, found inf
    hint: write 1 for labels as they are, or leave the task out
    the knobs of the spec:2:23: `arc.label_scales.t3`: expected a factor from 0.000001 to 1000000, found -2
    hint: write 1 for labels as they are, or leave the task out
    the knobs of the spec:2:18: `arc.label_scales.t9`: there is no task `t9`; there are `t0`, `t1`, `t2`, `t3`, `t4`, `t5`, `t6`, `t7`
    hint: did you mean `t0`?
    the knobs of the spec:2:13: `arc.input_dim`: expected 2 to 4096 inputs, found 1
    hint: the arc lies in a plane of the inputs; try 32
    the knobs of the spec:2:9: `arc.noise`: expected a number from 0 to 1000, found -0.1
    hint: a true function has the standard deviation 1; leave `noise` out for its default
    the knobs of the spec:2:1: `arc.signal`: no task is a classification, and only those have a signal
    hint: leave it out, or give a task kind = "classification"
    the knobs of the spec:2:13: `arc.num_tasks`: expected 2 to 8 tasks, found 1
    hint: the first so many are taken; describe more below [tasks]
    the knobs of the spec:2:13: `arc.num_tasks`: expected 2 to 8 tasks, found 9
    hint: the first so many are taken; describe more below [tasks]
    /task-arc.toml:18:10: expected one phase for each of 1 frequencies, found 3
    hint: each wave is sin(frequency * w·x + phase)
    the knobs of the spec:2:15: `arc.frequencies`: expected frequencies of at most 1000, found 1000000000
    hint: what waves more than a few times over the inputs can't be learned
    the knobs of the spec:2:15: `arc.frequencies`: the waves leave nothing of the linear part
    hint: use larger frequencies, or fewer
    "#);
}

#[test]
fn knobs_that_make_no_depths_are_refused() {
    let all = [
        "depths = [0, 1, 1, 1, 1, 1]",
        "depths = [1, 1, 1, 1, 1, 9]",
        "depths = [1, 2, 3]",
        "hidden_dim = 1",
        "input_dim = 1000",
        "noise = 1e9",
        "label_scales = { deep_a = 0.0 }",
        "label_scales = { deep = 2.0 }",
    ]
    .map(|knobs| refused("task-depths", knobs));
    insta::assert_snapshot!(all.join("\n"), @r#"
    the knobs of the spec:2:11: `network.depths.0`: expected a depth from 1 to 8, found 0
    hint: a task of depth 1 is linear in the inputs
    the knobs of the spec:2:26: `network.depths.5`: expected a depth from 1 to 8, found 9
    hint: a task of depth 1 is linear in the inputs
    the knobs of the spec:2:10: `network.depths`: expected one depth for each of 6 tasks, found 3
    hint: depths are in the order of the tasks
    the knobs of the spec:2:14: `network.hidden_dim`: expected 2 to 256, found 1
    hint: deep functions of many inputs need many rows; try 8
    the knobs of the spec:2:13: `network.input_dim`: expected 2 to 256, found 1000
    hint: deep functions of many inputs need many rows; try 8
    the knobs of the spec:2:9: `network.noise`: expected a number from 0 to 1000, found 1000000000
    hint: a true function has the standard deviation 1; leave `noise` out for its default
    the knobs of the spec:2:27: `network.label_scales.deep_a`: expected a factor from 0.000001 to 1000000, found 0
    hint: write 1 for labels as they are, or leave the task out
    the knobs of the spec:2:18: `network.label_scales.deep`: there is no task `deep`; there are `shallow_a`, `shallow_b`, `middle_a`, `middle_b`, `deep_a`, `deep_b`
    hint: did you mean `deep_a`?
    "#);
}

#[test]
fn kinds_that_have_no_use_for_a_knob_are_refused_with_it() {
    let arc = std::fs::read_to_string(descriptions().join("task-arc.toml")).unwrap();
    let classes = arc.replace(
        "{ group = \"arc\" }",
        "{ group = \"arc\", kind = \"classification\" }",
    );
    let said = |text: &str| {
        let document = homebench_diagnostic::Document::new("task-arc.toml", text);
        let parsed = Description::parse("task-arc", &document);
        parsed.unwrap_err().to_string()
    };
    let without_noise = classes.replace("\nnoise = 0.1", "\n# noise = 0.1");
    let all = [
        said(&classes),
        said(&without_noise.replace("[tasks]", "label_scales = { t3 = 2.0 }\n[tasks]")),
        said(&arc.replacen(
            "{ group = \"arc\" }",
            "{ group = \"arc\", kind = \"binary\" }",
            1,
        )),
        said(&arc[..arc.find("t1 = ").unwrap()]),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    task-arc.toml:19:1: `arc.noise`: no task is a regression, and only those have a noise
    hint: leave it out, or give a task kind = "regression"
    task-arc.toml:21:23: `arc.label_scales.t3`: a label of two classes has no scale
    hint: leave it out, or give the task kind = "regression"
    task-arc.toml:22:30: unknown value `binary` for `tasks.t0.kind`; expected one of `classification`, `regression`
    task-arc.toml:21:2: expected at least 2 tasks
    hint: describe them below [tasks]
    "#);
}

use super::*;
use crate::schema::{Description, Source, TablePlan};
use homebench_diagnostic::Document;
use std::path::Path;

fn parse(text: &str) -> Result<Description, String> {
    Description::parse("shop", &Document::new("shop.toml", text)).map_err(|error| error.to_string())
}

/// The refusal of the description with one thing exchanged.
fn refusal(from: &str, to: &str) -> String {
    assert!(DESCRIPTION.contains(from), "{from}");
    parse(&DESCRIPTION.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn a_misspelt_key_is_refused_with_its_place_and_the_nearest() {
    let said = refusal("has_header", "has_headr");
    assert!(
        said.starts_with("shop.toml:6:1: unknown key `has_headr` in [format]"),
        "{said}"
    );
    assert!(said.ends_with("hint: did you mean `has_header`?"), "{said}");
}

#[test]
fn an_unknown_column_is_refused_with_the_nearest() {
    assert_eq!(
        refusal("column = \"size\"", "column = \"sise\""),
        "shop.toml:17:43: there is no column `sise`\nhint: did you mean `size`?"
    );
    assert_eq!(
        refusal("color = { kind", "colour = { kind"),
        "shop.toml:15:1: there is no column `colour`\nhint: did you mean `color`?"
    );
    assert_eq!(
        refusal("'label == ", "'lable == "),
        "shop.toml:19:10: there is no column `lable`\nhint: did you mean `label`?"
    );
}

#[test]
fn a_fault_inside_a_label_expression_is_told_at_its_character() {
    assert_eq!(
        refusal("label == \"yes\"", "label < \"yes\""),
        "shop.toml:19:18: texts have no order; only `=` and `<>` compare with a text that is no time\n\
         hint: write a number without quotes, or a time such as \"2022-04-08T12:00:00\""
    );
}

#[test]
fn a_label_text_that_the_column_never_has_is_refused() {
    assert_eq!(
        refusal("label == \"yes\"", "label == \"Yes\""),
        "shop.toml:19:9: `label` never has the value \"Yes\"; its allowed values are `no`, `yes`\n\
         hint: did you mean `yes`?"
    );
}

#[test]
fn a_label_source_that_is_an_input_must_be_said_to_be_one() {
    let leaking = DESCRIPTION.replace(
        "[tasks.buys]",
        "label = { kind = \"categorical\" }\n[tasks.buys]",
    );
    assert_eq!(
        parse(&leaking).unwrap_err(),
        "shop.toml:27:12: protocol `all`: the label of task `buys` is made from the column `label`, which is an input \
         (feature `label`)\nhint: add \"label\" to not_inputs, or to label_sources_as_inputs if it is meant to be known"
    );
    let inputs = |extra: &str| {
        let Source::Table(plan) = parse(&format!("{leaking}{extra}")).unwrap().protocols[0]
            .source
            .clone()
        else {
            panic!()
        };
        plan.features.len()
    };
    assert_eq!(inputs("not_inputs = [\"label\"]\n"), 3);
    assert_eq!(inputs("label_sources_as_inputs = [\"label\"]\n"), 4);
    let idle = parse(&format!(
        "{DESCRIPTION}label_sources_as_inputs = [\"size\"]\n"
    ))
    .unwrap_err();
    assert!(
        idle.starts_with("shop.toml:28:28: `size` is read by no label in this protocol"),
        "{idle}"
    );
}

#[test]
fn knobs_of_another_kind_of_feature_are_refused() {
    assert_eq!(
        refusal(
            "kind = \"categorical\"",
            "kind = \"categorical\", buckets = 3"
        ),
        "shop.toml:15:33: `buckets` has no meaning for a categorical feature\nhint: it belongs to kind = \"bucket\" or \"hash\" or \"list\""
    );
    assert!(
        refusal(", buckets = 4", "").contains("the bucket feature `size_bucket` has no `buckets`")
    );
    assert!(refusal("buckets = 4", "buckets = 1").contains("expected 2 to 65536 buckets, found 1"));
}

#[test]
fn references_inside_a_description_are_checked() {
    for (from, to, expected) in [
        (
            "holdout = \"test\"",
            "holdout = \"tests\"",
            "shop.toml:23:11: there is no file `tests` in [files]\nhint: did you mean `test`?",
        ),
        (
            "holdout = \"test\"",
            "holdout = \"train\"",
            "shop.toml:23:11: a file can't be both for training and held out",
        ),
        (
            "tasks = [\"buys\"]",
            "tasks = [\"buy\"]",
            "shop.toml:27:10: there is no task `buy`\nhint: did you mean `buys`?",
        ),
        (
            "tasks = [\"buys\"]",
            "tasks = []",
            "shop.toml:27:9: expected at least one task",
        ),
        (
            "_protocol = \"all\"",
            "_protocol = \"al\"",
            "shop.toml:2:20: there is no protocol `al`\nhint: did you mean `all`?",
        ),
        (
            "fraction = 0.5",
            "fraction = 1.0",
            "shop.toml:24:23: expected a number between 0 and 1, found 1",
        ),
        (
            "\"size\", \"label\"]",
            "\"size\", \"size\"]",
            "shop.toml:3:29: the column `size` is listed twice",
        ),
        (
            "name = \"test.csv\"",
            "name = \"../test.csv\"",
            "shop.toml:11:8: expected a name inside the data folder, found `../test.csv`\n\
             hint: write the name of a file or a folder, or a pattern such as \"log/*.parquet\"; --data-dir says where the folder is",
        ),
    ] {
        assert_eq!(refusal(from, to), expected, "{to}");
    }
}

fn shipped(name: &str) -> Description {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    Description::load(&folder, name).unwrap_or_else(|error| panic!("{error}"))
}

fn inputs(description: &Description, protocol: &str) -> (TablePlan, Vec<String>) {
    let Source::Table(plan) = description.protocol(Some(protocol)).unwrap().source.clone() else {
        panic!()
    };
    let columns = plan
        .features
        .iter()
        .map(|feature| plan.columns[feature.column].clone())
        .collect();
    (*plan, columns)
}

#[test]
fn census_has_the_inputs_of_its_two_protocols() {
    let census = shipped("census-income");
    assert_eq!(census.default_protocol, "torch-rechub");
    let has = |columns: &[String], name: &str| columns.iter().any(|column| column == name);
    let (plan, rechub) = inputs(&census, "torch-rechub");
    let (_, paper) = inputs(&census, "mmoe-g1");
    assert_eq!(plan.columns.len(), 42);
    assert!(has(&rechub, "education") && !has(&paper, "education"));
    for columns in [&rechub, &paper] {
        for name in ["marital_stat", "instance_weight", "income_50k"] {
            assert!(!has(columns, name), "{name}");
        }
    }
    // Every other column is an input.
    let mut distinct = rechub.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 39);
    let tasks: Vec<_> = census.protocols[0]
        .tasks
        .iter()
        .map(|task| (task.name.as_str(), task.group))
        .collect();
    assert_eq!(tasks, [("income", 0), ("never_married", 1)]);
    assert_eq!(census.protocols[0].groups, ["economic", "household"]);
}

#[test]
fn the_synthetic_feed_has_two_groups_of_tasks() {
    let feed = shipped("synthetic");
    let protocol = feed.protocol(None).unwrap();
    assert_eq!(protocol.groups, ["watch", "interaction"]);
    assert_eq!(protocol.tasks.len(), 4);
    assert!(feed.files.is_empty());
}

#[test]
fn a_group_that_would_share_variable_paths_or_is_missing_is_refused_where_it_stands() {
    assert_eq!(
        refusal("group = \"shop\"", "group = \"shared\""),
        "shop.toml:20:1: `shared` can't be the name of a task group: it is that of the shared experts\n\
         hint: give the group another name"
    );
    assert_eq!(
        refusal("group = \"shop\"", "group = \"sh.op\""),
        "shop.toml:20:1: `sh.op` can't be the name of a task group\nhint: use letters, digits, `_` and `-`"
    );
    let missing = refusal("group = \"shop\"", "");
    assert!(
        missing.contains("the key `group` is missing in [tasks.buys]"),
        "{missing}"
    );
}

/// The refusal of the shipped feed with one thing exchanged.
fn feed_refusal(from: &str, to: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    let text = std::fs::read_to_string(folder.join("feed.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    let document = Document::new("feed.toml", text.replacen(from, to, 1));
    Description::parse("feed", &document)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_knob_of_the_feed_out_of_its_range_is_refused_at_its_value() {
    let said = feed_refusal("noise = 0.05 ", "noise = 1.5 ");
    assert!(
        said.ends_with("expected a number from 0 to 1, found 1.5"),
        "{said}"
    );
    assert!(said.starts_with("feed.toml:29:9:"), "{said}");
    let said = feed_refusal("num_videos = 50_000", "num_videos = 1");
    assert!(said.ends_with("expected 2 to 4000000, found 1"), "{said}");
    let said = feed_refusal("num_factors = 8", "num_factors = 2");
    assert!(
        said.ends_with("expected 3 to 64 factors for 9 tasks in 2 groups, found 2"),
        "{said}"
    );
    let said = feed_refusal("rate = 0.004", "rate = 1.0");
    assert!(
        said.ends_with("expected a rate between 0 and 1, found 1"),
        "{said}"
    );
}

#[test]
fn knobs_of_the_feed_that_contradict_each_other_are_refused_with_a_mend() {
    let said = feed_refusal("within_correlation = 0.7", "within_correlation = 0.2");
    insta::assert_snapshot!(said, @r"
    feed.toml:25:22: tasks of one group can't agree less (0.2) than tasks of different groups (0.3)
    hint: raise within_correlation to between_correlation at least; to set groups against each other, raise conflict
    ");
}

#[test]
fn a_conflict_needs_two_groups() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    let text = std::fs::read_to_string(folder.join("feed.toml")).unwrap();
    let text = text.replace("group = \"interaction\"", "group = \"watch\"");
    let said = Description::parse("feed", &Document::new("feed.toml", &text)).unwrap_err();
    insta::assert_snapshot!(said.to_string(), @r"
    feed.toml:26:12: one task group has no other to be in conflict with
    hint: set conflict = 0, or put some tasks into a second group
    ");
}

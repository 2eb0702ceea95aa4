//! What preparation notices, and keeps with the data.

use super::nine_days::*;
use super::*;

#[test]
fn what_is_noticed_stays_with_the_data() {
    let other_case = log(|row, fields| {
        if row >= 280 {
            fields[2] = fields[2].to_uppercase();
        }
    });
    let dataset = shop(HEAD, &other_case);
    let first = summary_of(&dataset, RowSubset::All);
    assert_eq!(
        said(&first, "unseen_values"),
        [
            "all 40 values of the feature `item` in the validation split were not seen in training",
            "all 40 values of the feature `item` in the test split were not seen in training",
        ]
    );
    assert!(first.warnings[0].is_loud);
    // Found again, not only when it is prepared.
    let mut notices = Notices::default();
    let again = prepare(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    assert_eq!(again.warnings, first.warnings);
    assert_eq!(notices.0.len(), first.warnings.len());
}

#[test]
fn leaks_and_copies_are_found() {
    let described = with_tasks(&[
        ("click", "label = \"click\""),
        ("again", "label = \"click = 1\""),
    ])
    .replace("not_inputs = [\"x\"]", "")
    .replace("x = {", "like = { kind = \"categorical\" }\nx = {");
    let copied = log(|row, fields| {
        fields[5] = fields[4].clone();
        // The rows of a day are those of the day before.
        let row = row % 40;
        fields[2] = format!("i{row}");
        fields[3] = format!("{row}.25");
        fields[4] = ((row % 3 == 0) as u8).to_string();
        fields[5] = ((row % 3 == 0) as u8 + 5).to_string();
    });
    let summary = summary(&described, &copied);
    assert_eq!(
        said(&summary, "equal_tasks"),
        ["the tasks `click` and `again` have the same label on all 280 training rows"]
    );
    let telling = said(&summary, "telling_feature");
    assert!(
        telling.contains(
            &"the feature `like` alone tells the label of the task `click` on every training row"
        ),
        "{telling:?}"
    );
    let copies = said(&summary, "copied_rows");
    assert_eq!(
        copies[0],
        "40 of 40 rows of the validation split have inputs that a training row has too"
    );
    assert!(
        copies[1].starts_with("40 of 40 rows of the test split"),
        "{copies:?}"
    );
    assert!(
        kinds(&summary)
            .iter()
            .any(|(kind, is_loud)| *kind == "copied_rows" && *is_loud)
    );
}

#[test]
fn a_copy_has_another_label_only_where_no_training_row_like_it_has_its_label() {
    // All rows have the same inputs; in training one of 280 differs, and it is the last.
    let copied = log(|row, fields| {
        fields[2] = "i1".to_owned();
        fields[3] = "1.25".to_owned();
        fields[4] = u8::from(row == 279).to_string();
        fields[5] = "5".to_owned();
    });
    let summary = summary(HEAD, &copied);
    let copies = said(&summary, "copied_rows");
    assert_eq!(
        copies[0],
        "40 of 40 rows of the validation split have inputs that a training row has too"
    );
}

#[test]
fn features_that_say_nothing_are_told() {
    let log = log(|row, fields| {
        if row < 280 {
            fields[3].clear();
        }
    });
    let missing = "the feature `x` is missing on every training row";
    assert_eq!(said(&summary(HEAD, &log), "missing_feature"), [missing]);
    let bucket = HEAD.replace(
        "kind = \"numeric\", transform = [\"standardise\"]",
        "kind = \"bucket\", buckets = 4",
    );
    assert_eq!(said(&summary(&bucket, &log), "missing_feature"), [missing]);
    let far = self::log(|row, fields| fields[3] = (1_649_376_000 + row % 100).to_string());
    let plain = HEAD.replace(", transform = [\"standardise\"]", "");
    let said = summary(&plain, &far);
    let rounded = self::said(&said, "rounded_feature")[0].to_owned();
    assert!(
        rounded.starts_with("the feature `x` keeps 2 of 100 distinct numbers in 32 bits"),
        "{rounded}"
    );
}

#[test]
fn hashed_values_that_training_lacks_are_counted() {
    let log = log(|row, fields| {
        if row >= 280 {
            fields[2] = format!("{}.0", fields[2]);
        }
    });
    let described = HEAD.replace("kind = \"categorical\"", "kind = \"hash\", buckets = 1000");
    let found = summary(&described, &log);
    assert_eq!(said(&found, "unseen_values").len(), 2);
    assert!(said(&found, "unseen_values")[0].starts_with("all 40 values of the feature `item`"));
}

#[test]
fn training_numbers_far_from_all_others_and_features_of_one_value_are_told() {
    let far = log(|row, fields| {
        if row == 100 {
            fields[3] = "1e30".to_owned()
        }
    });
    let found = summary(HEAD, &far);
    assert!(
        said(&found, "far_numbers")[0]
            .starts_with("1 training numbers of the feature `x`, such as 1"),
        "{:?}",
        found.warnings
    );
    assert_eq!(said(&found, "rounded_feature").len(), 1);
    let one = log(|_, fields| fields[2] = "i1".to_owned());
    assert_eq!(
        said(&summary(HEAD, &one), "constant_feature"),
        ["the feature `item` is the same (i1) on every training row"]
    );
    let rare = HEAD.replace(
        "kind = \"categorical\"",
        "kind = \"categorical\", min_count = 1000",
    );
    assert_eq!(
        said(&summary(&rare, &log(|_, _| {})), "rare_values").len(),
        1
    );
    // A computed input that shares a column with the label may be allowed, by its own name.
    let shared = HEAD
        .replace(
            "\"x\", \"click\"",
            "\"x\", { name = \"half\", expression = \"x / 2\" }, \"click\"",
        )
        .replace("x = {", "half = {")
        .replace("label = \"click\"", "label = \"x > 0\"");
    assert!(
        shop(&shared, &log(|_, _| {}))
            .refusal()
            .contains("made from the column `half`")
    );
    let allowed = shared.replace(
        "tasks = [\"click\"]",
        "tasks = [\"click\"]\nlabel_sources_as_inputs = [\"half\"]",
    );
    assert_eq!(train(&summary(&allowed, &log(|_, _| {})))[0].0, 280);
}

#[test]
fn what_expressions_leave_empty_and_lists_that_never_split_are_counted() {
    let computed = HEAD
        .replace(
            "\"like\"]",
            "\"like\", { name = \"ratio\", expression = \"x / like\" }]",
        )
        .replace("x = { kind", "ratio = { kind");
    let found = summary(&computed, &log(|_, _| {}));
    assert_eq!(
        said(&found, "missing_numbers"),
        [
            "`ratio` is missing on 180 of 360 rows: inputs made of it are 0 after their transformation, or bucket 0; its expression has no \
             value there"
        ]
    );
    let list = HEAD.replace("{ kind = \"categorical\" }", "{ kind = \"list\" }");
    let spaced = log(|row, fields| fields[2] = format!("i{} i{}", row % 5, row % 3));
    let found = summary(&list, &spaced);
    assert_eq!(
        said(&found, "unsplit_list"),
        [
            "no training row has two values of the list `item`, and 280 of 280 values hold a ` `: if it stands between values, give the \
             feature separator = \" \""
        ]
    );
    let followed = list.replace("kind = \"list\"", "kind = \"list\", separator = \" \"");
    assert_eq!(
        said(&summary(&followed, &spaced), "unsplit_list"),
        [] as [&str; 0]
    );
    // Lists of one value each.
    assert_eq!(
        said(&summary(&list, &log(|_, _| {})), "unsplit_list"),
        [] as [&str; 0]
    );
}

#[test]
fn what_the_filter_left_out_is_said_of_some_training_rows_too() {
    let hash = HEAD.replace(
        "kind = \"time\"\ncolumn = \"day\"\nvalidation_from = 8\ntest_from = 9",
        "kind = \"hash\"\nvalidation_fraction = 0.2\ntest_fraction = 0.2\nseed = 1",
    );
    for described in [HEAD, &hash] {
        // By hand: a fifth of 360 rows.
        let described = described.replace("optional", "filter = \"item <> 'i1'\"\noptional");
        let dataset = shop(&described, &log(|_, _| {}));
        for rows in [RowSubset::All, RowSubset::TrainRows(50)] {
            let summary = summary_of(&dataset, rows);
            assert_eq!(
                said(&summary, "filtered_rows"),
                ["the filter left out 72 of 360 rows"]
            );
        }
    }
}

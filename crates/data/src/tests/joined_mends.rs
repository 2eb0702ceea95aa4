//! What is said of rows without a joined row and of files in the wrong place, each mend followed.

use super::followed_hints::follow;
use super::nine_days::*;
use super::*;

/// A log of which the user u6 has no row in the table of users, and u5 an empty one.
fn described(split: &str, top: &str, entry: &str) -> String {
    HEAD.replace("\"like\"]", &format!("\"like\"{entry}]"))
        .replace("optional", &format!("{top}optional"))
        .replace("not_inputs = [\"x\"]", "")
        .replace(
            "[split]",
            "[files.users]\nname = \"users.csv\"\n[joins.a]\nfile = \"users\"\non = \"user\"\ncolumns = [\"user\", \"since\", \"wt\"]\n[split]",
        )
        .replace(
            "column = \"day\"\nvalidation_from = 8\ntest_from = 9",
            split,
        )
}

const BY_DAY: &str = "column = \"day\"\nvalidation_from = 8\ntest_from = 9";

fn users(dataset: &Dataset) {
    let rows = (0..5).map(|user| format!("u{user},2022-01-0{},2\n", user + 1));
    let rows: String = rows.collect();
    dataset.write(
        "data/shop/users.csv",
        &format!("user,since,wt\n{rows}u5,,\n"),
    );
}

fn refusal_of(described: &str, log: &str) -> String {
    let dataset = shop(described, log);
    users(&dataset);
    dataset.refusal()
}

fn sizes_of(described: &str, log: &str) -> [usize; 3] {
    let dataset = shop(described, log);
    users(&dataset);
    sizes(&summary_of(&dataset, RowSubset::All))
}

#[test]
fn a_row_without_a_joined_row_is_told_from_one_whose_value_is_empty() {
    let unmatched = log(|row, fields| {
        if fields[1] == "u5" || row < 10 {
            fields[1] = "u1".to_owned();
        }
    });
    let weighted = described(BY_DAY, "weight = \"wt\"\n", "");
    insta::assert_snapshot!(refusal_of(&weighted, &unmatched), @r#"
    /data/shop/log.csv:15:1: the joined column `wt` of a row whose `user`, `u6`, is no key of the joined table: expected a weight of 0, or between 1.2e-38 and 3.4e38, found nothing
    hint: add a row with the key `u6` to the joined table; or leave such rows out: filter = "wt is not null"; or compute a column that has a value everywhere, { name = "filled_wt", expression = "coalesce(wt, 1)" } in `columns`, and use it: weight = "filled_wt"
    "#);
    // The rows of u6, counted by hand: 51 of 360, of which the first ten rows have one.
    let filtered = described(BY_DAY, "filter = \"wt is not null\"\nweight = \"wt\"\n", "");
    assert_eq!(sizes_of(&filtered, &unmatched).iter().sum::<usize>(), 310);
    let filled = described(
        BY_DAY,
        "weight = \"filled_wt\"\n",
        ", { name = \"filled_wt\", expression = \"coalesce(wt, 1)\" }",
    );
    assert_eq!(sizes_of(&filled, &unmatched), [280, 40, 40]);

    let empty = log(|_, fields| {
        if fields[1] == "u6" {
            fields[1] = "u1".to_owned();
        }
    });
    let refused = refusal_of(&weighted, &empty);
    assert!(
        refused.contains(
            "the column `wt` of the joined table's row with the key `u5`, which is the row's `user`: expected a weight of 0, or \
             between 1.2e-38 and 3.4e38, found nothing\nhint: fill it in in the joined table; or leave such rows out"
        ),
        "{refused}"
    );
}

#[test]
fn a_split_by_a_joined_time_is_mended_as_the_hint_says() {
    let plain = log(|_, _| {});
    let split = |column: &str| {
        format!(
            "column = \"{column}\"\nvalidation_from = \"2022-01-04\"\ntest_from = \"2022-01-05\""
        )
    };
    let refused = refusal_of(&described(&split("since"), "", ""), &plain);
    assert!(
        refused.contains("the joined table's row with the key `u5`"),
        "{refused}"
    );
    assert!(
        refused.contains(
            "filter = \"since is not null\"; or compute a column that has a value everywhere, { name = \"filled_since\", expression \
             = \"coalesce(since, '1970-01-01')\" } in `columns`, and use it: column = \"filled_since\" in [split]"
        ),
        "{refused}"
    );
    let filtered = described(&split("since"), "filter = \"since is not null\"\n", "");
    let filled = described(
        &split("filled_since"),
        "",
        ", { name = \"filled_since\", expression = \"coalesce(since, '1970-01-01')\" }",
    );
    // By hand: 360 rows of seven users in turn are 52 of u0 to u2 and 51 of the others.
    assert_eq!(sizes_of(&filtered, &plain), [156, 51, 51]);
    assert_eq!(sizes_of(&filled, &plain), [258, 51, 51]);

    // A computed column is told a value that its limits are compared with.
    let computed = |expression: &str| {
        described(
            &split("sd"),
            "",
            &format!(", {{ name = \"sd\", expression = \"{expression}\" }}"),
        )
    };
    let refused = refusal_of(&computed("since"), &plain);
    assert!(
        refused
            .contains("such as coalesce(since, '1970-01-01'), with which they are training rows"),
        "{refused}"
    );
    let followed = computed("coalesce(since, '1970-01-01')");
    assert_eq!(sizes_of(&followed, &plain), [258, 51, 51]);
}

#[test]
fn a_file_that_has_no_rows_is_told_from_one_with_a_wrong_name() {
    let with_cities = HEAD.replace("[split]", "[files.cities]\nname = \"cities.csv\"\n[split]");
    let refusal = |described: &str| {
        let dataset = shop(described, &log(|_, _| {}));
        dataset.write("data/shop/cities.csv", "city,people\na,1\n");
        dataset.open().err().map(|error| dataset.said(&error))
    };
    insta::assert_snapshot!(refusal(&with_cities).unwrap(), @r#"
    /data/shop/cities.csv:1:1: there is no column `day`; the file has `city`, `people`
    hint: correct the name in the description, or get the right file; if `cities` has no rows to rank, name the files that do, files = ["log"] in [split], or add its columns to theirs by a table in [joins]
    "#);
    let followed = with_cities.replace("[split]", "[split]\nfiles = [\"log\"]");
    assert_eq!(refusal(&followed), None);
}

#[test]
fn allowed_values_are_of_the_rows_own_columns() {
    let allowed = |top: &str| described(BY_DAY, top, "");
    let plain = log(|_, _| {});
    let refused = refusal_of(&allowed("allowed_values = { wt = [\"2\"] }\n"), &plain);
    assert!(
        refused.contains(
            "`wt` is a column of a joined table, and only columns of the files of rows can have allowed values\n\
             hint: leave it out here; to leave out rows with other values: filter = \"wt in ('2')\""
        ),
        "{refused}"
    );
    // By hand: the rows of u0 to u4.
    let followed = allowed("filter = \"wt in ('2')\"\n");
    assert_eq!(sizes_of(&followed, &plain).iter().sum::<usize>(), 258);
    let computed = HEAD
        .replace(
            "\"like\"]",
            "\"like\", { name = \"half\", expression = \"x / 2\" }]",
        )
        .replace("optional", "allowed_values = { half = [\"1\"] }\noptional");
    let refused = shop(&computed, &plain).refusal();
    assert!(
        refused.contains("`half` is computed, and only"),
        "{refused}"
    );
    follow(
        &computed,
        &plain,
        "filter = \"half in ('1')\"",
        &computed
            .replace("allowed_values = { half = [\"1\"] }\n", "")
            .replace("optional", "filter = \"half > -1\"\noptional"),
    );
}

//! Drafts of descriptions, which have to load.

use super::*;
use crate::{describe, prepare};
use std::fmt::Write;

/// Prepares the draft as the description `draft`, with the files where they are.
pub(super) fn prepared(dataset: &Dataset, draft: &str) -> crate::Summary {
    dataset.write("descriptions/draft.toml", draft);
    let places = Places {
        data: dataset.path("data/shop"),
        ..dataset.places()
    };
    prepare(&DatasetRef::new("draft"), &places, &mut Notices::default())
        .unwrap_or_else(|error| panic!("{error}\n{draft}"))
}

pub(super) fn described(dataset: &Dataset, names: &[&str]) -> String {
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| dataset.path(&format!("data/shop/{name}")))
        .collect();
    describe(&files, 1_000_000, &mut Notices::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub(super) fn assert_has(draft: &str, line: &str) {
    assert!(draft.contains(line), "no {line}\n{draft}");
}

#[test]
fn a_log_with_users_and_videos_becomes_a_description_that_loads_as_it_is() {
    let mut log = "user_id,video_id,date,is_click,is_like,play_ms,gone\n".to_owned();
    for row in 0..1000u32 {
        let value = row.wrapping_mul(2_654_435_761) >> 8;
        let (user, video, day) = (value % 40, (value >> 5) % 60, 20_220_401 + row / 50);
        let (click, like) = (u32::from(value % 3 == 0), u32::from(value % 11 == 0));
        let play = if value % 5 == 0 {
            String::new()
        } else {
            (value % 9973).to_string()
        };
        writeln!(log, "{user},{video},{day},{click},{like},{play},x").unwrap();
    }
    let mut users = "user_id;age;city\n".to_owned();
    for user in 0..40 {
        writeln!(
            users,
            "{user};{};\"{}\"",
            20 + user % 30,
            ["Oslo", "Rome; Italy"][user % 2]
        )
        .unwrap();
    }
    let mut videos = "id\ttags\tuser_id\n".to_owned();
    for video in 0..60 {
        writeln!(
            videos,
            "{video}\t{}|t{}\t{}",
            ["red", "blue"][video % 2],
            video % 7,
            video % 5
        )
        .unwrap();
    }
    let dataset = Dataset::described(DESCRIPTION, "", "");
    dataset.write("data/shop/log.csv", &log);
    dataset.write("data/shop/users.csv", &users);
    dataset.write("data/shop/videos.tsv", &videos);
    let draft = described(&dataset, &["users.csv", "videos.tsv", "log.csv"]);
    for line in [
        "\"play_ms\", # ",
        "% missing",
        "optional = [\"play_ms\"]",
        "user = \"user_id\"",
        "[joins.users]\nfile = \"users\"\non = \"user_id\"\n",
        "[joins.videos]\nfile = \"videos\"\non = \"video_id\"\nkey = \"id\"\n",
        "prefix = \"videos_\"",
        "format = { separator = \";\", has_header = true, quotes = true }",
        "[split]\nkind = \"time\"\ncolumn = \"date\"\nvalidation_from = 20220417\ntest_from = 20220419\n",
        "[tasks.is_click]\nlabel = \"is_click\"\n",
        "tasks = [\"is_click\", \"is_like\"]",
        "# is_click: a label",
        "# date: the time",
        "# gone: the same in every row",
        "videos_tags = { kind = \"list\" }",
        "city = { kind = \"categorical\" }",
    ] {
        assert_has(&draft, line);
    }
    assert!(!draft.contains("\nis_click = "), "{draft}");
    let summary = prepared(&dataset, &draft);
    assert_eq!(
        summary.train.rows + summary.validation.rows + summary.test_rows,
        1000
    );
    assert_eq!(summary.schema.lists[0].name, "videos_tags");
}

#[test]
fn files_without_names_and_in_latin_1_become_a_description_that_loads_once_the_label_is_chosen() {
    let mut ratings = String::new();
    for row in 0..500u32 {
        let value = row.wrapping_mul(2_654_435_761) >> 8;
        writeln!(
            ratings,
            "{}\t{}\t{}\t{}",
            1 + value % 30,
            1 + (value >> 6) % 50,
            1 + value % 5,
            881_250_949 + row * 97
        )
        .unwrap();
    }
    let users: String = (1..=30)
        .map(|user| {
            format!(
                "{user}|{}|{}|{}\n",
                20 + user % 40,
                ["M", "F"][user % 2],
                ["doctor", "other"][user % 2]
            )
        })
        .collect();
    let items: String = (1..=50)
        .map(|item| format!("{item}|Café {item} (1995)|{}|{}\n", item % 2, item % 3 / 2))
        .collect();
    let dataset = Dataset::described(DESCRIPTION, "", "");
    dataset.write("data/shop/u.data", &ratings);
    dataset.write("data/shop/u.user", &users);
    let latin: Vec<u8> = items.chars().map(|c| c as u8).collect();
    std::fs::write(dataset.path("data/shop/u.item"), latin).unwrap();
    let draft = described(&dataset, &["u.data", "u.user", "u.item"]);
    for line in [
        "[joins.u_user]\nfile = \"u_user\"\non = \"column_1\"\n",
        "[joins.u_item]\nfile = \"u_item\"\non = \"column_2\"\nkey = \"column_1\"\n",
        "format = { separator = \"|\", has_header = false, encoding = \"latin-1\" }",
        "kind = \"time\"\ncolumn = \"column_4\"",
        "# label = \"column_3 >= 4\"",
        "u_user_column_4 = { kind = \"categorical\" }",
    ] {
        assert_has(&draft, line);
    }
    let chosen = draft.replace(
        "[tasks.choose]\nlabel = \"\"",
        "[tasks.choose]\nlabel = \"column_3 >= 4\"",
    );
    let leaking = chosen.replace(
        "tasks = [\"choose\"]",
        "tasks = [\"choose\"]\nnot_inputs = [\"column_3\"]",
    );
    assert_eq!(prepared(&dataset, &leaking).schema.tasks.len(), 1);
    // Until then the draft says what is missing.
    dataset.write("descriptions/draft.toml", &draft);
    let places = Places {
        data: dataset.path("data/shop"),
        ..dataset.places()
    };
    let said = prepare(&DatasetRef::new("draft"), &places, &mut Notices::default()).unwrap_err();
    assert!(
        said.to_string()
            .contains("expected a column or a condition, found nothing"),
        "{said}"
    );
}

#[test]
fn a_parquet_file_is_described_by_its_types() {
    use arrow::array::{
        BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray,
        StringBuilder,
    };
    use std::sync::Arc;
    let rows = 0..300i64;
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in rows.clone() {
        tags.append_value([Some("a"), Some(["b", "c"][row as usize % 2])]);
    }
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "member",
            Arc::new(StringArray::from_iter_values(
                rows.clone().map(|row| format!("m{}", row % 40)),
            )) as _,
            true,
        ),
        (
            "liked",
            Arc::new(BooleanArray::from_iter(
                rows.clone().map(|row| Some(row % 3 == 0)),
            )) as _,
            true,
        ),
        (
            "price",
            Arc::new(Float64Array::from_iter(
                rows.clone()
                    .map(|row| (row % 4 > 0).then_some(row as f64 / 7.0)),
            )) as _,
            true,
        ),
        (
            "count",
            Arc::new(Int64Array::from_iter_values(rows.map(|row| row % 9))) as _,
            true,
        ),
        ("tags", Arc::new(tags.finish()) as _, true),
    ])
    .unwrap();
    let dataset = Dataset::described(DESCRIPTION, "", "");
    let file = std::fs::File::create(dataset.path("data/shop/sales.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let draft = described(&dataset, &["sales.parquet"]);
    for line in [
        "[files.sales]\nname = \"sales.parquet\"",
        "optional = [\"price\"]",
        "label = 'liked == \"true\"'",
        "kind = \"user\"",
        "tags = { kind = \"list\" }",
        "price = { kind = \"numeric\", transform = [\"standardise\"] }",
    ] {
        assert_has(&draft, line);
    }
    assert!(!draft.contains("separator"), "{draft}");
    assert_eq!(
        prepared(&dataset, &draft).schema.user.as_deref(),
        Some("member")
    );
}

#[test]
fn wide_files_and_long_texts_become_descriptions_that_load() {
    let dataset = Dataset::new();
    let names: Vec<String> = (0..5000).map(|column| format!("c{column}")).collect();
    let mut wide = names.join(",") + ",bought\n";
    for row in 0..60u32 {
        let values = (0..5000).map(|column| (row * column % 7).to_string());
        let values: Vec<String> = values.collect();
        writeln!(wide, "{},{}", values.join(","), row % 2).unwrap();
    }
    dataset.write("data/shop/wide.csv", &wide);
    let summary = prepared(&dataset, &described(&dataset, &["wide.csv"]));
    assert!(summary.schema.categorical.len() > 4000);
    let mut long = "id,words,liked\n".to_owned();
    for row in 0..60 {
        let words = format!("word{} ", row % 30).repeat(20_000);
        writeln!(long, "{row},{words},{}", row % 2).unwrap();
    }
    dataset.write("data/shop/long.csv", &long);
    let draft = described(&dataset, &["long.csv"]);
    assert!(draft.len() < 3000, "{draft}");
    assert_has(&draft, "words = { kind = \"categorical\" }");
    assert_eq!(prepared(&dataset, &draft).schema.tasks.len(), 1);
}

#[test]
fn a_label_of_a_number_that_may_be_missing_is_observed_where_it_is_there() {
    let dataset = Dataset::new();
    let rows: String = (0..300)
        .map(|row| {
            let stars = [String::new(), (1 + row % 5).to_string()];
            format!("{},{}\n", row % 9, stars[usize::from(row % 3 > 0)])
        })
        .collect();
    dataset.write("data/shop/reviews.csv", &format!("product,stars\n{rows}"));
    let draft = described(&dataset, &["reviews.csv"]);
    assert_has(
        &draft,
        "# Positive in 40.00 % of the rows that have it.\n[tasks.stars]\nlabel = \"stars >= 4\"\nobserved = \"stars >= 1\"\n",
    );
    let summary = prepared(&dataset, &draft);
    assert!(summary.train.observed[0] < summary.train.rows);
}

#[test]
fn the_index_of_a_data_frame_is_left_out() {
    let dataset = Dataset::new();
    let rows: String = (0..200)
        .map(|row| format!("{row},{},{}\n", row % 9, row % 2))
        .collect();
    dataset.write("data/shop/frame.csv", &format!(",size,liked\n{rows}"));
    let draft = described(&dataset, &["frame.csv"]);
    assert_has(&draft, "# a column is left out: it has no name");
    assert_eq!(prepared(&dataset, &draft).schema.categorical.len(), 1);
}

/// A log of a part: rows of `from` on, with a time that grows.
fn part(from: u32, rows: u32) -> String {
    let mut text = "user_id,item_id,timestamp,click\n".to_owned();
    for row in from..from + rows {
        let value = row.wrapping_mul(2_654_435_761) >> 9;
        writeln!(
            text,
            "u{},{},{},{}",
            value % 31,
            value % 17,
            1_650_000_000 + row * 60,
            value % 2
        )
        .unwrap();
    }
    text
}

#[test]
fn statistics_and_limits_are_of_all_parts_of_a_table() {
    let dataset = Dataset::new();
    for (index, from) in [0, 500, 1000].into_iter().enumerate() {
        dataset.write(&format!("data/shop/part-{index}.csv"), &part(from, 500));
        dataset.write(
            &format!("data/shop/log/day={index}/part-0.csv"),
            &part(from, 500),
        );
    }
    let drafts = [
        described(&dataset, &["part-0.csv", "part-1.csv", "part-2.csv"]),
        described(&dataset, &["log"]),
        described(&dataset, &["part-*.csv"]),
    ];
    for draft in &drafts {
        assert_has(draft, "1650000000 to 1650089940");
        let summary = prepared(&dataset, draft);
        let rows = [
            summary.train.rows,
            summary.validation.rows,
            summary.test_rows,
        ];
        assert!(
            rows[0].abs_diff(1200) < 30 && rows[1].abs_diff(150) < 30,
            "{rows:?}"
        );
        assert_eq!(rows.iter().sum::<usize>(), 1500);
    }
    assert_has(&drafts[1], "[files.log]\nname = \"log\"");
    assert_has(&drafts[1], "    \"day\", # 3 distinct");
    assert_has(&drafts[2], "name = \"part-*.csv\"");
}

#[test]
fn a_long_file_is_looked_at_all_over_and_that_is_said() {
    let dataset = Dataset::new();
    dataset.write("data/shop/log.csv", &part(0, 300_000));
    let path = dataset.path("data/shop/log.csv");
    let draft = describe(&[path], 100_000, &mut Notices::default()).unwrap();
    assert_has(&draft, "# 300000 rows, of which ");
    assert_has(&draft, "all over the file were looked at (--rows)");
    let summary = prepared(&dataset, &draft);
    assert!(
        summary.train.rows.abs_diff(240_000) < 1_000,
        "{}",
        summary.train.rows
    );
}

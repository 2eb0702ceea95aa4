//! Drafts of descriptions, which have to load.

use super::*;
use crate::data::{describe, prepare};
use std::fmt::Write;

/// Prepares the draft as the description `draft`, with the files where they are.
fn prepared(dataset: &Dataset, draft: &str) -> crate::data::Summary {
    dataset.write("descriptions/draft.toml", draft);
    let places = Places {
        data: dataset.path("data/shop"),
        ..dataset.places()
    };
    prepare(&DatasetRef::new("draft"), &places, &mut Notices::default())
        .unwrap_or_else(|error| panic!("{error}\n{draft}"))
}

fn described(dataset: &Dataset, names: &[&str]) -> String {
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| dataset.path(&format!("data/shop/{name}")))
        .collect();
    describe(&files, 1_000_000, &mut Notices::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn assert_has(draft: &str, line: &str) {
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
            .contains("expected a column, `not` or `(`, found the end"),
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
fn files_that_cant_be_described_are_refused() {
    let dataset = Dataset::new();
    dataset.write("data/shop/empty.csv", "a,b\n");
    let refusal = |names: &[&str]| {
        let files: Vec<PathBuf> = names.iter().map(|name| dataset.path(name)).collect();
        dataset.said(
            &describe(&files, 10, &mut Notices::default())
                .unwrap_err()
                .into(),
        )
    };
    assert!(
        refusal(&["data/shop/none.csv"]).starts_with("/data/shop/none.csv: can't read the file: ")
    );
    assert_eq!(
        refusal(&["data/shop/empty.csv"]),
        "/data/shop/empty.csv: the file has no row\nhint: name files that have rows"
    );
    assert!(refusal(&["data/shop/train.csv", "other/train.csv"]).ends_with(
        "data/shop/train.csv has the same name\nhint: all files of a dataset lie in one folder; rename one of them"
    ));
}

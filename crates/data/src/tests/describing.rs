//! Drafts of descriptions, which have to load.

use super::*;
use crate::{describe, prepare};
use std::fmt::Write;

/// Prepares the draft as the description `draft`, with the files where they are.
fn prepared(dataset: &Dataset, draft: &str) -> crate::Summary {
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

/// What is said of one file of these bytes.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let dataset = Dataset::new();
    let path = dataset.path(&format!("data/shop/{name}"));
    std::fs::write(&path, bytes).unwrap();
    let said = describe(&[path], 1_000_000, &mut Notices::default());
    dataset.said(&said.unwrap_err().into())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn files_without_rows_are_refused() {
    insta::assert_snapshot!(refusal("a.csv", b""), @r"
    /data/shop/a.csv: the file is empty
    hint: name files that have rows
    ");
    insta::assert_snapshot!(refusal("a.csv", b"\n\n"), @r"
    /data/shop/a.csv: the file is empty
    hint: name files that have rows
    ");
    insta::assert_snapshot!(refusal("a.csv", b"color,size\n"), @r"
    /data/shop/a.csv: the file names columns and has no row
    hint: name files that have rows
    ");
}

#[test]
fn files_that_hold_no_table_are_refused_by_what_they_hold() {
    let utf_16: Vec<u8> = "\u{feff}id,name\n1,Ann\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    insta::assert_snapshot!(refusal("a.csv", &utf_16), @r"
    /data/shop/a.csv: expected lines of text, found text in UTF-16
    hint: write it in UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW
    ");
    let noise: Vec<u8> = (0..5000u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    insta::assert_snapshot!(refusal("a.csv", &noise), @r"
    /data/shop/a.csv: expected lines of text, found binary data
    hint: name files that hold tables: text (CSV, TSV; also .gz and .zst), Parquet or Arrow
    ");
    insta::assert_snapshot!(refusal("a.csv.gz", &gzip(&noise)), @r"
    /data/shop/a.csv.gz: expected lines of text, found binary data
    hint: name files that hold tables: text (CSV, TSV; also .gz and .zst), Parquet or Arrow
    ");
    insta::assert_snapshot!(refusal("a.gz", b"id,name\n1,a\n"), @r"
    /data/shop/a.gz: expected gzip data, as the name says, found something else
    hint: take `.gz` off its name if it is not packed, or get it again
    ");
    insta::assert_snapshot!(refusal("a.csv", &gzip(b"id,name\n1,a\n")), @r"
    /data/shop/a.csv: expected lines of text, found packed with gzip
    hint: give it a name that ends in .gz
    ");
    insta::assert_snapshot!(refusal("a.parquet", b"id,name\n1,a\n"), @r#"
    /data/shop/a.parquet: can't be read as Parquet: Parquet error: Invalid Parquet file. Corrupt footer
    hint: the file is cut, damaged or of another kind; get it again, or name its kind with format = { kind = "..." }
    "#);
    insta::assert_snapshot!(refusal("a.csv", b"PAR1 and more"), @r#"
    /data/shop/a.csv: expected lines of text, found Parquet
    hint: give it a name that ends in .parquet (unpacked: Parquet is packed already), or say format = { kind = "parquet" }
    "#);
    insta::assert_snapshot!(refusal("a.xlsx", b"PK\x03\x04 and more"), @r"
    /data/shop/a.xlsx: expected lines of text, found a ZIP archive or a workbook (.xlsx)
    hint: unpack it and name the files inside; save a workbook as CSV
    ");
    insta::assert_snapshot!(refusal("a.jsonl", b"{\"a\": 1, \"b\": 2}\n{\"a\": 3, \"b\": 4}\n"), @r"
    /data/shop/a.jsonl: expected lines of text with fields between separators, found JSON
    hint: write it as CSV or Parquet first
    ");
    insta::assert_snapshot!(refusal("a.csv", b"a,b\r1,2\r3,4\r"), @r"
    /data/shop/a.csv: expected lines of text, found lines that end in a carriage return alone
    hint: write it with other line ends: tr '\r' '\n' < OLD > NEW
    ");
}

#[test]
fn lines_that_are_no_rows_and_names_that_are_there_twice_are_refused() {
    insta::assert_snapshot!(refusal("a.csv", b"exported today\na,b\n1,2\n3,4\n"), @r"
    /data/shop/a.csv:2:1: expected 1 field, found 2
    hint: is the line above it a title or a comment? Remove it. Is `,` part of a value? Then the file needs quotes
    ");
    insta::assert_snapshot!(refusal("a.csv", b"a,b,c\n1,2,3\n4,5\n"), @r"
    /data/shop/a.csv:3:1: expected 3 fields, found 2; column `c` is missing
    hint: the row is cut; get the file again
    ");
    insta::assert_snapshot!(refusal("a.csv", b"a,a,b\n1,2,3\n4,5,6\n"), @r"
    /data/shop/a.csv:1:1: the first line names the column `a` twice
    hint: give the columns names of their own
    ");
}

#[test]
fn paths_that_name_no_file_are_refused() {
    let dataset = Dataset::new();
    let refusal = |names: &[&str]| {
        let files: Vec<PathBuf> = names.iter().map(|name| dataset.path(name)).collect();
        dataset.said(
            &describe(&files, 10, &mut Notices::default())
                .unwrap_err()
                .into(),
        )
    };
    insta::assert_snapshot!(refusal(&["data/shop"]), @r"
    /data/shop: this is a folder, and its files are not parts of one table
    hint: name the files in it, such as /data/shop/*.csv
    ");
    insta::assert_snapshot!(refusal(&["data/shop/*.tsv"]), @r"
    /data/shop/*.tsv: no file matches this pattern
    hint: look into the folder; patterns are read by the shell
    ");
    insta::assert_snapshot!(refusal(&["data/shop/trian.csv"]), @r"
    /data/shop/trian.csv: there is no such file
    hint: did you mean `train.csv`?
    ");
    insta::assert_snapshot!(refusal(&["data/shop/train.csv", "other/train.csv"]), @r"
    /other/train.csv: /data/shop/train.csv has the same name
    hint: all files of a dataset lie in one folder; rename one of them
    ");
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

#[test]
fn marks_of_missing_numbers_are_named_and_values_of_r_warned_of() {
    let dataset = Dataset::new();
    let mut text = "item,x,y,click\n".to_owned();
    for row in 0..400u32 {
        let x = if row % 50 == 7 {
            "NA".to_owned()
        } else {
            format!("{}.5", row * 7 % 391)
        };
        let item = if row % 9 == 0 {
            "1e+05".to_owned()
        } else {
            (100_001 + row % 13).to_string()
        };
        writeln!(text, "{item},{x},{},{}", row % 77, row % 2).unwrap();
    }
    dataset.write("data/shop/log.csv", &text);
    let draft = described(&dataset, &["log.csv"]);
    assert_has(&draft, "missing = [\"NA\"]");
    assert_has(&draft, "optional = [\"x\"]");
    assert_has(&draft, "numbers but for 8 values such as `NA`");
    assert_has(
        &draft,
        "x = { kind = \"numeric\", transform = [\"standardise\"] }",
    );
    assert_has(
        &draft,
        "# 45 values of item are written like 1e+05, as R writes 100000",
    );
}

#[test]
fn columns_of_recbole_have_their_names_without_types() {
    let dataset = Dataset::new();
    let mut text =
        "user_id:token\titem_id:token\tgenre:token_seq\ttimestamp:float\tlabel:float\n".to_owned();
    for row in 0..400u32 {
        let value = row.wrapping_mul(2_654_435_761) >> 9;
        writeln!(
            text,
            "{}\t{}\taction g{}\t{}\t{}",
            value % 31,
            value % 17,
            value % 5,
            1_650_000_000 + row * 60,
            value % 2
        )
        .unwrap();
    }
    dataset.write("data/shop/ml.inter", &text);
    let draft = described(&dataset, &["ml.inter"]);
    for line in [
        "user = \"user_id\"",
        "column = \"timestamp\"",
        "user_id = { kind = \"categorical\" }",
        "genre = { kind = \"list\", separator = \" \" }",
        "label = \"label\"",
    ] {
        assert_has(&draft, line);
    }
    let summary = prepared(&dataset, &draft);
    assert_eq!(summary.schema.lists[0].vocabulary_size, 7);
}

#[test]
fn lists_in_brackets_times_and_rare_columns_become_drafts_that_load() {
    let dataset = Dataset::new();
    let mut text = "user,tags,clicked_at,click\n".to_owned();
    for row in 0..300u32 {
        writeln!(
            text,
            "{},\"['a', 'b{}']\",2022-04-{:02} 07:00:00+00:00,{}",
            row % 7,
            row % 3,
            1 + row / 15,
            row % 2
        )
        .unwrap();
    }
    dataset.write("data/shop/log.csv", &text);
    let draft = described(&dataset, &["log.csv"]);
    assert_has(&draft, "tags = { kind = \"list\" }");
    assert_has(&draft, "column = \"clicked_at\"");
    let summary = prepared(&dataset, &draft);
    assert_eq!(summary.schema.lists[0].vocabulary_size, 5);
}

#[test]
fn a_name_twice_and_an_index_of_pandas_are_left_out_with_the_reason() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;
    let numbers = |step: i64| {
        Arc::new(Int64Array::from_iter_values(
            (0..300).map(|row| row * step % 101),
        )) as ArrayRef
    };
    let clicks: ArrayRef = Arc::new(Int64Array::from_iter_values((0..300).map(|row| row % 2)));
    let names = ["x", "y", "x", "click", "__index_level_0__"];
    let fields = names.map(|name| Field::new(name, DataType::Int64, false));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300));
    let columns = vec![numbers(7), numbers(13), numbers(5), clicks, rows];
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let dataset = Dataset::new();
    let file = std::fs::File::create(dataset.path("data/shop/log.parquet")).unwrap();
    let pandas = parquet::file::metadata::KeyValue::new(
        "pandas".to_owned(),
        r#"{"index_columns": ["__index_level_0__"], "columns": []}"#.to_owned(),
    );
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_key_value_metadata(Some(vec![pandas]))
        .build();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let draft = described(&dataset, &["log.parquet"]);
    assert_has(&draft, "# `x` is left out: there are several of that name");
    assert_has(
        &draft,
        "# `__index_level_0__` is left out: it is the index of a pandas data frame",
    );
    assert_eq!(draft.matches("`x` is left out").count(), 1);
    assert!(!draft.contains("__index_level_0__\""), "{draft}");
    assert!(prepared(&dataset, &draft).train.rows > 200);
}

#[test]
fn users_are_categories_other_times_no_inputs_and_integers_have_all_digits() {
    let mut log = "user,seen,day,price,click\n".to_owned();
    for row in 0..200u64 {
        let (user, day) = ((1 << 60) + row % 7, 1 + row / 20);
        writeln!(
            log,
            "{user},2022-04-{day:02} 10:{:02}:00,2022-04-{day:02},{}.5,{}",
            row % 60,
            row % 13,
            row % 2
        )
        .unwrap();
    }
    let dataset = Dataset::described(DESCRIPTION, "", "");
    dataset.write("data/shop/log.csv", &log);
    let draft = described(&dataset, &["log.csv"]);
    assert_has(
        &draft,
        "\"user\", # 7 distinct, 1152921504606846976 to 1152921504606846982",
    );
    assert_has(&draft, "\nuser = { kind = \"categorical\" }");
    assert_has(&draft, "\n# seen: a time too;");
    prepared(&dataset, &draft);
}

//! What a draft makes of columns of particular programs and kinds.

use super::describing::{assert_has, described, prepared};
use super::*;
use std::fmt::Write;

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

#[test]
fn bytes_that_are_no_text_are_left_out_and_other_files_are_drafted_all_the_same() {
    use super::columnar::{batch, write_parquet};
    use arrow::array::{ArrayRef, BinaryArray, Int64Array};
    use std::sync::Arc;
    let numbers = |step: i64, most: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            (0..300).map(|row| row * step % most),
        ))
    };
    let bytes = |of: fn(u8) -> Vec<u8>| -> ArrayRef {
        Arc::new(BinaryArray::from_iter_values(
            (0..300).map(|row| of((row % 7) as u8)),
        ))
    };
    let columns = vec![
        ("x", numbers(7, 101)),
        ("image", bytes(|value| vec![0xff, value])),
        ("word", bytes(|value| vec![b'a' + value])),
        ("click", numbers(1, 2)),
    ];
    let dataset = Dataset::new();
    let path = dataset.path("data/shop/log.parquet");
    write_parquet(
        &path,
        &batch(columns),
        parquet::basic::Compression::SNAPPY,
        100,
    );
    let draft = described(&dataset, &["log.parquet"]);
    assert_has(&draft, "# `image` is left out: its bytes are no UTF-8 text");
    assert_has(&draft, "\nword = { kind = \"categorical\" }");
    prepared(&dataset, &draft);
}

#[test]
fn commas_of_thousands_and_times_without_an_end_are_named() {
    let mut log = "price,seen,click\n".to_owned();
    for row in 0..200 {
        // One of ten rows ends never.
        let day = match row % 10 {
            9 => "9999-12-31".to_owned(),
            _ => format!("2022-04-{:02}", row / 10 + 1),
        };
        writeln!(log, "\"{},000\",{day},{}", row % 12 + 1, row % 2).unwrap();
    }
    let dataset = Dataset::described(DESCRIPTION, "", "");
    dataset.write("data/shop/log.csv", &log);
    let draft = described(&dataset, &["log.csv"]);
    assert_has(
        &draft,
        "numbers with a comma: where it separates thousands, compute cast(replace(price, ',', '') as float)",
    );
    assert_has(&draft, "# 20 rows are of the year 9999");
    // Of 180 rows with a day, nine on each of twenty days.
    assert_has(
        &draft,
        "validation_from = \"2022-04-17\"\ntest_from = \"2022-04-19\"",
    );
}

/// A draft of rows with a column of these values beside a user and a number.
fn draft_of(name: &str, value: impl Fn(u32) -> String) -> (Dataset, String) {
    let mut text = format!("user,{name},x\n");
    for row in 0..300u32 {
        writeln!(text, "u{},{},{}.5", row % 97, value(row), row * 7 % 181).unwrap();
    }
    let dataset = Dataset::new();
    dataset.write("data/shop/log.csv", &text);
    let draft = described(&dataset, &["log.csv"]);
    (dataset, draft)
}

#[test]
fn numbers_stay_numbers_where_most_are_missing() {
    let value = |row: u32| match row % 5 {
        0..=2 => "nan".to_owned(),
        _ => format!("{}.25", row * 11 % 97),
    };
    let (_, draft) = draft_of("z", value);
    assert_has(&draft, "numbers but for 180 values such as `nan`");
    assert_has(&draft, "missing = [\"nan\"]");
    assert_has(
        &draft,
        "z = { kind = \"numeric\", transform = [\"standardise\"] }",
    );
    // A word that is a number is one more word.
    let (_, draft) = draft_of("z", |row| ["1", "-", "-"][row as usize % 3].to_owned());
    assert_has(&draft, "label = 'z == \"1\"'");
}

#[test]
fn labels_that_some_rows_mark_as_unknown_are_found() {
    for (words, label) in [
        (["yes", "no", "NA"], "click == \"yes\""),
        (["False", "NA", "True"], "click == \"True\""),
    ] {
        let (dataset, draft) = draft_of("click", |row| words[row as usize % 3].to_owned());
        assert_has(&draft, "missing = [\"NA\"]");
        assert_has(&draft, "or not but for 100 marks");
        assert_has(
            &draft,
            &format!(
                "# Positive in 50.00 % of the rows that have it.\n[tasks.click]\nlabel = '{label}'\nobserved = \"click is not null\""
            ),
        );
        let summary = prepared(&dataset, &draft);
        let (rows, observed) = (summary.train.rows, summary.train.observed[0]);
        assert!(observed * 2 > rows && observed * 4 < rows * 3, "{observed}");
    }
    let (_, draft) = draft_of("click", |row| ["-1", "0", "1"][row as usize % 3].to_owned());
    assert_has(
        &draft,
        "# Positive in 50.00 % of the rows that have it.\n# [tasks.click]\n# label = \"click == 1\"\n# observed = \"click >= 0\"",
    );
}

#[test]
fn dates_in_other_forms_divide_the_rows_in_the_order_of_time() {
    type Value<'a> = &'a dyn Fn(u32) -> String;
    let american = |row: u32| format!("{}/{}/2022 1:05 PM", row / 25 + 1, row % 25 + 1);
    let german = |row: u32| format!("{:02}.{:02}.2022", row % 25 + 1, row / 25 + 1);
    let cases: [(Value<'_>, &str, &str); 2] = [
        (&american, "%m/%d/%Y %I:%M %p", "10/16/2022 1:05 PM"),
        (&german, "%d.%m.%Y", "16.10.2022"),
    ];
    for (write, format, from) in cases {
        let (dataset, draft) = draft_of("seen", write);
        assert_has(
            &draft,
            &format!("{{ name = \"seen\", type = \"timestamp\", format = \"{format}\" }}"),
        );
        assert_has(&draft, "column = \"seen\"");
        assert_has(&draft, &format!("validation_from = \"{from}\""));
        let labelled = draft
            .replace("label = \"\"", "label = \"x > 50\"")
            .replace("\nx = {", "\n# x = {");
        let summary = prepared(&dataset, &labelled);
        assert_eq!((summary.train.rows, summary.test_rows), (240, 30));
    }
}

//! Columns of texts that are computed with: the same rows give the same labels, inputs and scores whatever stands beside them.
//!
//! Right values are those of DuckDB 1.4 over all files together, or exact fractions.

use super::columnar::{batch, write_parquet};
use super::*;
use crate::{NewRows, TableFormat};
use arrow::array::{
    ArrayRef, Decimal128Array, Float32Array, Float64Array, Int64Array, StringArray,
};
use homebench_diagnostic::Document;
use parquet::basic::Compression;
use std::sync::Arc;

/// A log of 60 rows in parts; `columns` are those behind the row's number `k`.
fn described(columns: &str, label: &str, more: &str) -> String {
    format!(
        "source = \"table\"\ndefault_protocol = \"all\"\ncolumns = [\"k\", {columns}]\n{more}\n\
         [files.log]\nname = \"log\"\n[features]\nk = {{ kind = \"numeric\" }}\n\
         [tasks.y]\nlabel = '{label}'\ngroup = \"a\"\n\
         [split]\nkind = \"time\"\nfiles = \"log\"\ncolumn = \"k\"\nvalidation_from = 40\ntest_from = 50\n[protocols.all]\ntasks = [\"y\"]\n"
    )
}

/// Writes rows `0..60` as two parts of 30, with the fields that `fields` gives behind the row's number.
fn write_parts(dataset: &Dataset, header: &str, fields: &dyn Fn(usize) -> String) {
    for (part, rows) in [0..30, 30..60].into_iter().enumerate() {
        let lines = rows.map(|row| format!("{row},{}\n", fields(row)));
        let text = format!("k,{header}\n{}", lines.collect::<String>());
        dataset.write(&format!("data/shop/log/{part}.csv"), &text);
    }
}

/// The labels of training and validation: rows 0 to 49.
fn labels(dataset: &Dataset) -> Vec<f32> {
    let prepared = dataset.open().unwrap_or_else(|error| panic!("{error}"));
    let of = |split: &Split| all(split).labels;
    [of(&prepared.train), of(&prepared.validation)].concat()
}

fn of_parts(columns: &str, label: &str, header: &str, fields: &dyn Fn(usize) -> String) -> Dataset {
    let dataset = Dataset::described(&described(columns, label, "optional = [\"e\"]"), "", "");
    write_parts(&dataset, header, fields);
    dataset
}

#[test]
fn a_number_is_computed_with_as_what_the_whole_column_holds() {
    let columns = "\"x\", \"e\"";
    // `x = 3` in every row but one of the second part, as an exact 3 or as one of 64 bits, of which 3 * 0.1 is 0.30000000000000004.
    let label = "x * 0.1 = 0.3";
    let whole = of_parts(columns, label, "x,e", &|_| "3,".to_owned());
    assert_eq!(labels(&whole), [1.0; 50]);
    let mixed = of_parts(columns, label, "x,e", &|row| {
        (if row == 59 { "0.5," } else { "3," }).to_owned()
    });
    // Both labels are needed in training: there is none.
    assert_eq!(labels(&mixed), [0.0; 50]);
    let typed = columns.replace("\"x\"", "{ name = \"x\", type = \"float\" }");
    let typed = of_parts(&typed, label, "x,e", &|_| "3,".to_owned());
    assert_eq!(labels(&typed), [0.0; 50]);
}

#[test]
fn a_number_is_the_same_in_every_piece_of_a_file() {
    let text = described("\"x\", \"pad\"", "x * 0.1 = 0.3", "");
    let dataset = Dataset::described(&text, "", "");
    // Several pieces of 2 MiB, of which the last alone has a point.
    let pad = "p".repeat(100_000);
    let lines = (0..60).map(|row| format!("{row},{},{pad}\n", if row == 59 { "0.5" } else { "3" }));
    let log = format!("k,x,pad\n{}", lines.collect::<String>());
    assert!(log.len() > 2 << 21);
    dataset.write("data/shop/log/0.csv", &log);
    assert_eq!(labels(&dataset), [0.0; 50]);
}

fn write_numbers(dataset: &Dataset, part: usize, x: ArrayRef) {
    let first = part as i64 * 30;
    let k: Int64Array = (first..first + 30).collect();
    std::fs::create_dir_all(dataset.path("data/shop/log")).unwrap();
    let path = dataset.path(&format!("data/shop/log/{part}.parquet"));
    write_parquet(
        &path,
        &batch(vec![("k", Arc::new(k)), ("x", x)]),
        Compression::UNCOMPRESSED,
        100,
    );
}

#[test]
fn parts_of_integers_and_of_floats_are_computed_with_as_floats() {
    let text = described("\"x\"", "x * 0.1 = 0.3", "");
    let dataset = Dataset::described(&text, "", "");
    write_numbers(&dataset, 0, Arc::new(Int64Array::from(vec![3; 30])));
    write_numbers(&dataset, 1, Arc::new(Float64Array::from(vec![3.0; 30])));
    assert_eq!(labels(&dataset), [0.0; 50]);
    // What 64 bits round is no float.
    write_numbers(
        &dataset,
        0,
        Arc::new(Int64Array::from(vec![(1 << 53) + 1; 30])),
    );
    let said = dataset.refusal();
    assert!(
        said.starts_with(
            "/data/shop/log/0.parquet: row 1, column `x`: expected an integer below 2^53, since other rows have a point, found \
             `9007199254740993`\nhint: give the column a type"
        ),
        "{said}"
    );
    // The hint, followed.
    let typed = text.replace("\"x\"]", "{ name = \"x\", type = \"float\" }]");
    dataset.write("descriptions/shop.toml", &typed);
    assert_eq!(labels(&dataset), [0.0; 50]);
}

#[test]
fn a_part_without_a_value_is_of_the_kind_of_the_others() {
    let text = described("\"s\", \"e\"", "s < e", "optional = [\"e\"]");
    let dataset = Dataset::described(&text, "", "");
    for (part, rows) in [0..20, 20..40, 40..60].into_iter().enumerate() {
        let line = |row: usize| {
            let end = match part {
                1 => String::new(),
                _ => format!("2022-04-0{}", 1 + row % 3),
            };
            format!("{row},2022-04-0{},{end}\n", 1 + row % 5)
        };
        let text = format!("k,s,e\n{}", rows.map(line).collect::<String>());
        dataset.write(&format!("data/shop/log/{part}.csv"), &text);
    }
    for (row, label) in labels(&dataset).iter().enumerate() {
        match (20..40).contains(&row) {
            true => assert!(label.is_nan(), "{row}"),
            false => assert_eq!(*label, f32::from(u8::from(row % 5 < row % 3)), "{row}"),
        }
    }
}

#[test]
fn a_computed_column_of_texts_has_one_kind_too() {
    let columns =
        "\"x\", \"e\", { name = \"c\", expression = \"case when e = 'a' then x else e end\" }";
    let dataset = of_parts(columns, "c * 0.1 = 0.3", "x,e", &|row| {
        (if row == 59 { "0.5,a" } else { "3,a" }).to_owned()
    });
    assert_eq!(labels(&dataset), [0.0; 50]);
    let whole = of_parts(columns, "c * 0.1 = 0.3", "x,e", &|_| "3,a".to_owned());
    assert_eq!(labels(&whole), [1.0; 50]);
}

#[test]
fn a_mark_is_missing_whatever_the_column_is_read_as() {
    let columns = "{ name = \"a\", missing = [\"-1\"] }, \"b\", \"e\"";
    let more = "optional = [\"a\", \"e\"]";
    let of = |label: &str| {
        let dataset = Dataset::described(&described(columns, label, more), "", "");
        write_parts(&dataset, "a,b,e", &|row| {
            format!(
                "{},{},",
                ["-1.0", "5.0", "0.0", "3.0"][row % 4],
                ["10", "4"][row % 2]
            )
        });
        let found = labels(&dataset);
        let row = |row: usize| (!found[row].is_nan()).then_some(found[row] != 0.0);
        [row(0), row(1), row(2), row(3)]
    };
    let (yes, no) = (Some(true), Some(false));
    for (label, expected) in [
        // By hand: -1.0 is missing, so what is computed of it is unknown.
        ("a / b < 0", [None, no, no, no]),
        ("a < b", [None, no, yes, yes]),
        ("a + 0 < 0", [None, no, no, no]),
        // The least of those that are there, as in DuckDB.
        ("least(a, b) < 0", [no; 4]),
        ("a = b", [None, no, no, no]),
        ("a = 5", [None, yes, no, no]),
        ("a is null", [yes, no, no, no]),
    ] {
        assert_eq!(of(label), expected, "{label}");
    }
}

#[test]
fn integers_of_many_digits_stay_exact_or_are_refused() {
    let columns = "\"x\", \"y\", \"e\"";
    let fields = |last: &'static str| {
        move |row: usize| match row {
            59 => format!("{last},0,"),
            _ => format!(
                "{},{},",
                ["9007199254740993", "9007199254740992", "5"][row % 3],
                ["9007199254740992", "9007199254740993", "5"][row % 3]
            ),
        }
    };
    let exact = of_parts(columns, "x > y", "x,y,e", &fields("7"));
    let expected: Vec<f32> = (0..50)
        .map(|row| f32::from(u8::from(row % 3 == 0)))
        .collect();
    assert_eq!(labels(&exact), expected);
    let said = of_parts(columns, "x > y", "x,y,e", &fields("0.5")).refusal();
    assert!(
        said.starts_with(
            "/data/shop/log/0.csv:2:3: column `x`: expected an integer below 2^53, since other rows have a point, found \
             `9007199254740993`"
        ),
        "{said}"
    );
}

/// Rows `0..60` of keys 0 and 1 beside a joined table in two parts, one for each key.
fn joined(label: &str, first: ArrayRef, second: ArrayRef) -> Dataset {
    let text = described("\"u\", \"e\"", label, "optional = [\"e\"]").replace(
        "[features]",
        "[files.users]\nname = \"users\"\n[joins.user]\nfile = \"users\"\non = \"u\"\ncolumns = [\"u\", \"x\"]\n[features]",
    );
    let dataset = Dataset::described(&text, "", "");
    write_parts(&dataset, "u,e", &|row| format!("{},", row % 2));
    std::fs::create_dir_all(dataset.path("data/shop/users")).unwrap();
    for (key, x) in [first, second].into_iter().enumerate() {
        let path = dataset.path(&format!("data/shop/users/{key}.parquet"));
        let u: ArrayRef = Arc::new(StringArray::from(vec![key.to_string()]));
        write_parquet(
            &path,
            &batch(vec![("u", u), ("x", x)]),
            Compression::UNCOMPRESSED,
            10,
        );
    }
    dataset
}

#[test]
fn a_joined_table_in_parts_keeps_the_digits_of_its_numbers() {
    let integer = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let decimal = |digits: i128, scale: i8| {
        let array = Decimal128Array::from(vec![digits]).with_precision_and_scale(30, scale);
        Arc::new(array.unwrap()) as ArrayRef
    };
    let float = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let single = |value: f32| Arc::new(Float32Array::from(vec![value])) as ArrayRef;
    let of = |label: &str, first, second| {
        let found = labels(&joined(label, first, second));
        (found[0] != 0.0, found[1] != 0.0)
    };
    let big = (1i64 << 53) + 1;
    assert_eq!(
        of("x = 9007199254740993", integer(big), decimal(950, 2)),
        (true, false)
    );
    assert_eq!(
        of(
            "x = 12345678901234567890.12",
            decimal(1_234_567_890_123_456_789_012, 2),
            decimal(12_345_678_901_234_567_890_110, 3)
        ),
        (true, false)
    );
    assert_eq!(of("x = 4.1", single(4.1), integer(7)), (true, false));
    assert_eq!(of("x >= 4.1", single(4.1), integer(7)), (true, true));
    assert_eq!(of("x = 7", float(7.0), integer(3)), (true, false));
    let said = joined("x = 9007199254740993", integer(big), float(0.5)).refusal();
    assert!(
        said.starts_with(
            "/data/shop/users/0.parquet: row 1, column `x`: expected an integer below 2^53"
        ),
        "{said}"
    );
    // Beside a literal, 4.1 of 32 bits is another number than a decimal's 4.1.
    let mixed = joined("x = 4.1", single(4.1), decimal(410, 2));
    let said = mixed.refusal();
    assert!(
        said.contains("column `x`: its parts hold a decimal and a number, and no type has all of their values exactly"),
        "{said}"
    );
    // The hint, followed: 64 bits tell the two apart.
    let text = std::fs::read_to_string(mixed.path("descriptions/shop.toml")).unwrap();
    let typed = text.replace(
        "\"u\", \"x\"]",
        "\"u\", { name = \"x\", type = \"float\" }]",
    );
    assert_ne!(typed, text);
    mixed.write("descriptions/shop.toml", &typed);
    assert_eq!(labels(&mixed)[..2], [0.0, 1.0]);
}

#[test]
fn a_new_row_is_scored_alike_whatever_stands_beside_it() {
    let columns = "\"x\", \"e\", { name = \"c\", expression = \"x * 0.1\" }";
    let text = described(columns, "e is null", "optional = [\"e\"]")
        .replace("[tasks.y]", "c = { kind = \"numeric\" }\n[tasks.y]");
    let dataset = Dataset::described(&text, "", "");
    write_parts(&dataset, "x,e", &|row| {
        format!(
            "{},{}",
            if row == 59 { "0.5" } else { "3" },
            if row % 2 == 0 { "a" } else { "" }
        )
    });
    dataset.open().unwrap();
    let numbers = std::fs::read_to_string(dataset.prepared_folder().join("numbers.csv")).unwrap();
    assert!(numbers.contains("column x,float,,,\n"), "{numbers}");
    let read = |numbers: &str, new: &str| -> anyhow::Result<Vec<f32>> {
        dataset.write("new.csv", new);
        let document = Document::new("description.toml", &*text);
        let description = crate::schema::Description::parse("shop", &document).unwrap();
        let canonical = description.protocol(None).unwrap().canonical();
        let digest = blake3::hash(canonical.as_bytes()).to_hex().to_string();
        let rows = NewRows::new("shop", &text, "all", None, &digest, None, numbers).unwrap();
        let mut read = Vec::new();
        rows.score(
            &[dataset.path("new.csv")],
            &dataset.places(),
            Vec::new(),
            TableFormat::Csv,
            &mut |batch| {
                read.extend(batch.numeric.iter().skip(1).step_by(2));
                Ok(vec![0.0; batch.num_rows])
            },
            &mut Notices::default(),
        )?;
        Ok(read)
    };
    let alone = read(&numbers, "k,x,e\n1,3,\n").unwrap();
    let beside = read(&numbers, "k,x,e\n1,3,\n2,0.5,\n").unwrap();
    // 32 bits show no difference of the last of 64; the kind does.
    assert_eq!(alone[0], beside[0]);
    // Training had integers alone: a float would be computed with in another way than those.
    let integers = numbers.replace("column x,float", "column x,integer");
    assert!(read(&integers, "k,x,e\n1,3,\n").is_ok());
    let said = read(&integers, "k,x,e\n1,3,\n2,0.5,\n").unwrap_err();
    let said = dataset.said(&said);
    assert!(
        said.contains("column `x`: expected an integer, as the rows of training have"),
        "{said}"
    );
}

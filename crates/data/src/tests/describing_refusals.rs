//! Files of which no draft can be made.

use super::*;
use crate::describe;

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
fn a_first_line_that_names_the_separator_is_named() {
    insta::assert_snapshot!(refusal("a.csv", b"sep=;\na;b;c\n1;2;3\n4;5;6\n"), @r"
    /data/shop/a.csv:2:1: expected 2 fields, found 3
    hint: remove the first line of the file, `sep=;`, which tells Excel the separator
    ");
}

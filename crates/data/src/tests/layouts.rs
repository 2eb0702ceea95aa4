//! Layouts of delimited text, and what is said where the description has another one.

use super::*;

/// A log in one file, with this format and this text.
fn log(format: &str, text: &str) -> Dataset {
    let description = format!(
        r#"source = "table"
default_protocol = "all"
columns = ["day", "item", "click"]
[format]
{format}
[files.log]
name = "log.csv"
[split]
kind = "time"
column = "day"
validation_from = 4
test_from = 5
[features]
item = {{ kind = "categorical" }}
[tasks.click]
label = "click"
group = "main"
[protocols.all]
tasks = ["click"]
"#
    );
    let dataset = Dataset::described(&description, "", "");
    dataset.write("data/shop/log.csv", text);
    dataset
}

/// The distinct items of training rows, in order.
fn items(dataset: &Dataset) -> Vec<String> {
    dataset.open().unwrap_or_else(|error| panic!("{error}"));
    let path = dataset.prepared_folder().join("vocabularies.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let column = reader
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "text" || name == "value");
    let column = column.expect("a column of texts");
    let records = reader.records();
    let mut texts: Vec<String> = records
        .map(|record| record.unwrap()[column].to_owned())
        .collect();
    texts.sort();
    texts
}

/// Rows of days 1 to 5 between separators, of which the first three are for training.
fn rows(separator: &str, items: [&str; 5]) -> String {
    let rows = items
        .iter()
        .zip(1..)
        .map(|(item, day)| format!("{day}{separator}{item}{separator}{}\n", day % 2));
    rows.collect()
}

#[test]
fn quotes_open_behind_spaces_and_separators_have_several_characters() {
    let text = format!(
        "day, item, click\n{}",
        rows(", ", ["\"i3\"", "i3", "\"a, b\"", "i3", "\"i3\""])
    );
    let dataset = log("quotes = true\ntrim_spaces = true", &text);
    assert_eq!(items(&dataset), ["a, b", "i3"]);
    for quotes in ["", "quotes = true"] {
        let text = format!(
            "day::item::click\n{}",
            rows("::", ["a:b", "c", "c", "c", "c"])
        );
        let dataset = log(&format!("separator = \"::\"\n{quotes}"), &text);
        assert_eq!(items(&dataset), ["a:b", "c"]);
    }
}

#[test]
fn a_stray_quote_is_a_letter_and_an_escape_what_the_format_says() {
    let text = format!(
        "day,item,click\n{}",
        rows(",", ["TV 42\" LED", "x", "x", "x", "x"])
    );
    assert_eq!(items(&log("quotes = true", &text)), ["TV 42\" LED", "x"]);
    let text = format!(
        "day,item,click\n{}",
        rows(",", ["\"say \\\"hi\\\", x\"", "x", "x", "x", "x"])
    );
    let escaped = log("quotes = true\nescape = \"\\\\\"", &text);
    assert_eq!(items(&escaped), ["say \"hi\", x", "x"]);
    insta::assert_snapshot!(log("quotes = true", &text).refusal(), @r#"
    /data/shop/log.csv:2:8: a backslash stands before a quote, and the format doesn't say what that means
    hint: set escape = "\\" in the format if it makes the quote a part of the value, as Spark writes it, or escape = '"' if quotes are doubled and a backslash is a letter
    "#);
    let doubled = format!(
        "day,item,click\n{}",
        rows(",", ["\"C:\\\"", "x", "x", "x", "x"])
    );
    assert_eq!(
        items(&log("quotes = true\nescape = '\"'", &doubled)),
        ["C:\\", "x"]
    );
}

#[test]
fn quotes_without_an_end_are_told_where_they_open() {
    let text = "day,item,click\n1,a,1\n2,\"b,0\n3,c,1\n4,c,1\n5,c,1\n";
    insta::assert_snapshot!(log("quotes = true", text).refusal(), @r#"
    /data/shop/log.csv:3:3: the quote that opens this field never closes
    hint: close it, or write it twice inside quotes ("6"" pipe"); where `"` is a letter like any other, leave `quotes` out of the format
    "#);
    let text = "day,item,click\n1,a,1\n2,\"b,0\n3,\"c,1\n4,c,1\n5,c,1\n";
    insta::assert_snapshot!(log("quotes = true", text).refusal(), @r#"
    /data/shop/log.csv:4:4: expected the next field after the quote that closes this one (it opened at line 3)
    hint: a quote inside quotes is written twice ("6"" pipe"), or behind a backslash where the format says escape = "\\"; mend the row
    "#);
}

#[test]
fn comments_are_no_rows_and_count_as_lines() {
    let text = "# of \"a shop\nday,item,click\n1,a,1\n#2,b,0\n3,a,1\n4,a,1\n5,a,x\n";
    let dataset = log("quotes = true\ncomment = \"#\"", text);
    assert!(
        dataset
            .refusal()
            .starts_with("/data/shop/log.csv:7:5: column `click`"),
        "{}",
        dataset.refusal()
    );
    let dataset = log("quotes = true\ncomment = \"#\"", &text.replace(",x", ",0"));
    assert_eq!(dataset.open().unwrap().train.num_rows(), 2);
    let said = log("", &text.replace('"', "").replacen("# of a shop\n", "", 1)).refusal();
    assert!(
        said.contains("column `day`: expected a number, found `#2`"),
        "{said}"
    );
}

#[test]
fn a_header_of_another_layout_names_the_layout() {
    let said = |format: &str, text: &str| log(format, text).refusal();
    insta::assert_snapshot!(said("", "\"day\",\"item\",\"click\"\n1,a,1\n"), @r#"
    /data/shop/log.csv:1:1: there is no column `day`; the file has `"day"`, `"item"`, `"click"`
    hint: set quotes = true in the format: the first line has the name so written
    "#);
    insta::assert_snapshot!(said("", "day;item;click\n1;a;1\n"), @r#"
    /data/shop/log.csv:1:1: there is no column `day`; the file has `day;item;click`
    hint: set separator = ";" in the format: so the first line has 3 names
    "#);
    insta::assert_snapshot!(said("separator = \";\"", "\"day\"::\"item\"::\"click\"\n1::a::1\n"), @r#"
    /data/shop/log.csv:1:1: there is no column `day`; the file has `"day"::"item"::"click"`
    hint: set separator = "::" and quotes = true in the format: so the first line has 3 names
    "#);
    insta::assert_snapshot!(said("", "day, item, click\n1, a, 1\n"), @r"
    /data/shop/log.csv:1:1: there is no column `item`; the file has `day`, ` item`, ` click`
    hint: set trim_spaces = true in the format: the first line has the name so written
    ");
    insta::assert_snapshot!(said("", "day,item,click,\n1,a,1\n2,b,0\n"), @r"
    /data/shop/log.csv:2:1: expected 4 fields, found 3; the first line ends with a separator, which makes a column without a name
    hint: take `,` off the end of the first line
    ");
    insta::assert_snapshot!(said("", "day,item,click\n1,a,1,\n2,b,0,\n"), @r"
    /data/shop/log.csv:2:1: expected 3 fields, found 4; the row ends with a separator
    hint: take `,` off the ends of the rows, or put one more column at the end of the first line or of `columns`
    ");
    insta::assert_snapshot!(said("", "day,item,click\n1,a,1\nday,item,click\n2,b,0\n"), @r"
    /data/shop/log.csv:3:1: column `day`: expected a number, found `day`
    hint: the row is the first line with the names once more; take it out, or read the files that were put together one by one
    ");
    insta::assert_snapshot!(said("", "day,item,click\n1, a, 1\n"), @r"
    /data/shop/log.csv:2:6: column `click`: expected 0 or 1, found ` 1`
    hint: set trim_spaces = true in the format: a space stands beside the value
    ");
    insta::assert_snapshot!(said("", "day,item,click\n1,\"a, b\",1\n"), @r"
    /data/shop/log.csv:2:1: expected 3 fields, found 4
    hint: set quotes = true in the format if `,` is part of a value between quotes
    ");
    insta::assert_snapshot!(said("", "day,item,item,click\n1,a,b,1\n"), @r"
    /data/shop/log.csv:1:1: the column `item` is there twice
    hint: give the columns names of their own
    ");
}

#[test]
fn keys_of_a_format_that_say_two_things_are_refused() {
    for (format, expected) in [
        (
            "separator = \"\"",
            "expected one ASCII character, or up to 8 of them",
        ),
        (
            "separator = \"→\"",
            "expected one ASCII character, or up to 8 of them",
        ),
        (
            "separator = \"123456789\"",
            "expected one ASCII character, or up to 8 of them",
        ),
        (
            "separator = \" \"\ntrim_spaces = true",
            "the separator is a space, which `trim_spaces` takes off",
        ),
        (
            "escape = \"\\\\\"",
            "`escape` is of quotes inside quoted fields, and fields are not quoted",
        ),
        (
            "quotes = true\nescape = \"ab\"",
            "expected one ASCII character that is no space, found \"ab\"",
        ),
        (
            "comment = \",\"",
            "`comment` is a character that has another meaning in this format",
        ),
    ] {
        let said = log(format, "").refusal();
        assert!(said.contains(expected) && said.contains("hint: "), "{said}");
    }
}

#[test]
fn files_of_libsvm_and_libffm_are_read_by_their_columns() {
    let described = log("kind = \"libsvm\"", "");
    let path = described.path("descriptions/shop.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text
        .replace(
            "[\"day\", \"item\", \"click\"]",
            "[\"label\", \"1\", \"2\"]",
        )
        .replace("column = \"day\"", "column = \"1\"")
        .replace(
            "item = { kind = \"categorical\" }",
            "item = { kind = \"categorical\", column = \"2\" }",
        )
        .replace("label = \"click\"", "label = \"label\"");
    std::fs::write(&path, &text).unwrap();
    let rows = "1 1:1 2:7\n0 1:2\n1 1:3 2:7 # a comment\n\n0 1:4 2:7\n1 1:5 2:0\n";
    described.write("data/shop/log.csv", rows);
    assert_eq!(items(&described), ["0", "7"]);
    let prepared = described.open().unwrap();
    assert_eq!(all(&prepared.train).labels, [1.0, 0.0, 1.0]);
    described.write("data/shop/log.csv", &rows.replace("1:4 2:7", "1:4 2=7"));
    let refused = described.refusal();
    assert!(
        refused.contains("/log.csv:5:7: expected index:value, found `2=7`"),
        "{refused}"
    );
    // libffm: fields and their features.
    std::fs::write(
        &path,
        text.replace("\"libsvm\"", "\"libffm\"")
            .replace("\"1\"", "\"1:value\""),
    )
    .unwrap();
    described.write(
        "data/shop/log.csv",
        "1 1:0:1 2:8:1\n0 1:0:2 2:9:1\n1 1:0:3\n0 1:0:4 2:8:1\n1 1:0:5 2:8:1\n",
    );
    let prepared = described.open().unwrap();
    let train = all(&prepared.train);
    assert_eq!(
        (train.labels, prepared.schema.categorical[0].vocabulary_size),
        (vec![1.0, 0.0, 1.0], 4)
    );
}

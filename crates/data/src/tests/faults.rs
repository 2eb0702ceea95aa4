use super::*;

fn train_refusal(train: &str) -> String {
    Dataset::described(DESCRIPTION, train, TEST).refusal()
}

#[test]
fn a_short_row_names_its_line_and_the_missing_column() {
    assert_eq!(
        train_refusal("red, 1, yes\n\nblue, 2\nred, 3, no\n"),
        "/data/shop/train.csv:3:1: expected 3 fields, found 2; column `label` is missing\n\
         hint: the row is cut; get the file again"
    );
    assert_eq!(
        train_refusal("red, 1, yes\nblue, 2, no, maybe\n"),
        "/data/shop/train.csv:2:1: expected 3 fields, found 4\n\
         hint: is `,` part of a value? Then the file needs quotes"
    );
}

#[test]
fn a_bad_number_names_its_line_and_column() {
    assert_eq!(
        train_refusal("red, 1, yes\nblau\u{f6}, 2x, no\n"),
        "/data/shop/train.csv:2:8: column `size`: expected a number, found `2x`\n\
         hint: correct the row, or make the feature categorical in the description"
    );
    assert!(train_refusal("red, , yes\n").contains("column `size`: expected a number, found ``"));
}

#[test]
fn infinity_and_nan_are_no_numbers() {
    for value in ["nan", "inf", "-Infinity", "1e999"] {
        let said = train_refusal(&format!("red, 1, yes\nred, {value}, yes\n"));
        let expected =
            format!("train.csv:2:6: column `size`: expected a finite number, found `{value}`");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn an_unknown_label_value_names_the_allowed_ones() {
    assert_eq!(
        train_refusal("red, 1, yes\nblue, 2, no\nred, 3, nope\n"),
        "/data/shop/train.csv:3:9: column `label`: unknown value `nope`; allowed are `no`, `yes`\n\
         hint: correct the row, or add the value to [allowed_values] in the description"
    );
}

#[test]
fn the_first_fault_of_a_long_file_is_told_with_its_line() {
    // Beyond the first piece, and with a second fault in a later one.
    let mut train = "some color, 1, yes\n".repeat(300_000);
    train.push_str("red, x, yes\n");
    train.push_str(&"some color, 1, yes\n".repeat(300_000));
    train.push_str("red, y, yes\n");
    let said = train_refusal(&train);
    assert!(
        said.starts_with(
            "/data/shop/train.csv:300001:6: column `size`: expected a number, found `x`"
        ),
        "{said}"
    );
}

#[test]
fn an_empty_split_is_refused() {
    let said = train_refusal("");
    assert!(
        said.starts_with("/data/shop/train.csv: the train split has no row; "),
        "{said}"
    );
    let said = Dataset::described(DESCRIPTION, TRAIN, "blue, 1, no\n").refusal();
    assert!(said.starts_with("/data/shop/test.csv: the "), "{said}");
}

#[test]
fn a_header_of_other_columns_is_refused() {
    let description = DESCRIPTION.replace("has_header = false", "has_header = true");
    let said = Dataset::described(&description, "color,weight,label\nred,1,yes\n", TEST).refusal();
    assert_eq!(
        said,
        "/data/shop/train.csv:1:1: there is no column `size`; the file has `color`, `weight`, `label`\n\
         hint: correct the name in the description, or get the right file"
    );
}

#[test]
fn quotes_that_never_close_are_a_fault_and_no_endless_field() {
    let description =
        DESCRIPTION.replace("has_header = false", "has_header = false\nquotes = true");
    let said =
        Dataset::described(&description, "red,1,yes\n\"blue,2,no\nred,3,no\n", TEST).refusal();
    assert!(
        said.starts_with(
            "/data/shop/train.csv:2:1: the quote that opens this field never closes\nhint: close it"
        ),
        "{said}"
    );
}

#[test]
fn a_file_with_another_number_of_rows_than_described_is_refused() {
    let description = DESCRIPTION.replace("name = \"train.csv\"", "name = \"train.csv\"\nrows = 5");
    assert_eq!(
        Dataset::described(&description, TRAIN, TEST).refusal(),
        "/data/shop/train.csv: expected 5 rows, found 4\n\
         hint: the file is cut or another one; remove it and get it again"
    );
}

#[test]
fn a_missing_file_says_how_to_get_it() {
    let dataset = Dataset::new();
    std::fs::remove_file(dataset.path("data/shop/test.csv")).unwrap();
    assert_eq!(
        dataset.refusal(),
        "/data/shop/test.csv: the file is missing\n\
         hint: put it there, or name another folder with --data-dir or HOMEBENCH_DATA"
    );
}

#[test]
fn a_cache_that_cant_be_written_is_said() {
    let dataset = Dataset::new();
    // A file where the folder should be: true for every user, root included.
    dataset.write("cache", "");
    let said = dataset.refusal();
    assert!(said.starts_with("/cache: can't write: "), "{said}");
    assert!(
        said.contains("\nhint: free some space, permit writing there or move away what is in its place; or choose another folder"),
        "{said}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_said_and_leaves_nothing_that_reads_as_whole() {
    let widths = crate::packed::Widths {
        categorical: 1,
        lists: 0,
        numeric: 0,
        labels: 1,
        user: 0,
        weight: 0,
    };
    let mut writer = crate::packed::PackedWriter::create("/dev/full".into(), widths).unwrap();
    let rows = crate::Batch {
        num_rows: 2,
        categorical: vec![1, 2],
        numeric: Vec::new(),
        labels: vec![0.0, 1.0],
        ..Default::default()
    };
    writer.append(&rows).unwrap();
    let said = writer.finish().unwrap_err().to_string();
    assert!(
        said.starts_with("/dev/full: can't write: ") && said.contains("No space left on device"),
        "{said}"
    );
}

#[test]
fn an_unknown_dataset_or_protocol_names_the_nearest() {
    let dataset = Dataset::new();
    let open = |name: &str, protocol: Option<&str>| {
        let reference = DatasetRef {
            protocol: protocol.map(str::to_owned),
            ..DatasetRef::new(name)
        };
        dataset.said(
            &super::super::open(&reference, &dataset.places(), &mut Notices::default())
                .unwrap_err(),
        )
    };
    assert_eq!(
        open("shpo", None),
        "/descriptions: there is no dataset `shpo`; there are `shop`\nhint: did you mean `shop`?"
    );
    assert_eq!(
        open("shop", Some("al")),
        "shop: there is no protocol `al`; there are `all`\nhint: did you mean `all`?"
    );
}

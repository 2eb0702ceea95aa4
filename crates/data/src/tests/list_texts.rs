//! What a text has to look like to be a list: brackets, marks, and what programs write.

use super::*;

const SHOP_OF_DAYS: &str = r#"source = "table"
default_protocol = "all"
columns = ["day", "tags", "bought"]
[format]
separator = ";"
[files.log]
name = "log.csv"
[features]
tags = { kind = "list" }
[tasks.buys]
label = "bought"
group = "shop"
[split]
kind = "time"
column = "day"
validation_from = 4
test_from = 5
[protocols.all]
tasks = ["buys"]
"#;

/// A dataset with a row a day, each with one of these lists.
fn with_lists(description: &str, separator: &str, lists: [&str; 5]) -> Dataset {
    let mut log = ["day", "tags", "bought"].join(separator) + "\n";
    for (list, day) in lists.iter().zip(1..) {
        log += &[&day.to_string(), *list, &(day % 2).to_string()].join(separator);
        log.push('\n');
    }
    let dataset = Dataset::described(description, "", "");
    dataset.write("data/shop/log.csv", &log);
    dataset
}

#[test]
fn lists_in_brackets_are_parsed_and_a_mixture_is_refused_with_its_row() {
    let description = SHOP_OF_DAYS
        .replace("separator = \";\"", "quotes = true")
        .replace("kind = \"list\"", "kind = \"list\", separator = \",\"");
    let of = |lists: [&str; 5]| {
        let quoted = lists.map(|list| format!("\"{}\"", list.replace('"', "\"\"")));
        with_lists(&description, ",", quoted.each_ref().map(|list| &**list))
    };
    let ids = |dataset: &Dataset| {
        let train = dataset
            .open()
            .unwrap_or_else(|error| panic!("{error}"))
            .train;
        let train = all(&train);
        (train.list_ids, train.list_ends)
    };
    let expected = (vec![1, 2, 2, 1, 1], vec![2, 3, 5]);
    assert_eq!(ids(&of(["a,b", "b", "a,a", "a", "a"])), expected);
    assert_eq!(
        ids(&of(["['a', 'b']", "['b']", "['a','a']", "[]", ""])),
        expected
    );
    assert_eq!(
        ids(&of([r#"["a", "b"]"#, r#"["b"]"#, r#"["a", "a"]"#, "", ""])),
        expected
    );
    let said = of(["", "['a']", "b", "a", "a"]).refusal();
    assert!(
        said.starts_with("/data/shop/log.csv:4:3: column `tags`: expected a list in brackets, as in the rows before, found `b`"),
        "{said}"
    );
    let said = of(["a", "['b']", "b", "a", "a"]).refusal();
    assert!(
        said.contains(":3:3: column `tags`: expected values without brackets"),
        "{said}"
    );
    let said = of(["['a']", "['b", "['b]", "a", "a"]).refusal();
    assert!(
        said.contains(":3:3: column `tags`: expected a list whose brackets close"),
        "{said}"
    );
    let said = of(["['a']", "['b]", "a", "a", "a"]).refusal();
    assert!(
        said.contains(":3:3: column `tags`: expected a list such as"),
        "{said}"
    );
}

#[test]
fn a_text_in_round_brackets_and_a_declared_mark_are_no_lists() {
    let description = SHOP_OF_DAYS;
    let of = |description: &str, lists: [&str; 5]| {
        let train = with_lists(description, ";", lists)
            .open()
            .unwrap_or_else(|error| panic!("{error}"))
            .train;
        all(&train).list_ends
    };
    // As MovieLens writes genres.
    let none = "(no genres listed)";
    let ends = vec![1, 3, 4];
    assert_eq!(
        of(
            description,
            [none, "Adventure|Animation", "Comedy", "Comedy", "Comedy"]
        ),
        ends
    );
    assert_eq!(
        of(
            description,
            ["Comedy", "Adventure|Animation", none, "Comedy", "Comedy"]
        ),
        ends
    );
    for mark in [none, "[none]"] {
        let marked = description.replace(
            "\"tags\"",
            &format!("{{ name = \"tags\", missing = [\"{mark}\"] }}"),
        );
        let ends = vec![0, 2, 3];
        assert_eq!(
            of(
                &marked,
                [mark, "Adventure|Animation", "Comedy", mark, "Comedy"]
            ),
            ends,
            "{mark}"
        );
    }
    // As NumPy writes arrays of texts.
    let arrays = [
        "array(['a', 'b'], dtype=object)",
        "array([], dtype=object)",
        "array(['a'], dtype=object)",
        "array(['a'], dtype=object)",
        "array(['b'], dtype=object)",
    ];
    assert_eq!(of(description, arrays), [2, 2, 3]);
}

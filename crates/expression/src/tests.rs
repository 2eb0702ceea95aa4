use super::*;
use arrow::array::Array;

struct Table;

impl Rows for Table {
    fn num_rows(&self) -> usize {
        4
    }

    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        let size = [Some(1), Some(2), Some(3), None];
        Ok(match (column, reading) {
            (0, _) => Values::Text(vec![Some("a"), Some("b"), Some("a"), None].into()),
            (1, Reading::Boolean) => Values::Boolean(vec![Some(true), None, None, None].into()),
            (1 | 2, _) => Values::Integer(size.to_vec().into()),
            (3, _) => Values::Float32(vec![4.1f32, 0.3, -0.0, 0.0].into()),
            (4, Reading::Time | Reading::Ordered | Reading::Raw) => Values::from_times([
                Some(1_649_419_200_000_000_000),
                Some(1_649_419_200_000_000_001),
                Some(253_402_214_400_000_000_000),
                None,
            ]),
            (5, _) => {
                Values::Integer(vec![9_007_199_254_740_992, 9_007_199_254_740_993, -1, 0].into())
            }
            other => panic!("{other:?}"),
        })
    }

    fn times(&self, _: usize) -> Option<Values> {
        None
    }
}

fn names() -> Vec<String> {
    ["word", "size", "or maybe", "single", "seen", "user"]
        .map(String::from)
        .to_vec()
}

fn parse(text: &str) -> Result<Expression, ExpressionError> {
    let names = names();
    Expression::parse(
        text,
        Columns {
            names: &names,
            types: &[],
            later: &[],
        },
    )
}

fn value(text: &str) -> String {
    let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error} {}", error.offset));
    let values = parsed.condition(&Table).unwrap();
    let Values::Boolean(array) = values else {
        panic!("{values:?}")
    };
    let letter = |row: usize| match array.is_valid(row).then(|| array.value(row)) {
        Some(true) => '1',
        Some(false) => '0',
        None => '?',
    };
    (0..4).map(letter).collect()
}

fn computed(text: &str) -> Vec<String> {
    let values = parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .evaluate(&Table)
        .unwrap();
    (0..4).map(|row| values.text(row)).collect()
}

fn refusal(text: &str) -> (usize, String) {
    let error = parse(text).unwrap_err();
    (error.offset, error.message)
}

#[test]
fn and_binds_tighter_than_or_and_not_tighter_than_both() {
    assert_eq!(value(r#"word == "a""#), "101?");
    assert_eq!(value(r#"size > 2 or word == 'a' and size < 2"#), "101?");
    assert_eq!(value(r#"(size > 2 or word = "a") and size < 2"#), "100?");
    assert_eq!(value(r#"not word == "a" or size >= 3"#), "011?");
    assert_eq!(value("not (size != 2 and size <= 3)"), "010?");
}

#[test]
fn what_is_missing_is_unknown_and_neither_true_nor_false() {
    // The truth tables of SQL: unknown stays so unless the other side decides.
    assert_eq!(value("size < 2"), "100?");
    assert_eq!(value("not (size < 2)"), "011?");
    assert_eq!(value("size <> 2"), "101?");
    assert_eq!(value("size < 2 or true"), "1111");
    assert_eq!(value("size < 2 and false"), "0000");
    assert_eq!(value("size is null"), "0001");
    assert_eq!(value("size is not null"), "1110");
    assert_eq!(value("(size < 2) is not true"), "0111");
    assert_eq!(value("coalesce(size, 0) < 2"), "1001");
    assert_eq!(value("size in (1, 3)"), "101?");
    assert_eq!(value("size not in (1, 3)"), "010?");
    assert_eq!(value("size between 2 and 3"), "011?");
    assert_eq!(value("size not between 2 and 3"), "100?");
}

#[test]
fn numbers_are_exact() {
    assert_eq!(value("user != 9007199254740993"), "1011");
    assert_eq!(value("user = 9007199254740992.0"), "1000");
    assert_eq!(value("user > 9.007199254740992e15"), "0100");
    assert_eq!(value("user >= -0.5"), "1101");
    // A column of 32 bits and a literal: float32(4.1) >= 4.1 by numpy.
    assert_eq!(value("single >= 4.1"), "1000");
    assert_eq!(value("single == 0.3"), "0100");
    assert_eq!(value("single = 0"), "0011");
    assert_eq!(value("2 < size"), value("size > 2"));
    assert_eq!(
        computed("user + 1"),
        ["9007199254740993", "9007199254740994", "0", "1"]
    );
    assert_eq!(
        computed("user * 1_000_000"),
        [
            "9007199254740992000000",
            "9007199254740993000000",
            "-1000000",
            "0"
        ]
    );
    assert_eq!(computed("size / 2"), ["0.5", "1", "1.5", ""]);
    assert_eq!(computed("1 / (size - 1)"), ["", "1", "0.5", ""]);
    // Decimals keep their digits, as in DuckDB.
    assert_eq!(value("0.1 + 0.2 = 0.3 and size > 0"), "111?");
    assert_eq!(computed("0.1 * size")[2], "0.3");
    assert_eq!(computed(&format!("size{}", " + size".repeat(90)))[1], "182");
    assert_eq!(computed("user % 10"), ["2", "3", "-1", "0"]);
}

#[test]
fn times_are_points_and_not_texts() {
    assert_eq!(value("seen >= '2022-04-08 12:00:00'"), "111?");
    assert_eq!(value("seen > '2022-04-08T14:00:00+02:00'"), "011?");
    assert_eq!(value("seen < date '2022-04-09'"), "110?");
    assert_eq!(value("seen <= seen"), "111?");
    let fault = parse("seen - seen > size")
        .unwrap()
        .condition(&Table)
        .unwrap_err();
    assert_eq!(fault.expected, "a number");
    assert_eq!(
        computed("extract(year from seen)"),
        ["2022", "2022", "9999", ""]
    );
    assert_eq!(computed("extract(hour from seen)"), ["12", "12", "0", ""]);
    // By Python: date(2022, 4, 8) is a Friday of week 14, day 98 of its year.
    for (part, expected) in [
        ("dow", "5"),
        ("isodow", "5"),
        ("week", "14"),
        ("doy", "98"),
        ("quarter", "2"),
    ] {
        assert_eq!(computed(&format!("date_part('{part}', seen)"))[0], expected);
    }
    assert_eq!(computed("extract(epoch from seen)")[0], "1649419200");
    for (part, expected) in [
        ("year", "2022-01-01T00:00:00"),
        ("quarter", "2022-04-01T00:00:00"),
        ("week", "2022-04-04T00:00:00"),
        ("hour", "2022-04-08T12:00:00"),
    ] {
        assert_eq!(
            computed(&format!("date_trunc('{part}', seen)"))[1],
            expected
        );
    }
}

#[test]
fn texts_cases_and_casts_are_those_of_sql() {
    assert_eq!(computed("upper(word) || '!'"), ["A!", "B!", "A!", ""]);
    assert_eq!(
        computed("substring('abcdef', size, 2)"),
        ["ab", "bc", "cd", ""]
    );
    assert_eq!(computed("trim('  x ')")[0], "x");
    assert_eq!(computed("substring('abc', -2)")[0], "bc");
    assert_eq!(value("word like 'a%'"), "101?");
    assert_eq!(value("word ilike 'B'"), "010?");
    assert_eq!(
        computed("case when size > 2 then 'big' when size is null then 'none' else 'small' end"),
        ["small", "small", "big", "none"]
    );
    assert_eq!(
        computed("case word when 'a' then 1 else 0.5 end"),
        ["1", "0.5", "1", "0.5"]
    );
    // The branch that can't be cast is not computed on the rows of the other.
    assert_eq!(
        computed("case when word = 'c' then cast(word as integer) else size end"),
        ["1", "2", "3", ""]
    );
    assert_eq!(computed("try_cast(word as float)"), ["", "", "", ""]);
    assert_eq!(
        computed("cast('12' as integer) + size"),
        ["13", "14", "15", ""]
    );
    assert_eq!(computed("greatest(size, 2)"), ["2", "2", "3", "2"]);
    assert_eq!(computed("least(size, 2)"), ["1", "2", "2", "2"]);
    assert_eq!(computed("nullif(size, 2)"), ["1", "", "3", ""]);
    assert_eq!(computed("round(size / 3, 2)"), ["0.33", "0.67", "1", ""]);
    let fault = parse("cast(word as float) > 1")
        .unwrap()
        .condition(&Table)
        .unwrap_err();
    assert_eq!((fault.row, &*fault.found), (0, "a"));
}

#[test]
fn names_between_backticks_may_hold_spaces_and_keywords() {
    let expression = parse("`or maybe` == 1").unwrap();
    assert_eq!(expression.columns().into_iter().collect::<Vec<_>>(), [2]);
}

#[test]
fn the_canonical_form_reads_back_as_itself() {
    for text in [
        r#"word == 'say "a"' or word == "it's" and not (size < 2.5 or size > 1e3)"#,
        "not not size != 0.1",
        "case when size in (1, 2) then lower(word) else 'x' end = 'y' and seen >= '2022-04-08'",
        "cast(word as integer) between -1 and 1 and size is not null",
        "coalesce(size / `or maybe`, 0.5) * 2 - 1 >= extract(hour from seen)",
    ] {
        let expression = parse(text).unwrap();
        let canonical = expression.canonical(&names());
        let again = parse(&canonical).unwrap_or_else(|error| panic!("{canonical}: {error}"));
        assert_eq!(again.canonical(&names()), canonical);
    }
}

#[test]
fn refusals_say_where_and_what() {
    let cases = [
        ("word < \"a\"", 7, "texts have no order"),
        (
            "size == 1 size",
            10,
            "expected `and`, `or` or the end, found `size`",
        ),
        ("sise == 1", 0, "there is no column `sise`"),
        ("size = null", 7, "a comparison with null is never true"),
        ("word = ''", 7, "an empty text is a missing value"),
        (
            "lowr(word) = 'a'",
            0,
            "there is no function `lowr`; there are abs, ceil",
        ),
        ("1 < size < 3", 0, "comparisons can't be chained"),
        ("size > 0 || size < 1", 0, "comparisons can't be chained"),
        ("word and size", 0, ""),
        (
            "seen = date '4/8/2022'",
            12,
            "expected a time such as 2022-04-08",
        ),
        (
            "word + 1 > lower(word)",
            0,
            "a number can't be compared with a text",
        ),
        (
            "extract(fortnight from seen) = 1",
            8,
            "expected date/time field",
        ),
        (
            "date_part('fortnight', seen) = 1",
            10,
            "`fortnight` is no part of a time; there are year",
        ),
        (
            r"word like 'a\_%'",
            10,
            "a backslash in a pattern is a letter in some programs",
        ),
        (
            "size in (1, 'a')",
            12,
            "expected a number, found `a`: the other values are numbers",
        ),
        (
            "coalesce(size, 'a') + 1 > 2",
            15,
            "expected a number, found `a`",
        ),
        (
            "coalesce(date_trunc('day', seen), 1) is null",
            0,
            "a time and a number have no common type",
        ),
        (
            "size between 1 and 'many'",
            19,
            "expected a number, found `many`",
        ),
        (
            "case size when 1 then 'a' when 'b' then 'c' end = 'a'",
            31,
            "expected a number, found `b`",
        ),
        (
            "cast(size as varchar(2)) = 'a'",
            5,
            "there is no cast to VARCHAR(2)",
        ),
        (
            "cast(size as decimal) = 1",
            5,
            "there is no cast to DECIMAL",
        ),
        ("size = (select 1)", 7, ""),
        (
            "lower(word, word) = 'a'",
            0,
            "`lower` takes one value, found 2",
        ),
    ];
    for (text, offset, message) in cases {
        if message.is_empty() {
            let _ = parse(text);
            continue;
        }
        let (at, said) = refusal(text);
        let said = said.to_lowercase();
        assert!(said.contains(&message.to_lowercase()), "{text}: {said}");
        assert_eq!(at, offset, "{text}: {said}");
    }
    assert_eq!(
        parse("sise == 1").unwrap_err().hint.as_deref(),
        Some("did you mean `size`?")
    );
    for text in [
        "",
        "size ==",
        "(size == 1",
        "word == \"a",
        "1 +",
        "size > 1;",
        "count(*) > 1",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_other_languages_write_is_told_in_plain_words() {
    let cases = [
        (
            "size = 1 && size = 2",
            9,
            "`&&` is no operator here",
            "write `and`",
        ),
        (
            "size ** 2 > 1",
            5,
            "`**` is no operator here",
            "write the product, such as `a * a`",
        ),
        (
            "size // 2 > 1",
            5,
            "`//` is no operator here",
            "for the whole number below write `floor(a / b)`",
        ),
        (
            "!size",
            0,
            "`!` is no operator here",
            "write `not`, as in `not (a = 1)`",
        ),
        (
            "size in ()",
            9,
            "expected the values of a list, found `)`",
            "write them between the parentheses, such as `in (1, 2)`",
        ),
        ("size => 1", 5, "`=>` is no operator here", "write `>=`"),
        ("size =< 1", 5, "`=<` is no operator here", "write `<=`"),
        (
            "size & 1",
            0,
            "`&` is no operator here",
            "write `and` between conditions",
        ),
        (
            "size ? 1 : 2",
            5,
            "`?` is no operator here",
            "to choose write `case when a > 1 then b else c end`",
        ),
        (
            "size >",
            6,
            "expected a value or a condition, found the end",
            "",
        ),
        ("(size > 1", 9, "expected `)`, found the end", ""),
        (
            "word = “a”",
            7,
            "`“` is no quote here",
            "write straight ones: 'text'",
        ),
        (
            "case when size > 1 then 2",
            5,
            "expected `and`, `or` or the end, found `when`",
            "write `case when a > 1 then b else c end`, with `end` at its end",
        ),
        ("word = 'a", 7, "a quote opens here and doesn't close", ""),
    ];
    for (text, offset, message, hint) in cases {
        let refused = parse(text).unwrap_err();
        assert_eq!(
            (
                refused.offset,
                &*refused.message,
                refused.hint.as_deref().unwrap_or_default()
            ),
            (offset, message, hint),
            "{text}"
        );
    }
    // What the hints say, followed.
    for text in [
        "size = 1 and size = 2",
        "size * size > 1",
        "floor(size / 2) > 1",
        "not (size = 1)",
        "size in (1, 2)",
        "case when size > 1 then 1 else 2 end",
    ] {
        assert!(parse(text).is_ok(), "{text}");
    }
    let names = names();
    let columns = Columns {
        names: &names,
        types: &[],
        later: &[],
    };
    let refused = Expression::parse_condition("word || size", columns).unwrap_err();
    assert_eq!(
        refused.hint.as_deref(),
        Some("write `or` between conditions")
    );
}

#[test]
fn texts_and_names_without_their_quotes_are_told() {
    for (text, hint) in [
        ("word = yes", "A text stands in quotes: 'yes'"),
        ("word in (yes, 'no')", "A text stands in quotes: 'yes'"),
        (
            "user = users",
            "did you mean `user`? A text stands in quotes: 'users'",
        ),
    ] {
        let refused = parse(text).unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some(hint), "{text}");
    }
    let names = ["x y", "x-1", "1st", "x"].map(String::from);
    let columns = Columns {
        names: &names[..3],
        types: &[],
        later: &[],
    };
    for name in &names[..3] {
        let refused = Expression::parse(&format!("{name} > 2"), columns).unwrap_err();
        assert_eq!(
            refused.hint,
            Some(format!(
                "write the column's name, which is no word, between backticks: `{name}`"
            ))
        );
        assert!(Expression::parse(&format!("{} > 2", spelled(name)), columns).is_ok());
    }
}

#[test]
fn a_deeply_nested_expression_is_refused_and_not_recursed_into() {
    let text = format!("{}size == 1", "not ".repeat(1000));
    assert!(refusal(&text).1.contains("levels"), "{:?}", refusal(&text));
    let long = format!("size == 1{}", " and size == 1".repeat(100_000));
    assert!(refusal(&long).1.starts_with("the expression is too long"));
    let flat = format!("size == 1{}", " or size == 1".repeat(500));
    assert_eq!(value(&flat), "100?");
}

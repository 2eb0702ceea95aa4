//! Tasks of regression: their descriptions, their labels, and what is said of them.

use super::*;
use crate::{Numbers, TaskKind, prepare};

const DESCRIBED: &str = r#"source = "csv"
default_protocol = "all"
columns = ["color", "seconds", "price", "split"]
[files.rows]
name = "train.csv"
[features]
color = { kind = "categorical" }
[tasks.watched]
kind = "regression"
label = "seconds"
transform = ["log1p", "standardise"]
group = "watch"
[tasks.price]
kind = "regression"
label = "price"
observed = 'color != "none"'
group = "shop"
[tasks.long]
label = "seconds > 10"
group = "watch"
[split]
kind = "time"
files = "rows"
column = "split"
validation_from = 2
test_from = 3
[protocols.all]
tasks = ["watched", "price", "long"]
"#;

const ROWS: &str = "color,seconds,price,split\nred,0,1.5,1\nblue,20,-2.25,1\nnone,3,9,1\nred,,4,1\n\
                    red,7,1,2\nblue,8,,2\nred,1,2,3\n";

fn dataset(description: &str, rows: &str) -> Dataset {
    Dataset::described(description, rows, "")
}

fn refusal(from: &str, to: &str) -> String {
    assert!(DESCRIBED.contains(from), "{from}");
    dataset(&DESCRIBED.replacen(from, to, 1), ROWS).refusal()
}

#[test]
fn labels_are_numbers_transformed_by_what_training_rows_say() {
    // The number itself, beside a condition on the same column.
    let prepared = dataset(DESCRIBED, ROWS).open().unwrap();
    let kinds: Vec<TaskKind> = prepared.schema.tasks.iter().map(|task| task.kind).collect();
    use TaskKind::{Classification, Regression};
    assert_eq!(kinds, [Regression, Regression, Classification]);
    let seconds = [0.0f64, 20.0, 3.0].map(|value| f64::from(value.ln_1p() as f32));
    let mean = seconds.iter().sum::<f64>() / 3.0;
    let deviation = (seconds
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / 3.0)
        .sqrt();
    let standardised = |value: f64| ((f64::from(value.ln_1p() as f32) - mean) / deviation) as f32;
    let close = |found: f32, expected: f32| (found - expected).abs() < 1e-6;
    let train = all(&prepared.train);
    for (row, value) in [0.0, 20.0, 3.0].into_iter().enumerate() {
        assert!(close(train.labels[3 * row], standardised(value)), "{row}");
    }
    // What is empty, and what `observed` leaves out, is not observed.
    assert!(train.labels[9].is_nan() && train.labels[7].is_nan());
    assert_eq!(
        [train.labels[1], train.labels[4], train.labels[10]],
        [1.5, -2.25, 4.0]
    );
    assert_eq!(
        [train.labels[2], train.labels[5], train.labels[8]],
        [0.0, 1.0, 0.0]
    );
    let validation = all(&prepared.validation);
    assert!(close(validation.labels[0], standardised(7.0)));
    assert!(validation.labels[4].is_nan());
}

#[test]
fn labels_are_summed_up_and_those_that_do_not_vary_are_said() {
    let dataset = dataset(DESCRIBED, ROWS);
    let mut notices = Notices::default();
    let summary = prepare(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    let price = summary.train.numbers[1].unwrap();
    let expected = Numbers {
        mean: 3.25 / 3.0,
        deviation: price.deviation,
        least: -2.25,
        most: 4.0,
    };
    assert!((price.mean - expected.mean).abs() < 1e-12);
    assert_eq!(
        Numbers {
            mean: expected.mean,
            ..price
        },
        expected
    );
    assert!((summary.train.numbers[0].unwrap().deviation - 1.0).abs() < 1e-6);
    assert_eq!(summary.train.numbers[2], None);
    assert_eq!(
        notices.0,
        [
            "the label of the task `watched` is unknown on 1 rows, since a value is missing there: they are not observed",
            "the label of the task `price` is unknown on 1 rows, since a value is missing there: they are not observed",
            "the label of the task `long` is unknown on 1 rows, since a value is missing there: they are not observed",
            "2 of 2 rows of the validation split have inputs that a training row has too; 2 of them have another label there",
            "1 of 1 rows of the test split have inputs that a training row has too",
            "no label of the task `long` is positive in the validation split (2 rows): it has no AUC there",
            "every label of the task `price` is 1 in the validation split (1 rows): it has no R² there",
        ]
    );
    let text = std::fs::read_to_string(dataset.prepared_folder().join("numbers.csv")).unwrap();
    assert!(text.contains("\nlabel price,false,0,1,\n"), "{text}");
    assert!(text.contains("\nlabel seconds,true,"), "{text}");
}

#[test]
fn a_label_that_is_no_finite_number_is_refused_with_its_place() {
    let with = |number: &str| {
        let rows = ROWS.replacen("-2.25", number, 1);
        dataset(DESCRIBED, &rows).refusal()
    };
    insta::assert_snapshot!(
        ["cheap", "inf", "nan", "1e39"].map(with).join("\n"),
        @r#"
    /data/shop/train.csv:3:9: column `price`: expected a number, found `cheap`
    hint: correct the row, or leave the field empty where the label isn't known
    /data/shop/train.csv:3:9: column `price`: expected a finite number, found `inf`
    hint: if it stands for a missing value, write missing = ["inf"] above the first table of the description, and add "price" to `optional`; or leave the field empty
    /data/shop/train.csv:3:9: column `price`: expected a finite number, found `nan`
    hint: if it stands for a missing value, write missing = ["nan"] above the first table of the description, and add "price" to `optional`; or leave the field empty
    /data/shop/train.csv:3:9: column `price`: expected a label below 1.8e19 in size, whose square 32 bits hold, found `1e39`
    hint: give the task transform = ["standardise"], or ["log1p", "standardise"]
    "#
    );
}

#[test]
fn what_makes_no_regression_is_refused() {
    let refusals = [
        refusal("label = \"price\"", "label = \"prices\""),
        refusal("label = \"price\"", "label = \"price > 1\""),
        refusal("kind = \"regression\"", "kind = \"regresion\""),
        refusal(
            "transform = [\"log1p\", \"standardise\"]",
            "transform = [\"standardise\", \"log1p\"]",
        ),
        refusal(
            "label = \"seconds > 10\"",
            "label = \"seconds > 10\"\ntransform = [\"log1p\"]",
        ),
        refusal(
            "color = { kind = \"categorical\" }",
            "color = { kind = \"categorical\" }\nprice = { kind = \"numeric\" }",
        ),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    /descriptions/shop.toml:15:9: the label of a regression is a column of numbers, and there is no column `prices`
    hint: did you mean `price`?
    /descriptions/shop.toml:15:9: the label of a regression is a column of numbers, and there is no column `price > 1`
    hint: name a column; for a condition such as `a > 0` leave `kind` out
    /descriptions/shop.toml:9:8: unknown value `regresion` for `tasks.watched.kind`; expected one of `classification`, `regression`
    hint: did you mean `regression`?
    /descriptions/shop.toml:11:13: the transforms don't go together in this order
    hint: expected one of [], ["log1p"], ["standardise"], ["log1p", "standardise"]
    /descriptions/shop.toml:20:1: `transform` has no meaning for a label of two classes
    hint: it belongs to kind = "regression"
    /descriptions/shop.toml:28:12: protocol `all`: the label of task `price` is made from the column `price`, which is an input (feature `price`)
    hint: add "price" to not_inputs, or to label_sources_as_inputs if it is meant to be known
    "#);
}

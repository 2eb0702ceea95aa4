//! The description of The Complete Journey, on receipts made up in the form of its files.

use super::columnar::{batch, write_parquet};
use super::public_sets::{of_any_files, splits, values};
use super::*;
use crate::prepare;
use arrow::array::{Float64Array, Int64Array, StringArray, TimestampNanosecondArray};
use parquet::basic::Compression;
use std::sync::Arc;

/// A receipt's line: household, product, quantity, sales, discounts of the card, of a coupon and of its match, week.
type Line = (i64, i64, i64, [f64; 4], i64);

/// 20 is soup, 21 soap, 22 fuel, 23 a coupon; 99 is no product.
const LINES: [Line; 10] = [
    (1, 20, 1, [2.0, 0.0, 0.0, 0.0], 1),
    (1, 21, 3, [7.0, 3.5, 0.0, 0.0], 42),
    // .3 of the price of 10 isn't more than .3 of it; with a coupon of the maker, 4.99 is no large sum.
    (2, 20, 2, [7.0, 3.0, 0.5, 0.0], 2),
    (2, 21, 1, [4.99, 2.5, 0.0, 0.5], 3),
    // Left out: no quantity, fuel, a coupon, what is no product.
    (1, 20, 0, [1.0, 1.0, 0.0, 0.0], 4),
    (1, 22, 9000, [20.0, 1.0, 0.0, 0.0], 5),
    (1, 23, 1, [0.0, 0.0, 0.0, 0.0], 6),
    (1, 99, 1, [3.0, 0.0, 1.0, 0.0], 7),
    (3, 21, 4, [5.0, 0.0, 0.0, 0.0], 43),
    (1, 20, 1, [0.0, 0.0, 0.0, 0.0], 47),
];

fn receipts(dataset: &Dataset) {
    let whole = |of: fn(&Line) -> i64| Arc::new(Int64Array::from_iter_values(LINES.iter().map(of)));
    let dollars = |place: usize| {
        let values = LINES.iter().map(|line| line.3[place]);
        Arc::new(Float64Array::from_iter_values(values))
    };
    // Sunday, 1 January 2017, at 11:53:26, and a week later for each week.
    let seconds = LINES
        .iter()
        .map(|line| 1_483_271_606 + 604_800 * (line.4 - 1));
    let times =
        TimestampNanosecondArray::from_iter_values(seconds.map(|time| time * 1_000_000_000));
    let lines = batch(vec![
        ("household_id", whole(|line| line.0)),
        ("store_id", whole(|_| 330)),
        ("basket_id", whole(|line| 31_198_570_044 + line.4)),
        ("product_id", whole(|line| line.1)),
        ("quantity", whole(|line| line.2)),
        ("sales_value", dollars(0)),
        ("retail_disc", dollars(1)),
        ("coupon_disc", dollars(2)),
        ("coupon_match_disc", dollars(3)),
        ("week", whole(|line| line.4)),
        ("transaction_timestamp", Arc::new(times)),
    ]);
    let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values));
    let departments = ["GROCERY", "DRUG GM", "FUEL", "COUPON"];
    let products = batch(vec![
        (
            "product_id",
            Arc::new(Int64Array::from(vec![20, 21, 22, 23])),
        ),
        (
            "manufacturer_id",
            Arc::new(Int64Array::from(vec![2, 69, 5, 5])),
        ),
        ("department", texts(departments.map(Some).to_vec())),
        ("brand", texts(vec![Some("National"); 4])),
        (
            "product_category",
            texts(vec![Some("SOUP"), None, None, None]),
        ),
        ("product_type", texts(vec![None; 4])),
        ("package_size", texts(vec![Some("22 LB"), None, None, None])),
    ]);
    let mut households = vec![("household_id", Arc::new(Int64Array::from(vec![1, 3])) as _)];
    for name in [
        "age",
        "income",
        "home_ownership",
        "marital_status",
        "household_size",
        "household_comp",
        "kids_count",
    ] {
        households.push((name, texts(vec![Some("65+"), None]) as _));
    }
    for (name, batch) in [
        ("transactions", lines),
        ("products", products),
        ("demographics", batch(households)),
    ] {
        let path = dataset.path(&format!("data/complete-journey/{name}.parquet"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_parquet(&path, &batch, Compression::SNAPPY, 4);
    }
}

#[test]
fn receipts_have_six_tasks_of_a_line_and_leave_out_what_is_no_purchase() {
    let dataset = of_any_files("complete-journey");
    receipts(&dataset);
    let (schema, [train, validation, test]) = splits(&dataset, "complete-journey");
    let tasks: Vec<_> = schema.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(
        tasks,
        [
            "discount",
            "deep_discount",
            "coupon",
            "several",
            "many",
            "spend"
        ]
    );
    assert_eq!(schema.groups, ["deal", "amount"]);
    assert_eq!(
        train.labels,
        [
            [0., 0., 0., 0., 0., 0.],
            [1., 1., 0., 1., 1., 1.],
            [1., 0., 1., 1., 0., 1.],
            // 2.5 of a price of 7.99.
            [1., 1., 0., 0., 0., 0.],
        ]
        .concat()
    );
    assert_eq!(validation.labels, [0., 0., 0., 1., 1., 1.]);
    // Nothing paid and nothing saved is no discount.
    assert_eq!(test.labels, [0.; 6]);
    let read = |batch, feature| values(&dataset, &schema, batch, feature);
    assert_eq!(
        read(&train, "department"),
        ["GROCERY", "DRUG GM", "GROCERY", "DRUG GM"]
    );
    // Of household 2 nothing is known, and of household 3 no age: a category of its own.
    assert_eq!(read(&train, "age"), ["65+", "65+", "", ""]);
    assert_eq!(read(&validation, "age"), [""]);
    assert_eq!(read(&validation, "household_id"), ["?"]);
    assert_eq!(read(&train, "weekday"), ["7"; 4]);
    assert_eq!(read(&train, "hour"), ["11"; 4]);
    assert_eq!(
        [train.num_rows, validation.num_rows, test.num_rows],
        [4, 1, 1]
    );
    let mut notices = Notices::default();
    let reference = DatasetRef::new("complete-journey");
    prepare(&reference, &dataset.places(), &mut notices).unwrap();
    let said = notices.0.join("\n");
    assert!(said.contains("the filter left out 4 of 10 rows"), "{said}");
    // What is paid, saved and taken is no input, nor is the week.
    assert!(schema.numeric.is_empty() && schema.lists.is_empty());
    for name in schema.categorical.iter().map(|feature| &feature.name) {
        for label in ["quantity", "sales", "disc", "week ", "basket"] {
            assert!(!name.contains(label), "{name}");
        }
    }
}

use super::*;
use arrow::array::{ArrayRef, AsArray, Float32Array};
use arrow::datatypes::{DataType, Float16Type};
use std::sync::Arc;

fn plan() -> SplitPlan {
    SplitPlan::Files {
        train: vec![0],
        holdout: vec![1],
        validation_fraction: 0.5,
        seed: 7,
    }
}

/// One row whose columns have one value.
struct One(Values);

impl Dividing for One {
    fn dividing_values(&self, _: usize, _: Reading) -> Result<Values, RowFault> {
        Ok(self.0.clone())
    }
    fn dividing_texts(&self, _: usize) -> Result<Vec<Vec<u8>>, RowFault> {
        Ok(vec![self.0.text(0).into_bytes()])
    }
}

fn split_with(
    assignment: &Assignment,
    side: Side,
    row: u64,
    value: Values,
) -> Result<Option<usize>, RowFault> {
    let split = assignment.splits(side, &[row], &One(value), None)?[0];
    Ok(assignment
        .is_in_use(side, row)
        .then_some(usize::from(split)))
}

fn split(assignment: &Assignment, side: Side, row: u64) -> Option<usize> {
    split_with(assignment, side, row, Values::Null(1)).unwrap()
}

fn counted(assignment: &Assignment, num_rows: [u64; 2]) -> [u64; 3] {
    let mut counts = [0; 3];
    for (side, rows) in [Side::Train, Side::Holdout].into_iter().zip(num_rows) {
        for row in 0..rows {
            if let Some(split) = split(assignment, side, row) {
                counts[split] += 1;
            }
        }
    }
    counts
}

#[test]
fn the_held_out_file_is_halved_exactly_and_not_in_order() {
    let assignment = Assignment::new(&plan(), [10, 99_763], RowSubset::All);
    assert_eq!(counted(&assignment, [10, 99_763]), [10, 49_882, 49_881]);
    let first: u64 = (0..1000)
        .filter(|row| split(&assignment, Side::Holdout, *row) == Some(VALIDATION))
        .count() as u64;
    assert!((400..600).contains(&first), "{first}");
}

#[test]
fn a_subset_has_exactly_the_rows_asked_for_and_stays_in_its_splits() {
    let rows = [20_000, 10_000];
    let all = Assignment::new(&plan(), rows, RowSubset::All);
    let some = Assignment::new(&plan(), rows, RowSubset::TrainRows(2_500));
    assert_eq!(counted(&some, rows), [2_500, 625, 625]);
    for row in 0..rows[1] {
        let found = split(&some, Side::Holdout, row);
        assert!(found.is_none() || found == split(&all, Side::Holdout, row));
    }
}

#[test]
fn a_larger_subset_holds_the_smaller_one() {
    let rows = [5_000, 10];
    let small = Assignment::new(&plan(), rows, RowSubset::Fraction(0.1));
    let large = Assignment::new(&plan(), rows, RowSubset::Fraction(0.3));
    for row in 0..rows[0] {
        assert!(
            split(&small, Side::Train, row).is_none() || split(&large, Side::Train, row).is_some()
        );
    }
}

#[test]
fn a_tiny_subset_leaves_no_split_empty() {
    let assignment = Assignment::new(&plan(), [100, 100], RowSubset::TrainRows(1));
    assert_eq!(counted(&assignment, [100, 100]), [1, 1, 1]);
}

#[test]
fn a_split_by_time_follows_the_column_and_refuses_what_is_no_number() {
    let by = |validation_from, test_from| SplitPlan::Time {
        files: vec![0],
        column: 3,
        validation_from,
        test_from,
    };
    let plan = by(SplitLimit::Integer(20), SplitLimit::Float(30.5));
    let assignment = Assignment::new(&plan, [0, 100], RowSubset::All);
    let of = |value: f64| {
        split_with(
            &assignment,
            Side::Mixed,
            7,
            Values::Float(vec![value].into()),
        )
        .unwrap()
    };
    assert_eq!(
        [19.0, 20.0, 30.5].map(of),
        [Some(TRAIN), Some(VALIDATION), Some(TEST)]
    );
    let day = |day: i128| 86_400_000_000_000 * day;
    let limit = |at: i128| SplitLimit::Time {
        time: day(at),
        written: String::new(),
        unit: None,
    };
    let plan = by(limit(10), limit(11));
    let assignment = Assignment::new(&plan, [0, 100], RowSubset::All);
    let of =
        |time: Option<i128>| split_with(&assignment, Side::Mixed, 7, Values::from_times([time]));
    assert_eq!(of(Some(day(10) - 1)), Ok(Some(TRAIN)));
    assert_eq!(of(Some(day(10))), Ok(Some(VALIDATION)));
    assert_eq!(of(Some(day(3_000_000))), Ok(Some(TEST)));
    assert_eq!(of(None).unwrap_err().expected, bad_row::A_TIME);
}

#[test]
fn integers_are_compared_exactly_and_units_are_not_mixed() {
    let by = |validation_from, test_from| SplitPlan::Time {
        files: vec![0],
        column: 0,
        validation_from: SplitLimit::Integer(validation_from),
        test_from: SplitLimit::Integer(test_from),
    };
    let of = |plan: &SplitPlan, value: i64| {
        let assignment = Assignment::new(plan, [0, 100], RowSubset::All);
        split_with(
            &assignment,
            Side::Mixed,
            7,
            Values::Integer(vec![value].into()),
        )
    };
    // All three are one number of 64 bits.
    let snowflakes = by(1_511_111_111_111_111_380, 1_511_111_111_111_111_420);
    assert_eq!(of(&snowflakes, 1_511_111_111_111_111_379), Ok(Some(TRAIN)));
    assert_eq!(
        of(&snowflakes, 1_511_111_111_111_111_419),
        Ok(Some(VALIDATION))
    );
    assert_eq!(of(&snowflakes, 1_511_111_111_111_111_420), Ok(Some(TEST)));
    let seconds = by(1_650_067_200, 1_650_153_600);
    assert_eq!(of(&seconds, 1_650_000_000), Ok(Some(TRAIN)));
    let found = of(&seconds, 1_649_462_400_000).unwrap_err().found;
    assert_eq!(found, "1649462400000, which looks like milliseconds");
}

#[test]
fn a_split_by_hash_keeps_a_users_rows_together_in_about_the_shares_asked_for() {
    let by = |column| SplitPlan::Hash {
        files: vec![0],
        column,
        validation_fraction: 0.2,
        test_fraction: 0.1,
        seed: 5,
    };
    for column in [None, Some(0)] {
        let assignment = Assignment::new(&by(column), [0, 10_000], RowSubset::All);
        let mut counts = [0; 3];
        for row in 0..10_000u64 {
            let user = Values::Text(vec![row.to_string()].into());
            let split = split_with(&assignment, Side::Mixed, row, user);
            counts[split.unwrap().unwrap()] += 1;
        }
        assert!((6_850..7_150).contains(&counts[TRAIN]), "{counts:?}");
        assert!((850..1_150).contains(&counts[TEST]), "{counts:?}");
    }
    let assignment = Assignment::new(&by(Some(0)), [0, 10], RowSubset::All);
    let of = |row, user: Option<&str>| {
        split_with(
            &assignment,
            Side::Mixed,
            row,
            Values::Text(vec![user].into()),
        )
        .unwrap()
    };
    assert!((0..100).all(|row| of(row, Some("ann")) == of(0, Some("ann"))));
    // Rows of nobody are no group.
    assert!((0..100).any(|row| of(row, None) != of(0, None)));
}

#[test]
fn a_number_of_few_bits_is_from_the_limit_that_it_was_rounded_from() {
    let values = Values::Float32(vec![4.0f32, 4.1, 4.2, 16_777_217.0].into());
    for (limit, expected) in [
        (4.1, [false, true, true, true]),
        (4.2, [false, false, true, true]),
    ] {
        let found = from_limit(&values, &SplitLimit::Float(limit));
        assert_eq!(found, expected, "{limit}");
    }
    // 2^24 + 1 is 2^24 in 32 bits, on both sides.
    assert!(from_limit(&values, &SplitLimit::Integer(16_777_217))[3]);
    assert!(!from_limit(&values, &SplitLimit::Integer(16_777_218))[3]);
    // By numpy, float16(0.1) is 0.099976 and float16(0.3) is 0.300049, and each is equal to the limit rounded so.
    let halves: ArrayRef = Arc::new(Float32Array::from(vec![0.05, 0.1, 0.2, 0.3]));
    let halves = arrow::compute::cast(&halves, &DataType::Float16).unwrap();
    let halves = Values::Float16(halves.as_primitive::<Float16Type>().clone());
    for (limit, expected) in [
        (0.1, [false, true, true, true]),
        (0.3, [false, false, false, true]),
    ] {
        let found = from_limit(&halves, &SplitLimit::Float(limit));
        assert_eq!(found, expected, "{limit}");
    }
}

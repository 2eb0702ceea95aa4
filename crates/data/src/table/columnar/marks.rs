//! Marks of missing values in columns whose file knows their types: read once as values of the column's own type, and compared
//! exactly. Whatever uses the column afterwards finds nothing in their place.

use super::super::raw_columns::ColumnRule;
use super::decode::{is_text, item_of};
use crate::expression::values::{DECIMAL_DIGITS, Half, scale_of};
use crate::timeline::{self, TimeRule};
use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Float16Type, Float32Type, Float64Type, Int64Type, TimeUnit,
};
use arrow::error::ArrowError;
use std::sync::Arc;

/// An array without the values that the column's marks stand for; texts are compared with marks where they are read.
pub(super) fn without_marks(array: &ArrayRef, rule: &ColumnRule) -> Result<ArrayRef, ArrowError> {
    if rule.missing.is_empty() {
        return Ok(array.clone());
    }
    if let Some(item) = item_of(array.data_type()) {
        return match has_texts(item) {
            true => Ok(array.clone()),
            false => items_without_marks(array, item, rule),
        };
    }
    match array.data_type() {
        found if has_texts(found) || !is_text(found) => Ok(array.clone()),
        DataType::Dictionary(_, values) => without_marks(&cast(array, values)?, rule),
        _ => match is_mark(array, rule)? {
            Some(marked) if marked.contains(&true) => {
                let rows = marked.iter().zip(0u32..);
                let kept: UInt32Array = rows
                    .map(|(is_mark, row)| (!is_mark).then_some(row))
                    .collect();
                take(array, &kept, None)
            }
            _ => Ok(array.clone()),
        },
    }
}

fn has_texts(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => has_texts(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        _ => false,
    }
}

/// Lists without the items that are marks.
fn items_without_marks(
    array: &ArrayRef,
    item: &DataType,
    rule: &ColumnRule,
) -> Result<ArrayRef, ArrowError> {
    let list = DataType::List(Arc::new(Field::new("item", item.clone(), true)));
    let lists = super::plain_arrays::trimmed(cast(array, &list)?.as_list::<i32>());
    let values = without_marks(lists.values(), rule)?;
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    Ok(Arc::new(ListArray::new(
        field,
        lists.offsets().clone(),
        values,
        lists.nulls().cloned(),
    )))
}

/// By row, whether its value is a mark; nothing where no mark is a value of the type.
fn is_mark(array: &ArrayRef, rule: &ColumnRule) -> Result<Option<Vec<bool>>, ArrowError> {
    let texts = rule.missing.iter();
    Ok(match array.data_type() {
        DataType::Boolean => {
            let marks: Vec<bool> = texts.filter_map(|mark| mark.parse().ok()).collect();
            equal(array.as_boolean().iter(), &marks)
        }
        // As the literal 0.1 is in such a column: its nearest number of so many bits.
        DataType::Float16 => {
            let marks: Vec<Half> = texts
                .filter_map(|mark| mark.parse().ok().map(Half::from_f64))
                .collect();
            equal(array.as_primitive::<Float16Type>().iter(), &marks)
        }
        DataType::Float32 => {
            let marks: Vec<f32> = texts.filter_map(|mark| mark.parse().ok()).collect();
            equal(array.as_primitive::<Float32Type>().iter(), &marks)
        }
        DataType::Float64 => {
            let marks: Vec<f64> = texts.filter_map(|mark| mark.parse().ok()).collect();
            equal(array.as_primitive::<Float64Type>().iter(), &marks)
        }
        found if found.is_integer() || found.is_decimal() => {
            let scale = match found {
                DataType::Decimal32(_, scale)
                | DataType::Decimal64(_, scale)
                | DataType::Decimal128(_, scale)
                | DataType::Decimal256(_, scale) => *scale,
                _ => 0,
            };
            let wide = cast(array, &DataType::Decimal128(DECIMAL_DIGITS, scale))?;
            let wide = wide.as_primitive::<Decimal128Type>();
            let scale = scale_of(wide);
            let marks = texts.filter_map(|mark| exact(mark));
            let marks: Vec<(i128, i32)> = marks.collect();
            let values = wide.iter();
            equal(
                values.map(|value| Some(shortest(value?, scale.into()))),
                &marks,
            )
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let marks: Vec<i128> = texts
                .filter_map(|mark| point(mark, rule, array.data_type()))
                .collect();
            let (counts, size) = counted(array)?;
            let counts = counts.as_primitive::<Int64Type>();
            equal(
                counts.iter().map(|count| Some(i128::from(count?) * size)),
                &marks,
            )
        }
        _ => None,
    })
}

fn equal<T: PartialEq>(values: impl Iterator<Item = Option<T>>, marks: &[T]) -> Option<Vec<bool>> {
    (!marks.is_empty()).then(|| {
        values
            .map(|value| value.is_some_and(|value| marks.contains(&value)))
            .collect()
    })
}

/// The counts of an array of times since 1970, and the nanoseconds of one.
fn counted(array: &ArrayRef) -> Result<(ArrayRef, i128), ArrowError> {
    let day = 86_400 * timeline::nanoseconds_of(TimeUnit::Second);
    let (array, size) = match array.data_type() {
        DataType::Date32 => (cast(array, &DataType::Int32)?, day),
        DataType::Timestamp(unit, _) => (array.clone(), timeline::nanoseconds_of(*unit)),
        _ => (
            array.clone(),
            timeline::nanoseconds_of(TimeUnit::Millisecond),
        ),
    };
    Ok((cast(&array, &DataType::Int64)?, size))
}

/// A mark as a time of the file: as the column's format has it or as ISO 8601 has it. A file without zones has what clocks show.
fn point(mark: &str, rule: &ColumnRule, found: &DataType) -> Option<i128> {
    let has_zone = matches!(found, DataType::Timestamp(_, Some(_)));
    let as_column = TimeRule {
        unit: None,
        is_date: false,
        ..rule.time_rule()
    };
    let iso = TimeRule {
        format: None,
        ..as_column.clone()
    };
    let read = |zone| {
        let parsed = [&as_column, &iso].map(|rule| {
            let rule = TimeRule {
                zone,
                ..rule.clone()
            };
            rule.parse(mark).ok()
        });
        parsed.into_iter().flatten().next()
    };
    match (as_column.zone, has_zone) {
        (Some(zone), true) => read(Some(zone)).map(|(time, _)| time),
        (Some(zone), false) => {
            let (time, names_zone) = read(None)?;
            // What clocks of the column's zone show then.
            Some(if names_zone {
                timeline::shown_in(time, zone)?
            } else {
                time
            })
        }
        (None, _) => read(None).map(|(time, _)| time),
    }
}

/// A number in digits, exactly: its digits without zeros at the end, and its places behind the point.
fn exact(text: &str) -> Option<(i128, i32)> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    Some(shortest(digits, places))
}

/// The one way to write digits and places: no zero at the end.
fn shortest(mut digits: i128, mut places: i32) -> (i128, i32) {
    if digits == 0 {
        return (0, 0);
    }
    while digits % 10 == 0 {
        digits /= 10;
        places -= 1;
    }
    (digits, places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float16Array, Float32Array,
        Float64Array, Int8Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
    };
    use arrow::datatypes::Int8Type;

    fn nulls(array: ArrayRef, marks: &[&str]) -> Vec<bool> {
        let rule = ColumnRule {
            missing: marks.iter().map(|mark| (*mark).to_owned()).collect(),
            ..ColumnRule::default()
        };
        let found = without_marks(&array, &rule).unwrap();
        assert_eq!(found.len(), array.len());
        (0..found.len()).map(|row| found.is_null(row)).collect()
    }

    /// Beside each array what `nullif(column, mark)` of DuckDB is null on.
    #[test]
    fn marks_are_values_of_the_type_and_compared_exactly() {
        let big = 1i64 << 53;
        let decimals = |scale| {
            let values = Decimal128Array::from(vec![Some(-100), Some(200), None]);
            Arc::new(values.with_precision_and_scale(12, scale).unwrap())
        };
        let halves = [0.1f64, 0.2].map(Half::from_f64);
        let dictionary: DictionaryArray<Int8Type> = DictionaryArray::new(
            Int8Array::from(vec![1, 0, 1]),
            Arc::new(Float32Array::from(vec![-99.9f32, 2.0])),
        );
        // 2022-03-01 and 1970-01-01.
        let days = Arc::new(Date32Array::from(vec![19_052, 0]));
        let times = TimestampMicrosecondArray::from(vec![0, 1, 500_000]);
        for (array, marks, expected) in [
            (
                Arc::new(Float32Array::from(vec![-99.9f32, 2.0])) as ArrayRef,
                &["-99.9"][..],
                &[true, false][..],
            ),
            (
                Arc::new(Float64Array::from(vec![-99.9, -99.900_000_1])),
                &["-99.90"],
                &[true, false],
            ),
            (
                Arc::new(Float16Array::from(halves.to_vec())),
                &["0.1"],
                &[true, false],
            ),
            (
                Arc::new(Int64Array::from(vec![big, big + 1, big + 2])),
                &["9007199254740993"],
                &[false, true, false],
            ),
            (
                Arc::new(UInt64Array::from(vec![u64::MAX, 5])),
                &["18446744073709551615"],
                &[true, false],
            ),
            (
                Arc::new(Int64Array::from(vec![-1, 10])),
                &["-1.0", "1e1"],
                &[true, true],
            ),
            (
                Arc::new(Int64Array::from(vec![-1, 1])),
                &["-1.5", "NA", ""],
                &[false, false],
            ),
            (decimals(2), &["-1"], &[true, false, true]),
            (decimals(2), &["2.004"], &[false, false, true]),
            (decimals(-2), &["20000"], &[false, true, true]),
            (
                Arc::new(BooleanArray::from(vec![true, false])),
                &["false", "1"],
                &[false, true],
            ),
            (Arc::new(dictionary), &["-99.9"], &[false, true, false]),
            (days, &["1970-01-01"], &[false, true]),
            (
                Arc::new(times.clone()),
                &["1970-01-01T00:00:00.5"],
                &[false, false, true],
            ),
            (
                Arc::new(times.with_timezone("+02:00")),
                &["1970-01-01 01:00:00.000001+01:00"],
                &[false, true, false],
            ),
            (Arc::new(StringArray::from(vec!["-1"])), &["-1"], &[false]),
        ] {
            assert_eq!(nulls(array.clone(), marks), expected, "{array:?} {marks:?}");
        }
    }

    #[test]
    fn items_of_lists_and_clocks_of_zones_have_marks_too() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), Some(-1)]),
            None,
            Some(vec![Some(-1)]),
        ]);
        let rule = ColumnRule {
            missing: vec!["-1".to_owned()],
            ..ColumnRule::default()
        };
        let found = without_marks(&(Arc::new(lists) as ArrayRef), &rule).unwrap();
        let found = found.as_list::<i32>();
        assert!(found.is_null(1));
        let items: Vec<Option<i64>> = found.values().as_primitive::<Int64Type>().iter().collect();
        assert_eq!(items, [Some(1), None, None]);
        // Clocks of Berlin show 1970-01-01T00:00:00 one hour before UTC does, and the file has what they show.
        let rule = ColumnRule {
            declared: Some(crate::expression::ColumnType::Time(TimeRule {
                zone: Some("Europe/Berlin".parse().unwrap()),
                ..TimeRule::default()
            })),
            missing: vec!["1970-01-01".to_owned(), "1970-01-01T00:00:01Z".to_owned()],
            ..ColumnRule::default()
        };
        let array = TimestampMicrosecondArray::from(vec![0, 3_601_000_000, 1_000_000]);
        let found = without_marks(&(Arc::new(array) as ArrayRef), &rule).unwrap();
        let nulls: Vec<bool> = (0..3).map(|row| found.is_null(row)).collect();
        assert_eq!(nulls, [true, true, false]);
    }
}

//! Values of a column as another type, and without those that its marks stand for.

use super::ColumnRule;
use crate::expression::values::compare_decimals;
use crate::expression::{ColumnType, Reading, RowFault, Values, boolean};
use crate::table::number_column::NumberColumn;
use crate::table::text_kinds::TextKind;
use crate::table::{bad_row, columnar, parse_rows};
use crate::timeline::{self, TimeRule};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Float16Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimeUnit, UInt64Type,
};

/// Largest size up to which every integer is a number of 64 bits: 2 to the power of 53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The first row of an array of times that is no time but the end of all, as DuckDB writes it.
pub(in crate::table) fn infinite_time(array: &ArrayRef) -> Option<usize> {
    let most = match array.data_type() {
        DataType::Date32 => i64::from(i32::MAX),
        DataType::Timestamp(..) => i64::MAX,
        _ => return None,
    };
    let counts = match array.data_type() {
        DataType::Date32 => cast(&cast(array, &DataType::Int32).ok()?, &DataType::Int64),
        _ => cast(array, &DataType::Int64),
    };
    let counts = counts.ok()?;
    let mut counts = counts.as_primitive::<Int64Type>().iter();
    counts.position(|count| count.is_some_and(|count| count == most || count == -most))
}

/// Whether values of this type are times or days.
pub(super) fn is_time(data_type: &DataType) -> bool {
    match data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        DataType::Dictionary(_, values) => is_time(values),
        DataType::RunEndEncoded(_, values) => is_time(values.data_type()),
        _ => false,
    }
}

/// A time as a count of a unit since 1970.
pub(super) fn count(time: i128, unit: TimeUnit) -> String {
    let size = timeline::nanoseconds_of(unit);
    match time % size {
        0 => (time / size).to_string(),
        _ => (time as f64 / size as f64).to_string(),
    }
}

/// True or false as columns have it; yes and no are texts, which a label names.
pub(super) fn boolean_text(text: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(text).ok()?;
    let is_word = matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "true" | "false" | "t" | "f"
    );
    match is_word {
        true => boolean(text),
        false => match text.parse::<f64>() {
            Ok(0.0) => Some(false),
            Ok(1.0) => Some(true),
            _ => None,
        },
    }
}

/// Why an array can't be read.
#[derive(Debug)]
pub(in crate::table) enum Unreadable {
    /// A value of this row: what was expected, and what was found.
    Value {
        row: usize,
        expected: String,
        found: String,
    },
    Array(arrow::error::ArrowError),
}

impl From<arrow::error::ArrowError> for Unreadable {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Array(error)
    }
}

/// The times of a file, where those without a zone are what clocks of the column's zone show.
fn times(
    counts: impl Iterator<Item = Option<i128>>,
    has_zone: bool,
    rule: &ColumnRule,
) -> Result<Values, Unreadable> {
    let time_rule = rule.time_rule();
    if has_zone || time_rule.zone.is_none() {
        return Ok(Values::from_times(counts));
    }
    let mut times = Vec::new();
    for (row, shown) in counts.enumerate() {
        times.push(match shown {
            None => None,
            Some(shown) => {
                let time = time_rule.of_clock(shown);
                Some(time.map_err(|expected| Unreadable::Value {
                    row,
                    expected,
                    found: timeline::text(shown),
                })?)
            }
        });
    }
    Ok(Values::from_times(times))
}

/// The values of an array of a file that knows its types.
pub(in crate::table) fn native(
    array: &ArrayRef,
    reading: Reading,
    rule: &ColumnRule,
) -> Result<Values, Unreadable> {
    let time = |unit: TimeUnit, array: &ArrayRef, has_zone: bool| -> Result<Values, Unreadable> {
        let counts = cast(array, &DataType::Int64)?;
        let counts = counts.as_primitive::<Int64Type>();
        let size = timeline::nanoseconds_of(unit);
        let points = counts.iter().map(|count| Some(i128::from(count?) * size));
        // Numbers that count as the file does, where nobody asked for a unit.
        if reading == Reading::Number && rule.time_rule().unit.is_none() {
            if has_zone || rule.time_rule().zone.is_none() {
                return Ok(Values::Integer(counts.clone()));
            }
            let Values::Time(times) = times(points, has_zone, rule)? else {
                return Ok(Values::Null(counts.len()));
            };
            return Ok(parse_rows::integers(
                times.iter().map(|time| Some(time?.div_euclid(size))),
            ));
        }
        times(points, has_zone, rule)
    };
    Ok(match array.data_type() {
        DataType::Dictionary(_, values) => return native(&cast(array, values)?, reading, rule),
        DataType::RunEndEncoded(_, values) => {
            return native(&cast(array, values.data_type())?, reading, rule);
        }
        DataType::Null => Values::Null(array.len()),
        DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().iter();
            let values: Vec<Option<u64>> = values.collect();
            let is_short =
                |value: &Option<u64>| value.is_none_or(|value| i64::try_from(value).is_ok());
            match values.iter().all(is_short) {
                true => Values::Integer(
                    values
                        .into_iter()
                        .map(|value| Some(value? as i64))
                        .collect(),
                ),
                false => Values::Decimal(crate::expression::values::decimals(
                    values.into_iter().map(|value| Some(i128::from(value?))),
                    0,
                )),
            }
        }
        found if found.is_integer() => {
            let integers = cast(array, &DataType::Int64)?;
            Values::Integer(integers.as_primitive::<Int64Type>().clone())
        }
        DataType::Float16 => Values::Float16(array.as_primitive::<Float16Type>().clone()),
        DataType::Float32 => Values::Float32(array.as_primitive::<Float32Type>().clone()),
        DataType::Float64 => Values::Float(array.as_primitive::<Float64Type>().clone()),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            let wide = DataType::Decimal128(crate::expression::values::DECIMAL_DIGITS, *scale);
            let options = arrow::compute::CastOptions {
                safe: false,
                ..Default::default()
            };
            let decimals = arrow::compute::cast_with_options(array, &wide, &options)?;
            Values::Decimal(decimals.as_primitive::<Decimal128Type>().clone())
        }
        DataType::Date32 => {
            let days = cast(array, &DataType::Int32)?;
            let days = days.as_primitive::<Int32Type>();
            if reading == Reading::Number && rule.time_rule().unit.is_none() {
                return Ok(Values::Integer(
                    days.iter().map(|day| Some(i64::from(day?))).collect(),
                ));
            }
            let day = 86_400 * timeline::nanoseconds_of(TimeUnit::Second);
            let points = days.iter().map(|days| Some(i128::from(days?) * day));
            match rule.time_rule().zone {
                None => Values::from_days(points),
                // Midnight by the clocks of a zone that the description names.
                Some(_) => times(points, false, rule)?,
            }
        }
        DataType::Date64 => time(TimeUnit::Millisecond, array, false)?,
        DataType::Timestamp(unit, zone) => time(*unit, array, zone.is_some())?,
        _ => {
            let texts = columnar::texts(array)?;
            let text = |text: Option<&str>| {
                let text = text.filter(|text| !rule.text(text.as_bytes()).is_empty());
                text.map(str::to_owned)
            };
            Values::Text(texts.iter().map(text).collect())
        }
    })
}

/// Values as they are asked for; `is_file` for those of a file, whose texts become numbers only where the description says so.
pub(in crate::table) fn convert(
    values: Values,
    reading: Reading,
    rule: &ColumnRule,
    is_file: bool,
) -> Result<Values, RowFault> {
    let fault = |row: usize, expected: &str| RowFault {
        row,
        column: None,
        expected: expected.to_owned(),
        found: values.text(row),
    };
    Ok(match (reading, &values) {
        (_, Values::Null(_)) | (Reading::Raw | Reading::Same, _) => values,
        // Texts beside numbers, times and conditions are read as such, so these stay what they are.
        (Reading::Text, Values::Time(_) | Values::Boolean(_)) if is_file => values,
        (Reading::Text, _) => match rule.declared {
            Some(ColumnType::Text) => Values::Text(values.texts()),
            _ => values,
        },
        (Reading::Ordered, Values::Text(_)) => {
            let as_read = |reading| convert(values.clone(), reading, rule, is_file);
            match rule.kind {
                Some(TextKind::Time) => as_read(Reading::Time)?,
                Some(_) => as_read(Reading::Number)?,
                // Numbers where all are; else times, of which the first that is none is told.
                None => match as_read(Reading::Number) {
                    Ok(numbers) => numbers,
                    Err(number) => as_read(Reading::Time).map_err(|time| {
                        let is_time = time.row > number.row;
                        if is_time { time } else { number }
                    })?,
                },
            }
        }
        (Reading::Ordered, Values::Time(_)) => {
            convert(values.clone(), Reading::Time, rule, is_file)?
        }
        // False comes before true, and the greatest of conditions is one.
        (Reading::Ordered, Values::Boolean(_)) => values,
        (Reading::Ordered, _) => convert(values.clone(), Reading::Number, rule, is_file)?,
        (Reading::Number, Values::Boolean(array)) => {
            let numbers = array.iter().map(|value| Some(i64::from(value?)));
            Values::Integer(numbers.collect::<Int64Array>())
        }
        (Reading::Number, Values::Text(array)) => {
            let mut numbers = NumberColumn::default();
            for (row, text) in array.iter().enumerate() {
                match text {
                    None => numbers.push_nothing(),
                    Some(text) => numbers
                        .push(text.as_bytes(), rule.declared.as_ref())
                        .map_err(|expected| fault(row, expected))?,
                }
            }
            of_kind(&numbers, rule)?
        }
        (Reading::Number, Values::Integer(_) | Values::Decimal(_))
            if rule.kind == Some(TextKind::Float) =>
        {
            let is_exact = |row: &usize| {
                let number = values.number(*row);
                let is_same = |exact| compare_decimals(exact, (number as i128, 0));
                rule.is_float()
                    || number.abs() < EXACT
                    || values.exact(*row).and_then(is_same) == Some(std::cmp::Ordering::Equal)
            };
            let is_there = |row: &usize| !values.is_null(*row);
            let mut rows = (0..values.num_rows()).filter(is_there);
            match rows.find(|row| !is_exact(row)) {
                Some(row) => return Err(fault(row, bad_row::EXACT_INTEGER)),
                None => Values::Float(
                    (0..values.num_rows())
                        .map(|row| is_there(&row).then(|| values.number(row)))
                        .collect(),
                ),
            }
        }
        (Reading::Number, Values::Time(array)) => {
            let unit = rule.time_rule().unit.unwrap_or(TimeUnit::Second);
            let size = timeline::nanoseconds_of(unit);
            match array.iter().flatten().all(|time| time % size == 0) {
                true => parse_rows::integers(array.iter().map(|time| Some(time? / size))),
                false => Values::Float(
                    array
                        .iter()
                        .map(|time| Some(time? as f64 / size as f64))
                        .collect(),
                ),
            }
        }
        (Reading::Number, Values::Float(_) | Values::Float32(_) | Values::Float16(_))
            if rule.declared == Some(ColumnType::Integer) =>
        {
            let is_whole = |row: &usize| values.is_null(*row) || values.number(*row).fract() == 0.0;
            match (0..values.num_rows()).find(|row| !is_whole(row)) {
                Some(row) => return Err(fault(row, "an integer")),
                None => parse_rows::integers(
                    (0..values.num_rows())
                        .map(|row| (!values.is_null(row)).then(|| values.number(row) as i128)),
                ),
            }
        }
        (Reading::Number, _) => values,
        (Reading::Boolean, Values::Boolean(_)) => values,
        (Reading::Boolean, _) => {
            let mut conditions = Vec::with_capacity(values.num_rows());
            for row in 0..values.num_rows() {
                let value = match values.is_null(row) {
                    true => None,
                    false => Some(
                        boolean_text(values.text(row).as_bytes())
                            .ok_or_else(|| fault(row, bad_row::ZERO_OR_ONE))?,
                    ),
                };
                conditions.push(value);
            }
            Values::Boolean(BooleanArray::from(conditions))
        }
        (Reading::Time, Values::Time(times)) => match rule.time_rule().is_date {
            true => Values::from_days(
                times
                    .iter()
                    .map(|time| Some(rule.time_rule().day_of(time?))),
            ),
            false => values,
        },
        (Reading::Time, Values::Text(array)) => {
            let time_rule = rule.time_rule();
            let mut times = Vec::with_capacity(array.len());
            for (row, text) in array.iter().enumerate() {
                let time = match text {
                    None => None,
                    Some(text) => match time_rule.parse(text) {
                        Ok((time, _)) => Some(time),
                        Err(expected) => return Err(fault(row, &expected)),
                    },
                };
                times.push(time);
            }
            of_rule(times, &time_rule)
        }
        (Reading::Time, _) => {
            let written = rule.time_rule();
            let has_rule = written.unit.is_some() || written.format.is_some();
            if !has_rule {
                let row = (0..values.num_rows()).find(|row| !values.is_null(*row));
                return match row {
                    Some(row) => Err(fault(
                        row,
                        "a time such as 2022-04-08 or 2022-04-08T12:00:00",
                    )),
                    None => Ok(Values::Null(values.num_rows())),
                };
            }
            let mut times = Vec::with_capacity(values.num_rows());
            for row in 0..values.num_rows() {
                times.push(match values.is_null(row) {
                    true => None,
                    false => match written.parse(&values.text(row)) {
                        Ok((time, _)) => Some(time),
                        Err(expected) => return Err(fault(row, &expected)),
                    },
                });
            }
            of_rule(times, &written)
        }
    })
}

/// A column of numbers as its kind is.
///
/// # Errors
/// The first row that is not of the kind.
pub(super) fn of_kind(numbers: &NumberColumn, rule: &ColumnRule) -> Result<Values, RowFault> {
    let fault = |row: usize, expected: &str| RowFault {
        row,
        column: None,
        expected: expected.to_owned(),
        found: numbers.digits(row),
    };
    // Of new rows: those of training had no such number.
    if let (Some(TextKind::Integer), Some(row)) = (rule.kind, numbers.first_float()) {
        return Err(fault(row, bad_row::AN_INTEGER_AS_IN_TRAINING));
    }
    let (values, inexact) = numbers.finish(rule.kind == Some(TextKind::Float));
    match inexact.filter(|_| !rule.is_float()) {
        Some(row) => Err(fault(row, bad_row::EXACT_INTEGER)),
        None => Ok(values),
    }
}

fn of_rule(times: Vec<Option<i128>>, rule: &TimeRule) -> Values {
    match rule.is_date {
        true => Values::from_days(times),
        false => Values::from_times(times),
    }
}

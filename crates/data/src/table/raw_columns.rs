//! The fields of a piece that are computed with: kept as they are read, then given as the values that are asked for.

use super::number_column::NumberColumn;
use super::row::Row;
use crate::expression::{ColumnType, Reading, RowFault, Values, boolean};
use crate::timeline::{self, TimeRule};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit, UInt64Type,
};
use std::cell::Cell;

/// What is known of a column of a file before its values are seen.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnRule {
    pub(super) declared: Option<ColumnType>,
    /// Texts that stand for nothing.
    pub(super) missing: Vec<String>,
    /// Whether its numbers and times may be missing.
    pub(super) may_be_missing: bool,
}

impl ColumnRule {
    /// A text of the column, empty where it is a mark for nothing.
    #[inline]
    pub(super) fn text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        match self.missing.iter().any(|mark| mark.as_bytes() == text) {
            true => b"",
            false => text,
        }
    }

    /// Whether the column has a type whose values have one text however the file spells them.
    pub(super) fn is_retyped(&self) -> bool {
        self.declared
            .as_ref()
            .is_some_and(|declared| *declared != ColumnType::Text)
    }

    fn has_mark(&self, wanted: &str) -> bool {
        self.missing
            .iter()
            .any(|mark| mark.eq_ignore_ascii_case(wanted))
    }

    fn time_rule(&self) -> TimeRule {
        match &self.declared {
            Some(ColumnType::Time(rule)) => rule.clone(),
            _ => TimeRule::default(),
        }
    }
}

/// Texts one after another.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }
}

/// What is kept of a column.
#[derive(Debug)]
struct RawColumn {
    column: usize,
    numbers: Option<NumberColumn>,
    texts: Option<Texts>,
}

/// Fields of the rows in use of a piece.
#[derive(Debug)]
pub(super) struct RawColumns<'a> {
    rules: &'a [ColumnRule],
    /// Columns of a file that knows their types.
    native: Option<Vec<Option<ArrayRef>>>,
    columns: Vec<RawColumn>,
    /// Index in the piece of each row.
    rows: Vec<u32>,
    /// NaN that were taken for nothing.
    num_nan: Cell<u64>,
}

/// Which of a file's columns are kept.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kept {
    pub(super) numbers: bool,
    pub(super) texts: bool,
    /// Texts even of a file that knows its types.
    pub(super) keys: bool,
}

impl<'a> RawColumns<'a> {
    /// Of a piece of a file whose columns have these rules; `kept` says by column what is kept of its fields.
    pub(super) fn new(
        rules: &'a [ColumnRule],
        kept: &[Kept],
        native: Option<Vec<Option<ArrayRef>>>,
    ) -> Self {
        let columns = kept.iter().enumerate().map(|(column, kept)| RawColumn {
            column,
            // A file that knows its types has the numbers by itself.
            numbers: (kept.numbers && native.is_none()).then(NumberColumn::default),
            texts: (kept.keys || (kept.texts && native.is_none())).then(Texts::default),
        });
        let columns = columns
            .filter(|column| column.numbers.is_some() || column.texts.is_some())
            .collect();
        Self {
            rules,
            native,
            columns,
            rows: Vec::new(),
            num_nan: Cell::new(0),
        }
    }

    /// Number of rows.
    pub(super) fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// Index in the piece of a row.
    pub(super) fn place(&self, row: usize) -> u64 {
        self.rows.get(row).map_or(0, |place| u64::from(*place))
    }

    /// NaN that were taken for nothing.
    pub(super) fn num_nan(&self) -> u64 {
        self.num_nan.get()
    }

    /// Keeps what is needed of the `index`-th row of the piece.
    ///
    /// # Errors
    /// A field that is no number.
    #[inline]
    pub(super) fn push<R: Row>(&mut self, index: u64, row: &R) -> Result<(), RowFault> {
        self.rows.push(index as u32);
        for kept in &mut self.columns {
            let rule = &self.rules[kept.column];
            let text = rule.text(row.text(kept.column));
            if let Some(texts) = &mut kept.texts {
                texts.push(text);
            }
            let Some(numbers) = &mut kept.numbers else {
                continue;
            };
            if text.is_empty() && rule.may_be_missing {
                numbers.push_nothing();
                continue;
            }
            let pushed = match &rule.declared {
                Some(ColumnType::Boolean) => match boolean_text(text) {
                    Some(value) => numbers.push(if value { b"1" } else { b"0" }, None),
                    None => Err("true or false"),
                },
                Some(ColumnType::Time(time)) => {
                    let text = String::from_utf8_lossy(text);
                    match time.parse(&text) {
                        Ok((point, _)) => {
                            let count = count(point, time.unit.unwrap_or(TimeUnit::Second));
                            numbers.push(count.as_bytes(), None)
                        }
                        Err(_) => Err("a time of the column's format"),
                    }
                }
                declared => numbers.push(text, declared.as_ref()),
            };
            pushed.map_err(|expected| RowFault {
                row: self.rows.len() - 1,
                column: Some(kept.column),
                expected: expected.to_owned(),
                found: String::from_utf8_lossy(text).into_owned(),
            })?;
        }
        Ok(())
    }

    /// The text of a row, where it was kept.
    pub(super) fn text(&self, column: usize, row: usize) -> &[u8] {
        let kept = self.columns.iter().find(|kept| kept.column == column);
        let texts = kept.and_then(|kept| kept.texts.as_ref());
        texts.expect("the column's texts are kept").get(row)
    }

    /// The values of a column.
    ///
    /// # Errors
    /// The first that can't be read so.
    pub(super) fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        let rule = &self.rules[column];
        // As the description has it, where it says so.
        let asked = reading;
        let reading = match (reading, &rule.declared) {
            (Reading::Raw, Some(declared)) => declared.reading(),
            (reading, _) => reading,
        };
        let found = |mut fault: RowFault| {
            fault.column = Some(column);
            fault
        };
        let values = match &self.native {
            Some(arrays) => self.native_values(&arrays[column], column, reading)?,
            None => {
                let kept = self.columns.iter().find(|kept| kept.column == column);
                let kept = kept.expect("what is computed with is kept");
                match (&kept.numbers, reading) {
                    (Some(numbers), Reading::Number) => {
                        let (values, inexact) = numbers.finish();
                        let is_float = rule.declared == Some(ColumnType::Float);
                        if let Some(row) = inexact.filter(|_| !is_float) {
                            return Err(RowFault {
                                row,
                                column: Some(column),
                                expected: "an integer below 2^53, since other rows have a point"
                                    .to_owned(),
                                found: String::from_utf8_lossy(self.field(kept, row)).into_owned(),
                            });
                        }
                        return Ok(values);
                    }
                    _ => {
                        let texts = kept.texts.as_ref().expect("its texts are kept");
                        let text = |row: usize| {
                            let text = texts.get(row);
                            (!text.is_empty()).then(|| String::from_utf8_lossy(text))
                        };
                        Values::Text((0..self.rows.len()).map(text).collect())
                    }
                }
            }
        };
        let values = convert(values, reading, rule, true).map_err(found)?;
        if matches!(asked, Reading::Number | Reading::Time | Reading::Ordered)
            && !rule.may_be_missing
            && let Some(row) = (0..values.num_rows()).find(|row| values.is_null(*row))
        {
            let expected = if reading != Reading::Time {
                "a number"
            } else {
                "a time"
            };
            return Err(RowFault {
                row,
                column: Some(column),
                expected: expected.to_owned(),
                found: String::new(),
            });
        }
        Ok(values)
    }

    fn field<'b>(&'b self, kept: &'b RawColumn, row: usize) -> &'b [u8] {
        kept.texts.as_ref().map_or(b"", |texts| texts.get(row))
    }

    fn native_values(
        &self,
        array: &Option<ArrayRef>,
        column: usize,
        reading: Reading,
    ) -> Result<Values, RowFault> {
        let array = array.as_ref().expect("what is computed with is read");
        let array = match self.rows.len() == array.len() {
            true => array.clone(),
            false => {
                let rows = UInt32Array::from(self.rows.clone());
                take(array, &rows, None).expect("rows are those of the piece")
            }
        };
        let rule = &self.rules[column];
        let fault = |row, expected: &str, found: String| RowFault {
            row,
            column: Some(column),
            expected: expected.to_owned(),
            found,
        };
        let unreadable = |error: arrow::error::ArrowError| {
            fault(0, "values that can be read", error.to_string())
        };
        let array = without_marks(&array, rule).map_err(unreadable)?;
        if let Some(row) = infinite_time(&array) {
            return Err(fault(row, "a time", "infinity".to_owned()));
        }
        let values = native(&array, reading, rule).map_err(unreadable)?;
        self.without_nan(values, rule)
            .map_err(|(row, found)| fault(row, "a finite number", found))
    }

    /// NaN as nothing, where the column may have nothing.
    fn without_nan(&self, values: Values, rule: &ColumnRule) -> Result<Values, (usize, String)> {
        let number = |row: usize| (!values.is_null(row)).then(|| values.number(row));
        if !matches!(values, Values::Float(_) | Values::Float32(_)) {
            return Ok(values);
        }
        let mut num_nan = 0;
        for row in 0..values.num_rows() {
            match number(row) {
                Some(value) if value.is_nan() && (rule.may_be_missing || rule.has_mark("nan")) => {
                    num_nan += 1;
                }
                Some(value) if !value.is_finite() => return Err((row, value.to_string())),
                _ => {}
            }
        }
        if num_nan == 0 {
            return Ok(values);
        }
        self.num_nan.set(self.num_nan.get().max(num_nan));
        Ok(match values {
            Values::Float(array) => {
                let kept = array
                    .iter()
                    .map(|value| value.filter(|value| !value.is_nan()));
                Values::Float(kept.collect::<Float64Array>())
            }
            Values::Float32(array) => {
                let kept = array
                    .iter()
                    .map(|value| value.filter(|value| !value.is_nan()));
                Values::Float32(kept.collect::<Float32Array>())
            }
            other => other,
        })
    }
}

/// The first row of an array of times that is no time but the end of all, as DuckDB writes it.
fn infinite_time(array: &ArrayRef) -> Option<usize> {
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

/// An array without the numbers, times and conditions that the column's marks stand for; texts are compared with marks as texts.
fn without_marks(
    array: &ArrayRef,
    rule: &ColumnRule,
) -> Result<ArrayRef, arrow::error::ArrowError> {
    if rule.missing.is_empty() {
        return Ok(array.clone());
    }
    let values = native(array, Reading::Time, rule)?;
    let marks = rule.missing.iter();
    let is_mark: Box<dyn Fn(usize) -> bool> = match &values {
        Values::Null(_) | Values::Text(_) => return Ok(array.clone()),
        Values::Time(times) => {
            let written = TimeRule {
                unit: None,
                ..rule.time_rule()
            };
            let marks: Vec<i128> = marks
                .filter_map(|mark| written.parse(mark).ok().map(|(time, _)| time))
                .collect();
            Box::new(move |row| marks.contains(&times.value(row)))
        }
        Values::Boolean(_) => {
            let values = &values;
            Box::new(move |row| rule.missing.contains(&values.text(row)))
        }
        _ => {
            let marks: Vec<f64> = marks.filter_map(|mark| mark.parse().ok()).collect();
            let values = &values;
            Box::new(move |row| marks.contains(&values.number(row)))
        }
    };
    let kept: UInt32Array = (0..array.len())
        .map(|row| (!values.is_null(row) && !is_mark(row)).then_some(row as u32))
        .collect();
    take(array, &kept, None)
}

/// A time as a count of a unit since 1970.
fn count(time: i128, unit: TimeUnit) -> String {
    let size = timeline::nanoseconds_of(unit);
    match time % size {
        0 => (time / size).to_string(),
        _ => (time as f64 / size as f64).to_string(),
    }
}

/// True or false as columns have it; yes and no are texts, which a label names.
fn boolean_text(text: &[u8]) -> Option<bool> {
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

/// The values of an array of a file that knows its types.
fn native(
    array: &ArrayRef,
    reading: Reading,
    rule: &ColumnRule,
) -> Result<Values, arrow::error::ArrowError> {
    let time = |unit: TimeUnit, array: &ArrayRef| -> Result<Values, arrow::error::ArrowError> {
        let counts = cast(array, &DataType::Int64)?;
        let counts = counts.as_primitive::<Int64Type>();
        // Numbers that count as the file does, where nobody asked for a unit.
        if reading == Reading::Number && rule.time_rule().unit.is_none() {
            return Ok(Values::Integer(counts.clone()));
        }
        let size = timeline::nanoseconds_of(unit);
        Ok(Values::from_times(
            counts.iter().map(|count| Some(i128::from(count?) * size)),
        ))
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
        DataType::Float16 | DataType::Float32 => {
            let numbers = cast(array, &DataType::Float32)?;
            Values::Float32(numbers.as_primitive::<Float32Type>().clone())
        }
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
            Values::from_times(days.iter().map(|days| Some(i128::from(days?) * day)))
        }
        DataType::Date64 => time(TimeUnit::Millisecond, array)?,
        DataType::Timestamp(unit, zone) => {
            let values = time(*unit, array)?;
            match (values, rule.time_rule().zone, zone) {
                // Clock times of a zone that the description names.
                (Values::Time(times), Some(_), None) => {
                    let local = times.iter().map(|time| {
                        let text = timeline::text(time?);
                        let rule = TimeRule {
                            unit: None,
                            format: None,
                            ..rule.time_rule()
                        };
                        rule.parse(&text).ok().map(|(time, _)| time)
                    });
                    Values::from_times(local)
                }
                (values, ..) => values,
            }
        }
        _ => {
            let texts = super::columnar::texts(array)?;
            let text = |text: Option<&str>| {
                let text = text.filter(|text| !rule.text(text.as_bytes()).is_empty());
                text.map(str::to_owned)
            };
            Values::Text(texts.iter().map(text).collect())
        }
    })
}

/// Values as they are asked for; `is_file` for those of a file, whose texts become numbers only where the description says so.
pub(super) fn convert(
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
        (_, Values::Null(_)) | (Reading::Raw, _) => values,
        (Reading::Text, Values::Text(_) | Values::Time(_) | Values::Boolean(_)) if is_file => {
            values
        }
        (Reading::Text, _) => Values::Text(values.texts()),
        (Reading::Ordered, Values::Text(_)) => {
            // Numbers where all are; else times, of which the first that is none is told.
            match convert(values.clone(), Reading::Number, rule, is_file) {
                Ok(numbers) => numbers,
                Err(number) => {
                    convert(values.clone(), Reading::Time, rule, is_file).map_err(|time| {
                        let is_time = time.row > number.row;
                        if is_time { time } else { number }
                    })?
                }
            }
        }
        (Reading::Ordered, Values::Time(_)) => {
            convert(values.clone(), Reading::Time, rule, is_file)?
        }
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
            numbers.finish().0
        }
        (Reading::Number, Values::Time(array)) => {
            let unit = rule.time_rule().unit.unwrap_or(TimeUnit::Second);
            let size = timeline::nanoseconds_of(unit);
            match array.iter().flatten().all(|time| time % size == 0) {
                true => super::parse_rows::integers(array.iter().map(|time| Some(time? / size))),
                false => Values::Float(
                    array
                        .iter()
                        .map(|time| Some(time? as f64 / size as f64))
                        .collect(),
                ),
            }
        }
        (Reading::Number, Values::Float(_) | Values::Float32(_))
            if rule.declared == Some(ColumnType::Integer) =>
        {
            let is_whole = |row: &usize| values.is_null(*row) || values.number(*row).fract() == 0.0;
            match (0..values.num_rows()).find(|row| !is_whole(row)) {
                Some(row) => return Err(fault(row, "an integer")),
                None => super::parse_rows::integers(
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
                            .ok_or_else(|| fault(row, super::bad_row::ZERO_OR_ONE))?,
                    ),
                };
                conditions.push(value);
            }
            Values::Boolean(BooleanArray::from(conditions))
        }
        (Reading::Time, Values::Time(times)) => match rule.time_rule().is_date {
            true => Values::from_times(
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
            Values::from_times(times)
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
            Values::from_times(times)
        }
    })
}

//! Columns of any type as texts, numbers or lists of texts.

use super::super::column_slots::Need;
use super::super::list_text::ListForms;
use super::super::raw_columns::{ColumnRule, infinite_time, typed_texts};
use super::super::row::Row;
use super::{Arrays, ColumnarFile};
use crate::expression::RowFault;
use crate::expression::values::{Half, half_text};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float16Type, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use homebench_diagnostic::Diagnostic;
use std::sync::Arc;

/// Why a column of this type can't give what is needed of it: what was expected, and the mend.
pub(super) fn refusal(found: &DataType, need: Need) -> Option<(&'static str, &'static str)> {
    let item = item_of(found);
    match () {
        () if need.list && item.is_some() => (!is_text(item.unwrap_or(found))).then_some((
            "a list of texts or numbers",
            "write the lists' values as texts or whole numbers",
        )),
        () if item.is_some() => Some((
            "one value a row",
            "read the column by a feature of kind = \"list\", or write one value a row",
        )),
        // Texts of numbers are read as such, and told by their row where one is none.
        () if need.number && !need.is_declared && !is_text(found) => Some((
            "numbers",
            "write the column as numbers in the file, such as whole numbers of a unit, or leave it out of the description",
        )),
        () if (need.text || need.list || need.value) && !is_text(found) => Some((
            "texts, numbers or dates",
            "write the column as numbers or texts in the file, or leave it out of the description",
        )),
        () => None,
    }
}

/// Whether a column has several values a row.
pub(crate) fn is_list(found: &DataType) -> bool {
    item_of(found).is_some()
}

/// Whether a column can be read at all.
pub(crate) fn is_readable(found: &DataType) -> bool {
    is_text(item_of(found).unwrap_or(found))
}

/// The type of a list's values, where this is one.
pub(crate) fn item_of(found: &DataType) -> Option<&DataType> {
    match found {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => Some(item.data_type()),
        _ => None,
    }
}

fn is_number(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => is_number(values),
        DataType::Boolean | DataType::Null => true,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        other => other.is_numeric(),
    }
}

pub(super) fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        other => is_number(other),
    }
}

/// The columns of a batch, converted to what is needed of them.
pub(crate) struct Decoded {
    columns: Vec<DecodedColumn>,
    forms: Arc<ListForms>,
}

#[derive(Default)]
struct DecodedColumn {
    texts: Option<StringArray>,
    lists: Option<(ListArray, StringArray)>,
    /// Whether its lists' values have texts of a type that the description gives.
    is_typed: bool,
}

/// Why a column can't be converted.
enum Undecoded {
    /// A value of this row.
    Value {
        row: usize,
        fault: RowFault,
    },
    Array(ArrowError),
}

impl From<ArrowError> for Undecoded {
    fn from(error: ArrowError) -> Self {
        Self::Array(error)
    }
}

impl Decoded {
    /// Converts a batch; `names` are those of its columns.
    ///
    /// # Errors
    /// A value that has no such form, such as a date beyond all calendars, or is no value of the column's type; `first_row` is that
    /// of the batch in the file.
    pub(crate) fn new(
        file: &ColumnarFile,
        arrays: &Arrays,
        first_row: u64,
        names: &[String],
    ) -> Result<Self, Diagnostic> {
        let columns = arrays.arrays.iter().zip(&file.needs).zip(names);
        let column =
            |(index, ((array, need), name)): (usize, ((&Option<ArrayRef>, &Need), &String))| {
                let Some(array) = array else {
                    return Ok(DecodedColumn::default());
                };
                let rule = file.rules.get(index).filter(|rule| rule.is_retyped());
                DecodedColumn::new(array, *need, rule).map_err(|unreadable| {
                    let message = match unreadable {
                        Undecoded::Array(error) => format!("column `{name}`: {error}"),
                        Undecoded::Value { row, fault } => format!(
                            "row {}, column `{name}`: expected {}, found `{}`",
                            first_row + row as u64 + 1,
                            fault.expected,
                            fault.found
                        ),
                    };
                    Diagnostic::new(file.path.display().to_string(), message)
                        .hint("correct the row, or write the column in another type")
                })
            };
        Ok(Self {
            columns: columns.enumerate().map(column).collect::<Result<_, _>>()?,
            forms: file.forms.clone(),
        })
    }

    pub(crate) fn row(&self, index: usize) -> impl Row {
        ColumnarRow {
            columns: &self.columns,
            forms: &self.forms,
            index,
        }
    }
}

impl DecodedColumn {
    fn new(array: &ArrayRef, need: Need, rule: Option<&ColumnRule>) -> Result<Self, Undecoded> {
        let mut column = Self::default();
        if item_of(array.data_type()).is_some() {
            let lists = lists(array)?;
            let values = match rule {
                None => texts(lists.values())?,
                Some(rule) => {
                    column.is_typed = true;
                    typed_texts(rule, lists.values()).map_err(|mut fault| {
                        fault.expected.push_str(" in the list");
                        let mut ends = lists.value_offsets().iter().skip(1);
                        let row = ends.position(|end| *end as usize > fault.row);
                        let row = row.unwrap_or_default();
                        Undecoded::Value { row, fault }
                    })?
                }
            };
            column.lists = Some((lists, values));
            return Ok(column);
        }
        if need.text || need.list {
            if let Some(row) = infinite_time(array) {
                let fault = RowFault {
                    row,
                    column: None,
                    expected: "a time".to_owned(),
                    found: "infinity".to_owned(),
                };
                return Err(Undecoded::Value { row, fault });
            }
            column.texts = Some(texts(array)?);
        }
        Ok(column)
    }
}

/// Lists of any width of offsets as those of 32 bits.
fn lists(array: &ArrayRef) -> Result<ListArray, ArrowError> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        return Ok(super::plain_arrays::trimmed(lists));
    }
    let item = item_of(array.data_type())
        .cloned()
        .unwrap_or(DataType::Null);
    let list = DataType::List(Arc::new(Field::new("item", item, true)));
    Ok(super::plain_arrays::trimmed(
        cast(array, &list)?.as_list::<i32>(),
    ))
}

/// Lists of numbers, and the values of all of them in 64 bits, which the lists' offsets count.
pub(crate) fn number_lists(array: &ArrayRef) -> Result<(ListArray, Float64Array), ArrowError> {
    let lists = lists(array)?;
    let numbers = cast(lists.values(), &DataType::Float64)?;
    Ok((lists, numbers.as_primitive::<Float64Type>().clone()))
}

/// A column as texts: whole numbers in digits, other numbers and decimals in their shortest form (`1.5`, and `1` for 1.0, as a
/// file of whole numbers has it), booleans as `true` and `false`, dates and times as ISO 8601 has them (times in UTC).
pub(crate) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let text = |array: &ArrayRef| Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone());
    match array.data_type() {
        DataType::Dictionary(_, values) => texts(&cast(array, values)?),
        DataType::Float16 => {
            let numbers = array.as_primitive::<Float16Type>().iter();
            let text = |number: Option<Half>| Some(half_text(number.filter(|it| !it.is_nan())?));
            Ok(numbers.map(text).collect())
        }
        // Rust writes the shortest digits of an f32 and an f64.
        DataType::Float32 => Ok(shortest(array.as_primitive::<Float32Type>().iter())),
        DataType::Float64 => Ok(shortest(array.as_primitive::<Float64Type>().iter())),
        found if found.is_decimal() => {
            let texts = text(array)?;
            let shortest = texts.iter().map(|text| Some(shortest_decimal(text?)));
            Ok(shortest.collect())
        }
        // The zone's name would have to be known; values are in UTC whatever it is.
        DataType::Timestamp(unit, Some(_)) => text(&without_zone(array, *unit)),
        _ => text(array),
    }
}

/// The digits of a decimal without zeros behind the point: one value has one text, whatever its column's places.
fn shortest_decimal(text: &str) -> &str {
    let shortest = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    };
    match shortest {
        "-0" => "0",
        shortest => shortest,
    }
}

fn shortest<T: std::fmt::Display + PartialOrd>(
    values: impl Iterator<Item = Option<T>>,
) -> StringArray {
    let mut builder = StringBuilder::new();
    for value in values {
        // NaN is no text by which anything is found: it is nothing, as it is among numbers.
        match value.filter(|value| value.partial_cmp(value).is_some()) {
            None => builder.append_null(),
            // Minus nothing is nothing, and no other value.
            Some(value) => match value.to_string().as_str() {
                "-0" => builder.append_value("0"),
                text => builder.append_value(text),
            },
        }
    }
    builder.finish()
}

fn without_zone(array: &ArrayRef, unit: TimeUnit) -> ArrayRef {
    macro_rules! bare {
        ($unit:ty) => {
            Arc::new(
                array
                    .as_primitive::<$unit>()
                    .clone()
                    .with_timezone_opt(None::<Arc<str>>),
            )
        };
    }
    match unit {
        TimeUnit::Second => bare!(TimestampSecondType),
        TimeUnit::Millisecond => bare!(TimestampMillisecondType),
        TimeUnit::Microsecond => bare!(TimestampMicrosecondType),
        TimeUnit::Nanosecond => bare!(TimestampNanosecondType),
    }
}

struct ColumnarRow<'a> {
    columns: &'a [DecodedColumn],
    forms: &'a ListForms,
    index: usize,
}

impl Row for ColumnarRow<'_> {
    #[inline]
    fn text(&self, column: usize) -> &[u8] {
        match &self.columns[column].texts {
            Some(texts) if texts.is_valid(self.index) => texts.value(self.index).as_bytes(),
            _ => b"",
        }
    }

    fn values(&self, column: usize, separator: u8, visit: &mut dyn FnMut(&[u8])) {
        let Some((lists, values)) = &self.columns[column].lists else {
            return self
                .forms
                .values(column, self.text(column), separator, visit);
        };
        if lists.is_null(self.index) {
            return;
        }
        let offsets = &lists.value_offsets()[self.index..self.index + 2];
        for value in offsets[0] as usize..offsets[1] as usize {
            if values.is_valid(value) && !values.value(value).is_empty() {
                visit(values.value(value).as_bytes());
            }
        }
    }

    fn has_typed_values(&self, column: usize) -> bool {
        self.columns[column].is_typed
    }
}

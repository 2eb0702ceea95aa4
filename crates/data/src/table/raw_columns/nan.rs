//! Rows of a piece with NaN that was taken for nothing, each counted once.

use super::RawColumns;
use crate::expression::Values;
use crate::table::columnar::item_of;
use arrow::array::{
    Array, ArrayRef, AsArray, Float16Array, Float32Array, Float64Array, PrimitiveArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Float16Type, Float32Type, Float64Type,
};
use std::sync::Arc;

impl RawColumns<'_> {
    /// Rows of which a NaN was taken for nothing.
    pub(in crate::table) fn num_nan(&self) -> u64 {
        let rows = self.nan_rows.borrow();
        rows.iter().filter(|is_nan| **is_nan).count() as u64
    }

    pub(super) fn note_nan(&self, row: usize) {
        let mut rows = self.nan_rows.borrow_mut();
        rows.resize(self.rows.len(), false);
        rows[row] = true;
    }

    /// Counts the rows of columns whose texts, or items of lists, are NaN in the file: they are read as nothing.
    pub(in crate::table) fn note_nan_of_texts(&self, columns: impl Iterator<Item = usize>) {
        let Some(arrays) = &self.native else {
            return;
        };
        for array in columns.filter_map(|column| arrays.get(column)?.as_ref()) {
            let Some(is_nan) = nan_rows(array) else {
                continue;
            };
            for (row, place) in self.rows.iter().enumerate() {
                if is_nan[*place as usize] {
                    self.note_nan(row);
                }
            }
        }
    }
}

/// Numbers without NaN, where that is nothing, and the rows that had it.
///
/// # Errors
/// The first row with a number that is not finite, and the number.
pub(super) fn without_nan(
    values: Values,
    is_nothing: bool,
) -> Result<(Values, Vec<usize>), (usize, String)> {
    if !matches!(
        values,
        Values::Float(_) | Values::Float32(_) | Values::Float16(_)
    ) {
        return Ok((values, Vec::new()));
    }
    let mut rows = Vec::new();
    for row in (0..values.num_rows()).filter(|row| !values.is_null(*row)) {
        match values.number(row) {
            number if number.is_nan() && is_nothing => rows.push(row),
            number if !number.is_finite() => return Err((row, number.to_string())),
            _ => {}
        }
    }
    let values = match values {
        _ if rows.is_empty() => values,
        Values::Float(array) => {
            let kept = array.iter().map(|value| value.filter(|it| !it.is_nan()));
            Values::Float(kept.collect::<Float64Array>())
        }
        Values::Float32(array) => {
            let kept = array.iter().map(|value| value.filter(|it| !it.is_nan()));
            Values::Float32(kept.collect::<Float32Array>())
        }
        Values::Float16(array) => {
            let kept = array.iter().map(|value| value.filter(|it| !it.is_nan()));
            Values::Float16(kept.collect::<Float16Array>())
        }
        other => other,
    };
    Ok((values, rows))
}

/// By row of an array of floats, or of lists of them, whether it has NaN; nothing where none has.
fn nan_rows(array: &ArrayRef) -> Option<Vec<bool>> {
    let found = match array.data_type() {
        DataType::Float16 => of_floats(array.as_primitive::<Float16Type>(), |value| value.is_nan()),
        DataType::Float32 => of_floats(array.as_primitive::<Float32Type>(), f32::is_nan),
        DataType::Float64 => of_floats(array.as_primitive::<Float64Type>(), f64::is_nan),
        DataType::Dictionary(_, values) if values.is_floating() => {
            return nan_rows(&cast(array, values).ok()?);
        }
        found => {
            let item = item_of(found).filter(|item| item.is_floating())?;
            let list = DataType::List(Arc::new(Field::new("item", item.clone(), true)));
            let lists = cast(array, &list).ok()?;
            let lists = lists.as_list::<i32>();
            let items = nan_rows(lists.values())?;
            let offsets = lists.value_offsets().windows(2).enumerate();
            let has_nan = |(row, ends): (usize, &[i32])| {
                lists.is_valid(row) && items[ends[0] as usize..ends[1] as usize].contains(&true)
            };
            offsets.map(has_nan).collect()
        }
    };
    found.contains(&true).then_some(found)
}

fn of_floats<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    is_nan: impl Fn(T::Native) -> bool,
) -> Vec<bool> {
    array
        .iter()
        .map(|value| value.is_some_and(&is_nan))
        .collect()
}

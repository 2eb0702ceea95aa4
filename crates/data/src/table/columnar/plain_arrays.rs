//! Columns of rare types as those that conversion knows: bytes as texts, UUIDs as their usual form, whole numbers of 128 bits,
//! runs and dictionaries of anything.

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, FixedSizeBinaryArray, ListArray, StringArray,
    StringBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field};
use std::sync::Arc;

/// What a column of 16 bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Meaning {
    /// What its type says.
    #[default]
    OfType,
    Uuid,
    Int128,
    /// Nobody knows: the writer's word on it can't be read.
    Unknown,
}

/// What can't be converted: the row of the array where it is one, and why.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) row: Option<usize>,
    pub(super) why: String,
}

impl Unreadable {
    pub(super) fn column(error: impl std::fmt::Display) -> Self {
        Self {
            row: None,
            why: error.to_string(),
        }
    }
}

/// The type of a column after conversion.
pub(super) fn plain_type(found: &DataType, meaning: Meaning) -> DataType {
    let item = |field: &Field| {
        Arc::new(Field::new(
            "item",
            plain_type(field.data_type(), meaning),
            true,
        ))
    };
    match found {
        DataType::FixedSizeBinary(_) if meaning == Meaning::Unknown => found.clone(),
        DataType::FixedSizeBinary(16) if meaning == Meaning::Int128 => DataType::Decimal128(38, 0),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => DataType::Utf8,
        DataType::Dictionary(_, values) if !is_plain_dictionary(values) => {
            plain_type(values, meaning)
        }
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type(), meaning),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
            if plain_type(field.data_type(), meaning) != *field.data_type() =>
        {
            DataType::List(item(field))
        }
        other => other.clone(),
    }
}

/// Whether a dictionary is converted as it is.
fn is_plain_dictionary(values: &DataType) -> bool {
    matches!(
        values,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    ) || values.is_integer()
        || matches!(values, DataType::Float32 | DataType::Float64)
}

/// Converts a column to its plain type.
pub(super) fn plain(array: &ArrayRef, meaning: Meaning) -> Result<ArrayRef, Unreadable> {
    let wanted = plain_type(array.data_type(), meaning);
    if wanted == *array.data_type() {
        return Ok(array.clone());
    }
    match array.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = take(dictionary.values(), dictionary.keys(), None);
            plain(&values.map_err(Unreadable::column)?, meaning)
        }
        DataType::RunEndEncoded(_, values) => {
            let values = cast(array, values.data_type());
            plain(&values.map_err(Unreadable::column)?, meaning)
        }
        DataType::Binary => texts(array.as_binary::<i32>().iter()),
        DataType::LargeBinary => texts(array.as_binary::<i64>().iter()),
        DataType::BinaryView => texts(array.as_binary_view().iter()),
        DataType::FixedSizeBinary(16) if meaning == Meaning::Uuid => {
            Ok(uuids(array.as_fixed_size_binary()))
        }
        DataType::FixedSizeBinary(16) if meaning == Meaning::Int128 => {
            let values = array.as_fixed_size_binary().iter().map(|bytes| {
                let bytes = bytes?.try_into().ok()?;
                Some(i128::from_le_bytes(bytes))
            });
            let values: Decimal128Array = values.collect();
            Ok(Arc::new(values.with_data_type(DataType::Decimal128(38, 0))))
        }
        DataType::FixedSizeBinary(_) => texts(array.as_fixed_size_binary().iter()),
        _ => lists(array, meaning),
    }
}

/// Texts, and items of lists that are texts, without the spaces around them.
pub(super) fn trimmed_texts(array: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    let found = match array.data_type() {
        DataType::Dictionary(_, values) => values,
        found => found,
    };
    if let DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View = found {
        let texts = cast(array, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>().iter();
        let trimmed: StringArray = texts.map(|text| Some(text?.trim_matches(' '))).collect();
        return Ok(Arc::new(trimmed));
    }
    let Some(item) = super::decode::item_of(found) else {
        return Ok(array.clone());
    };
    let list = DataType::List(Arc::new(Field::new("item", item.clone(), true)));
    let lists = trimmed(cast(array, &list)?.as_list::<i32>());
    let values = trimmed_texts(lists.values())?;
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    Ok(Arc::new(ListArray::new(
        field,
        lists.offsets().clone(),
        values,
        lists.nulls().cloned(),
    )))
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<ArrayRef, Unreadable> {
    let mut builder = StringBuilder::new();
    for (row, value) in values.enumerate() {
        let Some(value) = value else {
            builder.append_null();
            continue;
        };
        let text = std::str::from_utf8(value).map_err(|_| Unreadable {
            row: Some(row),
            why: format!("expected bytes of UTF-8 text, found {}", shown(value)),
        })?;
        builder.append_value(text);
    }
    Ok(Arc::new(builder.finish()))
}

/// The first bytes in hexadecimal digits.
fn shown(value: &[u8]) -> String {
    const SHOWN: usize = 8;
    let digits = value.iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
    let more = if value.len() > SHOWN { " .." } else { "" };
    format!("{}{more}", digits.collect::<Vec<_>>().join(" "))
}

fn uuids(values: &FixedSizeBinaryArray) -> ArrayRef {
    let text = |bytes: &[u8]| {
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        text
    };
    let texts: StringArray = values.iter().map(|value| value.map(text)).collect();
    Arc::new(texts)
}

fn lists(array: &ArrayRef, meaning: Meaning) -> Result<ArrayRef, Unreadable> {
    let item = match array.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => item.clone(),
        other => {
            return Err(Unreadable::column(format!(
                "columns of {other} can't be read"
            )));
        }
    };
    let narrow = cast(array, &DataType::List(item)).map_err(Unreadable::column)?;
    let lists = &trimmed(narrow.as_list::<i32>());
    let values = plain(lists.values(), meaning).map_err(|unreadable| Unreadable {
        row: unreadable.row.and_then(|value| {
            let ends = lists.value_offsets().iter().skip(1);
            ends.into_iter().position(|end| *end as usize > value)
        }),
        ..unreadable
    })?;
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    Ok(Arc::new(ListArray::new(
        field,
        lists.offsets().clone(),
        values,
        lists.nulls().cloned(),
    )))
}

/// Lists without the values before and behind them: a slice of lists has the values of all.
// Slices of one long batch would otherwise convert all of its values each.
pub(super) fn trimmed(lists: &ListArray) -> ListArray {
    let offsets = lists.value_offsets();
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    if first == 0 && last as usize == lists.values().len() {
        return lists.clone();
    }
    let DataType::List(field) = lists.data_type() else {
        return lists.clone();
    };
    let offsets: Vec<i32> = offsets.iter().map(|offset| offset - first).collect();
    ListArray::new(
        field.clone(),
        OffsetBuffer::new(offsets.into()),
        lists
            .values()
            .slice(first as usize, (last - first) as usize),
        lists.nulls().cloned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, BooleanArray, DictionaryArray, Int8Array, Int32Array, LargeListArray, RunArray,
    };
    use arrow::datatypes::Int8Type;

    fn texts_of(array: &ArrayRef) -> Vec<Option<&str>> {
        array.as_string::<i32>().iter().collect()
    }

    #[test]
    fn bytes_are_texts_and_the_first_that_are_none_are_refused_with_their_row() {
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![
            Some(&b"caf\xc3\xa9"[..]),
            None,
            Some(b""),
        ]));
        let found = plain(&bytes, Meaning::OfType).unwrap();
        assert_eq!(texts_of(&found), [Some("café"), None, Some("")]);
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"a"[..], b"\xff\x00"]));
        let said = plain(&bytes, Meaning::OfType).unwrap_err();
        assert_eq!(
            (said.row, said.why.as_str()),
            (Some(1), "expected bytes of UTF-8 text, found ff 00")
        );
    }

    #[test]
    fn uuids_and_128_bit_numbers_have_their_usual_form() {
        let bytes = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
        let array = FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap();
        let found = plain(&(Arc::new(array) as ArrayRef), Meaning::Uuid).unwrap();
        assert_eq!(
            texts_of(&found),
            [Some("01234567-89ab-cdef-0123-456789abcdef")]
        );
        let numbers = [(1i128 << 70).to_le_bytes(), (-3i128).to_le_bytes()];
        let array = FixedSizeBinaryArray::try_from_iter(numbers.into_iter()).unwrap();
        let found = plain(&(Arc::new(array) as ArrayRef), Meaning::Int128).unwrap();
        let found = cast(&found, &DataType::Utf8).unwrap();
        assert_eq!(
            texts_of(&found),
            [Some("1180591620717411303424"), Some("-3")]
        );
    }

    #[test]
    fn dictionaries_and_runs_are_their_values() {
        let booleans = Arc::new(BooleanArray::from(vec![true, false]));
        let keys = Int8Array::from(vec![Some(1), None, Some(0)]);
        let array: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(keys, booleans));
        let found = plain(&array, Meaning::OfType).unwrap();
        let found: Vec<Option<bool>> = found.as_boolean().iter().collect();
        assert_eq!(found, [Some(false), None, Some(true)]);
        let ends = Int32Array::from(vec![2, 5]);
        let array: ArrayRef =
            Arc::new(RunArray::try_new(&ends, &StringArray::from(vec!["a", "b"])).unwrap());
        let sliced = array.slice(1, 3);
        assert_eq!(
            texts_of(&plain(&sliced, Meaning::OfType).unwrap()),
            [Some("a"), Some("b"), Some("b")]
        );
    }

    #[test]
    fn lists_of_bytes_are_lists_of_texts() {
        let values = BinaryArray::from(vec![&b"a"[..], b"b", b"\xff"]);
        let field = Arc::new(Field::new("x", DataType::Binary, true));
        let offsets = arrow::buffer::OffsetBuffer::new(vec![0i64, 2, 2, 3].into());
        let array: ArrayRef = Arc::new(LargeListArray::new(field, offsets, Arc::new(values), None));
        let said = plain(&array, Meaning::OfType).unwrap_err();
        assert_eq!(said.row, Some(2));
        let found = plain(&array.slice(0, 2), Meaning::OfType);
        // The value behind the slice is not looked at.
        let found = found.unwrap();
        assert_eq!(
            texts_of(&found.as_list::<i32>().value(0)),
            [Some("a"), Some("b")]
        );
    }
}

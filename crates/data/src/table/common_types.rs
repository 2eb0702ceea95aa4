//! One type for a column whose parts know different ones: the one that holds the values of all exactly, or none.

use super::column_slots::Need;
use super::file_pieces::TableFile;
use super::raw_columns::ColumnRule;
use arrow::datatypes::{DataType, Field, TimeUnit};
use homebench_diagnostic::Diagnostic;
use std::path::Path;
use std::sync::Arc;

/// What a column holds in one of its files; numbers and times are told apart as far as their texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Integer,
    /// Of 16 or 32 bits.
    Narrow,
    /// Of 64 bits.
    Wide,
    Decimal,
    Day,
    Time,
    Text,
}

/// Gives all files the description's rules, and a type to every column that has several.
///
/// # Errors
/// A column whose types have none in common.
pub(super) fn agree(
    files: &mut [TableFile],
    names: &[String],
    needs: &[Need],
    rules: &[ColumnRule],
) -> Result<(), Diagnostic> {
    let mut casts = vec![Vec::new(); names.len()];
    for (column, need) in needs.iter().enumerate().filter(|(_, need)| need.is_any()) {
        // What the description says, every file's values become.
        if rules[column].is_retyped() {
            continue;
        }
        let is_text = rules[column].declared.is_some();
        let types: Vec<(&Path, DataType)> = files
            .iter()
            .flat_map(|file| file.types_of(column))
            .collect();
        casts[column] = common(&names[column], *need, is_text, &types)?;
    }
    let rules: Arc<[ColumnRule]> = rules.into();
    for file in files {
        file.read_by(&rules, &casts);
    }
    Ok(())
}

/// What values of other kinds become; nothing where all stay as they are.
fn common(
    name: &str,
    need: Need,
    is_text: bool,
    types: &[(&Path, DataType)],
) -> Result<Vec<DataType>, Diagnostic> {
    if need.number && !need.is_declared {
        refuse_units(name, types)?;
    }
    let mut kinds: Vec<(&Path, &DataType, Kind)> = Vec::new();
    for (path, found) in types {
        if let Some(kind) = kind(item(found).unwrap_or(found))
            && !kinds.iter().any(|(_, _, known)| *known == kind)
        {
            kinds.push((path, found, kind));
        }
    }
    let has = |kind| kinds.iter().any(|(_, _, found)| *found == kind);
    let is_number = |kind| {
        matches!(
            kind,
            Kind::Boolean | Kind::Integer | Kind::Narrow | Kind::Wide | Kind::Decimal
        )
    };
    // Whether two have no type in common, which would have one text of a value of both.
    let differ = |a: Kind, b: Kind| match (a, b) {
        (Kind::Text, other) | (other, Kind::Text) => {
            // Texts are read as numbers and as times where these are asked for.
            let is_whole = matches!(other, Kind::Integer | Kind::Boolean | Kind::Text);
            let as_text = need.text || need.list || (need.value && is_number(other));
            !is_text && !is_whole && as_text
        }
        (Kind::Day | Kind::Time, Kind::Day | Kind::Time) => false,
        (a, b) => is_number(a) != is_number(b),
    };
    for (index, (path, found, kind)) in kinds.iter().enumerate() {
        let mut before = kinds[..index].iter();
        if let Some((first, expected, _)) = before.find(|(_, _, other)| differ(*other, *kind)) {
            let typed = match (is_number(*kind), *kind) {
                (true, _) => "float",
                (false, Kind::Text) if !kinds.iter().any(|(_, _, kind)| is_number(*kind)) => {
                    "timestamp"
                }
                (false, Kind::Text) => "float",
                _ => "timestamp",
            };
            return Err(refused(path, name, found, expected, first, typed));
        }
    }
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    let casts = [
        (has(Kind::Boolean) && kinds.len() > 1 && !has(Kind::Text)).then_some(DataType::Int64),
        (has(Kind::Day) && has(Kind::Time)).then_some(seconds),
        (has(Kind::Narrow) && has(Kind::Wide)).then_some(DataType::Float64),
    ];
    Ok(casts.into_iter().flatten().collect())
}

/// Refuses times that are counted in different units, where they are read as numbers.
fn refuse_units(name: &str, types: &[(&Path, DataType)]) -> Result<(), Diagnostic> {
    let known = |found: &&(&Path, DataType)| !matches!(found.1, DataType::Null | DataType::Utf8);
    let mut types = types.iter().filter(known);
    let Some((first, expected)) = types.next() else {
        return Ok(());
    };
    let other = types
        .find(|(_, found)| found != expected && (found.is_temporal() || expected.is_temporal()));
    let Some((path, found)) = other else {
        return Ok(());
    };
    let message = format!(
        "column `{name}`: its type is {found}, and {expected} in {}; as numbers they would not count alike",
        first.display()
    );
    Err(
        Diagnostic::new(path.display().to_string(), message).hint(format!(
            "say in which unit they count, in `columns`: {{ name = \"{name}\", type = \"timestamp\", unit = \"ms\" }} in \
             place of \"{name}\""
        )),
    )
}

fn refused(
    path: &Path,
    name: &str,
    found: &DataType,
    expected: &DataType,
    first: &Path,
    typed: &str,
) -> Diagnostic {
    let word = |found: &DataType| match found {
        DataType::Utf8 => "text".to_owned(),
        other => other.to_string(),
    };
    let message = format!(
        "column `{name}`: its type is {}, and {} in {}; a value of both would have two texts",
        word(found),
        word(expected),
        first.display()
    );
    Diagnostic::new(path.display().to_string(), message).hint(format!(
        "give the column one type, in `columns`: {{ name = \"{name}\", type = \"{typed}\" }} in place of \"{name}\"; or write it \
         alike in all files"
    ))
}

/// What a type becomes, where its kind is the one that is cast to `target`.
pub(super) fn cast_from(found: &DataType, target: &DataType) -> Option<DataType> {
    if let Some(item) = item(found) {
        let item = cast_from(item, target)?;
        return Some(DataType::List(Arc::new(Field::new("item", item, true))));
    }
    let is_other = match target {
        DataType::Int64 => kind(found) == Some(Kind::Boolean),
        DataType::Float64 => kind(found) == Some(Kind::Narrow),
        _ => kind(found) == Some(Kind::Day),
    };
    is_other.then(|| target.clone())
}

fn item(found: &DataType) -> Option<&DataType> {
    super::columnar::item_of(found)
}

/// Nothing for a column that holds nothing, and for types that are told where they are read.
fn kind(found: &DataType) -> Option<Kind> {
    Some(match found {
        DataType::Dictionary(_, values) => return kind(values),
        DataType::RunEndEncoded(_, values) => return kind(values.data_type()),
        DataType::Boolean => Kind::Boolean,
        DataType::Float16 | DataType::Float32 => Kind::Narrow,
        DataType::Float64 => Kind::Wide,
        DataType::Date32 => Kind::Day,
        // Of milliseconds: its texts have a time of day.
        DataType::Date64 | DataType::Timestamp(..) => Kind::Time,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        found if found.is_integer() => Kind::Integer,
        found if found.is_decimal() => Kind::Decimal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(need: Need, is_text: bool, types: &[DataType]) -> Result<Vec<DataType>, String> {
        let path = Path::new("part");
        let types: Vec<(&Path, DataType)> = types.iter().map(|of| (path, of.clone())).collect();
        common("c", need, is_text, &types).map_err(|said| said.render())
    }

    /// As `union_by_name` of DuckDB has them, where its type is exact.
    #[test]
    fn parts_become_the_type_that_holds_all_or_are_refused() {
        let text = Need {
            text: true,
            ..Need::default()
        };
        let number = Need {
            number: true,
            ..Need::default()
        };
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        use DataType::{
            Boolean, Date32, Date64, Float32, Float64, Int8, Int64, Null, Utf8, Utf8View,
        };
        for (types, expected) in [
            (vec![Boolean, Int64], vec![Int64]),
            (vec![Int8, Float64, Boolean], vec![Int64]),
            (vec![Float32, Float64, Boolean], vec![Int64, Float64]),
            (vec![Date32, micros.clone()], vec![seconds.clone()]),
            (vec![Date64, Date32], vec![seconds]),
            (vec![Float32, Float64], vec![Float64]),
            (vec![Null, Float32], vec![]),
            (vec![Int8, Int64, DataType::Decimal128(5, 2)], vec![]),
            (vec![Utf8View, Int64], vec![]),
            (vec![Boolean, Utf8], vec![]),
        ] {
            assert_eq!(of(text, false, &types), Ok(expected), "{types:?}");
        }
        for types in [
            vec![Float64, Utf8],
            vec![Utf8, DataType::Decimal128(5, 2)],
            vec![Date32, Utf8],
            vec![Int64, Date32],
            vec![micros.clone(), Boolean],
        ] {
            assert!(of(text, false, &types).is_err(), "{types:?}");
        }
        let said = of(text, false, &[Utf8, Float64]).unwrap_err();
        assert!(said.contains("type = \"float\""), "{said}");
        let said = of(text, false, &[Date32, Utf8]).unwrap_err();
        assert!(said.contains("type = \"timestamp\""), "{said}");
        // Texts are read as the numbers that they are, and a description may say that all are texts.
        assert_eq!(of(number, false, &[Float64, Utf8]), Ok(vec![]));
        assert_eq!(of(text, true, &[Float64, Utf8]), Ok(vec![]));
        assert!(of(number, false, &[Date32, micros]).is_err());
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        let lists = Need {
            list: true,
            ..Need::default()
        };
        assert_eq!(
            of(lists, false, &[list(Boolean), list(Int64)]),
            Ok(vec![Int64])
        );
        assert_eq!(cast_from(&list(Boolean), &Int64), Some(list(Int64)));
        assert!(of(lists, false, &[list(Float64), Utf8]).is_err());
    }
}

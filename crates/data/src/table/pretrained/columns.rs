//! Vectors in a column of a Parquet or Arrow file.

use super::super::column_slots::Need;
use super::super::columnar::{ColumnarFile, item_of, number_lists, texts};
use super::alignment::{Alignment, VectorRow};
use crate::schema::{FileKind, PretrainedFile};
use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use homebench_diagnostic::Diagnostic;
use std::path::Path;

/// Shows every row of a file to the alignment.
pub(super) fn read(
    pretrained: &PretrainedFile,
    path: &Path,
    alignment: &mut Alignment<'_>,
) -> Result<(), Diagnostic> {
    let names = [pretrained.key.clone(), pretrained.vector.clone()];
    let needs = [
        Need {
            text: true,
            ..Need::default()
        },
        Need {
            list: true,
            ..Need::default()
        },
    ];
    let file = ColumnarFile::open(path, FileKind::Parquet, &names, &needs, &[])?;
    check_vectors(pretrained, &file)?;
    let unreadable = |name: &str, error: ArrowError| {
        let message = format!("column `{name}`: {error}");
        Diagnostic::new(path.display().to_string(), message)
            .hint("write the keys as texts and the vectors as lists of floats")
    };
    let (mut batches, mut num_rows) = (file.batches()?, 0);
    while let Some(batch) = batches.next()? {
        let batch = file.plain(&batch, num_rows, &names)?;
        let [Some(keys), Some(vectors)] = &batch.arrays[..] else {
            unreachable!("both columns are needed");
        };
        let keys = texts(keys).map_err(|error| unreadable(&names[0], error))?;
        let (lists, numbers) =
            number_lists(vectors).map_err(|error| unreadable(&names[1], error))?;
        let mut vector = Vec::new();
        for row in 0..batch.num_rows {
            vector.clear();
            let ends = &lists.value_offsets()[row..row + 2];
            let places = ends[0] as usize..ends[1] as usize;
            vector.extend(places.map(|place| {
                let is_there = numbers.is_valid(place);
                is_there.then(|| numbers.value(place))
            }));
            let at = VectorRow {
                path,
                number: num_rows + row as u64 + 1,
            };
            let key = keys.is_valid(row).then(|| keys.value(row));
            alignment.add(at, key, lists.is_valid(row).then_some(&vector[..]))?;
        }
        num_rows += batch.num_rows as u64;
    }
    Ok(())
}

/// Refuses a column that holds no vectors.
fn check_vectors(pretrained: &PretrainedFile, file: &ColumnarFile) -> Result<(), Diagnostic> {
    let found = file.data_type(1).unwrap_or(&DataType::Null);
    let is_vector = item_of(found).is_some_and(|item| item.is_floating() || item.is_integer());
    if is_vector {
        return Ok(());
    }
    let message = format!(
        "column `{}`: expected a list of floats in every row, found the type {found}",
        pretrained.vector
    );
    Err(Diagnostic::new(file.path.display().to_string(), message)
        .hint("name the column of vectors as `vector`, or write them as lists of floats"))
}

//! Reading of a file whose columns are not known.

use super::column_statistics::ColumnStatistics;
use super::guess_format;
use crate::schema::{FileKind, Format};
use crate::table::bad_row::Fault;
use crate::table::column_slots::Need;
use crate::table::columnar::{self, is_list, is_readable};
use crate::table::file_pieces::TableFile;
use crate::table::row::{Row, Visit};
use crate::table::text_chunks::TextFile;
use homebench_diagnostic::Diagnostic;
use std::path::Path;

/// A file and what its columns hold.
#[derive(Debug)]
pub(super) struct Scanned {
    /// Its name in the folder.
    pub(super) name: String,
    pub(super) format: Format,
    pub(super) kind: FileKind,
    pub(super) columns: Vec<ColumnStatistics>,
    /// Columns that can't be read, with the reason.
    pub(super) left_out: Vec<(String, String)>,
    pub(super) num_rows: u64,
}

/// Looks at a file.
///
/// # Errors
/// A file that can't be read or has no rows.
pub(super) fn scan(path: &Path, name: String, most_rows: u64) -> Result<Scanned, Diagnostic> {
    let kind = FileKind::of_file(path, Format::default());
    let Columns {
        format,
        mut columns,
        left_out,
    } = match kind {
        FileKind::Text => Columns::of_text(path)?,
        FileKind::Parquet | FileKind::Arrow => Columns::of_columnar(path, kind)?,
    };
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let need = |column: &ColumnStatistics| Need {
        text: !column.is_list,
        number: false,
        list: column.is_list,
        ..Need::default()
    };
    let needs: Vec<Need> = columns.iter().map(need).collect();
    let file = TableFile::open(path, format, &names, &needs)?;
    let num_rows = file.num_rows();
    if num_rows == 0 || names.is_empty() {
        let what = match (names.is_empty(), num_rows) {
            (false, 0) if kind != FileKind::Text || format.has_header => {
                "the file names columns and has no row"
            }
            (true, 1..) => "the file has no column that can be read",
            _ => "the file is empty",
        };
        return Err(
            Diagnostic::new(path.display().to_string(), what).hint("name files that have rows")
        );
    }
    let mut seeing = Seeing {
        columns: &mut columns,
        left: most_rows,
    };
    for wave in file.waves() {
        for piece in wave? {
            // In order, though pieces could be read in parallel: the rows looked at are the first
            // of the file.
            if seeing.left > 0 {
                piece.visit(&names, &mut seeing)?;
            }
        }
        if seeing.left == 0 {
            break;
        }
    }
    Ok(Scanned {
        name,
        format,
        kind,
        columns,
        left_out,
        num_rows,
    })
}

/// The columns of a file that can be read, with nothing seen of them yet.
struct Columns {
    format: Format,
    columns: Vec<ColumnStatistics>,
    /// Columns that can't be read, with the reason.
    left_out: Vec<(String, String)>,
}

impl Columns {
    fn of_text(path: &Path) -> Result<Self, Diagnostic> {
        let (format, names) = guess_format::layout(path)?;
        let names = match names {
            Some(names) => names,
            None => numbered(path, format)?,
        };
        // Indices of data frames have a column and no name.
        let nameless = names.iter().filter(|name| name.trim().is_empty()).count();
        let num_columns = names.len();
        let named = names.into_iter().filter(|name| !name.trim().is_empty());
        Ok(Self {
            format,
            columns: named
                .map(|name| ColumnStatistics::new(name, false, num_columns))
                .collect(),
            left_out: vec![(String::new(), "it has no name".to_owned()); nameless],
        })
    }

    fn of_columnar(path: &Path, kind: FileKind) -> Result<Self, Diagnostic> {
        let opened = columnar::open(path, kind)?;
        let schema = opened.schema;
        let num_columns = schema.fields().len();
        let (mut columns, mut left_out) = (Vec::new(), Vec::new());
        for field in schema.fields() {
            let (name, found) = (field.name().clone(), field.data_type());
            match is_readable(found) {
                true => columns.push(ColumnStatistics::new(name, is_list(found), num_columns)),
                false => left_out.push((name, format!("its type is {found}"))),
            }
        }
        Ok(Self {
            format: Format::default(),
            columns,
            left_out,
        })
    }
}

/// Names of columns that have none: `column_1` and so on.
fn numbered(path: &Path, format: Format) -> Result<Vec<String>, Diagnostic> {
    let file = TextFile::with_any_columns(path, format)?;
    let count = file.first_line()?.map_or(0, |(fields, _)| fields.len());
    Ok((1..=count).map(|index| format!("column_{index}")).collect())
}

struct Seeing<'a> {
    columns: &'a mut [ColumnStatistics],
    left: u64,
}

impl Visit for Seeing<'_> {
    fn row<R: Row>(&mut self, _index: u64, row: &R) -> Result<(), Fault> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        for (index, column) in self.columns.iter_mut().enumerate() {
            if !column.is_list {
                column.add_field(row.text(index));
                continue;
            }
            let mut is_empty = true;
            row.values(index, b'|', &mut |value| {
                is_empty = false;
                column.add_value(value);
            });
            column.rows += 1;
            column.missing += u64::from(is_empty);
        }
        Ok(())
    }
}

//! Reading of a file whose columns are not known.

use super::column_statistics::ColumnStatistics;
use super::guess_format;
use crate::part_files::{self, PartFile};
use crate::schema::{FileKind, Format};
use crate::table::bad_row::Fault;
use crate::table::column_slots::Need;
use crate::table::columnar::{self, is_list, is_readable};
use crate::table::file_pieces::TableFile;
use crate::table::row::{Row, Visit};
use crate::table::text_chunks::{TextFile, is_recbole};
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
    /// Rows that were looked at.
    pub(super) num_seen: u64,
}

/// Looks at a file.
///
/// # Errors
/// A file that can't be read or has no rows.
pub(super) fn scan(path: &Path, name: &str, most_rows: u64) -> Result<Scanned, Diagnostic> {
    scan_without(path, name, most_rows, &[]).or_else(|refused| {
        match &columns_without_text(path)?[..] {
            [] => Err(refused),
            no_text => scan_without(path, name, most_rows, no_text),
        }
    })
}

/// Names of columns of a file that knows its types whose bytes are no texts, such as images and digests.
fn columns_without_text(path: &Path) -> Result<Vec<String>, Diagnostic> {
    let parts = part_files::parts(path)?.files;
    let kind = FileKind::of_part(path, &parts[0].path, Format::default());
    if !matches!(kind, FileKind::Parquet | FileKind::Arrow) {
        return Ok(Vec::new());
    }
    let found = Columns::of_columnar(&parts[0].path, kind)?;
    let columns = found.columns.into_iter();
    let no_text = columns.filter(|column| !is_text(path, found.format, column));
    Ok(no_text.map(|column| column.name).collect())
}

fn scan_without(
    path: &Path,
    name: &str,
    most_rows: u64,
    no_text: &[String],
) -> Result<Scanned, Diagnostic> {
    let parts = part_files::parts(path)?.files;
    let first = &parts[0];
    let kind = match FileKind::of_part(path, &first.path, Format::default()) {
        FileKind::Text if is_recbole(&first.path) => FileKind::RecBole,
        kind => kind,
    };
    let Columns {
        format,
        mut columns,
        mut left_out,
    } = match kind {
        FileKind::Text => Columns::of_text(&parts)?,
        FileKind::RecBole => Columns::of_recbole(&first.path)?,
        FileKind::LibSvm | FileKind::LibFfm => {
            let message = "a file of libsvm or libffm names no columns that could be drafted";
            return Err(Diagnostic::new(path.display().to_string(), message).hint(
                "list `label` and the features' indices (libsvm) or fields (libffm) as `columns`, see docs/data.md",
            ));
        }
        FileKind::Parquet | FileKind::Arrow => Columns::of_columnar(&first.path, kind)?,
    };
    columns.retain(|column| !no_text.contains(&column.name));
    let why = || "its bytes are no UTF-8 text".to_owned();
    left_out.extend(no_text.iter().map(|name| (name.clone(), why())));
    // Columns that names of folders give stand behind those of the files.
    for (name, _) in &first.constants {
        if columns.iter().all(|column| column.name != *name) {
            columns.push(ColumnStatistics::new(name.clone(), false, 1));
        }
    }
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
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
    // Of a long file rows all over it: the first rows of a log are its first days, and say nothing of the last.
    let stride = num_rows.div_ceil(most_rows.max(1)).max(1);
    // Of a very long one whole pieces are passed over too, which costs nothing.
    let piece_stride = (stride / 16).max(1);
    let mut seeing = Seeing {
        columns: &mut columns,
        num_seen: 0,
        separator: b' ',
        first_row: 0,
        stride: stride.div_ceil(piece_stride),
    };
    let mut index = 0;
    for wave in file.waves() {
        for piece in wave? {
            // In order, though pieces could be read in parallel: numbers of texts are in the order of the file.
            if index % piece_stride == 0 {
                seeing.first_row = piece.first_row();
                piece.visit(&names, &mut seeing)?;
            }
            piece.release();
            index += 1;
        }
    }
    let num_seen = seeing.num_seen;
    Ok(Scanned {
        name: name.to_owned(),
        format,
        kind,
        columns,
        left_out,
        num_rows,
        num_seen,
    })
}

fn need(column: &ColumnStatistics) -> Need {
    Need {
        text: !column.is_list,
        list: column.is_list,
        ..Need::default()
    }
}

/// Whether every value of a column can be read as a text.
fn is_text(path: &Path, format: Format, column: &ColumnStatistics) -> bool {
    struct Pass;
    impl Visit for Pass {
        fn row<R: Row>(&mut self, _index: u64, _row: &R) -> Result<(), Fault> {
            Ok(())
        }
    }
    let names = [column.name.clone()];
    let pass = || -> Result<(), Diagnostic> {
        let file = TableFile::open(path, format, &names, &[need(column)])?;
        for wave in file.waves() {
            for piece in wave? {
                piece.visit(&names, &mut Pass)?;
                piece.release();
            }
        }
        Ok(())
    };
    pass().is_ok()
}

/// Whether files have the same columns.
pub(super) fn are_parts(parts: &[PartFile]) -> bool {
    let names = |part: &PartFile| -> Option<(FileKind, Vec<String>)> {
        let kind = FileKind::of_file(&part.path, Format::default());
        Some(match kind {
            FileKind::Parquet | FileKind::Arrow => {
                let schema = columnar::open(&part.path, kind).ok()?.schema;
                let fields = schema.fields().iter();
                (kind, fields.map(|field| field.name().clone()).collect())
            }
            FileKind::LibSvm | FileKind::LibFfm => return None,
            FileKind::Text | FileKind::RecBole => {
                // Without a line of names nothing says that two files are of one table.
                let layout = guess_format::layout(std::slice::from_ref(part)).ok()?;
                (kind, layout.names?)
            }
        })
    };
    let Some(first) = parts.first().and_then(names) else {
        return false;
    };
    parts.len() == 1
        || parts[1..]
            .iter()
            .all(|part| names(part).as_ref() == Some(&first))
}

/// The columns of a file that can be read, with nothing seen of them yet.
struct Columns {
    format: Format,
    columns: Vec<ColumnStatistics>,
    /// Columns that can't be read, with the reason.
    left_out: Vec<(String, String)>,
}

impl Columns {
    fn of_text(parts: &[PartFile]) -> Result<Self, Diagnostic> {
        let layout = guess_format::layout(parts)?;
        let format = layout.format;
        let names = match layout.names {
            Some(names) => names,
            None => numbered(&parts[0].path, format)?,
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

    /// RecBole's names say what a column holds.
    fn of_recbole(path: &Path) -> Result<Self, Diagnostic> {
        let format = Format::recbole();
        let file = TextFile::with_any_columns(path, format)?;
        let names = file.first_line()?.map_or(Vec::new(), |(fields, _)| fields);
        let num_columns = names.len();
        let columns = names.iter().map(|field| {
            let (name, kind) = field.rsplit_once(':').unwrap_or((field, ""));
            let mut column =
                ColumnStatistics::new(name.to_owned(), kind.ends_with("_seq"), num_columns);
            column.is_token = kind == "token";
            column
        });
        Ok(Self {
            format,
            columns: columns.collect(),
            left_out: Vec::new(),
        })
    }

    fn of_columnar(path: &Path, kind: FileKind) -> Result<Self, Diagnostic> {
        let opened = columnar::open(path, kind)?;
        let schema = opened.schema;
        let num_columns = schema.fields().len();
        let mut columns: Vec<ColumnStatistics> = Vec::new();
        let mut left_out: Vec<(String, String)> = Vec::new();
        for field in schema.fields() {
            let (name, found) = (field.name().clone(), field.data_type());
            let count = schema.fields().iter().filter(|other| *other.name() == name);
            let is_known = left_out.iter().any(|(other, _)| *other == name);
            let why = match () {
                () if count.count() > 1 => Some(
                    "there are several of that name; give them names of their own to read one"
                        .to_owned(),
                ),
                () if opened.index_columns.contains(&name) => Some(
                    "it is the index of a pandas data frame, mostly the row's number".to_owned(),
                ),
                () if !is_readable(found) => Some(format!("its type is {found}")),
                () => None,
            };
            match why {
                None => columns.push(ColumnStatistics::new(name, is_list(found), num_columns)),
                Some(why) if !is_known => left_out.push((name, why)),
                Some(_) => {}
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
    num_seen: u64,
    /// Between the values of texts that the file calls lists.
    separator: u8,
    /// Index of the piece's first row in the file.
    first_row: u64,
    /// Of so many blocks of rows one is looked at.
    stride: u64,
}

/// Rows of a block; neighbours tell more of a log than single rows far apart, such as whether users repeat.
const BLOCK_ROWS: u64 = 64;

impl Visit for Seeing<'_> {
    fn row<R: Row>(&mut self, index: u64, row: &R) -> Result<(), Fault> {
        if !((self.first_row + index) / BLOCK_ROWS).is_multiple_of(self.stride) {
            return Ok(());
        }
        self.num_seen += 1;
        for (index, column) in self.columns.iter_mut().enumerate() {
            if !column.is_list {
                column.add_field(row.text(index));
                continue;
            }
            let mut is_empty = true;
            row.values(index, self.separator, &mut |value| {
                is_empty = false;
                column.add_value(value);
            });
            column.rows += 1;
            column.missing += u64::from(is_empty);
        }
        Ok(())
    }
}

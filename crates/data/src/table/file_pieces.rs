//! Source files in pieces that are read in parallel.

use super::bad_row::Fault;
use super::column_slots::Need;
use super::columnar::{Arrays, Batches, ColumnarFile, Decoded};
use super::row::{Row, Visit};
use super::text_chunks::{Chunk, TextFile};
use super::text_rows;
use crate::schema::{FileKind, Format};
use homebench_diagnostic::Diagnostic;
use std::path::Path;

/// Pieces read before their rows are joined; a bound on memory.
const WAVE: usize = 16;

/// A source file of any kind.
#[derive(Debug)]
pub(crate) enum TableFile {
    Text(TextFile),
    Columnar(ColumnarFile),
}

impl TableFile {
    /// Opens a file that has these columns, of which some are needed.
    ///
    /// # Errors
    /// A file that can't be read, is broken, or lacks a column or has it in another type.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        columns: &[String],
        needs: &[Need],
    ) -> Result<Self, Diagnostic> {
        Ok(match FileKind::of_file(path, format) {
            FileKind::Text => Self::Text(TextFile::open(path, format, columns)?),
            kind => Self::Columnar(ColumnarFile::open(path, kind, columns, needs)?),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Text(file) => &file.path,
            Self::Columnar(file) => &file.path,
        }
    }

    pub(crate) fn num_rows(&self) -> u64 {
        match self {
            Self::Text(file) => file.num_rows(),
            Self::Columnar(file) => file.num_rows,
        }
    }

    /// The type of a column, where the file knows it.
    pub(crate) fn data_type(&self, column: usize) -> Option<&arrow::datatypes::DataType> {
        match self {
            Self::Text(_) => None,
            Self::Columnar(file) => file.data_type(column),
        }
    }

    /// The pieces of the file in order, some at a time; an error where it is broken further on.
    pub(crate) fn waves(&self) -> Waves<'_> {
        match self {
            Self::Text(file) => Waves::Text(file, file.chunks.chunks(WAVE)),
            Self::Columnar(file) => Waves::Columnar {
                file,
                batches: None,
                first_row: 0,
            },
        }
    }

    /// Where a row is, in the words of the kind of file.
    pub(crate) fn place(&self, row: u64) -> String {
        let Self::Text(file) = self else {
            return format!("row {}", row + 1);
        };
        // Chunks are in order of their first rows, so the row's is the last that doesn't begin
        // after it.
        let chunk = file.chunks.partition_point(|chunk| chunk.first_row <= row) - 1;
        let chunk = &file.chunks[chunk];
        let (line, _) = super::bad_row::place(file, chunk, row - chunk.first_row);
        format!("line {line}")
    }
}

/// The pieces of a file, some at a time.
pub(crate) enum Waves<'a> {
    Text(&'a TextFile, std::slice::Chunks<'a, Chunk>),
    Columnar {
        file: &'a ColumnarFile,
        /// Opened when they are asked for.
        batches: Option<Batches<'a>>,
        first_row: u64,
    },
}

impl<'a> Iterator for Waves<'a> {
    type Item = Result<Vec<Piece<'a>>, Diagnostic>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Text(file, chunks) => {
                let pieces = chunks.next()?.iter();
                Some(Ok(pieces
                    .map(|chunk| Piece::Text { file, chunk })
                    .collect()))
            }
            Self::Columnar {
                file,
                batches,
                first_row,
            } => columnar_wave(file, batches, first_row).transpose(),
        }
    }
}

fn columnar_wave<'a>(
    file: &'a ColumnarFile,
    batches: &mut Option<Batches<'a>>,
    first_row: &mut u64,
) -> Result<Option<Vec<Piece<'a>>>, Diagnostic> {
    let batches = match batches {
        Some(batches) => batches,
        none => none.insert(file.batches()?),
    };
    let mut pieces = Vec::with_capacity(WAVE);
    while pieces.len() < WAVE
        && let Some(columns) = batches.next()?
    {
        let num_rows = columns.num_rows as u64;
        pieces.push(Piece::Columnar {
            file,
            first_row: *first_row,
            columns,
        });
        // Columnar batches are counted as they come, since the file says only how many rows there
        // are in all.
        *first_row += num_rows;
    }
    Ok((!pieces.is_empty()).then_some(pieces))
}

/// A piece of a file.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Text {
        file: &'a TextFile,
        chunk: &'a Chunk,
    },
    Columnar {
        file: &'a ColumnarFile,
        first_row: u64,
        columns: Arrays,
    },
}

impl Piece<'_> {
    /// Index of its first row in the file.
    pub(crate) fn first_row(&self) -> u64 {
        match self {
            Self::Text { chunk, .. } => chunk.first_row,
            Self::Columnar { first_row, .. } => *first_row,
        }
    }

    pub(crate) fn num_rows(&self) -> u64 {
        match self {
            Self::Text { chunk, .. } => chunk.num_rows,
            Self::Columnar { columns, .. } => columns.num_rows as u64,
        }
    }

    /// Shows every row.
    ///
    /// # Errors
    /// The first row that isn't as described, with its place; `names` are the columns' names.
    pub(crate) fn visit<V: Visit>(
        &self,
        names: &[String],
        visitor: &mut V,
    ) -> Result<(), Diagnostic> {
        match self {
            Self::Text { file, chunk } => text_rows::visit(file, chunk, names, visitor),
            Self::Columnar {
                file,
                first_row,
                columns,
            } => {
                let decoded = Decoded::new(file, columns, names)?;
                for index in 0..columns.num_rows {
                    let seen = visitor.row(index as u64, &decoded.row(index));
                    let number = first_row + index as u64 + 1;
                    seen.map_err(|fault| fault.in_row(&file.path, number, names))?;
                }
                Ok(())
            }
        }
    }

    /// The text of a field of the `wanted`-th row.
    pub(crate) fn field(&self, wanted: u64, column: usize, names: &[String]) -> Option<String> {
        struct Finder {
            wanted: u64,
            column: usize,
            found: Option<String>,
        }
        impl Visit for Finder {
            fn row<R: Row>(&mut self, index: u64, row: &R) -> Result<(), Fault> {
                if index < self.wanted {
                    return Ok(());
                }
                self.found = Some(String::from_utf8_lossy(row.text(self.column)).into_owned());
                // No row after it is of interest.
                Err(Fault::Fields { found: 0 })
            }
        }
        let mut finder = Finder {
            wanted,
            column,
            found: None,
        };
        let _ = self.visit(names, &mut finder);
        finder.found
    }

    /// Lets the system take back the memory of the piece, which is read no more.
    pub(crate) fn release(&self) {
        if let Self::Text { file, chunk } = self {
            file.release(chunk);
        }
    }

    /// The fault in words, with the place of the first row at or after the `from`-th whose column has this text.
    pub(crate) fn locate(
        &self,
        fault: Fault,
        from: u64,
        column: usize,
        text: &[u8],
        names: &[String],
    ) -> Diagnostic {
        struct Finder<'a> {
            fault: Option<Fault>,
            from: u64,
            column: usize,
            text: &'a [u8],
        }
        impl Visit for Finder<'_> {
            fn row<R: Row>(&mut self, index: u64, row: &R) -> Result<(), Fault> {
                let is_it = index >= self.from && row.text(self.column) == self.text;
                match self.fault.take_if(|_| is_it) {
                    Some(fault) => Err(fault),
                    None => Ok(()),
                }
            }
        }
        let mut finder = Finder {
            fault: Some(fault),
            from,
            column,
            text,
        };
        match self.visit(names, &mut finder) {
            Err(said) => said,
            // A row that was there before is there still.
            Ok(()) => Diagnostic::new(
                String::new(),
                format!("column `{}`: a value that is not allowed", names[column]),
            ),
        }
    }
}

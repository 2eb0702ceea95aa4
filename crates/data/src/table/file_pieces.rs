//! Source files in pieces that are read in parallel.

use super::bad_row::Fault;
use super::column_slots::Need;
use super::columnar::{Arrays, Batches, ColumnarFile, Decoded, guarded};
use super::list_text::{ListForms, NoteForms};
use super::raw_columns::ColumnRule;
use super::row::{Row, Visit};
use super::text_chunks::{Chunk, TextFile, is_recbole};
use super::text_rows;
use crate::part_files::PartFile;
use crate::schema::{FileKind, Format};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use homebench_diagnostic::Diagnostic;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pieces read before their rows are joined; a bound on memory.
const WAVE: usize = 16;

/// A file of rows: one file, or many that an entry of `[files]` stands for, one after another.
#[derive(Debug)]
pub(crate) struct TableFile {
    path: PathBuf,
    parts: Vec<Part>,
    /// How texts of all parts hold several values.
    forms: Arc<ListForms>,
    num_columns: usize,
}

/// A file of any kind.
#[derive(Debug)]
struct Part {
    /// Index of its first row among those of all parts.
    start: u64,
    body: PartBody,
}

#[derive(Debug)]
enum PartBody {
    Text(TextFile),
    Columnar(ColumnarFile),
}

impl Part {
    fn open(
        entry: &Path,
        part: &PartFile,
        format: Format,
        columns: &[String],
        needs: &[Need],
        forms: &Arc<ListForms>,
    ) -> Result<Self, Diagnostic> {
        let kind = match FileKind::of_part(entry, &part.path, format) {
            FileKind::Text if format.kind.is_none() && is_recbole(&part.path) => FileKind::RecBole,
            kind => kind,
        };
        let (path, constants) = (&part.path, &part.constants[..]);
        let forms = forms.clone();
        let body = match kind {
            FileKind::Text | FileKind::RecBole | FileKind::LibSvm | FileKind::LibFfm => {
                let format = match kind {
                    FileKind::RecBole => Format::recbole(),
                    kind @ (FileKind::LibSvm | FileKind::LibFfm) => Format::sparse(kind),
                    _ => format,
                };
                let mut file = TextFile::open(path, format, columns, needs, constants)?;
                file.forms = forms;
                PartBody::Text(file)
            }
            kind => {
                let mut file = ColumnarFile::open(path, kind, columns, needs, constants)?;
                file.forms = forms;
                file.trim_spaces = format.trim_spaces;
                PartBody::Columnar(file)
            }
        };
        Ok(Self { start: 0, body })
    }

    fn path(&self) -> &Path {
        match &self.body {
            PartBody::Text(file) => &file.path,
            PartBody::Columnar(file) => &file.path,
        }
    }

    fn num_rows(&self) -> u64 {
        match &self.body {
            PartBody::Text(file) => file.num_rows(),
            PartBody::Columnar(file) => file.num_rows,
        }
    }

    /// The type that a column is read as, where the file knows it.
    fn data_type(&self, column: usize) -> Option<&DataType> {
        match &self.body {
            PartBody::Text(_) => None,
            PartBody::Columnar(file) => file.data_type(column),
        }
    }

    /// Where one of its rows is, in the words of the kind of file.
    fn place(&self, row: u64) -> String {
        let PartBody::Text(file) = &self.body else {
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

impl TableFile {
    /// Opens a file that has these columns, of which some are needed; `path` may be that of a folder or a pattern.
    ///
    /// # Errors
    /// A file that can't be read, is broken, or lacks a column or has it in another type.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        columns: &[String],
        needs: &[Need],
    ) -> Result<Self, Diagnostic> {
        let files = crate::part_files::parts(path)?.files;
        let forms = Arc::new(ListForms::new(needs));
        let opened: Vec<Result<Part, Diagnostic>> = files
            .par_iter()
            .map(|part| Part::open(path, part, format, columns, needs, &forms))
            .collect();
        // In order, so that the first fault is the one that is told.
        let mut parts = opened.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut start = 0;
        for part in &mut parts {
            part.start = start;
            start += part.num_rows();
        }
        Ok(Self {
            path: path.to_path_buf(),
            parts,
            forms,
            num_columns: columns.len(),
        })
    }

    /// Says which texts of each column stand for nothing, so that they have the form of no list.
    pub(crate) fn with_marks(self, marks: &[Vec<String>]) -> Self {
        self.forms.set_marks(marks);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn num_rows(&self) -> u64 {
        self.parts.iter().map(Part::num_rows).sum()
    }

    /// Whether every part has a column of the description, or is opened as if it had.
    pub(crate) fn has(&self, column: usize) -> bool {
        self.parts.iter().all(|part| match &part.body {
            PartBody::Text(file) => file.positions[column] != usize::MAX,
            PartBody::Columnar(file) => file.has(column),
        })
    }

    /// The first part that has a column of this name, where parts name their columns.
    pub(crate) fn with_column(&self, name: &str) -> Option<&Path> {
        let has = |part: &&Part| match &part.body {
            PartBody::Text(file) => file.header.iter().any(|column| column == name),
            PartBody::Columnar(file) => file.has_column(name),
        };
        self.parts.iter().find(has).map(Part::path)
    }

    /// The types of a column in the parts that have it, with their files; text where a part knows no types.
    pub(super) fn types_of(&self, column: usize) -> impl Iterator<Item = (&Path, DataType)> {
        let of_part = move |part: &Part| match &part.body {
            PartBody::Text(file) => {
                (file.positions[column] != usize::MAX).then_some(DataType::Utf8)
            }
            PartBody::Columnar(file) => file.plain_type(column),
        };
        let parts = self.parts.iter();
        parts.filter_map(move |part| Some((part.path(), of_part(part)?)))
    }

    /// Has every part that knows its types read its columns by these rules, and as these types where values have another kind.
    pub(super) fn read_by(&mut self, rules: &Arc<[ColumnRule]>, casts: &[Vec<DataType>]) {
        for part in &mut self.parts {
            if let PartBody::Columnar(file) = &mut part.body {
                file.rules = rules.clone();
                file.casts = casts.to_vec();
            }
        }
    }

    /// The type of a column in each part; nothing where the part doesn't know it.
    pub(crate) fn part_types(&self, column: usize) -> impl Iterator<Item = Option<&DataType>> {
        self.parts.iter().map(move |part| part.data_type(column))
    }

    /// The pieces of the file in order, some at a time; an error where it is broken further on.
    pub(crate) fn waves(&self) -> Waves<'_> {
        Waves {
            file: self,
            parts: self.parts.iter(),
            current: None,
        }
    }

    /// Learns from a piece how its texts hold several values, where that is not known.
    fn note_forms(&self, piece: &Piece<'_>) {
        let columns = match &piece.body {
            PieceBody::Text { .. } => None,
            PieceBody::Columnar { file, .. } => Some(file.text_lists()),
        };
        let columns = columns.as_deref();
        if !self.forms.are_known(columns) {
            let forms = &self.forms;
            let names = vec![String::new(); self.num_columns];
            // What is wrong with its rows is told when they are read.
            let _ = piece.visit(&names, &mut NoteForms { forms, columns });
        }
    }

    /// Where a row is, in the words of the kind of file.
    pub(crate) fn place(&self, row: u64) -> String {
        let part = self.parts.partition_point(|part| part.start <= row);
        let Some(part) = self.parts[..part].last() else {
            return format!("row {}", row + 1);
        };
        let place = part.place(row - part.start);
        match self.parts.len() {
            1 => place,
            _ => format!("{place} of {}", part.path().display()),
        }
    }
}

/// The pieces of a file, some at a time.
pub(crate) struct Waves<'a> {
    file: &'a TableFile,
    parts: std::slice::Iter<'a, Part>,
    current: Option<(&'a Part, Pieces<'a>)>,
}

/// What is left of a part.
enum Pieces<'a> {
    Text(&'a TextFile, std::slice::Iter<'a, Chunk>),
    Columnar {
        file: &'a ColumnarFile,
        batches: Batches<'a>,
        first_row: u64,
    },
}

impl<'a> Iterator for Waves<'a> {
    type Item = Result<Vec<Piece<'a>>, Diagnostic>;

    fn next(&mut self) -> Option<Self::Item> {
        // Across parts, so that many small ones keep all threads at work.
        let mut pieces = Vec::with_capacity(WAVE);
        while pieces.len() < WAVE {
            match self.next_piece() {
                Ok(Some(piece)) => {
                    // Pieces come here in order, whatever reads them: the first text decides, on any number of threads.
                    self.file.note_forms(&piece);
                    pieces.push(piece);
                }
                Ok(None) => break,
                Err(broken) => return Some(Err(broken)),
            }
        }
        (!pieces.is_empty()).then_some(Ok(pieces))
    }
}

impl<'a> Waves<'a> {
    fn next_piece(&mut self) -> Result<Option<Piece<'a>>, Diagnostic> {
        loop {
            if let Some((part, pieces)) = &mut self.current
                && let Some(body) = pieces.next()?
            {
                let start = part.start;
                return Ok(Some(Piece { start, body }));
            }
            let Some(part) = self.parts.next() else {
                return Ok(None);
            };
            // Opened when they are asked for.
            let pieces = match &part.body {
                PartBody::Text(file) => Pieces::Text(file, file.chunks.iter()),
                PartBody::Columnar(file) => Pieces::Columnar {
                    file,
                    batches: file.batches()?,
                    first_row: 0,
                },
            };
            self.current = Some((part, pieces));
        }
    }
}

impl<'a> Pieces<'a> {
    fn next(&mut self) -> Result<Option<PieceBody<'a>>, Diagnostic> {
        match self {
            Self::Text(file, chunks) => {
                let chunk = chunks.next();
                Ok(chunk.map(|chunk| PieceBody::Text { file, chunk }))
            }
            Self::Columnar {
                file,
                batches,
                first_row,
            } => {
                let Some(columns) = batches.next()? else {
                    return Ok(None);
                };
                let piece = PieceBody::Columnar {
                    file,
                    first_row: *first_row,
                    columns,
                };
                // Columnar batches are counted as they come, since the file says only how many rows there
                // are in all.
                if let PieceBody::Columnar { columns, .. } = &piece {
                    *first_row += columns.num_rows as u64;
                }
                Ok(Some(piece))
            }
        }
    }
}

/// A piece of a file.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// Index of the part's first row among those of all parts.
    start: u64,
    body: PieceBody<'a>,
}

#[derive(Debug)]
enum PieceBody<'a> {
    Text {
        file: &'a TextFile,
        chunk: &'a Chunk,
    },
    Columnar {
        file: &'a ColumnarFile,
        /// Index of its first row in its part.
        first_row: u64,
        columns: Arrays,
    },
}

impl Piece<'_> {
    /// Index of its first row in the file.
    pub(crate) fn first_row(&self) -> u64 {
        self.start
            + match &self.body {
                PieceBody::Text { chunk, .. } => chunk.first_row,
                PieceBody::Columnar { first_row, .. } => *first_row,
            }
    }

    pub(crate) fn num_rows(&self) -> u64 {
        match &self.body {
            PieceBody::Text { chunk, .. } => chunk.num_rows,
            PieceBody::Columnar { columns, .. } => columns.num_rows as u64,
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
        match &self.body {
            PieceBody::Text { file, chunk } => text_rows::visit(file, chunk, names, visitor),
            PieceBody::Columnar {
                file,
                first_row,
                columns,
            } => {
                let mut rows = ColumnarRows {
                    file,
                    names,
                    batch_row: *first_row,
                    visitor,
                };
                rows.visit(columns, 0)
            }
        }
    }

    /// The columns of a file that knows their types.
    ///
    /// # Errors
    /// A value of a rare type that can't be read, with its row.
    pub(crate) fn native(
        &self,
        names: &[String],
    ) -> Result<Option<Vec<Option<ArrayRef>>>, Diagnostic> {
        match &self.body {
            PieceBody::Text { .. } => Ok(None),
            PieceBody::Columnar {
                file,
                first_row,
                columns,
            } => {
                let plain = guarded(&file.path, || file.plain(columns, *first_row, names))?;
                Ok(Some(plain.arrays))
            }
        }
    }

    /// The fault of the `index`-th row, with its place.
    pub(crate) fn refuse(&self, fault: Fault, index: u64, names: &[String]) -> Diagnostic {
        match &self.body {
            PieceBody::Text { file, chunk } => fault.in_text(file, chunk, index, names),
            PieceBody::Columnar {
                file, first_row, ..
            } => fault.in_row(&file.path, first_row + index + 1, names),
        }
    }

    /// The type of a column, where the file knows it.
    pub(crate) fn data_type(&self, column: usize) -> Option<&DataType> {
        match &self.body {
            PieceBody::Text { .. } => None,
            PieceBody::Columnar { file, .. } => file.data_type(column),
        }
    }

    /// Whether its fields are texts.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.body, PieceBody::Text { .. })
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
        if let PieceBody::Text { file, chunk } = &self.body {
            file.release(chunk);
        }
    }
}

/// Shows the rows of a batch.
struct ColumnarRows<'a, V> {
    file: &'a ColumnarFile,
    names: &'a [String],
    /// Index of the batch's first row in its file.
    batch_row: u64,
    visitor: &'a mut V,
}

impl<V: Visit> ColumnarRows<'_, V> {
    /// Shows rows of the batch, the first of which is the `first`-th.
    fn visit(&mut self, columns: &Arrays, first: usize) -> Result<(), Diagnostic> {
        let row = self.batch_row + first as u64;
        let decoded = guarded(&self.file.path, || {
            let plain = self.file.plain(columns, row, self.names)?;
            Decoded::new(self.file, &plain, row, self.names)
        });
        let decoded = match decoded {
            Ok(decoded) => decoded,
            // A batch of long values may be too much for one array, whose texts have together less than 2 GiB: halves may not
            // be. What is broken is broken in one half too, and told from there.
            Err(_) if columns.num_rows > 1 => {
                let half = columns.num_rows / 2;
                self.visit(&columns.slice(0, half), first)?;
                return self.visit(&columns.slice(half, columns.num_rows - half), first + half);
            }
            Err(broken) => return Err(broken),
        };
        for index in 0..columns.num_rows {
            let seen = self
                .visitor
                .row((first + index) as u64, &decoded.row(index));
            let number = row + index as u64 + 1;
            seen.map_err(|fault| fault.in_row(&self.file.path, number, self.names))?;
        }
        Ok(())
    }
}

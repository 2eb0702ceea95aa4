//! Reads a table a row at a time; bad values are reported by file, line and column.

use super::column::{self, Line, Refusal};
use super::open::{ReadError, open_table};
use super::{Row, Table};
use homebench_diagnostic::shortened;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use std::io::{Cursor, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Long tables are read in pieces of this size: some hundreds of calls of the system for the longest.
const PIECE: usize = 1 << 20;

/// The most bytes of a value.
const LONGEST_VALUE: usize = 2000;
/// Columns whose values may be longer: reasons, settings and what preparation has to say.
const MAY_BE_LONG: [&str; 3] = ["error", "value", "message"];

/// A table that is being read.
pub struct TableReader<R> {
    file: PathBuf,
    reader: csv::Reader<Box<dyn Read>>,
    headers: csv::StringRecord,
    /// Places of columns in the struct and in the file.
    columns: Vec<(usize, usize)>,
    record: csv::StringRecord,
    row: PhantomData<R>,
}

impl<R: Row> TableReader<R> {
    /// Opens a file of a folder and finds the columns of the row in its header.
    ///
    /// # Errors
    /// A file that can't be read, or has not all columns.
    pub fn open(folder: &Path, name: &str) -> Result<Self, ReadError> {
        let (file, text) = open_table(folder, name)?;
        Self::of_reader(file, text, PIECE)
    }

    /// The table of a text that a file has among others.
    ///
    /// # Errors
    /// Not all columns are there.
    pub fn of_text(file: PathBuf, text: String) -> Result<Self, ReadError> {
        // Small ones are read by the thousand.
        let piece = text.len().clamp(1, PIECE);
        Self::of_reader(file, Box::new(Cursor::new(text)), piece)
    }

    fn of_reader(file: PathBuf, text: Box<dyn Read>, piece: usize) -> Result<Self, ReadError> {
        let mut reader = csv::ReaderBuilder::new()
            .buffer_capacity(piece)
            .from_reader(text);
        let headers = reader.headers().cloned();
        let headers = headers.map_err(|why| unreadable(&file, why))?;
        // Found once: to look for a name in the header at every value would cost more than to read it.
        let mut columns = Vec::new();
        for (field, column) in column::names::<R>().iter().enumerate() {
            match headers.iter().position(|header| header == *column) {
                Some(place) => columns.push((field, place)),
                None if R::LATER.contains(column) => {}
                None => {
                    let found = shortened(&headers.iter().collect::<Vec<_>>().join(","));
                    return Err(ReadError::MissingColumn {
                        file,
                        column,
                        found,
                    });
                }
            }
        }
        Ok(Self {
            file,
            reader,
            headers,
            columns,
            record: csv::StringRecord::new(),
            row: PhantomData,
        })
    }

    /// Goes on to the next line; false where there is none.
    ///
    /// # Errors
    /// A line that can't be read, or has more or fewer values than the header.
    pub fn advance(&mut self) -> Result<bool, ReadError> {
        let read = self.reader.read_record(&mut self.record);
        let is_line = read.map_err(|why| unreadable(&self.file, why))?;
        // Most lines are shorter than the longest value.
        if self.record.as_slice().len() > LONGEST_VALUE {
            self.check_lengths()?;
        }
        Ok(is_line)
    }

    /// Names are shown in figures and tables, which are made for such as people read.
    fn check_lengths(&self) -> Result<(), ReadError> {
        let columns = column::names::<R>();
        let too_long = |(field, place): &&(usize, usize)| {
            let value = self.record.get(*place).unwrap_or_default();
            value.len() > LONGEST_VALUE && !MAY_BE_LONG.contains(&columns[*field])
        };
        match self.columns.iter().find(too_long) {
            None => Ok(()),
            Some((field, _)) => {
                let expected = format!("at most {LONGEST_VALUE} bytes");
                Err(self.bad(columns[*field], &expected))
            }
        }
    }

    /// The line as a row.
    ///
    /// # Errors
    /// A value that is not what its column holds.
    pub fn row(&self) -> Result<R::Of<'_>, ReadError> {
        let line = Line {
            columns: &self.columns,
            record: &self.record,
        };
        let row = R::Of::deserialize(MapAccessDeserializer::new(line));
        row.map_err(|Refusal { column, expected }| {
            self.bad(column::names::<R>()[column], &expected)
        })
    }

    /// The error for a value of the line that is not what its column holds.
    pub fn bad(&self, column: &'static str, expected: &str) -> ReadError {
        let place = self.headers.iter().position(|header| header == column);
        let found = place.and_then(|place| self.record.get(place));
        ReadError::BadValue {
            file: self.file.clone(),
            line: self.line(),
            column,
            expected: expected.to_owned(),
            found: shortened(found.unwrap_or_default()),
        }
    }

    /// Line of the row, counted from 1, the header included.
    pub(crate) fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The header as it is in the file.
    pub(crate) fn header(&self) -> &csv::StringRecord {
        &self.headers
    }

    /// The line as it is in the file.
    pub(crate) fn record(&self) -> &csv::StringRecord {
        &self.record
    }
}

fn unreadable(file: &Path, why: csv::Error) -> ReadError {
    let file = file.to_owned();
    // A packed table that is cut off or no zstd ends up here too: its bytes are read through the decoder.
    match why.is_io_error() {
        true => ReadError::Unreadable {
            file,
            why: why.into(),
        },
        false => ReadError::Malformed { file, why },
    }
}

/// What `of_row` makes of each row of a table, in its order; rows of which it makes nothing are left out.
///
/// # Errors
/// A file that can't be read, a missing column, or a value that is not what its column holds; each with file, line and column.
pub fn read_rows<T: Table, Made>(
    folder: &Path,
    of_row: impl for<'r> FnMut(T::Of<'r>, &'r TableReader<T>) -> Result<Option<Made>, ReadError>,
) -> Result<Vec<Made>, ReadError> {
    rows_of(TableReader::<T>::open(folder, T::FILE)?, of_row)
}

/// As [`read_rows`], of the text of a table that a file has among others.
///
/// # Errors
/// As of [`read_rows`].
pub fn rows_of_text<T: Table, Made>(
    file: PathBuf,
    text: String,
    of_row: impl for<'r> FnMut(T::Of<'r>, &'r TableReader<T>) -> Result<Option<Made>, ReadError>,
) -> Result<Vec<Made>, ReadError> {
    rows_of(TableReader::<T>::of_text(file, text)?, of_row)
}

fn rows_of<T: Table, Made>(
    mut table: TableReader<T>,
    mut of_row: impl for<'r> FnMut(T::Of<'r>, &'r TableReader<T>) -> Result<Option<Made>, ReadError>,
) -> Result<Vec<Made>, ReadError> {
    let mut found = Vec::new();
    while table.advance()? {
        found.extend(of_row(table.row()?, &table)?);
    }
    Ok(found)
}

/// As [`read_rows`], of a table that may be absent.
///
/// # Errors
/// As of [`read_rows`], but for an absent file.
pub fn read_rows_if_any<T: Table, Made>(
    folder: &Path,
    of_row: impl for<'r> FnMut(T::Of<'r>, &'r TableReader<T>) -> Result<Option<Made>, ReadError>,
) -> Result<Vec<Made>, ReadError> {
    match read_rows(folder, of_row) {
        Err(error) if error.is_absence() => Ok(Vec::new()),
        read => read,
    }
}

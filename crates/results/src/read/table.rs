//! A CSV file whose columns are found by name and whose bad values are reported by file, line and column.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Why a file of results could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be opened or read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file isn't CSV, for example a row is shorter than the header.
    #[error("{file}: not a table: {source}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong, with its line.
        source: csv::Error,
    },
    /// A column is missing.
    #[error("{file}, line 1: expected a column `{column}`, found {found}")]
    MissingColumn {
        /// The file.
        file: PathBuf,
        /// The column that is needed.
        column: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A value is not what the column holds.
    #[error("{file}, line {line}, column `{column}`: expected {expected}, found `{found}`")]
    BadValue {
        /// The file.
        file: PathBuf,
        /// Line of the row, counted from 1, the header included.
        line: u64,
        /// The column.
        column: &'static str,
        /// What the column holds.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// A table in memory.
pub(super) struct Table {
    file: PathBuf,
    headers: csv::StringRecord,
    records: Vec<csv::StringRecord>,
}

/// A row of a [`Table`].
pub(super) struct Row<'a> {
    table: &'a Table,
    record: &'a csv::StringRecord,
}

impl Table {
    /// Reads a file whose first line names at least `columns`.
    pub(super) fn read(file: &Path, columns: &[&'static str]) -> Result<Self, ReadError> {
        let bytes = std::fs::read(file).map_err(|source| ReadError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        let malformed = |source| ReadError::Malformed {
            file: file.to_owned(),
            source,
        };
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let headers = reader.headers().map_err(malformed)?.clone();
        let records: Result<_, _> = reader.records().collect();
        let table = Self {
            file: file.to_owned(),
            headers,
            records: records.map_err(malformed)?,
        };
        for column in columns {
            table.index(column)?;
        }
        Ok(table)
    }

    /// Rows in the file's order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|record| Row {
            table: self,
            record,
        })
    }

    fn index(&self, column: &'static str) -> Result<usize, ReadError> {
        let place = self.headers.iter().position(|header| header == column);
        place.ok_or_else(|| ReadError::MissingColumn {
            file: self.file.clone(),
            column,
            found: self.headers.iter().collect::<Vec<_>>().join(","),
        })
    }
}

impl Row<'_> {
    /// The column's text.
    pub(super) fn text(&self, column: &'static str) -> Result<&str, ReadError> {
        Ok(&self.record[self.table.index(column)?])
    }

    /// The column's text; empty where older folders have no such column.
    pub(super) fn text_or_empty(&self, column: &'static str) -> &str {
        self.text(column).unwrap_or_default()
    }

    /// A whole number of a column that older folders don't have.
    pub(super) fn later_number(&self, column: &'static str) -> Result<Option<u64>, ReadError> {
        match self.text_or_empty(column) {
            "" => Ok(None),
            _ => self.parse(column, "a whole number").map(Some),
        }
    }

    /// The column as a number; `expected` says what it should be.
    pub(super) fn parse<T: FromStr>(
        &self,
        column: &'static str,
        expected: &'static str,
    ) -> Result<T, ReadError> {
        let text = self.text(column)?;
        text.parse().map_err(|_| self.bad(column, expected))
    }

    /// The column as a number, or nothing where it is empty.
    pub(super) fn optional<T: FromStr>(
        &self,
        column: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ReadError> {
        if self.text(column)?.is_empty() {
            return Ok(None);
        }
        self.parse(column, expected).map(Some)
    }

    /// The column as a finite number, or nothing where it is empty.
    pub(super) fn number(&self, column: &'static str) -> Result<Option<f64>, ReadError> {
        const EXPECTED: &str = "a finite number or nothing";
        let value: Option<f64> = self.optional(column, EXPECTED)?;
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(self.bad(column, EXPECTED));
        }
        Ok(value)
    }

    /// The error for a value that is not what the column holds.
    pub(super) fn bad(&self, column: &'static str, expected: &'static str) -> ReadError {
        ReadError::BadValue {
            file: self.table.file.clone(),
            line: self.record.position().map_or(0, csv::Position::line),
            column,
            expected,
            found: self.text(column).unwrap_or_default().to_owned(),
        }
    }
}

//! Tables that are joined to every row: read once, looked up by key.

use super::bad_row::Fault;
use super::column_slots::{ColumnSlots, ListColumn};
use super::file_pieces::TableFile;
use super::interner::Interner;
use super::row::{self, Row, Visit};
use super::row_lists::RowLists;
use crate::schema::Join;
use homebench_diagnostic::Diagnostic;
use std::path::PathBuf;

/// A joined table in memory: the columns in use alone, distinct texts once.
#[derive(Debug)]
pub(super) struct JoinTable {
    /// Index of the rows' column that is looked up.
    pub(super) on: usize,
    /// Keys; the number of a key is the table's row.
    // In memory whole, since rows look keys up in any order; docs/data.md says so to users.
    keys: Interner,
    texts: Vec<Interner>,
    /// [rows, text columns].
    codes: Vec<u32>,
    num_hashes: usize,
    /// [rows, hashed columns].
    hashes: Vec<u32>,
    num_numbers: usize,
    /// [rows, number columns]; NaN where the field is empty.
    numbers: Vec<f64>,
    list_columns: Vec<ListColumn>,
    list_texts: Vec<Interner>,
    /// `list_columns` lists a row.
    lists: RowLists,
}

/// Columns in use, as indices into those of the table.
struct InUse {
    key: usize,
    texts: Vec<usize>,
    hashes: Vec<usize>,
    numbers: Vec<usize>,
    lists: Vec<ListColumn>,
}

impl InUse {
    fn of_join(join: &Join, columns: &ColumnSlots) -> Self {
        // The table's columns are added in order, without the key.
        let place = |column: usize| {
            let index = column.checked_sub(join.first)?;
            let index = index + usize::from(index >= join.key);
            (index < join.columns.len()).then_some(index)
        };
        let places =
            |columns: &[usize]| columns.iter().filter_map(|column| place(*column)).collect();
        let list = |list: &ListColumn| {
            let column = place(list.column)?;
            Some(ListColumn { column, ..*list })
        };
        Self {
            key: join.key,
            texts: places(&columns.texts),
            hashes: places(&columns.hashes),
            numbers: places(&columns.numbers),
            lists: columns.lists.iter().filter_map(list).collect(),
        }
    }

    fn needs(&self, join: &Join) -> Vec<super::column_slots::Need> {
        let mut needs = vec![super::column_slots::Need::default(); join.columns.len()];
        for column in self.texts.iter().chain(&self.hashes).chain([&self.key]) {
            needs[*column].text = true;
        }
        for column in &self.numbers {
            needs[*column].number = true;
        }
        for list in &self.lists {
            needs[list.column].list = true;
        }
        needs
    }
}

impl JoinTable {
    /// Reads a table; `files` are all of the description's.
    ///
    /// # Errors
    /// A row that isn't as described, or a key that is there twice.
    pub(super) fn read(
        join: &Join,
        columns: &ColumnSlots,
        files: &[PathBuf],
    ) -> Result<Self, Diagnostic> {
        let in_use = InUse::of_join(join, columns);
        let table = Self {
            on: join.on,
            keys: Interner::default(),
            texts: vec![Interner::default(); in_use.texts.len()],
            codes: Vec::new(),
            num_hashes: in_use.hashes.len(),
            hashes: Vec::new(),
            num_numbers: in_use.numbers.len(),
            numbers: Vec::new(),
            list_columns: in_use.lists.clone(),
            list_texts: vec![Interner::default(); in_use.lists.len()],
            lists: RowLists::default(),
        };
        let needs = in_use.needs(join);
        let opened = join
            .files
            .iter()
            .map(|file| TableFile::open(&files[*file], join.format, &join.columns, &needs));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        let mut reading = JoinReading {
            table,
            in_use,
            files: &opened,
        };
        for file in &opened {
            for wave in file.waves() {
                for piece in wave? {
                    piece.visit(&join.columns, &mut reading)?;
                    piece.release();
                }
            }
        }
        Ok(reading.table)
    }

    /// The row of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        self.keys.get(key).map(|row| row as usize)
    }

    /// Texts of the columns in use, empty where there is no row.
    pub(super) fn texts_of(&self, row: Option<usize>) -> impl Iterator<Item = &[u8]> {
        let width = self.texts.len();
        self.texts
            .iter()
            .enumerate()
            .map(move |(slot, texts)| match row {
                Some(row) => texts.text(self.codes[row * width + slot]),
                None => &b""[..],
            })
    }

    /// Hashes of the columns in use, 0 where there is nothing.
    pub(super) fn hashes_of(&self, row: Option<usize>) -> impl Iterator<Item = u32> {
        (0..self.num_hashes).map(move |slot| match row {
            Some(row) => self.hashes[row * self.num_hashes + slot],
            None => 0,
        })
    }

    /// Numbers of the columns in use, NaN where there is none.
    pub(super) fn numbers_of(&self, row: Option<usize>) -> impl Iterator<Item = f64> {
        (0..self.num_numbers).map(move |slot| match row {
            Some(row) => self.numbers[row * self.num_numbers + slot],
            None => f64::NAN,
        })
    }

    /// Lists of the columns in use, empty where there is no row: whether they are hashed, their codes, and the values that
    /// the codes number where they aren't.
    pub(super) fn lists_of(
        &self,
        row: Option<usize>,
    ) -> impl Iterator<Item = (bool, &[u32], &Interner)> {
        let width = self.list_columns.len();
        let lists = self.list_columns.iter().zip(&self.list_texts).enumerate();
        lists.map(move |(slot, (column, texts))| {
            let codes = row.map_or(&[][..], |row| self.lists.list(row * width + slot));
            (column.is_hashed, codes, texts)
        })
    }
}

/// Takes the rows of a table one by one.
struct JoinReading<'a> {
    table: JoinTable,
    in_use: InUse,
    files: &'a [TableFile],
}

impl JoinReading<'_> {
    /// Where a row of the table is, with the name of the file where there are several.
    fn place(&self, row: usize) -> String {
        let mut row = row as u64;
        for file in self.files {
            if row < file.num_rows() {
                return match self.files {
                    [_] => file.place(row),
                    _ => format!("{} of {}", file.place(row), file.path().display()),
                };
            }
            row -= file.num_rows();
        }
        format!("row {}", row + 1)
    }
}

impl Visit for JoinReading<'_> {
    fn row<R: Row>(&mut self, _index: u64, row: &R) -> Result<(), Fault> {
        let (table, in_use) = (&mut self.table, &self.in_use);
        let known = table.keys.len();
        // The interner numbers keys as they come, so that a key's number is its row.
        let number = table.keys.intern(row.text(in_use.key), 0) as usize;
        if table.keys.is_full() {
            return Err(Fault::TooMuchText { column: in_use.key });
        }
        if number < known {
            return Err(Fault::Duplicate {
                column: in_use.key,
                key: String::from_utf8_lossy(row.text(in_use.key)).into_owned(),
                first: self.place(number),
            });
        }
        for (column, texts) in in_use.texts.iter().zip(&mut table.texts) {
            table.codes.push(texts.intern(row.text(*column), 0));
            if texts.is_full() {
                return Err(Fault::TooMuchText { column: *column });
            }
        }
        let hashes = in_use.hashes.iter();
        table
            .hashes
            .extend(hashes.map(|column| row::hash(row.text(*column))));
        for column in &in_use.numbers {
            // Always optional: a row without a match has no number either.
            let value = row.number(*column, true);
            table
                .numbers
                .push(value.map_err(|refused| refused.in_column(*column))?);
        }
        for (list, texts) in in_use.lists.iter().zip(&mut table.list_texts) {
            row.values(list.column, list.separator, &mut |value| {
                table.lists.values.push(match list.is_hashed {
                    true => row::hash(value),
                    false => texts.intern(value, 0),
                });
            });
            table.lists.end_list();
            if texts.is_full() {
                return Err(Fault::TooMuchText {
                    column: list.column,
                });
            }
        }
        Ok(())
    }
}

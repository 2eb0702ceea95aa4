//! Every column of a piece's rows: those of the file, those of the tables that are joined, and those that are computed.

use super::bad_row::{self, Fault, TableRow};
use super::column_slots::is_retyped;
use super::file_pieces::Piece;
use super::parse_rows::Context;
use super::raw_columns::{ColumnRule, RawColumns, convert};
use super::split_assignment::Dividing;
use crate::expression::{Reading, RowFault, Rows, Values};
use arrow::array::{Array, StringArray};
use homebench_diagnostic::Diagnostic;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::mem::take;
use std::rc::Rc;

/// The row of a joined table that each row has, and how many have none and have no key.
struct Matches {
    rows: Rc<Vec<Option<usize>>>,
    unmatched: u64,
    without_key: u64,
}

/// Columns of the rows in use of a piece.
pub(super) struct PieceColumns<'a> {
    context: &'a Context<'a>,
    raw: RawColumns<'a>,
    matches: Vec<OnceCell<Matches>>,
    known: RefCell<HashMap<(usize, Reading), Values>>,
}

/// Texts of a column.
pub(super) struct ColumnTexts(StringArray);

impl ColumnTexts {
    /// The text of a row, empty where there is none.
    pub(super) fn get(&self, row: usize) -> &str {
        if self.0.is_null(row) {
            ""
        } else {
            self.0.value(row)
        }
    }
}

impl<'a> PieceColumns<'a> {
    pub(super) fn new(context: &'a Context<'a>, raw: RawColumns<'a>) -> Self {
        Self {
            context,
            raw,
            matches: context.joins.iter().map(|_| OnceCell::new()).collect(),
            known: RefCell::default(),
        }
    }

    /// Index in the piece of a row.
    pub(super) fn place(&self, row: usize) -> u64 {
        self.raw.place(row)
    }

    /// Rows of which a NaN was taken for nothing, in a number or in a text.
    pub(super) fn num_nan(&self) -> u64 {
        let (plan, columns) = (self.context.plan, self.context.columns);
        let lists = columns.lists.iter().map(|list| list.column);
        let single = columns.texts.iter().chain(&columns.hashes);
        let texts = single.chain(&columns.keys).copied().chain(lists);
        self.raw
            .note_nan_of_texts(texts.filter(|column| *column < plan.num_own_columns));
        self.raw.num_nan()
    }

    /// The join that gives a column, and the column's place in its table.
    pub(super) fn joined(&self, column: usize) -> Option<(usize, usize)> {
        let joins = self.context.plan.joins.iter().enumerate();
        joins.rev().find_map(|(index, join)| {
            let place = column.checked_sub(join.first)?;
            let place = place + usize::from(place >= join.key);
            (place < join.columns.len()).then_some((index, place))
        })
    }

    /// The row of a joined table that each row has.
    pub(super) fn found(&self, join: usize) -> Result<Rc<Vec<Option<usize>>>, RowFault> {
        if let Some(matches) = self.matches[join].get() {
            return Ok(matches.rows.clone());
        }
        let (table, on) = (&self.context.joins[join], self.context.plan.joins[join].on);
        let computed = match self.is_plain(on) {
            true => None,
            false => Some(self.texts(on)?),
        };
        let (mut unmatched, mut without_key) = (0, 0);
        let rows = (0..self.num_rows())
            .map(|row| {
                let key = match &computed {
                    None => self.raw.text(on, row),
                    Some(texts) => texts.get(row).as_bytes(),
                };
                // Nothing is equal to nothing.
                let found = match (key.is_empty(), &computed) {
                    (true, _) => None,
                    (false, None) => table.find(key),
                    (false, Some(_)) => table.find(key).or_else(|| table.find_day(key)),
                };
                without_key += u64::from(key.is_empty());
                unmatched += u64::from(found.is_none());
                found
            })
            .collect();
        let matches = Matches {
            rows: Rc::new(rows),
            unmatched,
            without_key,
        };
        Ok(self.matches[join].get_or_init(|| matches).rows.clone())
    }

    /// Whether the rows' own texts are those of a column.
    fn is_plain(&self, column: usize) -> bool {
        column < self.context.plan.num_own_columns && !is_retyped(self.context.plan, column)
    }

    /// Rows without a row of a joined table, and those of them that have no key.
    pub(super) fn unmatched(&self, join: usize) -> (u64, u64) {
        // A table of which no row asked has been looked up for its count all the same.
        let _ = self.found(join);
        let matches = self.matches[join].get();
        matches.map_or((0, 0), |matches| (matches.unmatched, matches.without_key))
    }

    /// The texts of a column: as a file of texts would have them.
    pub(super) fn texts(&self, column: usize) -> Result<ColumnTexts, RowFault> {
        Ok(ColumnTexts(self.values(column, Reading::Raw)?.texts()))
    }

    /// Some of the rows.
    pub(super) fn chosen<'b>(&'b self, rows: &'b [usize]) -> ChosenRows<'b> {
        ChosenRows {
            all: self,
            rows,
            is_all: rows.len() == self.num_rows(),
        }
    }

    /// A fault of one of the rows, with its place in the file.
    pub(super) fn refuse(&self, piece: &Piece<'_>, fault: RowFault) -> Diagnostic {
        self.refuse_in(piece, fault, None)
    }

    /// As [`refuse`](Self::refuse), of a part of the description that no column is computed by.
    pub(super) fn refuse_in(
        &self,
        piece: &Piece<'_>,
        mut fault: RowFault,
        of: Option<String>,
    ) -> Diagnostic {
        let plan = self.context.plan;
        let place = self.raw.place(fault.row);
        // As the file has it: 1e39 is no row of zeros.
        if let (true, Some(column)) = (piece.is_text(), fault.column)
            && column < plan.num_own_columns
            && fault.found.parse::<f64>().is_ok()
            && let Some(text) = piece.field(place, column, &plan.columns)
        {
            fault.found = text;
        }
        let readings = self.context.columns.readings.iter();
        let reading = readings
            .filter(|(column, _)| Some(*column) == fault.column)
            .map(|(_, reading)| *reading)
            .next()
            .unwrap_or(Reading::Number);
        let joined = (fault.column).and_then(|column| self.in_joined_table(column, fault.row));
        let column = fault.column;
        let is_nothing = fault.found.is_empty();
        let mut said = bad_row::field_fault(plan, reading, fault);
        match (&mut said, joined, column) {
            (Fault::Computed { part, hint, .. }, Some((on, row)), Some(column)) => {
                *part = bad_row::part_of_joined(plan, column, on, &row);
                if is_nothing {
                    *hint = bad_row::nothing_joined(plan, column, on, &row);
                }
            }
            (Fault::Computed { part, .. }, None, None) => *part = of.unwrap_or(take(part)),
            _ => {}
        }
        piece.refuse(said, place, &plan.columns)
    }

    /// The column that a joined column is found by, and what the row has in its table.
    fn in_joined_table(&self, column: usize, row: usize) -> Option<(usize, TableRow)> {
        let plan = self.context.plan;
        if !(plan.num_own_columns..plan.first_derived()).contains(&column) {
            return None;
        }
        let (join, _) = self.joined(column)?;
        let on = plan.joins[join].on;
        let key = match self.is_plain(on) {
            true => String::from_utf8_lossy(self.raw.text(on, row)).into_owned(),
            false => self.texts(on).ok()?.get(row).to_owned(),
        };
        let is_found = self.found(join).ok()?[row].is_some();
        let row = match (key.is_empty(), is_found) {
            (true, _) => TableRow::WithoutKey,
            (false, true) => TableRow::Found(key),
            (false, false) => TableRow::Unmatched(key),
        };
        Some((on, row))
    }
}

impl Dividing for PieceColumns<'_> {
    fn dividing_values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        self.values(column, reading)
    }

    fn dividing_texts(&self, column: usize) -> Result<Vec<Vec<u8>>, RowFault> {
        let rows = 0..self.num_rows();
        if column < self.context.plan.num_own_columns && !is_retyped(self.context.plan, column) {
            return Ok(rows
                .map(|row| self.raw.text(column, row).to_vec())
                .collect());
        }
        let texts = self.texts(column)?;
        Ok(rows.map(|row| texts.get(row).as_bytes().to_vec()).collect())
    }
}

impl Rows for PieceColumns<'_> {
    fn num_rows(&self) -> usize {
        self.raw.num_rows()
    }

    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        if let Some(values) = self.known.borrow().get(&(column, reading)) {
            return Ok(values.clone());
        }
        let plan = self.context.plan;
        let values = if column < plan.num_own_columns {
            self.raw.values(column, reading)?
        } else if let Some(index) = column.checked_sub(plan.first_derived()) {
            // Whose fault it is, unless it is that of a column that it reads.
            let own = |fault: RowFault| RowFault {
                column: fault.column.or(Some(column)),
                ..fault
            };
            let computed = plan.derived[index].evaluate(self).map_err(own)?;
            let rule = ColumnRule {
                kind: self.context.derived_kinds[index],
                ..ColumnRule::default()
            };
            convert(computed, reading, &rule, false).map_err(own)?
        } else {
            let (join, _) = self
                .joined(column)
                .expect("every other column is of a join");
            self.context.joins[join]
                .values(column, reading)
                .take(&self.found(join)?)
        };
        self.known
            .borrow_mut()
            .insert((column, reading), values.clone());
        Ok(values)
    }

    fn times(&self, column: usize) -> Option<Values> {
        if column < self.context.plan.num_own_columns {
            let holds_times = self.raw.holds_times(column);
            return holds_times.then(|| self.values(column, Reading::Time).ok())?;
        }
        match self.joined(column) {
            // Of a joined table nothing is kept but what is asked of it: its count.
            Some((join, _)) => {
                let holds_times = self.context.joins[join].holds_times(column);
                holds_times.then(|| self.values(column, Reading::Number).ok())?
            }
            None => {
                let computed = self.values(column, Reading::Raw).ok();
                computed.filter(|values| matches!(values, Values::Time(_)))
            }
        }
    }
}

/// Some rows of a piece.
pub(super) struct ChosenRows<'a> {
    all: &'a PieceColumns<'a>,
    rows: &'a [usize],
    is_all: bool,
}

impl ChosenRows<'_> {
    /// The index among all rows of one of these.
    pub(super) fn among_all(&self, row: usize) -> usize {
        self.rows[row]
    }

    fn chosen(&self, values: Values) -> Values {
        if self.is_all {
            return values;
        }
        let rows: Vec<Option<usize>> = self.rows.iter().map(|row| Some(*row)).collect();
        values.take(&rows)
    }
}

impl Rows for ChosenRows<'_> {
    fn num_rows(&self) -> usize {
        self.rows.len()
    }

    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        Ok(self.chosen(self.all.values(column, reading)?))
    }

    fn times(&self, column: usize) -> Option<Values> {
        Some(self.chosen(self.all.times(column)?))
    }
}

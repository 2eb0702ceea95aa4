//! Rows of a piece into codes, numbers and labels.

use super::bad_row::{A_TIME, Fault, NUMBER_LABEL, ZERO_OR_ONE};
use super::column_slots::ColumnSlots;
use super::file_pieces::Piece;
use super::fit::log1p_signed;
use super::interner::Interner;
use super::join_table::JoinTable;
use super::row::{self, Row, Visit};
use super::row_lists::RowLists;
use super::split_assignment::{Assignment, Side, TRAIN};
use crate::expression::{Expression, Rows};
use crate::schema::{Label, LabelValue, TablePlan};
use homebench_diagnostic::Diagnostic;

/// The rows in use of a piece.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Split of each row.
    pub(super) splits: Vec<u8>,
    /// Ids in `texts`, then hashes, row-major.
    pub(super) codes: Vec<u32>,
    /// Row-major.
    pub(super) numbers: Vec<f64>,
    /// Row-major.
    pub(super) labels: Vec<f32>,
    /// Ids in `list_texts`, or hashes.
    pub(super) lists: RowLists,
    /// Distinct texts of each text column, with the number of training rows that have them.
    pub(super) texts: Vec<Interner>,
    /// Distinct values of each list column, with their number in training rows; empty for hashed ones.
    pub(super) list_texts: Vec<Interner>,
    /// Rows read, those that are not in use included.
    pub(super) num_rows: u64,
    /// Rows that the filter left out.
    pub(super) num_dropped: u64,
    /// Rows without a match, by join.
    pub(super) num_unmatched: Vec<u64>,
}

/// What every piece is read with.
pub(super) struct Context<'a> {
    pub(super) plan: &'a TablePlan,
    pub(super) columns: &'a ColumnSlots,
    pub(super) joins: &'a [JoinTable],
    pub(super) assignment: &'a Assignment,
}

/// Reads a piece of a file whose first row is the `start`-th of its side.
///
/// # Errors
/// The first row that isn't as described.
pub(super) fn parse(
    context: &Context<'_>,
    side: Side,
    start: u64,
    piece: &Piece<'_>,
) -> Result<Parsed, Diagnostic> {
    let Context { plan, columns, .. } = *context;
    let start = start + piece.first_row();
    let mut reading = PieceReading::new(context, side, start, piece.num_rows());
    piece.visit(&plan.columns, &mut reading)?;
    let mut parsed = reading.parsed;
    // Once a distinct text, not once a row; and before the filter, which must not hide a value that
    // is not allowed.
    check_allowed(plan, columns, piece, &parsed)?;
    if let Some(filter) = &plan.filter {
        apply_filter(filter, columns, &mut parsed);
    }
    // After the filter: rows that are left out need no label.
    compute_labels(plan, columns, &mut parsed);
    Ok(parsed)
}

/// Takes the rows of a piece one by one.
struct PieceReading<'a> {
    context: &'a Context<'a>,
    side: Side,
    /// Index of the piece's first row among those of its side.
    start: u64,
    /// How many of each kind of column are the files' own.
    num_own: NumOwn,
    may_be_missing: Vec<bool>,
    /// The row of each joined table.
    found: Vec<Option<usize>>,
    parsed: Parsed,
}

struct NumOwn {
    texts: usize,
    hashes: usize,
    numbers: usize,
    lists: usize,
}

impl<'a> PieceReading<'a> {
    fn new(context: &'a Context<'a>, side: Side, start: u64, num_rows: u64) -> Self {
        let Context {
            plan,
            columns,
            joins,
            ..
        } = context;
        let own =
            |columns: &[usize]| columns.partition_point(|column| *column < plan.num_own_columns);
        let mut may_be_missing = vec![false; plan.num_own_columns];
        let empty_is_unobserved = plan.labels.iter().filter_map(Label::column);
        for column in plan.optional.iter().copied().chain(empty_is_unobserved) {
            if column < plan.num_own_columns {
                may_be_missing[column] = true;
            }
        }
        Self {
            context,
            side,
            start,
            num_own: NumOwn {
                texts: own(&columns.texts),
                hashes: own(&columns.hashes),
                numbers: own(&columns.numbers),
                lists: columns
                    .lists
                    .partition_point(|list| list.column < plan.num_own_columns),
            },
            may_be_missing,
            found: vec![None; joins.len()],
            parsed: Parsed {
                num_rows,
                splits: Vec::with_capacity(num_rows as usize),
                codes: Vec::with_capacity(num_rows as usize * columns.num_codes()),
                numbers: Vec::with_capacity(num_rows as usize * columns.numbers.len()),
                texts: vec![Interner::default(); columns.texts.len()],
                list_texts: vec![Interner::default(); columns.lists.len()],
                num_unmatched: vec![0; joins.len()],
                ..Parsed::default()
            },
        }
    }

    /// Codes of texts, then hashes.
    fn codes<R: Row>(&mut self, row: &R, count: u64) {
        let Context { columns, joins, .. } = self.context;
        let Parsed { codes, texts, .. } = &mut self.parsed;
        let own = &columns.texts[..self.num_own.texts];
        for (column, texts) in own.iter().zip(texts.iter_mut()) {
            // Every row's text gets a number; the count, which vocabularies go by, grows with
            // training rows alone.
            codes.push(texts.intern(row.text(*column), count));
        }
        let mut texts = texts[own.len()..].iter_mut();
        for (join, found) in joins.iter().zip(&self.found) {
            for (text, texts) in join.texts_of(*found).zip(&mut texts) {
                codes.push(texts.intern(text, count));
            }
        }
        let own = &columns.hashes[..self.num_own.hashes];
        codes.extend(own.iter().map(|column| row::hash(row.text(*column))));
        for (join, found) in joins.iter().zip(&self.found) {
            codes.extend(join.hashes_of(*found));
        }
    }

    fn numbers<R: Row>(&mut self, row: &R) -> Result<(), Fault> {
        let Context {
            plan,
            columns,
            joins,
            ..
        } = self.context;
        let first = self.parsed.numbers.len();
        for column in &columns.numbers[..self.num_own.numbers] {
            let value = row.number(*column, self.may_be_missing[*column]);
            let value = value.map_err(|mut refused| {
                if plan.labels.iter().any(|label| label.is_number_of(*column)) {
                    refused.expected = NUMBER_LABEL;
                }
                refused.in_column(*column)
            })?;
            if plan.weight == Some(*column) && (value.is_nan() || value < 0.0) {
                return Err(refused(row, *column, "a weight of 0 or more"));
            }
            self.parsed.numbers.push(value);
        }
        for (join, found) in joins.iter().zip(&self.found) {
            self.parsed.numbers.extend(join.numbers_of(*found));
        }
        for slot in &columns.binary {
            let value = self.parsed.numbers[first + slot];
            if !(value.is_nan() || value == 0.0 || value == 1.0) {
                return Err(Fault::Number {
                    column: columns.numbers[*slot],
                    expected: ZERO_OR_ONE,
                    found: value.to_string(),
                });
            }
        }
        for slot in &columns.number_labels {
            let value = self.parsed.numbers[first + slot];
            // Labels are kept as f32, in which a number beyond 3.4e38 is infinite.
            if (value as f32).is_infinite() {
                return Err(Fault::Number {
                    column: columns.numbers[*slot],
                    expected: NUMBER_LABEL,
                    found: value.to_string(),
                });
            }
        }
        Ok(())
    }

    fn lists<R: Row>(&mut self, row: &R, count: u64) {
        let Context { columns, joins, .. } = self.context;
        let Parsed {
            lists, list_texts, ..
        } = &mut self.parsed;
        let own = &columns.lists[..self.num_own.lists];
        for (list, texts) in own.iter().zip(list_texts.iter_mut()) {
            row.values(list.column, list.separator, &mut |value| {
                lists.values.push(match list.is_hashed {
                    true => row::hash(value),
                    false => texts.intern(value, count),
                });
            });
            lists.end_list();
        }
        let mut list_texts = list_texts[own.len()..].iter_mut();
        for (join, found) in joins.iter().zip(&self.found) {
            for ((is_hashed, codes, values), texts) in join.lists_of(*found).zip(&mut list_texts) {
                match is_hashed {
                    true => lists.values.extend_from_slice(codes),
                    false => lists.values.extend(
                        codes
                            .iter()
                            .map(|code| texts.intern(values.text(*code), count)),
                    ),
                }
                lists.end_list();
            }
        }
    }
}

impl Visit for PieceReading<'_> {
    fn row<R: Row>(&mut self, index: u64, row: &R) -> Result<(), Fault> {
        let Context {
            plan,
            joins,
            assignment,
            ..
        } = self.context;
        let text = |column| row.text(column);
        let split = assignment.split_of(self.side, self.start + index, text);
        let split = split.map_err(|(column, found)| match found {
            b"" => refused(row, column, A_TIME),
            _ => refused(row, column, "a number"),
        })?;
        let Some(split) = split else {
            return Ok(());
        };
        for ((join, found), unmatched) in joins
            .iter()
            .zip(&mut self.found)
            .zip(&mut self.parsed.num_unmatched)
        {
            *found = join.find(row.text(join.on));
            *unmatched += u64::from(found.is_none());
        }
        // What a filter leaves out is not counted.
        let count = u64::from(split == TRAIN && plan.filter.is_none());
        self.codes(row, count);
        self.numbers(row)?;
        self.lists(row, count);
        self.parsed.splits.push(split as u8);
        Ok(())
    }
}

/// A field that is not what it should be.
fn refused<R: Row>(row: &R, column: usize, expected: &'static str) -> Fault {
    Fault::Number {
        column,
        expected,
        found: String::from_utf8_lossy(row.text(column)).into_owned(),
    }
}

fn check_allowed(
    plan: &TablePlan,
    columns: &ColumnSlots,
    piece: &Piece<'_>,
    parsed: &Parsed,
) -> Result<(), Diagnostic> {
    let mut first: Option<(usize, usize, u32)> = None;
    for (column, allowed) in &plan.allowed_values {
        let slot = columns.text_slot(*column);
        let texts = &parsed.texts[slot];
        for id in 0..texts.len() as u32 {
            if allowed
                .iter()
                .any(|value| value.as_bytes() == texts.text(id))
            {
                continue;
            }
            let codes = parsed.codes.iter().skip(slot).step_by(columns.num_codes());
            let at = codes
                .into_iter()
                .position(|code| *code == id)
                .unwrap_or_default();
            if first.is_none_or(|(row, ..)| at < row) {
                first = Some((at, *column, id));
            }
        }
    }
    let Some((at, column, id)) = first else {
        return Ok(());
    };
    let text = parsed.texts[columns.text_slot(column)].text(id);
    let allowed = plan
        .allowed_values
        .iter()
        .find(|(other, _)| *other == column);
    let fault = Fault::Value {
        column,
        found: String::from_utf8_lossy(text).into_owned(),
        allowed: allowed
            .map(|(_, values)| values.clone())
            .unwrap_or_default(),
    };
    // Rows that are not in use come before it, so that its index in the piece is `at` or more.
    Err(piece.locate(fault, at as u64, column, text, &plan.columns))
}

/// Leaves out the rows for which `filter` doesn't hold, and counts the texts of the others.
fn apply_filter(filter: &Expression, columns: &ColumnSlots, parsed: &mut Parsed) {
    let kept = filter.evaluate(&View { columns, parsed });
    fn pick<T: Copy>(values: &mut Vec<T>, width: usize, kept: &[bool]) {
        let mut index = 0;
        values.retain(|_| {
            index += 1;
            kept[(index - 1) / width]
        });
    }
    pick(&mut parsed.codes, columns.num_codes().max(1), &kept);
    pick(&mut parsed.numbers, columns.numbers.len().max(1), &kept);
    pick(&mut parsed.splits, 1, &kept);
    parsed.lists = parsed.lists.rows(columns.lists.len(), |row| kept[row]);
    parsed.num_dropped = kept.iter().filter(|kept| !**kept).count() as u64;
    for (row, split) in parsed.splits.iter().enumerate() {
        if usize::from(*split) != TRAIN {
            continue;
        }
        let codes = &parsed.codes[row * columns.num_codes()..];
        for (texts, code) in parsed.texts.iter_mut().zip(codes) {
            texts.count_again(*code);
        }
        for (slot, (list, texts)) in columns.lists.iter().zip(&mut parsed.list_texts).enumerate() {
            if !list.is_hashed {
                for code in parsed.lists.list(row * columns.lists.len() + slot) {
                    texts.count_again(*code);
                }
            }
        }
    }
}

fn compute_labels(plan: &TablePlan, columns: &ColumnSlots, parsed: &mut Parsed) {
    let num_rows = parsed.splits.len();
    let mut labels = vec![0.0; num_rows * plan.labels.len()];
    let view = View { columns, parsed };
    for (task, label) in plan.labels.iter().enumerate() {
        let observed = match &label.observed {
            None => vec![true; num_rows],
            Some(observed) => observed.evaluate(&view),
        };
        let values = label_values(&label.value, &view);
        let to = labels.iter_mut().skip(task).step_by(plan.labels.len());
        for (to, (value, observed)) in to.zip(values.into_iter().zip(observed)) {
            *to = if observed { value } else { f32::NAN };
        }
    }
    parsed.labels = labels;
}

/// The labels of all rows; NaN where the column that is the label is empty, which is a row that doesn't observe the task.
fn label_values(value: &LabelValue, view: &View<'_>) -> Vec<f32> {
    match value {
        LabelValue::Condition(condition) => condition
            .evaluate(view)
            .into_iter()
            .map(f32::from)
            .collect(),
        // Nothing but 0 and 1 was let through; -0 becomes 0.
        LabelValue::Binary(column) => {
            let values = view.numbers(*column).into_iter();
            values.map(|value| value as f32 + 0.0).collect()
        }
        LabelValue::Number { column, log1p, .. } => {
            let transform = |value: f64| match log1p {
                true => log1p_signed(value),
                false => value,
            };
            let values = view.numbers(*column).into_iter();
            values.map(|value| transform(value) as f32).collect()
        }
    }
}

struct View<'a> {
    columns: &'a ColumnSlots,
    parsed: &'a Parsed,
}

impl Rows for View<'_> {
    fn num_rows(&self) -> usize {
        self.parsed.splits.len()
    }

    fn text_equals(&self, column: usize, text: &str) -> Vec<bool> {
        let slot = self.columns.text_slot(column);
        // One look-up a piece; rows then compare numbers.
        let id = self.parsed.texts[slot].get(text.as_bytes());
        let codes = self
            .parsed
            .codes
            .iter()
            .skip(slot)
            .step_by(self.columns.num_codes());
        codes.map(|code| Some(*code) == id).collect()
    }

    fn numbers(&self, column: usize) -> Vec<f64> {
        let slot = self.columns.number_slot(column);
        self.parsed
            .numbers
            .iter()
            .skip(slot)
            .step_by(self.columns.numbers.len())
            .copied()
            .collect()
    }
}

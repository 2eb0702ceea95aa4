//! Rows of a piece into codes, numbers and labels.

mod allowed;
mod counts;
mod inputs;
mod label_marks;
mod labels;
mod numbers;

pub(super) use counts::PieceCounts;
pub(super) use label_marks::is_unknown;
pub(super) use labels::marked_columns;

use super::bad_row::{self, Fault};
use super::column_slots::{ColumnSlots, ListColumn};
use super::file_pieces::Piece;
use super::interner::Interner;
use super::join_table::JoinTable;
use super::piece_columns::PieceColumns;
use super::raw_columns::{ColumnRule, RawColumns, typed_text};
use super::row::{self, Row, Visit};
use super::row_lists::RowLists;
use super::split_assignment::{Assignment, Side, TRAIN};
use super::text_kinds::{Seen, TextKind};
use crate::expression::values::decimals;
use crate::expression::{Reading, RowFault, Rows, Values};
use crate::schema::TablePlan;
use allowed::check_allowed;
use homebench_diagnostic::Diagnostic;
use inputs::{add_codes, add_lists};
use labels::{LabelFault, labels};
use numbers::{missing_numbers, numbers};

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
    pub(super) labels: Vec<f64>,
    /// Ids in `list_texts`, or hashes.
    pub(super) lists: RowLists,
    /// Distinct texts of each text column, with the number of training rows that have them.
    pub(super) texts: Vec<Interner>,
    /// Distinct values of each list column, with their number in training rows; empty for hashed ones.
    pub(super) list_texts: Vec<Interner>,
    /// What was counted.
    pub(super) counts: PieceCounts,
    /// Index of the piece's first row among those of its side, and the split of each, where only splits are asked for.
    pub(super) row_splits: (u64, Vec<u8>),
    /// Columns that are carried, and the index of each row among those of its side, where these are asked for.
    pub(super) carried: (Vec<Values>, Vec<u64>),
    /// What was seen of the column whose kind is asked for.
    pub(super) seen: Seen,
}

/// A split that no row has: the row is left out.
pub(super) const LEFT_OUT: u8 = 3;

/// What every piece is read with.
pub(super) struct Context<'a> {
    pub(super) plan: &'a TablePlan,
    pub(super) columns: &'a ColumnSlots,
    /// By column of the files of rows.
    pub(super) rules: &'a [ColumnRule],
    pub(super) joins: &'a [JoinTable],
    /// By computed column.
    pub(super) derived_kinds: &'a [Option<TextKind>],
    pub(super) assignment: &'a Assignment,
    pub(super) wanted: Wanted<'a>,
}

/// What is asked for of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// All that models read and learn, and these columns as they are.
    Rows(&'a [(usize, Reading)]),
    /// Their splits alone.
    Splits,
    /// Their splits and these columns.
    Carried(&'a [(usize, Reading)]),
    /// What a computed column holds, of rows that a filter leaves out too.
    Kind(usize),
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
    let mut reading = PieceReading::new(context, side, start, piece)?;
    piece.visit(&plan.columns, &mut reading)?;
    let PieceReading {
        raw, mut parsed, ..
    } = reading;
    let values = PieceColumns::new(context, raw);
    let place = |fault: RowFault| values.refuse(piece, fault);
    if let Wanted::Kind(column) = context.wanted {
        parsed.seen = Seen::of_values(&values.values(column, Reading::Raw).map_err(place)?);
        return Ok(parsed);
    }
    let rows: Vec<u64> = (0..values.num_rows())
        .map(|row| start + values.place(row))
        .collect();
    let kept_by_filter = filter(plan, &values, &mut parsed.counts).map_err(|fault| {
        let filter = plan.filter.as_ref();
        let of = filter.map(|filter| bad_row::part_of("`filter`", filter));
        values.refuse_in(piece, fault, of)
    })?;
    let splits = context
        .assignment
        .splits(side, &rows, &values, kept_by_filter.as_deref())
        .map_err(place)?;
    parsed.counts.in_use = splits.len() as u64;
    if context.wanted == Wanted::Splits {
        let mut all = vec![LEFT_OUT; piece.num_rows() as usize];
        for (row, split) in splits.iter().enumerate() {
            all[values.place(row) as usize] = *split;
        }
        parsed.row_splits = (start, all);
        return Ok(parsed);
    }
    let kept: Vec<usize> = (0..splits.len())
        .filter(|row| splits[*row] != LEFT_OUT)
        .collect();
    if let Wanted::Carried(columns) | Wanted::Rows(columns) = context.wanted {
        let chosen = values.chosen(&kept);
        let columns = columns
            .iter()
            .map(|(column, reading)| chosen.values(*column, *reading));
        let columns = columns.collect::<Result<_, _>>().map_err(place)?;
        parsed.carried = (columns, kept.iter().map(|row| rows[*row]).collect());
    }
    if let Wanted::Carried(_) = context.wanted {
        parsed.splits = kept.iter().map(|row| splits[*row]).collect();
        return Ok(parsed);
    }
    add_codes(context, &values, &mut parsed).map_err(place)?;
    // Once a distinct text, not once a row; and before the filter, which must not hide a value that
    // is not allowed.
    check_allowed(context, &values, piece, &parsed)?;
    add_lists(context, &values, &mut parsed).map_err(place)?;
    parsed.numbers = numbers(plan, columns, &values, &splits).map_err(place)?;
    let observing = values.chosen(&kept);
    parsed.labels = labels(plan, &observing, &mut parsed.counts).map_err(|refused| {
        let LabelFault { fault, of } = refused;
        let fault = match fault.column {
            // A column is read on all rows, and its faults are told by their rows among all.
            Some(_) => fault,
            None => RowFault {
                row: kept.get(fault.row).copied().unwrap_or_default(),
                ..fault
            },
        };
        values.refuse_in(piece, fault, of)
    })?;
    keep(&kept, splits.len(), columns, &mut parsed);
    parsed.splits = kept.iter().map(|row| splits[*row]).collect();
    count_training(columns, &mut parsed);
    let joins = 0..plan.joins.len();
    (parsed.counts.unmatched, parsed.counts.without_key) =
        joins.map(|join| values.unmatched(join)).unzip();
    parsed.counts.nan = values.num_nan();
    parsed.counts.missing_numbers = missing_numbers(context, &values, &kept).map_err(place)?;
    if let Some(user) = plan.user {
        let slot = columns.text_slot(user);
        let users = parsed.codes.iter().skip(slot).step_by(columns.num_codes());
        let texts = &parsed.texts[slot];
        parsed.counts.nobody = users.filter(|code| texts.text(**code).is_empty()).count() as u64;
    }
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
    raw: RawColumns<'a>,
    parsed: Parsed,
}

struct NumOwn {
    texts: usize,
    hashes: usize,
    lists: usize,
}

impl NumOwn {
    fn of_context(context: &Context<'_>) -> Self {
        let Context { plan, columns, .. } = context;
        let own =
            |columns: &[usize]| columns.partition_point(|column| *column < plan.num_own_columns);
        Self {
            texts: own(&columns.texts),
            hashes: own(&columns.hashes),
            lists: columns
                .lists
                .partition_point(|list| list.column < plan.num_own_columns),
        }
    }
}

impl<'a> PieceReading<'a> {
    fn new(
        context: &'a Context<'a>,
        side: Side,
        start: u64,
        piece: &Piece<'_>,
    ) -> Result<Self, Diagnostic> {
        let Context { plan, columns, .. } = context;
        let num_rows = piece.num_rows();
        let kept = columns.kept(0, plan.num_own_columns);
        Ok(Self {
            context,
            side,
            start,
            num_own: NumOwn::of_context(context),
            raw: RawColumns::new(context.rules, &kept, piece.native(&plan.columns)?),
            parsed: Parsed {
                codes: Vec::with_capacity(num_rows as usize * columns.num_codes()),
                texts: vec![Interner::default(); columns.texts.len()],
                list_texts: vec![Interner::default(); columns.lists.len()],
                counts: PieceCounts {
                    rows: num_rows,
                    ..PieceCounts::default()
                },
                ..Parsed::default()
            },
        })
    }

    /// Codes of the files' own texts and hashes; those of joins and computed columns are left at 0.
    fn codes<R: Row>(&mut self, row: &R) {
        let Context { columns, rules, .. } = self.context;
        let Parsed { codes, texts, .. } = &mut self.parsed;
        let start = codes.len();
        let own = &columns.texts[..self.num_own.texts];
        for (column, texts) in own.iter().zip(texts.iter_mut()) {
            // Counts, which vocabularies go by, grow later, when it is known which rows are training.
            // And those of columns with a type are made when their values are known.
            codes.push(match rules[*column].is_retyped() {
                true => 0,
                false => texts.intern(rules[*column].text(row.text(*column)), 0),
            });
        }
        codes.resize(start + columns.texts.len(), 0);
        let own = &columns.hashes[..self.num_own.hashes];
        codes.extend(
            own.iter()
                .map(|column| row::hash(rules[*column].text(row.text(*column)))),
        );
        codes.resize(start + columns.num_codes(), 0);
    }

    /// # Errors
    /// A value that is none of the column's type.
    fn lists<R: Row>(&mut self, row: &R) -> Result<(), Fault> {
        let Context { columns, rules, .. } = self.context;
        let Parsed {
            lists, list_texts, ..
        } = &mut self.parsed;
        let own = &columns.lists[..self.num_own.lists];
        for (list, texts) in own.iter().zip(list_texts.iter_mut()) {
            let values = typed_values(&rules[list.column], row, list, &mut |value| {
                lists.values.push(match list.is_hashed {
                    true => row::hash(value),
                    false => texts.intern(value, 0),
                });
            });
            values
                .map_err(|fault| bad_row::field_fault(self.context.plan, Reading::Number, fault))?;
            lists.end_list();
        }
        Ok(())
    }
}

impl Visit for PieceReading<'_> {
    fn row<R: Row>(&mut self, index: u64, row: &R) -> Result<(), Fault> {
        if !self
            .context
            .assignment
            .is_in_use(self.side, self.start + index)
        {
            return Ok(());
        }
        if matches!(self.context.wanted, Wanted::Rows(_)) {
            self.codes(row);
            self.lists(row)?;
        }
        let pushed = self.raw.push(index, row);
        pushed.map_err(|fault| bad_row::field_fault(self.context.plan, Reading::Number, fault))
    }
}

/// Gives every value of a list that is no mark, in the one text that the column's type has for it.
///
/// # Errors
/// The first value that is none of the type.
pub(super) fn typed_values<R: Row>(
    rule: &ColumnRule,
    row: &R,
    list: &ListColumn,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<(), RowFault> {
    let is_typed = rule.is_retyped() && !row.has_typed_values(list.column);
    let mut first = None;
    row.values(list.column, list.separator, &mut |value| {
        let value = rule.text(value);
        match is_typed.then(|| typed_text(rule, value)) {
            _ if value.is_empty() => {}
            None => visit(value),
            Some(Ok(value)) => visit(&value),
            Some(Err(expected)) => {
                first.get_or_insert_with(|| RowFault {
                    row: 0,
                    column: Some(list.column),
                    expected: format!("{expected} in the list"),
                    found: String::from_utf8_lossy(value).into_owned(),
                });
            }
        }
    });
    first.map_or(Ok(()), Err)
}

/// By row, whether the filter keeps it: one for which it is unknown is left out too. `None` without a filter.
fn filter(
    plan: &TablePlan,
    values: &PieceColumns<'_>,
    counts: &mut PieceCounts,
) -> Result<Option<Vec<bool>>, RowFault> {
    let Some(filter) = &plan.filter else {
        return Ok(None);
    };
    let condition = filter.condition(values)?;
    let kept = condition.holds();
    counts.filter_unknown = condition.num_unknown();
    let num_kept = kept.iter().filter(|kept| **kept).count();
    counts.filtered = (kept.len() - num_kept) as u64 - counts.filter_unknown;
    Ok(Some(kept))
}

/// Keeps the rows that are not left out.
fn keep(kept: &[usize], num_rows: usize, columns: &ColumnSlots, parsed: &mut Parsed) {
    if kept.len() == num_rows {
        return;
    }
    fn pick<T: Copy>(values: &mut Vec<T>, width: usize, kept: &[usize]) {
        let rows = kept.iter().flat_map(|row| row * width..(row + 1) * width);
        *values = rows.map(|index| values[index]).collect();
    }
    pick(&mut parsed.codes, columns.num_codes(), kept);
    pick(&mut parsed.numbers, columns.numbers.len(), kept);
    let mut is_kept = vec![false; num_rows];
    kept.iter().for_each(|row| is_kept[*row] = true);
    parsed.lists = parsed.lists.rows(columns.lists.len(), |row| is_kept[row]);
}

/// Counts the texts of training rows, which vocabularies go by.
fn count_training(columns: &ColumnSlots, parsed: &mut Parsed) {
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
                let codes = parsed.lists.list(row * columns.lists.len() + slot);
                for (place, code) in codes.iter().enumerate() {
                    // Rows are counted: a value that is there twice is one row's.
                    if !codes[..place].contains(code) {
                        texts.count_again(*code);
                    }
                }
            }
        }
    }
}

/// Integers of 64 bits where all are such.
pub(super) fn integers(values: impl Iterator<Item = Option<i128>>) -> Values {
    let values: Vec<Option<i128>> = values.collect();
    let is_short = |value: &Option<i128>| value.is_none_or(|value| i64::try_from(value).is_ok());
    match values.iter().all(is_short) {
        true => Values::Integer(
            values
                .into_iter()
                .map(|value| Some(value? as i64))
                .collect(),
        ),
        false => Values::Decimal(decimals(values, 0)),
    }
}

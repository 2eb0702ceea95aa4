//! Rows of a piece into codes, numbers and labels.

mod labels;

pub(super) use labels::marked_columns;

use super::bad_row::{self, Fault};
use super::column_slots::{ColumnSlots, is_retyped};
use super::file_pieces::Piece;
use super::fit::log1p_signed;
use super::interner::Interner;
use super::join_table::JoinTable;
use super::piece_columns::PieceColumns;
use super::raw_columns::{ColumnRule, RawColumns};
use super::row::{self, Row, Visit};
use super::row_lists::RowLists;
use super::split_assignment::{Assignment, Side, TRAIN};
use super::{list_text, text_rows};
use crate::expression::values::decimals;
use crate::expression::{Reading, RowFault, Rows, Values};
use crate::schema::{FeatureKind, TablePlan};
use homebench_diagnostic::Diagnostic;
use labels::labels;

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
}

/// What preparation counts row by row.
#[derive(Debug, Clone, Default)]
pub(super) struct PieceCounts {
    /// Rows read, those that are not in use included.
    pub(super) rows: u64,
    /// Rows in use before the filter.
    pub(super) in_use: u64,
    /// Rows for which the filter doesn't hold.
    pub(super) filtered: u64,
    /// Rows for which nobody knows whether the filter holds.
    pub(super) filter_unknown: u64,
    /// Rows without a match, by join.
    pub(super) unmatched: Vec<u64>,
    /// Rows without a key, by join; they are among the unmatched.
    pub(super) without_key: Vec<u64>,
    /// Rows without a user, of those that the filter keeps.
    pub(super) nobody: u64,
    /// NaN that were taken for nothing.
    pub(super) nan: u64,
    /// Rows whose label is unknown though it is observed, by task.
    pub(super) label_unknown: Vec<u64>,
    /// Rows whose `observed` is unknown, by task.
    pub(super) observed_unknown: Vec<u64>,
    /// Rows with a known label and -1 in a column that it is made from, by [`marked_columns`].
    pub(super) minus_one: Vec<u64>,
    /// Whether such a column has other values than -1, 0 and 1.
    pub(super) is_not_marked: Vec<bool>,
    /// Whether such a column has a 0: without one, -1 is the negative class.
    pub(super) has_zero: Vec<bool>,
}

impl PieceCounts {
    /// Adds what was counted in another piece.
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.in_use += other.in_use;
        self.filtered += other.filtered;
        self.filter_unknown += other.filter_unknown;
        self.nobody += other.nobody;
        self.nan += other.nan;
        let add = |to: &mut Vec<u64>, from: &[u64]| {
            to.resize(from.len().max(to.len()), 0);
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        };
        add(&mut self.unmatched, &other.unmatched);
        add(&mut self.without_key, &other.without_key);
        add(&mut self.observed_unknown, &other.observed_unknown);
        add(&mut self.label_unknown, &other.label_unknown);
        add(&mut self.minus_one, &other.minus_one);
        let any = |to: &mut Vec<bool>, from: &[bool]| {
            to.resize(from.len().max(to.len()), false);
            to.iter_mut().zip(from).for_each(|(to, from)| *to |= from);
        };
        any(&mut self.is_not_marked, &other.is_not_marked);
        any(&mut self.has_zero, &other.has_zero);
    }
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
    let rows: Vec<u64> = (0..values.num_rows())
        .map(|row| start + values.place(row))
        .collect();
    let kept_by_filter = filter(plan, &values, &mut parsed.counts).map_err(place)?;
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
    check_allowed(plan, columns, piece, &parsed)?;
    add_lists(context, &values, &mut parsed).map_err(place)?;
    parsed.numbers = numbers(plan, columns, &values).map_err(place)?;
    let observing = values.chosen(&kept);
    parsed.labels = labels(plan, &observing, &mut parsed.counts).map_err(|fault| {
        place(match fault.column {
            // A column is read on all rows, and its faults are told by their rows among all.
            Some(_) => fault,
            None => RowFault {
                row: kept.get(fault.row).copied().unwrap_or_default(),
                ..fault
            },
        })
    })?;
    keep(&kept, splits.len(), columns, &mut parsed);
    parsed.splits = kept.iter().map(|row| splits[*row]).collect();
    count_training(columns, &mut parsed);
    let joins = 0..plan.joins.len();
    (parsed.counts.unmatched, parsed.counts.without_key) =
        joins.map(|join| values.unmatched(join)).unzip();
    parsed.counts.nan = values.num_nan();
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

    fn lists<R: Row>(&mut self, row: &R) {
        let Context { columns, rules, .. } = self.context;
        let Parsed {
            lists, list_texts, ..
        } = &mut self.parsed;
        let own = &columns.lists[..self.num_own.lists];
        for (list, texts) in own.iter().zip(list_texts.iter_mut()) {
            let rule = &rules[list.column];
            row.values(list.column, list.separator, &mut |value| {
                let value = rule.text(value);
                if value.is_empty() {
                    return;
                }
                lists.values.push(match list.is_hashed {
                    true => row::hash(value),
                    false => texts.intern(value, 0),
                });
            });
            lists.end_list();
        }
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
            self.lists(row);
        }
        let pushed = self.raw.push(index, row);
        pushed.map_err(|fault| bad_row::field_fault(self.context.plan, Reading::Number, fault))
    }
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

/// Codes of the columns that joins and expressions give.
fn add_codes(
    context: &Context<'_>,
    values: &PieceColumns<'_>,
    parsed: &mut Parsed,
) -> Result<(), RowFault> {
    let Context { plan, columns, .. } = *context;
    let (width, num_rows) = (columns.num_codes(), values.num_rows());
    let is_computed = |column: &usize| *column >= plan.num_own_columns || is_retyped(plan, *column);
    for (slot, column) in columns
        .texts
        .iter()
        .enumerate()
        .filter(|(_, column)| is_computed(column))
    {
        let texts = &mut parsed.texts[slot];
        let codes = parsed.codes.iter_mut().skip(slot).step_by(width);
        match values.joined(*column) {
            Some((join, _)) => {
                let (found, place) = (values.found(join)?, context.joins[join].text_place(*column));
                for (code, row) in codes.zip(found.iter()) {
                    *code = texts.intern(context.joins[join].text(*row, place), 0);
                }
            }
            None => {
                let computed = values.texts(*column)?;
                for (code, row) in codes.zip(0..num_rows) {
                    *code = texts.intern(computed.get(row).as_bytes(), 0);
                }
            }
        }
    }
    for (index, column) in columns
        .hashes
        .iter()
        .enumerate()
        .filter(|(_, column)| is_computed(column))
    {
        let slot = columns.texts.len() + index;
        let codes = parsed.codes.iter_mut().skip(slot).step_by(width);
        match values.joined(*column) {
            Some((join, _)) => {
                let (found, place) = (values.found(join)?, context.joins[join].hash_place(*column));
                for (code, row) in codes.zip(found.iter()) {
                    *code = context.joins[join].hash(*row, place);
                }
            }
            None => {
                let computed = values.texts(*column)?;
                for (code, row) in codes.zip(0..num_rows) {
                    *code = row::hash(computed.get(row).as_bytes());
                }
            }
        }
    }
    Ok(())
}

/// Lists of the columns that joins and expressions give, behind the files' own.
fn add_lists(
    context: &Context<'_>,
    values: &PieceColumns<'_>,
    parsed: &mut Parsed,
) -> Result<(), RowFault> {
    let columns = context.columns;
    let own = NumOwn::of_context(context).lists;
    if own == columns.lists.len() {
        return Ok(());
    }
    let before = std::mem::take(&mut parsed.lists);
    let lists = &mut parsed.lists;
    let mut found = Vec::new();
    let mut computed = Vec::new();
    for list in &columns.lists[own..] {
        match values.joined(list.column) {
            Some((join, _)) => {
                found.push(Some((join, values.found(join)?)));
                computed.push(None);
            }
            None => {
                found.push(None);
                computed.push(Some(values.texts(list.column)?));
            }
        }
    }
    for row in 0..values.num_rows() {
        for index in 0..own {
            lists
                .values
                .extend_from_slice(before.list(row * own + index));
            lists.end_list();
        }
        for (index, list) in columns.lists[own..].iter().enumerate() {
            let texts = &mut parsed.list_texts[own + index];
            let mut push = |value: &[u8]| {
                lists.values.push(match list.is_hashed {
                    true => row::hash(value),
                    false => texts.intern(value, 0),
                });
            };
            match (&found[index], &computed[index]) {
                (Some((join, rows)), _) => {
                    let (codes, known) = context.joins[*join].list(rows[row], list);
                    match list.is_hashed {
                        true => lists.values.extend_from_slice(codes),
                        false => codes.iter().for_each(|code| push(known.text(*code))),
                    }
                }
                (None, Some(computed)) => {
                    let text = computed.get(row).as_bytes();
                    let is_list = list_text::is_bracketed(text)
                        && list_text::parse(text, &mut |_| {}).is_some();
                    match is_list {
                        true => drop(list_text::parse(text, &mut push)),
                        false => text_rows::split(text, list.separator, &mut push),
                    }
                }
                (None, None) => {}
            }
            lists.end_list();
        }
    }
    Ok(())
}

/// The numbers of inputs and weights, row-major.
fn numbers(
    plan: &TablePlan,
    columns: &ColumnSlots,
    values: &PieceColumns<'_>,
) -> Result<Vec<f64>, RowFault> {
    let width = columns.numbers.len();
    let mut numbers = vec![0.0; values.num_rows() * width];
    let mut first: Option<RowFault> = None;
    for (slot, column) in columns.numbers.iter().enumerate() {
        let found = match values.values(*column, Reading::Number) {
            Ok(found) => found,
            Err(fault) => {
                first = earlier(first, fault);
                continue;
            }
        };
        let is_log = plan
            .features
            .iter()
            .filter(|feature| feature.column == *column);
        let kinds: Vec<FeatureKind> = is_log.map(|feature| feature.kind).collect();
        for (row, value) in found.numbers().into_iter().enumerate() {
            numbers[row * width + slot] = value;
            let refuse = |expected: &str| RowFault {
                row,
                column: Some(*column),
                expected: expected.to_owned(),
                found: found.text(row),
            };
            if plan.weight == Some(*column) && !is_weight(value) {
                let expected = if value < 0.0 {
                    bad_row::NOT_NEGATIVE
                } else {
                    bad_row::A_WEIGHT
                };
                first = earlier(first, refuse(expected));
                break;
            }
            let is_beyond = kinds.iter().any(|kind| match kind {
                FeatureKind::Numeric { log1p, .. } => {
                    let value = if *log1p { log1p_signed(value) } else { value };
                    (value as f32).is_infinite()
                }
                _ => false,
            });
            if is_beyond {
                first = earlier(first, refuse(bad_row::A_FLOAT));
                break;
            }
        }
    }
    first.map_or(Ok(numbers), Err)
}

/// Whether a number weighs a row in 32 bits as it does here: those below the least normal number have few digits left.
fn is_weight(value: f64) -> bool {
    let narrow = value as f32;
    value == 0.0 || (narrow.is_finite() && narrow >= f32::MIN_POSITIVE)
}

/// The one of two faults whose row comes first.
fn earlier(before: Option<RowFault>, next: RowFault) -> Option<RowFault> {
    Some(match before {
        Some(before) if before.row <= next.row => before,
        _ => next,
    })
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
            let is_allowed = allowed
                .iter()
                .any(|value| value.as_bytes() == texts.text(id));
            // What may be missing is allowed to be.
            let is_missing = texts.text(id).is_empty() && plan.optional.contains(column);
            if is_allowed || is_missing {
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

//! One piece of delimited text into codes, numbers and labels.

use super::assign::{Assignment, Side, TRAIN};
use super::chunks::{Chunk, TextFile};
use super::fault::Fault;
use super::interner::Interner;
use super::join::JoinTable;
use super::records::Records;
use crate::data::description::{FeatureKind, Format, Label, TablePlan};
use crate::data::expression::{Expression, Literal, Rows};
use crate::diagnostic::Diagnostic;

/// Which columns are read as texts and which as numbers; a column may be both.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) texts: Vec<usize>,
    pub(super) numbers: Vec<usize>,
    /// Per column of the file: places in `texts` and in `numbers`.
    slots: Vec<(Option<usize>, Option<usize>)>,
    /// The columns of the files of rows that are read at all.
    own: Vec<OwnColumn>,
}

/// A column that is read: its index, its place in the texts, and whether it is a number.
#[derive(Debug)]
struct OwnColumn {
    index: usize,
    text: Option<usize>,
    is_number: bool,
}

impl Columns {
    pub(super) fn of(plan: &TablePlan) -> Self {
        let mut needs = vec![(false, false); plan.columns.len()];
        for feature in &plan.features {
            match feature.kind {
                FeatureKind::Categorical { .. } => needs[feature.column].0 = true,
                FeatureKind::Numeric { .. } | FeatureKind::Bucket { .. } => {
                    needs[feature.column].1 = true
                }
            }
        }
        let labels = plan.labels.iter().flat_map(Label::expressions);
        let expressions = labels.chain(&plan.filter);
        for comparison in expressions.flat_map(Expression::comparisons) {
            match comparison.literal {
                Literal::Text(_) => needs[comparison.column].0 = true,
                Literal::Number(_) => needs[comparison.column].1 = true,
            }
        }
        if let Some(user) = plan.user {
            needs[user].0 = true;
        }
        if let Some(weight) = plan.weight {
            needs[weight].1 = true;
        }
        for (column, _) in &plan.allowed_values {
            needs[*column].0 = true;
        }
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        let place = |is_needed: bool, list: &mut Vec<usize>, column| {
            is_needed.then(|| {
                list.push(column);
                list.len() - 1
            })
        };
        let slots: Vec<_> = needs
            .iter()
            .enumerate()
            .map(|(column, need)| {
                (
                    place(need.0, &mut texts, column),
                    place(need.1, &mut numbers, column),
                )
            })
            .collect();
        let own = slots[..plan.num_own_columns].iter().enumerate();
        let own = own
            .filter(|(_, (text, number))| text.is_some() || number.is_some())
            .map(|(index, (text, number))| OwnColumn {
                index,
                text: *text,
                is_number: number.is_some(),
            })
            .collect();
        Self {
            texts,
            numbers,
            slots,
            own,
        }
    }

    /// Whether a column is needed as text and as numbers.
    pub(super) fn needs(&self, column: usize) -> (bool, bool) {
        let (text, number) = self.slots[column];
        (text.is_some(), number.is_some())
    }

    pub(super) fn text_slot(&self, column: usize) -> usize {
        self.slots[column].0.expect("the column is read as text")
    }

    /// Place of the first text column that a join adds.
    fn first_joined_text(&self, plan: &TablePlan) -> usize {
        let own = self.texts.iter();
        own.take_while(|column| **column < plan.num_own_columns)
            .count()
    }

    pub(super) fn number_slot(&self, column: usize) -> usize {
        self.slots[column].1.expect("the column is read as numbers")
    }
}

/// The rows in use of a piece.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Split of each row.
    pub(super) splits: Vec<u8>,
    /// Ids in `texts`, row-major.
    pub(super) codes: Vec<u32>,
    /// Row-major.
    pub(super) numbers: Vec<f64>,
    /// Row-major.
    pub(super) labels: Vec<f32>,
    /// Distinct texts of each text column, with the number of training rows that have them.
    pub(super) texts: Vec<Interner>,
    /// Rows read, those that are not in use included.
    pub(super) num_rows: u64,
    /// Rows that the filter left out.
    pub(super) num_dropped: u64,
    /// Rows without a match, by join.
    pub(super) num_unmatched: Vec<u64>,
}

pub(super) fn reader(bytes: &[u8], format: Format) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.separator)
        .quoting(format.quotes)
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(1 << 16)
        .from_reader(bytes)
}

/// The fields of a record without the spaces and line ends that belong to the layout.
pub(super) fn fields(record: &csv::ByteRecord, format: Format) -> impl Iterator<Item = &[u8]> {
    let last = record.len() - 1;
    record.iter().enumerate().map(move |(index, mut field)| {
        if index == last {
            field = field.strip_suffix(b"\r").unwrap_or(field);
        }
        if format.trim_spaces {
            trim(field)
        } else {
            field
        }
    })
}

#[inline]
pub(super) fn trim(mut field: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = field {
        field = rest;
    }
    while let [rest @ .., b' '] = field {
        field = rest;
    }
    field
}

/// What every piece is read with.
pub(super) struct Context<'a> {
    pub(super) plan: &'a TablePlan,
    pub(super) columns: &'a Columns,
    pub(super) joins: &'a [JoinTable],
    pub(super) assignment: &'a Assignment,
}

/// Reads a piece of a file whose first row is the `start`-th of its side.
///
/// # Errors
/// The first row that isn't as described.
pub(super) fn parse(
    context: &Context<'_>,
    (side, start, file): (Side, u64, &TextFile),
    chunk: &Chunk,
) -> Result<Parsed, Diagnostic> {
    let Context {
        plan,
        columns,
        joins,
        assignment,
    } = context;
    let mut records = Records::new(&file.bytes()[chunk.bytes.clone()], plan.format);
    let expected = chunk.num_rows as usize;
    let mut parsed = Parsed {
        num_rows: chunk.num_rows,
        splits: Vec::with_capacity(expected),
        codes: Vec::with_capacity(expected * columns.texts.len()),
        numbers: Vec::with_capacity(expected * columns.numbers.len()),
        texts: vec![Interner::default(); columns.texts.len()],
        num_unmatched: vec![0; joins.len()],
        ..Parsed::default()
    };
    let fault = |row: u64, fault: Fault| fault.locate(plan, file, chunk, row);
    let mut num_rows = 0;
    while let Some(record) = records
        .next()
        .map_err(|error| Diagnostic::new(file.path.display().to_string(), error.to_string()))?
    {
        if record.len() != plan.num_own_columns {
            return Err(fault(
                num_rows,
                Fault::Fields {
                    found: record.len(),
                },
            ));
        }
        let row = start + chunk.first_row + num_rows;
        let split = assignment.split_of(side, row, |column| record.field(column));
        let split = split
            .map_err(|(column, field)| fault(num_rows, Fault::number(column, "a number", field)))?;
        if let Some(split) = split {
            // What a filter leaves out is not counted.
            let count = u64::from(split == TRAIN && plan.filter.is_none());
            for own in &columns.own {
                let column = own.index;
                let field = record.field(column);
                if let Some(slot) = own.text {
                    parsed.codes.push(parsed.texts[slot].intern(field, count));
                }
                if own.is_number {
                    let is_missing = field.is_empty() && plan.optional.contains(&column);
                    let value = match is_missing {
                        true => f64::NAN,
                        false => self::number(field).map_err(|expected| {
                            fault(num_rows, Fault::number(column, expected, field))
                        })?,
                    };
                    if plan.weight == Some(column) && (value.is_nan() || value < 0.0) {
                        let expected = "a weight of 0 or more";
                        return Err(fault(num_rows, Fault::number(column, expected, field)));
                    }
                    parsed.numbers.push(value);
                }
            }
            let mut slot = columns.first_joined_text(plan);
            for (join, num_unmatched) in joins.iter().zip(&mut parsed.num_unmatched) {
                let found = join.find(record.field(join.on));
                *num_unmatched += u64::from(found.is_none());
                for text in join.texts_of(found) {
                    parsed.codes.push(parsed.texts[slot].intern(text, count));
                    slot += 1;
                }
                parsed.numbers.extend(join.numbers_of(found));
            }
            parsed.splits.push(split as u8);
        }
        num_rows += 1;
    }
    if num_rows != chunk.num_rows {
        let message = format!(
            "expected {} rows in a piece, found {num_rows}",
            chunk.num_rows
        );
        return Err(Diagnostic::new(file.path.display().to_string(), message)
            .hint("the file has quotes that never close, or the description's `quotes` is wrong"));
    }
    check_allowed(plan, columns, file, chunk, &parsed)?;
    if let Some(filter) = &plan.filter {
        keep(filter, columns, &mut parsed);
    }
    label(plan, columns, &mut parsed);
    Ok(parsed)
}

/// A finite number; otherwise what was expected.
#[inline]
pub(super) fn number(field: &[u8]) -> Result<f64, &'static str> {
    if field.len() <= 9 && !field.is_empty() && field.iter().all(u8::is_ascii_digit) {
        let value = field
            .iter()
            .fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
        return Ok(f64::from(value));
    }
    match std::str::from_utf8(field)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
    {
        Some(value) if value.is_finite() => Ok(value),
        Some(_) => Err("a finite number"),
        None => Err("a number"),
    }
}

fn check_allowed(
    plan: &TablePlan,
    columns: &Columns,
    file: &TextFile,
    chunk: &Chunk,
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
            let codes = parsed.codes.iter().skip(slot).step_by(columns.texts.len());
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
    let fault = Fault::Value {
        column,
        found: String::from_utf8_lossy(text).into_owned(),
    };
    Err(fault.locate_nth_in_use(plan, file, chunk, at, text))
}

/// Leaves out the rows for which `filter` doesn't hold, and counts the texts of the others.
fn keep(filter: &Expression, columns: &Columns, parsed: &mut Parsed) {
    let kept = filter.evaluate(&View { columns, parsed });
    fn pick<T: Copy>(values: &mut Vec<T>, width: usize, kept: &[bool]) {
        let mut index = 0;
        values.retain(|_| {
            index += 1;
            kept[(index - 1) / width]
        });
    }
    pick(&mut parsed.codes, columns.texts.len().max(1), &kept);
    pick(&mut parsed.numbers, columns.numbers.len().max(1), &kept);
    pick(&mut parsed.splits, 1, &kept);
    parsed.num_dropped = kept.iter().filter(|kept| !**kept).count() as u64;
    let rows = parsed.codes.chunks_exact(columns.texts.len().max(1));
    for (codes, split) in rows.zip(&parsed.splits) {
        if usize::from(*split) == TRAIN {
            for (texts, code) in parsed.texts.iter_mut().zip(codes) {
                texts.count_again(*code);
            }
        }
    }
}

fn label(plan: &TablePlan, columns: &Columns, parsed: &mut Parsed) {
    let num_rows = parsed.splits.len();
    let mut labels = vec![0.0; num_rows * plan.labels.len()];
    let view = View { columns, parsed };
    for (task, label) in plan.labels.iter().enumerate() {
        let positive = label.positive.evaluate(&view);
        let values: Vec<f32> = match &label.observed {
            None => positive.into_iter().map(f32::from).collect(),
            Some(observed) => positive
                .into_iter()
                .zip(observed.evaluate(&view))
                .map(|(positive, observed)| {
                    if observed {
                        f32::from(positive)
                    } else {
                        f32::NAN
                    }
                })
                .collect(),
        };
        for (to, value) in labels
            .iter_mut()
            .skip(task)
            .step_by(plan.labels.len())
            .zip(values)
        {
            *to = value;
        }
    }
    parsed.labels = labels;
}

struct View<'a> {
    columns: &'a Columns,
    parsed: &'a Parsed,
}

impl Rows for View<'_> {
    fn num_rows(&self) -> usize {
        self.parsed.splits.len()
    }

    fn text_equals(&self, column: usize, text: &str) -> Vec<bool> {
        let slot = self.columns.text_slot(column);
        let id = self.parsed.texts[slot].get(text.as_bytes());
        let codes = self
            .parsed
            .codes
            .iter()
            .skip(slot)
            .step_by(self.columns.texts.len());
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

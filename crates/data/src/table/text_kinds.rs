//! The one kind of a column of texts without a type: of integers, of floats or of times.
//!
//! The same texts give other results as integers than as floats where they are computed with: `3 * 0.1` is exact, `3.0 * 0.1` is not. So the
//! kind can't be that of the rows that happen to be read together. It is decided from every row of every file, before any is computed with.

use super::bad_row::Fault;
use super::file_pieces::{Piece, TableFile};
use super::number_column::NumberColumn;
use super::raw_columns::ColumnRule;
use super::row::{Row, Visit};
use crate::expression::{ColumnType, Values};
use crate::timeline::TimeRule;
use arrow::array::{Array, StringArray};
use arrow::datatypes::DataType;
use rayon::prelude::*;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// Integers of any size.
    Integer,
    /// Numbers of 64 bits, since one of them has a point or an exponent.
    Float,
    /// Points in time.
    Time,
}

impl TextKind {
    const ALL: [(Self, &str); 3] = [
        (Self::Integer, "integer"),
        (Self::Float, "float"),
        (Self::Time, "time"),
    ];

    /// The word for it in `numbers.csv`.
    pub(super) fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("", |(_, word)| word)
    }

    pub(super) fn of_word(wanted: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, word)| *word == wanted);
        found.map(|(kind, _)| *kind)
    }
}

/// The kind of a column that the description calls one of floats.
pub(super) fn float_kind(declared: Option<&ColumnType>) -> Option<TextKind> {
    (declared == Some(&ColumnType::Float)).then_some(TextKind::Float)
}

/// What was seen of a column in some rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    num_rows: u64,
    has_numbers: bool,
    has_floats: bool,
    /// The first rows with a text that is none.
    first_no_number: Option<u64>,
    first_no_time: Option<u64>,
    /// Whether the column has values that are no texts.
    pub(super) is_other: bool,
}

impl Seen {
    /// Of computed values.
    pub(super) fn of_values(values: &Values) -> Self {
        let mut seen = Self::default();
        match values {
            Values::Null(_) => {}
            Values::Text(texts) | Values::Untyped(texts) => seen.add_texts(texts),
            _ => seen.is_other = true,
        }
        seen
    }

    fn add_texts(&mut self, texts: &StringArray) {
        for row in 0..texts.len() {
            match texts.is_valid(row) {
                true => self.add(texts.value(row).as_bytes()),
                false => self.num_rows += 1,
            }
        }
    }

    /// A text, empty where there is nothing.
    fn add(&mut self, text: &[u8]) {
        let row = self.num_rows;
        self.num_rows += 1;
        if text.is_empty() {
            return;
        }
        if self.first_no_number.is_none() {
            match NumberColumn::is_float(text) {
                Some(is_float) => {
                    self.has_numbers = true;
                    self.has_floats |= is_float;
                }
                None => self.first_no_number = Some(row),
            }
        }
        // The first number of most columns ends this.
        if self.first_no_time.is_none() {
            let text = String::from_utf8_lossy(text);
            if TimeRule::default().parse(&text).is_err() {
                self.first_no_time = Some(row);
            }
        }
    }

    /// Adds what was seen in the rows behind these.
    pub(super) fn append(&mut self, next: &Self) {
        let behind = |row: Option<u64>| Some(row? + self.num_rows);
        self.first_no_number = self.first_no_number.or(behind(next.first_no_number));
        self.first_no_time = self.first_no_time.or(behind(next.first_no_time));
        self.has_numbers |= next.has_numbers;
        self.has_floats |= next.has_floats;
        self.is_other |= next.is_other;
        self.num_rows += next.num_rows;
    }

    /// Nothing where no row has a text. Of texts that are neither all numbers nor all times, what the first ones are: the first that is
    /// none is refused then.
    pub(super) fn kind(&self) -> Option<TextKind> {
        let numbers = || match self.has_floats {
            true => TextKind::Float,
            false => TextKind::Integer,
        };
        match (self.first_no_number, self.first_no_time) {
            (None, _) => self.has_numbers.then(numbers),
            (Some(_), None) => Some(TextKind::Time),
            (Some(number), Some(time)) if time > number => Some(TextKind::Time),
            _ => Some(numbers()),
        }
    }
}

/// The kinds of some columns over all rows of files; nothing for other columns, and for those without a text.
///
/// A file that can't be read, and a row with other fields than the files have, are told when rows are read.
pub(super) fn of_files(
    files: &[TableFile],
    names: &[String],
    rules: &[ColumnRule],
    wanted: &[usize],
) -> Vec<Option<TextKind>> {
    let mut kinds = vec![None; names.len()];
    // A file that knows the types of all of them need not be read for it.
    let mut types = wanted
        .iter()
        .flat_map(|column| files.iter().flat_map(|file| file.types_of(*column)));
    let has_texts = types.any(|(_, found)| is_text(&found));
    let mut seen = vec![Seen::default(); wanted.len()];
    for file in files {
        for (seen, column) in seen.iter_mut().zip(wanted) {
            file.types_of(*column)
                .for_each(|(_, found)| note_type(seen, &found));
        }
        if !has_texts {
            continue;
        }
        for wave in file.waves().map_while(Result::ok) {
            let of_pieces: Vec<Vec<Seen>> = wave
                .par_iter()
                .map(|piece| {
                    let seen = of_piece(piece, names, rules, wanted);
                    piece.release();
                    seen
                })
                .collect();
            for of_piece in of_pieces {
                for (seen, next) in seen.iter_mut().zip(&of_piece) {
                    seen.append(next);
                }
            }
        }
    }
    for (seen, column) in seen.iter().zip(wanted) {
        kinds[*column] = seen.kind();
    }
    kinds
}

fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::RunEndEncoded(_, values) => is_text(values.data_type()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        _ => false,
    }
}

/// What the type of a part says of its values.
fn note_type(seen: &mut Seen, found: &DataType) {
    match found {
        DataType::Float64 => {
            seen.has_numbers = true;
            seen.has_floats = true;
        }
        found if found.is_integer() || found.is_decimal() => seen.has_numbers = true,
        _ => {}
    }
}

fn of_piece(
    piece: &Piece<'_>,
    names: &[String],
    rules: &[ColumnRule],
    wanted: &[usize],
) -> Vec<Seen> {
    struct Texts<'a> {
        rules: &'a [ColumnRule],
        is_text_file: bool,
        /// Columns of texts, and their places.
        columns: Vec<(usize, usize)>,
        seen: Vec<Seen>,
    }
    impl Visit for Texts<'_> {
        fn row<R: Row>(&mut self, _: u64, row: &R) -> Result<(), Fault> {
            for (place, column) in &self.columns {
                let (rule, text) = (&self.rules[*column], row.text(*column));
                self.seen[*place].add(match self.is_text_file {
                    true => rule.computed_text(text),
                    false => rule.text(text),
                });
            }
            Ok(())
        }
    }
    let places = wanted.iter().copied().enumerate();
    let mut texts = Texts {
        rules,
        is_text_file: piece.is_text(),
        columns: places
            .filter(|(_, column)| piece.data_type(*column).is_none_or(is_text))
            .collect(),
        seen: vec![Seen::default(); wanted.len()],
    };
    if !texts.columns.is_empty() {
        let _ = piece.visit(names, &mut texts);
    }
    texts.seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(texts: &[&str]) -> Option<TextKind> {
        let mut all = Seen::default();
        // A row at a time, as if each were a piece.
        for text in texts {
            let mut seen = Seen::default();
            seen.add(text.as_bytes());
            all.append(&seen);
        }
        all.kind()
    }

    #[test]
    fn the_kind_is_that_of_all_rows_wherever_they_stand() {
        for (texts, expected) in [
            (&["", "3", "4"][..], Some(TextKind::Integer)),
            (&["3", "", "0.5"], Some(TextKind::Float)),
            (&["0.5", "3"], Some(TextKind::Float)),
            (&["1e3"], Some(TextKind::Float)),
            (&["9007199254740993", "3.0"], Some(TextKind::Integer)),
            (
                &["2022-04-08", "", "2022-04-08T12:00:00"],
                Some(TextKind::Time),
            ),
            (&["", ""], None),
            // What is neither is refused at the first that is none of what the others are.
            (&["3", "x", "4"], Some(TextKind::Integer)),
            (&["2022-04-08", "2022-04-09", "x"], Some(TextKind::Time)),
        ] {
            assert_eq!(kind(texts), expected, "{texts:?}");
        }
        for (kind, word) in TextKind::ALL {
            assert_eq!((kind.word(), TextKind::of_word(word)), (word, Some(kind)));
        }
    }
}

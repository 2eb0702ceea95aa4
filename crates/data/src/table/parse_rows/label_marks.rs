//! What looks like a mark for an unknown label in a column that labels are made from, and is taken for a known one.

use crate::table::bad_row::is_missing_mark;
use std::collections::BTreeMap;

/// Negative numbers that stand for nothing in many files.
const NEGATIVE_MARKS: [f64; 5] = [-1.0, -9.0, -99.0, -999.0, -9999.0];

/// Words beside the usual marks that say of a label that nobody knows it.
const UNKNOWN: [&str; 2] = ["unknown", "unk"];

/// Whether a text says that something is not known.
pub(in crate::table) fn is_unknown(text: &str) -> bool {
    is_missing_mark(text.as_bytes()) || UNKNOWN.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Of the rows with a known label.
#[derive(Debug, Clone, Default)]
pub(in crate::table) struct LabelMarks {
    /// The negative number that may be a mark, and how many rows have it.
    negative: Option<(f64, u64)>,
    /// Whether there is a value beside which no negative number is a mark: another negative one, one with a fraction, a text.
    is_ruled_out: bool,
    /// Whether there is a whole number that is neither negative nor 1: beside 1 alone, -1 is the negative class.
    has_others: bool,
    /// Rows by the word that may be a mark.
    pub(in crate::table) words: BTreeMap<String, u64>,
}

impl LabelMarks {
    pub(super) fn note_number(&mut self, number: f64) {
        match number {
            _ if number.fract() != 0.0 => self.is_ruled_out = true,
            _ if number >= 0.0 => self.has_others |= number != 1.0,
            _ if NEGATIVE_MARKS.contains(&number) => self.add_negative((number, 1)),
            _ => self.is_ruled_out = true,
        }
    }

    pub(super) fn note_text(&mut self, text: &str) {
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => self.note_number(number),
            _ => {
                self.is_ruled_out = true;
                if is_unknown(text) {
                    *self.words.entry(text.to_owned()).or_default() += 1;
                }
            }
        }
    }

    fn add_negative(&mut self, (number, rows): (f64, u64)) {
        match &mut self.negative {
            Some((known, count)) if *known == number => *count += rows,
            Some(_) => self.is_ruled_out = true,
            None => self.negative = Some((number, rows)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.is_ruled_out |= other.is_ruled_out;
        self.has_others |= other.has_others;
        if let Some(negative) = other.negative {
            self.add_negative(negative);
        }
        for (word, rows) in &other.words {
            *self.words.entry(word.clone()).or_default() += rows;
        }
    }

    /// The number that may stand for an unknown label, and the rows that have it.
    pub(in crate::table) fn negative(&self) -> Option<(f64, u64)> {
        self.negative
            .filter(|_| self.has_others && !self.is_ruled_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_negative_number_among_whole_ones_may_be_a_mark() {
        let negative = |pieces: &[&[f64]]| {
            let mut all = LabelMarks::default();
            for piece in pieces {
                let mut marks = LabelMarks::default();
                piece.iter().for_each(|number| marks.note_number(*number));
                all.merge(&marks);
            }
            all.negative()
        };
        assert_eq!(negative(&[&[-1.0, 0.0], &[1.0, -1.0]]), Some((-1.0, 2)));
        assert_eq!(negative(&[&[-1.0, 3.0, 7.0, 10.0]]), Some((-1.0, 1)));
        assert_eq!(negative(&[&[-999.0, 0.0, 1.0]]), Some((-999.0, 1)));
        // Two classes, differences, and numbers with a fraction.
        assert_eq!(negative(&[&[-1.0, 1.0]]), None);
        assert_eq!(negative(&[&[-1.0, 0.0], &[-2.0, 1.0]]), None);
        assert_eq!(negative(&[&[-1.0, 0.0], &[-9.0, 1.0]]), None);
        assert_eq!(negative(&[&[-1.0, 0.0, 0.5]]), None);
        assert_eq!(negative(&[&[0.0, 1.0]]), None);
    }

    #[test]
    fn words_for_nothing_are_counted_each() {
        let mut marks = LabelMarks::default();
        for text in ["yes", "no", "NA", "NA", "Unknown", "-1"] {
            marks.note_text(text);
        }
        let found: Vec<(&str, u64)> = (marks.words.iter())
            .map(|(word, rows)| (&**word, *rows))
            .collect();
        assert_eq!(found, [("NA", 2), ("Unknown", 1)]);
        assert_eq!(marks.negative(), None);
    }
}

//! The records of delimited text, one after another: the one place that knows where fields and rows end.
//!
//! Cutting files into pieces, counting rows, reading fields and finding a row again all go through [`Records`], so that they
//! can't disagree. Text without quotes (most of it) is cut where a mask of 64 bytes at a time shows separators and line ends;
//! nothing is copied. Text with quotes goes through [`Tokenizer`], which follows the same masks with quotes in them.

use super::text_marks::Marks;
use super::text_rows::trim;
pub(crate) use super::text_tokens::{TextFault, Tokenizer};
use crate::schema::Format;

/// Bit of a bound that lies in the copies, not in the text.
pub(super) const COPIED: usize = 1 << (usize::BITS - 1);

/// Where the fields of a record are.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Start and end of each.
    // Kept from record to record, which saves an allocation a row.
    pub(super) bounds: Vec<(usize, usize)>,
    /// Where each starts in the text, its quote included; of tokenized text alone.
    pub(super) sources: Vec<usize>,
    /// Values of quoted fields that hold quotes.
    pub(super) copies: Vec<u8>,
}

/// Reads record after record.
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    format: Format,
    way: Way<'a>,
    fields: Fields,
    /// Where the record that was read last starts.
    record_start: usize,
}

enum Way<'a> {
    Plain { marks: Marks<'a, 2>, start: usize },
    Tokens(Box<Tokenizer<'a>>),
}

/// The fields of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    text: &'a [u8],
    fields: &'a Fields,
    trim_spaces: bool,
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8], format: Format) -> Self {
        // A piece without a quote needs no state machine, whatever the format allows.
        let has_quotes = format.quotes && memchr::memchr(b'"', bytes).is_some();
        let way = match (format.separator.single(), format.comment) {
            (Some(separator), None) if !has_quotes => Way::Plain {
                marks: Marks::new(bytes, [separator, b'\n']),
                start: 0,
            },
            _ => Way::Tokens(Box::new(Tokenizer::new(bytes, format))),
        };
        Self {
            bytes,
            format,
            way,
            fields: Fields::default(),
            record_start: 0,
        }
    }

    /// The next record; lines without a character, and those that begin with the format's `comment`, are none.
    ///
    /// # Errors
    /// Quotes that don't close, or close inside a field.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, TextFault> {
        let Self {
            bytes,
            format,
            way,
            fields,
            record_start,
        } = self;
        let trim_spaces = match way {
            Way::Plain { marks, start } => {
                loop {
                    *record_start = *start;
                    if !next_plain(bytes, marks, start, &mut fields.bounds) {
                        return Ok(None);
                    }
                    if !is_blank(bytes, &fields.bounds) {
                        break;
                    }
                }
                // The carriage return of a line end is no part of the last field.
                if let Some((start, end)) = fields.bounds.last_mut()
                    && *end > *start
                    && bytes[*end - 1] == b'\r'
                {
                    *end -= 1;
                }
                format.trim_spaces
            }
            Way::Tokens(tokens) => {
                if !tokens.next_record(Some(fields))? {
                    return Ok(None);
                }
                *record_start = tokens.record_start;
                // Spaces inside quotes are part of the value; the tokenizer took off the others.
                false
            }
        };
        Ok(Some(Record {
            text: bytes,
            fields,
            trim_spaces,
        }))
    }

    /// Where the record that was read last starts.
    pub(crate) fn record_start(&self) -> usize {
        self.record_start
    }

    /// Where the text goes on behind the record that was read last.
    pub(crate) fn next_start(&self) -> usize {
        let next = match &self.way {
            Way::Plain { start, .. } => *start,
            Way::Tokens(tokens) => tokens.at,
        };
        next.min(self.bytes.len())
    }

    /// Where a field of the record that was read last starts in the text, without the spaces before it.
    pub(crate) fn field_start(&self, field: usize) -> Option<usize> {
        let Way::Plain { .. } = self.way else {
            return self.fields.sources.get(field).copied();
        };
        let (start, end) = *self.fields.bounds.get(field)?;
        let spaces = self.bytes[start..end].iter();
        let spaces = spaces.take_while(|byte| self.format.trim_spaces && **byte == b' ');
        Some(start + spaces.count())
    }
}

/// Finds the fields up to the next line end; false where no text is left.
#[inline]
fn next_plain(
    bytes: &[u8],
    marks: &mut Marks<'_, 2>,
    start: &mut usize,
    bounds: &mut Vec<(usize, usize)>,
) -> bool {
    bounds.clear();
    if *start >= bytes.len() {
        return false;
    }
    for at in marks {
        bounds.push((*start, at));
        *start = at + 1;
        if bytes[at] == b'\n' {
            return true;
        }
    }
    // The last line has no end.
    bounds.push((*start, bytes.len()));
    *start = bytes.len() + 1;
    true
}

#[inline]
fn is_blank(text: &[u8], bounds: &[(usize, usize)]) -> bool {
    matches!(bounds, [(start, end)] if matches!(&text[*start..*end], b"" | b"\r"))
}

impl<'a> Record<'a> {
    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        self.fields.bounds.len()
    }

    /// A field without the spaces, quotes and line ends that belong to the layout; nothing where the record has none there.
    #[inline]
    pub(crate) fn get(&self, column: usize) -> Option<&'a [u8]> {
        let (start, end) = *self.fields.bounds.get(column)?;
        Some(match start & COPIED {
            0 => {
                let field = &self.text[start..end];
                match self.trim_spaces {
                    true => trim(field),
                    false => field,
                }
            }
            _ => &self.fields.copies[start & !COPIED..end & !COPIED],
        })
    }

    /// As [`Self::get`], of a field that the record has.
    #[inline]
    pub(crate) fn field(&self, column: usize) -> &'a [u8] {
        self.get(column).expect("the record has the field")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Separator;

    fn format(quotes: bool) -> Format {
        Format {
            has_header: false,
            quotes,
            trim_spaces: true,
            ..Format::default()
        }
    }

    fn read(text: &[u8], format: Format) -> Result<Vec<Vec<String>>, TextFault> {
        let mut records = Records::new(text, format);
        let mut found = Vec::new();
        while let Some(record) = records.next()? {
            let field = |column| String::from_utf8_lossy(record.field(column)).into_owned();
            found.push((0..record.len()).map(field).collect());
        }
        Ok(found)
    }

    fn all(text: &[u8], format: Format) -> Vec<Vec<String>> {
        read(text, format).unwrap()
    }

    #[test]
    fn lines_without_a_character_are_no_records_and_spaces_and_line_ends_no_part_of_fields() {
        let text = b"\n\r\na, b ,c\r\n\n ,,\nlast,\xff,1";
        let expected = [
            vec!["a", "b", "c"],
            vec!["", "", ""],
            vec!["last", "\u{fffd}", "1"],
        ];
        assert_eq!(all(text, format(false)), expected);
        assert_eq!(all(text, format(true)), expected);
        assert!(all(b"", format(false)).is_empty());
        assert_eq!(all(b"a,", format(false)), [["a", ""]]);
        assert_eq!(all(b"\"a\",", format(true)), [["a", ""]]);
    }

    #[test]
    fn both_ways_find_the_same_fields_wherever_they_lie_in_the_mask() {
        for length in 0..150 {
            let filler = "x".repeat(length);
            let text = format!("{filler},1\n2,{filler}\r\n,{filler}\n{filler}\n");
            let plain = all(text.as_bytes(), format(false));
            // One quoted field turns the whole piece over to the tokenizer.
            let quoted = all(format!("{text}\"q\"\n").as_bytes(), format(true));
            assert_eq!(plain[..], quoted[..quoted.len() - 1], "{length}");
        }
    }

    #[test]
    fn quotes_hold_separators_and_line_ends() {
        let text = b"\"a,b\",\"c\nd\"\r\n1,\"say \"\"hi\"\"\"\n\"\"\n";
        let expected = [vec!["a,b", "c\nd"], vec!["1", "say \"hi\""], vec![""]];
        assert_eq!(all(text, format(true)), expected);
    }

    /// A slow reader that looks at one byte after another, for rows that the `csv` crate reads too.
    #[test]
    fn rows_with_quotes_are_those_that_another_reader_finds() {
        let stream = homebench_random::Philox::new(7, "quotes", "text");
        let words = [
            "a",
            "",
            "\"b,\"\"c\"",
            "\"\"",
            "\"d\ne\"",
            "f g",
            "\"h\r\ni\"",
            "6\" x",
        ];
        let mut text = String::new();
        for row in 0..4000 {
            let [a, b, c, d] = stream
                .u32x4(row)
                .map(|word| words[word as usize % words.len()]);
            text.push_str(&format!(
                "{a},{b},{c},{d}{}",
                ["\n", "\r\n"][row as usize % 2]
            ));
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(text.as_bytes());
        let expected: Vec<Vec<String>> = reader
            .records()
            .map(|record| {
                record
                    .unwrap()
                    .iter()
                    .map(|field| field.trim_end_matches('\r').to_owned())
                    .collect()
            })
            .collect();
        assert_eq!(
            all(
                text.as_bytes(),
                Format {
                    trim_spaces: false,
                    ..format(true)
                }
            ),
            expected
        );
    }

    #[test]
    fn a_quote_opens_a_field_behind_spaces_and_is_a_letter_inside_one() {
        let text = b"1, \"i3\" , TV 42\" LED ,\" a \"\r\n";
        assert_eq!(all(text, format(true)), [["1", "i3", "TV 42\" LED", " a "]]);
        let untrimmed = Format {
            trim_spaces: false,
            ..format(true)
        };
        assert_eq!(all(b"1, \"i3\"\n", untrimmed), [["1", " \"i3\""]]);
    }

    #[test]
    fn separators_of_several_characters_divide_with_and_without_quotes() {
        for separator in ["::", "||", ", ", "\t|\t"] {
            let of = |quotes| Format {
                separator: Separator::of_bytes(separator.as_bytes()).unwrap(),
                trim_spaces: false,
                ..format(quotes)
            };
            for length in 0..70 {
                let filler = "x".repeat(length);
                // One character of the separator alone divides nothing.
                let part = &separator[..1];
                let text =
                    format!("{filler}{separator}1{part}2{separator}\r\n3{separator}{separator}4");
                let middle = format!("1{part}2");
                let expected = [[&filler[..], &middle, ""], ["3", "", "4"]];
                assert_eq!(all(text.as_bytes(), of(false)), expected, "{separator}");
                assert_eq!(all(text.as_bytes(), of(true)), expected, "{separator}");
            }
            let text = format!("\"a{separator}b\"{separator}c\n");
            assert_eq!(
                all(text.as_bytes(), of(true)),
                [[&format!("a{separator}b")[..], "c"]]
            );
        }
    }

    #[test]
    fn an_escape_stands_before_quotes_and_itself() {
        let escaped = Format {
            escape: Some(b'\\'),
            ..format(true)
        };
        let text = br#"1,"say \"hi\"","a \", b","c\\","d\n"
"#;
        let expected = [["1", "say \"hi\"", "a \", b", "c\\", "d\\n"]];
        assert_eq!(all(text, escaped), expected);
        let doubled = Format {
            escape: Some(b'"'),
            ..format(true)
        };
        assert_eq!(all(b"\"C:\\\",\"a\\\"\"\"\n", doubled), [["C:\\", "a\\\""]]);
        // Doubled in the middle of a value: no escape could be meant.
        assert_eq!(
            all(b"\"{\"\"a\"\": \"\"x\\\"\"y\"\"}\"\n", format(true)),
            [["{\"a\": \"x\\\"y\"}"]]
        );
        for text in [
            &b"1,\"say \\\"hi\\\"\"\n"[..],
            b"1,\"6\\\"\"\n",
            b"1,\"C:\\\",2\n",
        ] {
            let said = read(text, format(true)).unwrap_err();
            assert!(matches!(said, TextFault::Backslash { .. }), "{said:?}");
        }
    }

    #[test]
    fn quotes_that_never_close_and_text_behind_them_are_faults_with_their_place() {
        let said = |text: &[u8]| read(text, format(true)).unwrap_err();
        assert_eq!(
            said(b"a,b\n1,\"x\n2,y\n"),
            TextFault::NeverClosed { opened: 6 }
        );
        assert_eq!(
            said(b"a,\"b\" c\n"),
            TextFault::AfterQuote {
                opened: 2,
                found: 6
            }
        );
    }

    #[test]
    fn lines_that_begin_with_the_comment_are_no_records() {
        let commented = |quotes| Format {
            comment: Some(b'#'),
            ..format(quotes)
        };
        let text = b"# he said \"no\n1,#2\n#\n\n\"3\",\"\n# 4\"\n#end";
        assert_eq!(all(text, commented(true)), [["1", "#2"], ["3", "\n# 4"]]);
        assert_eq!(all(b"#a\n1,2\n#b", commented(false)), [["1", "2"]]);
    }
}

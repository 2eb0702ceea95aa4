//! Text with quotes, separators of several characters or comments, cut into records. Tests are those of [`super::text_records`].

use super::text_marks::Marks;
use super::text_records::{COPIED, Fields};
use crate::schema::Format;

/// What is no delimited text; places are bytes from the start of what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextFault {
    /// A quote that opens a field and is never closed.
    NeverClosed { opened: usize },
    /// Something between the quote that closes a field and the next separator.
    AfterQuote { opened: usize, found: usize },
    /// A backslash before a quote inside quotes, where the format doesn't say what that means.
    Backslash { found: usize },
}

impl TextFault {
    /// The same in what is read from `start` on.
    pub(crate) fn behind(self, start: usize) -> Self {
        match self {
            Self::NeverClosed { opened } => Self::NeverClosed {
                opened: opened + start,
            },
            Self::AfterQuote { opened, found } => Self::AfterQuote {
                opened: opened + start,
                found: found + start,
            },
            Self::Backslash { found } => Self::Backslash {
                found: found + start,
            },
        }
    }
}

/// Cuts text whose fields may be quoted, whose separator may have several bytes and whose lines may be comments.
pub(crate) struct Tokenizer<'a> {
    bytes: &'a [u8],
    format: Format,
    marks: Marks<'a, 4>,
    /// Where the next record starts.
    pub(super) at: usize,
    /// Where the last one starts, behind lines that are none.
    pub(super) record_start: usize,
}

impl<'a> Tokenizer<'a> {
    pub(crate) fn new(bytes: &'a [u8], format: Format) -> Self {
        let separator = format.separator.first();
        let quote = if format.quotes { b'"' } else { separator };
        let escape = format.escape.unwrap_or(separator);
        Self {
            bytes,
            format,
            marks: Marks::new(bytes, [separator, b'\n', quote, escape]),
            at: 0,
            record_start: 0,
        }
    }

    /// Passes the next record, whose fields are kept where that is asked for; false where no text is left.
    pub(crate) fn next_record(
        &mut self,
        mut fields: Option<&mut Fields>,
    ) -> Result<bool, TextFault> {
        self.skip_lines();
        self.record_start = self.at;
        if self.at >= self.bytes.len() {
            return Ok(false);
        }
        if let Some(fields) = &mut fields {
            fields.bounds.clear();
            fields.sources.clear();
            fields.copies.clear();
        }
        loop {
            let start = self.at;
            let first = self.behind_spaces(start);
            let is_quoted = self.format.quotes && self.bytes.get(first) == Some(&b'"');
            let (bounds, has_more) = match is_quoted {
                true => self.quoted(first, fields.as_deref_mut())?,
                false => self.unquoted(start),
            };
            if let Some(fields) = &mut fields {
                fields.bounds.push(bounds);
                fields.sources.push(first);
            }
            if !has_more {
                return Ok(true);
            }
        }
    }

    /// Goes past lines that are no records.
    fn skip_lines(&mut self) {
        loop {
            let rest = &self.bytes[self.at.min(self.bytes.len())..];
            let is_comment =
                self.format.comment.is_some() && rest.first() == self.format.comment.as_ref();
            let skipped = match rest {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                [b'\r'] => 1,
                [_, ..] if is_comment => {
                    memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)
                }
                _ => return,
            };
            self.at += skipped;
            self.marks.seek(self.at);
        }
    }

    fn behind_spaces(&self, start: usize) -> usize {
        if !self.format.trim_spaces {
            return start;
        }
        let spaces = self.bytes[start..].iter();
        start + spaces.take_while(|byte| **byte == b' ').count()
    }

    fn is_separator(&self, at: usize) -> bool {
        match self.format.separator.single() {
            Some(separator) => self.bytes.get(at) == Some(&separator),
            None => self.bytes[at..].starts_with(self.format.separator.as_bytes()),
        }
    }

    /// A field without quotes: where it is, and whether another follows.
    fn unquoted(&mut self, start: usize) -> ((usize, usize), bool) {
        let mut is_last = true;
        let mut end = self.bytes.len();
        self.at = end;
        while let Some(at) = self.marks.next() {
            let is_line_end = self.bytes[at] == b'\n';
            if !is_line_end && !self.is_separator(at) {
                continue;
            }
            is_last = is_line_end;
            end = at;
            self.at = at + 1;
            if !is_line_end {
                self.pass_separator(at);
            }
            break;
        }
        if is_last && end > start && self.bytes[end - 1] == b'\r' {
            end -= 1;
        }
        let mut first = start;
        if self.format.trim_spaces {
            first = self.behind_spaces(start).min(end);
            while end > first && self.bytes[end - 1] == b' ' {
                end -= 1;
            }
        }
        ((first, end), !is_last)
    }

    fn pass_separator(&mut self, at: usize) {
        let separator = self.format.separator.as_bytes().len();
        self.at = at + separator;
        if separator > 1 {
            self.marks.seek(self.at);
        }
    }

    /// A field whose quote is at `opened`: where its value is, and whether another field follows.
    fn quoted(
        &mut self,
        opened: usize,
        mut fields: Option<&mut Fields>,
    ) -> Result<((usize, usize), bool), TextFault> {
        let bytes = self.bytes;
        let first_copy = fields.as_ref().map_or(0, |fields| fields.copies.len());
        let mut is_copied = false;
        // What is not copied yet starts here.
        let mut start = opened + 1;
        self.marks.seek(start);
        let closed = loop {
            let Some(at) = self.marks.next() else {
                return Err(TextFault::NeverClosed { opened });
            };
            let next = bytes.get(at + 1).copied();
            // An escape stands for what follows it where that is a quote or an escape, and for itself elsewhere, as Spark
            // writes and reads it.
            let is_escape = self.format.escape == Some(bytes[at]) && bytes[at] != b'"';
            let is_pair = match bytes[at] {
                _ if is_escape => next == Some(b'"') || next == self.format.escape,
                b'"' => next == Some(b'"'),
                _ => continue,
            };
            if !is_escape {
                self.check_backslash(opened, at)?;
                if !is_pair {
                    break at;
                }
            }
            if !is_pair {
                continue;
            }
            if let Some(fields) = &mut fields {
                fields.copies.extend_from_slice(&bytes[start..at]);
            }
            is_copied = true;
            start = at + 1;
            self.marks.seek(at + 2);
        };
        let bounds = match fields {
            Some(fields) if is_copied => {
                fields.copies.extend_from_slice(&bytes[start..closed]);
                (first_copy | COPIED, fields.copies.len() | COPIED)
            }
            _ => (start, closed),
        };
        Ok((bounds, self.close(opened, closed)?))
    }

    /// Goes behind a closed field; whether another follows.
    fn close(&mut self, opened: usize, closed: usize) -> Result<bool, TextFault> {
        let end = self.behind_spaces(closed + 1);
        let (skipped, has_more) = match &self.bytes[end..] {
            [] | [b'\r'] => (self.bytes.len() - end, false),
            [b'\n', ..] => (1, false),
            [b'\r', b'\n', ..] => (2, false),
            _ if self.is_separator(end) => (self.format.separator.as_bytes().len(), true),
            _ => return Err(TextFault::AfterQuote { opened, found: end }),
        };
        self.at = end + skipped;
        self.marks.seek(self.at);
        Ok(has_more)
    }

    /// Refuses a backslash before a quote that may be an escape, where the format doesn't say whether it is one.
    fn check_backslash(&self, opened: usize, quote: usize) -> Result<(), TextFault> {
        let is_said = self.format.escape.is_some();
        if is_said || quote - opened < 2 || self.bytes[quote - 1] != b'\\' {
            return Ok(());
        }
        // `\""` inside a value is a doubled quote: as an escaped one with a closing one behind it, a separator would follow.
        let is_doubled = self.bytes.get(quote + 1) == Some(&b'"');
        let behind = self.bytes.get(quote + 2..).unwrap_or_default();
        let ends = matches!(behind, [] | [b'\r' | b'\n', ..])
            || self.is_separator((quote + 2).min(self.bytes.len()));
        match is_doubled && !ends {
            true => Ok(()),
            false => Err(TextFault::Backslash { found: quote - 1 }),
        }
    }
}

//! Several values in one text: between separators, or as JSON, Python and NumPy write lists.

use super::bad_row::{Fault, is_missing_mark};
use super::column_slots::Need;
use super::row::{Row, Visit};
use super::text_rows::split;
use std::sync::OnceLock;

/// How the texts of a file's list columns hold several values; the first text of a column that is not empty decides.
#[derive(Debug, Default)]
pub(crate) struct ListForms {
    /// Columns that are read as lists.
    columns: Vec<usize>,
    /// Per column: whether values stand in brackets, once that is known.
    is_bracketed: Vec<OnceLock<bool>>,
    /// Per column: texts that the description takes for nothing.
    marks: OnceLock<Vec<Vec<String>>>,
}

impl ListForms {
    pub(crate) fn new(needs: &[Need]) -> Self {
        let lists = (0..needs.len()).filter(|column| needs[*column].list);
        Self {
            columns: lists.collect(),
            is_bracketed: needs.iter().map(|_| OnceLock::new()).collect(),
            marks: OnceLock::new(),
        }
    }

    /// Says which texts of each column stand for nothing.
    pub(crate) fn set_marks(&self, marks: &[Vec<String>]) {
        let _ = self.marks.set(marks.to_vec());
    }

    /// Whether a text of a column has values.
    fn has_values(&self, column: usize, text: &[u8]) -> bool {
        let marks = self.marks.get().and_then(|marks| marks.get(column));
        let is_mark = || {
            let mut marks = marks.into_iter().flatten();
            marks.any(|mark| mark.as_bytes() == text)
        };
        !text.is_empty() && !is_missing_mark(text) && !is_mark()
    }

    /// Whether the forms of these columns are known; of all where they are not given.
    pub(crate) fn are_known(&self, of: Option<&[usize]>) -> bool {
        let columns = of.unwrap_or(&self.columns).iter();
        columns
            .into_iter()
            .all(|column| self.is_bracketed[*column].get().is_some())
    }

    /// Learns from a row.
    fn note<R: Row>(&self, row: &R) {
        for column in &self.columns {
            let text = row.text(*column);
            if self.has_values(*column, text) {
                let _ = self.is_bracketed[*column].set(is_bracketed(text));
            }
        }
    }

    /// Refuses a row that has a list in another form than the rows before.
    #[inline]
    pub(crate) fn check<R: Row>(&self, row: &R) -> Result<(), Fault> {
        for column in &self.columns {
            self.check_text(*column, row.text(*column))?;
        }
        Ok(())
    }

    fn check_text(&self, column: usize, text: &[u8]) -> Result<(), Fault> {
        let Some(expected) = self.is_bracketed[column].get() else {
            return Ok(());
        };
        if !self.has_values(column, text) {
            return Ok(());
        }
        let expected = match (expected, is_bracketed(text)) {
            (true, true) if parse(text, &mut |_| {}).is_some() => return Ok(()),
            (_, false) if is_cut(text) => "a list whose brackets close",
            (false, false) => return Ok(()),
            (true, true) => "a list such as ['a', 'b'] or [1, 2]",
            (true, false) => "a list in brackets, as in the rows before",
            (false, true) => "values without brackets, as in the rows before",
        };
        Err(Fault::Field {
            column,
            expected: expected.to_owned(),
            found: String::from_utf8_lossy(text).into_owned(),
            hint: "correct the row, or write every list of the column in one form".to_owned(),
        })
    }

    /// Gives the values of a text, without empty ones.
    #[inline]
    pub(crate) fn values(
        &self,
        column: usize,
        text: &[u8],
        separator: u8,
        visit: &mut dyn FnMut(&[u8]),
    ) {
        match self.is_bracketed.get(column).and_then(OnceLock::get) {
            // What is no list was refused before.
            Some(true) => drop(parse(text, visit)),
            _ => split(text, separator, visit),
        }
    }
}

/// Learns the forms from the rows that it is shown, and stops when it knows all.
pub(crate) struct NoteForms<'a> {
    pub(crate) forms: &'a ListForms,
    pub(crate) columns: Option<&'a [usize]>,
}

impl Visit for NoteForms<'_> {
    fn row<R: Row>(&mut self, _index: u64, row: &R) -> Result<(), Fault> {
        self.forms.note(row);
        match self.forms.are_known(self.columns) {
            // Any fault ends the reading.
            true => Err(Fault::Fields { found: 0 }),
            false => Ok(()),
        }
    }
}

/// Brackets that lists stand in: JSON's and Python's, sets' and PostgreSQL's, tuples'.
const BRACKETS: [(u8, u8); 3] = [(b'[', b']'), (b'{', b'}'), (b'(', b')')];

/// What Python and NumPy write around a list in brackets.
const AROUND_BRACKETS: [&[u8]; 4] = [b"array(", b"frozenset(", b"set(", b"deque("];

/// What Scala and Spark write in front of values in round brackets.
const BEFORE_BRACKETS: [&[u8]; 6] = [
    b"WrappedArray",
    b"ArraySeq",
    b"ArrayBuffer",
    b"List",
    b"Vector",
    b"Set",
];

/// What stands between the brackets of a list, without the name of its type.
fn between_brackets(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii();
    let around = AROUND_BRACKETS
        .iter()
        .find_map(|name| text.strip_prefix(*name));
    if let Some(inside) = around {
        let inside = inside.strip_suffix(b")")?.trim_ascii();
        return between(without_dtype(inside));
    }
    let before = BEFORE_BRACKETS
        .iter()
        .find_map(|name| text.strip_prefix(*name));
    if let Some(inside) = before.filter(|rest| rest.starts_with(b"(")) {
        return inside.strip_prefix(b"(")?.strip_suffix(b")");
    }
    let inside = between(text)?;
    // "(no genres listed)" is a text; a tuple of one value has a comma.
    let is_list = |byte: &u8| matches!(byte, b',' | b'"' | b'\'');
    match text.starts_with(b"(") && !inside.trim_ascii().is_empty() && !inside.iter().any(is_list) {
        true => None,
        false => Some(inside),
    }
}

fn between(text: &[u8]) -> Option<&[u8]> {
    let (open, close) = BRACKETS
        .into_iter()
        .find(|(open, _)| text.first() == Some(open))?;
    text.strip_prefix(&[open])?.strip_suffix(&[close])
}

/// A list without the `, dtype=object` that NumPy writes behind it.
fn without_dtype(text: &[u8]) -> &[u8] {
    let Some(end) = text.iter().rposition(|byte| *byte == b']') else {
        return text;
    };
    let behind = text[end + 1..].trim_ascii_start().strip_prefix(b",");
    let is_dtype = |behind: &[u8]| behind.trim_ascii_start().starts_with(b"dtype=");
    match behind.is_some_and(is_dtype) {
        true => &text[..=end],
        false => text,
    }
}

/// Whether a text begins and ends as a list in brackets.
pub(crate) fn is_bracketed(text: &[u8]) -> bool {
    between_brackets(text).is_some()
}

/// Whether a text begins as a list of texts in square brackets, whose end is not there.
fn is_cut(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    (text.starts_with(b"['") || text.starts_with(b"[\"")) && !is_bracketed(text)
}

/// Gives the values of a list in brackets, without empty ones and those that say that nothing is there; nothing where the text
/// is no flat list.
pub(crate) fn parse(text: &[u8], visit: &mut dyn FnMut(&[u8])) -> Option<()> {
    let mut rest = between_brackets(text)?.trim_ascii();
    // A dictionary is no list.
    let is_set = text.trim_ascii().starts_with(b"{");
    // NumPy prints arrays of numbers and texts with spaces alone.
    let mut value = Vec::new();
    while let Some(first) = rest.first().copied() {
        value.clear();
        let is_quoted = matches!(first, b'"' | b'\'');
        rest = match is_quoted {
            true => quoted(rest, first, &mut value)?,
            false => bare(rest, &mut value)?,
        };
        let is_nothing = !is_quoted && matches!(&value[..], b"null" | b"None" | b"nan" | b"NaN");
        if !value.is_empty() && !is_nothing {
            visit(&value);
        }
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            Some((b',', behind)) => rest = behind.trim_ascii_start(),
            Some((b':', _)) if is_set => return None,
            Some(_) if !is_quoted && !is_number(&value) => return None,
            _ => {}
        }
    }
    Some(())
}

fn is_number(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| text.parse::<f64>().is_ok())
}

/// A value without quotes: up to a comma, or up to a space where it is a number.
fn bare<'a>(text: &'a [u8], value: &mut Vec<u8>) -> Option<&'a [u8]> {
    let end = text
        .iter()
        .position(|byte| *byte == b',')
        .unwrap_or(text.len());
    let mut found = text[..end].trim_ascii();
    let count = |wanted: u8| found.iter().filter(|byte| **byte == wanted).count();
    // A call that a comma cuts: datetime.date(2022, 4, 1).
    if count(b'(') != count(b')') {
        return None;
    }
    if found
        .iter()
        .any(|byte| matches!(byte, b'[' | b']' | b'{' | b'}' | b'"' | b'\''))
        || found
            .split(u8::is_ascii_whitespace)
            .any(|word| word == b"...")
    {
        return None;
    }
    let word_end = found.iter().position(u8::is_ascii_whitespace);
    let word_end = word_end.filter(|end| is_number(&found[..*end]));
    if let Some(end) = word_end {
        found = &found[..end];
        value.extend_from_slice(found);
        return Some(&text[end..]);
    }
    value.extend_from_slice(found);
    Some(&text[end..])
}

/// A value in quotes, with the escapes of JSON and Python; what follows it.
fn quoted<'a>(text: &'a [u8], quote: u8, value: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = &text[1..];
    loop {
        let (first, behind) = rest.split_first()?;
        rest = behind;
        if *first == quote {
            return Some(rest);
        }
        if *first != b'\\' {
            value.push(*first);
            continue;
        }
        let (escaped, behind) = rest.split_first()?;
        rest = behind;
        match escaped {
            b'n' => value.push(b'\n'),
            b't' => value.push(b'\t'),
            b'r' => value.push(b'\r'),
            b'b' => value.push(8),
            b'f' => value.push(12),
            b'x' | b'u' | b'U' => {
                let digits = match escaped {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                };
                let mut code = hexadecimal(rest, digits)?;
                rest = &rest[digits..];
                // JSON writes characters beyond 16 bits in two halves.
                if (0xd800..0xdc00).contains(&code) {
                    let low = hexadecimal(rest.strip_prefix(b"\\u")?, 4)?;
                    code = 0x10000 + ((code - 0xd800) << 10) + low.checked_sub(0xdc00)?;
                    rest = &rest[6..];
                }
                let mut buffer = [0; 4];
                let character = char::from_u32(code)?.encode_utf8(&mut buffer);
                value.extend_from_slice(character.as_bytes());
            }
            other => value.push(*other),
        }
    }
}

fn hexadecimal(text: &[u8], digits: usize) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(..digits)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Option<Vec<String>> {
        let mut found = Vec::new();
        parse(text.as_bytes(), &mut |value| {
            found.push(String::from_utf8(value.to_vec()).unwrap());
        })?;
        Some(found)
    }

    #[test]
    fn lists_are_those_that_json_python_and_numpy_wrote() {
        for (text, expected) in [
            ("['i3', 'i9']", &["i3", "i9"][..]),
            (r#"["a","b, c"]"#, &["a", "b, c"]),
            ("[1, 2]", &["1", "2"]),
            ("[]", &[]),
            (" [ ] ", &[]),
            (
                r#"["it's", 'say "hi"', 'it\'s']"#,
                &["it's", "say \"hi\"", "it's"],
            ),
            (
                r#"["a]", "[b", "caf\u00e9", "\ud83d\ude00"]"#,
                &["a]", "[b", "café", "😀"],
            ),
            ("[New York, Rome]", &["New York", "Rome"]),
            ("[1 2\n 3.5]", &["1", "2", "3.5"]),
            ("['a' 'b']", &["a", "b"]),
            ("{'a','b8'}", &["a", "b8"]),
            ("('a', 'b8')", &["a", "b8"]),
            ("('a',)", &["a"]),
            ("{a,b8}", &["a", "b8"]),
            ("array([1, 8])", &["1", "8"]),
            ("array(['a', 'b]'], dtype=object)", &["a", "b]"]),
            ("array([1, 8], dtype=int64)", &["1", "8"]),
            ("array(['a'],\n      dtype='<U1')", &["a"]),
            ("array([], dtype=object)", &[]),
            ("frozenset({'a', 'b'})", &["a", "b"]),
            ("deque(['a', 'b'])", &["a", "b"]),
            ("WrappedArray(a, b)", &["a", "b"]),
            ("List(a b, c)", &["a b", "c"]),
            ("Set()", &[]),
            ("()", &[]),
            ("[New York (NY), Rome]", &["New York (NY)", "Rome"]),
            (r#"[null, None, "null", '']"#, &["null"]),
            (r"['C:\\x']", &["C:\\x"]),
        ] {
            assert_eq!(
                values(text).as_deref(),
                Some(
                    &expected
                        .iter()
                        .map(|text| (*text).to_owned())
                        .collect::<Vec<_>>()[..]
                ),
                "{text}"
            );
        }
        for text in [
            "['a]",
            "[[1], [2]]",
            "['a', 'b",
            "[a]|[b]",
            "[1 2 ... 9]",
            "[{\"a\": 1}]",
            "{'a': 1}",
            r#"["\ud83d"]"#,
            "(no genres listed)",
            "Set (2)",
            "[datetime.date(2022, 4, 1)]",
            "array(['a', 'b'], dtype=object",
        ] {
            assert_eq!(values(text), None, "{text}");
        }
    }
}

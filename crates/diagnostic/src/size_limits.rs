//! What is refused before a TOML parser sees it: nesting and lines that no person writes, on which a parser fills the stack or
//! takes minutes.

/// The most levels of `[` and `{`, and the most names of a dotted key.
// The parser's own limit is 80, told in words that don't say what to do.
const MOST_LEVELS: usize = 64;
/// The most bytes of a line: 50,000 columns of 20 letters.
const MOST_LINE_BYTES: usize = 1 << 20;

/// What is beyond a limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BeyondLimit {
    /// Byte of the text.
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// The first place of a text that is beyond a limit.
pub(super) fn beyond_limit(text: &str) -> Option<BeyondLimit> {
    long_line(text).or_else(|| deep_place(text.as_bytes()))
}

fn long_line(text: &str) -> Option<BeyondLimit> {
    let mut offset = 0;
    for line in text.split('\n') {
        if line.len() > MOST_LINE_BYTES {
            return Some(BeyondLimit {
                offset,
                message: format!(
                    "the line has {} bytes; at most {MOST_LINE_BYTES} are read",
                    line.len()
                ),
                hint: "break the line: a list may stand on several",
            });
        }
        offset += line.len() + 1;
    }
    None
}

/// Where brackets, or the names of a dotted key, are too many.
fn deep_place(text: &[u8]) -> Option<BeyondLimit> {
    let (mut at, mut levels, mut dots) = (0, 0usize, 0usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'#' => {
                at += text[at..]
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(text.len() - at - 1)
            }
            b'"' | b'\'' => at = end_of_string(text, at),
            b'[' | b'{' => (levels, dots) = (levels + 1, 0),
            // Too many closing ones are the parser's to tell.
            b']' | b'}' => (levels, dots) = (levels.saturating_sub(1), 0),
            b'.' => dots += 1,
            b'=' | b',' | b'\n' => dots = 0,
            _ => {}
        }
        if levels > MOST_LEVELS || dots >= MOST_LEVELS {
            let what = match dots >= MOST_LEVELS {
                true => "a key has more than",
                false => "lists and tables are nested more than",
            };
            let unit = if dots >= MOST_LEVELS {
                "names"
            } else {
                "levels deep"
            };
            return Some(BeyondLimit {
                offset: at,
                message: format!("{what} {MOST_LEVELS} {unit}"),
                hint: "nothing that is described in such a file is nested so deep: look for a bracket or a quote that is not closed",
            });
        }
        at += 1;
    }
    None
}

/// The last byte of the string that starts here; the end of the text or of the line where it never closes.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let quote = text[start];
    let is_long = text[start..].starts_with(&[quote; 3]);
    let mut at = start + if is_long { 3 } else { 1 };
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !is_long => return at.saturating_sub(1).max(start),
            byte if *byte == quote && !is_long => return at,
            byte if *byte == quote && text[at..].starts_with(&[quote; 3]) => return at + 2,
            _ => {}
        }
        at += 1;
    }
    text.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Option<usize> {
        beyond_limit(text).map(|found| found.offset)
    }

    #[test]
    fn deep_nesting_and_long_keys_and_lines_are_refused_where_they_are() {
        let many = |part: &str| part.repeat(200_000);
        assert_eq!(
            place(&format!("a = {}{}", many("["), many("]"))),
            Some(4 + 64)
        );
        assert_eq!(
            place(&format!("b = 1\na = {}1{}", many("{a="), many("}"))),
            Some(10 + 64 * 3)
        );
        assert_eq!(place(&format!("{}a = 1", many("a."))), Some(127));
        assert_eq!(place(&format!("[{}a]", many("a."))), Some(128));
        assert_eq!(
            place(&format!("a = 1\nb = \"{}\"", "x".repeat(1 << 20))),
            Some(6)
        );
    }

    #[test]
    fn what_stands_in_texts_and_comments_nests_nothing() {
        let brackets = "[{.".repeat(100);
        for text in [
            format!("a = \"{brackets}\""),
            format!("a = '{brackets}'"),
            format!("a = \"\"\"\n{brackets}\n\\\"\"\"{brackets}\"\"\""),
            format!("a = '''\n{brackets}\n'''"),
            format!("# {brackets}\na = 1"),
            format!("# {brackets}"),
            format!("a = \"\\\"{brackets}\""),
            format!("a = [{}]", "[1.5], ".repeat(1000)),
            "a = [".repeat(3),
            "\"".to_owned(),
            "'''".to_owned(),
            "\"\\".to_owned(),
            String::new(),
        ] {
            assert_eq!(place(&text), None, "{text}");
        }
    }
}

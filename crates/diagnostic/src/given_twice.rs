//! Keys that a document gives twice, or gives a value and then extends as if it were a table: told with both lines.

use super::{KeyPath, Location};
use toml::de::{DeTable, DeValue};

/// What is wrong with the key in the line of the byte `offset`, where the parser stopped, if an earlier line gives it too.
///
/// From the text and what the parser could make of it, since its own words name neither the key nor the other line.
pub(super) fn given_twice(text: &str, offset: usize) -> Option<String> {
    let (recovered, _) = DeTable::parse_recoverable(text);
    let start = text.get(..offset)?.rfind('\n').map_or(0, |end| end + 1);
    let (above, rest) = text.split_at(start);
    let line_of = |offset: usize| Location::of_offset(text, offset).line;
    let path = match header(first_line(rest)) {
        Some(path) => {
            // The parser keeps the last of two tables, so the text has to tell of the first.
            if let Some(first) = above
                .lines()
                .position(|line| header(line).as_ref() == Some(&path))
            {
                let (first, second) = (first + 1, line_of(start));
                return Some(format!(
                    "`{path}` is given at line {first} and again at line {second}"
                ));
            }
            path
        }
        None => {
            let key = key_of_line(first_line(rest))?;
            // The table that the line is in.
            let table = above.lines().rev().find_map(header).unwrap_or_default();
            KeyPath::new(table.keys().iter().chain(key.keys()))
        }
    };
    let mut table = recovered.get_ref();
    let mut walked = KeyPath::default();
    for (place, name) in path.keys().iter().enumerate() {
        let (key, value) = table
            .iter()
            .find(|(key, _)| key.get_ref().as_ref() == name.as_str())?;
        walked = walked.join(name);
        let is_last = place + 1 == path.keys().len();
        let is_earlier = key.span().start < start;
        match value.get_ref() {
            DeValue::Table(inner) if !is_last => table = inner,
            _ if !is_earlier => return None,
            _ => {
                let how = if is_last { "again" } else { "extended" };
                let (first, second) = (line_of(key.span().start), line_of(start));
                return Some(format!(
                    "`{walked}` is given at line {first} and {how} at line {second}"
                ));
            }
        }
    }
    None
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The path of a header `[a.b]`.
fn header(line: &str) -> Option<KeyPath> {
    let inner = line.trim().strip_prefix('[')?;
    // A list of tables has several of one name on purpose.
    let (inner, after) = inner.split_once(']')?;
    let is_header = after.trim().is_empty() || after.trim().starts_with('#');
    KeyPath::parse(inner).ok().filter(|_| is_header)
}

/// The key of a line `a.b = value`.
fn key_of_line(line: &str) -> Option<KeyPath> {
    // The first `=` that leaves a key in front of it: a quoted key may have one inside.
    let places = line.match_indices('=').map(|(place, _)| place);
    places
        .filter_map(|place| KeyPath::parse(line[..place].trim()).ok())
        .next()
}

#[cfg(test)]
mod tests {
    use crate::Document;

    fn said(text: &str) -> String {
        let document = Document::new("a.toml", text);
        document.parse::<toml::Table>().unwrap_err().to_string()
    }

    #[test]
    fn a_key_with_a_value_that_is_extended_is_told_with_both_lines() {
        assert_eq!(
            said("[training]\nschedule = \"cosine\"\nschedule.kind = \"cosine\"\n"),
            "a.toml:3:1: `training.schedule` is given at line 2 and extended at line 3\nhint: keep one of the two"
        );
        assert_eq!(
            said("a = 1\n[b]\nc = 2\n[a.d]\n"),
            "a.toml:4:2: `a` is given at line 1 and extended at line 4\nhint: keep one of the two"
        );
        assert_eq!(
            said("a.b = [1]\n# more\na.b.\"c=d\" = 2\n"),
            "a.toml:3:3: `a.b` is given at line 1 and extended at line 3\nhint: keep one of the two"
        );
    }

    #[test]
    fn a_key_or_a_table_that_is_given_twice_is_told_with_both_lines() {
        assert_eq!(
            said("[training]\nrate = 1\n\nrate = 2\n"),
            "a.toml:4:1: `training.rate` is given at line 2 and again at line 4\nhint: keep one of the two"
        );
        assert_eq!(
            said("[a]\nx = 1\n[b]\n[a] # once more\n"),
            "a.toml:4:2: `a` is given at line 1 and again at line 4\nhint: keep one of the two"
        );
    }

    #[test]
    fn other_faults_keep_the_words_of_the_parser() {
        assert!(!said("a = 1\nb = \n").contains("given at line"));
        assert!(!said("a = \"x\nb = 2\n").contains("given at line"));
    }
}

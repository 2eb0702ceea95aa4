//! How a text file is laid out, guessed from its first lines.

use crate::schema::{Encoding, Format, Separator};
use crate::table::text_chunks::TextFile;
use crate::table::text_records::Records;
use homebench_diagnostic::{Diagnostic, Location};
use std::path::Path;

/// Lines that are looked at.
const LINES: usize = 200;
/// Separators, the likelier first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b'|', b';'];
/// Lines that spaces have to divide alike, with a column of numbers, to be a separator: they are part of most texts.
const LINES_OF_SPACES: usize = 3;

/// The layout of a text file, and the names of its columns where its first line has them.
pub(super) fn layout(path: &Path) -> Result<(Format, Option<Vec<String>>), Diagnostic> {
    let mut format = Format {
        has_header: false,
        ..Format::default()
    };
    let bytes = TextFile::with_any_columns(path, format)?;
    if std::str::from_utf8(bytes.bytes()).is_err() {
        format.encoding = Encoding::Latin1;
    }
    check_no_json(path, bytes.bytes())?;
    format.separator = Separator::of_byte(separator(bytes.bytes(), format));
    // A quote behind a separator or a line's end opens a field; one inside a word is a letter.
    let marks = [&[format.separator.first(), b'"'][..], b"\n\""];
    let start = bytes.bytes().first() == Some(&b'"');
    let head = &bytes.bytes()[..bytes.bytes().len().min(1 << 20)];
    format.quotes = start
        || marks
            .iter()
            .any(|mark| head.windows(2).any(|pair| pair == *mark));
    let lines = lines(bytes.bytes(), format);
    if let Some(first) = lines.first() {
        let padded = |line: &Vec<String>| {
            line.iter()
                .skip(1)
                .all(|field| field.is_empty() || field.starts_with(' '))
        };
        format.trim_spaces = first.len() > 1 && lines.len() > 1 && lines[1..].iter().all(padded);
        format.has_header = is_header(first, &lines[1..]);
        check_names(path, first, &lines[1..])?;
    }
    let names = format.has_header.then(|| {
        let first = lines[0].iter();
        first
            .map(|name| {
                if format.trim_spaces {
                    name.trim().to_owned()
                } else {
                    name.clone()
                }
            })
            .collect()
    });
    Ok((format, names))
}

/// The separator that divides lines best.
fn separator(bytes: &[u8], format: Format) -> u8 {
    let with = |separator| Format {
        separator: Separator::of_byte(separator),
        ..format
    };
    let evenness = SEPARATORS.map(|separator| (evenness(bytes, with(separator)), separator));
    let best = evenness.into_iter().fold(
        (0.0, b','),
        // Of equals the earlier stays, which is the likelier.
        |best, next| if next.0 > best.0 { next } else { best },
    );
    match best.0 == 0.0 && is_divided_by_spaces(&lines(bytes, with(b' '))) {
        true => b' ',
        false => best.1,
    }
}

fn is_divided_by_spaces(lines: &[Vec<String>]) -> bool {
    let Some(first) = lines.first() else {
        return false;
    };
    let is_number = |line: &Vec<String>, index: usize| line[index].parse::<f64>().is_ok();
    lines.len() >= LINES_OF_SPACES
        && first.len() > 1
        && lines.iter().all(|line| line.len() == first.len())
        && (0..first.len()).any(|index| lines[1..].iter().all(|line| is_number(line, index)))
}

/// Refuses JSON, whose commas would divide it into fields without a meaning.
fn check_no_json(path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    let head = bytes.trim_ascii_start();
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_object =
        line.starts_with(b"{") && (line.trim_ascii_end().ends_with(b"}") || line.len() < 3);
    let inside = head.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    let is_list = inside.is_some_and(|inside| inside.starts_with(b"{"));
    if !is_object && !is_list {
        return Ok(());
    }
    let said = Diagnostic::new(
        path.display().to_string(),
        "expected lines of text with fields between separators, found JSON",
    );
    Err(said.hint("write it as CSV or Parquet first"))
}

/// Refuses a first line that names two columns alike.
fn check_names(path: &Path, first: &[String], rows: &[Vec<String>]) -> Result<(), Diagnostic> {
    let mut distinct: Vec<String> = Vec::with_capacity(first.len());
    let mut twice = None;
    for name in first {
        match distinct.contains(name) && !name.is_empty() {
            true => twice = twice.or(Some(name)),
            false => distinct.push(name.clone()),
        }
    }
    // Names of their own tell whether it names columns at all.
    let rest: Vec<String> = (0..first.len())
        .map(|index| format!("{} {index}", first[index]))
        .collect();
    let names_columns = !first.iter().any(|name| is_number(name))
        && is_header(&rest, rows)
        && is_above_numbers(first, rows);
    match twice.filter(|_| names_columns) {
        None => Ok(()),
        Some(name) => {
            let message = format!("the first line names the column `{name}` twice");
            Err(Diagnostic::new(path.display().to_string(), message)
                .at(Some(Location { line: 1, column: 1 }))
                .hint("give the columns names of their own"))
        }
    }
}

/// The first lines' fields.
fn lines(bytes: &[u8], format: Format) -> Vec<Vec<String>> {
    // A mark of the encoding is no part of the first name.
    let start = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut records = Records::new(
        &bytes[start..],
        Format {
            trim_spaces: false,
            ..format
        },
    );
    let mut lines = Vec::new();
    while lines.len() < LINES
        && let Ok(Some(record)) = records.next()
    {
        let fields = (0..record.len())
            .map(|index| String::from_utf8_lossy(record.field(index)).into_owned());
        lines.push(fields.collect());
    }
    lines
}

/// How well a separator divides lines alike: 0 where it divides nothing, more with more fields.
fn evenness(bytes: &[u8], format: Format) -> f64 {
    let quoted = Format {
        quotes: true,
        ..format
    };
    let lines = lines(bytes, quoted);
    let Some(first) = lines.first().filter(|first| first.len() > 1) else {
        return 0.0;
    };
    let alike = lines
        .iter()
        .filter(|line| line.len() == first.len())
        .count();
    let share = alike as f64 / lines.len() as f64;
    // Squared, so that dividing every line alike outweighs dividing some lines into more fields.
    share * share * (1.0 + (first.len() as f64).ln())
}

/// Whether the first line names columns: texts, all different, that no row below has, above at least one column of numbers or
/// in the form of names. One of several may have no name.
fn is_header(first: &[String], rows: &[Vec<String>]) -> bool {
    let mut sorted: Vec<&String> = first.iter().collect();
    sorted.sort();
    sorted.dedup();
    let nameless = first.iter().filter(|name| name.trim().is_empty()).count();
    if sorted.len() < first.len()
        || first.iter().any(|name| is_number(name))
        || (nameless > 0 && (nameless == first.len() || rows.is_empty()))
    {
        return false;
    }
    let column = |index: usize| rows.iter().filter_map(move |row| row.get(index));
    // A name that is a value further down is a value itself.
    let recurs = (0..first.len())
        .filter(|index| !first[*index].trim().is_empty())
        .any(|index| column(index).any(|field| *field == first[index]));
    let is_name = |name: &String| {
        name.trim()
            .chars()
            .all(|c| c.is_alphanumeric() || "_-. ".contains(c))
    };
    let has_names = nameless == 0 && first.iter().all(is_name);
    !recurs && (is_above_numbers(first, rows) || has_names)
}

/// Whether a column has a text in the first line and numbers, or nothing, in all others.
fn is_above_numbers(first: &[String], rows: &[Vec<String>]) -> bool {
    let column = |index: usize| rows.iter().filter_map(move |row| row.get(index));
    (0..first.len()).any(|index| {
        !first[index].trim().is_empty()
            && !is_number(&first[index])
            && column(index).any(|field| is_number(field))
            && column(index).all(|field| field.trim().is_empty() || is_number(field))
    })
}

fn is_number(field: &str) -> bool {
    field.trim().parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, bytes: &[u8]) -> (Format, Option<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        layout(&path).unwrap()
    }

    #[test]
    fn separators_quotes_headers_and_encodings_are_found() {
        let (format, names) = of("a.csv", b"id,name\n1,\"a;b\"\n2,\"c, d\"\n");
        assert_eq!(
            (format.separator.first(), format.quotes, format.has_header),
            (b',', true, true)
        );
        assert_eq!(names.unwrap(), ["id", "name"]);
        let (format, names) = of(
            "u.data",
            b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        );
        assert_eq!(
            (format.separator.first(), format.has_header, names),
            (b'\t', false, None)
        );
        let (format, _) = of("u.item", b"1|Caf\xe9 (1995)|1\n2|Other, The|0\n");
        assert_eq!(
            (format.separator.first(), format.encoding),
            (b'|', Encoding::Latin1)
        );
        let (format, _) = of("adult", b"39, State-gov, 7\n50, Private, 8\n");
        assert!(format.trim_spaces && !format.has_header);
        let (format, _) = of("texts.csv", b"red,yes\nblue,no\nred,no\n");
        assert!(!format.has_header);
        let (format, names) = of("frame.csv", b",a,b\n0,1,x\n1,3,y\n");
        assert_eq!((format.has_header, names.unwrap()[1].as_str()), (true, "a"));
        let (format, _) = of("iris.txt", b"5.1 3.5 red\n4.9 3.0 blue\n4.7 3.2 red\n");
        assert_eq!((format.separator.first(), format.has_header), (b' ', false));
        let (format, _) = of("words.txt", b"good day\nbad night\nno rain\n");
        assert_eq!(format.separator.first(), b',');
    }
}

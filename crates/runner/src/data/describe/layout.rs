//! How a text file is laid out, guessed from its first lines.

use crate::data::description::{Encoding, Format};
use crate::data::table::chunks::TextFile;
use crate::data::table::text::{field, reader};
use crate::diagnostic::Diagnostic;
use std::path::Path;

/// Lines that are looked at.
const LINES: usize = 200;
/// Separators, the likelier first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b'|', b';'];

/// The layout of a text file, and the names of its columns where its first line has them.
pub(super) fn layout(path: &Path) -> Result<(Format, Option<Vec<String>>), Diagnostic> {
    let mut format = Format {
        kind: None,
        separator: b',',
        has_header: false,
        quotes: false,
        trim_spaces: false,
        encoding: Encoding::Utf8,
    };
    let bytes = TextFile::with_any_columns(path, format)?;
    if std::str::from_utf8(bytes.bytes()).is_err() {
        format.encoding = Encoding::Latin1;
    }
    format.separator = SEPARATORS
        .into_iter()
        .map(|separator| {
            (
                evenness(
                    bytes.bytes(),
                    Format {
                        separator,
                        ..format
                    },
                ),
                separator,
            )
        })
        .fold(
            (0.0, b','),
            |best, next| if next.0 > best.0 { next } else { best },
        )
        .1;
    let marks = [&[format.separator, b'"'][..], b"\n\""];
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

/// The first lines' fields.
fn lines(bytes: &[u8], format: Format) -> Vec<Vec<String>> {
    let start = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut reader = reader(
        &bytes[start..],
        Format {
            trim_spaces: false,
            ..format
        },
    );
    let mut record = csv::ByteRecord::new();
    let mut lines = Vec::new();
    while lines.len() < LINES && matches!(reader.read_byte_record(&mut record), Ok(true)) {
        let fields = (0..record.len())
            .map(|index| String::from_utf8_lossy(field(&record, index, format)).into_owned());
        let fields: Vec<String> = fields.collect();
        if fields != [""] {
            lines.push(fields);
        }
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
    share * share * (1.0 + (first.len() as f64).ln())
}

/// Whether the first line names columns: texts, all different, that no row below has, above at least one column of numbers or
/// in the form of names.
fn is_header(first: &[String], rows: &[Vec<String>]) -> bool {
    let is_number = |field: &str| field.trim().parse::<f64>().is_ok();
    let mut sorted: Vec<&String> = first.iter().collect();
    sorted.sort();
    sorted.dedup();
    if sorted.len() < first.len()
        || first
            .iter()
            .any(|name| name.trim().is_empty() || is_number(name))
    {
        return false;
    }
    let column = |index: usize| rows.iter().filter_map(move |row| row.get(index));
    let recurs = (0..first.len()).any(|index| column(index).any(|field| *field == first[index]));
    let above_numbers = (0..first.len()).any(|index| {
        column(index).next().is_some()
            && column(index).all(|field| field.trim().is_empty() || is_number(field))
    });
    let is_name = |name: &String| {
        name.trim()
            .chars()
            .all(|c| c.is_alphanumeric() || "_-. ".contains(c))
    };
    !recurs && (above_numbers || first.iter().all(is_name))
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
            (format.separator, format.quotes, format.has_header),
            (b',', true, true)
        );
        assert_eq!(names.unwrap(), ["id", "name"]);
        let (format, names) = of(
            "u.data",
            b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        );
        assert_eq!(
            (format.separator, format.has_header, names),
            (b'\t', false, None)
        );
        let (format, _) = of("u.item", b"1|Caf\xe9 (1995)|1\n2|Other, The|0\n");
        assert_eq!(
            (format.separator, format.encoding),
            (b'|', Encoding::Latin1)
        );
        let (format, _) = of("adult", b"39, State-gov, 7\n50, Private, 8\n");
        assert!(format.trim_spaces && !format.has_header);
        let (format, _) = of("texts.csv", b"red,yes\nblue,no\nred,no\n");
        assert!(!format.has_header);
    }
}

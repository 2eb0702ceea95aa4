//! How a text file is laid out, guessed from its first lines.

use crate::part_files::PartFile;
use crate::schema::{Encoding, Format, Separator};
use crate::table::text_chunks::TextFile;
use crate::table::text_records::{Records, TextFault, Tokenizer};
use homebench_diagnostic::{Diagnostic, Location};
use std::path::Path;

/// Lines that are looked at.
const LINES: usize = 200;
/// Separators of several characters; single ones may be part of them.
const SEPARATORS_OF_SEVERAL: [&str; 5] = ["\t|\t", "|||", "||", ":::", "::"];
/// Separators, the likelier first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b'|', b';'];
/// Lines that spaces have to divide alike, with a column of numbers, to be a separator: they are part of most texts.
const LINES_OF_SPACES: usize = 3;

/// The layout of text files.
pub(super) struct Layout {
    pub(super) format: Format,
    /// The names of their columns, where the first line has them.
    pub(super) names: Option<Vec<String>>,
}

/// The layout of a text file, or of several that are parts of one table: by the first, but that quotes and letters beyond UTF-8
/// may be in any.
pub(super) fn layout(parts: &[PartFile]) -> Result<Layout, Diagnostic> {
    let path = &parts[0].path;
    let mut format = Format {
        has_header: false,
        ..Format::default()
    };
    let first = TextFile::with_any_columns(path, format)?;
    let bytes = &first.bytes()[first.start()..];
    check_no_json(path, bytes)?;
    format.comment = comment(bytes, format);
    format.separator = separator(bytes, format);
    for part in parts {
        let file = TextFile::with_any_columns(&part.path, format)?;
        let bytes = &file.bytes()[file.start()..];
        if std::str::from_utf8(bytes).is_err() {
            format.encoding = Encoding::Latin1;
        }
        format.quotes = format.quotes || has_quotes(bytes, format);
        if format.quotes && format.escape.is_none() {
            format.escape = escape(bytes, format);
        }
    }
    let lines = lines(bytes, format);
    let mut names = None;
    if let Some(first) = lines.first() {
        let padded = |line: &Vec<String>| {
            line.iter()
                .skip(1)
                .all(|field| field.is_empty() || field.starts_with(' '))
        };
        // A separator that ends with a space has it already.
        format.trim_spaces = format.separator.single().is_some_and(|byte| byte != b' ')
            && first.len() > 1
            && lines.len() > 1
            && lines[1..].iter().all(padded);
        format.has_header = is_header(first, &lines[1..]);
        check_names(path, first, &lines[1..])?;
        let name = |name: &String| match format.trim_spaces {
            true => name.trim().to_owned(),
            false => name.clone(),
        };
        names = format.has_header.then(|| first.iter().map(name).collect());
    }
    Ok(Layout { format, names })
}

/// Whether a quote opens a field anywhere: behind a separator, a line's end or the spaces that follow them. One inside a word is a
/// letter.
// All of the text: quotes are needed by the first value that holds a separator, and that may come late.
fn has_quotes(bytes: &[u8], format: Format) -> bool {
    memchr::memchr_iter(b'"', bytes).any(|at| {
        let mut before = &bytes[..at];
        while let [rest @ .., b' '] = before {
            before = rest;
        }
        before.is_empty()
            || before.ends_with(b"\n")
            || before.ends_with(format.separator.as_bytes())
            || bytes[..at].ends_with(format.separator.as_bytes())
    })
}

/// What stands before quotes inside quotes, where that has to be said: what leaves no quote open and no text behind one.
fn escape(bytes: &[u8], format: Format) -> Option<u8> {
    let fault = |escape: Option<u8>| {
        // Spaces are not looked at yet; with them taken off, quotes behind them are quotes.
        let format = Format {
            escape,
            trim_spaces: format.separator.as_bytes() != b" ",
            ..format
        };
        let mut tokens = Tokenizer::new(bytes, format);
        loop {
            match tokens.next_record(None) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(fault) => return Some(fault),
            }
        }
    };
    let is_unclear = matches!(fault(None), Some(TextFault::Backslash { .. }));
    let candidates = [b'\\', b'"'].into_iter();
    let mut candidates = candidates.filter(|_| is_unclear);
    candidates.find(|escape| fault(Some(*escape)).is_none())
}

/// What comments begin with: `#`, where lines with it are first and are divided otherwise than the rest.
fn comment(bytes: &[u8], format: Format) -> Option<u8> {
    if !bytes.starts_with(b"#") {
        return None;
    }
    let with = Format {
        comment: Some(b'#'),
        ..format
    };
    let separator = separator(bytes, with);
    let num_fields = |format: Format| {
        let format = Format {
            separator,
            ..format
        };
        lines(bytes, format).first().map(Vec::len)
    };
    // `#id,name` names columns.
    (num_fields(format) != num_fields(with)).then_some(b'#')
}

/// The separator that divides lines best.
fn separator(bytes: &[u8], format: Format) -> Separator {
    let with = |separator: Separator| Format {
        separator,
        ..format
    };
    let single = SEPARATORS.map(Separator::of_byte);
    let scored = single.map(|separator| (evenness(bytes, with(separator)), separator));
    let best = scored.into_iter().fold(
        (0.0, single[0]),
        // Of equals the earlier stays, which is the likelier.
        |best, next| if next.0 > best.0 { next } else { best },
    );
    let several = SEPARATORS_OF_SEVERAL.iter();
    let mut several = several.filter_map(|text| Separator::of_bytes(text.as_bytes()));
    if let Some(several) = several.find(|several| {
        let fields = lines(bytes, with(*several));
        let is_even = |line: &Vec<String>| line.len() == fields[0].len() && line.len() > 1;
        let divides = fields.len() > 1 && fields.iter().all(is_even);
        // Two `|` side by side are mostly an empty field between single ones: only where none stands alone are they one separator.
        // A colon alone divides nothing, so that one may stand in a title.
        let has_alone = |line: &Vec<String>| {
            let byte = several.as_bytes()[several.as_bytes().len() / 2];
            byte != b':' && line.iter().any(|field| field.as_bytes().contains(&byte))
        };
        divides
            && !fields.iter().any(has_alone)
            && evenness(bytes, with(*several)) > if several.first() == b':' { best.0 } else { 0.0 }
    }) {
        return several;
    }
    let space = Separator::of_byte(b' ');
    match best.0 == 0.0 && is_divided_by_spaces(&lines(bytes, with(space))) {
        true => space,
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
    let mut records = Records::new(
        bytes,
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
    share * share * (1.0 + libm::log(first.len() as f64))
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
        let part = PartFile {
            path,
            constants: Vec::new(),
        };
        let found = layout(&[part]).unwrap();
        (found.format, found.names)
    }

    #[test]
    fn late_quotes_escapes_comments_and_long_separators_are_found() {
        let late = format!("id,name\n{}9,\"a,b\"\n", "1,a\n".repeat(400_000));
        assert!(of("late.csv", late.as_bytes()).0.quotes);
        let (format, _) = of("spark.csv", b"id,name\n1,\"say \\\"hi\\\"\"\n2,\"x,y\"\n");
        assert_eq!((format.quotes, format.escape), (true, Some(b'\\')));
        let (format, _) = of(
            "paths.csv",
            b"id,name\n1,\"C:\\\"\n2,\"x,y\"\n3,\"6\"\" pipe\"\n",
        );
        assert_eq!((format.quotes, format.escape), (true, Some(b'"')));
        let (format, names) = of("ratings.dat", b"1::a b::5\n2::c::3\n");
        assert_eq!((format.separator.text(), names), ("::", None));
        let (format, _) = of("u.item", b"1|Toy||x\n2|Heat||y\n");
        assert_eq!(format.separator.text(), "|");
        let (format, _) = of("pipes.txt", b"1||Toy||x\n2||||y\n");
        assert_eq!(format.separator.text(), "||");
        let (format, names) = of("notes.csv", b"# made today\nid,size\n1,2\n2,4\n");
        assert_eq!(
            (format.comment, names.unwrap()[0].as_str()),
            (Some(b'#'), "id")
        );
        let (format, _) = of("tv.csv", b"id,name\n1,TV 42\" LED\n2,x\n");
        assert!(!format.quotes);
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

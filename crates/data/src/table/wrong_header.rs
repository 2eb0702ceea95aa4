//! First lines that don't name the columns of a description, with the mend that the line itself shows.

use super::text_chunks::TextFile;
use super::text_records::Records;
use crate::schema::{FileKind, Format, Separator};
use homebench_diagnostic::{Diagnostic, Location};

/// Separators that a file may have instead of the one that its format says, the likelier first.
const SEPARATORS: [&str; 8] = [",", "\t", ";", "|", "::", "||", "\u{1}", " "];

/// A column that the first line names twice.
pub(super) fn twice(file: &TextFile, column: &str) -> Diagnostic {
    let message = format!("the column `{column}` is there twice");
    Diagnostic::new(file.path.display().to_string(), message)
        .at(Some(place_of_header(file)))
        .hint("give the columns names of their own")
}

/// A column that the first line, which has these fields, doesn't name.
pub(super) fn missing(file: &TextFile, column: &str, found: &[String]) -> Diagnostic {
    let names = found.iter().map(String::as_str);
    let said =
        super::columnar::missing_column(&file.path, column, names).at(Some(place_of_header(file)));
    match mend(file, column).or_else(|| other_first_line(file, found)) {
        Some(mend) => Diagnostic {
            hint: Some(mend),
            ..said
        },
        None => said,
    }
}

fn place_of_header(file: &TextFile) -> Location {
    let start = file.start();
    let mut records = Records::new(&file.bytes()[start..], file.format);
    let _ = records.next();
    file.location(start + records.record_start())
}

/// The change of the format with which the first line names the column.
fn mend(file: &TextFile, column: &str) -> Option<String> {
    let format = file.format;
    let names_it = |format: Format| fields(file, format).iter().any(|name| name == column);
    let with_spaces = Format {
        trim_spaces: true,
        ..format
    };
    let with_quotes = Format {
        quotes: true,
        ..format
    };
    let with_both = Format {
        trim_spaces: true,
        ..with_quotes
    };
    let changes = [
        (with_spaces, "trim_spaces = true"),
        (with_quotes, "quotes = true"),
        (with_both, "quotes = true and trim_spaces = true"),
    ];
    if let Some((_, keys)) = changes.iter().find(|(format, _)| names_it(*format)) {
        return Some(format!(
            "set {keys} in the format: the first line has the name so written"
        ));
    }
    let (separator, other) = SEPARATORS.iter().find_map(|separator| {
        let separator = Separator::of_bytes(separator.as_bytes())?;
        let other = [format, with_quotes, with_spaces, with_both]
            .into_iter()
            .map(|format| Format {
                separator,
                ..format
            })
            .find(|format| names_it(*format))?;
        Some((separator, other))
    })?;
    let count = fields(file, other).len();
    let mut keys = format!("separator = {:?}", separator.text());
    for (key, is_new) in [
        ("quotes", other.quotes && !format.quotes),
        ("trim_spaces", other.trim_spaces && !format.trim_spaces),
    ] {
        if is_new {
            keys.push_str(&format!(" and {key} = true"));
        }
    }
    Some(format!(
        "set {keys} in the format: so the first line has {count} names"
    ))
}

/// The first line of a file that names the separator, as Excel wants it.
// The separator itself divides it, so that its fields don't show which one it is.
pub(super) fn separator_line(file: &TextFile) -> Option<&str> {
    let line = file.bytes()[file.start()..]
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = std::str::from_utf8(line).ok()?;
    let line = line.trim_end_matches('\r').trim_matches('"');
    line.starts_with("sep=").then_some(line)
}

/// Whether the first line has types behind all names, as RecBole's atomic files have them.
fn has_types(file: &TextFile, found: &[String]) -> bool {
    let mut names = found.iter().flat_map(|field| field.split('\t'));
    file.format.kind != Some(FileKind::RecBole)
        && names.all(|name| super::text_chunks::untyped(name) != name)
}

/// What to do about a first line that is none of names.
fn other_first_line(file: &TextFile, found: &[String]) -> Option<String> {
    let first = found.first()?.trim();
    if let Some(line) = separator_line(file) {
        let remove = "remove the first line, which tells Excel the separator";
        let separator = line.trim_start_matches("sep=");
        return Some(
            match separator == file.format.separator.text() || separator.is_empty() {
                true => remove.to_owned(),
                false => format!("{remove}, and set separator = {separator:?} in the format"),
            },
        );
    }
    if has_types(file, found) {
        return Some(
            "the first line has the columns' types behind their names, as RecBole's files do: set kind = \"recbole\" in the \
             format, in place of its other keys"
                .to_owned(),
        );
    }
    if first.starts_with('#') && file.format.comment.is_none() {
        return Some(
            "set comment = \"#\" in the format if lines that begin with # are no rows".to_owned(),
        );
    }
    let is_number = |field: &String| field.trim().parse::<f64>().is_ok();
    found.iter().any(is_number).then(|| {
        "does the file have no line of names? Set has_header = false in the format, and list all of its columns in order"
            .to_owned()
    })
}

/// The fields of the first line with another format.
fn fields(file: &TextFile, format: Format) -> Vec<String> {
    let mut records = Records::new(&file.bytes()[file.start()..], format);
    match records.next() {
        Ok(Some(record)) => (0..record.len())
            .map(|field| String::from_utf8_lossy(record.field(field)).into_owned())
            .collect(),
        _ => Vec::new(),
    }
}

/// The separator that divides a line into so many fields, where the format's does not.
pub(super) fn separator_for(line: &[u8], format: Format, num_fields: usize) -> Option<Separator> {
    let divides = |separator: &Separator| {
        let format = Format {
            separator: *separator,
            trim_spaces: false,
            ..format
        };
        let mut records = Records::new(line, format);
        matches!(records.next(), Ok(Some(record)) if record.len() == num_fields)
    };
    let separators = SEPARATORS.iter();
    let mut separators =
        separators.filter_map(|separator| Separator::of_bytes(separator.as_bytes()));
    separators
        .find(|separator| num_fields > 1 && *separator != format.separator && divides(separator))
}

//! Rows that have another number of fields than the file has columns, and the header again among the rows.

use super::text_chunks::TextFile;
use super::text_rows::RecordPlace;
use homebench_diagnostic::Diagnostic;

/// What is said of a row of another length; `said` has its place, `names` are the columns' of the description.
pub(super) fn describe(
    said: Diagnostic,
    file: &TextFile,
    row: &RecordPlace,
    names: &[String],
) -> Diagnostic {
    let (expected, found) = (file.num_fields, row.fields.len());
    let counted = match expected {
        1 => "1 field".to_owned(),
        more => format!("{more} fields"),
    };
    let mut message = format!("expected {counted}, found {found}");
    if found < expected
        && let Some(missing) = file.positions.iter().position(|place| *place == found)
    {
        message.push_str(&format!("; column `{}` is missing", names[missing]));
    }
    let (more, hint) = mend(file, row);
    message.push_str(more);
    Diagnostic { message, ..said }.hint(hint)
}

/// What else is said of the row, and the mend.
fn mend(file: &TextFile, row: &RecordPlace) -> (&'static str, String) {
    let (expected, found) = (file.num_fields, row.fields.len());
    let format = file.format;
    let line = file.bytes()[row.start..].split(|byte| *byte == b'\n');
    let line = line.into_iter().next().unwrap_or_default();
    let separator = match format.separator.text() {
        "\t" => "a tab".to_owned(),
        " " => "a space".to_owned(),
        other => format!("`{other}`"),
    };
    let header_ends = file.header.last().is_some_and(String::is_empty);
    let has_quotes = line.contains(&b'"');
    let other_separator =
        super::wrong_header::separator_for(line, format, expected).filter(|_| found == 1);
    let no_row = no_row(line);
    match () {
        () if no_row.is_some() => (no_row.unwrap_or_default(), "remove the line".to_owned()),
        () if super::wrong_header::separator_line(file).is_some() => (
            "",
            format!(
                "remove the first line of the file, `{}`, which tells Excel the separator",
                super::wrong_header::separator_line(file).unwrap_or_default()
            ),
        ),
        () if header_ends && found + 1 == expected => (
            "; the first line ends with a separator, which makes a column without a name",
            format!("take {separator} off the end of the first line"),
        ),
        () if format.comment.is_none() && line.starts_with(b"#") => (
            "; the line looks like a comment",
            "set comment = \"#\" in the format if lines that begin with # are no rows".to_owned(),
        ),
        () if other_separator.is_some() => (
            "",
            format!(
                "set separator = {:?} in the format: so the row has {expected} fields",
                other_separator.map_or(String::new(), |other| other.text().to_owned())
            ),
        ),
        () if found < expected
            && !format.quotes
            && line.iter().filter(|byte| **byte == b'"').count() % 2 == 1 =>
        {
            (
                "; a quote opens in the line and doesn't close",
                "set quotes = true in the format if a value between quotes may have several lines"
                    .to_owned(),
            )
        }
        () if found < expected && !(format.quotes && has_quotes) => {
            ("", "the row is cut; get the file again".to_owned())
        }
        () if found < expected => (
            "",
            "the row is cut, or a quote takes in a separator; mend the row or get the file again"
                .to_owned(),
        ),
        () if found == expected + 1 && row.fields.last().is_some_and(Vec::is_empty) => (
            "; the row ends with a separator",
            format!(
                "take {separator} off the ends of the rows, or put one more column at the end of the first line or of `columns`"
            ),
        ),
        () if expected == 1 => (
            "",
            format!(
                "is the line above it a title or a comment? Remove it. Is {separator} part of a value? Then the file needs quotes"
            ),
        ),
        () if has_quotes && !format.quotes => (
            "",
            format!(
                "set quotes = true in the format if {separator} is part of a value between quotes"
            ),
        ),
        () if !file.header.is_empty() && found == expected + 1 && is_first(file, row) => (
            "",
            format!(
                "does the first line lack the name of a first column, as R's write.table writes it? Add one. Is {separator} part \
                 of a value? Then the value needs quotes"
            ),
        ),
        () => (
            "",
            match format.quotes {
                true => format!("is {separator} part of a value? Then put the value into quotes"),
                false => format!("is {separator} part of a value? Then the file needs quotes"),
            },
        ),
    }
}

/// What a line is that programs write behind the rows, in words.
fn no_row(line: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let is_count = || {
        let inside = text.strip_prefix('(')?.strip_suffix(')')?;
        let (number, word) = inside.split_once(' ')?;
        let is_digits = number.bytes().all(|byte| byte.is_ascii_digit());
        (is_digits && matches!(word, "row" | "rows")).then_some(())
    };
    match text {
        "" => Some("; the line has nothing but blanks"),
        "\u{1a}" => {
            Some("; the line is Ctrl-Z, with which programs of DOS marked the end of a file")
        }
        _ => is_count().map(|()| "; the line counts the rows, as psql writes it behind them"),
    }
}

fn is_first(file: &TextFile, row: &RecordPlace) -> bool {
    let first = file.chunks.first();
    first.is_some_and(|chunk| chunk.bytes.start == row.start)
}

/// The mend of a row whose field isn't as it is read, where the layout shows one: the header once more, as files that were put
/// together from several have it, or a space before the value.
pub(super) fn mend_of_field(file: &TextFile, row: &RecordPlace, field: usize) -> Option<String> {
    let is_header = !file.header.is_empty()
        && file.header.len() == row.fields.len()
        && file
            .header
            .iter()
            .zip(&row.fields)
            .all(|(name, field)| name.as_bytes() == &field[..]);
    if is_header {
        return Some(
            "the row is the first line with the names once more; take it out, or read the files that were put together one by \
             one"
                .to_owned(),
        );
    }
    let field = row.fields.get(field)?;
    let is_padded = field.starts_with(b" ") || field.ends_with(b" ");
    (is_padded && !file.format.trim_spaces)
        .then(|| "set trim_spaces = true in the format: a space stands beside the value".to_owned())
}

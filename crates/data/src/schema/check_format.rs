//! Validation of layouts of files.

use super::wire::{WireEncoding, WireFileKind, WireFormat};
use super::{Encoding, FileKind, Format, Separator};
use homebench_diagnostic::{Diagnostic, Document, KeyPath};

/// One byte of text between fields or values.
pub(super) fn ascii(separator: char) -> Option<u8> {
    // Fields are cut byte by byte: one beyond ASCII would be a part of a letter in UTF-8.
    let byte = u8::try_from(separator).ok().filter(u8::is_ascii)?;
    (!matches!(byte, b'\n' | b'\r')).then_some(byte)
}

pub(super) fn format(
    document: &Document,
    at: &KeyPath,
    wire: &WireFormat,
) -> Result<Format, Diagnostic> {
    let kind = wire.kind.map(|kind| match kind {
        WireFileKind::Csv => FileKind::Text,
        WireFileKind::RecBole => FileKind::RecBole,
        WireFileKind::LibSvm => FileKind::LibSvm,
        WireFileKind::LibFfm => FileKind::LibFfm,
        WireFileKind::Parquet => FileKind::Parquet,
        WireFileKind::Arrow => FileKind::Arrow,
    });
    let of_text = [
        ("separator", wire.separator.is_some()),
        ("has_header", wire.has_header.is_some()),
        ("quotes", wire.quotes.is_some()),
        ("trim_spaces", wire.trim_spaces.is_some()),
        ("encoding", wire.encoding.is_some()),
        ("escape", wire.escape.is_some()),
        ("comment", wire.comment.is_some()),
    ];
    // Texts of Parquet and Arrow may have spaces around them too.
    let has_texts = matches!(kind, Some(FileKind::Parquet | FileKind::Arrow));
    let is_idle =
        |(key, is_given): &(&str, bool)| *is_given && !(has_texts && *key == "trim_spaces");
    let idle = of_text.into_iter().find(is_idle);
    let says_itself = matches!(
        kind,
        Some(
            FileKind::Parquet
                | FileKind::Arrow
                | FileKind::RecBole
                | FileKind::LibSvm
                | FileKind::LibFfm
        )
    );
    if let (true, Some((key, _))) = (says_itself, idle) {
        let message = format!("`{key}` has no meaning for a file that names its columns and types");
        return Err(document
            .at_key(&at.join(key), message)
            .hint("it belongs to kind = \"csv\""));
    }
    if kind == Some(FileKind::RecBole) {
        return Ok(Format::recbole());
    }
    if let Some(kind @ (FileKind::LibSvm | FileKind::LibFfm)) = kind {
        return Ok(Format::sparse(kind));
    }
    let format = Format {
        kind,
        separator: match &wire.separator {
            Some(text) => separator(document, &at.join("separator"), text)?,
            None => Format::default().separator,
        },
        has_header: wire.has_header.unwrap_or(true),
        quotes: wire.quotes.unwrap_or(false),
        trim_spaces: wire.trim_spaces.unwrap_or(false),
        encoding: match wire.encoding {
            Some(WireEncoding::Latin1) => Encoding::Latin1,
            Some(WireEncoding::Utf8) | None => Encoding::Utf8,
        },
        escape: mark(document, at, "escape", wire.escape.as_deref())?,
        comment: mark(document, at, "comment", wire.comment.as_deref())?,
    };
    check_marks(document, at, wire, &format)?;
    Ok(format)
}

/// What stands between fields.
fn separator(document: &Document, at: &KeyPath, text: &str) -> Result<Separator, Diagnostic> {
    // A quote opens a field, so it divides none. Bytes beyond ASCII are parts of letters, and text in Latin-1 is read as UTF-8.
    let is_plain = text.chars().all(|c| ascii(c).is_some() && c != '"');
    let separator = Separator::of_bytes(text.as_bytes()).filter(|_| is_plain);
    separator.ok_or_else(|| {
        let message = format!(
            "expected one ASCII character, or up to {} of them, without quotes and line ends, found {text:?}",
            Separator::MOST_BYTES
        );
        document.at_value(at, message).hint(
            "write what stands between two fields, such as \",\", \"\\t\" or \"::\"; for fields after `, ` write separator = \
             \",\" and trim_spaces = true",
        )
    })
}

/// One ASCII character that a key names.
fn mark(
    document: &Document,
    at: &KeyPath,
    key: &str,
    text: Option<&str>,
) -> Result<Option<u8>, Diagnostic> {
    let Some(text) = text else { return Ok(None) };
    let mut characters = text.chars();
    match (characters.next().and_then(ascii), characters.next()) {
        (Some(byte), None) if byte != b' ' => Ok(Some(byte)),
        _ => {
            let message = format!("expected one ASCII character that is no space, found {text:?}");
            let example = match key {
                "escape" => "a backslash is written escape = \"\\\\\"",
                _ => "such as comment = \"#\"",
            };
            Err(document.at_value(&at.join(key), message).hint(example))
        }
    }
}

/// Refuses marks that would say two things at once.
fn check_marks(
    document: &Document,
    at: &KeyPath,
    wire: &WireFormat,
    format: &Format,
) -> Result<(), Diagnostic> {
    let separator = format.separator;
    let refused = |key: &str, message: String, hint: &str| {
        Err(document.at_value(&at.join(key), message).hint(hint))
    };
    if format.trim_spaces && separator.as_bytes().iter().all(|byte| *byte == b' ') {
        return refused(
            "separator",
            "the separator is a space, which `trim_spaces` takes off".to_owned(),
            "for fields after `, ` write separator = \",\"; for fields after a space leave trim_spaces out",
        );
    }
    if wire.escape.is_some() && !format.quotes {
        return refused(
            "escape",
            "`escape` is of quotes inside quoted fields, and fields are not quoted".to_owned(),
            "add quotes = true, or leave escape out",
        );
    }
    for (key, mark) in [("escape", format.escape), ("comment", format.comment)] {
        let is_taken = |byte: u8| separator.as_bytes().contains(&byte);
        let is_quote = key == "comment" && format.quotes && mark == Some(b'"');
        if mark.is_some_and(is_taken) || is_quote {
            return refused(
                key,
                format!("`{key}` is a character that has another meaning in this format"),
                "take another character, or leave it out",
            );
        }
    }
    Ok(())
}

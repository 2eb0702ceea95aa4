//! What a user did wrong in a TOML document or an argument: where, what was expected, what was found, and the mend.
//!
//! [`Document`] reads a file as a type and says of every value where it stands; [`read`] does the same of a value alone;
//! [`nearest`] is the project's one "did you mean".
//!
//! May import: `serde`, `toml`, `strsim`, `libc`, and nothing of the workspace. Must not hold: what a key means or which values it may have
//! (the crate that owns the key does), exit codes and colours (the binary), or a search for words in another crate's errors.

mod document;
mod extended;
mod given_twice;
mod key_path;
mod names;
mod number_limits;
mod reader;
mod refusal;
pub mod regular_file;
mod shell;
mod shortened;
mod size_limits;
mod spans;
mod visible;

pub use document::Document;
pub use key_path::KeyPath;
pub use names::nearest;
pub use number_limits::number_too_large;
pub use reader::{keys_of, read};
pub use refusal::Refusal;
pub use visible::{visible, visible_lines};

pub use shell::{shell_command, shell_word};
pub use shortened::shortened;
use std::fmt;

/// A place in a text file, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

impl Location {
    /// The place of the byte `offset` of `text`.
    pub fn of_offset(text: &str, offset: usize) -> Self {
        // An offset behind the text is its end; one inside a character is that character.
        let whole = (0..=offset.min(text.len())).rev();
        let end = whole
            .into_iter()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A refused input: its source, its place, what is wrong with it, and how to mend it.
///
/// `Display` gives everything but the `error: ` in front, shortened where it is long; see [`Diagnostic::render`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as the user named it, or the argument.
    pub source: String,
    /// Where in the file; absent for arguments and for files that can't be read.
    pub location: Option<Location>,
    /// What was expected and what was found.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A diagnostic about `source` as a whole.
    pub fn new(source: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            location: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The same, at a place in the file.
    #[must_use]
    pub fn at(mut self, location: Option<Location>) -> Self {
        self.location = location;
        self
    }

    /// The same, with a mend.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with "did you mean" where one of `known` is near to `name`.
    #[must_use]
    pub fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The same without its mend, for who shows that elsewhere.
    #[must_use]
    pub fn without_hint(&self) -> Self {
        Self {
            hint: None,
            ..self.clone()
        }
    }

    /// The lines for a terminal: `error: file:line:column: message`, then `hint: mend`.
    pub fn render(&self) -> String {
        format!("error: {self}\n")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", shortened(&self.source))?;
        if let Some(Location { line, column }) = self.location {
            write!(formatter, ":{line}:{column}")?;
        }
        write!(formatter, ": {}", shortened(&self.message))?;
        match &self.hint {
            Some(hint) => write!(formatter, "\nhint: {}", shortened(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "a = 1\nß = 2 # here\n";
        let offset = text.find('2').unwrap();
        assert_eq!(
            Location::of_offset(text, offset),
            Location { line: 2, column: 5 }
        );
        assert_eq!(
            Location::of_offset(text, 10_000),
            Location { line: 3, column: 1 }
        );
    }

    #[test]
    fn a_diagnostic_shows_its_place_and_its_mend() {
        let diagnostic = Diagnostic::new("a.toml", "unknown key `modle`")
            .at(Some(Location { line: 3, column: 7 }))
            .did_you_mean("modle", ["dataset", "model"]);
        assert_eq!(
            diagnostic.render(),
            "error: a.toml:3:7: unknown key `modle`\nhint: did you mean `model`?\n"
        );
    }
}

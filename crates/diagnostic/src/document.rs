//! A TOML document that remembers its text, so that everything said about a value can name its line.

use super::extended::extended;
use super::given_twice::given_twice;
use super::number_limits::too_large;
use super::size_limits::beyond_limit;
use super::spans::Spans;
use super::{Diagnostic, KeyPath, Location, Refusal, read, regular_file};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, Deserializer};
use toml::{Table, Value};

/// A TOML file's name and text, and the file that it extends.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub(super) name: String,
    pub(super) text: String,
    /// Or why the text is no TOML.
    content: Result<Content, Diagnostic>,
    /// What is true where this document says nothing; see [`Document::read_extending`].
    pub(super) base: Option<Box<Document>>,
}

/// What a text says, and where.
#[derive(Debug, Clone, PartialEq)]
struct Content {
    table: Table,
    spans: Spans,
}

impl Content {
    fn of_text(text: &str) -> Result<Self, Diagnostic> {
        let refuse = |offset: usize, message: String| {
            Diagnostic::new("", message).at(Some(Location::of_offset(text, offset)))
        };
        if let Some(found) = beyond_limit(text) {
            return Err(refuse(found.offset, found.message).hint(found.hint));
        }
        let start_of = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        // Once: whatever asks for a place or for the order of keys later is answered from the spans.
        let root = DeTable::parse(text).map_err(|error| {
            let offset = start_of(&error);
            match given_twice(text, offset) {
                Some(message) => refuse(offset, message).hint("keep one of the two"),
                None => refuse(offset, error.message().trim().replace('\n', ", ")),
            }
        })?;
        // A table takes any value, but no number that 64 bits don't hold.
        if let Some(found) = too_large(root.get_ref()) {
            return Err(refuse(found.start, found.message));
        }
        let spans = Spans::of_document(root.get_ref());
        let table = Table::deserialize(Deserializer::from(root)).map_err(|error| {
            refuse(start_of(&error), error.message().trim().replace('\n', ", "))
        })?;
        Ok(Self { table, spans })
    }
}

impl Document {
    /// A document of this text; `name` is what messages call it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            name: name.into(),
            content: Content::of_text(&text),
            text,
            base: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that is not there, can't be read, is no UTF-8, is larger than [`regular_file::MOST_TEXT_BYTES`], or no regular file.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let text = regular_file::read_text(path).map_err(|error| {
            let said = Diagnostic::new(&name, format!("can't read the file: {error}"));
            match error.kind() {
                // The other kinds are told by the system in full.
                std::io::ErrorKind::NotFound => said.hint("check the path"),
                _ => said,
            }
        })?;
        Ok(Self::new(name, text))
    }

    /// What messages call the document.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads the document as a `T`.
    ///
    /// # Errors
    /// A syntax error, an unknown or missing key or a wrong type, with its place.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        read(&Value::Table(self.merged()?)).map_err(|refusal| self.refuse(&refusal))
    }

    /// What the document says, with what it extends.
    pub(super) fn merged(&self) -> Result<Table, Diagnostic> {
        let own = self.table()?.clone();
        Ok(match &self.base {
            Some(base) => extended(base.merged()?, own),
            None => own,
        })
    }

    /// What the text says, without what it extends.
    pub(super) fn table(&self) -> Result<&Table, Diagnostic> {
        match &self.content {
            Ok(content) => Ok(&content.table),
            Err(said) => Err(Diagnostic {
                source: self.name.clone(),
                ..said.clone()
            }),
        }
    }

    /// What is wrong with a value, at its place.
    fn refuse(&self, refusal: &Refusal) -> Diagnostic {
        let path = refusal.place();
        // Of two files it is the key that tells which one has to be mended.
        let (name, location) = match refusal.is_of_key() || self.base.is_some() {
            true => self.place(&path, |spans| &spans.key),
            false => self.place(&path, |spans| &spans.value),
        };
        // The document as a whole has no place of its own; what it lacks can stand anywhere.
        let start = Location { line: 1, column: 1 };
        refusal.diagnostic(name).at(location.or(Some(start)))
    }

    /// A diagnostic at the key of `path`, or at the nearest table above it that the text has.
    pub fn at_key(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        let (name, location) = self.place(path, |spans| &spans.key);
        Diagnostic::new(name, message).at(location)
    }

    /// A diagnostic at the value of `path`, or at the nearest table above it that the text has.
    pub fn at_value(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        let (name, location) = self.place(path, |spans| &spans.value);
        Diagnostic::new(name, message).at(location)
    }

    /// Where the key of `path` stands; absent where the text does not have it.
    pub fn key_location(&self, path: &KeyPath) -> Option<Location> {
        let spans = self.spans(path.keys())?;
        Some(Location::of_offset(&self.text, spans.key.start))
    }

    /// The keys of the table at `path` in the order of the text; those of the extended file first.
    pub fn keys_in_order(&self, path: &KeyPath) -> Vec<String> {
        let base = self.base.iter().flat_map(|base| base.keys_in_order(path));
        let mut keys: Vec<String> = base.collect();
        for key in self
            .spans(path.keys())
            .map_or_else(Vec::new, Spans::keys_in_order)
        {
            if !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
        keys
    }

    /// The document that has most of the path, this one before the one it extends, and where it has it.
    pub(super) fn place(
        &self,
        path: &KeyPath,
        choose: fn(&Spans) -> &Range<usize>,
    ) -> (&str, Option<Location>) {
        let (length, location) = self.locate(path, choose);
        if let Some(base) = &self.base
            && base.depth(path) > length
        {
            return base.place(path, choose);
        }
        (&self.name, location)
    }

    /// How many keys of the path this document or one that it extends has.
    fn depth(&self, path: &KeyPath) -> usize {
        let (own, _) = self.locate(path, |spans| &spans.key);
        let of_base = self.base.as_ref().map_or(0, |base| base.depth(path));
        own.max(of_base)
    }

    /// How many keys of the path the text has, and where.
    fn locate(
        &self,
        path: &KeyPath,
        choose: fn(&Spans) -> &Range<usize>,
    ) -> (usize, Option<Location>) {
        let whole = path.keys().len();
        // A value that isn't there, a default say, is told at the table that would have it.
        let found = (1..=whole).rev().find_map(|length| {
            let spans = self.spans(&path.keys()[..length])?;
            let span = if length == whole {
                choose(spans)
            } else {
                &spans.key
            };
            Some((length, Location::of_offset(&self.text, span.start)))
        });
        found.map_or((0, None), |(length, location)| (length, Some(location)))
    }

    /// Where the value of a path and its parts stand; absent where the text doesn't have it.
    fn spans(&self, keys: &[String]) -> Option<&Spans> {
        let root = &self.content.as_ref().ok()?.spans;
        keys.iter().try_fold(root, |spans, key| spans.below(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"x\"\n\n[training]\nbatch_size = 8\nsizes = [1, \"two\"]\n\n[variants.b]\nrank = 2\n[variants.a]\n";

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wire {
        #[allow(dead_code)]
        name: String,
        #[allow(dead_code)]
        training: Training,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Training {
        #[allow(dead_code)]
        batch_size: usize,
    }

    fn refusal(text: &str) -> String {
        Document::new("a.toml", text)
            .parse::<Wire>()
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_key_path_finds_its_line_and_column() {
        let document = Document::new("a.toml", TEXT);
        let value = |path| {
            document
                .at_value(&KeyPath::parse(path).unwrap(), "")
                .location
        };
        assert_eq!(
            value("training.batch_size"),
            Some(Location {
                line: 4,
                column: 14
            })
        );
        assert_eq!(
            value("training.sizes.1"),
            Some(Location {
                line: 5,
                column: 13
            })
        );
        assert_eq!(
            value("variants.b.rank"),
            Some(Location { line: 8, column: 8 })
        );
        let absent = KeyPath::parse("variants.b.absent").unwrap();
        assert_eq!(document.key_location(&absent), None);
        assert_eq!(
            document.at_key(&absent, "").location,
            Some(Location {
                line: 7,
                column: 11
            })
        );
    }

    #[test]
    fn keys_keep_the_order_of_the_text() {
        let document = Document::new("a.toml", TEXT);
        assert_eq!(
            document.keys_in_order(&KeyPath::new(["variants"])),
            ["b", "a"]
        );
    }

    #[test]
    fn an_unknown_key_is_refused_at_its_place() {
        assert_eq!(
            refusal("name = \"x\"\n[training]\nbatch_siz = 8\n"),
            "a.toml:3:1: unknown key `batch_siz` in [training]; expected `batch_size`\nhint: did you mean `batch_size`?"
        );
    }

    #[test]
    fn a_wrong_type_is_refused_at_its_value() {
        assert_eq!(
            refusal("name = \"x\"\n[training]\nbatch_size = \"8\"\n"),
            "a.toml:3:14: `training.batch_size`: expected a whole number, 0 or more, found string \"8\""
        );
    }

    #[test]
    fn a_number_that_is_too_large_is_refused_at_its_place() {
        for (number, limit) in [
            (
                "18446744073709551615",
                "a whole number up to 9223372036854775807 (2^63 - 1)",
            ),
            ("1e999", "a number up to 1.7976931348623157e308"),
        ] {
            assert_eq!(
                refusal(&format!(
                    "name = \"x\"\n[training]\nbatch_size = {number}\n"
                )),
                format!("a.toml:3:14: `training.batch_size`: expected {limit}, found {number}")
            );
        }
    }

    #[test]
    fn a_missing_key_and_a_syntax_error_have_places() {
        assert_eq!(
            refusal("name = \"x\"\n[training]\n"),
            "a.toml:2:1: the key `batch_size` is missing in [training]\nhint: add `batch_size = ...`"
        );
        assert_eq!(
            refusal("[training]\nbatch_size = 8\n"),
            "a.toml:1:1: the key `name` is missing\nhint: add `name = ...`"
        );
        assert!(
            refusal("name = \n").starts_with("a.toml:1:8: "),
            "{}",
            refusal("name = \n")
        );
    }
}

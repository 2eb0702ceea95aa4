//! A TOML document that remembers its text, so that everything said about a value can name its line.

use super::{Diagnostic, Location, serde_message};
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys that lead to a value; a list's elements are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The path of these keys.
    pub fn new<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    /// A dotted path as TOML writes it: `variants."my model".rank`.
    ///
    /// # Errors
    /// The reason why it is no dotted key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document = format!("{text} = 0");
        let table = DeTable::parse(&document).map_err(|error| error.message().to_owned())?;
        let mut keys = Vec::new();
        let mut table = table.get_ref();
        loop {
            let mut entries = table.iter();
            let (Some((key, value)), None) = (entries.next(), entries.next()) else {
                return Err("expected one dotted key".to_owned());
            };
            keys.push(key.get_ref().to_string());
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => return Ok(Self(keys)),
            }
        }
    }

    /// The keys.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// The last key.
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// Whether this is the document itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of the table that holds this one.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The path of `key` below this one.
    #[must_use]
    pub fn join(&self, key: impl Into<String>) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.into());
        Self(keys)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            let is_bare = !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            if is_bare {
                write!(formatter, "{dot}{key}")?;
            } else {
                write!(formatter, "{dot}{key:?}")?;
            }
        }
        Ok(())
    }
}

/// A TOML file's name and text, and the file that it extends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub(super) name: String,
    pub(super) text: String,
    /// What is true where this document says nothing; see [`Document::read_extending`].
    pub(super) base: Option<Box<Document>>,
}

impl Document {
    /// A document of this text; `name` is what messages call it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            base: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that is not there, can't be read or is no UTF-8.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let said = Diagnostic::new(&name, format!("can't read the file: {error}"));
            match error.kind() {
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
        if let Some(base) = &self.base {
            return self.parse_over(base);
        }
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span();
            let offset = span.as_ref().map(|span| span.start);
            let path = match &span {
                // toml gives the document as a whole an empty span; it is not its first key that is wrong.
                Some(span) if !span.is_empty() => self.path_at(span.start),
                _ => KeyPath::default(),
            };
            let mut said = serde_message::translate(error.message(), &path);
            said.source.clone_from(&self.name);
            said.at(Some(Location::of_offset(&self.text, offset.unwrap_or(0))))
        })
    }

    /// A diagnostic at the key of `path`, or at the nearest table above it that the text has.
    pub fn at_key(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        let (name, location) = self.place(path, |key, _| key);
        Diagnostic::new(name, message).at(location)
    }

    /// A diagnostic at the value of `path`, or at the nearest table above it that the text has.
    pub fn at_value(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        let (name, location) = self.place(path, |_, value| value);
        Diagnostic::new(name, message).at(location)
    }

    /// Where the key of `path` stands; absent where the text does not have it.
    pub fn key_location(&self, path: &KeyPath) -> Option<Location> {
        let (key, _) = self.spans(path.keys())?;
        Some(Location::of_offset(&self.text, key.start))
    }

    /// The keys of the table at `path` in the order of the text; those of the extended file first.
    pub fn keys_in_order(&self, path: &KeyPath) -> Vec<String> {
        let mut keys = self
            .base
            .as_ref()
            .map_or_else(Vec::new, |base| base.keys_in_order(path));
        let own = self.own_keys(path);
        keys.extend(
            own.into_iter()
                .filter(|key| !keys.contains(key))
                .collect::<Vec<_>>(),
        );
        keys
    }

    fn own_keys(&self, path: &KeyPath) -> Vec<String> {
        let Ok(root) = DeTable::parse(&self.text) else {
            return Vec::new();
        };
        let mut table = root.get_ref();
        for key in path.keys() {
            match table.get(key.as_str()).map(Spanned::get_ref) {
                Some(DeValue::Table(inner)) => table = inner,
                _ => return Vec::new(),
            }
        }
        let mut keys: Vec<_> = table
            .keys()
            .map(|key| (key.span().start, key.get_ref().to_string()))
            .collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// The document that has most of the path, this one before the one it extends, and where it has it.
    pub(super) fn place(
        &self,
        path: &KeyPath,
        choose: fn(Range<usize>, Range<usize>) -> Range<usize>,
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
        let (own, _) = self.locate(path, |key, _| key);
        let of_base = self.base.as_ref().map_or(0, |base| base.depth(path));
        own.max(of_base)
    }

    /// How many keys of the path the text has, and where.
    fn locate(
        &self,
        path: &KeyPath,
        choose: fn(Range<usize>, Range<usize>) -> Range<usize>,
    ) -> (usize, Option<Location>) {
        let whole = path.keys().len();
        let found = (1..=whole).rev().find_map(|length| {
            let (key, value) = self.spans(&path.keys()[..length])?;
            let span = if length == whole {
                choose(key, value)
            } else {
                key
            };
            Some((length, Location::of_offset(&self.text, span.start)))
        });
        found.map_or((0, None), |(length, location)| (length, Some(location)))
    }

    /// Spans of the key and of the value of a path.
    fn spans(&self, keys: &[String]) -> Option<(Range<usize>, Range<usize>)> {
        let root = DeTable::parse(&self.text).ok()?;
        let (first, rest) = keys.split_first()?;
        let (key, value) = root.get_ref().get_key_value(first.as_str())?;
        let mut spans = (key.span(), value.span());
        let mut value = value.get_ref();
        for name in rest {
            let next = match value {
                DeValue::Table(table) => {
                    let (key, next) = table.get_key_value(name.as_str())?;
                    spans = (key.span(), next.span());
                    next
                }
                DeValue::Array(array) => {
                    let next = array.get(name.parse::<usize>().ok()?)?;
                    spans = (next.span(), next.span());
                    next
                }
                _ => return None,
            };
            value = next.get_ref();
        }
        Some(spans)
    }

    /// The path of the innermost key or value that holds the byte `offset`.
    pub(super) fn path_at(&self, offset: usize) -> KeyPath {
        let mut path = Vec::new();
        if let Ok(root) = DeTable::parse(&self.text) {
            descend_table(root.get_ref(), offset, &mut path);
        }
        KeyPath(path)
    }
}

fn descend_table(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) -> bool {
    table.iter().any(|(key, value)| {
        path.push(key.get_ref().to_string());
        let found = key.span().contains(&offset) || descend(value, offset, path);
        if !found {
            path.pop();
        }
        found
    })
}

/// Tables are searched whatever their own span says: `[a]` and `[a.b]` may stand far apart.
fn descend(value: &Spanned<DeValue<'_>>, offset: usize, path: &mut Vec<String>) -> bool {
    let inner = match value.get_ref() {
        DeValue::Table(table) => descend_table(table, offset, path),
        DeValue::Array(array) => array.iter().enumerate().any(|(index, element)| {
            path.push(index.to_string());
            let found = descend(element, offset, path);
            if !found {
                path.pop();
            }
            found
        }),
        _ => false,
    };
    inner || value.span().contains(&offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

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

    #[test]
    fn a_quoted_key_survives_a_round_trip() {
        let path = KeyPath::parse("variants.\"my model\".rank").unwrap();
        assert_eq!(path.keys(), ["variants", "my model", "rank"]);
        assert_eq!(path.to_string(), "variants.\"my model\".rank");
        assert!(KeyPath::parse("a b").is_err());
    }
}

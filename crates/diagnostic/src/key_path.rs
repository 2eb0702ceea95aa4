//! Paths of keys, as messages write them and as arguments give them.

use std::fmt;
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
        // The parser of documents knows what a dotted key is; what it makes of one is a chain of tables of one key.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_survives_a_round_trip() {
        let path = KeyPath::parse("variants.\"my model\".rank").unwrap();
        assert_eq!(path.keys(), ["variants", "my model", "rank"]);
        assert_eq!(path.to_string(), "variants.\"my model\".rank");
        assert!(KeyPath::parse("a b").is_err());
    }
}

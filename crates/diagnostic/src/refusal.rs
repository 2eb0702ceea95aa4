//! Why a value is not what it was read as: what serde found, kept as names and places, in the words of the user's file.

use super::{Diagnostic, KeyPath};
use serde::de::{Expected, Unexpected};
use std::fmt;

/// What is wrong with a value, and where in what was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    path: KeyPath,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    UnknownKey {
        name: String,
        known: &'static [&'static str],
    },
    MissingKey(&'static str),
    UnknownValue {
        name: String,
        known: &'static [&'static str],
    },
    WrongType {
        expected: String,
        found: String,
    },
    Other(String),
}

impl Refusal {
    fn new(fault: Fault) -> Self {
        let path = KeyPath::default();
        Self { path, fault }
    }

    /// The same, of the value at `path`, unless it is of one within, which was told before.
    pub(super) fn at(mut self, path: &KeyPath) -> Self {
        if self.path.is_empty() {
            self.path = path.clone();
        }
        self
    }

    /// The same, said of a value at `path`.
    #[must_use]
    pub fn within(mut self, path: &KeyPath) -> Self {
        self.path = KeyPath::new(path.keys().iter().chain(self.path.keys()));
        self
    }

    /// The same with other words for what was expected, where the value at `path` itself is of the wrong type.
    pub(super) fn expecting(mut self, words: &str, path: &KeyPath) -> Self {
        if let (true, Fault::WrongType { expected, .. }) = (self.path == *path, &mut self.fault) {
            *expected = words.to_owned();
        }
        self
    }

    /// The path of the value, or of the key, that is wrong; of the table that a key is missing in.
    pub fn place(&self) -> KeyPath {
        match &self.fault {
            Fault::UnknownKey { name, .. } => self.path.join(name),
            _ => self.path.clone(),
        }
    }

    /// Whether a key is wrong and not a value.
    pub fn is_of_key(&self) -> bool {
        matches!(self.fault, Fault::UnknownKey { .. })
    }

    /// What a user reads, of the file or the argument `source` as a whole.
    pub fn diagnostic(&self, source: impl Into<String>) -> Diagnostic {
        let said = Diagnostic::new(source, self.message());
        match &self.fault {
            Fault::UnknownKey { name, known } | Fault::UnknownValue { name, known } => {
                said.did_you_mean(name, known.iter().copied())
            }
            Fault::MissingKey(name) => said.hint(format!("add `{name} = ...`")),
            Fault::WrongType { .. } | Fault::Other(_) => said,
        }
    }

    fn message(&self) -> String {
        let path = &self.path;
        let in_table = match path.is_empty() {
            true => String::new(),
            false => format!(" in [{path}]"),
        };
        match &self.fault {
            Fault::UnknownKey { name, known } => {
                format!("unknown key `{name}`{in_table}; expected {}", one_of(known))
            }
            Fault::MissingKey(name) => format!("the key `{name}` is missing{in_table}"),
            Fault::UnknownValue { name, known } => {
                format!(
                    "unknown value `{name}` for `{path}`; expected {}",
                    one_of(known)
                )
            }
            Fault::WrongType { expected, found } => {
                format!("`{path}`: expected {expected}, found {found}")
            }
            // In one line, as all messages are.
            Fault::Other(message) => message.trim().replace('\n', ", "),
        }
    }
}

pub(super) fn one_of(known: &[&str]) -> String {
    match known {
        [] => "no key".to_owned(),
        [only] => format!("`{only}`"),
        _ => format!("one of `{}`", known.join("`, `")),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl std::error::Error for Refusal {}

/// serde calls these with what its own errors would be worded from.
impl serde::de::Error for Refusal {
    // Of hand-written implementations; whatever serde derives comes by one of the others.
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Fault::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (found, expected) = (found.to_string(), expected.to_string());
        Self::new(Fault::WrongType { expected, found })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let (found, expected) = (length.to_string(), expected.to_string());
        Self::new(Fault::WrongType { expected, found })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        Self::new(Fault::UnknownValue { name, known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        Self::new(Fault::UnknownKey { name, known })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(Fault::MissingKey(name))
    }
}

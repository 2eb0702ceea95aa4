//! Where every value of a spec came from: a line of its file, or an override.

use super::overrides::Override;
use super::wire::WireExperiment;
use crate::diagnostic::{Diagnostic, Document, KeyPath};
use serde::Deserialize;
use std::path::Path;

/// A spec's text and the overrides on top of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    document: Document,
    overrides: Vec<Override>,
}

impl Source {
    pub(super) fn read(path: &Path, overrides: &[Override]) -> Result<Self, Diagnostic> {
        Ok(Self::new(Document::read(path)?, overrides))
    }

    pub(super) fn new(document: Document, overrides: &[Override]) -> Self {
        Self {
            document,
            overrides: overrides.to_vec(),
        }
    }

    /// The file, then the file with every override; what is refused is laid at the door of the one that did it.
    pub(super) fn wire(&self) -> Result<WireExperiment, Diagnostic> {
        let from_file: WireExperiment = self.document.parse()?;
        if self.overrides.is_empty() {
            return Ok(from_file);
        }
        let mut root: toml::Table = self.document.parse()?;
        let mut first_refusal = None;
        let mut result = Ok(from_file);
        for change in &self.overrides {
            change.apply(&mut root)?;
            result = WireExperiment::deserialize(root.clone()).map_err(|error| {
                Diagnostic::from_serde(change.source(), error.message(), change.path())
            });
            if let (Err(refusal), None) = (&result, &first_refusal) {
                first_refusal = Some(refusal.clone());
            }
        }
        result.map_err(|last| first_refusal.unwrap_or(last))
    }

    /// A diagnostic at the value of `path`.
    pub fn at_value(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        match self.override_of(path) {
            Some(change) => Diagnostic::new(change.source(), message),
            None => self.document.at_value(path, message),
        }
    }

    /// A diagnostic at the key of `path`.
    pub fn at_key(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        match self.override_of(path) {
            Some(change) => Diagnostic::new(change.source(), message),
            None => self.document.at_key(path, message),
        }
    }

    /// Names of the variants: those of the file in its order, then those of overrides.
    pub(super) fn variant_order(&self) -> Vec<String> {
        let mut names = self.document.keys_in_order(&KeyPath::new(["variants"]));
        for change in &self.overrides {
            if let [first, name, ..] = change.path().keys()
                && first == "variants"
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        names
    }

    /// The last override at `path`, above it, or (for a table that is not in the file) below it.
    fn override_of(&self, path: &KeyPath) -> Option<&Override> {
        let covers = |change: &&Override| path.keys().starts_with(change.path().keys());
        let makes = |change: &&Override| {
            change.path().keys().starts_with(path.keys())
                && self.document.key_location(path).is_none()
        };
        let mut latest_first = self.overrides.iter().rev();
        latest_first
            .clone()
            .find(covers)
            .or_else(|| latest_first.find(makes))
    }
}

//! How variants are related, as the folder's spec declares it.

use super::context::read_toml;
use crate::layout::ResultsFolder;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What a variant says of others.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Relation {
    /// The variant that it is, with a part left out.
    pub ablates: Option<String>,
    /// What is left out; absent where the variant's name says it.
    pub without: Option<String>,
    /// The variant that it is the normalised form of.
    pub plain_form: Option<String>,
}

/// What `spec.resolved.toml` declares; nothing of a folder that is older than relations are, or without a spec.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Relations {
    /// The variant that differences are taken to.
    pub(super) baseline: Option<String>,
    #[serde(default)]
    variants: BTreeMap<String, Relation>,
}

impl Relations {
    /// Reads the spec, which may be absent.
    ///
    /// # Errors
    /// A file that is there but can't be read as TOML.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        read_toml(&ResultsFolder::new(folder).resolved_spec())
    }

    /// What a variant says; nothing where it says nothing.
    pub fn of_variant(&self, name: &str) -> Option<&Relation> {
        self.variants.get(name)
    }
}

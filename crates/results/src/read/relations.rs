//! How variants are related, as the folder's spec declares it.

use anyhow::{Context as _, Result};
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

/// Relations by variant; none of a folder that is older than they are, or without a spec.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Relations {
    #[serde(default)]
    variants: BTreeMap<String, Relation>,
}

impl Relations {
    /// Reads `spec.resolved.toml`, which may be absent.
    ///
    /// # Errors
    /// A file that is there but can't be read as TOML.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("spec.resolved.toml");
        let what = || format!("reading {}", file.display());
        match std::fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text).with_context(what),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(what),
        }
    }

    /// What a variant says; nothing where it says nothing.
    pub fn of_variant(&self, name: &str) -> Option<&Relation> {
        self.variants.get(name)
    }
}

//! `--set path=value`: a change to a spec from the command line.

use crate::diagnostic::{Diagnostic, KeyPath};
use std::str::FromStr;

/// A value to put at a path of the spec, before it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    text: String,
    path: KeyPath,
    value: toml::Value,
}

impl Override {
    /// Where the value goes.
    pub fn path(&self) -> &KeyPath {
        &self.path
    }

    /// What messages call it: `--set training.batch_size=0`.
    pub fn source(&self) -> String {
        format!("--set {}", self.text)
    }

    /// Puts the value into `root`, making tables on the way.
    ///
    /// # Errors
    /// A path through something that is no table.
    pub fn apply(&self, root: &mut toml::Table) -> Result<(), Diagnostic> {
        let Some((last, tables)) = self.path.keys().split_last() else {
            return Ok(());
        };
        let mut table = root;
        let mut walked = KeyPath::default();
        for key in tables {
            walked = walked.join(key);
            let entry = table
                .entry(key.as_str())
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let kind = entry.type_str();
            table = entry.as_table_mut().ok_or_else(|| {
                Diagnostic::new(
                    self.source(),
                    format!(
                        "`{walked}` is no table but of type {kind}: nothing can be set below it"
                    ),
                )
            })?;
        }
        table.insert(last.clone(), self.value.clone());
        Ok(())
    }
}

impl FromStr for Override {
    type Err = String;

    /// `path=value`; the value is read as TOML, or taken as a string where it is none.
    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) = text
            .split_once('=')
            .ok_or_else(|| format!("expected `path=value`, found `{text}`"))?;
        let path = KeyPath::parse(path.trim())
            .map_err(|reason| format!("`{}` is no dotted path: {reason}", path.trim()))?;
        Ok(Self {
            text: text.to_owned(),
            path,
            value: value_of(value.trim()),
        })
    }
}

fn value_of(text: &str) -> toml::Value {
    let one_value = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    one_value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(texts: &[&str]) -> toml::Table {
        let mut root: toml::Table =
            toml::from_str("seeds = [1]\n[training]\nbatch_size = 4").unwrap();
        for text in texts {
            text.parse::<Override>().unwrap().apply(&mut root).unwrap();
        }
        root
    }

    #[test]
    fn values_are_toml_or_else_strings() {
        let root = applied(&[
            "training.batch_size=8",
            "variants.a.model = home",
            "variants.a.expert_dims=[64, 32]",
            "training.learning_rate=nan",
        ]);
        assert_eq!(root["training"]["batch_size"].as_integer(), Some(8));
        assert_eq!(root["variants"]["a"]["model"].as_str(), Some("home"));
        assert_eq!(
            root["variants"]["a"]["expert_dims"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert!(
            root["training"]["learning_rate"]
                .as_float()
                .unwrap()
                .is_nan()
        );
    }

    #[test]
    fn a_path_through_a_value_is_refused() {
        let mut root: toml::Table = toml::from_str("seeds = [1]").unwrap();
        let refused = "seeds.first=2"
            .parse::<Override>()
            .unwrap()
            .apply(&mut root);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "--set seeds.first=2: `seeds` is no table but of type array: nothing can be set below it"
        );
        assert!("batch_size".parse::<Override>().is_err());
    }
}

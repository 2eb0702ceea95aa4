//! `--set path=value`: a change to a spec from the command line.

use super::setting::{DATASET, TRAINING};
use super::space::{self, DOMAINS};
use homebench_diagnostic::{Diagnostic, KeyPath, number_too_large};
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

    /// What goes there.
    pub fn value(&self) -> &toml::Value {
        &self.value
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

/// How many keys of a path lead to a table of settings to sweep, if they do.
fn sweep_table(keys: &[String]) -> Option<usize> {
    let words: Vec<&str> = keys.iter().map(String::as_str).collect();
    // Both at the top of a spec and in a variant.
    let (before, rest) = match words.as_slice() {
        ["variants", _, rest @ ..] => (2, rest),
        rest => (0, rest),
    };
    match rest {
        ["grid" | "random", ..] => Some(before + 1),
        ["tuning", "grid" | "random", ..] => Some(before + 2),
        _ => None,
    }
}

/// A path to a setting of training or data of a sweep with the setting as one key, however it was given:
/// `grid.training.learning_rate` is `grid."training.learning_rate"`.
fn canonical(path: &KeyPath) -> KeyPath {
    let keys = path.keys();
    let Some(table) = sweep_table(keys) else {
        return path.clone();
    };
    let (table, setting) = keys.split_at(table);
    let is_nested = |key: &String| key == TRAINING || key == DATASET;
    if !setting.first().is_some_and(is_nested) || setting.len() < 2 {
        return path.clone();
    }
    let is_domain = |key: &String| DOMAINS.contains(&key.as_str());
    let end = setting.iter().position(is_domain).unwrap_or(setting.len());
    let (setting, domain) = setting.split_at(end);
    let mut path = KeyPath::new(table.to_vec()).join(KeyPath::new(setting.to_vec()).to_string());
    domain.iter().for_each(|key| path = path.join(key));
    path
}

/// Writes the settings of every sweep in `root` as one key each.
pub(super) fn canonicalise(root: &mut toml::Table) {
    let flat = |table: &mut toml::Table| {
        let settings = space::flatten(table);
        let names = settings.iter().map(|(path, _)| path.to_string());
        let distinct: std::collections::BTreeSet<String> = names.collect();
        // Twice the same is refused later, with its place.
        if distinct.len() == settings.len() {
            *table = settings
                .into_iter()
                .map(|(path, value)| (path.to_string(), value))
                .collect();
        }
    };
    let within = |holder: &mut toml::Table| {
        for key in ["grid", "random"] {
            if let Some(table) = holder.get_mut(key).and_then(toml::Value::as_table_mut) {
                flat(table);
            }
        }
    };
    let both = |holder: &mut toml::Table| {
        within(holder);
        if let Some(tuning) = holder.get_mut("tuning").and_then(toml::Value::as_table_mut) {
            within(tuning);
        }
    };
    both(root);
    let variants = root.get_mut("variants").and_then(toml::Value::as_table_mut);
    for (_, variant) in variants.into_iter().flatten() {
        if let Some(variant) = variant.as_table_mut() {
            both(variant);
        }
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
        if let Some(why) = number_too_large(value.trim(), &path) {
            return Err(format!("{why}; write it in quotes if it is a text"));
        }
        Ok(Self {
            text: text.to_owned(),
            path: canonical(&path),
            value: value_of(value.trim()),
        })
    }
}

fn value_of(text: &str) -> toml::Value {
    // Strings need no quotes: those that a user types are taken away by the shell. A text of two lines is no one value.
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
    fn a_number_that_is_too_large_is_no_text() {
        let refused = |text: &str| text.parse::<Override>().unwrap_err();
        assert_eq!(
            refused("seeds=[18446744073709551615]"),
            "`seeds.0`: expected a whole number up to 9223372036854775807 (2^63 - 1), found 18446744073709551615; \
             write it in quotes if it is a text"
        );
        assert_eq!(
            refused("training.learning_rate=1e400"),
            "`training.learning_rate`: expected a number up to 1.7976931348623157e308, found 1e400; write it in quotes if it is a text"
        );
        let root = applied(&[
            "question=\"18446744073709551615\"",
            "training.batch_size=9223372036854775807",
        ]);
        assert_eq!(root["question"].as_str(), Some("18446744073709551615"));
        assert_eq!(root["training"]["batch_size"].as_integer(), Some(i64::MAX));
    }

    #[test]
    fn a_setting_of_a_sweep_is_replaced_however_either_writes_it() {
        for file in [
            "[grid]\ntraining.learning_rate = [1.0]\ntraining.momentum = [0.5]",
            "[grid.training]\nlearning_rate = [1.0]\nmomentum = [0.5]",
            "[grid]\n'training.learning_rate' = [1.0]\n\"training.momentum\" = [0.5]",
        ] {
            for text in [
                "grid.training.learning_rate=[2.0]",
                "grid.'training.learning_rate'=[2.0]",
            ] {
                let mut root: toml::Table = toml::from_str(file).unwrap();
                canonicalise(&mut root);
                text.parse::<Override>().unwrap().apply(&mut root).unwrap();
                let expected =
                    "[grid]\n'training.learning_rate' = [2.0]\n'training.momentum' = [0.5]";
                assert_eq!(root, toml::from_str(expected).unwrap(), "{file} {text}");
            }
        }
    }

    #[test]
    fn an_end_of_a_range_is_set_below_its_setting() {
        let path = |text: &str| text.parse::<Override>().unwrap().path().to_string();
        assert_eq!(
            path("variants.a.tuning.random.training.learning_rate.log_range=[1, 2]"),
            "variants.a.tuning.random.\"training.learning_rate\".log_range"
        );
        assert_eq!(path("random.rank.range=[1, 2]"), "random.rank.range");
        assert_eq!(
            path("variants.grid.training.momentum=1"),
            "variants.grid.training.momentum"
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

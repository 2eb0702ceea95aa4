//! What a sweep may set: a knob of the model, a key of the training settings, or a knob of an embedded source of data.

use homebench_diagnostic::KeyPath;
use std::fmt;

/// The table of training settings, at the top of a spec and in a variant.
pub(super) const TRAINING: &str = "training";

/// The table of the data, with the knobs of an embedded source.
pub(super) const DATASET: &str = "dataset";

/// Keys of that table that are no knobs.
const KEYS_OF_DATASET: [&str; 4] = ["name", "protocol", "rows", "knobs"];

/// A knob, a path below `training`, or `dataset` and a knob of the data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting(KeyPath);

impl Setting {
    /// The setting at this path of a variant; absent for a path that no sweep can set.
    pub(super) fn at(path: KeyPath) -> Option<Self> {
        let is_setting = match path.keys() {
            [knob] => knob != TRAINING && knob != DATASET,
            [first, knob] if first == DATASET => !KEYS_OF_DATASET.contains(&knob.as_str()),
            [first, ..] => first == TRAINING,
            [] => false,
        };
        is_setting.then_some(Self(path))
    }

    /// Its path in a variant's table.
    pub(super) fn path(&self) -> &KeyPath {
        &self.0
    }

    /// The path below `training`, where it is a training setting.
    pub(super) fn in_training(&self) -> Option<&[String]> {
        match self.0.keys() {
            [first, rest @ ..] if first == TRAINING => Some(rest),
            _ => None,
        }
    }

    /// The name of the knob of the data, where it is one.
    pub fn in_dataset(&self) -> Option<&str> {
        match self.0.keys() {
            [first, knob] if first == DATASET => Some(knob),
            _ => None,
        }
    }

    /// The knob's name, where it is one.
    pub(super) fn knob(&self) -> Option<&str> {
        match self.0.keys() {
            [knob] => Some(knob),
            _ => None,
        }
    }
}

/// As it is written in a spec: `rank`, `training.learning_rate`.
impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A value that a sweep chose for a setting, and where the spec has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// What is set.
    pub setting: Setting,
    /// To what.
    pub value: toml::Value,
    /// Path of the value, or of the range that it was drawn from, in the spec.
    pub(super) place: KeyPath,
}

/// A value as tables write it: strings without quotes, floats in their shortest form.
pub(crate) fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// A value as a part of a file name: `0.001`, `64x32`, `(kind=cosine,warm_up_steps=10)`.
pub(super) fn in_name(value: &toml::Value) -> String {
    match value {
        // Nothing at all could not be read in a name.
        toml::Value::Array(values) if values.is_empty() => "none".to_owned(),
        toml::Value::Array(values) => values.iter().map(in_name).collect::<Vec<_>>().join("x"),
        toml::Value::Table(table) => {
            let mut parts: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{key}={}", in_name(value)))
                .collect();
            // One table has one name, in whatever order its keys come.
            parts.sort();
            format!("({})", parts.join(","))
        }
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> Option<Setting> {
        Setting::at(KeyPath::parse(text).unwrap())
    }

    #[test]
    fn knobs_of_models_and_data_and_what_is_below_training_can_be_set_and_nothing_else() {
        assert_eq!(setting("rank").unwrap().knob(), Some("rank"));
        let rate = setting("training.learning_rate").unwrap();
        assert_eq!(rate.in_training(), Some(&["learning_rate".to_owned()][..]));
        assert_eq!(rate.to_string(), "training.learning_rate");
        let correlation = setting("dataset.correlation").unwrap();
        assert_eq!(correlation.in_dataset(), Some("correlation"));
        assert_eq!(correlation.knob(), None);
        for other in [
            "training",
            "dataset",
            "dataset.rows",
            "dataset.feed.noise",
            "variants.home.rank",
        ] {
            assert_eq!(setting(other), None, "{other}");
        }
    }

    #[test]
    fn values_are_fit_for_file_names() {
        let table: toml::Table = "a = [64, 32]\nb = []\nc = 1e-3\nd = 'batch'\ne = { kind = 'cosine', final_share = 0.1 }\nf = 1e-7"
            .parse()
            .unwrap();
        let names: Vec<String> = ["a", "b", "c", "d", "e", "f"]
            .map(|key| in_name(&table[key]))
            .to_vec();
        let expected = [
            "64x32",
            "none",
            "0.001",
            "batch",
            "(final_share=0.1,kind=cosine)",
            "0.0000001",
        ];
        assert_eq!(names, expected);
    }
}

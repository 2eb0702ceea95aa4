//! Validation of what the sources have in common whose true functions have mean 0 and variance 1.

use super::check_generated::{Tasks, check_named_tasks};
use super::path;
use super::wire::{WireTaskKind, WireUnitTask};
use crate::TaskKind;
use crate::unit_tasks::{LabelConfig, UnitTask};
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use std::collections::BTreeMap;

/// Standard deviation of the noise where nothing is said: the best R² is then .99.
const NOISE: f64 = 0.1;

/// Standard deviation of logits where nothing is said: the best AUC is then .86.
const SIGNAL: f64 = 2.0;

/// Largest factor of labels, and one over the least.
// Their squares and sums of these stay well within 32 bits.
const LARGEST_SCALE: f64 = 1e6;

/// The knobs of labels in the table of a source.
pub(super) struct LabelKnobs<'a> {
    pub(super) table: &'static str,
    pub(super) noise: Option<f64>,
    pub(super) signal: Option<f64>,
    pub(super) label_scales: &'a BTreeMap<String, f64>,
}

impl LabelKnobs<'_> {
    /// The labels of the tasks of these names.
    pub(super) fn validate(
        &self,
        document: &Document,
        names: &[String],
        wire: &BTreeMap<String, WireUnitTask>,
    ) -> Result<(Tasks, LabelConfig), Diagnostic> {
        check_named_tasks(document, &self.at("label_scales"), self.label_scales, names)?;
        let mut tasks = Tasks::default();
        let mut config = LabelConfig {
            noise: self.noise.unwrap_or(NOISE),
            signal: self.signal.unwrap_or(SIGNAL),
            tasks: Vec::new(),
        };
        for name in names {
            let kind = match wire[name].kind {
                Some(WireTaskKind::Classification) => TaskKind::Classification,
                Some(WireTaskKind::Regression) | None => TaskKind::Regression,
            };
            tasks.add(document, name, &wire[name].group, kind)?;
            config.tasks.push(UnitTask {
                name: name.clone(),
                kind,
                scale: self.scale(document, name, kind)?,
            });
        }
        self.check_numbers(document, &config)?;
        Ok((tasks, config))
    }

    fn at(&self, key: &str) -> KeyPath {
        path(&[self.table, key])
    }

    fn scale(&self, document: &Document, name: &str, kind: TaskKind) -> Result<f64, Diagnostic> {
        let at = self.at("label_scales");
        if kind == TaskKind::Classification && self.label_scales.contains_key(name) {
            let at = at.join(name);
            let message = format!("`{at}`: a label of two classes has no scale");
            return Err(document
                .at_value(&at, message)
                .hint("leave it out, or give the task kind = \"regression\""));
        }
        label_scale(document, &at, self.label_scales, name)
    }

    /// Checks `noise` and `signal`, and that what is set is used.
    fn check_numbers(&self, document: &Document, config: &LabelConfig) -> Result<(), Diagnostic> {
        for (key, given, largest, kind, kind_name) in [
            ("noise", self.noise, 1e3, TaskKind::Regression, "regression"),
            (
                "signal",
                self.signal,
                20.0,
                TaskKind::Classification,
                "classification",
            ),
        ] {
            let Some(value) = given else { continue };
            let at = self.at(key);
            if !(0.0..=largest).contains(&value) {
                let message =
                    format!("`{at}`: expected a number from 0 to {largest}, found {value}");
                return Err(document.at_value(&at, message).hint(format!(
                    "a true function has the standard deviation 1; leave `{key}` out for its default"
                )));
            }
            if config.tasks.iter().all(|task| task.kind != kind) {
                let message =
                    format!("`{at}`: no task is a {kind_name}, and only those have a {key}");
                return Err(document.at_key(&at, message).hint(format!(
                    "leave it out, or give a task kind = \"{kind_name}\""
                )));
            }
        }
        Ok(())
    }
}

/// The factor of the labels of a regression, by the table at `at`.
pub(super) fn label_scale(
    document: &Document,
    at: &KeyPath,
    scales: &BTreeMap<String, f64>,
    task: &str,
) -> Result<f64, Diagnostic> {
    let scale = scales.get(task).copied().unwrap_or(1.0);
    let least = 1.0 / LARGEST_SCALE;
    if (least..=LARGEST_SCALE).contains(&scale) {
        return Ok(scale);
    }
    let at = at.join(task);
    let message =
        format!("`{at}`: expected a factor from {least} to {LARGEST_SCALE}, found {scale}");
    Err(document
        .at_value(&at, message)
        .hint("write 1 for labels as they are, or leave the task out"))
}

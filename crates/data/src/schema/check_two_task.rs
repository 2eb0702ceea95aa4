//! Validation of descriptions of the two regressions.

use super::check_generated::{Tasks, check_named_tasks, described, rows};
use super::check_unit_tasks::label_scale;
use super::check_waves::check_waves;
use super::wire::WireTwoTask;
use super::{Description, path};
use crate::TaskKind;
use crate::generated::Generated;
use crate::two_task::TwoTaskConfig;
use homebench_diagnostic::{Diagnostic, Document};

/// The table of the knobs.
pub(super) const KNOBS: &str = "regression";

/// The one protocol of these datasets.
const PROTOCOL: &str = "two_task";

/// Most inputs.
const MOST_INPUTS: usize = 4096;

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireTwoTask,
) -> Result<Description, Diagnostic> {
    let (tasks, label_scales) = tasks(document, &wire)?;
    let knobs = &wire.regression;
    let at = |key: &str| path(&[KNOBS, key]);
    if !(2..=MOST_INPUTS).contains(&knobs.input_dim) {
        let message = format!(
            "expected 2 to {MOST_INPUTS} inputs, found {}",
            knobs.input_dim
        );
        return Err(document.at_value(&at("input_dim"), message));
    }
    for (key, value, least, largest) in [
        ("correlation", knobs.correlation, -1.0, 1.0),
        ("scale", knobs.scale, 0.0, 1e3),
        ("noise", knobs.noise, 0.0, 1e3),
    ] {
        if !(least..=largest).contains(&value) {
            let message = format!("expected a number from {least} to {largest}, found {value}");
            return Err(document.at_value(&at(key), message));
        }
    }
    check_waves(document, KNOBS, &knobs.frequencies, &knobs.phases)?;
    let config = TwoTaskConfig {
        seed: wire.seed,
        rows: rows(document, &wire.rows)?,
        input_dim: knobs.input_dim,
        correlation: knobs.correlation,
        scale: knobs.scale,
        frequencies: knobs.frequencies.clone(),
        phases: knobs.phases.clone(),
        noise: knobs.noise,
        label_scales,
    };
    let source = Generated::TwoTask(config);
    Ok(described(
        name,
        wire.about.as_deref(),
        PROTOCOL,
        tasks,
        source,
    ))
}

/// The two tasks, and the factors of their labels.
fn tasks(document: &Document, wire: &WireTwoTask) -> Result<(Tasks, [f64; 2]), Diagnostic> {
    let names = document.keys_in_order(&path(&["tasks"]));
    if names.len() != 2 {
        let message = format!("expected two tasks, found {}", names.len());
        return Err(document
            .at_key(&path(&["tasks"]), message)
            .hint("the first task's weights are w_1 of the paper, the second's w_2"));
    }
    let at = path(&[KNOBS, "label_scales"]);
    let scales = &wire.regression.label_scales;
    check_named_tasks(document, &at, scales, &names)?;
    let (mut tasks, mut label_scales) = (Tasks::default(), [1.0; 2]);
    for (name, scale) in names.iter().zip(&mut label_scales) {
        let group = &wire.tasks[name].group;
        tasks.add(document, name, group, TaskKind::Regression)?;
        *scale = label_scale(document, &at, scales, name)?;
    }
    Ok((tasks, label_scales))
}

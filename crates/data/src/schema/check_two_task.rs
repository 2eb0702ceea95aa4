//! Validation of descriptions of the two regressions.

use super::check_generated::{Tasks, described, rows};
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

/// Most waves of a label.
const MOST_WAVES: usize = 64;

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireTwoTask,
) -> Result<Description, Diagnostic> {
    let tasks = tasks(document, &wire)?;
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
    for (key, values) in [
        ("frequencies", &knobs.frequencies),
        ("phases", &knobs.phases),
    ] {
        if values.len() > MOST_WAVES || values.iter().any(|value| !value.is_finite()) {
            let message = format!("expected up to {MOST_WAVES} finite numbers");
            return Err(document.at_value(&at(key), message));
        }
    }
    let (frequencies, phases) = (knobs.frequencies.len(), knobs.phases.len());
    // Waves are pairs; a longer list would lose its end without a word.
    if frequencies != phases {
        let message =
            format!("expected one phase for each of {frequencies} frequencies, found {phases}");
        return Err(document
            .at_value(&at("phases"), message)
            .hint("each wave is sin(frequency * w·x + phase)"));
    }
    let config = TwoTaskConfig {
        seed: wire.seed,
        rows: rows(document, &wire.rows)?,
        input_dim: knobs.input_dim,
        correlation: knobs.correlation,
        scale: knobs.scale,
        frequencies: knobs.frequencies.clone(),
        phases: knobs.phases.clone(),
        noise: knobs.noise,
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

fn tasks(document: &Document, wire: &WireTwoTask) -> Result<Tasks, Diagnostic> {
    let names = document.keys_in_order(&path(&["tasks"]));
    if names.len() != 2 {
        let message = format!("expected two tasks, found {}", names.len());
        return Err(document
            .at_key(&path(&["tasks"]), message)
            .hint("the first task's weights are w_1 of the paper, the second's w_2"));
    }
    let mut tasks = Tasks::default();
    for name in names {
        let group = &wire.tasks[&name].group;
        tasks.add(document, &name, group, TaskKind::Regression)?;
    }
    Ok(tasks)
}

//! Knobs of embedded sources that a spec sets in place of a description.

use super::wire::WireSource;
use super::{check_click_chain, check_feed, check_task_arc, check_task_depths, check_two_task};
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use toml::Table;

/// What messages call the knobs of a spec.
pub(super) const SOURCE: &str = "the knobs of the spec";

/// The description with these knobs.
///
/// # Errors
/// A source that has no knobs.
pub(super) fn overlay(
    document: Document,
    source: WireSource,
    knobs: &Table,
) -> Result<Document, Diagnostic> {
    if knobs.is_empty() {
        return Ok(document);
    }
    let table = match source {
        WireSource::Synthetic => check_feed::KNOBS,
        WireSource::TwoTaskRegression => check_two_task::KNOBS,
        WireSource::TaskArc => check_task_arc::KNOBS,
        WireSource::TaskDepths => check_task_depths::KNOBS,
        WireSource::ClickChain => check_click_chain::KNOBS,
        WireSource::Table => {
            let message = "a dataset in files has no knobs: its rows are what they are";
            return Err(Diagnostic::new(document.name(), message).hint(
                "set knobs of an embedded source alone, such as that of experiments/datasets/two-task.toml",
            ));
        }
    };
    let mut text = format!("[{table}]\n");
    // One knob a line, in order: `blamed` counts from a message's line back to the knob.
    for (knob, value) in knobs {
        text += &format!("{} = {value}\n", KeyPath::new([knob.as_str()]));
    }
    Ok(document.overlaid(SOURCE, text))
}

/// The knob that a refusal is about, where it is about one of `knobs`.
pub fn blamed<'a>(said: &Diagnostic, knobs: &'a Table) -> Option<&'a str> {
    let line = said.location.filter(|_| said.source == SOURCE)?.line;
    // The first line is the table's header, then comes a knob a line.
    let place = line.checked_sub(2)?;
    knobs.keys().nth(place).map(String::as_str)
}

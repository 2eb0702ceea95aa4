//! The variants that others are measured against.

use super::Summary;
use homebench_diagnostic::Diagnostic;
use homebench_results::read::Results;

/// The model that gains are measured against.
pub(crate) const SINGLE_TASK: &str = "single_task";

/// The variant that differences are taken to: the one that is asked for, else the spec's baseline, single-task or the first.
///
/// # Errors
/// No variant of the name that is asked for.
pub(super) fn choose(
    results: &Results,
    summary: &Summary,
    wanted: Option<&str>,
) -> Result<usize, Diagnostic> {
    let Some(name) = wanted else {
        let named = named(results, summary);
        let single_task = || single_task(results, summary);
        // A baseline of which `--only` left no cell is passed over, or nothing could be reported.
        return Ok(named.or_else(single_task).unwrap_or(0));
    };
    let names = summary.variants.iter().map(String::as_str);
    names
        .clone()
        .position(|variant| variant == name)
        .ok_or_else(|| {
            let known: Vec<&str> = names.clone().collect();
            let message = format!("no variant of this folder; it has {}", known.join(", "));
            Diagnostic::new(format!("--baseline {name}"), message).did_you_mean(name, names)
        })
}

/// The first variant of single-task models; one of which some cell is done comes before one that failed everywhere.
pub(super) fn single_task(results: &Results, summary: &Summary) -> Option<usize> {
    let cells = || {
        results
            .cells
            .iter()
            .filter(|cell| cell.model == SINGLE_TASK)
    };
    let done = cells().find(|cell| cell.failure.is_none());
    summary.variant_place(&done.or_else(|| cells().next())?.variant)
}

/// The variant that figures measure gains from: the spec's baseline, else single-task models; and how it is called in a sentence. It is
/// not the one that `--baseline` names: `figures/` would change with every report.
pub(crate) fn origin(results: &Results, summary: &Summary) -> Option<(usize, String)> {
    let single_task = single_task(results, summary);
    let named = named(results, summary);
    match named.filter(|named| Some(*named) != single_task) {
        Some(named) => Some((named, summary.variants[named].clone())),
        None => single_task.map(|single| (single, "single-task models".to_owned())),
    }
}

/// The baseline that the spec names; nothing where it names none, or none with cells.
fn named(results: &Results, summary: &Summary) -> Option<usize> {
    summary.variant_place(results.baseline.as_ref()?)
}

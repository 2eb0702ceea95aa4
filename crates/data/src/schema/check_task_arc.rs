//! Validation of descriptions of tasks along an arc.

use super::check_generated::{described, num_tasks, rows};
use super::check_waves::check_waves;
use super::wire::{WireArcShape, WireTaskArc};
use super::{Description, path};
use crate::generated::Generated;
use crate::task_arc::TaskArcConfig;
use homebench_diagnostic::{Diagnostic, Document};

/// The table of the knobs.
pub(super) const KNOBS: &str = "arc";

/// The one protocol of these datasets.
const PROTOCOL: &str = "arc";

/// Most inputs.
const MOST_INPUTS: usize = 4096;

/// Largest step between two tasks: eight tasks then reach from agreement to its opposite, and no neighbours are strangers.
const LARGEST_STEP: f64 = 25.0;

/// Largest frequency of a wave; its square has to be a number.
const LARGEST_FREQUENCY: f64 = 1e3;

/// Least variance of a true function before it is made 1.
const LEAST_VARIANCE: f64 = 1e-6;

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireTaskArc,
) -> Result<Description, Diagnostic> {
    let knobs = &wire.arc;
    let mut names = document.keys_in_order(&path(&["tasks"]));
    names.truncate(num_tasks(
        document,
        &path(&[KNOBS, "num_tasks"]),
        knobs.num_tasks,
        (2, names.len()),
    )?);
    let (tasks, labels) = (knobs.labels()).validate(document, &names, &wire.tasks)?;
    check_shape(document, knobs)?;
    let config = TaskArcConfig {
        seed: wire.seed,
        rows: rows(document, &wire.rows)?,
        input_dim: knobs.input_dim,
        step_degrees: knobs.step_degrees,
        frequencies: knobs.frequencies.clone(),
        phases: knobs.phases.clone(),
        labels,
    };
    if config.variance() < LEAST_VARIANCE {
        let at = path(&[KNOBS, "frequencies"]);
        let message = format!("`{at}`: the waves leave nothing of the linear part");
        return Err(document
            .at_value(&at, message)
            .hint("use larger frequencies, or fewer"));
    }
    let source = Generated::TaskArc(config);
    let about = wire.about.as_deref();
    Ok(described(name, about, PROTOCOL, tasks, source))
}

fn check_shape(document: &Document, knobs: &WireArcShape) -> Result<(), Diagnostic> {
    let at = |key: &str| path(&[KNOBS, key]);
    if !(2..=MOST_INPUTS).contains(&knobs.input_dim) {
        let at = at("input_dim");
        let found = knobs.input_dim;
        let message = format!("`{at}`: expected 2 to {MOST_INPUTS} inputs, found {found}");
        return Err(document
            .at_value(&at, message)
            .hint("the arc lies in a plane of the inputs; try 32"));
    }
    let step = knobs.step_degrees;
    if !(step > 0.0 && step <= LARGEST_STEP) {
        let at = at("step_degrees");
        let message =
            format!("`{at}`: expected an angle above 0 and up to {LARGEST_STEP}, found {step}");
        return Err(document.at_value(&at, message).hint(
            "without waves the correlation of neighbours is the cosine of the step: .97 at 15 degrees, .91 at 25",
        ));
    }
    check_waves(document, KNOBS, &knobs.frequencies, &knobs.phases)?;
    let largest = knobs.frequencies.iter().map(|one| one.abs());
    if let Some(found) = largest.max_by(f64::total_cmp)
        && found > LARGEST_FREQUENCY
    {
        let at = at("frequencies");
        let message =
            format!("`{at}`: expected frequencies of at most {LARGEST_FREQUENCY}, found {found}");
        return Err(document
            .at_value(&at, message)
            .hint("what waves more than a few times over the inputs can't be learned"));
    }
    Ok(())
}

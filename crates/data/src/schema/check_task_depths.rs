//! Validation of descriptions of tasks at depths.

use super::check_generated::{described, num_tasks, rows};
use super::wire::{WireNetworkShape, WireTaskDepths};
use super::{Description, path};
use crate::generated::Generated;
use crate::task_depths::TaskDepthsConfig;
use homebench_diagnostic::{Diagnostic, Document};

/// The table of the knobs.
pub(super) const KNOBS: &str = "network";

/// The one protocol of these datasets.
const PROTOCOL: &str = "depths";

/// Most inputs, and most units of a layer: every row goes through the network.
const LARGEST_WIDTH: usize = 256;

/// The deepest task.
const DEEPEST: usize = 8;

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireTaskDepths,
) -> Result<Description, Diagnostic> {
    let knobs = &wire.network;
    let names = document.keys_in_order(&path(&["tasks"]));
    num_tasks(document, &path(&["tasks"]), None, (1, names.len()))?;
    let (tasks, labels) = (knobs.labels()).validate(document, &names, &wire.tasks)?;
    check_shape(document, knobs, names.len())?;
    let config = TaskDepthsConfig {
        seed: wire.seed,
        rows: rows(document, &wire.rows)?,
        input_dim: knobs.input_dim,
        hidden_dim: knobs.hidden_dim,
        depths: knobs.depths.clone(),
        labels,
    };
    let source = Generated::TaskDepths(config);
    let about = wire.about.as_deref();
    Ok(described(name, about, PROTOCOL, tasks, source))
}

fn check_shape(
    document: &Document,
    knobs: &WireNetworkShape,
    num_tasks: usize,
) -> Result<(), Diagnostic> {
    for (key, width) in [
        ("input_dim", knobs.input_dim),
        ("hidden_dim", knobs.hidden_dim),
    ] {
        if !(2..=LARGEST_WIDTH).contains(&width) {
            let at = path(&[KNOBS, key]);
            let message = format!("`{at}`: expected 2 to {LARGEST_WIDTH}, found {width}");
            return Err(document
                .at_value(&at, message)
                .hint("deep functions of many inputs need many rows; try 8"));
        }
    }
    let at = path(&[KNOBS, "depths"]);
    let found = knobs.depths.len();
    if found != num_tasks {
        let message =
            format!("`{at}`: expected one depth for each of {num_tasks} tasks, found {found}");
        return Err(document
            .at_value(&at, message)
            .hint("depths are in the order of the tasks"));
    }
    let is_depth = |depth: &usize| (1..=DEEPEST).contains(depth);
    if let Some(place) = knobs.depths.iter().position(|depth| !is_depth(depth)) {
        let at = at.join(place.to_string());
        let message = format!(
            "`{at}`: expected a depth from 1 to {DEEPEST}, found {}",
            knobs.depths[place]
        );
        return Err(document
            .at_value(&at, message)
            .hint("a task of depth 1 is linear in the inputs"));
    }
    Ok(())
}

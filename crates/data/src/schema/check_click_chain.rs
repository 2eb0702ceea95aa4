//! Validation of descriptions of a chain of tasks.

use super::check_generated::{Tasks, described, rows};
use super::wire_click_chain::{WireChainShape, WireClickChain};
use super::{Description, path};
use crate::TaskKind;
use crate::click_chain::{ChainTask, ClickChainConfig, vectors_of};
use crate::generated::Generated;
use homebench_diagnostic::{Diagnostic, Document};

/// The table of the knobs.
pub(super) const KNOBS: &str = "chain";

/// The one protocol of these datasets.
const PROTOCOL: &str = "chain";

/// Most inputs.
const MOST_INPUTS: usize = 4096;

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireClickChain,
) -> Result<Description, Diagnostic> {
    let names = document.keys_in_order(&path(&["tasks"]));
    if names.len() < 2 {
        let message = format!(
            "expected a chain of two tasks or more, found {}",
            names.len()
        );
        return Err(document
            .at_key(&path(&["tasks"]), message)
            .hint("describe them below [tasks], the first one first"));
    }
    let (mut tasks, mut chain) = (Tasks::default(), Vec::new());
    for (place, name) in names.iter().enumerate() {
        let task = &wire.tasks[name];
        tasks.add(document, name, &task.group, TaskKind::Classification)?;
        tasks.tasks[place].after = place.checked_sub(1);
        chain.push(ChainTask {
            name: name.clone(),
            rate: task.rate,
        });
    }
    set_rates(document, &wire.chain, &mut chain)?;
    check_shape(document, &wire.chain, chain.len())?;
    let config = ClickChainConfig {
        seed: wire.seed,
        rows: rows(document, &wire.rows)?,
        input_dim: wire.chain.input_dim,
        correlation: wire.chain.correlation,
        signal: wire.chain.signal,
        nonlinearity: wire.chain.nonlinearity,
        confounding: wire.chain.confounding,
        tasks: chain,
    };
    let source = Generated::ClickChain(config);
    let about = wire.about.as_deref();
    Ok(described(name, about, PROTOCOL, tasks, source))
}

/// Checks the rates of the tasks, the first of which a knob may give.
fn set_rates(
    document: &Document,
    knobs: &WireChainShape,
    tasks: &mut [ChainTask],
) -> Result<(), Diagnostic> {
    let knob = path(&[KNOBS, "first_rate"]);
    for (place, task) in tasks.iter_mut().enumerate() {
        let given = knobs.first_rate.filter(|_| place == 0);
        task.rate = given.unwrap_or(task.rate);
        if task.rate > 0.0 && task.rate < 1.0 {
            continue;
        }
        let at = match given {
            Some(_) => knob,
            None => path(&["tasks", &task.name, "rate"]),
        };
        let message = format!(
            "`{at}`: expected a rate between 0 and 1, found {}",
            task.rate
        );
        return Err(document.at_value(&at, message).hint(
            "it is the share of positive labels among the rows where the task before is positive",
        ));
    }
    Ok(())
}

fn check_shape(
    document: &Document,
    knobs: &WireChainShape,
    num_tasks: usize,
) -> Result<(), Diagnostic> {
    let at = |key: &str| path(&[KNOBS, key]);
    // Every task's function has directions that no other has.
    let fewest = vectors_of(num_tasks);
    if !(fewest..=MOST_INPUTS).contains(&knobs.input_dim) {
        let at = at("input_dim");
        let found = knobs.input_dim;
        let message = format!(
            "`{at}`: expected {fewest} to {MOST_INPUTS} inputs for {num_tasks} tasks, found {found}"
        );
        return Err(document
            .at_value(&at, message)
            .hint("each task needs three directions of the inputs; try 16"));
    }
    for (key, value, (least, largest)) in [
        ("correlation", knobs.correlation, (-1.0, 1.0)),
        ("signal", knobs.signal, (0.0, 20.0)),
        ("nonlinearity", knobs.nonlinearity, (0.0, 1.0)),
        ("confounding", knobs.confounding, (0.0, 20.0)),
    ] {
        if !(least..=largest).contains(&value) {
            let at = at(key);
            let message =
                format!("`{at}`: expected a number from {least} to {largest}, found {value}");
            return Err(document
                .at_value(&at, message)
                .hint("logits have the standard deviation `signal`, beside that of what no input tells, `confounding`"));
        }
    }
    Ok(())
}

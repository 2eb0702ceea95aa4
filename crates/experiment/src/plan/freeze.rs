//! The second phase: the trial of each variant that won on validation, frozen before a final cell is trained.

use super::cells::{Arm, Plan};
use super::reuse::{Reuse, reuse};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::{Outcome, ResultsFolder, Status, TriedSettings, Winner, Winners};

/// Makes the winners of the file those of the plan.
///
/// # Errors
/// A winner that was chosen from other trials than the plan has.
pub fn take_winners(
    plan: &mut Plan,
    winners: &Winners,
    results: &ResultsFolder,
) -> Result<(), Diagnostic> {
    for arm in plan.arms.iter_mut().filter(|arm| arm.is_tuned()) {
        let Some(winner) = winners.of(&arm.variant, arm.split_seed) else {
            continue;
        };
        if !is_of(winner, arm) {
            let message = format!(
                "the winner of `{}` was chosen from other trials than this experiment has: the search, its seeds, the data or the numerics changed",
                arm.label()
            );
            return Err(
                Diagnostic::new(results.winners().display().to_string(), message).hint(
                    "keep it and give another folder with `--out DIR`, or tune again with `--fresh`",
                ),
            );
        }
        arm.freeze(winner.trial);
    }
    Ok(())
}

fn is_of(winner: &Winner, arm: &Arm) -> bool {
    let ids = |trial: &TriedSettings| trial.cells.clone();
    // By ids, which change with the settings of a trial, its seeds, the data and the numerics.
    let frozen: Vec<Vec<String>> = winner.trials.iter().map(ids).collect();
    let planned = arm.trials.iter().map(|cells| {
        let ids = cells.iter().map(|cell| cell.id.clone());
        ids.collect::<Vec<String>>()
    });
    frozen == planned.collect::<Vec<_>>()
}

/// Freezes the winner of every arm whose trials have all ended by themselves, and writes what is new to `winners.toml`. An arm whose trials
/// all failed has no winner, and is tried again by the next run.
///
/// # Errors
/// The file can't be written.
pub fn freeze(plan: &mut Plan, winners: &mut Winners, results: &ResultsFolder) -> Result<()> {
    let mut is_changed = false;
    for arm in plan.arms.iter_mut() {
        // Chosen once: whoever has seen test scores could otherwise have another chosen.
        if !arm.is_tuned() || arm.winner.is_some() {
            continue;
        }
        let Some(trials) = scores(arm, results) else {
            continue;
        };
        if let Some(trial) = Winner::best(&trials) {
            arm.freeze(trial);
            winners.winners.push(Winner {
                variant: arm.variant.clone(),
                split_seed: arm.split_seed,
                trial,
                validation_score: trials[trial - 1].validation_score.unwrap_or(f64::NAN),
                trials,
            });
            is_changed = true;
        }
    }
    // In the order of the plan, whichever arm was tuned first: the file's bytes are compared.
    if is_changed {
        let place = |winner: &Winner| {
            let mut arms = plan.arms.iter();
            arms.position(|arm| arm.belongs_to(&winner.variant, winner.split_seed))
        };
        winners
            .winners
            .sort_by_key(|winner| place(winner).unwrap_or(usize::MAX));
        winners.write(results)?;
    }
    Ok(())
}

/// Every trial with its score; absent while one has not ended.
fn scores(arm: &Arm, results: &ResultsFolder) -> Option<Vec<TriedSettings>> {
    let mut trials = Vec::with_capacity(arm.trials.len());
    for (index, cells) in arm.trials.iter().enumerate() {
        let mut scores = Vec::with_capacity(cells.len());
        for cell in cells {
            match reuse(&results.cell(&cell.id), cell) {
                Reuse::Done(outcome) => scores.push(score(&outcome)),
                // Killed from outside, it says nothing of the trial, and the next run tries it again.
                Reuse::Failed(outcome) if outcome.may_end_otherwise => return None,
                Reuse::Failed(_) => scores.push(None),
                Reuse::Missing | Reuse::Refused(_) => return None,
            }
        }
        let all: Option<Vec<f64>> = scores.into_iter().collect();
        trials.push(TriedSettings {
            validation_score: all.map(|all| all.iter().sum::<f64>() / all.len() as f64),
            cells: cells.iter().map(|cell| cell.id.clone()).collect(),
            settings: arm.trial_values(index + 1).into_iter().collect(),
        });
    }
    Some(trials)
}

fn score(outcome: &Outcome) -> Option<f64> {
    let is_done = outcome.status == Status::Done;
    let score = outcome
        .result
        .as_ref()
        .filter(|_| is_done)?
        .validation_score;
    // A comparison with NaN is false both ways, so where it stood would decide.
    (!score.is_nan()).then_some(score)
}

/// Why an arm has no final cells: every trial failed. The reason of the first.
pub fn failure_of_all(arm: &Arm, results: &ResultsFolder) -> Option<String> {
    if !arm.is_tuned() || arm.winner.is_some() {
        return None;
    }
    let mut first = None;
    for cells in &arm.trials {
        let mut failed = None;
        for cell in cells {
            match reuse(&results.cell(&cell.id), cell) {
                Reuse::Failed(outcome) if outcome.may_end_otherwise => return None,
                Reuse::Failed(outcome) => failed = failed.or(outcome.error),
                Reuse::Done(_) => {}
                Reuse::Missing | Reuse::Refused(_) => return None,
            }
        }
        first = first.or(failed);
    }
    let reason = first.unwrap_or_else(|| "no reason".to_owned());
    Some(format!("every trial failed, the first with: {reason}"))
}

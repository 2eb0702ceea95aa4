//! The second phase: the trial of each variant that won on validation, frozen before a final cell is trained.

use super::arm::Arm;
use super::cells::Plan;
use super::planned_cell::PlannedCell;
use super::reuse::{Reuse, reuse};
use super::search::{Configure, Ends, score_of};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::{ResultsFolder, TriedSettings, Winner, Winners};

/// Makes the winners of the file those of the plan.
///
/// # Errors
/// A winner that was chosen from other trials than the plan has.
pub fn take_winners(
    plan: &mut Plan,
    winners: &Winners,
    results: &ResultsFolder,
    configure: &Configure<'_>,
) -> Result<(), Diagnostic> {
    for index in plan.in_order() {
        let arm = &mut plan.arms[index];
        let Some(winner) = winners.of(&arm.variant, arm.split_seed) else {
            continue;
        };
        if !arm.is_tuned() {
            continue;
        }
        // By ids, which change with the settings of a trial, its seeds, the data and the numerics.
        if !arm.adopt(winner, configure) {
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
        plan.settle();
    }
    Ok(())
}

/// Freezes the winner of every arm whose trials have all ended by themselves, and writes what is new to `winners.toml`. An arm whose trials
/// all failed has no winner, and is tried again by the next run. Whether cells are known by that which start from those of a winner.
///
/// # Errors
/// The file can't be written.
pub fn freeze(plan: &mut Plan, winners: &mut Winners, results: &ResultsFolder) -> Result<bool> {
    let mut is_changed = false;
    for arm in plan.arms.iter_mut() {
        // Chosen once: whoever has seen test scores could otherwise have another chosen.
        if !arm.is_tuned() || arm.winner.is_some() {
            continue;
        }
        let ends = |cell: &PlannedCell| reuse(&results.cell(&cell.id), cell);
        let Some(trials) = scores(arm, &ends) else {
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
    Ok(is_changed && plan.settle())
}

/// Every trial with its score; absent while one has not ended, or where others are to come.
fn scores(arm: &Arm, ends: &Ends<'_>) -> Option<Vec<TriedSettings>> {
    let mut trials = Vec::with_capacity(arm.trials.len());
    for (index, cells) in arm.trials.iter().enumerate() {
        trials.push(TriedSettings {
            validation_score: score_of(cells, ends)?,
            cells: cells.iter().map(|cell| cell.id.clone()).collect(),
            settings: arm.trial_values(index + 1).into_iter().collect(),
        });
    }
    arm.is_searched(ends).then_some(trials)
}

/// Why an arm has no final cells: every trial failed, or every one of the arm that it starts from. The reason of the first.
pub fn failure_of_all(plan: &Plan, arm: &Arm, results: &ResultsFolder) -> Option<String> {
    if !arm.is_tuned() || arm.winner.is_some() {
        return None;
    }
    if let Some(parent) = plan.parent_of(arm)
        && let Some(why) = failure_of_all(plan, parent, results)
    {
        let does = match arm.made_of.start.distill {
            Some(_) => "learns",
            None => "starts",
        };
        let parent = parent.label();
        return Some(format!(
            "`{parent}`, which it {does} from, has no winner: {why}"
        ));
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

//! What of a plan has ended, now or in an earlier run.

use homebench_experiment::plan::{Plan, PlannedCell, Reuse, failure_of_all, reuse};
use homebench_results::{MergedCell, Outcome, ResultsFolder};

/// Every cell that ended with its label, in the order of the plan. Where every trial of a variant failed, its final cells count as
/// failed too.
pub fn ended_cells(plan: &Plan, results: &ResultsFolder) -> Vec<(String, MergedCell)> {
    let ended = |cell: &PlannedCell, winner| match reuse(&results.cell(&cell.id), cell) {
        Reuse::Done(outcome) | Reuse::Failed(outcome) => {
            Some((cell.label(), cell.merged(outcome, winner)))
        }
        Reuse::Missing | Reuse::Refused(_) => None,
    };
    let mut all = Vec::new();
    for arm in &plan.arms {
        let trials = arm.trials.iter().flatten();
        all.extend(trials.filter_map(|cell| ended(cell, arm.winner)));
    }
    // After the trials of all: the order of tables is that of the plan.
    for arm in &plan.arms {
        if let Some(why) = failure_of_all(arm, results) {
            let failed = |cell: &PlannedCell| {
                let outcome = Outcome::failed(&cell.id, why.clone(), 0);
                (cell.label(), cell.merged(outcome, None))
            };
            all.extend(arm.stand_ins().iter().map(failed));
        }
        all.extend(arm.finals.iter().filter_map(|cell| ended(cell, None)));
    }
    all
}

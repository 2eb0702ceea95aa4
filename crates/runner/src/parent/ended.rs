//! What of a plan has ended, now or in an earlier run.

use anyhow::Result;
use homebench_data::Schema;
use homebench_experiment::plan::{
    Plan, PlannedCell, Reuse, failure_of_all, model_parts, reuse_all,
};
use homebench_results::tables::ModelPartsRow;
use homebench_results::{MergedCell, Outcome, ResultsFolder};
use std::collections::BTreeSet;

/// Every cell that ended with its label, in the order of the plan. Where every trial of a variant failed, its final cells count as
/// failed too.
pub fn ended_cells(plan: &Plan, results: &ResultsFolder) -> Vec<(String, MergedCell)> {
    let ended = |cells: Vec<&PlannedCell>, winner| {
        let there = reuse_all(results, &cells);
        let ended = cells
            .into_iter()
            .zip(there)
            .filter_map(move |(cell, there)| match there {
                Reuse::Done(outcome) | Reuse::Failed(outcome) => {
                    Some((cell.label(), cell.merged(outcome, winner)))
                }
                Reuse::Missing | Reuse::Refused(_) => None,
            });
        ended.collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for arm in &plan.arms {
        all.extend(ended(arm.trial_cells().collect(), arm.winner));
    }
    // After the trials of all: the order of tables is that of the plan.
    for arm in &plan.arms {
        if let Some(why) = failure_of_all(plan, arm, results) {
            let failed = |cell: &PlannedCell| {
                let outcome = Outcome::failed(&cell.id, why.clone(), 0);
                (cell.label(), cell.merged(outcome, None))
            };
            all.extend(arm.stand_ins().iter().map(failed));
        }
        all.extend(ended(arm.finals.iter().collect(), None));
    }
    all
}

/// The parts of the models of every variant's final cells. Where splits have winners of their own, a variant has the parts of them all.
///
/// # Errors
/// A model that can't be built any more.
pub fn parts_of_finals(plan: &Plan, schema: &Schema) -> Result<Vec<ModelPartsRow>> {
    // A variant's seeds have one model, which is built once.
    let mut built = BTreeSet::new();
    let mut known = BTreeSet::new();
    let mut rows = Vec::new();
    for cell in plan.arms.iter().flat_map(|arm| &arm.finals) {
        let content = &cell.content;
        if !built.insert((&content.variant, content.model.knobs.to_string())) {
            continue;
        }
        for row in model_parts(content, schema)? {
            if known.insert((row.variant.clone(), row.path.clone())) {
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

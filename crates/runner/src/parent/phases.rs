//! The phases of an experiment: every trial on validation, the winners for good, then fresh seeds and test once.

use super::cell_runs::Finished;
use crate::execute::LostFolder;
use crate::output::note;
use crate::provenance::Provenance;
use anyhow::Result;
use homebench_experiment::plan::{
    Arm, Configure, Ends, Plan, PlannedCell, Reuse, Selection, freeze, reuse, reuse_all,
};
use homebench_results::{
    Outcome, ResultsFolder, WEIGHTS, Winners, refuse_link_above, remove, set_aside,
};
use std::collections::BTreeSet;
use std::path::Path;

/// An experiment that may write into its folder.
pub struct Phases<'a> {
    /// Its cells; winners are frozen in it.
    pub plan: &'a mut Plan,
    /// Which of them are asked for.
    pub selection: &'a Selection,
    /// The winners so far.
    pub winners: Winners,
    /// Where everything is written.
    pub results: &'a ResultsFolder,
    /// Whether cells that are done are run again.
    pub fresh: bool,
    /// Makes the trials that a search suggests.
    pub configure: &'a Configure<'a>,
    /// Cells that were looked at in this run: none is run twice.
    pub seen: BTreeSet<String>,
}

/// Runs cells of a plan.
type RunCells<'a> = dyn FnMut(&Plan, &[&PlannedCell]) -> Result<Finished> + 'a;

/// Which cells of the plan a phase runs, each behind what it starts from.
type Select = for<'a, 'b> fn(&'a Plan, &'b Selection) -> Vec<&'a PlannedCell>;

impl Phases<'_> {
    /// Runs what is missing of each phase, and keeps in `provenance` what this run set out on.
    ///
    /// # Errors
    /// What would end every cell; a file that can't be written.
    pub fn run(
        &mut self,
        provenance: &mut Provenance,
        run_cells: &mut RunCells<'_>,
    ) -> Result<Finished> {
        let ends = |cell: &PlannedCell| reuse(&self.results.cell(&cell.id), cell);
        // Begun anew, a search decides by what it comes to now.
        if !self.fresh {
            self.plan.advance_all(&ends, self.configure)?;
        }
        loop {
            let finished = self.run_phase(Plan::trials_asked, provenance, run_cells)?;
            if finished != Finished::All {
                return Ok(finished);
            }
            let mut is_new = self.plan.advance(&ends, self.configure)?;
            if self.plan.has_starts() {
                // Trials that start from those of a winner are known from here on.
                is_new |= freeze(self.plan, &mut self.winners, self.results)?;
            }
            self.remove_checkpoints(&ends)?;
            if !is_new {
                break;
            }
        }
        // Frozen before a final cell is trained: nothing that is seen of the test split can choose a trial.
        freeze(self.plan, &mut self.winners, self.results)?;
        self.remove_checkpoints(&ends)?;
        let finished = self.run_phase(Plan::finals_asked, provenance, run_cells)?;
        if finished == Finished::All {
            provenance.complete(self.results)?;
        }
        Ok(finished)
    }

    /// Runs what is missing of the selected cells, each once.
    fn run_phase(
        &mut self,
        select: Select,
        provenance: &mut Provenance,
        run_cells: &mut RunCells<'_>,
    ) -> Result<Finished> {
        let selected = select(self.plan, self.selection);
        let is_new = |cell: &&PlannedCell| !self.seen.contains(&cell.id);
        let selected: Vec<&PlannedCell> = selected.into_iter().filter(is_new).collect();
        let missing = self.missing(&selected);
        if !missing.is_empty() || !self.results.provenance().exists() {
            let ids = missing.iter().map(|cell| cell.id.clone());
            // Before the first of them: a kill leaves no cell that no run owns to.
            provenance.set_out(ids, self.results)?;
        }
        let finished = run_cells(self.plan, &missing);
        if !matches!(finished, Ok(Finished::All)) {
            let is_lost = |error: &anyhow::Error| error.downcast_ref::<LostFolder>().is_some();
            if !finished.as_ref().is_err_and(is_lost) {
                provenance.complete(self.results)?;
            }
        }
        self.seen
            .extend(selected.into_iter().map(|cell| cell.id.clone()));
        finished
    }

    /// Removes the checkpoints that cells on rungs have left and that no other cell goes on from.
    fn remove_checkpoints(&self, ends: &Ends<'_>) -> Result<()> {
        let kept = self.plan.gone_on_from(ends);
        let kept: BTreeSet<&str> = kept.iter().map(|cell| cell.id.as_str()).collect();
        let trials = self.plan.arms.iter().flat_map(Arm::trial_cells);
        let on_rungs =
            trials.filter(|cell| cell.rung.is_some() && !kept.contains(cell.id.as_str()));
        for cell in on_rungs {
            // Of one that was interrupted or killed it is its own.
            let checkpoint = self.results.cell(&cell.id).checkpoint();
            if ends(cell).has_ended() && checkpoint.exists() {
                let inside = Path::new("cells").join(&cell.id).join("checkpoint");
                refuse_link_above(self.results.path(), &inside)?;
                remove(&checkpoint)?;
            }
        }
        Ok(())
    }

    /// The selected cells that have to run, said where it is no matter of course.
    fn missing<'a>(&self, selected: &[&'a PlannedCell]) -> Vec<&'a PlannedCell> {
        let winner = |cell: &PlannedCell| {
            let is_its = |arm: &&Arm| arm.belongs_to(&cell.content.variant, cell.split_seed);
            let arm = self.plan.arms.iter().find(is_its);
            cell.trial.and(arm.and_then(|arm| arm.winner))
        };
        let is_frozen = |cell: &PlannedCell| winner(cell).is_some();
        // A trial from before anything started from its weights. Of those that did not win nobody will.
        let lacks_weights = |cell: &PlannedCell, outcome: &Outcome| {
            let may_be_parent =
                cell.keeps_weights && (!is_frozen(cell) || winner(cell) == cell.trial);
            may_be_parent && !outcome.files.contains_key(WEIGHTS)
        };
        if self.fresh {
            return selected.to_vec();
        }
        let needs_run = |cell: &PlannedCell, there: Reuse| {
            match there {
                Reuse::Done(outcome) if lacks_weights(cell, &outcome) => {
                    note!(
                        "{}: others start from its weights, which it did not keep",
                        cell.label()
                    );
                }
                Reuse::Done(_) => return false,
                Reuse::Missing => {}
                // It counted as worst, and the winner stays what it is.
                Reuse::Failed(_) if is_frozen(cell) => return false,
                Reuse::Failed(_) => note!("{}: failed before, trying again", cell.label()),
                Reuse::Refused(why) => note!("{}: not reused, {why}", cell.label()),
            }
            true
        };
        let there = reuse_all(self.results, selected);
        let missing = selected.iter().zip(there);
        let missing = missing.filter_map(|(cell, there)| needs_run(cell, there).then_some(*cell));
        let missing: Vec<_> = missing.collect();
        let reused = selected.len() - missing.len();
        if reused > 0 {
            let what = match selected[0].trial {
                Some(_) => "trials",
                None => "cells",
            };
            note!("{reused} of {} {what} are done already", selected.len());
        }
        missing
    }
}

/// The winners that were frozen before; without those of the selected variants where these are to be chosen anew.
///
/// # Errors
/// A file of winners that was altered, or can't be written.
pub fn frozen_winners(
    plan: &Plan,
    selection: &Selection,
    results: &ResultsFolder,
    fresh: bool,
) -> Result<Winners> {
    if !fresh {
        return Ok(Winners::read(results)?);
    }
    let mut winners = match Winners::read(results) {
        Ok(winners) => winners,
        Err(said) => {
            let aside = set_aside(results.path(), Path::new("winners.toml"), "damaged")?;
            let said = said.without_hint();
            note!("{said}; kept as {}, tuned anew", aside.display());
            Winners::default()
        }
    };
    winners.winners.retain(|winner| {
        let is_its = |arm: &&Arm| arm.belongs_to(&winner.variant, winner.split_seed);
        let arm = plan.arms.iter().find(is_its);
        arm.is_some_and(|arm| plan.trials_asked_of(arm, selection).is_empty())
    });
    winners.write(results)?;
    Ok(winners)
}

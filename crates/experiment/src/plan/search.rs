//! How the trials of an arm go on once those that it has have ended: successive halving promotes the best to the next rung, TPE adds a
//! generation.
//!
//! A decision is made where every trial that it depends on has ended, from sealed outcomes alone. So it is the same for any number of
//! jobs and after any interruption, and a plan that is made anew comes to the same trials from what is in the folder.

use super::arm::Arm;
use super::cells::Plan;
use super::planned_cell::{PlannedCell, Rung};
use super::reuse::Reuse;
use crate::spec::{Chosen, Configured, Method, Observed, suggest};
use homebench_diagnostic::Diagnostic;
use homebench_results::{Outcome, Status, Winner};
use std::cmp::Ordering;

/// What became of a cell.
pub type Ends<'a> = dyn Fn(&PlannedCell) -> Reuse + 'a;

/// Makes the trial of a variant that sets these values.
pub type Configure<'a> = dyn Fn(&str, Vec<Chosen>) -> Result<Configured, Diagnostic> + 'a;

impl Plan {
    /// Goes on with the search of every arm whose trials have ended as far as its next decision asks. Whether there is anything new.
    ///
    /// # Errors
    /// A suggestion that makes no model or no training.
    pub fn advance(
        &mut self,
        ends: &Ends<'_>,
        configure: &Configure<'_>,
    ) -> Result<bool, Diagnostic> {
        let mut is_new = false;
        for arm in &mut self.arms {
            is_new |= arm.advance(ends, configure)?;
        }
        Ok(is_new)
    }

    /// Goes on as far as what has ended leads.
    ///
    /// # Errors
    /// As of [`Self::advance`].
    pub fn advance_all(
        &mut self,
        ends: &Ends<'_>,
        configure: &Configure<'_>,
    ) -> Result<(), Diagnostic> {
        while self.advance(ends, configure)? {}
        Ok(())
    }

    /// Cells whose checkpoint another one goes on from, or may yet: of every other trial that has ended it is of no use.
    pub fn gone_on_from(&self, ends: &Ends<'_>) -> Vec<&PlannedCell> {
        let arms = self.arms.iter().filter(|arm| arm.winner.is_none());
        arms.flat_map(|arm| arm.gone_on_from(ends)).collect()
    }
}

/// Trials whose cells are known once others have ended; each has one for every seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToCome {
    /// How many.
    pub count: usize,
    /// What each of their cells trains.
    pub epochs: usize,
    /// What they are: `rung-2`, `tpe`.
    pub phase: String,
    /// What they wait for: `after-rung-1`, `after-trial-10`.
    pub state: String,
}

/// What comes next in a search.
enum Next {
    /// These trials, from 0, go to the next rung.
    Promoted(Vec<usize>),
    /// So many trials are added.
    Suggested(usize),
}

impl Arm {
    /// Every cell of its trials that is known: by trial, by rung, by seed.
    pub fn trial_cells(&self) -> impl Iterator<Item = &PlannedCell> {
        let trials = self.passed.iter().zip(&self.trials);
        trials.flat_map(|(passed, last)| passed.iter().chain(last))
    }

    /// Trials whose cells are known once others have ended.
    pub fn trials_to_come(&self) -> Vec<ToCome> {
        if self.winner.is_some() {
            return Vec::new();
        }
        match self.method() {
            Some(Method::SuccessiveHalving(halving)) => {
                let rungs = self.rungs().len();
                let first = self.rung() + 1;
                let to_come = |rung: usize| ToCome {
                    count: halving.kept(self.trials.len(), rung),
                    epochs: self.rungs()[rung] - self.rungs()[rung - 1],
                    phase: format!("rung-{}", rung + 1),
                    state: format!("after-rung-{rung}"),
                };
                (first..rungs).map(to_come).collect()
            }
            Some(Method::Tpe(_)) => match self.num_trials().saturating_sub(self.trials.len()) {
                0 => Vec::new(),
                count => vec![ToCome {
                    count,
                    epochs: self.trials[0][0].own_epochs(),
                    phase: "tpe".to_owned(),
                    state: format!("after-trial-{}", self.trials.len()),
                }],
            },
            _ => Vec::new(),
        }
    }

    fn advance(&mut self, ends: &Ends<'_>, configure: &Configure<'_>) -> Result<bool, Diagnostic> {
        match self.next(ends) {
            None => return Ok(false),
            Some(Next::Promoted(trials)) => {
                trials.into_iter().for_each(|trial| self.promote(trial))
            }
            Some(Next::Suggested(count)) => self.add_suggested(count, ends, configure)?,
        }
        Ok(true)
    }

    /// Whether its trials are all that there will be.
    pub(super) fn is_searched(&self, ends: &Ends<'_>) -> bool {
        self.next(ends).is_none()
    }

    fn next(&self, ends: &Ends<'_>) -> Option<Next> {
        if self.winner.is_some() {
            return None;
        }
        match self.method()? {
            Method::SuccessiveHalving(halving) => {
                let rung = self.rung();
                let next = rung + 1;
                if next >= self.rungs().len() {
                    return None;
                }
                let on_it = (0..self.trials.len()).filter(|trial| self.rung_of(*trial) == rung);
                // Until all of them have ended.
                let scores: Option<Vec<(usize, Option<f64>)>> = on_it
                    .map(|trial| Some((trial, score_of(&self.trials[trial], ends)?)))
                    .collect();
                let best = best(scores?, halving.kept(self.trials.len(), next));
                // Where all failed there is nobody to promote.
                (!best.is_empty()).then_some(Next::Promoted(best))
            }
            Method::Tpe(tpe) => {
                let left = self.num_trials().checked_sub(self.trials.len())?;
                let mut trials = self.trials.iter();
                let have_ended = trials.all(|cells| score_of(cells, ends).is_some());
                (left > 0 && have_ended).then_some(Next::Suggested(tpe.generation_size.min(left)))
            }
            Method::Random | Method::Grid => None,
        }
    }

    /// The rung, from 0, of a trial, from 0.
    fn rung_of(&self, trial: usize) -> usize {
        self.passed[trial].len() / self.trials[trial].len().max(1)
    }

    /// The highest rung that a trial is on.
    fn rung(&self) -> usize {
        (0..self.trials.len())
            .map(|trial| self.rung_of(trial))
            .max()
            .unwrap_or(0)
    }

    fn promote(&mut self, trial: usize) {
        let next = self.cells_on_rung(trial, self.rung_of(trial) + 1);
        let mut last = std::mem::replace(&mut self.trials[trial], next);
        for cell in &mut last {
            cell.is_passed = true;
        }
        self.passed[trial].extend(last);
    }

    /// The cells of a trial, from 0, on a rung, from 0; on the only one where nothing is halved.
    pub(super) fn cells_on_rung(&self, trial: usize, rung: usize) -> Vec<PlannedCell> {
        let cells = self.plain_cells(trial);
        let rungs = self.rungs();
        if rungs.len() < 2 {
            return cells;
        }
        // The last one has no mark: it is the training that a trial of another method has, with its id.
        let marked = |cell: &PlannedCell, rung: usize| {
            let mut content = cell.content.clone();
            content.last_epoch = (rung + 1 < rungs.len()).then_some(rungs[rung]);
            content
        };
        let cells = cells.into_iter().map(|cell| {
            let content = marked(&cell, rung);
            let before = rung.checked_sub(1);
            PlannedCell {
                id: content.id(),
                rung: Some(Rung {
                    number: rung + 1,
                    epochs: rungs[rung],
                    before: before.map(|before| (marked(&cell, before).id(), rungs[before])),
                }),
                content,
                ..cell
            }
        });
        cells.collect()
    }

    fn add_suggested(
        &mut self,
        count: usize,
        ends: &Ends<'_>,
        configure: &Configure<'_>,
    ) -> Result<(), Diagnostic> {
        let observed = |trial: usize| Observed {
            chosen: self.trial_settings(trial),
            score: score_of(&self.trials[trial], ends).flatten(),
        };
        let mut observed: Vec<Observed> = (0..self.trials.len()).map(observed).collect();
        let num_ended = observed.len();
        for _ in 0..count {
            let variant = self.variant.clone();
            let (configured, chosen) = suggest(self.space(), &observed, num_ended, |chosen| {
                configure(&variant, chosen)
            })?;
            observed.push(Observed {
                chosen,
                score: None,
            });
            self.add_trial(configured);
        }
        Ok(())
    }

    /// Takes over what a folder has of trials that nobody knew when the plan was made. `is_there` tells the cells that it has.
    pub(super) fn take_over(
        &mut self,
        winner: Option<&Winner>,
        is_there: &dyn Fn(&PlannedCell) -> bool,
        ends: &Ends<'_>,
        configure: &Configure<'_>,
    ) -> Result<(), Diagnostic> {
        match (self.method(), winner) {
            (Some(Method::SuccessiveHalving(_)), _) => {
                for trial in 0..self.trials.len() {
                    while self.rung_of(trial) + 1 < self.rungs().len() {
                        let next = self.cells_on_rung(trial, self.rung_of(trial) + 1);
                        if !next.iter().any(is_there) {
                            break;
                        }
                        self.promote(trial);
                    }
                }
            }
            (Some(Method::Tpe(_)), Some(winner)) => drop(self.add_tried(winner, configure)),
            (Some(Method::Tpe(_)), None) => while self.advance(ends, configure)? {},
            _ => {}
        }
        Ok(())
    }

    /// Adds the trials of a winner that a search had suggested; whether they all are trials of this one.
    fn add_tried(&mut self, winner: &Winner, configure: &Configure<'_>) -> bool {
        for tried in winner.trials.iter().skip(self.trials.len()) {
            let chosen = self.space().chosen(&tried.settings);
            let configured = chosen.and_then(|chosen| configure(&self.variant, chosen).ok());
            let Some(configured) = configured else {
                return false;
            };
            self.add_trial(configured);
        }
        true
    }

    fn gone_on_from(&self, ends: &Ends<'_>) -> Vec<&PlannedCell> {
        let rung = self.rung();
        let mut kept = Vec::new();
        for trial in 0..self.trials.len() {
            let may_go_on = self.rung_of(trial) == rung && rung + 1 < self.rungs().len();
            let passed = &self.passed[trial];
            let last = &self.trials[trial];
            kept.extend(last.iter().filter(|_| may_go_on));
            let one_before = &passed[passed.len().saturating_sub(last.len())..];
            let pairs = one_before.iter().zip(last);
            let open = pairs.filter(|(_, last)| !ends(last).has_ended());
            kept.extend(open.map(|(before, _)| before));
        }
        kept
    }

    /// Makes the trials of a frozen winner those of the arm. Whether it was chosen from trials that this search could have had.
    pub(super) fn adopt(&mut self, winner: &Winner, configure: &Configure<'_>) -> bool {
        let ids = |cells: &[PlannedCell]| -> Vec<String> {
            cells.iter().map(|cell| cell.id.clone()).collect()
        };
        if matches!(self.method(), Some(Method::Tpe(_))) && !self.add_tried(winner, configure) {
            return false;
        }
        if winner.trials.len() != self.trials.len() {
            return false;
        }
        for (trial, tried) in winner.trials.iter().enumerate() {
            let mut rungs = 0..self.rungs().len().max(1);
            let Some(rung) =
                rungs.find(|rung| ids(&self.cells_on_rung(trial, *rung)) == tried.cells)
            else {
                return false;
            };
            while self.rung_of(trial) < rung {
                self.promote(trial);
            }
        }
        true
    }
}

/// The best by score, the earlier of equals first; one without a score is none.
fn best(scores: Vec<(usize, Option<f64>)>, count: usize) -> Vec<usize> {
    let scored = scores.into_iter();
    let mut scored: Vec<(usize, f64)> = scored.filter_map(|(trial, s)| Some((trial, s?))).collect();
    scored.sort_by(|a, b| {
        let by_score = b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal);
        by_score.then(a.0.cmp(&b.0))
    });
    scored.truncate(count);
    let mut trials: Vec<usize> = scored.into_iter().map(|(trial, _)| trial).collect();
    trials.sort_unstable();
    trials
}

/// The mean score of a trial over its seeds, nothing in it where one failed; absent while one has not ended.
pub(super) fn score_of(cells: &[PlannedCell], ends: &Ends<'_>) -> Option<Option<f64>> {
    let mut scores = Vec::with_capacity(cells.len());
    for cell in cells {
        match ends(cell) {
            Reuse::Done(outcome) => scores.push(score(&outcome)),
            // Killed from outside, it says nothing of the trial, and the next run tries it again.
            Reuse::Failed(outcome) if outcome.may_end_otherwise => return None,
            Reuse::Failed(_) => scores.push(None),
            Reuse::Missing | Reuse::Refused(_) => return None,
        }
    }
    let all: Option<Vec<f64>> = scores.into_iter().collect();
    Some(all.map(|all| all.iter().sum::<f64>() / all.len() as f64))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_of_equal_ones_the_earlier() {
        let scores = |all: &[Option<f64>]| all.iter().copied().enumerate().collect::<Vec<_>>();
        let all = scores(&[
            Some(0.5),
            None,
            Some(0.75),
            Some(0.5),
            Some(f64::NEG_INFINITY),
        ]);
        assert_eq!(best(all.clone(), 2), [0, 2]);
        assert_eq!(best(all.clone(), 3), [0, 2, 3]);
        // No more than there are: a trial that failed is never promoted.
        assert_eq!(best(all, 5), [0, 2, 3, 4]);
        assert!(best(scores(&[None, None]), 1).is_empty());
    }
}

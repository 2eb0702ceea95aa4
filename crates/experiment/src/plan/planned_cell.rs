//! A cell of a plan: what it trains, and what it is called.

use crate::spec::CellContent;
use homebench_model::{PROGRAM, PROGRAM_SCRIPTS};
use homebench_results::{MergedCell, Outcome, TrialPlace};
use std::fmt;
use std::sync::Arc;

/// A cell to be.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCell {
    /// Hash of the content.
    pub id: String,
    /// Everything that decides its numbers.
    pub content: CellContent,
    /// Number of the trial, from 1, where it is one.
    pub trial: Option<usize>,
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
    /// What a grid, random draws or tuning set.
    pub settings: Vec<(String, String)>,
    /// Its rung, where trials are halved.
    pub rung: Option<Rung>,
    /// The cell whose weights it starts from or from whose features it learns, where there is one and that is known.
    pub parent: Option<Arc<PlannedCell>>,
    /// Whether others start from its weights or learn from it, so that these are kept although it is a trial.
    pub keeps_weights: bool,
    /// Whether its trial has gone on to another rung.
    pub(super) is_passed: bool,
    pub(super) shown: Shown,
    /// Whether its experts' widths are solved for a budget.
    pub(super) is_solved: bool,
}

/// A rung of successive halving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// From 1.
    pub number: usize,
    /// Epochs from the beginning of training to its end.
    pub epochs: usize,
    /// The cell that it goes on from, by its id, and the epochs at whose end that is.
    pub before: Option<(String, usize)>,
}

/// What tells the data of cells apart in their labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Shown {
    /// Knobs of the data, where they are swept.
    pub(super) knobs: Option<String>,
    /// Of the split, where there are several.
    pub(super) split: Option<u64>,
}

impl PlannedCell {
    /// The cell of this content, without what a plan knows of its place.
    pub fn new(content: CellContent) -> Self {
        Self {
            id: content.id(),
            trial: None,
            split_seed: content.dataset.split_seed,
            settings: Vec::new(),
            rung: None,
            parent: None,
            keeps_weights: false,
            is_passed: false,
            shown: Shown {
                knobs: Some(content.dataset.knobs_in_name()).filter(|knobs| !knobs.is_empty()),
                // Whether there are other splits is not known here, so it is always told.
                split: content.dataset.split_seed,
            },
            is_solved: false,
            content,
        }
    }

    /// What a user calls it: `variant/seed`, `variant/trial-3/seed` of a trial, with the data's knobs and the split before that
    /// where there are several.
    pub fn label(&self) -> String {
        format!("{}/{}", self.label_of_all_seeds(), self.content.seed)
    }

    /// The label of the whole training that it is a part of: cells of one trial on several rungs have it in common.
    pub fn training_label(&self) -> String {
        let whole = Self {
            rung: None,
            ..self.clone()
        };
        whole.label()
    }

    /// Whether it starts from a cell that is not known yet: the winner of that one's variant is to come.
    pub fn awaits_parent(&self) -> bool {
        self.content.parent_cell().is_some() && self.parent.is_none()
    }

    /// Cells that have to be done before it, from the first on.
    pub fn ancestors(&self) -> Vec<&Self> {
        let mut chain = Vec::new();
        let mut next = self.parent.as_deref();
        while let Some(parent) = next {
            chain.push(parent);
            next = parent.parent.as_deref();
        }
        chain.reverse();
        chain
    }

    /// Epochs that it trains, of those that its settings allow, where early stopping doesn't end it.
    pub fn own_epochs(&self) -> usize {
        let before = self.rung.as_ref().and_then(|rung| rung.before.as_ref());
        let last = self
            .content
            .last_epoch
            .unwrap_or(self.content.training.max_epochs);
        last - before.map_or(0, |(_, epochs)| *epochs)
    }

    /// The label without the seed.
    pub fn label_of_all_seeds(&self) -> String {
        let (variant, shown) = (&self.content.variant, &self.shown);
        match self.trial {
            Some(number) => {
                let rung = self.rung.as_ref();
                let rung = rung.map_or_else(String::new, |rung| format!("/rung-{}", rung.number));
                format!("{variant}{shown}/trial-{number}{rung}")
            }
            None => format!("{variant}{shown}"),
        }
    }

    /// Whether `there` is this cell, on whatever data and device it ran: for a plan without data. Both have the same variant and seed.
    pub fn is_elsewhere(&self, there: &Self) -> bool {
        let (dataset, planned) = (&there.content.dataset, &self.content);
        // The description's own split, which a cell doesn't name, may be the one that is meant.
        let is_split = dataset.split_seed.is_none() || dataset.split_seed == self.split_seed;
        let is_named =
            planned.variant == there.content.variant && planned.seed == there.content.seed;
        // The hash below is slow where each of thousands of cells is compared with each.
        if !is_named || !is_split || dataset.knobs != planned.dataset.knobs {
            return false;
        }
        let mut planned = planned.clone();
        match (planned.parent_cell(), there.content.parent_cell()) {
            (None, None) => {}
            (Some(_), Some(before)) => {
                let Some(parent) = &self.parent else {
                    return false;
                };
                let id = parent.id_beside(&there.content);
                planned.set_parent_cell(id.as_deref().unwrap_or(before));
            }
            _ => return false,
        }
        planned.dataset.clone_from(dataset);
        planned.device.clone_from(&there.content.device);
        // Widths that a budget solves are known with the data alone.
        if self.is_solved
            && let Some(widths) = there.content.model.knobs.get("expert_dims")
        {
            let (key, widths) = ("expert_dims".to_owned(), widths.clone());
            planned.model.knobs.insert(key, widths);
        }
        // So are digests of programs: of a spec alone, with the files that were there when it ran.
        if planned.model.name == PROGRAM
            && let Some(scripts) = there.content.model.knobs.get(PROGRAM_SCRIPTS)
        {
            let (key, scripts) = (PROGRAM_SCRIPTS.to_owned(), scripts.clone());
            planned.model.knobs.insert(key, scripts);
        }
        planned.id() == there.id
    }

    /// The id that it has on the data and the device of a cell that starts from it; absent where it can't be told without data.
    fn id_beside(&self, child: &CellContent) -> Option<String> {
        if self.is_solved {
            return None;
        }
        let mut content = self.content.clone();
        content.dataset.clone_from(&child.dataset);
        content.device.clone_from(&child.device);
        if content.parent_cell().is_some() {
            content.set_parent_cell(&self.parent.as_ref()?.id_beside(child)?);
        }
        Some(content.id())
    }

    /// The cell with what became of it; `winner` is the trial that won.
    pub fn merged(&self, outcome: Outcome, winner: Option<usize>) -> MergedCell {
        MergedCell {
            variant: self.content.variant.clone(),
            model: self.content.model.name.clone(),
            dataset: self.content.dataset.title(),
            seed: self.content.seed,
            split_seed: self.split_seed,
            trial: self.trial.map(|number| TrialPlace {
                number,
                is_selected: winner == Some(number),
                is_passed: self.is_passed,
            }),
            settings: self.settings.clone(),
            outcome,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(knobs) = &self.knobs {
            write!(formatter, "/{knobs}")?;
        }
        match self.split {
            Some(split) => write!(formatter, "/split-{split}"),
            None => Ok(()),
        }
    }
}

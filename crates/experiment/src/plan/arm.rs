//! A variant on one split of the data: its trials, and its final cells once they are known.

use super::planned_cell::{PlannedCell, Shown};
use crate::spec::{
    CellContent, CellDataset, CellDistill, CellStart, Chosen, Configured, Experiment, Method,
    RandomSpace, Start, Variant,
};
use homebench_results::Phase;
use homebench_train::{Device, Scoring, SelectionConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A variant on one split of the data, or at one point of its knobs: what is tuned and tested apart from all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Name of the variant.
    pub variant: String,
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
    /// Cells of each trial, by tuning seed, on its last rung where it has several; none where the variant isn't tuned.
    pub trials: Vec<Vec<PlannedCell>>,
    /// Cells of each trial on rungs that it has left, by rung, by seed.
    pub(super) passed: Vec<Vec<PlannedCell>>,
    /// The winning trial, from 1, once it is frozen.
    pub winner: Option<usize>,
    /// Final cells; none of a variant that is tuned, until its winner is frozen.
    pub finals: Vec<PlannedCell>,
    pub(super) made_of: Parts,
}

/// What final cells are made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    /// The variant as it is, and each of its trials.
    pub(super) configured: Configured,
    pub(super) trials: Vec<Configured>,
    pub(super) seeds: Vec<u64>,
    pub(super) search: Search,
    pub(super) device: Device,
    pub(super) dataset: CellDataset,
    pub(super) scoring: Scoring,
    pub(super) selection: SelectionConfig,
    /// What its training starts from, and what of it stays.
    pub(super) start: Start,
    pub(super) parents: Parents,
    /// Whether other arms' cells start from its own.
    pub(super) is_parent: bool,
    /// Whether its experts' widths are solved for a budget.
    pub(super) is_solved: bool,
    /// What the knobs of the data are set to, where they are swept.
    pub(super) point: Vec<(String, String)>,
    pub(super) shown: Shown,
}

/// Cells that those of an arm start from, by seed, as far as they are known.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Parents {
    /// Where final cells do.
    pub(super) finals: BTreeMap<u64, Arc<PlannedCell>>,
    /// Where trials do: cells of the other arm's winning trial, none of which has read the test split.
    pub(super) trials: BTreeMap<u64, Arc<PlannedCell>>,
}

/// How its trials are searched.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Search {
    method: Option<Method>,
    seeds: Vec<u64>,
    num_trials: usize,
    /// Epochs of each rung, where trials are halved.
    rungs: Vec<usize>,
    space: RandomSpace,
}

impl Search {
    pub(super) fn new(experiment: &Experiment, variant: &Variant) -> Self {
        let Some(tuning) = &experiment.tuning else {
            return Self::default();
        };
        let max_epochs = variant.configured.training.max_epochs;
        Self {
            method: tuning.method,
            seeds: tuning.seeds.clone(),
            num_trials: tuning.trials,
            rungs: match tuning.method {
                Some(Method::SuccessiveHalving(halving)) => halving.rungs(max_epochs),
                _ => Vec::new(),
            },
            space: variant.space.clone(),
        }
    }
}

impl Arm {
    pub(super) fn new(variant: &Variant, parts: Parts, split_seed: Option<u64>) -> Self {
        let num_trials = parts.trials.len();
        let mut arm = Self {
            variant: variant.name.clone(),
            split_seed,
            trials: Vec::with_capacity(num_trials),
            passed: vec![Vec::new(); num_trials],
            winner: None,
            finals: Vec::new(),
            made_of: parts,
        };
        for trial in 0..num_trials {
            arm.trials.push(arm.cells_on_rung(trial, 0));
        }
        // Where something is tuned, what the final cells are is known only when its winner is.
        if arm.trials.is_empty() {
            arm.finals = arm.finals_of(&arm.made_of.configured);
        }
        arm
    }

    /// The cells of a trial, from 0, as it is trained to its end.
    pub(super) fn plain_cells(&self, trial: usize) -> Vec<PlannedCell> {
        let parts = &self.made_of;
        let configured = &parts.trials[trial];
        let settings = configured.written_settings();
        let cell = |seed: &u64| {
            let number = Some(trial + 1);
            let of = (self.variant.as_str(), configured);
            parts.cell(of, *seed, number, self.split_seed, &settings)
        };
        parts.search.seeds.iter().map(cell).collect()
    }

    /// Adds a trial that nobody knew when the plan was made.
    pub(super) fn add_trial(&mut self, configured: Configured) {
        self.made_of.trials.push(configured);
        self.passed.push(Vec::new());
        let cells = self.cells_on_rung(self.trials.len(), 0);
        self.trials.push(cells);
    }

    /// How it is searched, where the spec says it.
    pub fn method(&self) -> Option<&Method> {
        self.made_of.search.method.as_ref()
    }

    /// Epochs of the rungs of its trials; none where they are not halved.
    pub fn rungs(&self) -> &[usize] {
        &self.made_of.search.rungs
    }

    /// Trials that there will have been.
    pub fn num_trials(&self) -> usize {
        self.made_of.search.num_trials
    }

    /// Epochs that its trials train with every seed, where early stopping ends none.
    pub fn budget_epochs(&self) -> usize {
        let search = &self.made_of.search;
        let each: usize = match search.method {
            Some(Method::SuccessiveHalving(halving)) => {
                let max_epochs = self.made_of.configured.training.max_epochs;
                halving.epochs(search.num_trials, max_epochs)
            }
            _ => {
                let known = self.made_of.trials.iter();
                let known: usize = known.map(|trial| trial.training.max_epochs).sum();
                let to_come = search.num_trials.saturating_sub(self.made_of.trials.len());
                known + to_come * self.made_of.configured.training.max_epochs
            }
        };
        each * search.seeds.len()
    }

    pub(super) fn space(&self) -> &RandomSpace {
        &self.made_of.search.space
    }

    /// What a trial, from 0, sets of what is searched.
    pub(super) fn trial_settings(&self, trial: usize) -> Vec<Chosen> {
        self.space().own(&self.made_of.trials[trial].settings)
    }

    /// Makes the trial of this number, counted from 1, the winner: its settings are those of the final cells.
    pub fn freeze(&mut self, number: usize) {
        self.winner = Some(number);
        self.finals = self.finals_of(&self.made_of.trials[number - 1]);
    }

    /// Whether it is that of a variant on a split.
    pub fn belongs_to(&self, variant: &str, split_seed: Option<u64>) -> bool {
        self.variant == variant && self.split_seed == split_seed
    }

    /// Name of the variant whose cells its own start from or learn from.
    pub fn starts_from(&self) -> Option<&str> {
        self.made_of.start.parent_variant()
    }

    /// Whether hyper-parameters are chosen on validation first.
    pub fn is_tuned(&self) -> bool {
        !self.trials.is_empty()
    }

    /// What its trials set, by setting, in the order of trials.
    pub fn trial_values(&self, number: usize) -> Vec<(String, toml::Value)> {
        self.made_of.trials[number - 1].chosen_values()
    }

    /// Final cells of the configuration before tuning: what stands in for those that no winner led to.
    pub fn stand_ins(&self) -> Vec<PlannedCell> {
        self.finals_of(&self.made_of.configured)
    }

    /// Seeds and labels of the final cells, known or not.
    pub fn final_labels(&self) -> impl Iterator<Item = (u64, String)> {
        let seeds = self.made_of.seeds.iter();
        seeds.map(|seed| (*seed, format!("{}/{seed}", self.label())))
    }

    /// What it is called: its variant, the data's knobs where they are swept, and its split where there are several.
    pub fn label(&self) -> String {
        format!("{}{}", self.variant, self.made_of.shown)
    }

    /// Takes over the cells that its own start from. Whether they are others than before, so that its own are others too.
    pub(super) fn set_parents(&mut self, parents: Parents) -> bool {
        if self.made_of.parents == parents {
            return false;
        }
        let are_trials_new = self.made_of.parents.trials != parents.trials;
        self.made_of.parents = parents;
        if are_trials_new {
            // Nobody can have gone on from cells whose parents were not known.
            self.trials = (0..self.trials.len())
                .map(|trial| self.cells_on_rung(trial, 0))
                .collect();
        }
        match self.winner {
            Some(number) => self.freeze(number),
            None if !self.is_tuned() => self.finals = self.finals_of(&self.made_of.configured),
            None => {}
        }
        true
    }

    /// Has its trials keep their weights.
    pub(super) fn set_parent(&mut self) {
        self.made_of.is_parent = true;
        let trials = self.trials.iter_mut().flatten();
        trials.for_each(|cell| cell.keeps_weights = true);
    }

    /// Its cells that others start from.
    pub(super) fn as_parents(&self) -> Parents {
        let by_seed = |cells: &[PlannedCell]| -> BTreeMap<u64, Arc<PlannedCell>> {
            let known = cells.iter().filter(|cell| !cell.awaits_parent());
            known
                .map(|cell| (cell.content.seed, Arc::new(cell.clone())))
                .collect()
        };
        let winner = self.winner.map(|number| self.trials[number - 1].as_slice());
        Parents {
            finals: by_seed(&self.finals),
            trials: by_seed(winner.unwrap_or_default()),
        }
    }

    fn finals_of(&self, configured: &Configured) -> Vec<PlannedCell> {
        let settings = configured.written_settings();
        let cell = |seed: &u64| {
            let of = (self.variant.as_str(), configured);
            self.made_of
                .cell(of, *seed, None, self.split_seed, &settings)
        };
        self.made_of.seeds.iter().map(cell).collect()
    }
}

impl Parts {
    fn cell(
        &self,
        (variant, configured): (&str, &Configured),
        seed: u64,
        trial: Option<usize>,
        split_seed: Option<u64>,
        settings: &[(String, String)],
    ) -> PlannedCell {
        let phase = match trial {
            Some(_) => Phase::Tuning,
            None => Phase::Final,
        };
        let mut content = CellContent::new(
            variant,
            configured,
            seed,
            phase,
            self.device,
            self.dataset.clone(),
            &self.scoring,
            self.selection.clone(),
        );
        content.freeze.clone_from(&self.start.freeze);
        let parent = self.parent(phase, seed);
        // Of one that is not known, the cell has an id that none has.
        let cell = || {
            parent
                .as_ref()
                .map_or_else(String::new, |one| one.id.clone())
        };
        content.init_from = self.start.init_from.as_ref().map(|from| CellStart {
            cell: cell(),
            variables: from.variables.clone(),
        });
        content.distill = self.start.distill.as_ref().map(|distill| CellDistill {
            cell: cell(),
            how: distill.how.clone(),
        });
        PlannedCell {
            trial,
            split_seed,
            settings: [settings, &self.point].concat(),
            shown: self.shown.clone(),
            is_solved: self.is_solved,
            parent,
            keeps_weights: self.is_parent && trial.is_some(),
            ..PlannedCell::new(content)
        }
    }

    /// The cell that one of this phase and seed starts from.
    fn parent(&self, phase: Phase, seed: u64) -> Option<Arc<PlannedCell>> {
        let from = self.start.parent()?;
        let parents = match phase {
            Phase::Final => &self.parents.finals,
            Phase::Tuning => &self.parents.trials,
        };
        parents.get(&from.seed.unwrap_or(seed)).cloned()
    }
}

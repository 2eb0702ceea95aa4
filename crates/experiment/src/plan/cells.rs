//! The cells of an experiment, in a fixed order: trials before final cells, variants as in the file, then splits, then seeds.

use super::glob::matches_glob;
use super::planned_cell::{PlannedCell, Shown};
use crate::spec::{CellContent, CellDataset, Configured, Experiment, Variant, plain};
use homebench_data::{DatasetRef, Summary};
use homebench_diagnostic::Diagnostic;
use homebench_results::{Phase, Winners};
use homebench_train::Device;
use std::collections::HashMap;

/// Every cell of an experiment, as far as it is known: what the final cells of a variant that is tuned are is known once
/// its winner is frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every variant on every split.
    pub arms: Vec<Arm>,
}

/// A variant on one split of the data, or at one point of its knobs: what is tuned and tested apart from all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Name of the variant.
    pub variant: String,
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
    /// Cells of each trial, by tuning seed; none where the variant isn't tuned.
    pub trials: Vec<Vec<PlannedCell>>,
    /// The winning trial, from 1, once it is frozen.
    pub winner: Option<usize>,
    /// Final cells; none of a variant that is tuned, until its winner is frozen.
    pub finals: Vec<PlannedCell>,
    made_of: Parts,
}

/// What final cells are made of.
#[derive(Debug, Clone, PartialEq)]
struct Parts {
    /// The variant as it is, and each of its trials.
    configured: Configured,
    trials: Vec<Configured>,
    seeds: Vec<u64>,
    device: Device,
    dataset: CellDataset,
    /// Whether its experts' widths are solved for a budget.
    is_solved: bool,
    /// What the knobs of the data are set to, where they are swept.
    point: Vec<(String, String)>,
    shown: Shown,
}

impl Plan {
    /// The plan of an experiment on its prepared datasets, one for each split.
    ///
    /// # Errors
    /// Two cells that are the same.
    pub fn new(
        experiment: &Experiment,
        datasets: &[(DatasetRef, Summary)],
        device: Device,
    ) -> Result<Self, Diagnostic> {
        let data = datasets.iter().map(|(reference, summary)| {
            let (protocol, hash) = (&summary.protocol, &summary.content_hash);
            let dataset = CellDataset::new(reference, protocol, hash);
            (dataset, summary.split_seed)
        });
        let plan = Self::on_data(experiment, &data.collect::<Vec<_>>(), device);
        // Two cells of one id would write into one folder.
        plan.check_ids()?;
        Ok(plan)
    }

    /// The plan of an experiment whose data is not at hand: its cells have their labels, seeds and settings, but the ids
    /// of no data. [`PlannedCell::is_elsewhere`] finds what became of them.
    pub fn without_data(experiment: &Experiment, winners: &Winners) -> Self {
        let splits: Vec<Option<u64>> = match experiment.split_seeds.as_slice() {
            [] => vec![None],
            seeds => seeds.iter().copied().map(Some).collect(),
        };
        let on_splits = |reference: DatasetRef| {
            let dataset = CellDataset::new(&reference, "", "");
            splits.iter().map(move |split_seed| {
                let mut dataset = dataset.clone();
                dataset.split_seed = *split_seed;
                (dataset, *split_seed)
            })
        };
        let data: Vec<_> = experiment
            .datasets()
            .into_iter()
            .flat_map(on_splits)
            .collect();
        let mut plan = Self::on_data(experiment, &data, experiment.run.device);
        for arm in plan.arms.iter_mut().filter(|arm| arm.is_tuned()) {
            // The one split of a description has a seed too, which only its data tells.
            let is_split = |seed| arm.split_seed.is_none() || arm.split_seed == seed;
            let mut all = winners.winners.iter();
            let winner = all.find(|one| one.variant == arm.variant && is_split(one.split_seed));
            if let Some(winner) = winner.filter(|winner| winner.trial <= arm.trials.len()) {
                arm.freeze(winner.trial);
            }
        }
        plan
    }

    /// Every variant on each of these data, with the seed of its split.
    fn on_data(
        experiment: &Experiment,
        data: &[(CellDataset, Option<u64>)],
        device: Device,
    ) -> Self {
        let mut arms = Vec::with_capacity(experiment.variants.len() * data.len());
        let swept = experiment.swept_knobs();
        let tuning_seeds = experiment.tuning.as_ref().map(|tuning| &tuning.seeds[..]);
        for variant in &experiment.variants {
            for (dataset, split_seed) in data {
                let point = swept.iter().filter_map(|setting| {
                    let value = dataset.knobs.get(setting.in_dataset()?)?;
                    Some((setting.to_string(), plain(value)))
                });
                let num_splits = experiment.split_seeds.len();
                let parts = Parts {
                    point: point.collect(),
                    shown: Shown {
                        // Only what differs within the experiment: labels stay short.
                        knobs: (!swept.is_empty()).then(|| dataset.knobs_in_name()),
                        split: split_seed.filter(|_| num_splits > 1),
                    },
                    configured: variant.configured.clone(),
                    trials: variant.trials.clone(),
                    seeds: experiment.seeds.clone(),
                    device,
                    dataset: dataset.clone(),
                    is_solved: variant.budget.is_some(),
                };
                let tuning_seeds = tuning_seeds.unwrap_or_default();
                arms.push(Arm::new(variant, parts, *split_seed, tuning_seeds));
            }
        }
        Self { arms }
    }

    /// Values that differ may come to one configuration, such as widths that a budget scales.
    fn check_ids(&self) -> Result<(), Diagnostic> {
        let mut seen: HashMap<&str, &PlannedCell> = HashMap::new();
        for cell in self.cells() {
            if let Some(other) = seen.insert(&cell.id, cell) {
                let message = format!(
                    "{} and {} are the same cell: what differs between them changes nothing",
                    other.label(),
                    cell.label()
                );
                return Err(Diagnostic::new("the plan", message)
                    .hint("leave one of the two values out; with a budget, widths of one ratio are one configuration"));
            }
        }
        Ok(())
    }

    /// Every cell that is known: trials, then final cells.
    pub fn cells(&self) -> impl Iterator<Item = &PlannedCell> {
        let trials = self.arms.iter().flat_map(|arm| arm.trials.iter().flatten());
        trials.chain(self.arms.iter().flat_map(|arm| &arm.finals))
    }

    /// The cells that `--only` asks for; all of them where it is not given.
    ///
    /// # Errors
    /// A pattern that no cell has.
    pub fn select(&self, only: Option<&str>) -> Result<Selection, Diagnostic> {
        let selection = Selection {
            pattern: only.map(str::to_owned),
        };
        let Some(pattern) = only else {
            return Ok(selection);
        };
        let has_final = |arm: &Arm| selection.has_final_of(arm);
        if self.cells().any(|cell| selection.has(cell)) || self.arms.iter().any(has_final) {
            return Ok(selection);
        }
        let labels = self.arms.iter().flat_map(Arm::final_labels);
        let labels: Vec<String> = labels.map(|(_, label)| label).collect();
        // A few lines of a terminal; a plan may have thousands.
        let shown = 40;
        let more = match labels.len() > shown {
            true => format!(" and {} more", labels.len() - shown),
            false => String::new(),
        };
        let message = format!(
            "no cell is named so; expected a pattern of: {}{more}",
            labels[..labels.len().min(shown)].join(", ")
        );
        Err(Diagnostic::new(format!("--only {pattern}"), message)
            .hint("quote the pattern, or the shell takes its stars: --only 'home/*'"))
    }
}

/// What `--only` asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    pattern: Option<String>,
}

impl Selection {
    /// Whether a cell is asked for by its label, its variant or its id.
    pub fn has(&self, cell: &PlannedCell) -> bool {
        let Some(pattern) = &self.pattern else {
            return true;
        };
        matches_glob(pattern, &cell.label())
            || matches_glob(pattern, &cell.content.variant)
            || matches_glob(pattern, &cell.id)
    }

    /// Whether the final cell of this label is asked for.
    pub fn has_label(&self, label: &str, arm: &Arm) -> bool {
        let Some(pattern) = &self.pattern else {
            return true;
        };
        matches_glob(pattern, label) || matches_glob(pattern, &arm.variant)
    }

    /// Whether any final cell of the arm is asked for, known or not.
    pub fn has_final_of(&self, arm: &Arm) -> bool {
        let of_label = |(_, label): (u64, String)| self.has_label(&label, arm);
        arm.final_labels().any(of_label) || arm.finals.iter().any(|cell| self.has(cell))
    }

    /// The trials that are asked for: of an arm whose final cells are, all, because they decide what those are.
    pub fn trials_of<'a>(&self, arm: &'a Arm) -> Vec<&'a PlannedCell> {
        let all = arm.trials.iter().flatten();
        match self.has_final_of(arm) {
            true => all.collect(),
            false => all.filter(|cell| self.has(cell)).collect(),
        }
    }
}

impl Arm {
    fn new(variant: &Variant, parts: Parts, split_seed: Option<u64>, tuning_seeds: &[u64]) -> Self {
        let trial = |(index, configured): (usize, &Configured)| {
            let settings = configured.written_settings();
            let cell = |seed: &u64| {
                parts.cell(
                    &variant.name,
                    configured,
                    *seed,
                    Some(index + 1),
                    split_seed,
                    &settings,
                )
            };
            tuning_seeds.iter().map(cell).collect()
        };
        let mut arm = Self {
            variant: variant.name.clone(),
            split_seed,
            trials: variant.trials.iter().enumerate().map(trial).collect(),
            winner: None,
            finals: Vec::new(),
            made_of: parts,
        };
        // Where something is tuned, what the final cells are is known only when its winner is.
        if arm.trials.is_empty() {
            arm.finals = arm.finals_of(&arm.made_of.configured);
        }
        arm
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

    fn finals_of(&self, configured: &Configured) -> Vec<PlannedCell> {
        let settings = configured.written_settings();
        let cell = |seed: &u64| {
            let parts = &self.made_of;
            parts.cell(
                &self.variant,
                configured,
                *seed,
                None,
                self.split_seed,
                &settings,
            )
        };
        self.made_of.seeds.iter().map(cell).collect()
    }
}

impl Parts {
    fn cell(
        &self,
        variant: &str,
        configured: &Configured,
        seed: u64,
        trial: Option<usize>,
        split_seed: Option<u64>,
        settings: &[(String, String)],
    ) -> PlannedCell {
        let phase = match trial {
            Some(_) => Phase::Tuning,
            None => Phase::Final,
        };
        let dataset = self.dataset.clone();
        PlannedCell {
            trial,
            split_seed,
            settings: [settings, &self.point].concat(),
            shown: self.shown.clone(),
            is_solved: self.is_solved,
            ..PlannedCell::new(CellContent::new(
                variant,
                configured,
                seed,
                phase,
                self.device,
                dataset,
            ))
        }
    }
}

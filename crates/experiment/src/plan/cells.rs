//! The cells of an experiment, in a fixed order: trials before final cells, variants as in the file, then splits, then seeds.

use super::arm::{Arm, Parts, Search};
use super::cells_there::CellsThere;
use super::glob::matches_glob;
use super::planned_cell::{PlannedCell, Shown};
use super::reuse::{Reuse, reuse};
use crate::spec::{CellDataset, Chosen, Experiment, Source, plain};
use homebench_data::{DatasetRef, Summary};
use homebench_diagnostic::Diagnostic;
use homebench_results::{ResultsFolder, Winners};
use homebench_train::Device;
use std::collections::HashMap;

/// Every cell of an experiment, as far as it is known: what the final cells of a variant that is tuned are is known once
/// its winner is frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every variant on every split.
    pub arms: Vec<Arm>,
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
    ///
    /// `there` are the cells of the folder: by them it is known how far a search is that goes by what trials come to.
    ///
    /// # Errors
    /// A suggestion that makes no model or no training.
    pub fn without_data(
        experiment: &Experiment,
        source: &Source,
        winners: &Winners,
        there: &CellsThere,
        results: &ResultsFolder,
    ) -> Result<Self, Diagnostic> {
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
        let found = |cell: &PlannedCell| there.matching(cell).next();
        let is_there = |cell: &PlannedCell| found(cell).is_some();
        let ends = |cell: &PlannedCell| match found(cell) {
            Some(there) => reuse(&results.cell(&there.id), there),
            None => Reuse::Missing,
        };
        let configure = |variant: &str, chosen: Vec<Chosen>| {
            let mut variants = experiment.variants.iter();
            let variant = variants.find(|one| one.name == variant);
            variant
                .expect("an arm is of a variant")
                .trial(chosen, source)
        };
        for index in plan.in_order() {
            let arm = &mut plan.arms[index];
            if !arm.is_tuned() {
                continue;
            }
            // The one split of a description has a seed too, which only its data tells.
            let is_split = |seed| arm.split_seed.is_none() || arm.split_seed == seed;
            let mut all = winners.winners.iter();
            let winner = all.find(|one| one.variant == arm.variant && is_split(one.split_seed));
            arm.take_over(winner, &is_there, &ends, &configure)?;
            if let Some(winner) = winner.filter(|winner| winner.trial <= arm.trials.len()) {
                arm.freeze(winner.trial);
                plan.settle();
            }
        }
        Ok(plan)
    }

    /// Every variant on each of these data, with the seed of its split.
    fn on_data(
        experiment: &Experiment,
        data: &[(CellDataset, Option<u64>)],
        device: Device,
    ) -> Self {
        let mut arms = Vec::with_capacity(experiment.variants.len() * data.len());
        let swept = experiment.swept_knobs();
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
                    search: Search::new(experiment, variant),
                    device,
                    dataset: dataset.clone(),
                    scoring: experiment.scoring.clone(),
                    selection: experiment.selection.clone(),
                    start: variant.start.clone(),
                    parents: Default::default(),
                    is_parent: false,
                    is_solved: variant.budget.is_some(),
                };
                arms.push(Arm::new(variant, parts, *split_seed));
            }
        }
        let mut plan = Self { arms };
        plan.settle();
        plan
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
        let trials = self.arms.iter().flat_map(Arm::trial_cells);
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
        let variants = self.arms.iter().map(|arm| arm.variant.as_str());
        let known = variants.chain(labels.iter().map(String::as_str));
        Err(Diagnostic::new(format!("--only {pattern}"), message)
            .hint("quote the pattern, or the shell takes its stars: --only 'home/*'")
            .did_you_mean(pattern.trim_end_matches(['/', '*']), known))
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
        let all = arm.trial_cells();
        match self.has_final_of(arm) {
            true => all.collect(),
            false => all.filter(|cell| self.has(cell)).collect(),
        }
    }
}

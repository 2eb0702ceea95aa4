//! Experiments: one TOML file, one question. Text becomes `Wire*` types, then a checked [`Experiment`], before
//! anything runs.

mod attention;
mod balance;
mod budget_goal;
mod canonical;
mod check;
mod check_method;
mod check_scores;
mod configure;
mod distill;
#[cfg(test)]
mod documentation;
mod draw;
mod expand;
mod include;
mod method;
mod metric_name;
mod overrides;
mod precision;
mod pretrained;
mod relations;
mod resolved;
mod run;
mod scores;
mod scripts;
mod selection;
mod setting;
mod settle;
mod source;
mod space;
mod start;
mod tpe;
mod training;
mod tuning;
mod variants;
mod wire;

pub use budget_goal::{BudgetGoal, Quantity};
pub use canonical::{
    CellContent, CellDataset, CellDistill, CellModel, CellStart, NUMERICS_VERSION,
};
pub use check::{check_dataset, model_diagnostic};
pub use check_scores::check_carried_rows;
pub use configure::Configured;
pub use distill::Distill;
pub use method::{Halving, Method, Sampling, Tpe};
pub use overrides::Override;
pub use precision::check_precision;
pub(crate) use pretrained::{PRETRAINED, training_with};
pub use relations::Relations;
pub use resolved::resolved_toml;
pub use run::{Limits, MOST_AT_ONCE, RunConfig, predicted_split};
pub use scripts::{digest as script_digest, take_scripts};
pub(crate) use setting::plain;
pub use setting::{Chosen, Setting};
pub use source::{Locator, Source};
pub use space::{Axis, Domain, RandomSpace, Space};
pub use start::{InitFrom, Start};
pub(crate) use tpe::{Observed, suggest};
pub(crate) use training::WIDTHS;
pub use tuning::Tuning;

use homebench_data::DatasetRef;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::{Scoring, SelectionConfig, TrainingConfig};
use std::path::Path;

/// A question with everything needed to answer it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Name: the stem of its file.
    pub name: String,
    /// What is asked, in prose.
    pub question: String,
    /// The author's answer, written once there are results; absent before. No number depends on it.
    pub outcome: Option<String>,
    /// Which data.
    pub dataset: DatasetRef,
    /// Values of the knobs of the data that are swept: every variant is trained on each. One without a value where none is.
    pub points: Vec<Vec<Chosen>>,
    /// Seeds of the cells of every variant, in the order of the file.
    pub seeds: Vec<u64>,
    /// Seeds of the split, each dividing the rows anew; none where the split is that of the description.
    pub split_seeds: Vec<u64>,
    /// Name of the variant that reports take differences to; absent where the spec names none. No number of a cell depends on it.
    pub baseline: Option<String>,
    /// Training of every variant that doesn't say otherwise.
    pub training: TrainingConfig,
    /// By what epochs and trials are selected.
    pub selection: SelectionConfig,
    /// Settings that are compared, of every variant that has them.
    pub sweep: Space,
    /// How hyper-parameters are chosen before anything is tested; absent where the spec says them all.
    pub tuning: Option<Tuning>,
    /// The variants as the spec has them, before sweeps.
    pub bases: Vec<Base>,
    /// What is compared: every configuration of every variant, in the order of the file.
    pub variants: Vec<Variant>,
    /// What final cells are scored by beside what every experiment has.
    pub scoring: Scoring,
    /// How cells are run: nothing that may change a number on one device.
    pub run: RunConfig,
}

impl Experiment {
    /// The knobs of the data that are swept.
    pub fn swept_knobs(&self) -> Vec<Setting> {
        let point = self.points.first().into_iter().flatten();
        point.map(|one| one.setting.clone()).collect()
    }

    /// The data at every point of its knobs, in the order of [`Self::points`].
    pub fn datasets(&self) -> Vec<DatasetRef> {
        let at = |point: &Vec<Chosen>| {
            let mut dataset = self.dataset.clone();
            for one in point {
                let knob = one.setting.in_dataset().unwrap_or_default();
                dataset.knobs.insert(knob.to_owned(), one.value.clone());
            }
            dataset
        };
        self.points.iter().map(at).collect()
    }
}

/// A variant as its table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// Name, fit for a file name.
    pub name: String,
    /// The variants that it is told by.
    pub relations: Relations,
    /// Its model and its training.
    pub configured: Configured,
    /// What it is to cost.
    pub budget: Option<BudgetGoal>,
    /// What its training starts from, and what of it stays.
    pub start: Start,
    /// What it adds to the settings that are compared.
    pub sweep: Space,
    /// What it adds to the settings that are tuned.
    pub tuning: Space,
}

/// A named model configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Name, fit for a file name: that of its table, with what a sweep set, such as `home[rank=8]`.
    pub name: String,
    /// Name of its table.
    pub base: String,
    /// Its model and its training; where it is tuned, before that.
    pub configured: Configured,
    /// What it is to cost; its experts' widths are scaled for that once the data is known.
    pub budget: Option<BudgetGoal>,
    /// What its training starts from, and what of it stays.
    pub start: Start,
    /// What is tried for it, in order; nothing where it isn't tuned. Of a search that suggests, those that are drawn before.
    pub trials: Vec<Configured>,
    /// What its trials are drawn from.
    pub space: RandomSpace,
}

impl Variant {
    /// Where its values stand in the spec.
    pub fn locator<'a>(&'a self, source: &'a Source) -> Locator<'a> {
        let settings = &self.configured.settings;
        Locator::of_configuration(source, &self.name, &self.base, settings)
    }

    /// The trial that sets these values.
    ///
    /// # Errors
    /// Values that make no model or no training, at their place.
    pub fn trial(&self, chosen: Vec<Chosen>, source: &Source) -> Result<Configured, Diagnostic> {
        self.configured.with(chosen, &self.name, &self.base, source)
    }

    /// Where the values of one of its trials stand in the spec.
    pub fn trial_locator<'a>(&'a self, trial: usize, source: &'a Source) -> Locator<'a> {
        let settings = &self.trials[trial].settings;
        Locator::of_configuration(source, &self.name, &self.base, settings)
    }
}

/// Reads and checks an experiment, its dataset's description aside (see [`check_dataset`]).
///
/// # Errors
/// The first thing that is wrong with the file or an override.
pub fn load(path: &Path, overrides: &[Override]) -> Result<(Experiment, Source), Diagnostic> {
    let source = Source::read(path, overrides)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let experiment = check::experiment(&name, source.wire()?, &source)?;
    Ok((experiment, source))
}

//! What `run` and `plan` do alike: read a spec, check it, prepare its data, plan its cells.

use super::data::PlaceArgs;
use crate::bundled;
use crate::output::note;
use anyhow::Result;
use clap::Args;
use homebench_data::{self as data, DataWarning, DatasetRef, Places, Summary};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{
    Arm, Budget, Costs, Estimator, Plan, PlannedCell, Solution, check_pretrained, check_starts,
    cost_of, solve, solve_trial,
};
use homebench_experiment::spec::{self, Chosen, Configured, Experiment, Override, Source, Start};
use homebench_model::PROGRAM;
use homebench_results::ResultsFolder;
use homebench_train::device::Cuda;
use homebench_train::{self as train, Device};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An experiment and changes to it.
#[derive(Debug, Args)]
pub(super) struct SpecArguments {
    /// The experiment: a TOML file, or the name of one in experiments/ or of one that homebench carries, such as quickstart
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    /// Folder of the results [default: runs/<name of the spec>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where tensors are: cpu, cuda or cuda:<index> [default: that of the spec, or cpu]
    #[arg(long)]
    device: Option<Device>,
    /// Only the cells whose variant, variant/seed or id fits the pattern
    #[arg(long, value_name = "GLOB")]
    pub(super) only: Option<String>,
    /// Put a value into the spec, such as training.max_epochs=2; may be given again. data.root=DIR is --data-dir DIR
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Override>,
    #[command(flatten)]
    places: PlaceArgs,
}

/// An experiment whose data is prepared, beside its plan.
pub(super) struct Session {
    pub(super) experiment: Experiment,
    source: Source,
    pub(super) places: Places,
    pub(super) device: Device,
    /// What was found beside the processor.
    pub(super) cuda: Cuda,
    /// The data, and that of each split where there are several.
    pub(super) datasets: Vec<(DatasetRef, Summary)>,
    pub(super) costs: Costs,
    /// Of every variant with a budget.
    pub(super) solutions: Vec<Solution>,
    pub(super) results: ResultsFolder,
}

impl Session {
    /// The data of the first split.
    pub(super) fn dataset(&self) -> &Summary {
        &self.datasets[0].1
    }

    /// The prepared files that were read, by content hash.
    pub(super) fn checked_data(&self) -> BTreeMap<String, String> {
        let identity = |(_, summary): &(DatasetRef, Summary)| {
            (
                summary.content_hash.clone(),
                summary.hold.identity().to_owned(),
            )
        };
        self.datasets.iter().map(identity).collect()
    }

    /// What a cell costs: a trial what it sets, a final cell what won where something has. Of a program it is not known.
    pub(super) fn cost(&self, plan: &Plan, cell: &PlannedCell) -> Option<Budget> {
        if cell.content.model.name == PROGRAM {
            return None;
        }
        let variant = &cell.content.variant;
        let of = |arm: &&Arm| arm.belongs_to(variant, cell.split_seed);
        // Tuning may set widths, and then what won decides the cost.
        let trial = match cell.trial {
            Some(number) => Some(number),
            None => plan.arms.iter().find(of)?.winner,
        };
        let known = self.costs.of(variant, trial);
        // A trial that a search suggested was not known when costs were counted.
        known.or_else(|| cost_of(&cell.content, &self.dataset().schema).ok())
    }

    /// The trial of a variant that sets these values, with the widths that its budget leads to.
    pub(super) fn configure(
        &self,
        variant: &str,
        chosen: Vec<Chosen>,
    ) -> Result<Configured, Diagnostic> {
        let mut variants = self.experiment.variants.iter();
        let variant = variants.find(|one| one.name == variant);
        let variant = variant.expect("an arm is of a variant");
        let trial = variant.trial(chosen, &self.source)?;
        let schema = &self.dataset().schema;
        solve_trial(trial, variant, &self.costs, &self.source, schema)
    }

    /// Seconds that a cell of this cost is expected to take; 0 where its data isn't this session's.
    pub(super) fn expected_seconds(
        &self,
        estimator: &Estimator,
        cell: &PlannedCell,
        flops_per_row: usize,
    ) -> f64 {
        self.expected_seconds_of(estimator, cell, cell.own_epochs(), flops_per_row)
    }

    /// The same of so many epochs.
    pub(super) fn expected_seconds_of(
        &self,
        estimator: &Estimator,
        cell: &PlannedCell,
        epochs: usize,
        flops_per_row: usize,
    ) -> f64 {
        let content = &cell.content;
        let hash = &content.dataset.content_hash;
        let is_its = |(_, summary): &&(DatasetRef, Summary)| summary.content_hash == *hash;
        let Some((_, data)) = self.datasets.iter().find(is_its) else {
            return 0.0;
        };
        let mut training = content.training.clone();
        training.max_epochs = epochs;
        let is_trial = cell.trial.is_some();
        estimator.seconds(&content.variant, &training, flops_per_row, data, is_trial)
    }

    /// Says on stderr which tasks a variant is told not to learn.
    pub(super) fn say_untrained(&self) {
        for (tasks, variants) in untrained(&self.experiment, self.dataset()) {
            note!(
                "{}: weight 0 for {}: scored, but neither trained nor part of the choice of epochs and trials",
                variants.join(", "),
                tasks.join(", ")
            );
        }
    }

    /// Says on stderr by what epochs and trials are selected, where the spec says it.
    pub(super) fn say_selection(&self) {
        if self.experiment.selection.is_default() {
            return;
        }
        let what = match self.experiment.tuning {
            Some(_) => "epochs and trials are",
            None => "epochs are",
        };
        note!(
            "{what} selected on validation by {}",
            self.experiment.selection
        );
    }

    /// Says on stderr what of training can't do anything on so many rows, with the variants that have it.
    pub(super) fn say_without_effect(&self) {
        for (said, variants) in idle_settings(&self.experiment, self.dataset()) {
            note!("{}: {said}", variants.join(", "));
        }
    }

    /// Says on stderr which variants start from others, and what of them stays.
    pub(super) fn say_starts(&self) {
        for variant in &self.experiment.variants {
            if variant.start != Start::default() {
                note!("{}: {}", variant.name, variant.start);
            }
        }
    }

    /// Says on stderr what budgets led to.
    pub(super) fn say_solutions(&self) {
        for solution in &self.solutions {
            note!("{}: {solution}", solution.variant);
        }
    }
}

/// What is to be said of settings of training without effect, with the variants or their trials that have them, in the order of the spec.
fn idle_settings(experiment: &Experiment, data: &Summary) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for variant in &experiment.variants {
        // A program may do with its settings what it likes.
        if variant.configured.model.is_program() {
            continue;
        }
        let trained = match variant.trials.as_slice() {
            [] => std::slice::from_ref(&variant.configured),
            trials => trials,
        };
        for configured in trained {
            for said in train::without_effect(&configured.training, data.train.rows) {
                match found.iter_mut().find(|(other, _)| *other == said) {
                    Some((_, variants)) if variants.contains(&variant.name) => {}
                    Some((_, variants)) => variants.push(variant.name.clone()),
                    None => found.push((said, vec![variant.name.clone()])),
                }
            }
        }
    }
    found
}

/// Tasks whose weight is 0, with the variants that have these, in the order of the spec.
fn untrained(experiment: &Experiment, data: &Summary) -> Vec<(Vec<String>, Vec<String>)> {
    let mut found: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for variant in &experiment.variants {
        let weights = &variant.configured.training.task_weights;
        let names = data.schema.tasks.iter().map(|task| &task.name);
        let of_zero = names.filter(|name| weights.get(*name) == Some(&0.0));
        let tasks: Vec<String> = of_zero.cloned().collect();
        if tasks.is_empty() {
            continue;
        }
        match found.iter_mut().find(|(others, _)| *others == tasks) {
            Some((_, variants)) => variants.push(variant.name.clone()),
            None => found.push((tasks, vec![variant.name.clone()])),
        }
    }
    found
}

impl SpecArguments {
    /// Checks everything that can be checked without reading data, then prepares the data and plans.
    /// Of cells that run on other machines, the device is theirs to look for.
    pub(super) fn open(
        &self,
        observer: &mut dyn data::Observer,
        is_remote: bool,
    ) -> Result<(Session, Plan)> {
        let spec = self.find_spec()?;
        let (set, root) = self.divided_set()?;
        let (mut experiment, source) = spec::load(&spec, &set)?;
        spec::take_scripts(&mut experiment, &source)?;
        let mut places = self.places.resolve_for(Some(&experiment.dataset.name))?;
        if let Some(root) = root {
            places.data = root;
        }
        // Everything that costs nothing comes before the data, which may take minutes to prepare.
        spec::check_dataset(&experiment, &source, &places)?;
        let device = self.device.unwrap_or(experiment.run.device);
        spec::check_precision(&experiment, &source, device)?;
        let cuda = match is_remote {
            true => Cuda::NotBuiltIn,
            false => Cuda::find_for(device),
        };
        if !is_remote {
            cuda.check(device)?;
        }
        let mut datasets = Vec::new();
        for reference in references(&experiment, &places)? {
            let mut summary = data::prepare(&reference, &places, observer)?;
            let warnings = carry(&experiment, &source, &reference, &places, observer)?;
            summary.warnings.extend(warnings);
            datasets.push((reference, summary));
        }
        if experiment.points.len() > 1 {
            check_schemas(&datasets)?;
        }
        // Builds every model once, so that one that can't be built is refused before another is trained.
        let (costs, solutions) = solve(&mut experiment, &source, &datasets[0].1.schema)?;
        check_starts(&experiment, &source, &datasets[0].1.schema)?;
        let first = &datasets[0].1;
        check_pretrained(&experiment, &source, &first.schema, &first.pretrained)?;
        let plan = Plan::new(&experiment, &datasets, device)?;
        let default = Path::new("runs").join(&experiment.name);
        let results = ResultsFolder::new(self.out.clone().unwrap_or(default));
        let session = Session {
            experiment,
            source,
            places,
            device,
            cuda,
            datasets,
            costs,
            solutions,
            results,
        };
        Ok((session, plan))
    }

    /// The changes to the spec, and the folder of source files where `data.root` names one: where files lie on a machine is no
    /// part of a spec.
    fn divided_set(&self) -> Result<(Vec<Override>, Option<PathBuf>), Diagnostic> {
        let is_root = |set: &&Override| set.path().keys() == ["data", "root"];
        let (roots, set): (Vec<&Override>, Vec<&Override>) = self.set.iter().partition(is_root);
        let folder = |set: &&Override| match set.value() {
            toml::Value::String(folder) if !folder.is_empty() => Ok(PathBuf::from(folder)),
            _ => Err(
                Diagnostic::new(set.source(), "expected the path of a folder")
                    .hint("write --set data.root=path/to/files"),
            ),
        };
        let roots = roots.iter().map(folder).collect::<Result<Vec<_>, _>>()?;
        Ok((set.into_iter().cloned().collect(), roots.into_iter().last()))
    }

    /// The file of the experiment: the path itself; else, of a name, the file here or in the project's `experiments`, else the one that
    /// this program carries.
    fn find_spec(&self) -> Result<PathBuf, Diagnostic> {
        // A folder of that name, such as one of results, is no spec.
        if self.spec.exists() && !self.spec.is_dir() {
            return Ok(self.spec.clone());
        }
        let Some(name) = self.spec.to_str().filter(|name| !name.ends_with(".toml")) else {
            return Err(self.no_such_spec());
        };
        let file = format!("{name}.toml");
        let places = [PathBuf::from(&file), project_experiments().join(&file)];
        let found = match places.into_iter().find(|path| path.is_file()) {
            Some(path) => path,
            None => bundled::experiment_file(name, &self.places.resolve().cache)?
                .ok_or_else(|| self.no_such_spec())?,
        };
        let here = std::env::current_dir().unwrap_or_default();
        let shown = found.strip_prefix(&here).unwrap_or(&found);
        note!("{name}: the experiment of {}", shown.display());
        Ok(found)
    }

    fn no_such_spec(&self) -> Diagnostic {
        let folder = self
            .spec
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let files = names_in(folder.unwrap_or(Path::new(".")));
        let asked = self.spec.file_name().unwrap_or_default().to_string_lossy();
        // Somebody who mistyped a name gets the nearest; somebody without any spec, what one looks like.
        let refuse = |message: &str| {
            Diagnostic::new(self.spec.display().to_string(), message).hint(
                "write the path of an experiment, or the name of one such as quickstart; `homebench new NAME` makes one",
            )
        };
        if let Some(name) = asked.strip_suffix(".toml") {
            let said = refuse("no such file");
            let carried = bundled::experiments().find(|carried| *carried == name);
            return match carried {
                Some(name) => said.hint(format!("homebench carries it: write `{name}`")),
                None => said.did_you_mean(&asked, files.iter().map(String::as_str)),
            };
        }
        let in_project = names_in(&project_experiments());
        let stems = files.iter().chain(&in_project);
        let stems = stems.filter_map(|file| file.strip_suffix(".toml"));
        let mut known: Vec<String> = stems.map(str::to_owned).collect();
        known.extend(bundled::experiments().map(str::to_owned));
        refuse("no such experiment").did_you_mean(&asked, known.iter().map(String::as_str))
    }
}

/// `experiments` of the project that the working folder is in.
fn project_experiments() -> PathBuf {
    let descriptions = Places::resolve(None, None, None).descriptions;
    descriptions.parent().unwrap_or(&descriptions).to_owned()
}

/// Names of a folder's TOML files.
fn names_in(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect()
}

/// Prepares the columns that rows are grouped by, where the spec asks for such, and says what is odd about them. Here rather than in the
/// cells, each of which would find it out by itself.
fn carry(
    experiment: &Experiment,
    source: &Source,
    reference: &DatasetRef,
    places: &Places,
    observer: &mut dyn data::Observer,
) -> Result<Vec<DataWarning>> {
    // Trials rank rows within groups where they are chosen by that, and have no cohorts.
    if experiment.tuning.is_some() {
        let of_trials = experiment.scoring.of_trials(&experiment.selection);
        if !of_trials.carried().is_empty() {
            data::carry(reference, places, &of_trials.carried(), observer)?;
        }
    }
    let columns = experiment.scoring.carried();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let Some(carried) = data::carry(reference, places, &columns, observer)? else {
        return Ok(Vec::new());
    };
    let warnings = spec::check_carried_rows(&experiment.scoring, source, &carried)?;
    for warning in &warnings {
        observer.notice(&warning.message);
    }
    Ok(warnings)
}

/// The data at every point of its knobs and of every split. One that is divided as the description says needs no seed, so that its cells are those of an
/// experiment without split seeds.
fn references(experiment: &Experiment, places: &Places) -> Result<Vec<DatasetRef>> {
    if experiment.split_seeds.is_empty() {
        return Ok(experiment.datasets());
    }
    // A cell id hashes the seed only where it is given, and the same rows must have the same id.
    let own = data::split_seed(&experiment.dataset, places)?;
    let seeds = experiment.split_seeds.iter();
    let references = |dataset: DatasetRef| {
        seeds.clone().map(move |seed| DatasetRef {
            split_seed: Some(*seed).filter(|seed| *seed != own),
            ..dataset.clone()
        })
    };
    Ok(experiment
        .datasets()
        .into_iter()
        .flat_map(references)
        .collect())
}

/// Refuses knobs that change what models read or predict: costs and budgets are those of one model a variant.
fn check_schemas(datasets: &[(DatasetRef, Summary)]) -> Result<(), Diagnostic> {
    let shape = |summary: &Summary| (summary.schema.clone(), summary.protocol.clone());
    let (first, others) = datasets.split_first().expect("an experiment has data");
    let Some((other, _)) = others
        .iter()
        .find(|(_, other)| shape(other) != shape(&first.1))
    else {
        return Ok(());
    };
    let knobs = other.knobs.iter();
    let changed = knobs.filter(|(knob, value)| first.0.knobs.get(*knob) != Some(value));
    let changed: Vec<String> = changed.map(|(knob, _)| format!("`{knob}`")).collect();
    let message = format!(
        "the inputs are others with another {}: it can't be swept",
        changed.join(", ")
    );
    Err(Diagnostic::new("[grid]", message)
        .hint("write a spec for each of its values, with knobs in [dataset]"))
}

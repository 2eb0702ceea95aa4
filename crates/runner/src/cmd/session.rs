//! What `run` and `plan` do alike: read a spec, check it, prepare its data, plan its cells.

use super::data::PlaceArgs;
use crate::output::note;
use anyhow::Result;
use clap::Args;
use homebench_data::{self as data, DatasetRef, Places, Summary};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::plan::{
    Arm, Budget, Costs, Estimator, Plan, PlannedCell, Solution, solve,
};
use homebench_experiment::spec::{self, Experiment, Override};
use homebench_results::ResultsFolder;
use homebench_train::Device;
use homebench_train::device::Cuda;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An experiment and changes to it.
#[derive(Debug, Args)]
pub(super) struct SpecArguments {
    /// The experiment: a TOML file
    #[arg(value_name = "SPEC.TOML")]
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

    /// What a cell costs: a trial what it sets, a final cell what won where something has.
    pub(super) fn cost(&self, plan: &Plan, cell: &PlannedCell) -> Option<Budget> {
        let variant = &cell.content.variant;
        let of = |arm: &&Arm| arm.belongs_to(variant, cell.split_seed);
        // Tuning may set widths, and then what won decides the cost.
        let trial = match cell.trial {
            Some(number) => Some(number),
            None => plan.arms.iter().find(of)?.winner,
        };
        self.costs.of(variant, trial)
    }

    /// Seconds that a cell of this cost is expected to take; 0 where its data isn't this session's.
    pub(super) fn expected_seconds(
        &self,
        estimator: &Estimator,
        cell: &PlannedCell,
        flops_per_row: usize,
    ) -> f64 {
        let content = &cell.content;
        let hash = &content.dataset.content_hash;
        let is_its = |(_, summary): &&(DatasetRef, Summary)| summary.content_hash == *hash;
        let Some((_, data)) = self.datasets.iter().find(is_its) else {
            return 0.0;
        };
        let (training, is_trial) = (&content.training, cell.trial.is_some());
        estimator.seconds(&content.variant, training, flops_per_row, data, is_trial)
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

    /// Says on stderr what budgets led to.
    pub(super) fn say_solutions(&self) {
        for solution in &self.solutions {
            note!("{}: {solution}", solution.variant);
        }
    }
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
    pub(super) fn open(&self, observer: &mut dyn data::Observer) -> Result<(Session, Plan)> {
        if !self.spec.exists() {
            return Err(self.no_such_spec().into());
        }
        let (set, root) = self.divided_set()?;
        let (mut experiment, source) = spec::load(&self.spec, &set)?;
        let mut places = self.places.resolve();
        if let Some(root) = root {
            places.data = root;
        }
        // Everything that costs nothing comes before the data, which may take minutes to prepare.
        spec::check_dataset(&experiment, &source, &places)?;
        let device = self.device.unwrap_or(experiment.run.device);
        spec::check_precision(&experiment, &source, device)?;
        let cuda = Cuda::find_for(device);
        cuda.check(device)?;
        let mut datasets = Vec::new();
        for reference in references(&experiment, &places)? {
            let summary = data::prepare(&reference, &places, observer)?;
            datasets.push((reference, summary));
        }
        if experiment.points.len() > 1 {
            check_schemas(&datasets)?;
        }
        // Builds every model once, so that one that can't be built is refused before another is trained.
        let (costs, solutions) = solve(&mut experiment, &source, &datasets[0].1.schema)?;
        let plan = Plan::new(&experiment, &datasets, device)?;
        let default = Path::new("runs").join(&experiment.name);
        let results = ResultsFolder::new(self.out.clone().unwrap_or(default));
        let session = Session {
            experiment,
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

    fn no_such_spec(&self) -> Diagnostic {
        let said = Diagnostic::new(self.spec.display().to_string(), "no such file");
        let folder = self
            .spec
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let names: Vec<String> = std::fs::read_dir(folder.unwrap_or(Path::new(".")))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".toml"))
            .collect();
        let asked = self.spec.file_name().unwrap_or_default().to_string_lossy();
        // Somebody who mistyped a name gets the nearest; somebody without any spec, what one looks like.
        let said =
            said.hint("expected the path of an experiment, such as experiments/quickstart.toml");
        said.did_you_mean(&asked, names.iter().map(String::as_str))
    }
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

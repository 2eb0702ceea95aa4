//! What `run` and `plan` do alike: read a spec, check it, prepare its data, plan its cells.

use super::data::PlaceArgs;
use crate::data::{self, Places, Summary};
use crate::diagnostic::Diagnostic;
use crate::record::ResultsFolder;
use crate::spec::{self, Device, Experiment, Override};
use crate::sweep::{Budget, Plan, Solution, solve};
use anyhow::Result;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An experiment and changes to it.
#[derive(Debug, Args)]
pub(super) struct SpecArguments {
    /// The experiment: a TOML file
    #[arg(value_name = "SPEC.TOML")]
    spec: PathBuf,
    /// Folder of the results [default: results/<name of the spec>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where tensors are: cpu, cuda or cuda:<index> [default: that of the spec, or cpu]
    #[arg(long)]
    device: Option<Device>,
    /// Only the cells whose variant, variant/seed or id fits the pattern
    #[arg(long, value_name = "GLOB")]
    pub(super) only: Option<String>,
    /// Put a value into the spec, such as training.max_epochs=2; may be given again
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Override>,
    #[command(flatten)]
    places: PlaceArgs,
}

/// A planned experiment.
pub(super) struct Session {
    pub(super) experiment: Experiment,
    pub(super) places: Places,
    pub(super) device: Device,
    pub(super) dataset: Summary,
    /// Of every variant, by name.
    pub(super) budgets: BTreeMap<String, Budget>,
    /// Of every variant with a budget.
    pub(super) solutions: Vec<Solution>,
    pub(super) plan: Plan,
    pub(super) results: ResultsFolder,
}

impl Session {
    /// Says on stderr what budgets led to.
    pub(super) fn say_solutions(&self) {
        for solution in &self.solutions {
            eprintln!("{}: {solution}", solution.variant);
        }
    }
}

impl SpecArguments {
    /// Checks everything that can be checked without reading data, then prepares the data and plans.
    pub(super) fn open(&self, observer: &mut dyn data::Observer) -> Result<Session> {
        if !self.spec.is_file() {
            return Err(self.no_such_spec().into());
        }
        let (mut experiment, source) = spec::load(&self.spec, &self.set)?;
        let places = self.places.resolve();
        spec::check_dataset(&experiment, &source, &places)?;
        let device = self.device.unwrap_or(experiment.run.device);
        check_device(device)?;
        let dataset = data::prepare(&experiment.dataset, &places, observer)?;
        // Builds every model once, so that one that can't be built is refused before another is trained.
        let (budgets, solutions) = solve(&mut experiment, &source, &dataset.schema)?;
        let plan = Plan::new(&experiment, &dataset, device);
        let default = Path::new("results").join(&experiment.name);
        let results = ResultsFolder::new(self.out.clone().unwrap_or(default));
        Ok(Session {
            experiment,
            places,
            device,
            dataset,
            budgets,
            solutions,
            plan,
            results,
        })
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
        let said =
            said.hint("expected the path of an experiment, such as experiments/quickstart.toml");
        said.did_you_mean(&asked, names.iter().map(String::as_str))
    }
}

fn check_device(device: Device) -> Result<(), Diagnostic> {
    if device.is_built_in() {
        return Ok(());
    }
    Err(
        Diagnostic::new(format!("device {device}"), "this build of homebench has no CUDA")
            .hint("run on the processor with `--device cpu`, or build with `--features cuda` where the CUDA toolkit is installed"),
    )
}

//! `run --executor`: where cells run, and what a cluster is asked for.

use super::interruption::set_ender;
use super::session::Session;
use crate::execute::{
    Cluster, ClusterRun, ClusterSettings, EngineKind, Executor, Local, LocalSettings,
    read_settings, refuse_open,
};
use crate::provenance::Provenance;
use anyhow::Result;
use clap::Args;
use homebench_diagnostic::{Diagnostic, nearest};
use homebench_results::ResultsFolder;
use std::path::{Path, PathBuf};

/// The variable that names the file of what a cluster is asked for.
const VARIABLE: &str = "HOMEBENCH_CLUSTER";
/// The file that is read where none is named.
const FILE: &str = "cluster.toml";
/// The executor that needs nothing.
const LOCAL: &str = "local";

/// Where cells run.
#[derive(Debug, Args)]
pub(super) struct ClusterArguments {
    /// Where cells run: local (this machine), slurm, processes (as on a cluster, on this machine), manual (you start the tasks)
    #[arg(long, value_name = "NAME", default_value = LOCAL, value_parser = parse_executor)]
    executor: Place,
    /// What the cluster is asked for [default: $HOMEBENCH_CLUSTER, else cluster.toml, where they are]
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// Submit and collect what can be, and leave: exit code 4 while cells are under way
    #[arg(long)]
    no_wait: bool,
}

/// This machine, or what starts tasks.
type Place = Option<EngineKind>;

fn parse_executor(text: &str) -> Result<Place, String> {
    let names = EngineKind::ALL.map(EngineKind::name);
    let all = || [LOCAL].into_iter().chain(names);
    match EngineKind::of_name(text) {
        Some(kind) => Ok(Some(kind)),
        None if text == LOCAL => Ok(None),
        None => {
            let meant = nearest(text, all());
            let meant = meant.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            Err(format!(
                "expected one of {}{meant}",
                all().collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// What a cluster is asked for.
pub(super) struct OnCluster {
    kind: EngineKind,
    settings: ClusterSettings,
    leaves: bool,
}

impl ClusterArguments {
    /// What a cluster is asked for; nothing where cells run here. `--jobs` says how many tasks run at once.
    ///
    /// # Errors
    /// A file that can't be read or says what can't be meant.
    pub(super) fn read(&self, jobs: Option<usize>) -> Result<Option<OnCluster>, Diagnostic> {
        let Some(kind) = self.executor else {
            let unused = match (self.no_wait, &self.cluster) {
                (true, _) => Some("--no-wait"),
                (false, Some(_)) => Some("--cluster"),
                (false, None) => None,
            };
            return match unused {
                Some(name) => Err(Diagnostic::new(
                    name,
                    "says something of a cluster, and cells run here",
                )
                .hint("add `--executor slurm`, or leave it out")),
                None => Ok(None),
            };
        };
        let named = self
            .cluster
            .clone()
            .or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
        let file = named.or_else(|| Some(PathBuf::from(FILE)).filter(|file| file.exists()));
        let mut settings = read_settings(file.as_deref().map(Path::new), kind)?;
        settings.tasks = jobs.unwrap_or(settings.tasks);
        Ok(Some(OnCluster {
            kind,
            settings,
            leaves: self.no_wait,
        }))
    }
}

impl OnCluster {
    /// Tasks at once.
    pub(super) fn tasks(&self) -> usize {
        self.settings.tasks
    }

    /// Threads of a cell where nobody says how many: of nodes that nobody has seen, one; of this machine, its cores shared.
    pub(super) fn threads(&self) -> usize {
        match self.kind {
            EngineKind::Processes => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                (cores / self.settings.tasks).max(1)
            }
            EngineKind::Slurm | EngineKind::Manual => 1,
        }
    }
}

/// Where the cells of a run are.
pub(super) enum CellPlace {
    /// In processes of this one.
    Here(Box<Local>),
    /// In tasks.
    There(EngineKind, Box<Cluster>),
}

impl CellPlace {
    /// The executor of a run.
    ///
    /// # Errors
    /// What tasks need is refused.
    pub(super) fn new(
        session: &Session,
        local: LocalSettings,
        cluster: Option<OnCluster>,
        fresh: bool,
    ) -> Result<Self> {
        let Some(OnCluster {
            kind,
            settings,
            leaves,
        }) = cluster
        else {
            return Ok(Self::Here(Box::new(Local::new(local))));
        };
        let bytes = session.datasets.iter().map(|(_, data)| data.hold.bytes());
        let run = ClusterRun {
            kind,
            settings,
            local,
            retries: session.experiment.run.retries,
            data_bytes: bytes.max().unwrap_or(0),
            fresh,
            leaves,
        };
        let cluster = Cluster::new(&session.results, run)?;
        Ok(Self::There(kind, Box::new(cluster)))
    }

    pub(super) fn executor(&mut self) -> &mut dyn Executor {
        match self {
            Self::Here(local) => local.as_mut(),
            Self::There(_, cluster) => cluster.as_mut(),
        }
    }

    /// What is to be done once the folder is this run's: no task of another executor may be at work there.
    ///
    /// # Errors
    /// One may be.
    pub(super) fn enter(&self, results: &ResultsFolder, provenance: &mut Provenance) -> Result<()> {
        match self {
            Self::Here(_) => refuse_open(results),
            Self::There(kind, cluster) => {
                provenance.set_executor(kind.name());
                set_ender(Some(Box::new(cluster.ender())));
                Ok(())
            }
        }
    }

    /// What is to be done once no cell runs for this process: where they ran is written down.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn leave(&self, results: &ResultsFolder, provenance: &mut Provenance) -> Result<()> {
        let Self::There(_, cluster) = self else {
            return Ok(());
        };
        set_ender(None);
        provenance.set_hosts(cluster.hosts());
        provenance.complete(results)?;
        cluster.take_back();
        cluster.clear_away();
        Ok(())
    }

    /// How many cells run and how many wait without this process.
    pub(super) fn under_way(&self) -> (usize, usize) {
        match self {
            Self::Here(_) => (0, 0),
            Self::There(_, cluster) => cluster.under_way(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executor_is_named_and_the_nearest_is_told() {
        assert_eq!(parse_executor("slurm"), Ok(Some(EngineKind::Slurm)));
        assert_eq!(parse_executor("local"), Ok(None));
        let said = parse_executor("slrum").unwrap_err();
        assert_eq!(
            said,
            "expected one of local, slurm, processes, manual; did you mean `slurm`?"
        );
    }
}

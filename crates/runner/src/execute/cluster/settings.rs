//! `cluster.toml`: what a cluster is asked for. It is of a machine and not of an experiment, so nothing of it stands in a spec.

use super::own_options::own_option;
use bytesize::ByteSize;
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// What a task is asked for, and how it is waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSettings {
    /// Tasks at once.
    pub tasks: usize,
    /// What a bundle of cells should take.
    pub task_time: Duration,
    /// Memory of a cell.
    pub memory_bytes: Option<u64>,
    /// The most that a task may ask for.
    pub longest: Duration,
    /// Features that a node must have.
    pub constraint: Option<String>,
    /// Whether every node must have the processor of the first.
    pub same_processors: bool,
    /// How often cells are submitted again whose task is lost without having made progress.
    pub resubmissions: usize,
    /// Time between two questions to the batch system; doubled while nothing changes.
    pub poll: Duration,
    /// After so long without a word, a task that the batch system doesn't know is lost.
    pub silence: Duration,
    /// More arguments of the program that submits.
    pub arguments: Vec<String>,
    /// Variables of the environment that tasks get.
    pub environment: Vec<String>,
    /// Lines in front of the task in its script.
    pub setup: String,
}

impl ClusterSettings {
    /// What holds where no file says otherwise: for processes of this machine, for a cluster, or for whoever starts tasks by hand.
    fn default_of(engine: EngineKind) -> Self {
        let seconds = Duration::from_secs;
        let is_here = engine == EngineKind::Processes;
        Self {
            tasks: if is_here { 1 } else { 64 },
            task_time: seconds(900),
            memory_bytes: None,
            longest: seconds(4 * 3600),
            constraint: None,
            same_processors: false,
            resubmissions: 3,
            poll: seconds(if is_here { 1 } else { 30 }),
            silence: seconds(60),
            arguments: Vec::new(),
            environment: Vec::new(),
            setup: String::new(),
        }
    }
}

/// How often a task says that it is there: six beats may be late or unseen before silence means anything.
pub(crate) fn beat(silence: Duration) -> Duration {
    silence / 6
}

/// What starts tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Slurm's job arrays.
    Slurm,
    /// Processes of this machine.
    Processes,
    /// A person, or another batch system.
    Manual,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Slurm, Self::Processes, Self::Manual];

    /// Its name: as an argument, as a table of `cluster.toml`, and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slurm => "slurm",
            Self::Processes => "processes",
            Self::Manual => "manual",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFile {
    slurm: Option<WireSlurm>,
    processes: Option<WireTasks>,
    manual: Option<WireTasks>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSlurm {
    tasks: Option<i64>,
    task_seconds: Option<f64>,
    memory: Option<String>,
    time: Option<String>,
    constraint: Option<String>,
    processors: Option<String>,
    resubmissions: Option<i64>,
    poll_seconds: Option<f64>,
    silence_seconds: Option<f64>,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    environment: Vec<String>,
    setup: Option<String>,
}

/// Of what needs nothing that a batch system is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTasks {
    tasks: Option<i64>,
    task_seconds: Option<f64>,
    processors: Option<String>,
    resubmissions: Option<i64>,
    poll_seconds: Option<f64>,
    silence_seconds: Option<f64>,
}

impl From<WireTasks> for WireSlurm {
    fn from(wire: WireTasks) -> Self {
        Self {
            tasks: wire.tasks,
            task_seconds: wire.task_seconds,
            processors: wire.processors,
            resubmissions: wire.resubmissions,
            poll_seconds: wire.poll_seconds,
            silence_seconds: wire.silence_seconds,
            ..Self::default()
        }
    }
}

/// Reads what an engine is asked for; without a file what holds by default.
///
/// # Errors
/// A file that can't be read, or says what can't be meant, at its place.
pub fn read_settings(
    file: Option<&Path>,
    engine: EngineKind,
) -> Result<ClusterSettings, Diagnostic> {
    match file {
        None => Ok(ClusterSettings::default_of(engine)),
        Some(path) => of_document(&Document::read(path)?, engine),
    }
}

fn of_document(document: &Document, engine: EngineKind) -> Result<ClusterSettings, Diagnostic> {
    let wire: WireFile = document.parse()?;
    let own = match engine {
        EngineKind::Slurm => wire.slurm,
        EngineKind::Processes => wire.processes.map(WireSlurm::from),
        EngineKind::Manual => wire.manual.map(WireSlurm::from),
    };
    let table = ClusterTable {
        document,
        table: engine.name(),
    };
    let wire = own.unwrap_or_default();
    let default = ClusterSettings::default_of(engine);
    table.check_arguments(&wire.arguments)?;
    table.check_environment(&wire.environment)?;
    Ok(ClusterSettings {
        tasks: table
            .count("tasks", wire.tasks, 1)?
            .unwrap_or(default.tasks),
        task_time: table
            .seconds("task_seconds", wire.task_seconds)?
            .unwrap_or(default.task_time),
        memory_bytes: table.memory("memory", wire.memory.as_deref())?,
        longest: table
            .time("time", wire.time.as_deref())?
            .unwrap_or(default.longest),
        constraint: table.text("constraint", wire.constraint)?,
        same_processors: table.processors(wire.processors.as_deref())?,
        resubmissions: table
            .count("resubmissions", wire.resubmissions, 0)?
            .unwrap_or(default.resubmissions),
        poll: table
            .seconds("poll_seconds", wire.poll_seconds)?
            .unwrap_or(default.poll),
        silence: table
            .seconds("silence_seconds", wire.silence_seconds)?
            .unwrap_or(default.silence),
        arguments: wire.arguments,
        environment: wire.environment,
        setup: wire.setup.unwrap_or_default(),
    })
}

/// The values of an engine's table, at their places in the file.
struct ClusterTable<'a> {
    document: &'a Document,
    table: &'static str,
}

impl ClusterTable<'_> {
    fn refuse(&self, path: &KeyPath, message: String) -> Diagnostic {
        self.document.at_value(path, message)
    }

    fn path(&self, key: &str) -> KeyPath {
        KeyPath::new([self.table, key])
    }

    fn count(
        &self,
        key: &str,
        value: Option<i64>,
        least: i64,
    ) -> Result<Option<usize>, Diagnostic> {
        const MOST: i64 = 1_000_000;
        let path = self.path(key);
        match value {
            Some(count) if !(least..=MOST).contains(&count) => Err(self.refuse(
                &path,
                format!("`{path}`: expected a whole number from {least} to {MOST}, found {count}"),
            )),
            other => Ok(other.and_then(|count| usize::try_from(count).ok())),
        }
    }

    fn seconds(&self, key: &str, value: Option<f64>) -> Result<Option<Duration>, Diagnostic> {
        let path = self.path(key);
        let read = |seconds: f64| {
            let time = Duration::try_from_secs_f64(seconds).ok();
            // A month: whoever writes more means another unit.
            let is_sane = |time: &Duration| !time.is_zero() && time.as_secs() <= 30 * 86_400;
            time.filter(is_sane).ok_or_else(|| {
                let message = format!(
                    "`{path}`: expected seconds, more than 0 and up to 30 days, found {seconds}"
                );
                self.refuse(&path, message)
            })
        };
        value.map(read).transpose()
    }

    fn memory(&self, key: &str, value: Option<&str>) -> Result<Option<u64>, Diagnostic> {
        let path = self.path(key);
        let read = |text: &str| {
            let bytes = text.parse::<ByteSize>().ok().map(|size| size.as_u64());
            bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
                let message = format!("`{path}`: expected an amount of memory, found \"{text}\"");
                self.refuse(&path, message)
                    .hint("such as \"4GiB\" or \"500MB\"")
            })
        };
        value.map(read).transpose()
    }

    /// A number with its unit: `90m`, `4h`, `2d`.
    fn time(&self, key: &str, value: Option<&str>) -> Result<Option<Duration>, Diagnostic> {
        let path = self.path(key);
        let read = |text: &str| {
            let units = [('m', 60), ('h', 3600), ('d', 86_400)];
            let unit = units.iter().find(|(letter, _)| text.ends_with(*letter));
            let number = text.get(..text.len().saturating_sub(1));
            let number = number.and_then(|number| number.parse::<u32>().ok());
            match (unit, number) {
                (Some((_, seconds)), Some(number)) if number > 0 => {
                    Ok(Duration::from_secs(u64::from(number) * seconds))
                }
                _ => Err(self
                    .refuse(
                        &path,
                        format!("`{path}`: expected a time, found \"{text}\""),
                    )
                    .hint("such as \"90m\", \"4h\" or \"2d\"")),
            }
        };
        value.map(read).transpose()
    }

    fn text(&self, key: &str, value: Option<String>) -> Result<Option<String>, Diagnostic> {
        let path = self.path(key);
        match value {
            Some(text) if text.trim().is_empty() => {
                let said = self.refuse(&path, format!("`{path}`: expected a text, found none"));
                Err(said.hint("leave the key out"))
            }
            other => Ok(other),
        }
    }

    fn processors(&self, value: Option<&str>) -> Result<bool, Diagnostic> {
        match value {
            None | Some("any") => Ok(false),
            Some("same") => Ok(true),
            Some(other) => {
                let path = self.path("processors");
                let message = format!("`{path}`: expected `any` or `same`, found `{other}`");
                Err(self
                    .refuse(&path, message)
                    .did_you_mean(other, ["any", "same"]))
            }
        }
    }

    fn check_arguments(&self, arguments: &[String]) -> Result<(), Diagnostic> {
        for (index, argument) in arguments.iter().enumerate() {
            let path = self.path("arguments").join(index.to_string());
            if let Some((name, mend)) = own_option(argument) {
                let message = format!(
                    "`{}`: homebench gives {name} itself, found `{argument}`",
                    self.path("arguments")
                );
                return Err(self.refuse(&path, message).hint(mend));
            }
            // A word that is no option would be taken for the script.
            if !argument.starts_with('-') || argument == "--" {
                let message = format!(
                    "`{}`: expected options of sbatch with their values in one text, found `{argument}`",
                    self.path("arguments")
                );
                return Err(self
                    .refuse(&path, message)
                    .hint("one text for each, as in `sbatch --partition=batch`"));
            }
        }
        Ok(())
    }

    fn check_environment(&self, names: &[String]) -> Result<(), Diagnostic> {
        for (index, name) in names.iter().enumerate() {
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let starts_well = name.starts_with(|letter: char| !letter.is_ascii_digit());
            if starts_well && name.chars().all(is_plain) {
                continue;
            }
            let path = self.path("environment").join(index.to_string());
            let message = format!(
                "`{}`: expected names of variables, found `{name}`",
                self.path("environment")
            );
            let said = self.refuse(&path, message);
            return Err(said.hint("values are those of the shell in which `homebench run` starts"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

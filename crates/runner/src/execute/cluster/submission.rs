//! `.cluster/<token>/` of a results folder: one submission of tasks. Its files are all that a parent, its tasks and whoever looks on
//! know of each other.
//!
//! `submission.toml` says what was submitted and how far that is; `chunks` has a line for each task, its cells; `orders` is what the
//! parent has to say after that; `<index>.events` is what a task says, `<index>.log` what it said on stderr; `homebench` is the program
//! that was submitted, since another may be built meanwhile.

use super::settings::EngineKind;
use super::work::TaskWork;
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::{ResultsFolder, create_dir_inside, refuse_link, unwritable, write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The format of a submission's files.
const FORMAT: u32 = 1;
const RECORD: &str = "submission.toml";
const CHUNKS: &str = "chunks";
const ORDERS: &str = "orders";
const PROGRAM: &str = "homebench";
const SCRIPT: &str = "task.sh";
/// The most bytes of `chunks`, which has about a hundred for each cell: more than a text that people write.
const MOST_CHUNKS: u64 = 1 << 30;
/// The words of `orders`.
const STOP: &str = "stop";
const SUPERSEDED: &str = "superseded";

/// How far a submission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It is about to be submitted, or was: whoever finds this asks the batch system.
    Intended,
    /// The batch system has it.
    Submitted,
    /// Nothing of it may run any more.
    Superseded,
    /// Every task of it has ended.
    Over,
}

/// A cell of a task, with what its content doesn't say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChunkCell {
    pub(crate) id: String,
    /// What the plan calls its training.
    pub(crate) label: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) keeps_weights: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    engine: String,
    state: State,
    /// The batch system's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// What tells the program that was submitted from others.
    build: String,
    tasks: usize,
    work: TaskWork,
}

/// A submission, as its folder has it.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    folder: PathBuf,
    record: Record,
}

/// What a parent has said to the tasks of a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Cells are to write checkpoints and end.
    pub(crate) stop: bool,
    all_superseded: bool,
    superseded: BTreeSet<usize>,
}

impl Orders {
    /// Whether another has the cells of a task, so that it may write nothing more.
    pub(crate) fn is_superseded(&self, task: usize) -> bool {
        self.all_superseded || self.superseded.contains(&task)
    }

    fn parse(text: &str) -> Self {
        let mut orders = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                None if line == STOP => orders.stop = true,
                None if line == SUPERSEDED => orders.all_superseded = true,
                Some((SUPERSEDED, task)) => orders.superseded.extend(task.parse::<usize>().ok()),
                _ => {}
            }
        }
        orders
    }
}

impl Submission {
    /// Writes a submission down before it is made: whoever finds it knows that it may have been.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn intend(
        results: &ResultsFolder,
        engine: EngineKind,
        chunks: &[Vec<ChunkCell>],
        (work, setup): (&TaskWork, &str),
    ) -> anyhow::Result<Self> {
        let token = format!("{:016x}", random());
        let inside = Path::new(ResultsFolder::CLUSTER).join(&token);
        create_dir_inside(results.path(), &inside)?;
        let folder = absolute(&results.path().join(&inside))?;
        let submission = Self {
            folder,
            record: Record {
                format: FORMAT,
                engine: engine.name().to_owned(),
                state: State::Intended,
                job: None,
                build: crate::provenance::build_id(),
                tasks: chunks.len(),
                work: work.clone(),
            },
        };
        submission.link_program()?;
        write(&submission.folder.join(CHUNKS), |out| {
            for chunk in chunks {
                serde_json::to_writer(&mut *out, chunk)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        write(&submission.folder.join(ORDERS), |_| Ok(()))?;
        let script = submission.script_text(setup);
        write(&submission.script(), |out| {
            Ok(out.write_all(script.as_bytes())?)
        })?;
        // Last: a folder without it was never submitted.
        submission.write_record()?;
        Ok(submission)
    }

    /// Reads the submission of a folder; absent where there is none, or one that was not written to its end.
    ///
    /// # Errors
    /// A file that can't be read, or is of a newer homebench.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Diagnostic> {
        let path = folder.join(RECORD);
        let refuse = |message: String| Diagnostic::new(path.display().to_string(), message);
        let text = match regular_file::read_text(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| refuse(format!("can't be read: {error}")))?,
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let format = toml::from_str::<Format>(&text).map_or(FORMAT, |found| found.format);
        if format > FORMAT {
            let said = refuse(format!("is of a newer homebench (format {format})"));
            return Err(said.hint("use the homebench that submitted it"));
        }
        let record = toml::from_str(&text).map_err(|error| {
            let said = refuse(format!("can't be read: {}", error.message()));
            said.hint("end what was submitted by hand, then remove the folder that it is in")
        })?;
        Ok(Some(Self {
            folder: absolute(folder)?,
            record,
        }))
    }

    /// Every submission of a results folder, in the order of their names.
    ///
    /// # Errors
    /// As of [`Self::read`]; a link in the place of the folder of all of them, which are written and removed.
    pub(crate) fn all(results: &ResultsFolder) -> Result<Vec<Self>, Diagnostic> {
        refuse_link(&results.cluster())?;
        let entries = std::fs::read_dir(results.cluster());
        let mut folders: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        folders.sort();
        let read = folders.iter().map(|folder| Self::read(folder));
        read.filter_map(Result::transpose).collect()
    }

    /// The program that is running, under a name of its own: by a second name of the same file where the file system allows that.
    fn link_program(&self) -> anyhow::Result<()> {
        let own = super::super::Local::this_program()?;
        let place = self.program();
        let file = |path: &Path| {
            let there = std::fs::metadata(path).ok()?;
            Some((there.dev(), there.ino()))
        };
        // A network's server may have made the link and its answer be lost: the second asking then finds it there. A copy would empty the
        // file that it copies.
        if std::fs::hard_link(&own, &place).is_ok()
            || file(&place).is_some_and(|place| Some(place) == file(&own))
        {
            return Ok(());
        }
        std::fs::copy(&own, &place).map_err(|error| unwritable(&place, &error))?;
        Ok(())
    }

    fn script_text(&self, setup: &str) -> String {
        let folder = self.folder.display().to_string();
        let words = [
            self.program().display().to_string(),
            "task".to_owned(),
            folder,
        ];
        // Nothing with a zero in it can be a path.
        let command = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
        // By exec: of a shell that stays, the end would leave the task behind. What `--export` leaves to steps would take their PATH.
        format!(
            "#!/bin/bash\nunset SLURM_EXPORT_ENV\n{}\nexec {command}\n",
            setup.trim_end()
        )
    }

    fn write_record(&self) -> anyhow::Result<()> {
        let text = toml::to_string(&self.record).map_err(|error| {
            let path = self.folder.display().to_string();
            Diagnostic::new(path, format!("a path can't be written as text: {error}"))
                .hint("use folders whose names are text in UTF-8")
        })?;
        write(&self.folder.join(RECORD), |out| {
            Ok(out.write_all(text.as_bytes())?)
        })
    }

    /// Writes down how far it is.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn set_state(&mut self, state: State, job: Option<String>) -> anyhow::Result<()> {
        self.record.state = state;
        self.record.job = job.or(self.record.job.take());
        self.write_record()
    }

    /// Tells every task to let its cells write checkpoints and end.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn order_stop(&self) -> Result<(), Diagnostic> {
        self.order(STOP)
    }

    /// Tells a task, or all, that others have its cells.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn supersede(&self, task: Option<usize>) -> Result<(), Diagnostic> {
        match task {
            Some(task) => self.order(&format!("{SUPERSEDED} {task}")),
            None => self.order(SUPERSEDED),
        }
    }

    fn order(&self, line: &str) -> Result<(), Diagnostic> {
        let path = self.folder.join(ORDERS);
        // Made anew where somebody moved it away: what it said to tasks before is said once more by whoever ends them.
        let mut options = regular_file::unlinked();
        let appended = options
            .create(true)
            .append(true)
            .open(&path)
            .and_then(regular_file::regular)
            .and_then(|mut file| {
                file.write_all(format!("{line}\n").as_bytes())?;
                file.sync_all()
            });
        appended.map_err(|error| unwritable(&path, &error))
    }

    /// What was ordered so far. The file is there from the beginning, so that no network shows its absence for a while.
    pub(crate) fn orders(&self) -> Orders {
        let text = regular_file::read_text(&self.folder.join(ORDERS));
        // A disk that doesn't answer now may do at the next look.
        text.map(|text| Orders::parse(&text)).unwrap_or_default()
    }

    /// The cells of every task.
    ///
    /// # Errors
    /// The file can't be read.
    pub(crate) fn chunks(&self) -> Result<Vec<Vec<ChunkCell>>, Diagnostic> {
        let path = self.folder.join(CHUNKS);
        let refuse = |said: String| {
            let said =
                Diagnostic::new(path.display().to_string(), format!("can't be read: {said}"));
            said.hint(
                "`homebench cancel` ends what was submitted; run the experiment again after that",
            )
        };
        let text = regular_file::read_text_up_to(&path, MOST_CHUNKS);
        let text = text.map_err(|error| refuse(error.to_string()))?;
        let lines = text.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .map_err(|error| refuse(error.to_string()))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The results that it is of.
    pub(crate) fn results(&self) -> Option<ResultsFolder> {
        Some(ResultsFolder::new(self.folder.parent()?.parent()?))
    }

    pub(crate) fn token(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// What a batch system calls it, so that it is found again.
    pub(crate) fn name(&self) -> String {
        format!("hb-{}", self.token())
    }

    pub(crate) fn state(&self) -> State {
        self.record.state
    }

    /// Whether tasks of it may be at work.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state(), State::Intended | State::Submitted)
    }

    pub(crate) fn job(&self) -> Option<&str> {
        self.record.job.as_deref()
    }

    pub(crate) fn engine(&self) -> &str {
        &self.record.engine
    }

    pub(crate) fn build(&self) -> &str {
        &self.record.build
    }

    pub(crate) fn num_tasks(&self) -> usize {
        self.record.tasks
    }

    pub(crate) fn work(&self) -> &TaskWork {
        &self.record.work
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.join(PROGRAM)
    }

    pub(crate) fn script(&self) -> PathBuf {
        self.folder.join(SCRIPT)
    }

    pub(crate) fn events(&self, task: usize) -> PathBuf {
        self.folder.join(format!("{task}.events"))
    }

    pub(crate) fn log(&self, task: usize) -> PathBuf {
        self.folder.join(format!("{task}.log"))
    }

    /// What a user calls a task of it.
    pub(crate) fn task_name(&self, task: usize) -> String {
        match self.job() {
            Some(job) => format!("task {task} of {} {job}", self.engine()),
            None => format!("task {task} of {}", self.name()),
        }
    }

    /// Takes the folder away: every task has ended, and nothing of it is to be read.
    pub(crate) fn remove(&self) {
        // Another look at the results finds it, and takes it for over.
        let _ = std::fs::remove_dir_all(&self.folder);
        if let Some(above) = self.folder.parent() {
            // With others in it, it stays.
            let _ = std::fs::remove_dir(above);
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Diagnostic> {
    std::fs::canonicalize(path).map_err(|error| {
        let said = format!("can't be found: {error}");
        Diagnostic::new(path.display().to_string(), said)
    })
}

/// A number that nobody else has: the standard library's own seed is the system's.
pub(crate) fn random() -> u64 {
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
pub(super) mod tests;

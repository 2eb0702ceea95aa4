//! `.cluster/<token>/` of a results folder: one submission of tasks. Its files are all that a parent, its tasks and whoever looks on
//! know of each other.
//!
//! `submission.toml` says what was submitted and how far that is; `chunks` has a line for each task, its cells; `orders` is what the
//! parent has to say after that; `<index>.events` is what a task says, `<index>.log` what it said on stderr; `homebench` is the program
//! that was submitted, since another may be built meanwhile.

use super::events::{EventReader, TaskEvent};
use super::settings::EngineKind;
use super::work::TaskWork;
use homebench_diagnostic::{Diagnostic, regular_file, shell_word};
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
/// The end of the name of what a task says.
const EVENTS: &str = ".events";
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
        Self::read_record(folder).map_err(|unreadable| *unreadable.said)
    }

    fn read_record(folder: &Path) -> Result<Option<Self>, Unreadable> {
        let path = folder.join(RECORD);
        let refuse = |message: String| Unreadable::new(folder, message);
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
            let said = Diagnostic::new(
                path.display().to_string(),
                format!("is of a newer homebench (format {format})"),
            );
            return Err(Unreadable {
                folder: folder.to_owned(),
                said: Box::new(said.hint("use the homebench that submitted it")),
                is_newer: true,
            });
        }
        let record = toml::from_str(&text)
            .map_err(|error| refuse(format!("can't be read: {}", error.message())))?;
        let folder = absolute(folder).map_err(|said| refuse(said.message))?;
        Ok(Some(Self { folder, record }))
    }

    /// The submission of a folder, unless nothing of it is wanted any more. A record is written before the first task begins, so where a
    /// task has spoken and there is none, it was lost.
    fn find(folder: &Path) -> Result<Option<Self>, Unreadable> {
        let is_written_off = || read_orders(folder).all_superseded;
        match Self::read_record(folder) {
            Ok(None) if !is_written_off() && has_open_tasks(folder) => Err(Unreadable::new(
                folder,
                "is gone, and tasks of its submission have begun and may be at work".to_owned(),
            )),
            Err(unreadable) if !unreadable.is_newer && is_written_off() => Ok(None),
            found => found,
        }
    }

    /// Every submission of a results folder, in the order of their names.
    ///
    /// # Errors
    /// As of [`Self::read`], and a record that is gone while tasks may be at work; a link in the place of the folder of all of them, which
    /// are written and removed.
    pub(crate) fn all(results: &ResultsFolder) -> Result<Vec<Self>, Diagnostic> {
        refuse_link(&results.cluster())?;
        let found = Self::each(results).into_iter();
        found
            .map(|found| found.map_err(|unreadable| *unreadable.said))
            .collect()
    }

    /// Every submission of a results folder that is there, or why it can't be read.
    pub(super) fn each(results: &ResultsFolder) -> Vec<Result<Self, Unreadable>> {
        let entries = std::fs::read_dir(results.cluster());
        let mut folders: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        folders.sort();
        let read = folders.iter().map(|folder| Self::find(folder));
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
        append_order(&self.folder, line)
    }

    /// What was ordered so far. The file is there from the beginning, so that no network shows its absence for a while.
    pub(crate) fn orders(&self) -> Orders {
        read_orders(&self.folder)
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
        self.folder.join(format!("{task}{EVENTS}"))
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
        // The record last: what tasks have said and no record would look like one that was lost. What stays is found by another look
        // at the results, and taken for over.
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.file_name().is_some_and(|name| name != RECORD) {
                let _ = std::fs::remove_file(&path);
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
        if let Some(above) = self.folder.parent() {
            // With others in it, it stays.
            let _ = std::fs::remove_dir(above);
        }
    }
}

/// A submission whose record can't be used.
#[derive(Debug)]
pub(super) struct Unreadable {
    folder: PathBuf,
    // Apart, so that a result stays small.
    pub(super) said: Box<Diagnostic>,
    /// Whether another homebench can.
    pub(super) is_newer: bool,
}

impl Unreadable {
    fn new(folder: &Path, message: String) -> Self {
        let results = folder.parent().and_then(Path::parent).unwrap_or(folder);
        let said = Diagnostic::new(folder.join(RECORD).display().to_string(), message);
        Self {
            folder: folder.to_owned(),
            said: Box::new(said.hint(format!(
                "restore it, or end what was submitted with `homebench cancel {}`; then run the experiment again",
                shell_word(results)
            ))),
            is_newer: false,
        }
    }

    /// Its folder, as its tasks know it.
    pub(super) fn folder(&self) -> PathBuf {
        absolute(&self.folder).unwrap_or_else(|_| self.folder.clone())
    }

    /// What a batch system calls it.
    pub(super) fn name(&self) -> String {
        let token = self.folder.file_name().unwrap_or_default();
        format!("hb-{}", token.to_string_lossy())
    }

    /// Tells its tasks to let their cells write checkpoints and end. They read it without the record.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn order_stop(&self) -> Result<(), Diagnostic> {
        append_order(&self.folder, STOP)
    }

    /// Tells its tasks that others have their cells. From now on nobody asks for the record.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn write_off(&self) -> Result<(), Diagnostic> {
        append_order(&self.folder, SUPERSEDED)
    }

    /// The files of what its tasks have said.
    pub(super) fn events(&self) -> Vec<PathBuf> {
        let found = events_in(&self.folder).into_iter();
        found.map(|(_, path)| path).collect()
    }
}

/// What tasks of a folder have said: each task with its file.
fn events_in(folder: &Path) -> Vec<(usize, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_task = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let task = name.strip_suffix(EVENTS)?.parse().ok()?;
        Some((task, path))
    };
    entries.filter_map(|entry| of_task(entry.path())).collect()
}

/// Whether a task has begun, has not said its last word, and may still write.
fn has_open_tasks(folder: &Path) -> bool {
    let orders = read_orders(folder);
    let is_open = |(task, path): (usize, PathBuf)| {
        let news = EventReader::new(path).all_news();
        !orders.is_superseded(task) && !matches!(news.last(), Some(TaskEvent::Over))
    };
    events_in(folder).into_iter().any(is_open)
}

fn read_orders(folder: &Path) -> Orders {
    let text = regular_file::read_text(&folder.join(ORDERS));
    // A disk that doesn't answer now may do at the next look.
    text.map(|text| Orders::parse(&text)).unwrap_or_default()
}

fn append_order(folder: &Path, line: &str) -> Result<(), Diagnostic> {
    let path = folder.join(ORDERS);
    // It is there from the beginning. Made anew where it is lost or somebody moved it away: what it said to tasks before is said once more by
    // whoever ends them.
    let file = regular_file::unlinked()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(regular_file::regular);
    let appended = file.and_then(|mut file| {
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    });
    appended.map_err(|error| unwritable(&path, &error))
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

//! The cell of a program of the user's: it is given rows and settings as files, and gives back predictions as files.

use super::{
    ChildSettings, end_by_the_closed_stdin, end_with_its_parent, is_asked_to_stop, tell_parent,
};
use crate::execute::protocol::Message;
use crate::execute::{adopt_orphans, close_files_in_child, kill_descendants};
use anyhow::{Context as _, Result};
use homebench_data::exchange::{Predictions, RowsAs, read_predictions, write_rows};
use homebench_data::{Prepared, Schema, Split, kinds_of_ids};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::spec::{CellContent, script_digest};
use homebench_model::{PROGRAM_KEYS, PROGRAM_SCRIPTS};
use homebench_results::{create_dir_inside, refuse_link, unwritable, write_unsynced};
use homebench_train::{Program, ProgramScores, TrainError};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The number of the settings' layout.
const FORMAT: u32 = 1;
/// How often it is looked whether the program has ended, or is to end.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The folder of a cell that its program reads from and writes into.
const FOLDER: &str = "program";
/// What a program may keep from one start of its cell to the next.
const STATE: &str = "state";

/// A program with the folder that it reads from and writes into.
pub(super) struct OutsideProgram<'a> {
    content: &'a CellContent,
    threads: usize,
    folder: PathBuf,
    rows_as: RowsAs,
    /// Of features whose ids are not one for each value.
    kinds: BTreeMap<String, &'static str>,
}

impl<'a> OutsideProgram<'a> {
    /// Makes the folder, without what an earlier start left there but for the program's own state.
    ///
    /// # Errors
    /// A folder that can't be written.
    pub(super) fn new(settings: &ChildSettings, content: &'a CellContent) -> Result<Self> {
        end_by_the_closed_stdin();
        adopt_orphans();
        let cell = settings.folder.path();
        // Everything in it is removed in the end, so it has to be the cell's own and no link to another's.
        create_dir_inside(cell, &Path::new(FOLDER).join(STATE))?;
        let rows_as = content
            .model
            .knobs
            .get("rows_as")
            .and_then(toml::Value::as_str);
        let program = Self {
            content,
            threads: settings.threads,
            // The program may change its working folder. Of the cell's folder alone: a link in this one's place is not followed.
            folder: cell.canonicalize()?.join(FOLDER),
            rows_as: rows_as.and_then(RowsAs::named).unwrap_or(RowsAs::Arrow),
            kinds: kinds_of_ids(&content.dataset_ref(), &settings.places)?,
        };
        program.remove_rows()?;
        Ok(program)
    }

    /// Ends what the program has started and left behind: nothing of it is to write once its cell has ended.
    pub(super) fn end_processes(&self) {
        kill_descendants();
    }

    /// Removes everything of a cell that is done.
    ///
    /// # Errors
    /// Something that can't be removed; a link, which the program may have put there meanwhile.
    pub(super) fn remove(&self) -> Result<(), Diagnostic> {
        refuse_link(&self.folder)?;
        std::fs::remove_dir_all(&self.folder).map_err(|error| unwritable(&self.folder, &error))
    }

    /// Removes the rows that were written for the program: of a cell that failed the rest may tell why.
    pub(super) fn remove_given(&self) {
        if refuse_link(&self.folder).is_err() {
            return;
        }
        for split in ["train", "validation", "test"] {
            // What stays takes space and is removed at the next start.
            let _ = std::fs::remove_file(self.rows_file(split));
        }
    }

    /// Removes what was written for the program and by it, but for its state.
    fn remove_rows(&self) -> Result<(), Diagnostic> {
        let failed = |path: &Path, error| unwritable(path, &error);
        let entries = std::fs::read_dir(&self.folder);
        for entry in entries.map_err(|error| failed(&self.folder, error))? {
            let path = entry.map_err(|error| failed(&self.folder, error))?.path();
            let removed = match path.is_dir() && !path.is_symlink() {
                true if path.file_name().is_some_and(|name| name == STATE) => Ok(()),
                true => std::fs::remove_dir_all(&path),
                // A link itself, and nothing behind it.
                false => std::fs::remove_file(&path),
            };
            removed.map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    fn rows_file(&self, split: &str) -> PathBuf {
        self.folder
            .join(format!("{split}.{}", self.rows_as.ending()))
    }

    fn write_rows(&self, split: &Split, schema: &Schema, name: &str) -> Result<(), TrainError> {
        let with_labels = name != "test";
        let path = self.rows_file(name);
        write_rows(split, schema, with_labels, self.rows_as, &path).map_err(TrainError::Data)
    }

    /// Runs the program once and reads what it predicted for the split.
    fn run(
        &self,
        schema: &Schema,
        phase: &str,
        split: &str,
        num_rows: usize,
    ) -> Result<ProgramScores, TrainError> {
        let settings = self.folder.join(format!("{phase}.json"));
        let text = serde_json::to_string_pretty(&self.settings(schema, phase, split));
        let text = text.map_err(|error| TrainError::Program(error.to_string()))?;
        write_unsynced(
            &settings,
            |out| Ok(out.write_all((text + "\n").as_bytes())?),
        )
        .map_err(TrainError::Data)?;
        self.check_scripts()?;
        let command = words(&self.content.model.knobs["command"]);
        let status = self.wait_for(start(&command, &settings)?)?;
        if !status.success() {
            return Err(TrainError::Program(format!(
                "the program {} {}; its log says more",
                how_it_ended(status),
                match phase {
                    "fit" => "while it learned",
                    _ => "while it predicted the test rows",
                }
            )));
        }
        let read = read_predictions(
            &self.folder,
            &predictions_name(split),
            num_rows,
            &schema.tasks,
        );
        let predictions = read.map_err(|error| TrainError::Program(error.to_string()))?;
        say_certain(&predictions, schema, split);
        Ok(predictions.scores)
    }

    fn settings(&self, schema: &Schema, phase: &str, split: &str) -> Value {
        let feature = |(name, size): (&String, usize)| json!({"name": name, "vocabulary_size": size, "kind": self.kinds.get(name)});
        let categorical = schema.categorical.iter();
        let lists = schema.lists.iter();
        let tasks = schema.tasks.iter().map(|task| {
            json!({
                "name": task.name,
                "group": schema.groups[task.group],
                "kind": if task.is_regression() { "regression" } else { "classification" },
            })
        });
        let knobs = self.content.model.knobs.iter();
        let is_knob = |key: &str| !PROGRAM_KEYS.contains(&key) && key != PROGRAM_SCRIPTS;
        let knobs: toml::Table = knobs
            .filter(|(key, _)| is_knob(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let files: &[&str] = match phase {
            "fit" => &["train", "validation"],
            _ => &["test"],
        };
        let rows = files
            .iter()
            .map(|name| ((*name).to_owned(), self.rows_file(name)));
        json!({
            "format": FORMAT,
            "phase": phase,
            "variant": self.content.variant,
            "seed": self.content.seed,
            "threads": self.threads,
            "knobs": as_json(&knobs),
            "training": as_json(&self.content.training),
            "rows_as": self.rows_as.ending(),
            "rows": rows.collect::<BTreeMap<_, _>>(),
            "state": self.folder.join(STATE),
            "predictions": self.folder.join(predictions_name(split)),
            "tasks": tasks.collect::<Vec<_>>(),
            "categorical": categorical.map(|one| feature((&one.name, one.vocabulary_size))).collect::<Vec<_>>(),
            "lists": lists.map(|one| feature((&one.name, one.vocabulary_size))).collect::<Vec<_>>(),
            "numeric": schema.numeric,
            "user": schema.user,
            "weight": schema.weight,
        })
    }

    /// Refuses files that are others than those that the cell's id has.
    fn check_scripts(&self) -> Result<(), TrainError> {
        let scripts = self.content.model.knobs.get(PROGRAM_SCRIPTS);
        for (file, digest) in scripts
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten()
        {
            let found = script_digest(file);
            if !found.is_ok_and(|found| digest.as_str() == Some(found.as_str())) {
                return Err(TrainError::Program(format!(
                    "{file} is not what it was when the experiment was planned: run the experiment again"
                )));
            }
        }
        Ok(())
    }

    fn wait_for(&self, mut child: Child) -> Result<ExitStatus, TrainError> {
        loop {
            let ended = child.try_wait().context("waiting for the program");
            if let Some(status) = ended.map_err(TrainError::Data)? {
                return Ok(status);
            }
            if is_asked_to_stop() {
                // What it has of a state is its own affair; a cell of it begins anew.
                let _ = child.kill();
                self.end_processes();
                let _ = child.wait();
                return Err(TrainError::Stopped);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for OutsideProgram<'_> {
    fn drop(&mut self) {
        self.end_processes();
    }
}

impl Program for OutsideProgram<'_> {
    fn fit(&mut self, dataset: &Prepared) -> Result<ProgramScores, TrainError> {
        let schema = &dataset.schema;
        self.write_rows(&dataset.train, schema, "train")?;
        self.write_rows(&dataset.validation, schema, "validation")?;
        self.run(schema, "fit", "validation", dataset.validation.num_rows())
    }

    fn predict(&mut self, schema: &Schema, test: &Split) -> Result<ProgramScores, TrainError> {
        self.write_rows(test, schema, "test")?;
        self.run(schema, "predict", "test", test.num_rows())
    }
}

/// The file of a split's predictions, without its ending.
fn predictions_name(split: &str) -> String {
    format!("{split}_predictions")
}

fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn words(value: &toml::Value) -> Vec<String> {
    let words = value.as_array().into_iter().flatten();
    words
        .filter_map(|word| Some(word.as_str()?.to_owned()))
        .collect()
}

/// Starts the program in this process's folder, with its settings as its last argument. What it says goes to the cell's log.
fn start(command: &[String], settings: &Path) -> Result<Child, TrainError> {
    let refuse = |error: std::io::Error| {
        TrainError::Program(format!("can't start `{}`: {}", command[0], error.kind()))
    };
    // Stdout is the way to the parent.
    let log = std::io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map_err(refuse)?;
    let mut process = Command::new(&command[0]);
    process
        .args(&command[1..])
        .arg(settings)
        .stdin(Stdio::null())
        .stdout(log);
    end_with_its_parent(&mut process);
    // What it leaves behind would hold the lock of the results.
    close_files_in_child(&mut process, false);
    process.spawn().map_err(refuse)
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not end by itself".to_owned(),
    }
}

fn say_certain(predictions: &Predictions, schema: &Schema, split: &str) {
    for (task, number) in schema.tasks.iter().zip(&predictions.num_certain) {
        if *number > 0 {
            tell_parent(&Message::Notice(format!(
                "{number} probabilities of `{}` on {split} are exactly 0 or 1, and count as 1e-15 from it",
                task.name
            )));
        }
    }
}

//! Learning curves for TensorBoard: an event file for each cell, in `tensorboard/<label of the cell>/`. They are no part of the results that are
//! sealed, since each point has the time at which it was made.

mod event;

use anyhow::Context;
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::tables::{CurvesRow, Table, rows_of_text};
use homebench_results::{
    CellFolder, Outcome, ResultsFolder, create_dir_inside, remove, unwritable,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// TensorBoard reads files with `tfevents` in their name.
const BEGINNING: &str = "events.out.tfevents.";
/// The folder of them in a folder of results.
const FOLDER: &str = "tensorboard";

/// Where the event files of a folder of results are.
pub fn folder(results: &ResultsFolder) -> PathBuf {
    results.join(FOLDER)
}

/// Where those of the cell with this label are, in the folder of results: what TensorBoard calls it.
pub fn cell_folder(label: &str) -> PathBuf {
    let parts = label.split('/').map(|part| match part {
        // Names that lead elsewhere.
        "" | "." | ".." => "_",
        name => name,
    });
    parts.fold(PathBuf::from(FOLDER), |path, part| path.join(part))
}

/// A point of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Steps done.
    pub step: u64,
    /// `train` or `validation`.
    pub split: String,
    /// Task name, or `all`.
    pub task: String,
    /// Metric name.
    pub metric: String,
    /// The value; none where it is undefined.
    pub value: Option<f64>,
}

/// The event file of a cell.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    /// Evaluations that are in it; not known before it was compared with those that training has.
    num_written: Option<usize>,
}

impl EventFile {
    /// Opens the file of the cell `id` in the folder `inside` of the results, and removes those of other cells that had its place.
    ///
    /// # Errors
    /// A folder that can't be written, a link in the place of one or of the file, or a file that is no event file of homebench.
    pub fn open(results: &Path, inside: &Path, id: &str) -> Result<Self, Diagnostic> {
        create_dir_inside(results, inside)?;
        let folder = results.join(inside);
        let own = path(&folder, id);
        let failed = |error| unwritable(&own, &error);
        // First: where it can't be written, nothing is removed for it.
        let file = open_own(&own)?;
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(BEGINNING));
            let is_ours =
                id.is_some_and(|id| id.len() == 16 && id.bytes().all(|c| c.is_ascii_hexdigit()));
            if is_ours && entry.path() != own {
                remove(&entry.path())?;
            }
        }
        Ok(Self {
            file,
            num_written: None,
        })
    }

    /// Makes the file hold these points and no others; they are those of before with more at the end. What it has already keeps its
    /// times.
    ///
    /// # Errors
    /// A file that can't be read or written.
    pub fn hold(&mut self, points: &[Point]) -> io::Result<()> {
        let mut evaluations: BTreeMap<u64, Vec<&Point>> = BTreeMap::new();
        for point in points {
            evaluations.entry(point.step).or_default().push(point);
        }
        let num_written = match self.num_written {
            Some(number) => number,
            // A killed process may have written more than the checkpoint that training goes on from.
            None => self.keep_first(evaluations.len())?,
        };
        for (step, points) in evaluations.iter().skip(num_written) {
            let tags: Vec<(String, f64)> = points
                .iter()
                .filter_map(|point| {
                    let Point {
                        metric,
                        split,
                        task,
                        ..
                    } = point;
                    Some((format!("{metric}/{split}/{task}"), point.value?))
                })
                .collect();
            let values = tags.iter().map(|(tag, value)| (tag.as_str(), *value));
            // In one piece, so that a reader finds it whole or not at all, or waits.
            self.file.write_all(&event::scalars(now(), *step, values))?;
        }
        self.num_written = Some(evaluations.len().max(num_written));
        Ok(())
    }

    /// Leaves the header and at most so many evaluations, and says how many are left.
    fn keep_first(&mut self, number: usize) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(0))?;
        let ends = event::ends_of_records(&mut self.file)?;
        let kept = ends.len().saturating_sub(1).min(number);
        let end = ends.get(kept).copied().unwrap_or(0);
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        if end == 0 {
            self.file.write_all(&event::header(now()))?;
        }
        Ok(kept)
    }
}

/// Opens an event file, or makes it. It is written in place, so it has to be homebench's.
fn open_own(own: &Path) -> Result<File, Diagnostic> {
    let mut options = regular_file::unlinked();
    let options = options.read(true).write(true).create(true).truncate(false);
    let opened = options.open(own).and_then(regular_file::regular);
    let mut file = opened.map_err(|error| unwritable(own, &error))?;
    let is_its = event::is_event_file(&mut file).map_err(|error| unwritable(own, &error))?;
    if !is_its {
        let message = "what is there is no event file that homebench wrote";
        return Err(Diagnostic::new(own.display().to_string(), message)
            .hint("move it away, then run this again"));
    }
    Ok(file)
}

/// Writes the event file of a cell that is done, from its learning curves, where it has none, or one without a point.
///
/// # Errors
/// Curves that can't be read, or a file that can't be written.
pub fn write_missing(
    results: &ResultsFolder,
    inside: &Path,
    id: &str,
    cell: &CellFolder,
) -> anyhow::Result<()> {
    let own = path(&results.path().join(inside), id);
    // One that was emptied, or whose cell was killed before it had a point, is there too.
    let is_filled = |mut file: File| event::ends_of_records(&mut file).map(|ends| ends.len() > 1);
    if !own.is_symlink()
        && regular_file::open(&own)
            .and_then(is_filled)
            .unwrap_or(false)
    {
        return Ok(());
    }
    let points = points_of(cell)?;
    let mut events = EventFile::open(results.path(), inside, id)?;
    Ok(events
        .hold(&points)
        .map_err(|error| unwritable(&own, &error))?)
}

fn points_of(cell: &CellFolder) -> anyhow::Result<Vec<Point>> {
    let read = Outcome::read_with_parts(cell).map_err(Diagnostic::from)?;
    let curves = read.and_then(|(_, mut parts)| parts.take(CurvesRow::FILE));
    let point = |row: CurvesRow<'_>| Point {
        step: row.step,
        split: row.split.to_owned(),
        task: row.task.to_owned(),
        metric: row.metric.to_owned(),
        value: row.value,
    };
    let of_row = |row: CurvesRow<'_>, _: &_| Ok(Some(point(row)));
    let curves = curves.context("it has no curves")?;
    Ok(rows_of_text::<CurvesRow, _>(
        cell.outcome(),
        curves,
        of_row,
    )?)
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{BEGINNING}{id}"))
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(steps: &[u64]) -> Vec<Point> {
        let point = |step: &u64| {
            [("loss", "train", "all"), ("auc", "validation", "click")].map(
                |(metric, split, task)| Point {
                    step: *step,
                    split: split.to_owned(),
                    task: task.to_owned(),
                    metric: metric.to_owned(),
                    value: Some(0.5),
                },
            )
        };
        steps.iter().flat_map(point).collect()
    }

    fn num_records(folder: &Path, id: &str) -> usize {
        event::ends_of_records(&mut File::open(path(folder, id)).unwrap())
            .unwrap()
            .len()
    }

    #[test]
    fn a_training_that_goes_on_has_each_point_once_and_earlier_ones_keep_their_times() {
        let root = tempfile::tempdir().unwrap();
        let (inside, id) = (Path::new("mmoe/1"), "0123456789abcdef");
        let folder = root.path().join(inside);
        let open = || EventFile::open(root.path(), inside, id).unwrap();
        let mut first = open();
        first.hold(&points(&[])).unwrap();
        first.hold(&points(&[10])).unwrap();
        first.hold(&points(&[10, 20])).unwrap();
        first.hold(&points(&[10, 20, 30])).unwrap();
        drop(first);
        let before = std::fs::read(path(&folder, id)).unwrap();
        // Killed in the middle of a record, after the checkpoint that has the first two evaluations.
        std::fs::write(path(&folder, id), &before[..before.len() - 5]).unwrap();
        let mut second = open();
        second.hold(&points(&[10, 20])).unwrap();
        assert_eq!(num_records(&folder, id), 3);
        second.hold(&points(&[10, 20, 30])).unwrap();
        let after = std::fs::read(path(&folder, id)).unwrap();
        assert_eq!(after.len(), before.len());
        let earlier = before.len() * 3 / 5;
        assert_eq!(after[..earlier], before[..earlier]);
        // From the beginning, as with --fresh.
        let mut third = open();
        third.hold(&points(&[])).unwrap();
        third.hold(&points(&[10])).unwrap();
        assert_eq!(num_records(&folder, id), 2);
    }

    #[test]
    fn a_cell_takes_the_place_of_another_and_leaves_the_files_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let open = |id| EventFile::open(folder, Path::new(""), id).unwrap();
        open("0123456789abcdef");
        std::fs::write(folder.join("events.out.tfevents.1700000000.host"), "theirs").unwrap();
        open("fedcba9876543210");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "events.out.tfevents.1700000000.host",
                "events.out.tfevents.fedcba9876543210"
            ]
        );
    }

    #[test]
    fn what_is_no_event_file_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, id) = (folder.path(), "0123456789abcdef");
        let open = || EventFile::open(folder, Path::new(""), id);
        let own = path(folder, id);
        let other = path(folder, "fedcba9876543210");
        std::fs::write(&other, "of another cell").unwrap();
        let text = "notes that are longer than the first record of an event file";
        for notes in ["notes", text] {
            std::fs::write(&own, notes).unwrap();
            let said = open().unwrap_err().to_string();
            assert!(said.contains("is no event file"), "{said}");
            assert_eq!(std::fs::read_to_string(&own).unwrap(), notes);
            assert!(other.exists());
        }
        // A killed process may have written a piece of the first record, or none of it.
        let header = event::header(1.0);
        for length in [0, 5, header.len() - 1, header.len()] {
            std::fs::write(&own, &header[..length]).unwrap();
            open().unwrap().hold(&points(&[10])).unwrap();
            assert_eq!(num_records(folder, id), 2);
        }
    }

    #[test]
    fn no_label_leads_out_of_the_folder() {
        let found = cell_folder("../a[b=c]/./1");
        assert_eq!(found, Path::new("tensorboard/_/a[b=c]/_/1"));
    }
}

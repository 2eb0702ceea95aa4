//! What experts and gates of a folder's cells did, and what sweeps set: tables that figures alone read.

use super::table::{ReadError, Row, Table};
use super::{COUNT, Results};
use std::collections::HashMap;
use std::path::Path;

/// Rows of `experts.csv` and `gates.csv` that were measured in the epoch of the selected weights, of `expert_histograms.csv`, and of
/// `settings.csv`; none of a file that isn't there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inside {
    /// Rows of `experts.csv`.
    pub experts: Vec<ExpertRow>,
    /// Rows of `gates.csv`.
    pub gates: Vec<GateRow>,
    /// Rows of `expert_histograms.csv`.
    pub bins: Vec<BinRow>,
    /// Rows of `settings.csv`.
    pub settings: Vec<SettingRow>,
}

/// Where in a model something was measured, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Results::cells`].
    pub cell: usize,
    /// Steps done.
    pub step: u64,
    /// Layer or level, from 0.
    pub layer: u64,
    /// Variable path; empty for the layer.
    pub path: String,
}

/// A number of an expert, a set or a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertRow {
    /// Where and when.
    pub at: Place,
    /// Place in the set.
    pub expert: Option<u64>,
    /// Owner or occupant.
    pub task: String,
    /// Name of the index.
    pub metric: String,
    /// The value; absent where it is undefined.
    pub value: Option<f64>,
}

/// A number of a gate, of an expert that it sees, or a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRow {
    /// Where and when.
    pub at: Place,
    /// Owner.
    pub task: String,
    /// Path of the set of the expert.
    pub expert_path: String,
    /// Place in the set.
    pub expert: Option<u64>,
    /// Name of the index.
    pub metric: String,
    /// The value; absent where it is undefined.
    pub value: Option<f64>,
}

/// How many outputs of an expert lie in a range.
#[derive(Debug, Clone, PartialEq)]
pub struct BinRow {
    /// Where and when.
    pub at: Place,
    /// Place in the set.
    pub expert: u64,
    /// Lower end; absent where there is none.
    pub low: Option<f64>,
    /// Upper end; absent where there is none.
    pub high: Option<f64>,
    /// Outputs in it.
    pub count: u64,
}

/// What a sweep set.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingRow {
    /// Index into [`Results::cells`].
    pub cell: usize,
    /// `rank`, `training.learning_rate`.
    pub setting: String,
    /// Its value as written.
    pub value: String,
}

impl Inside {
    /// Reads what the folder of these results has; rows of trials are left out.
    ///
    /// # Errors
    /// A file that can't be read, a missing column, or a value that is not what its column holds; each with file, line and
    /// column.
    pub fn read(results: &Results) -> Result<Self, ReadError> {
        let cells = results.cells.iter().enumerate();
        let places: Places = cells
            .map(|(place, cell)| (cell.id.as_str(), place))
            .collect();
        let folder = &results.folder;
        // Other epochs are passed over: nothing shows them, and they are most of a table.
        let is_selected = |row: &Row, cell: usize| -> Result<bool, ReadError> {
            let selected = results.cells[cell].selected_epoch;
            Ok(selected.is_none() || selected == Some(row.parse("epoch", COUNT)?))
        };
        let expert = |row: &Row, cell| {
            let is_selected = is_selected(row, cell)?;
            is_selected.then(|| expert(row, cell)).transpose()
        };
        let gate = |row: &Row, cell| {
            let is_selected = is_selected(row, cell)?;
            is_selected.then(|| gate(row, cell)).transpose()
        };
        let experts = rows(&folder.join("experts.csv"), &EXPERTS, &places, expert)?;
        let gates = rows(&folder.join("gates.csv"), &GATES, &places, gate)?;
        Ok(Self {
            experts: experts.into_iter().flatten().collect(),
            gates: gates.into_iter().flatten().collect(),
            bins: rows(&folder.join("expert_histograms.csv"), &BINS, &places, bin)?,
            settings: rows(&folder.join("settings.csv"), &SETTINGS, &places, setting)?,
        })
    }
}

const EXPERTS: [&str; 9] = [
    "cell", "epoch", "step", "layer", "path", "expert", "task", "metric", "value",
];
const GATES: [&str; 10] = [
    "cell",
    "epoch",
    "step",
    "layer",
    "path",
    "task",
    "expert_path",
    "expert",
    "metric",
    "value",
];
const BINS: [&str; 8] = [
    "cell", "step", "layer", "path", "expert", "low", "high", "count",
];
const SETTINGS: [&str; 3] = ["cell", "setting", "value"];

type Places<'a> = HashMap<&'a str, usize>;

/// The file's rows whose cell is among `places`.
fn rows<T>(
    file: &Path,
    columns: &[&'static str],
    places: &Places,
    read: impl Fn(&Row, usize) -> Result<T, ReadError>,
) -> Result<Vec<T>, ReadError> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let table = Table::read(file, columns)?;
    let mut found = Vec::new();
    for row in table.rows() {
        if let Some(cell) = places.get(row.text("cell")?) {
            found.push(read(&row, *cell)?);
        }
    }
    Ok(found)
}

fn at(row: &Row, cell: usize) -> Result<Place, ReadError> {
    Ok(Place {
        cell,
        step: row.parse("step", COUNT)?,
        layer: row.parse("layer", COUNT)?,
        path: row.text("path")?.to_owned(),
    })
}

fn expert(row: &Row, cell: usize) -> Result<ExpertRow, ReadError> {
    Ok(ExpertRow {
        at: at(row, cell)?,
        expert: row.optional("expert", COUNT)?,
        task: row.text("task")?.to_owned(),
        metric: row.text("metric")?.to_owned(),
        value: row.number("value")?,
    })
}

fn gate(row: &Row, cell: usize) -> Result<GateRow, ReadError> {
    Ok(GateRow {
        at: at(row, cell)?,
        task: row.text("task")?.to_owned(),
        expert_path: row.text("expert_path")?.to_owned(),
        expert: row.optional("expert", COUNT)?,
        metric: row.text("metric")?.to_owned(),
        value: row.number("value")?,
    })
}

fn bin(row: &Row, cell: usize) -> Result<BinRow, ReadError> {
    Ok(BinRow {
        at: at(row, cell)?,
        expert: row.parse("expert", COUNT)?,
        low: row.number("low")?,
        high: row.number("high")?,
        count: row.parse("count", COUNT)?,
    })
}

fn setting(row: &Row, cell: usize) -> Result<SettingRow, ReadError> {
    Ok(SettingRow {
        cell,
        setting: row.text("setting")?.to_owned(),
        value: row.text("value")?.to_owned(),
    })
}

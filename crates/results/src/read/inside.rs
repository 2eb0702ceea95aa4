//! What experts and gates of a folder's cells did, and what sweeps set: tables that figures alone read.

use super::{ReadError, Results};
use crate::tables::{ExpertsRow, GatesRow, HistogramsRow, read_rows_if_any};

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
    pub settings: Vec<SweptSetting>,
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
pub struct SweptSetting {
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
        let (folder, places) = (&results.folder, results.places());
        // Other epochs are passed over: no figure shows them, and they are most of a table that isn't packed.
        let selected = |id: &str, epoch| {
            let cell = places.get(id).copied();
            cell.filter(|cell| results.cells[*cell].may_select(epoch))
        };
        let at = |cell, step, layer, path: &str| Place {
            cell,
            step,
            layer,
            path: path.to_owned(),
        };
        let experts = read_rows_if_any::<ExpertsRow, _>(folder, |row, _| {
            Ok(selected(row.cell, row.epoch).map(|cell| ExpertRow {
                at: at(cell, row.step, row.layer, row.path),
                expert: row.expert,
                task: row.task.to_owned(),
                metric: row.metric.to_owned(),
                value: row.value,
            }))
        })?;
        let gates = read_rows_if_any::<GatesRow, _>(folder, |row, _| {
            Ok(selected(row.cell, row.epoch).map(|cell| GateRow {
                at: at(cell, row.step, row.layer, row.path),
                task: row.task.to_owned(),
                expert_path: row.expert_path.to_owned(),
                expert: row.expert,
                metric: row.metric.to_owned(),
                value: row.value,
            }))
        })?;
        let bins = read_rows_if_any::<HistogramsRow, _>(folder, |row, _| {
            Ok(places.get(row.cell).map(|cell| BinRow {
                at: at(*cell, row.step, row.layer, row.path),
                expert: row.expert,
                low: row.low,
                high: row.high,
                count: row.count,
            }))
        })?;
        let settings = results.settings.iter().filter_map(|row| {
            Some(SweptSetting {
                cell: *places.get(row.cell.as_str())?,
                setting: row.setting.clone(),
                value: row.value.clone(),
            })
        });
        Ok(Self {
            settings: settings.collect(),
            experts,
            gates,
            bins,
        })
    }
}

//! What was swept and tuned: `settings.csv` and `tuning.csv`.

use super::table::{ReadError, Table};
use super::{COUNT, one_of};
use std::path::Path;

/// A setting that a grid, random draws or tuning gave a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Hash of the cell's content.
    pub cell: String,
    /// Name of the variant.
    pub variant: String,
    /// Path of the setting in the spec.
    pub setting: String,
    /// Its value as the spec would write it.
    pub value: String,
}

/// A cell of a trial of a variant's tuning: a trial has one per seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Name of the variant.
    pub variant: String,
    /// Number of the trial among those of the variant, from 1.
    pub trial: u64,
    /// Hash of the cell's content.
    pub cell: String,
    /// Seed of the cell.
    pub seed: u64,
    /// What it reached on validation; nothing if the cell failed.
    pub validation_score: Option<f64>,
    /// Whether the variant's final cells have its settings.
    pub is_selected: bool,
}

pub(super) fn settings(file: &Path) -> Result<Vec<Setting>, ReadError> {
    let table = Table::read(file, &["cell", "variant", "setting", "value"])?;
    let setting = |row: super::Row| {
        Ok(Setting {
            cell: row.text("cell")?.to_owned(),
            variant: row.text("variant")?.to_owned(),
            setting: row.text("setting")?.to_owned(),
            value: row.text("value")?.to_owned(),
        })
    };
    table.rows().map(setting).collect()
}

pub(super) fn tuning(file: &Path) -> Result<Vec<Trial>, ReadError> {
    const COLUMNS: [&str; 6] = [
        "variant",
        "trial",
        "cell",
        "seed",
        "validation_score",
        "selected",
    ];
    let table = Table::read(file, &COLUMNS)?;
    let trial = |row: super::Row| {
        let selected = one_of(&row, "selected", &["true", "false"], "`true` or `false`")?;
        Ok(Trial {
            variant: row.text("variant")?.to_owned(),
            trial: row.parse("trial", COUNT)?,
            cell: row.text("cell")?.to_owned(),
            seed: row.parse("seed", COUNT)?,
            validation_score: row.number("validation_score")?,
            is_selected: selected == "true",
        })
    };
    table.rows().map(trial).collect()
}

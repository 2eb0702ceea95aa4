//! The schema of the results folder: one struct per CSV table, whose fields are its columns in their order, for whoever writes or reads
//! it. One value per row, floats in their shortest round-trip form; an absent value is an empty cell.

mod cohorts;
mod column;
mod data_warnings;
#[cfg(test)]
mod kinds;
mod open;
mod reader;
mod rows;
#[cfg(test)]
mod tests;

pub use cohorts::CohortsRow;
pub use data_warnings::DataWarningsRow;
pub use open::{ReadError, open_table, table_file};
pub use reader::{TableReader, read_rows, read_rows_if_any, rows_of_text};
pub use rows::{
    CellsRow, CurvesRow, ExpertsRow, GatesRow, HistogramsRow, MetricsRow, ModelPartsRow, Scope,
    SettingsRow, ThroughputRow, TuningRow,
};

pub(crate) use open::packed_path;
pub(crate) use rows::ExternalRow;

use serde::{Deserialize, Serialize};
use std::io::Write;

/// A struct whose fields are the columns of a CSV file, found by name.
pub trait Row {
    /// Columns that may be absent. The row then has nothing there.
    const LATER: &'static [&'static str];
    /// The row with text that it borrows from a line of the file.
    type Of<'a>: Deserialize<'a>;
}

/// The row of a table of the results folder.
pub trait Table: Row + Serialize {
    /// The table's file.
    const FILE: &'static str;
}

/// Writes header and rows.
///
/// # Errors
/// What `out` says, or a number that is not finite, with the table's name: nobody could read it again.
pub fn write<T: Table>(
    out: &mut dyn Write,
    rows: impl IntoIterator<Item = T>,
) -> anyhow::Result<()> {
    // The header comes from the struct, also where there is no row to say it.
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(out);
    writer
        .write_record(column::names::<T>())
        .map_err(unwrap_io::<T>)?;
    for row in rows {
        writer.serialize(row).map_err(unwrap_io::<T>)?;
    }
    writer.flush()?;
    Ok(())
}

/// The system's error inside a csv error, which decides what a user is told.
fn unwrap_io<T: Table>(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        csv::ErrorKind::Serialize(why) => anyhow::anyhow!("writing {}: {why}", T::FILE),
        kind => anyhow::anyhow!("writing {}: {kind:?}", T::FILE),
    }
}

/// A table that cells write parts of.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its file, in the cell's folder and in that of the results.
    pub file: &'static str,
    columns: fn() -> &'static [&'static str],
}

/// The tables that cells write parts of.
pub const PARTS: [Part; 6] = [
    Part::of::<MetricsRow>(),
    Part::of::<CurvesRow>(),
    Part::of::<ExpertsRow>(),
    Part::of::<GatesRow>(),
    Part::of::<HistogramsRow>(),
    Part::of::<ThroughputRow>(),
];

/// The part of cells whose spec asks for cohorts; others have none.
pub const COHORTS: Part = Part::of::<CohortsRow>();

/// The part with times.
pub const TIMES: Part = Part::of::<ThroughputRow>();

/// The tables that may be there packed, `experts.csv.zst` in place of `experts.csv`: those with several rows of a cell. What a reader
/// opens first, `cells.csv` and `tuning.csv`, never is.
pub(crate) const LONG: [&str; 9] = [
    MetricsRow::FILE,
    CohortsRow::FILE,
    CurvesRow::FILE,
    ExpertsRow::FILE,
    GatesRow::FILE,
    HistogramsRow::FILE,
    SettingsRow::FILE,
    ModelPartsRow::FILE,
    ThroughputRow::FILE,
];

/// The parts without times, which are the same bytes on a repeat.
pub fn repeatable_parts() -> impl Iterator<Item = Part> {
    PARTS.into_iter().filter(|part| !part.has_times())
}

impl Part {
    const fn of<T: Table>() -> Self {
        Self {
            file: T::FILE,
            columns: column::names::<T>,
        }
    }

    /// Whether it has times, which no repeat has again.
    pub fn has_times(self) -> bool {
        self.file == TIMES.file
    }

    /// Its header without the end of the line.
    pub fn header(self) -> String {
        (self.columns)().join(",")
    }

    /// Whether a text begins with the header and has at least one row, the last of them whole.
    pub fn is_whole(self, text: &str) -> bool {
        let rows = text.strip_prefix(&(self.header() + "\n"));
        rows.is_some_and(|rows| rows.ends_with('\n'))
    }
}

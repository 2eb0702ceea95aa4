//! Headers and cells of the tidy tables: one value per row, floats in their shortest round-trip form.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

/// What became of every cell.
pub const CELLS: Table = Table {
    file: "cells.csv",
    header: &[
        "cell",
        "variant",
        "model",
        "dataset",
        "seed",
        "status",
        "error",
        "selected_epoch",
        "epochs_run",
        "validation_score",
        "parameters",
        "flops_per_row",
        "phase",
        "trial",
        "split_seed",
        "tries",
        "log",
    ],
};

/// Every setting that a grid, random draws or tuning gave a cell.
pub const SETTINGS: Table = Table {
    file: "settings.csv",
    header: &["cell", "variant", "setting", "value"],
};

/// Every trial with its validation score, and which was selected.
pub const TUNING: Table = Table {
    file: "tuning.csv",
    header: &[
        "variant",
        "trial",
        "cell",
        "seed",
        "validation_score",
        "selected",
        "split_seed",
    ],
};

/// Scores of the selected weights.
pub const METRICS: Table = Table {
    file: "metrics.csv",
    header: &[
        "cell",
        "variant",
        "seed",
        "split",
        "task",
        "metric",
        "value",
        "rows",
        "positives",
    ],
};

/// Learning curves.
pub const CURVES: Table = Table {
    file: "curves.csv",
    header: &[
        "cell", "variant", "seed", "epoch", "step", "split", "task", "metric", "value",
    ],
};

/// What experts did on the validation split, at every evaluation.
pub const EXPERTS: Table = Table {
    file: "experts.csv",
    header: &[
        "cell", "variant", "seed", "epoch", "step", "layer", "path", "expert", "task", "metric",
        "value",
    ],
};

/// What gates did on the validation split, at every evaluation. A gate has a `weight` for every expert that it sees.
pub const GATES: Table = Table {
    file: "gates.csv",
    header: &[
        "cell",
        "variant",
        "seed",
        "epoch",
        "step",
        "layer",
        "path",
        "task",
        "expert_path",
        "expert",
        "metric",
        "value",
    ],
};

/// How the outputs of each expert are distributed, with the selected weights.
pub const HISTOGRAMS: Table = Table {
    file: "expert_histograms.csv",
    header: &[
        "cell", "variant", "seed", "epoch", "step", "layer", "path", "expert", "low", "high",
        "count",
    ],
};

/// The only table with times.
pub const THROUGHPUT: Table = Table {
    file: "throughput.csv",
    header: &[
        "cell",
        "variant",
        "seed",
        "device",
        "threads",
        "train_rows",
        "train_seconds",
        "train_rows_per_second",
        "evaluation_rows",
        "evaluation_seconds",
        "total_seconds",
        "peak_memory_bytes",
        "cpu_seconds",
        "tries",
    ],
};

/// The tables that cells write parts of, and whether trials are in them too. Scores and curves of trials stay in their
/// own folders, so that no table of results can mix them with final ones; what trials cost in time is shown.
pub const PARTS: [(Table, bool); 6] = [
    (METRICS, false),
    (CURVES, false),
    (EXPERTS, false),
    (GATES, false),
    (HISTOGRAMS, false),
    (THROUGHPUT, true),
];

/// The parts without times, which are the same bytes on a repeat.
pub fn repeatable_parts() -> impl Iterator<Item = Table> {
    let tables = PARTS.into_iter().map(|(table, _)| table);
    tables.filter(|table| table.file != THROUGHPUT.file)
}

/// A file's name and columns.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name in the folder.
    pub file: &'static str,
    /// Its columns, in order.
    pub header: &'static [&'static str],
}

impl Table {
    /// The header line.
    pub fn header_line(&self) -> String {
        self.header.join(",") + "\n"
    }

    /// Whether a file begins with the header and has at least one row, the last of them whole.
    pub fn is_whole(&self, path: &Path) -> bool {
        std::fs::read_to_string(path).is_ok_and(|text| {
            let rows = text.strip_prefix(&self.header_line());
            rows.is_some_and(|rows| rows.ends_with('\n'))
        })
    }

    /// Writes header and rows.
    pub fn write(
        &self,
        out: &mut dyn Write,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(self.header).map_err(unwrap_io)?;
        for row in rows {
            writer.write_record(row).map_err(unwrap_io)?;
        }
        writer.flush()?;
        Ok(())
    }
}

/// An absent value is an empty cell.
pub fn or_empty(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// The system's error inside a csv error, which decides what a user is told.
fn unwrap_io(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => anyhow::anyhow!("writing a table: {kind:?}"),
    }
}

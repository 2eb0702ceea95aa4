//! Tables and reports of a results folder, made from its files and nothing else.

mod comparison;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod metric_name;
pub mod results;
#[cfg(test)]
pub(crate) mod sample;
pub mod statistics;
mod terminal;

use anyhow::Result;
use results::Results;
use std::path::Path;

/// Variants by tasks as plain text: mean ± standard deviation of the main metric on test, seeds, parameters and training
/// rows per second; then who is ahead, if anyone, and what failed.
///
/// # Errors
/// A CSV file that can't be read, with file, line and column.
pub fn terminal_table(results_dir: &Path) -> Result<String> {
    Ok(terminal::table(&Results::read(results_dir)?))
}

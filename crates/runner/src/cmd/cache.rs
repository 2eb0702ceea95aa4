//! `homebench cache`: what prepared datasets there are, and removing those that nobody needs.

use super::data::PlaceArgs;
use anyhow::Result;
use bytesize::ByteSize;
use clap::{ArgGroup, Args, Subcommand};
use homebench_data::{CachedDataset, Cleared, Clearing, cached_datasets, clear_cache};
use homebench_diagnostic::Diagnostic;
use homebench_results::timestamp;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// List and clear prepared datasets
#[derive(Debug, Args)]
#[command(after_help = "Example: homebench cache list && homebench cache clear --unused-for 30")]
pub(super) struct CacheArguments {
    #[command(subcommand)]
    command: CacheCommand,
    #[command(flatten)]
    places: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Show every prepared dataset: rows, size, when it was made and last used, whether its description still gives it
    #[command(after_help = "\
Example: homebench cache list

`description`: same, its description still gives this dataset; changed, it gives another; gone, there is none of this name;
unknown, the dataset doesn't say what it was made from.")]
    List,
    /// Remove prepared datasets; they are prepared again when they are needed
    #[command(after_help = "\
Examples:
  homebench cache clear census-income
  homebench cache clear --unused-for 30 --dry-run
  homebench cache clear --all

Datasets in use stay, and so does everything that homebench did not make.")]
    Clear(Cleaning),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["name", "unused_for", "all"])))]
struct Cleaning {
    /// All of a dataset, or one folder of `homebench cache list`
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Those that were not used for so many days
    #[arg(long, value_name = "DAYS", value_parser = parse_days)]
    unused_for: Option<Duration>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

fn parse_days(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a number of days, 0 or more, found `{text}`");
    let days: f64 = text.parse().map_err(|_| expected())?;
    Duration::try_from_secs_f64(days * SECONDS_PER_DAY).map_err(|_| expected())
}

impl CacheArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let places = self.places.resolve();
        match self.command {
            CacheCommand::List => list(&cached_datasets(&places)?, &places.cache),
            CacheCommand::Clear(cleaning) => {
                let cleared = clear_cache(&places, &cleaning.wanted()?, cleaning.dry_run)?;
                say_cleared(&cleared, cleaning.dry_run)
            }
        }
    }
}

impl Cleaning {
    fn wanted(&self) -> Result<Clearing, Diagnostic> {
        Ok(match (&self.name, self.unused_for) {
            (Some(name), _) => Clearing::Named(name.clone()),
            (None, Some(time)) => {
                let since = SystemTime::now().checked_sub(time).ok_or_else(|| {
                    Diagnostic::new(
                        "--unused-for",
                        "expected fewer days: time does not go back so far",
                    )
                })?;
                Clearing::UnusedSince(since)
            }
            (None, None) => Clearing::All,
        })
    }
}

fn list(datasets: &[CachedDataset], cache: &Path) -> Result<ExitCode> {
    let mut rows = vec![
        [
            "dataset",
            "rows",
            "size",
            "made",
            "last used",
            "description",
        ]
        .map(str::to_owned),
    ];
    for dataset in datasets {
        let last_used = match dataset.is_in_use {
            true => "now".to_owned(),
            false => timestamp(dataset.last_used),
        };
        rows.push([
            file_name(&dataset.folder),
            dataset
                .rows
                .map_or("unknown".to_owned(), |rows| rows.to_string()),
            ByteSize(dataset.bytes).to_string(),
            timestamp(dataset.made),
            last_used,
            dataset.description.name().to_owned(),
        ]);
    }
    let mut out = std::io::stdout().lock();
    if datasets.is_empty() {
        writeln!(out, "no prepared dataset is in {}", cache.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                // Numbers end below each other.
                match column {
                    1 | 2 => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                }
            });
        let line: Vec<String> = cells.collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    let bytes = datasets.iter().map(|dataset| dataset.bytes).sum();
    writeln!(out, "{} in {}", ByteSize(bytes), cache.display())?;
    Ok(ExitCode::SUCCESS)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn say_cleared(cleared: &[Cleared], is_trial: bool) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let done = if is_trial {
        "would be removed"
    } else {
        "removed"
    };
    let mut bytes = 0;
    for Cleared { dataset, kept } in cleared {
        let name = file_name(&dataset.folder);
        match kept {
            None => {
                bytes += dataset.bytes;
                writeln!(out, "{name}: {done}, {}", ByteSize(dataset.bytes))?;
            }
            Some(why) => writeln!(out, "{name}: kept, {why}")?,
        }
    }
    let removed = cleared
        .iter()
        .filter(|cleared| cleared.kept.is_none())
        .count();
    writeln!(
        out,
        "{removed} of {}: {} {done}",
        cleared.len(),
        ByteSize(bytes)
    )?;
    Ok(ExitCode::SUCCESS)
}

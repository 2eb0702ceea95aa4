//! `homebench cache`: what prepared datasets there are, and removing those that nobody needs.

use super::data::PlaceArgs;
use super::screen::terminal_width;
use crate::output::write_answer;
use anyhow::Result;
use bytesize::ByteSize;
use clap::{ArgGroup, Args, Subcommand};
use homebench_data::{CachedDataset, Cleared, Clearing, cached_datasets, clear_cache};
use homebench_diagnostic::{Diagnostic, visible};
use homebench_report::text_table::align_rows_within;
use homebench_results::timestamp;
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

`description`: same, its description still gives this dataset; changed, it gives another; gone, there is none of this \
name; unknown, the dataset doesn't say what it was made from.")]
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
        let places = self.places.resolve_for(None)?;
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
    let header = [
        "dataset",
        "size",
        "rows",
        "made",
        "last used",
        "description",
    ];
    let rows: Vec<Vec<String>> = datasets
        .iter()
        .map(|dataset| {
            let last_used = match dataset.is_in_use {
                true => "now".to_owned(),
                false => timestamp(dataset.last_used),
            };
            let rows = dataset.rows.map(|rows| rows.to_string());
            vec![
                file_name(&dataset.folder),
                ByteSize(dataset.bytes).to_string(),
                rows.unwrap_or_else(|| "unknown".to_owned()),
                timestamp(dataset.made),
                last_used,
                dataset.description.name().to_owned(),
            ]
        })
        .collect();
    let bytes = datasets.iter().map(|dataset| dataset.bytes).sum();
    let cache = cache.to_string_lossy();
    let cache = visible(&cache);
    write_answer(&match rows.is_empty() {
        true => format!("no prepared dataset is in {cache}\n"),
        false => format!(
            "{}{} in {cache}\n",
            align_rows_within(&header, &rows, terminal_width()),
            ByteSize(bytes)
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    visible(&name).into_owned()
}

fn say_cleared(cleared: &[Cleared], is_trial: bool) -> Result<ExitCode> {
    let done = if is_trial {
        "would be removed"
    } else {
        "removed"
    };
    let mut answer = String::new();
    let (mut bytes, mut removed) = (0, 0);
    for Cleared { dataset, kept } in cleared {
        let name = file_name(&dataset.folder);
        answer += &match kept {
            None => {
                bytes += dataset.bytes;
                removed += 1;
                format!("{name}: {done}, {}\n", ByteSize(dataset.bytes))
            }
            Some(why) => format!("{name}: kept, {}\n", visible(why)),
        };
    }
    answer += &format!(
        "{removed} of {}: {} {done}\n",
        cleared.len(),
        ByteSize(bytes)
    );
    write_answer(&answer)?;
    Ok(ExitCode::SUCCESS)
}

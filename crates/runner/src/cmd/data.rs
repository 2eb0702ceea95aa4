//! `homebench data`: get, describe, prepare and check datasets.

use crate::bundled;
use crate::output::{note, write_answer};
use anyhow::Result;
use clap::{Args, Subcommand};
use homebench_data::fetch::{Fetched, fetch};
use homebench_data::{self as data, DatasetRef, Observer, Places, RowSubset, Summary};
use homebench_diagnostic::Diagnostic;
use homebench_report::mean_and_deviation;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `homebench data`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: homebench data fetch census-income && homebench data prepare census-income"
)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
    #[command(flatten)]
    places: PlaceArgs,
}

/// Where data lies.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Folder of dataset descriptions [default: experiments/datasets of the project, else those that homebench carries]
    #[arg(long, global = true, value_name = "DIR")]
    descriptions: Option<PathBuf>,
    /// Folder of source files [default: $HOMEBENCH_DATA, else .homebench/data of the project]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder of prepared datasets [default: $HOMEBENCH_CACHE, else .homebench/cache of the project]
    #[arg(long, global = true, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

impl PlaceArgs {
    /// The folders.
    pub fn resolve(&self) -> Places {
        Places::resolve(
            self.descriptions.as_deref(),
            self.data_dir.as_deref(),
            self.cache_dir.as_deref(),
        )
    }

    /// The folders, with the descriptions that this program carries where there are none at hand or none of a dataset.
    ///
    /// # Errors
    /// See [`bundled::complete`].
    pub fn resolve_for(&self, dataset: Option<&str>) -> Result<Places, Diagnostic> {
        let mut places = self.resolve();
        // Whoever names a folder means that one.
        if self.descriptions.is_none() {
            bundled::complete(&mut places, dataset)?;
        }
        Ok(places)
    }
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Download a dataset's source files and check them; does nothing when they are there
    #[command(after_help = "Example: homebench data fetch census-income")]
    Fetch {
        /// Name of a description
        dataset: String,
    },
    /// Prepare a dataset for training; does nothing when it is prepared
    #[command(after_help = "Example: homebench data prepare census-income --protocol mmoe-g1")]
    Prepare(Wanted),
    /// Draft a description from files, for you to edit: types, missing values, labels, users, times, joins
    #[command(
        after_help = "Example: homebench data describe u.data u.user u.item > experiments/datasets/movielens.toml"
    )]
    Describe {
        /// Files of the dataset: text (also .gz and .zst), Parquet or Arrow
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Look at this many rows of each file at most
        #[arg(long, value_name = "N", default_value_t = 1_000_000)]
        rows: u64,
    },
    /// Read every byte of a dataset's source files and of its prepared form, and check them
    #[command(after_help = "Example: homebench data verify census-income")]
    Verify(Wanted),
    /// Copy a dataset's prepared splits for another program, as Arrow files with a schema.toml
    #[command(after_help = "Example: homebench data export census-income --out /tmp/census")]
    Export {
        #[command(flatten)]
        wanted: Wanted,
        /// The folder to write into
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

impl DataCommand {
    fn places(&self, places: &PlaceArgs) -> Result<Places, Diagnostic> {
        match self {
            Self::Fetch { dataset }
            | Self::Prepare(Wanted { dataset, .. })
            | Self::Verify(Wanted { dataset, .. })
            | Self::Export {
                wanted: Wanted { dataset, .. },
                ..
            } => places.resolve_for(Some(dataset)),
            Self::Describe { .. } => Ok(places.resolve()),
        }
    }
}

#[derive(Debug, Args)]
struct Wanted {
    /// Name of a description
    dataset: String,
    /// Protocol of the description [default: its default protocol]
    #[arg(long)]
    protocol: Option<String>,
    /// Use this many training rows, and the same share of the other splits
    #[arg(long, value_name = "N", conflicts_with = "fraction")]
    rows: Option<usize>,
    /// Use this share of the rows of every split
    #[arg(long, value_name = "SHARE")]
    fraction: Option<f64>,
}

impl Wanted {
    fn reference(&self) -> DatasetRef {
        let rows = match (self.rows, self.fraction) {
            (Some(rows), _) => RowSubset::TrainRows(rows),
            (None, Some(fraction)) => RowSubset::Fraction(fraction),
            (None, None) => RowSubset::All,
        };
        DatasetRef {
            name: self.dataset.clone(),
            protocol: self.protocol.clone(),
            rows,
            // What an experiment would set: here a dataset is as its description has it.
            split_seed: None,
            knobs: toml::Table::new(),
        }
    }
}

/// Runs the command: what was asked for on stdout, everything else on stderr.
///
/// # Errors
/// See [`fetch`], [`data::prepare`], [`data::describe`] and [`data::verify`].
pub fn run(args: &DataArgs) -> Result<()> {
    let places = args.command.places(&args.places)?;
    let mut terminal = Terminal::default();
    let mut out = Vec::new();
    match &args.command {
        DataCommand::Fetch { dataset } => match fetch(dataset, &places, &mut terminal)? {
            Fetched::AlreadyThere(folder) => {
                writeln!(out, "{dataset}: already in {}", folder.display())?
            }
            Fetched::Done(folder) => writeln!(out, "{dataset}: fetched into {}", folder.display())?,
            Fetched::Nothing => writeln!(
                out,
                "{dataset}: made by a generator, there is nothing to fetch"
            )?,
        },
        DataCommand::Prepare(wanted) => {
            let summary = data::prepare(&wanted.reference(), &places, &mut terminal)?;
            write_summary(&mut out, &summary)?;
        }
        DataCommand::Export {
            wanted,
            out: folder,
        } => {
            let summary = data::export(&wanted.reference(), &places, folder, &mut terminal)?;
            writeln!(out, "{}: in {}", summary.name, folder.display())?;
        }
        DataCommand::Describe { files, rows } => {
            out.write_all(data::describe(files, *rows, &mut terminal)?.as_bytes())?;
        }
        DataCommand::Verify(wanted) => {
            let verified = data::verify(&wanted.reference(), &places, &mut terminal)?;
            for (path, sha256) in &verified.sources {
                writeln!(out, "{}: whole, SHA-256 {sha256}", path.display())?;
            }
            match &verified.prepared {
                Some(folder) => writeln!(out, "{}: whole", folder.display())?,
                None => writeln!(out, "{}: not prepared yet", wanted.dataset)?,
            }
        }
    }
    write_answer(&String::from_utf8_lossy(&out))?;
    Ok(())
}

fn write_summary(out: &mut dyn Write, summary: &Summary) -> std::io::Result<()> {
    let Summary {
        schema,
        train,
        validation,
        ..
    } = summary;
    writeln!(
        out,
        "{} ({}), content {}",
        summary.name,
        summary.protocol,
        &summary.content_hash[..16]
    )?;
    write!(out, "inputs: {} categorical, ", schema.categorical.len())?;
    if !schema.lists.is_empty() {
        write!(out, "{} multi-valued, ", schema.lists.len())?;
    }
    writeln!(out, "{} numeric", schema.numeric.len())?;
    writeln!(
        out,
        "rows: {} train, {} validation, {} test",
        train.rows, validation.rows, summary.test_rows
    )?;
    for (index, task) in schema.tasks.iter().enumerate() {
        if let (Some(train), Some(validation)) = (train.numbers[index], validation.numbers[index]) {
            writeln!(
                out,
                "task {} ({}): regression, labels {} train, {} validation (mean ± standard deviation)",
                task.name,
                schema.groups[task.group],
                mean_and_deviation(train.mean, train.deviation),
                mean_and_deviation(validation.mean, validation.deviation)
            )?;
            continue;
        }
        let rate = |split: &data::SplitSummary| split.positive_rate(index).unwrap_or(f64::NAN);
        writeln!(
            out,
            "task {} ({}): positive rate {:.4} train, {:.4} validation",
            task.name,
            schema.groups[task.group],
            rate(train),
            rate(validation)
        )?;
    }
    Ok(())
}

/// Notices and a progress bar on stderr; no bar where stderr is no terminal.
#[derive(Debug, Default)]
pub struct Terminal {
    bar: Option<(String, ProgressBar)>,
}

impl Observer for Terminal {
    fn notice(&mut self, message: &str) {
        match &self.bar {
            // A line printed across a bar would be drawn over.
            Some((_, bar)) => bar.suspend(|| note!("{message}")),
            None => note!("{message}"),
        }
    }

    fn progress(&mut self, stage: &str, done: u64, total: u64) {
        if self.bar.as_ref().is_none_or(|(shown, _)| shown != stage) {
            if let Some((_, bar)) = self.bar.take() {
                bar.finish_and_clear();
            }
            let bar = ProgressBar::new(total).with_message(stage.to_owned());
            let template = "{msg} {bar:32} {human_pos}/{human_len} {per_sec} {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            self.bar = Some((stage.to_owned(), bar));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_position(done);
            if done >= total {
                bar.finish_and_clear();
            }
        }
    }
}

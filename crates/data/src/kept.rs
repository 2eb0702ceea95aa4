//! What is kept of a dataset beside results: what was asked of it, and what reading new rows as its own takes.

use super::cache::CacheEntry;
use super::expression::{Reading, timeline};
use super::open::Resolved;
use super::schema::{
    Description, FeatureKind, Label, LabelValue, Protocol, Source, SplitLimit, SplitPlan, TablePlan,
};
use super::source_files::Trust;
use super::table::fitted_files::{NUMBERS, VOCABULARIES};
use super::{DatasetRef, Observer, Places, RowSubset, SPLITS};
use anyhow::Result;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use homebench_diagnostic::{Diagnostic, Document, regular_file};
use std::io::Write;
use std::path::PathBuf;

/// How hard zstd tries: vocabularies are written once a dataset.
const LEVEL: i32 = 3;

/// What is kept of a dataset.
#[derive(Debug)]
pub struct KeptData {
    /// The description in full, as TOML: what it extends and knobs of a spec are part of it.
    pub description: String,
    /// Digest (blake3) of what it means under the protocol.
    pub canonical_blake3: String,
    /// Which rows are used, where not all are.
    pub subset: Option<String>,
    /// How rows are divided, in words.
    pub division: String,
    /// Which rows are kept.
    pub filter: Option<String>,
    /// Train, validation and test.
    pub splits: Vec<KeptSplit>,
    /// Per task what the label is and what observes it, as expressions; nothing where an embedded source makes it.
    pub labels: Vec<(Option<String>, Option<String>)>,
    /// Name, kind and column of every input.
    pub features: Vec<(String, &'static str, Option<String>)>,
    /// The folder of the prepared files, where there are vocabularies and scales.
    folder: Option<PathBuf>,
    _entry: CacheEntry,
}

/// A split of a dataset that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSplit {
    /// Its name.
    pub name: &'static str,
    /// Its rows.
    pub rows: usize,
    /// The least and largest value of the column that divides by time.
    pub ends: Option<(String, String)>,
}

impl KeptData {
    /// What preparation learned of numbers, as CSV; nothing where rows are made.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn numbers(&self) -> Result<Option<String>, Diagnostic> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join(NUMBERS);
        let text = regular_file::read_text(&path).map_err(|error| unreadable(&path, &error))?;
        Ok(Some(text))
    }

    /// Writes the vocabularies, packed with zstd.
    ///
    /// # Errors
    /// A file that can't be read or written.
    pub fn write_vocabularies(&self, out: &mut dyn Write) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.join(VOCABULARIES);
        let mut file = regular_file::open(&path).map_err(|error| unreadable(&path, &error))?;
        let mut packed = zstd::Encoder::new(out, LEVEL)?;
        std::io::copy(&mut file, &mut packed)?;
        packed.finish()?;
        Ok(())
    }
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(
        path.display().to_string(),
        format!("can't read the file: {error}"),
    )
    .hint("run this again: the dataset is prepared again")
}

/// What is to be kept of a dataset. Prepares it first if its cache isn't there; `checked` is the identity of files whose bytes were read.
///
/// # Errors
/// See [`prepare`](super::prepare).
pub fn keep(
    reference: &DatasetRef,
    places: &Places,
    checked: Option<&str>,
    observer: &mut dyn Observer,
) -> Result<KeptData> {
    let found = Resolved::new(reference, places, Trust::Remembered, observer)?;
    let entry = found.wanted().obtain(checked, None, observer)?;
    let plan = match &found.protocol.source {
        Source::Table(plan) => Some(&**plan),
        Source::Generated(_) => None,
    };
    let ends = match plan.map(|plan| &plan.split) {
        Some(SplitPlan::Time {
            column,
            validation_from,
            ..
        }) => {
            let carried = found.carry(&[(*column, validation_from.reading())], observer)?;
            carried
                .rows
                .iter()
                .map(|rows| ends(rows, validation_from))
                .collect()
        }
        _ => vec![None; SPLITS.len()],
    };
    let rows = entry.manifest.files.iter().map(|file| file.rows);
    let splits = SPLITS.into_iter().zip(rows).zip(ends);
    let canonical = found.protocol.canonical();
    Ok(KeptData {
        description: description(&found, places)?,
        canonical_blake3: blake3::hash(canonical.as_bytes()).to_hex().to_string(),
        subset: match reference.rows {
            RowSubset::All => None,
            RowSubset::TrainRows(rows) => Some(format!(
                "{rows} training rows and the same share of the others"
            )),
            RowSubset::Fraction(share) => Some(format!("a share of {share} of every split")),
        },
        division: division(&found, plan),
        filter: plan.and_then(|plan| Some(plan.filter.as_ref()?.canonical(&plan.columns))),
        splits: splits
            .map(|((name, rows), ends)| KeptSplit { name, rows, ends })
            .collect(),
        labels: match plan {
            Some(plan) => plan
                .labels
                .iter()
                .map(|label| label_words(plan, label))
                .collect(),
            None => vec![(None, None); found.protocol.tasks.len()],
        },
        features: match plan {
            Some(plan) => plan
                .features
                .iter()
                .map(|feature| {
                    let column = &plan.columns[feature.column];
                    let column = (*column != feature.name).then(|| column.clone());
                    (feature.name.clone(), kind_word(feature.kind), column)
                })
                .collect(),
            None => {
                let schema = found.schema(&entry);
                let categorical = schema.categorical.into_iter();
                let categorical = categorical.map(|feature| (feature.name, "categorical", None));
                let numeric = schema
                    .numeric
                    .into_iter()
                    .map(|name| (name, "numeric", None));
                categorical.chain(numeric).collect()
            }
        },
        folder: plan.map(|_| entry.folder.clone()),
        _entry: entry,
    })
}

fn kind_word(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Categorical { .. } => "categorical",
        FeatureKind::Numeric { .. } => "numeric",
        FeatureKind::Bucket { .. } => "bucket",
        FeatureKind::Hash { .. } => "hash",
        FeatureKind::List { .. } => "list",
    }
}

/// What a label is, and which rows observe it.
fn label_words(plan: &TablePlan, label: &Label) -> (Option<String>, Option<String>) {
    let value = match &label.value {
        LabelValue::Condition(condition) => condition.canonical(&plan.columns),
        LabelValue::Binary(column) => plan.columns[*column].clone(),
        LabelValue::Number {
            column,
            log1p,
            standardise,
        } => {
            let name = &plan.columns[*column];
            let words = match (log1p, standardise) {
                (true, true) => ", its signed log1p, standardised",
                (true, false) => ", its signed log1p",
                (false, true) => ", standardised",
                (false, false) => "",
            };
            format!("{name}{words}")
        }
    };
    let observed = label.observed.as_ref();
    (
        Some(value),
        observed.map(|condition| condition.canonical(&plan.columns)),
    )
}

fn division(found: &Resolved, plan: Option<&TablePlan>) -> String {
    let Some(plan) = plan else {
        return "each split is made by the embedded source".to_owned();
    };
    let files = |files: &[usize]| {
        let names = files
            .iter()
            .map(|file| found.description.files[*file].name.clone());
        names.collect::<Vec<_>>().join(", ")
    };
    match &plan.split {
        SplitPlan::Files {
            train,
            holdout,
            validation_fraction,
            seed,
        } => format!(
            "by files: {} for training; a share of {validation_fraction} of {} for validation and the rest for the test, by a hash of \
             the row with seed {seed}",
            files(train),
            files(holdout)
        ),
        SplitPlan::Time {
            column,
            validation_from,
            test_from,
            ..
        } => format!(
            "by {}: validation from {}, test from {}",
            plan.columns[*column],
            date(validation_from),
            date(test_from)
        ),
        SplitPlan::Hash {
            column,
            validation_fraction,
            test_fraction,
            seed,
            ..
        } => {
            let of = column.map_or("the row", |column| plan.columns[column].as_str());
            format!(
                "by a hash of {of} with seed {seed}: shares of {validation_fraction} for validation and {test_fraction} for the test"
            )
        }
    }
}

/// A description that says which files it was used with, whether it asked for these or not: `predict` knows by it which of the tables that
/// it joins have changed since.
fn with_digests(text: &str, found: &Resolved) -> String {
    let files = &found.description.files;
    let digest = |header: &str| {
        // A header by itself is a document: its key is read as whoever reads the description reads it.
        let header = header.parse::<toml::Table>().ok()?;
        let (key, _) = header.get("files")?.as_table()?.iter().next()?;
        let mut sources = found.sources().iter();
        let located = sources.find(|located| files[located.file].key == *key)?;
        // What the description asked for itself stands there already.
        let is_asked = files[located.file].sha256.is_some();
        (!is_asked).then_some(&located.sha256)
    };
    let mut written = String::with_capacity(text.len());
    for line in text.lines() {
        written.push_str(line);
        written.push('\n');
        // As lines, since the order of features and columns is part of what a description means.
        if line.starts_with("[files.")
            && let Some(digest) = digest(line)
        {
            written.push_str(&format!("sha256 = \"{digest}\"\n"));
        }
    }
    written
}

/// A limit, with its date where it counts time.
fn date(limit: &SplitLimit) -> String {
    let number = match limit {
        SplitLimit::Integer(number) => *number as f64,
        SplitLimit::Float(number) => *number,
        SplitLimit::Time { written, .. } => return written.clone(),
    };
    match dated(number) {
        Some(date) => format!("{} ({date})", limit.shown()),
        None => limit.shown(),
    }
}

/// The date of a number that looks like a time since 1970.
fn dated(number: f64) -> Option<String> {
    let unit = timeline::likely_unit(number)?;
    Some(timeline::text(
        number as i128 * timeline::nanoseconds_of(unit),
    ))
}

/// The least and largest value of the first carried column.
fn ends(rows: &super::CarriedRows, limit: &SplitLimit) -> Option<(String, String)> {
    let array = rows.array(1, 0..rows.num_rows());
    match (limit.reading(), array.data_type()) {
        (Reading::Time, DataType::Timestamp(..)) => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            let text = |time: i64| timeline::text(i128::from(time) * 1000);
            let times = || times.iter().flatten();
            Some((text(times().min()?), text(times().max()?)))
        }
        (_, DataType::Float64) => {
            let numbers = array.as_primitive::<Float64Type>();
            let numbers = || numbers.iter().flatten();
            let text = |number: f64| dated(number).unwrap_or_else(|| number.to_string());
            let (least, most) = (
                numbers().min_by(f64::total_cmp)?,
                numbers().max_by(f64::total_cmp)?,
            );
            Some((text(least), text(most)))
        }
        _ => None,
    }
}

/// The description in full, with the digests of the files that were read; what is kept is read back and found to mean the same.
fn description(found: &Resolved, places: &Places) -> Result<String, Diagnostic> {
    let (name, reference) = (&found.description.name, &found.reference);
    let document = Description::document(&places.descriptions, &reference.name, &reference.knobs)?;
    let text = with_digests(&document.to_toml()?, found);
    let again = Description::parse(name, &Document::new("description.toml", text.as_str()))?;
    let same = |protocol: &Protocol| {
        let seed = reference.split_seed;
        let protocol = protocol.clone();
        let protocol = match seed {
            Some(seed) => protocol.with_split_seed(seed).ok(),
            None => Some(protocol),
        };
        protocol.is_some_and(|protocol| protocol.canonical() == found.protocol.canonical())
    };
    match again.protocol(Some(&found.protocol.name)).is_some_and(same) {
        true => Ok(text),
        // A programmer's error, told in place of keeping what means another thing.
        false => Err(Diagnostic::new(
            name,
            "the description can't be written down so that it means the same",
        )),
    }
}

//! What `spec.resolved.toml` and `provenance.toml` say that a report repeats: nothing that differs from run to run of
//! the same experiment, so that a report does not either.

use crate::data_facts::DataFacts;
use crate::facts::Facts;
use crate::kept::Flaw;
use crate::layout::ResultsFolder;
use crate::ledger::Ledger;
use crate::regular::read_text;
use crate::used_data::UsedData;
use anyhow::Result;
use homebench_diagnostic::{Diagnostic, Document};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// The words and facts around the numbers. Anything may be absent.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Context {
    /// Paragraphs of the question.
    pub question: Vec<String>,
    /// Paragraphs of the author's answer.
    pub outcome: Vec<String>,
    /// Protocol of the dataset.
    pub protocol: Option<String>,
    /// Tasks that are scored and not trained, since their weight is 0: the task, and the variant where it is of one alone.
    pub untrained_tasks: Vec<(String, Option<String>)>,
    /// Training rows.
    pub train_rows: Option<u64>,
    /// The parts of the spec that say what is searched, as TOML.
    pub search_space: Option<String>,
    /// Datasets of which it is known where their files come from, with that: `made`, `fetched` or `placed`.
    pub origins: BTreeMap<String, String>,
    /// Hashes of the datasets' contents.
    pub dataset_contents: Vec<String>,
    /// What the code that ran says of models and data.
    pub recorded: Facts,
    /// What was asked of the data; nothing where an older homebench ran it.
    pub data: Vec<DataFacts>,
    /// What was built from what: name and value.
    pub facts: Vec<(&'static str, String)>,
}

impl Context {
    /// Reads both files; an absent one leaves its part empty.
    ///
    /// # Errors
    /// A file that is there but can't be read as TOML.
    pub fn read(folder: &Path) -> Result<Self> {
        Self::read_without(folder, &[])
    }

    /// As [`Self::read`], without what `provenance.toml` and `facts.toml` say where they are named: who can't rely on them says so.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn read_without(folder: &Path, left_out: &[&str]) -> Result<Self> {
        let spec = read_toml(&folder.join("spec.resolved.toml"))?;
        let results = ResultsFolder::new(folder);
        let runs = match left_out.contains(&"provenance.toml") {
            true => Vec::new(),
            false => runs(&results)?,
        };
        // A folder may have runs and data of before, which its cells are not of.
        let used = UsedData::of(&results, &runs);
        let runs = &used.runs;
        let recorded = match left_out.contains(&"facts.toml") {
            true => Facts::default(),
            false => Facts::read(folder).map_err(Diagnostic::from)?,
        };
        let prose = |key: &str| paragraphs(&text(&spec, &[key]).unwrap_or_default());
        Ok(Self {
            question: prose("question"),
            outcome: prose("outcome"),
            protocol: text(&spec, &["dataset", "protocol"]),
            untrained_tasks: untrained_tasks(&spec),
            search_space: search_space(&spec),
            train_rows: of_used(&used)
                .iter()
                .find_map(|run| whole(run, &["dataset", "train_rows"])),
            origins: runs
                .iter()
                .filter_map(|run| {
                    let name = text(run, &["dataset", "name"])?;
                    Some((name, text(run, &["dataset", "origin"])?))
                })
                .collect(),
            dataset_contents: contents(&used),
            recorded,
            data: match left_out.iter().any(|name| name.starts_with("data/")) {
                true => Vec::new(),
                false => DataFacts::read_used(&results, &used).map_err(Diagnostic::from)?,
            },
            facts: facts(&used),
        })
    }
}

/// Every value of a folder's resolved spec, as TOML writes it, by its path.
///
/// # Errors
/// A spec that can't be read as TOML.
pub fn spec_settings(folder: &Path) -> Result<BTreeMap<String, String>> {
    let spec: Table = read_toml(&folder.join("spec.resolved.toml"))?;
    let mut settings = BTreeMap::new();
    flatten(&spec, "", &mut settings);
    Ok(settings)
}

fn flatten(table: &Table, path: &str, settings: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match value {
            Value::Table(table) => flatten(table, &path, settings),
            value => drop(settings.insert(path, value.to_string())),
        }
    }
}

/// Hashes of the contents of the datasets that a folder's cells learned from; none where its provenance can't be used, which whoever asks
/// for findings is told.
///
/// # Errors
/// A provenance of a newer homebench.
pub fn dataset_contents(folder: &Path) -> Result<Vec<String>> {
    let results = ResultsFolder::new(folder);
    match Ledger::read(&results) {
        Ok(ledger) => {
            let runs = ledger.unwrap_or_default().runs;
            Ok(contents(&UsedData::of(&results, &runs)))
        }
        Err(unusable) if unusable.flaw == Flaw::Newer => Err(unusable.said.into()),
        Err(_) => Ok(Vec::new()),
    }
}

fn contents(used: &UsedData) -> Vec<String> {
    let runs = of_used(used);
    super::distinct(runs.iter().filter_map(|run| text(run, CONTENT_HASH)))
}

/// Runs whose own dataset, the first of those that they had, is one that cells learned from; all of them where none is.
fn of_used(used: &UsedData) -> Vec<&Table> {
    let is_used = |run: &&Table| text(run, CONTENT_HASH).is_some_and(|hash| used.has(&hash));
    let found: Vec<&Table> = used.runs.iter().filter(is_used).collect();
    match found.is_empty() {
        true => used.runs.iter().collect(),
        false => found,
    }
}

fn runs(results: &ResultsFolder) -> Result<Vec<Table>> {
    let ledger = Ledger::read(results).map_err(Diagnostic::from)?;
    Ok(ledger.unwrap_or_default().runs)
}

/// A TOML file of the folder; nothing where there is no such file.
pub(crate) fn read_toml<T: Default + DeserializeOwned>(file: &Path) -> Result<T> {
    match read_text(file)? {
        None => Ok(T::default()),
        Some(text) => Ok(Document::new(file.display().to_string(), text).parse()?),
    }
}

/// Where a run has the hash of its dataset's content.
const CONTENT_HASH: &[&str] = &["dataset", "content_hash"];

/// Keys of the spec, and of its variants, under which something is searched or swept.
const SEARCHED: [&str; 3] = ["tuning", "grid", "random"];

fn search_space(spec: &Table) -> Option<String> {
    let searched = |table: &Table| -> Table {
        let parts = table
            .iter()
            .filter(|(key, _)| SEARCHED.contains(&key.as_str()));
        parts
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let mut found = searched(spec);
    let variants = spec.get("variants").and_then(Value::as_table);
    let of_variants: Table = variants
        .into_iter()
        .flatten()
        .filter_map(|(name, variant)| Some((name.clone(), searched(variant.as_table()?))))
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(name, parts)| (name, Value::Table(parts)))
        .collect();
    if !of_variants.is_empty() {
        found.insert("variants".to_owned(), Value::Table(of_variants));
    }
    let text = toml::to_string(&found).ok()?;
    (!found.is_empty()).then(|| text.trim_end().to_owned())
}

fn untrained_tasks(spec: &Table) -> Vec<(String, Option<String>)> {
    let of_zero = |holder: &Table| -> Vec<String> {
        let weights = at(holder, &["training", "task_weights"]).and_then(Value::as_table);
        let zeros = weights.into_iter().flatten();
        let zeros = zeros.filter(|(_, weight)| weight.as_float() == Some(0.0));
        zeros.map(|(task, _)| task.clone()).collect()
    };
    let variants = spec.get("variants").and_then(Value::as_table);
    let variants = variants.into_iter().flatten();
    let shared = of_zero(spec).into_iter().map(|task| (task, None));
    let own = variants.filter_map(|(name, variant)| Some((name, of_zero(variant.as_table()?))));
    let own = own.flat_map(|(name, tasks)| {
        let of_variant = move |task| (task, Some(name.clone()));
        tasks.into_iter().map(of_variant)
    });
    shared.chain(own).collect()
}

/// Facts that depend on the code and the data alone; several values where runs differ.
fn facts(used: &UsedData) -> Vec<(&'static str, String)> {
    let named: [(&'static str, &[&str]); 6] = [
        ("homebench", &["homebench_version"]),
        ("git commit", &["source", "git_commit"]),
        (
            "changes after the commit (blake3)",
            &["source", "git_diff_blake3"],
        ),
        ("sources (blake3)", &["source", "source_blake3"]),
        ("Cargo.lock (blake3)", &["source", "cargo_lock_blake3"]),
        ("compiler", &["build", "rustc"]),
    ];
    let of_runs = named.map(|(name, path)| {
        let values = used.runs.iter().filter_map(|run| text(run, path));
        (name, super::distinct(values))
    });
    let all = of_runs
        .into_iter()
        .chain([("dataset content", contents(used))]);
    all.filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| (name, values.join(", ")))
        .collect()
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = table.get(*first)?;
    for key in rest {
        value = value.get(key)?;
    }
    Some(value)
}

fn text(table: &Table, path: &[&str]) -> Option<String> {
    at(table, path)?.as_str().map(str::to_owned)
}

fn whole(table: &Table, path: &[&str]) -> Option<u64> {
    u64::try_from(at(table, path)?.as_integer()?).ok()
}

fn paragraphs(text: &str) -> Vec<String> {
    let paragraphs = text
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    #[test]
    fn times_machines_and_job_counts_are_not_repeated() {
        let folder = Sample::default().write();
        let context = Context::read(folder.path()).unwrap();
        assert_eq!(
            context.question,
            ["Does HoME beat MMoE on Census-Income, and by how much?"]
        );
        assert_eq!(
            (context.protocol.as_deref(), context.train_rows),
            (Some("torch-rechub"), Some(199_523))
        );
        let file = folder.path().join("provenance.toml");
        let once = std::fs::read_to_string(&file).unwrap();
        let later = once
            .replace("10:0", "23:1")
            .replace("--jobs\", \"2", "--jobs\", \"1")
            .replace("jobs = 2", "jobs = 1");
        let later = later
            .replace("a processor", "another")
            .replace("cores = 2", "cores = 64");
        std::fs::write(&file, format!("{once}\n{later}")).unwrap();
        assert_eq!(Context::read(folder.path()).unwrap(), context);
    }

    #[test]
    fn tasks_of_weight_zero_are_known_with_the_variant_whose_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let spec = "[training.task_weights]\nlike = 0.0\nshare = 0.5\n[variants.mmoe.training.task_weights]\nclick = 0.0\n\
                    [variants.home]\nmodel = \"home\"\n";
        std::fs::write(folder.path().join("spec.resolved.toml"), spec).unwrap();
        let context = Context::read(folder.path()).unwrap();
        let expected = [("like", None), ("click", Some("mmoe"))];
        let expected =
            expected.map(|(task, variant)| (task.to_owned(), variant.map(str::to_owned)));
        assert_eq!(context.untrained_tasks, expected);
    }

    #[test]
    fn absent_files_leave_their_parts_empty_and_broken_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Context::read(folder.path()).unwrap(), Context::default());
        std::fs::write(folder.path().join("provenance.toml"), "a = [").unwrap();
        let error = Context::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("provenance.toml"), "{error}");
    }
}

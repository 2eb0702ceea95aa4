//! Dataset descriptions: TOML in, validated plans out.

mod check_allowed;
mod check_chain;
mod check_click_chain;
mod check_columns;
mod check_expression;
mod check_feature;
mod check_feed;
mod check_format;
mod check_generated;
mod check_join;
mod check_pretrained;
mod check_protocol;
mod check_scenario;
mod check_split;
mod check_table;
mod check_task_arc;
mod check_task_depths;
mod check_two_task;
mod check_unit_tasks;
mod check_waves;
mod described_inputs;
mod description;
mod file_format;
mod label;
pub(super) mod spec_knobs;
mod wire;
mod wire_click_chain;

pub use described_inputs::{DescribedInput, InputKind};
pub use description::{
    Description, Feature, FeatureKind, FetchRecipe, Join, PretrainedFile, Protocol, Source,
    SourceFile, SplitLimit, SplitPlan, TablePlan, Vocabulary,
};
pub use file_format::{Encoding, FileKind, Format, Separator};
pub use label::{Label, LabelValue};

use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use serde::Deserialize;
use std::path::Path;

/// How the embeddings of a row's list become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their sum.
    Sum,
    /// Their sum divided by their number.
    #[default]
    Mean,
}

impl Description {
    /// Reads and validates `<folder>/<name>.toml`.
    ///
    /// # Errors
    /// A name without a file, or anything in the file that makes no dataset, with its place and its mend.
    pub fn load(folder: &Path, name: &str) -> Result<Self, Diagnostic> {
        Self::load_with(folder, name, &toml::Table::new())
    }

    /// As [`Description::load`], with these knobs of its embedded source in place of what the file says.
    ///
    /// # Errors
    /// See [`Description::load`]; knobs that the source doesn't have.
    pub fn load_with(folder: &Path, name: &str, knobs: &toml::Table) -> Result<Self, Diagnostic> {
        Self::parse(name, &Self::document(folder, name, knobs)?)
    }

    /// What the file of a description says, with these knobs in it.
    ///
    /// # Errors
    /// A name without a file, a file that is no TOML, knobs that the source doesn't have.
    pub fn document(
        folder: &Path,
        name: &str,
        knobs: &toml::Table,
    ) -> Result<Document, Diagnostic> {
        let path = folder.join(format!("{name}.toml"));
        if !path.exists() {
            let known = known(folder)?;
            let said = Diagnostic::new(
                folder.display().to_string(),
                format!(
                    "there is no dataset `{name}`; {}",
                    one_of("there are", &known)
                ),
            );
            return Err(
                match homebench_diagnostic::nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => said.hint(format!("did you mean `{near}`?")),
                    None => said.hint(format!("describe it in {}", path.display())),
                },
            );
        }
        // The source is read by itself first: it decides which keys the rest may have.
        let document = Document::read_extending(&path)?;
        let source = document.parse::<SourceKind>()?.source;
        spec_knobs::overlay(document, source, knobs)
    }

    /// Validates a description.
    ///
    /// # Errors
    /// See [`Description::load`].
    pub fn parse(name: &str, document: &Document) -> Result<Self, Diagnostic> {
        let description = match document.parse::<SourceKind>()?.source {
            wire::WireSource::Table => check_table::validate(name, document, document.parse()?),
            wire::WireSource::Synthetic => check_feed::validate(name, document, document.parse()?),
            wire::WireSource::TwoTaskRegression => {
                check_two_task::validate(name, document, document.parse()?)
            }
            wire::WireSource::TaskArc => {
                check_task_arc::validate(name, document, document.parse()?)
            }
            wire::WireSource::TaskDepths => {
                check_task_depths::validate(name, document, document.parse()?)
            }
            wire::WireSource::ClickChain => {
                check_click_chain::validate(name, document, document.parse()?)
            }
        }?;
        check_names(&description, document)?;
        Ok(description)
    }
}

/// The most bytes of a name that tables and figures show.
const LONGEST_NAME: usize = 500;

/// Checks that names which stand in every table and figure are such as a person reads.
fn check_names(description: &Description, document: &Document) -> Result<(), Diagnostic> {
    let path = |parts: &[&str]| KeyPath::new(parts.iter().copied());
    let too_long = |what: &str, name: &str| {
        let count = name.len();
        (count > LONGEST_NAME)
            .then(|| format!("{what} has {count} bytes; expected at most {LONGEST_NAME}"))
    };
    for section in ["tasks", "features"] {
        for name in document.keys_in_order(&path(&[section])) {
            if let Some(message) = too_long("the name", &name) {
                return Err(document.at_key(&path(&[section, &name]), message));
            }
        }
    }
    for protocol in &description.protocols {
        for task in &protocol.tasks {
            let group = &protocol.groups[task.group];
            if let Some(message) = too_long("the name of the group", group) {
                return Err(document.at_value(&path(&["tasks", &task.name, "group"]), message));
            }
        }
    }
    Ok(())
}

/// What a description is of.
#[derive(Deserialize)]
struct SourceKind {
    source: wire::WireSource,
}

/// Names of the descriptions in a folder, in order.
///
/// # Errors
/// The folder can't be read.
pub fn known(folder: &Path) -> Result<Vec<String>, Diagnostic> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Diagnostic::new(
            folder.display().to_string(),
            format!("can't read the folder of dataset descriptions: {error}"),
        )
        .hint("run from the project's folder, or name the folder")
    })?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_toml = path
                .extension()
                .is_some_and(|extension| extension == "toml");
            is_toml.then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    // A file system lists names in any order.
    names.sort();
    Ok(names)
}

fn path(keys: &[&str]) -> KeyPath {
    KeyPath::new(keys.iter().copied())
}

/// `verb a, b, c`, for messages.
fn one_of(verb: &str, names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return format!("{verb} none");
    }
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    format!("{verb} {}", quoted.join(", "))
}

/// Names that become parts of variable paths and of file and column names.
fn check_name(document: &Document, at: &KeyPath, what: &str, name: &str) -> Result<(), Diagnostic> {
    let is_plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_plain {
        return Ok(());
    }
    Err(document
        .at_key(at, format!("`{name}` can't be the name of a {what}"))
        .hint("use letters, digits, `_` and `-`"))
}

/// A task group's name, which becomes part of variable paths beside `shared`.
fn check_group(document: &Document, at: &KeyPath, name: &str) -> Result<(), Diagnostic> {
    check_name(document, at, "task group", name)?;
    if name == "shared" {
        return Err(document
            .at_key(
                at,
                "`shared` can't be the name of a task group: it is that of the shared experts",
            )
            .hint("give the group another name"));
    }
    Ok(())
}

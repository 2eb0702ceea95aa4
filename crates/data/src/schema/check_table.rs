//! Validation of descriptions of files.

use super::check_allowed::allowed_values;
use super::check_expression::{check_literals, expression};
use super::check_feature::feature;
use super::check_format::format;
use super::wire::{WireFile, WireTable, WireTask, WireTaskKind};
use super::{
    Description, Feature, FetchRecipe, Format, Join, Label, LabelValue, PretrainedFile, SourceFile,
    SplitPlan, check_group, check_name, check_protocol, path,
};
use crate::expression::{ColumnType, Columns, Expression};
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use std::collections::BTreeMap;

/// Checked parts that the protocols of a description share.
pub(super) struct CheckedParts<'a> {
    pub(super) document: &'a Document,
    pub(super) columns: Vec<String>,
    pub(super) types: Vec<Option<ColumnType>>,
    pub(super) missing: Vec<Vec<String>>,
    pub(super) derived: Vec<Expression>,
    pub(super) num_own_columns: usize,
    pub(super) optional: Vec<usize>,
    pub(super) joins: Vec<Join>,
    pub(super) filter: Option<Expression>,
    pub(super) format: Format,
    pub(super) allowed_values: Vec<(usize, Vec<String>)>,
    pub(super) features: Vec<Feature>,
    pub(super) tasks: Vec<CheckedTask>,
    pub(super) user: Option<usize>,
    pub(super) keys: Vec<usize>,
    pub(super) weight: Option<usize>,
    /// The column of scenarios.
    pub(super) scenario: Option<usize>,
    pub(super) pretrained: Vec<PretrainedFile>,
    pub(super) split: SplitPlan,
}

/// A task that any protocol may have.
pub(super) struct CheckedTask {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) label: Label,
    /// The name of the task that it comes after.
    pub(super) after: Option<String>,
}

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireTable,
) -> Result<Description, Diagnostic> {
    let entries =
        super::check_columns::ColumnEntries::read(document, &path(&["columns"]), &wire.columns)?;
    let own = entries.own_names();
    let everywhere = match &wire.missing {
        Some(marks) => super::check_columns::marks(document, &path(&["missing"]), marks)?,
        None => Vec::new(),
    };
    let files = files(document, &wire.files)?;
    let format = format(document, &path(&["format"]), &wire.format)?;
    let (mut joins, mut columns, of_joins) =
        super::check_join::joins(document, &wire.joins, &files, &own, format)?;
    let mut types: Vec<Option<ColumnType>> = entries
        .own
        .iter()
        .map(|column| column.declared.clone())
        .collect();
    types.extend(of_joins);
    let num_read = columns.len();
    let derived = entries.derive(document, &mut columns, &mut types)?;
    super::check_join::keys(document, &wire.joins, &mut joins, &columns, &derived)?;
    for join in &mut joins {
        for marks in &mut join.missing {
            marks.extend_from_slice(&everywhere);
        }
    }
    let fetch = fetch(document, &wire, &files)?;
    let allowed_values = allowed_values(document, &wire, &columns, [own.len(), num_read])?;
    let protocols = document.keys_in_order(&path(&["protocols"]));
    let user = match &wire.user {
        Some(name) => Some(column_index(document, &columns, &path(&["user"]), name)?),
        None => None,
    };
    let features = document
        .keys_in_order(&path(&["features"]))
        .into_iter()
        .map(|name| {
            let wire = &wire.features[&name];
            feature(document, &columns, wire, name, &protocols)
        })
        .collect::<Result<Vec<_>, _>>()?;
    super::check_feature::tables(document, &features)?;
    let pretrained =
        super::check_pretrained::pretrained(document, &wire.pretrained, &files, &features)?;
    let beside: Vec<usize> = joins
        .iter()
        .flat_map(|join| &join.files)
        .chain(pretrained.iter().flat_map(|pretrained| &pretrained.files))
        .copied()
        .collect();
    let known = Columns {
        names: &columns,
        types: &types,
        later: &[],
    };
    let tasks = tasks(document, &wire, known, &allowed_values)?;
    let parts = CheckedParts {
        user,
        keys: keys(document, &wire.keys, &columns)?,
        weight: match &wire.weight {
            Some(name) => Some(column_index(document, &columns, &path(&["weight"]), name)?),
            None => None,
        },
        scenario: match &wire.scenario {
            Some(name) => Some(super::check_scenario::column(
                document, &columns, &features, name,
            )?),
            None => None,
        },
        num_own_columns: own.len(),
        optional: optional(document, &wire.optional, &entries, &columns[..num_read])?,
        filter: match &wire.filter {
            Some(text) => {
                let at = path(&["filter"]);
                let filter = expression(document, &at, text, known)?;
                check_literals(document, &at, &filter, &columns, &allowed_values)?;
                Some(filter)
            }
            None => None,
        },
        split: super::check_split::split(document, &wire.split, &files, &beside, known, user)?,
        pretrained,
        missing: entries
            .own
            .iter()
            .map(|column| [&everywhere[..], &column.missing].concat())
            .collect(),
        types,
        derived,
        joins,
        format,
        document,
        columns,
        allowed_values,
        features,
        tasks,
    };
    let prose = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
    Ok(Description {
        name: name.to_owned(),
        about: prose(&wire.about),
        licence: prose(&wire.licence),
        protocols: check_protocol::validate(&parts, &wire.protocols)?,
        default_protocol: check_protocol::default(document, &wire)?,
        files,
        fetch,
    })
}

/// The index of a column that a key of the description names.
pub(super) fn column_index(
    document: &Document,
    columns: &[String],
    at: &KeyPath,
    name: &str,
) -> Result<usize, Diagnostic> {
    let position = columns.iter().position(|column| column == name);
    position.ok_or_else(|| {
        document
            .at_value(at, format!("there is no column `{name}`"))
            .did_you_mean(name, columns.iter().map(String::as_str))
    })
}

/// Columns that say which row is which.
fn keys(
    document: &Document,
    names: &[String],
    columns: &[String],
) -> Result<Vec<usize>, Diagnostic> {
    let mut keys = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let at = path(&["keys", &index.to_string()]);
        let key = column_index(document, columns, &at, name)?;
        if keys.contains(&key) {
            return Err(document.at_value(&at, format!("the column `{name}` is listed twice")));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Columns that may be empty.
fn optional(
    document: &Document,
    names: &[String],
    entries: &super::check_columns::ColumnEntries,
    columns: &[String],
) -> Result<Vec<usize>, Diagnostic> {
    let index = |(index, name): (usize, &String)| {
        let at = path(&["optional", &index.to_string()]);
        column_index(document, columns, &at, name)
    };
    let mut indices: Vec<usize> = names
        .iter()
        .enumerate()
        .map(index)
        .collect::<Result<_, _>>()?;
    // A column that has a mark for nothing may have nothing.
    let marked = entries.own.iter().enumerate();
    indices.extend(
        marked
            .filter(|(_, column)| !column.missing.is_empty())
            .map(|(index, _)| index),
    );
    indices.sort_unstable();
    indices.dedup();
    Ok(indices)
}

/// The files that a key of the description names: one key of [files], or several.
pub(super) fn file_keys(
    document: &Document,
    at: &KeyPath,
    value: &toml::Value,
    files: &[SourceFile],
) -> Result<Vec<usize>, Diagnostic> {
    let expected = || document.at_value(at, "expected a key of [files], or a list of such keys");
    let names: Vec<&str> = match value {
        toml::Value::String(name) => vec![name],
        toml::Value::Array(names) if !names.is_empty() => names
            .iter()
            .map(|name| name.as_str().ok_or_else(expected))
            .collect::<Result<_, _>>()?,
        _ => return Err(expected()),
    };
    let mut found = Vec::new();
    for name in names {
        let position = files.iter().position(|file| file.key == name);
        let position = position.ok_or_else(|| {
            document
                .at_value(at, format!("there is no file `{name}` in [files]"))
                .did_you_mean(name, files.iter().map(|file| file.key.as_str()))
        })?;
        if found.contains(&position) {
            return Err(document.at_value(at, format!("the file `{name}` is listed twice")));
        }
        found.push(position);
    }
    Ok(found)
}

fn files(
    document: &Document,
    wire: &BTreeMap<String, WireFile>,
) -> Result<Vec<SourceFile>, Diagnostic> {
    let mut files = Vec::new();
    for key in document.keys_in_order(&path(&["files"])) {
        let file = &wire[&key];
        for name in std::iter::once(&file.name).chain(&file.other_names) {
            // Names are joined to the data folder and must not lead out of it.
            let leads_out = |name: &str| name.is_empty() || name.starts_with('.');
            if name.contains(['\\', '\0']) || name.trim_end_matches('/').split('/').any(leads_out) {
                let message = format!("expected a name inside the data folder, found `{name}`");
                return Err(document.at_value(&path(&["files", &key, "name"]), message).hint(
                    "write the name of a file or a folder, or a pattern such as \"log/*.parquet\"; --data-dir says where the \
                     folder is",
                ));
            }
        }
        if let Some(sha256) = &file.sha256 {
            check_sha256(document, &path(&["files", &key, "sha256"]), sha256)?;
        }
        files.push(SourceFile {
            name: file.name.clone(),
            other_names: file.other_names.clone(),
            bytes: file.bytes,
            // Digits are compared as text with computed ones, which are lower case.
            sha256: file.sha256.as_ref().map(|digits| digits.to_lowercase()),
            rows: file.rows,
            key,
        });
    }
    Ok(files)
}

fn check_sha256(document: &Document, at: &KeyPath, digits: &str) -> Result<(), Diagnostic> {
    if digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(document.at_value(
        at,
        format!("expected 64 hexadecimal digits, found `{digits}`"),
    ))
}

fn fetch(
    document: &Document,
    wire: &WireTable,
    files: &[SourceFile],
) -> Result<Option<FetchRecipe>, Diagnostic> {
    let Some(fetch) = &wire.fetch else {
        return Ok(None);
    };
    check_sha256(document, &path(&["fetch", "sha256"]), &fetch.sha256)?;
    let keys: Vec<&str> = files.iter().map(|file| file.key.as_str()).collect();
    if let Some(stranger) = fetch
        .members
        .keys()
        .find(|key| !keys.contains(&key.as_str()))
    {
        let at = path(&["fetch", "members", stranger]);
        return Err(document
            .at_key(&at, format!("there is no file `{stranger}` in [files]"))
            .did_you_mean(stranger, keys));
    }
    if let Some(many) = files
        .iter()
        .find(|file| file.name.contains(['/', '*', '?']))
    {
        let at = path(&["files", &many.key, "name"]);
        return Err(document
            .at_value(
                &at,
                "[fetch] gets single files, and this names a folder or a pattern",
            )
            .hint("name each member of the archive as a file of its own, or leave [fetch] out"));
    }
    let members = files.iter().map(|file| {
        fetch.members.get(&file.key).cloned().ok_or_else(|| {
            let message = format!("the file `{}` is missing", file.key);
            document
                .at_key(&path(&["fetch", "members"]), message)
                .hint(format!("add `{} = \"its path in the archive\"`", file.key))
        })
    });
    Ok(Some(FetchRecipe {
        package: fetch.package.clone(),
        version: fetch.version.clone(),
        archive: fetch.archive.clone(),
        sha256: fetch.sha256.to_lowercase(),
        members: members.collect::<Result<_, _>>()?,
    }))
}

fn tasks(
    document: &Document,
    wire: &WireTable,
    known: Columns<'_>,
    allowed_values: &[(usize, Vec<String>)],
) -> Result<Vec<CheckedTask>, Diagnostic> {
    let columns = known.names;
    let mut tasks = Vec::new();
    for name in document.keys_in_order(&path(&["tasks"])) {
        let at = path(&["tasks", &name]);
        let task = &wire.tasks[&name];
        check_name(document, &at, "task", &name)?;
        check_group(document, &at.join("group"), &task.group)?;
        let condition = |key: &str, text: &str| {
            let at = at.join(key);
            let expression = expression(document, &at, text, known)?;
            check_literals(document, &at, &expression, columns, allowed_values)?;
            Ok(expression)
        };
        let column = columns
            .iter()
            // A bare column name is the label itself; everything else is an expression.
            .position(|column| *column == task.label.trim());
        let value = match (task.kind, column) {
            (WireTaskKind::Regression, column) => number(document, &at, task, columns, column)?,
            (WireTaskKind::Classification, _) if task.transform.is_some() => {
                let message = "`transform` has no meaning for a label of two classes";
                return Err(document
                    .at_key(&at.join("transform"), message)
                    .hint("it belongs to kind = \"regression\""));
            }
            (WireTaskKind::Classification, Some(column)) => LabelValue::Binary(column),
            (WireTaskKind::Classification, None) => {
                LabelValue::Condition(condition("label", &task.label)?)
            }
        };
        let label = Label {
            value,
            observed: match &task.observed {
                Some(text) => Some(condition("observed", text)?),
                None => None,
            },
        };
        tasks.push(CheckedTask {
            name,
            group: task.group.clone(),
            label,
            after: task.after.clone(),
        });
    }
    super::check_chain::check(document, &tasks)?;
    Ok(tasks)
}

/// The numbers of a task of regression: those of one column.
fn number(
    document: &Document,
    at: &KeyPath,
    task: &WireTask,
    columns: &[String],
    column: Option<usize>,
) -> Result<LabelValue, Diagnostic> {
    let name = task.label.trim();
    let column = column.ok_or_else(|| {
        let message = format!(
            "the label of a regression is a column of numbers, and there is no column `{name}`"
        );
        let said = document.at_value(&at.join("label"), message);
        let is_condition = name.contains(['<', '>', '=']);
        match homebench_diagnostic::nearest(name, columns.iter().map(String::as_str)) {
            Some(near) if !is_condition => said.hint(format!("did you mean `{near}`?")),
            _ => said.hint("name a column; for a condition such as `a > 0` leave `kind` out"),
        }
    })?;
    let transform = task.transform.as_deref().unwrap_or_default();
    let (log1p, standardise) = super::check_feature::transforms(document, at, transform)?;
    Ok(LabelValue::Number {
        column,
        log1p,
        standardise,
    })
}

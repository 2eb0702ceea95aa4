//! What the description of a dataset tells without its source files.

use super::carried::with_columns;
use super::exchange::column_given_twice;
use super::schema::{self, DescribedInput, Description, Protocol, Source};
use super::{DatasetRef, Places, RowSubset, Task};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use std::path::{Path, PathBuf};

/// Names of the descriptions in a folder, in order.
///
/// # Errors
/// The folder can't be read.
pub fn known(places: &Places) -> Result<Vec<String>> {
    Ok(schema::known(&places.descriptions)?)
}

/// Checks name, protocol and description without touching source files, and returns its tasks and groups: what can be
/// refused before anything runs.
///
/// # Errors
/// No such description or protocol, or a description that makes no dataset.
pub fn check(reference: &DatasetRef, places: &Places) -> Result<(Vec<Task>, Vec<String>)> {
    let (_, protocol) = resolve(reference, places)?;
    Ok((protocol.tasks, protocol.groups))
}

/// What the rows of a dataset have beside inputs and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowColumns {
    /// Whether rows have a user.
    pub has_user: bool,
    /// Whether rows have a weight.
    pub has_weight: bool,
}

/// What the rows will have beside inputs and labels, by the description alone.
///
/// # Errors
/// See [`check`].
pub fn row_columns(reference: &DatasetRef, places: &Places) -> Result<RowColumns> {
    let (_, protocol) = resolve(reference, places)?;
    Ok(RowColumns {
        has_user: protocol.user().is_some(),
        has_weight: protocol.weight().is_some(),
    })
}

/// The feature whose name another column of rows as CSV has as well: a label, the user or the weight.
///
/// # Errors
/// See [`check`].
pub fn csv_column_given_twice(reference: &DatasetRef, places: &Places) -> Result<Option<String>> {
    let (_, protocol) = resolve(reference, places)?;
    // The users of a made-up feed are those of its feature `user`: whichever of the two is read, it tells them apart alike.
    if matches!(protocol.source, Source::Generated(_)) {
        return Ok(None);
    }
    let rows = RowColumns {
        has_user: protocol.user().is_some(),
        has_weight: protocol.weight().is_some(),
    };
    let tasks = protocol.tasks.iter().map(|task| task.name.as_str());
    let inputs = protocol.inputs();
    let features = inputs.iter().map(|input| input.name.as_str());
    let twice = column_given_twice(features, tasks, rows);
    Ok(twice.map(str::to_owned))
}

/// Names of the embedding tables that the features read, each once, in the order of the description.
///
/// # Errors
/// See [`check`].
pub fn table_names(reference: &DatasetRef, places: &Places) -> Result<Vec<String>> {
    let (_, protocol) = resolve(reference, places)?;
    Ok(protocol.table_names())
}

/// What models read of a row of a dataset, as far as its description tells.
///
/// # Errors
/// See [`check`].
pub fn described_inputs(reference: &DatasetRef, places: &Places) -> Result<Vec<DescribedInput>> {
    let (_, protocol) = resolve(reference, places)?;
    Ok(protocol.inputs())
}

/// Names of the embedding tables that have pretrained vectors, in the order of the description; nothing of an embedded source, which has no
/// files of vectors.
///
/// # Errors
/// See [`check`].
pub fn pretrained_names(reference: &DatasetRef, places: &Places) -> Result<Option<Vec<String>>> {
    let (_, protocol) = resolve(reference, places)?;
    Ok(protocol.pretrained_names())
}

/// The seed that divides the dataset's rows into splits, where its description divides them by a hash.
///
/// # Errors
/// See [`check`]; a split that is fixed by files, by time or by the embedded source.
pub fn split_seed(reference: &DatasetRef, places: &Places) -> Result<u64> {
    let (description, protocol) = resolve(reference, places)?;
    let seed = protocol.split_seed();
    Ok(seed.map_err(|why| fixed_split(&description.name, why))?)
}

/// Checks that something can stay with rows, as [`carry`](super::carry) is asked for it, without touching source files.
///
/// # Errors
/// See [`check`]; a text that is neither a column nor an expression over columns, an embedded source, which has none.
pub fn check_carried(reference: &DatasetRef, places: &Places, text: &str) -> Result<()> {
    let (description, protocol) = resolve(reference, places)?;
    match with_columns(&description.name, &protocol, &[text])? {
        Some(_) => Ok(()),
        None => {
            let name = &description.name;
            let message = format!(
                "the rows of `{name}` are made by an embedded source and have no column `{text}`"
            );
            Err(Diagnostic::new(name, message)
                .hint("use a dataset of files, or what is asked of users alone")
                .into())
        }
    }
}

/// What a description says of a dataset, without what its files hold.
pub(super) fn canonical(reference: &DatasetRef, places: &Places) -> Result<String> {
    Ok(resolve(reference, places)?.1.canonical())
}

/// The description of a dataset and its protocol that are asked for.
///
/// # Errors
/// See [`check`].
pub(super) fn resolve(
    reference: &DatasetRef,
    places: &Places,
) -> Result<(Description, Protocol), Diagnostic> {
    let (folder, knobs) = (&places.descriptions, &reference.knobs);
    let description = Description::load_with(folder, &reference.name, knobs)?;
    let wanted = reference.protocol.as_deref();
    let invalid = match reference.rows {
        RowSubset::All => None,
        RowSubset::TrainRows(rows) => {
            (rows == 0).then(|| "rows: expected at least 1, found 0".to_owned())
        }
        RowSubset::Fraction(fraction) => (!(fraction > 0.0 && fraction <= 1.0))
            .then(|| format!("fraction: expected a number above 0 and up to 1, found {fraction}")),
    };
    if let Some(message) = invalid {
        return Err(Diagnostic::new(&reference.name, message));
    }
    let Some(protocol) = description.protocol(wanted) else {
        let names: Vec<&str> = description
            .protocols
            .iter()
            .map(|protocol| protocol.name.as_str())
            .collect();
        let wanted = wanted.unwrap_or_default();
        let message = format!(
            "there is no protocol `{wanted}`; there are `{}`",
            names.join("`, `")
        );
        return Err(Diagnostic::new(&description.name, message).did_you_mean(wanted, names));
    };
    let protocol = protocol.clone();
    let protocol = match reference.split_seed {
        Some(seed) => protocol
            .with_split_seed(seed)
            .map_err(|why| fixed_split(&description.name, why))?,
        None => protocol,
    };
    Ok((description, protocol))
}

/// The protocol of this name.
///
/// # Errors
/// There is none.
pub(super) fn resolve_description(
    description: &Description,
    name: &str,
) -> Result<Protocol, Diagnostic> {
    let found = description.protocol(Some(name)).cloned();
    found.ok_or_else(|| {
        Diagnostic::new(&description.name, format!("there is no protocol `{name}`"))
            .hint("restore description.toml, or run the experiment again")
    })
}

fn fixed_split(name: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        name,
        format!("the split of `{name}` is fixed: {why}, and no seed divides them anew"),
    )
    .hint("leave `split_seeds` out, or use a dataset whose description has `kind = \"hash\"` in [split]")
}

/// Where a dataset's source files are: in a folder of its name, or right in the data folder where that has them.
pub(super) fn folder_of(description: &Description, data: &Path) -> PathBuf {
    let folder = data.join(&description.name);
    let has_one = |folder: &Path| {
        let mut files = description.files.iter();
        files.any(|file| super::part_files::is_there(&folder.join(&file.name)))
    };
    // The folder of the dataset's name wins, so that files of two datasets with the same names
    // don't mix. It may also be a table in parts that the dataset is named after.
    match (folder.is_dir() && has_one(&folder)) || !has_one(data) {
        true => folder,
        false => data.to_path_buf(),
    }
}

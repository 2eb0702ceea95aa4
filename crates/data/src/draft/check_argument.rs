//! Arguments that are no files of a table.

use crate::part_files;
use homebench_diagnostic::Diagnostic;
use std::path::{Path, PathBuf};

/// Refuses a path that names nothing, a pattern that matches nothing, or a folder of different tables.
pub(super) fn check_is_table(path: &Path) -> Result<(), Diagnostic> {
    let name = path.display().to_string();
    let said = |message: &str| Err(Diagnostic::new(&name, message));
    if path.is_dir() {
        let parts = part_files::parts(path)?.files;
        if super::scan::are_parts(&parts) {
            return Ok(());
        }
        let ending = parts.first().and_then(|part| part.path.extension());
        let pattern = ending.map_or("*".to_owned(), |ending| format!("*.{}", ending.display()));
        return said("this is a folder, and its files are not parts of one table").map_err(
            |said| {
                said.hint(format!(
                    "name the files in it, such as {}",
                    path.join(pattern).display()
                ))
            },
        );
    }
    if part_files::is_pattern(&name) && part_files::is_there(path) {
        return Ok(());
    }
    if path.exists() {
        return Ok(());
    }
    if name.contains(['*', '?']) {
        return said("no file matches this pattern")
            .map_err(|said| said.hint("look into the folder; patterns are read by the shell"));
    }
    said("there is no such file").map_err(|said| {
        let (near, folder) = (neighbours(path), path.file_name().unwrap_or_default());
        said.did_you_mean(&folder.to_string_lossy(), near.iter().map(String::as_str))
    })
}

/// Names of the files beside a path.
fn neighbours(path: &Path) -> Vec<String> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Refuses two files of one name, which one data folder can't have.
pub(super) fn check_name(path: &Path, others: &[PathBuf]) -> Result<(), Diagnostic> {
    let same = others
        .iter()
        .find(|other| other.file_name() == path.file_name());
    let Some(same) = same else { return Ok(()) };
    let message = format!("{} has the same name", same.display());
    let said = Diagnostic::new(path.display().to_string(), message);
    let common: PathBuf = path
        .components()
        .zip(same.components())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    let has_keys = path.strip_prefix(&common).is_ok_and(|rest| {
        rest.components()
            .any(|part| part.as_os_str().to_string_lossy().contains('='))
    });
    Err(match has_keys && common.file_name().is_some() {
        true => said.hint(format!(
            "name the folder that has both, {}: it is read as one table, with a column for each key in the folders' names",
            common.display()
        )),
        false => said.hint("all files of a dataset lie in one folder; rename one of them"),
    })
}

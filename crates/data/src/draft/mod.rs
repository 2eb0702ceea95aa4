//! `homebench data describe`: drafts a description from files, for a person to edit.
//!
//! Files are read once, or pieces spread over them where they are long; folders and patterns are tables in parts. What a column is, is guessed from its values and its name;
//! every guess is a line of the draft with what it was made from beside it.

mod check_argument;
mod column_statistics;
mod file_roles;
mod guess_format;
mod guess_meaning;
mod scan;
mod write_toml;

use super::Observer;
use homebench_diagnostic::Diagnostic;
use std::path::PathBuf;

/// Drafts a description of these files; of each, about `most_rows` rows are looked at, spread over all of it.
///
/// # Errors
/// A file that can't be read, has no rows, or shares its name with another.
pub fn describe(
    files: &[PathBuf],
    most_rows: u64,
    observer: &mut dyn Observer,
) -> Result<String, Diagnostic> {
    let mut scanned = Vec::with_capacity(files.len());
    for (index, path) in files.iter().enumerate() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        check_argument::check_name(path, &files[..index])?;
        check_argument::check_is_table(path)?;
        observer.notice(&format!("reading {name}"));
        scanned.push(scan::scan(path, &name, most_rows)?);
    }
    Ok(write_toml::draft(&file_roles::roles(scanned)))
}

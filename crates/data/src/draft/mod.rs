//! `homebench data describe`: drafts a description from files, for a person to edit.
//!
//! Files are read once, or their first rows where they are long. What a column is, is guessed from its values and its name;
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

/// Drafts a description of these files; of each, `most_rows` rows are looked at.
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
        let same = files[..index]
            .iter()
            .find(|other| other.file_name() == path.file_name());
        if let Some(same) = same {
            let message = format!("{} has the same name", same.display());
            return Err(Diagnostic::new(path.display().to_string(), message)
                .hint("all files of a dataset lie in one folder; rename one of them"));
        }
        check_argument::check_is_file(path)?;
        observer.notice(&format!("reading {name}"));
        scanned.push(scan::scan(path, name, most_rows)?);
    }
    Ok(write_toml::draft(&file_roles::roles(scanned)))
}

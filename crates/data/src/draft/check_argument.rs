//! Arguments that are no files of a table.

use homebench_diagnostic::Diagnostic;
use std::path::Path;

/// Refuses a path that names nothing, a pattern or a folder.
pub(super) fn check_is_file(path: &Path) -> Result<(), Diagnostic> {
    let name = path.display().to_string();
    let said = |message: &str| Err(Diagnostic::new(&name, message));
    if path.is_dir() {
        return said("this is a folder").map_err(|said| {
            said.hint(format!(
                "name the files in it, such as {}",
                path.join("*.csv").display()
            ))
        });
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

//! The experiments and descriptions that the binary carries, so that it works without a clone of its repository.
//!
//! They are read as files: one that is asked for by name is written into the cache with all others, since specs and descriptions
//! name each other by paths, and messages show the lines of a file.

use homebench_data::Places;
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::{create_dir, create_dir_inside};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files below `experiments/`: names with `/` and `.toml`, and texts.
pub type Bundle = &'static [(&'static str, &'static str)];

static FILES: OnceLock<Bundle> = OnceLock::new();

/// Folder of the descriptions among the files.
const DATASETS: &str = "datasets";
/// Digits of the files' digest in the name of their folder.
const NAME_DIGITS: usize = 16;

/// Says what the binary carries: once, before a command runs.
pub fn carry(files: Bundle) {
    // A second call would be of the same binary.
    let _ = FILES.set(files);
}

fn files() -> Bundle {
    FILES.get().copied().unwrap_or_default()
}

/// Names of the experiments, in order.
pub fn experiments() -> impl Iterator<Item = &'static str> {
    let names = files().iter().map(|(name, _)| *name);
    let specs = names.filter(|name| !name.starts_with(&format!("{DATASETS}/")));
    specs.filter_map(|name| name.strip_suffix(".toml"))
}

/// The text of an experiment.
pub fn experiment_text(name: &str) -> Option<&'static str> {
    experiments().find(|known| *known == name)?;
    let file = format!("{name}.toml");
    let (_, text) = files().iter().find(|(known, _)| *known == file)?;
    Some(text)
}

/// The file of an experiment, written into the cache.
///
/// # Errors
/// A cache that can't be written.
pub fn experiment_file(name: &str, cache: &Path) -> Result<Option<PathBuf>, Diagnostic> {
    if experiment_text(name).is_none() {
        return Ok(None);
    }
    Ok(Some(write_files(cache)?.join(format!("{name}.toml"))))
}

/// Takes the descriptions that the binary carries where those at hand are not there at all, or lack a dataset that it has.
///
/// # Errors
/// A cache that can't be written.
pub fn complete(places: &mut Places, dataset: Option<&str>) -> Result<(), Diagnostic> {
    let is_lacking = dataset.is_some_and(|dataset| {
        let file = format!("{dataset}.toml");
        let name = format!("{DATASETS}/{file}");
        !places.descriptions.join(file).exists() && files().iter().any(|(known, _)| *known == name)
    });
    // Where there is no folder of descriptions, its names are what a wrong one is compared with.
    if is_lacking || (!files().is_empty() && !places.descriptions.is_dir()) {
        places.descriptions = write_files(&places.cache)?.join(DATASETS);
    }
    Ok(())
}

/// Writes all files into a folder of the cache that is named after what they say, those that are there already aside.
fn write_files(cache: &Path) -> Result<PathBuf, Diagnostic> {
    let name = format!("bundled-{}", &digest()[..NAME_DIGITS]);
    let folder = cache.join(&name);
    let mend = "free some space or permit writing there; or choose another folder with --cache-dir";
    create_dir(cache).map_err(|said| said.hint(mend))?;
    for (file, text) in files() {
        let path = folder.join(file);
        if let Some(inside) = Path::new(&name).join(file).parent() {
            // The folder that a link leads to is somebody else's.
            create_dir_inside(cache, inside).map_err(|said| said.hint(mend))?;
        }
        // One that was edited would be another experiment under the same name.
        if !path.is_symlink() && regular_file::read_text(&path).is_ok_and(|found| found == *text) {
            continue;
        }
        write(&path, text).map_err(|error| {
            Diagnostic::new(path.display().to_string(), format!("can't write: {error}")).hint(mend)
        })?;
    }
    Ok(folder)
}

/// Whole or not at all, also where other processes write the same.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let part = tempfile::Builder::new()
        .suffix(".part")
        .tempfile_in(folder)?;
    std::fs::write(part.path(), text)?;
    part.persist(path)?;
    Ok(())
}

fn digest() -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, text) in files() {
        hasher.update(format!("{name}\0{}\0", text.len()).as_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

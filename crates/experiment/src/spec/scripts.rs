//! What programs of the user's are made of: the digests of their files are part of a cell's content, so that an edited script is another
//! cell.

use super::{Configured, Experiment, Source};
use homebench_diagnostic::{Diagnostic, KeyPath, regular_file};
use homebench_model::{ModelConfig, PROGRAM_SCRIPTS};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Adds the digests of the files of every variant that is a program. Paths are from the working folder, where programs run.
///
/// # Errors
/// A program none of whose files is there, or a file of `files` that can't be read, at its place in the spec.
pub fn take_scripts(experiment: &mut Experiment, source: &Source) -> Result<(), Diagnostic> {
    // By its command and its files: the trials of a variant share them, unless a sweep sets them.
    let mut known = BTreeMap::new();
    for variant in &mut experiment.variants {
        let path = KeyPath::new(["variants", &variant.base]);
        let trials = variant.trials.iter_mut();
        for configured in std::iter::once(&mut variant.configured).chain(trials) {
            if configured.model.is_program() {
                take(configured, &path, source, &mut known)?;
            }
        }
    }
    Ok(())
}

fn take(
    configured: &mut Configured,
    variant: &KeyPath,
    source: &Source,
    known: &mut BTreeMap<Vec<Vec<String>>, Table>,
) -> Result<(), Diagnostic> {
    let model = &configured.model;
    let of = |key: &str| texts(model.knobs(), key);
    let asked = vec![of("command"), of("files")];
    let digests = match known.get(&asked) {
        Some(digests) => digests.clone(),
        None => {
            let digests = digests(&asked[0], &asked[1], variant, source)?;
            known.insert(asked, digests.clone());
            digests
        }
    };
    let mut knobs = model.knobs().clone();
    knobs.insert(PROGRAM_SCRIPTS.to_owned(), Value::Table(digests));
    configured.model = ModelConfig::from_table(model.name(), &knobs)
        .map_err(|error| super::model_diagnostic(&error, variant, source))?;
    Ok(())
}

fn texts(knobs: &Table, key: &str) -> Vec<String> {
    let values = knobs.get(key).and_then(Value::as_array);
    let texts = values.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn digests(
    command: &[String],
    files: &[String],
    variant: &KeyPath,
    source: &Source,
) -> Result<Table, Diagnostic> {
    let mut digests = Table::new();
    // An argument may be anything; those that are files here are of the program.
    let arguments = command.iter().filter(|word| Path::new(word).is_file());
    for (key, file) in arguments
        .map(|file| ("command", file))
        .chain(files.iter().map(|file| ("files", file)))
    {
        let digest = digest(file).map_err(|error| {
            let path = variant.join(key);
            let said = source.at_value(&path, format!("`{path}`: can't read {file}: {error}"));
            said.hint("paths are from the folder in which homebench runs")
        })?;
        digests.insert(file.clone(), Value::String(digest));
    }
    if digests.is_empty() {
        let path = variant.join("command");
        let message = format!(
            "`{path}`: none of its words is a file here, so nothing would tell when the program changes"
        );
        return Err(source.at_value(&path, message).hint(
            "name the script by its path from this folder, or add the files that it consists of to `files`",
        ));
    }
    Ok(digests)
}

/// The digest of a program's file.
///
/// # Errors
/// It can't be read.
pub fn digest(file: &str) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut regular_file::open(Path::new(file))?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

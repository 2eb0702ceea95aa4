//! Where a command writes a file that its user named.

use crate::output::write_answer;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::{ResultsFolder, is_own, write_unsynced};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Writes a table, with its header first, into the file that a user named, or to stdout.
///
/// # Errors
/// As [`output_path`], or it can't be written.
pub(super) fn write_table<const N: usize>(
    out: Option<&Path>,
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    let table = writer.into_inner()?;
    match out {
        Some(path) => {
            let written = output_path(path, &[])?;
            write_unsynced(&written, |out| Ok(out.write_all(&table)?))
        }
        None => {
            write_answer(&String::from_utf8(table)?)?;
            Ok(())
        }
    }
}

/// The path to write: that of the file itself where it is named by a link.
///
/// # Errors
/// Something else than a file is there, it is one of the inputs, or homebench itself writes under that name in a results folder.
pub(super) fn output_path(
    path: &Path,
    inputs: &[&Path],
) -> std::result::Result<PathBuf, Diagnostic> {
    let refuse = |message: &str| {
        Diagnostic::new(path.display().to_string(), message).hint("name another file")
    };
    let there = match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            return Err(refuse("can't be written: what is there is no file"));
        }
        Ok(there) => there,
        Err(_) if path.is_symlink() => {
            return Err(refuse("can't be written: it is a link that leads nowhere"));
        }
        Err(_) => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            return match folder.filter(|folder| !folder.is_dir()) {
                Some(folder) => {
                    let folder = folder.display();
                    let message = format!("can't be written: there is no folder {folder}");
                    Err(Diagnostic::new(path.display().to_string(), message)
                        .hint(format!("make it first: mkdir -p {folder}")))
                }
                // Writing tells what else is wrong.
                None => refuse_own(path, path.to_owned()),
            };
        }
    };
    let key = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let is_it =
        |input: &&&Path| std::fs::metadata(input).is_ok_and(|input| key(&input) == key(&there));
    match inputs.iter().find(is_it) {
        Some(_) => Err(refuse("can't be written: this command reads it")),
        None => refuse_own(
            path,
            path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        ),
    }
}

/// Refuses the place of a file of homebench's in a results folder, whichever it is: tables and seals would no longer be what runs wrote.
fn refuse_own(named: &Path, written: PathBuf) -> std::result::Result<PathBuf, Diagnostic> {
    match folder_around(&written) {
        Some((results, inside)) if is_own(&inside) => {
            let message = format!(
                "can't be written: homebench itself writes there in the results folder {}",
                results.display()
            );
            Err(Diagnostic::new(named.display().to_string(), message)
                .hint("name another file, best outside of results folders"))
        }
        _ => Ok(written),
    }
}

/// Refuses a folder for a report where another experiment has its own, or homebench keeps what that one rests on; `own` is the results
/// folder that the report is of, if it is of one.
///
/// # Errors
/// It is such a folder.
pub(super) fn refuse_other_results(
    out: &Path,
    own: Option<&ResultsFolder>,
) -> std::result::Result<(), Diagnostic> {
    let Some((results, inside)) = folder_around(out).filter(|(_, inside)| is_own(inside)) else {
        return Ok(());
    };
    if own.is_some_and(|own| is_same(own.path(), &results)) {
        return Ok(());
    }
    let message = match inside.as_os_str().is_empty() {
        true => "it is a results folder with a report of its own".to_owned(),
        false => format!(
            "homebench itself writes there in the results folder {}",
            results.display()
        ),
    };
    Err(Diagnostic::new(out.display().to_string(), message)
        .hint("name another folder with `--out DIR`"))
}

/// Whether a path is a folder or in it, however both are spelled.
pub(super) fn is_inside(path: &Path, folder: &Path) -> bool {
    let whole = whole_path(path);
    whole.is_ok_and(|whole| whole.ancestors().any(|above| is_same(above, folder)))
}

/// Whether two paths lead to the same folder.
fn is_same(one: &Path, other: &Path) -> bool {
    let key = |path: &Path| {
        let there = std::fs::metadata(path).ok()?;
        Some((there.dev(), there.ino()))
    };
    key(one).is_some_and(|one| Some(one) == key(other))
}

/// The results folder that a path is in, and the path in it. Neither has to be there yet.
fn folder_around(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let whole = whole_path(path).ok()?;
    let is_results = |folder: &&Path| {
        let results = ResultsFolder::new(*folder);
        results.resolved_spec().is_file() || results.provenance().is_file()
    };
    let root = whole.ancestors().find(is_results)?;
    let inside = whole.strip_prefix(root).ok()?.to_owned();
    Some((root.to_owned(), inside))
}

/// A path from the root on, by the folders that links in it lead to, as far as it is there.
fn whole_path(path: &Path) -> std::io::Result<PathBuf> {
    let mut whole = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            // What is there is no link any more, and what is not there is none.
            Component::ParentDir => drop(whole.pop()),
            part => whole.push(part),
        }
        if let Ok(real) = whole.canonicalize() {
            whole = real;
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_file_that_is_no_input_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("input"), "a").unwrap();
        std::fs::write(path("other"), "b").unwrap();
        symlink(path("input"), path("to-input")).unwrap();
        symlink(path("other"), path("to-other")).unwrap();
        symlink("/dev/null", path("to-device")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        let said = |name: &str| {
            let output = output_path(&path(name), &[&path("input")]);
            output.map_err(|refusal| refusal.message)
        };
        for (name, what) in [
            ("input", "this command reads it"),
            ("to-input", "this command reads it"),
            ("to-device", "what is there is no file"),
            (".", "what is there is no file"),
            ("dangling", "it is a link that leads nowhere"),
            (
                "gone/file",
                &format!("there is no folder {}", path("gone").display()),
            ),
        ] {
            assert_eq!(
                said(name),
                Err(format!("can't be written: {what}")),
                "{name}"
            );
        }
        let real = path("other").canonicalize().unwrap();
        assert_eq!(said("to-other"), Ok(real.clone()));
        assert_eq!(said("other"), Ok(real));
        assert_eq!(said("new"), Ok(path("new")));
    }

    #[test]
    fn nothing_is_written_where_homebench_itself_writes_in_a_results_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("done/cells/x")).unwrap();
        std::fs::create_dir_all(path("done/notes")).unwrap();
        std::fs::write(path("done/provenance.toml"), "").unwrap();
        std::fs::write(path("done/gates.csv"), "").unwrap();
        symlink(path("done/gates.csv"), path("gates.csv")).unwrap();
        symlink(path("done"), path("linked")).unwrap();
        for name in [
            "done/gates.csv",
            "done/metrics.csv",
            "done/curves.csv.zst",
            "done/winners.toml",
            "done/report.md",
            "done/.lock",
            "done/cells/x/weights.safetensors",
            "done/cells/x/new.csv",
            "done/notes/../cells.csv",
            "gates.csv",
            "linked/cells.csv",
        ] {
            let said = output_path(&path(name), &[]).unwrap_err().to_string();
            assert!(said.contains("homebench itself writes there"), "{said}");
        }
        for name in [
            "done/routing.csv",
            "done/notes/gates.csv",
            "linked/masks.csv",
            "cells.csv",
        ] {
            assert!(output_path(&path(name), &[]).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_report_goes_into_its_own_folder_or_into_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, file) in [("own", "provenance.toml"), ("other", "spec.resolved.toml")] {
            std::fs::create_dir_all(path(name)).unwrap();
            std::fs::write(path(name).join(file), "").unwrap();
        }
        symlink(path("other"), path("to-other")).unwrap();
        symlink(path("own"), path("to-own")).unwrap();
        let own = ResultsFolder::new(path("own"));
        let is_refused = |out: &str, own| {
            refuse_other_results(&path(out), own).is_err_and(|said| said.hint.is_some())
        };
        for other in [
            "other",
            "to-other",
            "other/only/home",
            "new/../other",
            "own/../other/cells/a",
        ] {
            assert!(
                is_refused(other, Some(&own)) && is_refused(other, None),
                "{other}"
            );
        }
        for free in ["new", "other/mine", "own/mine"] {
            assert!(
                !is_refused(free, Some(&own)) && !is_refused(free, None),
                "{free}"
            );
        }
        for (out, is_in_it) in [
            ("own", true),
            ("to-own/new", true),
            ("new/../own/./only", true),
            ("own/../other", false),
            ("owner", false),
            (".", false),
        ] {
            assert_eq!(is_inside(&path(out), own.path()), is_in_it, "{out}");
        }
        for its in ["own", "to-own", "own/only/home"] {
            assert!(
                !is_refused(its, Some(&own)) && is_refused(its, None),
                "{its}"
            );
        }
    }

    #[test]
    fn a_path_is_whole_whatever_of_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        for (path, whole) in [
            ("a/../a/./b", "a/b"),
            // Above what the link leads to.
            ("link/../c", "a/c"),
            ("new/deep/../../a/b/file", "a/b/file"),
        ] {
            assert_eq!(
                whole_path(&root.join(path)).unwrap(),
                root.join(whole),
                "{path}"
            );
        }
    }
}

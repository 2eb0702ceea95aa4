//! What of a results folder is not as homebench wrote it: looked at by every command that reads one, and said.

use crate::output::note;
use anyhow::Result;
use homebench_diagnostic::{Diagnostic, visible};
use homebench_experiment::plan::unknown_cells;
use homebench_report::check_drawn;
use homebench_results::{
    self as record, Finding, Problem, ResultsFolder, cell_of, change_ledger, findings,
    refuse_link_above, set_aside,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

/// What a script reads as "it is not as it was written".
const EXIT_ALTERED: u8 = 1;

/// Every file that is not as homebench wrote it.
///
/// # Errors
/// A file of a newer homebench.
pub(super) fn look(results: &ResultsFolder) -> Result<Vec<Finding>, Diagnostic> {
    check_drawn(results.path())?;
    let mut found = findings(results)?;
    for cell in unknown_cells(results)? {
        if !found.iter().any(|other| other.file == cell.file) {
            found.push(cell);
        }
    }
    Ok(found)
}

/// Says on stderr what was found, and how it is mended.
pub(super) fn say(results: &ResultsFolder, found: &[Finding]) {
    for finding in found {
        note!("warning: {}", place(results, finding));
    }
    let mends: BTreeSet<String> = found.iter().map(|finding| finding.mend(results)).collect();
    for mend in mends {
        note!("hint: {mend}");
    }
}

/// What lies among the data of a folder and is of none of its cells, in words. It is the user's, and no fault.
pub(super) fn other_data(results: &ResultsFolder) -> Vec<String> {
    let names = record::other_data(results).into_iter();
    names
        .map(|name| {
            format!(
                "data/{}: not of this experiment's cells, so neither reported nor sealed; move it away if nobody needs it here",
                visible(&name)
            )
        })
        .collect()
}

/// A finding with the folder in which it is.
pub(super) fn place(results: &ResultsFolder, finding: &Finding) -> String {
    let text = results.join(&finding.to_string()).display().to_string();
    visible(&text).into_owned()
}

/// The exit code of a command that did what it was asked for.
pub(super) fn exit_code(found: &[Finding], otherwise: ExitCode) -> ExitCode {
    match found.is_empty() {
        true => otherwise,
        false => ExitCode::from(EXIT_ALTERED),
    }
}

/// Before a run writes into a folder: says what is not as it was, and puts out of the way what it must not rest on. What can't be had again
/// is refused, unless everything begins anew. Only for whoever holds the folder's lock.
///
/// # Errors
/// What can't be had again; a file of a newer homebench; a file that can't be moved.
pub(super) fn mend_before_run(results: &ResultsFolder, fresh: bool) -> Result<()> {
    let found = look(results)?;
    let is_lost =
        |finding: &&Finding| matches!(finding.file.as_str(), "provenance.toml" | "winners.toml");
    if let Some(lost) = found.iter().find(is_lost).filter(|_| !fresh) {
        let path = results.join(&lost.file).display().to_string();
        let text = lost.to_string();
        let message = text.split_once(": ").map_or("", |(_, message)| message);
        return Err(Diagnostic::new(path, message)
            .hint(lost.mend(results))
            .into());
    }
    // Before the first of them is moved: what is behind a link is another folder's.
    let is_moved = |finding: &&Finding| {
        finding.problem != Problem::NotMerged && !finding.file.starts_with("external/")
    };
    for finding in found.iter().filter(is_moved) {
        refuse_link_above(results.path(), Path::new(&finding.file))?;
    }
    let mut cells = BTreeSet::new();
    for finding in &found {
        let path = results.join(&finding.file);
        match finding.cell() {
            // As of every run that was interrupted.
            _ if finding.problem == Problem::NotMerged => continue,
            Some(id) => {
                cells.insert(id.to_owned());
                keep_aside(results, finding, "its cell is not reused")?;
                let outcome = Path::new("cells").join(id).join("outcome.toml");
                if results.path().join(&outcome) != path && results.cell(id).outcome().exists() {
                    set_aside(results.path(), &outcome, "damaged")?;
                }
            }
            // It stays as it is, and is said at the end.
            None if finding.file.starts_with("external/") => {}
            None if finding.is_of_table() => {
                // Nothing is written over a folder, or whatever else stands in a file's place.
                match path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
                    true => keep_aside(results, finding, "written anew")?,
                    false => note!("{}; written anew", place(results, finding)),
                }
            }
            None => keep_aside(results, finding, "written anew")?,
        }
    }
    // All of them may be written anew, and a run that is killed in between has altered nothing.
    change_ledger(results, |ledger| {
        ledger.withdraw(|name| match cell_of(name) {
            Some(id) => cells.contains(id),
            None => !name.starts_with("external/"),
        });
        // They rest on those, and are written from the cells in the end.
        ledger.withdraw_tables();
    })
}

fn keep_aside(results: &ResultsFolder, finding: &Finding, what: &str) -> Result<()> {
    let path = results.join(&finding.file);
    let said = place(results, finding);
    match std::fs::symlink_metadata(&path) {
        Ok(_) => {
            let aside = set_aside(results.path(), Path::new(&finding.file), "damaged")?;
            note!("{said}; kept as {}, {what}", aside.display());
        }
        Err(_) => note!("{said}; {what}"),
    }
    Ok(())
}

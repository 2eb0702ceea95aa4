//! Makes a copy of a finished folder that is small enough to commit: long tables are compressed, and of what experts and gates did only the epoch of
//! the selected weights stays. Every command reads the folder as before.

use crate::atomic;
use crate::findings::findings;
use crate::layout::ResultsFolder;
use crate::ledger::Ledger;
use crate::read::Results;
use crate::seal::{data_names, names, seal};
use crate::tables::{ExpertsRow, GatesRow, LONG, Table, TableReader, open_table, packed_path};
use anyhow::{Context as _, Result};
use homebench_diagnostic::{Diagnostic, regular_file};
use std::io::{self, Read, Write};
use std::path::Path;

/// How hard zstd tries.
// A table is packed once and kept. Levels above are zstd's "ultra" ones, which need more memory to read.
const LEVEL: i32 = 19;

/// What packing did to a folder's long tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    /// Tables that were packed.
    pub num_tables: usize,
    /// Their bytes before.
    pub bytes_before: u64,
    /// Their bytes now.
    pub bytes_now: u64,
}

/// Copies what a reader needs to check an experiment into a new folder: tables, specs and provenance, winners and external scores.
/// All tables but `cells.csv`, `tuning.csv` and `data_warnings.csv` become `.csv.zst`, of experts and gates with the rows of the selected
/// epoch alone. The copy is sealed. The same tables give the same bytes. Not copied: cells with their weights and
/// logs, and what is drawn from the rest, which `draw` adds. The copy is made beside its place and is there once it is whole.
///
/// # Errors
/// A folder that was altered since it was sealed, or can't be read (with file, line and column); something at `new` already, or a
/// file that can't be written there; what `draw` refuses.
pub fn pack(
    results: &ResultsFolder,
    new: &ResultsFolder,
    draw: impl FnOnce(&ResultsFolder) -> Result<()>,
) -> Result<Packed> {
    if let Some(found) = findings(results)?.first() {
        // A new seal would vouch for it.
        let name = results.path().display().to_string();
        return Err(Diagnostic::new(name, found.to_string())
            .hint(found.mend(results))
            .into());
    }
    let place = new.path();
    let refuse_taken = || match std::fs::symlink_metadata(place) {
        // Also a link that leads nowhere yet.
        Ok(_) => {
            let said = Diagnostic::new(place.display().to_string(), "there is something already");
            Err(said.hint("remove it first, or name a new folder"))
        }
        Err(_) => Ok(()),
    };
    refuse_taken()?;
    let read = Results::read(results.path())?;
    // A full disk or a kill leaves nothing in its place that would be in the way of the same command.
    let partial = atomic::partial_folder(place)?;
    let copy = ResultsFolder::new(partial.path());
    let done = fill(results, &read, &copy)?;
    draw(&copy)?;
    refuse_taken()?;
    std::fs::rename(partial.path(), place).map_err(|error| atomic::unwritable(place, &error))?;
    // It has another name by now.
    let _ = partial.keep();
    Ok(done)
}

fn fill(results: &ResultsFolder, read: &Results, new: &ResultsFolder) -> Result<Packed> {
    let into = new.path();
    let mut done = Packed::default();
    for name in names() {
        match open_table(results.path(), name) {
            Err(error) if error.is_absence() => {}
            Err(error) => return Err(error.into()),
            Ok((file, _)) if !LONG.contains(&name) => copy_into(&file, into)?,
            Ok((file, text)) => {
                let packed = packed_path(&new.join(name));
                atomic::write(&packed, |out| compress(read, name, text, out))?;
                done.num_tables += 1;
                done.bytes_before += file.metadata()?.len();
                done.bytes_now += packed.metadata()?.len();
            }
        }
    }
    for file in [results.resolved_spec(), results.facts(), results.winners()] {
        if file.exists() {
            copy_into(&file, into)?;
        }
    }
    copy_data(results, new)?;
    copy_external(results, new)?;
    if let Some(ledger) = Ledger::read(results).map_err(Diagnostic::from)? {
        let runs = ledger.runs;
        Ledger {
            runs,
            ..Ledger::default()
        }
        .write(new)?;
        // Anew, since it has fewer rows, and none of the cells.
        seal(new, [])?;
    }
    Ok(done)
}

fn compress(read: &Results, name: &str, mut text: impl Read, out: &mut dyn Write) -> Result<()> {
    let mut packed = zstd::Encoder::new(out, LEVEL)?;
    match name {
        ExpertsRow::FILE | GatesRow::FILE => selected_rows(read, name, &mut packed)?,
        _ => drop(io::copy(&mut text, &mut packed)?),
    }
    packed.finish()?;
    Ok(())
}

/// Descriptions and what was asked of the data; vocabularies stay behind, as the weights do that they are for.
fn copy_data(results: &ResultsFolder, new: &ResultsFolder) -> Result<()> {
    for name in data_names(results) {
        let Some((folder, "data.toml" | "description.toml")) = name.rsplit_once('/') else {
            continue;
        };
        atomic::create_dir(&new.join(folder))?;
        copy_into(&results.join(&name), &new.join(folder))?;
    }
    Ok(())
}

fn copy_external(results: &ResultsFolder, new: &ResultsFolder) -> Result<()> {
    let (from, into) = (results.join("external"), new.join("external"));
    if !from.is_dir() {
        return Ok(());
    }
    atomic::create_dir(&into)?;
    for entry in std::fs::read_dir(&from)? {
        let entry = entry?;
        // Folders beside the tables are notes of whoever put them there.
        if !entry.path().is_dir() {
            copy_into(&entry.path(), &into)?;
        }
    }
    Ok(())
}

fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default();
    let mut from =
        regular_file::open(file).with_context(|| format!("copying {}", file.display()))?;
    atomic::write(&folder.join(name), |out| {
        io::copy(&mut from, out)?;
        Ok(())
    })
}

/// Copies header and rows that may be of the selected weights: every evaluation of the selected epoch, since reports take the last of
/// them and figures that of the weights. Gates have all columns of experts.
fn selected_rows(read: &Results, name: &str, out: &mut impl Write) -> Result<()> {
    let places = read.places();
    let mut table = TableReader::<ExpertsRow>::open(&read.folder, name)?;
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(table.header())?;
    while table.advance()? {
        let row = table.row()?;
        let cell = places.get(row.cell).map(|place| &read.cells[*place]);
        if cell.is_some_and(|cell| cell.may_select(row.epoch)) {
            writer.write_record(table.record())?;
        }
    }
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::Inside;
    use crate::sample::Sample;
    use crate::tables::{CohortsRow, HistogramsRow, ModelPartsRow, Scope, SettingsRow, write};
    use tempfile::TempDir;

    /// A sealed folder with experts and gates of three epochs, of which the third was selected, two evaluations each.
    fn folder() -> (TempDir, ResultsFolder) {
        let folder = Sample::default().write();
        let results = ResultsFolder::new(folder.path());
        let moments = || (1..=3).flat_map(|epoch| [(epoch, 20 * epoch - 10), (epoch, 20 * epoch)]);
        let cells = ["cell-0-0", "cell-1-0"];
        let at = || {
            cells
                .into_iter()
                .flat_map(|cell| moments().map(move |moment| (cell, moment)))
        };
        let experts = at().map(|(cell, (epoch, step))| ExpertsRow {
            cell,
            variant: "a, b",
            epoch,
            step,
            metric: "zero_rate",
            value: Some(step as f64 / 1e9),
            ..ExpertsRow::default()
        });
        let gates = at().map(|(cell, (epoch, step))| GatesRow {
            cell,
            epoch,
            step,
            metric: "spread",
            value: Some(1.0),
            ..GatesRow::default()
        });
        let bins = cells.map(|cell| HistogramsRow {
            cell,
            epoch: 3,
            step: 60,
            count: 5,
            ..HistogramsRow::default()
        });
        let cohorts = cells.map(|cell| CohortsRow {
            cell,
            variant: "a, b",
            seed: 0,
            split: "test",
            task: "like",
            cohort: "tab",
            cohort_value: "1",
            metric: "auc",
            value: Some(0.5),
            rows: 9,
            positives: Some(3),
        });
        put(&results, experts);
        put(&results, gates);
        put(&results, bins);
        put(&results, cohorts);
        put(
            &results,
            cells.map(|cell| SettingsRow {
                cell: cell.to_owned(),
                variant: "a, b".to_owned(),
                setting: "rank".to_owned(),
                value: "8".to_owned(),
            }),
        );
        put(
            &results,
            [ModelPartsRow {
                variant: "a, b".to_owned(),
                layer: 0,
                layer_title: "level 0".to_owned(),
                path: "shared.expert".to_owned(),
                kind: "expert".to_owned(),
                scope: Scope::All,
                owner: String::new(),
                name: "experts".to_owned(),
            }],
        );
        seal(&results, []).unwrap();
        (folder, results)
    }

    fn put<T: Table>(results: &ResultsFolder, rows: impl IntoIterator<Item = T>) {
        atomic::write(&results.join(T::FILE), |out| write(out, rows)).unwrap();
    }

    fn csv(results: &ResultsFolder, name: &str) -> String {
        io::read_to_string(open_table(results.path(), name).unwrap().1).unwrap()
    }

    /// A packed copy of a folder.
    fn packed(results: &ResultsFolder) -> (TempDir, ResultsFolder, Packed) {
        let parent = tempfile::tempdir().unwrap();
        let new = ResultsFolder::new(parent.path().join("small"));
        let done = pack(results, &new, |_| Ok(())).unwrap();
        (parent, new, done)
    }

    #[test]
    fn a_copy_reads_the_same_and_only_the_selected_epoch_is_in_it() {
        let (_folder, results) = folder();
        let read = |folder: &ResultsFolder| {
            let mut read = Results::read(folder.path()).unwrap();
            let inside = Inside::read(&read).unwrap();
            read.folder = Default::default();
            (read, inside)
        };
        let (_parent, new, done) = packed(&results);
        assert_eq!(done.num_tables, LONG.len());
        assert!(done.bytes_now < done.bytes_before, "{done:?}");
        for name in LONG {
            assert!(!new.join(name).exists() && packed_path(&new.join(name)).exists());
            assert!(results.join(name).exists());
        }
        let inside = read(&new).1;
        assert_eq!((inside.experts.len(), inside.gates.len()), (4, 4));
        assert_eq!(read(&new), read(&results));
        assert_eq!(csv(&new, "curves.csv"), csv(&results, "curves.csv"));
        assert_eq!(
            csv(&new, "experts.csv"),
            "cell,variant,seed,epoch,step,layer,path,expert,task,metric,value\n\
             cell-0-0,\"a, b\",0,3,50,0,,,,zero_rate,0.00000005\n\
             cell-0-0,\"a, b\",0,3,60,0,,,,zero_rate,0.00000006\n\
             cell-1-0,\"a, b\",0,3,50,0,,,,zero_rate,0.00000005\n\
             cell-1-0,\"a, b\",0,3,60,0,,,,zero_rate,0.00000006\n"
        );
        assert_eq!(csv(&new, "gates.csv").lines().count(), 1 + 4);
    }

    #[test]
    fn packing_is_repeatable_also_of_a_copy_and_the_seal_holds() {
        let (_one, results) = folder();
        let (_parent, one, _) = packed(&results);
        let (_parent, two, _) = packed(&one);
        let bytes = |folder: &ResultsFolder, name: &str| std::fs::read(folder.join(name)).unwrap();
        let packed = LONG.map(|name| format!("{name}.zst"));
        let others = ["provenance.toml", "spec.resolved.toml", "facts.toml"];
        for name in packed.iter().map(String::as_str).chain(others) {
            assert_eq!(bytes(&one, name), bytes(&two, name), "{name}");
        }
        let is_sealed = Ledger::read(&one).unwrap().unwrap().tables.is_some();
        assert!(is_sealed && findings(&one).unwrap().is_empty());
        // Unpacked by hand, a table is what was sealed.
        std::fs::write(one.join("curves.csv"), csv(&one, "curves.csv")).unwrap();
        assert!(findings(&one).unwrap().is_empty());
    }

    #[test]
    fn an_altered_folder_and_a_place_that_is_taken_are_refused() {
        let (_folder, results) = folder();
        let (_parent, new, _) = packed(&results);
        let draw = |_: &ResultsFolder| Ok(());
        let refused = pack(&results, &new, draw).unwrap_err().to_string();
        assert!(refused.contains("there is something already"), "{refused}");
        let altered = csv(&results, "metrics.csv").replacen("0.9", "0.8", 1);
        std::fs::write(results.join("metrics.csv"), altered).unwrap();
        let other = ResultsFolder::new(new.join("other"));
        let refused = pack(&results, &other, draw).unwrap_err().to_string();
        assert!(refused.contains("metrics.csv: altered since"), "{refused}");
        assert!(!other.path().exists());
    }

    #[test]
    fn a_copy_that_could_not_be_made_leaves_nothing_in_the_way() {
        let (_folder, results) = folder();
        let parent = tempfile::tempdir().unwrap();
        let new = ResultsFolder::new(parent.path().join("new/small"));
        let full = |copy: &ResultsFolder| {
            assert!(copy.cells_csv().exists() && !new.path().exists());
            Err(atomic::unwritable(copy.path(), &io::ErrorKind::StorageFull.into()).into())
        };
        let refused = pack(&results, &new, full).unwrap_err().to_string();
        assert!(refused.contains("the same command again"), "{refused}");
        let beside = || {
            std::fs::read_dir(parent.path().join("new"))
                .unwrap()
                .count()
        };
        assert_eq!(beside(), 0);
        // What a killed one left is in nobody's way.
        let _ = atomic::partial_folder(new.path()).unwrap().keep();
        pack(&results, &new, |_| Ok(())).unwrap();
        assert!(findings(&new).unwrap().is_empty());
        assert_eq!(beside(), 2);
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(new.path()), mode(&parent.path().join("new")));
    }
}

//! Makes a finished folder small enough to keep: long tables are compressed, and of what experts and gates did only the epoch of
//! the selected weights stays. Every command reads the folder as before.

use crate::atomic;
use crate::layout::ResultsFolder;
use crate::read::Results;
use crate::seal::{altered_tables, is_sealed, names, seal};
use crate::tables::{ExpertsRow, GatesRow, LONG, Table, TableReader, open_table, packed_path};
use anyhow::{Context as _, Result};
use homebench_diagnostic::Diagnostic;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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

/// Turns `curves.csv`, `experts.csv`, `gates.csv` and `expert_histograms.csv` into `.csv.zst`, of experts and gates with the rows of
/// the selected epoch alone, and seals the folder again where it was sealed. The same tables give the same bytes; a packed
/// folder stays as it is.
///
/// # Errors
/// A folder that was altered since it was sealed, or can't be read (with file, line and column); a table that can't be written.
pub fn pack(results: &ResultsFolder) -> Result<Packed> {
    if let Some(table) = altered_tables(results).first() {
        // A new seal would vouch for it.
        let path = results.join(table);
        let said = Diagnostic::new(
            path.display().to_string(),
            "gone or altered since it was written",
        );
        return Err(said.hint("restore it, or run the experiment again").into());
    }
    let read = Results::read(results.path())?;
    let mut done = Packed::default();
    let plain = LONG.map(|name| (name, results.join(name)));
    let plain = plain.iter().filter(|(_, path)| path.exists());
    for (name, path) in plain.clone() {
        let packed = packed_path(path);
        atomic::write(&packed, |out| {
            let mut text = zstd::Encoder::new(out, LEVEL)?;
            match *name {
                ExpertsRow::FILE | GatesRow::FILE => selected_rows(&read, name, &mut text)?,
                _ => {
                    io::copy(&mut open_table(results.path(), name)?.1, &mut text)?;
                }
            }
            text.finish()?;
            Ok(())
        })?;
        done.num_tables += 1;
        done.bytes_before += path.metadata()?.len();
        done.bytes_now += packed.metadata()?.len();
    }
    // Only now, so that a kill while tables are compressed leaves the folder as it was: plain tables count.
    let was_sealed = is_sealed(results);
    for (_, path) in plain {
        atomic::remove(path)?;
    }
    if was_sealed && done.num_tables > 0 {
        seal(results)?;
    }
    Ok(done)
}

/// Copies what a reader needs to check an experiment into a new folder and packs it there: tables, specs and provenance, winners and
/// external scores. Not copied: cells with their weights and logs, and what is drawn from the rest.
///
/// # Errors
/// A folder that is there already; else as [`pack`].
pub fn pack_into(results: &ResultsFolder, new: &ResultsFolder) -> Result<Packed> {
    let into = new.path();
    if into.exists() {
        let said = Diagnostic::new(into.display().to_string(), "there is something already");
        return Err(said.hint("remove it first, or name a new folder").into());
    }
    atomic::create_dir(into)?;
    let tables = names().flat_map(|name| [name.to_owned(), format!("{name}.zst")]);
    let others = [
        results.resolved_spec(),
        results.provenance(),
        results.facts(),
        results.winners(),
    ];
    let files = tables.map(|name| results.join(&name)).chain(others);
    copy_files(files.filter(|file| file.is_file()), into)?;
    let external = results.join("external");
    if external.is_dir() {
        let there = std::fs::read_dir(&external)?.collect::<io::Result<Vec<_>>>()?;
        atomic::create_dir(&new.join("external"))?;
        copy_files(
            there.into_iter().map(|entry| entry.path()),
            &new.join("external"),
        )?;
    }
    pack(new)
}

fn copy_files(files: impl Iterator<Item = PathBuf>, into: &Path) -> Result<()> {
    for file in files {
        let name = file.file_name().unwrap_or_default();
        let copied = std::fs::copy(&file, into.join(name));
        copied.with_context(|| format!("copying {}", file.display()))?;
    }
    Ok(())
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
    use crate::tables::{HistogramsRow, write};
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
        put(&results, experts);
        put(&results, gates);
        put(&results, bins);
        seal(&results).unwrap();
        (folder, results)
    }

    fn put<T: Table>(results: &ResultsFolder, rows: impl IntoIterator<Item = T>) {
        atomic::write(&results.join(T::FILE), |out| write(out, rows)).unwrap();
    }

    fn csv(results: &ResultsFolder, name: &str) -> String {
        io::read_to_string(open_table(results.path(), name).unwrap().1).unwrap()
    }

    #[test]
    fn a_packed_copy_reads_the_same_and_the_folder_stays_as_it_was() {
        let (_folder, results) = folder();
        let parent = tempfile::tempdir().unwrap();
        let new = ResultsFolder::new(parent.path().join("small"));
        pack_into(&results, &new).unwrap();
        let scores = |folder: &ResultsFolder| Results::read(folder.path()).unwrap().scores;
        assert_eq!(scores(&new), scores(&results));
        assert!(results.join("gates.csv").exists() && altered_tables(&new).is_empty());
        assert!(new.provenance().exists() && new.resolved_spec().exists());
        let refused = pack_into(&results, &new).unwrap_err().to_string();
        assert!(refused.contains("there is something already"), "{refused}");
    }

    #[test]
    fn a_packed_folder_reads_the_same_and_only_the_selected_epoch_stays() {
        let (_folder, results) = folder();
        let read = || {
            let read = Results::read(results.path()).unwrap();
            let inside = Inside::read(&read).unwrap();
            (read, inside)
        };
        let (before, curves) = (read(), csv(&results, "curves.csv"));
        assert_eq!((before.1.experts.len(), before.1.gates.len()), (4, 4));
        let done = pack(&results).unwrap();
        assert_eq!(done.num_tables, 4);
        assert!(done.bytes_now < done.bytes_before, "{done:?}");
        for name in LONG {
            assert!(!results.join(name).exists() && packed_path(&results.join(name)).exists());
        }
        assert_eq!(read(), before);
        assert_eq!(csv(&results, "curves.csv"), curves);
        assert_eq!(
            csv(&results, "experts.csv"),
            "cell,variant,seed,epoch,step,layer,path,expert,task,metric,value\n\
             cell-0-0,\"a, b\",0,3,50,0,,,,zero_rate,0.00000005\n\
             cell-0-0,\"a, b\",0,3,60,0,,,,zero_rate,0.00000006\n\
             cell-1-0,\"a, b\",0,3,50,0,,,,zero_rate,0.00000005\n\
             cell-1-0,\"a, b\",0,3,60,0,,,,zero_rate,0.00000006\n"
        );
        assert_eq!(csv(&results, "gates.csv").lines().count(), 1 + 4);
    }

    #[test]
    fn packing_is_repeatable_and_the_seal_holds() {
        let (_one, one) = folder();
        let (_two, two) = folder();
        pack(&one).unwrap();
        pack(&two).unwrap();
        let bytes =
            |results: &ResultsFolder, name: &str| std::fs::read(results.join(name)).unwrap();
        for name in LONG {
            let name = format!("{name}.zst");
            assert_eq!(bytes(&one, &name), bytes(&two, &name), "{name}");
        }
        assert!(is_sealed(&one) && altered_tables(&one).is_empty());
        let provenance = bytes(&one, "provenance.toml");
        assert_eq!(pack(&one).unwrap(), Packed::default());
        assert_eq!(bytes(&one, "provenance.toml"), provenance);
        // Unpacked by hand, a table is what was sealed.
        std::fs::write(one.join("curves.csv"), csv(&one, "curves.csv")).unwrap();
        assert!(altered_tables(&one).is_empty());
    }

    #[test]
    fn an_altered_folder_is_left_as_it_is() {
        let (_folder, results) = folder();
        let altered = csv(&results, "metrics.csv").replacen("0.9", "0.8", 1);
        std::fs::write(results.join("metrics.csv"), altered).unwrap();
        let refused = pack(&results).unwrap_err().to_string();
        assert!(
            refused.contains("metrics.csv: gone or altered"),
            "{refused}"
        );
        assert!(results.join("experts.csv").exists());
        assert!(!results.join("experts.csv.zst").exists());
    }
}

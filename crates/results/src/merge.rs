//! The merged tables of an experiment: every cell's part, in the order of the plan.

use super::atomic::{self, PendingFile};
use super::layout::ResultsFolder;
use super::ledger::{Ledger, change_ledger};
use super::outcome::{Outcome, Status};
use super::regular::read_text;
use super::tables::{
    self, COHORTS, CellsRow, DataWarningsRow, ModelPartsRow, Part, SettingsRow, TIMES, Table,
    TuningRow, packed_path, repeatable_parts,
};
use crate::phase::Phase;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use std::io::{self, Write};
use std::path::Path;

/// A cell that ended, as the merged tables show it.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedCell {
    /// Name of the variant.
    pub variant: String,
    /// The architecture.
    pub model: String,
    /// Name of the dataset.
    pub dataset: String,
    /// The seed.
    pub seed: u64,
    /// Seed of the split, where rows are divided by a hash.
    pub split_seed: Option<u64>,
    /// The trial that it is of, where it is one.
    pub trial: Option<TrialPlace>,
    /// What a grid, random draws or tuning set, in the order of names.
    pub settings: Vec<(String, String)>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A place in the tuning of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialPlace {
    /// Number of the trial among those of its variant, from 1.
    pub number: usize,
    /// Whether its settings are those of the variant's final cells.
    pub is_selected: bool,
    /// Whether it went on to another rung of successive halving.
    pub is_passed: bool,
}

/// Writes `metrics.csv`, `curves.csv`, `experts.csv`, `gates.csv`, `expert_histograms.csv`, `throughput.csv` and `cells.csv`
/// from the cells' parts; `cohorts.csv` where cells have such a part; `settings.csv` where anything was swept or tuned, `tuning.csv`
/// where there are trials, `model_parts.csv` where models have parts, and `data_warnings.csv` where preparation found anything in the
/// data that a reader has to know. Nothing vouches for them until they are sealed.
///
/// # Errors
/// A part that can't be read or has other columns; a table that can't be written.
pub fn merge(
    results: &ResultsFolder,
    cells: &[MergedCell],
    model_parts: impl IntoIterator<Item = ModelPartsRow>,
    data_warnings: impl IntoIterator<Item = DataWarningsRow>,
) -> Result<()> {
    // Before the first of them is another: whoever is killed in between has altered nothing.
    change_ledger(results, Ledger::withdraw_tables)?;
    merge_into(results, results, cells, model_parts, data_warnings)
}

/// As [`merge`], with the tables in another folder than the cells: nothing is changed in that of the cells.
///
/// # Errors
/// As of [`merge`].
pub fn merge_into(
    results: &ResultsFolder,
    from: &ResultsFolder,
    cells: &[MergedCell],
    model_parts: impl IntoIterator<Item = ModelPartsRow>,
    data_warnings: impl IntoIterator<Item = DataWarningsRow>,
) -> Result<()> {
    merge_parts((results, from), cells)?;
    write_or_remove(results, cells.iter().flat_map(MergedCell::settings_rows))?;
    write_or_remove(results, cells.iter().filter_map(MergedCell::tuning_row))?;
    write_or_remove(results, model_parts.into_iter())?;
    write_or_remove(results, data_warnings.into_iter())?;
    let rows = cells.iter().map(MergedCell::cells_row);
    atomic::write(&results.cells_csv(), |out| tables::write(out, rows))
}

/// A table that is put together of cells' parts.
struct MergedPart {
    part: Part,
    file: PendingFile,
}

impl MergedPart {
    fn begin(part: Part, results: &ResultsFolder) -> Result<Self> {
        let mut file = PendingFile::create(&results.join(part.file))?;
        writeln!(file, "{}", part.header()).map_err(|error| of_table(part, results, &error))?;
        Ok(Self { part, file })
    }

    /// Adds a cell's part, whose text `path` has, without its header.
    fn add(&mut self, path: &Path, text: &str, results: &ResultsFolder) -> Result<()> {
        let expected = self.part.header();
        let (header, rows) = text.split_once('\n').unwrap_or((text, ""));
        if header != expected {
            let found = format!("expected the header `{expected}`, found `{header}`");
            return Err(altered(path, self.part, &found).into());
        }
        let written = self.file.write_all(rows.as_bytes());
        Ok(written.map_err(|error| of_table(self.part, results, &error))?)
    }
}

fn of_table(part: Part, results: &ResultsFolder, error: &io::Error) -> Diagnostic {
    atomic::unwritable(&results.join(part.file), error)
}

fn altered(path: &Path, part: Part, what: &str) -> Diagnostic {
    let place = format!("{}: {}", path.display(), part.file);
    Diagnostic::new(place, what)
        .hint("the file was altered: run the experiment again with `--fresh`")
}

/// Every table of cells' parts, in one pass over the cells: each is read once, however many there are.
fn merge_parts(
    (results, from): (&ResultsFolder, &ResultsFolder),
    cells: &[MergedCell],
) -> Result<()> {
    let mut tables: Vec<MergedPart> = repeatable_parts()
        .map(|part| MergedPart::begin(part, results))
        .collect::<Result<_>>()?;
    let mut cohorts: Option<MergedPart> = None;
    let mut times = MergedPart::begin(TIMES, results)?;
    for cell in cells {
        let folder = from.cell(&cell.outcome.id);
        let is_done = cell.outcome.status == Status::Done;
        // Scores and curves of trials stay with their cells, so that no table of results can mix them with final ones; what trials cost
        // in time is shown.
        if is_done && cell.phase() == Phase::Final {
            let path = folder.outcome();
            let parts = Outcome::read_with_parts(&folder).map_err(Diagnostic::from)?;
            let parts = parts.map(|(_, parts)| parts).unwrap_or_default();
            for table in &mut tables {
                let text = parts.get(table.part.file);
                let text = text.ok_or_else(|| altered(&path, table.part, "it is not there"))?;
                table.add(&path, text, results)?;
            }
            if let Some(text) = parts.get(COHORTS.file) {
                let table = match &mut cohorts {
                    Some(table) => table,
                    none => none.insert(MergedPart::begin(COHORTS, results)?),
                };
                table.add(&path, text, results)?;
            }
        }
        // Of a cell that failed, what its process used is shown, where the system told.
        let path = folder.part(TIMES.file);
        match read_text(&path)? {
            Some(text) if is_done || TIMES.is_whole(&text) => times.add(&path, &text, results)?,
            None if is_done => return Err(altered(&path, TIMES, "it is not there").into()),
            _ => {}
        }
    }
    if cohorts.is_none() {
        atomic::remove(&results.join(COHORTS.file))?;
        remove_packed(results, COHORTS.file)?;
    }
    for table in tables.into_iter().chain(cohorts).chain([times]) {
        table.file.finish_synced()?;
        remove_packed(results, table.part.file)?;
    }
    Ok(())
}

/// What an earlier pack left is of other cells, or of fewer rows.
fn remove_packed(results: &ResultsFolder, name: &str) -> Result<()> {
    Ok(atomic::remove(&packed_path(&results.join(name)))?)
}

/// A table that is there only where it has rows.
fn write_or_remove<T: Table>(results: &ResultsFolder, rows: impl Iterator<Item = T>) -> Result<()> {
    let path = results.join(T::FILE);
    let mut rows = rows.peekable();
    match rows.peek().is_some() {
        true => atomic::write(&path, |out| tables::write(out, rows))?,
        false => atomic::remove(&path)?,
    }
    remove_packed(results, T::FILE)
}

impl MergedCell {
    fn phase(&self) -> Phase {
        match self.trial {
            Some(_) => Phase::Tuning,
            None => Phase::Final,
        }
    }

    fn settings_rows(&self) -> impl Iterator<Item = SettingsRow> + '_ {
        self.settings.iter().map(|(setting, value)| SettingsRow {
            cell: self.outcome.id.clone(),
            variant: self.variant.clone(),
            setting: setting.clone(),
            value: value.clone(),
        })
    }

    fn tuning_row(&self) -> Option<TuningRow> {
        // A trial that went on to another rung is scored there.
        let trial = self.trial.filter(|trial| !trial.is_passed)?;
        let result = self.outcome.result.as_ref();
        Some(TuningRow {
            variant: self.variant.clone(),
            trial: trial.number as u64,
            cell: self.outcome.id.clone(),
            seed: self.seed,
            validation_score: result.map(|result| result.validation_score),
            is_selected: trial.is_selected,
            split_seed: self.split_seed,
        })
    }

    fn cells_row(&self) -> CellsRow<'_> {
        let Outcome { id, result, .. } = &self.outcome;
        let result = result.as_ref();
        // No parameters is what is said of a program of the user's, of which they are not known.
        let known = result.filter(|result| result.parameters > 0);
        let tries = self.outcome.tries;
        CellsRow {
            cell: id,
            variant: &self.variant,
            model: &self.model,
            dataset: &self.dataset,
            seed: self.seed,
            status: self.outcome.status,
            error: self.outcome.error.as_deref().unwrap_or_default(),
            selected_epoch: result.map(|result| result.selected_epoch as u64),
            epochs_run: result.map(|result| result.epochs_run as u64),
            validation_score: result.map(|result| result.validation_score),
            parameters: known.map(|result| result.parameters as u64),
            flops_per_row: known.map(|result| result.flops_per_row as u64),
            phase: Some(self.phase()),
            trial: self.trial.map(|trial| trial.number as u64),
            split_seed: self.split_seed,
            tries: tries.map(|tries| tries as u64),
            // A cell that was never started has said nothing.
            log: tries
                .filter(|tries| *tries > 0)
                .map(|_| ResultsFolder::cell_log(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell_parts::CellParts;
    use crate::outcome::OutcomeResult;

    fn cell(id: &str, trial: Option<TrialPlace>) -> MergedCell {
        let settings = [("training.learning_rate".to_owned(), "0.01".to_owned())];
        MergedCell {
            variant: "home".into(),
            model: "home".into(),
            dataset: "synthetic".into(),
            seed: 3,
            split_seed: trial.map(|_| 7),
            settings: trial.map(|_| settings.to_vec()).unwrap_or_default(),
            trial,
            outcome: Outcome {
                id: id.into(),
                status: Status::Done,
                error: None,
                tries: None,
                may_end_otherwise: false,
                result: Some(OutcomeResult {
                    selected_epoch: 1,
                    epochs_run: 2,
                    validation_score: 0.75,
                    parameters: 10,
                    flops_per_row: 20,
                }),
                files: Default::default(),
            },
        }
    }

    /// Writes a cell with a row of its id in each table, and more.
    fn write_cell(results: &ResultsFolder, cell: &MergedCell, more: Option<(Part, &str)>) {
        let id = &cell.outcome.id;
        let folder = results.cell(id);
        std::fs::create_dir_all(folder.path()).unwrap();
        let text = |part: Part| {
            let header = part.header();
            let row = vec![id.as_str(); header.split(',').count()].join(",");
            format!("{header}\n{row}\n")
        };
        let mut parts = CellParts::of_content(String::new());
        repeatable_parts().for_each(|part| parts.insert(part.file, &text(part)));
        if let Some((part, row)) = more {
            parts.insert(part.file, &format!("{}\n{row}\n", part.header()));
        }
        std::fs::write(folder.part(TIMES.file), text(TIMES)).unwrap();
        cell.outcome.write(&folder, &parts).unwrap();
    }

    #[test]
    fn cohorts_have_a_table_where_a_cell_has_them_and_none_else() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let cells = [cell("aa", None), cell("bb", None)];
        let header = COHORTS.header();
        write_cell(&results, &cells[0], None);
        let row = "bb,v,1,test,like,tab,1,auc,0.5,9,3";
        write_cell(&results, &cells[1], Some((COHORTS, row)));
        merge(&results, &cells, [], []).unwrap();
        let text = std::fs::read_to_string(results.join(COHORTS.file)).unwrap();
        assert_eq!(text, format!("{header}\n{row}\n"));
        // Of another spec, which asks for none.
        let packed = packed_path(&results.join(COHORTS.file));
        std::fs::write(&packed, "of an earlier pack").unwrap();
        merge(&results, &cells[..1], [], []).unwrap();
        assert!(!results.join(COHORTS.file).exists() && !packed.exists());
    }

    #[test]
    fn scores_of_trials_are_in_no_table_of_results_but_in_one_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let trial = TrialPlace {
            number: 2,
            is_selected: true,
            is_passed: false,
        };
        let cells = [cell("aa", Some(trial)), cell("bb", None)];
        cells
            .iter()
            .for_each(|cell| write_cell(&results, cell, None));
        let stale = ["gates.csv.zst", "settings.csv.zst", "model_parts.csv.zst"];
        for name in stale {
            std::fs::write(results.join(name), "of an earlier pack").unwrap();
        }
        let warning = DataWarningsRow {
            dataset: "synthetic".into(),
            protocol: "all".into(),
            split_seed: None,
            kind: "unseen_values".into(),
            is_loud: true,
            message: "40 of 40 values, all of them".into(),
        };
        merge(&results, &cells, [], [warning]).unwrap();
        for name in stale {
            assert!(!results.join(name).exists(), "{name}");
        }
        let read = |name: &str| std::fs::read_to_string(results.join(name)).unwrap();
        for name in ["metrics.csv", "curves.csv", "experts.csv", "gates.csv"] {
            assert!(!read(name).contains("aa") && read(name).contains("bb"));
        }
        assert!(read("throughput.csv").contains("aa"));
        assert_eq!(
            read("tuning.csv"),
            "variant,trial,cell,seed,validation_score,selected,split_seed\nhome,2,aa,3,0.75,true,7\n"
        );
        assert_eq!(
            read("settings.csv"),
            "cell,variant,setting,value\naa,home,training.learning_rate,0.01\n"
        );
        assert_eq!(
            read("data_warnings.csv"),
            "dataset,protocol,split_seed,kind,is_loud,message\n\
             synthetic,all,,unseen_values,true,\"40 of 40 values, all of them\"\n"
        );
        let rows = read("cells.csv");
        assert!(rows.lines().nth(1).unwrap().ends_with("10,20,tuning,2,7,,"));
        assert!(rows.lines().nth(2).unwrap().ends_with("10,20,final,,,,"));
        // An experiment without trials has no table of them, nor keeps that of another.
        merge(&results, &cells[1..], [], []).unwrap();
        for name in ["tuning.csv", "settings.csv", "data_warnings.csv"] {
            assert!(!results.join(name).exists(), "{name}");
        }
    }
}

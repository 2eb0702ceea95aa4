//! Which runs and which data the cells of the tables are of. A folder may have those of data that it was run on before, and folders that
//! somebody put among its data.

use super::layout::{CellFolder, ResultsFolder, data_folder_name};
use super::ledger::Ledger;
use super::tables::{CellsRow, read_rows_if_any};
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

/// Runs and data of the cells of a folder's tables.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UsedData {
    /// The runs that were the last to train one of the cells, oldest first; all of them where that isn't known.
    pub(crate) runs: Vec<toml::Table>,
    /// Content hashes of the data of the cells; nothing where they aren't known.
    contents: Option<BTreeSet<String>>,
    /// Those of the last run, whose cells may be in no table yet.
    planned: BTreeSet<String>,
}

/// A cell by what tells its data from that of others of its run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The run that was the last to train it, where one says so.
    run: Option<usize>,
    dataset: String,
    split_seed: Option<u64>,
}

impl UsedData {
    /// Those of a folder, after the runs of its provenance.
    pub(crate) fn of(results: &ResultsFolder, runs: &[toml::Table]) -> Self {
        let mut last = BTreeMap::new();
        for (number, run) in runs.iter().enumerate() {
            for id in cells_of(run).into_iter().flatten() {
                last.insert(id, number);
            }
        }
        let mut places: BTreeMap<Place, Vec<String>> = BTreeMap::new();
        let cells = read_rows_if_any::<CellsRow, _>(results.path(), |row, _| {
            let place = Place {
                run: last.get(row.cell).copied(),
                dataset: row.dataset.to_owned(),
                split_seed: row.split_seed,
            };
            Ok(Some((place, row.cell.to_owned())))
        });
        // A table that can't be read is told by whoever reads the cells.
        for (place, id) in cells.unwrap_or_default() {
            places.entry(place).or_default().push(id);
        }
        let is_last = |number: &usize| places.keys().any(|place| place.run == Some(*number));
        let is_kept = |number: &usize| is_last(number) || cells_of(&runs[*number]).is_none();
        let mut kept: Vec<usize> = (0..runs.len()).filter(is_kept).collect();
        if kept.is_empty() {
            kept = (0..runs.len()).collect();
        }
        let found = places
            .iter()
            .map(|(place, ids)| contents_of(results, runs, place.run, ids));
        let found: Option<BTreeSet<String>> = found
            .collect::<Option<Vec<_>>>()
            .map(|all| all.into_iter().flatten().collect());
        Self {
            runs: kept
                .into_iter()
                .map(|number| runs[number].clone())
                .collect(),
            contents: found.filter(|contents| !contents.is_empty()),
            planned: runs.last().map(contents_of_run).unwrap_or_default(),
        }
    }

    /// Those of a folder; all that is there where its provenance can't be used.
    pub(crate) fn read(results: &ResultsFolder) -> Self {
        let ledger = Ledger::read(results).ok().flatten().unwrap_or_default();
        Self::of(results, &ledger.runs)
    }

    /// Whether cells learned from data of this content, as far as that is known.
    pub(crate) fn has(&self, content_hash: &str) -> bool {
        let contents = self.contents.as_ref();
        contents.is_none_or(|contents| contents.contains(content_hash))
    }

    /// Whether a folder in `data/` is of data that cells learned from, as far as that is known.
    pub(crate) fn has_folder(&self, name: &str) -> bool {
        let contents = self.contents.as_ref();
        contents.is_none_or(|contents| has_name(contents, name))
    }

    /// The same, or of data that cells are to learn from.
    pub(crate) fn is_own_folder(&self, name: &str) -> bool {
        self.has_folder(name) || has_name(&self.planned, name)
    }
}

fn has_name(contents: &BTreeSet<String>, name: &str) -> bool {
    contents.iter().any(|hash| data_folder_name(hash) == name)
}

/// Cells that a run set out on, where it says which.
fn cells_of(run: &toml::Table) -> Option<impl Iterator<Item = &str>> {
    let cells = run.get("cells")?.as_array()?;
    Some(cells.iter().filter_map(Value::as_str))
}

/// Hashes of what cells of one run, dataset and split learned from: where the run had several, what a cell says of itself.
fn contents_of(
    results: &ResultsFolder,
    runs: &[toml::Table],
    run: Option<usize>,
    ids: &[String],
) -> Option<BTreeSet<String>> {
    let of_runs: BTreeSet<String> = match run {
        Some(run) => contents_of_run(&runs[run]),
        None => runs.iter().flat_map(contents_of_run).collect(),
    };
    if run.is_some() && of_runs.len() == 1 {
        return Some(of_runs);
    }
    let own = ids.iter().find_map(|id| content_of(&results.cell(id)));
    match own {
        Some(own) => Some(BTreeSet::from([own])),
        // A packed copy has no cells; of its data only what they learned from was copied.
        None => (!of_runs.is_empty()).then_some(of_runs),
    }
}

fn contents_of_run(run: &toml::Table) -> BTreeSet<String> {
    let dataset = run.get("dataset");
    let splits = dataset.and_then(|dataset| dataset.get("splits")?.as_array());
    let all = dataset.into_iter().chain(splits.into_iter().flatten());
    all.filter_map(content_hash).collect()
}

fn content_of(cell: &CellFolder) -> Option<String> {
    let (_, text) = cell.content_text().ok()??;
    let content: toml::Table = toml::from_str(&text).ok()?;
    content_hash(content.get("dataset")?)
}

fn content_hash(dataset: &Value) -> Option<String> {
    Some(dataset.get("content_hash")?.as_str()?.to_owned())
}

/// Names of what lies in `data/` and is of no cell of the experiment: of data that it was run on before, or put there by somebody.
pub fn other_data(results: &ResultsFolder) -> Vec<String> {
    let entries = std::fs::read_dir(results.join("data"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        // What a killed writer left goes with the next run.
        .filter(|name| !name.starts_with('.'))
        .collect();
    if names.is_empty() {
        return names;
    }
    let used = UsedData::read(results);
    names.retain(|name| !used.is_own_folder(name));
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_facts::DataFacts;
    use crate::read::context::{Context, dataset_contents};
    use crate::seal::{data_names, seal};

    const CELLS: &str = "cell,variant,model,dataset,seed,status,error,selected_epoch,epochs_run,validation_score,parameters,flops_per_row,\
                         phase,trial,split_seed,tries,log\n";

    fn row(cell: &str, dataset: &str) -> String {
        format!("{cell},mmoe,mmoe,{dataset},1,done,,1,1,0.5,10,20,final,,,,\n")
    }

    fn run(cells: &[&str], rows: u64, contents: &[&str]) -> toml::Table {
        let splits = contents.iter();
        let splits: Vec<String> = splits
            .map(|hash| format!("{{ content_hash = \"{hash}\" }}"))
            .collect();
        let text = format!(
            "cells = {cells:?}\n[dataset]\nname = \"v\"\norigin = \"placed\"\ncontent_hash = \"{}\"\ntrain_rows = {rows}\nsplits = [{}]\n",
            contents[0],
            splits.join(", ")
        );
        toml::from_str(&text).unwrap()
    }

    fn folder(cells: &str, runs: Vec<toml::Table>) -> (tempfile::TempDir, ResultsFolder) {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        std::fs::write(results.cells_csv(), format!("{CELLS}{cells}")).unwrap();
        let ledger = Ledger {
            runs,
            ..Ledger::default()
        };
        ledger.write(&results).unwrap();
        (folder, results)
    }

    /// What is kept of data under a hash.
    fn keep(results: &ResultsFolder, hash: &str) {
        let path = results.data(hash);
        std::fs::create_dir_all(&path).unwrap();
        let text = format!(
            "title = \"v\"\nname = \"v\"\nprotocol = \"all\"\ncontent_hash = \"{hash}\"\ncanonical_blake3 = \"\"\ndivision = \"\"\n\
             splits = []\ntasks = []\n"
        );
        let facts: DataFacts = toml::from_str(&text).unwrap();
        facts.write(&path).unwrap();
        std::fs::write(path.join("description.toml"), "").unwrap();
    }

    #[test]
    fn data_of_before_and_of_others_is_neither_reported_nor_sealed() {
        let (old, new) = ("a".repeat(64), "b".repeat(64));
        let runs = vec![run(&["c1"], 800, &[&old]), run(&["c2"], 1100, &[&new])];
        let (_folder, results) = folder(&row("c2", "v"), runs);
        for hash in [&old, &new, &"f".repeat(64)] {
            keep(&results, hash);
        }
        let mine = results.join("data/mine");
        std::fs::create_dir(&mine).unwrap();
        std::fs::write(mine.join("data.toml"), "junk").unwrap();
        let context = Context::read(results.path()).unwrap();
        assert_eq!(context.train_rows, Some(1100));
        assert_eq!(context.dataset_contents, std::slice::from_ref(&new));
        assert_eq!(
            dataset_contents(results.path()).unwrap(),
            std::slice::from_ref(&new)
        );
        let told = context.data.iter().map(|facts| &facts.content_hash);
        assert_eq!(told.collect::<Vec<_>>(), [&new]);
        assert!(context.facts.contains(&("dataset content", new.clone())));
        let own = results.data(&new);
        let own = own.file_name().unwrap().to_str().unwrap();
        let expected = ["data.toml", "description.toml"].map(|file| format!("data/{own}/{file}"));
        assert_eq!(data_names(&results), expected);
        assert_eq!(
            other_data(&results),
            ["a".repeat(16), "f".repeat(16), "mine".to_owned()]
        );
        seal(&results, []).unwrap();
        assert!(crate::findings::findings(&results).unwrap().is_empty());
    }

    #[test]
    fn of_several_datasets_those_stay_that_cells_learned_from() {
        let [kept, old, new] = ["a", "b", "c"].map(|digit| digit.repeat(64));
        let runs = vec![
            run(&["c1", "c2"], 800, &[&old, &kept]),
            run(&["c3"], 1100, &[&new, &kept]),
        ];
        let (_folder, results) = folder(&(row("c1", "kept") + &row("c3", "v")), runs);
        for (id, hash) in [("c1", &kept), ("c3", &new)] {
            let cell = results.cell(id);
            std::fs::create_dir_all(cell.path()).unwrap();
            let content = format!("[dataset]\ncontent_hash = \"{hash}\"\n");
            std::fs::write(cell.content(), content).unwrap();
        }
        let used = UsedData::read(&results);
        assert_eq!(used.runs.len(), 2);
        assert_eq!(
            [&kept, &old, &new].map(|hash| used.has(hash)),
            [true, false, true]
        );
        assert_eq!(
            Context::read(results.path()).unwrap().train_rows,
            Some(1100)
        );
        // Without cells, as in a copy, nothing is left out that some cell may have learned from.
        std::fs::remove_dir_all(results.join("cells")).unwrap();
        assert!(UsedData::read(&results).has(&old));
    }

    #[test]
    fn what_is_not_known_is_not_left_out() {
        let hash = "a".repeat(64);
        let (_folder, results) = folder("", vec![run(&["c1"], 800, &[&hash])]);
        let used = UsedData::read(&results);
        assert!(used.runs.len() == 1 && used.has("another"));
        std::fs::remove_file(results.provenance()).unwrap();
        assert!(UsedData::read(&results).has_folder("any"));
        assert_eq!(other_data(&results), Vec::<String>::new());
    }
}

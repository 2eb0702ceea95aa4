//! Scores of programs beside homebench: `external/<name>.csv` with `external/<name>.toml`, which says what made them.
//!
//! A table has the columns `variant,seed,split,task,metric,value,rows,positives` of `metrics.csv` (and `dataset`, where a
//! folder has several); its variants are marked as external wherever they are shown.

use super::context::dataset_contents;
use super::external_check::{Lines, Own, check_seeds, refused};
use super::{Cell, Results, Score};
use crate::regular::read_text;
use crate::tables::{ExternalRow, TableReader};
use anyhow::Result;
use homebench_diagnostic::{Diagnostic, Location};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the names of external variants end with.
pub(crate) const MARK: &str = " (external)";

/// Where external scores come from, as `external/<name>.toml` says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// What was run, in a sentence.
    pub about: String,
    /// The program and its version.
    pub program: String,
    /// How it was called.
    pub command: String,
    /// Content hash of the dataset that it read: that of the folder's `provenance.toml`.
    pub dataset_content: String,
    /// How many settings were tried on validation for each task; 0 if none.
    pub trials: u64,
    /// What was searched: setting and range.
    #[serde(default)]
    pub search_space: BTreeMap<String, String>,
    /// What was selected, where anything was tuned.
    #[serde(default)]
    pub winners: Vec<ExternalWinner>,
    /// The table with the scores.
    #[serde(skip)]
    pub table: PathBuf,
    /// The table's line of each of its scores, an index into [`Results::scores`].
    #[serde(skip)]
    pub lines: BTreeMap<usize, u64>,
}

/// The settings that won a task's tuning.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalWinner {
    /// The task.
    pub task: String,
    /// The settings, in words.
    pub settings: String,
    /// Their score on validation.
    pub validation_score: f64,
}

/// Adds what `external/` holds to the results; nothing where there are no other scores to compare with.
pub(super) fn add(results: &mut Results) -> Result<()> {
    let folder = results.folder.join("external");
    let mut tables: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "csv"))
        .collect();
    tables.sort();
    if results.scores.is_empty() {
        return Ok(());
    }
    let own = Own::of(results);
    let contents = match tables.is_empty() {
        true => Vec::new(),
        false => dataset_contents(&results.folder)?,
    };
    for table in tables {
        let mut origin = read_origin(&table.with_extension("toml"), &contents)?;
        let name = table.file_name().unwrap_or_default().to_string_lossy();
        let opened = TableReader::open(&folder, &name).map_err(refused)?;
        origin.lines = add_table(results, &own, opened)?;
        origin.table = table;
        for winner in &origin.winners {
            own.check_winner(winner, &origin.table.with_extension("toml"))?;
        }
        results.externals.push(origin);
    }
    Ok(())
}

fn read_origin(file: &Path, contents: &[String]) -> Result<External> {
    let name = file.display().to_string();
    let text = read_text(file)?.ok_or_else(|| {
        Diagnostic::new(&name, "no such file")
            .hint("an external table needs a file of the same name that says what made it: about, program, command, dataset_content, trials")
    })?;
    let origin: External = toml::from_str(&text).map_err(|error| {
        let place = error.span().map(|span| Location::of_offset(&text, span.start));
        Diagnostic::new(&name, error.message().to_owned()).at(place).hint(
            "its keys are about, program, command, dataset_content, trials, search_space and winners",
        )
    })?;
    if !contents.is_empty() && !contents.contains(&origin.dataset_content) {
        let message = format!(
            "made from a dataset with content {}, the cells of this folder from {}",
            origin.dataset_content,
            contents.join(", ")
        );
        return Err(Diagnostic::new(name, message)
            .hint("make the external scores again from the data of this experiment, or remove them")
            .into());
    }
    Ok(origin)
}

fn add_table(
    results: &mut Results,
    own: &Own,
    mut table: TableReader<ExternalRow>,
) -> Result<Lines, Diagnostic> {
    let origin = results.externals.len();
    let mut lines = Lines::new();
    let mut seen = BTreeMap::new();
    while table.advance().map_err(refused)? {
        let row = table.row().map_err(refused)?;
        let dataset = row.dataset.unwrap_or(&results.cells[0].dataset).to_owned();
        own.check(&row, &dataset, &table)?;
        let variant = format!("{}{MARK}", row.variant);
        let is_same = |cell: &Cell| {
            (&cell.variant, &cell.dataset, cell.seed, cell.split_seed)
                == (&variant, &dataset, row.seed, row.split_seed)
        };
        let found = results.cells.iter().rposition(is_same);
        if found.is_some_and(|place| results.cells[place].external != Some(origin)) {
            let expected = "a variant and seed that no other table has";
            return Err(refused(table.bad("variant", expected)));
        }
        let cell = found.unwrap_or_else(|| {
            results.cells.push(Cell {
                id: format!("{variant}/{}", row.seed),
                model: "external".to_owned(),
                external: Some(origin),
                variant,
                dataset,
                seed: row.seed,
                split_seed: row.split_seed,
                ..Cell::default()
            });
            results.cells.len() - 1
        });
        let key = [row.split, row.task, row.metric].map(str::to_owned);
        if let Some(first) = seen.insert((cell, key), table.line()) {
            let expected = format!("a score that is not in line {first} already");
            return Err(refused(table.bad("metric", &expected)));
        }
        lines.insert(results.scores.len(), table.line());
        results.scores.push(Score {
            cell,
            split: row.split.into(),
            task: row.task.into(),
            metric: row.metric.into(),
            value: row.value,
            rows: row.rows,
            positives: row.positives,
        });
    }
    if lines.is_empty() {
        let message = "a header and no scores, so there is nothing to compare";
        return Err(Diagnostic::new(table.file().display().to_string(), message).hint(
            "write the scores below the header, or take the table and its .toml out of the folder",
        ));
    }
    check_seeds(results, &lines, table.file())?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    const TABLE: &str = "variant,seed,split,task,metric,value,rows,positives\n\
                         trees,0,test,income,auc,0.95,49881,3000\n\
                         trees,1,test,income,auc,0.94,49881,3000\n\
                         trees,0,validation,income,auc,0.93,49881,3000\n";
    const ORIGIN: &str = "about = \"Trees.\"\nprogram = \"p 1\"\ncommand = \"c\"\ndataset_content = \"feedbeef\"\ntrials = 20\n\
                          [[winners]]\ntask = \"income\"\nsettings = \"depth = 3\"\nvalidation_score = 0.93\n";

    fn read(table: &str, origin: Option<&str>) -> Result<Results> {
        let folder = Sample::default().write();
        let external = folder.path().join("external");
        std::fs::create_dir(&external).unwrap();
        std::fs::write(external.join("trees.csv"), table).unwrap();
        if let Some(origin) = origin {
            std::fs::write(external.join("trees.toml"), origin).unwrap();
        }
        Results::read(folder.path()).map_err(|error| {
            let text = error.to_string();
            anyhow::anyhow!(text.replace(&format!("{}/", folder.path().display()), ""))
        })
    }

    #[test]
    fn external_scores_join_the_others_under_a_marked_name() {
        let results = read(TABLE, Some(ORIGIN)).unwrap();
        assert_eq!(results.cells.len(), 9 + 2);
        assert_eq!(results.scores.len(), 72 + 3);
        let last = results.cells.last().unwrap();
        assert_eq!(
            (last.variant.as_str(), last.external),
            ("trees (external)", Some(0))
        );
        assert_eq!(results.externals[0].winners[0].settings, "depth = 3");
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused_with_its_place() {
        let refused =
            |table: &str, origin: Option<&str>| read(table, origin).unwrap_err().to_string();
        let said = [
            refused(TABLE, None),
            refused(TABLE, Some("about = 3\n")),
            refused(TABLE, Some(&ORIGIN.replace("feedbeef", "0123"))),
            refused(&TABLE.replacen("income", "imcome", 1), Some(ORIGIN)),
            refused(&TABLE.replacen(",value,", ",score,", 1), Some(ORIGIN)),
            refused(TABLE, Some(&ORIGIN.replace("\"income\"", "\"incom\""))),
            refused(&TABLE[..=TABLE.find('\n').unwrap()], Some(ORIGIN)),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
            external/trees.toml: no such file
            hint: an external table needs a file of the same name that says what made it: about, program, command, dataset_content, trials
            external/trees.toml:1:9: invalid type: integer `3`, expected a string
            hint: its keys are about, program, command, dataset_content, trials, search_space and winners
            external/trees.toml: made from a dataset with content 0123, the cells of this folder from feedbeef
            hint: make the external scores again from the data of this experiment, or remove them
            external/trees.csv, line 2, column `task`: expected a task of metrics.csv, found `imcome`
            hint: did you mean `income`?
            external/trees.csv, line 1: expected a column `value`, found variant,seed,split,task,metric,score,rows,positives
            hint: people write external/, not homebench: mend the file, make it again with the program that wrote it, or take it and its .toml out of the folder
            external/trees.toml: [[winners]]: expected a task of metrics.csv, found `incom`
            hint: did you mean `income`?
            external/trees.csv: a header and no scores, so there is nothing to compare
            hint: write the scores below the header, or take the table and its .toml out of the folder
            "#);
    }

    #[test]
    fn scores_that_can_not_be_of_this_folder_are_refused_with_their_line() {
        const HINT: &str = "\nhint: people write external/, not homebench";
        let refused = |from: &str, to: &str| {
            assert!(TABLE.contains(from), "{from}");
            let said = read(&TABLE.replacen(from, to, 1), Some(ORIGIN)).unwrap_err();
            let said = said.to_string();
            said.split(HINT).next().unwrap_or_default().to_owned()
        };
        let said = [
            refused(
                "trees,1,test,income,auc,0.94,49881",
                "trees,1,test,income,auc,0.94,49880",
            ),
            refused("49881,3000", "49881,3001"),
            refused("income,auc", "income,AUC"),
            refused("income,auc", "income,my_metric"),
            refused("trees,0,test", "trees,0,tset"),
            refused("trees,0,test", ",0,test"),
            refused("trees,0,test", "trees,,test"),
            refused("0.95", "NaN"),
            refused("trees,1,test", "trees,0,test"),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        external/trees.csv, line 3, column `rows`: expected 49881, the rows of `income` in the test split, found `49880`
        external/trees.csv, line 2, column `positives`: expected 3000, the positive labels of `income` in the test split, found `3001`
        external/trees.csv, line 2, column `metric`: expected a metric that metrics.csv has of `income`, found `AUC`
        hint: did you mean `auc`?
        external/trees.csv, line 2, column `metric`: expected a metric that metrics.csv has of `income`, found `my_metric`
        hint: there are: auc, log_loss
        external/trees.csv, line 2, column `split`: expected `validation` or `test`, found `tset`
        external/trees.csv, line 2, column `variant`: expected the name of a variant, found ``
        external/trees.csv, line 2, column `seed`: expected a whole number, found ``
        external/trees.csv, line 2, column `value`: expected a finite number or nothing, found `NaN`
        external/trees.csv, line 3, column `metric`: expected a score that is not in line 2 already, found `auc`
        ");
    }

    #[test]
    fn a_seed_that_some_scores_of_a_variant_lack_and_a_dataset_that_is_not_there_are_refused() {
        let more = "trees,0,test,income,log_loss,0.2,49881,3000\n";
        let said = read(&format!("{TABLE}{more}"), Some(ORIGIN)).unwrap_err();
        assert_eq!(
            said.to_string(),
            "external/trees.csv, line 5: `trees` has no log_loss of `income` on the test split for the seed 1, which other scores of it have\n\
             hint: add the rows that are missing, with an empty value where the score is undefined, or leave out every row of the seed 1"
        );
        let whole = more.replace("trees,0", "trees,1").replace(",0.2,", ",,");
        assert!(read(&format!("{TABLE}{more}{whole}"), Some(ORIGIN)).is_ok());
        let of = |dataset: &str| {
            let rows = TABLE.lines().map(|line| format!("{line},{dataset}\n"));
            let text: String = rows.collect();
            read(
                &text.replacen(&format!(",{dataset}\n"), ",dataset\n", 1),
                Some(ORIGIN),
            )
        };
        assert!(of("census").is_ok());
        assert_eq!(
            of("sensus").unwrap_err().to_string(),
            "external/trees.csv, line 2, column `dataset`: expected a dataset of cells.csv, found `sensus`\nhint: did you mean `census`?"
        );
    }
}

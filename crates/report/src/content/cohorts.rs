//! Scores by cohort: the main metric of every task, folded, one table for each way to divide the rows.

use super::{paragraph, table_link};
use crate::analysis::Analysis;
use crate::document::{Block, Cell as Field, Table, text};
use crate::format::{counted, grouped, score};
use crate::statistics::mean;
use homebench_results::read::{CohortScore, distinct};
use std::collections::HashMap;

/// Rows of a table at most, those of the largest cohorts: more nobody reads, and `cohorts.csv` has all.
const MOST_ROWS: usize = 60;

/// What is missing a value has no text of its own.
const MISSING: &str = "(missing)";

/// A cohort of a task, with what every variant has on it.
struct Line {
    panel: usize,
    value: String,
    /// The least and the most rows of any cell: splits by other seeds have others.
    rows: (u64, u64),
    positives: Option<(u64, u64)>,
    /// Of each variant, the values of its cells.
    values: Vec<Vec<f64>>,
}

/// Adds the section, where cohorts were asked for.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis) {
    let scores = &analysis.results.cohorts;
    if scores.is_empty() {
        return;
    }
    blocks.push(Block::Heading("Cohorts".to_owned()));
    blocks.push(Block::Paragraph(vec![
        text(
            "Test scores of each task's main metric on parts of the rows, mean over runs. Nothing is corrected for looking at many \
             cohorts, and a small one tells little. Every metric, and validation: ",
        ),
        table_link(&analysis.results, "cohorts.csv"),
        text("."),
    ]));
    for name in distinct(scores.iter().map(|score| score.cohort.clone())) {
        let lines = lines(analysis, scores.iter().filter(|score| score.cohort == name));
        blocks.push(folded(analysis, &name, lines));
    }
}

/// Every cohort of every task, in the order of the table.
fn lines<'a>(analysis: &Analysis, scores: impl Iterator<Item = &'a CohortScore>) -> Vec<Line> {
    let num_variants = analysis.summary.variants.len();
    let mut lines: Vec<Line> = Vec::new();
    let mut places: HashMap<(usize, &str), usize> = HashMap::new();
    for score in scores {
        let cell = &analysis.results.cells[score.cell];
        let place = analysis
            .summary
            .place(&cell.variant, &cell.dataset, &score.task);
        // As in every other table.
        let place = place.filter(|place| !analysis.summary.never_learned.contains(place));
        let Some((variant, panel)) = place else {
            continue;
        };
        let main = analysis.main_metric(panel);
        if main.is_none_or(|main| score.metric != main.name()) {
            continue;
        }
        let place = places
            .entry((panel, &score.cohort_value))
            .or_insert_with(|| {
                lines.push(Line {
                    panel,
                    value: score.cohort_value.to_string(),
                    rows: (score.rows, score.rows),
                    positives: score.positives.map(|count| (count, count)),
                    values: vec![Vec::new(); num_variants],
                });
                lines.len() - 1
            });
        let line = &mut lines[*place];
        line.rows = widened(line.rows, score.rows);
        line.positives =
            (line.positives.zip(score.positives)).map(|(range, count)| widened(range, count));
        line.values[variant].extend(score.value);
    }
    lines
}

fn widened((least, most): (u64, u64), count: u64) -> (u64, u64) {
    (least.min(count), most.max(count))
}

fn folded(analysis: &Analysis, name: &str, mut lines: Vec<Line>) -> Block {
    let num_cohorts = distinct(lines.iter().map(|line| line.value.clone())).len();
    let num_lines = lines.len();
    let mut said = absent(&lines);
    if num_lines > MOST_ROWS {
        let mut sizes: Vec<u64> = lines.iter().map(|line| line.rows.1).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let least = sizes[MOST_ROWS - 1];
        lines.retain(|line| line.rows.1 >= least);
        lines.truncate(MOST_ROWS);
        said.push(format!(
            "The table shows the {MOST_ROWS} of {num_lines} rows with most rows of data."
        ));
    }
    let mut blocks = Vec::new();
    if !said.is_empty() {
        blocks.push(paragraph(said.join(" ")));
    }
    blocks.push(Block::Table(table(analysis, &lines)));
    Block::Details {
        summary: format!("By {name}: {}", counted(num_cohorts, "cohort")),
        blocks,
    }
}

/// Which cohorts have no score, and why, in sentences.
fn absent(lines: &[Line]) -> Vec<String> {
    let without = lines
        .iter()
        .filter(|line| line.values.iter().all(Vec::is_empty));
    let (empty, others): (Vec<&Line>, Vec<&Line>) = without.partition(|line| line.rows.1 == 0);
    let mut said = Vec::new();
    for (lines_without, why) in [
        (empty, "no row observes the task"),
        (others, "all labels are the same"),
    ] {
        if !lines_without.is_empty() {
            let (count, all) = (lines_without.len(), lines.len());
            said.push(format!("Without a score, since {why}: {count} of {all}."));
        }
    }
    said
}

fn table(analysis: &Analysis, lines: &[Line]) -> Table {
    let mut table = Table::new(&["task", "cohort", "rows", "positives"]);
    let names = analysis.shown.iter();
    let names = names.map(|variant| analysis.summary.variants[*variant].clone());
    table.header.extend(names);
    for line in lines {
        let metric = analysis.main_metric(line.panel);
        let title = metric.map_or("", |metric| metric.title());
        let task = &analysis.summary.panels[line.panel].title;
        let mut fields = vec![
            Field::words(format!("{task} ({title})")),
            Field::words(match line.value.as_str() {
                "" => MISSING,
                value => value,
            }),
            count(Some(line.rows)),
            count(line.positives),
        ];
        fields.extend(analysis.shown.iter().map(|variant| {
            let values = &line.values[*variant];
            let mean = mean(values);
            Field::number(score(mean), mean)
        }));
        table.push(fields);
    }
    table
}

/// A count, or the least and the most where cells differ.
fn count(range: Option<(u64, u64)>) -> Field {
    let Some((least, most)) = range else {
        return Field::number(score(None), None);
    };
    let text = match least == most {
        true => grouped(most as f64),
        false => format!("{} to {}", grouped(least as f64), grouped(most as f64)),
    };
    Field::number(text, Some(most as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, to_markdown};
    use homebench_results::read::Results;
    use homebench_results::sample::Sample;

    /// The section of a folder of two variants, two tasks and two seeds with these rows of `cohorts.csv`: cell, task, cohort, value,
    /// score, rows, positives.
    fn section(rows: &[(&str, &str, &str, &str, &str, u64, u64)]) -> String {
        let folder = Sample::sized(2, 2, 2).write();
        let header =
            "cell,variant,seed,split,task,cohort,cohort_value,metric,value,rows,positives\n";
        let mut text = header.to_owned();
        for (cell, task, cohort, value, score, rows, positives) in rows {
            for (split, score) in [("validation", "0.1"), ("test", *score)] {
                text += &format!(
                    "{cell},a,0,{split},{task},{cohort},{value},auc,{score},{rows},{positives}\n\
                     {cell},a,0,{split},{task},{cohort},{value},log_loss,9.5,{rows},{positives}\n"
                );
            }
        }
        std::fs::write(folder.path().join("cohorts.csv"), text).unwrap();
        let results = Results::read(folder.path()).unwrap();
        let analysis = Analysis::new(results, None).unwrap();
        let mut blocks = Vec::new();
        push(&mut blocks, &analysis);
        to_markdown(&Document {
            title: "cohorts".to_owned(),
            blocks,
        })
    }

    #[test]
    fn a_folder_without_cohorts_has_no_section() {
        assert!(!section(&[]).contains("Cohorts"));
    }

    #[test]
    fn means_over_runs_stand_beside_sizes_and_what_is_absent_is_said() {
        let shown = section(&[
            ("cell-0-0", "income", "tab", "1", "0.5", 100, 30),
            ("cell-0-0", "income", "tab", "", "", 7, 7),
            ("cell-0-0", "income", "new", "new", "", 0, 0),
            ("cell-0-1", "income", "tab", "1", "0.7", 102, 30),
            ("cell-1-0", "income", "tab", "1", "0.25", 100, 30),
        ]);
        assert!(shown.contains("By tab: 2 cohorts") && shown.contains("By new: 1 cohort"));
        let line = |start: &str| {
            let mut lines = shown.lines();
            let found = lines.find(|line| line.contains(start));
            found
                .unwrap_or_else(|| panic!("{start}: {shown}"))
                .to_owned()
        };
        let first = line("| income (AUC) | 1 ");
        for part in ["100 to 102", "30", "0.6000", "0.2500"] {
            assert!(first.contains(part), "{first}");
        }
        assert!(line("(missing)").contains("| 7 "));
        assert!(shown.contains("Without a score, since all labels are the same: 1 of 2."));
        assert!(shown.contains("Without a score, since no row observes the task: 1 of 1."));
        assert!(!shown.contains("9.5"), "{shown}");
    }
}

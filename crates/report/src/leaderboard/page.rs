//! The leaderboard as a page, as tables, and for a terminal.

use super::{Dataset, Leaderboard};
use crate::document::{
    Block, Cell as Field, Document, Table, strong, table_to_latex, table_to_markdown, text,
    to_html, to_markdown,
};
use crate::drawn::NewFile;
use crate::figure::{Figure, RankRow, of_ranks};
use crate::format::{counted, listed, seeds};
use crate::text_table::{Column, align, fitting, in_lines};
use anyhow::Result;
use homebench_results::read::distinct;

/// With fewer datasets an interval over datasets says little.
const FEW_DATASETS: usize = 5;

/// In what datasets differ, in sentences.
pub(super) fn differences(datasets: &[Dataset]) -> Vec<String> {
    let mut notes = Vec::new();
    let metrics = distinct(datasets.iter().map(|dataset| dataset.metrics.clone()));
    if metrics.len() > 1 || metrics.iter().any(|metrics| metrics.len() > 1) {
        let of = |dataset: &Dataset| format!("{} by {}", dataset.name, listed(&dataset.metrics));
        let words: Vec<String> = datasets.iter().map(of).collect();
        notes.push(format!(
            "tasks are ranked each by its own main metric, which ranks make comparable: {}",
            words.join("; ")
        ));
    }
    for dataset in datasets.iter().filter(|dataset| dataset.folders.len() > 1) {
        notes.push(format!(
            "{} is in {}, and counts once, with the mean of their ranks",
            dataset.name,
            listed(&dataset.folders)
        ));
    }
    notes
}

impl Leaderboard {
    /// What is ranked, and how sure it is.
    fn summary(&self) -> String {
        let datasets = counted(self.datasets.len(), "dataset");
        let best = self.entries().next();
        let best = best.map_or(String::new(), |best| {
            format!(
                "{} has the best mean rank, {:.2} [{:.2}, {:.2}], and is first in {:.0} % of the draws.",
                best.variant,
                best.mean,
                best.interval.low,
                best.interval.high,
                100.0 * best.first
            )
        });
        let few = match self.datasets.len() < FEW_DATASETS {
            true => format!(
                " With {datasets} the intervals say little of others: it takes more datasets, not more seeds."
            ),
            false => String::new(),
        };
        format!(
            "{} over {datasets}. {best}{few}",
            counted(self.variants.len(), "variant")
        )
    }

    const METHOD: &'static str = "Variants are ranked on each task by their mean test score over the runs that all of them have; a dataset's \
        rank is the mean over its tasks, and all datasets count alike. 1 is best. Intervals are the middle 95 % of 2,000 draws of datasets \
        and, within each, of runs; first is the share of the draws in which a variant has the best mean rank. Variants whose intervals \
        overlap are not separated by it.";

    fn table(&self) -> Table {
        let mut table = Table::new(&["variant", "mean rank", "95 % interval", "first"]);
        table
            .header
            .extend(self.datasets.iter().map(|dataset| dataset.name.clone()));
        for entry in self.entries() {
            let interval = format!("[{:.2}, {:.2}]", entry.interval.low, entry.interval.high);
            let mut fields = vec![
                Field::words(entry.variant),
                Field::number(format!("{:.2}", entry.mean), Some(entry.mean)),
                Field::number(interval, Some(entry.interval.low)),
                Field::number(format!("{:.0} %", 100.0 * entry.first), Some(entry.first)),
            ];
            let ranks = entry.of_datasets.iter();
            fields.extend(ranks.map(|rank| Field::number(format!("{rank:.2}"), Some(*rank))));
            table.push(fields);
        }
        table
    }

    fn datasets_table(&self) -> Table {
        let mut table = Table::new(&["dataset", "folders", "tasks", "ranked by", "runs"]);
        for dataset in &self.datasets {
            let runs = dataset.num_runs.iter().map(|runs| *runs as u64).collect();
            table.push(vec![
                Field::words(&dataset.name),
                Field::words(listed(&dataset.folders)),
                Field::words(dataset.tasks.join(", ")),
                Field::words(listed(&dataset.metrics)),
                Field::words(seeds(runs)),
            ]);
        }
        table
    }

    fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "variant",
            "dataset",
            "rank",
            "interval_low",
            "interval_high",
            "first",
        ])?;
        for entry in self.entries() {
            let numbers = [
                entry.mean,
                entry.interval.low,
                entry.interval.high,
                entry.first,
            ];
            let mut row = vec![entry.variant.to_owned(), String::new()];
            row.extend(numbers.map(|number| number.to_string()));
            writer.write_record(row)?;
            for (dataset, rank) in self.datasets.iter().zip(&entry.of_datasets) {
                let rank = rank.to_string();
                writer.write_record([entry.variant, &dataset.name, &rank, "", "", ""])?;
            }
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    pub(super) fn figure(&self) -> Result<Figure> {
        let rows = self.entries().map(|entry| RankRow {
            name: entry.variant.to_owned(),
            mean: entry.mean,
            interval: entry.interval,
            of_datasets: entry.of_datasets,
        });
        of_ranks(&rows.collect::<Vec<_>>(), self.datasets.len())
    }

    pub(super) fn pages(&self, figure: &Figure) -> Result<Vec<NewFile>> {
        let mut blocks = vec![Block::Paragraph(vec![
            strong("Answer:"),
            text(format!(" {}", self.summary())),
        ])];
        blocks.push(Block::Figure {
            name: figure.name.clone(),
            description: figure.description.clone(),
            svg: figure.svg.clone(),
            narrow_svg: figure.narrow_svg.clone(),
            width_inches: figure.width_inches(),
            keeps_paper: false,
            is_lead: true,
        });
        blocks.push(Block::Table(self.table()));
        let sections = [
            ("Notes", self.note_blocks()),
            ("Datasets", vec![Block::Table(self.datasets_table())]),
            (
                "How ranks are made",
                vec![Block::Paragraph(vec![text(Self::METHOD)])],
            ),
        ];
        for (title, content) in sections
            .into_iter()
            .filter(|(_, content)| !content.is_empty())
        {
            blocks.push(Block::Heading(title.to_owned()));
            blocks.extend(content);
        }
        let document = Document {
            title: format!(
                "homebench: ranks over {}",
                counted(self.datasets.len(), "dataset")
            ),
            blocks,
        };
        let table = self.table();
        let title = "Mean rank over datasets; 1 is best";
        let files = [
            ("report.md", to_markdown(&document)),
            ("report.html", to_html(&document)),
            (
                "tables/ranks.md",
                format!("{title}:\n\n{}", table_to_markdown(&table)),
            ),
            (
                "tables/ranks.tex",
                format!("% {title}.\n{}", table_to_latex(&table)),
            ),
            ("tables/ranks.csv", self.csv()?),
        ];
        let file = |(name, text): (&str, String)| NewFile::new(name.to_owned(), text.into_bytes());
        Ok(files.into_iter().map(file).collect())
    }

    fn note_blocks(&self) -> Vec<Block> {
        let item = |note: &String| vec![text(format!("{note}."))];
        match self.notes.is_empty() {
            true => Vec::new(),
            false => vec![Block::List(self.notes.iter().map(item).collect())],
        }
    }

    /// The answer as plain text in lines of this many columns; the table as it is where no width is given.
    pub fn terminal_summary(&self, width: usize, table_width: Option<usize>) -> String {
        let table = self.table();
        let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
        let row = |row: &Vec<Field>| row.iter().map(|cell| cell.text.clone()).collect();
        let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
        let fill = |words: &str| in_lines(words, "", width);
        let mut said = format!("{}\n\n", fill(&self.summary()));
        let columns = Column::of_rows(&header, &rows);
        // One below the other where they don't fit: names of datasets are long, and ranks short.
        let tables = match table_width {
            Some(width) => fitting(columns, width),
            None => vec![columns],
        };
        let tables: Vec<String> = tables.iter().map(|table| align(table, false)).collect();
        said += &tables.join("\n");
        for note in &self.notes {
            said += &format!("\n{}", fill(&format!("Note: {note}.")));
        }
        said + "\n"
    }
}

//! What was asked of the data: how rows are divided, what tasks learn, how many inputs there are of each kind.

use super::paragraph;
use crate::document::{Block, Cell as Field, Table, code, text};
use crate::format::counted;
use homebench_results::read::distinct;
use homebench_results::{DataFacts, TaskFact};

/// The section; nothing where the folder doesn't say it.
pub(super) fn push(blocks: &mut Vec<Block>, data: &[DataFacts]) {
    let Some(first) = data.first() else { return };
    blocks.push(Block::Heading("Data".to_owned()));
    for words in distinct(data.iter().map(division)) {
        blocks.push(paragraph(words));
    }
    blocks.push(Block::Table(splits(data)));
    // Datasets of one experiment have the same tasks and inputs.
    blocks.push(Block::Table(tasks(&first.tasks)));
    blocks.push(paragraph(inputs(first)));
    let folder = first.content_hash.get(..16).unwrap_or_default();
    blocks.push(Block::Paragraph(vec![
        text("The description in full is in "),
        code(format!("data/{folder}/description.toml")),
        text("."),
    ]));
}

fn division(data: &DataFacts) -> String {
    let mut words = format!("Rows of {} are divided {}.", data.title, data.division);
    if let Some(subset) = &data.subset {
        words += &format!(" Used are {subset}.");
    }
    if let Some(filter) = &data.filter {
        words += &format!(" Kept are those with {filter}.");
    }
    words
}

fn splits(data: &[DataFacts]) -> Table {
    let has_ends = |data: &DataFacts| data.splits.iter().any(|split| split.first.is_some());
    let has_ends = data.iter().any(has_ends);
    let mut header = vec!["dataset", "split", "rows"];
    if has_ends {
        header.extend(["first", "last"]);
    }
    let mut table = Table::new(&header);
    for data in data {
        for split in &data.splits {
            let mut row = vec![
                Field::words(&data.title),
                Field::words(&split.name),
                Field::number(split.rows.to_string(), Some(split.rows as f64)),
            ];
            if has_ends {
                let ends = [&split.first, &split.last];
                row.extend(ends.map(|end| Field::words(end.clone().unwrap_or_default())));
            }
            table.push(row);
        }
    }
    table
}

fn tasks(tasks: &[TaskFact]) -> Table {
    let has_observed = tasks.iter().any(|task| task.observed.is_some());
    let mut header = vec!["task", "group", "kind", "label"];
    if has_observed {
        header.push("observed where");
    }
    let mut table = Table::new(&header);
    for task in tasks {
        let kind = match task.is_regression {
            true => "regression",
            false => "two classes",
        };
        let label = task
            .label
            .as_deref()
            .unwrap_or("made by the embedded source");
        let mut row = vec![
            Field::words(&task.name),
            Field::words(&task.group),
            Field::words(kind),
            Field::words(label),
        ];
        if has_observed {
            row.push(Field::words(task.observed.clone().unwrap_or_default()));
        }
        table.push(row);
    }
    table
}

/// How many inputs there are, by kind.
fn inputs(data: &DataFacts) -> String {
    let kinds = distinct(data.features.iter().map(|feature| feature.kind.as_str()));
    let count = |kind: &str| {
        let of_kind = data.features.iter().filter(|feature| feature.kind == kind);
        format!("{} {kind}", of_kind.count())
    };
    let kinds: Vec<String> = kinds.into_iter().map(count).collect();
    let number = counted(data.features.len(), "input");
    format!("Models read {number}: {}.", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::{FeatureFact, SplitFact};

    fn facts() -> DataFacts {
        let split = |name: &str, rows, day: Option<&str>| SplitFact {
            name: name.to_owned(),
            rows,
            first: day.map(|day| format!("{day}T00:00:00")),
            last: day.map(|day| format!("{day}T23:59:59")),
        };
        let feature = |name: &str, kind: &str| FeatureFact {
            name: name.to_owned(),
            kind: kind.to_owned(),
            column: None,
        };
        DataFacts {
            title: "shop".to_owned(),
            name: "shop".to_owned(),
            protocol: "all".to_owned(),
            content_hash: "0123456789abcdef0123".to_owned(),
            canonical_blake3: String::new(),
            subset: None,
            division: "by day: validation from 2, test from 3".to_owned(),
            filter: Some("price > 0".to_owned()),
            files_blake3: Default::default(),
            splits: vec![
                split("train", 20, Some("2024-01-01")),
                split("validation", 5, Some("2024-01-02")),
                split("test", 4, None),
            ],
            tasks: vec![TaskFact {
                name: "buys".to_owned(),
                group: "shop".to_owned(),
                label: Some("bought = 1".to_owned()),
                observed: None,
                is_regression: false,
            }],
            features: vec![
                feature("color", "categorical"),
                feature("size", "numeric"),
                feature("brand", "categorical"),
            ],
        }
    }

    #[test]
    fn the_section_has_rows_and_dates_of_splits_labels_of_tasks_and_inputs_by_kind() {
        let document = |data: &[DataFacts]| {
            let mut blocks = Vec::new();
            push(&mut blocks, data);
            crate::document::to_markdown(&crate::document::Document {
                title: "t".to_owned(),
                blocks,
            })
        };
        // Paragraphs are broken into lines of eighty columns.
        let said = document(&[facts()]);
        let said: Vec<&str> = said.split_whitespace().collect();
        let said = said.join(" ").replace(r"\>", ">");
        for words in [
            "Rows of shop are divided by day: validation from 2, test from 3. Kept are those with price > 0.",
            "2024-01-02T23:59:59",
            "bought = 1",
            "Models read 3 inputs: 2 categorical, 1 numeric.",
            "data/0123456789abcdef/description.toml",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        // A folder of an older homebench has no such section.
        assert!(!document(&[]).contains("Data"));
    }
}

//! What the preparation of the data found that a reader of scores has to know: near the top, since it may change what they mean.

use super::paragraph;
use crate::document::{Block, Span, strong, text};
use crate::format::counted;
use homebench_results::read::{DataWarningsRow, distinct};

/// A warning as readers see it: once for all splits that have it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Warning {
    pub(crate) is_loud: bool,
    /// With the dataset in front where there are several, and with the splits' seeds where not all of them have it.
    pub(crate) message: String,
}

/// Every warning once: loud ones first, else in the order of the table.
pub(crate) fn warnings(rows: &[DataWarningsRow]) -> Vec<Warning> {
    let datasets = distinct(rows.iter().map(|row| (&row.dataset, &row.protocol)));
    let num_splits = |of: &DataWarningsRow| {
        let rows = rows.iter().filter(|row| row.dataset == of.dataset);
        distinct(rows.map(|row| row.split_seed)).len()
    };
    let said = |row: &DataWarningsRow| {
        let key = (&row.dataset, &row.protocol, &row.kind, &row.message);
        (
            key.0.clone(),
            key.1.clone(),
            key.2.clone(),
            key.3.clone(),
            row.is_loud,
        )
    };
    let mut found = Vec::new();
    for key in distinct(rows.iter().map(said)) {
        let same = || rows.iter().filter(|row| said(row) == key);
        let Some(first) = same().next() else {
            continue;
        };
        let mut message = match datasets.len() {
            1 => first.message.clone(),
            _ => format!("{}: {}", first.dataset, first.message),
        };
        let seeds = distinct(same().filter_map(|row| row.split_seed));
        if seeds.len() < num_splits(first) && !seeds.is_empty() {
            let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
            message += &format!(" (split seed {})", seeds.join(", "));
        }
        found.push(Warning {
            is_loud: first.is_loud,
            message,
        });
    }
    // Stable: the order of the table stays within each half.
    found.sort_by_key(|warning| !warning.is_loud);
    found
}

/// How many there are, in words: `3 data warnings, 1 of them loud`.
pub(crate) fn how_many(warnings: &[Warning]) -> String {
    let loud = warnings.iter().filter(|warning| warning.is_loud).count();
    let all = counted(warnings.len(), "data warning");
    match loud {
        0 => all,
        _ => format!("{all}, {loud} of them loud"),
    }
}

/// Adds the section, where there is anything to say.
pub(super) fn push(blocks: &mut Vec<Block>, rows: &[DataWarningsRow]) {
    let warnings = warnings(rows);
    if warnings.is_empty() {
        return;
    }
    blocks.push(Block::Heading("Data warnings".to_owned()));
    let mut sentence = format!("{}, of the preparation of the data.", how_many(&warnings));
    if warnings.iter().any(|warning| warning.is_loud) {
        sentence += " With a loud one, scores may mean something else than they seem to.";
    }
    blocks.push(paragraph(sentence));
    let item = |warning: &Warning| -> Vec<Span> {
        match warning.is_loud {
            true => vec![strong("Loud:"), text(format!(" {}", warning.message))],
            false => vec![text(&warning.message)],
        }
    };
    blocks.push(Block::List(warnings.iter().map(item).collect()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(
        dataset: &str,
        split_seed: Option<u64>,
        is_loud: bool,
        message: &str,
    ) -> DataWarningsRow {
        DataWarningsRow {
            dataset: dataset.to_owned(),
            protocol: "all".to_owned(),
            split_seed,
            kind: "made_up".to_owned(),
            is_loud,
            message: message.to_owned(),
        }
    }

    fn messages(rows: &[DataWarningsRow]) -> Vec<String> {
        warnings(rows)
            .into_iter()
            .map(|warning| warning.message)
            .collect()
    }

    #[test]
    fn loud_ones_come_first_and_are_counted() {
        let rows = [
            row("a", None, false, "x is constant"),
            row("a", None, true, "item is unseen"),
            row("a", None, false, "y is constant"),
        ];
        assert_eq!(
            messages(&rows),
            ["item is unseen", "x is constant", "y is constant"]
        );
        assert_eq!(
            how_many(&warnings(&rows)),
            "3 data warnings, 1 of them loud"
        );
        assert_eq!(how_many(&warnings(&rows[..1])), "1 data warning");
    }

    #[test]
    fn what_all_splits_have_is_said_once_and_what_some_have_with_their_seeds() {
        let rows = [
            row("a", Some(1), false, "x is constant"),
            row("a", Some(1), false, "1 row is twice"),
            row("a", Some(2), false, "x is constant"),
        ];
        assert_eq!(
            messages(&rows),
            ["x is constant", "1 row is twice (split seed 1)"]
        );
    }

    #[test]
    fn several_datasets_are_told_apart() {
        let rows = [
            row("a[n=1]", None, true, "x is constant"),
            row("a[n=2]", None, true, "x is constant"),
        ];
        assert_eq!(
            messages(&rows),
            ["a[n=1]: x is constant", "a[n=2]: x is constant"]
        );
    }
}

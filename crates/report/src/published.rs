//! Figures that papers published on a dataset, each with its source and protocol.

use serde::Deserialize;

const PUBLISHED: &str = include_str!("../assets/published.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tables: Vec<PublishedTable>,
}

/// One source's figures.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishedTable {
    /// The dataset that it is on.
    pub(super) dataset: String,
    /// Who published it.
    pub(super) source: String,
    /// Where.
    pub(super) link: String,
    /// What was done, in sentences.
    pub(super) protocol: String,
    /// The metric, in words.
    pub(super) metric: String,
    /// What the values are of.
    pub(super) columns: Vec<String>,
    /// Models.
    pub(super) rows: Vec<PublishedRow>,
}

/// A model's figures.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishedRow {
    /// The model, as the source calls it.
    pub(super) model: String,
    /// One value per column.
    pub(super) values: Vec<f64>,
}

/// What was published on these datasets, in the order of the file.
pub(super) fn published(datasets: &[String]) -> Vec<PublishedTable> {
    let file: File = toml::from_str(PUBLISHED).expect("a test reads this file");
    let tables = file.tables.into_iter();
    tables
        .filter(|table| datasets.contains(&table.dataset))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_row_has_a_value_for_every_column_and_a_protocol() {
        let tables = published(&["census-income".to_owned()]);
        assert!(tables.len() >= 5);
        for table in tables {
            assert!(
                !table.protocol.is_empty() && table.link.starts_with("https://"),
                "{}",
                table.source
            );
            for row in table.rows {
                assert_eq!(
                    row.values.len(),
                    table.columns.len(),
                    "{}: {}",
                    table.source,
                    row.model
                );
                assert!(row.values.iter().all(|value| (0.5..1.0).contains(value)));
            }
        }
        assert!(published(&["synthetic".to_owned()]).is_empty());
    }
}

//! The table of scores by cohort, which is there where the spec asks for cohorts.

use super::rows::{scored_split, shortest};
use super::{Row, Table};
use serde::{Deserialize, Serialize};

/// A score of the selected weights on the rows of one cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CohortsRow<'a> {
    /// Hash of the cell's content.
    pub cell: &'a str,
    /// Name of the variant.
    pub variant: &'a str,
    /// Seed of the cell.
    pub seed: u64,
    /// `validation` or `test`.
    #[serde(deserialize_with = "scored_split")]
    pub split: &'a str,
    /// Task name.
    pub task: &'a str,
    /// Name of what divides the rows.
    pub cohort: &'a str,
    /// What its rows have in common; empty where they have no value.
    pub cohort_value: &'a str,
    /// Metric name.
    pub metric: &'a str,
    /// The value; absent where it is undefined.
    #[serde(serialize_with = "shortest")]
    pub value: Option<f64>,
    /// Rows scored: those of the cohort that observe the task.
    pub rows: u64,
    /// Positive labels among them; absent for a task of regression.
    pub positives: Option<u64>,
}

impl Row for CohortsRow<'_> {
    const LATER: &'static [&'static str] = &[];
    type Of<'a> = CohortsRow<'a>;
}

impl Table for CohortsRow<'_> {
    const FILE: &'static str = "cohorts.csv";
}

//! The table of what preparation found in the data.

use super::{Row, Table};
use serde::{Deserialize, Serialize};

/// Something that the preparation of a dataset noticed, with the data that it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataWarningsRow {
    /// Name of the dataset, as `cells.csv` has it.
    pub dataset: String,
    /// The protocol.
    pub protocol: String,
    /// Seed of the split, where the experiment has several splits.
    pub split_seed: Option<u64>,
    /// What kind of thing it is: a word such as `unmatched_rows`.
    pub kind: String,
    /// Whether scores may mean something else than they seem to.
    pub is_loud: bool,
    /// What was found.
    pub message: String,
}

impl Row for DataWarningsRow {
    const LATER: &'static [&'static str] = &[];
    type Of<'a> = Self;
}

impl Table for DataWarningsRow {
    const FILE: &'static str = "data_warnings.csv";
}

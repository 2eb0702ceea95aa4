//! The two phases of an experiment.

use serde::{Deserialize, Serialize};

/// Which part of the protocol a cell belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A trial: hyper-parameters are tried, and scored on validation alone.
    Tuning,
    /// What is reported: the test split is read, once.
    #[default]
    Final,
}

impl Phase {
    /// Whether it is what is reported.
    pub fn is_final(&self) -> bool {
        *self == Self::Final
    }
}

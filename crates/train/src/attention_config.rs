//! Which lists attend to a target.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lists that attend to a target in place of being pooled: the table `[training.attention]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttentionConfig {
    /// The feature of one id that each list attends to, by list; lists that it doesn't name are pooled.
    pub lists: BTreeMap<String, String>,
    /// Widths of the hidden layers of each list's activation unit.
    pub hidden_dims: Vec<usize>,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self {
            lists: BTreeMap::new(),
            // As many units as the paper's figure 2 shows.
            hidden_dims: vec![36],
        }
    }
}

//! Descriptions of a chain of tasks as they are written in TOML.

use super::wire::{WireRows, WireSource};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The embedded chain of tasks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireClickChain {
    pub(super) about: Option<String>,
    #[allow(dead_code)]
    pub(super) source: WireSource,
    pub(super) seed: u64,
    pub(super) rows: WireRows,
    pub(super) chain: WireChainShape,
    pub(super) tasks: BTreeMap<String, WireChainTask>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireChainShape {
    pub(super) input_dim: usize,
    pub(super) correlation: f64,
    pub(super) signal: f64,
    #[serde(default)]
    pub(super) nonlinearity: f64,
    #[serde(default)]
    pub(super) confounding: f64,
    /// Of the first task, in place of what it says.
    pub(super) first_rate: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireChainTask {
    pub(super) group: String,
    pub(super) rate: f64,
}

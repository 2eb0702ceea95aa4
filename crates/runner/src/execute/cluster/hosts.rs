//! Which machines ran which cells.

use super::events::TaskStart;
use serde::Serialize;
use std::collections::BTreeMap;

/// A machine and the cells that ended there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostRecord {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_model: Option<String>,
    instructions: String,
    cores: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gpus: Vec<String>,
    cells: Vec<String>,
}

/// The machines of a run, by name.
#[derive(Debug, Default)]
pub(super) struct Hosts(BTreeMap<String, HostRecord>);

impl Hosts {
    /// A cell ended in a task that runs there.
    pub(super) fn add(&mut self, start: &TaskStart, cell: &str) {
        let host = self
            .0
            .entry(start.host.clone())
            .or_insert_with(|| HostRecord {
                name: start.host.clone(),
                cpu_model: start.cpu_model.clone(),
                instructions: start.instructions.clone(),
                cores: start.cores,
                memory_bytes: start.memory_bytes,
                gpus: start.gpus.clone(),
                cells: Vec::new(),
            });
        host.cells.push(cell.to_owned());
    }

    /// The machines, with their cells in order.
    pub(super) fn records(&self) -> Vec<HostRecord> {
        let mut records: Vec<HostRecord> = self.0.values().cloned().collect();
        records.iter_mut().for_each(|host| host.cells.sort());
        records
    }
}

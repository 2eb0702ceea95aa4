//! What descriptions of embedded sources have in common.

use super::wire::WireRows;
use super::{Description, Protocol, Source, check_group, check_name, path};
use crate::generated::Generated;
use crate::{Task, TaskKind};
use homebench_diagnostic::{Diagnostic, Document};

/// The description of a generated dataset, which has one protocol.
pub(super) fn described(
    name: &str,
    about: Option<&str>,
    protocol: &str,
    tasks: Tasks,
    source: Generated,
) -> Description {
    let about = about.unwrap_or_default().trim().to_owned();
    Description {
        name: name.to_owned(),
        about: about.clone(),
        default_protocol: protocol.to_owned(),
        protocols: vec![Protocol {
            name: protocol.to_owned(),
            about,
            tasks: tasks.tasks,
            groups: tasks.groups,
            source: Source::Generated(source),
        }],
        files: Vec::new(),
        fetch: None,
    }
}

/// Rows of train, validation and test.
pub(super) fn rows(document: &Document, wire: &WireRows) -> Result<[u64; 3], Diagnostic> {
    let rows = [wire.train, wire.validation, wire.test];
    for (key, count) in ["train", "validation", "test"].into_iter().zip(rows) {
        // An epoch's order holds row numbers as u32.
        if !(1..=u64::from(u32::MAX)).contains(&count) {
            let message = format!("expected 1 to {} rows, found {count}", u32::MAX);
            return Err(document.at_value(&path(&["rows", key]), message));
        }
    }
    Ok(rows)
}

/// Tasks and their groups, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    pub(super) tasks: Vec<Task>,
    pub(super) groups: Vec<String>,
}

impl Tasks {
    /// Adds a task; gives the index of its group.
    pub(super) fn add(
        &mut self,
        document: &Document,
        name: &str,
        group: &str,
        kind: TaskKind,
    ) -> Result<usize, Diagnostic> {
        let at = path(&["tasks", name]);
        check_name(document, &at, "task", name)?;
        check_group(document, &at.join("group"), group)?;
        let position = self.groups.iter().position(|known| known == group);
        let place = position.unwrap_or(self.groups.len());
        if position.is_none() {
            self.groups.push(group.to_owned());
        }
        self.tasks.push(Task {
            name: name.to_owned(),
            group: place,
            kind,
        });
        Ok(place)
    }
}

//! What descriptions of embedded sources have in common.

use super::wire::WireRows;
use super::{Description, Protocol, Source, check_group, check_name, one_of, path};
use crate::generated::Generated;
use crate::{Task, TaskKind};
use homebench_diagnostic::{Diagnostic, Document, KeyPath, nearest};
use std::collections::BTreeMap;

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
        licence: String::new(),
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

/// How many of the described tasks there are: all, or the first `wanted`.
pub(super) fn num_tasks(
    document: &Document,
    at: &KeyPath,
    wanted: Option<usize>,
    (fewest, described): (usize, usize),
) -> Result<usize, Diagnostic> {
    if described < fewest {
        let message = format!("expected at least {}", tasks_in_words(fewest));
        return Err(document
            .at_key(&path(&["tasks"]), message)
            .hint("describe them below [tasks]"));
    }
    let wanted = wanted.unwrap_or(described);
    if !(fewest..=described).contains(&wanted) {
        let message = format!("`{at}`: expected {fewest} to {described} tasks, found {wanted}");
        return Err(document
            .at_value(at, message)
            .hint("the first so many are taken; describe more below [tasks]"));
    }
    Ok(wanted)
}

fn tasks_in_words(count: usize) -> String {
    match count {
        1 => "one task".to_owned(),
        _ => format!("{count} tasks"),
    }
}

/// Checks that every key of the table at `at` is a task.
pub(super) fn check_named_tasks<T>(
    document: &Document,
    at: &KeyPath,
    by_task: &BTreeMap<String, T>,
    tasks: &[String],
) -> Result<(), Diagnostic> {
    let Some(unknown) = by_task.keys().find(|name| !tasks.contains(name)) else {
        return Ok(());
    };
    let at = at.join(unknown);
    let message = format!(
        "`{at}`: there is no task `{unknown}`; {}",
        one_of("there are", tasks)
    );
    let said = document.at_key(&at, message);
    Err(match nearest(unknown, tasks.iter().map(String::as_str)) {
        Some(near) => said.hint(format!("did you mean `{near}`?")),
        None => said.hint("name a task that is described below [tasks]"),
    })
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
            after: None,
        });
        Ok(place)
    }
}

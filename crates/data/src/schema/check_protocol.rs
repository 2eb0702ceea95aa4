//! Validation of protocols: which columns are inputs, and that no label leaks into them.

use super::check_expression::{check_literals, expression};
use super::check_table::{CheckedParts, CheckedTask, column_index};
use super::wire::{WireProtocol, WireTable};
use super::{Feature, Label, LabelValue, Protocol, Source, TablePlan, path};
use crate::expression::{Columns, Expression};
use crate::{Task, TaskKind};
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn default(document: &Document, wire: &WireTable) -> Result<String, Diagnostic> {
    let name = &wire.default_protocol;
    if wire.protocols.contains_key(name) {
        return Ok(name.clone());
    }
    let at = path(&["default_protocol"]);
    Err(document
        .at_value(&at, format!("there is no protocol `{name}`"))
        .did_you_mean(name, wire.protocols.keys().map(String::as_str)))
}

pub(super) fn validate(
    parts: &CheckedParts<'_>,
    wire: &BTreeMap<String, WireProtocol>,
) -> Result<Vec<Protocol>, Diagnostic> {
    let names = parts.document.keys_in_order(&path(&["protocols"]));
    names
        .into_iter()
        .map(|name| protocol(parts, &wire[&name], name))
        .collect()
}

fn protocol(
    parts: &CheckedParts<'_>,
    wire: &WireProtocol,
    name: String,
) -> Result<Protocol, Diagnostic> {
    let at = path(&["protocols", &name]);
    let (tasks, groups, labels) = tasks(parts, wire, &name)?;
    let columns_of = |key: &str, names: &[String]| {
        let indices = names.iter().enumerate().map(|(index, column)| {
            let at = at.join(key).join(index.to_string());
            column_index(parts.document, &parts.columns, &at, column)
        });
        indices.collect::<Result<Vec<usize>, _>>()
    };
    let not_inputs = columns_of("not_inputs", &wire.not_inputs)?;
    let leaks = columns_of("label_sources_as_inputs", &wire.label_sources_as_inputs)?;
    let features: Vec<_> = parts
        .features
        .iter()
        .filter(|feature| !not_inputs.contains(&feature.column))
        .filter(|feature| {
            let listed = feature.protocols.as_ref();
            listed.is_none_or(|protocols| protocols.contains(&name))
        })
        .cloned()
        .collect();
    let inputs = Inputs {
        parts,
        protocol: &name,
        at: &at,
        features: &features,
    };
    inputs.check_no_leak(&tasks, &labels, &leaks)?;
    inputs.check_leaks_are_meant(&labels, &leaks)?;
    if features.is_empty() {
        let message = format!("protocol `{name}` has no inputs left");
        return Err(parts
            .document
            .at_key(&at, message)
            .hint(match (parts.features.is_empty(), wire.not_inputs.is_empty()) {
                (true, _) => "describe an input below [features], such as user_id = { kind = \"categorical\" }",
                (false, true) => "its features are listed for other protocols alone: add this one to the `protocols` of some",
                (false, false) => "shorten not_inputs",
            }));
    }
    let scenario = scenario(parts, &features, &at, &name)?;
    let filter = filter(parts, &at, wire)?;
    let plan = TablePlan {
        scenario,
        ..plan(parts, filter, features, labels)
    };
    Ok(Protocol {
        about: wire.about.clone().unwrap_or_default(),
        tasks,
        groups,
        source: Source::Table(Box::new(plan)),
        name,
    })
}

/// The place of the feature that is the scenario, among those of a protocol.
fn scenario(
    parts: &CheckedParts<'_>,
    features: &[Feature],
    at: &KeyPath,
    name: &str,
) -> Result<Option<usize>, Diagnostic> {
    let Some(column) = parts.scenario else {
        return Ok(None);
    };
    let place = super::check_scenario::of_features(features, column);
    if place.is_some() {
        return Ok(place);
    }
    let column = &parts.columns[column];
    let message =
        format!("protocol `{name}` leaves out the scenario: `{column}` is none of its inputs");
    Err(parts.document.at_key(at, message).hint(format!(
        "keep the feature of `{column}` among its inputs, or take `scenario` out of the description"
    )))
}

/// How the rows of a protocol are read, without its scenario.
fn plan(
    parts: &CheckedParts<'_>,
    filter: Option<Expression>,
    features: Vec<Feature>,
    labels: Vec<Label>,
) -> TablePlan {
    let mut plan = TablePlan {
        columns: parts.columns.clone(),
        types: parts.types.clone(),
        missing: parts.missing.clone(),
        derived: parts.derived.clone(),
        num_own_columns: parts.num_own_columns,
        optional: parts.optional.clone(),
        joins: parts.joins.clone(),
        filter,
        format: parts.format,
        allowed_values: parts.allowed_values.clone(),
        features,
        user: parts.user,
        keys: parts.keys.clone(),
        weight: parts.weight,
        scenario: None,
        labels,
        pretrained: parts.pretrained.clone(),
        split: parts.split.clone(),
    };
    // Vectors of a table that no feature of the protocol reads are not read either.
    let features = &plan.features;
    plan.pretrained.retain(|vectors| {
        features
            .iter()
            .any(|feature| feature.table() == vectors.table)
    });
    let used = plan.columns_in_use();
    plan.retain_joins(&used);
    plan
}

/// The inputs of a protocol, to be checked against its labels.
struct Inputs<'a> {
    parts: &'a CheckedParts<'a>,
    protocol: &'a str,
    at: &'a KeyPath,
    features: &'a [Feature],
}

impl Inputs<'_> {
    /// A column, and those that it is computed from.
    fn sources(&self, column: usize) -> BTreeSet<usize> {
        let first_derived = self.parts.columns.len() - self.parts.derived.len();
        let mut sources = BTreeSet::from([column]);
        if let Some(index) = column.checked_sub(first_derived) {
            for source in self.parts.derived[index].columns() {
                sources.extend(self.sources(source));
            }
        }
        sources
    }

    /// The columns that a label is made from.
    fn sources_of_label(&self, label: &Label) -> BTreeSet<usize> {
        let of_condition = match &label.value {
            LabelValue::Condition(condition) => condition.columns(),
            LabelValue::Binary(column) | LabelValue::Number { column, .. } => {
                BTreeSet::from([*column])
            }
        };
        of_condition
            .into_iter()
            .flat_map(|column| self.sources(column))
            .collect()
    }

    /// Refuses an input that a label is made from and that is not among the `leaks` which the protocol allows.
    fn check_no_leak(
        &self,
        tasks: &[Task],
        labels: &[Label],
        leaks: &[usize],
    ) -> Result<(), Diagnostic> {
        for (task, label) in tasks.iter().zip(labels) {
            // By column and not by name: a bucket or a hash of a label's column gives the label
            // away as the column itself does.
            let sources = self.sources_of_label(label);
            let leaking = |feature: &&Feature| {
                let mut of_feature = self.sources(feature.column).into_iter();
                !leaks.contains(&feature.column)
                    && of_feature
                        .any(|column| sources.contains(&column) && !leaks.contains(&column))
            };
            if let Some(feature) = self.features.iter().find(leaking) {
                let (column, task) = (&self.parts.columns[feature.column], &task.name);
                let message = format!(
                    "protocol `{}`: the label of task `{task}` is made from the column `{column}`, which is an input (feature `{}`)",
                    self.protocol, feature.name
                );
                return Err(self.parts.document.at_key(self.at, message).hint(format!(
                    "add \"{column}\" to not_inputs, or to label_sources_as_inputs if it is meant to be known"
                )));
            }
        }
        Ok(())
    }

    /// Refuses an entry of `label_sources_as_inputs` that allows nothing.
    fn check_leaks_are_meant(&self, labels: &[Label], leaks: &[usize]) -> Result<(), Diagnostic> {
        for (index, column) in leaks.iter().enumerate() {
            let of_column = self.sources(*column);
            let is_source = labels
                .iter()
                .any(|label| !self.sources_of_label(label).is_disjoint(&of_column));
            let is_input = self
                .features
                .iter()
                .any(|feature| feature.column == *column);
            if is_source && is_input {
                continue;
            }
            let what = match is_source {
                true => "no input",
                false => "read by no label",
            };
            let message = format!(
                "`{}` is {what} in this protocol",
                self.parts.columns[*column]
            );
            let at = self
                .at
                .join("label_sources_as_inputs")
                .join(index.to_string());
            let said = self.parts.document.at_value(&at, message);
            return Err(said.hint("remove it from the list"));
        }
        Ok(())
    }
}

/// The description's filter and the protocol's own.
fn filter(
    parts: &CheckedParts<'_>,
    at: &KeyPath,
    wire: &WireProtocol,
) -> Result<Option<Expression>, Diagnostic> {
    let Some(text) = &wire.filter else {
        return Ok(parts.filter.clone());
    };
    let (document, at) = (parts.document, at.join("filter"));
    let known = Columns {
        names: &parts.columns,
        types: &parts.types,
        later: &[],
    };
    let own = expression(document, &at, text, known)?;
    check_literals(document, &at, &own, &parts.columns, &parts.allowed_values)?;
    Ok(Some(match parts.filter.clone() {
        None => own,
        // Both hold: a protocol narrows what the description keeps and can't widen it.
        Some(shared) => shared.and(own),
    }))
}

type ProtocolTasks = (Vec<Task>, Vec<String>, Vec<Label>);

fn tasks(
    parts: &CheckedParts<'_>,
    wire: &WireProtocol,
    name: &str,
) -> Result<ProtocolTasks, Diagnostic> {
    let at = path(&["protocols", name, "tasks"]);
    if wire.tasks.is_empty() {
        return Err(parts.document.at_value(&at, "expected at least one task"));
    }
    let (mut tasks, mut groups, mut labels) =
        (Vec::<Task>::new(), Vec::<String>::new(), Vec::new());
    for (index, wanted) in wire.tasks.iter().enumerate() {
        let at = at.join(index.to_string());
        let found = parts.tasks.iter().find(|task| task.name == *wanted);
        let CheckedTask {
            name: task,
            group,
            label,
            ..
        } = found.ok_or_else(|| {
            parts
                .document
                .at_value(&at, format!("there is no task `{wanted}`"))
                .did_you_mean(wanted, parts.tasks.iter().map(|task| task.name.as_str()))
        })?;
        if tasks.iter().any(|other| other.name == *task) {
            let message = format!("the task `{task}` is listed twice");
            return Err(parts.document.at_value(&at, message));
        }
        let position = groups.iter().position(|other| other == group);
        tasks.push(Task {
            name: task.clone(),
            group: position.unwrap_or(groups.len()),
            kind: match label.value {
                LabelValue::Number { .. } => TaskKind::Regression,
                LabelValue::Condition(_) | LabelValue::Binary(_) => TaskKind::Classification,
            },
            after: None,
        });
        if position.is_none() {
            groups.push(group.clone());
        }
        labels.push(label.clone());
    }
    for place in 0..tasks.len() {
        tasks[place].after = after(parts, &tasks, place, &at)?;
    }
    Ok((tasks, groups, labels))
}

/// The place of the task that a task of a protocol comes after.
fn after(
    parts: &CheckedParts<'_>,
    tasks: &[Task],
    place: usize,
    at: &KeyPath,
) -> Result<Option<usize>, Diagnostic> {
    let name = &tasks[place].name;
    let described = parts.tasks.iter().find(|task| task.name == *name);
    let Some(after) = described.and_then(|task| task.after.as_ref()) else {
        return Ok(None);
    };
    let found = tasks.iter().position(|task| task.name == *after);
    if found.is_some() {
        return Ok(found);
    }
    let message = format!("the task `{name}` comes after `{after}`, which is none of these");
    Err(parts
        .document
        .at_value(&at.join(place.to_string()), message)
        .hint(format!(
            "add \"{after}\" to the list, or leave `after` out of the task `{name}`"
        )))
}

//! Experts and gates of a model as figures name and order them.

use homebench_results::read::{Inside, Results};
use std::collections::BTreeMap;

/// Whom a part serves, in the order of rows and columns: all tasks, a group, a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    All,
    Group,
    Task,
}

/// Who a variable path belongs to: its scope and the name of its owner, which is empty for all tasks.
pub(super) fn owner(path: &str) -> (Scope, &str) {
    let inner = in_layer(path);
    let mut parts = inner.split('.');
    match (parts.next(), parts.next()) {
        (Some("task"), Some(task)) => (Scope::Task, task),
        (Some("group"), Some(group)) => (Scope::Group, group),
        (Some("meta"), Some(group)) if group != "shared" => (Scope::Group, group),
        _ => (Scope::All, ""),
    }
}

/// The positive rate of a task, where it has one.
pub(super) type Rate<'a> = dyn Fn(&str) -> Option<f64> + 'a;

/// A number that rises from all tasks' parts over groups' to those of dense and of sparse tasks.
pub(super) fn order(path: &str, rate: &Rate) -> f64 {
    match owner(path) {
        (Scope::All, _) => 0.0,
        (Scope::Group, _) => 1.0,
        // Rates are at most one, so that tasks stay above groups; a task without a rate counts as the sparsest.
        (Scope::Task, task) => 3.0 - rate(task).unwrap_or(0.0),
    }
}

/// The path without its level.
fn in_layer(path: &str) -> &str {
    let rest = path.strip_prefix("level.");
    rest.and_then(|rest| rest.split_once('.'))
        .map_or(path, |(_, inner)| inner)
}

/// What to call a part: `shared`, `watch`, `click`, or, where nobody owns it, the rest of its path.
pub(super) fn title(path: &str) -> String {
    match owner(path) {
        (Scope::All, _) if path.contains("shared") => "shared".to_owned(),
        (Scope::All, _) => match in_layer(path).strip_prefix("gate.") {
            Some(number) => format!("gate {number}"),
            None => "experts".to_owned(),
        },
        (Scope::Group, name) => format!("{name} (group)"),
        (Scope::Task, name) => name.to_owned(),
    }
}

/// What to call a layer; nothing where the model has one.
pub(super) fn layer_title(layer: u64, num_layers: usize, path: &str) -> Option<String> {
    // HoME's layers are of two kinds, with names; models of levels number theirs.
    let is_leveled = path.starts_with("level.");
    (num_layers > 1).then(|| match (layer, is_leveled) {
        (_, true) => format!("level {layer}"),
        (0, false) if path.starts_with("meta.") => "meta layer".to_owned(),
        (_, false) if layer + 1 == num_layers as u64 => "task layer".to_owned(),
        _ => format!("layer {layer}"),
    })
}

/// The cell that shows a variant: the first of its seeds that is done and has its experts counted, and the step of its
/// selected weights.
pub(super) fn shown(results: &Results, inside: &Inside) -> BTreeMap<String, (usize, u64)> {
    let mut steps: BTreeMap<usize, u64> = BTreeMap::new();
    for bin in &inside.bins {
        steps.entry(bin.at.cell).or_insert(bin.at.step);
    }
    let mut found = BTreeMap::new();
    for (cell, step) in steps {
        let variant = results.cells[cell].variant.clone();
        found.entry(variant).or_insert((cell, step));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_called_by_their_owner() {
        for (path, expected) in [
            ("task.click.gate", "click"),
            ("level.1.task.like.expert", "like"),
            ("level.0.shared.expert", "shared"),
            ("level.0.expert", "experts"),
            ("level.0.gate.3", "gate 3"),
            ("meta.shared.expert", "shared"),
            ("meta.watch.gate", "watch (group)"),
            ("group.watch.expert", "watch (group)"),
        ] {
            assert_eq!(title(path), expected, "{path}");
        }
        assert!(owner("shared.expert") < owner("group.a.expert"));
        assert!(owner("group.z.expert") < owner("task.a.expert"));
    }

    #[test]
    fn layers_have_names_where_there_are_several() {
        assert_eq!(layer_title(0, 1, "level.0.shared.expert"), None);
        let title = |layer, path| layer_title(layer, 2, path).unwrap();
        assert_eq!(title(1, "level.1.shared.expert"), "level 1");
        assert_eq!(title(0, "meta.shared.expert"), "meta layer");
        assert_eq!(title(1, "shared.expert"), "task layer");
    }
}

//! Experts and gates of a model as figures name and order them.

use homebench_results::read::{Inside, ModelPartsRow, Results, Scope};
use std::collections::BTreeMap;

/// The positive rate of a task, where it has one.
pub(super) type Rate<'a> = dyn Fn(&str) -> Option<f64> + 'a;

/// What the folder says of the parts of some variants, by path. A folder that is older than the table says nothing: its parts are shown
/// by their paths, as if they served all tasks.
pub(super) struct Parts<'a>(BTreeMap<&'a str, &'a ModelPartsRow>);

impl<'a> Parts<'a> {
    pub(super) fn new(results: &'a Results, variants: &[&str]) -> Self {
        let rows = results.model_parts.iter();
        let of_variants = rows.filter(|row| variants.contains(&row.variant.as_str()));
        Self(of_variants.map(|row| (row.path.as_str(), row)).collect())
    }

    /// Whom a part serves.
    pub(super) fn scope(&self, path: &str) -> Scope {
        self.0.get(path).map_or(Scope::All, |part| part.scope)
    }

    /// The task that a part serves alone.
    pub(super) fn task(&self, path: &str) -> Option<&'a str> {
        let part = self.0.get(path)?;
        (part.scope == Scope::Task).then_some(part.owner.as_str())
    }

    pub(super) fn is_self_gate(&self, path: &str) -> bool {
        self.0
            .get(path)
            .is_some_and(|part| part.kind == "self_gate")
    }

    /// A number that rises from all tasks' parts over groups' to those of dense and of sparse tasks.
    pub(super) fn order(&self, path: &str, rate: &Rate) -> f64 {
        match self.scope(path) {
            Scope::All => 0.0,
            Scope::Group => 1.0,
            // Rates are at most one, so that tasks stay above groups; a task without a rate counts as the sparsest.
            Scope::Task => 3.0 - self.task(path).and_then(rate).unwrap_or(0.0),
        }
    }

    /// What to call a part: `shared`, `watch (group)`, `click`.
    pub(super) fn title(&self, path: &str) -> String {
        match self.0.get(path) {
            Some(part) if part.scope == Scope::Group => format!("{} (group)", part.name),
            Some(part) => part.name.clone(),
            None => path.to_owned(),
        }
    }

    /// What to call the layer of a part; nothing where the model has one.
    pub(super) fn layer_title(&self, layer: u64, num_layers: usize, path: &str) -> Option<String> {
        let named = self.0.get(path).map(|part| part.layer_title.clone());
        (num_layers > 1).then(|| named.unwrap_or_else(|| format!("layer {layer}")))
    }
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

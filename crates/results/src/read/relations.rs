//! How variants are related, as the folder's spec declares it.

use super::context::read_toml;
use crate::layout::ResultsFolder;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What a variant says of others.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Relation {
    /// The variant that it is, with a part left out.
    pub ablates: Option<String>,
    /// What is left out; absent where the variant's name says it.
    pub without: Option<String>,
    /// The variant that it is the normalised form of.
    pub plain_form: Option<String>,
    /// There where it isn't that of the experiment, and then whole.
    training: Option<Training>,
    init_from: Option<InitFrom>,
    #[serde(flatten)]
    sweeps: Sweeps,
}

/// The variant whose cells others start from, and which variables they take over; all of them where none is named.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct InitFrom {
    variant: String,
    paths: Option<Vec<String>>,
    #[serde(default)]
    rename: BTreeMap<String, String>,
}

impl InitFrom {
    /// Whether a task's tower is among what is taken over.
    fn takes_tower(&self, task: &str) -> bool {
        let tower = format!("task.{task}.tower");
        let inside = |path: &str, whole: &str| {
            let rest = path.strip_prefix(whole);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_its = |path: &String| inside(&tower, path) || inside(path, &tower);
        let paths = self.paths.as_ref();
        paths.is_none_or(|paths| paths.iter().any(is_its)) || self.rename.values().any(is_its)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Training {
    #[serde(default)]
    task_weights: BTreeMap<String, f64>,
}

/// What is swept, of all variants or of one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Sweeps {
    #[serde(default)]
    grid: toml::Table,
    #[serde(default)]
    random: toml::Table,
}

impl Sweeps {
    fn have_task_weights(&self) -> bool {
        let mut keys = self.grid.keys().chain(self.random.keys());
        keys.any(|key| key.starts_with("training.task_weights"))
    }
}

/// What `spec.resolved.toml` declares; nothing of a folder that is older than relations are, or without a spec.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Relations {
    /// The variant that differences are taken to.
    pub(super) baseline: Option<String>,
    #[serde(default)]
    training: Training,
    #[serde(default)]
    variants: BTreeMap<String, Relation>,
    #[serde(flatten)]
    sweeps: Sweeps,
}

impl Relations {
    /// Reads the spec, which may be absent.
    ///
    /// # Errors
    /// A file that is there but can't be read as TOML.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        read_toml(&ResultsFolder::new(folder).resolved_spec())
    }

    /// What a variant says; nothing where it says nothing.
    pub fn of_variant(&self, name: &str) -> Option<&Relation> {
        self.variants.get(name)
    }

    /// Whether a variant's cells never learned a task: it has the weight 0 in their loss, and its tower begins with fresh weights or
    /// with those of a variant that never learned it. What they score on it says nothing. Where weights are swept this can't be told
    /// from the spec, and nothing is called so.
    pub fn never_learns(&self, variant: &str, task: &str) -> bool {
        let mut variant = variant;
        // A chain of starts has each variant once.
        for _ in 0..=self.variants.len() {
            // A swept variant's cells are called `home[rank=2]`.
            let name = variant.split('[').next().unwrap_or(variant);
            let found = self.variants.get(variant).or(self.variants.get(name));
            let Some(relation) = found else {
                return false;
            };
            let is_swept = self.sweeps.have_task_weights() || relation.sweeps.have_task_weights();
            let training = relation.training.as_ref().unwrap_or(&self.training);
            let weight = training.task_weights.get(task);
            // As training has it, in single precision.
            if is_swept || weight.is_none_or(|weight| *weight as f32 != 0.0) {
                return false;
            }
            match &relation.init_from {
                Some(start) if start.takes_tower(task) => variant = &start.variant,
                _ => return true,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_weight_0_is_never_learned_but_where_weights_come_from_elsewhere_or_are_swept() {
        let read = |text: &str| toml::from_str::<Relations>(text).unwrap();
        let spec = "[variants.a.training]\ntask_weights = { x = 0.0, y = 2.0, z = 1e-60 }\n\
                    [variants.b]\ninit_from = { variant = \"a\" }\ntraining = { task_weights = { x = 0.0, y = 0.0 } }\n\
                    [variants.c]\ninit_from = { variant = \"a\", paths = [\"shared\"] }\n\
                    training = { task_weights = { y = 0.0 } }\n\
                    [variants.d]\ninit_from = { variant = \"b\", paths = [\"task.y\"] }\n\
                    training = { task_weights = { x = 0.0, y = 0.0 } }\n";
        let relations = read(spec);
        let never = |variant, task| relations.never_learns(variant, task);
        assert!(never("a", "x") && never("a[rank=2]", "x") && never("a", "z"));
        assert!(!never("a", "y") && !never("a", "other"));
        // The parent learned one of them; a tower that isn't taken over was learned by nobody.
        assert!(never("b", "x") && !never("b", "y") && !never("external", "x"));
        assert!(never("c", "y") && !never("c", "x"));
        assert!(never("d", "x") && !never("d", "y"));
        let shared =
            "[training]\ntask_weights = { x = 0.0 }\n[variants.a]\n[variants.b.training]\n";
        let shared = read(shared);
        assert!(shared.never_learns("a", "x") && !shared.never_learns("b", "x"));
        let swept = format!("{spec}[grid]\n\"training.task_weights.x\" = [0.0, 1.0]\n");
        assert!(!read(&swept).never_learns("a", "x"));
        let own = format!("{spec}[variants.a.random]\n\"training.task_weights.x\" = [0.0, 1.0]\n");
        assert!(!read(&own).never_learns("a", "x"));
    }
}

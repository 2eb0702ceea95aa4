//! Results by variant and panel: which seeds have which value.

use super::Results;
use std::collections::{BTreeMap, HashMap};

/// What one value of a variant is paired by with those of others: its seed, and that of the split where there are several.
pub type Run = (u64, Option<u64>);

/// Values by seed, in rising order of seeds; a seed whose value is undefined has none.
pub type Sample = BTreeMap<Run, Option<f64>>;

/// A task of a dataset: what gets a chart panel or a column of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Panel {
    /// Dataset name.
    pub dataset: String,
    /// Task name.
    pub task: String,
    /// What to call it: the task, with the dataset before it where there are several.
    pub title: String,
}

/// Scores of a folder, ordered as `cells.csv` and `metrics.csv` have them.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Variants in the order of `cells.csv`.
    pub variants: Vec<String>,
    /// Tasks in the order of `metrics.csv`.
    pub panels: Vec<Panel>,
    /// Metrics in the order of `metrics.csv`.
    pub metrics: Vec<String>,
    variant_places: HashMap<String, usize>,
    panel_places: HashMap<(String, String), usize>,
    samples: HashMap<(String, usize, usize, String), Sample>,
}

impl Summary {
    /// The place among the variants of the baseline that the spec names; absent where it names none, or none with cells.
    pub fn named_baseline(&self, results: &Results) -> Option<usize> {
        let name = results.baseline.as_ref()?;
        self.variant_places.get(name).copied()
    }

    /// Groups the folder's scores.
    pub fn new(results: &Results) -> Self {
        let variants = distinct(results.cells.iter().map(|cell| cell.variant.clone()));
        let panels = panels(results);
        let key = |panel: &Panel| (panel.dataset.clone(), panel.task.clone());
        let mut summary = Self {
            variant_places: places(variants.iter().cloned()),
            panel_places: places(panels.iter().map(key)),
            variants,
            panels,
            metrics: distinct(results.scores.iter().map(|score| score.metric.clone())),
            samples: HashMap::new(),
        };
        for score in &results.scores {
            let cell = &results.cells[score.cell];
            let place = summary.place(&cell.variant, &cell.dataset, &score.task);
            let (variant, panel) = place.expect("every score's variant and task were collected");
            let key = (score.split.clone(), variant, panel, score.metric.clone());
            let sample = summary.samples.entry(key).or_default();
            sample.insert((cell.seed, cell.split_seed), score.value);
        }
        summary
    }

    /// Values of a variant by seed; empty where no cell of it was scored.
    pub fn sample(&self, split: &str, variant: usize, panel: usize, metric: &str) -> Sample {
        let key = (split.to_owned(), variant, panel, metric.to_owned());
        self.samples.get(&key).cloned().unwrap_or_default()
    }

    /// The defined values of a variant, in rising order of seeds.
    pub fn values(&self, split: &str, variant: usize, panel: usize, metric: &str) -> Vec<f64> {
        let sample = self.sample(split, variant, panel, metric);
        sample.into_values().flatten().collect()
    }

    /// Places of a variant and of a dataset's task; nothing for a task without scores.
    pub fn place(&self, variant: &str, dataset: &str, task: &str) -> Option<(usize, usize)> {
        let variant = self.variant_places.get(variant)?;
        let panel = self
            .panel_places
            .get(&(dataset.to_owned(), task.to_owned()))?;
        Some((*variant, *panel))
    }
}

fn places<T: Eq + std::hash::Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    items
        .enumerate()
        .map(|(place, item)| (item, place))
        .collect()
}

fn panels(results: &Results) -> Vec<Panel> {
    let datasets = distinct(results.cells.iter().map(|cell| cell.dataset.clone()));
    let places = results
        .scores
        .iter()
        .map(|score| (&results.cells[score.cell].dataset, &score.task));
    let panels = distinct(places).into_iter().map(|(dataset, task)| Panel {
        title: match datasets.len() {
            1 => task.clone(),
            _ => format!("{dataset}: {task}"),
        },
        dataset: dataset.clone(),
        task: task.clone(),
    });
    panels.collect()
}

/// Each item once, where it came first.
pub fn distinct<T: Clone + Eq + std::hash::Hash>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn variants_and_tasks_keep_the_order_of_the_files() {
        let folder = sample::Sample::default().write();
        let summary = Summary::new(&Results::read(folder.path()).unwrap());
        assert_eq!(summary.variants, ["shared-bottom", "MMoE", "HoME"]);
        let titles: Vec<_> = summary.panels.iter().map(|panel| &panel.title).collect();
        assert_eq!(titles, ["income", "never_married"]);
        assert_eq!(summary.values("test", 1, 0, "auc").len(), 3);
        assert!(summary.values("train", 1, 0, "auc").is_empty());
    }
}

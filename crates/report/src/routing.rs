//! Whether tasks that have more in common choose the same experts: how alike they route, beside how they are related in truth.

use crate::statistics::{Mantel, mantel};
use anyhow::Result;
use homebench_results::read::{Inside, Results};
use std::collections::{BTreeMap, BTreeSet};

/// How the tasks of a dataset are related in truth.
#[derive(Debug, Clone, PartialEq)]
pub struct TrueRelations {
    /// Task names, in the order of the rows.
    pub tasks: Vec<String>,
    /// A number for each two tasks, the larger the more they have in common, [tasks, tasks].
    pub closeness: Vec<Vec<f64>>,
}

/// The routing of one cell beside the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingRow {
    /// Name of the variant.
    pub variant: String,
    /// What tables call the dataset.
    pub dataset: String,
    /// Seed of the cell.
    pub seed: u64,
    /// Tasks whose gates are compared: those that have one.
    pub num_tasks: usize,
    /// Mean cosine of two tasks' mean gate weights, over all pairs of tasks.
    pub mean_similarity: f64,
    /// The cosines beside the truth; absent where all are the same, or with fewer than three tasks.
    pub mantel: Option<Mantel>,
}

/// The routing of every reported cell of a folder whose tasks have gates and whose dataset, by its title, is among `truth`, in the
/// order of the cells. The gates are those of the selected weights; those of several layers count together, and an expert that a
/// gate doesn't see has the weight 0.
///
/// # Errors
/// Tables that can't be read.
pub fn routing(
    results: &Results,
    truth: &BTreeMap<String, TrueRelations>,
) -> Result<Vec<RoutingRow>> {
    let inside = Inside::read(results)?;
    let mut rows = Vec::new();
    for (place, cell) in results.cells.iter().enumerate() {
        let Some(relations) = truth.get(&cell.dataset) else {
            continue;
        };
        let weights = mean_weights(&inside, place);
        let with_gate: Vec<usize> = (0..relations.tasks.len())
            .filter(|task| weights.contains_key(&relations.tasks[*task]))
            .collect();
        if with_gate.len() < 2 {
            continue;
        }
        let of = |task: usize| &weights[&relations.tasks[task]];
        let similarity = square(&with_gate, |one, other| cosine(of(one), of(other)));
        let closeness = square(&with_gate, |one, other| relations.closeness[one][other]);
        let above: Vec<f64> = (0..with_gate.len())
            .flat_map(|row| similarity[row][row + 1..].to_vec())
            .collect();
        rows.push(RoutingRow {
            variant: cell.variant.clone(),
            dataset: cell.dataset.clone(),
            seed: cell.seed,
            num_tasks: with_gate.len(),
            mean_similarity: above.iter().sum::<f64>() / above.len() as f64,
            mantel: mantel(&similarity, &closeness),
        });
    }
    Ok(rows)
}

/// An expert by its layer, its set and its place there.
type Expert<'a> = (u64, &'a str, u64);

/// Of each task, the mean weights of its gates by expert, at the step of the selected weights.
fn mean_weights<'a>(
    inside: &'a Inside,
    cell: usize,
) -> BTreeMap<String, BTreeMap<Expert<'a>, f64>> {
    // Histograms are of the selected weights alone; without any, the last evaluation of the selected epoch is nearest.
    let bins = inside.bins.iter().find(|bin| bin.at.cell == cell);
    let of_cell = || inside.gates.iter().filter(|row| row.at.cell == cell);
    let steps: BTreeSet<u64> = of_cell().map(|row| row.at.step).collect();
    let step = bins
        .map(|bin| bin.at.step)
        .filter(|step| steps.contains(step));
    let step = step.or_else(|| steps.last().copied());
    let mut weights: BTreeMap<String, BTreeMap<Expert<'a>, f64>> = BTreeMap::new();
    for row in of_cell().filter(|row| Some(row.at.step) == step) {
        // A self-gate weighs what is a task's own anyway, and chooses nothing.
        let is_gate = row.metric == "weight" && !row.at.path.ends_with("self_gate");
        if let (true, Some(expert), Some(value)) =
            (is_gate && !row.task.is_empty(), row.expert, row.value)
        {
            let of_task = weights.entry(row.task.clone()).or_default();
            of_task.insert((row.at.layer, &row.expert_path, expert), value);
        }
    }
    weights
}

fn cosine(one: &BTreeMap<Expert<'_>, f64>, other: &BTreeMap<Expert<'_>, f64>) -> f64 {
    let length = |weights: &BTreeMap<Expert<'_>, f64>| {
        weights
            .values()
            .map(|weight| weight * weight)
            .sum::<f64>()
            .sqrt()
    };
    let both = one
        .iter()
        .filter_map(|(expert, weight)| Some(weight * other.get(expert)?));
    let lengths = length(one) * length(other);
    match lengths > 0.0 {
        true => both.sum::<f64>() / lengths,
        false => 0.0,
    }
}

fn square(places: &[usize], of: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let row = |one: &usize| places.iter().map(|other| of(*one, *other)).collect();
    places.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What this experiment was reported to show, which was computed apart from this.
    #[test]
    fn committed_routing_is_what_its_report_says() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/sparse-routing-truth");
        let results = Results::read(&folder).unwrap();
        let tasks = (0..8).map(|task| format!("t{task}"));
        let close = |one: usize| {
            (0..8usize)
                .map(|other| -(one.abs_diff(other) as f64))
                .collect()
        };
        let relations = TrueRelations {
            tasks: tasks.collect(),
            closeness: (0..8).map(close).collect(),
        };
        let truth = BTreeMap::from([("task-arc[step_degrees=12]".to_owned(), relations)]);
        let rows = routing(&results, &truth).unwrap();
        let of = |variant: &str| -> Vec<Mantel> {
            let rows = rows.iter().filter(|row| row.variant == variant);
            rows.filter_map(|row| row.mantel).collect()
        };
        let mean = |variant: &str| {
            let found = of(variant);
            assert_eq!(found.len(), 5, "{variant}");
            assert!(found.iter().all(|mantel| mantel.orders == 40_320));
            found.iter().map(|mantel| mantel.rho).sum::<f64>() / 5.0
        };
        // .00, -.03, .35, .54 and .40 in words; one seed of five below .05.
        for (variant, expected) in [
            ("sparse", 0.0),
            ("over_tasks", -0.03),
            ("task_vectors", 0.35),
            ("mmoe_same_parameters", 0.54),
            ("mmoe_same_flops", 0.40),
        ] {
            let found = mean(variant);
            assert!((found - expected).abs() < 0.0051, "{variant}: {found}");
        }
        let below = of("sparse")
            .iter()
            .filter(|mantel| mantel.p_value < 0.05)
            .count();
        assert_eq!(below, 1);
        // One gate for all: cosines of 1 and no rho.
        assert_eq!(of("one_gate"), []);
        let sparse = rows.iter().filter(|row| row.variant == "sparse");
        let similarity = sparse.map(|row| row.mean_similarity).sum::<f64>() / 5.0;
        assert!((similarity - 0.18).abs() < 0.0051, "{similarity}");
        assert!(rows.iter().all(|row| row.variant != "shared_bottom"));
    }
}

//! What experts and gates did with the selected weights: the indices that a report sums up.

use homebench_results::read::{Inside, Place, Results};

/// An index of a cell, at the evaluation of its selected weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    /// Index into [`Results::cells`].
    pub(super) cell: usize,
    /// Layer or level, from 0.
    pub(super) layer: u64,
    /// Its name: one of [`EXPERTS`] or [`GATES`].
    pub(super) metric: &'static str,
    /// The task, where it is of one.
    pub(super) task: String,
    pub(super) value: f64,
}

/// Of `experts.csv`.
const EXPERTS: [&str; 4] = ["zero_rate", "dead_units", "scale_disparity", "occupancy"];
/// Of `gates.csv`.
const GATES: [&str; 3] = ["specific_weight", "specific_weight_rho", "spread"];

/// The indices of every cell that has a selected epoch.
pub(super) fn indices(results: &Results, inside: &Inside) -> Vec<Index> {
    let experts = inside.experts.iter();
    let experts = experts.map(|row| (&row.at, &row.task, &row.metric, row.value));
    let gates = inside.gates.iter();
    let gates = gates.map(|row| (&row.at, &row.task, &row.metric, row.value));
    let mut found = Vec::new();
    collect(experts, &EXPERTS, results, &mut found);
    collect(gates, &GATES, results, &mut found);
    found
}

type Measured<'a> = (&'a Place, &'a String, &'a String, Option<f64>);

fn collect<'a>(
    rows: impl Iterator<Item = Measured<'a>>,
    metrics: &[&'static str],
    results: &Results,
    found: &mut Vec<Index>,
) {
    // The evaluation whose rows come, and where its indices begin.
    let (mut current, mut begin) = (None, found.len());
    for (at, task, metric, value) in rows {
        let metric = metrics.iter().find(|known| *known == metric);
        let (Some(metric), Some(value)) = (metric, value) else {
            continue;
        };
        if results.cells[at.cell].selected_epoch.is_none() {
            continue;
        }
        if current != Some((at.cell, at.step)) {
            // Of several evaluations in the selected epoch the last is kept.
            if current.is_some_and(|(before, _)| before == at.cell) {
                found.truncate(begin);
            }
            (current, begin) = (Some((at.cell, at.step)), found.len());
        }
        found.push(Index {
            cell: at.cell,
            layer: at.layer,
            metric,
            task: task.clone(),
            value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;

    #[test]
    fn only_the_last_evaluation_of_the_selected_epoch_is_kept() {
        let folder = Sample::default().write();
        let text = "cell,variant,seed,epoch,step,layer,path,expert,task,metric,value\n\
                    cell-0-0,a,0,2,10,0,p,0,,zero_rate,0.1\n\
                    cell-0-0,a,0,3,20,0,p,0,,zero_rate,0.2\n\
                    cell-0-0,a,0,3,30,0,p,0,,zero_rate,0.3\n\
                    cell-0-0,a,0,3,30,0,p,0,,mean,9\n\
                    cell-0-0,a,0,3,30,0,,,,scale_disparity,\n\
                    cell-0-0,a,0,4,40,0,p,0,,zero_rate,0.4\n\
                    cell-0-1,a,1,3,30,0,p,0,like,occupancy,0.5\n";
        std::fs::write(folder.path().join("experts.csv"), text).unwrap();
        let results = Results::read(folder.path()).unwrap();
        let found = indices(&results, &Inside::read(&results).unwrap());
        let values: Vec<(usize, &str, f64)> = found
            .iter()
            .map(|index| (index.cell, index.metric, index.value))
            .collect();
        assert_eq!(values, [(0, "zero_rate", 0.3), (1, "occupancy", 0.5)]);
    }
}

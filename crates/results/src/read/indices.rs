//! What experts and gates did with the selected weights: the parts of `experts.csv` and `gates.csv` that a report sums up.
//!
//! Both files have rows for every expert, gate and evaluation, so they are read a row at a time and most of it is passed over.

use super::{ReadError, Results};
use crate::tables::{ExpertsRow, GatesRow, Table, TableReader};

/// An index of a cell, at the evaluation of its selected weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Index into [`Results::cells`].
    pub cell: usize,
    /// Layer or level, from 0.
    pub layer: u64,
    /// Its name: `zero_rate`, `dead_units`, `scale_disparity`, `occupancy`, `specific_weight`, `specific_weight_rho` or `spread`.
    pub metric: &'static str,
    /// The task, where it is of one.
    pub task: String,
    /// The value.
    pub value: f64,
}

/// Of `experts.csv`.
const EXPERTS: [&str; 4] = ["zero_rate", "dead_units", "scale_disparity", "occupancy"];
/// Of `gates.csv`.
const GATES: [&str; 3] = ["specific_weight", "specific_weight_rho", "spread"];

/// The indices of every cell that has a selected epoch; none where the files aren't there.
///
/// # Errors
/// A file that can't be read, a missing column, or a value that is none, with file, line and column.
pub fn indices(results: &Results) -> Result<Vec<Index>, ReadError> {
    let mut found = Vec::new();
    for (name, metrics) in [
        (ExpertsRow::FILE, &EXPERTS[..]),
        (GatesRow::FILE, &GATES[..]),
    ] {
        // Gates have all columns that experts have, and those are enough here.
        match TableReader::<ExpertsRow>::open(&results.folder, name) {
            Err(error) if error.is_absence() => {}
            table => read(table?, metrics, results, &mut found)?,
        }
    }
    Ok(found)
}

fn read(
    mut table: TableReader<ExpertsRow>,
    metrics: &[&'static str],
    results: &Results,
    found: &mut Vec<Index>,
) -> Result<(), ReadError> {
    let places = results.places();
    // The evaluation that is being read, and where its indices begin.
    let (mut current, mut begin) = (None, found.len());
    while table.advance()? {
        let row = table.row()?;
        let metric = metrics.iter().find(|known| **known == row.metric);
        let (Some(metric), Some(value)) = (metric, row.value) else {
            continue;
        };
        let Some(&cell) = places.get(row.cell) else {
            continue;
        };
        if results.cells[cell].selected_epoch != Some(row.epoch) {
            continue;
        }
        if current != Some((cell, row.step)) {
            // Of several evaluations in the selected epoch the last is kept.
            if current.is_some_and(|(before, _)| before == cell) {
                found.truncate(begin);
            }
            (current, begin) = (Some((cell, row.step)), found.len());
        }
        found.push(Index {
            cell,
            layer: row.layer,
            metric,
            task: row.task.to_owned(),
            value,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    #[test]
    fn only_the_last_evaluation_of_the_selected_epoch_is_kept() {
        let folder = Sample::default().write();
        let text = "cell,variant,seed,epoch,step,layer,path,expert,task,metric,value\n\
                    cell-0-0,a,0,2,10,0,p,0,,zero_rate,0.1\n\
                    cell-0-0,a,0,3,20,0,p,0,,zero_rate,0.2\n\
                    cell-0-0,a,0,3,30,0,p,0,,zero_rate,0.3\n\
                    cell-0-0,a,0,3,30,0,p,0,,mean,9\n\
                    cell-0-0,a,0,3,30,0,,,,scale_disparity,\n\
                    cell-0-1,a,1,3,30,0,p,0,like,occupancy,0.5\n";
        std::fs::write(folder.path().join("experts.csv"), text).unwrap();
        let results = Results::read(folder.path()).unwrap();
        let found = indices(&results).unwrap();
        let values: Vec<(usize, &str, f64)> = found
            .iter()
            .map(|index| (index.cell, index.metric, index.value))
            .collect();
        assert_eq!(values, [(0, "zero_rate", 0.3), (1, "occupancy", 0.5)]);
        std::fs::write(
            folder.path().join("experts.csv"),
            text.replace(",0.3\n", ",x\n"),
        )
        .unwrap();
        let refused = indices(&results).unwrap_err().to_string();
        assert!(refused.ends_with("experts.csv, line 4, column `value`: expected a finite number or nothing, found `x`"), "{refused}");
    }
}

//! What experts and gates did with the selected weights: the parts of `experts.csv` and `gates.csv` that a report sums up.
//!
//! Both files have rows for every expert, gate and evaluation, so they are read a row at a time and most of it is passed over.

use super::table::ReadError;
use super::{COUNT, Results};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

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
const COLUMNS: [&str; 7] = ["cell", "epoch", "step", "layer", "task", "metric", "value"];

/// The indices of every cell that has a selected epoch; none where the files aren't there.
///
/// # Errors
/// A file that can't be read, a missing column, or a value that is none, with file, line and column.
pub fn indices(results: &Results) -> Result<Vec<Index>, ReadError> {
    let mut found = Vec::new();
    for (name, metrics) in [("experts.csv", &EXPERTS[..]), ("gates.csv", &GATES[..])] {
        let file = results.folder.join(name);
        if file.exists() {
            read(&file, metrics, results, &mut found)?;
        }
    }
    Ok(found)
}

fn read(
    file: &Path,
    metrics: &[&'static str],
    results: &Results,
    found: &mut Vec<Index>,
) -> Result<(), ReadError> {
    let malformed = |source| ReadError::Malformed {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).map_err(|source| ReadError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let mut reader = csv::Reader::from_reader(std::io::BufReader::with_capacity(1 << 20, opened));
    let columns = columns(file, reader.headers().map_err(malformed)?)?;
    let places: HashMap<&str, usize> = (results.cells.iter().enumerate())
        .map(|(place, cell)| (cell.id.as_str(), place))
        .collect();
    let mut record = csv::StringRecord::new();
    // The evaluation that is being read, and where its indices begin.
    let (mut current, mut begin) = ((usize::MAX, String::new()), found.len());
    while reader.read_record(&mut record).map_err(malformed)? {
        let [id, epoch, step, layer, task, metric, value] = columns.map(|column| &record[column]);
        let Some(metric) = metrics.iter().find(|known| **known == metric) else {
            continue;
        };
        let Some(&cell) = places.get(id) else {
            continue;
        };
        let selected = results.cells[cell].selected_epoch;
        if value.is_empty() || selected.is_none() || epoch.parse() != Ok(selected.unwrap_or(0)) {
            continue;
        }
        if (cell, step) != (current.0, current.1.as_str()) {
            // Of several evaluations in the selected epoch the last is kept.
            if cell == current.0 {
                found.truncate(begin);
            }
            (current, begin) = ((cell, step.to_owned()), found.len());
        }
        let bad = |column, expected, found: &str| ReadError::BadValue {
            file: file.to_owned(),
            line: record.position().map_or(0, csv::Position::line),
            column,
            expected,
            found: found.to_owned(),
        };
        let layer = layer.parse().map_err(|_| bad("layer", COUNT, layer))?;
        let number = value.parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.ok_or_else(|| bad("value", "a finite number or nothing", value))?;
        found.push(Index {
            cell,
            layer,
            metric,
            task: task.to_owned(),
            value: number,
        });
    }
    Ok(())
}

fn columns(file: &Path, headers: &csv::StringRecord) -> Result<[usize; 7], ReadError> {
    let mut places = [0; 7];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        let found = headers.iter().position(|header| header == column);
        *place = found.ok_or_else(|| ReadError::MissingColumn {
            file: file.to_owned(),
            column,
            found: headers.iter().collect::<Vec<_>>().join(","),
        })?;
    }
    Ok(places)
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

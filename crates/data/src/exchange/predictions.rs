//! What another program predicts for the rows that it was given: read, and refused where it can't be of these rows.

use crate::Task;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The column that says which row a prediction is of.
const ROW: &str = "row";
/// Probabilities of exactly 0 or 1 count as so far from it: nothing is certain, and the log-loss of what is wrong would be infinite.
const NEAREST: f64 = 1e-15;

/// Scores of every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Of each task, in its order, one per row: log-odds, or numbers of a regression.
    pub scores: Vec<Vec<f32>>,
    /// Probabilities of exactly 0 or 1, by task.
    pub num_certain: Vec<usize>,
}

/// Why predictions can't be used; text that is the same on every machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PredictionError(String);

fn refuse<T>(message: String) -> Result<T, PredictionError> {
    Err(PredictionError(message))
}

/// Reads `<name>.csv` or `<name>.parquet` in a folder: a column `row`, which counts the rows from 0 in their order, and one for each task, with
/// the probability of the positive class, or the number of a regression.
///
/// # Errors
/// Neither file, or both; a column that is missing; another number or order of rows; a value that is no number, not finite or no
/// probability: each with its place.
pub fn read_predictions(
    folder: &Path,
    name: &str,
    num_rows: usize,
    tasks: &[Task],
) -> Result<Predictions, PredictionError> {
    let [text, parquet] = ["csv", "parquet"].map(|ending| folder.join(format!("{name}.{ending}")));
    let mut collector = Collector::new(name, num_rows, tasks);
    match (text.is_file(), parquet.is_file()) {
        (true, true) => refuse(format!(
            "there are both {name}.csv and {name}.parquet: write one of the two"
        )),
        (false, false) => refuse(format!(
            "it wrote no predictions: expected {name}.csv or {name}.parquet, with the columns {}",
            collector.columns().join(", ")
        )),
        (true, false) => collector.read_csv(&text),
        (false, true) => collector.read_parquet(&parquet),
    }?;
    collector.finish()
}

struct Collector<'a> {
    file: String,
    num_rows: usize,
    tasks: &'a [Task],
    scores: Vec<Vec<f32>>,
    num_certain: Vec<usize>,
    done: usize,
}

impl<'a> Collector<'a> {
    fn new(name: &str, num_rows: usize, tasks: &'a [Task]) -> Self {
        Self {
            file: name.to_owned(),
            num_rows,
            tasks,
            scores: vec![Vec::with_capacity(num_rows); tasks.len()],
            num_certain: vec![0; tasks.len()],
            done: 0,
        }
    }

    fn columns(&self) -> Vec<&str> {
        let tasks = self.tasks.iter().map(|task| task.name.as_str());
        std::iter::once(ROW).chain(tasks).collect()
    }

    /// Places of the columns in a header.
    fn places(&self, header: &[String]) -> Result<Vec<usize>, PredictionError> {
        let wanted = self.columns();
        let place = |column: &&str| {
            let mut places = header.iter().enumerate().filter(|(_, name)| name == column);
            match (places.next(), places.next()) {
                (Some((place, _)), None) => Ok(place),
                (Some(_), Some(_)) => refuse(format!(
                    "{}: the column `{column}` is there twice",
                    self.file
                )),
                (None, _) => refuse(format!(
                    "{}: expected a column `{column}`, found {}: write {}",
                    self.file,
                    header.join(", "),
                    wanted.join(", ")
                )),
            }
        };
        wanted.iter().map(place).collect()
    }

    fn read_csv(&mut self, path: &Path) -> Result<(), PredictionError> {
        self.file += ".csv";
        let file = self.file.clone();
        let unreadable = |error: csv::Error| PredictionError(format!("{file}: no table: {error}"));
        let mut reader = csv::Reader::from_path(path).map_err(unreadable)?;
        let header = reader.headers().map_err(unreadable)?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let places = self.places(&header)?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(unreadable)? {
            let number = |place: usize| record[place].trim().parse::<f64>().ok();
            let shown = |place: usize| record[place].to_owned();
            self.row(&places, &number, &shown)?;
        }
        Ok(())
    }

    fn read_parquet(&mut self, path: &PathBuf) -> Result<(), PredictionError> {
        self.file += ".parquet";
        let file = self.file.clone();
        let unreadable =
            |error: &dyn std::fmt::Display| PredictionError(format!("{file}: no table: {error}"));
        let opened = File::open(path).map_err(|error| unreadable(&error))?;
        let reader = SerializedFileReader::new(opened).map_err(|error| unreadable(&error))?;
        let schema = reader.metadata().file_metadata().schema();
        let header: Vec<String> = schema
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect();
        let places = self.places(&header)?;
        for row in reader
            .get_row_iter(None)
            .map_err(|error| unreadable(&error))?
        {
            let row = row.map_err(|error| unreadable(&error))?;
            let fields: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
            let number = |place: usize| number_of(fields[place]);
            let shown = |place: usize| fields[place].to_string();
            self.row(&places, &number, &shown)?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        places: &[usize],
        number: &dyn Fn(usize) -> Option<f64>,
        shown: &dyn Fn(usize) -> String,
    ) -> Result<(), PredictionError> {
        let (file, done) = (&self.file, self.done);
        if done == self.num_rows {
            return refuse(format!(
                "{file}: more than the {done} rows of the split: write one for each row that was given"
            ));
        }
        if number(places[0]) != Some(done as f64) {
            return refuse(format!(
                "{file}, row {done} (counted from 0), column `{ROW}`: expected {done}, found `{}`: write the rows in the order in which \
                 they were given, numbered from 0",
                shown(places[0])
            ));
        }
        for (task, place) in self.tasks.iter().enumerate().zip(&places[1..]) {
            let (index, task) = task;
            let is_fit = |value: &f64| match task.is_regression() {
                true => (*value as f32).is_finite(),
                false => (0.0..=1.0).contains(value),
            };
            let Some(value) = number(*place).filter(is_fit) else {
                let expected = match task.is_regression() {
                    true => "a finite number of 32 bits",
                    false => "a probability from 0 to 1",
                };
                return refuse(format!(
                    "{file}, row {done} (counted from 0), column `{}`: expected {expected}, found `{}`",
                    task.name,
                    shown(*place)
                ));
            };
            self.scores[index].push(match task.is_regression() {
                true => value as f32,
                false => log_odds(value),
            });
            if !task.is_regression() && (value == 0.0 || value == 1.0) {
                self.num_certain[index] += 1;
            }
        }
        self.done += 1;
        Ok(())
    }

    fn finish(self) -> Result<Predictions, PredictionError> {
        if self.done < self.num_rows {
            return refuse(format!(
                "{}: {} rows, the split has {}: write one for each row that was given",
                self.file, self.done, self.num_rows
            ));
        }
        Ok(Predictions {
            scores: self.scores,
            num_certain: self.num_certain,
        })
    }
}

fn log_odds(probability: f64) -> f32 {
    let probability = probability.clamp(NEAREST, 1.0 - NEAREST);
    (libm::log(probability) - libm::log1p(-probability)) as f32
}

fn number_of(field: &Field) -> Option<f64> {
    Some(match field {
        Field::Byte(number) => f64::from(*number),
        Field::Short(number) => f64::from(*number),
        Field::Int(number) => f64::from(*number),
        Field::Long(number) => *number as f64,
        Field::UByte(number) => f64::from(*number),
        Field::UShort(number) => f64::from(*number),
        Field::UInt(number) => f64::from(*number),
        Field::ULong(number) => *number as f64,
        Field::Float(number) => f64::from(*number),
        Field::Double(number) => *number,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskKind;

    fn read(text: &str) -> Result<Predictions, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("validation.csv"), text).unwrap();
        let task = |name: &str, kind| Task {
            name: name.to_owned(),
            group: 0,
            kind,
            after: None,
        };
        let tasks = [
            task("click", TaskKind::Classification),
            task("watch", TaskKind::Regression),
        ];
        read_predictions(folder.path(), "validation", 2, &tasks).map_err(|error| error.to_string())
    }

    #[test]
    fn probabilities_become_log_odds_and_columns_may_be_in_any_order() {
        let found = read("watch,row,click,more\n-2.5,0,0.75,x\n1e3,1,1,y\n").unwrap();
        assert_eq!(found.scores[0][0], 3f32.ln());
        assert!((found.scores[0][1] - 34.54).abs() < 0.01);
        assert_eq!(found.scores[1], [-2.5, 1000.0]);
        assert_eq!(found.num_certain, [1, 0]);
    }

    #[test]
    fn what_is_not_of_these_rows_is_refused_with_its_place() {
        let refused = |text: &str| read(text).unwrap_err();
        insta::assert_snapshot!(refused("row,click,watch\n0,0.5,1\n"), @"validation.csv: 1 rows, the split has 2: write one for each row that was given");
        insta::assert_snapshot!(refused("row,click,watch\n0,0.5,1\n1,0.5,1\n2,0.5,1\n"), @"validation.csv: more than the 2 rows of the split: write one for each row that was given");
        insta::assert_snapshot!(refused("row,click,watch\n1,0.5,1\n0,0.5,1\n"), @"validation.csv, row 0 (counted from 0), column `row`: expected 0, found `1`: write the rows in the order in which they were given, numbered from 0");
        insta::assert_snapshot!(refused("row,click,watch\n0,0.5,1\n1,nan,1\n"), @"validation.csv, row 1 (counted from 0), column `click`: expected a probability from 0 to 1, found `nan`");
        insta::assert_snapshot!(refused("row,click,watch\n0,0.5,1\n1,0.5,inf\n"), @"validation.csv, row 1 (counted from 0), column `watch`: expected a finite number of 32 bits, found `inf`");
        insta::assert_snapshot!(refused("row,click,watch\n0,-1.5,1\n"), @"validation.csv, row 0 (counted from 0), column `click`: expected a probability from 0 to 1, found `-1.5`");
        insta::assert_snapshot!(refused("row,clicks,watch\n"), @"validation.csv: expected a column `click`, found row, clicks, watch: write row, click, watch");
        insta::assert_snapshot!(refused("row,click,click,watch\n"), @"validation.csv: the column `click` is there twice");
        assert!(refused("row,click,watch\n0,0.5\n").starts_with("validation.csv: no table: "));
    }

    #[test]
    fn no_file_and_two_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || {
            let read = read_predictions(folder.path(), "test", 1, &[]);
            read.unwrap_err().to_string()
        };
        insta::assert_snapshot!(refused(), @"it wrote no predictions: expected test.csv or test.parquet, with the columns row");
        std::fs::write(folder.path().join("test.csv"), "row\n0\n").unwrap();
        std::fs::write(folder.path().join("test.parquet"), "").unwrap();
        insta::assert_snapshot!(refused(), @"there are both test.csv and test.parquet: write one of the two");
    }
}

//! Writing the predictions of a split as its rows are scored.

use super::ScoreScale;
use super::layout::{PredictedTask, PredictionLayout};
use super::sink::{LABEL, OBSERVED, ROW, SOURCE_ROW, TableFormat, TableSink, about, score_name};
use crate::carried::source_row_array;
use crate::table::NOBODY;
use crate::{Batch, Split};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int8Array, RecordBatch, UInt32Array};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rayon::prelude::*;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

/// Rows that are written at once.
const BUFFER_ROWS: usize = 1 << 16;

/// Writes a Parquet file of predictions as rows come, in their order; in memory are a few thousand rows at a time.
///
/// A row has its place in the prepared split (`row`, from 0) and, where rows come from files, in the source (`source_row`), then the user
/// and the keys, then for every task `label_<task>` (null where it is not observed), `observed_<task>` and `score_<task>`.
pub struct PredictionWriter<W: Write + Send> {
    layout: PredictionLayout,
    schema: SchemaRef,
    sink: TableSink<W>,
    /// Of the first row that waits.
    start: usize,
    num_waiting: usize,
    /// Row-major [rows, tasks], as `labels`.
    outputs: Vec<f32>,
    labels: Vec<f32>,
    users: Vec<u32>,
}

impl<W: Write + Send> PredictionWriter<W> {
    /// Of the rows of a split.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn new(sink: W, layout: PredictionLayout, split: &Split) -> io::Result<Self> {
        let schema = Arc::new(schema(&layout, split));
        Ok(Self {
            sink: TableSink::new(sink, &schema, TableFormat::Parquet)?,
            schema,
            layout,
            start: 0,
            num_waiting: 0,
            outputs: Vec::new(),
            labels: Vec::new(),
            users: Vec::new(),
        })
    }

    /// Appends the next rows of the split, with a model's outputs, row-major [rows, tasks].
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn append(&mut self, split: &Split, rows: &Batch, outputs: &[f32]) -> io::Result<()> {
        self.outputs.extend_from_slice(outputs);
        self.labels.extend_from_slice(&rows.labels);
        self.users.extend_from_slice(&rows.users);
        self.num_waiting += rows.num_rows;
        match self.num_waiting >= BUFFER_ROWS {
            true => self.flush(split),
            false => Ok(()),
        }
    }

    /// Writes what is left, and gives the file back.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn finish(mut self, split: &Split) -> io::Result<W> {
        if self.num_waiting > 0 {
            self.flush(split)?;
        }
        self.sink.finish()
    }

    fn flush(&mut self, split: &Split) -> io::Result<()> {
        let rows = self.start..self.start + self.num_waiting;
        let mut columns = vec![source_row_array(rows.clone().map(|row| row as u64))];
        columns.extend(self.naming(split, &rows));
        let num_tasks = self.layout.tasks.len();
        let (outputs, labels) = (&self.outputs, &self.labels);
        let tasks = self.layout.tasks.par_iter().enumerate();
        let of_tasks: Vec<[ArrayRef; 3]> = tasks
            .map(|(index, task)| {
                let column = |values: &[f32]| -> Vec<f32> {
                    values
                        .iter()
                        .skip(index)
                        .step_by(num_tasks)
                        .copied()
                        .collect()
                };
                let (outputs, labels) = (column(outputs), column(labels));
                let scores = outputs.iter().map(|output| task.scale.score(*output));
                let scores: Float64Array = Float64Array::from_iter_values(scores);
                let observed: BooleanArray =
                    labels.iter().map(|label| Some(!label.is_nan())).collect();
                let labels = label_array(task, &labels, &observed, split, &rows);
                [labels, Arc::new(observed), Arc::new(scores)]
            })
            .collect();
        columns.extend(of_tasks.into_iter().flatten());
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(io::Error::other)?;
        self.sink.write(&batch)?;
        self.start = rows.end;
        self.num_waiting = 0;
        self.outputs.clear();
        self.labels.clear();
        self.users.clear();
        Ok(())
    }

    /// What says which rows these are.
    fn naming(&self, split: &Split, rows: &Range<usize>) -> Vec<ArrayRef> {
        if let Some(carried) = split.named() {
            let places = 0..=self.layout.num_named;
            return places
                .map(|column| carried.array(column, rows.clone()))
                .collect();
        }
        let users = self.users.iter();
        let users = users.map(|user| (*user != NOBODY).then_some(*user));
        let users = (self.layout.made_user.as_ref()).map(|_| users.collect::<UInt32Array>());
        users
            .into_iter()
            .map(|users| Arc::new(users) as ArrayRef)
            .collect()
    }
}

/// Labels as people know them: 0 and 1, or the numbers of the label's column.
fn label_array(
    task: &PredictedTask,
    labels: &[f32],
    observed: &BooleanArray,
    split: &Split,
    rows: &Range<usize>,
) -> ArrayRef {
    match (task.scale, task.label, split.named()) {
        (ScoreScale::Probability, ..) => {
            let label = |label: &f32| (!label.is_nan()).then_some(i8::from(*label > 0.5));
            Arc::new(labels.iter().map(label).collect::<Int8Array>())
        }
        (_, Some(place), Some(carried)) => {
            let numbers = carried.array(place + 1, rows.clone());
            let hidden: BooleanArray = observed.iter().map(|is| is.map(|is| !is)).collect();
            // What is there and not observed is no label.
            nullif(numbers.as_ref(), &hidden).expect("a flag for every row")
        }
        _ => {
            let label = |label: &f32| (!label.is_nan()).then(|| task.scale.score(*label));
            Arc::new(labels.iter().map(label).collect::<Float64Array>())
        }
    }
}

fn schema(layout: &PredictionLayout, split: &Split) -> Schema {
    let mut fields = vec![about(
        Field::new(ROW, DataType::UInt64, false),
        "place of the row in its prepared split, from 0, as `homebench data export` writes it",
    )];
    match split.named() {
        Some(carried) => {
            fields.push(about(
                Field::new(SOURCE_ROW, DataType::UInt64, false),
                "place of the row among those of the files that the split comes from, from 0, before the filter; training files are \
                 counted apart from others",
            ));
            fields.extend(carried.fields().take(layout.num_named).cloned());
        }
        None => {
            let user = layout.made_user.iter();
            fields.extend(user.map(|name| Field::new(name, DataType::UInt32, true)));
        }
    }
    for task in &layout.tasks {
        let (label, score) = match task.scale {
            ScoreScale::Probability => (DataType::Int8, "probability that the label is 1"),
            ScoreScale::Number { .. } => (
                DataType::Float64,
                "predicted number, on the scale of the label's column",
            ),
        };
        let name = &task.name;
        fields.extend([
            about(
                Field::new(format!("{LABEL}{name}"), label, true),
                "the label, null where it is not observed",
            ),
            Field::new(format!("{OBSERVED}{name}"), DataType::Boolean, false),
            about(
                Field::new(score_name(name), DataType::Float64, false),
                score,
            ),
        ]);
    }
    Schema::new(fields)
}

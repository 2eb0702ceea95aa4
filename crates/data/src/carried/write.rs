//! Writing carried columns: as they come into a temporary file a split, then in blocks, with their final types.

use super::kind::{CarriedKind, usual_integer};
use super::{SOURCE_ROW, source_row_array};
use crate::expression::Values;
use crate::packed::{BLOCK_ROWS, Hashing, Watched, Written};
use crate::{SPLITS, cant_write};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use homebench_diagnostic::Diagnostic;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Takes the rows of each split in their order.
pub(crate) struct CarriedWriter {
    folder: PathBuf,
    kinds: Vec<CarriedKind>,
    schema: SchemaRef,
    spills: Vec<FileWriter<BufWriter<File>>>,
    /// Per column, whether every text so far is a whole number, and there is one.
    are_integers: Vec<Option<bool>>,
}

impl CarriedWriter {
    /// Of columns with these names, into `folder`.
    ///
    /// # Errors
    /// A folder that can't be written.
    pub(crate) fn create(
        folder: &Path,
        columns: &[(&str, CarriedKind)],
    ) -> Result<Self, Diagnostic> {
        let source_row = Field::new(SOURCE_ROW, DataType::UInt64, false);
        let fields = columns
            .iter()
            .map(|(name, kind)| Field::new(*name, kind.data_type(), true));
        let fields: Vec<Field> = std::iter::once(source_row).chain(fields).collect();
        let schema = Arc::new(Schema::new(fields));
        let spill = |name: &&str| {
            let path = spill_path(folder, name);
            let failed = |error: ArrowError| cant_write(&path, &error);
            let file = File::create(&path).map_err(|error| cant_write(&path, &error))?;
            FileWriter::try_new(BufWriter::with_capacity(1 << 20, file), &schema).map_err(failed)
        };
        Ok(Self {
            spills: SPLITS.iter().map(spill).collect::<Result<_, _>>()?,
            folder: folder.to_path_buf(),
            kinds: columns.iter().map(|(_, kind)| *kind).collect(),
            are_integers: vec![None; columns.len()],
            schema,
        })
    }

    /// Some of the rows of a piece, whose columns have these values.
    pub(crate) fn rows(
        &self,
        columns: &[Values],
        source_rows: &[u64],
        rows: &[usize],
    ) -> Option<RecordBatch> {
        if rows.is_empty() {
            return None;
        }
        let source_rows = source_row_array(rows.iter().map(|row| source_rows[*row]));
        let columns = columns.iter().zip(&self.kinds);
        let columns = columns.map(|(values, kind)| kind.array(values, rows));
        let columns: Vec<ArrayRef> = std::iter::once(source_rows).chain(columns).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns);
        Some(batch.expect("every column has its type and one value a row"))
    }

    /// Appends what [`Self::rows`] gave for a split.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn append(
        &mut self,
        split: usize,
        rows: Option<RecordBatch>,
    ) -> Result<(), Diagnostic> {
        let Some(rows) = rows else { return Ok(()) };
        for (index, kind) in self.kinds.iter().enumerate() {
            let is_open =
                *kind == CarriedKind::Undeclared && self.are_integers[index] != Some(false);
            if is_open {
                let texts = rows.column(index + 1).as_string::<i32>();
                let all = texts
                    .iter()
                    .flatten()
                    .all(|text| usual_integer(text).is_some());
                if texts.null_count() < texts.len() {
                    self.are_integers[index] = Some(all);
                }
            }
        }
        let written = self.spills[split].write(&rows);
        written.map_err(|error| cant_write(&spill_path(&self.folder, SPLITS[split]), &error))
    }

    /// Writes the file of each split.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn finish(self) -> Result<[Written; 3], Diagnostic> {
        let mut fields = vec![self.schema.field(0).clone()];
        for (index, is_integer) in self.are_integers.iter().enumerate() {
            let field = self.schema.field(index + 1).clone();
            fields.push(match is_integer {
                Some(true) => field.with_data_type(DataType::Int64),
                _ => field,
            });
        }
        let schema = Arc::new(Schema::new(fields));
        let mut written = Vec::with_capacity(SPLITS.len());
        for (name, mut spill) in SPLITS.iter().zip(self.spills) {
            let path = spill_path(&self.folder, name);
            let finished = spill.finish().and_then(|()| Ok(spill.get_mut().flush()?));
            finished.map_err(|error| cant_write(&path, &error))?;
            drop(spill);
            let final_path = self.folder.join(format!("{name}.arrow"));
            let copied = copy(&path, &final_path, &schema);
            written.push(copied.map_err(|error| cant_write(&final_path, &error))?);
            std::fs::remove_file(&path).map_err(|error| cant_write(&path, &error))?;
        }
        Ok(written.try_into().expect("one for each split"))
    }
}

fn spill_path(folder: &Path, split: &str) -> PathBuf {
    folder.join(format!("{split}.spill"))
}

/// Writes rows in blocks, by count, wherever their source was cut.
fn copy(from: &Path, to: &Path, schema: &SchemaRef) -> Result<Written, ArrowError> {
    let reader = FileReader::try_new(BufReader::new(File::open(from)?), None)?;
    let sink = Hashing::new(BufWriter::with_capacity(1 << 20, File::create(to)?));
    let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?;
    let mut writer = FileWriter::try_new_with_options(sink, schema, options)?;
    let (mut pending, mut num_pending, mut num_rows) = (Vec::new(), 0, 0);
    for batch in reader {
        let mut batch = typed(&batch?, schema)?;
        num_rows += batch.num_rows();
        while num_pending + batch.num_rows() >= BLOCK_ROWS {
            let taken = BLOCK_ROWS - num_pending;
            pending.push(batch.slice(0, taken));
            writer.write(&concat_batches(schema, &pending)?)?;
            pending.clear();
            num_pending = 0;
            batch = batch.slice(taken, batch.num_rows() - taken);
        }
        num_pending += batch.num_rows();
        pending.push(batch);
    }
    if num_pending > 0 {
        writer.write(&concat_batches(schema, &pending)?)?;
    }
    writer.finish()?;
    writer.get_mut().flush()?;
    let sink = writer.get_ref();
    Ok(Written {
        rows: num_rows,
        positives: Vec::new(),
        observed: Vec::new(),
        list_ids: Vec::new(),
        numbers: Vec::new(),
        watched: Watched::default(),
        bytes: sink.bytes,
        blake3: sink.blake3(),
    })
}

/// The same rows with texts that are whole numbers as such.
fn typed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(
        |(column, field)| match column.data_type() == field.data_type() {
            true => column.clone(),
            false => {
                let texts = column.as_string::<i32>();
                let integers = texts.iter().map(|text| usual_integer(text?));
                Arc::new(integers.collect::<Int64Array>()) as ArrayRef
            }
        },
    );
    RecordBatch::try_new(schema.clone(), columns.collect())
}

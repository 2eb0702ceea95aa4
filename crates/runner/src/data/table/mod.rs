//! Preparation of delimited text: read once in parallel, learn from training rows, encode.
//!
//! Pieces of fixed size are parsed in parallel and joined in the order of the file, so that the result doesn't depend
//! on the number of threads.

pub(super) mod assign;
mod chunks;
mod compressed;
mod encode;
mod fault;
mod fit;
mod interner;
mod join;
mod parse;
mod records;
mod spill;

use super::description::{SourceFile, TablePlan};
use super::packed::{PackedWriter, Written};
use super::pipeline::pipeline;
use super::{Batch, CategoricalFeature, Observer, RowSubset, SPLITS};
use crate::diagnostic::Diagnostic;
use assign::{Assignment, Side};
use chunks::{Chunk, TextFile};
use encode::Encoding;
use interner::Interner;
use join::JoinTable;
use parse::{Columns, Context, Parsed};
use rayon::prelude::*;
use spill::{Rows, Spill};
use std::path::{Path, PathBuf};

/// Pieces parsed before their rows are joined; a bound on memory.
const WAVE: usize = 16;

/// Inputs of a prepared table and its files, by split.
pub(super) struct PreparedTable {
    pub(super) categorical: Vec<CategoricalFeature>,
    pub(super) numeric: Vec<String>,
    pub(super) written: [Written; 3],
}

/// Prepares `files` (in the order of the description) into `folder`.
///
/// # Errors
/// A row that isn't as described, an empty split, a folder that can't be written.
pub(super) fn prepare(
    plan: &TablePlan,
    sources: &[SourceFile],
    files: &[PathBuf],
    subset: RowSubset,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<PreparedTable, Diagnostic> {
    let columns = Columns::of(plan);
    let mut texts = vec![Interner::default(); columns.texts.len()];
    let splits = read(
        plan, &columns, sources, files, subset, folder, &mut texts, observer,
    )?;
    for (name, rows) in SPLITS.iter().zip(&splits) {
        if rows.is_empty() {
            let said = Diagnostic::new(
                path_of(plan, files, name),
                format!("the {name} split has no row"),
            );
            return Err(match &plan.filter {
                Some(_) => said
                    .hint("does `filter` leave out too much? Or [split] put every row elsewhere?"),
                None => said,
            });
        }
    }
    let (encoders, words) = fit::fit(plan, &columns, &texts, &splits[assign::TRAIN]);
    let encoding = Encoding::new(plan, &columns, encoders);
    for name in encoding.constants() {
        observer.notice(&format!(
            "the feature `{name}` is the same on every training row; it is 0 everywhere"
        ));
    }
    let path = folder.join("vocabularies.csv");
    encode::write_vocabularies(&path, &plan.features, &words)
        .map_err(|error| super::cant_write(&path, &error))?;
    let path = folder.join("numbers.csv");
    encode::write_numbers(&path, &encoding).map_err(|error| super::cant_write(&path, &error))?;
    let total: u64 = splits
        .iter()
        .flatten()
        .map(|rows| rows.num_rows as u64)
        .sum();
    let mut done = 0;
    let mut written = Vec::with_capacity(3);
    for (name, rows) in SPLITS.iter().zip(&splits) {
        let path = folder.join(format!("{name}.arrow"));
        let mut writer = PackedWriter::create(path, encoding.widths(plan.labels.len()))?;
        let encode = |wave: &[Rows]| -> Vec<Batch> {
            let rows = wave.par_iter();
            rows.map(|rows| encoding.encode(rows, columns.texts.len(), columns.numbers.len()))
                .collect()
        };
        pipeline(rows.chunks(WAVE), encode, |batches: Vec<Batch>| {
            for batch in &batches {
                writer.append(batch)?;
                done += batch.num_rows as u64;
            }
            observer.progress("encoding rows", done, total);
            Ok(())
        })?;
        written.push(writer.finish()?);
        if let Some(task) = written
            .last()
            .and_then(|split: &Written| split.observed.iter().position(|rows| *rows == 0))
        {
            let label = plan.labels[task].observed.as_ref();
            let condition = label.map(|observed| observed.canonical(&plan.columns));
            let message = format!(
                "no row of the {name} split is observed for the task whose `observed` is {}",
                condition.unwrap_or_default()
            );
            return Err(Diagnostic::new(path_of(plan, files, name), message)
                .hint("correct `observed` of the task, or leave the task out of the protocol"));
        }
    }
    Ok(PreparedTable {
        written: written.try_into().expect("one for each split"),
        categorical: encoding.categorical_features,
        numeric: encoding.numeric_features,
    })
}

/// The file that a split's rows come from.
fn path_of(plan: &TablePlan, files: &[PathBuf], split: &str) -> String {
    let sides = assign::sides(&plan.split);
    let is_of = |side: &Side| match side {
        Side::Train => split == SPLITS[0],
        Side::Holdout => split != SPLITS[0],
        Side::Mixed => true,
    };
    let file = sides.iter().find(|(side, _)| is_of(side));
    file.map_or_else(String::new, |(_, file)| files[*file].display().to_string())
}

/// Parses the files into the rows of each split, with codes in `texts`.
fn read(
    plan: &TablePlan,
    columns: &Columns,
    sources: &[SourceFile],
    files: &[PathBuf],
    subset: RowSubset,
    folder: &Path,
    texts: &mut [Interner],
    observer: &mut dyn Observer,
) -> Result<[Vec<Rows>; 3], Diagnostic> {
    let sides = assign::sides(&plan.split);
    let own = &plan.columns[..plan.num_own_columns];
    let opened = sides
        .iter()
        .map(|(_, file)| TextFile::open(&files[*file], plan.format, own))
        .collect::<Result<Vec<_>, _>>()?;
    for (text, (_, file)) in opened.iter().zip(&sides) {
        let found = text.num_rows();
        if let Some(expected) = sources[*file].rows.filter(|expected| *expected != found) {
            return Err(Diagnostic::new(
                text.path.display().to_string(),
                format!("expected {expected} rows, found {found}"),
            )
            .hint("the file is cut or another one; remove it and get it again"));
        }
    }
    // Training files, and the others: rows are counted on from file to file of a side.
    let mut num_rows = [0; 2];
    let starts: Vec<u64> = opened
        .iter()
        .zip(&sides)
        .map(|(text, (side, _))| {
            let side = &mut num_rows[usize::from(*side != Side::Train)];
            *side += text.num_rows();
            *side - text.num_rows()
        })
        .collect();
    if let RowSubset::TrainRows(wanted) = subset
        && let [(Side::Train, _), ..] = sides[..]
        && wanted as u64 > num_rows[0]
    {
        observer.notice(&format!(
            "{wanted} training rows were asked for, there are {}; all are used",
            num_rows[0]
        ));
    }
    let assignment = Assignment::new(&plan.split, num_rows, subset);
    let joins = plan
        .joins
        .par_iter()
        .map(|join| JoinTable::read(plan, join, columns, &files[join.file]))
        .collect::<Result<Vec<_>, _>>()?;
    let context = Context {
        plan,
        columns,
        joins: &joins,
        assignment: &assignment,
    };
    let mut num_dropped = 0;
    let mut num_unmatched = vec![0; joins.len()];
    let mut spills = SPLITS.map(|name| Spill::new(folder.join(format!("{name}.spill"))));
    let total = num_rows.iter().sum();
    let mut done = 0;
    for ((file, (side, _)), start) in opened.iter().zip(&sides).zip(starts) {
        let parse = |wave: &[Chunk]| -> Vec<Result<Parsed, Diagnostic>> {
            let chunks = wave.par_iter();
            chunks
                .map(|chunk| {
                    let parsed = parse::parse(&context, (*side, start, file), chunk);
                    file.release(chunk);
                    parsed
                })
                .collect()
        };
        pipeline(file.chunks.chunks(WAVE), parse, |wave| {
            let mut renumbered = Vec::with_capacity(wave.len());
            // In order, so that the first fault of the file is the one that is told, and texts have the numbers of their order.
            for parsed in wave {
                let parsed = parsed?;
                num_dropped += parsed.num_dropped;
                for (sum, more) in num_unmatched.iter_mut().zip(&parsed.num_unmatched) {
                    *sum += more;
                }
                done += parsed.num_rows;
                let ids = renumbering(&parsed, texts);
                renumbered.push((parsed, ids));
            }
            let divided: Vec<[Option<Rows>; 3]> = renumbered
                .into_par_iter()
                .map(|(parsed, ids)| divide(parsed, &ids, columns, plan.labels.len()))
                .collect();
            for rows in divided {
                for (rows, spill) in rows.into_iter().zip(&mut spills) {
                    rows.map_or(Ok(()), |rows| spill.append(rows))?;
                }
            }
            observer.progress("reading rows", done, total);
            Ok(())
        })?;
    }
    let in_use: u64 = num_rows.iter().sum();
    if num_dropped > 0 {
        observer.notice(&format!(
            "the filter left out {num_dropped} of {in_use} rows"
        ));
    }
    for (join, count) in plan.joins.iter().zip(num_unmatched) {
        if count > 0 {
            let name = files[join.file].display();
            observer.notice(&format!(
                "{count} of {in_use} rows have no row in {name}; its columns are empty there"
            ));
        }
    }
    let [a, b, c] = spills.map(Spill::read);
    Ok([a?, b?, c?])
}

/// The numbers among all pieces' texts of a piece's own, by column.
fn renumbering(parsed: &Parsed, texts: &mut [Interner]) -> Vec<Vec<u32>> {
    let columns = parsed.texts.iter().zip(texts);
    let renumbered = columns.map(|(own, all)| {
        (0..own.len() as u32)
            .map(|id| all.intern(own.text(id), own.count(id)))
            .collect()
    });
    renumbered.collect()
}

/// A piece's rows by split, with the numbers that all pieces share.
fn divide(parsed: Parsed, ids: &[Vec<u32>], columns: &Columns, labels: usize) -> [Option<Rows>; 3] {
    let Parsed {
        splits,
        mut codes,
        numbers,
        labels: label_values,
        ..
    } = parsed;
    if !ids.is_empty() {
        for row in codes.chunks_exact_mut(ids.len()) {
            for (code, ids) in row.iter_mut().zip(ids) {
                *code = ids[*code as usize];
            }
        }
    }
    let count = |split: u8| splits.iter().filter(|other| **other == split).count();
    let counts = [0, 1, 2].map(count);
    if let Some(only) = counts.iter().position(|count| *count == splits.len()) {
        let mut rows = [None, None, None];
        if !splits.is_empty() {
            rows[only] = Some(Rows::new(splits.len(), codes, numbers, label_values));
        }
        return rows;
    }
    [0, 1, 2].map(|split: u8| {
        let count = counts[usize::from(split)];
        let codes = pick(&codes, columns.texts.len(), &splits, split);
        let numbers = pick(&numbers, columns.numbers.len(), &splits, split);
        let label_values = pick(&label_values, labels, &splits, split);
        (count > 0).then(|| Rows::new(count, codes, numbers, label_values))
    })
}

/// The rows of one split.
fn pick<T: Copy>(values: &[T], width: usize, splits: &[u8], split: u8) -> Vec<T> {
    if width == 0 {
        return Vec::new();
    }
    let mut picked = Vec::with_capacity(values.len());
    for (row, other) in values.chunks_exact(width).zip(splits) {
        if *other == split {
            picked.extend_from_slice(row);
        }
    }
    picked
}

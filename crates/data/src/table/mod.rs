//! Preparation of tables: read once in parallel, learn from training rows, encode.
//!
//! Pieces of fixed size are parsed in parallel and joined in the order of the file, so that the result doesn't depend
//! on the number of threads.

pub(super) mod bad_row;
pub(super) mod column_slots;
pub(super) mod columnar;
mod distinct_texts;
mod empty_split;
mod encode;
pub(super) mod file_pieces;
mod fit;
pub(super) mod interner;
mod join_table;
pub(super) mod list_text;
mod map_source;
mod parse_rows;
pub(super) mod row;
mod row_lists;
mod row_spill;
mod sniff;
pub(super) mod split_assignment;
pub(super) mod text_chunks;
mod text_marks;
pub(super) mod text_records;
pub(super) mod text_rows;
mod text_tokens;
mod wrong_header;
mod wrong_layout;

use super::packed::{PackedWriter, Written};
use super::pipeline::pipeline;
use super::schema::{SourceFile, TablePlan};
use super::{Batch, CategoricalFeature, ListFeature, Observer, RowSubset, SPLITS};
use column_slots::ColumnSlots;
use distinct_texts::{DistinctTexts, Renumbering};
use encode::RowEncoder;
use file_pieces::{Piece, TableFile};
use homebench_diagnostic::Diagnostic;
use join_table::JoinTable;
use parse_rows::{Context, Parsed};
use rayon::prelude::*;
use row_lists::RowLists;
use row_spill::{CodedRows, Spill};
use split_assignment::{Assignment, Side};
use std::path::{Path, PathBuf};

/// Blocks encoded before they are written; a bound on memory.
// Two waves are in memory at a time: the one that is written and the one that is encoded meanwhile.
const WAVE: usize = 16;

/// Inputs of a prepared table and its files, by split.
pub(super) struct PreparedTable {
    pub(super) categorical: Vec<CategoricalFeature>,
    pub(super) lists: Vec<ListFeature>,
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
    let columns = ColumnSlots::of_plan(plan);
    let mut texts = DistinctTexts::new(&columns);
    let splits = read(
        plan, &columns, sources, files, subset, folder, &mut texts, observer,
    )?;
    texts.say_undecoded(plan, &columns, observer);
    empty_split::refuse(plan, files, &splits)?;
    // From training rows alone: statistics of the other splits would tell models about rows that
    // they are scored on.
    let (encoders, words) = fit::fit(
        plan,
        &columns,
        &texts.texts,
        &texts.lists,
        &splits[split_assignment::TRAIN],
    );
    let scales = fit::label_scales(plan, &splits[split_assignment::TRAIN]);
    let encoding = RowEncoder::new(plan, &columns, encoders, scales);
    for name in encoding.constants() {
        observer.notice(&format!(
            "the feature `{name}` is the same on every training row; it is 0 everywhere"
        ));
    }
    // This and the next file are for people; nothing here reads them back.
    let path = folder.join("vocabularies.csv");
    encode::write_vocabularies(&path, &plan.features, &words)
        .map_err(|error| super::cant_write(&path, &error))?;
    let path = folder.join("numbers.csv");
    encode::write_numbers(&path, plan, &encoding)
        .map_err(|error| super::cant_write(&path, &error))?;
    let total: u64 = splits
        .iter()
        .flatten()
        .map(|rows| rows.num_rows as u64)
        .sum();
    let mut done = 0;
    let mut written = Vec::with_capacity(3);
    for (name, rows) in SPLITS.iter().zip(&splits) {
        let path = folder.join(format!("{name}.arrow"));
        let mut writer = PackedWriter::create(path, encoding.widths(plan.labels.len()))?
            .measuring(plan.regressions());
        let encode = |wave: &[CodedRows]| -> Vec<Batch> {
            let rows = wave.par_iter();
            rows.map(|rows| encoding.encode(rows, &columns)).collect()
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
            return Err(
                Diagnostic::new(empty_split::path_of(plan, files, name), message)
                    .hint("correct `observed` of the task, or leave the task out of the protocol"),
            );
        }
    }
    Ok(PreparedTable {
        written: written.try_into().expect("one for each split"),
        categorical: encoding.categorical_features,
        lists: encoding.list_features,
        numeric: encoding.numeric_features,
    })
}

/// Parses the files into the rows of each split, with codes in `texts`.
fn read(
    plan: &TablePlan,
    columns: &ColumnSlots,
    sources: &[SourceFile],
    files: &[PathBuf],
    subset: RowSubset,
    folder: &Path,
    texts: &mut DistinctTexts,
    observer: &mut dyn Observer,
) -> Result<[Vec<CodedRows>; 3], Diagnostic> {
    let sides = split_assignment::sides(&plan.split);
    let own = &plan.columns[..plan.num_own_columns];
    // Keys of joins and the column that divides are read as texts even where nothing else needs
    // them so; `needs` knows only features and labels.
    let mut needs = columns.needs(0, own.len());
    for column in plan
        .joins
        .iter()
        .map(|join| join.on)
        .chain(plan.split.column())
    {
        needs[column].text = true;
    }
    let opened = sides
        .iter()
        .map(|(_, file)| TableFile::open(&files[*file], plan.format, own, &needs))
        .collect::<Result<Vec<_>, _>>()?;
    for (text, (_, file)) in opened.iter().zip(&sides) {
        let found = text.num_rows();
        if let Some(expected) = sources[*file].rows.filter(|expected| *expected != found) {
            return Err(Diagnostic::new(
                text.path().display().to_string(),
                format!("expected {expected} rows, found {found}"),
            )
            .hint("the file is cut or another one; remove it and get it again"));
        }
    }
    // The row's number on its side is what a seeded hash divides by, so it must not depend on how
    // files are cut.
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
        .map(|join| JoinTable::read(join, columns, files))
        .collect::<Result<Vec<_>, _>>()?;
    let context = Context {
        plan,
        columns,
        joins: &joins,
        assignment: &assignment,
    };
    let mut num_dropped = 0;
    let mut num_unmatched = vec![0; joins.len()];
    // Rows can't be encoded as they come: vocabularies, quantiles and scales are known after the
    // last training row.
    let mut spills = SPLITS.map(|name| Spill::new(folder.join(format!("{name}.spill"))));
    let total = num_rows.iter().sum();
    let mut done = 0;
    for ((file, (side, _)), start) in opened.iter().zip(&sides).zip(starts) {
        let parse = |wave: Result<Vec<Piece<'_>>, Diagnostic>| -> Vec<Result<Parsed, Diagnostic>> {
            let pieces = match wave {
                Ok(pieces) => pieces,
                Err(broken) => return vec![Err(broken)],
            };
            let parse = |piece: &Piece<'_>| {
                let parsed = parse_rows::parse(&context, *side, start, piece);
                piece.release();
                parsed
            };
            pieces.par_iter().map(parse).collect()
        };
        pipeline(file.waves(), parse, |wave| {
            let mut renumbered = Vec::with_capacity(wave.len());
            // In order, so that the first fault of the file is the one that is told, and texts have the numbers of their order.
            for parsed in wave {
                let parsed = parsed?;
                num_dropped += parsed.num_dropped;
                for (sum, more) in num_unmatched.iter_mut().zip(&parsed.num_unmatched) {
                    *sum += more;
                }
                done += parsed.num_rows;
                let ids = texts.add(&parsed, columns);
                let ids =
                    ids.map_err(|column| distinct_texts::too_much(plan, column, file.path()))?;
                renumbered.push((parsed, ids));
            }
            let divided: Vec<[Option<CodedRows>; 3]> = renumbered
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
            let names = join
                .files
                .iter()
                .map(|file| files[*file].display().to_string());
            let names: Vec<String> = names.collect();
            observer.notice(&format!(
                "{count} of {in_use} rows have no row in {}; its columns are empty there",
                names.join(" or ")
            ));
        }
    }
    let [a, b, c] = spills.map(Spill::read);
    Ok([a?, b?, c?])
}

/// A piece's rows by split, with the numbers that all pieces share.
fn divide(
    parsed: Parsed,
    ids: &Renumbering,
    columns: &ColumnSlots,
    num_labels: usize,
) -> [Option<CodedRows>; 3] {
    let Parsed {
        splits,
        mut codes,
        numbers,
        labels,
        mut lists,
        ..
    } = parsed;
    if !ids.texts.is_empty() {
        for row in codes.chunks_exact_mut(columns.num_codes()) {
            // The codes behind those of texts are hashes, which are the same in every piece.
            for (code, ids) in row.iter_mut().zip(&ids.texts) {
                *code = ids[*code as usize];
            }
        }
    }
    renumber_lists(&mut lists, ids, columns);
    let count = |split: u8| splits.iter().filter(|other| **other == split).count();
    let counts = [0, 1, 2].map(count);
    // With splits by file or by time most pieces lie in one split; those are moved, not copied.
    if let Some(only) = counts.iter().position(|count| *count == splits.len()) {
        let mut rows = [None, None, None];
        if !splits.is_empty() {
            rows[only] = Some(CodedRows::new(splits.len(), codes, numbers, labels, lists));
        }
        return rows;
    }
    [0, 1, 2].map(|split: u8| {
        let count = counts[usize::from(split)];
        let codes = pick(&codes, columns.num_codes(), &splits, split);
        let numbers = pick(&numbers, columns.numbers.len(), &splits, split);
        let labels = pick(&labels, num_labels, &splits, split);
        let lists = lists.rows(columns.lists.len(), |row| splits[row] == split);
        (count > 0).then(|| CodedRows::new(count, codes, numbers, labels, lists))
    })
}

fn renumber_lists(lists: &mut RowLists, ids: &Renumbering, columns: &ColumnSlots) {
    for index in 0..lists.ends.len() {
        let slot = index % columns.lists.len();
        if !columns.lists[slot].is_hashed {
            let list = RowLists::range(&lists.ends, index);
            for code in &mut lists.values[list] {
                *code = ids.lists[slot][*code as usize];
            }
        }
    }
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

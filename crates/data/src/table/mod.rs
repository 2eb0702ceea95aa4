//! Preparation of tables: read once in parallel, learn from training rows, encode.
//!
//! Pieces of fixed size are parsed in parallel and joined in the order of the file, so that the result doesn't depend
//! on the number of threads.

mod audit;
pub(crate) mod bad_row;
mod carry;
pub(super) mod column_slots;
pub(super) mod columnar;
mod common_types;
mod distinct_texts;
mod empty_split;
mod encode;
pub(super) mod file_pieces;
mod fit;
pub(super) mod fitted_files;
pub(super) mod interner;
mod join_table;
pub(super) mod list_text;
mod map_source;
pub(super) mod new_rows;
mod no_rows;
mod number_column;
mod opened_rows;
mod parse_rows;
mod piece_columns;
mod pretrained;
mod raw_columns;
pub(super) mod row;
mod row_lists;
mod row_spill;
mod sniff;
mod sparse_text;
pub(super) mod split_assignment;
pub(super) mod text_chunks;
mod text_kinds;
mod text_marks;
pub(super) mod text_records;
pub(super) mod text_rows;
mod text_tokens;
mod time_hint;
mod wrong_header;
mod wrong_layout;

use super::packed::{PackedWriter, Watched, Written};
use super::pipeline::pipeline;
use super::schema::{SourceFile, TablePlan};
use super::{
    Batch, CategoricalFeature, DataWarning, ListFeature, Observer, RowSubset, SPLITS, Task,
};
use audit::{Audit, of_scenarios};
pub(super) use audit::{of_chains, of_labels};
pub(super) use carry::carry;
use column_slots::ColumnSlots;
pub(super) use columnar::guarded;
use distinct_texts::{DistinctTexts, Renumbering};
pub use encode::NOBODY;
use encode::RowEncoder;
use homebench_diagnostic::Diagnostic;
use opened_rows::{KindsByName, OpenedRows};
use parse_rows::{Parsed, PieceCounts, Wanted};
use rayon::prelude::*;
use row_lists::RowLists;
use row_spill::{CodedRows, Spill};
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
    /// Names of the tables that have pretrained vectors, and the numbers of each of these.
    pub(super) pretrained: Vec<(String, usize)>,
    pub(super) warnings: Vec<DataWarning>,
}

/// Prepares `files` (in the order of the description) into `folder`.
///
/// # Errors
/// A row that isn't as described, an empty split, a folder that can't be written.
pub(super) fn prepare(
    plan: &TablePlan,
    tasks: &[Task],
    sources: &[SourceFile],
    files: &[PathBuf],
    subset: RowSubset,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<PreparedTable, Diagnostic> {
    let columns = ColumnSlots::of_plan(plan);
    let mut texts = DistinctTexts::new(&columns);
    let (splits, read) = read(
        plan, &columns, sources, files, subset, folder, &mut texts, observer,
    )?;
    empty_split::refuse(plan, subset, files, &splits)?;
    refuse_no_weight(plan, &columns, files, &splits[split_assignment::TRAIN])?;
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
    let encoding = RowEncoder::new(plan, &columns, &texts.texts, encoders, scales);
    let mut audit = Audit::new(plan, tasks, &encoding);
    audit.filtered(read.divided.as_ref().unwrap_or(&read.counts));
    audit.reading(&read.counts, &read.tables, &columns.numbers);
    texts.say_undecoded(plan, &columns, &mut audit);
    audit.fitted(
        &encoding,
        &splits[split_assignment::TRAIN],
        columns.numbers.len(),
    );
    audit.fitted_texts(&columns, &texts, &words, &splits[split_assignment::TRAIN]);
    // This and the next file are for people; nothing here reads them back.
    let path = folder.join("vocabularies.csv");
    encode::write_vocabularies(&path, &plan.features, &words)
        .map_err(|error| super::cant_write(&path, &error))?;
    let path = folder.join("numbers.csv");
    encode::write_numbers(&path, plan, &encoding, &read.kinds)
        .map_err(|error| super::cant_write(&path, &error))?;
    let pretrained = pretrained::prepare(plan, sources, files, &words, folder)?;
    audit.pretrained(&pretrained);
    let total: u64 = splits
        .iter()
        .flatten()
        .map(|rows| rows.num_rows as u64)
        .sum();
    let scenario = plan
        .scenario
        .map(|feature| plan.features[feature].name.as_str());
    let watched = Watched::new(tasks, scenario, &encoding.categorical_features);
    let mut done = 0;
    let mut written = Vec::with_capacity(3);
    let (num_codes, num_lists) = (columns.num_codes(), columns.lists.len());
    for (split, (name, rows)) in SPLITS.iter().zip(&splits).enumerate() {
        let path = folder.join(format!("{name}.arrow"));
        let mut writer = PackedWriter::create(path, encoding.widths(plan.labels.len()))?
            .measuring(plan.regressions())
            .watching(watched.clone());
        let encode = |wave| encode_wave(wave, &encoding, &columns);
        pipeline(rows.chunks(WAVE), encode, |batches| {
            for (batch, rows) in &batches {
                if let Some((feature, number)) = encoding.beyond(batch, rows, &columns) {
                    return Err(beyond(plan, files, name, feature, number));
                }
                audit.rows(split, batch, rows, &encoding, &texts, num_codes, num_lists);
                writer.append(batch)?;
                done += batch.num_rows as u64;
            }
            observer.progress("encoding rows", done, total);
            Ok(())
        })?;
        written.push(writer.finish()?);
        if let (0, Some(scenario), Some(train)) = (split, scenario, written.last()) {
            refuse_no_scenario(plan, files, scenario, train)?;
        }
        if let Some(task) = written
            .last()
            .and_then(|split: &Written| split.observed.iter().position(|rows| *rows == 0))
        {
            let task_name = &tasks[task].name;
            let (why, mend) = match &plan.labels[task].observed {
                Some(observed) => (
                    format!("its `observed` is {}", observed.canonical(&plan.columns)),
                    "correct `observed` of the task, or leave the task out of the protocol",
                ),
                None => (
                    "its label is missing or unknown on every one".to_owned(),
                    "correct `label` of the task, or leave the task out of the protocol",
                ),
            };
            let message =
                format!("no row of the {name} split is observed by the task `{task_name}`: {why}");
            return Err(
                Diagnostic::new(empty_split::path_of(plan, files, name), message).hint(mend),
            );
        }
    }
    let written: [Written; 3] = written.try_into().expect("one for each split");
    // Of training and validation: nothing is said of the labels of the test split.
    let constants = [split_assignment::TRAIN, split_assignment::VALIDATION]
        .map(|split| audit::constant_labels(plan, &splits[split]));
    let mut warnings = audit.finish(&encoding);
    warnings.extend(of_labels(tasks, &written, &constants));
    warnings.extend(of_chains(tasks, &written));
    warnings.extend(
        scenario
            .into_iter()
            .flat_map(|name| of_scenarios(name, &written)),
    );
    let of_train = &written[split_assignment::TRAIN];
    let mut lists = encoding.list_features;
    for (list, count) in lists.iter_mut().zip(&of_train.list_ids) {
        list.mean_length = *count as f64 / of_train.rows as f64;
    }
    let widths = pretrained.into_iter();
    Ok(PreparedTable {
        written,
        warnings,
        pretrained: widths
            .map(|coverage| (coverage.table, coverage.width))
            .collect(),
        categorical: encoding.categorical_features,
        lists,
        numeric: encoding.numeric_features,
    })
}

/// Refuses training rows of which none weighs anything: nothing would be learned.
fn refuse_no_weight(
    plan: &TablePlan,
    columns: &ColumnSlots,
    files: &[PathBuf],
    train: &[CodedRows],
) -> Result<(), Diagnostic> {
    let Some(column) = plan.weight else {
        return Ok(());
    };
    let (slot, width) = (columns.number_slot(column), columns.numbers.len());
    let mut weights = train
        .iter()
        .flat_map(|rows| rows.numbers.iter().skip(slot).step_by(width));
    if weights.any(|weight| *weight > 0.0) {
        return Ok(());
    }
    let message = format!(
        "the weight `{}` is 0 on every training row, so that nothing would be learned",
        plan.columns[column]
    );
    Err(
        Diagnostic::new(empty_split::path_of(plan, files, SPLITS[0]), message)
            .hint("give some rows a weight above 0, or take `weight` out of the description"),
    )
}

/// Refuses training rows of which none has a scenario: nothing would tell them apart.
fn refuse_no_scenario(
    plan: &TablePlan,
    files: &[PathBuf],
    scenario: &str,
    train: &Written,
) -> Result<(), Diagnostic> {
    if train.watched.without_scenario < train.rows as u64 {
        return Ok(());
    }
    let message = format!(
        "no training row has a scenario: the feature `{scenario}` has no value there that gets an id"
    );
    Err(
        Diagnostic::new(empty_split::path_of(plan, files, SPLITS[0]), message)
            .hint("name another column as `scenario`, lower the feature's min_count, or take `scenario` out of the description"),
    )
}

/// Encodes some blocks of rows, in parallel.
fn encode_wave<'a>(
    wave: &'a [CodedRows],
    encoding: &RowEncoder,
    columns: &ColumnSlots,
) -> Vec<(Batch, &'a CodedRows)> {
    let rows = wave.par_iter();
    rows.map(|rows| (encoding.encode(rows, columns), rows))
        .collect()
}

/// A number that 32 bits hold and its scaled form doesn't, told by its value: rows are known by their place in the split alone.
fn beyond(
    plan: &TablePlan,
    files: &[PathBuf],
    split: &str,
    feature: &str,
    number: f64,
) -> Diagnostic {
    let message = format!(
        "the feature `{feature}` is {number} on a row of the {split} split, which is beyond 32 bits once it is standardised by the \
         training rows"
    );
    Diagnostic::new(empty_split::path_of(plan, files, split), message)
        .hint("correct the row, or give the feature transform = [\"log1p\", \"standardise\"]")
}

/// What was read beside the rows.
struct ReadCounts {
    counts: PieceCounts,
    /// Of the columns of texts that are computed with.
    kinds: KindsByName,
    /// What was counted when all rows were divided, where only some of them were read again.
    divided: Option<PieceCounts>,
    tables: Vec<JoinedTable>,
}

/// What is said of a joined table.
pub(super) struct JoinedTable {
    /// Names of its files.
    pub(super) name: String,
    /// Rows without a key.
    pub(super) without_key: u64,
    /// Rows of which a NaN was taken for nothing.
    pub(super) num_nan: u64,
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
) -> Result<([Vec<CodedRows>; 3], ReadCounts), Diagnostic> {
    let opened = OpenedRows::open(plan, columns, sources, files, subset, observer)?;
    let mut counts = PieceCounts::default();
    // Rows can't be encoded as they come: vocabularies, quantiles and scales are known after the
    // last training row.
    let mut spills = SPLITS.map(|name| Spill::new(folder.join(format!("{name}.spill"))));
    opened.each_wave(Wanted::Rows(&[]), observer, |file, wave| {
        let mut renumbered = Vec::with_capacity(wave.len());
        // In order, so that the first fault of the file is the one that is told, and texts have the numbers of their order.
        for parsed in wave {
            let parsed = parsed?;
            counts.add(&parsed.counts);
            let ids = texts.add(&parsed, columns);
            let ids = ids.map_err(|column| distinct_texts::too_much(plan, column, file.path()))?;
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
        Ok(())
    })?;
    let read = ReadCounts {
        counts,
        kinds: opened.kinds(),
        divided: opened.divided().cloned(),
        tables: opened.tables(sources),
    };
    let [a, b, c] = spills.map(Spill::read);
    Ok(([a?, b?, c?], read))
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

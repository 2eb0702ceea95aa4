//! Pieces of files of new rows, encoded by what was kept.

use super::JoinedTable;
use super::audit::{missing_number, nan_as_missing, unmatched_rows};
use super::carry::kind;
use super::column_slots::ColumnSlots;
use super::encode::RowEncoder;
use super::file_pieces::TableFile;
use super::fit::{Encoder, ListIds};
use super::fitted_files::KeptEncoders;
use super::opened_rows::{KindsByName, OpenedRows};
use super::parse_rows::{Parsed, PieceCounts, Wanted};
use super::row_spill::CodedRows;
use crate::carried::CarriedKind;
use crate::expression::{Reading, Values};
use crate::schema::{SourceFile, TablePlan};
use crate::{Batch, Observer, RowSubset};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use rayon::prelude::*;
use std::path::PathBuf;

/// Some new rows, as a model reads them.
pub(crate) struct NewPiece {
    pub(crate) batch: Batch,
    /// Values of the columns that name rows.
    pub(crate) named: Vec<Values>,
    /// By feature: its name, values without an id, all values.
    pub(crate) unseen: Vec<(String, u64, u64)>,
    counts: PieceCounts,
}

/// Files of new rows, which need not have every column of the description.
pub(crate) struct NewFiles {
    files: Vec<TableFile>,
    named: Vec<(usize, Reading)>,
}

impl NewFiles {
    /// Opens the plan's files of rows; `paths` are all of the description's and theirs.
    ///
    /// # Errors
    /// A file that can't be read, or lacks a column that inputs are made from.
    pub(crate) fn open(
        plan: &TablePlan,
        named: &[(usize, Reading)],
        paths: &[PathBuf],
    ) -> Result<Self, Diagnostic> {
        let own = &plan.columns[..plan.num_own_columns];
        let required = ColumnSlots::of_inputs(plan, &[]).needs(0, own.len());
        let mut needs = ColumnSlots::of_inputs(plan, named).needs(0, own.len());
        for ((need, required), declared) in needs.iter_mut().zip(required).zip(&plan.types) {
            need.is_declared = declared.is_some();
            need.may_be_absent = !required.is_any();
        }
        let files = plan.split.files();
        let open = |file: &usize| {
            let opened = TableFile::open(&paths[*file], plan.format, own, &needs)?;
            Ok::<_, Diagnostic>(opened.with_marks(&plan.missing))
        };
        let files = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let is_there = |(column, reading): &&(usize, Reading)| {
            let sources = ColumnSlots::of_inputs(
                &TablePlan {
                    features: Vec::new(),
                    allowed_values: Vec::new(),
                    ..plan.clone()
                },
                &[(*column, *reading)],
            );
            let mut own = sources.all_columns().into_iter();
            own.all(|column| {
                column >= plan.num_own_columns || files.iter().all(|file| file.has(column))
            })
        };
        Ok(Self {
            named: named.iter().filter(is_there).copied().collect(),
            files,
        })
    }

    /// The columns that name rows and that the files have.
    pub(crate) fn named(&self) -> &[(usize, Reading)] {
        &self.named
    }

    /// What those hold.
    pub(crate) fn kinds(&self, plan: &TablePlan) -> Vec<CarriedKind> {
        let named = self.named.iter();
        named
            .map(|(column, _)| kind(plan, *column, &self.files))
            .collect()
    }

    /// Hands every piece to `take`, in order, and gives what is to be said of all rows, in the words of preparation.
    ///
    /// # Errors
    /// A row that isn't as described, or an error of `take`.
    pub(crate) fn each_piece(
        self,
        plan: &TablePlan,
        columns: &ColumnSlots,
        sources: &[SourceFile],
        paths: &[PathBuf],
        encoders: &KeptEncoders<'_>,
        named: &[(usize, Reading)],
        kinds: Option<&KindsByName>,
        observer: &mut dyn Observer,
        take: &mut dyn FnMut(NewPiece) -> Result<()>,
    ) -> Result<Vec<String>> {
        let opened = OpenedRows::of_files(
            plan,
            columns,
            self.files,
            sources,
            paths,
            RowSubset::All,
            kinds,
            observer,
        )?;
        // What `take` says is kept beside the faults of rows, which have another type.
        let mut refused = None;
        let mut counts = PieceCounts::default();
        let ended = opened.each_wave(Wanted::Rows(named), observer, |file, wave| {
            let encoded: Vec<Result<NewPiece, Diagnostic>> = wave
                .into_par_iter()
                .map(|parsed| encoded(plan, columns, encoders, file, parsed?))
                .collect();
            for piece in encoded {
                let piece = piece?;
                counts.add(&piece.counts);
                if let Err(error) = take(piece) {
                    refused = Some(error);
                    return Err(Diagnostic::new("", ""));
                }
            }
            Ok(())
        });
        match refused {
            Some(error) => Err(error),
            None => {
                ended?;
                Ok(said(plan, columns, &counts, &opened.tables(sources)))
            }
        }
    }
}

fn encoded(
    plan: &TablePlan,
    columns: &ColumnSlots,
    encoders: &KeptEncoders<'_>,
    file: &TableFile,
    parsed: Parsed,
) -> Result<NewPiece, Diagnostic> {
    let encoding = encoders.row_encoder(plan, columns, &parsed.texts, &parsed.list_texts);
    let num_rows = parsed.splits.len();
    let rows = CodedRows::new(
        num_rows,
        parsed.codes,
        parsed.numbers,
        Vec::new(),
        parsed.lists,
    );
    let batch = encoding.encode(&rows, columns);
    if let Some((feature, number)) = encoding.beyond(&batch, &rows, columns) {
        let message = format!(
            "the feature `{feature}` is {number} on a row, which is beyond 32 bits once it is standardised by the training rows"
        );
        return Err(
            Diagnostic::new(file.path().display().to_string(), message).hint("correct the row")
        );
    }
    let unseen = unseen(&encoding, &batch);
    Ok(NewPiece {
        counts: parsed.counts,
        batch,
        named: parsed.carried.0,
        unseen,
    })
}

/// What preparation would say of rows that were read so: those without a row in a joined table, and what is missing.
fn said(
    plan: &TablePlan,
    columns: &ColumnSlots,
    counts: &PieceCounts,
    tables: &[JoinedTable],
) -> Vec<String> {
    let mut said = Vec::new();
    for ((join, table), of_table) in plan.joins.iter().enumerate().zip(tables) {
        let of_join = |counts: &[u64]| counts.get(join).copied().unwrap_or(0);
        let unmatched = of_join(&counts.unmatched);
        if unmatched > 0 {
            let (without_key, on) = (of_join(&counts.without_key), &plan.columns[table.on]);
            let name = &of_table.name;
            said.push(unmatched_rows(
                unmatched,
                counts.in_use,
                name,
                without_key,
                on,
            ));
        }
        if of_table.num_nan > 0 {
            said.push(nan_as_missing(
                of_table.num_nan,
                &format!(" of {}", of_table.name),
            ));
        }
    }
    if counts.nan > 0 {
        said.push(nan_as_missing(counts.nan, ""));
    }
    for (missing, column) in counts.missing_numbers.iter().zip(&columns.numbers) {
        if *missing > 0 {
            let table = plan.join_of(*column).map(|join| tables[join].name.as_str());
            let name = &plan.columns[*column];
            said.push(missing_number(name, *missing, counts.in_use, table));
        }
    }
    said
}

/// Values without an id, by feature with a vocabulary.
fn unseen(encoding: &RowEncoder, batch: &Batch) -> Vec<(String, u64, u64)> {
    let num_categorical = encoding.categorical_features.len();
    let num_lists = encoding.list_features.len();
    let mut found = Vec::new();
    for (index, (name, encoder)) in encoding.of_ids().enumerate() {
        match encoder {
            Encoder::Categorical { .. } => {
                let ids = batch
                    .categorical
                    .iter()
                    .skip(index)
                    .step_by(num_categorical);
                let unseen = ids.filter(|id| **id == 0).count() as u64;
                found.push((name.to_owned(), unseen, batch.num_rows as u64));
            }
            Encoder::List {
                ids: ListIds::Learned(_),
                ..
            } => {
                let (mut unseen, mut values) = (0, 0);
                for row in 0..batch.num_rows {
                    let list = row * num_lists + index - num_categorical;
                    let start = list
                        .checked_sub(1)
                        .map_or(0, |before| batch.list_ends[before]);
                    let ids = &batch.list_ids[start as usize..batch.list_ends[list] as usize];
                    values += ids.len() as u64;
                    unseen += ids.iter().filter(|id| **id == 0).count() as u64;
                }
                found.push((name.to_owned(), unseen, values));
            }
            _ => {}
        }
    }
    found
}

